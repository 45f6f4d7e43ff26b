"""Aside: the async face's waiting halves, in threads of their own.

Here: doing work that may wait without blocking an event loop, and undoing it where nobody
waits for it any more. Not here: bookings, which never take a thread each (exchange.py).
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Generic, TypeVar

T = TypeVar("T")

#: Threads for first decisions and those near a limit. They wait for the ledger, which serves
#: them together; more would only queue elsewhere.
THREADS_MAX = 8


class Aside:
    """The threads of one holder, started when first needed."""

    def __init__(self) -> None:
        self._lock = Lock()  # guards the one below
        self._threads: ThreadPoolExecutor | None = None

    async def do(self, work: Callable[[], T], undo: Callable[[T], None] | None = None) -> T:
        """Do it in another thread; `undo` what came of it where nobody waits any more."""
        with self._lock:
            if self._threads is None:
                self._threads = ThreadPoolExecutor(THREADS_MAX, thread_name_prefix="stiggctl-aside")
        task = _Task(work, undo)
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, task)
        except asyncio.CancelledError:
            task.abandon()
            raise

    def close(self) -> None:
        """End the threads, after what they are at."""
        if self._threads is not None:
            self._threads.shutdown()


class _Task(Generic[T]):
    """Work for another thread, that somebody may stop waiting for at any moment."""

    def __init__(self, work: Callable[[], T], undo: Callable[[T], None] | None) -> None:
        self._work = work
        self._undo = undo
        self._lock = Lock()  # guards the two below: exactly one side undoes
        self._abandoned = False
        self._results: list[T] = []

    def __call__(self) -> T:
        result = self._work()
        with self._lock:
            self._results.append(result)
            abandoned = self._abandoned
        if abandoned and self._undo is not None:
            self._undo(result)
        return result

    def abandon(self) -> None:
        """Nobody waits any more."""
        with self._lock:
            self._abandoned = True
            results = list(self._results)
        for result in results:
            if self._undo is not None:
                self._undo(result)
