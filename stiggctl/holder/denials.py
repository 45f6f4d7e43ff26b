"""Denials: noted when they are given, and kept in the ledger a moment later.

Here: which are of one kind, how many wait, when they are written. Not here: what one says
(answers/kept.py), how many the ledger keeps (ledger/).

What always holds:
  DN1  A denial is noted in memory, in one step; nobody who asks waits for it to be kept.
  DN2  What waits is bounded. What is dropped, here or by the ledger, is counted: every denial is kept, is
       one of a kept one's times, or is in that number; but for those that a process had noted when it was
       killed. None is two of these, but for what is dropped when an interrupt comes upon it.
  DN3  Its numbers are those that its caller was told.
"""

import logging
from collections import deque
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from threading import Event, Lock, RLock, Thread, current_thread
from typing import TYPE_CHECKING, NamedTuple

from stiggctl.answers import Verb
from stiggctl.answers.kept import to_kept
from stiggctl.definitions import json_text
from stiggctl.errors import LedgerError
from stiggctl.events import DimensionValue, dimensions_json
from stiggctl.ledger.records import DenialWrite
from stiggctl.ledger.sqlite.denials import SOON_US
from stiggctl.locks import await_turn

if TYPE_CHECKING:
    from stiggctl.answers import Decision
    from stiggctl.holder.holder import Holder

_log = logging.getLogger("stiggctl")
#: So many rows are kept: of 1 to 2 kB each. With ten times as many a ledger would be more denials than usage;
#: with a tenth, a bad day would push out the denial that somebody asks about a week later.
KEPT_MAX = 100_000
#: So many wait in memory, until the next beat: a client that hammers is answered some thousand times in
#: that time. Each keeps its numbers alive, about 2 kB.
WAITING_MAX = 4_096
#: So many are written at once: then a booking waits some 10 ms for the ledger, with all of them a third of a
#: second.
AT_ONCE_MAX = 128
#: Of one client, which asks for other amounts or meets other numbers each time, so many rows in a minute: one
#: that hammers all day long pushes out the others' no sooner than after most of a day.
OF_ONE_MAX = 100
#: So many clients are told apart; when there are more it begins anew, and some may have more rows.
CLIENTS_MAX = 1_000
#: A process that never spends has no beat of its own: it writes what it noted after so long.
SOON_SECONDS = 0.25


class Noted(NamedTuple):
    """A denial, and what was asked."""

    verb: Verb
    decision: "Decision"
    customer_id: str | None
    resource_ids: tuple[str, ...]
    dimensions: Mapping[str, DimensionValue]
    event_name: str | None


