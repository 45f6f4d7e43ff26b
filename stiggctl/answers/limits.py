"""Limits: one limit as a decision or a booking saw it; and why a request is denied.

Here: LimitState, the raw numbers that it is made of, the closed set of reasons.
Not here: the answer that they stand in (decision.py, receipt.py).
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, ClassVar, NamedTuple

from stiggctl.amounts import plain, to_amount
from stiggctl.answers.json_form import camel, json_value
from stiggctl.answers.markup import Bar, Cell, table
from stiggctl.windows import to_datetime, to_text, to_us


class AccessDeniedReason(StrEnum):
    """Why a request was denied. Where several apply, the first that is not a limit is told."""

    CUSTOMER_NOT_FOUND = "CUSTOMER_NOT_FOUND"
    CUSTOMER_ARCHIVED = "CUSTOMER_ARCHIVED"
    RESOURCE_NOT_FOUND = "RESOURCE_NOT_FOUND"
    RESOURCE_ARCHIVED = "RESOURCE_ARCHIVED"
    SUSPENDED = "SUSPENDED"
    NO_ALLOCATION = "NO_ALLOCATION"
    LEDGER_UNAVAILABLE = "LEDGER_UNAVAILABLE"
    SHARE_UNAVAILABLE = "SHARE_UNAVAILABLE"
    BUDGET_EXCEEDED = "BUDGET_EXCEEDED"
    INSUFFICIENT_CREDITS = "INSUFFICIENT_CREDITS"


#: The order in which reasons that are not limits are told.
NOT_LIMITS = (
    AccessDeniedReason.CUSTOMER_NOT_FOUND,
    AccessDeniedReason.CUSTOMER_ARCHIVED,
    AccessDeniedReason.RESOURCE_NOT_FOUND,
    AccessDeniedReason.RESOURCE_ARCHIVED,
    AccessDeniedReason.SUSPENDED,
    AccessDeniedReason.NO_ALLOCATION,
    AccessDeniedReason.LEDGER_UNAVAILABLE,
    AccessDeniedReason.SHARE_UNAVAILABLE,
)


class Terms(NamedTuple):
    """What a limit counts, in which window, and whether it is another than usual for a while."""

    cadence: str | None = None  #: None: for ever
    scope: str = "{}"  #: JSON: {dimension: [values as text]}; "{}": every request counts
    window_start_us: int = 0
    window_end_us: int | None = None
    expires_at_us: int | None = None  #: when it is no limit any more
    overridden_by: str | None = None
    #: of a rolling one: how wide the buckets of its window are
    bucket_us: int | None = None
    #: it is not in force, and limits nothing: but what takes place meanwhile is in its window
    only_counts: bool = False
    #: (instant, limit from then on), as far as overrides begin or end later
    changes: tuple[tuple[int, int], ...] = ()


FOR_EVER = Terms()


class RawLimit(NamedTuple):
    """One limit of a decision in integer units, before it is made into a LimitState."""

    depth: int  #: of its resource: 0 is a root
    resource_type_id: str
    resource_id: str
    credit_currency: str
    allocation_id: str
    decimals: int
    hard: bool
    limit: int
    used: int
    held: int
    amount: int  #: what was asked for, of this currency
    overage: int | None = None  #: of a receipt: what the event added to what the limit is over
    #: (instant, units more) of what is held, and of what leaves a rolling window, as far as known; of
    #: a pool, of its grants too: units less, where one ends
    frees: tuple[tuple[int, int], ...] = ()
    terms: Terms = FOR_EVER
    is_pool: bool = False

    @property
    def order(self) -> tuple[object, ...]:
        """Where it stands: roots first, then by type, resource, currency, cadence, scope; the pool last."""
        cadence = self.terms.cadence or ""
        return (self.is_pool, *self[:4], cadence, self.terms.scope, self.allocation_id)

    @property
    def room(self) -> int:
        """What is left, negative where the limit is passed."""
        return self.limit - self.used - self.held

    @property
    def fits(self) -> bool:
        """Whether the asked amount fits; 0 fits while the limit is not passed."""
        return self.amount <= self.room

    def free_at_us(self) -> int | None:
        """When the amount fits, if nothing more is spent; None: never.

        Enough of what is held has ended, or has left a rolling window; or its window has ended, and
        the next one is empty; or the limit is another then, or none.
        """
        terms = self.terms
        turns_us = terms.window_end_us if terms.bucket_us is None else None
        instants = {at_us for at_us, _ in (*self.frees, *terms.changes)}
        for at_us in sorted(
            instants | {each for each in (turns_us, terms.expires_at_us) if each is not None}
        ):
            if terms.expires_at_us is not None and at_us >= terms.expires_at_us:
                return at_us
            limit = next(
                (units for edge_us, units in reversed(terms.changes) if edge_us <= at_us), self.limit
            )
            room = limit
            if turns_us is None or at_us < turns_us:
                freed = sum(units for end_us, units in self.frees if end_us <= at_us)
                room = limit - self.used - self.held + freed
            if self.amount <= room:
                return at_us
        return None


class LimitState:
    """One limit as a decision or a booking saw it.

    `used` is booked, `held` is reserved; `remaining` is limit − used − held, never below 0.
    Amounts are int where the currency has 0 decimals, else Decimal.
    """

    __slots__ = (
        "allocation_id",
        "allowed",
        "cadence",
        "credit_currency",
        "enforcement_type",
        "held",
        "is_pool",
        "limit",
        "overage",
        "overridden_by",
        "remaining",
        "resource_id",
        "resource_type_id",
        "rolling",
        "scope",
        "used",
        "window_end",
        "window_start",
    )

    allocation_id: str
    resource_id: str
    resource_type_id: str
    credit_currency: str
    enforcement_type: str  #: "HARD" or "SOFT"
    limit: int | Decimal
    used: int | Decimal
    held: int | Decimal
    remaining: int | Decimal
    scope: Mapping[str, tuple[str, ...]] | None  #: None: every request counts
    cadence: str | None  #: None: for ever
    rolling: bool
    #: of a rolling one: from when on what took place counts now, and when the next of it leaves
    window_start: datetime | None
    window_end: datetime | None
    allowed: bool  #: the request fits it; False on a SOFT limit denies nothing
    is_pool: bool  #: it is the customer's open grants together; `resource_id` is the customer's
    overridden_by: str | None
    overage: int | Decimal | None  #: of a receipt: what the event added to what the limit is over

    def __init__(self, raw: RawLimit) -> None:
        self.allocation_id = raw.allocation_id
        self.resource_id = raw.resource_id
        self.resource_type_id = raw.resource_type_id
        self.credit_currency = raw.credit_currency
        self.enforcement_type = "HARD" if raw.hard else "SOFT"
        self.limit = to_amount(raw.limit, raw.decimals)
        self.used = to_amount(raw.used, raw.decimals)
        self.held = to_amount(raw.held, raw.decimals)
        self.remaining = to_amount(max(0, raw.room), raw.decimals)
        terms = raw.terms
        self.scope = None
        if terms.scope != "{}":
            self.scope = {name: tuple(values) for name, values in json.loads(terms.scope).items()}
        self.cadence = terms.cadence
        bounded = terms.window_end_us is not None
        self.window_start = to_datetime(terms.window_start_us) if bounded else None
        self.window_end = None if terms.window_end_us is None else to_datetime(terms.window_end_us)
        self.allowed = raw.fits
        self.is_pool = raw.is_pool
        self.rolling = terms.bucket_us is not None
        self.overridden_by = terms.overridden_by
        self.overage = None if raw.overage is None else to_amount(raw.overage, raw.decimals)

    def as_dict(self) -> dict[str, Any]:
        """The camelCase JSON of it: amounts as numbers where whole, else as text."""
        shown = {camel(name): json_value(getattr(self, name)) for name in self.__slots__}
        if self.overage is None:
            del shown["overage"]
        return dict(sorted(shown.items()))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, LimitState):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self.__slots__)

    __hash__: ClassVar[None] = None  # type: ignore[assignment]  # numbers: compared, not looked up

    def __repr__(self) -> str:
        return f"<LimitState {self}>"

    def __str__(self) -> str:
        counts = [f"{name} {' or '.join(values)}" for name, values in (self.scope or {}).items()]
        of = f" for {', '.join(counts)}" if counts else ""
        until = "" if self.window_end is None else f" until {to_text(to_us(self.window_end, 'window_end'))}"
        if self.rolling:
            until = f" in any {self.cadence}"
        whose = f"the pool of {self.resource_id}" if self.is_pool else self.resource_id
        return (
            f"{whose} has {plain(self.remaining)} of {plain(self.limit)} "
            f"{self.credit_currency} left{of}{until} ({plain(self.used)} used, {plain(self.held)} held)"
        )


def limits_as_markup(limits: Sequence[LimitState]) -> str:
    """The limits of an answer as a notebook shows them."""
    headings = ("limit on", "", "currency", "used", "held", "left", "limit", "")
    return table(headings, map(_as_cells, limits))


def _as_cells(state: LimitState) -> tuple[Cell, ...]:
    soft = state.enforcement_type == "SOFT"
    said = [
        *(["pool"] if state.is_pool else []),
        *(["soft"] if soft else []),
        *([] if state.cadence is None else [f"{'any ' if state.rolling else ''}{state.cadence}"]),
        *(f"{name} {' or '.join(values)}" for name, values in (state.scope or {}).items()),
        *([] if state.allowed else ["no room" if soft else "denies"]),
        *([] if state.overage is None or state.overage <= 0 else [f"{plain(state.overage)} over"]),
    ]
    numbers = (state.used, state.held, state.remaining, state.limit)
    bar = Bar(state.used, state.held, state.limit)
    return (state.resource_id, ", ".join(said), state.credit_currency, *numbers, bar)
