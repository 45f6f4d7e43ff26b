"""Totals: sums of usage as a table that fits a terminal: currencies as columns, and the margin.

Here: columns, and which of them a narrow terminal gives up. Not here: where the rows come from
(usage.py), how wide text is (letters.py), tables of limits (tables.py).

What always holds:
  TO1  On a terminal no line is wider than it; what had no room is named below the table.
  TO2  A loss is marked by a word beside its number, not by a colour alone.
"""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple

from stiggctl.cli.answering import Screen
from stiggctl.cli.letters import cut, number, padded, printable, width_of

# As in tables.py, and for its reasons: numbers of two columns are not read as one, and names that are
# cut shorter are mistaken for each other; behind a bucket, which is not cut, less has to do.
_GAP = "  "
_NAME_MIN = 18
_NAME_MIN_IN_BUCKET = 12
_LOSS = " loss"


class Line(NamedTuple):
    """A row, as it is shown."""

    owner: str | None  #: whose table it stands in
    bucket: str | None
    name: str | None
    events: int
    amounts: Mapping[str, int | Decimal]  #: by currency
    margin: Decimal | None


class _Column(NamedTuple):
    heading: str
    texts: list[str]
    is_margin: bool = False
    losses: frozenset[int] = frozenset()  #: places of what is marked

    @property
    def width(self) -> int:
        """Of its widest text."""
        return max(map(width_of, (self.heading, *self.texts)))


def table(lines: Sequence[Line], bucket: str | None, by: str | None, screen: Screen) -> list[str]:
    """Rows in their order, below headings; `bucket` and `by` are the headings of what they are by."""
    names, least = _names(lines, bucket, by)
    columns = list(_columns(lines))
    kept, room = _that_fit(columns, min(names.width, least), screen.columns)
    width = names.width if room is None else min(names.width, room)
    ellipsis = screen.ellipsis
    headings = [padded(cut(names.heading, width, ellipsis=ellipsis), width)]
    headings += [_to_the_right(column.heading, column.width) for column in kept]
    drawn = [screen.paint(_GAP.join(headings).rstrip(), dim=True)]
    for at, name in enumerate(names.texts):
        parts = [padded(cut(name, width, ellipsis=ellipsis), width)]
        for column in kept:
            text = _to_the_right(column.texts[at], column.width)
            parts.append(screen.paint(text, "red") if at in column.losses else text)
        drawn.append(_GAP.join(parts).rstrip())
    hidden = ", ".join(column.heading.strip() for column in columns if column not in kept)
    if hidden and screen.columns is not None:
        note = cut(f"not shown: {hidden}", screen.columns, ellipsis=ellipsis)
        drawn.append(screen.paint(note, dim=True))
    return drawn


def _names(lines: Sequence[Line], bucket: str | None, by: str | None) -> tuple[_Column, int]:
    """What rows are called, and how much of it has to be seen."""
    if bucket is None:
        return _Column(printable(by or ""), [line.name or "" if by else "total" for line in lines]), _NAME_MIN
    buckets = [line.bucket or "" for line in lines]
    heading = printable(bucket)
    if by is None:
        return _Column(heading, buckets), max(map(width_of, (heading, *buckets)))
    width = max(map(width_of, (heading, *buckets)))
    texts = [f"{padded(line.bucket or '', width)}{_GAP}{line.name}" for line in lines]
    names = _Column(f"{padded(heading, width)}{_GAP}{printable(by)}", texts)
    return names, width + len(_GAP) + _NAME_MIN_IN_BUCKET


def _columns(lines: Sequence[Line]) -> Iterator[_Column]:
    """Numbers: how many events, how much of each currency, and the margin."""
    yield _Column("events", [number(line.events) for line in lines])
    for currency in sorted({name for line in lines for name in line.amounts}):
        amounts = [line.amounts.get(currency) for line in lines]
        yield _Column(printable(currency), ["" if one is None else number(one) for one in amounts])
    margins = [line.margin for line in lines if line.margin is not None]
    if margins:
        losses = frozenset(at for at, margin in enumerate(margins) if margin < 0)
        blank = " " * len(_LOSS) if losses else ""
        texts = [number(one) + (_LOSS if at in losses else blank) for at, one in enumerate(margins)]
        yield _Column(f"margin{blank}", texts, is_margin=True, losses=losses)


def _that_fit(
    columns: Sequence[_Column], least: int, screen_columns: int | None
) -> tuple[list[_Column], int | None]:
    """Those that leave names as much room as they need at the least, and what they leave; None: no end.

    A narrow terminal gives up the events first, then currencies from the last; the last column stays
    longest: the margin, where it was asked for.
    """
    if screen_columns is None:
        return list(columns), None
    kept = list(columns)
    while True:
        room = screen_columns - sum(len(_GAP) + column.width for column in kept)
        if room >= least or not kept:
            return kept, max(room, 1)
        kept = _fewer(kept, events=columns[0])


def _fewer(kept: list[_Column], events: _Column) -> list[_Column]:
    if kept[0] is events:
        return kept[1:]
    if len(kept) > 1 and kept[-1].is_margin:
        return [*kept[:-2], kept[-1]]
    return kept[:-1]


def _to_the_right(text: str, width: int) -> str:
    return " " * (width - width_of(text)) + text
