"""Explaining: why a request was denied, what an event cost.

Here: the verbs, and which rows an explanation is made of. Not here: its records and sentences
(reports/explanation.py), which denials are kept (holder/denials.py).
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import overload

from stiggctl.amounts import to_amount
from stiggctl.answers import AccessDeniedReason, Decision, LimitState
from stiggctl.answers.kept import from_kept
from stiggctl.control.differing import beside
from stiggctl.control.filling import Filling, booked_in, scope_of
from stiggctl.errors import CustomerNotFound, DecisionNotFound, EventNotFound, InvalidRequest
from stiggctl.events import dimensions_of, read_id
from stiggctl.holder import Holder
from stiggctl.holder.in_force import limits_on
from stiggctl.holder.trees import read_model
from stiggctl.ledger import Reader
from stiggctl.ledger.records import ESTIMATED, CustomerRow, DenialRow, EventRow
from stiggctl.reports.difference import differences
from stiggctl.reports.events import BookedEvent
from stiggctl.reports.explanation import (
    Charged,
    Denial,
    DenialExplained,
    EventExplained,
    Lift,
    PaidBy,
    Spender,
)
from stiggctl.reports.tree import raw_limit
from stiggctl.scopes import EVERYTHING, filter_of
from stiggctl.windows import FIRST_US, to_datetime, to_us


class Explaining:
    """The part of a control that says why."""

    _holder: Holder

    def denials(
        self,
        customer_id: str | None = None,
        *,
        resource_id: str | None = None,
        reason: AccessDeniedReason | str | None = None,
        since: str | datetime | None = None,
        until: str | datetime | None = None,
    ) -> Iterator[Denial]:
        """The denials that are kept, the newest first, as a stream.

        Denials are kept within a moment of being given, up to 100,000 of them; the same request, with
        the same numbers, again within a minute is one more of `times`. A process that is killed loses
        what it gave in its last quarter of a second; `denials_dropped()` counts what is not kept any more.

        Args:
            resource_id: only of requests that named it.
            reason: an AccessDeniedReason, or its name.

        Raises CustomerNotFound, InvalidTimestamp, InvalidRequest.

        >>> control = getfixture("acme")  # user-01 may spend 200 ai-tokens
        >>> ask = {"resource_ids": ["user-01"], "credit_currency": "ai-tokens"}
        >>> bool(control.check(**ask, requested_usage=500))
        False
        >>> for denial in control.denials():
        ...     print(denial.verb, denial.reason, denial.times, denial.decision)
        check BUDGET_EXCEEDED 1 user-01 has 200 of 200 ai-tokens left (0 used, 0 held); 500 were asked for
        """
        holder = self._holder
        holder.require_open()
        holder.denials.beat()  # its own are there at once
        since_us = None if since is None else to_us(since, "since")
        until_us = None if until is None else to_us(until, "until")
        named = None if resource_id is None else read_id(resource_id, "resource_id")
        wanted = None if reason is None else _read_reason(reason)
        customer: int | None = None
        if customer_id is not None:
            with holder.ledger.reader() as reader:
                found = reader.customers([customer_id])
            if not found:
                raise CustomerNotFound(customer_id=customer_id)
            customer = found[0].id
        return self._denials(customer, named, wanted, since_us, until_us)

    def _denials(
        self,
        customer: int | None,
        resource_id: str | None,
        reason: str | None,
        since_us: int | None,
        until_us: int | None,
    ) -> Iterator[Denial]:
        with self._holder.ledger.reader() as reader:
            for row in reader.denials(
                customer, resource_id=resource_id, reason=reason, since_us=since_us, until_us=until_us
            ):
                yield _denial(row)

    def denials_dropped(self) -> int:
        """How many denials are not kept any more, or never were: too many came, or the ledger was away."""
        self._holder.require_open()
        self._holder.denials.beat()
        with self._holder.ledger.reader() as reader:
            return reader.denials_dropped() + self._holder.denials.dropped

    @overload
    def explain(self, decision_id: str, other_id: str) -> DenialExplained: ...
    @overload
    def explain(self, decision_id: str, other_id: None = None) -> DenialExplained | EventExplained: ...
    def explain(self, decision_id: str, other_id: str | None = None) -> DenialExplained | EventExplained:
        """Why a request was denied, or what an event cost; with another id, what differs between the two.

        Of a denial: every limit with its numbers of that moment, who had filled the one that denied and
        its last events, what would have let it pass, and overrides of it. Of an event (by its own id, or
        by that of the decision or reservation that it settled): which rate or price, which limits, who paid.

        Args:
            decision_id: the `decision_id` of a denial; or an `event_id`, or a `reservation_id`.
            other_id: with a denial: another denial, or an event that went through. What differs is told,
                what its limits had counted by then, and what was changed of the model between.

        Raises DecisionNotFound, EventNotFound, InvalidRequest.

        >>> control = getfixture("acme")  # user-01 may spend 200 ai-tokens
        >>> ask = {"resource_ids": ["user-01"], "credit_currency": "ai-tokens"}
        >>> _ = control.consume(**ask, amount=150)
        >>> denied = control.check(**ask, requested_usage=60)
        >>> print(control.explain(denied.decision_id))
        check for user-01 was denied at 2026-01-15T12:00:00Z: user-01 has 50 of 200 ai-tokens left ...
        limit: user-01 has 50 of 200 ai-tokens left (150 used, 0 held)
        it would have passed with at most 50
        it would have passed with 10 more on user-01
        spent by user-01: 150 (1 event)
        event 1 at 2026-01-15T12:00:00Z: 150 ai-tokens, charged to ...user-01
        """
        holder = self._holder
        holder.require_open()
        holder.denials.beat()
        first = self._explained(read_id(decision_id, "decision_id"))
        if other_id is None:
            return first
        if not isinstance(first, DenialExplained):
            expected = "the id of a denial first: what differs from it is asked for"
            raise InvalidRequest(where="decision_id", value=decision_id, expected=expected)
        other = self._explained(read_id(other_id, "other_id"))
        with holder.ledger.reader() as reader:
            return replace(first, difference=(*differences(first, other), *beside(reader, first, other)))

    def _explained(self, id_: str) -> DenialExplained | EventExplained:
        with self._holder.ledger.reader() as reader:
            row = reader.denial(id_)
            if row is not None:
                return _explain_denial(reader, row, id_)
            if id_.isascii() and id_.isdecimal():
                event = reader.event(int(id_)) if int(id_) < 2**63 else None
                if event is None:
                    raise EventNotFound(event_id=id_)
            else:
                event = reader.event_of_reservation(id_)
                if event is None:
                    raise DecisionNotFound(decision_id=id_)
            return self._explain_event(reader, event)

    # ---------------------------------------------------------------- events

    def _explain_event(self, reader: Reader, event: EventRow) -> EventExplained:
        currencies = {row.id: (row.currency_id, row.decimals) for row in reader.currencies()}
        paid = [
            PaidBy(
                one.grant_id,
                currencies[event.parts[one.part].currency][0],
                to_amount(one.units, currencies[event.parts[one.part].currency][1]),
            )
            for one in reader.payments(event.id)
        ]
        adjustments = reader.adjustments_of([event.id])
        reversal = reader.reversals_of([event.id]).get(event.id)
        return EventExplained(
            event=booked_in(reader, event),
            charged=tuple(_charged(reader, event, currencies)),
            limits=tuple(self._limits_of(reader, event)),
            paid_by=tuple(paid),
            adjustments=tuple(booked_in(reader, one) for one in adjustments),
            reversed_by=None if reversal is None else str(reversal),
        )

    def _limits_of(self, reader: Reader, event: EventRow) -> Iterator[LimitState]:
        """Those that count it, in its window; as the model and the ledger have them now."""
        now_us = self._holder.clock.now_us()
        rows = reader.resources_by_row(event.members)
        model = read_model(reader, event.customer, [row.id for row in rows])
        by_row = {row.id: row for row in rows}
        named = {row.id: row for row in reader.currencies()}
        said = event.dimensions
        for part in event.parts:
            limits = [
                limit
                for of_row in limits_on(rows, model, part.currency, event.occurred_at_us, now_us).values()
                for limit in of_row.limits
                if not limit.terms.only_counts and filter_of(limit.terms.scope).passes(said)
            ]
            cells = reader.cells([limit.wanted for limit in limits], 0)
            held = self._holder.others.held(reader, [cell.id for cell in cells.values()], 0, now_us)
            for limit in limits:
                cell = cells[limit.wanted.key]
                units = sum(end.units for end in held.get(cell.id, ()))
                raw = raw_limit(limit, by_row[limit.resource], cell, named[part.currency], 0, units, now_us)
                yield LimitState(raw)


def _charged(reader: Reader, event: EventRow, currencies: dict[int, tuple[str, int]]) -> Iterator[Charged]:
    dimensions = dimensions_of(event.dimensions)
    source, version = dimensions.get("price_source"), dimensions.get("price_version")
    for part in event.parts:
        name, decimals = currencies[part.currency]
        why = "told by its caller"
        if part.rate is not None:
            rate = reader.rate(part.rate)
            scope = "" if rate.where == EVERYTHING else f" where {rate.where}"
            why = f"rate {part.rate} of {rate.event_name}{scope}: {rate.credits} and {rate.terms}"
        elif source is not None and name.lower() == "usd":
            why = f"price of {source}, {version}"
        elif event.flags & ESTIMATED:
            why = "its estimate: nothing told what was used"
        yield Charged(name, to_amount(part.amount_units, decimals), why)


# -------------------------------------------------------------------- denials


def _denial(row: DenialRow) -> Denial:
    return Denial(
        decision_id=row.decision_id,
        other_ids=tuple(one for one, _ in row.others),
        customer_id=row.customer_id,
        verb=row.verb,
        reason=AccessDeniedReason(row.reason),
        resource_ids=row.resource_ids,
        dimensions=dimensions_of(row.dimensions),
        event_name=row.event_name,
        times=row.times,
        first_at=to_datetime(row.first_at_us),
        last_at=to_datetime(row.last_at_us),
        decision=from_kept(row.decision, row.decision_id, row.first_at_us),
    )


def _explain_denial(reader: Reader, row: DenialRow, id_: str) -> DenialExplained:
    at_us = dict([(row.decision_id, row.first_at_us), *row.others])[id_]
    decision = from_kept(row.decision, id_, at_us)
    filled: tuple[Spender, ...] = ()
    last: tuple[BookedEvent, ...] = ()
    lifts: tuple[Lift, ...] = ()
    binding = decision.binding
    customers = [] if row.customer_id is None else reader.customers([row.customer_id])
    if binding is not None and customers:
        resource = 0
        if not binding.is_pool:
            lineage = reader.lineage(customers[0].id, [binding.resource_id])
            resource = lineage[-1].id if lineage else -1
        filling = Filling(reader, customers[0], resource, binding, at_us)
        filled, last = filling.spenders(), filling.last_events()
        lifts = tuple(_lifts(reader, customers[0], resource, binding, decision))
    return DenialExplained(
        denial=_denial(row), decision=decision, filled_by=filled, last_events=last, lifts=lifts
    )


def _lifts(
    reader: Reader, customer: CustomerRow, resource: int, limit: LimitState, decision: Decision
) -> Iterator[Lift]:
    """Overrides of the limit that were in force then, or came later."""
    if resource <= 0:
        return
    currency = next(row for row in reader.currencies() if row.currency_id == limit.credit_currency)
    for row in reader.overrides(customer.id, [resource]):
        since_us = row.put_at_us if row.effective_at_us is None else row.effective_at_us
        fits = row.currency == currency.id and row.cadence in (None, limit.cadence)
        if fits and row.scope == scope_of(limit) and row.expires_at_us > decision.at_us:
            yield Lift(
                limit=_amount(row.limit_units, currency.decimals),
                add=_amount(row.add_units, currency.decimals),
                since=to_datetime(FIRST_US if since_us is None else since_us),
                until=to_datetime(row.expires_at_us),
                reason=row.reason,
                actor=row.actor,
            )


def _amount(units: int | None, decimals: int) -> int | Decimal | None:
    return None if units is None else to_amount(units, decimals)


def _read_reason(reason: AccessDeniedReason | str) -> str:
    try:
        return AccessDeniedReason(reason).value
    except ValueError:
        names = ", ".join(AccessDeniedReason)
        raise InvalidRequest(where="reason", value=reason, expected=f"one of {names}") from None
