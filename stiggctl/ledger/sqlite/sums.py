"""Sums: what a cell has used, from the events.

Here: the sum of a resource's events in a currency, a window and a scope, or of what a grant paid of
them, up to an event or between two; of a rolling cell, apart by bucket. Not here: in which snapshot or
transaction (cells.py), all cells at once (sweeping.py).

What always holds:
  SU1  A sum is exact, however large: SQLite adds halves of the bits, Python puts them together.
  SU2  Memory is bounded: of a scope no more texts of dimensions are looked at together than
       EVENTS_AT_A_TIME events have.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from stiggctl.ledger.records import Counted
from stiggctl.ledger.sqlite.statements import SQL
from stiggctl.scopes import EVERYTHING, Filter, filter_of

#: Runs a statement and returns its rows: in a reader's snapshot, or in a transaction.
Rows = Callable[[str, Mapping[str, object]], list[tuple[Any, ...]]]

#: Runs a statement and returns its rows one after the other, without having all of them.
Stream = Callable[[str, Mapping[str, object]], Iterator[tuple[Any, ...]]]

#: Instants that no event is before, or at or after: SQLite's integers end there.
EARLIEST_US, LATEST_US = -(2**63), 2**63 - 1

# Each may have dimensions of its own, and reading that many in one go keeps other threads waiting
# for about ten milliseconds; fewer cost more statements (a hundred more for each million events).
EVENTS_AT_A_TIME = 4_096


#: Units by the start of the bucket in which they were used; of what has no buckets, in that of 0.
Units = dict[int, int]


def last_event(rows: Rows) -> int:
    """The id of the last event; 0 where there is none."""
    [(last,)] = rows(SQL["last_event"], {})
    return last or 0


def used_until(rows: Rows, counted: Counted, last: int) -> Units:
    """The sum of what is counted, up to an event."""
    asked = {**counted._asdict(), "last_event": last}
    if counted.grant:
        in_window = (counted.since_us, counted.until_us) != (EARLIEST_US, LATEST_US)
        return _whole(rows(SQL["paid_in_window_until" if in_window else "paid_until"], asked))
    if counted.scope != EVERYTHING:
        return _scoped_until(rows, counted, asked)
    if counted.width_us:
        return _by_bucket(rows(SQL["used_until_by_bucket"], asked), filter_of(EVERYTHING))
    return _whole(rows(SQL["used_until"], asked))


def _scoped_until(rows: Rows, counted: Counted, asked: dict[str, Any]) -> Units:
    used: Units = {}
    passing = filter_of(counted.scope)
    while True:
        [*more] = rows(SQL["instant_after"], {**asked, "events": EVENTS_AT_A_TIME})
        # Of more than that many at one instant all are read together.
        until_us = max(more[0][0], asked["since_us"] + 1) if more else counted.until_us
        add(used, _by_bucket(rows(SQL["used_until_by_dimensions"], {**asked, "until_us": until_us}), passing))
        if not more:
            return used
        asked["since_us"] = until_us


def used_since(rows: Rows, counted: Counted, first: int, last: int) -> Units:
    """The sum of what came after one event, up to another: for few events."""
    if last <= first:
        return {}
    asked = {**counted._asdict(), "first_event": first, "last_event": last}
    if counted.grant:
        return _whole(rows(SQL["paid_since"], asked))
    if counted.scope == EVERYTHING and not counted.width_us:
        return _whole(rows(SQL["used_since"], asked))
    return _by_bucket(rows(SQL["used_since_by_dimensions"], asked), filter_of(counted.scope))


def add(units: Units, more: Units) -> None:
    """Add bucket to bucket."""
    for start_us, used in more.items():
        units[start_us] = units.get(start_us, 0) + used


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


def _whole(found: list[tuple[Any, ...]]) -> Units:
    [(high, low)] = found
    return {0: whole(high, low)}


def _by_bucket(found: list[tuple[Any, ...]], passing: Filter) -> Units:
    """From [[dimensions, start, high, low], …]."""
    [(groups,)] = found
    units: Units = {}
    for said, start_us, high, low in json.loads(groups):
        if passing.passes(said):
            units[start_us] = units.get(start_us, 0) + whole(high, low)
    return units
