"""The holder: this process on one ledger. The only room that knows decision and ledger.

Here: what a process has of a ledger (its stripes, its place among the holders, its page),
when it becomes a holder, and what ends that.
Not here: asking (asking.py), exchanges (exchange.py), trees (trees.py), liveness and pages
(liveness.py, page.py), the model's changes (models.py).

  H1  One ledger file is one Holder a process, however many controls are opened on it.
  H2  A process becomes a holder at its first reserve, consume or report, not when it opens
      the ledger: one that only checks or reads hides nothing from others.
  H3  What is held stands on the page before its caller is told yes, and until its settle
      has committed.
  H4  After a fork the child is not this holder: it has nothing, and says so.
"""

import asyncio
import itertools
import os
import secrets
import weakref
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import Generic, Literal, NamedTuple, TypeVar

from stiggctl.amounts import to_amount
from stiggctl.answers import Decision, OpenReservation, Sight
from stiggctl.clocks import Clock
from stiggctl.decision.cells import CELL, Strand, Stripe
from stiggctl.decision.decide import hard_cells
from stiggctl.decision.reservations import expire
from stiggctl.definitions import Applied
from stiggctl.errors import ControlClosed, LedgerError, LedgerUnavailable
from stiggctl.events import DimensionValue
from stiggctl.holder.asking import Asking
from stiggctl.holder.booking import Bookings
from stiggctl.holder.exchange import Exchange
from stiggctl.holder.keeper import Keeper
from stiggctl.holder.known import Known
from stiggctl.holder.liveness import Presence
from stiggctl.holder.trees import Trees
from stiggctl.holder.under_way import UnderWay
from stiggctl.ledger import Ledger, Reader, Stale
from stiggctl.ledger.records import CustomerRow, HolderRow, HolderWrite, ModelChange, Orphan
from stiggctl.windows import to_datetime

T = TypeVar("T")

#: Threads for what the async face cannot do on the spot: first decisions, and those near a
#: limit. They wait for the ledger, which serves them together; more would only queue elsewhere.
HELPERS_MAX = 8
#: How often a change of the model is planned anew because another came first.
CHANGES_MAX = 16
#: How often a process tries to enlist while others die and are buried.
ENLIST_MAX = 16


class Options(NamedTuple):
    """How one ledger is used by this process; all controls on it agree on them."""

    clock: Clock
    durability: Literal["process", "power"]
    on_ledger_failure: Literal["fail_closed", "fail_open"]
    default_access: Literal["allow", "deny"]
    unknown_resources: Literal["error", "deny", "ignore"]
    reservation_ttl_seconds: int


class Ids:
    """Ids of decisions and reservations: this process's token, and a number."""

    __slots__ = ("_numbers", "next_number", "token")

    def __init__(self, token: str) -> None:
        self.token = token
        self._numbers = itertools.count(1)
        self.next_number: Callable[[], int] = self._numbers.__next__

    def id_of(self, number: int) -> str:
        """The id as people see it."""
        return f"{self.token}-{number}"


class Kept(NamedTuple):
    """What is remembered of an open reservation: for whoever asks, and where it stands on the page."""

    reservation_id: str
    stripe: Stripe
    resource_ids: tuple[str, ...]
    ends_us: int
    event_name: str | None
    dimensions: dict[str, DimensionValue]
    idempotency_key: str | None
    slots: tuple[int, ...] = ()


