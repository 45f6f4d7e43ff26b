"""Cells: found by what they limit, and opened when they are first needed.

Here: reading cells by allocation, resource and window, and those of grants; `used` of one that is not
open yet; opening, and moving what rolls; the limit that is wanted. Not here: summing events (sums.py),
what becomes of buckets (rolling.py), what an exchange does to open cells (usage.py), what closes them
(model.py, allocations.py, grants.py).

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
from stiggctl.ledger.records import Bucket, CellKey, CellRow, CellWanted, Counted, Rolls
from stiggctl.ledger.sqlite import rolling, watching
from stiggctl.ledger.sqlite.connections import Connections
from stiggctl.ledger.sqlite.numbers import sorted_orphans
from stiggctl.ledger.sqlite.reckoning import HUSH_US
from stiggctl.ledger.sqlite.statements import SQL
from stiggctl.ledger.sqlite.sums import (
    EARLIEST_US,
    LATEST_US,
    Rows,
    Units,
    add,
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
    """An allocation in a window, or a grant, as a row: open or not."""

    __slots__ = ("buckets", "cell", "counted", "is_open", "key", "limit_units", "moves_on", "wanted")

    def __init__(self, row: list[Any], wanted: Mapping[CellKey, CellWanted]) -> None:
        (allocation, resource, window_start_us, customer, currency, id_, closes, lim, used, granted, mine,
         exact, orphans, opens, width_us, buckets, hidden) = row  # fmt: skip
        self.key = CellKey(allocation, resource, window_start_us)
        self.wanted = wanted[self.key]
        stands, rolls = None if width_us is None else Rolls(opens, width_us), self.wanted.rolls
        self.is_open = (
            id_ is not None and closes == self.wanted.window_end_us and rolling.goes_on(stands, rolls)
        )
        self.limit_units: int | None = lim  # as it stands; None: it is not open
        self.counted = _counted(self.wanted, customer, currency)
        self.moves_on, self.buckets = False, tuple[Bucket, ...]()
        if self.is_open and stands is not None and rolls is not None:
            self.moves_on = stands.opens_us < rolls.opens_us
            self.buckets = rolling.kept(map(tuple, buckets), rolls.opens_us)
            used -= sum(units for start_us, units in buckets if start_us < rolls.opens_us)
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
            hidden=hidden,
        )

    @property
    def is_as_wanted(self) -> bool:
        """Whether there is nothing to write."""
        return self.is_open and not self.moves_on and self.limit_units == self.wanted.limit_units


def _counted(wanted: CellWanted, customer: int, currency: int) -> Counted:
    since_us, until_us, width_us = EARLIEST_US, LATEST_US, 0
    if wanted.rolls is not None:
        since_us, width_us = wanted.rolls
    elif wanted.window_end_us is not None:
        since_us, until_us = wanted.key.window_start_us, wanted.window_end_us
    return Counted(
        resource=wanted.key.resource,
        grant=0 if wanted.key.resource else wanted.key.allocation,
        customer=customer,
        currency=currency,
        since_us=since_us,
        until_us=until_us,
        scope=wanted.scope,
        width_us=width_us,
    )


def _find(rows: Rows, wanted: Mapping[CellKey, CellWanted], holder: int) -> list[_Found]:
    of_grants = [key for key in wanted if key.resource == 0]
    limits = [key for key in wanted if key.resource] if of_grants else list(wanted)
    found = []
    for name, keys in (("cells_by_key", limits), ("cells_of_grants_by_key", of_grants)):
        if keys:
            [(these,)] = rows(SQL[name], {"keys": json.dumps(keys), "holder": holder})
            found += [_Found(row, wanted) for row in json.loads(these)]
    return found


def read(rows: Rows, wanted: Sequence[CellWanted], holder: int) -> dict[CellKey, CellRow]:
    """Those cells, in a snapshot; `used` of one that is not open is summed."""
    cells = {}
    for found in _find(rows, {one.key: one for one in wanted}, holder):
        used = found.cell.used
        buckets = found.buckets if found.wanted.rolls else None
        if not found.is_open:
            units = used_until(rows, found.counted, last_event(rows))
            used = sum(units.values())
            if found.wanted.rolls:
                buckets = rolling.kept(units.items(), found.counted.since_us)
        cells[found.key] = found.cell._replace(used=used, buckets=buckets)
    return cells


class _Sums:
    """What cells that are to open have used, up to an event."""

    def __init__(self, rows: Rows, opening: Iterable[_Found]) -> None:
        self.last_event = last_event(rows)
        self._counted: dict[CellKey, Counted] = {}
        self._used: dict[CellKey, Units] = {}
        for found in opening:
            self.begin(rows, found)

    def __bool__(self) -> bool:
        return bool(self._counted)

    def begin(self, rows: Rows, found: _Found) -> None:
        """Sum what one has used so far."""
        self._counted[found.key] = found.counted
        self._used[found.key] = used_until(rows, found.counted, self.last_event)

    def go_on(self, rows: Rows) -> int:
        """Add what came since; how many events that may be."""
        before, self.last_event = self.last_event, last_event(rows)
        for key, counted in self._counted.items():
            add(self._used[key], used_since(rows, counted, before, self.last_event))
        return self.last_event - before

    def used(self, rows: Rows, found: _Found) -> Units:
        """Of one that is to open now, under the write lock."""
        if found.key not in self._used:
            # It was open in the snapshot, and is not what was wanted any more: somebody moved a rolling
            # one on past it. Rare enough, and few events, to be summed here.
            self.begin(rows, found)
        return self._used[found.key]


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
    at_us = time.time_ns() // 1_000 if now_us is None else now_us
    hush_until = at_us + HUSH_US

    def open_closed(cursor: sqlite3.Cursor) -> dict[CellKey, CellRow]:
        def rows(statement: str, asked: Mapping[str, object]) -> list[tuple[Any, ...]]:
            return cursor.execute(statement, asked).fetchall()

        _refuse_if_changed(rows, change)
        sums.go_on(rows)
        others: list[int] = []  # cells that are not what they were
        for one in _find(rows, by_key, holder):
            if not one.is_open:
                others.append(_open(cursor, connections.location, one, sums.used(rows, one)))
            elif one.moves_on:
                _move(cursor, connections.location, one, one.cell.used)
                rolling.drop_before(cursor, one.cell.id, one.counted.since_us)
            if one.limit_units not in (None, one.wanted.limit_units):
                limit = {"limit_units": one.wanted.limit_units, "hush_until": hush_until}
                cursor.execute(SQL["set_limit_of_cell"], {"cell": one.cell.id, **limit})
                others.append(one.cell.id)
        watching.record_passed(cursor, others, at_us)
        return {one.key: one.cell for one in _find(rows, by_key, holder)}

    return connections.transact(open_closed)


def _open(cursor: sqlite3.Cursor, location: str, found: _Found, units: Units) -> int:
    """Open it, or have one that is open count another time; its id."""
    cell, used = found.cell.id, sum(units.values())
    for units_of_bucket in units.values():
        _refuse_too_much(location, found, units_of_bucket)
    if cell:
        _move(cursor, location, found, used)
    else:
        _refuse_too_much(location, found, used)
        asked = {**found.key._asdict(), **_times(found.wanted), "used": used}
        cursor.execute(SQL["open_cell"], {**asked, "limit_units": found.wanted.limit_units})
        cell = cursor.lastrowid or 0
    if found.wanted.rolls is not None:
        rolling.put(cursor, cell, units)
    return cell


def _move(cursor: sqlite3.Cursor, location: str, found: _Found, used: int) -> None:
    _refuse_too_much(location, found, used)
    cursor.execute(SQL["move_cell"], {"cell": found.cell.id, **_times(found.wanted), "used": used})


def _times(wanted: CellWanted) -> dict[str, int | None]:
    """From when to when it counts, as columns."""
    opens_us, width_us = (None, None) if wanted.rolls is None else wanted.rolls
    return {"window_end_us": wanted.window_end_us, "opens_us": opens_us, "width_us": width_us}


def _refuse_too_much(location: str, found: _Found, used: int) -> None:
    if -COUNTER_MAX <= used <= COUNTER_MAX:
        return
    allocation, resource, _ = found.key
    what = f"resource {resource}" if resource else f"grant {allocation}"
    raise LedgerError(
        location=location,
        reason=f"{used} units were booked on {what}, more than a limit can count",
        remedy=f"remove allocation {allocation} on it" if resource else "grant under another id",
    )


def _refuse_if_changed(rows: Rows, change: int) -> None:
    [(_, _, _, now)] = rows(SQL["state"], {})
    if now != change:
        raise Stale
