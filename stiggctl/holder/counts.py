"""Counts: how many requests this process decided, and how many it denied, for other processes to see.

Here: counting, and what of it stands on the page. Not here: the page (page.py), when it is written
(keeper.py), who shows it (reports/holders.py).

Decisions are requests to hold something: of reserve, of consume, and one for each candidate of a `fit`. A
`check` is none: it takes nothing, and a yes from memory leaves no trace.

What always holds:
  HC1  What memory decides is counted by the number that it takes anyhow (ids.py): nothing is added on its
       way. A denial was at the ledger, and is counted after that.
  HC2  What is told never falls as long as the process is the same holder.
"""

import json
from collections.abc import Mapping
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

from stiggctl.holder.ids import Ids

if TYPE_CHECKING:
    from stiggctl.answers import Decision


class CountsTold(NamedTuple):
    """What a process told of its decisions, and when."""

    at_us: int
    decisions: int
    denials: Mapping[str, int]  #: by reason; one that only later versions know is among them


class Counts:
    """What one process decided since it became a holder."""

    def __init__(self, ids: Ids) -> None:
        self._ids = ids
        self._lock = Lock()  # guards the next
        self._denials: dict[str, int] = {}
        self._told = CountsTold(0, 0, {})  # by the keeper alone

    def denied(self, decision: "Decision") -> None:
        """A request was denied; after the ledger was asked, so a lock more is nothing."""
        reason = str(decision.access_denied_reason)
        with self._lock:
            self._denials[reason] = self._denials.get(reason, 0) + 1

    def news(self, now_us: int) -> CountsTold | None:
        """What is to be told now; None where that was told already."""
        decisions = max(self._ids.requests(), self._told.decisions)
        with self._lock:
            denials = dict(self._denials)
        if (decisions, denials) == self._told[1:]:
            return None
        return CountsTold(now_us, decisions, denials)

    def were_told(self, counts: CountsTold) -> None:
        """They stand on the page."""
        self._told = counts


def as_bytes(counts: CountsTold) -> bytes:
    """As it stands on the page.

    >>> as_bytes(CountsTold(5, 2, {"SUSPENDED": 1}))
    b'{"at_us":5,"decisions":2,"denials":{"SUSPENDED":1}}'
    """
    return json.dumps(counts._asdict(), separators=(",", ":")).encode()


def from_bytes(said: bytes) -> CountsTold | None:
    """What stands on a page; None: nothing yet, or nothing that this version understands.

    >>> from_bytes(as_bytes(CountsTold(5, 2, {}))), from_bytes(b"")
    (CountsTold(at_us=5, decisions=2, denials={}), None)
    """
    try:
        found = json.loads(said)
        denials = {str(reason): int(count) for reason, count in found["denials"].items()}
        return CountsTold(int(found["at_us"]), int(found["decisions"]), denials)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
        return None
