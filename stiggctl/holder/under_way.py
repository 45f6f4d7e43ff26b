"""Under way: keys that a consume is at work on.

Here: who is first with a key, and how the others wait. Not here: which of two events of one key
is booked: the ledger's index decides that.
"""

import contextlib
import weakref
from collections.abc import Iterator
from threading import Lock

#: How often who waits looks whether the first is still there: it may have been interrupted before it
#: could leave, or its event loop was closed. Ten times as often would wake many for nothing.
LOOK_SECONDS = 0.05


class Turn:
    """Being first with a key. Whoever is has this; when nobody has it any more, nobody is."""

    __slots__ = ("__weakref__", "lock")

    def __init__(self) -> None:
        self.lock = Lock()  # what the others wait for
        self.lock.acquire()


_Standing = tuple["weakref.ref[Turn]", Lock]


class UnderWay:
    """Keys that a consume is at work on: a second call waits for the first.

    Only a denial needs it: of two calls of one key the second must not be told that the
    amount no longer fits because the first holds it. What is booked, the index decides.
    """

    def __init__(self) -> None:
        self._lock = Lock()  # guards that of those who wait one takes a key from nobody
        self._keys: dict[str, _Standing] = {}

    def enter(self, key: str) -> Turn | None:
        """Be first with a key; None where somebody else is."""
        turn = Turn()
        mine = (weakref.ref(turn), turn.lock)
        return turn if self._keys.setdefault(key, mine) is mine else None

    def wait(self, key: str) -> None:
        """Until whoever is first with a key, if anybody is, has left."""
        standing = self._keys.get(key)
        if standing is not None:
            self._wait(key, standing)

    def leave(self, key: str | None, turn: Turn | None) -> None:
        """Let the others go on, if it is this turn. Never waits: whoever tells an outcome calls it."""
        standing = None if key is None or turn is None else self._keys.get(key)
        if key is not None and turn is not None and standing is not None and standing[0]() is turn:
            del self._keys[key]
            turn.lock.release()

    @contextlib.contextmanager
    def alone(self, key: str | None) -> Iterator[None]:
        """Wait until nobody else is at work on the key, then be first with it."""
        if key is None:
            yield
            return
        turn = Turn()
        mine = (weakref.ref(turn), turn.lock)
        try:
            while (standing := self._keys.setdefault(key, mine)) is not mine:
                self._wait(key, standing)
            yield
        finally:  # asked, not remembered: an interrupt may come right after it was entered
            try:
                self.leave(key, turn)
            except BaseException:  # an interrupt, at its first step
                self.leave(key, turn)
                raise

    def _wait(self, key: str, standing: _Standing) -> None:
        """Until the first has left, or is gone without."""
        first, lock = standing
        while self._keys.get(key) is standing:
            if lock.acquire(timeout=LOOK_SECONDS):
                lock.release()
            elif first() is None:
                with self._lock:
                    if self._keys.get(key) is standing:
                        del self._keys[key]
