"""Paths: a request's resources -> the cells it touches, compiled once.

Here: nodes (resources as a plain tree), branches and tails, and how what was gathered from
them is told as limits.
Not here: how cells lie (cells.py), whether an amount fits (decide.py), where nodes are read
(holder/trees.py).

A request names resources of one or several trees: ["user-01", "emea", "engineering"]. The
path is every cell of each and of all its ancestors, once, in whatever order they were named.
Requests of a million users share all but the user's own cells, so what is compiled and kept
is the *tail*: the cells of the first resource's ancestors, and of the others with theirs.
The first resource's own cells are found at its record, by one dict get.

  P1  A tail belongs to a branch (what resources with one parent and like limits share) and
      to one version of the customer's model; either being older, it is compiled anew.
  P2  If the first resource is itself above or among the others, its cells are in the tail,
      and its own record is not counted again (`first in tail.ids`).
  P3  A path with a refusal denies whatever its numbers are.
"""

from collections.abc import Callable, Iterable, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

from stiggctl.answers import NOT_LIMITS, AccessDeniedReason, Circumstances, RawLimit, Refusal, Sight
from stiggctl.decision.cells import (
    ALLOTTED,
    HEADER,
    LIMIT,
    NEVER,
    SPARE,
    USED,
    WIDTH,
    CellNumbers,
    Strand,
    lay_record,
)

#: A branch keeps at most so many tails, and forgets the oldest: requests that name their
#: most particular resource last would else keep one a user. With a tenth, a few hundred
#: features in dozens of regions would already be compiled again and again.
TAILS_MAX = 10_000


class Node(NamedTuple):
    """A resource of the tree, as it is now. `cells` are those of its own limits, HARD first."""

    resource_id: str
    row: int
    type_id: str
    parent: "Node | None"
    refusal: Refusal | None
    cells: list[CellNumbers]

    def lineage(self) -> "list[Node]":
        """It and all its ancestors, itself first."""
        found, node = [], self
        while True:
            found.append(node)
            if node.parent is None:
                return found
            node = node.parent


class Branch:
    """What resources with one parent and like limits share: their tails, by what else is named."""

    __slots__ = ("depth", "ids", "own", "spares", "tails", "type_id", "valid_until_us", "version", "width")

    def __init__(self, node: Node, version: int) -> None:
        self.version = version
        self.type_id = node.type_id
        self.depth = len(node.lineage()) - 1
        #: of each own limit: HARD?, and its allocation's id where a person gave it one
        self.own = tuple((one.hard, one.allocation_id) for one in node.cells)
        self.width = HEADER + WIDTH * len(node.cells)
        #: where the spares of the HARD ones stand in the record
        self.spares = tuple(HEADER + WIDTH * at + SPARE for at, one in enumerate(node.cells) if one.hard)
        self.valid_until_us = _until(node.refusal)
        self.tails: dict[tuple[str, ...], Tail] = {}


class Label(NamedTuple):
    """How a limit of a tail is told."""

    depth: int
    resource_type_id: str
    resource_id: str
    allocation_id: str
    hard: bool
    limit: int


class Tail:
    """All cells of a path but the first resource's own, HARD ones first."""

    __slots__ = (
        "cells",
        "gather",
        "hard",
        "hard_cells",
        "hard_ones",
        "ids",
        "labels",
        "members",
        "places",
        "refusal",
        "strand",
        "valid_until_us",
    )

    gather: Callable[[list[int]], tuple[int, ...]]

    def __init__(self, strand: Strand, nodes: Sequence[Node], refusal: Refusal | None) -> None:
        self.strand = strand
        self.refusal = refusal
        self.ids = frozenset(node.resource_id for node in nodes)
        self.members = tuple(sorted(node.row for node in nodes))
        found: list[tuple[int, int, Label]] = []
        for node in nodes:
            depth = len(node.lineage()) - 1
            start = strand.leaves[node.resource_id] + HEADER
            for at, one in zip(range(start, start + WIDTH * len(node.cells), WIDTH), node.cells, strict=True):
                label = Label(depth, node.type_id, node.resource_id, one.allocation_id, one.hard, one.limit)
                found.append((at, one.cell, label))
        found.sort(key=lambda one: not one[2].hard)
        places = [at for at, _, _ in found]
        self.labels = tuple(label for _, _, label in found)
        self.hard = sum(label.hard for label in self.labels)
        self.hard_ones = range(self.hard)
        self.places = tuple(places)
        self.cells = tuple(cell for _, cell, _ in found)
        self.hard_cells = self.cells[: self.hard]
        self.gather = _gatherer(places)
        self.valid_until_us = min([_until(node.refusal) for node in nodes] + [_until(refusal)], default=NEVER)

    @property
    def credit_currency(self) -> str:
        """The currency of all its cells."""
        return self.strand.credit_currency

    @property
    def decimals(self) -> int:
        """The decimals of that currency."""
        return self.strand.decimals

    def raw_limits(self, sight: Sight, circumstances: Circumstances) -> list[RawLimit]:
        """Every limit of the path, with the numbers that were gathered."""
        _, seen, own, first, units, place = sight
        many = len(self.labels)
        places = self.places
        raw = [
            self._raw(label, seen[at], seen[many + at], seen[2 * many + at], units, places[at], circumstances)
            for at, label in enumerate(self.labels)
        ]
        if len(own) > HEADER:
            branch: Branch = own[0]
            for (hard, allocation_id), at in zip(branch.own, range(HEADER, len(own), WIDTH), strict=True):
                label = Label(
                    branch.depth,
                    branch.type_id,
                    first,
                    allocation_id or f"{first}/{self.credit_currency}",
                    hard,
                    own[at + LIMIT],
                )
                spare, used, allotted = own[at + SPARE], own[at + USED], own[at + ALLOTTED]
                raw.append(self._raw(label, spare, used, allotted, units, place + at, circumstances))
        return raw

    def _raw(
        self,
        label: Label,
        spare: int,
        used: int,
        allotted: int,
        units: int,
        place: int,
        circumstances: Circumstances,
    ) -> RawLimit:
        frees = [
            (hold.ends_us, amount)
            for hold in circumstances.holds
            for places, amount, _, _ in hold.held
            if place in places and hold.ends_us != NEVER  # what is being booked never comes back
        ]
        frees += [(until_us, amount) for amount, until_us in circumstances.orphans.get(place, ())]
        return RawLimit(
            depth=label.depth,
            resource_type_id=label.resource_type_id,
            resource_id=label.resource_id,
            credit_currency=self.credit_currency,
            allocation_id=label.allocation_id or f"{label.resource_id}/{self.credit_currency}",
            decimals=self.decimals,
            hard=label.hard,
            limit=label.limit,
            used=used,
            held=allotted - spare,
            amount=units,
            frees=tuple(frees),
        )


