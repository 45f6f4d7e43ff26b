"""Patience: waiting for a lock that another connection has, in our own way.

Here: short random pauses, and their bound. Not here: what is tried (connections.py, schema.py).
"""

import random
import sqlite3
import time
from collections.abc import Callable
from typing import TypeVar

from stiggctl.ledger.sqlite.troubles import is_locked

T = TypeVar("T")

#: A transaction of ours takes a millisecond; whoever has the lock for this long is stuck.
PATIENCE_SECONDS = 5.0
# Short and random: waiters that wake together would collide again, and SQLite's own waiting grows
# to 100 ms (measured: p99.9 of 330 ms against 26). With less than the first nobody has moved on;
# with more than the last the lock stands idle.
_PAUSE_SECONDS = (0.0001, 0.002)


def patiently(attempt: Callable[[], T], seconds: float) -> T:
    """Try until nobody else has the lock; after so many seconds raise as it is."""
    started = time.monotonic()
    longest = _PAUSE_SECONDS[0]
    while True:
        try:
            return attempt()
        except sqlite3.OperationalError as error:
            if not is_locked(error) or time.monotonic() - started >= seconds:
                raise
        longest = min(2 * longest, _PAUSE_SECONDS[1])
        time.sleep(random.uniform(_PAUSE_SECONDS[0], longest))  # noqa: S311 - not a secret
