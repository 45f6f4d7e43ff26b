"""Denials: noted when they are given, and kept in the ledger a moment later.

Here: which are of one kind, how many wait, when they are written. Not here: what one says
(answers/kept.py), how many the ledger keeps (ledger/).

What always holds:
  DN1  A denial is noted in memory, in one step; nobody who asks waits for it to be kept.
  DN2  What waits is bounded. What is dropped, here or by the ledger, is counted: every denial is kept, is
       one of a kept one's times, or is in that number; but for those that a process had noted when it was
       killed.
  DN3  Its numbers are those that its caller was told.
"""

import logging
from collections import deque
from collections.abc import Mapping, Sequence
from threading import Lock, Thread
from typing import TYPE_CHECKING, NamedTuple

from stiggctl.answers import Verb
from stiggctl.answers.kept import to_kept
from stiggctl.definitions import json_text
from stiggctl.errors import LedgerError
from stiggctl.events import DimensionValue, dimensions_json
from stiggctl.ledger.records import DenialWrite
from stiggctl.ledger.sqlite.denials import IDS_MAX

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
#: A process that never spends has no beat: it writes them when so many wait, and when it closes.
UNKEPT_MAX = 64


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
        self._dropped = 0  # of a race two may count as one: it says that there were more
        self._keeping = Lock()

    def note(self, noted: Noted) -> None:
        """It was given. Never waits (DN1)."""
        noted.decision.decision_id  # noqa: B018 - it is given now: two threads would each give it one
        waiting = self._waiting
        if len(waiting) >= WAITING_MAX:
            self._dropped += 1
            return
        waiting.append(noted)
        if not self._holder.is_holder and len(waiting) % UNKEPT_MAX == 0:
            Thread(target=self.beat, name="stiggctl-denials", daemon=True).start()

    def beat(self) -> None:
        """Keep what waits. Where that fails it waits on, and is dropped once too much does."""
        if not (self._waiting or self._dropped):
            return
        with self._keeping:
            noted = [self._waiting[at] for at in range(len(self._waiting))]
            dropped, writes = self._dropped, _writes(noted)
            try:
                self._holder.ledger.keep_denials(writes, dropped, KEPT_MAX)
            except LedgerError as error:
                _log.debug("%d denials were not kept: %s", len(noted), error)
                if len(self._waiting) < WAITING_MAX // 2:
                    return  # perhaps next time
            else:
                self._dropped -= dropped
                dropped = 0
            for _ in noted:
                self._waiting.popleft()
            if dropped:
                self._dropped += len(noted)


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
    return DenialWrite(
        customer_id=first.customer_id,
        decision_id=first.decision.decision_id,
        others=tuple((one.decision.decision_id, one.decision.at_us) for one in same[1 : IDS_MAX + 1]),
        first_at_us=first.decision.at_us,
        last_at_us=last.decision.at_us,
        times=len(same),
        verb=first.verb,
        reason=reason.value,
        resource_ids=json_text(list(first.resource_ids)),
        dimensions=dimensions,
        event_name=first.event_name,
        decision=kept,
    )
