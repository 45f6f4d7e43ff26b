"""Events: booked usage, as people read it. Here: one record. Not here: how it is booked."""

import json
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from stiggctl.amounts import plain, to_amount
from stiggctl.events import DimensionValue, dimensions_of
from stiggctl.ledger.keys import adjusted_by
from stiggctl.ledger.records import ESTIMATED, EXPIRED, KEYS_OF_USERS, LATE, EventRow
from stiggctl.windows import to_datetime, to_text, to_us


class BookedEvent(NamedTuple):
    """One booked usage: what was charged to what, when, and under which key."""

    event_id: str
    customer_id: str
    event_name: str | None
    idempotency_key: str | None  #: the user's; None where none was given
    dimensions: dict[str, DimensionValue]
    amounts: dict[str, int | Decimal]  #: by currency
    overage: int | Decimal  #: the largest over its limits
    resource_ids: tuple[str, ...]  #: what it was charged to, and all above, as they were then
    occurred_at: datetime
    booked_at: datetime
    reservation_id: str | None
    reverses: str | None  #: the event that it takes back
    adjusts: str | None  #: the event whose price it makes another, by the difference (rerate)
    late: bool
    expired: bool
    estimated: bool
    unattributed: tuple[str, ...]
    overages: dict[str, int | Decimal]  #: by currency: the largest over its limits in it

    def as_dict(self) -> dict[str, Any]:
        """The camelCase JSON of it."""
        return {
            "eventId": self.event_id,
            "customerId": self.customer_id,
            "eventName": self.event_name,
            "idempotencyKey": self.idempotency_key,
            "dimensions": {key: _json_value(value) for key, value in self.dimensions.items()},
            "amounts": {name: _json_value(amount) for name, amount in self.amounts.items()},
            "overage": _json_value(self.overage),
            "resourceIds": list(self.resource_ids),
            "timestamp": _instant(self.occurred_at),
            "bookedAt": _instant(self.booked_at),
            "reservationId": self.reservation_id,
            "reverses": self.reverses,
            "adjusts": self.adjusts,
            "late": self.late,
            "expired": self.expired,
            "estimated": self.estimated,
            "unattributed": list(self.unattributed),
            "overages": {name: _json_value(amount) for name, amount in self.overages.items()},
        }


def booked_event(
    row: EventRow,
    customer_id: str,
    currencies: Mapping[int, tuple[str, int]],
    resource_ids: Mapping[int, str],
) -> BookedEvent:
    """The record of a row; `currencies` and `resource_ids` name the rows that it refers to."""
    amounts, overages = {}, {}
    for part in row.parts:
        name, decimals = currencies[part.currency]
        amounts[name] = to_amount(part.amount_units, decimals)
        overages[name] = to_amount(part.overage_units, decimals)
    adjusted = adjusted_by(row)
    return BookedEvent(
        event_id=str(row.id),
        customer_id=customer_id,
        event_name=row.event_name,
        idempotency_key=row.key if row.namespace == KEYS_OF_USERS else None,
        dimensions=dimensions_of(row.dimensions),
        amounts=amounts,
        overage=max(overages.values(), default=0),
        resource_ids=tuple(resource_ids[one] for one in row.members),
        occurred_at=to_datetime(row.occurred_at_us),
        booked_at=to_datetime(row.booked_at_us),
        reservation_id=row.reservation,
        reverses=None if row.reverses is None else str(row.reverses),
        adjusts=None if adjusted is None else str(adjusted),
        late=bool(row.flags & LATE),
        expired=bool(row.flags & EXPIRED),
        estimated=bool(row.flags & ESTIMATED),
        unattributed=() if row.unattributed is None else tuple(json.loads(row.unattributed)),
        overages=overages,
    )


def _instant(instant: datetime) -> str:
    return to_text(to_us(instant, "instant"))


def _json_value(value: object) -> object:
    return plain(value) if isinstance(value, Decimal) else value
