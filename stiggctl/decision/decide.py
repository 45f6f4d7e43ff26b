"""Deciding: the one comparison, and what follows from it in memory.

Here: look, take, grow, and how a booking or the ledger's reply moves the numbers.
Not here: how cells lie (cells.py), how paths are compiled (paths.py), waiting (holder/).

  D1  All cells of a path are looked at, then all are held or none. Charging cell by cell and
      undoing on refusal, as Linux's page_counter_try_charge does, needs no lock; but while a
      large charge is on its way back a small one that fits is refused, and we promise that
      nothing that fits is.
  D2  `fits` is the only place where an amount is compared with the limits of a path; `_is_short`
      asks the same of one cell, for what is extended in the cells that it already has.
  D3  A decision finds its path under the same lock under which it reads and changes the
      numbers: a record may move only under that lock, and a version is raised under it
      (Stripe.restamp), so no path of an older model and no old place is ever used.

All functions that take a stripe take its lock, unless they say that the caller has it.
"""

from collections.abc import Collection, Mapping, Sequence

from stiggctl.answers import Sight
from stiggctl.decision.cells import (
    ALLOTTED,
    CELL,
    HEADER,
    LIMIT,
    SPARE,
    USED,
    WIDTH,
    NumbersOfCell,
    Strand,
    Stripe,
    give_back_above,
    note_orphans,
)
from stiggctl.decision.meeting import Texts
from stiggctl.decision.paths import Branch, Tail
from stiggctl.decision.reservations import Held, Hold, close_hold, expire
from stiggctl.locks import await_turn

#: What else a request names, and, where scopes name dimensions, what it says of those (paths.key_of).
Rest = tuple[str | Texts, ...]
_ONE_CELL = HEADER + WIDTH  # how long the record of a resource with one limit is

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
    for at in tail.hard_ones:
        if seen[at] < units:
            return False
    if len(own) > HEADER:
        for at in own[0].spares:
            if own[at] < units:
                return False
    return True


def _passed(sight: Sight) -> bool:
    """Whether a HARD limit of the path is passed."""
    tail: Tail
    tail, seen, own, _, _, _ = sight
    many = len(tail.labels)
    rooms = [
        tail.labels[at].limit - seen[many + at] - (seen[2 * many + at] - seen[at]) for at in range(tail.hard)
    ]
    if len(own) > HEADER:
        rooms += [own[at + LIMIT] - own[at + USED] - (own[at + ALLOTTED] - own[at]) for at in own[0].spares]
    return any(room < 0 for room in rooms)


def most(sight: Sight) -> int:
    """The largest amount up to the asked one that would fit."""
    tail: Tail
    tail, seen, own, _, units, _ = sight
    spares = [units, *seen[: tail.hard]]
    if len(own) > HEADER:
        spares += [own[at] for at in own[0].spares]
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
            end = place + (HEADER if first in tail.ids else branch.width)
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


class Taken:
    """What came of a look or a take: the numbers, and the hold if there is one."""

    __slots__ = ("hold", "sights")

    def __init__(self, sights: tuple[Sight, ...], hold: Hold | None) -> None:
        self.sights = sights
        self.hold = hold


class Met(Taken):
    """Nothing was taken: the numbers, and what was held at that moment, for a denial to explain."""

    __slots__ = ("holds", "orphans")

    def __init__(
        self,
        sights: tuple[Sight, ...],
        holds: tuple[Hold, ...],
        orphans: Mapping[int, tuple[tuple[int, int], ...]],
    ) -> None:
        super().__init__(sights, None)
        self.holds = holds
        self.orphans = orphans


def take(
    stripe: Stripe,
    first: str,
    rest: Rest,
    wants: Wants,
    now_us: int,
    number: int,
    ends_us: int,
    minimum: int | None = None,
) -> Taken | None:
    """Hold what is wanted in every cell of the path, or nothing (D1).

    With a minimum (and one currency): hold the most that fits, if it is at least that.
    None where the path is not compiled.
    """
    if stripe.lock.locked():
        await_turn(stripe.lock, stripe)
    with stripe.lock:
        return take_locked(stripe, first, rest, wants, now_us, number, ends_us, minimum)


def take_locked(
    stripe: Stripe,
    first: str,
    rest: Rest,
    wants: Wants,
    now_us: int,
    number: int,
    ends_us: int,
    minimum: int | None = None,
) -> Taken | None:
    """`take`, for a caller that has the lock: who installs a draw holds what it was drawn for."""
    if now_us >= stripe.next_end_us:
        expire(stripe, now_us)
    sights = gather(stripe, first, rest, wants, now_us)
    if sights is None:
        return None
    if minimum is not None:
        sights = (_shrunk(sights[0], minimum),)
    held: tuple[Held, ...] = ()
    for sight in sights:
        tail: Tail
        tail, _, _, _, units, _ = sight
        if tail.refusal is not None or not fits(sight):
            return seen(stripe, sights)
        places, hard = places_of(sight)
        held += ((places, units, hard, tail.strand),)
    numbers = stripe.numbers
    try:
        for places, units, _, _ in held:
            for at in places:
                numbers[at] -= units
        hold = stripe.holds[number] = Hold(number, now_us, ends_us, held)
        if ends_us < stripe.next_end_us:  # noqa: PLR1730 - `min` takes three times as long
            stripe.next_end_us = ends_us
    except BaseException:
        stripe.tear()
        raise
    return Taken(sights, hold)


