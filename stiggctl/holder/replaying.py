"""Replaying: what took place, asked again of another model's limits, one request after the other.

Here: one customer's stripe over a model that is only read, where nobody else spends and nothing is held:
what is admitted is booked at once. The comparison, the paths and the windows are those of decisions.
Not here: what is replayed, and in which order (control/simulating.py), what came of it (reports/).

What always holds:
  RY1  What is admitted is counted in every cell of its path, as a booking is; what is denied, in none.
  RY2  A cell opens with what was spent in its window before the replay began, as the ledger has it.
  RY3  Instants never go back: a window that is over is not asked again.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from stiggctl.answers import AccessDeniedReason, Circumstances, Decision, Sight
from stiggctl.decision.cells import (
    ALLOTTED,
    CELL,
    CUSTOMER,
    HEADER,
    LIMIT,
    NEVER,
    SPARE,
    USED,
    WIDTH,
    Strand,
    Stripe,
)
from stiggctl.decision.decide import Met, Rest, Wants, gather, take
from stiggctl.decision.holds import HELD, NUMBER, Hold
from stiggctl.decision.nodes import Node
from stiggctl.decision.paths import compile_path
from stiggctl.decision.pools import square_pool
from stiggctl.decision.sights import places_of
from stiggctl.holder.ids import Ids
from stiggctl.holder.in_force import Limit, Model, cells_of, limits_on
from stiggctl.holder.nodes import NOBODY, nodes_of, pool_as_node
from stiggctl.holder.pools import pool_of
from stiggctl.holder.proving import refusal_of
from stiggctl.holder.trees import read_model
from stiggctl.holder.ways import Dimensions, meeting_of, rest_of
from stiggctl.ledger import Reader
from stiggctl.ledger.records import Bucket, CellKey, CellRow, CurrencyRow, CustomerRow, ResourceRow

#: Lineages that are remembered; of more resources that were named they are read again.
LINEAGES_MAX = 100_000

#: What was spent of a limit or grant before the replay began: units by the start of their bucket (0: it
#: has none), from the start of its window on.
Before = Callable[[Limit], Mapping[int, int]]


class Spending(NamedTuple):
    """What somebody asked for, or spent."""

    at_us: int
    ids: tuple[str, ...]  #: resources that the model has
    units: tuple[tuple[str, int], ...]  #: by currency
    dimensions: Dimensions


class _Lineage(NamedTuple):
    rows: Sequence[ResourceRow]
    model: Model


class Replay:
    """One customer's limits, spent from by what took place."""

    def __init__(
        self, reader: Reader, customer: CustomerRow, currencies: Mapping[str, CurrencyRow], before: Before
    ) -> None:
        """`reader` is of the model; nobody changes that while it is replayed."""
        self._reader = reader
        self._customer = customer
        self._currencies = currencies
        self._before = before
        self._grants = reader.grants(customer.id)
        self._stripe = Stripe(customer.customer_id, customer.id)
        self._stripe.scoped = reader.scoped_dimensions(customer.id)
        self._lineages: dict[tuple[str, ...], _Lineage] = {}
        self._known: set[str] = set()
        self._cells: dict[CellKey, int] = {}
        #: cell -> units by the start of their bucket (0: it has none), of before and of the replay
        self._spent: dict[int, dict[int, int]] = {}
        self._ids = Ids("replay")

    @property
    def looks_at_dimensions(self) -> bool:
        """Whether some limit counts only some requests."""
        return bool(self._stripe.scoped)

    def has(self, resource_id: str) -> bool:
        """Whether the model has that resource."""
        if resource_id not in self._known:
            if not self._reader.lineage(self._customer.id, [resource_id]):
                return False
            self._known.add(resource_id)
        return True

    def spend(self, asked: Spending) -> Decision | None:
        """Book it, if it fits every limit and the pool; else why not (RY1)."""
        stripe = self._stripe
        ids = asked.ids or (CUSTOMER,)
        rest = rest_of(stripe, ids, asked.dimensions)
        wants = [(self._strand(name), units) for name, units in asked.units]
        taken = self._take(ids, rest, wants, asked.at_us)
        if taken is None:
            self._load([strand for strand, _ in wants], ids, asked)
            taken = self._take(ids, rest, wants, asked.at_us)
            assert taken is not None  # its path was compiled for this instant
        if isinstance(taken, Met):
            return self._denied(taken.sights, asked.at_us)
        self._book(taken, asked.at_us)
        return None

    def _take(self, ids: Sequence[str], rest: Rest, wants: Wants, at_us: int) -> Hold | Met | None:
        with self._stripe.lock:
            return take(self._stripe, ids[0], rest, wants, at_us, 0, NEVER, told=False)

    def book(self, asked: Spending) -> None:
        """Count it whatever it does: usage that nobody admitted; less than 0: what was taken back."""
        ids = asked.ids or (CUSTOMER,)
        wants = [(self._strand(name), units) for name, units in asked.units]
        rest = rest_of(self._stripe, ids, asked.dimensions)
        with self._stripe.lock:
            sights = gather(self._stripe, ids[0], rest, wants, asked.at_us)
        if sights is None:
            self._load([strand for strand, _ in wants], ids, asked)
            with self._stripe.lock:
                sights = gather(self._stripe, ids[0], rest, wants, asked.at_us)
            assert sights is not None  # as in spend
        for sight in sights:
            places, hard = places_of(sight)
            for place in places:
                self._count(place, sight[4], asked.at_us)
            for place, units in self._drained(sight, sight[4]):
                self._count(place, units, asked.at_us)
            self._fill(places, hard=hard)
            self._fill(sight[0].grant_places, hard=len(sight[0].grant_places))
            if sight[0].has_pool:
                square_pool(self._stripe, sight[0].strand)
        self._stripe.owe_nothing()

    # ---------------------------------------------------------------- booking

    def _book(self, hold: Hold, at_us: int) -> None:
        numbers = self._stripe.numbers
        del self._stripe.holds[hold[NUMBER]]
        for places, units, hard, _, _ in hold[HELD]:
            for place in places:
                self._count(place, units, at_us)
            # What was taken is used now; of a SOFT limit nothing was there to be taken.
            for place in places[:hard]:
                numbers[place + ALLOTTED] -= units
            for place in places[hard:]:
                numbers[place + SPARE] += units

    def _count(self, place: int, units: int, at_us: int) -> None:
        numbers, stripe = self._stripe.numbers, self._stripe
        cell = numbers[place + CELL]
        numbers[place + USED] += units
        spent, start_us = self._spent[cell], 0
        if cell in stripe.rolled:
            width_us = stripe.rolled[cell][1]
            start_us = at_us - at_us % width_us
        spent[start_us] = spent.get(start_us, 0) + units

    def _drained(self, sight: Sight, units: int) -> list[tuple[int, int]]:
        """(place, units) of what each open grant pays of what nobody admitted, or gets back.

        In drain order what each has, the last what is more; back the other way round. With none open
        nobody backs it.
        """
        numbers, places, left = self._stripe.numbers, list(sight[0].grant_places), abs(units)
        if units < 0:
            places.reverse()
        paid = []
        for place in places:
            has = numbers[place + USED] if units < 0 else numbers[place + LIMIT] - numbers[place + USED]
            part = max(0, min(left, has))
            left -= part
            paid.append((place, part if units > 0 else -part))
        if units > 0 and left and paid:
            place, part = paid[-1]
            paid[-1] = (place, part + left)
        return paid

    # ---------------------------------------------------------------- paths

    def _strand(self, name: str) -> Strand:
        row = self._currencies[name]
        return self._stripe.strand(name, row.id, row.decimals)

    def _lineage(self, ids: tuple[str, ...]) -> _Lineage:
        found = self._lineages.get(ids)
        if found is None:
            if len(self._lineages) >= LINEAGES_MAX:
                self._lineages = {}
            named = [one for one in ids if one != CUSTOMER]
            rows = self._reader.lineage(self._customer.id, named)
            model = read_model(self._reader, self._customer.id, [row.id for row in rows])
            found = self._lineages[ids] = _Lineage(rows, model)
        return found

    def _load(self, strands: Sequence[Strand], ids: tuple[str, ...], asked: Spending) -> None:
        """Compile the path as it is at that instant, with all of each limit to spend (RY3)."""
        stripe, at_us = self._stripe, asked.at_us
        rows, model = self._lineage(ids)
        for strand in strands:
            in_force = limits_on(rows, model, strand.currency_row, at_us, at_us)
            granted = pool_of(self._grants, strand.currency_row, at_us)
            limits = [limit for one in in_force.values() for limit in (*one.limits, *one.moved_on)]
            limits += () if granted is None else granted.limits
            by_key = {limit.wanted.key: limit for limit in limits}
            cells = {one.key: self._cell(by_key[one.key]) for one in cells_of(in_force, granted)}
            pool = pool_as_node(granted, cells)
            nodes = nodes_of(rows, in_force, cells, at_us)
            nodes[CUSTOMER] = NOBODY if pool is None else pool.node
            with stripe.lock:
                compile_path(
                    strand,
                    [nodes[one] for one in ids],
                    pool=pool,
                    version=stripe.version,
                    meeting=meeting_of(stripe, asked.dimensions),
                    refuse_unlimited=False,
                    customer_refusal=None,
                    now_us=at_us,
                )
                for node in nodes.values():
                    self._refill(strand, node)
                if pool is not None:
                    square_pool(stripe, strand)
                stripe.owe_nothing()  # there is no ledger to give anything back to

    def _cell(self, limit: Limit) -> CellRow:
        """A cell as the ledger would have it: with what was spent of it, and all else granted."""
        key = limit.wanted.key
        cell = self._cells.get(key)
        if cell is None:
            cell = self._cells[key] = len(self._cells) + 1
            self._spent[cell] = dict(self._before(limit))
        spent, buckets = self._spent[cell], None
        if limit.terms.bucket_us is not None:
            from_us = limit.terms.window_start_us
            spent = self._spent[cell] = {start: units for start, units in spent.items() if start >= from_us}
            buckets = tuple([Bucket(*one) for one in sorted(spent.items())])
        used = sum(spent.values())
        return CellRow(
            id=cell,
            allocation=key.allocation,
            resource=key.resource,
            limit_units=limit.limit_units,
            used=used,
            granted=max(0, limit.limit_units - used) if limit.hard else 0,
            exact=False,
            others=0,
            orphans=(),
            buckets=buckets,
        )

    def _refill(self, strand: Strand, node: Node) -> None:
        place = strand.leaves.get(node.resource_id)
        if place is not None:
            places = range(place + HEADER, place + HEADER + WIDTH * len(node.cells), WIDTH)
            self._fill(places, hard=sum(one.hard for one in node.cells))

    def _fill(self, places: Sequence[int], *, hard: int) -> None:
        """All that a limit leaves may be spent; the HARD ones come first. A grant's cell is one."""
        numbers = self._stripe.numbers
        for at, place in enumerate(places):
            used = sum(self._spent[numbers[place + CELL]].values())
            left = max(0, numbers[place + LIMIT] - used) if at < hard else 0
            numbers[place : place + 3] = (left, used, left)

    # ---------------------------------------------------------------- denials

    def _denied(self, sights: tuple[Sight, ...], at_us: int) -> Decision:
        refusal = refusal_of(sights)
        reason = AccessDeniedReason.BUDGET_EXCEEDED if refusal is None else refusal.reason
        return Decision(reason, sights, at_us, self._ids, Circumstances(refusal=refusal))
