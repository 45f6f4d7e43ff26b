"""The truth: what callers were told, held against the file, after every step (SHARES: invariants 1 to 9).

Here: what was admitted and booked, what is free, what must hold. Not here: who does what (callers.py).

It is told by others than the code under test: by what callers were answered, by rows that are read with
sqlite3 alone, and by pages. Only what a living process holds for a call that is not answered yet is looked
up in its memory.
"""

import sqlite3
from collections import Counter, defaultdict
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
       c.lim, c.used, c.granted,
       CASE WHEN g.voided_at_us IS NOT NULL THEN 0 ELSE coalesce(g.expires_at_us, 1 << 62) END
  FROM cells AS c
       LEFT JOIN resources AS r ON r.id = c.resource
       LEFT JOIN grants AS g ON c.resource = 0 AND g.id = c.allocation"""
#: What each cell's limit is where no override is in force.
LIMITS = """
SELECT c.id, a.lim FROM cells AS c JOIN allocations AS a ON a.id = c.allocation WHERE c.resource > 0"""
SHARES = """
SELECT s.cell, s.holder, s.until_us, s.granted, s.exact, h.state
  FROM shares AS s JOIN holders AS h ON h.id = s.holder"""
EVENTS = """
SELECT id, key, reservation, amount_units, flags, occurred_at_us FROM events WHERE id > ? ORDER BY id"""


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
    over: bool = False  #: its end came; where the clock is set back after that, it is over all the same


@dataclass(eq=False)
class Asking:
    """A call that is under way; whether its amount was too much for some limit, at some moment of it.

    A limit of its window: of that of each moment, for the clock may turn it, forward or back.
    """

    who: str
    units: int
    was_short: bool = False


@dataclass
class Truth:
    """What was told, and what stands in the file."""

    path: Path
    baton: Baton
    processes: list[Process] = field(default_factory=list)
    admitted: list[Admitted] = field(default_factory=list)
    consumed: dict[str, str] = field(default_factory=dict)  #: key -> whose, once sent
    returned: dict[str, int] = field(default_factory=dict)  #: event id -> amount, of what was told as booked
    asking: list[Asking] = field(default_factory=list)
    voidable: bool = False  #: somebody may void a grant
    turns: bool = False  #: the limit of ann is by the hour, and an hour ends while they are at work
    most: dict[str, int] = field(default_factory=dict)  #: the highest that each limit ever was
    denials: int = 0
    waits: int = 0
    late: int = 0  #: that were named because they had not seen a change in time
    #: what took place, and how often: a run in which something never does shows nothing of it
    seen: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._file = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        # reservation id or key -> (units, flags, instant)
        self._events: dict[str, tuple[int, int, int]] = {}
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
        for id_, key, reservation, *rest in self._file.execute(EVENTS, [self._last]).fetchall():
            self._events[key] = tuple(rest)
            if reservation is not None:
                self._events[reservation] = tuple(rest)
            self._last = id_
        self._file.execute("COMMIT")
        self._counters(cells, shares)
        self._admitted_fit()
        self._memory_is_behind(shares)
        free = self._free(cells, shares)
        for one in self.asking:
            limits = self.limits_of(one.who, self.baton.wall_us)
            one.was_short = one.was_short or any(one.units > free.get(name, 0) for name in limits)

    def _counters(self, cells: list[tuple], shares: list[tuple]) -> None:
        """1: granted is the sum of the shares; 2: what raises it leaves it within the limit."""
        granted: defaultdict[int, int] = defaultdict(int)
        for cell, _, _, units, _, _ in shares:
            granted[cell] += units
        for id_, name, _, _, stored, _ in cells:
            assert stored == granted[id_], f"granted of {name} is {stored}, its shares are {granted[id_]}"
        for id_, name, lim, used, stored, _ in cells:
            if name != "pool" and stored > self._granted.get(id_, 0):
                assert used + stored <= lim, f"{stored} were granted of {name}: {used} of {lim} are used"
            self._granted[id_] = stored

    def _admitted_fit(self) -> None:
        """5: what was admitted, and neither settled nor over, with what is booked of it."""
        total: defaultdict[str, int] = defaultdict(int)
        now_us = self.baton.wall_us
        for one in self.admitted:
            one.over = one.over or now_us >= one.ends_us
            event = self._events.get(one.reservation_id)
            if event is not None:
                units = 0 if event[1] & EXPIRED else min(event[0], one.units)
            else:
                units = one.units if not (one.released or one.over) else 0
            for name in one.limits:
                total[name] += units
        for key, who in self.consumed.items():
            if key in self._events:
                units, _, at_us = self._events[key]
                for name in self.limits_of(who, at_us):
                    total[name] += units
        for name, units in total.items():
            most = self.most.get(name.split("@")[0])  # of each window as much
            assert most is None or units <= most, f"{units} were admitted of {most} at {name}"

    def _memory_is_behind(self, shares: list[tuple]) -> None:
        """3 and 7: what a process has is no more than the file says; of what is exact nothing is spare."""
        stored = {(cell, of): (units, exact) for cell, of, until, units, exact, _ in shares if not until}
        for process in self.processes:
            holder = process.holder
            if not process.alive or process.closes or process.ledger.at_work or holder.exchange._doubts:
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
        now_us = self.baton.wall_us
        over = {id_ for id_, *_, ends_us in cells if ends_us <= now_us}  # a grant that is
        for id_, name, lim, used, *_ in cells:
            if id_ not in over:
                free[name] += lim - used
        for cell, of, until_us, units, exact, _ in shares:
            if cell in over:  # what a grant had that is over is no part of the pool
                continue
            if until_us:
                free[names[cell]] -= units if until_us > now_us else 0
            else:
                free[names[cell]] -= units if exact else min(units, self._held(of, cell))
        return free

    def _held(self, row: int, cell: int) -> int:
        process = next((one for one in self.processes if one.holder.row == row), None)
        if process is None:
            return 10**18  # it has just enlisted, and not heard of it
        if process.alive:
            return sum(held_of(stripe).get(cell, 0) for stripe in process.holder.stripes.values())
        return on_page(process, cell, self.baton.wall_us)

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
            is_open = not (one.released or one.over)
            if one.process is process and is_open and one.reservation_id not in self._events:
                assert on_page[one.number] >= one.units * len(one.limits), one

    def returned_is_there(self) -> None:
        """9: once, with its amount."""
        rows = dict(self._file.execute("SELECT id, amount_units FROM events").fetchall())
        for event_id, units in self.returned.items():
            assert rows.get(int(event_id)) == units, f"event {event_id} was told as {units}"

    def left(self) -> dict[str, int]:
        """What of each limit is not booked, once no override is in force any more."""
        left: defaultdict[str, int] = defaultdict(int)
        limits = dict(self._file.execute(LIMITS))
        for id_, name, lim, used, _, ends_us in self._file.execute(CELLS):
            if ends_us > self.baton.wall_us:
                left[name] += limits.get(id_, lim) - used
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
    contents = read_page(process.presences[-1].page.path)
    records: Iterable = () if contents is None else contents.records
    return sum(one.amount_units for one in records if cell in one.cells and one.until_us > now_us)
