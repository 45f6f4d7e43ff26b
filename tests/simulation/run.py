"""A run: a seed makes a host, its processes live and die, and at the end all is quiet.

Here: one run. Not here: which seeds (test_simulation.py), planted faults (test_planted.py).
"""

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from stiggctl import AccessDenied, ControlClosed, LedgerUnavailable, UsageControl
from stiggctl.windows import to_text

from .baton import NOW_US, Baton
from .callers import Caller
from .host import Process, VirtualClock, steps_in_a_process
from .truth import HOUR_US, Truth

STEPS_MAX = 60_000
PROCESSES_MAX = 9


def model(
    limits: dict[str, int],
    grants: tuple[int, ...],
    *,
    turns: bool = False,
    rolls: bool = False,
    expires_us: int = 0,
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
            {
                "id": f"g{at}",
                "customerId": "acme",
                "creditCurrency": "t",
                "amount": amount,
                "priority": at,
                **({"expiresAt": to_text(expires_us)} if at == 0 and expires_us else {}),
            }
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
        expires_us = baton.now_us + chance.choice((0, 800_000, 3_000_000))
        expires = self.pooled and expires_us > baton.now_us
        with UsageControl(self.path, clock=VirtualClock(baton)) as control:
            control.apply(
                model(limits, grants, turns=turns, rolls=rolls, expires_us=expires_us if expires else 0)
            )
        self.truth = Truth(self.path, baton, most={**limits, **({"pool": sum(grants)} if grants else {})})
        self.truth.turns = turns
        self.truth.voidable = self.pooled and not expires
        self.truth.seen.update(
            {"a window that turns": turns, "a rolling limit": rolls, "a grant that expires": expires}
        )
        self.sets_clock = chance.random() < 0.3
        self.most = 1 + chance.randrange(6)
        self.begun = 0

    def run(self) -> Truth:
        """To the quiet end."""
        with pytest.MonkeyPatch.context() as patch:
            steps_in_a_process(patch, self.baton)
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
                self.truth.seen["a step"] += step
                return
        raise AssertionError(f"still at work after {STEPS_MAX} steps: a deadlock")

    def _begin_process(self) -> None:
        self.begun += 1
        process = Process(self.baton, self.path, f"p{self.begun}", self.failing)
        self.truth.processes.append(process)

        def first() -> None:
            try:
                process.holder.become_holder()
            except (ControlClosed, LedgerUnavailable):
                return  # it was told to close meanwhile
            for at in range(1 + self.chance.randrange(3)):
                caller = Caller(process, self.truth, self.baton, f"{process.name}-{at}")
                process.begin(
                    f"calls-{at}", lambda caller=caller: caller.calls(4 + self.chance.randrange(14))
                )
            process.begin("beats", process.beats)

        process.begin("begins", first)

    def _fate(self) -> None:
        """Now and then somebody dies, closes, is stopped or comes, or somebody sets the clock."""
        living = [one for one in self.truth.processes if one.alive and not one.closes]
        drawn = self.chance.random()
        if self.deaths and drawn < 0.02 and living:
            self._die(self.chance.choice(living))
        elif drawn < 0.04 and living:
            self.truth.seen["a stop"] += 1
            self.chance.choice(living).stopped_until_us = self.baton.now_us + self.chance.choice(
                (100_000, 1_000_000, 4_000_000)
            )
        elif self.deaths and drawn < 0.045 and living:
            self.truth.seen["a close"] += 1
            process = self.chance.choice(living)
            process.begin("closes", process.close)
        elif drawn < 0.05 and self.begun < PROCESSES_MAX:
            self.truth.seen["a newcomer"] += 1  # as a fork: it has nothing
            self._begin_process()
        elif self.sets_clock and drawn < 0.055:
            self.truth.seen["a clock that is set"] += 1
            self.baton.skew_us += self.chance.choice((-HOUR_US, -2_000_000, -200_000, 300_000, 5_000_000))

    def _die(self, process: Process) -> None:
        self.truth.seen["a death"] += 1
        self.truth.seen["a death before it is a holder"] += not process.holder.is_holder
        self.truth.seen["a death in an exchange"] += process.ledger.at_work > 0
        self.truth.is_on_its_page(process)
        process.die()
        if self.begun < PROCESSES_MAX:
            self._begin_process()

    def _wake_one(self) -> None:
        """Nobody may run: time passes until the first that was stopped goes on."""
        stopped = [one.stopped_until_us for one in self.truth.processes if one.alive]
        if stopped:
            self.baton.now_us = max(self.baton.now_us, min(stopped))

    def _come_to_rest(self) -> None:
        """8: whoever asks for all that is left gets it, once the last hold is over."""
        self.truth.look()
        self.truth.returned_is_there()
        # Whatever was to end by the clock does: it may have been set back since.
        self.baton.skew_us = max(self.baton.skew_us, self.baton.latest_us - self.baton.now_us)
        for process in self.truth.processes:
            process.pause_seconds = 0.5  # nothing is asked: ends are what is waited for
        self._beat_for(70.0)
        for process in self.truth.processes:
            process.ledger.failing = 0.0
            process.pause_seconds = 0.02
        self._beat_for(0.6)  # until each beats so often
        living = [
            one for one in self.truth.processes if one.alive and one.holder.is_holder and not one.closes
        ]
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
        answers: list[object] = []

        def ask() -> None:
            ask = {"resource_ids": [who], "credit_currency": "t"}
            most = self._most(who)
            try:
                more = process.control.reserve(**ask, amount=max(0, most) + 1)
            except AccessDenied:
                pass
            else:  # meanwhile something has left a rolling window
                assert self._most(who) > most, f"{process.name} was admitted {more.amount} of {most}"
                more.release()
                most = self._most(who)
            try:
                if most > 0:
                    process.control.reserve(**ask, amount=most).release()
                answers.append("all")
            except AccessDenied as denied:
                answers.append(f"{most}: {denied}")

        task = process.begin("asks", ask)
        for _ in range(STEPS_MAX):
            if task.done:
                break
            self.baton.turn(lambda one: one is task or (one.process.alive and "beats" in one.name))
        assert answers == ["all"], f"{process.name} asked for what is left of {who}: {answers}"

    def _most(self, who: str) -> int:
        """What is left for somebody."""
        left, limits = self.truth.left(), self.truth.limits_of(who, self.baton.wall_us)
        # One that nobody has come to yet stands in no cell: all of it is left.
        return min(left.get(name, self.truth.most[name.split("@")[0]]) for name in limits)


__all__ = ["NOW_US", "Run"]
