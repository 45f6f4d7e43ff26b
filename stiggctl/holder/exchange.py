"""The exchange: bookings and draws of many threads, one transaction at a time.

Here: the queue, its leader, and what an exchange does to memory before and after.
Not here: what an order or a wish is (orders.py), how rows are written (ledger/).

One thread at a time leads: it takes what is queued, commits it in one exchange, tells each
its outcome, and hands the lead to the first that is still waiting. So while one commit is
under way the next batch gathers, and nobody waits for more than two. Each waiter sleeps on
a lock of its own; a condition variable would wake all to serve one.

  X1  Ledger first, memory second: holds fall, numbers change and receipts are made only
      after the commit.
  X2  Each entry is told exactly one outcome: a result, or the error that says what became
      of it. The leader's exception is its batch's.
  X3  After a failed exchange nobody knows whether it was committed: what it set apart stays
      so, until a read of the keys has told (`_read_back`), before anything else is written.
  X4  Lock order: leader, then stripe. Nothing is read or written under a stripe's lock.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Iterator, Sequence
from queue import SimpleQueue
from threading import Lock, Thread
from typing import TYPE_CHECKING

from stiggctl.decision.cells import Stripe
from stiggctl.decision.decide import install
from stiggctl.errors import LedgerError, LedgerUnavailable, StiggctlError
from stiggctl.holder.orders import Order
from stiggctl.holder.rounds import Round
from stiggctl.holder.waiting import Entry, tell
from stiggctl.holder.wishes import Wish
from stiggctl.ledger import Stale
from stiggctl.ledger.records import Known, Refused

if TYPE_CHECKING:
    from stiggctl.holder.holder import Holder

#: Entries of one exchange. A commit costs about as much as booking thirty events: with fewer
#: it would not be shared enough; with thousands the last of a batch waits for all of them.
BATCH_MAX = 512
#: How long close() waits for the committer thread; it has at most one exchange under way.
STOP_SECONDS_MAX = 10
#: How often one exchange is made ready anew because the model changed meanwhile.
STALE_MAX = 8


class Exchange:
    """Serves the orders and wishes of one holder."""

    def __init__(self, holder: "Holder") -> None:
        self._holder = holder
        self._queue: deque[Entry] = deque()  # appended by anyone, popped by the leader
        self._leader = Lock()  # who has it leads; it is handed on, not only released
        self._alone: deque[Lock] = deque()  # who waits for a moment without exchanges; first to lead
        #: orders whose outcome nobody knows (X3); the leader's
        self._unsure: list[Order] = []
        #: cells of which memory may be behind the ledger (X3); the leader's
        self._recheck: dict[Stripe, set[int]] = {}
        self._committer = _Committer(self)

    # ---------------------------------------------------------------- waiting

    def run(self, work: Order | Wish) -> None:
        """Serve it, waiting; raises what became of it."""
        entry = Entry(work)
        self._run(entry)
        if entry.error is not None:
            raise entry.error

    def _run(self, entry: Entry) -> None:
        """Queue it, and wait until it is done; lead when it is this thread's turn."""
        self._queue.append(entry)
        leads = self._leader.acquire(blocking=False)
        try:
            while not entry.done:
                if not leads:
                    # Woken because it is done, or because the lead was handed over.
                    entry.wake.sleep()
                    leads = not entry.done
                if leads:
                    leads = False
                    self.lead()
        except BaseException:
            # Ctrl-C, or an error of the leader's own. While it is queued somebody has to
            # take the lead when it is handed to it: a thread waits in its place.
            if not entry.done:
                Thread(target=self._see_through, args=(entry,), daemon=True).start()
            raise

    def run_all(self, works: Sequence[Order]) -> list[StiggctlError | None]:
        """Serve many, waiting; the error of each that came to nothing."""
        if not works:
            return []
        last = Entry(works[-1])
        entries = [*(Entry(work, follows=last) for work in works[:-1]), last]
        self._queue.extend(entries[:-1])
        self._run(entries[-1])
        # The queue is first in, first out: with the last all are done.
        errors: list[StiggctlError | None] = []
        for entry in entries:
            if entry.error is not None and not isinstance(entry.error, StiggctlError):
                raise entry.error
            errors.append(entry.error)
        return errors

    def _see_through(self, entry: Entry) -> None:
        """Wait for an entry whose own thread was interrupted."""
        while not entry.done:
            entry.wake.sleep()
            if not entry.done:
                self.lead()

    def submit(self, work: Order | Wish) -> "asyncio.Future[None]":
        """Queue it for the committer thread; the future is done when it is. Never waits."""
        entry = Entry(work, loop=asyncio.get_running_loop())
        assert entry.future is not None
        self._queue.append(entry)
        if self._leader.acquire(blocking=False):
            self._committer.lead()
        return entry.future

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """While inside, no exchange is under way; and none is in doubt (X3)."""
        turn = Lock()
        turn.acquire()
        self._alone.append(turn)
        if self._leader.acquire(blocking=False):
            self._alone.remove(turn)
        else:
            turn.acquire()  # the lead is handed over with it, and the turn is out of the queue
        try:
            self._read_back()
            yield
        finally:
            self.hand_on()

    def clear_doubts(self) -> None:
        """Learn what became of a failed exchange, if there was one (X3)."""
        if self._unsure:
            with self.alone():
                pass

    def close(self) -> None:
        """End the committer thread, once what is queued is served."""
        self._committer.stop()

    # ---------------------------------------------------------------- leading

    def lead(self) -> None:
        """Serve one batch, and hand the lead on. The caller has the lead."""
        trouble: LedgerError | None = None
        try:
            trouble = self._serve_some()
        finally:
            self.hand_on()
        if trouble is not None:
            self._holder.report_trouble(trouble)  # not while leading: a hook may report usage

    def finish(self) -> None:
        """Serve all that is queued. The caller has the lead (`alone`)."""
        while self._queue:
            self._serve_some()

    def _serve_some(self) -> LedgerError | None:
        """Serve what is queued; what the ledger failed with, to be told."""
        trouble: LedgerError | None = None
        queue = self._queue
        entries = [queue.popleft() for _ in range(min(len(queue), BATCH_MAX))]
        try:
            if entries:
                self._serve(entries)
        except Exception as error:  # noqa: BLE001 - it is not lost: each waiter raises it
            for entry in entries:
                if entry.error is None:
                    entry.error = error
            if isinstance(error, LedgerError):
                trouble = error
        except BaseException:
            # Only this thread was interrupted: what the others wanted is served after all,
            # under the same keys, once the keys have told what was committed (X3).
            queue.extendleft(reversed(entries))
            raise
        self._let_go(entries)
        tell(entries)
        return trouble

    def _let_go(self, entries: list[Entry]) -> None:
        """What came to nothing no longer holds anything; what is in doubt does, until X3 tells."""
        doubtful = {id(order) for order in self._unsure}
        for entry in entries:
            if entry.error is None or not isinstance(entry.work, Order):
                continue
            if id(entry.work) in doubtful:
                entry.work.given_up = True
            else:
                entry.work.let_go()

    def hand_on(self) -> None:
        """Give the lead to the first that waits, or let it go."""
        while True:
            if self._alone:
                self._alone.popleft().release()
                return
            if self._queue:
                following = self._queue[0]
                if following.loop is None:
                    following.wake.up()
                else:
                    self._committer.lead()
                return
            self._leader.release()
            # Who queued after the look and before the release could not lead.
            if not (self._queue or self._alone) or not self._leader.acquire(blocking=False):
                return

    # ---------------------------------------------------------------- one exchange

    def _serve(self, entries: list[Entry]) -> None:
        holder = self._holder
        holder.become_holder()
        holder.ledger.still_there()
        self._read_back()
        for _ in range(STALE_MAX):
            round_ = Round(entries, holder, self._recheck)
            try:
                reply = holder.ledger.exchange(round_.batch)
            except Stale:
                # A model change of this process waits for the leader: it was another's.
                round_.withdraw()
                holder.reread_model()
                continue
            except BaseException:
                self._doubt(round_)
                raise
            self._recheck = {}
            round_.apply(reply, holder.known.currency_of_row)
            return
        raise LedgerUnavailable(
            location=holder.location,
            reason=f"its model changed {STALE_MAX} times while this was under way",
            remedy="try again",
        )

    def _doubt(self, round_: Round) -> None:
        """Remember what may have been committed, and which numbers may be behind."""
        self._unsure += [order for _, order in round_.orders]
        for stripe, cells in round_.cells_by_stripe().items():
            self._recheck.setdefault(stripe, set()).update(cells)

    def _read_back(self) -> None:
        """Learn which orders of a failed exchange are in the ledger; let the rest go."""
        if not self._unsure:
            return
        with self._holder.ledger.reader() as reader:
            found = [
                (order, reader.event_by_key(order.stripe.customer_row, order.namespace, order.key))
                for order in self._unsure
            ]
        for order, event in found:
            order.sent = True
            outcome = Refused(cell=0, used=0) if event is None else Known(event=event)
            with order.stripe.lock:
                install(order.stripe, {}, order.falls(outcome))
            order.legs = ()
            if order.given_up:
                order.let_go()
        self._unsure = []


class _Committer:
    """The thread that leads for event loops, which must not wait."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._calls: SimpleQueue[bool] = SimpleQueue()  # True: the lead is handed over; False: stop
        self._starting = Lock()
        self._thread: Thread | None = None

    def lead(self) -> None:
        """Lead in my stead; the caller's lead goes over."""
        self._calls.put(True)
        if self._thread is None:
            with self._starting:
                if self._thread is None:
                    self._thread = Thread(target=self._body, name="stiggctl-committer", daemon=True)
                    self._thread.start()

    def stop(self) -> None:
        """End the thread after what it was called for."""
        if self._thread is not None:
            self._calls.put(False)
            self._thread.join(STOP_SECONDS_MAX)

    def _body(self) -> None:
        while self._calls.get():
            self._exchange.lead()
