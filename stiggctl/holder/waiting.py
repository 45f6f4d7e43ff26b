"""Waiting: who waits for an order or a wish, and how each is woken.

Here: an entry of the queue, for a thread or an event loop. Not here: who serves it (exchange.py).
"""

import asyncio
import contextlib
from threading import Lock

from stiggctl.holder.orders import Order
from stiggctl.holder.wishes import Wish


class Entry:
    """One order or wish in the queue, and who waits for it."""

    __slots__ = ("done", "error", "follows", "future", "loop", "wake", "work")

    def __init__(
        self,
        work: Order | Wish,
        *,
        loop: asyncio.AbstractEventLoop | None = None,
        follows: "Entry | None" = None,
    ) -> None:
        self.work = work
        self.done = False
        self.error: BaseException | None = None
        self.loop = loop
        self.future: asyncio.Future[None] | None = None if loop is None else loop.create_future()
        #: of entries that one thread queues together only the last is waited for: the others
        #: follow it, and share what its thread sleeps on, to be woken to lead for them
        self.follows = follows is not None
        self.wake: _Wake = _Wake() if follows is None else follows.wake


class _Wake:
    """A lock to sleep on that may be released more than once."""

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = Lock()
        self._lock.acquire()

    def sleep(self) -> None:
        """Wait for a call of `up`, one that came before included."""
        self._lock.acquire()

    def up(self) -> None:
        """Wake the sleeper. Only the lead-holder calls this, so two calls never race."""
        if self._lock.locked():
            self._lock.release()


def tell(entries: list[Entry]) -> None:
    """Wake everyone whose outcome is known; those of an event loop in one call each loop."""
    loops: dict[asyncio.AbstractEventLoop, list[Entry]] = {}
    for entry in entries:
        entry.done = True
        if entry.follows:
            continue
        if entry.loop is None:
            entry.wake.up()
        else:
            loops.setdefault(entry.loop, []).append(entry)
    for loop, of_loop in loops.items():
        # A loop that was closed has nobody left who waits; what was booked is booked.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(_resolve, of_loop)


def _resolve(entries: list[Entry]) -> None:
    for entry in entries:
        future = entry.future
        if future is None or future.done():
            continue
        if entry.error is None:
            future.set_result(None)
        else:
            future.set_exception(entry.error)
