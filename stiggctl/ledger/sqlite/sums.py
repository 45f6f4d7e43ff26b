"""Sums: what a cell has used, from the events.

Here: the sum of a resource's events in a currency, a window and a scope, up to an event or between
two. Not here: in which snapshot or transaction (cells.py), all cells at once (sweeping.py).

What always holds:
  SU1  A sum is exact, however large: SQLite adds halves of the bits, Python puts them together.
  SU2  Memory is bounded: of a scope no more texts of dimensions are looked at together than
       EVENTS_AT_A_TIME events have.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from stiggctl.ledger.sqlite.statements import SQL
from stiggctl.scopes import EVERYTHING, Filter, filter_of

#: Runs a statement and returns its rows: in a reader's snapshot, or in a transaction.
Rows = Callable[[str, Mapping[str, object]], list[tuple[Any, ...]]]

#: Instants that no event is before, or at or after: SQLite's integers end there.
EARLIEST_US, LATEST_US = -(2**63), 2**63 - 1

# Each may have dimensions of its own, and reading that many in one go keeps other threads waiting
# for about ten milliseconds; fewer cost more statements (a hundred more for each million events).
EVENTS_AT_A_TIME = 4_096


class Counted(NamedTuple):
    """What a cell counts: the events of a resource in a currency, `since_us` included, `until_us` not."""

    resource: int
    customer: int
    currency: int
    since_us: int
    until_us: int
    scope: str


def last_event(rows: Rows) -> int:
    """The id of the last event; 0 where there is none."""
    [(last,)] = rows(SQL["last_event"], {})
    return last or 0


def used_until(rows: Rows, counted: Counted, last: int) -> int:
    """The sum of what is counted, up to an event."""
    asked = {**counted._asdict(), "last_event": last}
    if counted.scope == EVERYTHING:
        return _whole(rows(SQL["used_until"], asked))
    used, passing = 0, filter_of(counted.scope)
    while True:
        [*more] = rows(SQL["instant_after"], {**asked, "events": EVENTS_AT_A_TIME})
        # Of more than that many at one instant all are read together.
        until_us = max(more[0][0], asked["since_us"] + 1) if more else counted.until_us
        used += _passing(rows(SQL["used_until_by_dimensions"], {**asked, "until_us": until_us}), passing)
        if not more:
            return used
        asked["since_us"] = until_us


def used_since(rows: Rows, counted: Counted, first: int, last: int) -> int:
    """The sum of what came after one event, up to another: for few events."""
    if last <= first:
        return 0
    asked = {**counted._asdict(), "first_event": first, "last_event": last}
    if counted.scope == EVERYTHING:
        return _whole(rows(SQL["used_since"], asked))
    return _passing(rows(SQL["used_since_by_dimensions"], asked), filter_of(counted.scope))


def used_under(rows: Rows, customer: int, currency: int, resources: Sequence[int]) -> dict[int, int]:
    """Resource -> units of all events under it; those without any are left out."""
    if not resources:
        return {}
    asked = {"customer": customer, "currency": currency, "resources": json.dumps(list(resources))}
    return {resource: whole(high, low) for resource, high, low in rows(SQL["used_under"], asked)}


def whole(high: int | None, low: int | None) -> int:
    """A sum from its halves; null halves are of no events.

    >>> whole(-1, 0xFFFF_FFFE), whole(None, None)
    (-2, 0)
    """
    return ((high or 0) << 32) + (low or 0)


def _whole(found: list[tuple[Any, ...]]) -> int:
    [(high, low)] = found
    return whole(high, low)


def _passing(found: list[tuple[Any, ...]], passing: Filter) -> int:
    [(groups,)] = found
    return sum(whole(high, low) for text, high, low in json.loads(groups) if passing.passes(text))
