"""Faulty: a ledger that is watched, and fails where a test wants it to.

Here: a wrapper of a real ledger; a control over it whose background thread is stopped, so that
nothing happens but what a test does. Not here: what is shown with it (the tests).
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from stiggctl import LedgerUnavailable, UsageControl
from stiggctl.ledger import Ledger, Reader
from stiggctl.ledger.records import Batch, CellKey, CellRow, LedgerState, ModelChange, Reply

Step = Callable[[], object]

MODEL: dict[str, Any] = {
    "resourceTypes": [
        {"id": "org"},
        {"id": "user", "parentResourceTypeId": "org", "attributionKeys": ["user_id"]},
        {"id": "region"},
    ],
    "resources": [
        {"id": "org", "resourceTypeId": "org", "customerId": "acme"},
        {"id": "ann", "resourceTypeId": "user", "parentResourceId": "org"},
        {"id": "bob", "resourceTypeId": "user", "parentResourceId": "org"},
        {"id": "emea", "resourceTypeId": "region", "customerId": "acme"},
    ],
    "allocations": [
        {"resourceId": "org", "creditCurrency": "t", "limit": 1_000},
        {"resourceId": "ann", "creditCurrency": "t", "limit": 100},
        {"resourceId": "emea", "creditCurrency": "t", "limit": 50, "enforcementType": "SOFT"},
    ],
}
ANN: dict[str, Any] = {"resource_ids": ["ann"], "credit_currency": "t"}
BOB: dict[str, Any] = {"resource_ids": ["bob"], "credit_currency": "t"}


def gone(reason: str = "the disk is gone") -> LedgerUnavailable:
    """What a ledger raises that cannot be reached."""
    return LedgerUnavailable(location="usage.db", reason=reason, remedy="try again")


class Faulty:
    """Passes everything on; before or after what it was told to, it takes the next step."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.calls: list[str] = []  # each verb that was said, in order
        self.batches: list[Batch] = []
        #: for each exchange to come: what happens before it, and after its commit
        self.before: deque[Step | BaseException | None] = deque()
        self.after: deque[Step | BaseException | None] = deque()
        self.after_change: deque[Step | BaseException | None] = deque()
        self.reading: BaseException | None = None  # what every reader raises
        self.opening: Step | BaseException | None = None  # before every opening of cells
        self.watch: Callable[[str], object] = lambda _: None  # at each verb

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)

    def _said(self, verb: str) -> None:
        self.calls.append(verb)
        self.watch(verb)

    def reader(self) -> Reader:
        self._said("reader")
        _take(self.reading)
        return self._ledger.reader()

    def exchange(self, batch: Batch) -> Reply:
        self._said("exchange")
        self.batches.append(batch)
        _take(self.before.popleft() if self.before else None)
        reply = self._ledger.exchange(batch)
        _take(self.after.popleft() if self.after else None)
        return reply

    def open_cells(self, keys: Any, change: int, holder: int) -> dict[CellKey, CellRow]:
        self._said("open_cells")
        _take(self.opening)
        return self._ledger.open_cells(keys, change, holder)

    def change_model(self, change: ModelChange) -> LedgerState:
        self._said("change_model")
        state = self._ledger.change_model(change)
        _take(self.after_change.popleft() if self.after_change else None)
        return state


def _take(step: Step | BaseException | None) -> None:
    if isinstance(step, BaseException):
        raise step
    if step is not None:
        step()


def make_faulty(control: UsageControl) -> Faulty:
    """Put a faulty ledger between a control and its own, with nothing running in the background."""
    holder = control._holder
    holder.become_holder()
    holder.keeper.stop()
    faulty = Faulty(holder.ledger)
    holder.ledger = faulty
    return faulty


def numbers(control: UsageControl, *resource_ids: str) -> dict[str, tuple[Any, Any]]:
    """(used, held) of each limit, as memory and ledger say together."""
    decision = control.check(resource_ids=list(resource_ids), credit_currency="t", requested_usage=0)
    return {limit.resource_id: (limit.used, limit.held) for limit in decision.limits}


def memory(control: UsageControl, resource_id: str) -> tuple[int, int, int]:
    """(spare, used, allotted) of its limit, without asking anybody."""
    stripe = control._holder.stripes["acme"]
    at = stripe.strands["t"].leaves[resource_id] + 2
    spare, used, allotted = stripe.numbers[at : at + 3]
    return spare, used, allotted


def charges(control: UsageControl) -> list[Any]:
    """What each event of the ledger charged."""
    return [event.amounts["t"] for event in control.events()]


def soon(what: Callable[[], object], seconds: float = 20.0) -> None:
    """Wait until it is so."""
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it never came to be"
        time.sleep(0.001)


class Calls:
    """Calls under way, each in a thread of its own."""

    def __init__(self, *calls: Callable[[], object]) -> None:
        self.results: list[object] = [None] * len(calls)
        self._threads = [
            threading.Thread(target=self._run, args=(at, call), daemon=True) for at, call in enumerate(calls)
        ]
        for thread in self._threads:
            thread.start()

    def _run(self, at: int, call: Callable[[], object]) -> None:
        try:
            self.results[at] = call()
        except BaseException as error:  # noqa: BLE001 - handed to the test, which judges it
            self.results[at] = error

    def done(self, seconds: float = 30.0) -> list[object]:
        """What each returned or raised."""
        for thread in self._threads:
            thread.join(seconds)
        assert not any(thread.is_alive() for thread in self._threads), "a call did not come back"
        return self.results
