"""Patience: waiting for a lock that another connection has, in our own way.

Here: short random pauses, and their bound, also for many threads. Not here: what is tried
(connections.py, schema.py).
"""

import math
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


class Line:
    """Threads that want the write lock one after the other, behind whoever has it in another process.

    Where one of them waited in vain, what those behind it waited meanwhile counts for them too: else each
    would wait as long again, and the tenth for ten times as long. What they wait for a transaction of
    their own process does not count: that moves on. Its user has a lock around all of it.
    """

    __slots__ = ("_since",)

    def __init__(self) -> None:
        self._since = math.inf  # since when nobody of the line has got the lock

    def moved_on(self) -> None:
        """One has got it."""
        self._since = math.inf

    def wait(self, attempt: Callable[[], T], seconds: float, came: float) -> T:
        """`patiently`, for one that came to stand in the line at that time (`time.monotonic`)."""
        now = time.monotonic()
        self._since = min(self._since, now)
        answer = patiently(attempt, seconds - (now - max(came, self._since)))
        self.moved_on()
        return answer


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
