"""The truth: what callers were told, held against the file, after every step (SHARES: invariants 1 to 9).

Here: what was admitted and booked, what is free, what must hold. Not here: who does what (callers.py).

It is told by others than the code under test: by what callers were answered, by rows that are read with
sqlite3 alone, and by pages. Only what a living process holds for a call that is not answered yet is looked
up in its memory.
"""

import sqlite3
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from stiggctl.decision.cells import CELL, SPARE
from stiggctl.decision.laying import all_cells
from stiggctl.holder.page import read_page
from stiggctl.ledger.records import EXPIRED

from .baton import Baton
from .host import Process

HOUR_US = 3_600_000_000
CELLS = """
SELECT c.id,
       CASE WHEN c.resource = 0 THEN 'pool'
            WHEN c.window_start_us > 0 THEN r.resource_id || '@' || c.window_start_us
            ELSE r.resource_id END,
       c.lim, c.used, c.granted
  FROM cells AS c LEFT JOIN resources AS r ON r.id = c.resource"""
SHARES = """
SELECT s.cell, s.holder, s.until_us, s.granted, s.exact, h.state
  FROM shares AS s JOIN holders AS h ON h.id = s.holder"""
EVENTS = "SELECT id, key, reservation, amount_units, flags FROM events WHERE id > ? ORDER BY id"


@dataclass(eq=False)
class Admitted:
    """A reservation that somebody was told of."""

    process: Process
    reservation_id: str
    number: int
    limits: tuple[str, ...]
    units: int
    ends_us: int
    released: bool = False


@dataclass(eq=False)
class Asking:
    """A call that is under way; whether its amount was too much for some limit, at some moment of it."""

    limits: tuple[str, ...]
    units: int
    was_short: bool = False


