"""Spending: check, reserve, consume, in both faces.

Here: the verbs of the request path. Each has a half that never waits, which both faces call
first, and a half that may wait: the sync face calls it, the async face hands it to another
thread and awaits it, shielded.
Not here: usage that took place (reporting.py), the model (describing.py), reading (reading.py).
"""

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial

from stiggctl.amounts import AMOUNT_MAX, Amount
from stiggctl.answers import Decision, OpenReservation, Receipt
from stiggctl.control.arguments import read_asked, read_told, read_ttl
from stiggctl.control.fit import Candidate
from stiggctl.control.fitting import Choosing, Fitting, require_only_fit
from stiggctl.control.named import in_force
from stiggctl.control.requests import Request, receipt_of_order, wants_at_once
from stiggctl.control.reservation import Reservation
from stiggctl.decision.decide import Rest, Wants, fits, look
from stiggctl.errors import LedgerUnavailable
from stiggctl.events import DimensionValue, read_dimensions
from stiggctl.holder.asked import Asked
from stiggctl.holder.orders import HoldEnded, Order
from stiggctl.holder.ways import rest_of

Dimensions = Mapping[str, DimensionValue]


class Spending(Fitting):
    """The part of a control that decides and books."""

    # ---------------------------------------------------------------- check

    def check(
        self,
        *,
        resource_ids: Sequence[str] | None = None,
        credit_currency: str | None = None,
        requested_usage: Amount | None = None,
        customer_id: str | None = None,
        dimensions: Dimensions | None = None,
        amounts: Mapping[str, Amount] | None = None,
    ) -> Decision:
        """Whether so much would be admitted now, and what each limit on the path says.

        Changes nothing: between a check and the call others may spend. To be sure, reserve.

        Args:
            resource_ids: one or more, of one customer; order and repetition do not matter.
                Naming the most particular first (the user) is quickest. Left out, as
                everything else that `bound` can name: what is named around here.
            credit_currency: the currency of `requested_usage`.
            requested_usage: int, Decimal or text, zero or more, never a float; left out: one
                smallest unit of the currency.
            customer_id: may be left out where one customer has all of the resources.
            dimensions: those that will be reported.
            amounts: several currencies at once, instead of the two above: {"usd": "0.02"}.

        Raises:
            ResourceNotFound, CustomerNotFound, AmbiguousResource, CurrencyNotFound,
            InvalidAmount, InvalidRequest: nothing was looked at.

        >>> control = getfixture("acme")  # user-01 may spend 200 ai-tokens
        >>> ask = {"resource_ids": ["user-01"], "credit_currency": "ai-tokens"}
        >>> bool(control.check(**ask, requested_usage=200))
        True
        >>> print(control.check(**ask, requested_usage=201))
        user-01 has 200 of 200 ai-tokens left (0 used, 0 held); 201 were asked for
        """
        if (
            customer_id is None or resource_ids is None or credit_currency is None or dimensions is None
        ) and (in_force() is not None or self._own is not None):
            customer_id, resource_ids, credit_currency, dimensions, _ = self._filled(
                customer_id, resource_ids, credit_currency, dimensions, None, amounts
            )
        holder = self._holder
        now_us = holder.clock.now_us()
        decision = self._check_at_once(
            resource_ids, credit_currency, requested_usage, customer_id, dimensions, amounts, now_us
        )
        if decision is not None:
            if holder.decided is not None:
                holder.decided("check", decision)
            return decision
        asked = _read_check(resource_ids, credit_currency, requested_usage, customer_id, dimensions, amounts)
        decision = holder.asking.look(asked, now_us)
        holder.news.answered("check", decision, asked)
        return decision

    async def acheck(
        self,
        *,
        resource_ids: Sequence[str] | None = None,
        credit_currency: str | None = None,
        requested_usage: Amount | None = None,
        customer_id: str | None = None,
        dimensions: Dimensions | None = None,
        amounts: Mapping[str, Amount] | None = None,
    ) -> Decision:
        """`check`, without blocking the event loop."""
        if (
            customer_id is None or resource_ids is None or credit_currency is None or dimensions is None
        ) and (in_force() is not None or self._own is not None):
            customer_id, resource_ids, credit_currency, dimensions, _ = self._filled(
                customer_id, resource_ids, credit_currency, dimensions, None, amounts
            )
        holder = self._holder
        now_us = holder.clock.now_us()
        decision = self._check_at_once(
            resource_ids, credit_currency, requested_usage, customer_id, dimensions, amounts, now_us
        )
        if decision is None:
            asked = _read_check(
                resource_ids, credit_currency, requested_usage, customer_id, dimensions, amounts
            )
            decision = await holder.aside.do(lambda: holder.asking.look(asked, now_us))
            holder.news.answered("check", decision, asked)
        elif holder.decided is not None:
            holder.decided("check", decision)
        return decision

    def _check_at_once(
        self,
        resource_ids: Sequence[str] | None,
        credit_currency: str | None,
        amount: Amount | None,
        customer_id: str | None,
        dimensions: Dimensions | None,
        amounts: Mapping[str, Amount] | None,
        now_us: int,
    ) -> Decision | None:
        """A yes from memory; None where only the ledger can tell, or an argument is odd."""
        holder = self._holder
        wants: Wants
        strand = holder.strands.get((customer_id, credit_currency)) if amounts is None else None
        if strand is not None and type(amount) is int and not strand.decimals and 0 <= amount <= AMOUNT_MAX:
            stripe, wants = strand.stripe, ((strand, amount),)
        else:
            named = _amounts_by_currency(credit_currency, amount, amounts)
            wanted = None if named is None else wants_at_once(holder, customer_id, named)
            if wanted is None:
                return None
            stripe, wants = wanted
        if dimensions is not None:
            read_dimensions(dimensions)
        if type(resource_ids) not in _LISTS or not resource_ids:
            return None
        try:
            rest: Rest = tuple(resource_ids[1:])
            if stripe.scoped:
                rest = rest_of(stripe, resource_ids, dimensions or {})
            sights = look(stripe, resource_ids[0], rest, wants, now_us)
        except TypeError:  # something unhashable among the ids: reading them will name it
            return None
        if stripe.ended:
            holder.keeping.sweep(stripe)
        if sights is None:
            return None
        for sight in sights:
            if sight[0].refusal is not None or not fits(sight):
                return None
        return Decision(None, sights, now_us, holder.ids)

    # ---------------------------------------------------------------- reserve

    def reserve(
        self,
        *,
        resource_ids: Sequence[str] | None = None,
        credit_currency: str | None = None,
        amount: Amount | None = None,
        amounts: Mapping[str, Amount] | None = None,
        minimum: Amount | None = None,
        fit: Sequence[Candidate] | None = None,
        ttl_seconds: int | None = None,
        event_name: str | None = None,
        dimensions: Dimensions | None = None,
        customer_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> Reservation:
        """Set an amount aside in every limit on the path; or raise, and change nothing.

        Atomic across the threads and tasks of this process: of two requests that fit one by
        one but not together, exactly one is admitted. What is set aside survives the death of
        the process: it stays withheld until its end.

        Args:
            resource_ids, credit_currency, customer_id, dimensions, amounts: as for `check`.
            amount: what to set aside.
            minimum: take what fits now, if it is at least this; `.amount` says how much.
            fit: instead of an amount: set aside what the first of these candidates may cost that
                fits, as `fit` finds it; `.fit` says which, and how much output it may have.
            ttl_seconds: after this, what is not settled is set free; 1 to 86,400.
            event_name, dimensions, idempotency_key: of the event that the settle books.

        Raises:
            AccessDenied: it does not fit; `.decision` lists every limit with its numbers.
            ResourceNotFound, CustomerNotFound, AmbiguousResource, CurrencyNotFound,
            InvalidAmount, InvalidRequest: nothing was looked at.
            PriceNotFound, RateNotFound: nothing says what any of the candidates costs.
            LedgerUnavailable: the file was replaced, or is no ledger of ours any more.

        >>> control = getfixture("acme")  # user-01 may spend 200 ai-tokens
        >>> ask = {"resource_ids": ["user-01"], "credit_currency": "ai-tokens"}
        >>> held = control.reserve(**ask, amount=150)
        >>> control.reserve(**ask, amount=80)
        Traceback (most recent call last):
        stiggctl.errors.AccessDenied: user-01 has 50 of 200 ai-tokens left (0 used, 150 held); ...
        >>> held.settle(120).charged
        120
        """
        request = self._reserving(
            fit, resource_ids, credit_currency, amount, amounts, minimum, ttl_seconds, event_name,
            dimensions, customer_id, idempotency_key,
        )  # fmt: skip
        return request.take().reservation

    async def areserve(
        self,
        *,
        resource_ids: Sequence[str] | None = None,
        credit_currency: str | None = None,
        amount: Amount | None = None,
        amounts: Mapping[str, Amount] | None = None,
        minimum: Amount | None = None,
        fit: Sequence[Candidate] | None = None,
        ttl_seconds: int | None = None,
        event_name: str | None = None,
        dimensions: Dimensions | None = None,
        customer_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> Reservation:
        """`reserve`, without blocking the event loop. Cancelled, it leaves nothing held."""
        request = self._reserving(
            fit, resource_ids, credit_currency, amount, amounts, minimum, ttl_seconds, event_name,
            dimensions, customer_id, idempotency_key,
        )  # fmt: skip
        return (await request.atake()).reservation

    def _reserving(
        self,
        fit: Sequence[Candidate] | None,
        resource_ids: Sequence[str] | None,
        credit_currency: str | None,
        amount: Amount | None,
        amounts: Mapping[str, Amount] | None,
        minimum: Amount | None,
        ttl_seconds: int | None,
        event_name: str | None,
        dimensions: Dimensions | None,
        customer_id: str | None,
        idempotency_key: str | None,
    ) -> Request | Choosing:
        if fit is not None:
            require_only_fit(amount=amount, amounts=amounts, minimum=minimum)
            return self._choosing(
                fit, resource_ids, credit_currency, event_name, dimensions, customer_id, idempotency_key,
                ttl_seconds,
            )  # fmt: skip
        if in_force() is not None or self._own is not None:
            customer_id, resource_ids, credit_currency, dimensions, event_name = self._filled(
                customer_id, resource_ids, credit_currency, dimensions, event_name, amounts
            )
        holder = self._holder
        ttl = holder.options.reservation_ttl_seconds if ttl_seconds is None else read_ttl(ttl_seconds)
        asked = read_asked(resource_ids, credit_currency, amount, amounts, customer_id, where="amount")
        told = read_told(asked, event_name, dimensions, idempotency_key)
        return Request(holder, asked, told, ttl_seconds=ttl, minimum=minimum)

    def reservations(self) -> list[OpenReservation]:
        """What this process holds: by whom, how much, until when; in the order of reserving."""
        self._holder.require_open()
        return self._holder.keeping.open_reservations(self._holder.clock.now_us())

    # ---------------------------------------------------------------- consume

    def consume(
        self,
        *,
        resource_ids: Sequence[str] | None = None,
        credit_currency: str | None = None,
        amount: Amount | None = None,
        amounts: Mapping[str, Amount] | None = None,
        event_name: str | None = None,
        dimensions: Dimensions | None = None,
        customer_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> Receipt:
        """Deduct an amount from every limit on the path and book it; or raise, and change nothing.

        Reserve and settle in one step, for usage whose amount is known before. A key that is
        known is answered with its first receipt, also where the amount would be denied now.

        Raises:
            AccessDenied: it does not fit; nothing was booked, the key stays free.
            IdempotencyConflict: the key names another event.
            LedgerUnavailable: nothing was booked, or the same key finds it.
            ResourceNotFound, CustomerNotFound, AmbiguousResource, CurrencyNotFound,
            InvalidAmount, InvalidRequest: nothing was looked at.

        >>> control = getfixture("acme")  # user-01 may spend 200 ai-tokens
        >>> ask = {"resource_ids": ["user-01"], "credit_currency": "ai-tokens"}
        >>> control.consume(**ask, amount=5, idempotency_key="call-1").charged
        5
        >>> control.consume(**ask, amount=5, idempotency_key="call-1").duplicate
        True
        """
        request = self._consuming(
            resource_ids, credit_currency, amount, amounts, event_name, dimensions, customer_id,
            idempotency_key,
        )  # fmt: skip
        with self._holder.under_way.alone(request.told.idempotency_key):
            return self._consume(request)

    def _consume(self, request: Request) -> Receipt:
        for _ in range(TAKES_MAX):
            found = request.order_at_once() or request.order_waiting()
            if not isinstance(found, Order):
                return found
            try:
                self._holder.exchange.run(found)
            except HoldEnded:
                request.renew()
            else:
                return receipt_of_order(found)
        raise LedgerUnavailable(
            location=self._holder.location,
            reason=f"what was taken ended {TAKES_MAX} times before it could be booked",
            remedy="try again, with the same idempotency_key",
        )

    async def aconsume(
        self,
        *,
        resource_ids: Sequence[str] | None = None,
        credit_currency: str | None = None,
        amount: Amount | None = None,
        amounts: Mapping[str, Amount] | None = None,
        event_name: str | None = None,
        dimensions: Dimensions | None = None,
        customer_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> Receipt:
        """`consume`, without blocking the event loop. Cancelled, it is booked once or not at all."""
        request = self._consuming(
            resource_ids, credit_currency, amount, amounts, event_name, dimensions, customer_id,
            idempotency_key,
        )  # fmt: skip
        holder, key = self._holder, request.told.idempotency_key
        turn = None if key is None else holder.under_way.enter(key)
        if key is None or turn is not None:
            booked: asyncio.Future[None] | None = None
            order: Order | None = None
            try:
                order = request.order_at_once()
                if order is not None:
                    # Who tells the outcome ends the turn: the loop may be closed by then.
                    booked = holder.exchange.submit(order, then=partial(holder.under_way.leave, key, turn))
            except HoldEnded:
                request.renew()
            finally:
                if booked is None:
                    holder.under_way.leave(key, turn)
            if booked is not None:
                assert order is not None  # it is what was submitted
                await asyncio.shield(booked)
                return receipt_of_order(order)

        def waiting() -> Receipt:
            with self._holder.under_way.alone(key):
                return self._consume(request)

        return await holder.aside.do(waiting)

    def _consuming(
        self,
        resource_ids: Sequence[str] | None,
        credit_currency: str | None,
        amount: Amount | None,
        amounts: Mapping[str, Amount] | None,
        event_name: str | None,
        dimensions: Dimensions | None,
        customer_id: str | None,
        idempotency_key: str | None,
    ) -> Request:
        if in_force() is not None or self._own is not None:
            customer_id, resource_ids, credit_currency, dimensions, event_name = self._filled(
                customer_id, resource_ids, credit_currency, dimensions, event_name, amounts
            )
        asked = read_asked(resource_ids, credit_currency, amount, amounts, customer_id, where="amount")
        return Request(self._holder, asked, read_told(asked, event_name, dimensions, idempotency_key))


#: How often a consume is admitted anew because its thread stood still for longer than its ttl.
TAKES_MAX = 8

_LISTS = (list, tuple)


def _amounts_by_currency(
    credit_currency: str | None, amount: Amount | None, amounts: Mapping[str, Amount] | None
) -> list[tuple[str, Amount | None]] | None:
    """What is asked for, by currency; None where it has to be read closely."""
    if amounts is None:
        return None if credit_currency is None else [(credit_currency, amount)]
    if credit_currency is not None or amount is not None or type(amounts) is not dict or not amounts:
        return None
    return list(amounts.items())


def _read_check(
    resource_ids: object,
    credit_currency: object,
    requested_usage: Amount | None,
    customer_id: object,
    dimensions: object,
    amounts: object,
) -> Asked:
    read = read_dimensions(dimensions)
    asked = read_asked(
        resource_ids, credit_currency, requested_usage, amounts, customer_id, where="requested_usage"
    )
    return asked._replace(dimensions=read) if read else asked
