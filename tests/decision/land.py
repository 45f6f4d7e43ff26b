"""Land: a customer's cells laid from plain numbers, and a ledger of four numbers a cell.

    org ─ team ─ ann, bob        emea ─ paris        free (no limit)        another team: ops

Here: the smallest world in which a decision can be asked for, and the same questions answered
slowly, from sums. Not here: hypothesis and what is compared (the tests).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeGuard

from stiggctl.answers import Refusal, Sight
from stiggctl.decision.cells import (
    ALLOTTED,
    CELL,
    CUSTOMER,
    LIMIT,
    SPARE,
    USED,
    CellNumbers,
    Strand,
    Stripe,
)
from stiggctl.decision.decide import Met, Rest, Wants, look, take
from stiggctl.decision.holds import HELD, Hold
from stiggctl.decision.laying import all_cells
from stiggctl.decision.meeting import Meeting
from stiggctl.decision.moving import install
from stiggctl.decision.nodes import Node, Pool
from stiggctl.decision.paths import compile_path
from stiggctl.decision.portions import Portion

PARENTS: dict[str, str | None] = {
    "org": None,
    "team": "org",
    "ops": "org",
    "ann": "team",
    "bob": "team",
    "emea": None,
    "paris": "emea",
    "free": None,
}
LATER = 10**15


class Told(NamedTuple):
    """A cell as the ledger's reply has it."""

    used: int
    granted: int
    orphans: tuple[tuple[int, int], ...]
    buckets: tuple[tuple[int, int], ...] = ()
    exact: bool = False
    hidden: int = 0


@dataclass
class Cell:
    """A limit as the ledger has it; all of what is free is granted, unless said otherwise."""

    cell: int
    resource: str
    currency: str
    limit: int
    hard: bool = True
    used: int = 0
    granted: int = 0
    orphans: tuple[tuple[int, int], ...] = ()

    @property
    def free(self) -> int:
        return self.limit - self.used - self.granted - sum(units for units, _ in self.orphans)

    def told(self) -> Told:
        return Told(self.used, self.granted, self.orphans)


def is_held(taken: Hold | Met | None) -> TypeGuard[Hold]:
    """Whether a take took it."""
    return taken is not None and not isinstance(taken, Met)


def take_with_lock(
    stripe: Stripe,
    first: str,
    rest: Rest,
    wants: Wants,
    now_us: int,
    number: int,
    ends_us: int,
    portion: Portion | None = None,
    *,
    told: bool = True,
) -> Hold | Met | None:
    """`take`, by a caller that has the lock."""
    with stripe.lock:
        return take(stripe, first, rest, wants, now_us, number, ends_us, portion, told=told)


