"""News: what happened, told to whoever watches, after locks and commits.

Here: who watches, and what of; what an exchange left to be told; warnings, each taken by one process,
told, and marked as told. Not here: hooks (control/watching.py), what each is told of (happenings.py),
what is recorded (ledger/).

What always holds:
  NW1  What is told is in the ledger; a decision was made. Nothing is told under a lock or before a commit.
  NW2  A warning is told by one process at a time, and by no other once that has told it. Where a process
       dies, or the ledger is out of reach, between the two, it is told again; never not at all, as long
       as somebody watches for it within TELLABLE_US.
  NW3  What a hook itself asks and books is told to no hook: one that reports what it hears of would
       never end.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from threading import Thread
from typing import TYPE_CHECKING, NamedTuple, Protocol

from stiggctl.answers import DecisionMade, GrantExpiring, Happening, ThresholdCrossed, UsageBooked, Verb
from stiggctl.errors import LedgerError
from stiggctl.holder.denials import Noted
from stiggctl.holder.happenings import (
    EXPIRING_US,
    HOUR_US,
    booked_of,
    happening_of,
    told_from,
    write_to_log,
)
from stiggctl.holder.pools import grant_as_limit
from stiggctl.ledger.records import CROSSED, EXPIRING, ExpiringWrite, Reply

if TYPE_CHECKING:
    from stiggctl.answers import Decision
    from stiggctl.holder.asked import Asked
    from stiggctl.holder.holder import Holder
    from stiggctl.holder.orders import Order
    from stiggctl.holder.waiting import Entry

_log = logging.getLogger("stiggctl")
#: What nobody was told for so long is history, which `crossings` tells: who watches for the first time
#: does not hear of a year.
TELLABLE_US = 24 * HOUR_US
#: How long a process has for telling what it took, before another may. A hook takes as long as one call
#: to another service; twice as much would delay what a dead reader had taken by as much.
TELLING_US = 60 * 1_000_000
#: How often it is looked for what time alone brings: grants that expire, what was taken and never told.
LOOK_US = 60 * 1_000_000

_KINDS: dict[type[Happening], int] = {ThresholdCrossed: CROSSED, GrantExpiring: EXPIRING}
#: What takes something, and is counted where it is denied.
_TAKING: frozenset[Verb] = frozenset({"reserve", "consume"})
_inside = threading.local()


class Watcher(Protocol):
    """One control's hooks."""

    @property
    def kinds(self) -> frozenset[type[Happening]]:
        """What they watch for."""
        ...

    def tell(self, happening: Happening) -> None:
        """Call those that watch for it; raises nothing."""
        ...


class After(NamedTuple):
    """What an exchange left to be told, once its leader leads no more."""

    trouble: LedgerError | None = None
    booked: "tuple[Order, ...]" = ()
    warnings: tuple[int, ...] = ()


NOTHING = After()


class CallingHook:
    """While inside, this thread runs a hook (NW3). A generator's context takes a microsecond more."""

    __slots__ = ("_was",)

    def __enter__(self) -> None:
        self._was, _inside.hook = is_in_hook(), True

    def __exit__(self, *_: object) -> None:
        _inside.hook = self._was


def is_in_hook() -> bool:
    """Whether this thread runs a hook."""
    return getattr(_inside, "hook", False)


