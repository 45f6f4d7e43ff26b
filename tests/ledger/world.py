"""A small world for a ledger: one customer, some resources with limits, one holder.

root (limit 1,000)
  a (100)   b (50)        and apart from them: soft (10, SOFT), free (no limit)
"""

import itertools
from collections.abc import Sequence
from typing import Any

from stiggctl.ledger.records import (
    KEYS_OF_USERS,
    AllocationRow,
    AllocationWrite,
    Ask,
    AskCell,
    Batch,
    Booking,
    CellKey,
    CellRow,
    CellWanted,
    CurrencyWrite,
    CustomerWrite,
    Give,
    GrantWrite,
    HolderWrite,
    LedgerState,
    ModelChange,
    OverrideWrite,
    Part,
    Reply,
    ResourceWrite,
    TypeWrite,
)

NOW_US = 1_700_000_000_000_000
HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US
#: The day of NOW_US, which is 22:13:20 of it.
TODAY = (NOW_US - NOW_US % DAY_US, NOW_US - NOW_US % DAY_US + DAY_US)
LIMITS = {"root": 1_000, "a": 100, "b": 50, "soft": 10}
PARENTS = {"root": None, "a": "root", "b": "root", "soft": None, "free": None}

_names = itertools.count()


def holder(name: str | None = None, **differs: Any) -> HolderWrite:
    """A process that enlists."""
    facts: dict[str, Any] = {
        "name": name or f"holder-{next(_names)}",
        "host": "here",
        "boot": "boot-1",
        "pid": 4_711,
        "lock_inode": 99,
        "ttl_max_ms": 600_000,
    }
    return HolderWrite(**{**facts, **differs})


def resource(resource_id: str, parent: str | None = None, **differs: Any) -> ResourceWrite:
    """A resource of the world's one type."""
    facts: dict[str, Any] = {
        "customer_id": "acme",
        "resource_id": resource_id,
        "type_id": "thing",
        "type_customer_id": None,
        "parent_resource_id": parent,
        "name": None,
        "properties": "{}",
        "archived_at_us": None,
        "suspension": None,
    }
    return ResourceWrite(**{**facts, **differs})


def allocation(resource_id: str | None, limit: int, **differs: Any) -> AllocationWrite:
    """A limit in the world's first currency, for ever unless told otherwise."""
    facts: dict[str, Any] = {
        "customer_id": "acme",
        "allocation_id": None,
        "resource_id": resource_id,
        "type_id": None,
        "type_customer_id": None,
        "where": "{}",
        "currency_id": "tokens",
        "limit_units": limit,
        "enforcement": "SOFT" if resource_id == "soft" else "HARD",
        "cadence": None,
        "timezone": "UTC",
        "anchor_us": None,
        "rolling": False,
        "scope": "{}",
        "effective_at_us": None,
        "expires_at_us": None,
    }
    return AllocationWrite(**{**facts, **differs})


def template(limit: int, where: str = "{}", **differs: Any) -> AllocationWrite:
    """A limit on every resource of the world's one type that matches, of all customers."""
    facts: dict[str, Any] = {"customer_id": None, "type_id": "thing", "where": where}
    return allocation(None, limit, **{**facts, **differs})


def override(resource_id: str, limit: int | None = None, **differs: Any) -> OverrideWrite:
    """Another limit for a while, in the world's first currency."""
    facts: dict[str, Any] = {
        "customer_id": "acme",
        "resource_id": resource_id,
        "currency_id": "tokens",
        "cadence": None,
        "scope": "{}",
        "limit_units": limit,
        "add_units": None,
        "reason": None,
        "actor": None,
        "effective_at_us": None,
        "expires_at_us": NOW_US + DAY_US,
    }
    return OverrideWrite(**{**facts, **differs})


def grant(grant_id: str, amount: int, **differs: Any) -> GrantWrite:
    """Prepaid credits of the world's customer in its first currency, for ever unless told otherwise."""
    facts: dict[str, Any] = {
        "customer_id": "acme",
        "grant_id": grant_id,
        "currency_id": "tokens",
        "amount_units": amount,
        "priority": 50,
        "kind": "PAID",
        "effective_at_us": None,
        "expires_at_us": None,
        "cadence": None,
        "timezone": "UTC",
        "anchor_us": None,
    }
    return GrantWrite(**{**facts, **differs})


def wanted(
    row: AllocationRow,
    window: tuple[int, int | None] = (0, None),
    *,
    resource: int | None = None,
    limit: int | None = None,
) -> CellWanted:
    """The cell of an allocation in a window (of a template: for a resource), with its limit or another."""
    key = CellKey(row.id, row.resource if resource is None else resource, window[0])
    return CellWanted(key, window[1], row.scope, row.limit_units if limit is None else limit)


def thing(type_id: str = "thing", **differs: Any) -> TypeWrite:
    """A resource type, for all customers."""
    facts: dict[str, Any] = {
        "customer_id": None,
        "type_id": type_id,
        "name": None,
        "parent_type_id": None,
        "attribution_keys": (type_id, f"{type_id}_id"),
        "properties": "{}",
    }
    return TypeWrite(**{**facts, **differs})


