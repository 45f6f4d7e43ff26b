"""Checks of templates: limits for each resource of a type that matches.

Here: a type that is there; properties that it has, with values that they can have; that a type
as it is to stand still has what the templates there are ask for.
Not here: which resources match (holder/), a template's limit (limits.py).

A `where` that no resource can match is a limit that nobody is under, and nobody would be told.
"""

import re
from collections.abc import Iterator, Sequence
from decimal import Decimal

from stiggctl.definitions import Found, Property, text_of_value
from stiggctl.errors import nearest, shown
from stiggctl.validation.schemas import kind_of
from stiggctl.validation.whole import Whole, key_of_allocation

_PLAIN_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")


def template_types_are_known(whole: Whole) -> Iterator[Found]:
    """A template is of a type: of its customer's, or for all; of one for all, of a type for all."""
    for place, entry in enumerate(whole.model.allocations):
        type_id = entry.resource_type_id
        if type_id is None or not entry.is_template or whole.type_key(entry.customer_id, type_id) is not None:
            continue
        if not whole.draft.may_be_unreadable("resource_types", type_id):
            known = (each for owner, each in whole.types if owner in {None, entry.customer_id})
            owners = [owner for owner, each in whole.types if each == type_id and owner is not None]
            if entry.customer_id is None and owners:
                hint = f" for all (customer {shown(owners[0])} has one of its own: is customerId missing?)"
            else:
                hint = f" that exists{whole.hint(type_id, known)}"
            yield Found("allocations", place, ("resource_type_id",), type_id, f"a resource type{hint}")


def templates_can_match(whole: Whole) -> Iterator[Found]:
    """What `where` asks for are properties of the type, with values that these can have."""
    for place, entry in enumerate(whole.model.allocations):
        if entry.resource_type_id is None or not entry.is_template or entry.where is None:
            continue
        key = whole.type_key(entry.customer_id, entry.resource_type_id)
        if key is None or whole.is_type_doubtful(key, "properties"):
            continue
        type_ = whole.types[key]
        for name, values in entry.where.items():
            schema = type_.properties.get(name)
            if schema is None:
                there = ", ".join(map(shown, type_.properties)) or "none"
                meant = nearest(name, type_.properties)
                said = f"did you mean {shown(meant)}?" if meant else f"there are: {there}"
                expected = f"a property of type {shown(type_.id)}; {said}"
                yield Found("allocations", place, ("where", name), _as_one(values), expected)
            elif wrong := [value for value in values if not _can_be(value, schema)]:
                yield Found("allocations", place, ("where", name), _as_one(wrong), _right(schema))


def standing_templates_can_still_match(whole: Whole) -> Iterator[Found]:
    """A type that changes keeps what the templates there are ask for."""
    replaced = {key_of_allocation(owner, entry) for _, entry, owner in whole.limits()}
    told = set()
    for limit in whole.known.beside:
        if limit.type_id is None or limit.key in replaced:
            continue
        key = whole.type_key(limit.customer_id, limit.type_id)
        place = None if key is None else whole.type_places.get(key)
        if key is None or place is None or whole.is_type_doubtful(key, "properties"):
            continue
        for name, values in limit.where.items():
            schema = whole.types[key].properties.get(name)
            wrong = [value for value in values if schema is None or not _can_be(value, schema)]
            if wrong and (key, name) not in told:
                told.add((key, name))
                asked = f"a limit of {shown(limit.currency_id)} is for each whose {name} is {_listed(wrong)}"
                expected = f"what the templates there are ask for: {asked}"
                yield Found("resource_types", place, ("properties", name), None, expected)


def _can_be(text: str, schema: Property) -> bool:
    """Whether a property can have a value that is compared as this text."""
    if schema.type == "BOOLEAN":
        return text in {"true", "false"}
    if schema.type == "ENUM":
        return not schema.values or text in schema.values  # without values it is wrong itself
    if schema.type == "STRING":
        return True
    return _PLAIN_NUMBER.fullmatch(text) is not None and text_of_value(Decimal(text)) == text


def _right(schema: Property) -> str:
    one_form = "; as text in its one form, such as 5 or 0.5" if schema.type == "NUMBER" else ""
    return kind_of(schema) + one_form


def _as_one(values: Sequence[str]) -> object:
    return values[0] if len(values) == 1 else list(values)


def _listed(values: list[str]) -> str:
    return " or ".join(map(shown, values[:4]))
