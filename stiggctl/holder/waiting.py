"""Waiting: who waits for an order or a wish, and how each is woken.

Here: an entry of the queue, for a thread or an event loop. Not here: who serves it (exchange.py).

  WK1  To be woken means nothing: who wakes looks whether there is a reason. So anybody may wake
      anybody, twice, late, or to make sure.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from threading import Lock, get_ident
from typing import Protocol

from stiggctl.holder.orders import Order
from stiggctl.holder.wishes import Wish

#: How often who sleeps looks whether it can still be woken (LK1): it is in the way of its own thread for
#: so long. Ten times as often would wake many for nothing while a commit takes its time.
LOOK_SECONDS = 0.25


class Sleeper(Protocol):
    """Who can be woken, to see that something is done, or to lead."""

    thread: int  #: on which it sleeps or leads; 0: on none in particular
    gone: bool  #: the lead is not for it any more

    def up(self) -> None:
        """Wake it."""
        ...


class Wake:
    """What one thread sleeps on."""

    __slots__ = ("_lock", "gone", "thread")

    def __init__(self) -> None:
        self._lock = Lock()
        self._lock.acquire()
        self.gone = False  #: it waits for nothing any more, and does not lead: an interrupt, perhaps
        self.thread = get_ident()

    def sleep(self) -> bool:
        """Wait for a call of `up`, one that came before included; False: none came for a while (WK1)."""
        return self._lock.acquire(timeout=LOOK_SECONDS)

    def up(self) -> None:
        """Wake the sleeper, or keep it from falling asleep."""
        if self._lock.locked():
            try:  # noqa: SIM105 - `suppress` takes longer than all else here
                self._lock.release()
            except RuntimeError:  # somebody else did, just now
                pass


class Entry:
    """One order or wish in the queue, and who waits for it."""

    __slots__ = ("done", "error", "follows", "future", "loop", "then", "wake", "work")

    def __init__(
        self,
        work: Order | Wish,
        wake: Sleeper,
        *,
        loop: asyncio.AbstractEventLoop | None = None,
        follows: bool = False,
        then: Callable[[], None] | None = None,
    ) -> None:
        self.work = work
        self.wake = wake  #: who leads when it comes to this entry
        self.done = False
        self.error: BaseException | None = None
        self.loop = loop
        self.future: asyncio.Future[None] | None = None if loop is None else loop.create_future()
        #: of entries that one thread queues together only the last is waited for
        self.follows = follows
        self.then = then  #: what is to be done once its outcome is known, whoever waits for it still


def tell(entries: Sequence[Entry]) -> None:
    """Wake everyone whose outcome is known; those of an event loop in one call each loop."""
    of_loops: list[Entry] = []
    for entry in entries:
        entry.done = True
        if entry.then is not None:
            entry.then()
        if entry.loop is not None:
            of_loops.append(entry)
        elif not entry.follows:
            entry.wake.up()
    if of_loops:
        _tell_loops(of_loops)


def _tell_loops(entries: Sequence[Entry]) -> None:
    loops: dict[asyncio.AbstractEventLoop, list[Entry]] = {}
    for entry in entries:
        assert entry.loop is not None  # else a thread waits
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
