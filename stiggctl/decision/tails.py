"""Tails: what of a path many requests share, compiled once, and the branches that they hang on.

Here: a branch, a tail, where their cells lie. Not here: when they are compiled (paths.py), how they
are told as limits (telling.py), whether an amount fits (decide.py).
"""

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

from stiggctl.answers import Circumstances, RawLimit, Refusal, Sight, Terms
from stiggctl.decision.cells import (
    ALLOTTED,
    CUSTOMER,
    HEADER,
    NEVER,
    SPARE,
    USED,
    WIDTH,
    CellNumbers,
    Strand,
)
from stiggctl.decision.laying import place_of
from stiggctl.decision.meeting import Meeting, Texts
from stiggctl.decision.nodes import Node, Pool, until_of
from stiggctl.decision.pools import Grant, Numbers
from stiggctl.decision.telling import Label, raw_limits
from stiggctl.decision.unrolled import Shape, loops
from stiggctl.windows import ALWAYS


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


class Tail:
    """All cells of a path but the first resource's own, HARD ones first."""

    __slots__ = (
        "alone",
        "beside",
        "cells",
        "coming",
        "counts_from_us",
        "first_grant",
        "from_us",
        "gather",
        "grant_cells",
        "grant_places",
        "grants",
        "hard",
        "hard_cells",
        "has_pool",
        "ids",
        "is_plain",
        "kin",
        "labels",
        "laid",
        "many",
        "members",
        "others_pay",
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
        pool: Pool | None,
        meeting: Meeting,
        lies: "Lies",
    ) -> None:
        """`lead`: the first resource, whose own cells are not in it; `lies`: where a cell of a node lies."""
        self.strand = strand
        self.refusal = refusal
        # Of the customer's own record nothing is ever gathered beside the pool.
        self.ids = frozenset([CUSTOMER, *(node.resource_id for node in nodes)])
        #: those of them that may lead a path of this branch: their own record is not counted again (P2)
        self.kin = self.ids if lead is None else _siblings(lead, nodes)
        self.members = tuple(sorted(node.row for node in nodes))
        found = [
            (lies(strand, node, one), one.cell, _label(node, one))
            for node in nodes
            for one in node.cells
            if meeting.meets(one.terms.scope)
        ]
        found.sort(key=lambda one: not one[2].hard)
        places = [at for at, _, _ in found]
        self.labels = tuple(label for _, _, label in found)
        self.hard = sum(label.hard for label in self.labels)
        self.places = tuple(places)
        self.cells = tuple(cell for _, cell, _ in found)
        self.hard_cells = self.cells[: self.hard]
        self.has_pool = pool is not None
        self.is_plain = pool is None and refusal is None  #: its limits decide, and nothing else
        granted = [] if pool is None else pool.node.cells
        self.coming = () if pool is None else pool.coming
        self.grants = tuple([_grant(one) for one in granted])
        self.grant_cells = tuple([one.cell for one in granted])
        self.grant_places = tuple([] if pool is None else [lies(strand, pool.node, one) for one in granted])
        #: where the grants' numbers begin among those that are gathered, and how many cells there are
        self.first_grant, self.many = len(places), len(places) + len(granted)
        self.others_pay = (0,) * (len(granted) - 1)  #: where the first pays all
        self.gather = _gatherer([*places, *self.grant_places])
        led = [*nodes, *([] if lead is None else [lead]), *([] if pool is None else [pool.node])]
        self.from_us = max((node.from_us for node in led), default=ALWAYS.start_us)
        self.until_us = min((node.until_us for node in led), default=ALWAYS.end_us)
        counts = [node.from_us if node.counts_from_us is None else node.counts_from_us for node in led]
        self.counts_from_us = max(counts, default=ALWAYS.start_us)
        refusals = [until_of(node.refusal) for node in led] + [until_of(refusal)]
        self.valid_until_us = min(self.until_us, *refusals)
        own = lead.cells if lead is not None and lead.resource_id != CUSTOMER else ()
        own_hard = sum(one.hard for one in own)
        shape = Shape(self.hard, len(places) - self.hard, own_hard, len(own) - own_hard)
        #: where the first resource's own record counts beside it, and where it does not (P2)
        self.beside, self.alone = loops(shape), loops(Shape(shape.hard, shape.soft))
        terms = [label.terms for label in self.labels] + [one.terms for one in own]
        # A rolling window is never over: what is late counts in it, or does no more.
        ends = [each.window_end_us for each in terms if not each.only_counts and each.bucket_us is None]
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

    def is_of(self, at_us: int) -> bool:
        """Whether it is the path of that instant."""
        return self.from_us <= at_us < self.valid_until_us

    def raw_limits(self, sight: Sight, circumstances: Circumstances) -> list[RawLimit]:
        """Every limit of the path, with the numbers that were gathered; the pool last."""
        return raw_limits(self, sight, circumstances)

    def numbers_of_pool(self, seen: tuple[int, ...]) -> Numbers:
        """What of the numbers that were gathered is of the grants."""
        first, many = self.first_grant, self.many
        return Numbers(seen[first:many], seen[many + first : 2 * many], seen[2 * many + first :])

    def drawn_of_pool(self, seen: tuple[int, ...]) -> Numbers:
        """The same, with all that was granted of them: also what others may have to spare (C7)."""
        numbers, hidden = self.numbers_of_pool(seen), self.strand.stripe.hidden
        if not hidden:
            return numbers
        granted = [
            units + hidden.get(cell, 0)
            for units, cell in zip(numbers.allotted, self.grant_cells, strict=True)
        ]
        return numbers._replace(allotted=granted)


def _siblings(lead: Node, nodes: Sequence[Node]) -> frozenset[str]:
    """The ids of those with the parent of this one, as all of its branch have it."""
    above = _parent_id(lead)
    found = [node.resource_id for node in nodes if _parent_id(node) == above]
    return frozenset([CUSTOMER, *found] if above is None else found)


def _parent_id(node: Node) -> str | None:
    return None if node.parent is None else node.parent.resource_id


def _label(node: Node, one: CellNumbers) -> Label:
    depth = len(node.lineage()) - 1
    return Label(depth, node.type_id, node.resource_id, one.allocation_id, one.hard, one.limit, one.terms)


def _grant(one: CellNumbers) -> Grant:
    until_us = one.terms.window_end_us
    return Grant(one.allocation_id, one.limit, NEVER if until_us is None else until_us)


#: Where a cell of a node lies. The caller has the lock.
Lies = Callable[[Strand, Node, CellNumbers], int]


def in_record(strand: Strand, node: Node, one: CellNumbers) -> int:
    """In the record of its resource, which is laid."""
    return strand.leaves[node.resource_id] + HEADER + WIDTH * node.cells.index(one)


def anywhere(strand: Strand, node: Node, one: CellNumbers) -> int:
    """Wherever it is, or else loose: a cell of another instant."""
    end_us = one.terms.window_end_us
    return place_of(strand, node.resource_id, one, 0 if end_us is None else end_us)


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