class Denials:
    """Those of one process, on their way."""

    def __init__(self, holder: "Holder") -> None:
        self._holder = holder
        self._waiting: deque[Noted] = deque()  # appended by whoever denies; taken off under `_keeping`
        self._counting = RLock()  # a finalizer may deny while its thread counts
        self._dropped = 0  # changed under `_counting`
        self._keeping = Lock()
        self._clients = Clients()  # used under `_keeping`
        self._soon: Thread | None = None  # that of a process that has no beat; two at once do no harm
        self._is_soon_over = False  # it writes already
        self._closed = Event()

    def note(self, noted: Noted) -> None:
        """It was given. Never waits (DN1)."""
        noted.decision.decision_id  # noqa: B018 - it is given now: two threads would each give it one
        if len(self._waiting) >= WAITING_MAX:
            self._drop(1)
            return
        self._waiting.append(noted)
        if not self._holder.is_holder:
            self._keep_soon()

    def _keep_soon(self) -> None:
        thread = self._soon
        if thread is not None and thread.is_alive() and not self._is_soon_over:
            return
        self._is_soon_over = False
        self._soon = Thread(target=self._keep_later, name="stiggctl-denials", daemon=True)
        try:
            self._soon.start()
        except RuntimeError as error:  # the process ends, or has no room for a thread: kept when it closes
            _log.debug("denials are kept when the control is closed: %s", error)

    def _keep_later(self) -> None:
        self._closed.wait(SOON_SECONDS)
        if not self._closed.is_set():  # else it is kept by whoever closes
            self._is_soon_over = True  # what is noted from here on may come too late for this one
            self.beat()

    def _drop(self, times: int) -> None:
        with self._counting:
            self._dropped += times

    @property
    def dropped(self) -> int:
        """How many were dropped, and are not in the ledger's number yet."""
        return self._dropped

    def beat(self) -> None:
        """Keep what waits. Where that fails it waits on; what comes when too much does is dropped."""
        for _ in range(WAITING_MAX // AT_ONCE_MAX + 1):
            if not (self._waiting or self._dropped):
                return
            await_turn(self._keeping, self)
            with self._keeping:
                if not self._keep_some():
                    return

    def close(self) -> None:
        """The last beat; nobody writes after it."""
        self._closed.set()
        self.beat()
        thread = self._soon
        if thread is not None and thread is not current_thread() and thread.is_alive():
            thread.join()  # it wakes at once, and has nothing to write

    def _keep_some(self) -> bool:
        """Whether they were; or the ledger is away, or has no room for them."""
        noted = [self._waiting[at] for at in range(min(len(self._waiting), AT_ONCE_MAX))]
        writes, too_many = self._clients.let(_writes(noted))
        dropped = self._dropped
        try:
            self._holder.ledger.keep_denials(writes, dropped + too_many, KEPT_MAX)
        except LedgerError as error:
            _log.debug("%d denials were not kept: %s", len(noted), error)
            return False
        self._drop(-dropped)
        for _ in noted:
            self._waiting.popleft()
        return True


class Clients:
    """Who was denied how often of late; one that hammers is let by so often in a minute."""

    def __init__(self) -> None:
        # By the client's digest, for an id that no resource has is never kept (T2): since when, and which
        # were let by.
        self._kinds: dict[int, tuple[int, set[int]]] = {}

    def let(self, writes: Sequence[DenialWrite]) -> tuple[list[DenialWrite], int]:
        """Those that are to be kept, and how many denials the others were."""
        kept = [one for one in writes if self._lets(one)]
        return kept, sum(one.times for one in writes) - sum(one.times for one in kept)

    def _lets(self, one: DenialWrite) -> bool:
        client = _digest(one.customer_id, one.resource_ids, one.verb, one.reason)
        since_us, kinds = self._kinds.get(client, (0, set[int]()))
        if not 0 <= one.first_at_us - since_us <= SOON_US:
            if len(self._kinds) >= CLIENTS_MAX:
                self._kinds.clear()
            since_us, kinds = self._kinds[client] = one.first_at_us, set()
        if len(kinds) < OF_ONE_MAX:
            kinds.add(one.kind)
        return one.kind in kinds


def _writes(noted: Sequence[Noted]) -> list[DenialWrite]:
    """A row for each request and what it was answered, in the order of the first."""
    found: dict[tuple[object, ...], list[Noted]] = {}
    for one in noted:
        said, kept = dimensions_json(dict(one.dimensions)), to_kept(one.decision)
        kind = (one.verb, one.customer_id, one.resource_ids, one.event_name, said, kept)
        found.setdefault(kind, []).append(one)
    return [_write(same, str(said), str(kept)) for (*_, said, kept), same in found.items()]


def _write(same: Sequence[Noted], dimensions: str, kept: str) -> DenialWrite:
    first, last = same[0], same[-1]
    reason = first.decision.access_denied_reason
    assert reason is not None  # it was denied
    resource_ids = json_text(list(first.resource_ids))
    return DenialWrite(
        customer_id=first.customer_id,
        decision_id=first.decision.decision_id,
        others=tuple((one.decision.decision_id, one.decision.at_us) for one in same[1:]),
        first_at_us=first.decision.at_us,
        last_at_us=last.decision.at_us,
        times=len(same),
        verb=first.verb,
        reason=reason.value,
        resource_ids=resource_ids,
        dimensions=dimensions,
        event_name=first.event_name,
        decision=kept,
        kind=_digest(first.customer_id, first.verb, first.event_name, resource_ids, dimensions, kept),
    )


def _digest(*alike: str | None) -> int:
    """The same of the same, a number that SQLite can keep."""
    return int.from_bytes(blake2b(repr(alike).encode(), digest_size=8).digest(), signed=True)
