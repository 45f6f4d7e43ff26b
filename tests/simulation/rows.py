"""Rows: what the file says, read with sqlite3 alone, and read again only where something was committed.

Here: cells, shares and events as they are now. Not here: what must hold of them (truth.py).
"""

import sqlite3
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

POOL = "pool"
NEVER = 2**63 - 1

CELLS = """
SELECT c.id,
       CASE WHEN c.resource = 0 THEN 'pool'
            WHEN c.window_start_us > 0 THEN r.resource_id || '@' || c.window_start_us
            ELSE r.resource_id END,
       c.lim, c.used, c.granted, g.effective_at_us,
       CASE WHEN g.voided_at_us IS NOT NULL THEN 0  -- for ever, whatever a clock says since
            ELSE coalesce(g.expires_at_us, c.closes, ?1) END,
       c.hush_until, c.width_us IS NOT NULL
  FROM cells AS c
  LEFT JOIN resources AS r ON r.id = c.resource
  LEFT JOIN grants AS g ON c.resource = 0 AND g.id = c.allocation
 UNION ALL  -- grants that nobody has come to yet: all of them is free
SELECT -g.id, 'pool', g.amount_units, 0, 0, g.effective_at_us,
       ifnull(g.expires_at_us, ?1), 0, 0
  FROM grants AS g
 WHERE g.voided_at_us IS NULL AND g.id NOT IN (SELECT allocation FROM cells WHERE resource = 0)"""
#: What limits are by the model: a cell whose override has ended says so when it is next opened.
LIMITS = """
SELECT r.resource_id, a.lim FROM allocations AS a JOIN resources AS r ON r.id = a.resource
 WHERE a.enforcement = 'HARD'"""
OVERRIDES = """
SELECT r.resource_id, o.lim, ifnull(o.effective_at_us, o.put_at_us), o.expires_at_us
  FROM overrides AS o JOIN resources AS r ON r.id = o.resource
 ORDER BY 3, o.id"""
BUCKETS = "SELECT cell, start_us, used FROM buckets"
SHARES = """
SELECT s.cell, s.holder, s.until_us, s.granted, s.exact FROM shares AS s"""
EVENTS = """
SELECT id, key, reservation, amount_units, flags, occurred_at_us
  FROM events WHERE id > ? ORDER BY id"""
#: What the cells that have no window, do not roll and are no grants count, by resource.
BOOKED = """
SELECT r.resource_id, sum(e.amount_units)
  FROM events AS e JOIN path_resources AS p ON p.path = e.path JOIN resources AS r ON r.id = p.resource
 WHERE e.id > ? GROUP BY r.resource_id"""
PAID = "SELECT sum(amount) FROM event_grants"


class CellNow(NamedTuple):
    """One cell; those of all grants have one name."""

    id: int
    name: str
    lim: int
    used: int
    granted: int
    opens_us: int | None
    closes_us: int
    hush_until_us: int
    buckets: list[tuple[int, int]] | None  #: (start, units), of one that rolls

    def is_open(self, at_us: int) -> bool:
        """Whether that instant lies in it."""
        return (self.opens_us or 0) <= at_us < self.closes_us


class ShareNow(NamedTuple):
    """What a process was granted; or, with an end, what a dead one held."""

    cell: int
    holder: int
    until_us: int
    units: int
    exact: int


class EventNow(NamedTuple):
    """One event."""

    id: int
    units: int
    flags: int
    occurred_at_us: int


class Rows:
    """The file, as of the last look."""

    def __init__(self, path: Path) -> None:
        self._file = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._version = self._last = -1
        self._booked: defaultdict[str, int] = defaultdict(int)
        self._paid = 0
        self._limits: dict[str, int] = {}
        self.overrides: list[tuple[str, int, int, int]] = []  #: (resource, limit, since, until)
        self.cells: dict[int, CellNow] = {}
        self.shares: list[ShareNow] = []
        self.of_living: dict[tuple[int, int], tuple[int, int]] = {}  #: (cell, holder) -> (units, exact)
        self.events: dict[str, EventNow] = {}  #: by key, and by reservation
        self.twice: list[str] = []  #: reservations that several events are of
        self.events_by_id: dict[int, EventNow] = {}

    def look(self) -> bool:
        """Read it; whether anything was committed since the last time."""
        (version,) = self._file.execute("PRAGMA data_version").fetchone()
        if version == self._version:
            return False
        self._version = version
        self._file.execute("BEGIN")
        cells = self._file.execute(CELLS, [NEVER]).fetchall()
        rolling: dict[int, list[tuple[int, int]]] = {row[0]: [] for row in cells if row[-1]}
        if rolling:
            for cell, start_us, units in self._file.execute(BUCKETS).fetchall():
                rolling[cell].append((start_us, units))
        self.shares = [ShareNow(*row) for row in self._file.execute(SHARES).fetchall()]
        self._limits = dict(self._file.execute(LIMITS).fetchall())
        self.overrides = self._file.execute(OVERRIDES).fetchall()
        events = self._file.execute(EVENTS, [self._last]).fetchall()
        if events:
            for name, units in self._file.execute(BOOKED, [self._last]).fetchall():
                self._booked[name] += units
            (self._paid,) = self._file.execute(PAID).fetchone()
        self._file.execute("COMMIT")
        self.cells = {row[0]: CellNow(*row[:-1], rolling.get(row[0])) for row in cells}
        self.of_living = {(s.cell, s.holder): (s.units, s.exact) for s in self.shares if not s.until_us}
        for id_, key, reservation, *of_event in events:
            event = self.events_by_id[id_] = EventNow(id_, *of_event)
            if reservation is not None:
                if reservation in self.events:
                    self.twice.append(reservation)
                self.events[reservation] = event
            self.events[key] = event
            self._last = id_
        return True

    def limit_of(self, cell_name: str, at_us: int) -> int:
        """What the limit of a resource is at an instant."""
        name = cell_name.partition("@")[0]
        limit = self._limits[name]
        for of, overridden, since_us, until_us in self.overrides:
            if of == name and since_us <= at_us < until_us:
                limit = overridden
        return limit

    def is_wanted_of(self, holder: int, now_us: int) -> bool:
        """Whether others want what that process may have to spare."""
        return any(
            share.holder == holder
            and share.units
            and not (share.exact or share.until_us)
            and self.cells[share.cell].hush_until_us > now_us
            for share in self.shares
            if share.cell in self.cells
        )

    def used_is_booked(self) -> bool:
        """Of cells that count all events for ever, and of all grants together (1)."""
        paid = sum(cell.used for cell in self.cells.values() if cell.name == POOL)
        lasting = [
            cell
            for cell in self.cells.values()
            if cell.name != POOL and cell.closes_us == NEVER and cell.buckets is None
        ]
        return paid == (self._paid or 0) and all(cell.used == self._booked[cell.name] for cell in lasting)

    def close(self) -> None:
        """Let the file go."""
        self._file.close()
