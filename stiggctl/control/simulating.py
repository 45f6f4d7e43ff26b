"""Simulating: what another model would have made of what took place.

Here: what is replayed, in which order, and what a window had spent before. Not here: the limits that are
asked (holder/replaying.py), what came of it (reports/simulation.py).

What always holds:
  SM1  Events are replayed by their instants, then in ledger order, and after those of an instant what was
       denied at it; what is denied spends nothing.
  SM2  Of an event that was reversed or adjusted the rest follows it, if it was admitted.
  SM3  Nothing is written, and no more events are in memory than are read together.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from datetime import datetime
from heapq import merge
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from stiggctl.answers import AccessDeniedReason
from stiggctl.control.before import spent_before
from stiggctl.definitions import Progress, Telling, UsageModel, draft_of
from stiggctl.errors import CustomerNotFound, InvalidRequest
from stiggctl.events import dimensions_of
from stiggctl.holder import Holder, models
from stiggctl.holder.replaying import Replay, Spending
from stiggctl.ledger import Ledger, Reader
from stiggctl.ledger.keys import adjusted_by
from stiggctl.ledger.opening import MEMORY, open_ledger
from stiggctl.ledger.records import Apart, CurrencyRow, CustomerRow, EventRow, SumsWanted
from stiggctl.reports.simulation import Simulation, Tally
from stiggctl.windows import END_US, FIRST_US, to_us

#: What is read together: in one go other threads wait for some ten milliseconds (a reader's lock is held).
EVENTS_AT_A_TIME = 2_048
_SPENDING = ("reserve", "consume")
_BY_LIMITS = (AccessDeniedReason.BUDGET_EXCEEDED.value, AccessDeniedReason.INSUFFICIENT_CREDITS.value)
#: Combinations of resources that are remembered; a million users would else all stay in memory.
PATHS_MAX = 100_000

_PAST = "events that were reported past a limit: no model admits what nobody asks"
_OTHER_DENIALS = "denials of a check or an extension, or for another reason than a limit"
_DROPPED = "denials that are not kept"
_UNKNOWN = "events name resources that the model does not have; those limited nothing"


class Simulating:
    """The part of a control that asks what would have been."""

    _holder: Holder

    def simulate(
        self,
        model: Mapping[str, Any] | str | Path | UsageModel,
        *,
        since: str | datetime | None = None,
        until: str | datetime | None = None,
        customer_id: str | None = None,
        progress: Callable[[Progress], object] | None = None,
    ) -> Simulation:
        """What another model would have made of booked usage: who would have been denied, when, by what.

        Each event is asked again, by its instant and then in ledger order, of the limits, overrides and
        grants of a whole model, as a `consume` of what was booked. One that is denied spends nothing.
        What was spent before `since` in a window that lasts still is as the ledger has it. Nothing is
        written. To see what one change would have done, simulate the present model with it:
        `control.export_model()`, changed.

        Denials that are kept of reserve and consume are asked again, too: what the model would have
        admitted of them is `newly_admitted`, and spends in the replay. A replay does not know what was
        held for a while and set free, nor that who was denied might have asked for less; what it cannot
        replay it counts (`not_replayed`).

        Args:
            model: as `apply` takes it; whole: what it does not name limits nothing.
            since, until: of the events' instants; `since` included, `until` not.
            customer_id: only this customer; left out: all.
            progress: called in this thread with a Progress, of events that were replayed.

        Raises InvalidModel, CustomerNotFound, InvalidTimestamp; InvalidRequest where the model has a
        currency with other decimals than the ledger has.

        >>> control = getfixture("acme")  # user-01 may spend 200 ai-tokens
        >>> for _ in range(4):
        ...     _ = control.consume(resource_ids=["user-01"], credit_currency="ai-tokens", amount=45)
        >>> model = control.export_model().model_dump(by_alias=True)
        >>> model["allocations"] = [{**one, "limit": 100} for one in model["allocations"]]
        >>> found = control.simulate(model)
        >>> found.events, found.admitted, found.denied, found.denied_amounts
        (4, 2, 2, {'ai-tokens': 90})
        """
        holder = self._holder
        holder.require_open()
        since_us = None if since is None else to_us(since, "since")
        until_us = END_US if until is None else to_us(until, "until")
        draft = draft_of(model)
        with closing(open_ledger(MEMORY)) as scratch:
            put_at_us = FIRST_US if since_us is None else since_us
            with scratch.reader() as empty:
                change, _ = models.plan(draft, empty, prune=False, at_us=put_at_us, actor=None, reason=None)
            scratch.change_model(change)
            with holder.ledger.reader() as reader:
                customers = reader.customers(None if customer_id is None else [customer_id])
                currencies = {row.id: row for row in reader.currencies()}
                last, dropped = reader.last_event(), reader.denials_dropped()
                telling = _begin(reader, customers, since_us, until_us, progress)
            if customer_id is not None and not customers:
                raise CustomerNotFound(customer_id=customer_id)
            with scratch.reader() as reading:
                of_model = {row.currency_id: row for row in reading.currencies()}
                _refuse_other_decimals(currencies.values(), of_model)
                tally = Tally({row.currency_id: row.decimals for row in currencies.values()})
                if dropped:
                    tally.leave_out(_DROPPED, dropped)
                replays = {}
                for customer in customers:
                    there = reading.customers([customer.customer_id])
                    replays[customer.id] = _OfCustomer(
                        holder.ledger, reading, customer, there, currencies, of_model, since_us
                    )
                steps = chain.from_iterable(
                    _steps(
                        _events(holder, customer, since_us, until_us, last),
                        _denials(holder, customer, since_us, until_us, tally),
                    )
                    for customer in customers
                )
                for step in telling.each(steps):
                    if isinstance(step, _Denied):
                        replays[step.customer].ask_again(step, tally)
                    else:
                        replays[step.customer].replay(step, tally)
                telling.end(telling.total or tally.events)
        return tally.simulation(since_us, None if until is None else until_us)


def _events(
    holder: Holder, customer: CustomerRow, since_us: int | None, until_us: int, last: int
) -> Iterator[EventRow]:
    """Those of a customer up to an event, by their instants (SM1); a snapshot for each stretch."""
    from_us, after = FIRST_US if since_us is None else since_us, 0
    while True:
        holder.require_open()
        with holder.ledger.reader() as reader:
            events = reader.events_in_order(
                customer.id,
                event_name=None,
                since_us=from_us,
                after=after,
                until_us=until_us,
                last=last,
                most=EVENTS_AT_A_TIME,
            )
        yield from events
        if len(events) < EVENTS_AT_A_TIME:
            return
        from_us, after = events[-1].occurred_at_us, events[-1].id


class _Denied(NamedTuple):
    """A request that was denied."""

    customer: int
    at_us: int
    ids: tuple[str, ...]
    units: tuple[tuple[str, int], ...]
    dimensions: str


def _steps(
    events: "Iterator[EventRow | _Denied]", denials: "Iterator[EventRow | _Denied]"
) -> "Iterator[EventRow | _Denied]":
    """Both, by their instants (SM1)."""
    return merge(events, denials, key=_instant_of)


def _instant_of(step: EventRow | _Denied) -> tuple[int, bool]:
    return (step.at_us, True) if isinstance(step, _Denied) else (step.occurred_at_us, False)


def _denials(
    holder: Holder, customer: CustomerRow, since_us: int | None, until_us: int, tally: Tally
) -> Iterator[_Denied]:
    """What a customer was denied by limits, by instants: there are no more than are kept."""
    found: list[_Denied] = []
    holder.denials.beat()
    with holder.ledger.reader() as reader:
        for row in reader.denials(customer.id, since_us=since_us, until_us=until_us):
            if row.verb not in _SPENDING or row.reason not in _BY_LIMITS:
                tally.leave_out(_OTHER_DENIALS, row.times)
                continue
            units = tuple((name, number) for name, _, number in json.loads(row.decision)["asked"])
            instants = [row.first_at_us, *(at_us for _, at_us in row.others)]
            instants += [row.last_at_us] * (row.times - len(instants))
            found += [
                _Denied(customer.id, at_us, row.resource_ids, units, row.dimensions)
                for at_us in instants
                if (since_us is None or at_us >= since_us) and at_us < until_us
            ]
    found.reverse()  # at one instant the oldest first, too
    found.sort(key=lambda one: one.at_us)
    return iter(found)


class _OfCustomer:
    """The replay of one customer."""

    def __init__(
        self,
        ledger: Ledger,
        model: Reader,
        customer: CustomerRow,
        in_model: list[CustomerRow],
        currencies: Mapping[int, CurrencyRow],
        of_model: Mapping[str, CurrencyRow],
        since_us: int | None,
    ) -> None:
        self._ledger = ledger
        self._customer = customer
        self._currencies = {row.id: row.currency_id for row in currencies.values()}
        self._of_model = of_model
        self._replay: Replay | None = None
        if in_model:
            before = spent_before(ledger, model, customer, in_model[0], currencies, of_model, since_us)
            self._replay = Replay(model, in_model[0], of_model, before)
        self._ids: dict[tuple[int, ...], tuple[tuple[str, ...], bool]] = {}
        self._denied: set[int] = set()

    def replay(self, event: EventRow, tally: Tally) -> None:
        """Ask it again, or let it follow what it takes back or adjusts (SM2)."""
        replay = self._replay
        units = tuple(
            [
                (name, part.amount_units)
                for part in event.parts
                if (name := self._currencies[part.currency]) in self._of_model
            ]
        )
        ids, is_known = self._named(event.members)
        if event.reverses is not None or (of := adjusted_by(event)) is not None:
            first = event.reverses if event.reverses is not None else of
            if replay is not None and first not in self._denied:
                replay.book(Spending(event.occurred_at_us, ids, units, self._dimensions(event)))
            return
        tally.events += 1
        if not is_known:
            tally.leave_out(_UNKNOWN)
        booked = tuple([(self._currencies[part.currency], part.amount_units) for part in event.parts])
        denied = None
        if replay is not None and units:
            denied = replay.spend(Spending(event.occurred_at_us, ids, units, self._dimensions(event)))
        if denied is None:
            tally.admit(booked)
            return
        self._denied.add(event.id)
        if any(part.overage_units > 0 for part in event.parts):
            tally.leave_out(_PAST)
        tally.deny(self._customer.customer_id, ids, booked, denied, event.occurred_at_us, event.id)

    def ask_again(self, request: _Denied, tally: Tally) -> None:
        """Whether it would have been admitted; then it spends what it had asked for."""
        replay = self._replay
        units = tuple((name, number) for name, number in request.units if name in self._of_model)
        if replay is None or not units:
            tally.admit_denied(request.units)
            return
        ids = tuple(one for one in request.ids if replay.has(one))
        denied = replay.spend(Spending(request.at_us, ids, units, self._dimensions(request)))
        if denied is None:
            tally.admit_denied(request.units)
        else:
            tally.deny(self._customer.customer_id, ids, request.units, denied, request.at_us, None)

    def _dimensions(self, of: EventRow | _Denied) -> Mapping[str, Any]:
        if self._replay is None or not self._replay.looks_at_dimensions:
            return {}
        return dimensions_of(of.dimensions)

    def _named(self, members: tuple[int, ...]) -> tuple[tuple[str, ...], bool]:
        """The resources that an event named, as far as the model has them; whether it has all.

        Of those that it was charged to, those that are above none of the others: the model says itself
        what is above them.
        """
        found = self._ids.get(members)
        if found is None:
            if len(self._ids) >= PATHS_MAX:
                self._ids = {}
            with self._ledger.reader() as reader:
                rows = reader.resources_by_row(members)
            above = {row.parent for row in rows}
            named = [row.resource_id for row in rows if row.id not in above]
            known = [one for one in named if self._replay is not None and self._replay.has(one)]
            found = self._ids[members] = tuple(known), len(known) == len(named)
        return found


def _refuse_other_decimals(rows: Any, of_model: Mapping[str, CurrencyRow]) -> None:
    for row in rows:
        other = of_model.get(row.currency_id)
        if other is not None and other.decimals != row.decimals:
            expected = f"{row.decimals}, as the ledger has booked them"
            where = f"the decimals of {row.currency_id} in the model"
            raise InvalidRequest(where=where, value=other.decimals, expected=expected)


def _begin(
    reader: Reader,
    customers: list[CustomerRow],
    since_us: int | None,
    until_us: int,
    progress: Callable[[Progress], object] | None,
) -> Telling:
    """Who is told how far it is; of how many events, where anybody is."""
    telling = Telling(progress)
    if progress is not None:
        span = [(FIRST_US if since_us is None else since_us, until_us)]
        wanted = SumsWanted(Apart.NOTHING)
        total = sum(one.events for customer in customers for one in reader.sums(customer.id, span, wanted))
        telling.begin("replaying", total)
    return telling
