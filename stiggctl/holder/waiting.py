"""Waiting: who waits for an order or a wish, and how each is woken.

Here: an entry of the queue, for a thread or an event loop. Not here: who serves it (exchange.py).

  WK1  To be woken means nothing: who wakes looks whether there is a reason. So anybody may wake
      anybody, twice, late, or to make sure.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from threading import Lock
from typing import Protocol

from stiggctl.holder.orders import Order
from stiggctl.holder.wishes import Wish


class Sleeper(Protocol):
    """Who can be woken, to see that something is done, or to lead."""

    def up(self) -> None:
        """Wake it."""
        ...


class Wake:
    """What one thread sleeps on."""

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = Lock()
        self._lock.acquire()

    def sleep(self) -> None:
        """Wait for a call of `up`, one that came before included."""
        self._lock.acquire()

    def up(self) -> None:
        """Wake the sleeper, or keep it from falling asleep."""
        if self._lock.locked():
            with contextlib.suppress(RuntimeError):  # somebody else did, just now
                self._lock.release()


class Entry:
    """One order or wish in the queue, and who waits for it."""

    __slots__ = ("done", "error", "follows", "future", "loop", "wake", "work")

    def __init__(
        self,
        work: Order | Wish,
        wake: Sleeper,
        *,
        loop: asyncio.AbstractEventLoop | None = None,
        follows: bool = False,
    ) -> None:
        self.work = work
        self.wake = wake  #: who leads when it comes to this entry
        self.done = False
        self.error: BaseException | None = None
        self.loop = loop
        self.future: asyncio.Future[None] | None = None if loop is None else loop.create_future()
        #: of entries that one thread queues together only the last is waited for
        self.follows = follows


def tell(entries: Sequence[Entry]) -> None:
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
