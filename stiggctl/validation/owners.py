"""Owners: whose each entry of a model is.

Here: as it says, else as its parent or its resource, else the only customer that the model names; a
grant's, where the model names none, the only one that there is.
Not here: what is wrong where nobody can say (trees.py, limits.py), how a ledger is asked
(holder/models).
"""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import NamedTuple

from stiggctl.definitions import Draft, UsageModel


class Owners(NamedTuple):
    """Whose each entry of a model is; None: nobody can say, or of a template: it is for all."""

    named: tuple[str, ...]  #: the customers that the model names
    resources: Sequence[str | None]
    allocations: Sequence[str | None]
    overrides: Sequence[str | None]
    grants: Sequence[str | None]


def without_owner(draft: Draft) -> set[str]:
    """Resource ids of which only the ledger can say whose they are, so whose an entry is."""
    model = draft.model
    if len(_customers_named(model)) == 1:
        return set()
    here = {entry.id for entry in model.resources}
    asked = {entry.parent_resource_id for entry in model.resources if entry.customer_id is None}
    for entries in (model.allocations, model.overrides):
        asked |= {entry.resource_id for entry in entries if entry.customer_id is None}
    return {each for each in asked if each is not None} - here


def grants_lack_owner(draft: Draft) -> bool:
    """Whether there are grants of which only the ledger can say whose they are."""
    return bool(draft.model.grants) and not _customers_named(draft.model)


def owners_of(draft: Draft, having: Mapping[str, AbstractSet[str]], sole: str | None = None) -> Owners:
    """Whose each entry is: as it says; else as its parent, or its resource; else the only one named.

    `having`: for each id of `without_owner`, the customers that have such a resource. `sole`: where
    `grants_lack_owner`, the customer of a ledger that has one.
    """
    model = draft.model
    named = _customers_named(model)
    only = named[0] if len(named) == 1 else None
    by_id: dict[str, list[int]] = {}
    for place, entry in enumerate(model.resources):
        by_id.setdefault(entry.id, []).append(place)

    def outside(resource_id: str) -> str | None:
        owners = having.get(resource_id, frozenset())
        return only or (next(iter(owners)) if len(owners) == 1 else None)

    resources: list[str | None] = [entry.customer_id for entry in model.resources]
    done = [owner is not None for owner in resources]
    for start in range(len(resources)):
        trail: dict[int, None] = {}
        at, owner = start, resources[start]
        while not done[at]:
            trail[at] = None
            parent = model.resources[at].parent_resource_id
            above = by_id.get(parent, ()) if parent is not None else ()
            if len(above) == 1 and above[0] not in trail:
                at = above[0]
                owner = resources[at]
            else:  # a root; or its parent is not in the model, is in it twice, or closes a cycle
                owner = outside(parent) if parent is not None and not above else only
                break
        for place in trail:
            resources[place], done[place] = owner, True

    def of_limit(resource_id: str | None) -> str | None:
        if resource_id is None:
            return None
        places = by_id.get(resource_id)
        if places is None:
            return outside(resource_id)
        return resources[places[0]] if len(places) == 1 else only

    allocations, overrides = (
        [entry.customer_id or of_limit(entry.resource_id) for entry in entries]
        for entries in (model.allocations, model.overrides)
    )
    grants = [entry.customer_id or only or sole for entry in model.grants]
    return Owners(named, resources, allocations, overrides, grants)


def _customers_named(model: UsageModel) -> tuple[str, ...]:
    named = {entry.id: None for entry in model.customers}
    lists = (
        model.resources,
        model.allocations,
        model.overrides,
        model.resource_types,
        model.rates,
        model.grants,
        model.prices,
    )
    for entries in lists:
        named.update((entry.customer_id, None) for entry in entries if entry.customer_id is not None)
    return tuple(named)
