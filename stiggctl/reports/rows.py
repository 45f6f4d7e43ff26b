"""Rows: what a ledger tells, flat: plain values for each record and currency, by row or by column.

Here: which columns each kind of record has. Not here: the records, files of rows (cli/formats.py).

What always holds:
  FL1  All rows of one kind have the same columns in the same order, whatever is in them.
  FL2  An amount is a Decimal or None in every row, also in a currency without decimals: whole numbers
       among fractions are no numbers to a data frame.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal

from stiggctl.answers import Decision, LimitState, Receipt
from stiggctl.answers.json_form import json_value
from stiggctl.errors import InvalidRequest
from stiggctl.events import dimensions_json
from stiggctl.reports.events import BookedEvent
from stiggctl.reports.grants import GrantState
from stiggctl.reports.tree import TreeNode
from stiggctl.reports.usage import UsageRow

#: What a row may have in it.
Plain = str | int | bool | Decimal | datetime | None
Record = UsageRow | BookedEvent | GrantState | TreeNode | LimitState | Decision | Receipt


def columns(result: Record | Iterable[Record]) -> dict[str, list[Plain]]:
    """An answer as plain columns, as pandas and Polars take them: `pandas.DataFrame(columns(answer))`.

    Of usage and events there is a row for each currency; of a tree one for each resource, with its
    `depth`; of a decision and a receipt one for each of their limits. Amounts are Decimals, instants are
    aware, lists and dimensions are JSON text. Where there is no row there is no column.

    Columns, not rows: a data frame finds the type of a column in all of it. Of rows Polars looks at the
    first hundred, and cuts the decimals that a later one has more.

    Args:
        result: what `usage`, `events`, `grants`, `tree`, `check` or a receipt is; or several of one kind.

    Raises InvalidRequest for anything else.

    >>> control = getfixture("acme")
    >>> _ = control.consume(resource_ids=["user-01"], credit_currency="ai-tokens", amount=30)
    >>> used = columns(control.usage(group_by="resource"))
    >>> used["key"], used["amount"]
    (['growth', 'user-01'], [Decimal('30'), Decimal('30')])
    >>> tree = columns(control.tree("growth", "ai-tokens"))
    >>> tree["depth"], tree["resource_id"], tree["remaining"]
    ([0, 1], ['growth', 'user-01'], [None, Decimal('170')])
    """
    given: object = result
    if isinstance(result, Record):
        given = (result,)
    elif isinstance(given, str | bytes | Mapping) or not isinstance(given, Iterable):
        raise _unknown(given)
    found: dict[str, list[Plain]] = {}
    for record in given:
        for row in _rows_of(record):
            if not found:
                found = {name: [] for name in row}
            if found.keys() != row.keys():
                raise InvalidRequest(where="result", value=record, expected="records of one kind")
            for name, value in row.items():
                found[name].append(value)
    return found


def _rows_of(record: object) -> Iterator[dict[str, Plain]]:
    match record:
        case UsageRow():
            yield from _of_usage(record)
        case BookedEvent():
            yield from rows_of_event(record)
        case GrantState():
            yield _plain(record._asdict(), _OF_GRANT)
        case TreeNode():
            yield from (_of_node(depth, node) for depth, node in record.walk())
        case LimitState():
            yield _plain({name: getattr(record, name) for name in LimitState.__slots__}, _OF_LIMIT)
        case Decision() | Receipt():
            for limit in record.limits:
                yield from _rows_of(limit)
        case _:
            raise _unknown(record)


def _unknown(given: object) -> InvalidRequest:
    expected = "usage, events, grants, a tree, a decision or a receipt"
    return InvalidRequest(where="result", value=given, expected=expected)


# ------------------------------------------------------------------ columns of each

_OF_GRANT = frozenset({"amount", "used", "held", "remaining"})
_OF_LIMIT = frozenset({"limit", "used", "held", "remaining", "overage"})
_OF_NODE = ("resource_id", "resource_type_id", "name", "credit_currency")
_NUMBERS_OF_NODE = ("limit", "used", "held", "remaining", "utilisation")


def _of_usage(row: UsageRow) -> Iterator[dict[str, Plain]]:
    # Where nothing was booked there is no currency, and one row that says so.
    for currency, amount in row.amounts.items() or [(None, None)]:
        yield {
            "customer_id": row.customer_id,
            "key": row.key,
            "bucket_start": row.bucket_start,
            "bucket_end": row.bucket_end,
            "events": row.events,
            "credit_currency": currency,
            "amount": _number(amount),
        }


#: The columns of booked events, and what is in each.
EVENT_COLUMNS: Mapping[str, type] = {
    "event_id": str,
    "customer_id": str,
    "event_name": str,
    "occurred_at": datetime,
    "credit_currency": str,
    "amount": Decimal,
    "overage": Decimal,
    "resource_ids": str,
    "dimensions": str,
    "idempotency_key": str,
    "reservation_id": str,
    "reverses": str,
    "adjusts": str,
    "late": bool,
    "expired": bool,
    "estimated": bool,
    "unattributed": str,
    "booked_at": datetime,
}


def rows_of_event(event: BookedEvent) -> Iterator[dict[str, Plain]]:
    """A booked event in each of its currencies."""
    for currency, amount in event.amounts.items():
        yield {
            "event_id": event.event_id,
            "customer_id": event.customer_id,
            "event_name": event.event_name,
            "occurred_at": event.occurred_at,
            "credit_currency": currency,
            "amount": _number(amount),
            "overage": _number(event.overages[currency]),
            "resource_ids": _text(event.resource_ids),
            "dimensions": dimensions_json(event.dimensions),
            "idempotency_key": event.idempotency_key,
            "reservation_id": event.reservation_id,
            "reverses": event.reverses,
            "adjusts": event.adjusts,
            "late": event.late,
            "expired": event.expired,
            "estimated": event.estimated,
            "unattributed": _text(event.unattributed),
            "booked_at": event.booked_at,
        }


def _of_node(depth: int, node: TreeNode) -> dict[str, Plain]:
    return {
        "depth": depth,
        **{name: getattr(node, name) for name in _OF_NODE},
        **{name: _number(getattr(node, name)) for name in _NUMBERS_OF_NODE},
        "archived": node.archived,
        "suspended": node.suspended,
    }


# ------------------------------------------------------------------ values


def _plain(fields: Mapping[str, object], amounts: frozenset[str]) -> dict[str, Plain]:
    return {name: _number(value) if name in amounts else _value(value) for name, value in fields.items()}


def _value(value: object) -> Plain:
    if isinstance(value, str):
        return str(value)  # a status is its name
    if value is None or isinstance(value, int | Decimal | datetime):
        return value
    return _text(value)


def _number(amount: object) -> Decimal | None:
    if amount is None:
        return None
    assert isinstance(amount, int | Decimal)
    return Decimal(amount)


def _text(value: object) -> str:
    return json.dumps(json_value(value), ensure_ascii=False)
