"""Checks of resource types, and of properties against them.

Here: types once each, their parents, no cycle; ENUM values; properties that fit; that a type
as it is to stand still fits the resources that there are.
Not here: where resources stand in their trees (trees.py).
"""

from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from typing import TypeVar

from stiggctl.definitions import Found, Property, ResourceType, Value
from stiggctl.errors import nearest, shown
from stiggctl.validation.whole import TypeKey, Whole

_Key = TypeVar("_Key")


def cycles(starts: Iterable[_Key], above: Callable[[_Key], _Key | None]) -> Iterator[list[_Key]]:
    """Each cycle that leads from the starts upwards, once; every step is taken once at most.

    >>> list(cycles("abc", {"a": "b", "b": "a", "c": "a"}.get))
    [['a', 'b']]
    """
    done: set[_Key] = set()
    for start in starts:
        trail: dict[_Key, int] = {}
        at: _Key | None = start
        while at is not None and at not in done and at not in trail:
            trail[at] = len(trail)
            at = above(at)
        if at is not None and at in trail:
            yield list(trail)[trail[at] :]
        done.update(trail)


def types_are_once(whole: Whole) -> Iterator[Found]:
    """One entry for each (customer, id)."""
    seen: set[TypeKey] = set()
    for place, type_ in enumerate(whole.model.resource_types):
        key = (type_.customer_id, type_.id)
        if key in seen:
            yield Found("resource_types", place, ("id",), type_.id, "one entry for each resource type")
        seen.add(key)


def type_parents_are_known(whole: Whole) -> Iterator[Found]:
    """A type's parent is a type: of the customer's own, or for all; of a type for all, one for all."""
    for place, type_ in enumerate(whole.model.resource_types):
        parent = type_.parent_resource_type_id
        if parent is None or whole.type_key(type_.customer_id, parent) is not None:
            continue
        if not whole.draft.may_be_unreadable("resource_types", parent):
            known = (type_id for owner, type_id in whole.types if owner in {None, type_.customer_id})
            expected = f"a resource type that exists{whole.hint(parent, known)}"
            yield Found("resource_types", place, ("parent_resource_type_id",), parent, expected)


def types_form_no_cycle(whole: Whole) -> Iterator[Found]:
    """No type is, through its parents, above itself."""

    def above(key: TypeKey) -> TypeKey | None:
        parent = whole.types[key].parent_resource_type_id
        return None if parent is None else whole.type_key(key[0], parent)

    for cycle in cycles(whole.type_places, above):
        places = sorted(whole.type_places[key] for key in cycle if key in whole.type_places)
        parent = whole.model.resource_types[places[0]].parent_resource_type_id
        loop = " > ".join(type_id for _, type_id in (*cycle, cycle[0]))
        expected = f"a parent type that is not below it ({loop})"
        yield Found("resource_types", places[0], ("parent_resource_type_id",), parent, expected)


def attribution_keys_are_once(whole: Whole) -> Iterator[Found]:
    """A type names a dimension once."""
    for place, type_ in enumerate(whole.model.resource_types):
        seen: set[str] = set()
        for number, key in enumerate(type_.attribution_keys):
            if key in seen:
                yield Found("resource_types", place, ("attribution_keys", number), key, "each key once")
            seen.add(key)


def enums_have_values(whole: Whole) -> Iterator[Found]:
    """An ENUM has values, each once; nothing else has any."""
    for place, type_ in enumerate(whole.model.resource_types):
        for name, schema in type_.properties.items():
            steps = ("properties", name, "values")
            if schema.type != "ENUM" and schema.values is not None:
                expected = f"no values: only an ENUM has them, this is a {schema.type}"
                yield Found("resource_types", place, steps, schema.values, expected)
            elif schema.type == "ENUM" and not schema.values:
                expected = "a list of at least one text: the values of the ENUM"
                yield Found("resource_types", place, steps, schema.values, expected)
            elif schema.values is not None and len(set(schema.values)) < len(schema.values):
                yield Found("resource_types", place, steps, schema.values, "each value once")


