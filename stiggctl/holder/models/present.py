"""Present: what the ledger has of what a model refers to, in a few reads however many entries.

Here: the rows that a model's entries may replace. Not here: what the checks are to know of them
(standing.py), what becomes of them (planning.py).

Read are: currencies, types, rates and prices (there are few); the customers, resources (with their
ancestors), allocations and overrides that the model refers to; of customers that it grants something,
their grants.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from stiggctl.definitions import Draft
from stiggctl.holder.models.allocations import key_of_row
from stiggctl.holder.models.contracts import key_of_price_row
from stiggctl.holder.models.grants import key_of_grant
from stiggctl.holder.models.overrides import key_of_override_row
from stiggctl.ledger import Reader
from stiggctl.ledger.records import (
    AllocationRow,
    CurrencyRow,
    CustomerRow,
    GrantRow,
    LedgerState,
    OverrideRow,
    PriceRow,
    RateRow,
    RateWrite,
    ResourceRow,
    TypeRow,
)
from stiggctl.validation import AllocationKey, GrantKey, OverrideKey, Owners, PriceKey, ResourceKey, TypeKey

#: (customer or None: for all, event name, currency, where, from when on)
RateKey = tuple[str | None, str, str, str, int | None]

# Below so many, resources are asked for one by one; above, a customer's are read through once.
ONE_BY_ONE_MAX = 200
# What `Reader.templates` is asked for where no customer is meant: those for all.
FOR_ALL = 0


class Rescaled(NamedTuple):
    """What stays what it is in a currency that gets other decimals, and whose it is."""

    allocations: list[tuple[str | None, AllocationRow]]
    overrides: list[tuple[str, OverrideRow]]
    grants: list[tuple[str, GrantRow]]


@dataclass(slots=True)
class Present:
    """The rows that a model's entries may replace, by their keys."""

    state: LedgerState
    currencies: dict[str, CurrencyRow]
    types: dict[TypeKey, TypeRow]
    type_keys: dict[int, TypeKey]  #: by row
    rates: dict[RateKey, RateRow]
    prices: dict[PriceKey, PriceRow]
    customers: dict[str, CustomerRow]
    resources: dict[ResourceKey, ResourceRow] = field(default_factory=dict)
    allocations: dict[AllocationKey, AllocationRow] = field(default_factory=dict)
    overrides: dict[OverrideKey, OverrideRow] = field(default_factory=dict)
    grants: dict[GrantKey, GrantRow] = field(default_factory=dict)
    #: Of currencies that are to get other decimals: what the model does not name.
    rescaled: dict[str, Rescaled] = field(default_factory=dict)


def key_of_rate(row: RateRow | RateWrite, currency_id: str) -> RateKey:
    """Which rate a row is."""
    return row.customer_id, row.event_name, currency_id, row.where, row.effective_at_us


def present_for(draft: Draft, owners: Owners, reader: Reader) -> Present:
    """What the ledger has of what the model refers to."""
    currencies = reader.currencies()
    currency_ids = {row.id: row.currency_id for row in currencies}
    types = {(row.customer_id, row.type_id): row for row in reader.types()}
    asked = {*owners.named, *owners.resources, *owners.allocations, *owners.overrides, *owners.grants}
    present = Present(
        state=reader.state(),
        currencies={row.currency_id: row for row in currencies},
        types=types,
        type_keys={row.id: key for key, row in types.items()},
        rates={key_of_rate(row, currency_ids[row.currency]): row for row in reader.rates()},
        prices={key_of_price_row(row): row for row in reader.prices()},
        customers={row.customer_id: row for row in reader.customers(sorted(filter(None, asked)))},
    )
    wanted: dict[str, list[str]] = {}
    for customer_id, resource_id in named_resources(draft, owners):
        wanted.setdefault(customer_id, []).append(resource_id)
    for customer_id, customer in present.customers.items():
        for row in reader.lineage(customer.id, wanted.get(customer_id, ())):
            present.resources[customer_id, row.resource_id] = row
    _add_allocations(draft, owners, present, currency_ids, reader)
    _add_overrides(draft, owners, present, currency_ids, reader)
    for customer_id in present.customers.keys() & set(owners.grants):
        for grant in reader.grants(present.customers[customer_id].id):
            present.grants[key_of_grant(customer_id, grant)] = grant
    return present


def _add_allocations(
    draft: Draft, owners: Owners, present: Present, currency_ids: dict[int, str], reader: Reader
) -> None:
    on: dict[str, set[int]] = {}
    whole: set[str] = set()
    templates: set[str | None] = set()
    for entry, owner in zip(draft.model.allocations, owners.allocations, strict=True):
        if owner is None or entry.resource_id is None:
            templates.add(owner)
        elif (owner, entry.resource_id) in present.resources:
            on.setdefault(owner, set()).add(present.resources[owner, entry.resource_id].id)
        if entry.id is not None and owner is not None:
            whole.add(owner)  # the ledger may have it on another resource
    for override, owner in zip(draft.model.overrides, owners.overrides, strict=True):
        if owner is not None and (owner, override.resource_id) in present.resources:
            on.setdefault(owner, set()).add(present.resources[owner, override.resource_id].id)

    def add(customer_id: str | None, rows: Iterable[AllocationRow]) -> None:
        for row in rows:
            key = key_of_row(customer_id, row, currency_ids[row.currency])
            present.allocations[key] = row

    for customer_id in (on.keys() | whole) & present.customers.keys():
        rows = on.get(customer_id, set())
        everything = customer_id in whole or len(rows) > ONE_BY_ONE_MAX
        customer = present.customers[customer_id].id
        add(customer_id, reader.allocations(customer, None if everything else sorted(rows)))
    if templates:
        add(None, reader.templates(FOR_ALL))
    for customer_id in present.customers.keys() & templates:
        customer = present.customers[customer_id].id
        add(customer_id, (row for row in reader.templates(customer) if row.customer == customer))


def _add_overrides(
    draft: Draft, owners: Owners, present: Present, currency_ids: dict[int, str], reader: Reader
) -> None:
    on: dict[str, set[int]] = {}
    for entry, owner in zip(draft.model.overrides, owners.overrides, strict=True):
        if owner is not None and (owner, entry.resource_id) in present.resources:
            on.setdefault(owner, set()).add(present.resources[owner, entry.resource_id].id)
    for customer_id, rows in on.items():
        customer = present.customers[customer_id].id
        everything = len(rows) > ONE_BY_ONE_MAX
        for row in reader.overrides(customer, None if everything else sorted(rows)):
            key = key_of_override_row(customer_id, row, currency_ids[row.currency])
            present.overrides[key] = row


def named_resources(draft: Draft, owners: Owners) -> set[ResourceKey]:
    """What the model names: by an entry, as a parent, or by a limit on it."""
    named: set[ResourceKey] = set()
    for entry, owner in zip(draft.model.resources, owners.resources, strict=True):
        if owner is not None:
            named.add((owner, entry.id))
            if entry.parent_resource_id is not None:
                named.add((owner, entry.parent_resource_id))
    for limit, owner in zip(draft.model.allocations, owners.allocations, strict=True):
        if owner is not None and limit.resource_id is not None:
            named.add((owner, limit.resource_id))
    for override, owner in zip(draft.model.overrides, owners.overrides, strict=True):
        if owner is not None:
            named.add((owner, override.resource_id))
    return named
