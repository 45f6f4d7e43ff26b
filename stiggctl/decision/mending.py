"""Mending: what an interrupt tore, counted anew.

Ctrl-C, a soft time limit, a signal handler that raises: each may end a change of a stripe between
two of its steps, and leave spare that fits no hold. What does not follow from anything else, the
holds and what is granted, is changed in single steps; so the rest can be counted again.

Here: counting anew. Not here: the mark (`Stripe.tear`), what is changed step by step (decide.py,
reservations.py), what the ledger is asked where an exchange was interrupted (holder/exchange.py).

  MD1  A torn stripe is marked before its lock is free, and mended before anything is decided on it.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from stiggctl.decision.cells import (
    ALLOTTED,
    CELL,
    SPARE,
    USED,
    NumbersOfCell,
    Stripe,
    give_back_above,
)
from stiggctl.decision.holds import HELD, moved_hold
from stiggctl.decision.laying import all_cells
from stiggctl.decision.orphans import note_orphans
from stiggctl.decision.pools import square_pool
from stiggctl.decision.receding import note_company, recede


def mend(stripe: Stripe) -> None:
    """Count every spare anew, if it is torn; the caller has the lock."""
    if not stripe.torn:
        return
    numbers, places = stripe.numbers, all_cells(stripe)
    for number, hold in list(stripe.holds.items()):
        # Some may lie where a record was about to move from, or to.
        lie = {at: places.get(numbers[at + CELL]) for held in hold[HELD] for at in held[0]}
        stripe.holds[number] = moved_hold(hold, lie)
    apart = {places.get(numbers[at + CELL], at): units for at, units in stripe.apart.items()}
    stripe.apart.clear()
    stripe.apart.update(apart)
    recount(stripe, places.values())
    stripe.torn = False


def recount(stripe: Stripe, places: Iterable[int]) -> None:
    """Spare of those cells, from what is granted, held and set apart (C1); the caller has the lock."""
    stripe.rests = False
    held: defaultdict[int, int] = defaultdict(int, stripe.apart)
    for hold in stripe.holds.values():
        for of_hold, units, *_ in hold[HELD]:
            for at in of_hold:
                held[at] += units
    for at in places:
        withheld = sum(units for units, _ in stripe.orphans.get(at, ()))
        stripe.numbers[at + SPARE] = stripe.numbers[at + ALLOTTED] - withheld - held[at]
        give_back_above(stripe, at)
    for strand in stripe.pooled:
        square_pool(stripe, strand)
    if stripe.exact:
        recede(stripe)


def retell(stripe: Stripe, cells: Mapping[int, NumbersOfCell]) -> None:
    """Take over what the ledger says of the cells at those places, whatever memory has (C2, C3).

    For where nobody knows what an exchange did. The caller has the lock.
    """
    numbers = stripe.numbers
    for at, told in cells.items():
        note_orphans(stripe, at, told.orphans)
        note_company(stripe, at, told, told.granted)
        # What has left spare and is not told yet is still in the ledger's number (C2).
        granted = told.granted - stripe.gives.get(numbers[at + CELL], 0)
        numbers[at + USED] = told.used
        numbers[at + ALLOTTED] = granted + sum(units for units, _ in told.orphans)
    recount(stripe, cells)
