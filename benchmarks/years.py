"""What time costs: ten years of windows that turn, and a limit that comes to a past of millions of events.

Here: seconds of a decade of hourly reports, and how long a booking waits while a limit is added. Not here:
what a decision costs (decide.py, mixed.py), what a report costs after many (flat.py).

    ten years       each day's 24 events in one `report_many`, by a clock that is moved; with a daily, a
                    monthly and a rolling day, and with one limit for ever; beside no limit at all
    usage           `usage` by model and month of all of it, after everything else; beside one GROUP BY as one
                    would write it for the occasion: without zones, for one resource, rounding as JSON does
    a limit added   `set_allocation` on a resource with so many past events, and the first check of it and
                    consume; the longest that these keep bookings out at once (they have the write lock, or
                    the lead of the exchange), beside 50 ms. Meanwhile one thread reports to a resource
                    beside it, and the longest that one of its reports took is told: what the machine does
                    to any report is in that, too. The same with one that reports to it: its bookings
                    count in the new limit from then on

The past is written as `report` writes it, but in SQL: by `report_many` it would take most of an hour.
"""

import os
import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.company import say
from benchmarks.measuring import Goal, Line, compared
from benchmarks.model import CUSTOMER, TOKENS
from stiggctl import UsageControl
from stiggctl.testing import ManualClock

DAYS, DAYS_QUICK = 3_650, 365
PAST, PAST_QUICK = 10_000_000, 300_000
#: Rows that are written in one transaction: some hundred megabytes.
ROWS = 500_000
#: A year of events, one each three seconds, that ends now: their windows are months, days, hours.
APART_US = 3_000_000
WAIT_MS = 50.0
#: About as long as it takes to add a limit to a long past: what else the machine does shows in that, too.
ALONE_SECONDS = 3.0
KEPT_OUT = Goal(at_most=1.0)
LIMIT = 10**15
START = datetime(2016, 1, 1, tzinfo=UTC)

#: What is added to a past: each of its own kind sums in its own way.
KINDS: Mapping[str, dict[str, Any]] = {
    "for ever": {},
    "monthly": {"cadence": "P1M"},
    "a rolling week": {"cadence": "P1W", "rolling": True},
    "for ever, scoped": {"scope": {"model": "gpt-5"}},
}


def run(*, quick: bool) -> list[Line]:
    """All comparisons."""
    return [*_years(DAYS_QUICK if quick else DAYS), *_adding(PAST_QUICK if quick else PAST)]


# -------------------------------------------------------------------- ten years

_WINDOWS: Mapping[str, list[dict[str, Any]]] = {
    "no limit": [],
    "one limit for ever": [{}],
    "daily, monthly, rolling day": [
        {"cadence": "P1D"},
        {"cadence": "P1M"},
        {"cadence": "P1D", "rolling": True},
    ],
}


def _years(days: int) -> Iterator[Line]:
    took: dict[str, float] = {}
    for name, limits in _WINDOWS.items():
        say(f"reporting {24 * days:,} hours, {name}")
        took[name] = _reported(days, limits)
    for name, seconds in took.items():
        what = f"{24 * days:,} hourly events, {name}"
        yield compared(what, "s", [seconds] * 2, [took["no limit"]] * 2)


def _reported(days: int, limits: list[dict[str, Any]]) -> float:
    """Seconds of all of it."""
    clock = ManualClock(START)
    with (
        tempfile.TemporaryDirectory() as directory,
        UsageControl(Path(directory, "usage.db"), clock=clock) as control,
    ):
        control.apply(_model("user"))
        for terms in limits:
            control.set_allocation(resource_id="user", credit_currency=TOKENS, limit=LIMIT, **terms)
        began = time.perf_counter()
        for day in range(days):
            midnight = START + timedelta(days=day)
            clock.set(midnight + timedelta(hours=23, minutes=59))
            events = [_event("user", f"{day}-{hour}", midnight + timedelta(hours=hour)) for hour in range(24)]
            receipts = control.report_many(events)
            assert not any(isinstance(one, Exception) for one in receipts)
        seconds = time.perf_counter() - began
        limits_now = control.check(resource_ids=["user"], credit_currency=TOKENS, requested_usage=0).limits
        assert len(limits_now) == len(limits)
        return seconds


