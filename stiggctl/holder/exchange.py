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
from collections.abc import Iterable, Iterator, Sequence
from queue import SimpleQueue
from threading import Lock, Thread
from typing import TYPE_CHECKING

from stiggctl.decision.cells import Stripe, find_cells
from stiggctl.decision.decide import NumbersOfCell, cells_of, install
from stiggctl.errors import LedgerError, LedgerUnavailable, StiggctlError
from stiggctl.holder.orders import Order, Wish
from stiggctl.ledger import Stale
from stiggctl.ledger.records import Ask, Batch, Booking, Give, Known, Refused, Reply

if TYPE_CHECKING:
    from stiggctl.holder.holder import Holder

#: Entries of one exchange. A commit costs about as much as booking thirty events: with fewer
#: it would not be shared enough; with thousands the last of a batch waits for all of them.
BATCH_MAX = 512
#: How long close() waits for the committer thread; it has at most one exchange under way.
STOP_SECONDS_MAX = 10
#: How often one exchange is made ready anew because the model changed meanwhile.
STALE_MAX = 8


class Entry:
    """One order or wish in the queue, and who waits for it."""

    __slots__ = ("done", "error", "follows", "future", "loop", "wake", "work")

    def __init__(
        self,
        work: Order | Wish,
        *,
        loop: asyncio.AbstractEventLoop | None = None,
        follows: "Entry | None" = None,
    ) -> None:
        self.work = work
        self.done = False
        self.error: BaseException | None = None
        self.loop = loop
        self.future: asyncio.Future[None] | None = None if loop is None else loop.create_future()
        #: of entries that one thread queues together only the last is waited for: the others
        #: follow it, and share what its thread sleeps on, to be woken to lead for them
        self.follows = follows is not None
        self.wake: _Wake = _Wake() if follows is None else follows.wake


class _Wake:
    """A lock to sleep on that may be released more than once."""

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = Lock()
        self._lock.acquire()

    def sleep(self) -> None:
        """Wait for a call of `up`, one that came before included."""
        self._lock.acquire()

    def up(self) -> None:
        """Wake the sleeper. Only the lead-holder calls this, so two calls never race."""
        if self._lock.locked():
            self._lock.release()


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
        _tell(entries)
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
            round_ = _Round(entries, holder, self._recheck)
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

    def _doubt(self, round_: "_Round") -> None:
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


class _Round:
    """One attempt to serve entries: the batch, and which entry each part of it is of."""

    def __init__(self, entries: list[Entry], holder: "Holder", recheck: dict[Stripe, set[int]]) -> None:
        self.orders: list[tuple[Entry, Order]] = []
        self.wishes: list[tuple[Entry, Wish]] = []
        self._trees = holder.trees
        self._recheck = recheck
        bookings: list[Booking] = []
        asks: list[Ask] = []
        promised: dict[Stripe, dict[int, int]] = {}
        change = holder.known.change
        for entry in entries:
            try:
                work = entry.work
                if isinstance(work, Order):
                    bookings.append(holder.trees.make_ready(work))
                    self.orders.append((entry, work))
                else:
                    asks.append(holder.trees.wish_ready(work, promised.setdefault(work.stripe, {})))
                    self.wishes.append((entry, work))
            except StiggctlError as error:
                entry.error = error  # it alone: a resource that is gone, say
        self._gives = _drain_gives(holder.stripes.values())
        gives = [Give(cell, units) for of in self._gives.values() for cell, units in of.items()]
        gives += [Give(cell, 0) for cells in recheck.values() for cell in cells]
        self.batch = Batch(
            holder=holder.row,
            change=change,
            now_us=holder.clock.now_us(),
            bookings=bookings,
            gives=gives,
            asks=asks,
        )

    def withdraw(self) -> None:
        """Nothing was sent: what was set apart is spare again, what was to be given still is."""
        for _, order in self.orders:
            with order.stripe.lock:
                install(order.stripe, {}, order.falls(Refused(cell=0, used=0)))
            order.legs = ()
        for stripe, gives in self._gives.items():
            with stripe.lock:
                for cell, units in gives.items():
                    stripe.gives[cell] = stripe.gives.get(cell, 0) + units

    def cells_by_stripe(self) -> dict[Stripe, set[int]]:
        """Every cell that the batch names."""
        named: dict[Stripe, set[int]] = {stripe: set(gives) for stripe, gives in self._gives.items()}
        for stripe, cells in self._recheck.items():
            named.setdefault(stripe, set()).update(cells)
        for _, order in self.orders:
            for leg in order.legs:
                named.setdefault(order.stripe, set()).update(leg.cells)
        for at, (_, wish) in enumerate(self.wishes):
            asked = [cell.cell for cell, _, _ in self.batch.asks[at].cells]
            named.setdefault(wish.stripe, set()).update(asked)
        return named

    def apply(self, reply: Reply, currencies: dict[int, tuple[str, int]]) -> None:
        """Take over what was committed, a stripe at a time, and tell each entry its outcome."""
        stripes: dict[Stripe, tuple[list[int], list[int]]] = {}
        for at, (_, order) in enumerate(self.orders):
            stripes.setdefault(order.stripe, ([], []))[0].append(at)
        for at, (_, wish) in enumerate(self.wishes):
            stripes.setdefault(wish.stripe, ([], []))[1].append(at)
        for stripe in self._recheck:
            stripes.setdefault(stripe, ([], []))
        for stripe, (orders, wishes) in stripes.items():
            with stripe.lock:
                self._install(stripe, orders, wishes, reply)
                for at in orders:
                    entry, order = self.orders[at]
                    try:
                        order.answer(reply.bookings[at], currencies)
                    except StiggctlError as error:
                        entry.error = error
                for at in wishes:
                    wish = self.wishes[at][1]
                    sights = self._trees.sights(wish.way, wish.wants, wish.now_us)
                    if sights is not None:  # else the model changed: it is asked again
                        wish.fulfil(sights)

    def _install(self, stripe: Stripe, orders: list[int], wishes: list[int], reply: Reply) -> None:
        """The numbers of one stripe. The caller has its lock."""
        falls: dict[int, int] = {}
        places: dict[int, int] = {}  # cell -> place
        for at in orders:
            order = self.orders[at][1]
            for leg in order.legs:
                places.update(zip(leg.cells, leg.places, strict=True))
            for place, units in order.falls(reply.bookings[at]).items():
                falls[place] = falls.get(place, 0) + units
        for at in wishes:
            wish = self.wishes[at][1]
            for sight in self._trees.sights(wish.way, wish.wants, wish.now_us) or ():
                places.update(cells_of(stripe, sight))
        if stripe in self._recheck:
            places.update(find_cells(stripe, self._recheck[stripe]))
        told = {
            place: NumbersOfCell(
                row.used, row.granted, row.limit_units, tuple((o.units, o.until_us) for o in row.orphans)
            )
            for cell, place in places.items()
            if (row := reply.cells.get(cell)) is not None
        }
        install(stripe, told, falls)


def _drain_gives(stripes: Iterable[Stripe]) -> dict[Stripe, dict[int, int]]:
    """What has left spare since the last exchange."""
    drained = {}
    for stripe in list(stripes):
        if stripe.gives:
            with stripe.lock:
                drained[stripe], stripe.gives = stripe.gives, {}
    return drained


def _tell(entries: list[Entry]) -> None:
    """Wake everyone whose outcome is known; those of an event loop in one call each loop."""
    loops: dict[asyncio.AbstractEventLoop, list[Entry]] = {}
    for entry in entries:
        entry.done = True
        if entry.follows:
            continue
        if entry.loop is None:
            entry.wake.up()
        else:
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