@dataclass
class Truth:
    """What was told, and what stands in the file."""

    path: Path
    baton: Baton
    processes: list[Process] = field(default_factory=list)
    admitted: list[Admitted] = field(default_factory=list)
    consumed: dict[str, tuple[str, ...]] = field(default_factory=dict)  #: key -> its limits, once sent
    returned: dict[str, int] = field(default_factory=dict)  #: event id -> amount, of what was told as booked
    asking: list[Asking] = field(default_factory=list)
    turns: bool = False  #: the limit of ann is by the hour, and an hour ends while they are at work
    most: dict[str, int] = field(default_factory=dict)  #: the highest that each limit ever was
    denials: int = 0
    waits: int = 0
    late: int = 0  #: that were named because they had not seen a change in time

    def __post_init__(self) -> None:
        self._file = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        self._events: dict[str, tuple[int, int]] = {}  # reservation id or key -> (units, flags)
        self._last = 0
        self._granted: dict[int, int] = {}  # cell -> at the step before

    def limits_of(self, who: str, at_us: int) -> tuple[str, ...]:
        """What a request counts in at an instant."""
        own = f"ann@{at_us - at_us % HOUR_US}" if self.turns and who == "ann" else who
        return (own, "org", *(("pool",) if "pool" in self.most else ()))

    # ------------------------------------------------------------------ after every step

    def look(self) -> None:
        """Hold what was told against the file."""
        self._file.execute("BEGIN")
        cells = self._file.execute(CELLS).fetchall()
        shares = self._file.execute(SHARES).fetchall()
        for id_, key, reservation, units, flags in self._file.execute(EVENTS, [self._last]).fetchall():
            self._events[reservation or key] = (units, flags)
            self._last = id_
        self._file.execute("COMMIT")
        self._counters(cells, shares)
        self._admitted_fit()
        self._memory_is_behind(shares)
        free = self._free(cells, shares)
        for one in self.asking:
            one.was_short = one.was_short or any(one.units > free.get(name, 0) for name in one.limits)

    def _counters(self, cells: list[tuple], shares: list[tuple]) -> None:
        """1: granted is the sum of the shares; 2: what raises it leaves it within the limit."""
        granted: defaultdict[int, int] = defaultdict(int)
        for cell, _, _, units, _, _ in shares:
            granted[cell] += units
        for id_, name, _, _, stored in cells:
            assert stored == granted[id_], f"granted of {name} is {stored}, its shares are {granted[id_]}"
        for id_, name, lim, used, stored in cells:
            if name != "pool" and stored > self._granted.get(id_, 0):
                assert used + stored <= lim, f"{stored} were granted of {name}: {used} of {lim} are used"
            self._granted[id_] = stored

    def _admitted_fit(self) -> None:
        """5: what was admitted, and neither settled nor over, with what is booked of it."""
        total: defaultdict[str, int] = defaultdict(int)
        now_us = self.baton.now_us
        for one in self.admitted:
            event = self._events.get(one.reservation_id)
            if event is not None:
                units = 0 if event[1] & EXPIRED else min(event[0], one.units)
            else:
                units = one.units if not one.released and now_us < one.ends_us else 0
            for name in one.limits:
                total[name] += units
        for key, limits in self.consumed.items():
            for name in limits:
                total[name] += self._events.get(key, (0, 0))[0]
        for name, units in total.items():
            most = self.most.get(name.split("@")[0])  # of each window as much
            assert most is None or units <= most, f"{units} were admitted of {most} at {name}"

    def _memory_is_behind(self, shares: list[tuple]) -> None:
        """3 and 7: what a process has is no more than the file says; of what is exact nothing is spare."""
        stored = {(cell, of): (units, exact) for cell, of, until, units, exact, _ in shares if not until}
        for process in self.processes:
            holder = process.holder
            if not process.alive or process.ledger.at_work or holder.exchange._doubts:
                continue
            for stripe in list(holder.stripes.values()):
                lying = all_cells(stripe)
                held = held_of(stripe)
                for cell, place in lying.items():
                    spare, limited = stripe.numbers[place + SPARE], (cell, holder.row) in stored
                    units, exact = stored.get((cell, holder.row), (0, 0))
                    if spare > 0 or limited:
                        mine = max(0, spare) + held.get(cell, 0) + stripe.gives.get(cell, 0)
                        mine += stripe.apart.get(place, 0)
                        assert mine <= units or spare <= 0, (
                            f"{process.name} has {mine} of cell {cell}, and was granted {units}"
                        )
                    if exact and holder.alive > 1 and cell in stripe.exact:
                        assert spare <= 0, f"{process.name} hides {spare} under an exact share of {cell}"

    def _free(self, cells: list[tuple], shares: list[tuple]) -> dict[str, int]:
        """What nobody has, of each limit: neither booked, nor held, nor on its way back (6)."""
        names = {id_: name for id_, name, *_ in cells}
        free: defaultdict[str, int] = defaultdict(int)
        for _, name, lim, used, _ in cells:
            free[name] += lim - used
        for cell, of, until_us, units, exact, _ in shares:
            if until_us:
                free[names[cell]] -= units if until_us > self.baton.now_us else 0
            else:
                free[names[cell]] -= units if exact else min(units, self._held(of, cell))
        return free

    def _held(self, row: int, cell: int) -> int:
        process = next((one for one in self.processes if one.holder.row == row), None)
        if process is None:
            return 10**18  # it has just enlisted, and not heard of it
        if process.alive:
            return sum(held_of(stripe).get(cell, 0) for stripe in process.holder.stripes.values())
        return on_page(process, cell, self.baton.now_us)

    # ------------------------------------------------------------------ at a death, at the end

    def is_on_its_page(self, process: Process) -> None:
        """4: what its callers were told, and what was not settled."""
        presence = process.holder._presence
        if presence is None:
            return
        contents = read_page(presence.page.path)
        assert contents is not None
        on_page: defaultdict[int, int] = defaultdict(int)
        for record in contents.records:
            for _ in record.cells:
                on_page[record.reservation] += record.amount_units
        for one in self.admitted:
            is_open = not one.released and self.baton.now_us < one.ends_us
            if one.process is process and is_open and one.reservation_id not in self._events:
                assert on_page[one.number] >= one.units * len(one.limits), one

    def returned_is_there(self) -> None:
        """9: once, with its amount."""
        rows = dict(self._file.execute("SELECT id, amount_units FROM events").fetchall())
        for event_id, units in self.returned.items():
            assert rows.get(int(event_id)) == units, f"event {event_id} was told as {units}"

    def left(self) -> dict[str, int]:
        """What of each limit is not booked."""
        left: defaultdict[str, int] = defaultdict(int)
        for _, name, lim, used, _ in self._file.execute(CELLS):
            left[name] += lim - used
        return left

    def close(self) -> None:
        """Let the file go."""
        self._file.close()


def held_of(stripe: object) -> dict[int, int]:
    """cell -> what is held of it in memory."""
    held: defaultdict[int, int] = defaultdict(int)
    for hold in list(stripe.holds.values()):
        for places, units, *_ in hold.held:
            for place in places:
                held[stripe.numbers[place + CELL]] += units
    return held


def on_page(process: Process, cell: int, now_us: int) -> int:
    """What a dead process held of it."""
    contents = read_page(process.holder._presence.page.path)
    records: Iterable = () if contents is None else contents.records
    return sum(one.amount_units for one in records if cell in one.cells and one.until_us > now_us)
