"""The receipt: what a reporter gets; and what is held, as people read it.

Here: Receipt, OpenReservation. Not here: how usage is booked (holder/, ledger/).
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from stiggctl.amounts import plain
from stiggctl.answers.json_form import camel, json_value
from stiggctl.answers.limits import LimitState, RawLimit, limits_as_markup
from stiggctl.answers.markup import sentence
from stiggctl.windows import to_datetime


class Receipt:
    """What a reporter gets: one booked usage.

    `charged` is the amount where one currency was charged, else None (see `amounts`);
    `overage` the largest over its limits, of any enforcement type; each of `limits` has its
    own, in the window that was charged.
    """

    __slots__ = (
        "_booked_at_us",
        "_limits",
        "_occurred_at_us",
        "amounts",
        "duplicate",
        "estimated",
        "event_id",
        "expired",
        "late",
        "overage",
        "paid_by",
        "unattributed",
        "unbacked",
    )

    event_id: str
    amounts: dict[str, int | Decimal]
    overage: int | Decimal
    duplicate: bool  #: the key was known: this is the first receipt
    expired: bool  #: its reservation had ended: plain usage
    late: bool  #: booked into a window that had closed
    estimated: bool  #: nobody told what was used; the estimate was booked
    unattributed: tuple[str, ...]  #: ids that no resource has
    #: grant -> what it paid, as they drain (of a duplicate: as they were granted); less than 0: what came
    #: back to it. Empty where the customer has no pool
    paid_by: Mapping[str, int | Decimal]
    unbacked: bool  #: the customer has a pool, and no grant was open that could pay

    def __init__(
        self,
        *,
        event_id: str,
        amounts: dict[str, int | Decimal],
        overage: int | Decimal,
        occurred_at_us: int,
        booked_at_us: int,
        limits: Callable[[], list[RawLimit]],
        duplicate: bool = False,
        expired: bool = False,
        late: bool = False,
        estimated: bool = False,
        unattributed: tuple[str, ...] = (),
        paid_by: Mapping[str, int | Decimal] | None = None,
        unbacked: bool = False,
    ) -> None:
        self.event_id = event_id
        self.amounts = amounts
        self.overage = overage
        self._occurred_at_us = occurred_at_us
        self._booked_at_us = booked_at_us
        self.duplicate = duplicate
        self.expired = expired
        self.late = late
        self.estimated = estimated
        self.unattributed = unattributed
        self.paid_by = {} if paid_by is None else paid_by
        self.unbacked = unbacked
        self._limits: Callable[[], list[RawLimit]] | tuple[LimitState, ...] = limits

    @property
    def charged(self) -> int | Decimal | None:
        """The amount of the one currency; None where several were charged."""
        return next(iter(self.amounts.values())) if len(self.amounts) == 1 else None

    @property
    def occurred_at(self) -> datetime:
        """When it took place: of a settle, when it was reserved."""
        return to_datetime(self._occurred_at_us)

    @property
    def booked_at(self) -> datetime:
        """When it was written to the ledger."""
        return to_datetime(self._booked_at_us)

    @property
    def limits(self) -> tuple[LimitState, ...]:
        """Every limit that counted it, right after; of a duplicate: as they stand now."""
        if not isinstance(self._limits, tuple):
            self._limits = tuple(map(LimitState, sorted(self._limits(), key=lambda raw: raw.order)))
        return self._limits

    def __getstate__(self) -> tuple[None, dict[str, Any]]:
        # What makes the limits knows the stripe and its lock: what travels is made now.
        _ = self.limits
        return None, {name: getattr(self, name) for name in self.__slots__}

    def _repr_html_(self) -> str:
        """What a notebook shows: what was charged, what to know of it, and every limit that counted it."""
        charged = ", ".join(f"{plain(amount)} {name}" for name, amount in self.amounts.items())
        marks = [
            mark for mark in ("duplicate", "expired", "late", "estimated", "unbacked") if getattr(self, mark)
        ]
        over = [] if self.overage <= 0 else [f"{plain(self.overage)} over a limit"]
        unknown = [f"no resource {one}" for one in self.unattributed]
        said = ", ".join([f"{charged or 'nothing'} as event {self.event_id}", *over, *marks, *unknown])
        shown = sentence("charged", said, good=not over)
        return f"<div>{shown}{limits_as_markup(self.limits) if self.limits else ''}</div>"

    def as_dict(self) -> dict[str, Any]:
        """The camelCase JSON of it."""
        return {
            "eventId": self.event_id,
            "charged": json_value(self.charged),
            "amounts": {name: json_value(amount) for name, amount in self.amounts.items()},
            "overage": json_value(self.overage),
            "duplicate": self.duplicate,
            "expired": self.expired,
            "late": self.late,
            "estimated": self.estimated,
            "unattributed": list(self.unattributed),
            "paidBy": {grant_id: json_value(amount) for grant_id, amount in self.paid_by.items()},
            "unbacked": self.unbacked,
            "occurredAt": json_value(self.occurred_at),
            "bookedAt": json_value(self.booked_at),
            "limits": [limit.as_dict() for limit in self.limits],
        }

    def __str__(self) -> str:
        charged = " and ".join(f"{plain(amount)} {name}" for name, amount in self.amounts.items())
        over = f", {plain(self.overage)} over a limit" if self.overage > 0 else ""
        again = " (booked before)" if self.duplicate else ""
        return f"event {self.event_id}: {charged}{over}{again}"

    def __repr__(self) -> str:
        return f"<Receipt {self}>"


class OpenReservation(NamedTuple):
    """What is held: by whom, how much, until when."""

    reservation_id: str
    customer_id: str
    resource_ids: tuple[str, ...]  #: as they were named
    amounts: dict[str, int | Decimal]
    began_at: datetime
    expires_at: datetime
    event_name: str | None
    dimensions: Mapping[str, object]
    idempotency_key: str | None

    def as_dict(self) -> dict[str, Any]:
        """The camelCase JSON of it."""
        return {camel(name): json_value(value) for name, value in self._asdict().items()}
