"""Pools: how the open grants of a customer pay together, and who of them pays what.

Here: whether a pool covers an amount and how it is split, what is given back where it is overdrawn,
when it will have more. Pure. Not here: which grants are open, in which order they drain
(holder/pools.py), the comparison with limits (decide.py), how the ledger draws (ledger/).

  PL1  A grant pays only for what those before it in drain order cannot pay: where one of them has
       room that this process has not drawn, memory says no, and the ledger is asked.
  PL2  What was overdrawn on one grant is paid by the others (shares.drawable), so all that is held and
       used of a pool never exceeds its grants together.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from stiggctl.decision.cells import (
    ALLOTTED,
    CUSTOMER,
    HEADER,
    LIMIT,
    NEVER,
    SPARE,
    USED,
    WIDTH,
    Strand,
    Stripe,
    give_back,
)
from stiggctl.shares import drawable


class Grant(NamedTuple):
    """A grant of a pool, as its path tells it; in drain order."""

    grant_id: str
    amount_units: int
    until_us: int  #: when it is open no more; NEVER


class Coming(NamedTuple):
    """Credits that a pool will have for a time: a grant that begins, or begins anew."""

    from_us: int
    until_us: int
    units: int


class Numbers(NamedTuple):
    """What is spare, used and allotted of each grant, in drain order."""

    spare: Sequence[int]
    used: Sequence[int]
    allotted: Sequence[int]


def split(grants: Sequence[Grant], numbers: Numbers, units: int) -> list[int] | None:
    """What each grant pays of an amount, from this process's share.

    None where that does not cover it, or an earlier grant has room that was not drawn (PL1).
    """
    spare, used, allotted = numbers
    if units <= spare[0] if spare else units == 0:
        return [units, *[0] * (len(spare) - 1)] if spare else []
    left, paid = units, []
    may: list[int] | None = None  # what may be drawn of each; seldom asked, for alone all is drawn
    for at, has in enumerate(spare):
        pays = max(0, min(left, has))
        left -= pays
        paid.append(pays)
        if left and grants[at].amount_units - used[at] - allotted[at] > 0:
            may = drawable(_free(grants, numbers)) if may is None else may
            if may[at]:
                return None
    return None if left else paid


def _free(grants: Sequence[Grant], numbers: Numbers) -> list[int]:
    """What is free of each in the ledger, as of the last contact."""
    _, used, allotted = numbers
    return [grant.amount_units - u - a for grant, u, a in zip(grants, used, allotted, strict=True)]


def most_of(grants: Sequence[Grant], numbers: Numbers) -> int:
    """The largest amount that `split` would split."""
    total = 0
    for has, drawn in zip(numbers.spare, drawable(_free(grants, numbers)), strict=True):
        total += max(0, has)
        if drawn:
            break
    return total


def room_of(grants: Sequence[Grant], numbers: Numbers) -> int:
    """What is left of them together; less than 0 where they are overdrawn."""
    spare, used, allotted = numbers
    return sum(grant.amount_units for grant in grants) - sum(used) - sum(allotted) + sum(spare)


def places_of_pool(strand: Strand) -> range:
    """Where the grants lie that were open when last looked, in drain order. The caller has the lock."""
    place = strand.leaves.get(CUSTOMER)
    if place is None:
        return range(0)
    branch = strand.stripe.numbers[place]
    return range(place + HEADER, place + branch.width, WIDTH)  # type: ignore[attr-defined]  # no number


def square_pool(stripe: Stripe, strand: Strand) -> None:
    """Give back what of its spare is above what the pool has (C6); the caller has the lock.

    The first in drain order that has some pays for what was overdrawn on others.
    """
    places = places_of_pool(strand)
    if not places:
        return
    numbers = stripe.numbers
    above = sum(numbers[at + USED] + numbers[at + ALLOTTED] - numbers[at + LIMIT] for at in places)
    for at in places:
        if above <= 0:
            return
        back = min(above, max(0, numbers[at + SPARE]))
        give_back(stripe, at, back)
        above -= back


def comings_and_goings(
    rooms: Sequence[tuple[int, int]],
    frees: Iterable[tuple[int, int, int]],
    coming: Sequence[Coming],
) -> tuple[tuple[int, int], ...]:
    """(instant, units more or less) of what a pool will have, if nothing more is spent.

    `rooms`: what is left of each open grant, and until when it is open; `frees`: (grant's place among
    them, instant, units) of what is held of it.

    >>> comings_and_goings([(5, 100)], [(0, 20, 3)], [Coming(50, NEVER, 9)])
    ((20, 3), (50, 9), (100, -8))
    """
    held = [one for one in frees if one[1] != NEVER]
    edges = {until_us for _, until_us in rooms} | {at_us for _, at_us, _ in held}
    edges |= {edge for one in coming for edge in one[:2]}
    before, changes = sum(room for room, _ in rooms), []
    for at_us in sorted(edges - {NEVER}):
        now = sum(room for room, until_us in rooms if at_us < until_us)
        now += sum(units for grant, ends_us, units in held if ends_us <= at_us < rooms[grant][1])
        now += sum(one.units for one in coming if one.from_us <= at_us < one.until_us)
        if now != before:
            changes.append((at_us, now - before))
        before = now
    return tuple(changes)
