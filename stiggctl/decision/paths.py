"""Paths: a request's resources -> the cells it touches, compiled once.

Here: when a tail is compiled, from which nodes, and how long it is kept. Not here: nodes (nodes.py),
what a tail is (tails.py), how cells lie (cells.py, laying.py), whether an amount fits (decide.py).

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
      (`Tail.kin`).
  P3  A path with a refusal denies whatever its numbers are.
  P4  Where the customer ever had a grant of the currency, every path has its pool: the grants that are
      open, in drain order, after all limits.
"""

from collections.abc import Iterable, Sequence

from stiggctl.answers import NOT_LIMITS, AccessDeniedReason, Refusal
from stiggctl.decision.cells import CUSTOMER, Strand
from stiggctl.decision.laying import lay_record
from stiggctl.decision.meeting import Meeting, key_of
from stiggctl.decision.nodes import Node, Pool, until_of
from stiggctl.decision.pools import square_pool
from stiggctl.decision.tails import Branch, Tail, anywhere, in_record

#: A branch keeps at most so many tails, and forgets the oldest: requests that name their
#: most particular resource last would else keep one a user. With a tenth, a few hundred
#: features in dozens of regions would already be compiled again and again.
TAILS_MAX = 10_000
#: From so many branches on, those whose windows are over are looked for, each time that there are
#: twice as many as were left the last time.
BRANCHES_KEPT = 64


def compile_path(
    strand: Strand,
    named: Sequence[Node],
    *,
    pool: Pool | None = None,
    version: int,
    meeting: Meeting,
    refuse_unlimited: bool,
    customer_refusal: Refusal | None,
    now_us: int | None = None,
) -> None:
    """Lay the records of all nodes of a request and compile its tail; the caller has the lock.

    `named` are the nodes that the request names, in its order; the first leads. `now_us`: what is over
    by then is not kept. One that names no
    resource names the pool's, or without a pool a node of CUSTOMER that has no cells.
    """
    stripe, first = strand.stripe, named[0]
    rest = key_of([node.resource_id for node in named[1:]], meeting)
    union = _union(named)
    others = ([] if first.parent is None else [first.parent]) + list(named[1:])
    nodes = _union([first, *others] if first.is_scoped else others)
    records = union if pool is None or first is pool.node else [*union, pool.node]
    for node in records:
        lay_record(strand, node.resource_id, node.row, _branch(strand, node, version, now_us), node.cells)
    # Before the tail: from here on it is known that a record laid anew makes it stale.
    strand.in_tails.update(node.resource_id for node in nodes)
    if pool is not None:
        strand.in_tails.add(CUSTOMER)
        if strand not in stripe.pooled:
            stripe.pooled.append(strand)
        try:
            square_pool(stripe, strand)
        except BaseException:
            stripe.tear()
            raise
    branch = _branch(strand, first, version, now_us)
    refusals = [customer_refusal, *(node.refusal for node in union)]
    limits = [
        one.terms
        for node in union
        for one in node.cells
        if not one.terms.only_counts and node.resource_id != CUSTOMER
    ]
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
    nodes = [node for node in nodes if node.resource_id != CUSTOMER]
    branch.tails[rest] = Tail(strand, nodes, refusal, lead=first, pool=pool, meeting=meeting, lies=in_record)


def tail_of_members(
    strand: Strand,
    nodes: Sequence[Node],
    *,
    pool: Pool | None = None,
    meeting: Meeting,
    customer_refusal: Refusal | None,
) -> Tail:
    """A path of just these nodes, with nothing before it: of one that was admitted before, or is late.

    Their cells may be those of any instant. The caller has the lock.
    """
    refusal = _foremost([customer_refusal, *(node.refusal for node in nodes)])
    return Tail(strand, nodes, refusal, lead=None, pool=pool, meeting=meeting, lies=anywhere)


def _branch(strand: Strand, node: Node, version: int, now_us: int | None) -> Branch:
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
            # What a rolling limit makes of a node holds from long ago, but not for long.
            over_us = node.from_us if now_us is None else now_us
            branches = {key: one for key, one in branches.items() if one.until_us > over_us}
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
        key=lambda refusal: (NOT_LIMITS.index(refusal.reason), -until_of(refusal)),
        default=None,
    )
