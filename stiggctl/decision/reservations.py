"""Reservations: what is held until it is settled, released, or its time is over.

Here: a hold, and how holds end. Not here: whether one may be made (decide.py), the object
that application code has (control/reservation.py), the page that mirrors it (holder/page.py).

  R1  A reservation is open exactly as long as its number stands in `Stripe.holds`.
  R2  A hold is replaced, never changed: who has looked at one keeps what it saw.
  R3  A hold ends at `ends_us`: the clock reading that allowed it plus its ttl, never later.
      While its settle is under way it does not end (`ends_us` is NEVER).
"""

from collections.abc import Mapping
from typing import Self

from stiggctl.decision.cells import (
    ALLOTTED,
    LIMIT,
    NEVER,
    USED,
    Strand,
    Stripe,
    end_orphans,
    give_back_above,
)

#: In one currency: the places that hold it (HARD ones first), how much, how many are HARD.
Held = tuple[tuple[int, ...], int, int, Strand]


class Hold:
    """Credits set aside, in every cell of a path at once."""

    __slots__ = ("began_us", "ends_us", "held", "number")

    def __init__(self, number: int, began_us: int, ends_us: int, held: tuple[Held, ...]) -> None:
        self.number = number
        self.began_us = began_us  #: the clock reading that admitted it
        self.ends_us = ends_us
        self.held = held

    def until(self, ends_us: int) -> Self:
        """The same, with another end."""
        return type(self)(self.number, self.began_us, ends_us, self.held)

    def moved(self, moved: Mapping[int, int | None]) -> Self:
        """The same, where the cells lie now; cells that are gone no longer hold anything."""
        held: list[Held] = []
        for places, units, hard, strand in self.held:
            there = [moved.get(place, place) for place in places]
            kept = tuple(place for place in there if place is not None)
            still_hard = sum(place is not None for place in there[:hard])
            held.append((kept, units, still_hard, strand))
        return type(self)(self.number, self.began_us, self.ends_us, tuple(held))

    def units(self) -> dict[str, int]:
        """How much it holds, by currency."""
        total: dict[str, int] = {}
        for _, units, _, strand in self.held:
            total[strand.credit_currency] = total.get(strand.credit_currency, 0) + units
        return total


def add_hold(stripe: Stripe, hold: Hold) -> None:
    """Open it; the caller has the lock and has taken the numbers."""
    stripe.holds[hold.number] = hold
    stripe.next_end_us = min(stripe.next_end_us, hold.ends_us)


def put_back(stripe: Stripe, hold: Hold) -> None:
    """Let what it held be spare again; the caller has the lock and has taken it out of `holds`.

    Where usage that nobody admitted has passed the limit meanwhile, the room that it held is
    gone: it is given back, not spent again (C4).
    """
    numbers = stripe.numbers
    for places, units, hard, _ in hold.held:
        for place in places:
            numbers[place] += units
        for place in places[:hard]:
            if numbers[place + USED] + numbers[place + ALLOTTED] > numbers[place + LIMIT]:
                give_back_above(stripe, place)


def release(stripe: Stripe, number: int) -> Hold | None:
    """End it; None where it is not open."""
    with stripe.lock:
        hold = stripe.holds.pop(number, None)
        if hold is not None:
            put_back(stripe, hold)
        return hold


def begin_settle(stripe: Stripe, number: int, now_us: int) -> Hold | None:
    """Keep it from ending while its settle is under way; None where it has ended."""
    with stripe.lock:
        if now_us >= stripe.next_end_us:
            expire(stripe, now_us)
        hold = stripe.holds.get(number)
        if hold is not None:
            stripe.holds[number] = hold.until(NEVER)
        return hold


def resume_hold(stripe: Stripe, number: int, ends_us: int) -> None:
    """A settle was not taken: let it end at its own time again."""
    with stripe.lock:
        hold = stripe.holds.get(number)
        if hold is not None:
            add_hold(stripe, hold.until(ends_us))


def expire(stripe: Stripe, now_us: int) -> None:
    """End every hold whose time is over; the caller has the lock.

    `next_end_us` is a lower bound, so a sweep over all holds happens at most about once a
    ttl, not once a hold.
    """
    if now_us < stripe.next_end_us:
        return
    over = [hold for hold in stripe.holds.values() if hold.ends_us <= now_us]
    for hold in over:
        del stripe.holds[hold.number]
        put_back(stripe, hold)
        stripe.ended.append(hold.number)
    stripe.next_end_us = min((hold.ends_us for hold in stripe.holds.values()), default=NEVER)
    if stripe.orphans:
        end_orphans(stripe, now_us)
