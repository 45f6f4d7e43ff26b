"""Listing: events as lines of text that fit a terminal, however many there are.

Here: their columns, and which of them a narrow terminal gives up. Not here: how wide text is
(letters.py), tables of sums (totals.py).

What always holds:
  LI1  On a terminal no line is wider than it.
  LI2  Lines come as events come; no more than a screenful of them is kept.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from stiggctl import BookedEvent
from stiggctl.cli.answering import Screen
from stiggctl.cli.letters import cut, number, padded, printable, width_of

_GAP = "  "
#: Lines whose columns are of one width. With fewer the columns jump, with many more the first line of a
#: slow stream comes late.
_AT_A_TIME = 200
# As in tables.py: names that are cut shorter are mistaken for each other.
_LAST_MIN = 18
_HEADINGS = ("occurred at (UTC)", "event", "name", "amount", "charged to")
#: What a narrow terminal gives up, one after the other: which columns stay.
_FORMS = ((0, 1, 2, 3, 4), (0, 2, 3, 4), (0, 3, 4))


def listed(events: Iterable[BookedEvent], screen: Screen) -> Iterator[str]:
    """A line of headings, and one for each event, or two; none where there is no event."""
    left = iter(events)
    widths: Sequence[int] = [0] * len(_HEADINGS)
    first = True
    while some := [_texts(event) for event in islice(left, _AT_A_TIME)]:
        rows = [_HEADINGS, *some] if first else some
        widths = [
            max(width, *map(width_of, column))
            for width, column in zip(widths, zip(*rows, strict=True), strict=True)
        ]
        for at, row in enumerate(rows):
            for line in _lines(row, widths, screen):
                yield screen.paint(line, dim=True) if first and at == 0 else line
        first = False


def _texts(event: BookedEvent) -> tuple[str, ...]:
    amounts = ", ".join(f"{number(amount)} {currency}" for currency, amount in event.amounts.items())
    marks = [
        *([] if event.reverses is None else [f"reverses {event.reverses}"]),
        *([] if event.adjusts is None else [f"adjusts {event.adjusts}"]),
        *(mark for mark in ("late", "expired", "estimated") if getattr(event, mark)),
    ]
    charged = ", ".join(event.resource_ids) + (f" ({', '.join(marks)})" if marks else "")
    return (
        f"{event.occurred_at:%Y-%m-%d %H:%M:%S}",
        event.event_id,
        printable(event.event_name or ""),
        printable(amounts),
        printable(charged),
    )


def _lines(texts: Sequence[str], widths: Sequence[int], screen: Screen) -> Iterator[str]:
    """The first form in which who was charged has room; where none has, who stands in a line below (LI1)."""
    if screen.columns is None:
        yield _joined(texts, _FORMS[0], widths)
        return
    for kept in _FORMS:
        before = [widths[at] + len(_GAP) for at in kept[:-1]]
        if screen.columns - sum(before) >= min(widths[-1], _LAST_MIN):
            yield cut(_joined(texts, kept, widths), screen.columns, ellipsis=screen.ellipsis)
            return
    for line in (_GAP.join((texts[0], texts[-2])), _GAP + texts[-1]):
        yield cut(line, screen.columns, ellipsis=screen.ellipsis)


def _joined(texts: Sequence[str], kept: Sequence[int], widths: Sequence[int]) -> str:
    return _GAP.join([*(padded(texts[at], widths[at]) for at in kept[:-1]), texts[kept[-1]]]).rstrip()
