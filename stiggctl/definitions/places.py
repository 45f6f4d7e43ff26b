"""Places in a model: steps of keys and list places, and how people spelt them.

Here: which field steps lead to, in which spelling a document has it, steps as a path of text.
Not here: what may stand there (parts.py), what is wrong there (explaining.py, validation.py).
"""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import NamedTuple

from pydantic.alias_generators import to_camel

from stiggctl.definitions.parts import PARTS, Part, UsageModel

#: Keys, and places in lists.
Steps = tuple[str | int, ...]

_PLAIN_KEY = re.compile(r"[^\W\d][\w-]*")


class Place(NamedTuple):
    """Where a step leads: into which part, to which of its fields, and how deep inside that."""

    part: type[Part]
    name: str | int
    inside: int  #: 0: the field itself; 1: a place in its list, or a name in its object


@cache
def names(part: type[Part]) -> Mapping[str, str]:
    """Either spelling of each key of the part, to the field's name."""
    return {spelling: name for name in part.model_fields for spelling in (name, to_camel(name))}


def keys(part: type[Part]) -> list[str]:
    """The keys of the part, as they are written out."""
    return [to_camel(name) for name in part.model_fields]


def walk(steps: Steps) -> Iterator[Place]:
    """Where each of the steps leads."""
    part: type[Part] = UsageModel
    name: str | int | None = None
    inside = 0
    for step in steps:
        if isinstance(name, str) and inside == 1 and (part, name) in PARTS:
            part, name = PARTS[part, name], None  # the step is a key of that entry
        if name is None:
            name, inside = names(part).get(str(step), step), 0
        else:
            inside += 1
        yield Place(part, name, inside)


def last(steps: Steps) -> Place:
    """Where the last of the steps leads."""
    *_, place = (Place(UsageModel, "", 0), *walk(steps))
    return place


def field_steps(steps: Steps) -> Steps:
    """The steps with fields by their names; what people named themselves stays."""
    return tuple(
        place.name if place.inside == 0 else step for place, step in zip(walk(steps), steps, strict=True)
    )


def at(container: object, step: str | int) -> object:
    """What stands there; None where nothing does."""
    if isinstance(container, Part):
        return container.__dict__.get(str(step))
    if isinstance(container, Mapping):
        return container.get(step)
    if isinstance(container, list | tuple) and isinstance(step, int) and step < len(container):
        return container[step]
    return None


def spelling(container: object, name: str) -> str:
    """How people spelt that field; of one they left out, how they spell the others beside it."""
    if isinstance(container, Part):
        return name
    written = container.keys() if isinstance(container, Mapping) else ()
    camel = to_camel(name)
    if camel in written or (name not in written and not any("_" in str(key) for key in written)):
        return camel
    return name


def as_written(document: object, steps: Steps) -> Steps:
    """The steps, with fields as the document spells them."""
    spelt: list[str | int] = []
    for place, step in zip(walk(steps), steps, strict=True):
        is_field = place.inside == 0 and place.name in place.part.model_fields
        spelt.append(spelling(document, str(step)) if is_field else step)
        document = at(document, spelt[-1])
    return tuple(spelt)


def path(steps: Steps) -> str:
    """The steps as one would write them.

    >>> path(("allocations", 3, "limit")), path(("resources", 0, "properties", "cost center"))
    ('allocations[3].limit', "resources[0].properties['cost center']")
    """
    text = ""
    for step in steps:
        plain = isinstance(step, str) and _PLAIN_KEY.fullmatch(step)
        text += f".{step}" if plain else f"[{step!r}]"
    return text.removeprefix(".") or "model"
