"""Checks of overrides: temporary changes of limits.

Here: each once, with either a limit or an addition that its currency can hold; in a currency that
exists; clear about which of several limits it changes. Not here: on a resource that is there, in
time (limits.py); which limit results (holder/).

An override needs no limit to change: a template may come to match, or the limit be made later. It
makes no currency: a name misspelt there would change nothing.
"""

from collections.abc import Iterator
from collections.abc import Set as AbstractSet

from stiggctl.amounts import LIMIT_MAX, to_units
from stiggctl.definitions import Found, filter_text, text_of_value, us_of
from stiggctl.errors import InvalidAmount
from stiggctl.validation.limits import currencies_are_known, decimals_of
from stiggctl.validation.whole import (
    Limit,
    Node,
    OverrideKey,
    ResourceKey,
    Whole,
    key_of_allocation,
    key_of_override,
    limit_of,
)
from stiggctl.windows import validity


def overrides_are_once(whole: Whole) -> Iterator[Found]:
    """One entry for each resource, currency, cadence, scope and beginning."""
    seen: set[OverrideKey] = set()
    for place, (entry, owner) in enumerate(zip(whole.model.overrides, whole.owners.overrides, strict=True)):
        wrong = (whole.draft.is_wrong("overrides", place, name) for name in _OF_ITS_KEY)
        if owner is None or any(wrong):
            continue
        key = key_of_override(owner, entry)
        if key in seen:
            expected = "one entry for each resource, currency, cadence, scope and effectiveAt"
            yield Found("overrides", place, ("resource_id",), entry.resource_id, expected)
        seen.add(key)


_OF_ITS_KEY = ("cadence", "scope", "effective_at")
_OF_ITS_LIMITS = ("cadence", "scope", "where", "effective_at", "expires_at")


def overrides_change_something(whole: Whole) -> Iterator[Found]:
    """Either another limit, or so much more of it: an amount that the currency can hold."""
    decimals = decimals_of(whole)
    for place, entry in enumerate(whole.model.overrides):
        if any(whole.draft.is_wrong("overrides", place, name) for name in ("limit", "add")):
            continue
        if entry.limit is not None and entry.add is not None:
            expected = "either limit, which stands in place of the former, or add, which is added to it"
            yield Found("overrides", place, ("add",), entry.add, expected)
            continue
        name, value = ("add", entry.add) if entry.limit is None else ("limit", entry.limit)
        units = decimals.get(entry.credit_currency)
        if value is None:
            expected = "the limit that is to be for a while; or add, so much more than it is"
            yield Found("overrides", place, ("limit",), None, expected)
        elif units is not None:
            try:
                to_units(value, units, name, maximum=LIMIT_MAX)
            except InvalidAmount as error:
                yield Found("overrides", place, (name,), value, error.expected)


def override_currencies_are_known(whole: Whole) -> Iterator[Found]:
    """An override is in a currency that exists, or that the model defines or has a limit in."""
    return currencies_are_known(
        whole, "overrides", [entry.credit_currency for entry in whole.model.overrides]
    )


def overrides_say_which_of_several(whole: Whole) -> Iterator[Found]:
    """Where limits of several cadences stand in its currency and scope, an override names one.

    Of what is known now: a template that comes to match later asks nobody. One that goes on
    already is not asked about again, when there are more limits than at its beginning: it changes
    them all, and the model that is exported can be applied.
    """
    asked: dict[int, Node] = {}
    for place, (entry, owner) in enumerate(zip(whole.model.overrides, whole.owners.overrides, strict=True)):
        wrong = (whole.draft.is_wrong("overrides", place, name) for name in (*_OF_ITS_KEY, "expires_at"))
        node = None if owner is None else whole.nodes.get((owner, entry.resource_id))
        if owner is None or node is None or entry.cadence is not None or any(wrong):
            continue
        ends_us = us_of(entry.expires_at)
        goes_on = ends_us is not None and ends_us > whole.known.at_us
        if goes_on and key_of_override(owner, entry) not in whole.known.overrides:
            asked[place] = node
    if not asked:
        return
    limits: dict[tuple[str, str], list[Limit]] = {}
    for limit in _limits_on(whole, {(node.customer_id, node.resource_id) for node in asked.values()}):
        limits.setdefault((limit.currency_id, limit.scope), []).append(limit)
    for place, node in asked.items():
        entry = whole.model.overrides[place]
        begins_us, ends_us = validity(us_of(entry.effective_at), us_of(entry.expires_at))
        cadences = {
            limit.cadence
            for limit in limits.get((entry.credit_currency, filter_text(entry.scope)), ())
            if limit.valid.start_us < ends_us and begins_us < limit.valid.end_us and _is_on(limit, node)
        }
        if len(cadences) > 1:
            named = " or ".join(sorted(cadence for cadence in cadences if cadence is not None))
            lifetime = " (the one for ever cannot be named beside it)" if None in cadences else ""
            expected = f"the cadence of one of the limits there are: {named}{lifetime}"
            yield Found("overrides", place, ("cadence",), None, expected)


def _limits_on(whole: Whole, asked: AbstractSet[ResourceKey]) -> list[Limit]:
    """The limits that are on these resources, or may be: the model's, and what it leaves of the ledger's."""
    found, replaced = [], set()
    for place, entry, owner in whole.limits():
        replaced.add(key_of_allocation(owner, entry))
        is_clear = not any(whole.draft.is_wrong("allocations", place, name) for name in _OF_ITS_LIMITS)
        if is_clear and (entry.is_template or (owner, entry.resource_id) in asked):
            found.append(limit_of(owner, entry))
    found += [limit for limit in whole.known.beside if limit.key not in replaced]
    return found


def _is_on(limit: Limit, node: Node) -> bool:
    """Whether it is the resource's own, or a template that matches it now."""
    if limit.resource_id is not None:
        return (limit.customer_id, limit.resource_id) == (node.customer_id, node.resource_id)
    if limit.type_id != node.type_id or limit.customer_id not in {None, node.customer_id}:
        return False
    properties = node.properties or {}
    return all(
        name in properties and text_of_value(properties[name]) in values
        for name, values in limit.where.items()
    )
