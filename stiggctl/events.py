"""Events: one report, read; all of its refusals that need no ledger, before any change.

Here: what a caller gave, checked and normalised; its fingerprint; what its dimensions name.
Not here: prices (rates.py), what is booked and where (holder/).

  EV1  Nothing is changed before a report has been read whole.
  EV2  The fingerprint covers what the caller gave, normalised (5 is "5", instants are UTC,
      ids sorted and once each), never what was derived from it: a timestamp that was left
      out, a price. Same key and same fingerprint: the same report, sent again.
"""

import json
import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from hashlib import blake2b
from typing import Any, TypeGuard

from stiggctl.amounts import AMOUNT_MAX, Amount, plain
from stiggctl.errors import InvalidRequest, InvalidTimestamp, nearest
from stiggctl.windows import to_text, to_us

#: What a dimension may be.
DimensionValue = str | int | Decimal | bool

DIMENSIONS_MAX = 32
#: Of all keys and values of an event together; enough for ids and labels, too little for prompts.
DIMENSIONS_BYTES_MAX = 4_096
ID_LENGTH_MAX = 255
#: Clocks of hosts differ by seconds; a report from further ahead would count in a window that
#: has not begun.
AHEAD_MAX_US = 5 * 60 * 1_000_000

#: What a fingerprint covers, in its order.
COVERED = ("event_name", "dimensions", "timestamp", "credit_currency", "amount", "resource_ids")

_WHOLE = 16
_EACH = 4
_EACHES = struct.Struct(f">{len(COVERED)}I")

# json.dumps makes an encoder for each call that asks for anything but its defaults.
_json_text = json.JSONEncoder(ensure_ascii=False).encode


class Report:
    """One report as its caller gave it, checked and normalised."""

    __slots__ = (
        "amounts",
        "credit_currency",
        "customer_id",
        "dimensions",
        "event_name",
        "fingerprint",
        "idempotency_key",
        "occurred_at_us",
        "resource_ids",
    )

    customer_id: str | None
    event_name: str | None
    idempotency_key: str | None
    dimensions: dict[str, DimensionValue]
    occurred_at_us: int | None  #: None: it happens now
    credit_currency: str | None
    amounts: dict[str | None, Amount]  #: by currency; one without: the customer's only one; none: rates
    resource_ids: tuple[str, ...] | None  #: None: found from the dimensions
    fingerprint: bytes  #: of what was given (EV2)


def read_report(given: Mapping[str, Any], now_us: int) -> Report:
    """A report from its keywords: snake_case, all keys known.

    Raises InvalidRequest or InvalidTimestamp, saying which argument and what would be right.
    Amounts are read by whoever knows the currency's decimals.
    """
    report = Report()
    report.customer_id = _optional_id(given.get("customer_id"), "customer_id")
    report.event_name = _optional_id(given.get("event_name"), "event_name")
    report.idempotency_key = _optional_id(given.get("idempotency_key"), "idempotency_key")
    report.dimensions = read_dimensions(given.get("dimensions"))
    report.credit_currency = _optional_id(given.get("credit_currency"), "credit_currency")
    report.amounts = read_amounts(given.get("amount"), report.credit_currency, given.get("amounts"))
    ids = given.get("resource_ids")
    report.resource_ids = None if ids is None else read_ids(ids, may_be_empty=True)
    report.occurred_at_us = _instant(given.get("timestamp"), now_us)
    report.fingerprint = fingerprint(
        event_name=report.event_name,
        dimensions=report.dimensions,
        timestamp=None if report.occurred_at_us is None else to_text(report.occurred_at_us),
        credit_currency=report.credit_currency,
        amounts=report.amounts,
        resource_ids=report.resource_ids,
    )
    return report


#: The article's spelling of each key, and ours.
_KEYS = {
    "customerId": "customer_id",
    "eventName": "event_name",
    "idempotencyKey": "idempotency_key",
    "dimensions": "dimensions",
    "timestamp": "timestamp",
    "creditCurrency": "credit_currency",
    "amount": "amount",
    "amounts": "amounts",
    "resourceIds": "resource_ids",
}


def read_event(event: object) -> dict[str, Any]:
    """The keywords of an event that is written as JSON writes it, in camelCase or snake_case."""
    if not isinstance(event, Mapping):
        raise InvalidRequest(where="event", value=event, expected="a mapping, or keywords")
    given: dict[str, Any] = {}
    for key, value in event.items():
        name = _KEYS.get(key, key if key in _KEYS.values() else None) if isinstance(key, str) else None
        if name is None:
            meant = nearest(key, _KEYS) if isinstance(key, str) else None
            hint = f"{meant!r}?" if meant else f"one of {', '.join(_KEYS)}"
            raise InvalidRequest(where="event", value=key, expected=f"a known key: {hint}")
        if name in given:
            raise InvalidRequest(where=f"event.{key}", value=value, expected=f"{name} to be given once")
        given[name] = value
    return given


