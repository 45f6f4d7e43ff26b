"""Trees: from the ledger's rows to paths, for what is named and what is above it.

Here: who a request means (customer, resources), loading their nodes, making orders and
wishes ready. Not here: the model's writing (models.py), waiting for the ledger (exchange.py).

  T1  Only the named resources and their ancestors are ever loaded: the first decision in a
      ledger of a million resources costs what one of a hundred does.
  T2  An id that no resource has is never kept.
  T3  Rows are read first, then laid under the stripe's lock, only if its version is still
      the one before the reading, and nothing was given back of a cell that is laid anew (RG1).
  T4  What is booked finds its path before it is queued, so nobody who books waits while the past of a
      limit that came to another's path is summed. Only where the model changes in between does who
      leads load it, from cells that are open by then.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from stiggctl.answers import Sight
from stiggctl.decision.cells import CUSTOMER, Strand, Stripe
from stiggctl.decision.decide import Wants, gather
from stiggctl.decision.nodes import Node, Pool
from stiggctl.decision.paths import compile_path, tail_of_members
from stiggctl.decision.readings import Reading
from stiggctl.decision.reservations import expire
from stiggctl.errors import ResourceNotFound, StiggctlError
from stiggctl.holder.in_force import InForce, Model, cells_of, limits_on, model_of
from stiggctl.holder.meant import refusal_of_customer
from stiggctl.holder.nodes import NOBODY, nodes_of, pool_as_node
from stiggctl.holder.orders import Order
from stiggctl.holder.pools import PoolInForce, grant_as_limit, pool_of
from stiggctl.holder.renamed import forget, know_all_by, learn_names
from stiggctl.holder.under_way import UnderWay
from stiggctl.holder.ways import Dimensions, Way, meeting_of
from stiggctl.holder.wishes import Wish
from stiggctl.ledger import Reader, Stale
from stiggctl.ledger.records import Ask, Booking, CellKey, CellRow, CellWanted, CustomerRow, ResourceRow
from stiggctl.locks import await_turn, came_between
from stiggctl.windows import ALWAYS, Window

if TYPE_CHECKING:
    from stiggctl.holder.holder import Holder

#: How often a path is loaded anew because the model changed while it was read.
LOADS_MAX = 8


class Trees:
    """Loads paths into the stripes of one holder."""

    def __init__(self, holder: "Holder") -> None:
        self._holder = holder
        self.loading = UnderWay()  #: paths that orders are prepared for: one at a time sums a past

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
        with Reading(stripe) as reading:
            found = self._read(stripe, strands, ids, now_us)
            if found is None:
                return
            with stripe.lock:
                if stripe.version != version or reading.is_overtaken(found.nodes_of_all):
                    return
                # A record never goes back to a window that is over: another thread may have laid it since.
                if not found.lasts.has(holder.clock.now_us()):
                    return
                stripe.scoped = found.scoped
                for strand, nodes, pool in found.nodes:
                    strand.grant_ids |= found.grant_ids
                    know_all_by(strand, nodes.values())
                    compile_path(
                        strand,
                        [nodes[one] for one in ids],
                        pool=pool,
                        version=version,
                        meeting=meeting_of(stripe, dimensions),
                        refuse_unlimited=holder.options.default_access == "deny",
                        customer_refusal=refusal_of_customer(found.customer),
                        now_us=now_us,
                    )

    def _read(
        self,
        stripe: Stripe,
        strands: Sequence[Strand],
        ids: Iterable[str],
        at_us: int,
        paid_back: Collection[int] = (),
    ) -> "Found | None":
        """Nodes of each currency at an instant, all cells open; None where the model changed meanwhile.

        `paid_back`: rows of grants whose cells are wanted, too, whether they are open or not.
        """
        holder, wanted = self._holder, [one for one in dict.fromkeys(ids) if one != CUSTOMER]
        with holder.ledger.reader() as reader:
            change = reader.state().change
            customers = reader.customers([stripe.customer_id])
            rows = reader.lineage(stripe.customer_row, wanted)
            model = read_model(reader, stripe.customer_row, [row.id for row in rows])
            scoped = reader.scoped_dimensions(stripe.customer_row)
            # Of those that had ended only a reversal needs some: what it pays back to.
            grants = reader.grants(stripe.customer_row, since_us=None if paid_back else at_us)
        there = {row.resource_id for row in rows}
        lacking = tuple(one for one in wanted if one not in there)
        if lacking or not customers:
            raise ResourceNotFound(resource_ids=lacking, customer_id=stripe.customer_id)
        found: list[tuple[Strand, dict[str, Node], Pool | None]] = []
        grant_cells: dict[int, int] = {}
        for strand in strands:
            currency = strand.currency_row
            granted = pool_of(grants, currency, at_us)
            returning = {
                one.id: grant_as_limit(one, at_us).wanted
                for one in grants
                if one.id in paid_back and one.currency == currency
            }
            try:
                opened = self._open(rows, model, currency, at_us, granted, list(returning.values()), change)
            except Stale:
                return None
            in_force, cells, now_us = opened
            grant_cells |= {row: cells[one.key].id for row, one in returning.items()}
            pool = pool_as_node(granted, cells)
            nodes = nodes_of(rows, in_force, cells, now_us)
            nodes[CUSTOMER] = NOBODY if pool is None else pool.node
            found.append((strand, nodes, pool))
        grant_ids = {grant.id: grant.grant_id for grant in grants}
        return Found(customers[0], scoped, grant_ids, grant_cells, found)

    def _open(
        self,
        rows: Sequence[ResourceRow],
        model: Model,
        currency: int,
        at_us: int,
        granted: PoolInForce | None,
        beside: Sequence[CellWanted],
        change: int,
    ) -> tuple[dict[int, InForce], dict[CellKey, CellRow], int]:
        """The limits in force, with their cells open; and as of when. Raises Stale."""
        holder = self._holder
        for _ in range(LOADS_MAX):
            now_us = holder.clock.now_us()
            in_force = limits_on(rows, model, currency, at_us, now_us)
            counting = cells_of(in_force, granted)
            counting += [one for one in beside if one not in counting]
            cells = holder.ledger.open_cells(counting, change, holder.row) if counting else {}
            # A cell has the limit that was asked for last. Who slept after reading the clock may have
            # written one that another thread had replaced, because an override began, or ended.
            later = limits_on(rows, model, currency, at_us, holder.clock.now_us())
            if cells_of(later) == cells_of(in_force):
                return in_force, cells, now_us
        raise holder.restless(LOADS_MAX, "its cells were opened")

    def is_ready(self, order: Order) -> bool:
        """Whether the path of an order is in memory."""
        stripe = order.stripe
        if stripe.lock.locked():
            await_turn(stripe.lock, stripe)
        with stripe.lock:
            sights = self.sights(order.way, order.wants, order.occurred_at_us, self._holder.clock.now_us())
        return sights is not None

    def prepare(self, order: Order) -> None:
        """Load the path of an order before it is queued (T4). What cannot be, its leader meets again."""
        way, loading = order.way, self.loading
        key = f"{way.stripe.customer_id}\0{min(way.members or way.ids, default='')}"
        for _ in range(LOADS_MAX):
            if self.is_ready(order):
                return
            turn = loading.enter(key)
            if turn is None and not came_between():
                loading.wait(key)  # another thread loads it, or what is beside it
                continue
            try:
                self._load_way(way, order.wants, order.occurred_at_us)
                forget(order)
            except StiggctlError:
                return
            finally:
                loading.leave(key, turn)

    def make_ready(self, order: Order, now_us: int) -> Booking:
        """The booking of an order, its spends set apart; loads what is not in memory."""
        way, wants = order.way, order.wants
        for _ in range(LOADS_MAX):
            stripe = way.stripe
            with stripe.lock:
                if now_us >= stripe.next_end_us:
                    expire(stripe, now_us)  # what is held no more pays for it
                sights = self.sights(way, wants, order.occurred_at_us, now_us)
                if sights is not None:
                    return order.make_ready(sights, now_us)
            self._load_way(way, wants, order.occurred_at_us)
            forget(order)
        raise self._holder.restless(LOADS_MAX, "it was read")

    def wish_ready(self, wish: Wish, promised: dict[int, int], now_us: int) -> Ask:
        """What to ask for a wish; loads what is not in memory."""
        for _ in range(LOADS_MAX):
            stripe = wish.stripe
            with stripe.lock:
                sights = self.sights(wish.way, wish.wants, wish.at_us, now_us)
                if sights is not None:
                    return wish.ask(sights, promised)
            self._load_way(wish.way, wish.wants, wish.at_us)
        raise self._holder.restless(LOADS_MAX, "it was read")

    def sights(self, way: Way, wants: Wants, at_us: int, now_us: int) -> Sequence[Sight] | None:
        """The numbers of a way's path at an instant; None where it is not in memory.

        Also where its path is in memory as it was: a rolling window has moved on since, or an override
        has begun, and what counts in it now is held against its limit of now. The caller has the lock.
        """
        stripe = way.stripe
        if way.by_ids:
            sights = gather(stripe, way.ids[0], way.rest, wants, now_us)
            if sights is not None and all(
                sight[0].counts_from_us <= at_us < sight[0].until_us for sight in sights
            ):
                return sights
        tails = way.tails_at(at_us)
        if tails is None:
            return None
        return [
            (tail, tail.gather(stripe.numbers), [], CUSTOMER, units, 0)
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
        if not way.by_ids:
            learn_names(self._holder, way)
        ids = way.ids if way.by_ids else sorted(way.members or ())
        with Reading(stripe) as reading:
            try:
                found = self._read(stripe, strands, ids, at_us, way.grants)
            except ResourceNotFound:
                if way.by_ids or way.rows is None:
                    raise
                return  # one of them was erased in between: the caller looks again
            if found is None:
                return
            with stripe.lock:
                if stripe.version != version or reading.is_overtaken(found.nodes_of_all):
                    return
                stripe.scoped = found.scoped
                tails = []
                for strand, nodes, pool in found.nodes:
                    strand.grant_ids |= found.grant_ids
                    know_all_by(strand, nodes.values())
                    counting = [
                        node for name, node in nodes.items() if name != CUSTOMER and way.leads_to(name)
                    ]
                    tail = tail_of_members(
                        strand,
                        counting,
                        pool=pool,
                        meeting=meeting_of(stripe, way.dimensions),
                        customer_refusal=refusal_of_customer(found.customer),
                    )
                    tails.append(tail)
                way.fix(version, tails, found.grant_cells)


class Found(NamedTuple):
    """What was read of some resources: whose they are, and their nodes in each currency."""

    customer: CustomerRow
    scoped: tuple[str, ...]
    grant_ids: dict[int, str]
    grant_cells: dict[int, int]  #: of those that are paid back
    nodes: list[tuple[Strand, dict[str, Node], Pool | None]]

    @property
    def nodes_of_all(self) -> list[Node]:
        """Those of all currencies."""
        return [node for _, of_strand, _ in self.nodes for node in of_strand.values()]

    @property
    def lasts(self) -> Window:
        """How long all of it stays as it is."""
        nodes = self.nodes_of_all
        from_us = max((node.from_us for node in nodes), default=ALWAYS.start_us)
        return Window(from_us, min((node.until_us for node in nodes), default=ALWAYS.end_us))


def read_model(reader: Reader, customer: int, resources: Sequence[int]) -> Model:
    """What limits those resources, at whatever instant."""
    return model_of(
        reader.allocations(customer, resources),
        reader.templates(customer),
        reader.overrides(customer, resources),
    )
