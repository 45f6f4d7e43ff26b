"""Documents: JSON text, also of a file, into plain values in which no number was rounded.

Here: how text is decoded and parsed, which of it is no JSON, where a key stands twice.
Not here: what the values mean (parts.py, reading.py).
"""

import json
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from stiggctl.definitions.places import Steps
from stiggctl.errors import InvalidModel, InvalidRequest, Problem

#: Where an object has a key twice, with the value that came last.
Twice = tuple[tuple[Steps, object], ...]


class _Object(dict[str, Any]):
    """A JSON object that knows which of its keys were written twice."""

    __slots__ = ("twice",)
    twice: list[str]


class _Bad(ValueError):
    """A number that cannot be read exactly; its text."""


def text_of(path: Path) -> str:
    """The text of a file. Raises InvalidRequest where it cannot be read, InvalidModel if not UTF-8."""
    try:
        return path.read_bytes().decode()
    except OSError as error:
        reason = error.strerror or str(error)
        raise InvalidRequest(where="model", value=path, expected=f"a readable file ({reason})") from error
    except UnicodeDecodeError as error:
        wrong = error.object[error.start : error.end]
        raise InvalidModel(problems=(Problem(str(path), wrong, "text in UTF-8"),)) from None


def parsed(text: str) -> tuple[object, Twice]:
    """What the text says; and each key that stands twice in its object.

    Raises InvalidModel where it is no JSON, or a number in it cannot be read exactly.
    """
    doubled = False

    def build(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal doubled
        plain = dict(pairs)
        if len(plain) == len(pairs):
            return plain
        doubled = True
        keys = [key for key, _ in pairs]
        built = _Object(plain)
        built.twice = [key for key in plain if keys.count(key) > 1]
        return built

    try:
        document = json.loads(
            text.removeprefix("\ufeff"),  # some editors begin a file with it
            object_pairs_hook=build,
            parse_float=_number,
            parse_constant=_constant,
        )
        return document, tuple(_twice(document, ())) if doubled else ()
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        problem = Problem(where, text.split("\n")[error.lineno - 1], f"JSON ({error.msg})")
    except _Bad as error:
        problem = Problem("model", str(error), "a finite number of a few digits")
    except (ValueError, RecursionError):
        problem = Problem("model", text, "JSON without thousands of levels, or of digits in a number")
    raise InvalidModel(problems=(problem,))


def _number(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        raise _Bad(text) from None


def _constant(text: str) -> object:
    raise _Bad(text)


def _twice(value: object, steps: Steps) -> Iterator[tuple[Steps, object]]:
    if isinstance(value, _Object):
        yield from (((*steps, key), value[key]) for key in value.twice)
    if isinstance(value, dict):
        for key, each in value.items():
            yield from _twice(each, (*steps, key))
    elif isinstance(value, list):
        for place, each in enumerate(value):
            yield from _twice(each, (*steps, place))
