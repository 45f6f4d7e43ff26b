"""The exchange: bookings and draws of many threads, one transaction at a time.

Here: the queue, its leader, and what follows where an exchange fails or is interrupted.
Not here: how a batch is made and taken over (rounds.py), what an order or a wish is (orders.py,
wishes.py), how rows are written (ledger/).

One thread at a time leads: it takes what is queued, commits it in one exchange, tells each
its outcome, and hands the lead to the first that is still waiting. So while one commit is
under way the next batch gathers, and nobody waits for more than two. Each waiter sleeps on
a lock of its own; a condition variable would wake all to serve one.

An interrupt (Ctrl-C, a soft time limit) may end a thread between any two steps, also while it
leads or is about to. So whose the lead is, and what is still to be served, stands where others
find it, and each step may be done twice: a thread goes on in the place of one that was interrupted.

  X1  Ledger first, memory second: holds fall, numbers change and receipts are made only
      after the commit.
  X2  Each entry is told exactly one outcome: a result, or the error that says what became
      of it. The leader's exception is its batch's.
  X3  After a failed exchange nobody knows whether it was committed: what it set apart stays
      so, until a read has told (doubts.py), before anything else is written.
  X4  Lock order: leader, then stripe. Nothing is read or written under a stripe's lock.
"""

import asyncio
import contextlib
import itertools
from collections import deque
from collections.abc import Iterator, Sequence
from queue import SimpleQueue
from threading import Lock, Thread, current_thread
from typing import TYPE_CHECKING

from stiggctl.errors import LedgerError, StiggctlError
from stiggctl.holder.doubts import Doubts
from stiggctl.holder.orders import Order
from stiggctl.holder.rounds import Round
from stiggctl.holder.waiting import Entry, Sleeper, Wake, tell
from stiggctl.holder.wishes import Wish
from stiggctl.ledger import Stale

if TYPE_CHECKING:
    from stiggctl.holder.holder import Holder

#: Entries of one exchange. A commit costs about as much as booking thirty events: with fewer
#: it would not be shared enough; with thousands the last of a batch waits for all of them.
BATCH_MAX = 512
#: How long close() waits for the committer thread; it has at most one exchange under way.
STOP_SECONDS_MAX = 10
#: How often one exchange is made ready anew because the model changed meanwhile.
STALE_MAX = 8

_LEAD = "lead"


