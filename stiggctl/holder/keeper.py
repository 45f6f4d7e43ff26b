"""The keeper: what has to happen while nobody asks.

Here: a thread that now and then ends holds, looks whether the file is still the one that was
opened, and moves the log into it. Not here: what any of these is.

A step is one call of `beat`, which is what tests call; the thread is a loop around it.
"""

from threading import Event, Thread
from typing import TYPE_CHECKING

from stiggctl.decision.reservations import expire
from stiggctl.errors import LedgerError

if TYPE_CHECKING:
    from stiggctl.holder.holder import Holder

#: Often enough that a burst does not grow the log by more than some ten MB between two looks;
#: ten times as often would wake an idle process for nothing.
BEAT_SECONDS = 0.25
#: A log of so many bytes is moved into the file. SQLite's own default is 4 MB; less means more
#: fsyncs, much more makes readers search a longer log.
LOG_BYTES_MAX = 4 * 1024 * 1024


class Keeper:
    """The background thread of one holder."""

    def __init__(self, holder: "Holder") -> None:
        self._holder = holder
        self._stop = Event()
        self._thread: Thread | None = None
        self._told: str | None = None  #: the trouble that was told last, to be told once

    def start(self) -> None:
        """Begin beating; the thread ends with the process."""
        self._thread = Thread(target=self._body, name="stiggctl-keeper", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread after the beat that is under way."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def beat(self, now_us: int) -> None:
        """One step; raises what the ledger says."""
        holder = self._holder
        for stripe in list(holder.stripes.values()):
            if stripe.next_end_us <= now_us:
                with stripe.lock:
                    expire(stripe, now_us)
            holder.keeping.sweep(stripe)
        holder.keeping.sweep_over(now_us)
        holder.exchange.clear_doubts()
        holder.ledger.still_there()
        if holder.ledger.log_bytes() > LOG_BYTES_MAX:
            holder.ledger.checkpoint()

    def _body(self) -> None:
        while not self._stop.wait(BEAT_SECONDS):
            try:
                self.beat(self._holder.clock.now_us())
            except LedgerError as trouble:
                if str(trouble) != self._told:
                    self._told = str(trouble)
                    self._holder.report_trouble(trouble)
            else:
                self._told = None
