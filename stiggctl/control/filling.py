"""Filling: what had filled a limit until an instant.

Here: who had spent most of it, and what it counted last. Not here: what is explained by that (explaining.py).
"""

from collections.abc import Iterator

from stiggctl.amounts import to_amount
from stiggctl.answers import LimitState
from stiggctl.definitions import json_text
from stiggctl.ledger import Reader
from stiggctl.ledger.records import Apart, CustomerRow, EventRow, SumsWanted
from stiggctl.reports.events import BookedEvent, booked_event
from stiggctl.reports.explanation import Spender
from stiggctl.scopes import EVERYTHING, filter_of
from stiggctl.windows import END_US, FIRST_US, to_us

#: Who spent most of a limit, and what it counted last: as many as fit a screen beside the rest.
SPENDERS, LAST_EVENTS = 5, 10


def scope_of(limit: LimitState) -> str:
    """Its scope, as rows have it."""
    scope = limit.scope
    return EVERYTHING if scope is None else json_text({name: sorted(scope[name]) for name in sorted(scope)})


def _owner(reader: Reader, customer: int) -> CustomerRow:
    return next(row for row in reader.customers() if row.id == customer)


def booked_in(reader: Reader, event: EventRow) -> BookedEvent:
    """The record of an event."""
    currencies = {row.id: (row.currency_id, row.decimals) for row in reader.currencies()}
    names = {row.id: row.resource_id for row in reader.resources_by_row(event.members)}
    return booked_event(event, _owner(reader, event.customer).customer_id, currencies, names)


class Filling:
    """What had filled a limit until an instant."""

    def __init__(
        self, reader: Reader, customer: CustomerRow, resource: int, limit: LimitState, at_us: int
    ) -> None:
        self._reader = reader
        self._customer = customer
        self._resource = resource
        self._since_us = FIRST_US if limit.window_start is None else to_us(limit.window_start, "window_start")
        self._until_us = min(at_us + 1, END_US)
        self._scope = scope_of(limit)
        self._currency = next(row for row in reader.currencies() if row.currency_id == limit.credit_currency)

    def _counts(self, event: EventRow) -> bool:
        is_of_currency = any(part.currency == self._currency.id for part in event.parts)
        return is_of_currency and filter_of(self._scope).passes(event.dimensions)

    def last_events(self) -> tuple[BookedEvent, ...]:
        """The last that it counts, the newest first."""
        # Of a limit that counts only some it is looked a little further back, and no further than that.
        most = 50 * LAST_EVENTS
        events = self._reader.latest_events(
            self._customer.id, max(self._resource, 0), self._since_us, self._until_us, most=most
        )
        counted = [event for event in events if self._counts(event)][:LAST_EVENTS]
        return tuple(booked_in(self._reader, event) for event in counted)

    def spenders(self) -> tuple[Spender, ...]:
        """Who had spent most of it: what was named together."""
        units: dict[tuple[int, ...], list[int]] = {}
        for members, spent, events in self._sums():
            total = units.setdefault(members, [0, 0])
            total[0] += spent
            total[1] += events
        found: dict[tuple[str, ...], list[int]] = {}
        for members, (spent, events) in units.items():
            rows = self._reader.resources_by_row(members)
            above = {row.parent for row in rows}
            named = tuple(sorted(row.resource_id for row in rows if row.id not in above))
            total = found.setdefault(named or (self._customer.customer_id,), [0, 0])
            total[0] += spent
            total[1] += events
        most = sorted(found.items(), key=lambda one: (-one[1][0], one[0]))[:SPENDERS]
        decimals = self._currency.decimals
        return tuple(Spender(ids, to_amount(spent, decimals), events) for ids, (spent, events) in most)

    def _sums(self) -> Iterator[tuple[tuple[int, ...], int, int]]:
        resource = self._resource or None
        if self._scope == EVERYTHING:
            wanted = SumsWanted(Apart.PATH, resource=resource, currency=self._currency.id)
            for one in self._reader.sums(self._customer.id, [(self._since_us, self._until_us)], wanted):
                yield one.members, one.units, one.events
            return
        for event in self._reader.events(
            self._customer.id, resource=resource, since_us=self._since_us, until_us=self._until_us
        ):
            if self._counts(event):
                spent = sum(part.amount_units for part in event.parts if part.currency == self._currency.id)
                yield event.members, spent, 1
