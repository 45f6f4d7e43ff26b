"""Fates: what happens to processes, as a seed says: they die, stop, close and fork; the clock is set.

Here: when, and to whom; each seed has fates of its own. Not here: what a death is (host.py), what must hold
(truth.py).
"""

from collections.abc import Callable

from stiggctl.decision.holds import ENDS_US

from .baton import Task
from .callers import Caller
from .host import Host, Process
from .truth import Truth

#: Processes that one seed ever sees.
PROCESSES_MAX = 8
#: Where a process dies, beside right now: before or after a verb of the ledger, or as it writes its page.
TRAPS = (
    "before exchange",
    "after exchange",
    "after exchange",
    "before enlist",
    "after enlist",
    "after bury",
    "after open_cells",
    "after obey",
    "after change_model",
    "in the middle of a page record",
    "in the middle of a page record",
    "after a record was cleared",
)


class Fates:
    """Those of one host."""

    def __init__(self, host: Host, truth: Truth) -> None:
        self._host = host
        self._truth = truth
        self._baton = host.baton
        chance = self._chance = host.baton.chance
        self._begun = 0
        self._tasks_max = 1 + chance.randrange(5)
        # One seed has much of one fate and nothing of another: together they would hide each other.
        self._fates: list[Callable[[Process], None]] = []
        for fate in (
            self._die, self._die, self._be_trapped, self._be_trapped, self._stop, self._stop,
            self._stop_a_thread, self._close, self._fork, self._set_the_clock,
        ):  # fmt: skip
            if chance.random() < 0.6:
                self._fates.append(fate)
        self._set_forward = chance.random() < 0.5  # in one run one way: sums by the clock stay what they are
        self._fate = chance.choice((0.02, 0.05, 0.1))

    # ------------------------------------------------------------------ beginning

    def begin_process(self, inherited: Process | None = None) -> Process:
        """One comes, with threads that call; a forked one settles what its parent reserved, too."""
        self._begun += 1
        process = Process(self._baton, self._truth.path, f"p{self._begun}", self._host)
        process.before_death = self._truth.is_on_its_page
        self._truth.processes.append(process)
        if self._chance.random() < 0.1 and self._be_trapped in self._fates:
            process.trap = self._chance.choice(("before enlist", "after enlist"))
        reservations = [] if inherited is None else list(inherited.open)
        for at in range(1 + self._chance.randrange(self._tasks_max)):
            caller = Caller(process, self._truth, f"{process.name}-{at}")
            many = 3 + self._chance.randrange(8)
            process.begin(f"calls-{at}", lambda caller=caller, many=many: caller.calls(many))
        if reservations:
            heir = Caller(process, self._truth, f"{process.name}-heir")
            process.begin("inherits", lambda: heir.settle_inherited(reservations))
        process.keep_beating()
        return process

    # ------------------------------------------------------------------ now and then

    def strike(self) -> None:
        """Something happens, perhaps."""
        if not self._fates or self._chance.random() >= self._fate:
            return
        living = [one for one in self._truth.processes if one.alive and not one.closing]
        if living:
            self._chance.choice(self._fates)(self._chance.choice(living))

    def _die(self, process: Process) -> None:
        self._host.seen["deaths"] += 1
        stripes = process.holder.stripes.values()
        self._host.seen["deaths in a settle"] += any(stripe.settling for stripe in stripes)
        self._host.seen["deaths that hold something"] += any(stripe.holds for stripe in stripes)
        process.die()
        self._succeed()

    def _be_trapped(self, process: Process) -> None:
        if process.trap is None:
            process.trap = self._chance.choice(TRAPS)
            self._succeed()

    def _succeed(self) -> None:
        if self._begun < PROCESSES_MAX:
            self.begin_process()

    def _stop(self, process: Process) -> None:
        """SIGSTOP, a debugger, a machine that stands still: longer than what it holds lasts, perhaps."""
        self._host.seen["processes stopped"] += 1
        for_us = self._chance.choice((100_000, 1_000_000, 4_000_000))
        process.stopped_until_us = self._baton.now_us + for_us
        ends_us = [
            hold[ENDS_US] for stripe in process.holder.stripes.values() for hold in stripe.holds.values()
        ]
        until_us = self._baton.clock_us() + for_us
        self._host.seen["processes stopped longer than their ttl"] += any(one <= until_us for one in ends_us)

    def _stop_a_thread(self, process: Process) -> None:
        """The system does not give it a turn, while the others of its process go on."""
        tasks: list[Task] = [one for one in self._baton.tasks if one.process is process and not one.done]
        if tasks:
            self._host.seen["threads stopped"] += 1
            self._chance.choice(tasks).wakes_us = self._baton.now_us + self._chance.choice(
                (300_000, 1_200_000, 4_000_000)
            )

    def _close(self, process: Process) -> None:
        self._host.seen["closes"] += 1
        process.begin("closes", process.close)
        self._succeed()

    def _fork(self, process: Process) -> None:
        """The child is another process (H4), and has its parent's reservations."""
        if self._begun < PROCESSES_MAX:
            self._host.seen["forks"] += 1
            self.begin_process(process)

    def _set_the_clock(self, process: Process) -> None:
        del process
        by_us = self._chance.choice((700_000, 3_000_000, 61_000_000, 3_660_000_000))
        kind = "clock set forward" if self._set_forward else "clock set back"
        self._host.seen[kind] += 1
        self._baton.set_by_us += by_us if self._set_forward else -by_us