@dataclass
class Land:
    """A stripe, the tree above, and the ledger's numbers beside it."""

    stripe: Stripe = field(default_factory=lambda: Stripe("acme", 1))
    parents: dict[str, str | None] = field(default_factory=lambda: dict(PARENTS))
    cells: dict[int, Cell] = field(default_factory=dict)
    refusals: dict[str, Refusal] = field(default_factory=dict)
    grants: list[int] | None = None  #: cells of those that are open, in drain order; None: no pool
    refuse_unlimited: bool = False
    number: int = 0  #: of the last take
    last_cell: int = 100

    def limit(
        self, resource: str, limit: int, *, currency: str = "t", granted: int | None = None, **facts: object
    ) -> Cell:
        """A new limit; all of it granted, unless said otherwise."""
        self.last_cell += 1
        cell = Cell(self.last_cell, resource, currency, limit, **facts)
        cell.granted = (max(0, cell.free) if granted is None else granted) if cell.hard else 0
        self.cells[cell.cell] = cell
        return cell

    def grant(self, amount: int, *, at: int = 0, granted: int | None = None) -> Cell:
        """A new grant, in that place of the drain order; all of it granted, unless said otherwise."""
        cell = self.limit(CUSTOMER, amount, granted=granted)
        self.grants = [] if self.grants is None else self.grants
        self.grants.insert(at, cell.cell)
        return cell

    def pool(self, currency: str = "t") -> Pool | None:
        """The grants that are open, as a path has them."""
        if self.grants is None or currency != "t":
            return None
        cells = [
            CellNumbers(one.cell, True, f"g{one.cell}", one.limit, one.used, one.granted, one.orphans)
            for one in map(self.cells.__getitem__, self.grants)
        ]
        return Pool(Node(CUSTOMER, 0, "", None, None, cells))

    # ------------------------------------------------------------------ asking

    def strand(self, currency: str = "t") -> Strand:
        row = 1 + sorted({"t", "usd", currency}).index(currency)
        return self.stripe.strand(currency, row, 0)

    def members(self, ids: Iterable[str]) -> set[str]:
        """They and all above, each once."""
        found: set[str] = set()
        for one in ids:
            above: str | None = one
            while above is not None:
                found.add(above)
                above = self.parents[above]
        return found

    def path(self, ids: Iterable[str], currency: str = "t") -> list[Cell]:
        """Every limit of a request, found the slow way."""
        members = self.members(ids)
        return [one for one in self.cells.values() if one.resource in members and one.currency == currency]

    def node(self, resource: str, currency: str = "t") -> Node:
        parent = self.parents[resource]
        of_it = [one for one in self.cells.values() if (one.resource, one.currency) == (resource, currency)]
        return Node(
            resource_id=resource,
            row=1 + sorted(self.parents).index(resource),
            type_id="node",
            parent=None if parent is None else self.node(parent, currency),
            refusal=self.refusals.get(resource),
            cells=[
                CellNumbers(one.cell, one.hard, "", one.limit, one.used, one.granted, one.orphans)
                for one in sorted(of_it, key=lambda one: (not one.hard, one.cell))
            ],
        )

    def compile(self, ids: Sequence[str], *currencies: str) -> None:
        strands = {currency: self.strand(currency) for currency in currencies or ("t",)}
        with self.stripe.lock:
            for currency, strand in strands.items():
                compile_path(
                    strand,
                    [self.node(one, currency) for one in ids],
                    pool=self.pool(currency),
                    version=self.stripe.version,
                    meeting=Meeting(),
                    refuse_unlimited=self.refuse_unlimited,
                    customer_refusal=None,
                )

    def look(self, ids: Sequence[str], units: int = 0, *, now: int = 0) -> Sight:
        """The numbers of one path; compiled, where it is not."""
        for _ in range(2):
            sights = look(self.stripe, ids[0], tuple(ids[1:]), [(self.strand(), units)], now)
            if sights is not None:
                return sights[0]
            self.compile(ids)
        raise AssertionError("what was compiled a moment ago is not found")

    def take(
        self,
        ids: Sequence[str],
        amounts: int | dict[str, int],
        *,
        now: int = 0,
        ends: int = LATER,
        minimum: int | Portion | None = None,
        told: bool = True,
    ) -> Hold | Met:
        """Take under a new number; compiled, where it is not."""
        self.number += 1
        given = amounts if isinstance(amounts, dict) else {"t": amounts}
        wants = [(self.strand(currency), units) for currency, units in given.items()]
        portion = Portion.of_units(minimum, wants[0][1]) if isinstance(minimum, int) else minimum
        for _ in range(2):
            taken = take_with_lock(
                self.stripe, ids[0], tuple(ids[1:]), wants, now, self.number, ends, portion, told=told
            )
            if taken is not None:
                return taken
            self.compile(ids, *given)
        raise AssertionError("what was compiled a moment ago is not found")

    def hold(self, ids: Sequence[str], amounts: int | dict[str, int], **facts: int) -> Hold:
        """A take that must succeed."""
        hold = self.take(ids, amounts, **facts)  # type: ignore[arg-type]  # facts of a take
        assert is_held(hold)
        return hold

    # ------------------------------------------------------------------ seeing

    def places(self, cells: Iterable[int] | None = None) -> dict[int, int]:
        """cell -> place, of those that are in memory."""
        with self.stripe.lock:
            return self.places_locked(self.cells if cells is None else cells)

    def places_locked(self, cells: Iterable[int]) -> dict[int, int]:
        """`places`, for a caller that has the lock."""
        wanted = set(cells)
        return {cell: at for cell, at in all_cells(self.stripe).items() if cell in wanted}

    def seen(self, cell: Cell) -> tuple[int, int, int, int]:
        """(spare, used, allotted, limit) as memory has them."""
        at, numbers = self.places([cell.cell])[cell.cell], self.stripe.numbers
        assert numbers[at + CELL] == cell.cell
        return numbers[at + SPARE], numbers[at + USED], numbers[at + ALLOTTED], numbers[at + LIMIT]

    def held(self, cell: Cell) -> int:
        """What open holds have of a cell: the sum over all of them."""
        at = self.places([cell.cell])[cell.cell]
        return sum(
            units for hold in self.stripe.holds.values() for places, units, *_ in hold[HELD] if at in places
        )

    def tell(self, *cells: Cell, settled: Sequence[Hold] = ()) -> None:
        """What the ledger has of them, taken over; what was set apart and settled falls."""
        places = self.places(cell.cell for cell in cells)
        told = {places[cell.cell]: cell.told() for cell in cells if cell.cell in places}
        with self.stripe.lock:
            install(self.stripe, told, settled)

    def tell_gives(self) -> None:
        """The ledger hears of what was given back."""
        with self.stripe.lock:
            gives, self.stripe.gives = self.stripe.gives, {}
        for cell, units in gives.items():
            if cell in self.cells:
                self.cells[cell].granted -= units
                assert self.cells[cell].granted >= 0, "more was given back than was ever granted"
