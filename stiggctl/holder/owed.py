"""Owed: settles and releases that nobody waits for any more, done later by the keeper.

Here: where they wait, how many may, and who does them. Not here: why one came here: its block
was over while the ledger was out of reach, its await was cancelled, its call was collected
(control/tally.py).

  OW1  What is owed is done in order, each once it can be; a settle's key makes it one event
       however often it is tried.
  OW2  `leave` takes no lock and allocates nothing that could wait: finalizers call it, which may
       run anywhere, also on a thread that holds a stripe's lock.
  OW3  What can never be done is told, and not tried again.
"""

import sys
from collections import deque
from collections.abc import Callable
from threading import Lock
from typing import TYPE_CHECKING

from stiggctl.errors import ControlClosed, LedgerError, LedgerUnavailable

if TYPE_CHECKING:
    from stiggctl.holder.holder import Holder

#: Settles that may wait for the ledger to come back, by choice (fail_open). Each is about a kilobyte
#: with its reservation: 10 MB in all, a hundred calls a second for a minute and a half. Half as many
#: would raise sooner; many more would be money that only memory knows of.
OWED_MAX = 10_000

#: What is left by those who can be told nothing: cancelled, closed, collected. There are more of these
#: than calls at a time only while the ledger is out of reach for long; then ten times as much memory
#: is better than usage that is lost.
LEFT_MAX = 10 * OWED_MAX

#: Rooms whose code has locks, or the lead of the exchange, while it runs.
_ROOMS = ("stiggctl.holder", "stiggctl.decision", "stiggctl.ledger")

Work = Callable[[], object]


class Owed:
    """What one process still has to settle or to release."""

    def __init__(self, holder: "Holder") -> None:
        self._holder = holder
        self._works: deque[Work] = deque()  # appended by anyone (OW2); taken off under `_doing`
        self._doing = Lock()  # one at a time does them
        self._dropped = 0  #: that found no place, and are not told yet
        self._closed = False

    def __len__(self) -> int:
        return len(self._works)

    def leave(self, work: Work) -> None:
        """Have it done, soon; never waits (OW2)."""
        if len(self._works) < LEFT_MAX:
            self._works.append(work)
        else:
            self._dropped += 1

    def put_off(self, work: Work) -> bool:
        """Have it done when the ledger is back; False where too many wait already, or it is too late."""
        if self._closed or len(self._works) >= OWED_MAX:
            return False
        self._works.append(work)
        self._holder.keeper.start()
        return True

    def do(self) -> None:
        """Do what is owed. Raises what the ledger says; then the rest is owed still."""
        if not self._works or not self._doing.acquire(blocking=False):
            return  # whoever is at it does these, too, or the next beat does
        troubles: list[LedgerError] = []
        try:
            if self._dropped:
                dropped, self._dropped = self._dropped, 0
                troubles.append(self._lost(f"{dropped} settles that nobody waited for found no place"))
            for _ in range(len(self._works)):
                self._do_first(troubles)
        finally:
            self._doing.release()
            for trouble in troubles:
                self._holder.report_trouble(trouble)

    def _do_first(self, troubles: list[LedgerError]) -> None:
        work = self._works[0]
        try:
            work()
        except (LedgerError, ControlClosed):
            raise  # it stays: the ledger may come back
        except Exception as error:  # noqa: BLE001 - it is told (OW3)
            troubles.append(self._lost(f"a settle that was put off cannot be booked: {error}"))
        self._works.popleft()

    def close(self) -> None:
        """Do what is owed, a last time; tell what cannot be done. The keeper has stopped."""
        self._closed = True
        try:
            self.do()
        except LedgerError as error:
            reason = f"{len(self._works)} settles that were put off were not booked before close: {error}"
            self._holder.report_trouble(self._lost(reason))
            self._works.clear()

    def _lost(self, reason: str) -> LedgerUnavailable:
        return LedgerUnavailable(
            location=self._holder.location, reason=reason, remedy="report that usage", unreachable=False
        )


def in_a_section() -> bool:
    """Whether this thread may be inside of a section of ours: a finalizer came in the middle of it.

    Who is there must not wait for a lock or for the ledger: its own thread may have what it waits for.
    """
    frame = sys._getframe()  # noqa: SLF001 - there is no other way to see who was interrupted
    outer = frame.f_back
    while outer is not None:
        if outer.f_globals.get("__name__", "").startswith(_ROOMS):
            return True
        outer = outer.f_back
    return False
