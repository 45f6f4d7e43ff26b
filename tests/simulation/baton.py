"""The baton: threads of which one runs at a time, from one step to the next, as a seed says.

Here: who runs, and virtual time. Not here: what runs (host.py), what must hold after each step (truth.py).

A thread gives the baton away at each `step`: before and after each verb of the ledger, and where it would
wait for another thread or for time to pass. Whatever runs between two steps is one step for everybody else.
"""

import random
from collections.abc import Callable
from threading import Lock, Thread, local

NOW_US = 1_700_000_000_000_000


class Disposed(BaseException):
    """The simulation is over: what still waits somewhere ends."""


class Task:
    """One thread of one process."""

    def __init__(self, baton: "Baton", process: object, name: str, work: Callable[[], object]) -> None:
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


class Baton:
    """Who has it runs."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.now_us = NOW_US  #: time that passes: sleeps go by it
        self.skew_us = 0  #: by how much the host's clock was set since
        self.latest_us = NOW_US  #: the latest that it ever showed
        self.disposed = False
        self.tasks: list[Task] = []
        self.here = local()
        self.back = Lock()
        self.back.acquire()

    @property
    def wall_us(self) -> int:
        """What the host's clock shows."""
        shown_us = self.now_us + self.skew_us
        self.latest_us = max(self.latest_us, shown_us)
        return shown_us

    def begin(self, process: object, name: str, work: Callable[[], object]) -> Task:
        """A new thread, which runs when its turn comes."""
        task = Task(self, process, name, work)
        self.tasks.append(task)
        return task

    def step(self) -> None:
        """Others may run now. Of no task (setting up, or a look at the end): nothing happens."""
        task: Task | None = getattr(self.here, "task", None)
        if task is not None:
            task.rest()

    def sleep(self, seconds: float) -> None:
        """Others run until so much time has passed."""
        task: Task | None = getattr(self.here, "task", None)
        if task is None:
            self.now_us += int(seconds * 1e6)
            return
        task.wakes_us = self.now_us + int(seconds * 1e6)
        task.rest()

    def turn(self, may_run: Callable[[Task], bool]) -> Task | None:
        """One step of one task that may run; where all sleep, time passes. None: nobody is left."""
        self.tasks = [task for task in self.tasks if not task.done]
        able = [task for task in self.tasks if may_run(task)]
        if not able:
            return None
        awake = [task for task in able if task.wakes_us <= self.now_us]
        if not awake:
            self.now_us = min(task.wakes_us for task in able)
            awake = [task for task in able if task.wakes_us <= self.now_us]
        task = self.chance.choice(awake)
        task.run()
        if task.failed is not None:
            raise task.failed
        return task

    def dispose(self) -> None:
        """End every thread, wherever it waits."""
        self.disposed = True
        for task in self.tasks:
            while not task.done:
                task.run()