def read_id(value: object, where: str) -> str:
    """An id as given: 1 to 255 characters of any script, no NUL, no lone surrogate."""
    if _is_plain_id(value):
        return value
    if not isinstance(value, str):
        raise InvalidRequest(where=where, value=value, expected="an id as text")
    if not 1 <= len(value) <= ID_LENGTH_MAX:
        expected = f"1 to {ID_LENGTH_MAX} characters (it has {len(value)})"
        raise InvalidRequest(where=where, value=value, expected=expected)
    if not _is_clean(value):
        raise InvalidRequest(where=where, value=value, expected="text without NUL and lone surrogates")
    return value


def _is_plain_id(value: object) -> TypeGuard[str]:
    """Whether it is an id as nearly all are; any other is looked at closely."""
    return type(value) is str and 0 < len(value) <= ID_LENGTH_MAX and value.isascii() and "\0" not in value


def _optional_id(value: object, where: str) -> str | None:
    return None if value is None else read_id(value, where)


def read_ids(resource_ids: object, *, may_be_empty: bool = False) -> tuple[str, ...]:
    """Resource ids as given, in their order; a lone text is refused, for it is a sequence too."""
    if type(resource_ids) is not list and (
        isinstance(resource_ids, str | bytes | Mapping) or not isinstance(resource_ids, Iterable)
    ):
        raise InvalidRequest(where="resource_ids", value=resource_ids, expected='a list of ids: ["user-01"]')
    ids = tuple(resource_ids)
    if not all(map(_is_plain_id, ids)):
        ids = tuple([read_id(one, f"resource_ids[{at}]") for at, one in enumerate(ids)])
    if not ids and not may_be_empty:
        raise InvalidRequest(where="resource_ids", value=[], expected="at least one id")
    return ids


def read_dimensions(dimensions: object) -> dict[str, DimensionValue]:
    """Dimensions, checked; bounds are DIMENSIONS_MAX and DIMENSIONS_BYTES_MAX."""
    if dimensions is None:
        return {}
    if type(dimensions) is not dict and not isinstance(dimensions, Mapping):
        raise InvalidRequest(where="dimensions", value=dimensions, expected="a mapping of names to values")
    if len(dimensions) > DIMENSIONS_MAX:
        expected = f"at most {DIMENSIONS_MAX} dimensions"
        raise InvalidRequest(where="dimensions", value=len(dimensions), expected=expected)
    read: dict[str, DimensionValue] = {}
    size = 0
    for key, value in dimensions.items():
        name = key if _is_plain_id(key) else read_id(key, "dimensions")
        text = (
            value
            if type(value) is str and _is_clean(value)
            else canonical_text(value, f"dimensions[{name!r}]")
        )
        read[name] = value
        size += _bytes_of(name) + _bytes_of(text)
    if size > DIMENSIONS_BYTES_MAX:
        expected = f"at most {DIMENSIONS_BYTES_MAX} bytes of keys and values in all"
        raise InvalidRequest(where="dimensions", value=f"{size} bytes", expected=expected)
    return read


def _bytes_of(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


def canonical_text(value: object, where: str) -> str:
    """A dimension's value as text, in one form: true, 5, 0.5, and text as it is."""
    if isinstance(value, str):
        if not _is_clean(value):
            raise InvalidRequest(where=where, value=value, expected="text without NUL and lone surrogates")
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) and value.bit_length() <= 256:
        return str(value)
    if isinstance(value, Decimal) and value.is_finite() and abs(value.adjusted()) <= 64:
        return plain(value)
    raise InvalidRequest(where=where, value=value, expected="text, int, finite Decimal or bool")


def _is_clean(text: str) -> bool:
    if text.isascii():
        return "\0" not in text
    return "\0" not in text and not any("\ud800" <= char <= "\udfff" for char in text)


def read_amounts(amount: object, credit_currency: str | None, amounts: object) -> dict[str | None, Amount]:
    """What was given as `amount` (of one currency) or `amounts` (of several); not yet as units."""
    if amounts is None:
        given: Any = amount  # judged where the currency's decimals are known
        return {} if given is None else {credit_currency: given}
    if amount is not None or credit_currency is not None:
        expected = "either amounts, or credit_currency and amount"
        raise InvalidRequest(where="amounts", value=amounts, expected=expected)
    if not isinstance(amounts, Mapping) or not amounts:
        raise InvalidRequest(where="amounts", value=amounts, expected='a mapping: {"ai-tokens": 500}')
    return {read_id(currency, "amounts"): value for currency, value in amounts.items()}