def _model(*names: str) -> dict[str, Any]:
    return {
        "creditCurrencies": [{"id": TOKENS}],
        "resourceTypes": [{"id": "member"}],
        "resources": [{"id": name, "resourceTypeId": "member", "customerId": CUSTOMER} for name in names],
    }


def _event(resource_id: str, key: str, at: datetime | None = None) -> dict[str, Any]:
    when = {} if at is None else {"timestamp": at}
    return {
        "customerId": CUSTOMER, "eventName": "chat", "idempotencyKey": key, "dimensions": {"model": "gpt-5"},
        "creditCurrency": TOKENS, "amount": 5, "resourceIds": [resource_id], **when,
    }  # fmt: skip


# -------------------------------------------------------------------- a limit is added


def _adding(past: int) -> Iterator[Line]:
    with ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="stiggctl-benchmark-"))
        path = Path(directory, "usage.db")
        began = time.perf_counter()
        _write_past(path, past)
        say(f"{past:,} events written in {time.perf_counter() - began:.0f} s")
        control = stack.enter_context(UsageControl(path))
        yield compared(
            "nothing added: longest wait of a report", "ms", [_undisturbed(control)] * 2, [WAIT_MS] * 2
        )
        for target in ("beside", "user"):
            for name, terms in KINDS.items():
                kept_out, longest, seconds, bookings = _added(control, target, terms)
                say(f"{name}, {target}: {bookings:,} bookings in {seconds:.1f} s")
                where = "beside it" if target == "beside" else "to it"
                what = f"a limit {name} over {past:,} events"
                yield compared(
                    f"{what}: keeps out who books {where}", "ms", [kept_out] * 2, [WAIT_MS] * 2, KEPT_OUT
                )
                yield compared(
                    f"{what}: longest wait of a report {where}", "ms", [longest] * 2, [WAIT_MS] * 2
                )
        yield _summed(control, path, past)
        say("looking at all of it: verify")
        assert control.verify() == []


def _summed(control: UsageControl, path: Path, past: int) -> Line:
    say("summing all of it: usage")
    began = time.perf_counter()
    rows = control.usage(group_by="model", bucket="month")
    ours = time.perf_counter() - began
    connection = sqlite3.connect(path, isolation_level=None)
    began = time.perf_counter()
    by_hand = connection.execute(_BY_HAND).fetchall()
    hand = time.perf_counter() - began
    connection.close()
    assert sorted((row.key or "", row.amount) for row in rows) == sorted(
        (key, sum_) for key, _, sum_ in by_hand
    )
    return compared(f"usage by model and month of {past:,} events", "s", [ours] * 2, [hand] * 2)


def _undisturbed(control: UsageControl) -> float:
    """Milliseconds of the longest booking of a while in which nothing else is done."""
    with _booking(control, "beside") as waits:
        time.sleep(ALONE_SECONDS)
    return max(waits) * 1_000


def _added(control: UsageControl, target: str, terms: dict[str, Any]) -> tuple[float, float, float, int]:
    """Milliseconds for which it kept bookings out at once; of the longest meanwhile; how long, how many."""
    named: dict[str, Any] = {"resource_id": "user", "credit_currency": TOKENS, **terms}
    with _booking(control, target) as waits, _keeping_out(control) as kept_out:
        began = time.perf_counter()
        control.set_allocation(limit=LIMIT, **named)
        asked: dict[str, Any] = {"resource_ids": ["user"], "credit_currency": TOKENS, "requested_usage": 1}
        decision = control.check(**asked, dimensions={"model": "gpt-5"})
        assert len(decision.limits) == 1
        control.consume(
            resource_ids=["user"], credit_currency=TOKENS, amount=1, dimensions={"model": "gpt-5"}
        )
        seconds = time.perf_counter() - began
    control.remove_allocation(**named)
    return max(kept_out) * 1_000, max(waits) * 1_000, seconds, len(waits)


