"""Present: what the ledger has of what a model refers to, in a few reads however many entries.

Here: the rows that a model's entries may replace; the `Known` that the checks look at.
Not here: what becomes of them (planning.py), what is wrong (validation/).

Read are: currencies, types and rates (there are few); the customers, resources (with their
ancestors) and allocations that the model refers to; and, only where a type changes in a way that
may not fit what stands, the resources of that type.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from stiggctl.amounts import to_amount
from stiggctl.definitions import Draft, ResourceType
from stiggctl.holder.models.entries import properties_of, type_of
from stiggctl.ledger import Reader
from stiggctl.ledger.records import (
    AllocationRow,
    CurrencyRow,
    CustomerRow,
    LedgerState,
    RateRow,
    ResourceRow,
    TypeRow,
)
from stiggctl.validation import Known, Node, Owners, ResourceKey, Standing, TypeKey

#: (customer, id), or without an id (customer, resource, currency)
AllocationKey = tuple[str, ...]
#: (customer or None: for all, event name, currency)
RateKey = tuple[str | None, str, str]

# Below so many, resources are asked for one by one; above, a customer's are read through once.
_ONE_BY_ONE_MAX = 200


@dataclass(slots=True)
class Present:
    """The rows that a model's entries may replace, by their keys."""

    state: LedgerState
    currencies: dict[str, CurrencyRow]
    types: dict[TypeKey, TypeRow]
    type_keys: dict[int, TypeKey]  #: by row
    rates: dict[RateKey, RateRow]
    customers: dict[str, CustomerRow]
    resources: dict[ResourceKey, ResourceRow] = field(default_factory=dict)
    allocations: dict[AllocationKey, AllocationRow] = field(default_factory=dict)
    #: Of currencies that are to get other decimals: allocations that the model does not name.
    rescaled: dict[str, list[tuple[str, AllocationRow]]] = field(default_factory=dict)


def key_of_allocation(
    customer_id: str, allocation_id: str | None, resource_id: str, currency_id: str
) -> AllocationKey:
    """The id where there is one, else the resource and the currency."""
    if allocation_id is not None:
        return customer_id, allocation_id
    return customer_id, resource_id, currency_id


def present_for(draft: Draft, owners: Owners, reader: Reader) -> Present:
    """What the ledger has of what the model refers to."""
    currencies = reader.currencies()
    currency_ids = {row.id: row.currency_id for row in currencies}
    types = {(row.customer_id, row.type_id): row for row in reader.types()}
    asked = {*owners.named, *owners.resources, *owners.allocations}
    present = Present(
        state=reader.state(),
        currencies={row.currency_id: row for row in currencies},
        types=types,
        type_keys={row.id: key for key, row in types.items()},
        rates={(row.customer_id, row.event_name, currency_ids[row.currency]): row for row in reader.rates()},
        customers={row.customer_id: row for row in reader.customers(sorted(filter(None, asked)))},
    )
    wanted: dict[str, list[str]] = {}
    for customer_id, resource_id in named_resources(draft, owners):
        wanted.setdefault(customer_id, []).append(resource_id)
    for customer_id, customer in present.customers.items():
        for row in reader.lineage(customer.id, wanted.get(customer_id, ())):
            present.resources[customer_id, row.resource_id] = row
    _add_allocations(draft, owners, present, currency_ids, reader)
    return present


def _add_allocations(
    draft: Draft, owners: Owners, present: Present, currency_ids: dict[int, str], reader: Reader
) -> None:
    on: dict[str, set[int]] = {}
    whole: set[str] = set()
    for entry, owner in zip(draft.model.allocations, owners.allocations, strict=True):
        if owner is None:
            continue
        if (owner, entry.resource_id) in present.resources:
            on.setdefault(owner, set()).add(present.resources[owner, entry.resource_id].id)
        if entry.id is not None:
            whole.add(owner)  # the ledger may have it on another resource
    for customer_id in (on.keys() | whole) & present.customers.keys():
        rows = on.get(customer_id, set())
        everything = customer_id in whole or len(rows) > _ONE_BY_ONE_MAX
        customer = present.customers[customer_id].id
        for row in reader.allocations(customer, None if everything else sorted(rows)):
            currency_id = currency_ids[row.currency]
            key = key_of_allocation(customer_id, row.allocation_id, row.resource_id, currency_id)
            present.allocations[key] = row


def known_for(draft: Draft, owners: Owners, present: Present, reader: Reader) -> Known:
    """What the checks are to know of it."""
    types = {key: type_of(row) for key, row in present.types.items()}
    recounted = [
        present.currencies[entry.id]
        for entry in draft.model.credit_currencies
        if entry.id in present.currencies and present.currencies[entry.id].decimals != entry.decimals
    ]
    counted = {row.currency_id for row in recounted if reader.is_counted(row.currency_id)}
    for row in recounted:
        if row.currency_id not in counted:
            present.rescaled[row.currency_id] = _not_named(draft, owners, row, reader)
    return Known(
        currencies={row.currency_id: row.decimals for row in present.currencies.values()},
        counted=counted,
        limits={
            currency_id: [
                to_amount(row.limit_units, present.currencies[currency_id].decimals) for _, row in rows
            ]
            for currency_id, rows in present.rescaled.items()
        },
        customers=present.customers.keys(),
        types=types,
        resources={
            key: Node(key[0], row.resource_id, row.type_id, row.parent_resource_id, None, None)
            for key, row in present.resources.items()
        },
        standing=_standing(draft, owners, present, types, reader),
    )


