"""Sights: what was looked at, as resources and as places.

Here: which cells and rows a sight is of. Not here: its numbers, and whether they suffice (decide.py).
"""

from collections.abc import Iterable

from stiggctl.answers import Sight
from stiggctl.decision.cells import CELL, HEADER, WIDTH, Stripe
from stiggctl.decision.tails import Branch, Tail


def places_of(sight: Sight) -> tuple[tuple[int, ...], int]:
    """Where the cells of a path's limits lie, HARD ones first, and how many those are."""
    tail: Tail
    tail, _, own, _, _, place = sight
    if len(own) <= HEADER:
        return tail.places, tail.hard
    branch: Branch = own[0]
    start = place + HEADER
    soft = start + WIDTH * len(branch.spares)
    own_hard, own_soft = range(start, soft, WIDTH), range(soft, place + branch.width, WIDTH)
    return (*own_hard, *tail.places, *own_soft), tail.hard + len(own_hard)


def cells_of(stripe: Stripe, sight: Sight) -> dict[int, int]:
    """cell -> place, of every cell of a path, its grants too. The caller has the lock."""
    return {stripe.numbers[at + CELL]: at for at in all_places_of(sight)}


def limiting_cells(sights: Iterable[Sight]) -> set[int]:
    """Every cell of a path that limits: HARD ones, and those of its grants."""
    return {cell for sight in sights for cell in (*hard_cells(sight), *sight[0].grant_cells)}


def all_places_of(sight: Sight) -> tuple[int, ...]:
    """Where the cells of a path lie: of its limits, then of its grants."""
    tail: Tail = sight[0]
    return (*places_of(sight)[0], *tail.grant_places)


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
