"""The whole: a model merged with what the ledger has of what the model refers to.

Here: what is known of the ledger (`Known`), whose each entry is (`Owners`), and both together
as the checks look at them (`Whole`).
Not here: the checks (schemas.py, trees.py, limits.py), how a ledger is asked (holder/models).

What always holds:
  WM1  The model's entry stands before the ledger's of the same key: it replaces it whole.
  WM2  Only what the model refers to is known of the ledger, with the ancestors; never all of it.
  WM3  A customer's own resource type stands before the one of that id that is for all.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

from stiggctl.definitions import Draft, ResourceType, UsageModel, Value
from stiggctl.errors import nearest, shown

#: (customer id, resource id)
ResourceKey = tuple[str, str]
#: (customer id or None: for all, type id)
TypeKey = tuple[str | None, str]


class Node(NamedTuple):
    """A resource as it is to stand, named by the model or found in the ledger."""

    customer_id: str
    resource_id: str
    type_id: str
    parent_id: str | None
    properties: Mapping[str, Value] | None  #: None: not asked for
    place: int | None  #: in the model's list; None: of the ledger


class Standing(NamedTuple):
    """A resource of the ledger that the model does not name, but whose type or parent it changes."""

    node: Node
    parent_type_id: str | None  #: as the ledger has it


@dataclass(slots=True, kw_only=True)
class Known:
    """What the ledger has of what a model refers to."""

    currencies: Mapping[str, int] = field(default_factory=dict)  #: id to decimals
    counted: AbstractSet[str] = frozenset()  #: currencies that an event or a cell counts in
    limits: Mapping[str, Sequence[int | Decimal]] = field(
        default_factory=dict
    )  #: of currencies that are to get other decimals: what other allocations have
    customers: AbstractSet[str] = frozenset()
    types: Mapping[TypeKey, ResourceType] = field(default_factory=dict)
    resources: Mapping[ResourceKey, Node] = field(default_factory=dict)
    standing: Iterable[Standing] = ()  #: read once


class Owners(NamedTuple):
    """Whose each resource and allocation of a model is; None: nobody can say."""

    named: tuple[str, ...]  #: the customers that the model names
    resources: Sequence[str | None]
    allocations: Sequence[str | None]


def without_owner(draft: Draft) -> set[str]:
    """Resource ids of which only the ledger can say whose they are, so whose an entry is."""
    model = draft.model
    if len(_customers_named(model)) == 1:
        return set()
    here = {entry.id for entry in model.resources}
    asked = {entry.parent_resource_id for entry in model.resources if entry.customer_id is None}
    asked |= {entry.resource_id for entry in model.allocations if entry.customer_id is None}
    return {each for each in asked if each is not None} - here


def owners_of(draft: Draft, having: Mapping[str, AbstractSet[str]]) -> Owners:
    """Whose each entry is: as it says; else as its parent, or its resource; else the only one named.

    `having`: for each id of `without_owner`, the customers that have such a resource.
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

    def of_allocation(resource_id: str) -> str | None:
        places = by_id.get(resource_id)
        if places is None:
            return outside(resource_id)
        return resources[places[0]] if len(places) == 1 else only

    allocations = [entry.customer_id or of_allocation(entry.resource_id) for entry in model.allocations]
    return Owners(named, resources, allocations)


def _customers_named(model: UsageModel) -> tuple[str, ...]:
    named = {entry.id: None for entry in model.customers}
    for entries in (model.resources, model.allocations, model.resource_types, model.rates):
        named.update((entry.customer_id, None) for entry in entries if entry.customer_id is not None)
    return tuple(named)


# difflib takes milliseconds a name: a model with a wrong parent in each of 100,000 entries would
# stop the caller for minutes, for hints that say the same.
_HINTS_MAX = 100
# As many names as are read at a glance.
_NAMES_SHOWN = 8


class Whole:
    """A model and what the ledger has beside it, as one: what every check looks at."""

    __slots__ = (
        "_having",
        "_hints",
        "customers",
        "draft",
        "known",
        "model",
        "nodes",
        "owners",
        "type_places",
        "types",
    )

    def __init__(self, draft: Draft, known: Known, owners: Owners) -> None:
        self._hints = 0  # given so far
        self._having: dict[str, list[str]] | None = None
        self.draft = draft
        self.model = draft.model
        self.known = known
        self.owners = owners
        self.customers = {entry.id for entry in self.model.customers} | known.customers
        self.customers |= {owner for owner in owners.resources if owner is not None}
        self.types: dict[TypeKey, ResourceType] = dict(known.types)
        self.type_places: dict[TypeKey, int] = {}
        for place, type_ in enumerate(self.model.resource_types):
            self.types[type_.customer_id, type_.id] = type_
            self.type_places[type_.customer_id, type_.id] = place
        self.nodes: dict[ResourceKey, Node] = dict(known.resources)
        for place, (entry, owner) in enumerate(zip(self.model.resources, owners.resources, strict=True)):
            if owner is not None:
                self.nodes[owner, entry.id] = Node(
                    owner,
                    entry.id,
                    entry.resource_type_id,
                    entry.parent_resource_id,
                    entry.properties,
                    place,
                )

    def type_key(self, customer_id: str | None, type_id: str) -> TypeKey | None:
        """The customer's own type of that id, else the one for all, else None (WM3)."""
        if customer_id is not None and (customer_id, type_id) in self.types:
            return customer_id, type_id
        return (None, type_id) if (None, type_id) in self.types else None

    def parent_type(self, key: TypeKey) -> str | None:
        """The type that parents must be of; None where any may be, or nobody can say which."""
        parent = self.types[key].parent_resource_type_id
        if parent is None or self.is_type_doubtful(key, "parent_resource_type_id"):
            return None
        # A parent type that does not exist is told at the type; that no parent is of it, follows.
        return None if self.type_key(key[0], parent) is None else parent

    def is_type_doubtful(self, key: TypeKey, field_name: str) -> bool:
        """Whether the model defines the type, with something wrong in that field."""
        place = self.type_places.get(key)
        return place is not None and self.draft.is_wrong("resource_types", place, field_name)

    def owned_resources(self) -> Iterator[Node]:
        """The model's resources of which somebody can say whose they are; of a key named twice the last."""
        for entry, owner in zip(self.model.resources, self.owners.resources, strict=True):
            if owner is not None:
                yield self.nodes[owner, entry.id]

    def hint(self, name: str, known: Iterable[str]) -> str:
        """The nearest known name, as the end of a sentence; nothing where none is near."""
        self._hints += 1
        meant = nearest(name, known) if self._hints <= _HINTS_MAX else None
        return "" if meant is None else f" (did you mean {shown(meant)}?)"

    def hint_of_resource(self, customer_id: str, resource_id: str) -> str:
        """Who else has a resource of that id, or what the customer has of nearly that id."""
        if self._having is None:
            self._having = {}
            for owner, known in self.nodes:
                self._having.setdefault(known, []).append(owner)
        if owners := self._having.get(resource_id):
            return f" (customer {shown(owners[0])} has one; nothing crosses customers)"
        return self.hint(resource_id, (known for owner, known in self.nodes if owner == customer_id))

    def whose(self) -> str:
        """What would be right where nobody can say whose an entry is."""
        named = self.owners.named
        if not named:
            return "a customer; the model names none"
        more = f" and {len(named) - _NAMES_SHOWN} more" if len(named) > _NAMES_SHOWN else ""
        return (
            f"one of the customers that the model names: {', '.join(map(shown, named[:_NAMES_SHOWN]))}{more}"
        )