def _not_named(
    draft: Draft, owners: Owners, currency: CurrencyRow, reader: Reader
) -> list[tuple[str, AllocationRow]]:
    named = {
        key_of_allocation(owner, entry.id, entry.resource_id, entry.credit_currency)
        for entry, owner in zip(draft.model.allocations, owners.allocations, strict=True)
        if owner is not None
    }
    customer_ids = {row.id: row.customer_id for row in reader.customers()}
    found = []
    for row in reader.allocations():
        customer_id = customer_ids[row.customer]
        key = key_of_allocation(customer_id, row.allocation_id, row.resource_id, currency.currency_id)
        if row.currency == currency.id and key not in named:
            found.append((customer_id, row))
    return found


# ------------------------------------------------------------------ what stands already


def shadows(draft: Draft, present: Present) -> set[tuple[str, str]]:
    """Types (customer, id) that the model makes in place of one for all that the customer used."""
    return {
        (entry.customer_id, entry.id)
        for entry in draft.model.resource_types
        if entry.customer_id is not None
        and entry.customer_id in present.customers
        and (entry.customer_id, entry.id) not in present.types
        and (None, entry.id) in present.types
    }


def is_looser(former: ResourceType, later: ResourceType) -> bool:
    """Whether whatever fits the former type fits the later one."""
    if later.parent_resource_type_id not in {None, former.parent_resource_type_id}:
        return False
    for name, schema in former.properties.items():
        now = later.properties.get(name)
        if now is None or now.type != schema.type or (now.required and not schema.required):
            return False
        if not set(schema.values or ()) <= set(now.values or ()):
            return False
    return not any(
        schema.required for name, schema in later.properties.items() if name not in former.properties
    )


def _standing(
    draft: Draft,
    owners: Owners,
    present: Present,
    types: dict[TypeKey, ResourceType],
    reader: Reader,
) -> Iterator[Standing]:
    """Resources that the model does not name, whose type or whose parent's type it changes."""
    later: dict[TypeKey, ResourceType] = {
        (entry.customer_id, entry.id): entry for entry in draft.model.resource_types
    }
    former = {key: types[key] for key in later if key in types}
    former |= {key: types[None, key[1]] for key in shadows(draft, present)}
    changed = {key for key, type_ in former.items() if not is_looser(type_, later[key])}
    retyped: dict[str, list[str]] = {}
    named: set[ResourceKey] = set()
    for entry, owner in zip(draft.model.resources, owners.resources, strict=True):
        if owner is None:
            continue
        named.add((owner, entry.id))
        row = present.resources.get((owner, entry.id))
        if row is not None and row.type_id != entry.resource_type_id:
            retyped.setdefault(owner, []).append(entry.id)
    affected = {type_id for _, type_id in changed}
    whole = {owner for owner, _ in changed} | {
        owner for owner, ids in retyped.items() if len(ids) > _ONE_BY_ONE_MAX
    }
    customers = reader.customers(None if None in whole else sorted(filter(None, whole)))
    for customer in customers:
        moved = set(retyped.pop(customer.customer_id, ()))
        type_ids: dict[int, str] = {}
        for row in reader.resources(customer.id):
            type_ids[row.id] = row.type_id
            if (customer.customer_id, row.resource_id) not in named and (
                row.type_id in affected or row.parent_resource_id in moved
            ):
                yield _as_standing(customer.customer_id, row, type_ids)
    for customer_id, ids in retyped.items():
        for resource_id in ids:
            below = reader.subtree(present.customers[customer_id].id, resource_id)
            type_ids = {row.id: row.type_id for row in below}
            for row in below:
                if row.parent_resource_id == resource_id and (customer_id, row.resource_id) not in named:
                    yield _as_standing(customer_id, row, type_ids)


def _as_standing(customer_id: str, row: ResourceRow, type_ids: dict[int, str]) -> Standing:
    node = Node(
        customer_id,
        row.resource_id,
        row.type_id,
        row.parent_resource_id,
        properties_of(row.properties),
        None,
    )
    return Standing(node, None if row.parent is None else type_ids.get(row.parent))


def named_resources(draft: Draft, owners: Owners) -> set[ResourceKey]:
    """What the model names: by an entry, as a parent, or by an allocation on it."""
    named: set[ResourceKey] = set()
    for entry, owner in zip(draft.model.resources, owners.resources, strict=True):
        if owner is not None:
            named.add((owner, entry.id))
            if entry.parent_resource_id is not None:
                named.add((owner, entry.parent_resource_id))
    for limit, owner in zip(draft.model.allocations, owners.allocations, strict=True):
        if owner is not None:
            named.add((owner, limit.resource_id))
    return named
