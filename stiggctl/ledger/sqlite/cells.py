"""Cells: found by what they limit, and opened when they are first needed.

Here: reading cells by allocation, resource and window; `used` of one that is not open yet;
opening; the limit that is wanted. Not here: summing events (sums.py), what an exchange does to open
cells (usage.py), what closes them (model.py, allocations.py).

What always holds:
  O1  A cell that opens has used what its resource's events in its window and scope sum to, whoever
      books meanwhile: what was there when the sum began is summed without any lock, up to an
      event; so is what came during that, until it is little; the few that came after it are added
      under the write lock.
  O2  A cell that was asked for has the limit that was wanted, whether it was open or not.
"""

import json
import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from stiggctl.amounts import COUNTER_MAX
from stiggctl.errors import LedgerError
from stiggctl.ledger import Stale
from stiggctl.ledger.records import CellKey, CellRow, CellWanted
from stiggctl.ledger.sqlite.connections import Connections
from stiggctl.ledger.sqlite.numbers import sorted_orphans
from stiggctl.ledger.sqlite.reckoning import HUSH_US
from stiggctl.ledger.sqlite.statements import SQL
from stiggctl.ledger.sqlite.sums import (
    EARLIEST_US,
    LATEST_US,
    Counted,
    Rows,
    last_event,
    used_since,
    used_until,
)

# So many events are added up under the write lock in a millisecond or two; what is more is summed
# before it, in one more round. A round is shorter than the one before, by as much as summing is
# faster than booking, so that two are enough; where it is not faster, bookings wait.
_EVENTS_UNDER_LOCK = 1_000
_ROUNDS_MAX = 8


class Snapshot(Protocol):
    """What a reader is here."""

    def rows(self, statement: str, asked: Mapping[str, object], /) -> list[tuple[Any, ...]]:
        """All rows of a statement, at one moment."""
        ...


#: Takes a snapshot, that of the moment at which it is entered; it reads without the write lock.
Snapshots = Callable[[], AbstractContextManager[Snapshot]]


class _Found:
    """An allocation in a window, as a row: open or not."""

    __slots__ = ("cell", "counted", "is_open", "key", "limit_units", "wanted")

    def __init__(self, row: list[Any], wanted: Mapping[CellKey, CellWanted]) -> None:
        (allocation, resource, window_start_us, customer, currency,
         id_, closes, lim, used, granted, mine, exact, orphans) = row  # fmt: skip
        self.key = CellKey(allocation, resource, window_start_us)
        self.wanted = wanted[self.key]
        end_us = self.wanted.window_end_us
        self.is_open = id_ is not None and closes == end_us
        self.limit_units: int | None = lim  # as it stands; None: it is not open
        self.counted = Counted(
            resource=resource,
            customer=customer,
            currency=currency,
            since_us=EARLIEST_US if end_us is None else window_start_us,
            until_us=LATEST_US if end_us is None else end_us,
            scope=self.wanted.scope,
        )
        withheld = sorted_orphans(orphans)
        self.cell = CellRow(
            id=id_ or 0,
            allocation=allocation,
            resource=resource,
            limit_units=self.wanted.limit_units,
            used=used or 0,
            granted=mine,
            exact=mine == 0 or exact == 1,
            others=(granted or 0) - mine - sum(orphan.units for orphan in withheld),
            orphans=withheld,
        )

    @property
    def is_as_wanted(self) -> bool:
        """Whether there is nothing to write."""
        return self.is_open and self.limit_units == self.wanted.limit_units


def _find(rows: Rows, wanted: Mapping[CellKey, CellWanted], holder: int) -> list[_Found]:
    [(found,)] = rows(SQL["cells_by_key"], {"keys": json.dumps(list(wanted)), "holder": holder})
    return [_Found(row, wanted) for row in json.loads(found)]


