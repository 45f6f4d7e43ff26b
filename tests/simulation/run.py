"""A run: a seed makes a host, its processes live and die, and at the end all is quiet.

Here: one run. Not here: which seeds (test_simulation.py), planted faults (test_planted.py).
"""

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from stiggctl import AccessDenied, UsageControl
from stiggctl.holder.under_way import UnderWay
from stiggctl.holder.waiting import Wake

from .baton import NOW_US, Baton
from .callers import Caller
from .host import Process, VirtualClock
from .truth import HOUR_US, Truth

STEPS_MAX = 60_000


def model(
    limits: dict[str, int], grants: tuple[int, ...], *, turns: bool = False, rolls: bool = False
) -> dict[str, Any]:
    """An org with two users; perhaps prepaid credits. The limit of ann may turn, that of bob may roll."""
    windows: dict[str, dict[str, Any]] = {}
    if turns:
        windows["ann"] = {"cadence": "PT1H"}
    if rolls:
        windows["bob"] = {"cadence": "PT1H", "rolling": True}
    return {
        "resourceTypes": [{"id": "org"}, {"id": "user", "parentResourceTypeId": "org"}],
        "resources": [
            {"id": "org", "resourceTypeId": "org", "customerId": "acme"},
            {"id": "ann", "resourceTypeId": "user", "parentResourceId": "org"},
            {"id": "bob", "resourceTypeId": "user", "parentResourceId": "org"},
        ],
        "allocations": [
            {"resourceId": name, "creditCurrency": "t", "limit": limit, **windows.get(name, {})}
            for name, limit in limits.items()
        ],
        "grants": [
            {"id": f"g{at}", "customerId": "acme", "creditCurrency": "t", "amount": amount, "priority": at}
            for at, amount in enumerate(grants)
        ],
    }


