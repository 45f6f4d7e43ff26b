"""Trees: from the ledger's rows to paths, for what is named and what is above it.

Here: who a request means (customer, resources), loading their nodes, making orders and
wishes ready. Not here: the model's writing (models.py), waiting for the ledger (exchange.py).

  T1  Only the named resources and their ancestors are ever loaded: the first decision in a
      ledger of a million resources costs what one of a hundred does.
  T2  An id that no resource has is never kept.
  T3  Rows are read first, then laid under the stripe's lock, only if its version is still
      the one before the reading.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from stiggctl.answers import AccessDeniedReason, Refusal, Sight
from stiggctl.decision.cells import CellNumbers, Strand, Stripe
from stiggctl.decision.decide import Wants, gather
from stiggctl.decision.paths import Node, compile_path, tail_of_members
from stiggctl.errors import ResourceNotFound
from stiggctl.holder.in_force import InForce, Limit, Model, cells_of, limits_on, model_of
from stiggctl.holder.meant import Meant, refusal_of_customer
from stiggctl.holder.orders import Order
from stiggctl.holder.ways import Dimensions, Way, meeting_of
from stiggctl.holder.wishes import Wish
from stiggctl.ledger import Reader, Stale
from stiggctl.ledger.records import (
    Ask,
    Booking,
    CellKey,
    CellRow,
    CustomerRow,
    Orphan,
    ResourceRow,
)
from stiggctl.windows import ALWAYS, Window, to_text

if TYPE_CHECKING:
    from stiggctl.holder.holder import Holder

#: How often a path is loaded anew because the model changed while it was read.
LOADS_MAX = 8


# -------------------------------------------------------------------- rows to nodes


def nodes_of(
    rows: Iterable[ResourceRow],
    in_force: Mapping[int, InForce],
    cells: Mapping[CellKey, CellRow],
    now_us: int,
) -> dict[str, Node]:
    """The nodes of one currency, by id; rows come ancestors first."""
    nodes: dict[int, Node] = {}
    for row in rows:
        limits, from_us, until_us = in_force[row.id]
        nodes[row.id] = Node(
            resource_id=row.resource_id,
            row=row.id,
            type_id=row.type_id,
            parent=None if row.parent is None else nodes[row.parent],
            refusal=_refusal_of(row, now_us),
            cells=[_cell_of(limit, cells[limit.wanted.key]) for limit in limits],
            from_us=from_us,
            until_us=until_us,
        )
    return {node.resource_id: node for node in nodes.values()}


def _cell_of(limit: Limit, cell: CellRow) -> CellNumbers:
    return CellNumbers(
        cell=cell.id,
        hard=limit.hard,
        allocation_id=limit.allocation_id or "",
        limit=limit.limit_units,
        used=cell.used,
        granted=cell.granted,
        orphans=tuple((orphan.units, orphan.until_us) for orphan in cell.orphans),
        terms=limit.terms,
    )


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


# -------------------------------------------------------------------- into memory


class Trees:
    """Loads paths into the stripes of one holder."""

    def __init__(self, holder: "Holder") -> None:
        self._holder = holder

    def load(
        self, stripe: Stripe, strands: Sequence[Strand], ids: Sequence[str], dimensions: Dimensions
    ) -> None:
        """Compile the path of these resources in each currency as it is now, from the ledger.

        Raises ResourceNotFound where one is not there (any more). May do nothing because the
        model changed meanwhile, or a window turned: the caller looks, and loads again.
        """
        holder, version = self._holder, stripe.version
        holder.require_open()  # after the look at the version: close() marks, then restamps
        now_us = holder.clock.now_us()
        found = self._read(stripe, strands, ids, now_us)
        if found is None:
            return
        with stripe.lock:
            if stripe.version != version:
                return
            # A record never goes back to a window that is over: another thread may have laid it since.
            if not found.lasts.has(holder.clock.now_us()):
                return
            stripe.scoped = found.scoped
            for strand, nodes in found.nodes:
                compile_path(
                    strand,
                    [nodes[one] for one in ids],
                    version=version,
                    meeting=meeting_of(stripe, dimensions),
                    refuse_unlimited=holder.options.default_access == "deny",
                    customer_refusal=refusal_of_customer(found.customer),
                )

    def _read(
        self, stripe: Stripe, strands: Sequence[Strand], ids: Iterable[str], at_us: int
    ) -> "Found | None":
        """Nodes of each currency at an instant, all cells open; None where the model changed meanwhile."""
        holder, wanted = self._holder, list(dict.fromkeys(ids))
        with holder.ledger.reader() as reader:
            change = reader.state().change
            customers = reader.customers([stripe.customer_id])
            rows = reader.lineage(stripe.customer_row, wanted)
            model = read_model(reader, stripe.customer_row, [row.id for row in rows])
            scoped = reader.scoped_dimensions(stripe.customer_row)
        there = {row.resource_id for row in rows}
        lacking = tuple(one for one in wanted if one not in there)
        if lacking or not customers:
            raise ResourceNotFound(resource_ids=lacking, customer_id=stripe.customer_id)
        now_us = holder.clock.now_us()
        found: list[tuple[Strand, dict[str, Node]]] = []
        for strand in strands:
            in_force = limits_on(rows, model, strand.currency_row, at_us, now_us)
            counting = cells_of(in_force)
            try:
                cells = holder.ledger.open_cells(counting, change, holder.row) if counting else {}
            except Stale:
                return None
            found.append((strand, nodes_of(rows, in_force, cells, now_us)))
        return Found(customers[0], scoped, found)

    # ---------------------------------------------------------------- orders and wishes

    def make_ready(self, order: Order, now_us: int) -> Booking:
        """The booking of an order, its spends set apart; loads what is not in memory."""
        way = order.way
        if not way.ids and not way.members:
            return order.make_ready_without_cells()
        wants = [(charge.strand, charge.units) for charge in order.charges]
        for _ in range(LOADS_MAX):
            stripe = way.stripe
            with stripe.lock:
                sights = self.sights(way, wants, order.occurred_at_us)
                if sights is not None:
                    return order.make_ready(sights, now_us)
            self._load_way(way, wants, order.occurred_at_us)
        raise self._holder.restless(LOADS_MAX, "it was read")

    def wish_ready(self, wish: Wish, promised: dict[int, int]) -> Ask:
        """What to ask for a wish; loads what is not in memory."""
        for _ in range(LOADS_MAX):
            stripe = wish.stripe
            with stripe.lock:
                sights = self.sights(wish.way, wish.wants, wish.at_us)
                if sights is not None:
                    return wish.ask(sights, promised)
            self._load_way(wish.way, wish.wants, wish.at_us)
        raise self._holder.restless(LOADS_MAX, "it was read")

    def sights(self, way: Way, wants: Wants, at_us: int) -> Sequence[Sight] | None:
        """The numbers of a way's path at an instant; None where it is not in memory.

        The caller has the lock.
        """
        stripe = way.stripe
        if way.by_ids:
            sights = gather(stripe, way.ids[0], way.rest, wants, at_us)
            if sights is not None:
                return sights
        tails = way.tails_at(at_us)
        if tails is None:
            return None
        return [
            (tail, tail.gather(stripe.numbers), [], "", units, 0)
            for tail, (_, units) in zip(tails, wants, strict=True)
        ]

    def _load_way(self, way: Way, wants: Wants, at_us: int) -> None:
        """Load it by its ids; or, of another time or place, just the resources that it counts in."""
        stripe, strands = way.stripe, [strand for strand, _ in wants]
        if way.by_ids:
            now_us = self._holder.clock.now_us()
            with stripe.lock:
                is_loaded = gather(stripe, way.ids[0], way.rest, wants, now_us) is not None
            if not is_loaded:
                self.load(stripe, strands, way.ids, way.dimensions)
                return  # the caller looks whether that is the path of its instant, too
        version = stripe.version
        self._holder.require_open()  # as in `load`
        found = self._read(stripe, strands, way.ids if way.by_ids else sorted(way.members or ()), at_us)
        if found is None:
            return
        with stripe.lock:
            if stripe.version != version:
                return
            stripe.scoped = found.scoped
            tails = [
                tail_of_members(
                    strand,
                    [
                        node
                        for node in nodes.values()
                        if way.by_ids or node.resource_id in (way.members or ())
                    ],
                    meeting=meeting_of(stripe, way.dimensions),
                    customer_refusal=refusal_of_customer(found.customer),
                )
                for strand, nodes in found.nodes
            ]
            way.fix(version, tails)


class Found(NamedTuple):
    """What was read of some resources: whose they are, and their nodes in each currency."""

    customer: CustomerRow
    scoped: tuple[str, ...]
    nodes: list[tuple[Strand, dict[str, Node]]]

    @property
    def lasts(self) -> Window:
        """How long all of it stays as it is."""
        nodes = [node for _, of_strand in self.nodes for node in of_strand.values()]
        from_us = max((node.from_us for node in nodes), default=ALWAYS.start_us)
        return Window(from_us, min((node.until_us for node in nodes), default=ALWAYS.end_us))


def read_model(reader: Reader, customer: int, resources: Sequence[int]) -> Model:
    """What limits those resources, at whatever instant."""
    return model_of(
        reader.allocations(customer, resources),
        reader.templates(customer),
        reader.overrides(customer, resources),
    )


def peek(
    reader: Reader,
    meant: Meant,
    amounts: Sequence[tuple[int, str, int, int]],
    *,
    dimensions: Dimensions,
    held_elsewhere: Mapping[int, Sequence[Orphan]],
    refuse_unlimited: bool,
    now_us: int,
) -> tuple[Stripe, Wants]:
    """A stripe of its own for one look by a process that holds nothing, straight from the ledger.

    `amounts`: (currency row, currency id, decimals, units); `held_elsewhere`: cell -> what
    other processes hold of it, by end. What is granted and not held is nobody's: it remains.
    """
    assert meant.customer is not None
    stripe = Stripe(meant.customer.customer_id, meant.customer.id)
    rows = reader.lineage(meant.customer.id, meant.ids)
    model = read_model(reader, meant.customer.id, [row.id for row in rows])
    stripe.scoped = reader.scoped_dimensions(meant.customer.id)
    wants = []
    for currency_row, currency_id, decimals, units in amounts:
        strand = stripe.strand(currency_id, currency_row, decimals)
        in_force = limits_on(rows, model, currency_row, now_us, now_us)
        cells = reader.cells(cells_of(in_force), 0)
        nodes = nodes_of(rows, in_force, _as_if_alone(cells, held_elsewhere), now_us)
        with stripe.lock:
            compile_path(
                strand,
                [nodes[one] for one in meant.ids],
                version=stripe.version,
                meeting=meeting_of(stripe, dimensions),
                refuse_unlimited=refuse_unlimited,
                customer_refusal=refusal_of_customer(meant.customer),
            )
        wants.append((strand, units))
    return stripe, wants


def _as_if_alone(
    cells: Mapping[CellKey, CellRow], held_elsewhere: Mapping[int, Sequence[Orphan]]
) -> dict[CellKey, CellRow]:
    """The cells as they would be if this process had drawn all that nobody holds."""
    drawn = {}
    for at, (key, cell) in enumerate(cells.items()):
        held = (*cell.orphans, *within_share(held_elsewhere.get(cell.id, ()), cell.others))
        free = cell.limit_units - cell.used - sum(one.units for one in held)
        # One that is not open yet has no id; two of them must not be taken for one.
        drawn[key] = cell._replace(id=cell.id or -1 - at, granted=max(0, free), orphans=held)
    return drawn


def within_share(ends: Sequence[Orphan], share_units: int) -> list[Orphan]:
    """What others' pages say that they hold, but never more than their share: the latest ends first.

    A settle may have committed before its hold fell from the page; then it is in `used` already.

    >>> within_share([Orphan(5, 100), Orphan(3, 200)], 6)
    [Orphan(units=3, until_us=200), Orphan(units=3, until_us=100)]
    """
    kept, left = [], share_units
    for end in sorted(ends, key=lambda end: -end.until_us):
        units = min(end.units, left)
        if units > 0:
            kept.append(Orphan(units, end.until_us))
            left -= units
    return kept