def properties_fit(whole: Whole) -> Iterator[Found]:
    """A resource's properties are those of its type: required ones present, each of its kind."""
    for place, (entry, owner) in enumerate(zip(whole.model.resources, whole.owners.resources, strict=True)):
        key = whole.type_key(owner, entry.resource_type_id)
        if key is not None and not whole.is_type_doubtful(key, "properties"):
            for name, value, expected in misfits(whole.types[key], entry.properties):
                yield Found("resources", place, ("properties", name), value, expected)


def misfits(type_: ResourceType, properties: dict[str, Value]) -> Iterator[tuple[str, object, str]]:
    """Each property that does not fit the type: its name, its value, what would be right."""
    for name, value in properties.items():
        schema = type_.properties.get(name)
        if schema is None:
            there = ", ".join(map(shown, type_.properties)) or "none"
            meant = nearest(name, type_.properties)
            said = f"did you mean {shown(meant)}?" if meant else f"there are: {there}"
            yield name, value, f"a property of type {shown(type_.id)}; {said}"
        elif not _is_of_kind(value, schema):
            yield name, value, kind_of(schema)
    for name, schema in type_.properties.items():
        if schema.required and name not in properties:
            yield name, None, f"{kind_of(schema)}; type {shown(type_.id)} requires it"


def _is_of_kind(value: Value, schema: Property) -> bool:
    if schema.type == "NUMBER":
        return isinstance(value, int | Decimal) and not isinstance(value, bool)
    if schema.type == "BOOLEAN":
        return isinstance(value, bool)
    # An ENUM without values is wrong itself, and told at its type.
    return isinstance(value, str) and (schema.type == "STRING" or not schema.values or value in schema.values)


def kind_of(schema: Property) -> str:
    """What a property may be, in words."""
    if schema.type == "ENUM":
        return f"one of {', '.join(map(shown, schema.values or ()))}"
    return {"STRING": "text", "NUMBER": "an int or a Decimal", "BOOLEAN": "true or false"}[schema.type]


def standing_resources_still_fit(whole: Whole) -> Iterator[Found]:
    """A type that changes, or a resource that gets another type, leaves what stands valid.

    One finding for each type and property, or each resource and type below it, with the first
    resource that would not fit and how many more there are.
    """
    found: dict[tuple[str, int, str], Found] = {}
    more: dict[tuple[str, int, str], int] = {}

    def add(entries: str, place: int, reason: str, finding: Found) -> None:
        if found.setdefault((entries, place, reason), finding) is not finding:
            more[entries, place, reason] = more.get((entries, place, reason), 0) + 1

    for node, parent_type_id in whole.known.standing:
        key = whole.type_key(node.customer_id, node.type_id)
        if key is None:
            continue
        type_, place = whole.types[key], whole.type_places.get(key)
        who = f"{shown(node.resource_id)} of {shown(node.customer_id)}"
        if place is not None and not whole.is_type_doubtful(key, "properties"):
            for name, value, expected in misfits(type_, dict(node.properties or {})):
                fits = f"what fits the resources there are: {name} of {who} would have to be {expected}"
                add(
                    "resource_types",
                    place,
                    name,
                    Found("resource_types", place, ("properties", name), value, fits),
                )
        parent = None if node.parent_id is None else whole.nodes.get((node.customer_id, node.parent_id))
        stands_in = parent.type_id if parent is not None else parent_type_id
        wanted = whole.parent_type(key)
        if wanted is None or stands_in is None or wanted == stands_in:
            continue
        if place is not None:
            fits = f"what fits the resources there are: {who} stands in a {shown(stands_in)}"
            finding = Found("resource_types", place, ("parent_resource_type_id",), wanted, fits)
            add("resource_types", place, "", finding)
        elif parent is not None and parent.place is not None:
            fits = f"{shown(wanted)}, because {who} is below it"
            finding = Found("resources", parent.place, ("resource_type_id",), parent.type_id, fits)
            add("resources", parent.place, type_.id, finding)
    for reason, finding in found.items():
        also = f" (and {more[reason]} more)" if reason in more else ""
        yield finding._replace(expected=finding.expected + also)