class World:
    """A ledger with the world in it, and how to speak to it briefly."""

    def __init__(self, ledger: Any) -> None:
        self.ledger = ledger
        self.change(
            for_all=True,
            customers_touched={"acme"},
            currencies=[
                CurrencyWrite(currency_id="tokens", name=None, decimals=0),
                CurrencyWrite(currency_id="usd", name="US dollars", decimals=9),
            ],
            customers=[CustomerWrite(customer_id="acme", name="Acme", archived_at_us=None)],
            types=[thing()],
            resources=[resource(name, parent) for name, parent in PARENTS.items()],
            allocations=[allocation(name, limit) for name, limit in LIMITS.items()],
        )
        self.me = self.enlist()
        with ledger.reader() as reader:
            self.customer = reader.customers()[0].id
            self.tokens, self.usd = (row.id for row in reader.currencies())
        self.reread()

    def enlist(self) -> int:
        """A new holder, where nobody else lives."""
        id_ = self.ledger.enlist(holder())
        assert isinstance(id_, int)
        return id_

    def join(self) -> int:
        """A new holder beside those that live."""
        with self.ledger.reader() as reader:
            living = [row.id for row in reader.holders()]
        id_ = self.ledger.enlist(holder(obeys=self.version), living)
        assert isinstance(id_, int)
        return id_

    def change(self, **writes: Any) -> LedgerState:
        """Change the model as it stands."""
        with self.ledger.reader() as reader:
            expected = reader.state().change
        change = ModelChange(expected_change=expected, at_us=NOW_US, **writes)
        state = self.ledger.change_model(change)
        assert isinstance(state, LedgerState)
        self.version = state.change
        return state

    def reread_rows(self) -> None:
        """Learn the rows of resources."""
        with self.ledger.reader() as reader:
            self.version = reader.state().change
            self.rows = {row.resource_id: row.id for row in reader.resources()}

    def reread(self) -> None:
        """Learn the rows, and open all cells."""
        self.reread_rows()
        with self.ledger.reader() as reader:
            self.wanted = {
                row.resource_id: wanted(row) for row in reader.allocations() if row.currency == self.tokens
            }
        self.keys = {name: one.key for name, one in self.wanted.items()}
        opened = self.ledger.open_cells(list(self.wanted.values()), self.version, self.me)
        self.ids = {name: opened[key].id for name, key in self.keys.items()}

    def limit(self, allocation_id: str) -> AllocationRow:
        """An allocation as it stands, by its id."""
        with self.ledger.reader() as reader:
            [row] = [row for row in reader.allocations() if row.allocation_id == allocation_id]
        return row

    def open(self, *cells: CellWanted) -> list[CellRow]:
        """Open them under the model as it is; later bookings on their names count in them by `ids`."""
        opened = self.ledger.open_cells(list(cells), self.version, self.me)
        return [opened[one.key] for one in cells]

    def booking(
        self,
        key: str,
        amount: int,
        on: Sequence[str] = ("a", "root"),
        *,
        spend: int = 0,
        currency: int | None = None,
        **differs: Any,
    ) -> Booking:
        """One event on those resources, and in the cells of those that have one."""
        cells = tuple(self.ids[name] for name in on if name in self.ids)
        part = Part(currency or self.tokens, amount, None, cells, (spend,) * len(cells))
        facts: dict[str, Any] = {
            "customer": self.customer,
            "namespace": KEYS_OF_USERS,
            "key": key,
            "members": tuple(sorted(self.rows[name] for name in on)),
            "parts": (part,),
            "event_name": "chat",
            "dimensions": '{"model": "gpt-5"}',
            "occurred_at_us": NOW_US - 1,
            "reservation": None,
            "reverses": None,
            "flags": 0,
            "unattributed": None,
            "fingerprint": key.encode(errors="surrogatepass"),
        }
        return Booking(**{**facts, **differs})

    def ask(
        self,
        amount: int,
        on: Sequence[str] = ("a", "root"),
        *,
        spare: int = 0,
        minimum: int | None = None,
        request: int | None = None,
    ) -> Ask:
        """A wish for room in the cells of those resources."""
        least = amount if minimum is None else minimum
        return Ask(
            cells=tuple((AskCell(self.ids[name], spare), amount, least) for name in on),
            request_units=amount if request is None else request,
        )

    def give(self, name: str, units: int, *, exact: bool = False) -> Give:
        """What I return of a resource's cell."""
        return Give(self.ids[name], units, exact)

    def exchange(
        self,
        *bookings: Booking,
        gives: Sequence[Give] = (),
        asks: Sequence[Ask] = (),
        now_us: int = NOW_US,
        by: int | None = None,
    ) -> Reply:
        """One exchange of mine."""
        return self.ledger.exchange(
            Batch(
                holder=self.me if by is None else by,
                change=self.version,
                now_us=now_us,
                bookings=list(bookings),
                gives=list(gives),
                asks=list(asks),
            )
        )

    def cell(self, name: str, of: int | None = None) -> CellRow:
        """As it stands in the ledger, seen by me."""
        with self.ledger.reader() as reader:
            seen = reader.cells([self.wanted[name]], self.me if of is None else of)[self.keys[name]]
            [(limit,)] = reader.rows("SELECT lim FROM cells WHERE id = :id", {"id": seen.id}) or [(None,)]
        # Of a cell that is not open there is only the limit that is wanted.
        return seen if limit is None else seen._replace(limit_units=limit)

    def numbers(self) -> dict[str, tuple[int, int, int]]:
        """Of all cells: used, mine, others'."""
        with self.ledger.reader() as reader:
            cells = reader.cells(list(self.wanted.values()), self.me)
        return {
            name: (cells[key].used, cells[key].granted, cells[key].others) for name, key in self.keys.items()
        }

    def assert_sound(self) -> None:
        """L2, L3."""
        with self.ledger.reader() as reader:
            assert reader.differences() == []
