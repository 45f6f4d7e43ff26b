"""Reporting: usage that took place, in both faces.

Here: report, report_many, reverse. Each has a half that never waits and one that may, as in
spending.py. Not here: what is asked before (spending.py), how an order is made (holder/).
"""

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from contextvars import copy_context
from datetime import datetime
from typing import Any

from stiggctl.amounts import Amount
from stiggctl.answers import Receipt
from stiggctl.control.named import Face, in_force
from stiggctl.control.requests import receipt_of_order
from stiggctl.errors import InvalidRequest, ResourceNotFound, StiggctlError
from stiggctl.events import DimensionValue, Report, read_event, read_id, read_report
from stiggctl.holder.orders import Order

Dimensions = Mapping[str, DimensionValue]
Event = Mapping[str, Any]


class Reporting(Face):
    """The part of a control that books what took place."""

    def report(
        self,
        event: Event | None = None,
        /,
        *,
        customer_id: str | None = None,
        event_name: str | None = None,
        idempotency_key: str | None = None,
        dimensions: Dimensions | None = None,
        timestamp: str | datetime | None = None,
        credit_currency: str | None = None,
        amount: Amount | None = None,
        amounts: Mapping[str, Amount] | None = None,
        resource_ids: Sequence[str] | None = None,
    ) -> Receipt:
        """Book usage that took place. It is never refused for a limit: what is over is overage.

        When it returns, the event is in the ledger once; two reports of one key charge once.

        Args:
            event: the same as the keywords below, as a mapping; its keys in camelCase or
                snake_case: {"customerId": …, "eventName": …}.
            customer_id: whose usage it is; may be left out where only one customer can be meant.
            event_name: what took place; with a rate it needs no amount.
            idempotency_key: makes sending it again safe, for ever.
            dimensions: at most 32; those whose key is an attribution key of a resource type
                (user_id) name its resource, unless `resource_ids` is given.
            timestamp: ISO 8601 text with an offset, or an aware datetime; left out: now. At
                most five minutes ahead.
            credit_currency, amount (or amounts): what to charge; left out: what its rates say.
            resource_ids: what it is charged to.

        What is left out and `bound` names is taken from there: then it is as if it was given.

        Raises:
            InvalidTimestamp, InvalidAmount, InvalidRequest, CustomerNotFound,
            CurrencyNotFound, RateNotFound, AmbiguousResource: nothing was booked.
            IdempotencyConflict: the key names an event with other contents.
            LedgerUnavailable: nothing was booked, or the same key finds it.

        >>> control = getfixture("acme")
        >>> receipt = control.report(
        ...     customer_id="cust-acme-inc", idempotency_key="227c1b73", credit_currency="ai-tokens",
        ...     amount=12, dimensions={"user_id": "user-01"},
        ... )
        >>> receipt.charged, [limit.resource_id for limit in receipt.limits]
        (12, ['user-01'])
        """
        given = self._given(_read_report_call(event, locals()))
        now_us = self._holder.clock.now_us()
        return self._report(self._read(given, now_us), now_us)

    async def areport(
        self,
        event: Event | None = None,
        /,
        *,
        customer_id: str | None = None,
        event_name: str | None = None,
        idempotency_key: str | None = None,
        dimensions: Dimensions | None = None,
        timestamp: str | datetime | None = None,
        credit_currency: str | None = None,
        amount: Amount | None = None,
        amounts: Mapping[str, Amount] | None = None,
        resource_ids: Sequence[str] | None = None,
    ) -> Receipt:
        """`report`, without blocking the event loop. Cancelled, it is still booked once."""
        given = self._given(_read_report_call(event, locals()))
        holder = self._holder
        now_us = holder.clock.now_us()
        report = self._read(given, now_us)
        order = holder.bookings.order_at_once(report, now_us)
        if order is None or not holder.trees.is_ready(order):
            return await holder.aside.do(lambda: self._report(report, now_us))
        # Not shielded: who cancels this cancels the waiting only, and a shield takes as long as reading
        # a report does. What is queued is booked.
        try:
            await holder.exchange.submit(order)
        except ResourceNotFound:
            return await holder.aside.do(lambda: self._report(report, now_us))  # as in `_report`
        return receipt_of_order(order)

    def report_many(self, events: Iterable[Event]) -> list[Receipt | StiggctlError]:
        """Book many reports with few commits: a receipt or the error of each, in order.

        What cannot be booked fails alone. LedgerUnavailable stands for each that it concerns:
        send those again, with their keys.

        >>> control = getfixture("acme")
        >>> event = {"customerId": "cust-acme-inc", "creditCurrency": "ai-tokens"}
        >>> events = [{**event, "amount": 3}, {**event, "amount": -1}]
        >>> receipt, error = control.report_many(events)
        >>> receipt.charged, type(error).__name__
        (3, 'InvalidAmount')
        """
        holder = self._holder
        holder.require_open()
        outcomes: list[Receipt | StiggctlError | None] = []
        now_us = holder.clock.now_us()
        made: list[tuple[int, Report, Order]] = []  # whose outcome it is, by its place
        for event in events:
            outcome: Receipt | StiggctlError | None = None
            try:
                report = self._read(self._given(read_event(event)), now_us)
                order = self._order(report, now_us)
                if isinstance(order, Receipt):
                    outcome = order
                else:
                    made.append((len(outcomes), report, order))
            except StiggctlError as error:
                outcome = error
            outcomes.append(outcome)
        errors = holder.exchange.run_all([order for _, _, order in made])
        for (place, report, order), failed in zip(made, errors, strict=True):
            outcomes[place] = failed or receipt_of_order(order)
            if isinstance(failed, ResourceNotFound):
                with contextlib.suppress(StiggctlError):
                    outcomes[place] = self._report(report, now_us)  # as in `_report`
        return [one for one in outcomes if one is not None]

    async def areport_many(self, events: Iterable[Event]) -> list[Receipt | StiggctlError]:
        """`report_many`, without blocking the event loop."""
        given, around = list(events), copy_context()  # what is bound here is bound in that thread, too
        return await self._holder.aside.do(lambda: around.run(self.report_many, given))

    def reverse(self, event_id: str, *, reason: str, actor: str | None = None) -> Receipt:
        """Book minus what an event booked, at the event's instant. The event itself stays.

        An event is reversed once: again, it is the first receipt. A reversal is not reversed. What
        `rerate` booked on the event is taken back too, each adjustment by a reversal of its own.

        Raises:
            EventNotFound: no event has that id. InvalidRequest: it is a reversal itself.
            LedgerUnavailable: nothing was booked; again is safe.
        """
        read_id(reason, "reason")
        return receipt_of_order(self._holder.reversals.reverse(event_id, reason, actor))

    async def areverse(self, event_id: str, *, reason: str, actor: str | None = None) -> Receipt:
        """`reverse`, without blocking the event loop."""
        return await self._holder.aside.do(lambda: self.reverse(event_id, reason=reason, actor=actor))

    def _given(self, event: dict[str, Any]) -> dict[str, Any]:
        """What is given of an event; and what is not, as it is named around here."""
        return event if self._own is None and in_force() is None else self._filled_event(event)

    def _read(self, given: Mapping[str, Any], now_us: int) -> Report:
        self._holder.require_open()
        return read_report(given, now_us)

    def _report(self, report: Report, now_us: int) -> Receipt:
        order = self._order(report, now_us)
        if isinstance(order, Receipt):
            return order
        try:
            self._holder.exchange.run(order)
        except ResourceNotFound:
            # It was erased since it was found. Nobody has it now: the rest of the report is booked (B1).
            order = self._order_waiting(report, now_us)
            if isinstance(order, Receipt):
                return order
            self._holder.exchange.run(order)
        return receipt_of_order(order)

    def _order(self, report: Report, now_us: int) -> Order | Receipt:
        return self._holder.bookings.order_at_once(report, now_us) or self._order_waiting(report, now_us)

    def _order_waiting(self, report: Report, now_us: int) -> Order | Receipt:
        """The order; or the receipt of a known key, whose rate or customer may be gone by now."""
        bookings = self._holder.bookings
        try:
            return bookings.order(report, now_us)
        except StiggctlError:
            receipt = bookings.receipt_of_report(report)
            if receipt is None:
                raise
            return receipt


def _read_report_call(event: Event | None, arguments: dict[str, Any]) -> dict[str, Any]:
    """The keywords of a report, from its mapping or from its arguments."""
    given = {
        name: value
        for name, value in arguments.items()
        if name not in ("self", "event") and value is not None
    }
    if event is None:
        return given
    if given:
        raise InvalidRequest(where=next(iter(given)), value=event, expected="either an event, or keywords")
    return read_event(event)
