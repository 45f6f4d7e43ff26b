"""Explanation: why a request was denied, and what an event cost, as people read it.

Here: the records and their sentences. Not here: which rows they are made of (control/explaining.py), what
differs between two (difference.py), the numbers of a decision (answers/).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from stiggctl.amounts import plain
from stiggctl.answers import AccessDeniedReason, Decision, LimitState
from stiggctl.answers.json_form import camel, json_value
from stiggctl.events import DimensionValue
from stiggctl.reports.events import BookedEvent
from stiggctl.windows import to_text, to_us


class Denial(NamedTuple):
    """A denial that was kept; or several of one request, with the same numbers, soon after each other."""

    decision_id: str  #: of the first
    other_ids: tuple[str, ...]  #: of the others, up to a hundred
    customer_id: str | None  #: None: nobody knows whose
    verb: str  #: what was called: "check", "reserve", "consume" or "extend"
    reason: AccessDeniedReason
    resource_ids: tuple[str, ...]  #: those that were named
    dimensions: dict[str, DimensionValue]
    event_name: str | None
    times: int
    first_at: datetime
    last_at: datetime
    decision: Decision  #: the first, with its numbers

    def as_dict(self) -> dict[str, Any]:
        """The camelCase JSON of it."""
        values = {name: value for name, value in self._asdict().items() if name != "decision"}
        shown = {camel(name): json_value(value) for name, value in values.items()}
        return {**shown, "decision": self.decision.as_dict()}

    def __str__(self) -> str:
        times = "" if self.times == 1 else f" {self.times} times, until {_text(self.last_at)}"
        whom = ", ".join(self.resource_ids) or self.customer_id or "nobody"
        return f"{self.verb} for {whom} was denied at {_text(self.first_at)}{times}: {self.decision}"


class Spender(NamedTuple):
    """How much of a limit somebody had spent."""

    resource_ids: tuple[str, ...]  #: what was named, without what is above
    amount: int | Decimal
    events: int

    def as_dict(self) -> dict[str, Any]:
        """The camelCase JSON of it."""
        return {camel(name): json_value(value) for name, value in self._asdict().items()}


class Lift(NamedTuple):
    """An override of the binding limit, in force then or later."""

    limit: int | Decimal | None  #: to what it was set
    add: int | Decimal | None  #: or by how much it was raised
    since: datetime
    until: datetime
    reason: str | None
    actor: str | None

    def as_dict(self) -> dict[str, Any]:
        """The camelCase JSON of it."""
        return {camel(name): json_value(value) for name, value in self._asdict().items()}

    def __str__(self) -> str:
        what = (
            f"set to {plain(self.limit)}" if self.limit is not None else f"raised by {plain(self.add or 0)}"
        )
        by = "" if self.actor is None else f" by {self.actor}"
        why = "" if self.reason is None else f": {self.reason}"
        return f"{what} from {_text(self.since)} until {_text(self.until)}{by}{why}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DenialExplained:
    """Why one request was denied, with every number of its moment."""

    denial: Denial
    decision: Decision  #: the one that was asked for: its id, its instant, its numbers
    filled_by: tuple[Spender, ...]  #: of the binding limit, in its window, until then: the largest first
    last_events: tuple[BookedEvent, ...]  #: the last that it had counted by then, the newest first
    lifts: tuple[Lift, ...]
    difference: tuple[str, ...] | None = None  #: from what it was compared with; None: from nothing

    @property
    def would_pass(self) -> tuple[str, ...]:
        """The ways in which it would have passed: with less, later, or with more on what denied."""
        return tuple(self._ways())

    def _ways(self) -> Iterator[str]:
        decision = self.decision
        if decision.remaining and decision.binding is not None:
            of = f" {decision.binding.credit_currency}" if len(decision.requested) > 1 else ""
            yield f"with at most {plain(decision.remaining)}{of}"
        if decision.remedy is not None and decision.remedy.kind == "RETRY" and decision.limits:
            yield "once what was held by calls under way was settled or released"
        if decision.retry_at is not None:
            yield f"from {_text(decision.retry_at)} on, with nothing more spent"
        if self.denial.reason not in ("BUDGET_EXCEEDED", "INSUFFICIENT_CREDITS"):
            return
        denying = [one for one in decision.limits if not one.allowed and one.enforcement_type == "HARD"]
        more = [
            f"{plain(decision.requested[one.credit_currency] - _room(one))} more on {_whose(one)}"
            for one in denying
        ]
        if more:
            yield f"with {' and '.join(more)}"

    def as_dict(self) -> dict[str, Any]:
        """The camelCase JSON of it."""
        return {
            "denial": self.denial.as_dict(),
            "decision": self.decision.as_dict(),
            "wouldPass": list(self.would_pass),
            "filledBy": [one.as_dict() for one in self.filled_by],
            "lastEvents": [one.as_dict() for one in self.last_events],
            "lifts": [one.as_dict() for one in self.lifts],
            "difference": None if self.difference is None else list(self.difference),
        }

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield str(self.denial)
        decision = self.decision
        for limit in decision.limits:
            yield f"limit: {limit}"
        for way in self.would_pass:
            yield f"it would have passed {way}"
        for lift in self.lifts:
            yield f"override: {lift}"
        for one in self.filled_by:
            events = "event" if one.events == 1 else "events"
            yield f"spent by {', '.join(one.resource_ids)}: {plain(one.amount)} ({one.events} {events})"
        for event in self.last_events:
            charged = ", ".join(event.resource_ids)
            yield f"{_event(event)}: {amounts_text(event.amounts)}, charged to {charged}"
        for difference in self.difference or ():
            yield f"differs: {difference}"


class Charged(NamedTuple):
    """What one currency of an event cost, and why."""

    credit_currency: str
    amount: int | Decimal
    why: str  #: "told by its caller", the rate, or the price


class PaidBy(NamedTuple):
    """What a grant paid of an event; less than 0: what came back to it."""

    grant_id: str
    credit_currency: str
    amount: int | Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class EventExplained:
    """What a booked event cost, by which rate or price, in which limits, and who paid."""

    event: BookedEvent
    charged: tuple[Charged, ...]
    limits: tuple[LimitState, ...]  #: that count it, in its window, as they stand now
    paid_by: tuple[PaidBy, ...]
    adjustments: tuple[BookedEvent, ...]  #: what other prices made of it since
    reversed_by: str | None  #: the event that took it back

    def as_dict(self) -> dict[str, Any]:
        """The camelCase JSON of it."""
        return {
            "event": self.event.as_dict(),
            "charged": [_dict_of(one) for one in self.charged],
            "limits": [one.as_dict() for one in self.limits],
            "paidBy": [_dict_of(one) for one in self.paid_by],
            "adjustments": [one.as_dict() for one in self.adjustments],
            "reversedBy": self.reversed_by,
        }

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        event = self.event
        yield f"{_event(event)}, charged to {', '.join(event.resource_ids) or event.customer_id}"
        for one in self.charged:
            yield f"{plain(one.amount)} {one.credit_currency}: {one.why}"
        for limit in self.limits:
            yield f"counts in: {limit}"
        for paid in self.paid_by:
            yield f"paid by grant {paid.grant_id}: {plain(paid.amount)} {paid.credit_currency}"
        for other in self.adjustments:
            yield f"adjusted by event {other.event_id}: {amounts_text(other.amounts)}"
        if self.reversed_by is not None:
            yield f"taken back by event {self.reversed_by}"


def _room(limit: LimitState) -> int | Decimal:
    """What is left; below 0 where it is passed."""
    return limit.limit - limit.used - limit.held


def _whose(limit: LimitState) -> str:
    return f"the pool of {limit.resource_id}" if limit.is_pool else limit.resource_id


def _event(event: BookedEvent) -> str:
    name = "" if event.event_name is None else f" {event.event_name}"
    return f"event {event.event_id}{name} at {_text(event.occurred_at)}"


def amounts_text(amounts: Mapping[str, int | Decimal]) -> str:
    """What was asked for, or booked, by currency."""
    return ", ".join(f"{plain(amount)} {name}" for name, amount in sorted(amounts.items()))


def _dict_of(one: Charged | PaidBy) -> dict[str, Any]:
    return {camel(name): json_value(value) for name, value in one._asdict().items()}


def _text(at: datetime) -> str:
    return to_text(to_us(at, "at"))
