"""Deciding: the one comparison, and what follows from it in memory.

Here: look and take, and what was met. Not here: how a hold grows, how a booking or the ledger's reply
moves the numbers (moving.py), how cells lie (cells.py), how paths are compiled (paths.py), how a pool
splits an amount (pools.py), waiting (holder/).

  D1  All cells of a path are looked at, then all are held or none. Charging cell by cell and
      undoing on refusal, as Linux's page_counter_try_charge does, needs no lock; but while a
      large charge is on its way back a small one that fits is refused, and we promise that
      nothing that fits is.
  D2  An amount is compared with the limits of a path by `fits` and `take` only, both as unrolled.py
      writes it; moving.py asks the same of one cell, for what is extended in the cells that it has.
  D3  A decision finds its path under the same lock under which it reads and changes the
      numbers: a record may move only under that lock, and a version is raised under it
      (Stripe.restamp), so no path of an older model and no old place is ever used.

All functions that take a stripe take its lock, unless they say that the caller has it.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from stiggctl.answers import Sight
from stiggctl.decision.cells import (
    ALLOTTED,
    HEADER,
    LIMIT,
    USED,
    Buckets,
    Strand,
    Stripe,
)
from stiggctl.decision.holds import Held, Hold, held_of_pool
from stiggctl.decision.meeting import Texts
from stiggctl.decision.pools import most_of, room_of, split
from stiggctl.decision.portions import Portion
from stiggctl.decision.reservations import expire
from stiggctl.decision.tails import Branch, Tail
from stiggctl.locks import await_turn

#: What else a request names, and, where scopes name dimensions, what it says of those (paths.key_of).
Rest = tuple[str | Texts, ...]
#: What is asked for, by currency.
Wants = Sequence[tuple[Strand, int]]


def fits(sight: Sight) -> bool:
    """Whether the amount fits every HARD cell, by what this process may use without asking.

    0 fits while no limit is passed.
    """
    tail: Tail
    tail, seen, own, _, units, _ = sight
    if units == 0:
        return not _passed(sight)
    loops = tail.beside if len(own) > HEADER else tail.alone
    return loops.fits(seen, own, units) and (not tail.has_pool or _pool_pays(tail, seen, units) is not None)


def _pool_pays(tail: Tail, seen: tuple[int, ...], units: int) -> list[int] | None:
    """What each grant of its pool pays; None where that does not cover it."""
    if tail.grants and units <= seen[tail.first_grant]:  # as nearly always
        return [units, *tail.others_pay]
    return split(tail.grants, tail.drawn_of_pool(seen), units)


def _passed(sight: Sight) -> bool:
    """Whether a HARD limit of the path is passed."""
    tail: Tail
    tail, seen, own, _, _, _ = sight
    many = tail.many
    rooms = [
        tail.labels[at].limit - seen[many + at] - (seen[2 * many + at] - seen[at]) for at in range(tail.hard)
    ]
    if len(own) > HEADER:
        rooms += [own[at + LIMIT] - own[at + USED] - (own[at + ALLOTTED] - own[at]) for at in own[0].spares]
    if tail.has_pool:
        rooms.append(room_of(tail.grants, tail.numbers_of_pool(seen)))
    return any(room < 0 for room in rooms)


def most(sight: Sight) -> int:
    """The largest amount up to the asked one that would fit."""
    tail: Tail
    tail, seen, own, _, units, _ = sight
    spares = [units, *seen[: tail.hard]]
    if len(own) > HEADER:
        spares += [own[at] for at in own[0].spares]
    if tail.has_pool:
        spares.append(most_of(tail.grants, tail.drawn_of_pool(seen)))
    return min(spares)


def gather(stripe: Stripe, first: str, rest: Rest, wants: Wants, now_us: int) -> tuple[Sight, ...] | None:
    """The numbers of a request's path; None where it is not compiled for that instant.

    The caller has the lock.
    """
    numbers, version = stripe.numbers, stripe.version
    sights: tuple[Sight, ...] = ()
    try:
        for strand, units in wants:
            place = strand.leaves[first]
            branch: Branch = numbers[place]  # type: ignore[assignment]  # the header is no number
            tail = branch.tails[rest]
            if (
                branch.version != version
                or tail.laid != strand.laid
                or not tail.from_us <= now_us < tail.valid_until_us
            ):
                return None
            end = place + (HEADER if tail.kin and first in tail.kin else branch.width)
            sights += ((tail, tail.gather(numbers), numbers[place:end], first, units, place),)
    except KeyError:
        return None
    return sights


def look(stripe: Stripe, first: str, rest: Rest, wants: Wants, now_us: int) -> tuple[Sight, ...] | None:
    """What a request would meet; changes nothing. None where its path is not compiled."""
    if stripe.lock.locked():
        await_turn(stripe.lock, stripe)
    with stripe.lock:
        if now_us >= stripe.next_end_us:
            expire(stripe, now_us)
        return gather(stripe, first, rest, wants, now_us)


class Met(NamedTuple):
    """What a request met: the numbers, and what was held at that moment, for a denial to explain."""

    sights: tuple[Sight, ...]
    holds: tuple[Hold, ...]
    orphans: Mapping[int, tuple[tuple[int, int], ...]]
    buckets: Mapping[int, Buckets]


def take(
    stripe: Stripe,
    first: str,
    rest: Rest,
    wants: Wants,
    now_us: int,
    number: int,
    ends_us: int,
    portion: Portion | None = None,
    *,
    told: bool = True,
) -> Hold | Met | None:
    """Hold what is wanted in every cell of the path, or nothing (D1).

    With a portion: hold the most of it that fits; what then is denied is its least.
    None where the path is not compiled. The caller has the lock.
    """
    if now_us >= stripe.next_end_us:
        expire(stripe, now_us)
    if portion is not None or len(wants) > 1:  # nothing is held before all of it fits (D1)
        fitting = _wants_that_fit(stripe, first, rest, wants, now_us, portion)
        if fitting is None or isinstance(fitting, Met):
            return fitting
        wants = fitting
    numbers, version = stripe.numbers, stripe.version
    held: tuple[Held, ...] = ()
    sights: tuple[Sight, ...] = ()
    try:
        for strand, units in wants:
            place = strand.leaves[first]  # as in `gather`: a call would cost as much as what it does
            branch: Branch = numbers[place]  # type: ignore[assignment]  # the header is no number
            tail = branch.tails[rest]
            if (
                branch.version != version
                or tail.laid != strand.laid
                or not tail.from_us <= now_us < tail.valid_until_us
            ):
                return None
            loops = tail.alone if tail.kin and first in tail.kin else tail.beside
            if told or not units or not tail.is_plain:
                end = place + loops.width
                sight = (tail, tail.gather(numbers), numbers[place:end], first, units, place)
                if not (units and tail.is_plain) and (tail.refusal is not None or not fits(sight)):
                    break
            else:
                sight = (tail, (), numbers[place : place + HEADER], first, units, place)
            places = loops.hold(numbers, place, tail.places, units)
            if places is None:
                break
            held += ((places, units, loops.hard, strand, False),)
            if tail.has_pool:
                held += _hold_of_pool(numbers, tail, sight[1], units)
            sights += (sight,)
        else:
            hold = stripe.holds[number] = (number, now_us, ends_us, held, sights)
            stripe.touched_us = now_us
            if ends_us < stripe.next_end_us:  # noqa: PLR1730 - `min` takes three times as long
                stripe.next_end_us = ends_us
            return hold
    except KeyError:
        return None
    except BaseException:
        stripe.tear()
        raise
    return _met(stripe, first, rest, wants, now_us)


def _met(stripe: Stripe, first: str, rest: Rest, wants: Wants, now_us: int) -> Met:
    """The numbers that did not let it through."""
    sights = gather(stripe, first, rest, wants, now_us)
    assert sights is not None  # it was found a moment ago
    return seen(stripe, sights)


def _wants_that_fit(
    stripe: Stripe, first: str, rest: Rest, wants: Wants, now_us: int, portion: Portion | None
) -> Wants | Met | None:
    """What to hold, of several currencies or of what may be less; what it met where not all of it fits."""
    sights = gather(stripe, first, rest, wants, now_us)
    if sights is None:
        return None
    if portion is not None:
        sights = shrunk(sights, portion, [most(sight) for sight in sights])
    if any(sight[0].refusal is not None or not fits(sight) for sight in sights):
        return seen(stripe, sights)
    return [(sight[0].strand, sight[4]) for sight in sights]


def _hold_of_pool(numbers: list[int], tail: Tail, gathered: tuple[int, ...], units: int) -> tuple[Held, ...]:
    """Hold of the grants what they pay of an amount that they cover."""
    paid = _pool_pays(tail, gathered, units) or [0] * len(tail.grants)  # of nothing, nothing
    for at, part in zip(tail.grant_places, paid, strict=True):
        numbers[at] -= part
    return held_of_pool(tail.strand, zip(tail.grant_places, paid, strict=True))


def shrunk(sights: Sequence[Sight], portion: Portion, rooms: Sequence[int | None]) -> tuple[Sight, ...]:
    """The same, asking for the most that fits, or for the least where not even that does."""
    units = portion.units(max(portion.least, portion.step(rooms)))
    return tuple([(*sight[:4], one, sight[5]) for sight, one in zip(sights, units, strict=True)])


def types_of(strand: Strand, ids: Sequence[str]) -> list[str] | None:
    """The type of each resource; None where one is not in memory as the model is now."""
    stripe = strand.stripe
    if stripe.lock.locked():
        await_turn(stripe.lock, stripe)
    with stripe.lock:
        types = []
        for one in ids:
            place = strand.leaves.get(one)
            if place is None:
                return None
            branch: Branch = stripe.numbers[place]  # type: ignore[assignment]  # the header is no number
            if branch.version != stripe.version:
                return None
            types.append(branch.type_id)
        return types


def seen(stripe: Stripe, sights: tuple[Sight, ...]) -> Met:
    """Sights with what was held at that moment. The caller has the lock."""
    return Met(sights, tuple(stripe.holds.values()), dict(stripe.orphans), dict(stripe.buckets))
