"""Receding: spare that others may want goes back.

Here: which shares are exact, what others certainly hold and what they may hide, as the ledger told it
last; spare that leaves at once. Pure. Not here: when others want it (holder/recalling.py), what the
ledger makes of it (ledger/).

  RD1  An exact share has no spare: what falls free of it leaves in the step in which it falls free, and
       the ledger hears of it before whoever set it free is told, or at the next beat. So near a limit
       the ledger alone knows what is free, and its no is true.
  RD2  A share is exact in memory before the ledger hears of it, and not exact only after the ledger has
       said so: nothing is ever hidden under a share that others take for exact.
  RD3  Alone nothing of this begins: no share becomes exact, and nobody hides anything. One that was exact
       stays so until its process draws again.
  RD4  In company, the spare of a customer for whom nothing is decided leaves before anybody wants it.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from stiggctl.decision.cells import CELL, SPARE, Company, Strand, Stripe, give_back
from stiggctl.decision.laying import all_cells

if TYPE_CHECKING:
    from stiggctl.decision.tails import Branch


class Recalled(NamedTuple):
    """A cell of which somebody wants what this process has to spare, and its share as the ledger has it."""

    cell: int
    granted: int


def note_company(stripe: Stripe, place: int, told: Company, granted: int) -> None:
    """What the ledger says of the others there. The caller has the lock."""
    cell = stripe.numbers[place + CELL]
    if told.exact and granted > 0:
        stripe.exact[cell] = place
    elif stripe.exact:
        stripe.exact.pop(cell, None)
    if told.hidden:
        stripe.hidden[cell] = told.hidden
    elif stripe.hidden:
        stripe.hidden.pop(cell, None)


def recall(stripe: Stripe, place: int) -> None:
    """Somebody wants what is spare there: from now on this process's share is exact (RD2).

    The caller has the lock, and lets the spare leave (`recede`).
    """
    cell = stripe.numbers[place + CELL]
    if cell not in stripe.exact:
        stripe.exact[cell] = place
        stripe.owe(cell, 0)  # also where there is nothing to give, the ledger is to hear it


def recede(stripe: Stripe, recalled: Iterable[Recalled] = ()) -> None:
    """Let the spare of exact shares leave, and of those that are recalled: from now on they are exact.

    The caller has the lock, and no exchange is under way.
    """
    lying: dict[int, int] | None = None  # of all cells; looked for once at most
    numbers = stripe.numbers
    for cell, granted in recalled:
        if cell in stripe.exact:  # the ledger was told while nobody else was there, and forgot
            stripe.owe(cell, 0)
        else:
            lying = all_cells(stripe) if lying is None else lying
            if cell in lying:
                recall(stripe, lying[cell])
            else:
                _forsake(stripe, cell, granted)
    for cell, place in list(stripe.exact.items()):
        if numbers[place + CELL] != cell:
            lying = all_cells(stripe) if lying is None else lying
            if cell not in lying:
                del stripe.exact[cell]  # it was laid down; who lays it again is told what it is
                continue
            place = stripe.exact[cell] = lying[cell]  # noqa: PLW2901 - where it lies now
        give_back(stripe, place, numbers[place + SPARE])


def _forsake(stripe: Stripe, cell: int, granted: int) -> None:
    """Give all of it back: it lies nowhere, so nothing is held of it.

    Who has read its row just now, to lay it, must not lay what is on its way back: so every path is
    looked for again (Trees.load lays only under the version under which it read).
    """
    units = granted - stripe.gives.get(cell, 0)
    if units > 0:
        stripe.version += 1
        stripe.owe(cell, units)


def rest(strand: Strand, resource_ids: Iterable[str]) -> None:
    """Let all leave that the limits of these resources have to spare (RD4); the caller has the lock."""
    numbers = strand.stripe.numbers
    for resource_id in resource_ids:
        place = strand.leaves.get(resource_id)
        if place is not None:
            branch: Branch = numbers[place]  # type: ignore[assignment]  # the header is no number
            for spare in branch.spares:
                give_back(strand.stripe, place + spare - SPARE, numbers[place + spare])
