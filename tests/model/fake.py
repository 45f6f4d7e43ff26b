"""A ledger of dictionaries: as much of it as planning reads, and change_model.

Here: rows kept in memory, every read a list of copies, what was read counted.
Not here: usage, but for a set of currencies that are said to be counted.
"""

from collections.abc import Iterator, Sequence
from copy import copy
from itertools import count
from types import TracebackType
from typing import Any, Self

from stiggctl.ledger import Stale
from stiggctl.ledger.records import (
    AllocationRow,
    AuditLine,
    CurrencyRow,
    CustomerRow,
    GrantRow,
    LedgerState,
    ModelChange,
    OverrideRow,
    PriceRow,
    RateRow,
    ResourceRow,
    TypeRow,
)


class FakeLedger:
    """Rows by their row numbers. It is its own reader: nobody writes between two reads."""

    def __init__(self) -> None:
        self._ids = count(1)
        self.change, self.model_version = 0, 0
        self.counted: set[str] = set()
        self.read_through: list[str] = []  # customers whose resources were read through
        self._currencies: dict[str, CurrencyRow] = {}
        self._customers: dict[str, CustomerRow] = {}
        self._types: dict[tuple[str | None, str], TypeRow] = {}
        self._resources: dict[int, ResourceRow] = {}
        self._places: dict[tuple[int, str], int] = {}
        self._allocations: dict[int, AllocationRow] = {}
        self._keys: dict[tuple[Any, ...], int] = {}  # of allocations
        self._overrides: dict[int, OverrideRow] = {}
        self._rates: dict[int, RateRow] = {}
        self._prices: dict[int, PriceRow] = {}
        self._grants: dict[tuple[int, str], GrantRow] = {}
        self.lines: list[AuditLine] = []

    def reader(self) -> Self:
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        pass

    # ------------------------------------------------------------------ reads

    def state(self) -> LedgerState:
        return LedgerState("fake", 1, self.model_version, self.change)

    def currencies(self) -> list[CurrencyRow]:
        return [copy(row) for row in self._currencies.values()]

    def customers(self, customer_ids: Sequence[str] | None = None) -> list[CustomerRow]:
        rows = self._customers.values()
        return [copy(row) for row in rows if customer_ids is None or row.customer_id in set(customer_ids)]

    def customers_with(self, resource_ids: Sequence[str]) -> dict[str, set[str]]:
        having: dict[str, set[str]] = {}
        owners = {row.id: row.customer_id for row in self._customers.values()}
        for row in self._resources.values():
            if row.resource_id in resource_ids:
                having.setdefault(row.resource_id, set()).add(owners[row.customer])
        return having

    def types(self) -> list[TypeRow]:
        return [copy(row) for row in self._types.values()]

    def lineage(self, customer: int, resource_ids: Sequence[str]) -> list[ResourceRow]:
        found: dict[int, None] = {}
        for resource_id in resource_ids:
            trail, at = [], self._places.get((customer, resource_id))
            while at is not None and at not in found:
                trail.append(at)
                at = self._resources[at].parent
            found.update(dict.fromkeys(reversed(trail)))
        return [self._row(each) for each in found]

    def resources(
        self, customer: int | None = None, resource_ids: Sequence[str] | None = None
    ) -> Iterator[ResourceRow]:
        for each in self._customers.values():
            if customer in {None, each.id}:
                self.read_through.append(each.customer_id)
                ids = [row.resource_id for row in self._resources.values() if row.customer == each.id]
                yield from self.lineage(each.id, ids if resource_ids is None else resource_ids)

    def subtree(self, customer: int, resource_id: str) -> list[ResourceRow]:
        inside = {self._places[customer, resource_id]}
        rows = list(self.resources(customer))
        self.read_through.pop()
        for row in rows:
            if row.parent in inside:
                inside.add(row.id)
        return [row for row in rows if row.id in inside]

    def allocations(
        self, customer: int | None = None, resources: Sequence[int] | None = None
    ) -> list[AllocationRow]:
        wanted = None if resources is None else set(resources)
        return [
            copy(row)
            for row in self._allocations.values()
            if customer in {None, row.customer}
            and (wanted is None or (row.resource in wanted and row.resource))
        ]

    def templates(self, customer: int) -> list[AllocationRow]:
        return [
            copy(row)
            for row in self._allocations.values()
            if not row.resource and row.customer in {0, customer}
        ]

    def overrides(
        self, customer: int | None = None, resources: Sequence[int] | None = None
    ) -> list[OverrideRow]:
        wanted = None if resources is None else set(resources)
        return [
            copy(row)
            for row in self._overrides.values()
            if customer in {None, row.customer} and (wanted is None or row.resource in wanted)
        ]

    def grants(self, customer: int | None = None, *, since_us: int | None = None) -> list[GrantRow]:
        assert since_us is None, "nothing is planned of a part of them"
        return [copy(row) for row in self._grants.values() if customer in {None, row.customer}]

    def rates(self, event_name: str | None = None) -> list[RateRow]:
        return [copy(row) for row in self._rates.values() if event_name in {None, row.event_name}]

    def prices(self) -> list[PriceRow]:
        return [copy(row) for row in self._prices.values()]

    def audit(
        self, customer_id: str | None = None, since_us: int | None = None, until_us: int | None = None
    ) -> Iterator[AuditLine]:
        yield from self.lines

    def is_counted(self, currency_id: str) -> bool:
        return currency_id in self.counted

    def _row(self, row: int) -> ResourceRow:
        found = copy(self._resources[row])
        found.parent_resource_id = None if found.parent is None else self._resources[found.parent].resource_id
        return found

    # ------------------------------------------------------------------ the one write

    def change_model(self, change: ModelChange) -> LedgerState:
        if change.expected_change != self.change:
            raise Stale
        self.change += 1
        self.model_version += change.for_all
        for write in change.currencies:
            former = self._currencies.get(write.currency_id)
            self._currencies[write.currency_id] = CurrencyRow(
                id=former.id if former else next(self._ids),
                currency_id=write.currency_id,
                name=write.name,
                decimals=write.decimals,
            )
        for customer in change.customers:
            old = self._customers.get(customer.customer_id)
            self._customers[customer.customer_id] = CustomerRow(
                id=old.id if old else next(self._ids),
                customer_id=customer.customer_id,
                name=customer.name,
                model_version=old.model_version if old else 1,
                archived_at_us=customer.archived_at_us,
            )
        for customer_id in change.customers_touched:
            self._customers[customer_id].model_version += 1
        for each in change.types:
            key = (each.customer_id, each.type_id)
            row = self._types[key].id if key in self._types else next(self._ids)
            self._types[key] = TypeRow(
                id=row,
                customer_id=each.customer_id,
                type_id=each.type_id,
                name=each.name,
                parent_type_id=each.parent_type_id,
                attribution_keys=each.attribution_keys,
                properties=each.properties,
            )
        self._write_resources(change)
        self._write_limits(change)
        self.lines += change.audit
        return self.state()

    def _write_resources(self, change: ModelChange) -> None:
        for write in change.resources:
            customer = self._customers[write.customer_id].id
            parent = None
            if write.parent_resource_id is not None:
                parent = self._places[customer, write.parent_resource_id]
            row = self._places.setdefault((customer, write.resource_id), next(self._ids))
            self._resources[row] = ResourceRow(
                id=row,
                customer=customer,
                resource_id=write.resource_id,
                type=self._types[write.type_customer_id, write.type_id].id,
                type_id=write.type_id,
                parent=parent,
                parent_resource_id=None,
                name=write.name,
                properties=write.properties,
                archived_at_us=write.archived_at_us,
                suspension=write.suspension,
            )

    def _write_limits(self, change: ModelChange) -> None:
        for removed in change.allocations_removed:
            gone = self._allocations.pop(removed)
            self._keys = {key: row for key, row in self._keys.items() if row != gone.id}
        for write in change.allocations:
            customer = 0 if write.customer_id is None else self._customers[write.customer_id].id
            resource = 0 if write.resource_id is None else self._places[customer, write.resource_id]
            type_ = None
            if write.type_id is not None:
                type_ = self._types[write.type_customer_id, write.type_id].id
            currency = self._currencies[write.currency_id].id
            key: tuple[Any, ...] = (customer, write.allocation_id)
            if write.allocation_id is None:
                on = (customer, resource, write.type_id, write.where)
                key = (*on, currency, write.scope, write.rolling, write.cadence)
            row = self._keys.setdefault(key, next(self._ids))
            self._allocations[row] = AllocationRow(
                id=row,
                customer=customer,
                resource=resource,
                resource_id=write.resource_id or "",
                type=type_,
                currency=currency,
                **_alike(write, AllocationRow),
            )
        self._write_overrides(change)
        self._write_rates(change)
        self._write_prices(change)
        self._write_grants(change)

    def _write_overrides(self, change: ModelChange) -> None:
        for removed in change.overrides_removed:
            del self._overrides[removed]
        for write in change.overrides:
            customer = self._customers[write.customer_id].id
            resource, currency = (
                self._places[customer, write.resource_id],
                self._currencies[write.currency_id].id,
            )
            key = (resource, currency, write.cadence, write.scope, write.effective_at_us)
            same = (
                row.id
                for row in self._overrides.values()
                if (row.resource, row.currency, row.cadence, row.scope, row.effective_at_us) == key
            )
            row = next(same, None) or next(self._ids)
            self._overrides[row] = OverrideRow(
                id=row,
                customer=customer,
                resource=resource,
                currency=currency,
                put_at_us=change.at_us,
                **_alike(write, OverrideRow),
            )

    def _write_rates(self, change: ModelChange) -> None:
        for retired in change.rates_retired:
            del self._rates[retired]
        for write in change.rates:
            currency = self._currencies[write.currency_id].id
            key = (write.customer_id, write.event_name, currency, write.where, write.effective_at_us)
            for each in [
                each
                for each in self._rates.values()
                if (each.customer_id, each.event_name, each.currency, each.where, each.effective_at_us) == key
            ]:
                del self._rates[each.id]
            row = next(self._ids)
            self._rates[row] = RateRow(id=row, currency=currency, **_alike(write, RateRow))

    def _write_prices(self, change: ModelChange) -> None:
        for retired in change.prices_retired:
            del self._prices[retired]
        for write in change.prices:
            key = (write.customer_id, write.provider, write.model, write.effective_at_us)
            for each in list(self._prices.values()):
                if (each.customer_id, each.provider, each.model, each.effective_at_us) == key:
                    del self._prices[each.id]
            row = next(self._ids)
            self._prices[row] = PriceRow(id=row, **_alike(write, PriceRow))

    def _write_grants(self, change: ModelChange) -> None:
        for write in change.grants:
            customer, currency = (
                self._customers[write.customer_id].id,
                self._currencies[write.currency_id].id,
            )
            former = self._grants.get((customer, write.grant_id))
            assert former is None or former.currency == currency  # it keeps its currency
            self._grants[customer, write.grant_id] = GrantRow(
                id=former.id if former else next(self._ids),
                customer=customer,
                currency=currency,
                voided_at_us=former.voided_at_us if former else None,
                **_alike(write, GrantRow),
            )
        for voided in change.grants_voided:
            [row] = (each for each in self._grants.values() if each.id == voided)
            assert row.voided_at_us is None
            row.voided_at_us = change.at_us


def _alike(write: Any, row: type[Any]) -> dict[str, Any]:
    """What a record to write and its row have under the same name; a template has no resource there."""
    names = set(write.__slots__) & set(row.__slots__) - {"resource_id"}
    if row is OverrideRow:
        names.add("resource_id")
    return {name: getattr(write, name) for name in names}