def read(rows: Rows, wanted: Sequence[CellWanted], holder: int) -> dict[CellKey, CellRow]:
    """Those cells, in a snapshot; `used` of one that is not open is summed."""
    cells = {}
    for found in _find(rows, {one.key: one for one in wanted}, holder):
        cell = found.cell
        if not found.is_open:
            cell = cell._replace(used=used_until(rows, found.counted, last_event(rows)))
        cells[found.key] = cell
    return cells


class _Sums:
    """What cells that are to open have used, up to an event."""

    def __init__(self, rows: Rows, opening: Iterable[_Found]) -> None:
        self.last_event = last_event(rows)
        self._counted = {found.key: found.counted for found in opening}
        self._used = {key: used_until(rows, one, self.last_event) for key, one in self._counted.items()}

    def __bool__(self) -> bool:
        return bool(self._counted)

    def go_on(self, rows: Rows) -> int:
        """Add what came since; how many events that may be."""
        before, self.last_event = self.last_event, last_event(rows)
        for key, counted in self._counted.items():
            self._used[key] += used_since(rows, counted, before, self.last_event)
        return self.last_event - before

    def used(self, key: CellKey) -> int:
        """Of one that was to open when the sum began."""
        return self._used[key]


def open_all(
    connections: Connections,
    snapshots: Snapshots,
    wanted: Sequence[CellWanted],
    *,
    change: int,
    holder: int,
    now_us: int | None,
) -> dict[CellKey, CellRow]:
    """Open what is not open, set limits that differ, and return all. Raises Stale."""
    by_key = {one.key: one for one in wanted}
    with snapshots() as snapshot:
        found = _find(snapshot.rows, by_key, holder)
        _refuse_if_changed(snapshot.rows, change)
        if all(one.is_as_wanted for one in found):
            return {one.key: one.cell for one in found}
        sums = _Sums(snapshot.rows, [one for one in found if not one.is_open])
    for _ in range(_ROUNDS_MAX if sums else 0):
        with snapshots() as snapshot:
            if sums.go_on(snapshot.rows) <= _EVENTS_UNDER_LOCK:
                break
    hush_until = (time.time_ns() // 1_000 if now_us is None else now_us) + HUSH_US

    def open_closed(cursor: sqlite3.Cursor) -> dict[CellKey, CellRow]:
        def rows(statement: str, asked: Mapping[str, object]) -> list[tuple[Any, ...]]:
            return cursor.execute(statement, asked).fetchall()

        _refuse_if_changed(rows, change)
        if sums:
            sums.go_on(rows)
        for one in _find(rows, by_key, holder):
            if not one.is_open:
                # It was not open in the snapshot either: since then only an opening of ours could
                # have closed it, which raises `change`.
                _open(cursor, connections.location, one, sums.used(one.key))
            if one.limit_units not in (None, one.wanted.limit_units):
                limit = {"limit_units": one.wanted.limit_units, "hush_until": hush_until}
                cursor.execute(SQL["set_limit_of_cell"], {"cell": one.cell.id, **limit})
        return {one.key: one.cell for one in _find(rows, by_key, holder)}

    return connections.transact(open_closed)


def _open(cursor: sqlite3.Cursor, location: str, found: _Found, used: int) -> None:
    if not -COUNTER_MAX <= used <= COUNTER_MAX:
        raise LedgerError(
            location=location,
            reason=f"{used} units were booked on resource {found.key.resource}, more than a limit can count",
            remedy=f"remove allocation {found.key.allocation} on it",
        )
    window_end_us = found.wanted.window_end_us
    if found.cell.id:
        asked = {"cell": found.cell.id, "window_end_us": window_end_us, "used": used}
        cursor.execute(SQL["move_end"], asked)
        return
    asked = {"window_end_us": window_end_us, "used": used, "limit_units": found.wanted.limit_units}
    cursor.execute(SQL["open_cell"], {**found.key._asdict(), **asked})


def _refuse_if_changed(rows: Rows, change: int) -> None:
    [(_, _, _, now)] = rows(SQL["state"], {})
    if now != change:
        raise Stale
