"""A run: a seed makes a host, its processes live and die, and at the end all is quiet.

Here: one run. Not here: which seeds (test_simulation.py), planted faults (test_planted.py).
"""

import random
import secrets
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from stiggctl import AccessDenied, UsageControl
from stiggctl.holder import exchange, liveness
from stiggctl.holder.under_way import UnderWay
from stiggctl.holder.waiting import LOOK_SECONDS, Wake

from .baton import A_MOMENT, NOW_US, Baton, Task
from .fates import Fates
from .host import Host, Process, VirtualClock
from .pages import stepping
from .rows import POOL
from .truth import HOUR_US, Truth

STEPS_MAX = 60_000
#: How long nothing can stay held once nobody calls: the longest ttl, and a beat or two.
QUIET_SECONDS = 70.0


def model(
    limits: dict[str, int], grants: tuple[int, ...], *, turns: bool = False, rolls: bool = False,
    first_ends_us: int | None = None,
) -> dict[str, Any]:  # fmt: skip
    """An org with users; perhaps prepaid credits. The limit of ann may turn, that of bob may roll."""
    windows: dict[str, dict[str, Any]] = {}
    if turns:
        windows["ann"] = {"cadence": "PT1H"}
    if rolls:
        windows["bob"] = {"cadence": "PT1H", "rolling": True}
    ends = {}
    if first_ends_us is not None:
        ends = {"expiresAt": datetime.fromtimestamp(first_ends_us / 1e6, UTC).isoformat()}
    return {
        "resourceTypes": [{"id": "org"}, {"id": "team", "parentResourceTypeId": "org"}, {"id": "user"}],
        "resources": [
            {"id": "org", "resourceTypeId": "org", "customerId": "acme"},
            {"id": "east", "resourceTypeId": "team", "parentResourceId": "org"},
            {"id": "west", "resourceTypeId": "team", "parentResourceId": "org"},
            {"id": "ann", "resourceTypeId": "user", "parentResourceId": "org"},
            {"id": "bob", "resourceTypeId": "user", "parentResourceId": "org"},
            {"id": "carl", "resourceTypeId": "user", "parentResourceId": "east"},
        ],
        "allocations": [
            {"resourceId": "east", "creditCurrency": "t", "limit": 200},
            *(
                {"resourceId": name, "creditCurrency": "t", "limit": limit, **windows.get(name, {})}
                for name, limit in limits.items()
            ),
        ],
        "grants": [
            {"id": f"g{at}", "customerId": "acme", "creditCurrency": "t", "amount": amount, "priority": at}
            | (ends if at == 0 else {})
            for at, amount in enumerate(grants)
        ],
    }


