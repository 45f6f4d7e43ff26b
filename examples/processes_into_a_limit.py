"""Workers on one ledger run into a limit together: four processes of four threads, and one of them is killed.

Each opens the same file, as gunicorn's or Celery's workers do, and spends one credit after the other until
that is denied. One is killed in the middle of it, with credits set aside. The others go on at once: what the
dead one had booked is there, and what it held is withheld until those calls would have ended. Together they
never pass the limit; and in the end all of it is spent, to the last credit.

Run it: python examples/processes_into_a_limit.py. It prints:

    4 processes of 4 threads, 2000 credits; one is killed
    1980 are used, 20 are held by the dead one: 2000 of 2000
    ten minutes later: 0 are held, and 20 more were admitted
    2000 events are in the ledger, for 2000 credits; differences: []
"""

import multiprocessing
import os
import signal
import tempfile
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from stiggctl import AccessDenied, AccessDeniedReason, UsageControl
from stiggctl.testing import ManualClock

MODEL = {
    "resourceTypes": [{"id": "feature"}],
    "resources": [{"id": "chat", "resourceTypeId": "feature", "customerId": "cust-nordwind"}],
    "allocations": [{"resourceId": "chat", "creditCurrency": "ai-tokens", "limit": 2000}],
}
ASK: dict[str, Any] = {"resource_ids": ["chat"], "credit_currency": "ai-tokens"}
PROCESSES, THREADS, HELD = 4, 4, 20


def spend(control: UsageControl) -> None:
    """One credit after the other, until there are no more."""
    while True:
        try:
            control.consume(**ASK, amount=1)
        except AccessDenied as denied:
            # Another process may have what lacks, and did not answer in time: the same call again.
            if denied.decision.access_denied_reason is not AccessDeniedReason.SHARE_UNAVAILABLE:
                return


def worker(path: str) -> None:
    """What each process does."""
    with UsageControl(path) as control, ThreadPoolExecutor(THREADS) as pool:
        for spent in [pool.submit(spend, control) for _ in range(THREADS)]:
            spent.result()


def victim(path: str) -> None:
    """One that is killed while it holds something."""
    control = UsageControl(path)
    control.reserve(**ASK, amount=HELD, ttl_seconds=600)
    os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    """All at once."""
    print(f"{PROCESSES} processes of {THREADS} threads, 2000 credits; one is killed")
    starting = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as room:
        path = str(Path(room) / "usage.db")
        with UsageControl(path) as control:
            control.apply(MODEL)
        killed = starting.Process(target=victim, args=(path,))
        killed.start()
        killed.join()
        workers = [starting.Process(target=worker, args=(path,)) for _ in range(PROCESSES - 1)]
        for one in workers:
            one.start()
        worker(path)
        for one in workers:
            one.join()
        tell(path)


def tell(path: str) -> None:
    """What it came to; and what it comes to when the last hold is over."""
    with UsageControl(path) as control:
        node = control.tree("chat", "ai-tokens")
        both = node.used + node.held
        print(f"{node.used} are used, {node.held} are held by the dead one: {both} of {node.limit}")
    later = ManualClock(datetime.now(UTC) + timedelta(minutes=10))
    with UsageControl(path, clock=later) as control:
        spend(control)
        then = control.tree("chat", "ai-tokens")
        print(f"ten minutes later: {then.held} are held, and {then.used - node.used} more were admitted")
        events = list(control.events())
        booked = sum(event.amounts["ai-tokens"] for event in events)
        print(
            f"{len(events)} events are in the ledger, for {booked} credits; differences: {control.verify()}"
        )


if __name__ == "__main__":
    main()
