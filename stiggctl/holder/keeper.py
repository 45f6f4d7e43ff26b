"""The keeper: what has to happen while nobody asks.

Here: a thread that often does what other processes wait for (recalling.py); another that now and then ends
holds, looks whether the file is still the one that was opened, does what is owed, tells what nobody was
told of, and moves the log into the file, which may take long; and then tells others what was decided.
Not here: what any of these is.

A step is one call of `beat`, of this or of the recalls, or of `tell`, which is what tests call; the threads
are loops around them.
"""

from collections.abc import Callable
from threading import Event, Lock, Thread, current_thread
from typing import TYPE_CHECKING

from stiggctl.decision.laying import sweep_loose
from stiggctl.decision.reservations import expire
from stiggctl.errors import LedgerError

if TYPE_CHECKING:
    from stiggctl.holder.holder import Holder

#: Often enough that a burst does not grow the log by more than some ten MB between two looks;
#: ten times as often would wake an idle process for nothing.
BEAT_SECONDS = 0.25
#: How often it is looked what others want: so long they wait at most, once for each limit near its end. Half
#: as much would halve that, and double what a process at work pays for company that asks for nothing.
RECALL_BEAT_SECONDS = 0.02
#: The same of who is alone, or has nothing to spare: the second to come waits so long, and whoever wants
#: what the first drew since; well within what one waits at all.
IDLE_BEAT_SECONDS = 0.1
#: When so many bytes were written to the log they are moved into the file. Each time costs bookings a
#: millisecond or a few (the rest goes on beside them), at a busy pace once in two seconds; with SQLite's own
#: 4 MB it is four times as often. Four times as much makes readers search a longer log, and whoever
#: opens the ledger after a crash reads 64 MB first.
LOG_BYTES_MAX = 16 * 1024 * 1024


Beat = Callable[[int], None]


class Keeper:
    """The background threads of one holder."""

    def __init__(self, holder: "Holder") -> None:
        self._holder = holder
        self._stop = Event()
        self._starting = Lock()
        self._threads: list[Thread] = []
        self._told: dict[Beat, str] = {}  #: the trouble that each told last, to be told once

    def start(self) -> None:
        """Begin beating, if it does not; the threads end with the process."""
        with self._starting:
            if not self._threads:
                self._threads = [
                    Thread(target=body, name=f"stiggctl-{name}", daemon=True)
                    for name, body in (("keeper", self._keep), ("recalls", self._recall))
                ]
                for thread in self._threads:
                    thread.start()

    def stop(self) -> None:
        """End the threads, each after the beat that is under way."""
        self._stop.set()
        with self._starting:  # those that are being started can be waited for only then
            threads = self._threads
        for thread in threads:
            if thread is not current_thread():  # a hook may close from there
                thread.join()

    def beat(self, now_us: int) -> None:
        """One step; raises what the ledger says."""
        holder = self._holder
        for stripe in list(holder.stripes.values()):
            if stripe.next_end_us <= now_us:
                with stripe.lock:
                    expire(stripe, now_us)
            if stripe.loose:
                with stripe.lock:
                    sweep_loose(stripe, now_us)
            holder.keeping.sweep(stripe)
        holder.keeping.sweep_over(now_us)
        holder.still_there()
        holder.exchange.clear_doubts()
        holder.recalls.give_back()  # of what has ended others may be waiting for
        holder.owed.do()
        holder.news.beat(now_us)
        holder.denials.beat()
        if holder.ledger.log_bytes() > LOG_BYTES_MAX:
            holder.ledger.checkpoint()

    def tell(self, now_us: int) -> None:
        """Tell others what was decided, where that is news. Raises LedgerUnavailable."""
        counts = self._holder.counts.news(now_us)
        if counts is not None:
            self._holder.keeping.tell(counts)
            self._holder.counts.were_told(counts)

    def _keep(self) -> None:
        while not self._stop.wait(BEAT_SECONDS):
            self._step(self.beat)
            self._step(self.tell)

    def _recall(self) -> None:
        holder, recalls = self._holder, self._holder.recalls
        while not self._stop.wait(
            RECALL_BEAT_SECONDS if holder.alive > 1 and recalls.is_awake else IDLE_BEAT_SECONDS
        ):
            self._step(recalls.beat)

    def _step(self, beat: Beat) -> None:
        """One of both beats; what the ledger says is told once."""
        try:
            beat(self._holder.clock.now_us())
        except LedgerError as trouble:
            self._tell(beat, trouble)
        except Exception as error:  # noqa: BLE001 - it is told, and the next beat may do better
            reason = f"what has to happen beside the calls failed: {error!r}"
            location = self._holder.location
            self._tell(beat, LedgerError(location=location, reason=reason, remedy="report it to stiggctl"))
        else:
            self._told.pop(beat, None)

    def _tell(self, beat: Beat, trouble: LedgerError) -> None:
        """Tell it once, however often it comes."""
        if str(trouble) not in list(self._told.values()):
            self._told[beat] = str(trouble)
            self._holder.report_trouble(trouble)
