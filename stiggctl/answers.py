"""Answers: what people read of a decision, a limit and a booking.

Here: Decision, LimitState, Remedy, Receipt and the closed set of reasons.
Not here: how they come about (decision/, holder/). Numbers arrive as integer units and
leave as int or Decimal of the currency.

What always holds:
  A1  An answer keeps the raw numbers of one moment; what is made from them later (limits,
      sentence, ids, remedy) speaks of that moment, however late it is asked for.
  A2  Used (booked) and held (reserved) are never added into one number.
  A3  Answers survive pickling; what was not made yet is made then.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, NamedTuple, Protocol

from stiggctl.amounts import plain, to_amount
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
    frees: tuple[tuple[int, int], ...] = ()  #: (end_us, units) of what is held, as far as known

    @property
    def room(self) -> int:
        """What is left, negative where the limit is passed."""
        return self.limit - self.used - self.held

    @property
    def fits(self) -> bool:
        """Whether the asked amount fits; 0 fits while the limit is not passed."""
        return self.amount <= self.room

    def free_at_us(self) -> int | None:
        """When enough of what is held has ended for the amount to fit; None: never."""
        room = self.room
        for end_us, units in sorted(self.frees):
            room += units
            if self.amount <= room:
                return end_us
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
    window_start: datetime | None
    window_end: datetime | None
    allowed: bool  #: the request fits it; False on a SOFT limit denies nothing
    is_pool: bool
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
        self.scope = None
        self.cadence = None
        self.window_start = None
        self.window_end = None
        self.allowed = raw.fits
        self.is_pool = False
        self.overridden_by = None
        self.overage = None if raw.overage is None else to_amount(raw.overage, raw.decimals)

    def as_dict(self) -> dict[str, Any]:
        """The camelCase JSON of it: amounts as numbers where whole, else as text."""
        shown = {_camel(name): _json_value(getattr(self, name)) for name in self.__slots__}
        if self.overage is None:
            del shown["overage"]
        return dict(sorted(shown.items()))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, LimitState):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self.__slots__)

    __hash__ = None  # type: ignore[assignment]  # a record with numbers, compared, not looked up

    def __repr__(self) -> str:
        return f"<LimitState {self}>"

    def __str__(self) -> str:
        return (
            f"{self.resource_id} has {plain(self.remaining)} of {plain(self.limit)} "
            f"{self.credit_currency} left ({plain(self.used)} used, {plain(self.held)} held)"
        )


class RemedyKind(StrEnum):
    """What would help a denied request."""

    SHRINK = "SHRINK"  #: ask for at most `amount`
    RETRY = "RETRY"  #: it would fit without what is held now; soon, at the latest at `retry_at`
    WAIT = "WAIT"  #: it would fit at `retry_at`
    RAISE_LIMIT = "RAISE_LIMIT"  #: only a limit that is higher by `amount` would let it pass


class Remedy(NamedTuple):
    """What would let a denied request pass."""

    kind: RemedyKind
    amount: int | Decimal | None = None
    retry_at: datetime | None = None


class Refusal(NamedTuple):
    """A reason that is no limit, and what it is about."""

    reason: AccessDeniedReason
    subject: str  #: "resource user-01"
    detail: str  #: "is suspended until …: …"
    until_us: int | None = None


class Circumstances(NamedTuple):
    """What only a denial, or an unusual yes, has to keep beside its numbers."""

    refusal: Refusal | None = None
    holds: tuple[Any, ...] = ()  #: what was held in the stripe at that moment
    orphans: Mapping[int, tuple[tuple[int, int], ...]] = {}  #: place -> (units, until_us)
    policy: str | None = None  #: "fail_open" where the ledger could not be asked


_USUAL = Circumstances()

#: Who describes it (a Describes: a Tail of decision/paths.py, nearly always), the numbers
#: gathered, the first resource's own record, its id, the units asked for, and where it lies.
Sight = tuple[Any, tuple[int, ...], list[Any], str, int, int]


class Describes(Protocol):
    """What can tell the limits behind the numbers of a sight."""

    @property
    def credit_currency(self) -> str:
        """The currency of all the limits."""
        ...

    @property
    def decimals(self) -> int:
        """The decimals of that currency."""
        ...

    def raw_limits(self, sight: Sight, circumstances: Circumstances) -> list[RawLimit]:
        """Every limit that was looked at, in units."""
        ...


class Identities(Protocol):
    """Gives out ids that are never used twice."""

    def next_number(self) -> int:
        """A number that was not given out before."""
        ...

    def id_of(self, number: int) -> str:
        """The id of that number, as people see it."""
        ...


class NoLimits:
    """Describes a request whose limits were not looked at: what it asked for, and nothing else."""

    __slots__ = ("credit_currency", "decimals")

    def __init__(self, credit_currency: str, decimals: int) -> None:
        self.credit_currency = credit_currency
        self.decimals = decimals

    def raw_limits(self, sight: Sight, circumstances: Circumstances) -> list[RawLimit]:
        """None."""
        del sight, circumstances
        return []

    def sight(self, units: int) -> Sight:
        """A sight of nothing, for so much."""
        return (self, (), [], "", units, 0)


class _Made:
    """What a decision has made of its numbers, once it was asked."""

    __slots__ = ("limits", "raw")

    raw: list[RawLimit] | None
    limits: tuple[LimitState, ...] | None

    def __init__(self) -> None:
        self.raw = self.limits = None


class Decision:
    """The answer to check, reserve or consume, with every limit looked at.

    `bool(decision)` is `has_access`; `str(decision)` is one sentence with numbers. The
    numbers are those of one moment; a denial's are exact. A decision can be pickled.

    >>> control = getfixture("acme")  # user-01 may spend 200 ai-tokens
    >>> decision = control.check(
    ...     resource_ids=["user-01"], credit_currency="ai-tokens", requested_usage=500
    ... )
    >>> decision.has_access, decision.remaining, decision.binding.resource_id
    (False, 200, 'user-01')
    """

    __slots__ = (
        "_at_us",
        "_circumstances",
        "_ids",
        "_made",
        "_number",
        "access_denied_reason",
        "has_access",
        "sights",
    )

    has_access: bool
    access_denied_reason: AccessDeniedReason | None
    sights: tuple[Sight, ...]  #: the raw numbers; how they are kept may change

    def __init__(
        self,
        reason: AccessDeniedReason | None,
        sights: tuple[Sight, ...],
        at_us: int,
        ids: Identities,
        circumstances: Circumstances = _USUAL,
        number: int | None = None,
    ) -> None:
        self.has_access = reason is None
        self.access_denied_reason = reason
        self.sights = sights
        self._at_us = at_us
        self._ids = ids
        self._circumstances = circumstances
        self._number = number
        self._made: _Made | None = None

    def __bool__(self) -> bool:
        return self.has_access

    # ---------------------------------------------------------------- what it was about

    @property
    def at(self) -> datetime:
        """The instant of the clock reading that decided."""
        return to_datetime(self._at_us)

    @property
    def requested(self) -> dict[str, int | Decimal]:
        """What was asked for, by currency."""
        return {sight[0].credit_currency: to_amount(sight[4], sight[0].decimals) for sight in self.sights}

    @property
    def decision_id(self) -> str:
        """An id that no other decision of this ledger has; a reservation has that of its decision."""
        if self._number is None:
            self._number = self._ids.next_number()
        return self._ids.id_of(self._number)

    @property
    def policy(self) -> str | None:
        """The policy that admitted where the ledger could not be asked: "fail_open"; else None."""
        return self._circumstances.policy

    # ---------------------------------------------------------------- the limits

    @property
    def limits(self) -> tuple[LimitState, ...]:
        """Every limit looked at: roots first, then by type, resource, currency."""
        made = self._making()
        if made.limits is None:
            made.limits = tuple(map(LimitState, self._raw()))
        return made.limits

    @property
    def binding(self) -> LimitState | None:
        """Of the limits that deny (else of the HARD ones) the one with the least remaining."""
        place = self._binding_place()
        return None if place is None else self.limits[place]

    @property
    def remaining(self) -> int | Decimal | None:
        """The largest amount that would be admitted now; None where nothing limits.

        Of several currencies: that of `binding.credit_currency`.
        """
        if self._circumstances.refusal is not None:
            return 0
        raw, place = self._raw(), self._binding_place()
        if place is None:
            return None
        currency = raw[place].credit_currency
        least = min(one.room for one in raw if one.hard and one.credit_currency == currency)
        return to_amount(max(0, least), raw[place].decimals)

    @property
    def retry_at(self) -> datetime | None:
        """When the same request would pass if nothing more were spent; None: never, or now."""
        refusal = self._circumstances.refusal
        if refusal is not None:
            return None if refusal.until_us is None else to_datetime(refusal.until_us)
        ends = [one.free_at_us() for one in self._denying()]
        known = [end for end in ends if end is not None]
        return to_datetime(max(known)) if known and len(known) == len(ends) else None

    @property
    def remedy(self) -> Remedy | None:
        """What would let it pass; None where it passed, or where only a change of the model would."""
        if self.has_access:
            return None
        refusal = self._circumstances.refusal
        if refusal is not None:
            return _remedy_of(refusal)
        denying, remaining, retry_at = self._denying(), self.remaining, self.retry_at
        if remaining:
            return Remedy(RemedyKind.SHRINK, remaining, retry_at)
        if all(one.amount <= one.limit - one.used for one in denying):
            return Remedy(RemedyKind.RETRY, None, retry_at)
        if retry_at is not None:
            return Remedy(RemedyKind.WAIT, None, retry_at)
        binding = self._raw()[self._binding_place() or 0]
        lacking = max(
            one.amount - one.room for one in denying if one.credit_currency == binding.credit_currency
        )
        return Remedy(RemedyKind.RAISE_LIMIT, to_amount(lacking, binding.decimals))

    # ---------------------------------------------------------------- as text, as JSON

    def __str__(self) -> str:
        refusal = self._circumstances.refusal
        asked = " and ".join(f"{plain(amount)} {name}" for name, amount in self.requested.items())
        if refusal is not None:
            return f"{refusal.subject} {refusal.detail}" + (f"; {asked} were asked for" if asked else "")
        binding = self.binding
        if not self.has_access and binding is not None:
            retry = self.retry_at
            ends = "" if retry is None else f"; it would fit at {to_text(to_us(retry, 'retry_at'))}"
            others = len(self._denying()) - 1
            more = f" ({others} more {'limit denies' if others == 1 else 'limits deny'})" if others else ""
            asked = plain(self.requested[binding.credit_currency])
            return f"{binding}; {asked} were asked for{more}{ends}"
        tightest = "nothing limits it" if binding is None else f"the tightest limit: {binding}"
        note = f"; admitted by policy {self.policy}" if self.policy else ""
        return f"{asked or 'it'} may be spent; {tightest}{note}"

    def __repr__(self) -> str:
        verdict = "allowed" if self.has_access else f"denied {self.access_denied_reason}"
        return f"<Decision {verdict}: {self}>"

    def as_dict(self) -> dict[str, Any]:
        """The camelCase JSON: hasAccess, accessDeniedReason, remaining, limits and so on."""
        remedy, binding = self.remedy, self.binding
        return {
            "decisionId": self.decision_id,
            "hasAccess": self.has_access,
            "accessDeniedReason": self.access_denied_reason,
            "sentence": str(self),
            "at": to_text(self._at_us),
            "requested": {name: _json_value(amount) for name, amount in self.requested.items()},
            "remaining": _json_value(self.remaining),
            "binding": None if binding is None else binding.as_dict(),
            "retryAt": _json_value(self.retry_at),
            "remedy": None
            if remedy is None
            else {_camel(name): _json_value(value) for name, value in remedy._asdict().items()},
            "policy": self.policy,
            "limits": [limit.as_dict() for limit in self.limits],
        }

    def __reduce__(self) -> tuple[Any, ...]:
        # The stripe behind the sights has a lock and stays where it is: what travels is made now.
        kept = Circumstances(refusal=self._circumstances.refusal, policy=self.policy)
        currencies = [(s[0].credit_currency, s[0].decimals, s[4]) for s in self.sights]
        state = (self.access_denied_reason, self._at_us, self.decision_id, kept, currencies, self._raw())
        return (_travelled, state)

    # ---------------------------------------------------------------- making

    def _making(self) -> _Made:
        if self._made is None:
            self._made = _Made()
        return self._made

    def _raw(self) -> list[RawLimit]:
        made = self._making()
        if made.raw is None:
            found = [raw for sight in self.sights for raw in sight[0].raw_limits(sight, self._circumstances)]
            made.raw = sorted(found, key=lambda raw: raw[:5])
        return made.raw

    def _denying(self) -> list[RawLimit]:
        return [] if self.has_access else [raw for raw in self._raw() if raw.hard and not raw.fits]

    def _binding_place(self) -> int | None:
        raw = self._raw()
        eligible = [place for place, one in enumerate(raw) if one.hard]
        if not self.has_access and self._circumstances.refusal is None:
            eligible = [place for place in eligible if not raw[place].fits] or eligible
        # Amounts, not units: of two currencies with other decimals 5 is less than 6 in both.
        return min(eligible, key=lambda at: to_amount(max(0, raw[at].room), raw[at].decimals), default=None)


class _Kept:
    """Describes a decision that travelled: its limits as they were, its id as it was."""

    __slots__ = ("_id", "_raw", "credit_currency", "decimals")

    def __init__(self, credit_currency: str, decimals: int, raw: list[RawLimit], decision_id: str) -> None:
        self.credit_currency = credit_currency
        self.decimals = decimals
        self._raw = raw
        self._id = decision_id

    def raw_limits(self, sight: Sight, circumstances: Circumstances) -> list[RawLimit]:
        del sight, circumstances
        return [raw for raw in self._raw if raw.credit_currency == self.credit_currency]

    def next_number(self) -> int:
        return 0

    def id_of(self, number: int) -> str:
        del number
        return self._id


def _travelled(
    reason: AccessDeniedReason | None,
    at_us: int,
    decision_id: str,
    circumstances: Circumstances,
    currencies: list[tuple[str, int, int]],
    raw: list[RawLimit],
) -> Decision:
    """A decision that was pickled, as it was."""
    sights: tuple[Sight, ...] = tuple(
        (_Kept(name, decimals, raw, decision_id), (), [], "", units, 0)
        for name, decimals, units in currencies
    )
    return Decision(reason, sights, at_us, _Kept("", 0, [], decision_id), circumstances)


class Receipt:
    """What a reporter gets: one booked usage.

    `charged` is the amount where one currency was charged, else None (see `amounts`);
    `overage` the largest over its limits, of any enforcement type; each of `limits` has its
    own, in the window that was charged.
    """

    __slots__ = (
        "_limits",
        "amounts",
        "booked_at",
        "duplicate",
        "estimated",
        "event_id",
        "expired",
        "late",
        "occurred_at",
        "overage",
        "unattributed",
    )

    event_id: str
    amounts: dict[str, int | Decimal]
    overage: int | Decimal
    duplicate: bool  #: the key was known: this is the first receipt
    expired: bool  #: its reservation had ended: plain usage
    late: bool  #: booked into a window that had closed
    estimated: bool  #: nobody told what was used; the estimate was booked
    unattributed: tuple[str, ...]  #: ids that no resource has
    occurred_at: datetime
    booked_at: datetime

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
    ) -> None:
        self.event_id = event_id
        self.amounts = amounts
        self.overage = overage
        self.occurred_at = to_datetime(occurred_at_us)
        self.booked_at = to_datetime(booked_at_us)
        self.duplicate = duplicate
        self.expired = expired
        self.late = late
        self.estimated = estimated
        self.unattributed = unattributed
        self._limits: Callable[[], list[RawLimit]] | tuple[LimitState, ...] = limits

    @property
    def charged(self) -> int | Decimal | None:
        """The amount of the one currency; None where several were charged."""
        return next(iter(self.amounts.values())) if len(self.amounts) == 1 else None

    @property
    def limits(self) -> tuple[LimitState, ...]:
        """Every limit that counted it, right after; of a duplicate: as they stand now."""
        if not isinstance(self._limits, tuple):
            self._limits = tuple(map(LimitState, sorted(self._limits(), key=lambda raw: raw[:5])))
        return self._limits

    def __getstate__(self) -> tuple[None, dict[str, Any]]:
        # What makes the limits knows the stripe and its lock: what travels is made now.
        _ = self.limits
        return None, {name: getattr(self, name) for name in self.__slots__}

    def as_dict(self) -> dict[str, Any]:
        """The camelCase JSON of it."""
        return {
            "eventId": self.event_id,
            "charged": _json_value(self.charged),
            "amounts": {name: _json_value(amount) for name, amount in self.amounts.items()},
            "overage": _json_value(self.overage),
            "duplicate": self.duplicate,
            "expired": self.expired,
            "late": self.late,
            "estimated": self.estimated,
            "unattributed": list(self.unattributed),
            "occurredAt": _json_value(self.occurred_at),
            "bookedAt": _json_value(self.booked_at),
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
        return {_camel(name): _json_value(value) for name, value in self._asdict().items()}


def _remedy_of(refusal: Refusal) -> Remedy | None:
    retryable = (AccessDeniedReason.LEDGER_UNAVAILABLE, AccessDeniedReason.SHARE_UNAVAILABLE)
    if refusal.reason in retryable:
        return Remedy(RemedyKind.RETRY)
    if refusal.until_us is not None:
        return Remedy(RemedyKind.WAIT, None, to_datetime(refusal.until_us))
    return None


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(map(str.capitalize, others))


def _json_value(value: object) -> Any:
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, datetime):
        return to_text(to_us(value, "instant"))
    if isinstance(value, Mapping):
        return {name: _json_value(one) for name, one in value.items()}
    return list(value) if isinstance(value, tuple) else value
