"""Checks of what is limited: currencies, and the allocations in them.

Here: each once; decimals that stay once something counts in them; limits that their currency
can hold, on a resource that is there.
Not here: their windows (times.py), templates (templates.py), overrides (overrides.py), where
resources stand in their trees (trees.py).

A currency that only an allocation or a grant names is made, with 0 decimals.
"""

from collections.abc import Iterator, Sequence

from stiggctl.amounts import LIMIT_MAX, to_units
from stiggctl.definitions import AN_ID, Found
from stiggctl.errors import InvalidAmount, shown
from stiggctl.validation.whole import AllocationKey, Whole, key_of_allocation

# Lists that make a currency: what could not be read there may be the entry that does.
_NAMING_CURRENCIES = frozenset({"credit_currencies", "allocations", "grants"})


def decimals_of(whole: Whole) -> dict[str, int | None]:
    """The decimals of each currency as it is to stand; None where they could not be read."""
    decimals: dict[str, int | None] = {
        currency_id: None if whole.draft.may_be_unreadable("credit_currencies", currency_id) else 0
        for entries in (whole.model.allocations, whole.model.grants)
        for currency_id in {entry.credit_currency for entry in entries}
    }
    decimals.update(whole.known.currencies)
    for place, currency in enumerate(whole.model.credit_currencies):
        wrong = whole.draft.is_wrong("credit_currencies", place, "decimals")
        decimals[currency.id] = None if wrong else currency.decimals
    return decimals


def currencies_are_known(whole: Whole, entries: str, currency_ids: Sequence[str]) -> Iterator[Found]:
    """Each is one that exists, or that the model defines, limits or grants: of a list that makes none."""
    if whole.draft.unreadable.keys() & _NAMING_CURRENCIES:
        return
    known = decimals_of(whole)
    for place, currency in enumerate(currency_ids):
        if currency in known:
            continue
        expected = f"a credit currency that exists, or that the model defines{whole.hint(currency, known)}"
        yield Found(entries, place, ("credit_currency",), currency, expected)


def currencies_are_once(whole: Whole) -> Iterator[Found]:
    """One entry for each currency."""
    seen: set[str] = set()
    for place, currency in enumerate(whole.model.credit_currencies):
        if currency.id in seen:
            expected = "one entry for each credit currency"
            yield Found("credit_currencies", place, ("id",), currency.id, expected)
        seen.add(currency.id)


def counted_decimals_stay(whole: Whole) -> Iterator[Found]:
    """Decimals stay once an event or a cell counts in them; before, the limits that stay must fit."""
    for place, currency in enumerate(whole.model.credit_currencies):
        former = whole.known.currencies.get(currency.id, currency.decimals)
        if former == currency.decimals:
            continue
        if currency.id in whole.known.counted:
            expected = f"{former}, as it was: usage counts in this currency"
            yield Found("credit_currencies", place, ("decimals",), currency.decimals, expected)
            continue
        for limit in whole.known.limits.get(currency.id, ()):
            try:
                to_units(limit, currency.decimals, "limit", maximum=LIMIT_MAX)
            except InvalidAmount as error:
                fits = f"decimals that fit the amounts there are: {shown(limit)} would have to be"
                expected = f"{fits} {error.expected}"
                yield Found("credit_currencies", place, ("decimals",), currency.decimals, expected)
                break


def allocations_are_once(whole: Whole) -> Iterator[Found]:
    """One entry for each id of a customer; without an id, for each of what it is on and how it counts."""
    seen: set[AllocationKey] = set()
    for place, entry, owner in whole.limits():
        if entry.id is None and any(
            whole.draft.is_wrong("allocations", place, name)
            for name in ("cadence", "rolling", "scope", "where")
        ):
            continue  # which one it is cannot be said
        key = key_of_allocation(owner, entry)
        if key in seen:
            if entry.id is not None:
                yield Found("allocations", place, ("id",), entry.id, "one entry for each id")
            else:
                name = "resource_id" if entry.resource_id is not None else "resource_type_id"
                what = "resource" if entry.resource_id is not None else "type, where"
                expected = (
                    f"one entry for each {what}, currency, scope, cadence and rolling, or an id for each"
                )
                yield Found("allocations", place, (name,), getattr(entry, name), expected)
        seen.add(key)


def allocations_are_on_something(whole: Whole) -> Iterator[Found]:
    """An allocation is on a resource, or on a type, of which `where` says which; not on both."""
    for place, entry in enumerate(whole.model.allocations):
        on, of, where = entry.resource_id, entry.resource_type_id, entry.where
        if on is not None and of is not None:
            expected = "a resource or a type, not both: resourceTypeId is for each resource of the type"
            yield Found("allocations", place, ("resource_type_id",), of, expected)
        elif on is not None and where is not None:
            expected = "no where beside resourceId: it says which resources of a resourceTypeId are meant"
            yield Found("allocations", place, ("where",), where, expected)
        elif on is None and of is None and where is not None:
            expected = f"{AN_ID}: the type of the resources that where is about; it is required"
            yield Found("allocations", place, ("resource_type_id",), None, expected)
        elif on is None and of is None:
            expected = f"{AN_ID}; it is required, or resourceTypeId for each resource of a type"
            yield Found("allocations", place, ("resource_id",), None, expected)


def limits_have_an_owner(whole: Whole) -> Iterator[Found]:
    """What stands on a resource is of a customer: named, the resource's, or the only one named."""
    if whole.draft.unreadable:
        return  # an entry that could not be read may be the one that says it
    orphans = {
        entry.id
        for entry, owner in zip(whole.model.resources, whole.owners.resources, strict=True)
        if owner is None
    }
    for entries, place, resource_id, owner in _on_resources(whole):
        if owner is None and resource_id not in orphans:
            yield Found(entries, place, ("customer_id",), None, whole.whose())


def limited_resources_are_known(whole: Whole) -> Iterator[Found]:
    """An allocation, and an override, is on a resource of its customer."""
    for entries, place, resource_id, owner in _on_resources(whole):
        if owner is None or owner not in whole.customers or (owner, resource_id) in whole.nodes:
            continue
        if not whole.draft.may_be_unreadable("resources", resource_id):
            hint = whole.hint_of_resource(owner, resource_id)
            expected = f"a resource of customer {shown(owner)}{hint}"
            yield Found(entries, place, ("resource_id",), resource_id, expected)


def _on_resources(whole: Whole) -> Iterator[tuple[str, int, str, str | None]]:
    """What stands on a resource: list, place, resource, and whose it is."""
    for place, (limit, owner) in enumerate(
        zip(whole.model.allocations, whole.owners.allocations, strict=True)
    ):
        if limit.resource_id is not None and limit.resource_type_id is None:
            yield "allocations", place, limit.resource_id, owner
    for place, (entry, owner) in enumerate(zip(whole.model.overrides, whole.owners.overrides, strict=True)):
        yield "overrides", place, entry.resource_id, owner


def limits_are_representable(whole: Whole) -> Iterator[Found]:
    """A limit is an amount that its currency can hold, up to LIMIT_MAX of its units."""
    decimals = decimals_of(whole)
    for place, entry in enumerate(whole.model.allocations):
        if (units := decimals[entry.credit_currency]) is None:
            continue
        try:
            to_units(entry.limit, units, "limit", maximum=LIMIT_MAX)
        except InvalidAmount as error:
            yield Found("allocations", place, ("limit",), entry.limit, error.expected)
