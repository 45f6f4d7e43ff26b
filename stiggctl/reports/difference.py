"""Difference: what differs between a denial and another one, or an event that went through.

Here: what the two say of themselves. Not here: what the ledger and the audit say beside that
(control/differing.py).
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal

from stiggctl.amounts import plain
from stiggctl.answers import LimitState
from stiggctl.events import DimensionValue
from stiggctl.reports.explanation import DenialExplained, EventExplained, amounts_text
from stiggctl.windows import to_text, to_us


def differences(one: DenialExplained, other: DenialExplained | EventExplained) -> tuple[str, ...]:
    """What differs between a denial and another one, or an event that went through."""
    first = one.denial
    if isinstance(other, DenialExplained):
        second = other.denial
        found = [
            *differing("verb", first.verb, second.verb),
            *differing("customer", first.customer_id, second.customer_id),
            *differing("resources", _ids(first.resource_ids), _ids(second.resource_ids)),
            *differing(
                "amounts", amounts_text(one.decision.requested), amounts_text(other.decision.requested)
            ),
            *differing("dimensions", _said(first.dimensions), _said(second.dimensions)),
            *differing("reason", first.reason, second.reason),
            *differing("at", _text(one.decision.at), _text(other.decision.at)),
        ]
        return (*found, *_of_limits(one.decision.limits, other.decision.limits))
    event = other.event
    missing = [name for name in first.resource_ids if name not in event.resource_ids]
    found = [
        *differing("customer", first.customer_id, event.customer_id),
        *([f"resources: {', '.join(missing)} is not charged by the event"] if missing else []),
        *differing("amounts", amounts_text(one.decision.requested), amounts_text(event.amounts)),
        *differing("dimensions", _said(first.dimensions), _said(event.dimensions)),
        *differing("at", _text(one.decision.at), _text(event.occurred_at)),
    ]
    return tuple(found)


def _of_limits(first: tuple[LimitState, ...], second: tuple[LimitState, ...]) -> Iterator[str]:
    theirs = {_limit_key(limit): limit for limit in second}
    for limit in first:
        other = theirs.pop(_limit_key(limit), None)
        whose = limit_name(limit)
        if other is None:
            yield f"{whose}: only in the first"
            continue
        for name in _NUMBERS if limit.rolling else ("window_start", *_NUMBERS):
            yield from differing(f"{whose}, {name}", getattr(limit, name), getattr(other, name))
    for limit in theirs.values():
        yield f"{limit_name(limit)}: only in the second"


def _limit_key(limit: LimitState) -> tuple[object, ...]:
    scope = None if limit.scope is None else tuple(sorted(limit.scope.items()))
    return (limit.allocation_id, limit.resource_id, limit.credit_currency, limit.cadence, scope)


def differing(what: str, first: object, second: object) -> list[str]:
    """A line, where they are not the same.

    >>> differing("limit of ann in t, used", 90, 0), differing("verb", "check", "check")
    (['limit of ann in t, used: 90 and 0'], [])
    """
    return [] if first == second else [f"{what}: {_shown(first)} and {_shown(second)}"]


def _shown(value: object) -> object:
    if isinstance(value, datetime):
        return _text(value)
    return plain(value) if isinstance(value, int | Decimal) else value


def limit_name(limit: LimitState) -> str:
    """As people tell limits of one resource apart: "limit of ann in ai-tokens (P1D, model large)"."""
    kinds = [] if limit.cadence is None else [f"{'any ' if limit.rolling else ''}{limit.cadence}"]
    kinds += [f"{name} {' or '.join(values)}" for name, values in (limit.scope or {}).items()]
    what = f"the pool of {limit.resource_id}" if limit.is_pool else f"limit of {limit.resource_id}"
    which = f" ({', '.join(kinds)})" if kinds else ""
    return f"{what} in {limit.credit_currency}{which}"


def _ids(ids: tuple[str, ...]) -> str:
    return ", ".join(sorted(set(ids)))


def _said(dimensions: Mapping[str, DimensionValue]) -> str:
    return ", ".join(f"{name}={value}" for name, value in sorted(dimensions.items())) or "none"


def _text(at: datetime) -> str:
    return to_text(to_us(at, "at"))


#: What may be another of one limit; of one that rolls its window is another at each instant.
_NUMBERS = ("limit", "used", "held", "enforcement_type", "overridden_by")