class Run:
    """One seed."""

    def __init__(self, seed: int, room: Path) -> None:
        baton = Baton(seed)
        chance = self._chance = baton.chance
        self.host = host = Host(baton)
        path = room / f"{seed}.db"
        host.failing = chance.choice((0.0, 0.01, 0.05))
        host.slow = chance.choice((0.0, 0.02, 0.1))
        host.torn = chance.choice((0.0, 0.1, 0.5))
        limits = {name: chance.choice((60, 150, 400, 1_500)) for name in ("org", "ann", "bob")}
        grants = (chance.choice((20, 200)), chance.choice((100, 700))) if chance.random() < 0.4 else ()
        turns, rolls = chance.random() < 0.4, chance.random() < 0.4
        if turns:  # a moment before the end of an hour
            baton.now_us += HOUR_US - baton.now_us % HOUR_US - chance.choice((500_000, 2_000_000))
        ends_us = baton.now_us + chance.choice((300_000, 1_000_000)) if chance.random() < 0.5 else None
        with UsageControl(path, clock=VirtualClock(baton)) as control:
            control.apply(model(limits, grants, turns=turns, rolls=rolls, first_ends_us=ends_us))
        most = {**limits, **({POOL: sum(grants)} if grants else {})}
        self.truth = Truth(host, path, most, turns=turns, rolls=rolls)
        self._fates = Fates(host, self.truth)
        self._together = 1 + chance.randrange(6)

    def run(self) -> Counter[str]:
        """To the quiet end; what happened."""
        with pytest.MonkeyPatch.context() as patch:
            put_on_steps(self.host, patch)
            try:
                self._live()
                self._come_to_rest()
            finally:
                self.host.baton.dispose()
                _sleepers.clear()
                for process in self.truth.processes:
                    with suppress(Exception):
                        process.let_go()
                self.truth.close()
        return self.host.seen

    def _live(self) -> None:
        baton, truth = self.host.baton, self.truth
        for _ in range(self._together):
            self._fates.begin_process()
        for step in range(STEPS_MAX):
            task = baton.turn()
            if task is None:
                if not self._wake_one():
                    break
                continue
            truth.look(task.process)
            if step % 10 == 0:
                self._fates.strike()
            if all("beats" in one.name for one in baton.tasks if one.process.alive and not one.done):
                break
        else:
            still = [(one.name, one.wakes_us - baton.now_us) for one in baton.tasks if not one.done]
            raise AssertionError(f"still at work after {STEPS_MAX} steps: {still}")
        self.host.seen["steps"] += step

    def _wake_one(self) -> bool:
        """Nobody may run: time passes until the first that was stopped goes on; False: nobody is left."""
        baton = self.host.baton
        stopped = [task.process.stopped_until_us for task in baton.tasks if not task.done]
        if stopped:
            baton.now_us = max(baton.now_us, min(stopped))
        return bool(stopped)

    # ------------------------------------------------------------------ the quiet end

    def _come_to_rest(self) -> None:
        """8: every spare returns, and whoever asks for all that is left gets it, once no hold is left."""
        truth, host = self.truth, self.host
        truth.look()
        truth.returned_is_there()
        host.failing = host.slow = host.torn = 0.0
        for process in truth.processes:
            process.stopped_until_us, process.trap = 0, None
        self._beat_for(1.5)
        # What was held when the clock was set back is held so much longer.
        host.baton.now_us += int(QUIET_SECONDS * 1e6) + max(0, -host.baton.set_by_us)
        self._beat_for(2.5)
        living = [one for one in truth.processes if one.alive and not one.closing and one.holder.is_holder]
        host.seen["quiet ends"] += 1
        host.seen["quiet ends in company"] += len(living) > 1
        # Of a window that a clock was set back before, and that came again, nothing lies in memory.
        if len(living) > 1 and host.baton.set_by_us >= 0:
            assert not truth.spare(), f"nobody calls, and yet {truth.spare()} is spare"
        for process in living or [self._newcomer()]:
            for who in ("ann", "bob"):
                self._take_all(process, who)
        truth.look()
        with (
            living[0].ledger._ledger.reader()
            if living
            else truth.processes[-1].ledger._ledger.reader() as reader
        ):
            assert reader.differences() == []

    def _newcomer(self) -> Process:
        process = Process(self.host.baton, self.truth.path, "last", self.host)
        self.truth.processes.append(process)
        return process

    def _beat_for(self, seconds: float) -> None:
        baton = self.host.baton
        until_us = baton.now_us + int(seconds * 1e6)
        while baton.now_us < until_us:
            if baton.turn(lambda task: "beats" in task.name) is None:
                baton.now_us = until_us  # all are dead
        self.truth.look()

    def _take_all(self, process: Process, who: str) -> None:
        left, limits = self.truth.left(), self.truth.limits_of(who, self.host.baton.clock_us())
        most = min(left[name] for name in limits)
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
            self.host.baton.turn(lambda one: one is task or "beats" in one.name)
        assert answers == ["all"], f"{process.name} asked for {most} of {limits}: {answers}"


class NoThread:
    """In the place of one that goes on for an interrupted one: at the end all are, and nobody goes on."""

    def __init__(self, **_: object) -> None:
        pass

    def start(self) -> None:
        """It does nothing."""


_sleepers: dict[Wake, Task] = {}
_up = Wake.up


def sleeping(baton: Baton, wake: Wake) -> bool:
    """A thread sleeps for another of its process, and now and then wakes for nothing (WK1)."""
    task = baton.at_work()
    assert task is not None  # nobody else calls
    if wake._lock.acquire(blocking=False):
        return True
    _sleepers[wake] = task
    baton.sleep(baton.chance.choice((0.0, LOOK_SECONDS, LOOK_SECONDS, LOOK_SECONDS)))
    _sleepers.pop(wake, None)
    return wake._lock.acquire(blocking=False)


def woken(baton: Baton, wake: Wake) -> None:
    """It sleeps no more, or will not fall asleep."""
    _up(wake)
    task = _sleepers.get(wake)
    if task is not None:
        task.wakes_us = min(task.wakes_us, baton.now_us)


def put_on_steps(host: Host, patch: pytest.MonkeyPatch) -> None:
    """Whatever would wait for another thread of its process lets it run; and names are the seed's."""
    baton = host.baton
    names = random.Random(baton.chance.random())

    def until_it_left(self: UnderWay, key: str, standing: Any) -> None:
        while self._keys.get(key) is standing:
            baton.sleep(A_MOMENT)

    begin = liveness.Presence.begin.__func__  # type: ignore[attr-defined]  # a class method

    def noted(cls: type, *given: Any) -> liveness.Presence:
        presence = begin(cls, *given)
        task = baton.at_work()
        if task is not None:
            task.process.presence = presence
        return presence

    patch.setattr(Wake, "sleep", lambda wake: sleeping(baton, wake))
    patch.setattr(Wake, "up", lambda wake: woken(baton, wake))
    patch.setattr(UnderWay, "_wait", until_it_left)
    patch.setattr(liveness.Presence, "begin", classmethod(noted))
    patch.setattr(liveness, "Page", stepping(host))
    patch.setattr(exchange, "Thread", NoThread)
    patch.setattr(secrets, "token_hex", lambda size: names.randbytes(size).hex())


__all__ = ["NOW_US", "Run", "model", "put_on_steps"]
