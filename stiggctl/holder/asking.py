"""Asking: look and take where memory alone cannot answer.

Here: finding whom a request means, loading, drawing, and the denial that is true.
Not here: the half that never waits (decision/decide.py, called by the face first).

  Q1  A denial is given only when its own numbers prove it, right after the ledger was asked:
      some limit has less than the amount left. Where they all fit, the room was elsewhere a
      moment ago: it is asked for again. So it is where the limits became others meanwhile (a window
      turned, an override ended): what is counted now proves nothing about a limit that was.
  Q2  What is refused whatever the numbers are (archived, suspended …) asks nothing of anybody.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from stiggctl.answers import AccessDeniedReason, Circumstances, Decision, Refusal, Sight
from stiggctl.decision.cells import CUSTOMER, Stripe
from stiggctl.decision.decide import Met, Rest, Wants, fits, look, seen, take
from stiggctl.decision.holds import SIGHTS, Hold
from stiggctl.decision.portions import Portion
from stiggctl.errors import LedgerUnavailable
from stiggctl.holder.answering import Answering
from stiggctl.holder.asked import Asked, Hoped, read_minimum
from stiggctl.holder.meant import Meant, find_meant
from stiggctl.holder.others import ALONE
from stiggctl.holder.peeking import peek
from stiggctl.holder.proving import portioned, proves_denial, refusal_of
from stiggctl.holder.ways import Dimensions, Way, rest_of
from stiggctl.holder.wishes import Wish
from stiggctl.locks import await_turn

if TYPE_CHECKING:
    from stiggctl.holder.holder import Holder

#: How often room that others just freed or took is asked for again. Each round somebody else
#: was admitted; a request that loses a hundred races in a row is told to come again.
ROUNDS_MAX = 100


#: How often a check that says no looks again, and after how long: a booking is under way for about so long.
LOOKS_MAX, LOOK_SECONDS = 4, 0.002


class Answer(NamedTuple):
    """A decision; and where something was held, what, and how it was found.

    Without a decision it is a yes from memory: one that few ask for is made when they do.
    """

    decision: Decision | None
    hold: Hold | None = None
    sights: tuple[Sight, ...] = ()
    stripe: Stripe | None = None
    ids: tuple[str, ...] = ()  #: those of the request that are known, in its order


class _Target(NamedTuple):
    """A request as cells: where, and how much in which."""

    stripe: Stripe
    ids: tuple[str, ...]
    wants: Wants
    dimensions: Dimensions

    @property
    def rest(self) -> Rest:
        return rest_of(self.stripe, self.ids, self.dimensions)

    @property
    def way(self) -> Way:
        return Way(self.stripe, self.ids, self.dimensions)


class Asking:
    """The half of check, reserve and consume that may wait, for one holder."""

    def __init__(self, holder: "Holder") -> None:
        self._holder = holder
        self._answering = Answering(holder)

    # ---------------------------------------------------------------- check

    def look(self, asked: Asked, now_us: int, portion: Portion | None = None) -> Decision:
        """Whether it would be admitted now, or how much of it; changes no number of any limit."""
        holder = self._holder
        try:
            units = asked.units(holder.known)
            if not holder.is_holder:
                return self._look_beside_others(asked, units, now_us, portion)
            meant = self._meant(asked)
            refusal = self._refusal_of(meant)
            if refusal is not None:
                return self._answering.refused(refusal, units, now_us)
            target = self._target(meant, units, asked.dimensions)
            decision = self._look_at(target, now_us, portion)
            if decision is None:
                return self._look_beside_others(asked, units, now_us, portion)
            return decision
        except LedgerUnavailable as trouble:
            return self._answering.without_ledger(asked, trouble, now_us)

    def _look_at(self, target: _Target, now_us: int, portion: Portion | None) -> Decision | None:
        """By memory, and what it lacks by the ledger; None where others may have that."""
        holder, stripe = self._holder, target.stripe
        for _ in range(ROUNDS_MAX):
            sights = look(stripe, target.ids[0], target.rest, target.wants, now_us)
            if sights is None:
                now_us = self._load(target)
                continue
            if refusal_of(sights) is not None or all(map(fits, sights)):
                return self._answering.decision(sights, now_us)
            if holder.alive > 1:
                return None
            wish = Wish(target.way, target.wants, now_us, number=None)
            holder.exchange.run(wish)
            if isinstance(wish.taken, Met) and holder.alive == 1:
                # What it drew may be less than what is free: the numbers tell, not the spare.
                return self._answering.decision(portioned(wish.taken.sights, portion), now_us, met=wish.taken)
        return self._answering.lost_races(target.wants, now_us)

    def _look_beside_others(
        self, asked: Asked, units: Sequence[tuple[str, int]], now_us: int, portion: Portion | None
    ) -> Decision:
        """By the ledger and all pages. A no counts when two looks agree.

        A settle may be between its commit and the fall of its page, and then counts twice; what is on
        its way back counts as held for a moment.
        """
        decision = self._peek(asked, units, now_us, portion)
        for _ in range(LOOKS_MAX):
            if decision.has_access or not self._holder.others.are_there():
                break
            self._holder.waiting.pause(LOOK_SECONDS)
            before, decision = decision, self._peek(asked, units, now_us, portion)
            if _numbers_of(before) == _numbers_of(decision):
                break
        return decision

    def _load(self, target: _Target) -> int:
        """Load its path; the instant that it is the path of: a window may have turned since the call."""
        holder = self._holder
        holder.trees.load(
            target.stripe, [strand for strand, _ in target.wants], target.ids, target.dimensions
        )
        return holder.clock.now_us()

    def _peek(
        self, asked: Asked, units: Sequence[tuple[str, int]], now_us: int, portion: Portion | None
    ) -> Decision:
        """A look by a process that holds nothing: at the ledger, and at what its holder holds."""
        holder = self._holder
        with holder.ledger.reader() as reader:
            meant = find_meant(reader, asked.customer_id, asked.ids, holder.options.unknown_resources)
            refusal = self._refusal_of(meant)
            if refusal is not None:
                return self._answering.refused(refusal, units, now_us)
            currencies = holder.known.currencies
            amounts = [
                (currencies[name].id, name, currencies[name].decimals, number) for name, number in units
            ]
            stripe, wants = peek(
                reader,
                meant,
                amounts,
                dimensions=asked.dimensions,
                held_by_others=lambda cells: holder.others.held(reader, cells, 0, now_us),
                refuse_unlimited=holder.options.default_access == "deny",
                now_us=now_us,
            )
        ids = meant.ids or (CUSTOMER,)
        sights = look(stripe, ids[0], rest_of(stripe, ids, asked.dimensions), wants, now_us)
        assert sights is not None  # it was compiled a moment ago, in a stripe that is only ours
        with stripe.lock:
            return self._answering.decision(portioned(sights, portion), now_us, met=seen(stripe, sights))

    # ---------------------------------------------------------------- reserve, consume

    def take(self, asked: Asked, hoped: Hoped, now_us: int) -> Answer:
        """Hold it in every limit, or say why not."""
        try:
            units = asked.units(self._holder.known)
            self._holder.become_holder()
            meant = self._meant(asked)
            refusal = self._refusal_of(meant)
            if refusal is not None:
                decision = self._answering.refused(refusal, units, now_us)
                return Answer(decision, sights=decision.sights)
            target = self._target(meant, units, asked.dimensions)
            portion = self._portion(hoped, target)
            return self._take_at(target, hoped, portion, now_us)
        except LedgerUnavailable as trouble:
            return self.without_ledger(asked, trouble, now_us)

    def without_ledger(self, asked: Asked, trouble: LedgerUnavailable, now_us: int) -> Answer:
        """What the policy says to a reserve or consume; raises what no policy decides."""
        decision = self._answering.without_ledger(asked, trouble, now_us)
        return Answer(decision, sights=decision.sights)

    def _take_at(self, target: _Target, hoped: Hoped, portion: Portion | None, now_us: int) -> Answer:
        holder, stripe = self._holder, target.stripe
        wants, beside = target.wants, ALONE
        for _ in range(ROUNDS_MAX):
            # All of it first; before less is given, the ledger is asked for what it has.
            rest = target.rest
            await_turn(stripe.lock, stripe)
            with stripe.lock:
                taken = take(stripe, target.ids[0], rest, wants, now_us, hoped.number, hoped.ends_us)
            if taken is None:
                now_us = self._load(target)
                continue
            if isinstance(taken, Met) and refusal_of(taken.sights) is None:
                wish = Wish(
                    target.way,
                    wants,
                    now_us,
                    number=hoped.number,
                    ends_us=hoped.ends_us,
                    portion=portion,
                )
                holder.recalls.draw(wish)
                if wish.silent is not None:
                    return Answer(self._answering.hidden(target.wants, wish.silent, now_us))
                if wish.taken is None:
                    now_us = holder.clock.now_us()
                    continue
                taken = wish.taken
                if isinstance(taken, Met) and not proves_denial(taken, wish.beside):
                    continue
                beside = wish.beside
            if isinstance(taken, Met):
                decision = self._answering.decision(
                    taken.sights, now_us, hoped.number, met=taken, beside=beside
                )
                return Answer(decision, None, taken.sights, stripe, target.ids)
            decision = Decision(None, taken[SIGHTS], now_us, holder.ids, number=hoped.number)
            return Answer(decision, taken, taken[SIGHTS], stripe, target.ids)
        return Answer(self._answering.lost_races(target.wants, now_us))

    # ---------------------------------------------------------------- whom, how much

    def customer_of(self, asked: Asked) -> str | None:
        """Whose resources a request names; None where the policy is to deny what is unknown.

        Raises ResourceNotFound, CustomerNotFound, AmbiguousResource.
        """
        only = self._holder.known.only_customer
        if asked.customer_id is not None or only is not None:
            return only.customer_id if asked.customer_id is None and only is not None else asked.customer_id
        customer = self._meant(asked).customer
        return None if customer is None else customer.customer_id

    def _portion(self, hoped: Hoped, target: _Target) -> Portion | None:
        if hoped.minimum is None or isinstance(hoped.minimum, Portion):
            return hoped.minimum
        ((strand, units),) = target.wants
        return Portion.of_units(read_minimum(hoped.minimum, strand.decimals, units), units)

    def _meant(self, asked: Asked) -> Meant:
        holder = self._holder
        with holder.ledger.reader() as reader:
            return find_meant(reader, asked.customer_id, asked.ids, holder.options.unknown_resources)

    def _target(self, meant: Meant, units: Sequence[tuple[str, int]], dimensions: Dimensions) -> _Target:
        holder = self._holder
        assert meant.customer is not None
        stripe = holder.stripe_of(meant.customer)
        wants = tuple([(holder.strand_of(stripe, name), number) for name, number in units])
        return _Target(stripe, meant.ids or (CUSTOMER,), wants, dimensions)

    def grow(self, way: Way, wants: Wants, number: int, began_us: int) -> Decision | None:
        """Hold so much more under a reservation, in the limits of its instant; why not, where it is not.

        Also where it has ended meanwhile: the caller looks.
        """
        holder = self._holder
        now_us = holder.clock.now_us()
        for _ in range(ROUNDS_MAX):
            now_us = holder.clock.now_us()
            wish = Wish(way, wants, now_us, number=number, grows=True, at_us=began_us)
            holder.recalls.draw(wish)
            if wish.silent is not None:
                return self._answering.hidden(wants, wish.silent, now_us)
            if wish.taken is None:
                if number in way.stripe.holds:
                    continue
                break
            if not isinstance(wish.taken, Met):
                return None
            decision = self._answering.decision(wish.taken.sights, now_us, met=wish.taken, beside=wish.beside)
            if not decision.has_access:
                return decision
            if number not in way.stripe.holds:
                break
        return self._answering.lost_races(wants, now_us)

    def _refusal_of(self, meant: Meant) -> Refusal | None:
        """Why somebody unknown is refused, or, by default, who names no resource that is known."""
        if meant.refusal is not None or meant.ids or self._holder.options.default_access == "allow":
            return meant.refusal
        assert meant.customer is not None  # else there would be a refusal
        return Refusal(
            AccessDeniedReason.NO_ALLOCATION,
            f"customer {meant.customer.customer_id}",
            "is asked for no resource that is known, and default_access is deny",
        )


def _numbers_of(decision: Decision) -> list[tuple[int, int]]:
    """What is used and held of each limit that was looked at."""
    return [
        (raw.used, raw.held)
        for sight in decision.sights
        for raw in sight[0].raw_limits(sight, Circumstances())
    ]
