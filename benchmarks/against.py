"""One process beside another commit of this package: check, consume, and reserve with its settle, in turn.

Here: two programs, one a checkout, that are told in turn to measure, so that what else a machine does falls
on both. Not here: several processes on one ledger (processes.py), a decision by itself (decide.py).

    python -m benchmarks processes --against PATH     PATH: another checkout, `git worktree add PATH COMMIT`

Only public verbs that every version has are called: this very file runs in both checkouts. It must import
nothing of the benchmarks, for PATH may have others; the model comes with the first line that it reads.
Bookings are committed, as in life; decide.py measures what is left without them, in one checkout after the
other.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stiggctl import UsageControl

if TYPE_CHECKING:  # not in the other checkout
    from benchmarks.measuring import Line

ROOT = Path(__file__).parent.parent
#: Calls of one figure: some milliseconds of each, so that most lie between two interruptions.
CALLS = {"check": 500, "consume": 50, "reserve + release": 300, "reserve + settle": 50}
ROUNDS, ROUNDS_QUICK = 200, 30
AMOUNT = 5
LIMITS = (4, 16)


def run(other: Path, *, quick: bool) -> list["Line"]:
    """The ratios: ours over those of that checkout."""
    from benchmarks.measuring import compared, interleaved  # noqa: PLC0415 - not in the other checkout
    from benchmarks.model import TOKENS, model  # noqa: PLC0415 - as above

    lines = []
    for limits in LIMITS:
        described, ids = model(limits)
        asked = json.dumps([described, ids, TOKENS])
        with ExitStack() as both:
            ask = {
                side: both.enter_context(_running(root, asked))
                for side, root in (("ours", ROOT), ("other", other))
            }
            for verb in CALLS:
                ways = {side: partial(tell, verb) for side, tell in ask.items()}
                figures = interleaved(ways, ROUNDS_QUICK if quick else ROUNDS)
                lines.append(compared(f"{verb}, {limits} limits", "ns", figures["ours"], figures["other"]))
    return lines


@contextmanager
def _running(root: Path, asked: str) -> Iterator[Callable[[str], float]]:
    """A program with the package of that checkout, which measures a verb when it is told to."""
    with tempfile.TemporaryDirectory() as room:
        program = [sys.executable, __file__, str(Path(room, "usage.db"))]
        environment = {**os.environ, "PYTHONPATH": str(root)}
        with subprocess.Popen(
            program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, cwd=room
        ) as running:
            assert running.stdin is not None
            assert running.stdout is not None
            told, answers = running.stdin, running.stdout

            def tell(words: str) -> str:
                told.write(words + "\n")
                told.flush()
                return answers.readline()

            # What runs is what is named, or the figures would be of one checkout twice.
            package = Path(tell(asked).strip())
            assert package.is_relative_to(root.resolve()), package
            yield lambda verb: float(tell(verb))
            told.close()


# -------------------------------------------------------------------- one of them


def _measure(path: str) -> None:
    """Tell where the package is; then for each line, a verb, the nanoseconds of a call."""
    import stiggctl  # noqa: PLC0415 - for where it is

    described, ids, currency = json.loads(sys.stdin.readline())
    print(Path(stiggctl.__file__).resolve(), flush=True)
    with UsageControl(path) as control:
        control.apply(described)
        asks = {"resource_ids": ids, "credit_currency": currency}
        verbs = _verbs(control, asks)
        for call in verbs.values():
            call()
        for line in sys.stdin:
            verb = line.strip()
            print(_nanoseconds(verbs[verb], CALLS[verb]), flush=True)


def _verbs(control: UsageControl, asks: dict[str, Any]) -> dict[str, Callable[[], object]]:
    return {
        "check": lambda: control.check(**asks, requested_usage=AMOUNT),
        "consume": lambda: control.consume(**asks, amount=AMOUNT),
        "reserve + release": lambda: control.reserve(**asks, amount=AMOUNT).release(),
        "reserve + settle": lambda: control.reserve(**asks, amount=AMOUNT).settle(),
    }


def _nanoseconds(call: Callable[[], object], times: int) -> float:
    began = time.perf_counter_ns()
    for _ in range(times):
        call()
    return (time.perf_counter_ns() - began) / times


def main(arguments: Sequence[str]) -> None:
    """As it is run in each checkout."""
    (path,) = arguments
    _measure(path)


if __name__ == "__main__":
    main(sys.argv[1:])
