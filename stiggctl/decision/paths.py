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

A limit may count only some requests (its scope): which of them a request meets follows from its
dimensions, so the values of those that scopes name are a part of what a tail is found by.

  P1  A tail belongs to a branch (what resources with one parent and like limits share), to one
      version of the customer's model, and to a time in which the same limits are in force, in the
      same windows; where one of these is another, it is compiled anew. So is one that names a
      resource whose record was laid anew since.
  P2  If the first resource is itself above or among the others, or one of its own limits has a
      scope, its cells are in the tail, and its own record is not counted again
      (`first in tail.ids`).
  P3  A path with a refusal denies whatever its numbers are.
"""

from collections.abc import Callable, Iterable, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

from stiggctl.answers import (
    NOT_LIMITS,
    AccessDeniedReason,
    Circumstances,
    RawLimit,
    Refusal,
    Sight,
    Terms,
)
from stiggctl.decision.cells import ALLOTTED, HEADER, LIMIT, NEVER, SPARE, USED, WIDTH, CellNumbers, Strand
from stiggctl.decision.laying import lay_record, place_of
from stiggctl.decision.meeting import Meeting, Texts, key_of
from stiggctl.scopes import EVERYTHING
from stiggctl.windows import ALWAYS

#: A branch keeps at most so many tails, and forgets the oldest: requests that name their
#: most particular resource last would else keep one a user. With a tenth, a few hundred
#: features in dozens of regions would already be compiled again and again.
TAILS_MAX = 10_000
#: From so many branches on, those whose windows are over are looked for, each time that there are
#: twice as many as were left the last time.
BRANCHES_KEPT = 64


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


class Own(NamedTuple):
    """How a limit of a record is told."""

    hard: bool
    allocation_id: str  #: "": nobody gave it an id
    terms: Terms


class Branch:
    """What resources with one parent and like limits share: their tails, by what else is named."""

    __slots__ = ("depth", "from_us", "own", "spares", "tails", "type_id", "until_us", "version", "width")

    def __init__(self, node: Node, version: int) -> None:
        self.version = version
        self.type_id = node.type_id
        self.depth = len(node.lineage()) - 1
        self.own = tuple(Own(one.hard, one.allocation_id, one.terms) for one in node.cells)
        self.width = HEADER + WIDTH * len(node.cells)
        #: where the spares of the HARD ones stand in the record
        self.spares = tuple(HEADER + WIDTH * at + SPARE for at, one in enumerate(node.cells) if one.hard)
        self.from_us = node.from_us
        self.until_us = node.until_us
        #: by the other ids, and, where scopes name dimensions, what the request says of those
        self.tails: dict[tuple[str | Texts, ...], Tail] = {}


class Label(NamedTuple):
    """How a limit of a tail is told."""

    depth: int
    resource_type_id: str
    resource_id: str
    allocation_id: str
    hard: bool
    limit: int
    terms: Terms


class Tail:
    """All cells of a path but the first resource's own, HARD ones first."""

    __slots__ = (
        "cells",
        "from_us",
        "gather",
        "hard",
        "hard_cells",
        "hard_ones",
        "ids",
        "labels",
        "laid",
        "members",
        "places",
        "refusal",
        "strand",
        "until_us",
        "valid_until_us",
        "windows_end_us",
    )

    gather: Callable[[list[int]], tuple[int, ...]]

    def __init__(
        self,
        strand: Strand,
        nodes: Sequence[Node],
        refusal: Refusal | None,
        *,
        lead: Node | None,
        meeting: Meeting,
        lies: "Lies",
    ) -> None:
        """`lead`: the first resource, whose own cells are not in it; `lies`: where a cell of a node lies."""
        self.strand = strand
        self.refusal = refusal
        self.ids = frozenset(node.resource_id for node in nodes)
        self.members = tuple(sorted(node.row for node in nodes))
        found: list[tuple[int, int, Label]] = []
        for node in nodes:
            depth = len(node.lineage()) - 1
            for one in node.cells:
                if meeting.meets(one.terms.scope):
                    label = Label(
                        depth,
                        node.type_id,
                        node.resource_id,
                        one.allocation_id,
                        one.hard,
                        one.limit,
                        one.terms,
                    )
                    found.append((lies(strand, node, one), one.cell, label))
        found.sort(key=lambda one: not one[2].hard)
        places = [at for at, _, _ in found]
        self.labels = tuple(label for _, _, label in found)
        self.hard = sum(label.hard for label in self.labels)
        self.hard_ones = range(self.hard)
        self.places = tuple(places)
        self.cells = tuple(cell for _, cell, _ in found)
        self.hard_cells = self.cells[: self.hard]
        self.gather = _gatherer(places)
        led = [*nodes, *([] if lead is None else [lead])]
        self.from_us = max((node.from_us for node in led), default=ALWAYS.start_us)
        self.until_us = min((node.until_us for node in led), default=ALWAYS.end_us)
        refusals = [_until(node.refusal) for node in led] + [_until(refusal)]
        self.valid_until_us = min(self.until_us, *refusals)
        terms = [label.terms for label in self.labels] + [one.terms for one in (lead.cells if lead else ())]
        ends = [each.window_end_us for each in terms if not each.only_counts]
        #: when the first of its windows is over: what is booked afterwards is late
        self.windows_end_us = min((end for end in ends if end is not None), default=NEVER)
        self.laid = strand.laid

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
            if not label.terms.only_counts
        ]
        if len(own) > HEADER:
            branch: Branch = own[0]
            for (hard, allocation_id, terms), at in zip(
                branch.own, range(HEADER, len(own), WIDTH), strict=True
            ):
                if terms.only_counts:
                    continue
                label = Label(
                    branch.depth,
                    branch.type_id,
                    first,
                    allocation_id or f"{first}/{self.credit_currency}",
                    hard,
                    own[at + LIMIT],
                    terms,
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
            terms=label.terms,
        )


