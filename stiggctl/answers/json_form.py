"""JSON form: how answers are written as JSON: camelCase keys, exact amounts, instants in UTC.

Here: a key and a value. Not here: which keys an answer has.
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from stiggctl.amounts import plain
from stiggctl.windows import to_text, to_us


def camel(name: str) -> str:
    """The key of a name: window_start -> windowStart."""
    first, *others = name.split("_")
    return first + "".join(map(str.capitalize, others))


def json_value(value: object) -> Any:
    """The value as json.dumps takes it: a Decimal as text, an instant as ISO 8601."""
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, datetime):
        return to_text(to_us(value, "instant"))
    if isinstance(value, Mapping):
        return {name: json_value(one) for name, one in value.items()}
    return list(value) if isinstance(value, tuple) else value
