"""One host: processes on one ledger file, each with real holder code, over virtual time.

Here: a process (a real control over a ledger whose verbs are steps, and that fails now and then), how it
begins, is stopped and dies. Not here: what its callers do, and what must hold (truth.py).

A process that dies is never run again, wherever it was: between commit and answer, in a settle, while it
waits. What a system does at a death happens: its lock is free. Its page stays as it was.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stiggctl import ControlClosed, LedgerUnavailable, UsageControl
from stiggctl.control import opening
from stiggctl.holder.liveness import Presence
from stiggctl.holder.page import Page
from stiggctl.holder.under_way import UnderWay
from stiggctl.holder.waiting import Wake
from stiggctl.ledger import Ledger
from stiggctl.ledger.records import Batch, Reply

from .baton import Baton, Task

#: Verbs after which the answer may be late, or never come.
_WRITES = ("enlist", "bury", "raise_ttl", "open_cells", "change_model", "obey")


class VirtualClock:
    """The host's clock: every process reads the same, and somebody sets it now and then."""

    def __init__(self, baton: Baton) -> None:
        self._baton = baton

    def now_us(self) -> int:
        return self._baton.wall_us

    def monotonic_ns(self) -> int:
        return self._baton.now_us * 1_000


class VirtualWaiting:
    """How a holder waits for others: they run."""

    def __init__(self, baton: Baton) -> None:
        self._baton = baton

    def seconds(self) -> float:
        return self._baton.now_us / 1e6

    def pause(self, seconds: float) -> None:
        self._baton.sleep(seconds)


class SteppingLedger:
    """A real ledger; each verb is a step, and an exchange may fail before or after its commit."""

    def __init__(self, ledger: Ledger, baton: Baton, failing: float) -> None:
        self._ledger = ledger
        self._baton = baton
        self.failing = failing
        self.at_work = 0  #: exchanges that were sent and not answered

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._ledger, name)
        if name not in _WRITES:
            return found

        def verb(*given: Any, **named: Any) -> Any:
            self._baton.step()
            answer = found(*given, **named)
            self._baton.step()
            return answer

        return verb

    def reader(self) -> Any:
        self._baton.step()
        return self._ledger.reader()

    def exchange(self, batch: Batch) -> Reply:
        self.at_work += 1
        try:
            self._baton.step()
            self._fail()
            reply = self._ledger.exchange(batch)
            self._baton.step()
            self._fail()
            return reply
        finally:
            self.at_work -= 1

    def _fail(self) -> None:
        if self.failing and self._baton.chance.random() < self.failing:
            raise LedgerUnavailable(location="simulated", reason="it was lost", remedy="try again")


class Process:
    """One process of the host."""

    def __init__(self, baton: Baton, path: Path, name: str, failing: float = 0.0) -> None:
        self.name = name
        self.alive = True
        self.closes = False  #: it was told to; from here on nobody begins a call
        self.stopped_until_us = 0
        self.pause_seconds = 0.02  #: between two beats
        self.presences: list[Presence] = []  #: lock files that it has, from before it is a holder
        self.control = UsageControl(path, clock=VirtualClock(baton), reservation_ttl_seconds=60)
        # Each control of the simulation is another process's: none finds the holder of another.
        opening._holders.clear()
        self.holder = self.control._holder
        opening._controls.pop(self.holder)  # nor is any closed when this one ends
        self.holder.keeper.start = lambda: None  # its steps are tasks of the simulation
        self.holder.waiting = VirtualWaiting(baton)
        self.ledger = SteppingLedger(self.holder.ledger, baton, failing)
        self.holder.ledger = self.holder.others._ledger = self.ledger
        self._baton = baton

    def begin(self, name: str, work: Callable[[], object]) -> Task:
        """One of its threads."""
        return self._baton.begin(self, f"{self.name}.{name}", work)

    def may_run(self) -> bool:
        """Whether it is neither dead nor stopped."""
        return self.alive and self.stopped_until_us <= self._baton.now_us

    def beats(self) -> None:
        """What its keeper does, for ever."""
        while True:
            for _ in range(5):
                if self.closes:
                    return
                self._beat(self.holder.recalls.beat)
                self._baton.sleep(self.pause_seconds)
            self._beat(self.holder.keeper.beat)

    def _beat(self, beat: Callable[[int], None]) -> None:
        try:
            beat(self._baton.wall_us)
        except LedgerUnavailable:
            self._baton.step()  # as the keeper: it is told, and the next beat may do better
        except ControlClosed:
            assert self.closes

    def close(self) -> None:
        """It goes in peace: what it holds stays withheld until its end, the rest is free."""
        self.closes = True
        try:
            self.holder.close()
        except LedgerUnavailable:
            self._baton.step()

    def die(self) -> None:
        """SIGKILL: it does nothing more, and the system frees its locks."""
        self.alive = False
        for presence in {*self.presences, self.holder._presence} - {None}:
            presence._lock.release()


def steps_in_a_process(patch: pytest.MonkeyPatch, baton: Baton) -> None:
    """What a process does beside the ledger is a step, too: it may die before and after a record of its page.

    A half written record is none: its amount is the last word (tests/holder/test_page.py).
    """
    begin, write = Presence.begin.__func__, Page.write  # type: ignore[attr-defined]  # a class method

    def begun(cls: type[Presence], *given: Any) -> Presence:
        task = getattr(baton.here, "task", None)
        presence: Presence = begin(cls, *given)
        if task is not None:
            task.process.presences.append(presence)
        baton.step()
        return presence

    def written(self: Page, *given: Any) -> int:
        baton.step()
        slot = write(self, *given)
        baton.step()
        return slot

    patch.setattr(Presence, "begin", classmethod(begun))
    patch.setattr(Page, "write", written)
    # A thread that sleeps for another of its process wakes whenever it is its turn (WK1).
    patch.setattr(Wake, "sleep", lambda _: baton.step() or True)
    patch.setattr(UnderWay, "wait", lambda _, key: baton.step())
