"""Nodes: resources as a plain tree, and the pool of a customer, as they are at an instant.

Here: what paths are compiled of. Not here: how (paths.py), where they are read (holder/trees.py).
"""

from typing import NamedTuple

from stiggctl.answers import Refusal
from stiggctl.decision.cells import NEVER, CellNumbers
from stiggctl.decision.pools import Coming
from stiggctl.scopes import EVERYTHING
from stiggctl.windows import ALWAYS


class Node(NamedTuple):
    """A resource of the tree, as it is at an instant. `cells` are those of its own limits, HARD first."""

    resource_id: str
    row: int
    type_id: str
    parent: "Node | None"
    refusal: Refusal | None
    cells: list[CellNumbers]
    from_us: int = ALWAYS.start_us  #: its limits and their windows are these from then on …
    until_us: int = ALWAYS.end_us  #: … until then
    #: what took place from then on counts in the same cells; None: from `from_us` on
    counts_from_us: int | None = None

    def lineage(self) -> "list[Node]":
        """It and all its ancestors, itself first."""
        found, node = [], self
        while True:
            found.append(node)
            if node.parent is None:
                return found
            node = node.parent

    @property
    def is_scoped(self) -> bool:
        """Whether a limit of its own counts only some requests."""
        return any(one.terms.scope != EVERYTHING for one in self.cells)


class Pool(NamedTuple):
    """The pool of a customer at an instant: its open grants in drain order, and what comes."""

    node: Node  #: CUSTOMER; its cells are the grants
    coming: tuple[Coming, ...] = ()


def until_of(refusal: Refusal | None) -> int:
    """Until when it refuses; NEVER where that has no end, or there is none."""
    return NEVER if refusal is None or refusal.until_us is None else refusal.until_us
