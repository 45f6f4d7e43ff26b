"""Tree: limits over a tree of resources, with what is used, held and left at each node.

Here: a node as its limits count it. Not here: how rows are read, where what is held stands.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from stiggctl.amounts import CONTEXT, plain, to_amount
from stiggctl.answers import LimitState, RawLimit
from stiggctl.answers.markup import Bar, Cell, Indented, table
from stiggctl.holder.in_force import Limit
from stiggctl.ledger.records import CellKey, CellRow, CurrencyRow, ResourceRow


class TreeNode(NamedTuple):
    """A resource and its limits in one currency.

    The numbers are those of the limit with the least left (HARD before SOFT); without a limit
    `limit`, `remaining` and `utilisation` are None, and `used` is what was booked under it.
    """

    resource_id: str
    resource_type_id: str
    name: str | None
    credit_currency: str
    limit: int | Decimal | None
    used: int | Decimal
    held: int | Decimal
    remaining: int | Decimal | None
    utilisation: Decimal | None  #: (used + held) / limit, to four digits; None without a limit, or one of 0
    limits: tuple[LimitState, ...]
    archived: bool
    suspended: bool
    children: "tuple[TreeNode, ...]"

    def walk(self, depth: int = 0) -> "Iterator[tuple[int, TreeNode]]":
        """It and everything below it, with the depth, as one would print it."""
        below = [(depth, self)]  # a tree may be deeper than Python's own stack
        while below:
            depth, node = below.pop()
            yield depth, node
            below.extend((depth + 1, child) for child in reversed(node.children))

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        headings = (self.credit_currency, "used", "held", "left", "limit", "")
        return table(headings, (_as_cells(depth, node) for depth, node in self.walk()))

    def as_dict(self) -> dict[str, Any]:
        """The camelCase JSON of it, children included."""
        numbers = {"limit": self.limit, "used": self.used, "held": self.held, "remaining": self.remaining}
        return {
            "resourceId": self.resource_id,
            "resourceTypeId": self.resource_type_id,
            "name": self.name,
            "creditCurrency": self.credit_currency,
            **{key: plain(value) if isinstance(value, Decimal) else value for key, value in numbers.items()},
            "utilisation": None if self.utilisation is None else plain(self.utilisation),
            "archived": self.archived,
            "suspended": self.suspended,
            "limits": [limit.as_dict() for limit in self.limits],
            "children": [child.as_dict() for child in self.children],
        }


def _as_cells(depth: int, node: TreeNode) -> tuple[Cell, ...]:
    soft = bool(node.limits) and all(limit.enforcement_type == "SOFT" for limit in node.limits)
    marks = [mark for mark in ("suspended", "archived") if getattr(node, mark)] + ["soft"] * soft
    bar = None if node.limit is None else Bar(node.used, node.held, node.limit)
    name = Indented(depth, node.resource_id, ", ".join(marks))
    return (name, node.used, node.held, node.remaining, node.limit, bar)


def build_tree(
    rows: Sequence[ResourceRow],
    limits_in_force: Sequence[Limit],
    cells: Mapping[CellKey, CellRow],
    currency: CurrencyRow,
    *,
    held: Mapping[int, int],
    used_without_limit: Mapping[int, int],
    depth: int,
    now_us: int,
) -> TreeNode:
    """The tree of `rows` (the root first, parents before children).

    `now_us`: what ended by then counts no more; `held`: cell -> units that living processes
    hold; `used_without_limit`: resource row ->
    units, of those that have no limit; `depth`: of the root.
    """
    limits: dict[int, list[RawLimit]] = {}
    depths: dict[int, int] = {}
    named = {row.id: row for row in rows}
    for row in rows:
        depths[row.id] = depth if row is rows[0] else depths[row.parent or 0] + 1
    for one in limits_in_force:
        cell, row = cells[one.wanted.key], named[one.resource]
        raw = raw_limit(one, row, cell, currency, depths[row.id], held.get(cell.id, 0), now_us)
        limits.setdefault(row.id, []).append(raw)
    children: dict[int, list[TreeNode]] = {}
    for row in reversed(rows):
        below = tuple(
            sorted(children.pop(row.id, ()), key=lambda node: (node.resource_type_id, node.resource_id))
        )
        node = _node(row, limits.get(row.id, []), currency, used_without_limit.get(row.id, 0), below, now_us)
        if row is rows[0]:
            return node
        children.setdefault(row.parent or 0, []).append(node)
    raise AssertionError("a tree has a root")


def raw_limit(
    one: Limit,
    row: ResourceRow,
    cell: CellRow,
    currency: CurrencyRow,
    depth: int,
    held_units: int,
    now_us: int,
) -> RawLimit:
    """A limit of a resource, with the numbers of its cell; what dead processes held counts as held."""
    orphaned = sum(orphan.units for orphan in cell.orphans if orphan.until_us > now_us)
    return RawLimit(
        depth=depth,
        resource_type_id=row.type_id,
        resource_id=row.resource_id,
        credit_currency=currency.currency_id,
        allocation_id=one.allocation_id or f"{row.resource_id}/{currency.currency_id}",
        decimals=currency.decimals,
        hard=one.hard,
        limit=one.limit_units,
        used=cell.used,
        held=held_units + orphaned,
        amount=0,
        terms=one.terms,
    )


def _node(
    row: ResourceRow,
    limits: list[RawLimit],
    currency: CurrencyRow,
    used: int,
    children: tuple[TreeNode, ...],
    now_us: int,
) -> TreeNode:
    tightest = min(limits, key=lambda one: (not one.hard, one.room), default=None)
    states = tuple(LimitState(one) for one in sorted(limits, key=lambda one: one.order))
    shown = None if tightest is None else LimitState(tightest)
    taken = 0 if tightest is None else tightest.used + tightest.held
    return TreeNode(
        resource_id=row.resource_id,
        resource_type_id=row.type_id,
        name=row.name,
        credit_currency=currency.currency_id,
        limit=None if shown is None else shown.limit,
        used=to_amount(used, currency.decimals) if shown is None else shown.used,
        held=to_amount(0, currency.decimals) if shown is None else shown.held,
        remaining=None if shown is None else shown.remaining,
        utilisation=utilisation_of(taken, tightest.limit)
        if tightest is not None and tightest.limit
        else None,
        limits=states,
        archived=row.archived_at_us is not None,
        suspended=_is_suspended(row, now_us),
        children=children,
    )


def _is_suspended(row: ResourceRow, now_us: int) -> bool:
    """Whether a suspension of it itself is in force."""
    if row.suspension is None:
        return False
    until_us = json.loads(row.suspension).get("until_us")
    return until_us is None or until_us > now_us


def utilisation_of(taken: int, limit: int) -> Decimal:
    """To four digits behind the point, cut: what is not full never shows as full."""
    return CONTEXT.scaleb(Decimal(taken * 10_000 // limit), -4)
