"""Exporting: the ledger's model, as a UsageModel.

Here: rows to parts, in an order that does not depend on when they were written.
Not here: the other way (planning.py).

Left out is what is archived and what stands below it (its limits too): to name it would restore
it; overrides that have ended, and grants that were voided (not those that expired: a late event may
be theirs to pay). So apply(export) changes nothing, with prune as well; and in an empty ledger it
makes a ledger that decides alike. Suspensions are no part of a model, nor is what was used: grants
are whole again there, as limits are.

One thing an empty ledger refuses: an override without a cadence on a resource that got limits of
several cadences since. It says which cadences there are.
"""

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any

from stiggctl.definitions import (
    Allocation,
    CreditCurrency,
    Customer,
    Grant,
    Override,
    Rate,
    Resource,
    UsageModel,
)
from stiggctl.holder.models import entries
from stiggctl.holder.models.allocations import fields_of
from stiggctl.holder.models.contracts import price_part_of
from stiggctl.holder.models.grants import grant_fields_of
from stiggctl.holder.models.overrides import override_fields_of
from stiggctl.holder.models.present import FOR_ALL
from stiggctl.ledger import Reader
from stiggctl.ledger.records import AllocationRow, CurrencyRow, CustomerRow, GrantRow, OverrideRow, PriceRow
from stiggctl.windows import FIRST_US


def export(reader: Reader, *, at_us: int) -> UsageModel:
    """The model that the ledger has, as of then. Parts are made without checks: its rows were checked."""
    customers = sorted(
        (row for row in reader.customers() if row.archived_at_us is None), key=lambda row: row.customer_id
    )
    live = {row.customer_id for row in customers} | {None}
    currencies = {row.id: row for row in reader.currencies()}
    resources: list[Resource] = []
    allocations = _allocations(None, reader.templates(FOR_ALL), {}, currencies)
    overrides: list[Override] = []
    grants: list[Grant] = []
    for customer in customers:
        shown = _add_resources(resources, customer, reader)
        customer_id = customer.customer_id
        allocations += _allocations(customer_id, reader.allocations(customer.id), shown, currencies)
        rows = (row for row in reader.overrides(customer.id) if row.expires_at_us > at_us)
        overrides += _overrides(customer_id, rows, shown, currencies)
        grants += _grants(customer_id, reader.grants(customer.id), currencies)
    types = sorted(
        (row for row in reader.types() if row.customer_id in live),
        key=lambda row: (row.customer_id or "", row.type_id),
    )
    rates = sorted(
        (row for row in reader.rates() if row.customer_id in live),
        key=lambda row: (
            row.customer_id or "",
            row.event_name,
            currencies[row.currency].currency_id,
            _whole_first(row.where),
            _or_ever(row.effective_at_us),
        ),
    )
    return UsageModel(
        customers=tuple(Customer(id=row.customer_id, name=row.name) for row in customers),
        credit_currencies=tuple(
            CreditCurrency(id=row.currency_id, name=row.name, decimals=row.decimals)
            for row in sorted(currencies.values(), key=lambda row: row.currency_id)
        ),
        resource_types=tuple(map(entries.type_of, types)),
        resources=tuple(resources),
        allocations=tuple(allocations),
        overrides=tuple(overrides),
        rates=tuple(
            Rate(
                event_name=row.event_name,
                credit_currency=currencies[row.currency].currency_id,
                customer_id=row.customer_id,
                where=entries.filter_of(row.where),
                credits=entries.number(row.credits),
                terms=entries.terms_of(row.terms),
                effective_at=entries.instant_text(row.effective_at_us),
            )
            for row in rates
        ),
        grants=tuple(grants),
        prices=tuple(map(price_part_of, _prices(reader, live))),
    )


def _add_resources(resources: list[Resource], customer: CustomerRow, reader: Reader) -> dict[int, int]:
    """Add the customer's live resources, roots first; row numbers of those, with their depth."""
    depths: dict[int, int] = {}
    found: list[tuple[int, str, dict[str, Any]]] = []
    for row in reader.resources(customer.id):
        if row.archived_at_us is not None or (row.parent is not None and row.parent not in depths):
            continue  # archived, or below something archived
        depth = depths[row.id] = 0 if row.parent is None else depths[row.parent] + 1
        fields = {
            "id": row.resource_id,
            "resource_type_id": row.type_id,
            "parent_resource_id": row.parent_resource_id,
            "customer_id": customer.customer_id,
            "name": row.name,
            "properties": entries.properties_of(row.properties),
        }
        found.append((depth, row.resource_id, fields))
    found.sort(key=lambda each: each[:2])
    resources.extend(Resource.model_construct(**fields) for _, _, fields in found)
    return depths


def _allocations(
    customer_id: str | None,
    rows: Iterable[AllocationRow],
    depths: Mapping[int, int],
    currencies: Mapping[int, CurrencyRow],
) -> list[Allocation]:
    """A customer's: templates, then those on resources that are shown, roots first."""
    found = []
    for row in rows:
        if row.resource and row.resource not in depths:
            continue
        currency = currencies[row.currency]
        depth = depths[row.resource] if row.resource else -1
        on = (depth, row.resource_id, row.type_id or "", _whole_first(row.where))
        counts = (_whole_first(row.scope), row.cadence or "", row.rolling)
        how = (currency.currency_id, row.allocation_id or "", *counts)
        fields = fields_of(customer_id, row, currency.currency_id, currency.decimals)
        found.append(((*on, *how), fields))
    found.sort(key=lambda each: each[0])
    return [Allocation.model_construct(**fields) for _, fields in found]


def _overrides(
    customer_id: str,
    rows: Iterable[OverrideRow],
    depths: Mapping[int, int],
    currencies: Mapping[int, CurrencyRow],
) -> list[Override]:
    found = []
    for row in rows:
        if row.resource not in depths:
            continue
        currency = currencies[row.currency]
        on = (depths[row.resource], row.resource_id, currency.currency_id)
        how = (_whole_first(row.scope), row.cadence or "", _or_ever(row.effective_at_us))
        fields = override_fields_of(customer_id, row, currency.currency_id, currency.decimals)
        found.append(((*on, *how), fields))
    found.sort(key=lambda each: each[0])
    return [Override.model_construct(**fields) for _, fields in found]


def _grants(customer_id: str, rows: Iterable[GrantRow], currencies: Mapping[int, CurrencyRow]) -> list[Grant]:
    found = []
    for row in sorted(rows, key=lambda row: row.grant_id):
        if row.voided_at_us is None:
            currency = currencies[row.currency]
            fields = grant_fields_of(customer_id, row, currency.currency_id, currency.decimals)
            found.append(Grant.model_construct(**fields))
    return found


def _prices(reader: Reader, live: AbstractSet[str | None]) -> list[PriceRow]:
    return sorted(
        (row for row in reader.prices() if row.customer_id in live),
        key=lambda row: (
            row.customer_id or "",
            row.provider or "",
            row.model,
            _or_ever(row.effective_at_us),
        ),
    )


def _or_ever(at_us: int | None) -> int:
    """A key to sort by: what was always so comes first."""
    return FIRST_US - 1 if at_us is None else at_us


def _whole_first(asked: str) -> str:
    """A key to sort by: what asks for nothing comes first."""
    return "" if asked == "{}" else asked