class News:
    """What is told of one holder."""

    def __init__(self, holder: "Holder") -> None:
        self._holder = holder
        self._watchers: tuple[Watcher, ...] = ()  # replaced whole, never changed
        self.bookings = False  #: whether anybody wants to hear of each; looked at by who leads
        self._warnings: frozenset[int] = frozenset()  # the kinds that anybody wants to hear of
        self._looks_at_us = 0  # when time alone may have brought something; the keeper's, as the next
        self._stamp: object = None  # of the ledger, when it was looked for what is untold

    # ---------------------------------------------------------------- who watches

    def watch(self, watcher: Watcher) -> None:
        """Tell it from now on what its kinds say."""
        self._watchers = (*self._watchers, watcher)
        self.rewatch()

    def unwatch(self, watcher: Watcher) -> None:
        """Tell it nothing more."""
        self._watchers = tuple(one for one in self._watchers if one is not watcher)
        self.rewatch()

    def rewatch(self) -> None:
        """What watchers want may be something else now."""
        kinds = {kind for watcher in self._watchers for kind in watcher.kinds}
        self.bookings = UsageBooked in kinds
        self._warnings = frozenset(_KINDS[kind] for kind in kinds & _KINDS.keys())
        self._holder.decided = self._decided if DecisionMade in kinds else None

    def happened(self, happening: Happening) -> None:
        """Tell whoever watches for it; nothing that a hook did itself (NW3)."""
        for watcher in self._watchers:
            watcher.tell(happening)

    # ---------------------------------------------------------------- decisions

    def _decided(self, verb: Verb, decision: "Decision") -> None:
        if not is_in_hook():
            self.happened(DecisionMade(at=decision.at, verb=verb, decision=decision))

    def answered(
        self, verb: Verb, decision: "Decision", asked: "Asked | None" = None, event_name: str | None = None
    ) -> None:
        """A decision that was not made in memory, or a denial: the log hears of a denial.

        It is kept, where it is said what was asked: a candidate that is passed over is no denial.
        """
        if not decision.has_access:
            if verb in _TAKING:
                self._holder.counts.denied(decision)
            if asked is not None:
                self.denied(verb, decision, asked, event_name)
            if _log.isEnabledFor(logging.DEBUG):
                _log.debug("%s denied: %s", verb, decision)
        if self._holder.decided is not None:
            self._holder.decided(verb, decision)

    def denied(self, verb: Verb, decision: "Decision", asked: "Asked", event_name: str | None) -> None:
        """A denial, to be kept."""
        whose = asked.customer_id or self._owner(decision)
        self._holder.denials.note(Noted(verb, decision, whose, asked.ids, asked.dimensions, event_name))

    def _owner(self, decision: "Decision") -> str | None:
        """Whose limits were looked at, where the request did not say."""
        strand = getattr(decision.sights[0][0], "strand", None) if decision.sights else None
        if strand is not None:
            return str(strand.stripe.customer_id)
        only = self._holder.last_known.only_customer
        return None if only is None else only.customer_id

    # ---------------------------------------------------------------- after an exchange

    def hush(self, orders: "Sequence[Order]") -> None:
        """These are about to be queued: of what a hook books nobody hears (NW3)."""
        if is_in_hook():
            for order in orders:
                order.is_of_hook = True

    def after(self, orders: "Sequence[tuple[Entry, Order]]", reply: Reply) -> After:
        """What is to be told of an exchange that was committed and taken over."""
        if not (self.bookings or reply.warnings):
            return NOTHING
        booked = [
            order
            for _, order in (orders if self.bookings else ())
            if order.receipt is not None and not order.receipt.duplicate and not order.is_of_hook
        ]
        return After(booked=tuple(booked), warnings=reply.warnings)

    def tell(self, after: After) -> None:
        """Tell it; the caller leads no more."""
        if after.trouble is not None:
            self._holder.report_trouble(after.trouble)
        for order in after.booked:
            self.happened(booked_of(order))
        if after.warnings:
            self._safely(lambda: self._crossed(after.warnings))

    def _crossed(self, warnings: Sequence[int]) -> None:
        """This process has booked what crossed these: the log hears of it from this one alone."""
        with self._holder.ledger.reader() as reader:
            rows = reader.warnings(warnings)
        for row in rows:
            write_to_log(happening_of(row), row)
        self.deliver()

    # ---------------------------------------------------------------- warnings

    def deliver(self) -> None:
        """Tell the warnings that nobody was told of (NW2). Raises what the ledger says."""
        holder, kinds = self._holder, self._warnings
        if not kinds or not self._there_are_untold():
            return
        now_us = holder.clock.now_us()
        taken = holder.ledger.take_untold(
            holder.row, kinds, now_us, since_us=now_us - TELLABLE_US, until_us=now_us + TELLING_US
        )
        with holder.ledger.reader() as reader:
            rows = reader.warnings(taken)
        for row in rows:
            happening = happening_of(row)
            if row.event is None:  # else who booked it has written it
                write_to_log(happening, row)
            self.happened(happening)
            holder.ledger.told(row.id, holder.clock.now_us())

    def _there_are_untold(self) -> bool:
        now_us = self._holder.clock.now_us()
        with self._holder.ledger.reader() as reader:
            return reader.is_untold(self._warnings, now_us, now_us - TELLABLE_US)

    def look(self, now_us: int) -> None:
        """Record which grants are about to expire with credits left, if anybody wants to hear of it."""
        if EXPIRING not in self._warnings:
            return
        holder = self._holder
        with holder.ledger.reader() as reader:
            grants = [
                one
                for one in reader.grants_expiring(now_us, now_us + EXPIRING_US)
                if now_us >= told_from(one)
            ]
            limits = [grant_as_limit(one, now_us) for one in grants]
            cells = reader.cells([limit.wanted for limit in limits], holder.row)
        expiring = []
        for grant, limit in zip(grants, limits, strict=True):
            used = cells[limit.wanted.key].used
            if used < grant.amount_units:
                assert grant.expires_at_us is not None  # else it does not expire
                expiring.append(ExpiringWrite(grant.id, grant.expires_at_us, used, grant.amount_units))
        if expiring:
            holder.ledger.record_expiring(expiring, now_us)

    def changed(self) -> None:
        """The model changed: a limit may have passed thresholds by that."""
        if self._warnings:
            self._safely(self.deliver)

    def begin(self) -> None:
        """Somebody began to watch: tell what waits for it."""
        self._safely(lambda: self.look(self._holder.clock.now_us()))
        self._safely(self.deliver)

    def beat(self, now_us: int) -> None:
        """One step of the keeper's; it tells on a thread of its own, for a hook may take its time."""
        if not self._warnings:
            return
        stamp = self._holder.ledger.stamp()  # before the reading: what comes after it makes another
        if now_us >= self._looks_at_us:
            self._looks_at_us = now_us + LOOK_US
            self.look(now_us)
        elif stamp == self._stamp:
            return
        self._stamp = stamp
        if self._there_are_untold():
            Thread(target=lambda: self._safely(self.deliver), name="stiggctl-teller", daemon=True).start()

    def _safely(self, step: Callable[[], None]) -> None:
        """What the ledger says of it is told as trouble: whoever booked has booked, whatever follows."""
        try:
            step()
        except LedgerError as trouble:
            self._holder.report_trouble(trouble)
