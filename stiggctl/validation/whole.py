"""The whole: a model merged with what the ledger has of what the model refers to.

Here: what is known of the ledger (`Known`), and both together as the checks look at them
(`Whole`). Not here: whose each entry is (owners.py), the checks (schemas.py, trees.py, limits.py
and others), how a ledger is asked (holder/models).

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

from stiggctl.definitions import (
    Allocation,
    Draft,
    Grant,
    Override,
    ResourceType,
    Value,
    filter_text,
    us_of,
)
from stiggctl.errors import nearest, shown
from stiggctl.validation.owners import Owners
from stiggctl.windows import Window, validity

#: (customer id, resource id)
ResourceKey = tuple[str, str]
#: (customer id or None: for all, type id)
TypeKey = tuple[str | None, str]
#: (customer or None, id); without an id (customer or None, resource or None, type or None, where,
#: currency, scope, rolling, cadence)
AllocationKey = tuple[str | bool | None, ...]


def key_of_allocation(customer_id: str | None, entry: Allocation) -> AllocationKey:
    """Which allocation it is: the one of that id, else of what it is on and how it counts."""
    if entry.id is not None:
        return customer_id, entry.id
    return (
        customer_id,
        entry.resource_id,
        entry.resource_type_id,
        filter_text(entry.where),
        entry.credit_currency,
        filter_text(entry.scope),
        entry.rolling,
        entry.cadence,
    )


#: (customer, resource, currency, cadence, scope, from when on)
OverrideKey = tuple[str, str, str, str | None, str, int | None]


def key_of_override(customer_id: str, entry: Override) -> OverrideKey:
    """Which override it is."""
    scope, begins_us = filter_text(entry.scope), us_of(entry.effective_at)
    return customer_id, entry.resource_id, entry.credit_currency, entry.cadence, scope, begins_us


#: (customer, id)
GrantKey = tuple[str, str]


class Granted(NamedTuple):
    """A grant of the ledger that the model names: what a model would say of it."""

    entry: Grant
    is_void: bool


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


class Limit(NamedTuple):
    """An allocation, as far as templates and overrides have to do with it."""

    key: AllocationKey
    customer_id: str | None  #: None: a template for all
    resource_id: str | None  #: None: a template
    type_id: str | None
    where: Mapping[str, Sequence[str]]
    currency_id: str
    scope: str
    cadence: str | None
    valid: Window


def limit_of(customer_id: str | None, entry: Allocation) -> Limit:
    """What an entry of a model is."""
    return Limit(
        key_of_allocation(customer_id, entry),
        customer_id,
        entry.resource_id,
        entry.resource_type_id,
        entry.where or {},
        entry.credit_currency,
        filter_text(entry.scope),
        entry.cadence,
        validity(us_of(entry.effective_at), us_of(entry.expires_at)),
    )


@dataclass(slots=True, kw_only=True)
class Known:
    """What the ledger has of what a model refers to."""

    currencies: Mapping[str, int] = field(default_factory=dict)  #: id to decimals
    counted: AbstractSet[str] = frozenset()  #: currencies that an event or a cell counts in
    limits: Mapping[str, Sequence[int | Decimal]] = field(
        default_factory=dict
    )  #: of currencies that are to get other decimals: what other allocations, overrides, grants have
    customers: AbstractSet[str] = frozenset()
    types: Mapping[TypeKey, ResourceType] = field(default_factory=dict)
    resources: Mapping[ResourceKey, Node] = field(default_factory=dict)
    standing: Iterable[Standing] = ()  #: read once
    #: Templates of types that the model changes, and what limits the resources of its overrides.
    beside: Sequence[Limit] = ()
    overrides: AbstractSet[OverrideKey] = frozenset()  #: of the model's, those that go on already
    grants: Mapping[GrantKey, Granted] = field(default_factory=dict)
    at_us: int = 0  #: when the model is applied


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
        self.customers |= {owner for owner in (*owners.resources, *owners.grants) if owner is not None}
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

    def limits(self) -> Iterator[tuple[int, Allocation, str | None]]:
        """The model's allocations of which one can say whose they are: place, entry, owner."""
        for place, (entry, owner) in enumerate(
            zip(self.model.allocations, self.owners.allocations, strict=True)
        ):
            if owner is not None or entry.resource_type_id is not None:
                yield place, entry, owner

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