#: Where a cell of a node lies. The caller has the lock.
Lies = Callable[[Strand, Node, CellNumbers], int]


def in_record(strand: Strand, node: Node, one: CellNumbers) -> int:
    """In the record of its resource, which is laid."""
    return strand.leaves[node.resource_id] + HEADER + WIDTH * node.cells.index(one)


def anywhere(strand: Strand, node: Node, one: CellNumbers) -> int:
    """Wherever it is, or else loose: a cell of another instant."""
    end_us = one.terms.window_end_us
    return place_of(strand, node.resource_id, one, 0 if end_us is None else end_us)


def compile_path(
    strand: Strand,
    named: Sequence[Node],
    *,
    version: int,
    meeting: Meeting,
    refuse_unlimited: bool,
    customer_refusal: Refusal | None,
) -> None:
    """Lay the records of all nodes of a request and compile its tail; the caller has the lock.

    `named` are the nodes that the request names, in its order; the first leads.
    """
    stripe, first = strand.stripe, named[0]
    rest = key_of([node.resource_id for node in named[1:]], meeting)
    union = _union(named)
    others = ([] if first.parent is None else [first.parent]) + list(named[1:])
    nodes = _union([first, *others] if first.is_scoped else others)
    for node in union:
        lay_record(strand, node.resource_id, node.row, _branch(strand, node, version), node.cells)
    # Before the tail: from here on it is known that a record laid anew makes it stale.
    strand.in_tails.update(node.resource_id for node in nodes)
    branch = _branch(strand, first, version)
    refusals = [customer_refusal, *(node.refusal for node in union)]
    limits = [one.terms for node in union for one in node.cells if not one.terms.only_counts]
    if refuse_unlimited and not any(meeting.meets(terms.scope) for terms in limits):
        refusals.append(
            Refusal(
                AccessDeniedReason.NO_ALLOCATION,
                f"customer {stripe.customer_id}",
                f"has no allocation in {strand.credit_currency} on what was asked for or above it, "
                "and default_access is deny",
            )
        )
    if len(branch.tails) >= TAILS_MAX:
        del branch.tails[next(iter(branch.tails))]
    refusal = _foremost(refusals)
    branch.tails[rest] = Tail(strand, nodes, refusal, lead=first, meeting=meeting, lies=in_record)


def tail_of_members(
    strand: Strand, nodes: Sequence[Node], *, meeting: Meeting, customer_refusal: Refusal | None
) -> Tail:
    """A path of just these nodes, with nothing before it: of one that was admitted before, or is late.

    Their cells may be those of any instant. The caller has the lock.
    """
    refusal = _foremost([customer_refusal, *(node.refusal for node in nodes)])
    return Tail(strand, nodes, refusal, lead=None, meeting=meeting, lies=anywhere)


def _branch(strand: Strand, node: Node, version: int) -> Branch:
    """The branch that resources like this one share."""
    key = (
        version,
        None if node.parent is None else node.parent.resource_id,
        node.type_id,
        tuple((one.hard, one.allocation_id, one.terms) for one in node.cells),
        node.refusal,
        # Its cells are in its tails, so they are nobody else's.
        node.resource_id if node.is_scoped else None,
        node.from_us,
        node.until_us,
    )
    branches = strand.branches
    found = branches.get(key)
    if found is None:
        if branches and next(iter(branches))[0] != version:
            branches = strand.branches = {}
        if len(branches) >= strand.branches_max:
            branches = {key: one for key, one in branches.items() if one.until_us > node.from_us}
            strand.branches, strand.branches_max = branches, max(BRANCHES_KEPT, 2 * len(branches))
        found = branches[key] = Branch(node, version)
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
