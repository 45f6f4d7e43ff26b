"""Explaining: what pydantic found wrong in a document, in our words.

Here: what would be right in place of each fault, misspelt keys.
Not here: pydantic's own checks (parts.py), what is read in spite of a fault (reading.py).
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from pydantic import ValidationError
from pydantic.alias_generators import to_camel
from pydantic_core import ErrorDetails

from stiggctl.definitions import places
from stiggctl.definitions.parts import PARTS, Part
from stiggctl.definitions.places import Place, Steps
from stiggctl.definitions.values import AN_ID
from stiggctl.errors import nearest


class Wrong(NamedTuple):
    """A field of a document that is not as it must be."""

    steps: Steps  #: as written
    value: object
    expected: str
    told: bool = True  #: False: it follows from another fault, which is told


def explained(document: object, error: ValidationError) -> Iterator[Wrong]:
    """Each fault, in pydantic's order: part by part, a part's own fields first."""
    details = error.errors(include_url=False)
    meant = {
        (*steps, nearest(str(key), places.keys(places.last((*steps, key)).part)))
        for *steps, key in (detail["loc"] for detail in details if detail["type"] == "extra_forbidden")
    }
    for detail in details:
        steps = tuple(step for step in detail["loc"] if step != "[key]")
        place = places.last(steps)
        if detail["type"] == "default_factory_not_called":
            continue  # the id is missing or wrong, and that is told
        if detail["type"] in {"extra_forbidden", "invalid_key"}:
            yield Wrong(steps, detail["input"], _unknown(place, steps[-1]))
            if (field := _misspelt(document, steps, place)) is not None:
                yield Wrong((*steps[:-1], field), None, "", told=False)
        elif detail["type"] == "missing":
            entry = _entry(document, steps[:-1])
            spelt = (*steps[:-1], places.spelling(entry, str(place.name)))
            yield Wrong(spelt, None, f"{_described(place)}; it is required", steps not in meant)
        else:
            yield Wrong(steps, detail["input"], _right(detail, place))


def _misspelt(document: object, steps: Steps, place: Place) -> str | None:
    """The field that an unknown key was meant to be, where it is not given as well: nobody knows it."""
    meant = nearest(str(steps[-1]), places.keys(place.part))
    if meant is None:
        return None
    field = places.names(place.part)[meant]
    written = {places.names(place.part).get(str(key)) for key in _entry(document, steps[:-1])}
    return None if field in written else field


def _entry(document: object, steps: Steps) -> Mapping[str, object]:
    for step in steps:
        document = places.at(document, step)
    return document if isinstance(document, Mapping) else {}


def _described(place: Place) -> str:
    info = place.part.model_fields.get(str(place.name))
    return str(info.description) if info else _object(place.part)


def _object(part: type[Part]) -> str:
    return f"an object with {', '.join(places.keys(part))}"


def _right(detail: ErrorDetails, place: Place) -> str:
    if detail["type"] == "refused":
        return detail["msg"]  # by parts.py, in our words
    if detail["loc"][-1:] == ("[key]",):
        return f"a name that is {AN_ID}"
    if place.inside == 1 and (place.part, place.name) in PARTS:
        return _object(PARTS[place.part, str(place.name)])
    return f"in {_described(place)}" if place.inside else _described(place)


def _unknown(place: Place, key: str | int) -> str:
    if not isinstance(key, str):
        return "keys that are text"
    if place.name in place.part.model_fields:
        return f"one spelling, {to_camel(str(place.name))} or {place.name}, not both"
    known = places.keys(place.part)
    meant = nearest(key, known)
    if meant is None:
        return f"one of the keys {', '.join(known)}"
    return f"a key that is known here: did you mean {meant}?"