class Run:
    """One seed."""

    def __init__(self, seed: int, room: Path, *, failing: bool = True, deaths: bool = True) -> None:
        self.baton = baton = Baton(seed)
        chance = self.chance = baton.chance
        self.path = room / f"{seed}.db"
        self.deaths = deaths
        self.failing = chance.choice((0.0, 0.02, 0.1)) if failing else 0.0
        self.pooled = chance.random() < 0.3
        limits = {name: chance.choice((60, 400, 1_500, 4_000)) for name in ("org", "ann", "bob")}
        grants = (chance.choice((20, 500)), chance.choice((100, 2_000))) if self.pooled else ()
        self.limits = limits
        turns, rolls = chance.random() < 0.3, chance.random() < 0.3
        if turns:  # a moment before the end of an hour
            baton.now_us += HOUR_US - baton.now_us % HOUR_US - chance.choice((500_000, 2_000_000))
        with UsageControl(self.path, clock=VirtualClock(baton)) as control:
            control.apply(model(limits, grants, turns=turns, rolls=rolls))
        self.truth = Truth(self.path, baton, most={**limits, **({"pool": sum(grants)} if grants else {})})
        self.truth.turns = turns
        self.most = 1 + chance.randrange(6)
        self.begun = 0
        self.deaths_seen = self.stops_seen = 0

    def run(self) -> Truth:
        """To the quiet end."""
        with pytest.MonkeyPatch.context() as patch:
            # A thread that sleeps for another of its process wakes whenever it is its turn (WK1).
            patch.setattr(Wake, "sleep", lambda _: self.baton.step() or True)
            patch.setattr(UnderWay, "wait", lambda _, key: self.baton.step())
            try:
                self._live()
                self._come_to_rest()
            finally:
                self.baton.dispose()
                for process in self.truth.processes:
                    with suppress(Exception):
                        process.holder.ledger._ledger.close()
                self.truth.close()
        return self.truth

    def _live(self) -> None:
        for _ in range(self.most):
            self._begin_process()
        for step in range(STEPS_MAX):
            if self.baton.turn(lambda task: task.process.may_run()) is None:
                self._wake_one()
            self.truth.look()
            if step % 10 == 0:
                self._fate()
            if all("beats" in task.name or not task.process.alive for task in self.baton.tasks):
                return
        raise AssertionError(f"still at work after {STEPS_MAX} steps: a deadlock")

    def _begin_process(self) -> None:
        self.begun += 1
        process = Process(self.baton, self.path, f"p{self.begun}", self.failing)
        self.truth.processes.append(process)

        def first() -> None:
            process.holder.become_holder()
            for at in range(1 + self.chance.randrange(3)):
                caller = Caller(process, self.truth, self.baton, f"{process.name}-{at}")
                process.begin(
                    f"calls-{at}", lambda caller=caller: caller.calls(4 + self.chance.randrange(14))
                )
            process.begin("beats", process.beats)

        process.begin("begins", first)

    def _fate(self) -> None:
        """Now and then somebody dies, is stopped, or comes."""
        living = [one for one in self.truth.processes if one.alive]
        drawn = self.chance.random()
        if self.deaths and drawn < 0.02 and living:
            process = self.chance.choice(living)
            self.truth.is_on_its_page(process)
            process.die()
            self.deaths_seen += 1
            if self.begun < 9:
                self._begin_process()
        elif drawn < 0.04 and living:
            self.stops_seen += 1
            self.chance.choice(living).stopped_until_us = self.baton.now_us + self.chance.choice(
                (100_000, 1_000_000, 4_000_000)
            )

    def _wake_one(self) -> None:
        """Nobody may run: time passes until the first that was stopped goes on."""
        stopped = [one.stopped_until_us for one in self.truth.processes if one.alive]
        if stopped:
            self.baton.now_us = max(self.baton.now_us, min(stopped))

    def _come_to_rest(self) -> None:
        """8: whoever asks for all that is left gets it, once the last hold is over."""
        self.truth.look()
        self.truth.returned_is_there()
        self._beat_for(70.0)
        for process in self.truth.processes:
            process.ledger.failing = 0.0
        living = [one for one in self.truth.processes if one.alive and one.holder.is_holder]
        for process in living or [self._newcomer()]:
            for who in ("ann", "bob"):
                self._take_all(process, who)
        self.truth.look()
        with process.control._holder.ledger.reader() as reader:
            assert reader.differences() == []

    def _newcomer(self) -> Process:
        process = Process(self.baton, self.path, "last")
        self.truth.processes.append(process)
        return process

    def _beat_for(self, seconds: float) -> None:
        until_us = self.baton.now_us + int(seconds * 1e6)
        for process in self.truth.processes:
            process.stopped_until_us = 0
        while self.baton.now_us < until_us:
            if self.baton.turn(lambda task: task.process.alive and "beats" in task.name) is None:
                self.baton.now_us = until_us  # all are dead
        self.truth.look()

    def _take_all(self, process: Process, who: str) -> None:
        left, limits = self.truth.left(), self.truth.limits_of(who, self.baton.now_us)
        # One that nobody has come to yet stands in no cell: all of it is left.
        most = min(left.get(name, self.truth.most[name.split("@")[0]]) for name in limits)
        answers: list[object] = []

        def ask() -> None:
            ask = {"resource_ids": [who], "credit_currency": "t"}
            try:
                with pytest.raises(AccessDenied):
                    process.control.reserve(**ask, amount=max(0, most) + 1)
                if most > 0:
                    process.control.reserve(**ask, amount=most).release()
                answers.append("all")
            except AccessDenied as denied:
                answers.append(denied)

        task = process.begin("asks", ask)
        for _ in range(STEPS_MAX):
            if task.done:
                break
            self.baton.turn(lambda one: one is task or (one.process.alive and "beats" in one.name))
        assert answers == ["all"], f"{process.name} asked for {most} of {limits}: {answers}"


__all__ = ["NOW_US", "Run"]