def _instant(timestamp: object, now_us: int) -> int | None:
    if timestamp is None:
        return None
    if not isinstance(timestamp, str | datetime):
        expected = "ISO 8601 text with an offset, or an aware datetime"
        raise InvalidTimestamp(where="timestamp", value=timestamp, expected=expected)
    at_us = to_us(timestamp, "timestamp")
    if at_us > now_us + AHEAD_MAX_US:
        expected = f"an instant at most five minutes ahead of {to_text(now_us)}"
        raise InvalidTimestamp(where="timestamp", value=timestamp, expected=expected)
    return at_us


# -------------------------------------------------------------------- fingerprints


def fingerprint(
    *,
    event_name: str | None,
    dimensions: Mapping[str, DimensionValue],
    timestamp: str | None,
    credit_currency: str | None,
    amounts: Mapping[str | None, object],
    resource_ids: Sequence[str] | None,
) -> bytes:
    """One hash over all that was given, and a short one of each argument, to say which differs."""
    # An argument is its items, each of which has no NUL and is not empty, with a NUL between two;
    # between two arguments there are two. So what differs cannot read the same.
    given = [
        event_name or "",
        "\0".join(
            [
                f"{key}\0={value if type(value) is str else canonical_text(value, key)}"
                for key, value in sorted(dimensions.items())
            ]
        ),
        timestamp or "",
        "\0".join(sorted(filter(None, {*amounts, credit_currency}))),
        "\0".join(sorted([f"{name}\0{_canonical_amount(value)}" for name, value in amounts.items()])),
        "" if resource_ids is None else "\0".join(["=", *sorted(set(resource_ids))]),
    ]
    texts = [one.encode() for one in given]
    whole = blake2b(b"\0\0".join(texts), digest_size=_WHOLE).digest()
    return whole + _EACHES.pack(*map(zlib.crc32, texts))


def differences(first: bytes, second: bytes) -> tuple[str, ...]:
    """Which arguments differ between two fingerprints; empty where they are the same report."""
    if first == second:
        return ()
    starts = range(_WHOLE, _WHOLE + _EACH * len(COVERED), _EACH)
    differing = [
        name
        for name, at in zip(COVERED, starts, strict=True)
        if first[at : at + _EACH] != second[at : at + _EACH]
    ]
    return tuple(differing) or ("contents",)


def _canonical_amount(value: object) -> str:
    """5, "5" and Decimal("5.0") are one amount. What is no amount is refused elsewhere."""
    if type(value) is int and 0 <= value <= AMOUNT_MAX:  # nearly all are, and most have few digits
        text = str(value)
        kept = text.rstrip("0")
        return f"0:{kept}e{len(text) - len(kept) if kept else 0}"
    try:
        number = Decimal(value) if isinstance(value, str | int) else value
    except ArithmeticError:
        return repr(value)
    if not isinstance(number, Decimal) or not number.is_finite():
        return repr(value)
    sign, digits, exponent = number.as_tuple()
    kept = "".join(map(str, digits)).rstrip("0")
    return f"{sign}:{kept.lstrip('0')}e{int(exponent) + len(digits) - len(kept) if kept else 0}"


# -------------------------------------------------------------------- dimensions


def attributed(
    dimensions: Mapping[str, DimensionValue], types_of_key: Mapping[str, Sequence[str]]
) -> list[tuple[str, str]]:
    """(type id, resource id) for each dimension that names a resource of some type."""
    return [
        (type_id, canonical_text(value, key))
        for key, value in dimensions.items()
        for type_id in types_of_key.get(key, ())
    ]


def dimensions_json(dimensions: Mapping[str, DimensionValue]) -> str:
    """Dimensions as the ledger keeps them: a JSON object, numbers as exact numbers."""
    if not dimensions:
        return "{}"
    parts = [f"{_json_text(key)}:{_json_value(value)}" for key, value in sorted(dimensions.items())]
    return "{" + ",".join(parts) + "}"


def _json_value(value: DimensionValue) -> str:
    return plain(value) if isinstance(value, Decimal) else _json_text(value)


def dimensions_of(text: str) -> dict[str, DimensionValue]:
    """Dimensions from the ledger's JSON."""
    read: dict[str, DimensionValue] = json.loads(text, parse_float=Decimal)
    return read
