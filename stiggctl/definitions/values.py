"""Values: what may stand in one field of a model, and the one form in which it is kept.

Here: ids, names, amounts, properties; cadences, zones, anchors and instants; the values that a
scope or a `where` asks for. Not here: thresholds (thresholds.py), which fields a part has (parts.py),
what they mean together (validation/), how windows are cut (windows/).

What always holds:
  DF1  A number is what was written: int, Decimal or text. A float or a bool is no amount.
  DF7  What can be written in several ways is kept in one ("day" as P1D, an instant in UTC, a
       scope as sorted texts), and what is kept is read as itself.
"""

import re
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator
from pydantic_core import PydanticCustomError

from stiggctl.amounts import Amount
from stiggctl.definitions.text import plain
from stiggctl.errors import InvalidRequest, InvalidTimestamp
from stiggctl.windows import read_cadence, read_zone, to_text, to_us, zone_of

# Names are for people: a sentence fits, a page does not.
NAME_MAX = 1_000
# A property is looked at, not searched: longer text belongs into the application's own tables.
TEXT_MAX = 4_000
# JSON's readers elsewhere keep 15 to 17 digits at best; 38 leave room for any id or amount.
DIGITS_MAX = 38
# A request has at most as many dimensions: a scope with more would match none.
FILTER_NAMES_MAX = 32
# A scope is looked at in each request. A list that is longer is a group that the application
# should name by a dimension of its own.
FILTER_VALUES_MAX = 1_000
# An organisation has a few; what is forgotten is read again.
_TEXTS_KEPT = 1_024

AN_ID = "text of 1 to 255 characters, without NUL or a lone surrogate"
A_NAME = f"text of at most {NAME_MAX:,} characters, without NUL or a lone surrogate"
AN_AMOUNT = 'an int, a Decimal or text such as "5" or "0.02"'
A_TEXT = f"text of at most {TEXT_MAX:,} characters, without NUL or a lone surrogate"
A_VALUE = f"text of at most {TEXT_MAX:,} characters, an int, a Decimal or a bool"
A_FILTER = f"an object of at most {FILTER_NAMES_MAX} names, each to a value or a list of values"
AN_INSTANT = 'ISO 8601 text with an offset, such as "2026-01-31T09:00:00+01:00", or an aware datetime'
AN_ANCHOR = f'{AN_INSTANT}; or a date, such as "2026-01-31": its midnight in the timezone'

Value = str | int | Decimal | bool


def refused(expected: str) -> PydanticCustomError:
    """A field that is not as it must be; the words are ours (explaining.py)."""
    return PydanticCustomError("refused", "{expected}", {"expected": expected})


# ------------------------------------------------------------------ numbers, properties, ids


def read_amount(value: object) -> object:
    """An amount as it was given: int, Decimal or text (DF1)."""
    # How large and how precise it may be depends on the currency: validation.py asks to_units.
    if isinstance(value, float):
        raise refused(f"{AN_AMOUNT}; a float is not exact: write text or Decimal")
    if isinstance(value, bool) or not isinstance(value, int | Decimal | str):
        raise refused(AN_AMOUNT)
    return value


def _read_value(value: object) -> Value:
    if isinstance(value, float):
        raise refused('an int or a Decimal; a float is not exact: write Decimal("0.5")')
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        text = str.__str__(value)  # of a StrEnum its text, not its name
        if len(text) > TEXT_MAX or "\0" in text or not _is_unicode(text):
            raise refused(A_TEXT)
        return text
    if isinstance(value, int):
        if not -(10**DIGITS_MAX) < value < 10**DIGITS_MAX:
            raise refused(f"a number of at most {DIGITS_MAX} digits")
        return int(value)
    if isinstance(value, Decimal):
        if not _is_short(value):
            raise refused(f"a number of at most {DIGITS_MAX} digits")
        return value
    raise refused(A_VALUE)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_short(number: Decimal) -> bool:
    _sign, digits, exponent = number.as_tuple()
    return isinstance(exponent, int) and len(digits) <= DIGITS_MAX and -DIGITS_MAX <= exponent <= DIGITS_MAX


def is_id(value: object) -> bool:
    """Whether it may be an id.

    >>> is_id("user-01"), is_id("日本"), is_id(""), is_id("a" * 256), is_id(5)
    (True, True, False, False, False)
    """
    return isinstance(value, str) and 1 <= len(value) <= 255 and "\0" not in value and _is_unicode(value)


def is_name(value: object) -> bool:
    """Whether it may be a name, or say who changed something and why."""
    return isinstance(value, str) and len(value) <= NAME_MAX and "\0" not in value and _is_unicode(value)


def _read_list(value: object) -> object:
    # pydantic would take sets and generators too: one has no order, the other no second reading.
    if not isinstance(value, list | tuple):
        raise refused("a list")
    return value


# ------------------------------------------------------------------ what a filter asks for