def _shrunk(sight: Sight, minimum: int) -> Sight:
    """The same, asking for what fits, if that is at least the minimum."""
    fitting = most(sight)
    return (*sight[:4], fitting, sight[5]) if fitting >= minimum else sight


def places_of(sight: Sight) -> tuple[tuple[int, ...], int]:
    """Where the cells of a path lie, HARD ones first, and how many those are."""
    tail: Tail
    tail, _, own, _, _, place = sight
    many = len(own)
    if many <= HEADER:
        return tail.places, tail.hard
    branch: Branch = own[0]
    start = place + HEADER
    if many == _ONE_CELL and branch.spares:  # one limit of its own, as nearly all have
        return (start, *tail.places), tail.hard + 1
    soft = start + WIDTH * len(branch.spares)
    own_hard, own_soft = range(start, soft, WIDTH), range(soft, place + branch.width, WIDTH)
    return (*own_hard, *tail.places, *own_soft), tail.hard + len(own_hard)


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
    hard_now: Collection[int] | None = None,
) -> bool | None:
    """`grow`, for a caller that has the lock.

    `hard_now`: the places whose limits are HARD by now; None: those that were when it was made.
    """
    if now_us >= stripe.next_end_us:
        expire(stripe, now_us)
    hold = stripe.holds.get(number)
    if hold is None:
        return None
    numbers = stripe.numbers
    for places, _, hard, strand in hold.held:
        more = units.get(strand.credit_currency)
        judging = places[:hard] if hard_now is None else [place for place in places if place in hard_now]
        if more is not None and any(_is_short(numbers, place, more) for place in judging):
            return False
    held: list[Held] = []
    for places, before, hard, strand in hold.held:
        more = units.get(strand.credit_currency, 0)
        for place in places:
            numbers[place] -= more
        held.append((places, before + more, hard, strand))
    stripe.holds[number] = Hold(number, hold.began_us, hold.ends_us, tuple(held))
    return True


def _is_short(numbers: list[int], place: int, units: int) -> bool:
    """What `fits` asks of a path, of one HARD cell."""
    if units == 0:
        held = numbers[place + ALLOTTED] - numbers[place]
        return numbers[place + LIMIT] < numbers[place + USED] + held
    return numbers[place] < units


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
    if units <= 0:
        return spends
    for at, place in enumerate(places[:hard]):
        # Not all that is held was granted: the limit was SOFT when it was set aside, perhaps, and
        # spare is below 0 by as much.
        holds = held.get(place, 0) if held else 0
        spend = min(units, holds + numbers[place])
        if spend > holds:
            apart[place] = apart.get(place, 0) + spend - holds
            numbers[place] -= spend - holds
        if spend > 0:
            spends[at] = spend
    return spends


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
    if stripe.apart:
        for place, units in stripe.apart.items():
            numbers[place] += units
    for hold in settled:
        for places, units, _, _ in hold.held:
            for place in places:
                numbers[place] += units
        close_hold(stripe, hold.number)
    for place, told in cells.items():
        used, granted, orphans = told.used, told.granted, told.orphans
        held = numbers[place + ALLOTTED] - numbers[place + SPARE]
        withheld = 0
        if orphans or stripe.orphans:
            held -= sum(units for units, _ in stripe.orphans.get(place, ()))
            withheld = sum(units for units, _ in orphans)
            note_orphans(stripe, place, orphans)
        # What has left spare and is not told yet is still in the ledger's number (C2).
        if stripe.gives:
            granted -= stripe.gives.get(numbers[place + CELL], 0)
        numbers[place + SPARE] = granted - held
        numbers[place + USED] = used
        numbers[place + ALLOTTED] = granted + withheld
        if granted > 0 and used + granted + withheld > numbers[place + LIMIT]:
            give_back_above(stripe, place)
    if stripe.apart:
        stripe.apart.clear()


def seen(stripe: Stripe, sights: tuple[Sight, ...]) -> Met:
    """Sights with what was held at that moment. The caller has the lock."""
    return Met(sights, tuple(stripe.holds.values()), dict(stripe.orphans))


def cells_of(stripe: Stripe, sight: Sight) -> dict[int, int]:
    """cell -> place, of every cell of a path. The caller has the lock."""
    places, _ = places_of(sight)
    return {stripe.numbers[at + CELL]: at for at in places}


def members_of(sight: Sight) -> tuple[int, ...]:
    """The rows of all resources of a path, sorted, each once."""
    tail: Tail
    tail, _, own, first, _, _ = sight
    if not own or first in tail.ids:
        return tail.members
    return tuple(sorted((own[1], *tail.members)))


def hard_cells(sight: Sight) -> tuple[int, ...]:
    """The HARD cells of a path that was looked at."""
    tail: Tail
    tail, _, own, _, _, _ = sight
    if len(own) <= HEADER:
        return tail.hard_cells
    return tail.hard_cells + tuple([own[at + CELL] for at in own[0].spares])
