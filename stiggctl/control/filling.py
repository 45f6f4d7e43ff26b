"""Filling: what had filled a limit until an instant.

Here: who had spent most of it, and what it counted last. Not here: what is explained by that (explaining.py).
"""

from dataclasses import replace
from decimal import Decimal

from stiggctl.amounts import to_amount
from stiggctl.answers import LimitState
from stiggctl.definitions import json_text
from stiggctl.holder.pools import pool_of
from stiggctl.ledger import Reader
from stiggctl.ledger.records import LATEST, CustomerRow, EventRow, Spending, Spent
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
    """What had filled a limit by an instant: what took place in its window, and was booked by then."""

    def __init__(
        self,
        reader: Reader,
        customer: CustomerRow,
        resource: int,
        limit: LimitState,
        at_us: int,
        *,
        last_event: int = LATEST,
    ) -> None:
        self._reader = reader
        self._customer = customer
        self._scope = scope_of(limit)
        self._currency = next(row for row in reader.currencies() if row.currency_id == limit.credit_currency)
        since_us = FIRST_US if limit.window_start is None else to_us(limit.window_start, "window_start")
        grants = self._grants(at_us) if limit.is_pool else None
        if grants:
            since_us = min(since for _, since, _ in grants)
        self._wanted = Spending(
            customer.id,
            resource,
            self._currency.id,
            since_us,
            min(at_us + 1, END_US),
            at_us,
            last_event,
            grants,
        )

    def _grants(self, at_us: int) -> tuple[tuple[int, int, int], ...]:
        """Those that were open, each with the window that they pay for."""
        rows = [
            replace(row, voided_at_us=None)
            if row.voided_at_us is not None and at_us < row.voided_at_us
            else row
            for row in self._reader.grants(self._customer.id)
        ]
        pool = pool_of(rows, self._currency.id, at_us)
        return tuple(
            (
                one.allocation,
                FIRST_US if one.counts_until_us is None else one.terms.window_start_us,
                END_US if one.counts_until_us is None else one.counts_until_us,
            )
            for one in (() if pool is None else pool.limits)
        )

    def _counts(self, event: EventRow) -> bool:
        is_of_currency = any(part.currency == self._currency.id for part in event.parts)
        return is_of_currency and filter_of(self._scope).passes(event.dimensions)

    def last_events(self) -> tuple[BookedEvent, ...]:
        """The last that it counts, the newest first."""
        # Of a limit that counts only some it is looked a little further back, and no further than that.
        wanted, most = self._wanted, 50 * LAST_EVENTS
        span = wanted.since_us, wanted.until_us
        events = self._reader.latest_events(
            wanted.customer, max(wanted.resource, 0), span, booked_us=wanted.booked_us, most=most
        )
        counted = [event for event in events if self._counts(event)][:LAST_EVENTS]
        return tuple(booked_in(self._reader, event) for event in counted)

    def spenders(self) -> tuple[Spender, ...]:
        """Who had spent most of it: what was named together."""
        found: dict[tuple[str, ...], list[int]] = {}
        for spent in self._spent():
            rows = self._reader.resources_by_row(spent.members)
            above = {row.parent for row in rows}
            named = tuple(sorted(row.resource_id for row in rows if row.id not in above))
            total = found.setdefault(named or (self._customer.customer_id,), [0, 0])
            total[0] += spent.units
            total[1] += spent.events
        most = sorted(found.items(), key=lambda one: (-one[1][0], one[0]))[:SPENDERS]
        decimals = self._currency.decimals
        return tuple(Spender(ids, to_amount(units, decimals), events) for ids, (units, events) in most)

    def used(self) -> int | Decimal:
        """All that it had counted."""
        return to_amount(sum(spent.units for spent in self._spent()), self._currency.decimals)

    def _spent(self) -> list[Spent]:
        if self._scope == EVERYTHING:
            return self._reader.spent(self._wanted)
        return list(self._in_scope().values())

    def _in_scope(self) -> dict[tuple[int, ...], Spent]:
        wanted = self._wanted
        found: dict[tuple[int, ...], Spent] = {}
        for event in self._reader.events(
            wanted.customer, resource=wanted.resource, since_us=wanted.since_us, until_us=wanted.until_us
        ):
            if (
                event.booked_at_us <= wanted.booked_us
                and event.id <= wanted.last_event
                and self._counts(event)
            ):
                units = sum(part.amount_units for part in event.parts if part.currency == self._currency.id)
                before = found.get(event.members, Spent(event.members, 0, 0))
                found[event.members] = Spent(event.members, before.units + units, before.events + 1)
        return found
