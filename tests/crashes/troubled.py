"""A worker that can be brought into trouble: what worker.py does, and what befalls it.

Run as a module: PATH. Here: stopping inside a transaction, a disk that is full for this process alone, a
clock that is moved, a reader that stays. Not here: what must hold then (test_stuck.py, test_full.py,
test_moved_clock.py, test_replaced.py, test_beside_writers.py, test_one_key.py).
"""

import math
import os
import signal
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

from stiggctl import AccessDenied, LedgerUnavailable, UsageControl
from stiggctl.holder import keeper, recalling
from stiggctl.ledger.sqlite import checkpoints
from stiggctl.testing import ManualClock

from .worker import ASK, Worker, serve

#: Where the clock of each begins: a noon, so that a window of a day turns half a day from there.
NOON = datetime(2026, 1, 15, 12, tzinfo=UTC)


class Troubled(Worker):
    """What one process can be told, and what can be done to it."""

    def __init__(self, path: str) -> None:
        self._path, self._clock = path, ManualClock(NOON)
        super().__init__(path, clock=self._clock)
        self._reading: Any = None

    @property
    def _connections(self) -> Any:
        return self.control._holder.ledger._connections

    # ---------------------------------------------------------------- what befalls it

    def wait_at_most(self, seconds: float) -> None:
        """For SQLite's write lock."""
        self._connections._patience_seconds = seconds

    def stop_at(self, statement: int) -> None:
        """Stop this process inside its next transaction: before that statement of it; 0: before COMMIT."""
        writing, inside = self._connections._writing, [-1]

        def count(said: str) -> None:
            if said.startswith("BEGIN"):
                inside[0] = 0
            elif inside[0] >= 0:
                inside[0] += 1
                if inside[0] == statement or (not statement and said == "COMMIT"):
                    writing.set_trace_callback(None)
                    os.kill(os.getpid(), signal.SIGSTOP)

        writing.set_trace_callback(count)

    def room_for(self, pages: int) -> Any:
        """So many pages more may this process add to the file; the others as many as they like."""
        writing = self._connections._writing
        (has,) = writing.execute("PRAGMA page_count").fetchone()
        return writing.execute(f"PRAGMA max_page_count = {has + pages if pages >= 0 else 2**31}").fetchone()

    def set_clock(self, hours: float) -> None:
        """So many hours after noon."""
        self._clock.set(NOON + timedelta(hours=hours))

    def follow_the_system(self) -> None:
        """Its clock is the system's from here on."""
        self.control.close()
        self.control = UsageControl(self._path)

    def reopen(self) -> None:
        """As who is told that its file was replaced is told to."""
        self.control.close()
        self.control, self.held = UsageControl(self._path, clock=self._clock), []

    def move_log_often(self) -> None:
        """As after hours of work, in a moment."""
        keeper.BEAT_SECONDS, keeper.LOG_BYTES_MAX, checkpoints._FULL_BYTES = 0.05, 300_000, 600_000

    # ---------------------------------------------------------------- what it does

    def report_all(self, name: str, first: int, last: int, chars: int = 0) -> Any:
        """Report under the keys NAME-FIRST to NAME-LAST; how many came back, and what stopped it."""
        for at in range(first, last):
            try:
                self.control.report(
                    customer_id="c", **ASK, amount=1, idempotency_key=f"{name}-{at}",
                    dimensions={"said": "x" * chars},
                )  # fmt: skip
            except LedgerUnavailable as trouble:
                return [at - first, str(trouble)]
        return [last - first, None]

    def consume_all(self, amount: int, most: int) -> Any:
        """Consume until it is denied for good, or so often; how much was admitted."""
        admitted = 0
        for _ in range(most):
            try:
                admitted += int(self.control.consume(**ASK, amount=amount).charged)
            except AccessDenied as denied:
                if denied.decision.access_denied_reason != "SHARE_UNAVAILABLE":
                    break
        return admitted

    def consume_key(self, key: str, amount: int) -> Any:
        receipt = self.control.consume(**ASK, amount=amount, idempotency_key=key)
        return [receipt.event_id, receipt.duplicate]

    def report_as(self, key: str, amount: int) -> Any:
        receipt = self.control.report(customer_id="c", **ASK, amount=amount, idempotency_key=key)
        return [receipt.event_id, receipt.duplicate]

    def lock_name(self) -> Any:
        """Of the file by which others see that it lives."""
        return self.control._holder._presence._lock_path.name

    def reserve_key(self, key: str, amount: int) -> Any:
        self.held.append(self.control.reserve(**ASK, amount=amount, idempotency_key=key))
        return self.held[-1].amount

    def extend(self, amount: int) -> Any:
        self.held[-1].extend(amount)
        return self.held[-1].amount

    def apply_limits(self, limit: int, name: str) -> None:
        """One model, of which each part tells whose it is."""
        self.control.apply(
            {
                "resources": [
                    {"id": "team", "resourceTypeId": "team", "customerId": "c", "name": name},
                    {"id": "user", "resourceTypeId": "user", "parentResourceId": "team", "name": name},
                ],
                "allocations": [
                    {"resourceId": "team", "creditCurrency": "ai-tokens", "limit": limit},
                    {"resourceId": "user", "creditCurrency": "ai-tokens", "limit": limit * 10},
                ],
            }
        )

    def begin_reading(self) -> Any:
        """The first of all events; the reader stays where it is."""
        self._reading = self.control.events("c")
        return next(self._reading).idempotency_key

    def end_reading(self) -> Any:
        """The rest of them; how many."""
        return sum(1 for _ in self._reading)

    def events(self) -> Any:
        return sum(1 for _ in self.control.events())

    def used(self) -> Any:
        return self.control.tree("team", "ai-tokens").used


if __name__ == "__main__":
    recalling.REST_SECONDS = math.inf  # what is to spare stays, however long trouble takes
    serve(Troubled(sys.argv[1]))
