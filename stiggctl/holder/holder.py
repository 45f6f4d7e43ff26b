"""The holder: what this process has of one ledger.

Here: its stripes, its place among the holders, and how that begins and ends.
Not here: asking (asking.py), exchanges (exchange.py), trees (trees.py), what is kept of
reservations (keeping.py), liveness (liveness.py), how a change of the model is planned (models/).

  H1  One ledger file is one Holder a process, however many controls are opened on it.
  H2  A process becomes a holder at its first reserve, consume or report, not when it opens
      the ledger: one that only checks or reads hides nothing from others.
  H3  After close no path is current: nothing is held of which the ledger was not told.
  H4  After a fork the child is another process: it has nothing of its parent's, and becomes a holder of
      its own when it first spends.
  H5  What another file stands in the place of is spent no more, a beat later at the latest: the ledger that
      stands there now may give the same to others.
"""

import copy
import os
import secrets
import weakref
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from threading import Lock, RLock
from typing import TypeVar

from stiggctl.answers import Decision, Verb
from stiggctl.decision.cells import Strand, Stripe
from stiggctl.definitions import Applied
from stiggctl.errors import ControlClosed, LedgerError, LedgerUnavailable
from stiggctl.holder.aside import Aside
from stiggctl.holder.asking import Asking
from stiggctl.holder.booking import Bookings
from stiggctl.holder.counts import Counts
from stiggctl.holder.denials import Denials
from stiggctl.holder.exchange import Exchange
from stiggctl.holder.ids import Ids
from stiggctl.holder.keeper import Keeper
from stiggctl.holder.keeping import Keeping
from stiggctl.holder.known import Known
from stiggctl.holder.liveness import Presence
from stiggctl.holder.news import News
from stiggctl.holder.options import Options
from stiggctl.holder.others import Others
from stiggctl.holder.owed import Owed
from stiggctl.holder.recalling import Recalls, Waiting
from stiggctl.holder.reversing import Reversals
from stiggctl.holder.trees import Trees
from stiggctl.holder.under_way import UnderWay
from stiggctl.ledger import Fenced, Ledger, Reader, Stale
from stiggctl.ledger.records import Batch, CustomerRow, Erasure, ModelChange, Orphan, Reply
from stiggctl.locks import await_turn

