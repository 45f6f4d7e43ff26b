"""Fitting: the first of several candidates that fits all limits, with as much output as fits.

Here: `fit`, and how a reserve or a guard takes a candidate. Not here: what a candidate may cost
(estimating.py), the records (fit.py), what fits (decision/).

  FT1  Candidates are asked in their order; each is decided by itself, and held in the step that decides
       it. So what is held fits, and each denial before it was true at its moment.
  FT2  A candidate of which nothing says what it costs is passed over, loudly; where that is all of them,
       the first one's error is raised.
  FT3  Where the ledger cannot be asked, each further question would wait as long: of the candidates
       after that only those are taken that memory admits, and of the others nothing is told.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import partial
from typing import NamedTuple

from stiggctl.answers import AccessDeniedReason, Decision
from stiggctl.control.arguments import read_told, read_ttl
from stiggctl.control.estimating import Estimated, estimated
from stiggctl.control.fit import Candidate, Fit, Refused
from stiggctl.control.named import Face, in_force
from stiggctl.control.observing import Begun
from stiggctl.control.requests import Request, Taken, wants_at_once
from stiggctl.control.reservation import Told
from stiggctl.decision.decide import fits, look
from stiggctl.errors import (
    AccessDenied,
    InvalidAmount,
    InvalidRequest,
    LedgerError,
    LedgerUnavailable,
    RateNotFound,
    StiggctlError,
)
from stiggctl.events import DimensionValue, read_dimensions, read_id, read_ids
from stiggctl.holder import Holder
from stiggctl.holder.asked import Asked
from stiggctl.holder.asking import Answer
from stiggctl.holder.costs import is_money
from stiggctl.holder.proving import refusal_of
from stiggctl.holder.ways import rest_of
from stiggctl.importing import importing

#: More candidates than anybody has models; each is a decision.
CANDIDATES_MAX = 100


class Choice(NamedTuple):
    """What is asked of candidates: which, in what currency, for a call of whom."""

    candidates: tuple[Candidate, ...]
    credit_currency: str | None
    asked: Asked  #: for nothing yet
    told: Told


def read_choice(
    candidates: object,
    resource_ids: object,
    credit_currency: object,
    customer_id: object,
    event_name: object,
    dimensions: Mapping[str, DimensionValue] | None,
    idempotency_key: object = None,
) -> Choice:
    """The arguments of fit, and of what takes one; raises InvalidRequest."""
    if (
        isinstance(candidates, str | bytes | Mapping)
        or not isinstance(candidates, Sequence)
        or not 1 <= len(candidates) <= CANDIDATES_MAX
    ):
        expected = f"a list of 1 to {CANDIDATES_MAX} Candidates, the preferred one first"
        raise InvalidRequest(where="candidates", value=candidates, expected=expected)
    for at, one in enumerate(candidates):
        if not isinstance(one, Candidate):
            raise InvalidRequest(where=f"candidates[{at}]", value=one, expected="a Candidate(model, …)")
    if resource_ids is None:
        expected = 'a list of ids, ["user-01"], here or in the bound() around it'
        raise InvalidRequest(where="resource_ids", value=None, expected=expected)
    currency = None if credit_currency is None else read_id(credit_currency, "credit_currency")
    customer = None if customer_id is None else read_id(customer_id, "customer_id")
    # What a currency is named for says what decimals it needs, where nobody defined it: money's, or none.
    named = () if currency is None else ((currency, Decimal(0) if is_money(currency) else 0),)
    asked = Asked(customer, read_ids(resource_ids), named)
    given = read_dimensions(dimensions)
    for name in ("model", "provider"):
        if name in given and (name == "model" or any(one.provider for one in candidates)):
            expected = "to be left out: it is each candidate's own"
            raise InvalidRequest(where=f"dimensions[{name!r}]", value=given[name], expected=expected)
    return Choice(tuple(candidates), currency, asked, read_told(asked, event_name, given, idempotency_key))


class Choosing:
    """The first candidate that fits, on its way; for one thread or task."""

    def __init__(self, holder: Holder, choice: Choice, ttl_seconds: int) -> None:
        self._holder = holder
        self._choice = choice
        self._ttl_seconds = ttl_seconds
        self._refused: list[Refused] = []
        self._last_asked: tuple[Asked, str | None] | None = None  # of the last that was refused

    @property
    def asked(self) -> Asked:
        """Of whom it is asked; for nothing yet."""
        return self._choice.asked

    def anew(self) -> "Choosing":
        """The same question, with no candidate refused yet."""
        return Choosing(self._holder, self._choice, self._ttl_seconds)

    def look(self) -> Fit:
        """The first that fits now; nothing is held."""
        holder = self._holder
        for candidate in self._choice.candidates:
            if (one := self._estimated(candidate)) is None:
                continue
            asked, now_us = self._asked(one), holder.clock.now_us()
            decision = _look_at_once(holder, asked, now_us)
            if decision is None and not self._asks_nobody():
                decision = holder.asking.look(asked, now_us, one.portion)
            if decision is None:
                continue
            holder.news.answered("fit", decision)
            if decision.has_access:
                return self._fit(one, decision)
            self._refused.append(Refused(candidate, decision))
        return Fit(None, 0, {}, self._last_denial(), tuple(self._refused))

    def take(self) -> Taken:
        """Hold the first that fits; raises AccessDenied where none does."""
        for candidate in self._choice.candidates:
            one = self._estimated(candidate)
            if one is not None:
                request = self._request(one)
                answer = request.at_once() or (None if self._asks_nobody() else request.waiting())
                if (taken := self._taken(one, request, answer)) is not None:
                    return taken
        raise self._denied()

    async def atake(self) -> Taken:
        """`take`, without blocking the event loop."""
        aside = self._holder.aside
        for candidate in self._choice.candidates:
            one = await aside.do(partial(self._estimated, candidate))
            if one is not None:
                request = self._request(one)
                answer = request.at_once() if self._asks_nobody() else await request.answer()
                if (taken := self._taken(one, request, answer)) is not None:
                    return taken
        raise self._denied()

    # ---------------------------------------------------------------- one candidate

    def _estimated(self, candidate: Candidate) -> Estimated | None:
        """What it may cost; None where nothing says so."""
        try:
            return estimated(candidate, self._call(), self._choice.credit_currency)
        except StiggctlError as error:
            if not isinstance(error, unpriced()):
                raise
            self._refused.append(Refused(candidate, None, error))
            return None

    def _call(self) -> Begun:
        """By what it is priced: the model as it is now, and the customer whose resources they are."""
        holder, told = self._holder, self._choice.told
        now_us, asked = holder.clock.now_us(), self._choice.asked
        try:
            if not self._asks_nobody():
                customer_id, known = holder.asking.customer_of(asked), holder.known
                return Begun(known, customer_id, now_us, told.event_name, told.dimensions)
        except LedgerUnavailable as trouble:
            if not trouble.unreachable:
                raise
        known, customer_id = holder.last_known, asked.customer_id
        if customer_id is None and known.only_customer is not None:
            customer_id = known.only_customer.customer_id
        return Begun(known, customer_id, now_us, told.event_name, told.dimensions)

    def _asked(self, one: Estimated) -> Asked:
        return self._choice.asked._replace(amounts=one.amounts, dimensions=one.dimensions)

    def _request(self, one: Estimated) -> Request:
        told = self._choice.told._replace(
            dimensions=dict(one.dimensions),
            chosen=one.chosen,
            credit_currency=self._choice.credit_currency,
        )
        return Request(
            self._holder, self._asked(one), told, ttl_seconds=self._ttl_seconds, minimum=one.portion
        )

    def _taken(self, one: Estimated, request: Request, answer: Answer | None) -> Taken | None:
        if answer is None:
            return None
        decision = answer.decision
        if decision is not None and not decision.has_access:
            self._holder.news.answered("reserve", decision)
            self._last_asked = request.asked, request.told.event_name
            self._refused.append(Refused(one.candidate, decision))
            return None
        reservation = request.reservation(answer)
        reservation.fit = self._fit(one, reservation.decision)
        return Taken(request, answer, reservation)

    def _fit(self, one: Estimated, decision: Decision) -> Fit:
        self._tell_unpriced()
        tokens = one.portion.step([sight[4] for sight in decision.sights])
        return Fit(one.candidate, tokens, decision.requested, decision, tuple(self._refused))

    # ---------------------------------------------------------------- none

    def _asks_nobody(self) -> bool:
        """Whether the ledger could not be asked: only memory is asked of what is left (FT3)."""
        return any(
            refused.decision is not None
            and refused.decision.access_denied_reason is AccessDeniedReason.LEDGER_UNAVAILABLE
            for refused in self._refused
        )

    def _last_denial(self) -> Decision:
        """Of the candidate that was asked last; where nothing says what any costs, that is raised (FT2)."""
        for refused in reversed(self._refused):
            if refused.decision is not None:
                self._tell_unpriced()
                return refused.decision
        error = self._refused[0].error
        assert error is not None  # what was not decided has no price
        raise error

    def _denied(self) -> AccessDenied:
        decision = self._last_denial()
        if self._last_asked is not None:
            self._holder.news.denied("reserve", decision, *self._last_asked)
        return AccessDenied(decision=decision, fit=Fit(None, 0, {}, decision, tuple(self._refused)))

    def _tell_unpriced(self) -> None:
        for refused in self._refused:
            if refused.error is not None:
                trouble = LedgerError(
                    location=self._holder.location,
                    reason=f"a candidate was passed over: {refused.error}",
                    remedy="give it a price, or leave it out",
                )
                trouble.__cause__ = refused.error
                self._holder.report_trouble(trouble)


def _look_at_once(holder: Holder, asked: Asked, now_us: int) -> Decision | None:
    """The yes that memory can give to a look; never waits."""
    wanted = wants_at_once(holder, asked.customer_id, asked.amounts)
    if wanted is None:
        return None
    stripe, wants = wanted
    sights = look(stripe, asked.ids[0], rest_of(stripe, asked.ids, asked.dimensions), wants, now_us)
    holder.keeping.sweep(stripe)
    if sights is None or refusal_of(sights) is not None or not all(map(fits, sights)):
        return None
    return Decision(None, sights, now_us, holder.ids)


def unpriced() -> tuple[type[StiggctlError], ...]:
    """The errors that say that nothing says what a candidate costs."""
    with importing():
        from stiggctl.prices import PriceNotFound  # noqa: PLC0415 - few processes price what they call

    return PriceNotFound, RateNotFound, InvalidRequest, InvalidAmount


def require_only_fit(**given: object) -> None:
    """Raise InvalidRequest where an amount is given beside candidates: theirs is what they may cost."""
    for name, value in given.items():
        if value is not None:
            expected = "to be left out: with fit, a candidate's own estimate is set aside"
            raise InvalidRequest(where=name, value=value, expected=expected)


class Fitting(Face):
    """The part of a control that finds which call may be made."""

    def fit(
        self,
        *,
        candidates: Sequence[Candidate],
        resource_ids: Sequence[str] | None = None,
        credit_currency: str | None = None,
        event_name: str | None = None,
        dimensions: Mapping[str, DimensionValue] | None = None,
        customer_id: str | None = None,
    ) -> Fit:
        """The first of several calls that fits all limits and the pool, as large as fits.

        Candidates are looked at in their order. What one may cost is estimated as
        `prices.estimate` does in dollars, and by the rate of `event_name` in other currencies; its
        request carries the dimension `model` (and `provider`, where it names one), so limits of
        some models count it. A candidate that nothing has a price for is passed over, and
        LedgerTrouble says so.

        Changes nothing: between this and the call others may spend. To be sure, hand the
        candidates to `reserve` or `guard`, as `fit=`.

        Args:
            candidates: the preferred one first; with as few as `minimum_output_tokens` each is
                still worth making.
            credit_currency: in which it has to fit; left out: dollars, where the model has the
                currency "usd", and every currency in which the event has a rate.
            resource_ids, dimensions, customer_id: as for `check`; without the dimension "model".
            event_name: whose rates price it.

        Raises:
            PriceNotFound, RateNotFound: nothing says what any of them costs.
            CurrencyNotFound, ResourceNotFound, CustomerNotFound, AmbiguousResource, InvalidRequest.

        >>> control = getfixture("acme")  # user-01 may spend 200 ai-tokens
        >>> _ = control.set_rate(event_name="chat", credit_currency="ai-tokens", terms=[
        ...     {"dimension": "output_tokens", "credits": 1, "per": 10}])
        >>> fit = control.fit(resource_ids=["user-01"], event_name="chat", candidates=[
        ...     Candidate("large", 1_000, 9_000, 4_000), Candidate("small", 1_000, 4_000, 500)])
        >>> fit.model, fit.max_output_tokens, fit.amount
        ('small', 2000, 200)
        >>> print(fit.refused[0])
        large: user-01 has 200 of 200 ai-tokens left (0 used, 0 held); 400 were asked for
        """
        return self._choosing(
            candidates, resource_ids, credit_currency, event_name, dimensions, customer_id
        ).look()

    async def afit(
        self,
        *,
        candidates: Sequence[Candidate],
        resource_ids: Sequence[str] | None = None,
        credit_currency: str | None = None,
        event_name: str | None = None,
        dimensions: Mapping[str, DimensionValue] | None = None,
        customer_id: str | None = None,
    ) -> Fit:
        """`fit`, without blocking the event loop."""
        choosing = self._choosing(
            candidates, resource_ids, credit_currency, event_name, dimensions, customer_id
        )
        return await self._holder.aside.do(choosing.look)

    def _choosing(
        self,
        candidates: Sequence[Candidate],
        resource_ids: Sequence[str] | None,
        credit_currency: str | None,
        event_name: str | None,
        dimensions: Mapping[str, DimensionValue] | None,
        customer_id: str | None,
        idempotency_key: str | None = None,
        ttl_seconds: int | None = None,
    ) -> Choosing:
        if in_force() is not None or self._own is not None:
            customer_id, resource_ids, credit_currency, dimensions, event_name = self._filled(
                customer_id, resource_ids, credit_currency, dimensions, event_name, None
            )
        holder = self._holder
        holder.require_open()
        ttl = holder.options.reservation_ttl_seconds if ttl_seconds is None else read_ttl(ttl_seconds)
        choice = read_choice(
            candidates, resource_ids, credit_currency, customer_id, event_name, dimensions, idempotency_key
        )
        return Choosing(holder, choice, ttl)
