"""The truth: what callers were told, held against the file, after every step (SHARES: invariants 1 to 9).

Here: what was admitted and booked, what is free, what must hold. Not here: who does what (callers.py), what
the file says (rows.py).

It is told by others than the code under test: by what callers were answered, by rows that are read with
sqlite3 alone, and by pages. Only what a living process holds for a call that is not answered yet is looked
up in its memory.

What a step cannot have changed is not looked at again: the file only where SQLite says that something was
committed, a process's memory only where that process ran.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from stiggctl.decision.cells import CELL, SPARE, leaves_us
from stiggctl.decision.holds import ENDS_US, HELD, NUMBER
from stiggctl.decision.laying import all_cells
from stiggctl.holder.page import PageRecord, read_page
from stiggctl.ledger.records import EXPIRED

from .host import Host, Process
from .rows import NEVER, POOL, CellNow, Rows
from .witness import MINUTE_US, Witness

HOUR_US = 3_600_000_000
CARL = ("carl", "east", "west")  #: limits that come, go and move while they are at work
ALL_OF_IT = 10**18


@dataclass(eq=False)
class Admitted:
    """A reservation that somebody was told of."""

    process: Process
    reservation_id: str
    number: int
    limits: tuple[str, ...]
    units: int
    began_us: int
    ends_us: int
    released: bool = False
    over: bool = False  #: its end has come, whatever a clock says since
    inherited: bool = False  #: a forked child may settle it, too, whenever it likes


@dataclass(eq=False)
class Asking:
    """A call that is under way; whether its amount was too much for some limit, at some moment of it."""

    who: str
    units: int
    was_short: bool = False


@dataclass
class Truth:
    """What was told, and what stands in the file."""

    host: Host
    path: Path
    most: dict[str, int]  #: the highest that each limit ever was
    turns: bool = False  #: the limit of ann is by the hour
    rolls: bool = False  #: that of bob is of the last hour
    processes: list[Process] = field(default_factory=list)
    admitted: list[Admitted] = field(default_factory=list)
    consumed: dict[str, str] = field(default_factory=dict)  #: key -> who, once sent
    refused: set[str] = field(default_factory=set)  #: keys of a consume that was denied for good
    returned: dict[str, int] = field(default_factory=dict)  #: event id -> amount, of what was told as booked
    asking: list[Asking] = field(default_factory=list)
    is_new: bool = False  #: something was told since the last look

    def __post_init__(self) -> None:
        self._rows = Rows(self.path)
        self._witness = Witness(self._rows, self.host.seen)
        self._booked: defaultdict[str, int] = defaultdict(int)  # limit -> of what was admitted and is over
        self._granted: dict[int, int] = {}  # cell -> at the look before
        self._held: dict[Process, dict[int, int]] = {}  # as of when it ran last
        self._pages: dict[Process, list[PageRecord]] = {}  # of the dead
        self._now_us = 0
        self._next_end_us = NEVER  # of what was admitted

    def limits_of(self, who: str, at_us: int) -> tuple[str, ...]:
        """What a request counts in at an instant, of the limits that stay."""
        own = {"carl": (), "ann": (f"ann@{at_us - at_us % HOUR_US}",)} if self.turns else {"carl": ()}
        return (*own.get(who, (who,)), "org", *((POOL,) if POOL in self.most else ()))

    # ------------------------------------------------------------------ after every step

    def look(self, ran: Process | None = None) -> None:
        """Hold what was told against the file. `ran`: who alone had the last step; None: anybody."""
        now_us = self.host.baton.clock_us()
        if now_us // HOUR_US != self._now_us // HOUR_US and self._now_us:
            self.host.seen["hours that began"] += 1
        self._now_us = now_us
        if ran is None:
            self._held.clear()
        else:
            self._held.pop(ran, None)
        changed = self._rows.look()
        if changed:
            self._witness.changed(now_us, self._is_held)
        self._witness.passed(now_us, self._is_held)
        self._mutual()
        if changed:
            self._counters()
        if changed or self.is_new or now_us >= self._next_end_us:
            self.is_new = False
            self._admitted_fit()
        for process in self.processes if changed or ran is None else (ran,):
            self._memory_is_behind(process)
        asking = [one for one in self.asking if not one.was_short]
        free = self._free() if asking else {}
        for one in asking:
            limits = self.limits_of(one.who, now_us)
            one.was_short = any(
                one.units > units
                for name, units in free.items()
                if name in limits or (one.who == "carl" and name.startswith(CARL))
            )

    def _mutual(self) -> None:
        """Two that recall at once: each may have what the other wants."""
        wanting = [process for process in self.processes if process.wants and process.alive]
        if len(wanting) > 1:
            self.host.seen["steps of two that recall at once"] += 1
            each = [self._rows.is_wanted_of(process.holder.row, self._now_us) for process in wanting]
            self.host.seen["two that want what the other has"] += sum(each) > 1

    def _is_held(self, cell: int) -> bool:
        """Whether a living process holds something of it."""
        return any(self._held_by(one).get(cell, 0) for one in self.processes if one.alive)

    def _counters(self) -> None:
        """1: granted is the sum of the shares, used of the events; 2: what raises it leaves it within."""
        rows, pool_grew = self._rows, False
        granted: defaultdict[int, int] = defaultdict(int)
        for share in rows.shares:
            assert share.units >= 0, share
            granted[share.cell] += share.units
        for cell in rows.cells.values():
            stored = cell.granted
            assert stored == granted[cell.id], f"granted of {cell.name}: {stored}; shares: {granted[cell.id]}"
            if stored > self._granted.get(cell.id, 0):
                pool_grew = pool_grew or cell.name == POOL
                assert cell.name == POOL or cell.used + stored <= cell.lim, (
                    f"{stored} were granted of {cell.name}: {cell.used} of {cell.lim} are used"
                )
        self._granted = {cell.id: cell.granted for cell in rows.cells.values()}
        assert rows.used_is_booked(), "what is used is not what was booked"
        assert not rows.twice, f"booked twice: {rows.twice}"  # 9
        if pool_grew:
            # By the clock reading of who drew: a grant may have ended since.
            instants = [process.ledger.now_us for process in self.processes]
            room = [self._room_of_pool(at_us) for at_us in {self._now_us, *instants}]
            assert max(room) >= 0, f"the pool was drawn to {room}"

    def _room_of_pool(self, at_us: int) -> int:
        cells = [cell for cell in self._rows.cells.values() if cell.name == POOL and cell.is_open(at_us)]
        return sum(cell.lim - cell.used - cell.granted for cell in cells)

    def _admitted_fit(self) -> None:
        """5: what was admitted, and neither settled nor over, with what is booked of it."""
        total: defaultdict[str, int] = defaultdict(int)
        now_us, events = self._now_us, self._rows.events
        still: list[Admitted] = []
        for one in self.admitted:
            one.over = one.over or now_us >= one.ends_us
            event = events.get(one.reservation_id)
            if event is not None and not one.inherited:
                units = 0 if event.flags & EXPIRED else min(event.units, one.units)
                for name in one.limits:
                    self._booked[name] += units
                continue  # as it is, it stays
            still.append(one)
            if event is None and not one.released and not one.over:
                for name in one.limits:
                    total[name] += one.units
        self.admitted = still
        self._next_end_us = min((one.ends_us for one in still if not one.over), default=NEVER)
        for key, who in list(self.consumed.items()):
            event = events.get(key)
            if event is not None:
                del self.consumed[key]
                for name in self.limits_of(who, event.occurred_at_us):
                    self._booked[name] += event.units
        for name in total.keys() | self._booked.keys():
            most, units = self.most.get(name.split("@")[0]), total[name] + self._booked[name]
            if name == "bob" and self.rolls and self.host.seen["clock set forward"]:
                continue  # what it counts has left it, perhaps
            # A window counts as much as each other one.
            assert most is None or units <= most, f"{units} were admitted of {most} at {name}"

    def _memory_is_behind(self, process: Process) -> None:
        """3 and 7: what a process has is no more than the file says; of what is exact nothing is spare."""
        holder, stored = process.holder, self._rows.of_living
        if not process.alive or process.ledger.at_work or holder.exchange._doubts or holder._closed:
            return
        held = self._held_by(process)
        for stripe in list(holder.stripes.values()):
            for cell, place in all_cells(stripe).items():
                spare = stripe.numbers[place + SPARE]
                if spare <= 0 or cell not in self._rows.cells:
                    continue  # its limit has gone, and it has not heard of it yet
                units, exact = stored.get((cell, holder.row), (0, 0))
                mine = spare + held.get(cell, 0) + stripe.gives.get(cell, 0) + stripe.apart.get(place, 0)
                assert mine <= units, f"{process.name} has {mine} of cell {cell}, and was granted {units}"
                if exact and holder.alive > 1 and cell in stripe.exact:
                    raise AssertionError(f"{process.name} hides {spare} under an exact share of {cell}")

    # ------------------------------------------------------------------ 6: what is free

    def _free(self) -> dict[str, int]:
        """What nobody has, of each limit: neither booked, nor held, nor on its way back."""
        now_us, rows = self._now_us, self._rows
        free = self._not_booked(now_us)
        counting = {
            id_: cell for id_, cell in rows.cells.items() if cell.name != POOL or cell.is_open(now_us)
        }
        for share in rows.shares:
            cell = counting.get(share.cell)
            if cell is None:
                continue
            if share.until_us:
                free[cell.name] -= share.units if share.until_us > now_us else 0
            else:
                held = share.units if share.exact else self._held_of(share.holder, cell.id)
                free[cell.name] -= max(0, min(share.units, held) - self._over_of(share.holder, cell.id))
        return free

    def _not_booked(self, now_us: int) -> dict[str, int]:
        """What is left of each limit, but for holds; all of it where nobody has come to it yet."""
        rows = self._rows
        left: defaultdict[str, int] = defaultdict(int)
        if POOL in self.most:
            left[POOL] = 0  # also where every grant has ended
        for cell in rows.cells.values():
            if cell.name != POOL:
                left[cell.name] = rows.limit_of(cell.name, now_us) - self._used(cell)
            elif cell.is_open(now_us):
                left[POOL] += cell.lim - self._used(cell)
        for who in ("ann", "bob"):
            for name in self.limits_of(who, now_us):
                if name not in left:
                    left[name] = rows.limit_of(name, now_us)
        return left

    def _used(self, cell: CellNow) -> int:
        """What counts of it now: of one that rolls, as long as it stands in the window."""
        if cell.buckets is None:
            return cell.used
        return sum(units for start, units in cell.buckets if leaves_us(start, MINUTE_US) > self._now_us)

    def _held_of(self, row: int, cell: int) -> int:
        process = next((one for one in self.processes if one.holder.row == row), None)
        if process is None:
            return ALL_OF_IT  # it has just enlisted, and not heard of it
        return self._held_by(process).get(cell, 0)

    def _over_of(self, row: int, cell: int) -> int:
        """What a living process was to give back, for its end has passed: it was stopped, perhaps."""
        process = next((one for one in self.processes if one.holder.row == row), None)
        if process is None or not process.alive:
            return 0
        told = {one.number for one in self.admitted if one.process is process}
        return sum(
            units
            for stripe in list(process.holder.stripes.values())
            for hold in list(stripe.holds.values())
            if hold[NUMBER] in told and hold[NUMBER] not in stripe.settling and hold[ENDS_US] <= self._now_us
            for places, units, *_ in hold[HELD]
            for place in places
            if stripe.numbers[place + CELL] == cell
        )

    def _held_by(self, process: Process) -> dict[int, int]:
        if not process.alive:
            return self._held_on_page(process)
        held = self._held.get(process)
        if held is None:
            held = self._held[process] = held_in_memory(process)
        return held

    def _held_on_page(self, process: Process) -> dict[int, int]:
        """What a dead process held; its page stays as it was."""
        records = self._pages.get(process)
        if records is None:
            contents = None if process.presence is None else read_page(process.presence.page.path)
            records = self._pages[process] = [] if contents is None else contents.records
        held: defaultdict[int, int] = defaultdict(int)
        for one in records:
            if one.until_us > self._now_us:
                for cell in one.cells:
                    held[cell] += one.amount_units
        return held

    # ------------------------------------------------------------------ at a death, at the end

    def is_on_its_page(self, process: Process) -> None:
        """4: what its callers were told, and what was not settled."""
        presence = process.holder._presence
        # A thread that read the clock before it was set back ends by that reading what began since.
        if presence is None or self.host.baton.set_by_us < 0:
            return
        self._rows.look()
        contents = read_page(presence.page.path)
        assert contents is not None
        on_page: defaultdict[int, int] = defaultdict(int)
        for record in contents.records:
            for _ in record.cells:
                on_page[record.reservation] += record.amount_units
        for one in self.admitted:
            is_open = not one.released and self.host.baton.clock_us() < one.ends_us and not one.over
            if one.process is process and is_open and one.reservation_id not in self._rows.events:
                assert on_page[one.number] >= one.units * len(one.limits), one

    def returned_is_there(self) -> None:
        """9: once, with its amount; and what was refused is not."""
        self._rows.look()
        for event_id, units in self.returned.items():
            event = self._rows.events_by_id.get(int(event_id))
            assert event is not None, f"event {event_id} was told as booked"
            assert event.units == units, f"event {event_id} was told as {units}, and is {event.units}"
        booked = self.refused & self._rows.events.keys()
        assert not booked, f"{booked} were denied, and booked"

    def left(self) -> dict[str, int]:
        """What of each limit is not booked."""
        self._rows.look()
        return self._not_booked(self.host.baton.clock_us())

    def spare(self) -> dict[str, int]:
        """What living processes have of each limit that counts now; once all is quiet, nothing (8).

        Who closed while the ledger was out of reach is buried by whoever needs what it had.
        """
        self._rows.look()
        now_us, spare = self.host.baton.clock_us(), defaultdict[str, int](int)
        cells = {id_: cell for id_, cell in self._rows.cells.items() if cell.is_open(now_us)}
        living = {process.holder.row for process in self.processes if process.alive and not process.closing}
        for share in self._rows.shares:
            if not share.until_us and share.holder in living and share.cell in cells:
                spare[cells[share.cell].name] += share.units
        return {name: units for name, units in spare.items() if units}

    def close(self) -> None:
        """Let the file go."""
        self._rows.close()


def held_in_memory(process: Process) -> dict[int, int]:
    """cell -> what it holds of it."""
    held: defaultdict[int, int] = defaultdict(int)
    for stripe in list(process.holder.stripes.values()):
        for hold in list(stripe.holds.values()):
            for places, units, *_ in hold[HELD]:
                for place in places:
                    held[stripe.numbers[place + CELL]] += units
    return held
