"""Reservations: what is held until it is settled, released, or its time is over.

Here: a hold, and how holds end. Not here: whether one may be made (decide.py), the object
that application code has (control/reservation.py), the page that mirrors it (holder/page.py).

  R1  A reservation is open exactly as long as its number stands in `Stripe.holds`.
  R2  A hold is replaced, never changed: who has looked at one keeps what it saw.
  R3  A hold ends at `ends_us`: the clock reading that allowed it plus its ttl, never later.
      While a settle of it is under way (`Stripe.settling`) it does not end.
"""

from collections.abc import Iterable, Mapping
from typing import Self

from stiggctl.answers import Sight
from stiggctl.decision.cells import (
    ALLOTTED,
    CELL,
    LIMIT,
    NEVER,
    USED,
    Strand,
    Stripe,
    give_back,
    give_back_above,
)
from stiggctl.decision.mending import mend
from stiggctl.decision.orphans import end_orphans
from stiggctl.decision.pools import square_pool
from stiggctl.locks import await_turn

#: Places that hold it (HARD ones first), how much, how many are HARD, of which currency; and whether it
#: is a grant, of those that the pool holds it of: they come after the limits, in drain order, each that
#: was open, also where it holds nothing.
Held = tuple[tuple[int, ...], int, int, Strand, bool]


def held_of_pool(strand: Strand, stakes: Iterable[tuple[int, int]]) -> tuple[Held, ...]:
    """(place, units) of each grant, as a hold has them; of none, that there is a pool all the same."""
    return tuple([((place,), units, 1, strand, True) for place, units in stakes]) or (
        ((), 0, 0, strand, True),
    )


class Hold:
    """Credits set aside, in every cell of a path at once."""

    __slots__ = ("began_us", "ends_us", "held", "number", "sights")

    def __init__(
        self, number: int, began_us: int, ends_us: int, held: tuple[Held, ...], sights: tuple[Sight, ...]
    ) -> None:
        self.number = number
        self.began_us = began_us  #: the clock reading that admitted it
        self.ends_us = ends_us
        self.held = held
        self.sights = sights  #: what admitted it

    def moved(self, moved: Mapping[int, int | None]) -> Self:
        """The same, where the cells lie now; cells that are gone no longer hold anything."""
        held: list[Held] = []
        for places, units, hard, strand, pays in self.held:
            there = [moved.get(place, place) for place in places]
            kept = tuple(place for place in there if place is not None)
            still_hard = sum(place is not None for place in there[:hard])
            held.append((kept, units, still_hard, strand, pays))
        return type(self)(self.number, self.began_us, self.ends_us, tuple(held), self.sights)

    def units(self) -> dict[str, int]:
        """How much it holds, by currency."""
        total: dict[str, int] = {}
        for _, units, _, strand, pays in self.held:
            if not pays:
                total[strand.credit_currency] = total.get(strand.credit_currency, 0) + units
        return total

    def has_pool(self, strand: Strand) -> bool:
        """Whether a pool holds it too, in a currency; none of its grants may have been open."""
        return any(pays and of is strand for _, _, _, of, pays in self.held)

    def of_pool(self, strand: Strand) -> list[tuple[int, int]]:
        """(place, units) of each grant of a currency that it holds, in drain order."""
        return [
            (place, units)
            for places, units, _, of, pays in self.held
            if pays and of is strand
            for place in places
        ]


def let_exact_leave(stripe: Stripe, places: Iterable[int]) -> None:
    """Give back what is spare there of exact shares (RD1); the caller has the lock."""
    for place in places:
        if stripe.numbers[place + CELL] in stripe.exact:
            give_back(stripe, place, stripe.numbers[place])


def put_back(stripe: Stripe, hold: Hold) -> None:
    """Let what it held be spare again; the caller has the lock and has taken it out of `holds`.

    Where usage that nobody admitted has passed the limit meanwhile, the room that it held is
    gone: it is given back, not spent again (C4).
    """
    numbers = stripe.numbers
    stripe.rests = False  # it is to spare again (RD4)
    for places, units, hard, strand, pays in hold.held:
        for place in places:
            numbers[place] += units
        for place in places[:hard]:
            if numbers[place + USED] + numbers[place + ALLOTTED] > numbers[place + LIMIT]:
                give_back_above(stripe, place)
        if stripe.exact:  # also of what was SOFT when it was held
            let_exact_leave(stripe, places)
        if pays and units:
            square_pool(stripe, strand)


def release(stripe: Stripe, number: int) -> Hold | None:
    """End it; None where it is not open, or a settle of it is under way: that sets the rest free."""
    if stripe.lock.locked():
        await_turn(stripe.lock, stripe)
    with stripe.lock:
        if number in stripe.settling:
            return None
        try:
            mend(stripe)
            hold = stripe.holds.pop(number, None)
            if hold is not None:
                put_back(stripe, hold)
        except BaseException:
            stripe.tear()
            raise
        return hold


def begin_settle(stripe: Stripe, number: int, now_us: int) -> Hold | None:
    """Keep it from ending while its settle is under way; None where it has ended."""
    if stripe.lock.locked():
        await_turn(stripe.lock, stripe)
    with stripe.lock:
        if now_us >= stripe.next_end_us:
            expire(stripe, now_us)
        hold = stripe.holds.get(number)
        if hold is not None:
            stripe.settling[number] = stripe.settling.get(number, 0) + 1
        return hold


def end_settle(stripe: Stripe, number: int) -> None:
    """A settle came to nothing: where no other is under way, it ends at its own time again."""
    if stripe.lock.locked():
        await_turn(stripe.lock, stripe)
    with stripe.lock:
        others = stripe.settling.pop(number, 0) - 1
        if others > 0:
            stripe.settling[number] = others
        elif number in stripe.holds:
            stripe.next_end_us = min(stripe.next_end_us, stripe.holds[number].ends_us)


def close_hold(stripe: Stripe, number: int) -> None:
    """What it held is in the ledger: it is open no more. The caller has the lock, and the numbers."""
    stripe.holds.pop(number, None)
    if stripe.settling:
        stripe.settling.pop(number, None)


def expire(stripe: Stripe, now_us: int) -> None:
    """End every hold whose time is over; the caller has the lock.

    `next_end_us` is a lower bound, so a sweep over all holds happens at most about once a
    ttl, not once a hold.
    """
    if now_us < stripe.next_end_us:
        return
    try:
        mend(stripe)
        ending = [hold for hold in stripe.holds.values() if hold.number not in stripe.settling]
        for hold in ending:
            if hold.ends_us <= now_us:
                del stripe.holds[hold.number]
                put_back(stripe, hold)
                stripe.ended.append(hold.number)
        stripe.next_end_us = min((hold.ends_us for hold in ending if hold.ends_us > now_us), default=NEVER)
        if stripe.orphans:
            end_orphans(stripe, now_us)
    except BaseException:
        stripe.tear()
        raise
