"""Nodes: from the ledger's rows to the nodes that paths are compiled of.

Here: rows, limits in force and cells, put together. Pure. Not here: reading them (trees.py).
"""

import json
from collections.abc import Iterable, Mapping

from stiggctl.answers import AccessDeniedReason, Refusal
from stiggctl.decision.cells import CUSTOMER, NEVER, CellNumbers
from stiggctl.decision.nodes import Node, Pool
from stiggctl.holder.in_force import InForce, Limit
from stiggctl.holder.pools import PoolInForce
from stiggctl.ledger.records import CellKey, CellRow, Orphan, ResourceRow
from stiggctl.windows import to_text


def nodes_of(
    rows: Iterable[ResourceRow],
    in_force: Mapping[int, InForce],
    cells: Mapping[CellKey, CellRow],
    now_us: int,
) -> dict[str, Node]:
    """The nodes of one currency, by id; rows come ancestors first."""
    nodes: dict[int, Node] = {}
    for row in rows:
        limits, from_us, until_us, counts_from_us, _ = in_force[row.id]
        nodes[row.id] = Node(
            resource_id=row.resource_id,
            row=row.id,
            type_id=row.type_id,
            parent=None if row.parent is None else nodes[row.parent],
            refusal=_refusal_of(row, now_us),
            cells=[_cell_of(limit, cells[limit.wanted.key]) for limit in limits],
            from_us=from_us,
            until_us=until_us,
            counts_from_us=counts_from_us,
        )
    return {node.resource_id: node for node in nodes.values()}


#: The customer, where it never had a grant.
NOBODY = Node(CUSTOMER, 0, "", None, None, [])


def pool_as_node(granted: PoolInForce | None, cells: Mapping[CellKey, CellRow]) -> Pool | None:
    """The pool as a path has it: a node of the customer, whose cells are its grants."""
    if granted is None:
        return None
    numbers = [_cell_of(limit, cells[limit.wanted.key]) for limit in granted.limits]
    node = NOBODY._replace(cells=numbers, from_us=granted.from_us, until_us=granted.until_us)
    return Pool(node, granted.coming)


def _cell_of(limit: Limit, cell: CellRow) -> CellNumbers:
    return CellNumbers(
        cell=cell.id,
        hard=limit.hard,
        allocation_id=limit.allocation_id or "",
        limit=limit.limit_units,
        used=cell.used,
        granted=cell.granted,
        orphans=tuple((orphan.units, orphan.until_us) for orphan in in_company(cell).orphans),
        terms=limit.terms,
        buckets=cell.buckets,
        exact=cell.exact,
        hidden=cell.hidden,
    )


def in_company(cell: CellRow) -> CellRow:
    """What other living holders certainly hold of it, beside what dead ones held: nobody knows how long."""
    certain = cell.others - cell.hidden
    return cell._replace(orphans=(*cell.orphans, Orphan(certain, NEVER))) if certain > 0 else cell


def _refusal_of(row: ResourceRow, now_us: int) -> Refusal | None:
    subject = f"resource {row.resource_id}"
    if row.archived_at_us is not None:
        return Refusal(AccessDeniedReason.RESOURCE_ARCHIVED, subject, "is archived")
    if row.suspension is None:
        return None
    told = json.loads(row.suspension)
    until_us = told.get("until_us")
    if until_us is not None and until_us <= now_us:
        return None
    detail = "is suspended" if until_us is None else f"is suspended until {to_text(until_us)}"
    reason = told.get("reason")
    return Refusal(
        AccessDeniedReason.SUSPENDED, subject, f"{detail}: {reason}" if reason else detail, until_us
    )
