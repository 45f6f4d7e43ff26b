"""Events: rows of the ledger -> events as they were booked.

Here: putting the parts of an event together; how it was paid for; its members, packed and unpacked.
Not here: which events are read (reading.py), how they are written (usage.py).
"""

import struct
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any

from stiggctl.ledger.records import UNBACKED, Booked, Booking, EventPart, EventRow, Payment
from stiggctl.ledger.sqlite.statements import SQL
from stiggctl.ledger.sqlite.sums import Rows

#: A row as `event_by_key` and `events_of_…` select it.
Row = tuple[Any, ...]


def packed_members(members: tuple[int, ...]) -> bytes:
    """Row ids as they stand in a path: the same ids are the same bytes.

    >>> unpacked_members(packed_members((3, 70_000)))
    (3, 70000)
    """
    return struct.pack(f">{len(members)}q", *members)


def unpacked_members(packed: bytes) -> tuple[int, ...]:
    """The row ids that stand in a path."""
    return struct.unpack(f">{len(packed) // 8}q", packed)


def together(rows: Iterable[Row]) -> Iterator[EventRow]:
    """Events from their parts, which follow each other."""
    for _, parts in groupby(rows, key=lambda row: row[1:4]):
        yield _event(list(parts))


def _event(rows: list[Row]) -> EventRow:
    (id_, customer, namespace, key, _, _, _, _, members, event_name, dimensions, occurred_at_us, booked_at_us,
     reservation, reverses, _, flags, unattributed, fingerprint) = rows[0]  # fmt: skip
    return EventRow(
        id=id_,
        customer=customer,
        namespace=namespace,
        key=key,
        members=unpacked_members(members),
        parts=tuple(
            EventPart(
                currency=r[5],
                amount_units=r[6],
                overage_units=r[7],
                rate=r[15],
                unbacked=bool(r[16] & UNBACKED),
            )
            for r in rows
        ),
        event_name=event_name,
        dimensions=dimensions,
        occurred_at_us=occurred_at_us,
        booked_at_us=booked_at_us,
        reservation=reservation,
        reverses=reverses,
        flags=flags & ~UNBACKED,  # of a part
        unattributed=unattributed,
        fingerprint=fingerprint,
    )


def payments_of(rows: Rows, event_id: int) -> tuple[Payment, ...]:
    """How grants paid for an event, by the id of its part 0."""
    return tuple([Payment(*row) for row in rows(SQL["payments_of"], {"event": event_id})])


def as_booked(booking: Booking, booked: Booked) -> EventRow:
    """The event that this booking became, without reading it."""
    return EventRow(
        id=booked.event_id,
        customer=booking.customer,
        namespace=booking.namespace,
        key=booking.key,
        members=booking.members,
        parts=tuple(
            EventPart(
                currency=part.currency,
                amount_units=part.amount_units,
                overage_units=done.overage_units,
                rate=part.rate,
                unbacked=done.drained is not None and done.drained.unbacked_units > 0,
            )
            for part, done in zip(booking.parts, booked.parts, strict=True)
        ),
        event_name=booking.event_name,
        dimensions=booking.dimensions,
        occurred_at_us=booking.occurred_at_us,
        booked_at_us=booked.booked_at_us,
        reservation=booking.reservation,
        reverses=booking.reverses,
        flags=booking.flags,
        unattributed=booking.unattributed,
        fingerprint=booking.fingerprint,
    )
