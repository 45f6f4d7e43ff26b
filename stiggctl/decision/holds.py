"""Holds: credits set aside, as they lie in memory.

Here: what a hold is and says. Not here: how one comes to be (decide.py), grows (moving.py) and ends
(reservations.py).

  R2  A hold is replaced, never changed: who has looked at one keeps what it saw.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from stiggctl.answers import Sight
from stiggctl.decision.cells import Strand

#: Places that hold it (HARD ones first), how much, how many are HARD, of which currency; and whether it
#: is a grant, of those that the pool holds it of: they come after the limits, in drain order, each that
#: was open, also where it holds nothing.
Held = tuple[tuple[int, ...], int, int, Strand, bool]


def held_of_pool(strand: Strand, stakes: Iterable[tuple[int, int]]) -> tuple[Held, ...]:
    """(place, units) of each grant, as a hold has them; of none, that there is a pool all the same."""
    return tuple([((place,), units, 1, strand, True) for place, units in stakes]) or (
        ((), 0, 0, strand, True),
    )


#: Credits set aside, in every cell of a path at once: its number, the clock reading that admitted it, when it
#: ends, of what it holds how much, and the numbers that it met. A plain tuple: as an object it would take a
#: twentieth of a decision's time to make.
Hold = tuple[int, int, int, tuple[Held, ...], tuple[Sight, ...]]
NUMBER: Final = 0
BEGAN_US: Final = 1
ENDS_US: Final = 2
HELD: Final = 3
SIGHTS: Final = 4


def moved_hold(hold: Hold, moved: Mapping[int, int | None]) -> Hold:
    """The same, where the cells lie now; cells that are gone no longer hold anything."""
    number, began_us, ends_us, before, sights = hold
    held: list[Held] = []
    for places, units, hard, strand, pays in before:
        there = [moved.get(place, place) for place in places]
        kept = tuple(place for place in there if place is not None)
        still_hard = sum(place is not None for place in there[:hard])
        held.append((kept, units, still_hard, strand, pays))
    return number, began_us, ends_us, tuple(held), sights


def units_of(hold: Hold) -> dict[str, int]:
    """How much it holds, by currency."""
    total: dict[str, int] = {}
    for _, units, _, strand, pays in hold[HELD]:
        if not pays:
            total[strand.credit_currency] = total.get(strand.credit_currency, 0) + units
    return total


def has_pool(hold: Hold, strand: Strand) -> bool:
    """Whether a pool holds it too, in a currency; none of its grants may have been open."""
    return any(pays and of is strand for _, _, _, of, pays in hold[HELD])


def stakes_of(hold: Hold, strand: Strand) -> list[tuple[int, int]]:
    """(place, units) of each grant of a currency that it holds, in drain order."""
    return [
        (place, units)
        for places, units, _, of, pays in hold[HELD]
        if pays and of is strand
        for place in places
    ]
