"""JSON text in which every number is exact.

Here: Python values to JSON text, and back, with Decimal for what is no integer.
Not here: what the values mean, or who reads them.

json's own encoder writes no Decimal, and made anew for each call it takes four times as long for the
small objects of which a model has a hundred thousand.
"""

import json
from collections.abc import Mapping
from decimal import Decimal
from json.encoder import encode_basestring
from typing import Any

_WORDS = {None: "null", True: "true", False: "false"}


def plain(number: Decimal) -> str:
    """A finite Decimal without exponent, without zeros at its end: equal numbers have equal texts.

    >>> plain(Decimal("5.00")), plain(Decimal("1e3")), plain(Decimal("-0.020"))
    ('5', '1000', '-0.02')
    """
    text = format(number, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def json_text(value: object, *, indent: int | None = None) -> str:
    """JSON text of mappings, lists, texts, ints, finite Decimals, bools and None.

    >>> json_text({"cost": Decimal("0.10"), "who": ["é", None, True]})
    '{"cost":0.1,"who":["é",null,true]}'
    """
    return _write(value, ("", "", ":") if indent is None else ("\n", " " * indent, ": "), "")


def _write(value: object, layout: tuple[str, str, str], margin: str) -> str:
    if isinstance(value, str):
        return encode_basestring(value)
    if value is None or isinstance(value, bool):
        return _WORDS[value]
    if isinstance(value, int):
        return int.__repr__(value)
    if isinstance(value, Decimal):
        return plain(value)
    line, step, colon = layout
    inner = margin + step
    if isinstance(value, Mapping):
        left, right = "{", "}"
        parts = [
            f"{encode_basestring(key)}{colon}{_write(each, layout, inner)}" for key, each in value.items()
        ]
    elif isinstance(value, list | tuple):
        left, right = "[", "]"
        parts = [_write(each, layout, inner) for each in value]
    else:
        raise TypeError(f"{type(value).__name__} is not written as JSON")
    if not parts:
        return left + right
    return f"{left}{line}{inner}{f',{line}{inner}'.join(parts)}{line}{margin}{right}"


def filter_text(asked: Mapping[str, tuple[str, ...]] | None) -> str:
    """A scope or a `where` that was read, as rows keep it: equal ones have equal texts.

    >>> filter_text({"model": ("gpt-5", "o4")}), filter_text(None)
    ('{"model":["gpt-5","o4"]}', '{}')
    """
    return "{}" if asked is None else json_text(asked)


def json_value(text: str) -> Any:
    """What `json_text` wrote: numbers are int or Decimal."""
    return json.loads(text, parse_float=Decimal)
