"""One host: processes on one ledger file, each with real holder code, over virtual time.

Here: the clock, a process (a real control over a ledger whose verbs are steps, and that is slow or fails now
and then), how it begins, forks, closes and dies. Not here: what its callers do, when it meets which fate
(fates.py), what must hold (truth.py).

A process that dies is never run again, wherever it was: between commit and answer, in a settle, between two
words of its page, while it waits. What a system does at a death happens: its lock is free. Its page stays
as it was.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stiggctl import LedgerUnavailable, Reservation, UsageControl
from stiggctl.control import opening
from stiggctl.holder.liveness import Presence
from stiggctl.ledger import Ledger, Stale
from stiggctl.ledger.records import Batch, Reply

from .baton import A_MOMENT, Baton, Task, TurnLock

#: Verbs beside the exchange that write, and after which the answer may be late, or never come.
_WRITES = ("enlist", "bury", "raise_ttl", "open_cells", "change_model", "obey")
#: How often a process looks what others want; its other beat comes with every twelfth of these.
BEAT_SECONDS = 0.02


@dataclass
class Host:
    """What all processes have together."""

    baton: Baton
    failing: float = 0.0  #: how often a verb of the ledger fails, before its commit or after
    slow: float = 0.0  #: how often it takes its time
    torn: float = 0.0  #: how often others run between two words of a page record
    seen: Counter[str] = field(default_factory=Counter)  #: what happened, by kind, and how often


class VirtualClock:
    """The host's clock: every process reads the same."""

    def __init__(self, baton: Baton) -> None:
        self._baton = baton

    def now_us(self) -> int:
        return self._baton.clock_us()

    def monotonic_ns(self) -> int:
        return self._baton.now_us * 1_000


class VirtualWaiting:
    """How a holder waits for others: they run."""

    def __init__(self, process: "Process") -> None:
        self._process = process

    def seconds(self) -> float:
        return self._process.host.baton.now_us / 1e6

    def pause(self, seconds: float) -> None:
        """While inside, this process wants something of the others."""
        process = self._process
        process.wants += 1
        process.host.baton.sleep(seconds)
        process.wants -= 1


class SteppingLedger:
    """A real ledger; each verb is a step, may be slow, and may fail before or after its commit."""

    def __init__(self, ledger: Ledger, process: "Process") -> None:
        self._ledger = ledger
        self._process = process
        self._host = process.host
        self.at_work = 0  #: exchanges that were sent and not answered
        self.now_us = 0  #: the clock reading of the last that was committed

    @property
    def failing(self) -> float:
        """How often it fails, to each process of its host."""
        return self._host.failing

    @failing.setter
    def failing(self, often: float) -> None:
        self._host.failing = often

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._ledger, name)
        if name not in _WRITES:
            return found

        def verb(*given: Any, **named: Any) -> Any:
            return self._said(name, lambda: found(*given, **named))

        return verb

    def reader(self) -> Any:
        self._host.baton.step()
        self._fail("ledger calls that failed")
        return self._ledger.reader()

    def exchange(self, batch: Batch) -> Reply:
        self.at_work += 1
        try:
            return self._said("exchange", lambda: self._exchange(batch))
        finally:
            self.at_work -= 1

    def _exchange(self, batch: Batch) -> Reply:
        try:
            reply = self._ledger.exchange(batch)
        except Stale:
            self._host.seen["exchanges of an old model"] += 1
            raise
        self.now_us = batch.now_us
        return reply

    def _said(self, name: str, verb: Callable[[], Any]) -> Any:
        """What the ledger answers: others run before and after, and each may take its time."""
        self._process.at(f"before {name}")
        self._slowly()
        self._fail("ledger calls that failed")
        answer = verb()
        self._process.at(f"after {name}")
        self._slowly()
        self._fail("ledger calls of unknown outcome")
        return answer

    def _slowly(self) -> None:
        host = self._host
        if host.slow and host.baton.at_work() and host.baton.chance.random() < host.slow:
            host.seen["slow ledger calls"] += 1
            host.baton.sleep(host.baton.chance.choice((0.05, 0.3, 1.2)))
        else:
            host.baton.step()

    def _fail(self, kind: str) -> None:
        host = self._host
        if host.failing and host.baton.chance.random() < host.failing:
            host.seen[kind] += 1
            raise LedgerUnavailable(location="simulated", reason="it was lost", remedy="try again")


class Process:
    """One process of the host."""

    def __init__(self, baton: Baton, path: Path, name: str, host: Host | None = None) -> None:
        self.host = host = Host(baton) if host is None else host
        self.name = name
        self.alive = True
        self.closing = False
        self.stopped_until_us = 0
        self.wants = 0  #: its threads that wait for others to give back
        self.trap: str | None = None  #: where it dies
        self.open: list[Reservation] = []  #: what its callers were told and did not settle
        self.control = UsageControl(path, clock=VirtualClock(baton), reservation_ttl_seconds=60)
        # Each control of the simulation is another process's: none finds the holder of another.
        opening._holders.clear()
        self.holder = holder = self.control._holder
        opening._controls.pop(holder)  # nor is any closed when this one ends
        holder.keeper.start = lambda: None  # its steps are tasks of the simulation
        holder.waiting = VirtualWaiting(self)
        holder._enlisting = TurnLock(baton)
        holder.exchange.close = lambda: None  # nobody here has an event loop, and a committer for it
        self.ledger = SteppingLedger(holder.ledger, self)
        holder.ledger = holder.others._ledger = self.ledger
        self.presence: Presence | None = None  #: also before the holder knows of it, and after it left
        self.beating: Task | None = None
        self.before_death: Callable[[Process], None] = lambda _: None

    def begin(self, name: str, work: Callable[[], object]) -> Task:
        """One of its threads."""
        return self.host.baton.begin(self, f"{self.name}.{name}", work)

    def at(self, place: str) -> None:
        """One of its threads is there; perhaps it goes no further."""
        if self.trap is not None and place.startswith(self.trap):
            self.host.seen[f"deaths {place}"] += 1
            self.die()
            self.host.baton.step()

    def keep_beating(self) -> None:
        """What its keeper does, until it is closed."""
        self.beating = self.begin("beats", self._beats)

    def _beats(self) -> None:
        beat, holder = 0, self.holder
        while not self.closing:
            beat += 1
            self._beat(holder.recalls.beat)
            if beat % 12 == 0:
                self._beat(holder.keeper.beat)
            self.host.baton.sleep(BEAT_SECONDS)

    def _beat(self, beat: Callable[[int], None]) -> None:
        try:
            beat(self.host.baton.clock_us())
        except LedgerUnavailable:
            self.host.baton.step()  # as the keeper: it is told, and the next beat may do better

    def close(self) -> None:
        """As its last control does: from here on its calls are refused."""
        self.closing = True
        while self.beating is not None and not self.beating.done:
            self.host.baton.sleep(A_MOMENT)  # close waits for the beat that is under way
        self.holder.close()

    def die(self) -> None:
        """SIGKILL: it does nothing more, and the system frees its lock."""
        self.before_death(self)
        if self.ledger.at_work:
            self.host.seen["deaths with an exchange under way"] += 1
        self.alive = False
        presence = self.presence or self.holder._presence
        if presence is not None:
            presence._lock.release()

    def let_go(self) -> None:
        """The simulation is over: nothing of it stays open."""
        self.alive = False
        self.ledger._ledger.close()
        if self.presence is not None:
            self.presence.leave()
