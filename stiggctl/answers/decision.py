"""The decision: the answer to check, reserve or consume.

Here: Decision, and the remedy of a denial. Not here: how it comes about (decision/, holder/).

  A1  An answer keeps the raw numbers of one moment; what is made from them later (limits,
      sentence, ids, remedy) speaks of that moment, however late it is asked for.
  A2  Used (booked) and held (reserved) are never added into one number.
  A3  Answers survive pickling; what was not made yet is made then.
"""

from datetime import datetime
from decimal import Decimal
from typing import Any

from stiggctl.amounts import plain, to_amount
from stiggctl.answers.json_form import camel, json_value
from stiggctl.answers.limits import AccessDeniedReason, LimitState, RawLimit, limits_as_markup
from stiggctl.answers.markup import line, sentence
from stiggctl.answers.remedy import Remedy, RemedyKind, remedy_of
from stiggctl.answers.sights import Circumstances, Identities, Sight
from stiggctl.windows import to_datetime, to_text, to_us

_USUAL = Circumstances()


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
        "_reason",
        "has_access",
        "sights",
    )

    has_access: bool
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
        self._reason = reason
        self.sights = sights
        self._at_us = at_us
        self._ids = ids
        self._circumstances = circumstances
        self._number = number
        self._made: _Made | None = None

    def __bool__(self) -> bool:
        return self.has_access

    @property
    def access_denied_reason(self) -> AccessDeniedReason | None:
        """Why it was denied; None where it was not. Of several limits, that of `binding`."""
        if self._reason is AccessDeniedReason.BUDGET_EXCEEDED:
            place = self._binding_place()
            if place is not None and self._raw()[place].is_pool:
                return AccessDeniedReason.INSUFFICIENT_CREDITS
        return self._reason

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
            self._number = self._ids.number_beside()
        return self._ids.id_of(self._number)

    @property
    def policy(self) -> str | None:
        """The policy that admitted where the ledger could not be asked: "fail_open"; else None."""
        return self._circumstances.policy

    # ---------------------------------------------------------------- the limits

    @property
    def limits(self) -> tuple[LimitState, ...]:
        """Every limit looked at: roots first, then by type, resource, currency; the pool last."""
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
            return remedy_of(refusal)
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
        told_by = self._circumstances.told_by
        return self._sentence() + ("" if told_by is None else f"; so says {told_by}")

    def _sentence(self) -> str:
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
            "requested": {name: json_value(amount) for name, amount in self.requested.items()},
            "remaining": json_value(self.remaining),
            "binding": None if binding is None else binding.as_dict(),
            "retryAt": json_value(self.retry_at),
            "remedy": None
            if remedy is None
            else {camel(name): json_value(value) for name, value in remedy._asdict().items()},
            "policy": self.policy,
            "limits": [limit.as_dict() for limit in self.limits],
        }

    def _repr_html_(self) -> str:
        """What a notebook shows: the sentence, what would help, and every limit."""
        word = "allowed" if self.has_access else "denied"
        shown = sentence(word, str(self), good=self.has_access)
        if self.remedy is not None:
            shown += line(f"remedy: {self.remedy}")
        return f"<div>{shown}{limits_as_markup(self.limits) if self.limits else ''}</div>"

    @property
    def at_us(self) -> int:
        """The instant of the clock reading that decided, in microseconds since 1970."""
        return self._at_us

    def as_it_travels(self) -> "Travelling":
        """All of it that can leave this process: the stripe behind the sights has a lock and stays."""
        made = self._circumstances
        kept = Circumstances(refusal=made.refusal, policy=made.policy, told_by=made.told_by)
        currencies = [(s[0].credit_currency, s[0].decimals, s[4]) for s in self.sights]
        return self._reason, self._at_us, self.decision_id, kept, currencies, self._raw()

    def __reduce__(self) -> tuple[Any, ...]:
        return (travelled, self.as_it_travels())

    # ---------------------------------------------------------------- making

    def _making(self) -> _Made:
        if self._made is None:
            self._made = _Made()
        return self._made

    def _raw(self) -> list[RawLimit]:
        made = self._making()
        if made.raw is None:
            found = [raw for sight in self.sights for raw in sight[0].raw_limits(sight, self._circumstances)]
            made.raw = sorted(found, key=lambda raw: raw.order)
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

    def number_beside(self) -> int:
        return 0

    def id_of(self, number: int) -> str:
        del number
        return self._id


#: Reason, instant, id, circumstances, (currency, decimals, units) that were asked for, limits.
Travelling = tuple[
    AccessDeniedReason | None, int, str, Circumstances, list[tuple[str, int, int]], list[RawLimit]
]


def travelled(
    reason: AccessDeniedReason | None,
    at_us: int,
    decision_id: str,
    circumstances: Circumstances,
    currencies: list[tuple[str, int, int]],
    raw: list[RawLimit],
) -> Decision:
    """A decision that left its process, as it was."""
    sights: tuple[Sight, ...] = tuple(
        (_Kept(name, decimals, raw, decision_id), (), [], "", units, 0)
        for name, decimals, units in currencies
    )
    return Decision(reason, sights, at_us, _Kept("", 0, [], decision_id), circumstances)
