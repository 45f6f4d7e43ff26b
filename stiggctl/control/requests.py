"""Requests: one reserve or consume on its way, read once, answered by memory or by the ledger.

Here: a request's two halves. Not here: its arguments (arguments.py), the verbs (spending.py), what a
reservation can do (reservation.py).
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from stiggctl.amounts import AMOUNT_MAX, Amount, to_units
from stiggctl.answers import AccessDeniedReason, Decision, Receipt
from stiggctl.control.arguments import require_amount
from stiggctl.control.observing import Begun
from stiggctl.control.reservation import Reservation, Told
from stiggctl.decision.cells import Stripe
from stiggctl.decision.decide import Met, Wants, take
from stiggctl.decision.holds import BEGAN_US, NUMBER, SIGHTS
from stiggctl.decision.portions import Portion
from stiggctl.decision.reservations import release
from stiggctl.errors import AccessDenied, ControlClosed, InvalidRequest, LedgerUnavailable
from stiggctl.events import dimensions_json, fingerprint
from stiggctl.holder import Holder, Kept
from stiggctl.holder.asked import Asked, Hoped, read_minimum
from stiggctl.holder.asking import Answer
from stiggctl.holder.orders import Charge, Order
from stiggctl.holder.ways import rest_of, way_of
from stiggctl.ledger.records import KEYS_OF_OURS, KEYS_OF_USERS
from stiggctl.locks import await_turn


def wants_at_once(
    holder: Holder,
    customer_id: str | None,
    amounts: Sequence[tuple[str, Amount | None]],
) -> tuple[Stripe, Wants] | None:
    """Where the amounts are wanted, if that is in memory. Raises InvalidAmount."""
    wants = []
    several = len(amounts) > 1
    for name, amount in amounts:
        strand = holder.strands.get((customer_id, name))
        if strand is None:
            return None
        if amount is None:
            units = 1
        elif type(amount) is int and not strand.decimals and 0 <= amount <= AMOUNT_MAX:
            units = amount
        else:
            units = to_units(amount, strand.decimals, f"amounts[{name!r}]" if several else "amount")
        wants.append((strand, units))
    return wants[0][0].stripe, tuple(wants)


class Request:
    """One reserve or consume on its way."""

    __slots__ = ("_began_us", "_ends_us", "_holder", "_minimum", "_number", "_ttl", "asked", "told")

    def __init__(
        self,
        holder: Holder,
        asked: Asked,
        told: Told,
        *,
        ttl_seconds: int | None = None,
        minimum: Amount | Portion | None = None,
    ) -> None:
        require_amount(asked)
        if minimum is not None and not isinstance(minimum, Portion) and len(asked.amounts) > 1:
            expected = "one currency: with several it would not be clear which may shrink"
            raise InvalidRequest(where="minimum", value=minimum, expected=expected)
        self.asked = asked._replace(dimensions=told.dimensions) if told.dimensions else asked
        self.told = told
        self._holder = holder
        self._minimum = minimum
        #: a consume holds until its booking is done; where it never comes to that (it was
        #: interrupted before), as long as a reservation
        self._ttl = holder.options.reservation_ttl_seconds if ttl_seconds is None else ttl_seconds
        self._number = 0
        self.renew()

    def renew(self) -> None:
        """It is asked now: again, where what was taken for it has ended."""
        self._began_us = self._holder.clock.now_us()
        self._ends_us = self._began_us + self._ttl * 1_000_000

    # ---------------------------------------------------------------- the decision

    def at_once(self, *, told: bool = True) -> Answer | None:
        """The yes that memory can give; never waits. `told`: whether anybody may ask for its numbers."""
        holder, asked = self._holder, self.asked
        wanted = wants_at_once(holder, asked.customer_id, asked.amounts)
        if wanted is None or not self._ttl_is_promised():
            return None
        stripe, wants = wanted
        if self._minimum is not None and not isinstance(self._minimum, Portion):
            strand, units = wants[0]
            read_minimum(self._minimum, strand.decimals, units)
        ids = holder.ids
        self._number = ids.next_number()
        rest = asked.ids[1:] if not stripe.scoped else rest_of(stripe, asked.ids, asked.dimensions)
        if stripe.lock.locked():
            await_turn(stripe.lock, stripe)
        with stripe.lock:
            taken = take(
                stripe, asked.ids[0], rest, wants, self._began_us, self._number, self._ends_us, told=told
            )
        holder.keeping.sweep(stripe)
        if taken is None or isinstance(taken, Met):
            return None
        return Answer(None, taken, taken[SIGHTS], stripe, asked.ids)

    def waiting(self) -> Answer:
        """The answer of the ledger, or of what it drew; where it is out of reach, of the policy."""
        holder = self._holder
        try:
            if not self._ttl_is_promised():
                holder.promise_ttl(self._ttl)
            holder.become_holder()  # before the number is drawn: ids carry the holder's name
        except LedgerUnavailable as trouble:
            self._number = holder.ids.number_again(self._number)
            return holder.asking.without_ledger(self.asked, trouble, self._began_us)
        self._number = holder.ids.number_again(self._number)
        hoped = Hoped(self._number, self._ends_us, self._minimum)
        return holder.asking.take(self.asked, hoped, self._began_us)

    def _ttl_is_promised(self) -> bool:
        return self._ttl * 1000 <= self._holder.ttl_max_ms

    def take(self) -> "Taken":
        """Hold it; raises AccessDenied."""
        answer = self.at_once() or self.waiting()
        return Taken(self, answer, self.reservation(answer))

    async def atake(self) -> "Taken":
        """`take`, without blocking the event loop. Cancelled, it leaves nothing held."""
        answer = await self.answer()
        return Taken(self, answer, self.reservation(answer))

    async def answer(self) -> Answer:
        """The answer, of memory or of the ledger, without blocking the event loop."""
        answer = self.at_once()
        if answer is None:
            answer = await self._holder.aside.do(self.waiting, undo=self.undo)
        return answer

    def undo(self, answer: Answer) -> None:
        """Nobody waits for it any more: let go what it holds."""
        if answer.hold is not None and answer.stripe is not None:
            release(answer.stripe, answer.hold[NUMBER])

    def _admitted_us(self, answer: Answer) -> int:
        """The clock reading that admitted it: in its windows it counts."""
        return self._began_us if answer.hold is None else answer.hold[BEGAN_US]

    def begun(self, answer: Answer) -> Begun:
        """By what a call that began so is priced. What it needed of the model was just read."""
        known, customer_id = self._holder.last_known, self.asked.customer_id
        if answer.stripe is not None:
            customer_id = answer.stripe.customer_id
        elif customer_id is None and known.only_customer is not None:
            customer_id = known.only_customer.customer_id
        told = self.told
        at_us = self._admitted_us(answer)
        provider = str(told.dimensions["provider"]) if "provider" in told.chosen else None
        return Begun(known, customer_id, at_us, told.event_name, told.dimensions, provider)

    def _id_of(self, answer: Answer) -> str:
        """What the reservation, its decision and its event are called."""
        decision = answer.decision
        return self._holder.ids.id_of(self._number) if decision is None else decision.decision_id

    # ---------------------------------------------------------------- reserve

    def reservation(self, answer: Answer) -> Reservation:
        """What the caller of reserve gets; raises AccessDenied."""
        holder, decision = self._holder, answer.decision
        if decision is not None and not decision.has_access:
            holder.news.answered("reserve", decision, self.asked, self.told.event_name)
            raise AccessDenied(decision=decision)
        stripe = answer.stripe if answer.hold is not None else None
        if stripe is not None:
            told = self.told
            kept = Kept(
                self._id_of(answer), stripe, told.ids, self._ends_us,
                told.event_name, told.dimensions, told.idempotency_key, self._admitted_us(answer), [],
            )  # fmt: skip
            try:
                holder.keeping.keep(kept, self._number, answer.sights)
            except (LedgerUnavailable, ControlClosed):
                self.undo(answer)
                raise
        ids = answer.ids or self.told.ids
        reservation = Reservation(
            holder, decision, self._number, stripe, answer.sights,
            self._admitted_us(answer), self._ends_us, ids, self.told,
        )  # fmt: skip
        if holder.decided is not None:
            holder.decided("reserve", reservation.decision)
        return reservation

    # ---------------------------------------------------------------- consume

    def order_at_once(self) -> Order | None:
        """The booking of what memory admits; it holds what it books until it is done."""
        is_told = self._holder.decided is not None
        answer = self.at_once(told=is_told)
        if answer is None:
            return None
        if is_told:
            self._tell(answer)
        return self._order(answer)

    def order_waiting(self) -> Order | Receipt:
        """The booking, or the first receipt of a key that is known; raises AccessDenied."""
        answer = self.waiting()
        decision = answer.decision
        if answer.hold is not None:
            self._tell(answer)
            return self._order(answer)
        if self.told.idempotency_key is not None:
            receipt = self._holder.bookings.receipt_of_key(
                self.asked, self.told.idempotency_key, self._fingerprint()
            )
            if receipt is not None:
                return receipt
        assert decision is not None  # only a yes from memory has none
        self._holder.news.answered("consume", decision, self.asked, self.told.event_name)
        if decision.access_denied_reason is AccessDeniedReason.LEDGER_UNAVAILABLE or decision.has_access:
            # No policy makes up a booking: the caller has the same key to try again with.
            raise self._holder.unreachable(decision)
        raise AccessDenied(decision=decision)

    def _order(self, answer: Answer) -> Order:
        told, key = self.told, self.told.idempotency_key
        stripe = answer.stripe
        assert stripe is not None  # something is held in it
        reservation = self._id_of(answer)
        return Order(
            way_of(stripe, answer.ids, told.dimensions, answer.sights[0]),
            [Charge(sight[0].strand, sight[4], None) for sight in answer.sights],
            namespace=KEYS_OF_OURS if key is None else KEYS_OF_USERS,
            key=reservation if key is None else key,
            fingerprint=self._fingerprint(),
            occurred_at_us=self._admitted_us(answer),
            event_name=told.event_name,
            dimensions=dimensions_json(told.dimensions),
            reservation=reservation,
            hold=self._number,
        )

    def _tell(self, answer: Answer) -> None:
        """Tell what admitted it, of which the numbers were gathered, to who wants to hear of decisions."""
        tell, ids, number = self._holder.decided, self._holder.ids, self._number
        if tell is not None:
            decision = answer.decision
            tell("consume", decision or Decision(None, answer.sights, self._began_us, ids, number=number))

    def _fingerprint(self) -> bytes:
        told, amounts = self.told, self.asked.amounts
        given: Mapping[str | None, object] = dict(amounts)
        return fingerprint(
            event_name=told.event_name,
            dimensions=told.dimensions,
            timestamp=None,
            credit_currency=None,
            amounts=given,
            resource_ids=told.ids,
        )


class Taken(NamedTuple):
    """A request that holds what it asked for."""

    request: Request
    answer: Answer
    reservation: Reservation


def receipt_of_order(order: Order) -> Receipt:
    """The receipt of an order that was served without an error."""
    assert order.receipt is not None  # else its error was raised
    return order.receipt
