"""Differing: what was not the same when another request was answered, as far as the ledger tells.

Here: what a limit had counted before an event, what was changed of the model between two instants.
Not here: what the two themselves say of it (reports/difference.py).
"""

from collections.abc import Collection, Iterator, Sequence
from typing import Any

from stiggctl.answers import LimitState
from stiggctl.control.filling import Filling, scope_of
from stiggctl.definitions import json_value
from stiggctl.ledger import Reader
from stiggctl.ledger.records import AuditLine, CustomerRow, EventRow, ResourceRow
from stiggctl.reports.difference import differing, limit_name
from stiggctl.reports.explanation import DenialExplained, EventExplained
from stiggctl.scopes import filter_of
from stiggctl.windows import to_text, to_us

#: So many changes are told, the last ones; whoever wants all of them reads the audit.
CHANGES_MAX = 10


def beside(reader: Reader, denied: DenialExplained, other: DenialExplained | EventExplained) -> Iterator[str]:
    """What differs beside what the two say themselves."""
    denial = denied.denial
    if isinstance(other, DenialExplained):
        at, resource_ids, event_name = other.decision.at, other.denial.resource_ids, other.denial.event_name
    else:
        at, resource_ids, event_name = other.event.occurred_at, (), other.event.event_name
        yield from _before_the_event(reader, denied, other)
    yield from _changed_between(
        reader,
        denial.customer_id,
        {*denial.resource_ids, *resource_ids},
        {denial.event_name, event_name},
        (denied.decision.at_us, to_us(at, "at")),
    )


def _before_the_event(reader: Reader, denied: DenialExplained, other: EventExplained) -> Iterator[str]:
    """What the limits that were looked at had counted when the event was admitted."""
    event = reader.event(int(other.event.event_id))
    customers = reader.customers([denied.denial.customer_id or ""])
    if event is None or not customers or customers[0].id != event.customer:
        return
    for limit in denied.decision.limits:
        yield from _of_limit(reader, customers[0], limit, event)


def _of_limit(reader: Reader, customer: CustomerRow, limit: LimitState, event: EventRow) -> Iterator[str]:
    whose = limit_name(limit)
    resource = 0
    if not limit.is_pool:
        lineage = reader.lineage(customer.id, [limit.resource_id])
        resource = lineage[-1].id if lineage else -1
        if resource not in event.members or not filter_of(scope_of(limit)).passes(event.dimensions):
            yield f"{whose}: the event does not count in it"
            return
    if limit.rolling:
        return  # of another instant its window is another, in part
    occurred_us = event.occurred_at_us
    if limit.window_start is not None and occurred_us < to_us(limit.window_start, "window_start"):
        yield f"{whose}: its window began after the event"
        return
    if limit.window_end is not None and occurred_us >= to_us(limit.window_end, "window_end"):
        yield f"{whose}: its window had ended before the event"
        return
    # Of what was reserved before, what it was admitted by is older than its booking.
    at_us = event.booked_at_us if event.reservation is None else occurred_us
    used = Filling(reader, customer, resource, limit, at_us, last_event=event.id - 1).used()
    yield from differing(f"{whose}, used", limit.used, used)


def _changed_between(
    reader: Reader,
    customer_id: str | None,
    resource_ids: Collection[str],
    event_names: Collection[str | None],
    instants: tuple[int, int],
) -> Iterator[str]:
    """Which changes of the model concern these resources, or all, and lie between two instants."""
    customers = reader.customers([customer_id or ""])
    rows = reader.lineage(customers[0].id, list(resource_ids)) if customers else []
    found = [
        line
        for line in reader.audit(since_us=min(instants) + 1, until_us=max(instants) + 1)
        if line.customer_id in (None, customer_id) and _concerns(line, rows, event_names)
    ]
    if len(found) > CHANGES_MAX:
        yield f"changed between: {len(found) - CHANGES_MAX} times more, before"
    for line in found[-CHANGES_MAX:]:
        by = "" if line.actor is None else f" by {line.actor}"
        why = "" if line.reason is None else f": {line.reason}"
        yield f"changed between: {line.subject}, {line.verb} at {to_text(line.at_us)}{by}{why}"


def _concerns(line: AuditLine, rows: Sequence[ResourceRow], event_names: Collection[str | None]) -> bool:
    """Whether it may have changed what counts: of one of these, of their type, or what holds for all."""
    said: dict[str, Any] = json_value(line.after or line.before or "{}")
    if line.subject.startswith("resource "):
        return said.get("id") in {row.resource_id for row in rows}
    if "resourceId" in said:
        return said["resourceId"] in {row.resource_id for row in rows}
    if "resourceTypeId" in said:
        return said["resourceTypeId"] in {row.type_id for row in rows}
    if line.subject.startswith("rate "):
        return said.get("eventName") in event_names
    return line.subject.startswith(("grant ", "price ", "customer "))
