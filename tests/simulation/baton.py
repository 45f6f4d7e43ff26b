"""The baton: threads of which one runs at a time, from one step to the next, as a seed says.

Here: who runs, and virtual time. Not here: what runs (host.py), what must hold after each step (truth.py).

A thread gives the baton away at each `step`: before and after each verb of the ledger, between the words of
a page, and where it would wait for another thread or for time to pass. Whatever runs between two steps is
one step for everybody else.
"""

import random
from collections.abc import Callable
from threading import Lock, Thread, local
from typing import Protocol, Self

NOW_US = 1_700_000_000_000_000
#: How often who waits for another thread of its process looks again: time has to pass meanwhile.
A_MOMENT = 0.002


class Disposed(BaseException):
    """The simulation is over: what still waits somewhere ends."""


class Runner(Protocol):
    """Whose threads they are."""

    alive: bool
    stopped_until_us: int


class Task:
    """One thread of one process."""

    def __init__(self, baton: "Baton", process: Runner, name: str, work: Callable[[], object]) -> None:
        self.process = process
        self.name = name
        self.done = False
        self.failed: BaseException | None = None
        self.wakes_us = 0  #: it sleeps until then
        self._baton = baton
        self._work = work
        self._turn = Lock()
        self._turn.acquire()
        self._thread = Thread(target=self._body, name=name, daemon=True)
        self._thread.start()

    def _body(self) -> None:
        self._turn.acquire()
        self._baton.here.task = self
        try:
            if not self._baton.disposed:
                self._work()
        except Disposed:
            pass
        except BaseException as error:  # noqa: BLE001 - the simulation raises it
            self.failed = error
        self.done = True
        self._baton.back.release()

    def run(self) -> None:
        """Until its next step, or its end."""
        self._turn.release()
        self._baton.back.acquire()

    def rest(self) -> None:
        """Give the baton away, and wait for it."""
        if self._baton.disposed:
            raise Disposed
        self._baton.back.release()
        self._turn.acquire()
        if self._baton.disposed:
            raise Disposed

    def end(self) -> None:
        """It runs to its end, and its thread is gone."""
        while not self.done:
            self.run()
        self._thread.join()


class Baton:
    """Who has it runs."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.now_us = NOW_US  #: how much time has passed, whatever the clock is set to
        self.set_by_us = 0  #: how far the clock was set forward or back
        self.disposed = False
        self.tasks: list[Task] = []  #: those that may run some day: not ended, and of no dead process
        self.here = local()
        self.back = Lock()
        self.back.acquire()
        self._all: list[Task] = []

    def clock_us(self) -> int:
        """What the clock on the wall says."""
        return self.now_us + self.set_by_us

    def begin(self, process: Runner, name: str, work: Callable[[], object]) -> Task:
        """A new thread, which runs when its turn comes."""
        task = Task(self, process, name, work)
        self.tasks.append(task)
        self._all.append(task)
        return task

    def at_work(self) -> Task | None:
        """The task that this is called by; None: setting up, or a look at the end."""
        return getattr(self.here, "task", None)

    def step(self) -> None:
        """Others may run now. Of no task nothing happens."""
        task = self.at_work()
        if task is not None:
            task.rest()

    def sleep(self, seconds: float) -> None:
        """Others run until so much time has passed."""
        task = self.at_work()
        if task is None:
            self.now_us += int(seconds * 1e6)
            return
        task.wakes_us = self.now_us + int(seconds * 1e6)
        task.rest()

    def turn(self, may_run: Callable[[Task], bool] | None = None) -> Task | None:
        """One step of one task; where all sleep, time passes. None: nobody is left that may run.

        `may_run`: of whom else it depends; who is stopped or dead does not run.
        """
        now_us = self.now_us
        self.tasks = tasks = [task for task in self.tasks if not task.done and task.process.alive]
        able = [
            task
            for task in tasks
            if task.process.stopped_until_us <= now_us and (may_run is None or may_run(task))
        ]
        if not able:
            return None
        awake = [task for task in able if task.wakes_us <= now_us]
        if not awake:
            self.now_us = now_us = min(task.wakes_us for task in able)
            awake = [task for task in able if task.wakes_us <= now_us]
        task = awake[0] if len(awake) == 1 else self.chance.choice(awake)
        task.run()
        if task.failed is not None:
            raise task.failed
        return task

    def dispose(self) -> None:
        """End every thread, wherever it waits."""
        self.disposed = True
        for task in self._all:
            task.end()


class TurnLock:
    """A lock of a process's own, for which its threads wait by steps."""

    def __init__(self, baton: Baton) -> None:
        self._baton = baton
        self._taken = False

    def locked(self) -> bool:
        return self._taken

    def __enter__(self) -> Self:
        while self._taken:
            self._baton.sleep(A_MOMENT)
        self._taken = True
        return self

    def __exit__(self, *_: object) -> None:
        self._taken = False