class Holder:
    """What this process has of one ledger."""

    def __init__(self, ledger: Ledger, location: str, directory: Path, options: Options) -> None:
        self.ledger = ledger
        self.location = location
        self.options = options
        self.clock = options.clock
        self._directory = directory
        self.row = 0  #: 0 until it is a holder; set under `_enlisting`
        self.ids = Ids(secrets.token_hex(8))
        self.stripes: dict[str, Stripe] = {}  #: by customer id; added to under `_stripes_lock`
        #: (customer id, or None where there is only one, currency) -> strand: the way in of the
        #: half that never waits. Replaced whole when customers or currencies change.
        self.strands: dict[tuple[str | None, str | None], Strand] = {}
        self._stripes_lock = Lock()  # also guards `_helpers`
        self._enlisting = Lock()
        self._known: Known | None = None
        self._presence: Presence | None = None
        self._kept: dict[int, Kept] = {}  #: open reservations, by number
        self._helpers: ThreadPoolExecutor | None = None  #: for the async face's waiting halves
        self.ttl_max_ms = options.reservation_ttl_seconds * 1000
        self._closed = False
        self._forked = False
        self.on_trouble: list[Callable[[LedgerError], None]] = []
        self.under_way = UnderWay()
        self.trees = Trees(self)
        self.asking = Asking(self)
        self.bookings = Bookings(self)
        self.exchange = Exchange(self)
        self.keeper = Keeper(self)
        _alive.add(self)

    # ---------------------------------------------------------------- the model

    @property
    def known(self) -> Known:
        """The small part of the model, as of now."""
        self.require_open()
        known = self._known
        if known is not None and self.is_holder:
            return known  # every change of the model goes through this process
        with self.ledger.reader() as reader:
            if known is None or reader.state().change != known.change:
                known = self._known = Known(reader)
        return known

    def reread_model(self) -> None:
        """The model changed: every path is stale, and so is what is known."""
        with self.ledger.reader() as reader:
            self._known = Known(reader)
        for stripe in list(self.stripes.values()):
            stripe.restamp()
        self.strands = {}

    def model_changed(self, customer_ids: Iterable[str] | None) -> None:
        """A change of this process is in the ledger; None: it concerns all customers.

        Called by who leads the exchange, so no batch is under way.
        """
        with self.ledger.reader() as reader:
            self._known = Known(reader)
        touched = self.stripes if customer_ids is None else customer_ids
        for customer_id in list(touched):
            stripe = self.stripes.get(customer_id)
            if stripe is not None:
                stripe.restamp()
        self.strands = {}

    def change_model(self, plan: Callable[[Reader], tuple[ModelChange, Applied]]) -> Applied:
        """Plan a change on what the ledger has, and write it; again, where that changed meanwhile.

        Raises what `plan` raises, with nothing written, and LedgerUnavailable where another
        process has the ledger.
        """
        for _ in range(CHANGES_MAX):
            self.require_open()
            with self.ledger.reader() as reader:
                others = [other for other in reader.holders() if other.id != self.row]
                change, applied = plan(reader)
            self.bury_dead(others)
            if not applied:
                return applied
            with self.exchange.alone():
                try:
                    outcome = self.ledger.change_model(change, self.row or None)
                except Stale:
                    continue
                if isinstance(outcome, list):
                    self.bury_dead(outcome)
                    continue
                self.model_changed(None if change.for_all else change.customers_touched)
            return applied
        raise LedgerUnavailable(
            location=self.location,
            reason=f"its model changed {CHANGES_MAX} times while this change was planned",
            remedy="try again",
        )

    def stripe_of(self, customer: CustomerRow) -> Stripe:
        """The stripe of a customer that exists."""
        stripe = self.stripes.get(customer.customer_id)
        if stripe is None:
            with self._stripes_lock:
                stripe = self.stripes.setdefault(
                    customer.customer_id, Stripe(customer.customer_id, customer.id)
                )
        return stripe

    def strand_of(self, stripe: Stripe, credit_currency: str) -> Strand:
        """The strand of a currency that exists, to be found by the half that never waits."""
        known = self.known
        currency = known.currency(credit_currency)
        strand = stripe.strand(credit_currency, currency.id, currency.decimals)
        if self.is_holder:
            self.strands[stripe.customer_id, credit_currency] = strand
            only = known.only_customer
            if only is not None and only.customer_id == stripe.customer_id:
                self.strands[None, credit_currency] = strand
        return strand

    # ---------------------------------------------------------------- being a holder

    @property
    def is_holder(self) -> bool:
        """Whether this process has reserved, consumed or reported on this ledger."""
        return self.row != 0

    def require_open(self) -> None:
        """Raise ControlClosed, or what a forked child has to know."""
        if self._closed:
            raise ControlClosed(location=self.location)
        if self._forked:
            raise LedgerUnavailable(
                location=self.location,
                reason="this process was forked from the one that has the ledger open",
                remedy="open the control after the fork, in one process only; "
                "several processes on one ledger are not in this version",
                unreachable=False,
            )

    def become_holder(self) -> None:
        """Enlist, if this process has not; bury the dead.

        Raises LedgerUnavailable where another process has the ledger, naming it.
        """
        self.require_open()
        if not self.is_holder:
            self._become_holder()

    def _become_holder(self) -> None:
        with self._enlisting:
            if self.is_holder:
                return  # another thread was first
            presence = Presence.begin(self._directory, self.holders())
            try:
                row = self._enlist(presence)
            except BaseException:
                presence.end()
                raise
            self._presence = presence
            self.ids = Ids(presence.name)
            with self.ledger.reader() as reader:
                self._known = Known(reader)
            self.row = row
            self.keeper.start()

    def _enlist(self, presence: Presence) -> int:
        writing = HolderWrite(
            name=presence.name,
            host=presence.host,
            boot=presence.boot_id,
            pid=presence.pid,
            lock_inode=presence.lock_inode,
            ttl_max_ms=self.ttl_max_ms,
        )
        for _ in range(ENLIST_MAX):
            others = self.ledger.enlist(writing)
            if isinstance(others, int):
                return others
            self.bury_dead(others)
        raise LedgerUnavailable(
            location=self.location,
            reason="other processes came and went while this one tried to enlist",
            remedy="try again",
        )

    def bury_dead(self, others: Iterable[HolderRow]) -> None:
        """Bury those that are dead; raises LedgerUnavailable for the first that lives."""
        for other in others:
            if not Presence.is_dead(self._directory, other):
                raise self.taken_by(other)
            now_us = self.clock.now_us()
            orphans = Presence.orphans_of(self._directory, other, now_us)
            self.ledger.bury(other.id, orphans, now_us)
            Presence.forget(self._directory, other.name)

    def taken_by(self, other: HolderRow) -> LedgerUnavailable:
        """Another living process has the ledger."""
        return LedgerUnavailable(
            location=self.location,
            reason="another process has it",
            remedy="use it from that process only, or end that one first; "
            "several processes on one ledger are not in this version",
            holder_pid=other.pid,
            unreachable=False,
        )

    def holders(self) -> list[HolderRow]:
        """Those that are not buried."""
        with self.ledger.reader() as reader:
            return reader.holders()

    def held_elsewhere(self, reader: Reader, now_us: int) -> dict[int, list[Orphan]]:
        """cell -> what processes that are not buried hold of it, read from their pages."""
        held: dict[int, list[Orphan]] = {}
        for other in reader.holders():
            if other.id != self.row:
                for cell, ends in Presence.orphans_of(self._directory, other, now_us).items():
                    held.setdefault(cell, []).extend(ends)
        return held

    # ---------------------------------------------------------------- the page

    def keep(self, kept: "Kept", number: int, sights: Iterable[Sight]) -> None:
        """Remember a reservation and write it to the page (H3).

        Raises LedgerUnavailable where there is no room for it; then nothing is remembered.
        """
        self._kept[number] = kept._replace(slots=self._mirror(number, kept.ends_us, sights))

    def keep_more(self, number: int, sights: Iterable[Sight]) -> None:
        """It was extended: what it holds more, to the page."""
        kept = self._kept.get(number)
        if kept is not None:
            slots = self._mirror(number, kept.ends_us, sights)
            self._kept[number] = kept._replace(slots=kept.slots + slots)

    def drop(self, numbers: Iterable[int]) -> None:
        """Clear what has ended from the page, and forget it."""
        for number in numbers:
            kept = self._kept.pop(number, None)
            if kept is not None and self._presence is not None:
                for slot in kept.slots:
                    self._presence.page.clear(slot)

    def _mirror(self, number: int, ends_us: int, sights: Iterable[Sight]) -> tuple[int, ...]:
        if self._presence is None:
            return ()
        page = self._presence.page
        slots = []
        try:
            for sight in sights:
                cells = hard_cells(sight)
                if cells and sight[4]:
                    slots.append(page.write(ends_us, number, cells, sight[4]))
        except OSError as error:
            for slot in slots:
                page.clear(slot)
            raise LedgerUnavailable(
                location=self.location,
                reason=f"what is held cannot be written beside it ({error.strerror})",
                remedy="make room on its disk",
            ) from error
        return tuple(slots)

    def sweep(self, stripe: Stripe) -> None:
        """Clear the holds that ended by themselves from the page."""
        if stripe.ended:
            with stripe.lock:
                ended, stripe.ended = stripe.ended, []
            self.drop(ended)

    def open_reservations(self) -> list[OpenReservation]:
        """What this process holds, in the order in which it was reserved."""
        now_us = self.clock.now_us()
        found = []
        for number, kept in sorted(self._kept.items()):
            hold = kept.stripe.holds.get(number)
            if hold is None or now_us >= kept.ends_us:
                continue
            amounts = {
                strand.credit_currency: to_amount(units, strand.decimals) for _, units, _, strand in hold.held
            }
            found.append(
                OpenReservation(
                    reservation_id=kept.reservation_id,
                    customer_id=kept.stripe.customer_id,
                    resource_ids=kept.resource_ids,
                    amounts=amounts,
                    began_at=to_datetime(hold.began_us),
                    expires_at=to_datetime(kept.ends_us),
                    event_name=kept.event_name,
                    dimensions=kept.dimensions,
                    idempotency_key=kept.idempotency_key,
                )
            )
        return found

    def held_here(self) -> dict[int, int]:
        """cell -> what this process holds of it, HARD and SOFT."""
        held: dict[int, int] = {}
        for stripe in list(self.stripes.values()):
            with stripe.lock:
                expire(stripe, self.clock.now_us())
                for hold in stripe.holds.values():
                    for places, units, _, _ in hold.held:
                        for place in places:
                            cell = stripe.numbers[place + CELL]
                            held[cell] = held.get(cell, 0) + units
        return held

    def promise_ttl(self, ttl_seconds: int) -> None:
        """Before a longer ttl than any so far is used, the ledger must know it."""
        if ttl_seconds * 1000 > self.ttl_max_ms:
            self.become_holder()
            self.ledger.raise_ttl(self.row, ttl_seconds * 1000)
            self.ttl_max_ms = max(self.ttl_max_ms, ttl_seconds * 1000)

    # ---------------------------------------------------------------- the async face

    async def aside(self, work: Callable[[], T], undo: Callable[[T], None] | None = None) -> T:
        """Do what may wait in another thread; `undo` what came of it where nobody waits any more."""
        with self._stripes_lock:
            if self._helpers is None:
                self._helpers = ThreadPoolExecutor(HELPERS_MAX, thread_name_prefix="stiggctl-aside")
        task = _Aside(work, undo)
        try:
            return await asyncio.get_running_loop().run_in_executor(self._helpers, task)
        except asyncio.CancelledError:
            task.abandon()
            raise

    # ---------------------------------------------------------------- trouble, end

    def unreachable(self, decision: Decision) -> LedgerUnavailable:
        """What consume raises where the ledger could not be asked."""
        return LedgerUnavailable(
            location=self.location,
            reason=f"nothing was booked: {decision}",
            remedy="try again, with the same idempotency_key",
        )

    def report_trouble(self, trouble: LedgerError) -> None:
        """Tell whoever watches that the ledger failed."""
        for tell in list(self.on_trouble):
            tell(trouble)

    def close(self) -> None:
        """Serve what is queued, bury myself with my own page, let the ledger go."""
        if self._closed:
            return
        if self._forked:
            self._closed = True
            return
        with self.exchange.alone():
            self.exchange.finish()
            self._closed = True
            self.strands = {}
        self.exchange.close()
        self.keeper.stop()
        presence, self._presence = self._presence, None
        if presence is not None:
            try:
                now_us = self.clock.now_us()
                me = HolderRow(
                    id=self.row,
                    name=presence.name,
                    host=presence.host,
                    boot=presence.boot_id,
                    pid=presence.pid,
                    lock_inode=presence.lock_inode,
                    state=0,
                    ttl_max_ms=self.ttl_max_ms,
                )
                orphans = Presence.orphans_of(self._directory, me, now_us)
                self.ledger.bury(self.row, orphans, now_us)
            except LedgerError as trouble:
                # The next process buries it as one that died: by its page, which stays.
                self.report_trouble(trouble)
                presence.leave()
            else:
                presence.end()
        if self._helpers is not None:
            self._helpers.shutdown()
        _alive.discard(self)
        self.ledger.close()

    def forget_after_fork(self) -> None:
        """In a forked child: nothing here is ours (H4)."""
        self._forked = True
        self.strands = {}
        self.stripes = {}
        self.row = 0
        if self._presence is not None:
            self._presence.abandon_in_child()


class _Aside(Generic[T]):
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


#: Every holder of this process, to be told of a fork.
_alive: "weakref.WeakSet[Holder]" = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for holder in list(_alive):
        holder.forget_after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
