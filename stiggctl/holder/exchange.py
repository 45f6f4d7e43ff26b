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
from collections.abc import Callable, Iterable, Iterator, Sequence
from threading import Lock, Thread, get_ident
from typing import TYPE_CHECKING

from stiggctl.decision.cells import Stripe
from stiggctl.errors import InvalidRequest, LedgerError, StiggctlError
from stiggctl.holder.committer import Committer
from stiggctl.holder.doubts import Doubts
from stiggctl.holder.news import NOTHING, After
from stiggctl.holder.orders import Order
from stiggctl.holder.rounds import Round
from stiggctl.holder.waiting import Entry, Sleeper, Wake, tell
from stiggctl.holder.wishes import Wish
from stiggctl.ledger import Stale
from stiggctl.locks import await_turn, reentered

if TYPE_CHECKING:
    from stiggctl.holder.holder import Holder

#: Entries of one exchange. A commit costs about as much as booking thirty events: with fewer
#: it would not be shared enough; with thousands the last of a batch waits for all of them.
BATCH_MAX = 512
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
        self._handing = Lock()  # one at a time hands on the lead of one; nothing waits inside
        self._doubts = Doubts(holder)  #: X3; the leader's
        self.dispelled = 0  #: how often what became of a failed exchange was learnt; the leader's
        self._committer = Committer(self)

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
        last, news = entries[-1], self._holder.news
        if news.bookings:
            news.hush([entry.work for entry in entries if isinstance(entry.work, Order)])
        try:
            self._refuse_between()
            self._refuse_inside([last.work.stripe])
        except InvalidRequest:
            for entry in entries:
                if isinstance(entry.work, Order) and not entry.work.settles:
                    entry.work.let_go()
            raise
        try:
            self._begin(last.work)
            for entry in entries:
                if isinstance(entry.work, Order) and (entry.work.hold is None or entry.work.settles):
                    self._holder.trees.prepare(entry.work)
            self._queue.extend(entries)
            self._see_to(last)
        except BaseException:
            # Ctrl-C, or an error of the leader's own. Others count on this thread to lead when it
            # is its turn, or it was interrupted while it did: another goes on in its place.
            last.wake.thread = 0
            Thread(target=self._go_on_for, args=(entries,), daemon=True).start()
            raise

    def _see_to(self, entry: Entry) -> None:
        wake = entry.wake
        assert isinstance(wake, Wake)
        afters: list[After] = []
        while not entry.done:
            if self._take_lead(wake):
                afters.append(self.lead(wake))
            else:
                self._sleep(wake)
        self.tell(afters)

    def _sleep(self, wake: Wake) -> None:
        """Until it is woken; or raise where that would be never (LK1)."""
        self._refuse_between(wake)
        if not wake.sleep():  # who leads may wait for a stripe that this thread has
            self._refuse_inside(self._holder.stripes.values())

    def _refuse_between(self, wake: Wake | None = None) -> None:
        """Raise where this call came in the middle of one that has the lead, or has just got it (LK1)."""
        leader = self._leads.get(_LEAD)
        if leader is not None and leader is not wake and leader.thread == get_ident():
            raise reentered()

    def refuse_between(self) -> None:
        """Raise InvalidRequest where this call came in the middle of another of its own thread (LK1)."""
        self._refuse_between()
        self._refuse_inside(self._holder.stripes.values())

    def _refuse_inside(self, stripes: Iterable[Stripe]) -> None:
        """Raise where this call came in the middle of a section of one of them (LK1)."""
        for stripe in list(stripes):
            if stripe.lock.locked():
                await_turn(stripe.lock, stripe)

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
            self.tell([self.lead(last.wake)])
        else:
            self._wake_leader()

    def submit(self, work: Order | Wish, *, then: Callable[[], None] | None = None) -> "asyncio.Future[None]":
        """Queue it for the committer thread; the future is done when it is. Never waits.

        `then` is called by whoever tells the outcome, also where nobody waits for it any more.
        """
        committer = self._committer
        entry = Entry(work, committer, loop=asyncio.get_running_loop(), then=then)
        assert entry.future is not None
        if self._holder.news.bookings and isinstance(work, Order):
            self._holder.news.hush([work])
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
        if isinstance(work, Order) and work.hold is not None:
            work.begin(self._holder.clock.now_us())

    @contextlib.contextmanager
    def alone(self, stripes: Iterable[Stripe] | None = None, *, in_doubt: bool = False) -> Iterator[None]:
        """While inside, no exchange is under way; and none is in doubt (X3), unless that is said.

        `stripes`: those of which the caller takes the locks inside; None: of any.
        """
        wake = Wake()
        self._refuse_between()
        try:
            self._alone.append(wake)
            while not self._take_lead(wake):
                self._sleep(wake)
            self._refuse_inside(self._holder.stripes.values() if stripes is None else stripes)
            if not in_doubt:
                self._dispel()
            yield
        finally:
            try:  # here, not in a function: an interrupt may come at the first step of a call
                self._leave_alone(wake)
            except BaseException:
                wake.thread = 0
                Thread(target=self._leave_alone, args=(wake,), daemon=True).start()
                raise

    def _leave_alone(self, wake: Wake) -> None:
        wake.gone = True  # first: who hands it the lead after the look below sees that
        with contextlib.suppress(ValueError):  # interrupted before it came to wait, or after it left
            self._alone.remove(wake)
        self._hand_on(wake)

    def _dispel(self) -> None:
        """Clear the doubts (X3), in which any stripe may be; the caller has the lead."""
        if self._doubts:
            self._refuse_inside(self._holder.stripes.values())
            self._doubts.clear()
            self.dispelled += 1

    def clear_doubts(self) -> None:
        """Learn what became of a failed exchange, if there was one (X3)."""
        if self._doubts:
            with self.alone():
                pass

    def give_back(self) -> None:
        """Tell the ledger what has left spare, with nothing else."""
        with self.alone(self._holder.giving):
            self._serve([])

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

    def lead(self, sleeper: Sleeper) -> After:
        """Serve one batch, and hand the lead on; what is to be told of it. The caller has the lead.

        Whoever called this tells it once it leads no more: a hook may report usage.
        """
        try:
            batch = self._batch()
            # Not only its own: what others queued is served too, and what is given back.
            self._refuse_inside([*self._holder.giving, *(entry.work.stripe for entry in batch)])
            return self._serve_some(batch)
        finally:
            self._hand_on(sleeper)

    def tell(self, afters: Iterable[After]) -> None:
        """What came of exchanges while this thread led, to whoever watches."""
        for after in afters:
            if after is not NOTHING:
                self._holder.news.tell(after)

    def finish(self) -> list[After]:
        """Serve all that is queued, and clear the doubts; what is to be told of that.

        The caller has the lead (`alone`).
        """
        afters: list[After] = []
        while self._next_entry() is not None:
            afters.append(self._serve_some(self._batch()))
        try:
            self._dispel()
        except LedgerError as error:
            afters.append(After(trouble=error))
        return afters

    def _hand_on(self, sleeper: Sleeper) -> None:
        """Give the lead to the first that waits, or let it go.

        Also for one that is gone since it was looked for: its own thread may be here for it too.
        """
        while True:
            with self._handing:
                if not self.has_lead(sleeper):
                    return
                following = self._next()
                if following is None:
                    del self._leads[_LEAD]
                else:
                    self._leads[_LEAD] = following
            if following is not None:
                following.up()
                if not following.gone:
                    return
                sleeper = following
            # Who queued after the look and before the lead was free could not take it.
            elif self._next() is None or not self._take_lead(sleeper):
                return

    def _wake_leader(self) -> None:
        leader = self._leads.get(_LEAD)
        if leader is not None:
            leader.up()

    def _next(self) -> Sleeper | None:
        """Whose turn it is to lead."""
        if self._alone:
            with contextlib.suppress(IndexError):  # it gave up waiting, just now
                return self._alone[0]
        entry = self._next_entry()
        return None if entry is None else entry.wake

    def _next_entry(self) -> Entry | None:
        """The first that is to be served; before it there may be some that are done (an interrupt).

        By their places: who queues does not move them. Who leads may take off what is done, and
        hide one from another thread that looks; then it looks itself before it lets the lead go.
        """
        if not self._queue:
            return None
        with contextlib.suppress(IndexError):
            for at in itertools.count():
                entry = self._queue[at]
                if not entry.done:
                    return entry
        return None

    def _batch(self) -> list[Entry]:
        """What is served next."""
        return [self._queue[at] for at in range(min(len(self._queue), BATCH_MAX))]

    def _serve_some(self, batch: Sequence[Entry]) -> After:
        """Serve what was queued; what is to be told of it.

        Entries stay in the queue until they were told. Where an interrupt ends this, they are
        served again, under the same keys, once the keys have told what was committed (X3).
        """
        after = NOTHING
        entries = [entry for entry in batch if not entry.done]
        try:
            if entries:
                after = self._serve(entries)
        except Exception as error:  # noqa: BLE001 - it is not lost: each waiter raises it
            for entry in entries:
                if entry.error is None:
                    entry.error = error
            if isinstance(error, LedgerError):
                after = After(trouble=error)
        self._let_go(entries)
        tell(batch)
        for _ in batch:
            self._queue.popleft()
        return after

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

    def _serve(self, entries: list[Entry]) -> After:
        holder = self._holder
        holder.become_holder()
        holder.still_there()
        self._dispel()
        for _ in range(STALE_MAX):
            known = holder.known
            round_ = Round(holder, known.change)
            try:
                try:
                    try:
                        reply = holder.send(round_.make_ready(entries))
                    finally:
                        round_.told()
                except Stale:
                    # A model change of this process waits for the leader: it was another's.
                    round_.withdraw()
                    self._refuse_inside(self._holder.stripes.values())
                    holder.model_changed(None)
                    continue
                round_.apply(reply, known.currency_of_row)
            except BaseException as error:
                self._doubt(round_, error)
                raise
            else:
                return holder.news.after(round_.orders, reply)
        raise holder.restless(STALE_MAX, "this was under way")

    def _doubt(self, round_: Round, error: BaseException) -> None:
        """Nobody knows whether it was committed; nor, after an interrupt, where that came."""
        if not isinstance(error, StiggctlError):
            for stripe in list(self._holder.stripes.values()):
                with stripe.lock:
                    stripe.tear()
        self._doubts.note(round_)
