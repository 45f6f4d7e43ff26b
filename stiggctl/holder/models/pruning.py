"""Pruning: what the ledger has and a model does not name.

Here: which resources, allocations, overrides, rates, prices and grants those are, within the customers that
the model names; archiving, removing, ending or voiding them. Not here: what the model names
(planning.py).

A list that the model leaves out says nothing of what is in the ledger; an empty one says that
there is none. So pruning by a model without `resources` archives no resource, and without
`rates` it retires no rate; with `rates`, `prices` or `allocations`, those for all are looked at too. A
resource is named by an entry, as a parent, or by a limit on it. What is archived already, or
stands below something archived, is left as it is: restoring that brings it back as it was. An
override that ended, and a grant that was voided, is no part of the model; a grant that expired is
left as it is. Customers, types and currencies are never pruned.
"""

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from stiggctl.definitions import filter_text, us_of
from stiggctl.holder.models import entries
from stiggctl.holder.models.allocations import allocation_entry, allocation_name, key_of_row, key_of_write
from stiggctl.holder.models.contracts import price_entry, price_name
from stiggctl.holder.models.grants import end_grant, goes_on, grant_name, key_of_grant
from stiggctl.holder.models.limits import decimals_of
from stiggctl.holder.models.overrides import (
    end_override,
    key_of_override_row,
    override_name,
)
from stiggctl.holder.models.planning import Plan, rewritten
from stiggctl.holder.models.present import FOR_ALL, named_resources
from stiggctl.ledger.records import (
    AllocationRow,
    CustomerRow,
    GrantRow,
    OverrideRow,
    PriceRow,
    RateRow,
    ResourceRow,
)
from stiggctl.validation import (
    AllocationKey,
    OverrideKey,
    ResourceKey,
    key_of_allocation,
    key_of_override,
    key_of_price,
)

# A customer that has far more than the model names is not what the model is about: who puts one
# user into an organisation of a million is not told of the others, nor waits until they are read.
_TOLD_PER_NAMED, _TOLD_AT_LEAST = 10, 1_000


@dataclass(slots=True)
class Rest:
    """What the model does not name."""

    resources: list[tuple[str, ResourceRow]] = field(default_factory=list)
    allocations: list[tuple[str | None, AllocationRow]] = field(default_factory=list)
    overrides: list[tuple[str, OverrideRow]] = field(default_factory=list)
    rates: list[RateRow] = field(default_factory=list)
    prices: list[PriceRow] = field(default_factory=list)
    grants: list[tuple[str, GrantRow]] = field(default_factory=list)
    beyond: list[str] = field(default_factory=list)  #: customers that have too many to look at


def rest_of(plan: Plan, *, everything: bool) -> Rest:
    """What the ledger has in the customers that the model names, and the model does not name.

    But for `everything`, a customer with far more than the model names is left out (`beyond`).
    """
    model, rest = plan.draft.model, Rest()
    lists = model.model_fields_set
    named = named_resources(plan.draft, plan.owners)
    most = None if everything else _TOLD_PER_NAMED * len(named) + _TOLD_AT_LEAST
    keys = _Keys(
        {
            key_of_allocation(owner, entry)
            for entry, owner in zip(model.allocations, plan.owners.allocations, strict=True)
        },
        {
            key_of_override(owner, entry)
            for entry, owner in zip(model.overrides, plan.owners.overrides, strict=True)
            if owner is not None
        },
    )
    if lists & {"resources", "allocations", "overrides"}:
        for customer in plan.present.customers.values():
            _add_rest(plan, rest, customer, named, keys, most)
    if "allocations" in lists:
        _add_allocations(plan, rest, None, plan.reader.templates(FOR_ALL), keys)
    if "rates" in lists:
        priced = {
            (
                entry.customer_id,
                entry.event_name,
                entry.credit_currency,
                filter_text(entry.where),
                us_of(entry.effective_at),
            )
            for entry in model.rates
        }
        rest.rates = [
            row
            for key, row in plan.present.rates.items()
            if key not in priced and (key[0] is None or key[0] in plan.present.customers)
        ]
    if "prices" in lists:
        agreed = {key_of_price(entry) for entry in model.prices}
        rest.prices = [
            row
            for key, row in plan.present.prices.items()
            if key not in agreed and (key[0] is None or key[0] in plan.present.customers)
        ]
    if "grants" in lists:
        _add_grants(plan, rest)
    return rest