class Exchange:
    """Serves the orders and wishes of one holder."""

    def __init__(self, holder: "Holder") -> None:
        self._holder = holder
        #: appended by anyone; the leader takes off what is done, and only once that was told
        self._queue: deque[Entry] = deque()
        self._alone: deque[Sleeper] = deque()  # who waits for a moment without exchanges; first to lead
        #: whose the lead is, if anybody's: a dict, for `setdefault` takes it and says whose it is in
        #: one step; between two an interrupt could leave a lead that nobody knows to have
        self._leads: dict[str, Sleeper] = {}
        self._doubts = Doubts(holder)  #: X3; the leader's
        self._committer = _Committer(self)

    # ---------------------------------------------------------------- waiting

    def run(self, work: Order | Wish) -> None:
        """Serve it, waiting; raises what became of it."""
        entry = Entry(work, Wake())
        self._run([entry])
        if entry.error is not None:
            raise entry.error

    def run_all(self, works: Sequence[Order]) -> list[StiggctlError | None]:
        """Serve many, waiting; the error of each that came to nothing."""
        if not works:
            return []
        wake = Wake()
        last = Entry(works[-1], wake)
        entries = [*(Entry(work, wake, follows=True) for work in works[:-1]), last]
        self._run(entries)
        errors: list[StiggctlError | None] = []
        for entry in entries:
            if entry.error is not None and not isinstance(entry.error, StiggctlError):
                raise entry.error
            errors.append(entry.error)
        return errors

    def _run(self, entries: list[Entry]) -> None:
        """Queue them, and wait until all are done; lead when it is this thread's turn.

        The queue is first in, first out: with the last all are done.
        """
        last = entries[-1]
        try:
            self._begin(last.work)
            self._queue.extend(entries)
            self._see_to(last)
        except BaseException:
            # Ctrl-C, or an error of the leader's own. Others count on this thread to lead when it
            # is its turn, or it was interrupted while it did: another goes on in its place.
            Thread(target=self._go_on_for, args=(entries,), daemon=True).start()
            raise

    def _see_to(self, entry: Entry) -> None:
        wake = entry.wake
        assert isinstance(wake, Wake)
        while not entry.done:
            if self._take_lead(wake):
                self.lead(wake)
            else:
                wake.sleep()

    def _go_on_for(self, entries: list[Entry]) -> None:
        """In the place of an interrupted thread: see to its entries, and to its lead."""
        last, orders = entries[-1], [entry.work for entry in entries if isinstance(entry.work, Order)]
        if last.done or last in self._queue:
            self._see_to(last)
            for order in orders:
                order.forget_hold()
        else:  # interrupted before they were queued
            for order in orders:
                order.let_go()
        # It may have been interrupted while it handed the lead on: before that, or before it woke
        # whom it gave it to, or before it looked whether somebody came meanwhile.
        if self._take_lead(last.wake):
            self.lead(last.wake)
        else:
            self._wake_leader()

    def submit(self, work: Order | Wish) -> "asyncio.Future[None]":
        """Queue it for the committer thread; the future is done when it is. Never waits."""
        committer = self._committer
        entry = Entry(work, committer, loop=asyncio.get_running_loop())
        assert entry.future is not None
        try:
            self._begin(work)
            self._queue.append(entry)
            if _LEAD not in self._leads and self._take_lead(committer):
                committer.up()
        except BaseException:
            if isinstance(work, Order) and entry not in self._queue and not entry.done:
                work.let_go()
            committer.up()
            raise
        return entry.future

    def _begin(self, work: Order | Wish) -> None:
        if isinstance(work, Order):
            work.begin(self._holder.clock.now_us())

    @contextlib.contextmanager
    def alone(self, *, in_doubt: bool = False) -> Iterator[None]:
        """While inside, no exchange is under way; and none is in doubt (X3), unless that is said."""
        wake = Wake()
        try:
            self._alone.append(wake)
            while not self._take_lead(wake):
                wake.sleep()
            if not in_doubt:
                self._doubts.clear()
            yield
        finally:
            self._end_alone(wake)

    def _end_alone(self, wake: Wake) -> None:
        try:
            with contextlib.suppress(ValueError):  # interrupted before it came to wait
                self._alone.remove(wake)
            self._hand_on(wake)
        except BaseException:
            Thread(target=self._hand_on, args=(wake,), daemon=True).start()
            raise

    def clear_doubts(self) -> None:
        """Learn what became of a failed exchange, if there was one (X3)."""
        if self._doubts:
            with self.alone():
                pass

    def close(self) -> None:
        """End the committer thread, once what is queued is served."""
        self._committer.stop()

    # ---------------------------------------------------------------- leading

    def _take_lead(self, sleeper: Sleeper) -> bool:
        """Whether it leads: it does from now on, or the lead was handed to it."""
        return self._leads.setdefault(_LEAD, sleeper) is sleeper

    def has_lead(self, sleeper: Sleeper) -> bool:
        """Whether the lead is its."""
        return self._leads.get(_LEAD) is sleeper

    def lead(self, sleeper: Sleeper) -> None:
        """Serve one batch, and hand the lead on. The caller has the lead."""
        trouble: LedgerError | None = None
        try:
            trouble = self._serve_some()
        finally:
            self._hand_on(sleeper)
        if trouble is not None:
            self._holder.report_trouble(trouble)  # not while leading: a hook may report usage

    def finish(self) -> LedgerError | None:
        """Serve all that is queued, and clear the doubts; what kept it from that, if anything did.

        The caller has the lead (`alone`).
        """
        trouble: LedgerError | None = None
        while self._next_entry() is not None:
            trouble = self._serve_some() or trouble
        try:
            self._doubts.clear()
        except LedgerError as error:
            trouble = error
        return trouble

    def _hand_on(self, sleeper: Sleeper) -> None:
        """Give the lead to the first that waits, or let it go."""
        while self.has_lead(sleeper):
            following = self._next()
            if following is not None:
                self._leads[_LEAD] = following
                following.up()
                return
            del self._leads[_LEAD]
            # Who queued after the look and before the lead was free could not take it.
            if self._next() is None or not self._take_lead(sleeper):
                return

    def _wake_leader(self) -> None:
        leader = self._leads.get(_LEAD)
        if leader is not None:
            leader.up()

    def _next(self) -> Sleeper | None:
        """Whose turn it is to lead."""
        with contextlib.suppress(IndexError):
            return self._alone[0]
        entry = self._next_entry()
        return None if entry is None else entry.wake

    def _next_entry(self) -> Entry | None:
        """The first that is to be served; before it there may be some that are done (an interrupt).

        By their places: who queues does not move them. Who leads may take off what is done, and
        hide one from another thread that looks; then it looks itself before it lets the lead go.
        """
        with contextlib.suppress(IndexError):
            for at in itertools.count():
                entry = self._queue[at]
                if not entry.done:
                    return entry
        return None

    def _serve_some(self) -> LedgerError | None:
        """Serve what is queued; what the ledger failed with, to be told.

        Entries stay in the queue until they were told. Where an interrupt ends this, they are
        served again, under the same keys, once the keys have told what was committed (X3).
        """
        trouble: LedgerError | None = None
        batch = [self._queue[at] for at in range(min(len(self._queue), BATCH_MAX))]
        entries = [entry for entry in batch if not entry.done]
        try:
            if entries:
                self._serve(entries)
        except Exception as error:  # noqa: BLE001 - it is not lost: each waiter raises it
            for entry in entries:
                if entry.error is None:
                    entry.error = error
            if isinstance(error, LedgerError):
                trouble = error
        self._let_go(entries)
        tell(batch)
        for _ in batch:
            self._queue.popleft()
        return trouble

    def _let_go(self, entries: list[Entry]) -> None:
        """What came to nothing no longer holds anything; what is in doubt does, until X3 tells."""
        for entry in entries:
            if entry.error is None or not isinstance(entry.work, Order):
                continue
            if self._doubts.concern(entry.work):
                entry.work.given_up = True
            else:
                entry.work.let_go()

    # ---------------------------------------------------------------- one exchange

    def _serve(self, entries: list[Entry]) -> None:
        holder = self._holder
        holder.become_holder()
        holder.ledger.still_there()
        self._doubts.clear()
        for _ in range(STALE_MAX):
            known = holder.known
            round_ = Round(holder, known.change)
            try:
                reply = holder.send(round_.make_ready(entries))
                round_.apply(reply, known.currency_of_row)
            except Stale:
                # A model change of this process waits for the leader: it was another's.
                round_.withdraw()
                holder.model_changed(None)
            except BaseException as error:
                self._doubt(round_, error)
                raise
            else:
                return
        raise holder.restless(STALE_MAX, "this was under way")

    def _doubt(self, round_: Round, error: BaseException) -> None:
        """Nobody knows whether it was committed; nor, after an interrupt, where that came."""
        self._doubts.note(round_)
        if not isinstance(error, StiggctlError):
            for stripe in list(self._holder.stripes.values()):
                with stripe.lock:
                    stripe.tear()


class _Committer:
    """The thread that leads for event loops, which must not wait."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._calls: SimpleQueue[bool] = SimpleQueue()  # True: look whether the lead is here; False: stop
        self._starting = Lock()
        self._stopped = False
        self._thread: Thread | None = None

    def up(self) -> None:
        """Lead, if the lead was handed here."""
        self._calls.put(True)
        if self._stopped:  # put after it was told to stop, perhaps: nobody else would look
            self._end()
            if self._exchange.has_lead(self):
                self._exchange.lead(self)
        elif self._thread is None:
            with self._starting:
                if self._thread is None:
                    self._thread = Thread(target=self._body, name="stiggctl-committer", daemon=True)
                    self._thread.start()

    def stop(self) -> None:
        """End the thread after what it was called for."""
        self._stopped = True  # before the word to stop: what is put after that sees it
        self._calls.put(False)
        self._end()

    def _end(self) -> None:
        thread = self._thread
        if thread is not None and thread is not current_thread():  # a hook may close from there
            thread.join(STOP_SECONDS_MAX)

    def _body(self) -> None:
        while self._calls.get():
            if self._exchange.has_lead(self):
                self._exchange.lead(self)
