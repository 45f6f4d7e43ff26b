"""Exporting: the ledger's model, as a UsageModel.

Here: rows to parts, in an order that does not depend on when they were written.
Not here: the other way (planning.py).

Left out is what is archived and what stands below it (its limits too): to name it would restore
it. So apply(export) changes nothing, with prune as well; and in an empty ledger it makes a
ledger that decides alike. Suspensions are no part of a model.
"""

from typing import Any

from stiggctl.amounts import to_amount
from stiggctl.definitions import Allocation, CreditCurrency, Customer, Rate, Resource, UsageModel
from stiggctl.holder.models import entries
from stiggctl.ledger import Reader
from stiggctl.ledger.records import CurrencyRow, CustomerRow


def export(reader: Reader) -> UsageModel:
    """The model that the ledger has. Parts are made without checks: its rows were checked."""
    customers = sorted(
        (row for row in reader.customers() if row.archived_at_us is None), key=lambda row: row.customer_id
    )
    live = {row.customer_id for row in customers} | {None}
    currencies = {row.id: row for row in reader.currencies()}
    resources: list[Resource] = []
    allocations: list[Allocation] = []
    for customer in customers:
        shown = _add_resources(resources, customer, reader)
        _add_allocations(allocations, customer, shown, currencies, reader)
    types = sorted(
        (row for row in reader.types() if row.customer_id in live),
        key=lambda row: (row.customer_id or "", row.type_id),
    )
    rates = sorted(
        (row for row in reader.rates() if row.customer_id in live),
        key=lambda row: (row.customer_id or "", row.event_name, currencies[row.currency].currency_id),
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
        rates=tuple(
            Rate(
                event_name=row.event_name,
                credit_currency=currencies[row.currency].currency_id,
                customer_id=row.customer_id,
                credits=entries.number(row.credits),
                terms=entries.terms_of(row.terms),
            )
            for row in rates
        ),
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


def _add_allocations(
    allocations: list[Allocation],
    customer: CustomerRow,
    depths: dict[int, int],
    currencies: dict[int, CurrencyRow],
    reader: Reader,
) -> None:
    found = []
    for row in reader.allocations(customer.id):
        if row.resource not in depths:
            continue
        currency = currencies[row.currency]
        order = (depths[row.resource], row.resource_id, currency.currency_id, row.allocation_id or "")
        fields: dict[str, Any] = {
            "id": row.allocation_id,
            "resource_id": row.resource_id,
            "credit_currency": currency.currency_id,
            "customer_id": customer.customer_id,
            "limit": to_amount(row.limit_units, currency.decimals),
            "enforcement_type": row.enforcement,
        }
        found.append((order, fields))
    found.sort(key=lambda each: each[0])
    allocations.extend(Allocation.model_construct(**fields) for _, fields in found)