def _add_grants(plan: Plan, rest: Rest) -> None:
    listed = zip(plan.draft.model.grants, plan.owners.grants, strict=True)
    named = {key_of_grant(owner, entry) for entry, owner in listed if owner is not None}
    for customer_id, customer in plan.present.customers.items():
        rest.grants += (
            (customer_id, row)
            for row in plan.reader.grants(customer.id)
            if goes_on(row, plan.writing.change.at_us) and key_of_grant(customer_id, row) not in named
        )


def _add_rest(
    plan: Plan,
    rest: Rest,
    customer: CustomerRow,
    named: AbstractSet[ResourceKey],
    keys: "_Keys",
    most: int | None,
) -> None:
    lists, customer_id = plan.draft.model.model_fields_set, customer.customer_id
    rows: dict[str, ResourceRow] = {}
    for row in plan.reader.resources(customer.id):
        rows[row.resource_id] = row
        if most is not None and len(rows) > most:
            rest.beyond.append(customer_id)
            return
    hidden = _hidden(plan, customer_id, rows)
    if "resources" in lists:
        rest.resources += (
            (customer_id, row)
            for resource_id, row in rows.items()
            if (customer_id, resource_id) not in named and resource_id not in hidden
        )
    if "allocations" in lists:
        shown = (row for row in plan.reader.allocations(customer.id) if row.resource_id not in hidden)
        _add_allocations(plan, rest, customer_id, shown, keys)
    if "overrides" in lists:
        currency_ids = {row.id: row.currency_id for row in plan.present.currencies.values()}
        for override in plan.reader.overrides(customer.id):
            key = key_of_override_row(customer_id, override, currency_ids[override.currency])
            goes_on = override.expires_at_us > plan.writing.change.at_us
            if goes_on and key not in keys.overrides and override.resource_id not in hidden:
                rest.overrides.append((customer_id, override))


class _Keys(NamedTuple):
    """The limits that the model names."""

    allocations: set[AllocationKey]
    overrides: set[OverrideKey]


def _add_allocations(
    plan: Plan, rest: Rest, customer_id: str | None, rows: Iterable[AllocationRow], keys: _Keys
) -> None:
    currency_ids = {row.id: row.currency_id for row in plan.present.currencies.values()}
    rest.allocations += (
        (customer_id, row)
        for row in rows
        if key_of_row(customer_id, row, currency_ids[row.currency]) not in keys.allocations
    )


def _hidden(plan: Plan, customer_id: str, rows: Mapping[str, ResourceRow]) -> set[str]:
    """What is archived, or below something archived, once the model's entries are written.

    As it will be, not as it is: what an entry restores, or moves away, hides nothing any more. Else
    what it hid would be pruned by applying the same model again.
    """
    found: dict[str, bool] = {}
    for start in rows:
        trail: list[str] = []
        at: str | None = start
        while at is not None and at not in found:
            trail.append(at)
            node = plan.whole.nodes.get((customer_id, at))
            if node is not None and node.place is not None:
                at = node.parent_id
            elif rows[at].archived_at_us is not None:
                found[at] = True
            else:
                at = rows[at].parent_resource_id
        is_hidden = at is not None and found[at]
        found.update(dict.fromkeys(trail, is_hidden))
    return {resource_id for resource_id, is_hidden in found.items() if is_hidden}


