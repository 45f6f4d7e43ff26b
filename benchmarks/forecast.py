"""How far a forecast errs: it is made again and again over a trace, and beside what came of it.

Here: the backtest. Not here: the method (stiggctl/reports/pace.py), how fast it is.

    python -m benchmarks.forecast [TRACE.csv]

A trace has the columns TIMESTAMP, ContextTokens, GeneratedTokens, as the Azure LLM inference trace of 2023
has (CC BY 4.0, https://github.com/Azure/AzurePublicDataset). Without one, bursts are made as the example
replay_trace.py makes them. Each half minute a limit is set so that, at the pace of the time before, it
lasts for one to twenty minutes; the pace is that of the last twelve.

    inside    in how many cases of a hundred it ran out between the earliest and the latest: 80 are promised
    early     in how many before the earliest: 10 are
    error     the median of how far the middle one was off, in parts of the time that it took
    last      the same of the naive forecast: the pace of the last minute
"""

import bisect
import random
import runpy
import statistics
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from stiggctl.reports.forecast import EARLY, LATE
from stiggctl.reports.pace import read_pace

#: It reads and makes traces, and is run, not imported.
EXAMPLE = Path(__file__).parent.parent / "examples" / "replay_trace.py"
Row = tuple[datetime, int, int]  #: when, tokens of the context, tokens generated

LOOK_US = 12 * 60 * 1_000_000
STEP_US = 30 * 1_000_000
MINUTES = (1, 2, 5, 10, 20)


class Trace:
    """What was spent by when."""

    def __init__(self, rows: list[Row]) -> None:
        ordered = sorted(
            (round(at.timestamp() * 1e6), context + generated) for at, context, generated in rows
        )
        self.instants = [at_us for at_us, _ in ordered]
        self.sums = [0]
        for _, units in ordered:
            self.sums.append(self.sums[-1] + units)

    def until(self, at_us: int) -> int:
        """Units before an instant."""
        return self.sums[bisect.bisect_left(self.instants, at_us)]

    def spent(self, since_us: int, until_us: int, width_us: int) -> Mapping[int, int]:
        """As a ledger tells it."""
        return {
            start_us: self.until(min(start_us + width_us, until_us)) - self.until(start_us)
            for start_us in range(since_us, until_us, width_us)
        }

    def passes(self, units: int) -> int | None:
        """When so many units were passed; None: they never were."""
        at = bisect.bisect_right(self.sums, units)
        return self.instants[at - 1] if at < len(self.sums) else None


def run(trace: Trace) -> list[tuple[int, int, float, float, float, float]]:
    """(minutes, cases, inside, early, error, error of the last minute's pace)."""
    found = []
    first_us, last_us = trace.instants[0], trace.instants[-1]
    for minutes in MINUTES:
        inside = early = 0
        errors, naive = [], []
        for now_us in range(first_us + LOOK_US, last_us, STEP_US):
            pace = read_pace(trace.spent, now_us, LOOK_US)
            if pace is None or pace.units <= 0:
                continue
            room = round(pace.units * minutes * 60_000_000)
            passed_us = trace.passes(trace.until(now_us) + room)
            if passed_us is None:
                continue
            took = passed_us - now_us
            low, middle, high = (pace.after_us(room, odds) for odds in (EARLY, 0.5, LATE))
            inside += low <= took <= high
            early += took < low
            errors.append(abs(middle - took) / took)
            lately = trace.until(now_us) - trace.until(now_us - 60_000_000)
            naive.append(abs(room * 60_000_000 / lately - took) / took if lately else 1.0)
        if errors:
            found.append(
                (
                    minutes,
                    len(errors),
                    inside / len(errors),
                    early / len(errors),
                    statistics.median(errors),
                    statistics.median(naive),
                )
            )
    return found


def main() -> None:
    """Backtest, and tell."""
    example = runpy.run_path(str(EXAMPLE))
    rows = example["read"](Path(sys.argv[1])) if len(sys.argv) > 1 else example["made"](random.Random(7))
    print(f"{'minutes':>7}  {'cases':>5}  {'inside':>6}  {'early':>5}  {'error':>5}  {'last':>5}")
    for minutes, cases, inside, early, error, naive in run(Trace(list(rows))):
        print(f"{minutes:>7}  {cases:>5}  {inside:>6.0%}  {early:>5.0%}  {error:>5.0%}  {naive:>5.0%}")


if __name__ == "__main__":
    main()