def text_of_value(value: Value) -> str:
    """A property's or a dimension's value as scopes and `where` compare it: true, 5, 0.5, text as it is.

    >>> text_of_value(True), text_of_value(Decimal("5.0")), text_of_value("5.0")
    ('true', '5', '5.0')
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return plain(value) if isinstance(value, Decimal) else str(value)


def _read_filter_value(value: object) -> str:
    return text_of_value(_read_value(value))


def _one_or_several(value: object) -> object:
    if isinstance(value, list | tuple):
        if not value:
            raise refused("at least one value: an empty list would match nothing")
        if len(value) > FILTER_VALUES_MAX:
            raise refused(f"at most {FILTER_VALUES_MAX:,} values")
        return value
    if isinstance(value, str | int | float | Decimal):
        return (_read_filter_value(value),)  # what is wrong with it is told here, not at its place in a list
    raise refused("a value, or a list of values: text, an int, a Decimal or a bool")


def _sorted_once(values: tuple[str, ...]) -> tuple[str, ...]:
    return values if len(values) == 1 else tuple(sorted(set(values)))


def _in_one_form(values: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]] | None:
    if len(values) > FILTER_NAMES_MAX:
        raise refused(A_FILTER)
    return dict(sorted(values.items())) if values else None


# ------------------------------------------------------------------ time


def _read_instant(value: object) -> str:
    if not isinstance(value, str | datetime):
        raise refused(AN_INSTANT)
    try:
        return to_text(to_us(value, ""))
    except InvalidTimestamp as error:
        raise refused(error.expected) from None


_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def _read_anchor(value: object) -> str:
    if isinstance(value, date) and not isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, str) and _DATE.fullmatch(value):
        try:
            return date.fromisoformat(value).isoformat()
        except ValueError as error:
            raise refused(f"a date that exists ({error})") from None
    if not isinstance(value, str | datetime):
        raise refused(AN_ANCHOR)
    return _read_instant(value)


def us_of(instant: str | None) -> int | None:
    """The instant of a field that was read, in microseconds since 1970."""
    return None if instant is None else to_us(instant, "")


def us_of_anchor(anchor: str | None, timezone: str | None) -> int | None:
    """The instant of an anchor that was read; a date is the first instant at which it was that day.

    >>> us_of_anchor("1970-01-02", "Europe/Amsterdam") == us_of("1970-01-01T23:00:00Z")
    True
    """
    if anchor is None or not _DATE.fullmatch(anchor):
        return us_of(anchor)
    return zone_of(timezone or "UTC").first_at(to_us(f"{anchor}T00:00:00Z", ""))


@lru_cache(maxsize=_TEXTS_KEPT)
def _cadence(text: str) -> tuple[str, bool]:
    """The one text of it; or what would be right, and False.

    Mistakes are kept too: to look for what was meant takes milliseconds, and one that a program
    writes stands in each of a hundred thousand entries.
    """
    try:
        return str(read_cadence(text)), True
    except InvalidRequest as error:
        return error.expected, False


@lru_cache(maxsize=_TEXTS_KEPT)
def _zone(name: str) -> tuple[str, bool]:
    try:
        return read_zone(name).name, True
    except InvalidRequest as error:
        return error.expected, False


def _read_cadence(value: object) -> str:
    read, is_right = _cadence(value if isinstance(value, str) else "")
    if not is_right:
        raise refused(read)
    return read


def _read_zone(value: object) -> str:
    read, is_right = _zone(value if isinstance(value, str) else "")
    if not is_right:
        raise refused(read)
    return read


# ------------------------------------------------------------------ the types of fields

Id = Annotated[str, Field(strict=True, min_length=1, max_length=255, pattern=r"^[^\x00]+$")]
# Of a type with an id of 255 characters, the default key id + "_id" is still one.
Key = Annotated[str, Field(strict=True, min_length=1, max_length=258, pattern=r"^[^\x00]+$")]
Name = Annotated[str, Field(strict=True, max_length=NAME_MAX, pattern=r"^[^\x00]*$")]
Number = Annotated[Amount, PlainValidator(read_amount)]
PropertyValue = Annotated[Value, PlainValidator(_read_value)]
AsList = BeforeValidator(_read_list)
Instant = Annotated[str, PlainValidator(_read_instant)]
Anchor = Annotated[str, PlainValidator(_read_anchor)]
CadenceText = Annotated[str, PlainValidator(_read_cadence)]
ZoneName = Annotated[str, PlainValidator(_read_zone)]
FilterValues = Annotated[
    tuple[Annotated[str, PlainValidator(_read_filter_value)], ...],
    AfterValidator(_sorted_once),
    BeforeValidator(_one_or_several),
]
#: A scope (of dimensions) or a `where` (of properties, of dimensions); None: whatever there is.
Filter = Annotated[dict[Id, FilterValues], AfterValidator(_in_one_form)]