def compile_path(
    strand: Strand,
    named: Sequence[Node],
    *,
    version: int,
    refuse_unlimited: bool,
    customer_refusal: Refusal | None,
) -> None:
    """Lay the records of all nodes of a request and compile its tail; the caller has the lock.

    `named` are the nodes that the request names, in its order; the first leads.
    """
    first, rest = named[0], tuple(node.resource_id for node in named[1:])
    for node in _union(named):
        lay_record(strand, node.resource_id, node.row, _branch(strand, node, version), node.cells)
    branch = _branch(strand, first, version)
    others = ([] if first.parent is None else [first.parent]) + list(named[1:])
    nodes = _union(others)
    unlimited = refuse_unlimited and not any(node.cells for node in _union(named))
    refusals = [customer_refusal, *(node.refusal for node in _union(named))]
    if unlimited:
        refusals.append(
            Refusal(
                AccessDeniedReason.NO_ALLOCATION,
                f"customer {strand.stripe.customer_id}",
                f"has no allocation in {strand.credit_currency} on what was asked for or above it, "
                "and default_access is deny",
            )
        )
    if len(branch.tails) >= TAILS_MAX:
        del branch.tails[next(iter(branch.tails))]
    branch.tails[rest] = Tail(strand, nodes, _foremost(refusals))


def tail_of_members(
    strand: Strand, nodes: Sequence[Node], *, version: int, customer_refusal: Refusal | None
) -> Tail:
    """A path of just these nodes, with nothing before it: of one that was admitted before.

    The caller has the lock.
    """
    for node in nodes:
        lay_record(strand, node.resource_id, node.row, _branch(strand, node, version), node.cells)
    return Tail(strand, nodes, _foremost([customer_refusal, *(node.refusal for node in nodes)]))


def _branch(strand: Strand, node: Node, version: int) -> Branch:
    """The branch that resources like this one share."""
    parent_id = None if node.parent is None else node.parent.resource_id
    key = (
        version,
        parent_id,
        node.type_id,
        tuple((one.hard, one.allocation_id) for one in node.cells),
        node.refusal,
    )
    found = strand.branches.get(key)
    if found is None:
        if strand.branches and next(iter(strand.branches))[0] != version:
            strand.branches = {}
        found = strand.branches[key] = Branch(node, version)
    return found


def _union(named: Iterable[Node]) -> list[Node]:
    """The nodes and all their ancestors, each once."""
    found: dict[str, Node] = {}
    for node in named:
        for one in node.lineage():
            found.setdefault(one.resource_id, one)
    return list(found.values())


def _foremost(refusals: Iterable[Refusal | None]) -> Refusal | None:
    """The refusal that is told of several: of one reason that which lasts longest."""
    return min(
        (refusal for refusal in refusals if refusal is not None),
        key=lambda refusal: (NOT_LIMITS.index(refusal.reason), -_until(refusal)),
        default=None,
    )


def _until(refusal: Refusal | None) -> int:
    return NEVER if refusal is None or refusal.until_us is None else refusal.until_us


def _gatherer(places: Sequence[int]) -> Callable[[list[int]], tuple[int, ...]]:
    """One C call that gathers all spares, then all used, then all allotted."""
    if not places:
        return _nothing
    wanted = [at + field for field in (SPARE, USED, ALLOTTED) for at in places]
    gather: Any = itemgetter(*wanted)
    return gather  # type: ignore[no-any-return]  # typeshed's itemgetter returns Any


def _nothing(numbers: list[int]) -> tuple[int, ...]:
    del numbers
    return ()
