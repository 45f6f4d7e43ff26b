"""Reservations: what is held until it is settled, released, or its time is over.

Here: how holds end. Not here: what one is (holds.py), whether one may be made (decide.py), the object
that application code has (control/reservation.py), the page that mirrors it (holder/page.py).

  R1  A reservation is open exactly as long as its number stands in `Stripe.holds`.
  R3  A hold ends at `ends_us`: the clock reading that allowed it plus its ttl, never later.
      While a settle of it is under way (`Stripe.settling`) it does not end.
"""

from collections.abc import Iterable

from stiggctl.decision.cells import (
    ALLOTTED,
    CELL,
    LIMIT,
    NEVER,
    USED,
    Stripe,
    give_back,
    give_back_above,
)
from stiggctl.decision.holds import ENDS_US, HELD, NUMBER, Hold
from stiggctl.decision.mending import mend
from stiggctl.decision.orphans import end_orphans
from stiggctl.decision.pools import square_pool
from stiggctl.locks import await_turn


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
    for places, units, hard, strand, pays in hold[HELD]:
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
            stripe.next_end_us = min(stripe.next_end_us, stripe.holds[number][ENDS_US])


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
        ending = [hold for hold in stripe.holds.values() if hold[NUMBER] not in stripe.settling]
        for hold in ending:
            if hold[ENDS_US] <= now_us:
                del stripe.holds[hold[NUMBER]]
                put_back(stripe, hold)
                stripe.ended.append(hold[NUMBER])
        stripe.next_end_us = min((hold[ENDS_US] for hold in ending if hold[ENDS_US] > now_us), default=NEVER)
        if stripe.orphans:
            end_orphans(stripe, now_us)
    except BaseException:
        stripe.tear()
        raise
