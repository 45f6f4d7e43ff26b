"""Standing: what the ledger has already that a model has to fit, as the checks look at it.

Here: the `Known`; resources, templates, limits and grants of which the model says nothing but whose
type, currency or resource it changes. Not here: rows that entries replace (present.py), what is
wrong (validation/).

Resources of a type are read only where the type changes in a way that may not fit them.
"""

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from decimal import Decimal

from stiggctl.amounts import to_amount
from stiggctl.definitions import Draft, Grant, ResourceType
from stiggctl.holder.models.allocations import key_of_row
from stiggctl.holder.models.entries import filter_of, properties_of, type_of
from stiggctl.holder.models.grants import grant_fields_of, key_of_grant
from stiggctl.holder.models.overrides import key_of_override_row
from stiggctl.holder.models.present import FOR_ALL, ONE_BY_ONE_MAX, Present, Rescaled
from stiggctl.ledger import Reader
from stiggctl.ledger.records import AllocationRow, CurrencyRow, ResourceRow
from stiggctl.validation import (
    Granted,
    GrantKey,
    Known,
    Limit,
    Node,
    Owners,
    ResourceKey,
    Standing,
    TypeKey,
    key_of_allocation,
    key_of_override,
)
from stiggctl.windows import validity


def known_for(draft: Draft, owners: Owners, present: Present, reader: Reader, *, at_us: int) -> Known:
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
    former = _former_types(draft, present, types)
    later = {(entry.customer_id, entry.id): entry for entry in draft.model.resource_types}
    changed = {key for key, type_ in former.items() if not is_looser(type_, later[key])}
    overridden = {
        (owner, entry.resource_id)
        for entry, owner in zip(draft.model.overrides, owners.overrides, strict=True)
        if owner is not None and entry.cadence is None
    }
    return Known(
        currencies={row.currency_id: row.decimals for row in present.currencies.values()},
        counted=counted,
        limits={
            currency_id: _amounts(rescaled, present.currencies[currency_id].decimals)
            for currency_id, rescaled in present.rescaled.items()
        },
        customers=present.customers.keys(),
        types=types,
        resources={
            key: Node(
                key[0],
                row.resource_id,
                row.type_id,
                row.parent_resource_id,
                properties_of(row.properties) if key in overridden else None,
                None,
            )
            for key, row in present.resources.items()
        },
        standing=_standing(draft, owners, present, changed, reader),
        beside=_beside(present, changed, overridden, reader),
        overrides={key for key, row in present.overrides.items() if row.expires_at_us > at_us},
        grants=_granted(present),
        at_us=at_us,
    )


def _granted(present: Present) -> dict[GrantKey, Granted]:
    currencies = {row.id: row for row in present.currencies.values()}
    found: dict[GrantKey, Granted] = {}
    for key, row in present.grants.items():
        currency = currencies[row.currency]
        fields = grant_fields_of(key[0], row, currency.currency_id, currency.decimals)
        found[key] = Granted(Grant.model_construct(**fields), row.voided_at_us is not None)
    return found


def _amounts(rescaled: Rescaled, decimals: int) -> list[int | Decimal]:
    units = [row.limit_units for _, row in rescaled.allocations]
    units += [row.amount_units for _, row in rescaled.grants]
    for _, row in rescaled.overrides:
        units += [each for each in (row.limit_units, row.add_units) if each is not None]
    return [to_amount(each, decimals) for each in units]


def _not_named(draft: Draft, owners: Owners, currency: CurrencyRow, reader: Reader) -> Rescaled:
    named = {
        key_of_allocation(owner, entry)
        for entry, owner in zip(draft.model.allocations, owners.allocations, strict=True)
    }
    overridden = {
        key_of_override(owner, entry)
        for entry, owner in zip(draft.model.overrides, owners.overrides, strict=True)
        if owner is not None
    }
    customer_ids = {row.id: row.customer_id for row in reader.customers()}
    granted = {(owner, entry.id) for entry, owner in zip(draft.model.grants, owners.grants, strict=True)}
    rescaled = Rescaled([], [], [])
    for row in reader.allocations():
        if row.currency == currency.id:
            customer_id = customer_ids.get(row.customer)  # None: a template for all
            if key_of_row(customer_id, row, currency.currency_id) not in named:
                rescaled.allocations.append((customer_id, row))
    for override in reader.overrides():
        customer_id = customer_ids[override.customer]
        if override.currency == currency.id and (
            key_of_override_row(customer_id, override, currency.currency_id) not in overridden
        ):
            rescaled.overrides.append((customer_id, override))
    for grant in reader.grants():
        key = key_of_grant(customer_ids[grant.customer], grant)
        if grant.currency == currency.id and key not in granted:
            rescaled.grants.append((key[0], grant))
    return rescaled


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


def _former_types(
    draft: Draft, present: Present, types: dict[TypeKey, ResourceType]
) -> dict[TypeKey, ResourceType]:
    """By the keys of the model's types: what each is until now."""
    keys = [(entry.customer_id, entry.id) for entry in draft.model.resource_types]
    former = {key: types[key] for key in keys if key in types}
    return former | {key: types[None, key[1]] for key in shadows(draft, present)}


def _beside(
    present: Present, changed: AbstractSet[TypeKey], overridden: AbstractSet[ResourceKey], reader: Reader
) -> list[Limit]:
    """Templates of types that change; what limits the resources of overrides that name no cadence."""
    if not changed and not overridden:
        return []
    currency_ids = {row.id: row.currency_id for row in present.currencies.values()}
    wanted = {owner for owner, _ in changed} | {owner for owner, _ in overridden}
    found: list[tuple[str | None, AllocationRow]] = [(None, row) for row in reader.templates(FOR_ALL)]
    for customer in reader.customers(None if None in wanted else sorted(filter(None, wanted))):
        templates = (row for row in reader.templates(customer.id) if row.customer == customer.id)
        found += ((customer.customer_id, row) for row in templates)
    rows = {present.resources[key].id: key[0] for key in overridden if key in present.resources}
    found += ((rows[row.resource], row) for row in present.allocations.values() if row.resource in rows)
    return [_as_limit(customer_id, row, currency_ids[row.currency]) for customer_id, row in found]


def _as_limit(customer_id: str | None, row: AllocationRow, currency_id: str) -> Limit:
    return Limit(
        key_of_row(customer_id, row, currency_id),
        customer_id,
        row.resource_id or None,
        row.type_id,
        filter_of(row.where) or {},
        currency_id,
        row.scope,
        row.cadence,
        validity(row.effective_at_us, row.expires_at_us),
    )


def _standing(
    draft: Draft,
    owners: Owners,
    present: Present,
    changed: AbstractSet[TypeKey],
    reader: Reader,
) -> Iterator[Standing]:
    """Resources that the model does not name, whose type or whose parent's type it changes."""
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
        owner for owner, ids in retyped.items() if len(ids) > ONE_BY_ONE_MAX
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