def names_of(plan: Plan, rest: Rest) -> tuple[str, ...]:
    """Readable names of what the model does not name."""
    currency_ids = {row.id: row.currency_id for row in plan.present.currencies.values()}
    names = [
        entries.of_customer(entries.resource_name(row.resource_id), customer_id)
        for customer_id, row in rest.resources
    ]
    for customer_id, limit in rest.allocations:
        name = allocation_name(limit, currency_ids[limit.currency])
        names.append(entries.of_customer(name, customer_id))
    for customer_id, override in rest.overrides:
        name = override_name(override, currency_ids[override.currency])
        names.append(entries.of_customer(name, customer_id))
    for rate in rest.rates:
        name = entries.rate_name(rate, currency_ids[rate.currency])
        names.append(entries.of_customer(name, rate.customer_id))
    names += (entries.of_customer(price_name(row), row.customer_id) for row in rest.prices)
    for customer_id, grant in rest.grants:
        name = grant_name(grant, currency_ids[grant.currency])
        names.append(entries.of_customer(name, customer_id))
    names += (entries.of_customer("many more resources", customer_id) for customer_id in rest.beyond)
    return tuple(names)


def prune_rest(plan: Plan, rest: Rest, at_us: int) -> None:
    """Of the rest: archive resources, remove allocations, end overrides, retire prices, void grants."""
    writing, change = plan.writing, plan.writing.change
    currency_ids = {row.id: row.currency_id for row in plan.present.currencies.values()}
    for customer_id, row in rest.resources:
        was = rewritten(customer_id, row, type_customer_id=plan.present.type_keys[row.type][0])
        write = replace(was, archived_at_us=at_us)
        change.resources.append(write)
        before, after = (entries.resource_entry(customer_id, each) for each in (was, write))
        name = entries.resource_name(row.resource_id)
        writing.tell(name, customer_id, before, after, outcome="archived")
        writing.touch(customer_id)
    _prune_allocations(plan, rest)
    _prune_overrides(plan, rest, at_us)
    for rate in rest.rates:
        currency_id = currency_ids[rate.currency]
        change.rates_retired.append(rate.id)
        name, before = entries.rate_name(rate, currency_id), entries.rate_entry(rate, currency_id)
        writing.tell(name, rate.customer_id, before, None, outcome="archived")
        writing.touch(rate.customer_id)
    for price in rest.prices:
        change.prices_retired.append(price.id)
        writing.tell(price_name(price), price.customer_id, price_entry(price), None, outcome="archived")
    currencies = {row.id: row for row in plan.present.currencies.values()}
    for customer_id, grant in rest.grants:
        end_grant(writing, customer_id, grant, currencies[grant.currency], at_us)


def _prune_allocations(plan: Plan, rest: Rest) -> None:
    writing, change = plan.writing, plan.writing.change
    currencies = {row.id: row for row in plan.present.currencies.values()}
    removed: set[AllocationKey] = set()
    for customer_id, limit in rest.allocations:
        currency = currencies[limit.currency]
        change.allocations_removed.append(limit.id)
        removed.add(key_of_row(customer_id, limit, currency.currency_id))
        name = allocation_name(limit, currency.currency_id)
        before = allocation_entry(customer_id, limit, currency.currency_id, currency.decimals)
        writing.tell(name, customer_id, before, None, outcome="archived")
        writing.touch(customer_id)
    # A limit that only follows its currency's new decimals is among the writes, though nobody names it.
    change.allocations = [write for write in change.allocations if key_of_write(write) not in removed]


def _prune_overrides(plan: Plan, rest: Rest, at_us: int) -> None:
    currencies, decimals = {row.id: row for row in plan.present.currencies.values()}, decimals_of(plan)
    for customer_id, row in rest.overrides:
        currency = currencies[row.currency]
        end_override(plan.writing, customer_id, row, currency, at_us, decimals=decimals[currency.currency_id])
