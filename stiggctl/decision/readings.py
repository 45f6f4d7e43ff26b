"""Readings: rows of cells that are read to be laid, and what is told to the ledger meanwhile. Pure.

Here: whether a row was overtaken. Not here: what is read (holder/trees.py), how it is laid (laying.py).

  RG1  A cell that lies nowhere is not laid from a row of which something was given back since it was read:
       that would be spare once more, and be given back twice.
"""

import contextlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Self

from stiggctl.decision.laying import all_cells
from stiggctl.locks import await_turn

if TYPE_CHECKING:
    from stiggctl.decision.cells import Stripe
    from stiggctl.decision.nodes import Node


class Reading:
    """From before rows are read until they are laid."""

    __slots__ = ("_stripe", "_told")

    def __init__(self, stripe: "Stripe") -> None:
        self._stripe = stripe
        self._told: set[int] = set()  # cells; under the stripe's lock

    def __enter__(self) -> Self:
        stripe = self._stripe
        await_turn(stripe.lock, stripe)
        with stripe.lock:
            # What is on its way is in the ledger's number now, and may be no more before it is read.
            self._told.update(stripe.leaving)
            stripe.readings.append(self)
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(ValueError):  # an interrupt came before it stood there
            self._stripe.readings.remove(self)

    def hear(self, cells: Iterable[int]) -> None:
        """Something of these is given back; the caller has the lock."""
        self._told.update(cells)

    def is_overtaken(self, nodes: Iterable["Node"]) -> bool:
        """Whether a cell of these would be laid from a row that is not true any more (RG1).

        One that lies somewhere stays as it is, whatever its row says. The caller has the lock.
        """
        told = self._told and self._told & {one.cell for node in nodes for one in node.cells}
        return bool(told) and not told <= all_cells(self._stripe).keys()


def tell(stripe: "Stripe") -> None:
    """What has left spare is about to be told to the ledger; the caller has the lock."""
    for reading in list(stripe.readings):
        reading.hear(stripe.leaving)


def has_told(stripe: "Stripe") -> None:
    """It was, or somebody finds out whether it was; the caller has the lock."""
    tell(stripe)
    stripe.leaving = {}
