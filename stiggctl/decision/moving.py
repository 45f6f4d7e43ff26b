"""Moving: how numbers move beside a decision: what is extended, set apart for a booking, taken over.

Here: growing a hold in the cells that it has, what a booking may spend, what the ledger's reply does.
Not here: look and take, and the comparison (decide.py); the exchange itself (holder/).

All functions that take a stripe take its lock, unless they say that the caller has it.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from stiggctl.decision.cells import (
    ALLOTTED,
    CELL,
    LIMIT,
    NEVER,
    SPARE,
    USED,
    NumbersOfCell,
    Strand,
    Stripe,
    give_back_above,
)
from stiggctl.decision.holds import (
    BEGAN_US,
    ENDS_US,
    HELD,
    NUMBER,
    SIGHTS,
    Held,
    Hold,
    has_pool,
    held_of_pool,
    stakes_of,
)
from stiggctl.decision.orphans import note_orphans
from stiggctl.decision.pools import Grant, Numbers, room_of, split, square_pool
from stiggctl.decision.receding import note_company
from stiggctl.decision.reservations import expire, let_exact_leave
from stiggctl.locks import await_turn


class PathNow(NamedTuple):
    """The path of an open reservation, of its instant, as the model is now."""

    hard: Collection[int]  #: the places of its HARD limits
    grants: Mapping[Strand, Sequence[int]]  #: and of its pool's open grants, in drain order


def grow(stripe: Stripe, number: int, units: Mapping[str, int], now_us: int) -> bool | None:
    """Hold more under an open reservation, in the cells that it already has.

    None where it has ended; False where the rest does not fit, and nothing changed.
    """
    if stripe.lock.locked():
        await_turn(stripe.lock, stripe)
    with stripe.lock:
        try:
            return grow_locked(stripe, number, units, now_us)
        except BaseException:
            stripe.tear()
            raise


def grow_locked(
    stripe: Stripe,
    number: int,
    units: Mapping[str, int],
    now_us: int,
    path: PathNow | None = None,
) -> bool | None:
    """`grow`, for a caller that has the lock. Without a path: in the cells that it has, as they were."""
    if now_us >= stripe.next_end_us:
        expire(stripe, now_us)
    hold = stripe.holds.get(number)
    if hold is None:
        return None
    numbers = stripe.numbers
    held: list[Held] = []
    taken: list[tuple[int, int]] = []  # (place, units): nothing is taken before all of it fits
    for part in hold[HELD]:
        places, before, hard, strand, pays = part
        more = units.get(strand.credit_currency)
        if more is None:
            held.append(part)
            continue
        if pays:
            continue  # told anew, with the limits of its currency
        judging = places[:hard] if path is None else [place for place in places if place in path.hard]
        if any(_is_short(numbers, place, more) for place in judging):
            return False
        held.append((places, before + more, hard, strand, False))
        taken += [(place, more) for place in places]
        if has_pool(hold, strand):
            stakes = dict(stakes_of(hold, strand))
            open_now = list(stakes) if path is None else path.grants.get(strand, ())
            paid = _grown_pool(stripe, [(place, stakes.get(place, 0)) for place in open_now], more)
            if paid is None:
                return False
            taken += zip(open_now, paid, strict=True)
            left = [(place, has) for place, has in stakes.items() if place not in open_now]  # void by now
            grown = [(at, stakes.get(at, 0) + by) for at, by in zip(open_now, paid, strict=True)]
            held += held_of_pool(strand, left + grown)
    for place, more in taken:
        numbers[place] -= more
    stripe.holds[number] = (number, hold[BEGAN_US], hold[ENDS_US], tuple(held), hold[SIGHTS])
    stripe.touched_us = now_us
    if stripe.exact:  # one that was extended in vain holds less again
        let_exact_leave(stripe, [place for place, _ in taken])
    return True


def _grown_pool(stripe: Stripe, grants: Sequence[tuple[int, int]], units: int) -> list[int] | None:
    """What each grant that a hold is of pays of so much more; of so much less, what it gets back."""
    if units < 0:  # the last that paid gets back first
        left, back = -units, []
        for _, has in reversed(grants):
            part = min(left, has)
            left -= part
            back.append(-part)
        return back[::-1]
    numbers = stripe.numbers
    told = [Grant("", numbers[at + LIMIT], NEVER) for at, _ in grants]
    columns = [[numbers[at + column] for at, _ in grants] for column in (SPARE, USED, ALLOTTED)]
    gathered = Numbers(*columns)
    if units == 0:
        return None if room_of(told, gathered) < 0 else [0] * len(grants)
    if stripe.hidden:  # granted, too (C7)
        granted = [numbers[at + ALLOTTED] + stripe.hidden.get(numbers[at + CELL], 0) for at, _ in grants]
        gathered = gathered._replace(allotted=granted)
    return split(told, gathered, units)


def _is_short(numbers: list[int], place: int, units: int) -> bool:
    """What `fits` asks of a path, of one HARD cell."""
    if units == 0:
        held = numbers[place + ALLOTTED] - numbers[place]
        return numbers[place + LIMIT] < numbers[place + USED] + held
    return numbers[place] < units


def set_apart(
    stripe: Stripe, places: Sequence[int], hard: int, units: int, held: Mapping[int, int]
) -> list[int]:
    """For a booking of `units`: what each place may pay from this process's share.

    `held` is what its reservation holds at each place; where that is less than what is
    booked, spare is set apart beside it (a report is a settle of an empty reservation), and
    noted in `Stripe.apart` until the outcome is known. Returns the spend of each place.
    The caller has the lock.
    """
    numbers, apart = stripe.numbers, stripe.apart
    spends = [0] * len(places)
    if units <= 0 and not (held and stripe.exact):
        return spends
    for at, place in enumerate(places[:hard]):
        # Not all that is held was granted: the limit was SOFT when it was set aside, perhaps, and
        # spare is below 0 by as much.
        holds = held.get(place, 0) if held else 0
        spend = min(units, holds + numbers[place])
        if stripe.exact and numbers[place + CELL] in stripe.exact:
            # What is left over of an exact share is free in the commit that books (RD1).
            spend = max(spend, holds + min(0, numbers[place]))
        if spend > holds:
            apart[place] = apart.get(place, 0) + spend - holds
            numbers[place] -= spend - holds
        if spend > 0:
            spends[at] = spend
    return spends


def set_apart_of_pool(stripe: Stripe, places: Sequence[int], units: int) -> list[int]:
    """For a booking of which a pool pays so much that no hold covers: what each grant has spare for it.

    As `set_apart` does. The caller has the lock.
    """
    numbers, apart = stripe.numbers, stripe.apart
    left, spares = units, []
    for place in places:
        part = max(0, min(left, numbers[place]))
        if part:
            apart[place] = apart.get(place, 0) + part
            numbers[place] -= part
            left -= part
        spares.append(part)
    return spares


def put_apart_back(stripe: Stripe) -> None:
    """Nothing of it was sent: what was set apart is spare again. The caller has the lock."""
    for place, units in stripe.apart.items():
        stripe.numbers[place] += units
    stripe.apart.clear()


def install(stripe: Stripe, cells: Mapping[int, NumbersOfCell], settled: Sequence[Hold] = ()) -> None:
    """Take over what the ledger says of the cells at those places, after an exchange.

    What bookings set apart falls, and so do the holds that they settled. What is above a limit
    is given back at once. The caller has the lock.
    """
    numbers = stripe.numbers
    stripe.rests = False  # what was drawn and not held, or held and not used, is to spare (RD4)
    # Holds are closed, and what was set apart forgotten, once all numbers stand: torn in between, a
    # recount finds too little spare, never too much.
    if stripe.apart:
        for place, units in stripe.apart.items():
            numbers[place] += units
    for hold in settled:
        for places, units, _, _, _ in hold[HELD]:
            for place in places:
                numbers[place] += units
    if cells:
        _take_over(stripe, cells)
    for hold in settled:
        stripe.holds.pop(hold[NUMBER], None)
        if stripe.settling:
            stripe.settling.pop(hold[NUMBER], None)
    if stripe.apart:
        stripe.apart.clear()
    if stripe.pooled:
        for strand in stripe.pooled:
            square_pool(stripe, strand)


def _take_over(stripe: Stripe, cells: Mapping[int, NumbersOfCell]) -> None:
    """What the ledger says of each; what is held here stays."""
    numbers = stripe.numbers
    for place, told in cells.items():
        used, granted, orphans = told.used, told.granted, told.orphans
        if told.buckets is not None:
            stripe.buckets[numbers[place + CELL]] = told.buckets
        if told.hidden or told.exact or stripe.exact or stripe.hidden:  # alone mostly nothing of it
            note_company(stripe, place, told, granted)
        held = numbers[place + ALLOTTED] - numbers[place + SPARE]
        withheld = 0
        if orphans or stripe.orphans:
            held -= sum(units for units, _ in stripe.orphans.get(place, ()))
            withheld = sum(units for units, _ in orphans)
            note_orphans(stripe, place, orphans)
        # What has left spare and is not told yet is still in the ledger's number (C2).
        if stripe.gives:
            granted -= stripe.gives.get(numbers[place + CELL], 0)
        numbers[place : place + 3] = (granted - held, used, granted + withheld)  # SPARE, USED, ALLOTTED
        if granted > 0 and used + granted + withheld > numbers[place + LIMIT]:
            give_back_above(stripe, place)
