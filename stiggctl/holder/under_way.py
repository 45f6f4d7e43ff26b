"""Under way: keys that a consume is at work on.

Here: who is first with a key, and how the others wait. Not here: which of two events of one key
is booked: the ledger's index decides that.
"""

import contextlib
from collections.abc import Iterator
from threading import Lock


class UnderWay:
    """Keys that a consume is at work on: a second call waits for the first.

    Only a denial needs it: of two calls of one key the second must not be told that the
    amount no longer fits because the first holds it. What is booked, the index decides.
    """

    def __init__(self) -> None:
        self._keys: dict[str, Lock] = {}

    def enter(self, key: str) -> bool:
        """Be first with a key; False where somebody else is."""
        mine = Lock()
        mine.acquire()
        return self._keys.setdefault(key, mine) is mine

    def leave(self, key: str) -> None:
        """Let the others go on."""
        self._keys.pop(key).release()

    @contextlib.contextmanager
    def alone(self, key: str | None) -> Iterator[None]:
        """Wait until nobody else is at work on the key, then be first with it."""
        if key is None:
            yield
            return
        mine = Lock()
        mine.acquire()
        try:
            while (standing := self._keys.setdefault(key, mine)) is not mine:
                with standing:
                    pass
            yield
        finally:  # asked, not remembered: an interrupt may come right after it was entered
            if self._keys.get(key) is mine:
                self.leave(key)
