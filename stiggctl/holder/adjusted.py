"""Adjusted: events with what was booked on them afterwards: adjustments, and reversals.

Here: finding these, and what an event comes to with them. Not here: booking an adjustment
(adjusting.py), what an event should cost (rerating.py).

What always holds:
  AJ1  What an event is charged by now is its amount and those of its adjustments that were not reversed.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from stiggctl.ledger import Reader
from stiggctl.ledger.keys import adjusted_by
from stiggctl.ledger.records import EventPart, EventRow


class Adjusted(NamedTuple):
    """An event, and what was booked on it."""

    event: EventRow
    adjustments: tuple[EventRow, ...]  #: in ledger order
    reversals: Mapping[int, int]  #: it or an adjustment, where that was reversed -> the reversal

    @property
    def is_reversed(self) -> bool:
        """Whether it was taken back."""
        return self.event.id in self.reversals

    @property
    def standing(self) -> list[EventRow]:
        """It and its adjustments, but for those of them that were taken back."""
        return [one for one in (self.event, *self.adjustments) if one.id not in self.reversals]

    def as_of(self, last: int) -> "Adjusted":
        """The same when `last` was the last event of the ledger."""
        return Adjusted(
            self.event,
            tuple([one for one in self.adjustments if one.id <= last]),
            {one: by for one, by in self.reversals.items() if by <= last},
        )

    def charged(self, currency: int) -> int:
        """What it is charged in a currency by now, in units (AJ1)."""
        parts = (part_in(one, currency) for one in self.standing)
        return sum(part.amount_units for part in parts if part is not None)


def part_in(event: EventRow, currency: int) -> EventPart | None:
    """The part of an event that is in a currency."""
    return next((part for part in event.parts if part.currency == currency), None)


def adjusted(reader: Reader, events: Sequence[EventRow]) -> list[Adjusted]:
    """Each of these events with what was booked on it, as of the reader's moment."""
    if not events:
        return []
    ids = [event.id for event in events]
    adjustments: dict[int, list[EventRow]] = {}
    for row in reader.adjustments_of(ids):
        of = adjusted_by(row)
        assert of is not None  # that is how they were found
        adjustments.setdefault(of, []).append(row)
    reversals = reader.reversals_of([*ids, *(row.id for of in adjustments.values() for row in of)])
    return [
        Adjusted(
            event,
            tuple(adjustments.get(event.id, ())),
            {
                one.id: reversals[one.id]
                for one in (event, *adjustments.get(event.id, ()))
                if one.id in reversals
            }
            if reversals
            else {},
        )
        for event in events
    ]