@contextmanager
def _keeping_out(control: UsageControl) -> Iterator[list[float]]:
    """How long this thread has the lead, or whoever opens cells the write lock, each time; in seconds."""
    holder: Any = control._holder  # noqa: SLF001 - nothing public tells who keeps whom out
    exchange, connections = holder.exchange, holder.ledger._connections  # noqa: SLF001 - as above
    alone, lead, transact = exchange.alone, exchange.lead, connections.transact
    mine, seconds = threading.get_ident(), list[float]()

    def note(began: float, *, whoever: bool = False) -> None:
        if whoever or threading.get_ident() == mine:
            seconds.append(time.perf_counter() - began)

    @contextmanager
    def timed_alone(**how: bool) -> Iterator[None]:
        with alone(**how):
            began = time.perf_counter()
            yield
        note(began)

    def timed_lead(sleeper: Any) -> Any:
        began = time.perf_counter()
        try:
            return lead(sleeper)
        finally:
            note(began)

    def timed_transact(work: Callable[[Any], Any]) -> Any:
        began = [time.perf_counter()]

        def within(cursor: Any) -> Any:
            began[0] = time.perf_counter()  # the lock is its from here on
            return work(cursor)

        try:
            return transact(within)
        finally:
            note(began[0], whoever=True)

    exchange.alone, exchange.lead, connections.transact = timed_alone, timed_lead, timed_transact
    try:
        yield seconds
    finally:
        exchange.alone, exchange.lead, connections.transact = alone, lead, transact


@contextmanager
def _booking(control: UsageControl, resource_id: str) -> Iterator[list[float]]:
    """A thread that reports one event after the other; what each took, in seconds."""
    waits: list[float] = []
    stop = threading.Event()
    at: Callable[[], str] = lambda: f"{time.perf_counter_ns()}"  # noqa: E731 - a key that nobody else has

    def body() -> None:
        while not stop.is_set():
            event = _event(resource_id, at())
            began = time.perf_counter()
            control.report(event)
            waits.append(time.perf_counter() - began)

    thread = threading.Thread(target=body)
    thread.start()
    time.sleep(0.2)  # it is under way
    del waits[:]
    try:
        yield waits
        time.sleep(0.1)
    finally:
        stop.set()
        thread.join()


def _write_past(path: Path, past: int) -> None:
    """One event as `report` writes it, and as many like it, each with its own key and instant."""
    with UsageControl(path) as control:
        control.apply(_model("user", "beside"))
        control.report(_event("beside", "first of beside"))
        control.report(_event("user", "first"))
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = OFF")
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("PRAGMA cache_size = -400000")
    for first in range(0, past, ROWS):
        if first % (4 * ROWS) == 0:
            say(f"writing {past:,} events: {first:,}")
        connection.execute(
            _MORE, {"first": first, "last": min(first + ROWS, past) - 1, "past": past, "apart": APART_US}
        )
    connection.execute("PRAGMA journal_mode = WAL")
    connection.close()
    with path.open("rb") as written:
        os.fsync(written.fileno())  # or the disk is busy with it while bookings are timed


_BY_HAND = """
SELECT json_extract(dimensions, '$.model'), strftime('%Y-%m', occurred_at_us / 1e6, 'unixepoch') AS month,
       sum(amount_units)
  FROM events GROUP BY 1, 2
"""

# In the order of their instants and keys, as a service writes them; half of them are of another model.
_MORE = """
WITH RECURSIVE numbers (n) AS (SELECT :first UNION ALL SELECT n + 1 FROM numbers WHERE n < :last)
INSERT INTO events (customer, namespace, key, part, currency, amount_units, overage_units, path, event_name,
                    dimensions, occurred_at_us, booked_at_us, reservation, reverses, rate, flags,
                    unattributed, fingerprint)
SELECT e.customer, e.namespace, printf('past-%010d', n), e.part, e.currency, e.amount_units, e.overage_units,
       e.path, e.event_name, iif(n % 2, e.dimensions, '{"model":"small"}'),
       e.occurred_at_us - (:past - n) * :apart, e.booked_at_us, e.reservation, e.reverses, e.rate, e.flags,
       e.unattributed, e.fingerprint
  FROM numbers CROSS JOIN (SELECT * FROM events WHERE key = 'first') AS e
"""