#: What is written: a change of the model, or an erasure.
C = TypeVar("C", ModelChange, Erasure)
#: How often a change of the model is planned anew because another came first.
CHANGES_MAX = 16
_BURIED = "its lock file was taken away, so that another process took this one for dead"


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
        self.counts = Counts(self.ids)  #: of what it decides
        self.stripes: dict[str, Stripe] = {}  #: by customer id; added to under `_stripes_lock`
        self.giving: set[Stripe] = set()  #: those of which something has left spare that is not told yet
        #: (customer id, or None where there is only one, currency) -> strand: the way in of the
        #: half that never waits. Replaced whole when customers or currencies change.
        self.strands: dict[tuple[str | None, str | None], Strand] = {}
        self._stripes_lock = RLock()
        self._enlisting = Lock()
        self._changes = 0  #: of the model, that this process knows of
        self.alive = 1  #: holders that live, as the ledger told it last; set by who leads, or enlists
        with ledger.reader() as reader:
            self._known = (0, Known(reader))  #: how many of them were known when it was read
        self._presence: Presence | None = None
        Presence.get_ready()
        self.others = Others(ledger, location, directory, options.clock)
        self.ttl_max_ms = options.reservation_ttl_seconds * 1000
        self._closed = False
        self._buried = False
        self._elsewhere: LedgerUnavailable | None = None  #: what there is to say while the file is not there
        self.on_trouble: list[Callable[[LedgerError], None]] = []
        #: tells a decision; None where nobody wants to hear of them, which is all that a decision asks
        self.decided: Callable[[Verb, Decision], None] | None = None
        self.news = News(self)
        self.trees = Trees(self)
        self.asking = Asking(self)
        self.bookings = Bookings(self)
        self.reversals = Reversals(self)
        self.waiting = Waiting()
        self._begin_parts()
        _alive.add(self)

    # ---------------------------------------------------------------- the model

    @property
    def known(self) -> Known:
        """The small part of the model, as of now."""
        self.require_open()
        as_of, known = self._known
        if self.is_holder and as_of == self._changes:
            return known  # others' changes come by the beat, which they wait for
        as_of = self._changes
        with self.ledger.reader() as reader:
            if reader.state().change != known.change:
                known = Known(reader)
        self._known = as_of, known
        return known

    @property
    def last_known(self) -> Known:
        """The small part of the model as of the last contact, where the ledger is out of reach."""
        return self._known[1]

    def model_changed(self, customer_ids: Iterable[str] | None) -> None:
        """The model is another, or may be; None: of all customers.

        Called by who leads the exchange, so no batch is under way. It asks nobody, so that it
        cannot fail: what is known is read again when it is next needed.
        """
        self._changes += 1
        touched = self.stripes if customer_ids is None else customer_ids
        for customer_id in list(touched):
            stripe = self.stripes.get(customer_id)
            if stripe is not None:
                stripe.restamp()
        self.strands = {}

    def change_model(self, plan: Callable[[Reader], tuple[ModelChange, Applied]]) -> Applied:
        """Plan a change of the model on what the ledger has, and write it."""
        return self.alter(plan, lambda change: self.ledger.change_model(change).change)

    def alter(self, plan: Callable[[Reader], tuple[C, Applied]], write: Callable[[C], int]) -> Applied:
        """Plan a change on what the ledger has, and write it; again, where that changed meanwhile.

        Raises what `plan` raises, with nothing written. It binds this process at once, and every draw
        of others; their spare binds it as soon as they have seen it, and that is waited for.
        """
        for _ in range(CHANGES_MAX):
            self.require_open()
            with self.ledger.reader() as reader:
                change, applied = plan(reader)
            # Both locks: while another thread makes this process a holder, its row in the
            # ledger would pass for another process's.
            enlisting = self._enlisting
            await_turn(enlisting, enlisting)
            with self.exchange.alone(), enlisting:
                self.require_open()
                if not applied:
                    return applied
                try:
                    written = write(change)
                except Stale:
                    continue
                except BaseException:
                    self.model_changed(None)  # it may have been written all the same
                    raise
                self.model_changed(None if change.for_all else change.customers_touched)
                self.recalls.changed(change.expected_change, written)
            # Outside: what others want of this process meanwhile is given back.
            applied = replace(applied, waiting_for=self.recalls.await_obedience(written))
            self.news.changed()
            return applied
        raise self.restless(CHANGES_MAX, "this change was planned")

    def has(self, stripe: Stripe) -> bool:
        """Whether it is one of this process's: after a fork those of the parent are not."""
        return self.stripes.get(stripe.customer_id) is stripe

    def stripe_of_row(self, customer: int) -> Stripe:
        """The stripe of a customer by its row, where this process has one; else one of no cells."""
        for stripe in list(self.stripes.values()):
            if stripe.customer_row == customer:
                return stripe
        with self.ledger.reader() as reader:
            return self.stripe_of(next(one for one in reader.customers() if one.id == customer))

    def stripe_of(self, customer: CustomerRow) -> Stripe:
        """The stripe of a customer that exists."""
        stripe = self.stripes.get(customer.customer_id)
        if stripe is None:
            with self._stripes_lock:
                stripe = self.stripes.setdefault(
                    customer.customer_id, Stripe(customer.customer_id, customer.id, self.giving)
                )
        return stripe

    def strand_of(self, stripe: Stripe, credit_currency: str) -> Strand:
        """The strand of a currency that exists, to be found by the half that never waits."""
        # The strands first: a change of the model puts new ones in their place after it has marked
        # `known` as old, so what is found by an old one is never written among the new ones.
        strands, known = self.strands, self.known
        currency = known.currency(credit_currency)
        strand = stripe.strand(credit_currency, currency.id, currency.decimals)
        if self.is_holder:
            strands[stripe.customer_id, credit_currency] = strand
            only = known.only_customer
            if only is not None and only.customer_id == stripe.customer_id:
                strands[None, credit_currency] = strand
        return strand

    # ---------------------------------------------------------------- being a holder

    @property
    def is_holder(self) -> bool:
        """Whether this process has reserved, consumed or reported on this ledger."""
        return self.row != 0

    def require_open(self) -> None:
        """Raise ControlClosed, that another process took this one for dead, or that the file is not there."""
        if self._closed:
            raise ControlClosed(location=self.location)
        if self._buried:
            raise self._lost(_BURIED, "close the control and open it again")
        if not self.is_holder:  # it has no beat, and would go on reading what is no more
            self.still_there()
        elsewhere = self._elsewhere
        if elsewhere is not None:
            raise copy.copy(elsewhere)  # a new one: each raising adds to its traceback

    def still_there(self) -> None:
        """Raise where the path names another file, or none; then nothing is decided either (H5)."""
        try:
            self.ledger.still_there()
        except LedgerUnavailable as trouble:
            if not trouble.unreachable:
                self._elsewhere, self.strands = trouble, {}
            raise
        self._elsewhere = None

    def _lost(self, reason: str, remedy: str) -> LedgerUnavailable:
        """Not out of reach for a while, but not this process's any more."""
        return LedgerUnavailable(location=self.location, reason=reason, remedy=remedy, unreachable=False)

    def send(self, batch: Batch) -> Reply:
        """The one write of usage; raises Stale. By who leads the exchange."""
        try:
            return self.ledger.exchange(batch)
        except Fenced as error:
            raise self.found_buried() from error

    def found_buried(self) -> LedgerUnavailable:
        """Another process took this one for dead: what it has is gone, and nothing is written any more."""
        self._buried = True
        self.strands = {}  # what it has to spare is another's now
        return self._lost(_BURIED, "close the control and open it again")

    def is_in_place(self) -> bool:
        """Whether others find its lock file where they look for it."""
        presence = self._presence
        return presence is None or presence.is_in_place()

    def become_holder(self) -> None:
        """Enlist, if this process has not; bury the dead."""
        self.require_open()
        if not self.is_holder:
            self._become_holder()

    def _become_holder(self) -> None:
        enlisting = self._enlisting
        await_turn(enlisting, enlisting)
        with enlisting:
            if self.is_holder:
                return  # another thread was first
            with self.ledger.reader() as reader:
                # A change by another process between here and there: the first exchange is Stale.
                known, others = Known(reader), reader.holders()
            presence = Presence.begin(self._directory, others)
            try:
                row = self.others.enlist(presence, self.ttl_max_ms, known.change)
            except BaseException:
                presence.end()
                raise
            self._presence = presence
            self.keeping.use(presence.page)
            self.ids = Ids(presence.name)
            self.counts = Counts(self.ids)
            self._known = self._changes, known
            self.recalls.begin(known.change)
            self.alive = 2 if others else 1  # the first exchange tells how many
            self.row = row
            self.keeper.start()

    def promise_ttl(self, ttl_seconds: int) -> None:
        """Before a longer ttl than any so far is used, the ledger must know it."""
        if ttl_seconds * 1000 > self.ttl_max_ms:
            self.become_holder()
            try:
                self.ledger.raise_ttl(self.row, ttl_seconds * 1000)
            except Fenced as error:
                raise self.found_buried() from error
            self.ttl_max_ms = max(self.ttl_max_ms, ttl_seconds * 1000)

    # ---------------------------------------------------------------- trouble, end

    def restless(self, times: int, meanwhile: str) -> LedgerUnavailable:
        """The model would not stand still for what was to be done with it."""
        return LedgerUnavailable(
            location=self.location,
            reason=f"its model changed {times} times while {meanwhile}",
            remedy="try again",
        )

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
        """Serve what is queued, bury myself with what I hold, let the ledger go."""
        if self._closed:
            return
        self.keeper.stop()
        self.owed.close()
        self.denials.close()
        with self.exchange.alone(in_doubt=True):
            afters = self.exchange.finish()
            self._closed = True
            self.strands = {}
            # From here on no path is current, so nothing more is held: what was is what is left.
            for stripe in list(self.stripes.values()):
                stripe.restamp()
            left = self.keeping.left_behind(list(self.stripes.values()))
        self.exchange.tell(afters)
        self.exchange.close()
        self._leave(left)
        self.aside.close()
        _alive.discard(self)
        self.ledger.close()

    def _leave(self, left: dict[int, list[Orphan]]) -> None:
        """Bury myself; where the ledger cannot be reached, leave that to the next process."""
        presence, self._presence = self._presence, None
        self.keeping.use(None)
        if presence is None:
            return
        try:
            self.ledger.bury(self.row, left, self.clock.now_us())
        except LedgerError as trouble:
            self.report_trouble(trouble)
            presence.leave()  # it will be found dead, and buried by its page
        else:
            presence.end()

    def begin_anew_after_fork(self) -> None:
        """In a forked child: nothing here is ours (H4), and no lock is to be trusted.

        What was queued, held or owed is the parent's, which goes on with it. The ledger has closed its
        connections before the fork, and opens new ones.
        """
        presence, self._presence = self._presence, None
        if presence is not None:
            presence.abandon_in_child()
        self.row = self.others.row = 0
        self.ids = Ids(secrets.token_hex(8))  # or two processes would give the same ids
        self.counts = Counts(self.ids)
        self.stripes, self.strands, self.giving = {}, {}, set()
        self.alive = 1
        self.ttl_max_ms = self.options.reservation_ttl_seconds * 1000
        self._changes += 1
        self._buried = False
        self._stripes_lock = RLock()
        self._enlisting = Lock()
        self._begin_parts()

    def _begin_parts(self) -> None:
        self.keeping = Keeping(self.location)
        self.aside = Aside()
        self.under_way = UnderWay()
        self.trees.loading = UnderWay()
        self.exchange = Exchange(self)
        self.recalls = Recalls(self)
        self.denials = Denials(self)
        self.keeper = Keeper(self)
        self.owed = Owed(self)


#: Every holder of this process, to be told of a fork.
_alive: "weakref.WeakSet[Holder]" = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for holder in list(_alive):
        holder.begin_anew_after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
