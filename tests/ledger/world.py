"""A small world for a ledger: one customer, some resources with limits, one holder.

root (limit 1,000)
  a (100)   b (50)        and apart from them: soft (10, SOFT), free (no limit)
"""

import itertools
from collections.abc import Sequence
from typing import Any

from stiggctl.ledger.records import (
    KEYS_OF_USERS,
    AllocationWrite,
    Ask,
    AskCell,
    Batch,
    Booking,
    CellKey,
    CellRow,
    CurrencyWrite,
    CustomerWrite,
    Give,
    HolderWrite,
    LedgerState,
    ModelChange,
    Part,
    Reply,
    ResourceWrite,
    TypeWrite,
)

NOW_US = 1_700_000_000_000_000
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


def allocation(resource_id: str, limit: int, **differs: Any) -> AllocationWrite:
    """A limit in the world's first currency."""
    facts: dict[str, Any] = {
        "customer_id": "acme",
        "allocation_id": None,
        "resource_id": resource_id,
        "currency_id": "tokens",
        "limit_units": limit,
        "enforcement": "SOFT" if resource_id == "soft" else "HARD",
    }
    return AllocationWrite(**{**facts, **differs})


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
        """A new holder."""
        id_ = self.ledger.enlist(holder())
        assert isinstance(id_, int)
        return id_

    def change(self, **writes: Any) -> LedgerState:
        """Change the model as it stands."""
        with self.ledger.reader() as reader:
            expected = reader.state().change
        change = ModelChange(expected_change=expected, at_us=NOW_US, **writes)
        state = self.ledger.change_model(change, getattr(self, "me", None))
        assert isinstance(state, LedgerState)
        self.version = state.change
        return state

    def reread(self) -> None:
        """Learn the rows, and open all cells."""
        with self.ledger.reader() as reader:
            self.version = reader.state().change
            self.rows = {row.resource_id: row.id for row in reader.resources()}
            self.keys = {
                row.resource_id: CellKey(row.id, row.resource, 0)
                for row in reader.allocations()
                if row.currency == self.tokens
            }
        opened = self.ledger.open_cells(list(self.keys.values()), self.version, self.me)
        self.ids = {name: opened[key].id for name, key in self.keys.items()}

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

    def give(self, name: str, units: int) -> Give:
        """What I return of a resource's cell."""
        return Give(self.ids[name], units)

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
            return reader.cells([self.keys[name]], self.me if of is None else of)[self.keys[name]]

    def numbers(self) -> dict[str, tuple[int, int, int]]:
        """Of all cells: used, mine, others'."""
        with self.ledger.reader() as reader:
            cells = reader.cells(list(self.keys.values()), self.me)
        return {
            name: (cells[key].used, cells[key].granted, cells[key].others) for name, key in self.keys.items()
        }

    def assert_sound(self) -> None:
        """L2, L3."""
        with self.ledger.reader() as reader:
            assert reader.differences() == []
