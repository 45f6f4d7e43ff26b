"""Measuring: ways to do one thing, side by side in one run, and the ratios between them.

Here: interleaved rounds, medians, quartiles, goals. Not here: what is measured.

A machine that others use is now slow and now quick, for seconds at a time. So each round measures
every way once, one right after the other, and only figures of one round are compared; what is
told is the median over many short rounds. An absolute figure says how this machine felt just now.
"""

import gc
import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

#: Measures something once: what took so long, or how many there were a second.
Way = Callable[[], float]
#: The figures of each way, one a round.
Figures = dict[str, list[float]]


class Spread(NamedTuple):
    """The middle of many figures, and between what half of them lie."""

    median: float
    low: float
    high: float


class Goal(NamedTuple):
    """What a ratio has to be."""

    at_most: float | None = None
    at_least: float | None = None

    def is_met(self, ratio: float) -> bool:
        """Whether that ratio is good enough."""
        return (self.at_most is None or ratio <= self.at_most) and (
            self.at_least is None or ratio >= self.at_least
        )

    def __str__(self) -> str:
        return f"<= {self.at_most:g}" if self.at_most is not None else f">= {self.at_least:g}"


class Line(NamedTuple):
    """One comparison: ours beside the other way, both in `unit`, and the ratio."""

    what: str
    unit: str
    ours: float
    other: float
    ratio: Spread
    goal: Goal | None = None


def interleaved(ways: Mapping[str, Way], rounds: int) -> Figures:
    """One figure of each way in each round. Every round begins with another way.

    >>> interleaved({"one": lambda: 1.0, "two": lambda: 2.0}, rounds=2)
    {'one': [1.0, 1.0], 'two': [2.0, 2.0]}
    """
    figures: Figures = {name: [] for name in ways}
    names = list(ways)
    for way in ways.values():
        way()  # caches fill, files grow to their size
    gc.collect()
    gc.freeze()  # what stands is not looked through again and again
    for round_ in range(rounds):
        turn = round_ % len(names)
        for name in names[turn:] + names[:turn]:
            gc.collect()  # what one way leaves behind is not paid by the next
            figures[name].append(ways[name]())
    gc.unfreeze()
    return figures


def spread(figures: Sequence[float]) -> Spread:
    """Median and quartiles.

    >>> spread([4, 1, 3, 2, 5])
    Spread(median=3, low=2.0, high=4.0)
    """
    low, _, high = statistics.quantiles(figures, n=4, method="inclusive")
    return Spread(statistics.median(figures), low, high)


def compared(
    what: str, unit: str, ours: Sequence[float], other: Sequence[float], goal: Goal | None = None
) -> Line:
    """Ours over the other, round by round."""
    ratios = [one / two for one, two in zip(ours, other, strict=True)]
    return Line(what, unit, statistics.median(ours), statistics.median(other), spread(ratios), goal)


def as_text(title: str, other: str, lines: Sequence[Line]) -> str:
    """The lines as a table; `other` is what ours are compared with."""
    rows = [("", "ours", other, "ratio", "half of the rounds", "goal", "")]
    for line in lines:
        met = "" if line.goal is None else ("met" if line.goal.is_met(line.ratio.median) else "NOT MET")
        rows.append(
            (
                line.what,
                f"{_short(line.ours)} {line.unit}",
                f"{_short(line.other)} {line.unit}",
                f"{line.ratio.median:.2f}",
                f"{line.ratio.low:.2f} to {line.ratio.high:.2f}",
                "" if line.goal is None else str(line.goal),
                met,
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    texts = [
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:6], widths[1:6]), row[6]]) for row in rows
    ]
    return "\n".join([title, *(text.rstrip() for text in texts)])


def as_json(parts: Mapping[str, Sequence[Line]]) -> str:
    """All lines as one JSON object, by part."""
    return json.dumps(
        {name: [_line_as_dict(line) for line in lines] for name, lines in parts.items()}, indent=2
    )


def _line_as_dict(line: Line) -> dict[str, Any]:
    return {
        "what": line.what,
        "unit": line.unit,
        "ours": line.ours,
        "other": line.other,
        "ratio": line.ratio._asdict(),
        "goal": None if line.goal is None else line.goal._asdict(),
        "met": None if line.goal is None else line.goal.is_met(line.ratio.median),
    }


def _short(figure: float) -> str:
    return f"{figure:,.0f}" if figure >= 100 else f"{figure:.3g}"
