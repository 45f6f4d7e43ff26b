"""Several real processes on one ledger: exact to the unit, whoever dies, stops or comes.

RK1 to RK4: others are asked for what they hide, and answer within a beat; who does not is named.
"""

import contextlib
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stiggctl import AccessDenied, AccessDeniedReason, UsageControl

from .worker import ASK

ROOT = Path(__file__).parents[2]
#: An answer that does not come is a failure, not a wait for ever.
SECONDS_MAX = 120


def model(limit: int) -> dict[str, Any]:
    return {
        "resourceTypes": [{"id": "team"}, {"id": "user", "parentResourceTypeId": "team"}],
        "resources": [
            {"id": "team", "resourceTypeId": "team", "customerId": "c"},
            {"id": "user", "resourceTypeId": "user", "parentResourceId": "team"},
        ],
        "allocations": [
            {"resourceId": "team", "creditCurrency": "ai-tokens", "limit": limit},
            {"resourceId": "user", "creditCurrency": "ai-tokens", "limit": 10**9},
        ],
    }


class Worker:
    """One process, and what it is told."""

    def __init__(self, path: Path, module: str = "worker") -> None:
        self._run = subprocess.Popen(
            [sys.executable, "-m", f"tests.crashes.{module}", str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
        self.pid = self._run.pid

    def begin(self, *verb: Any) -> None:
        assert self._run.stdin is not None
        self._run.stdin.write(json.dumps(verb).encode() + b"\n")
        self._run.stdin.flush()

    def answer(self) -> Any:
        assert self._run.stdout is not None
        line = self._run.stdout.readline()
        assert line, "the worker ended by itself"
        return json.loads(line)

    def __call__(self, *verb: Any) -> Any:
        self.begin(*verb)
        return self.answer()

    def send(self, signalled: int) -> None:
        os.kill(self.pid, signalled)
        if signalled == signal.SIGSTOP:
            self.await_stop()  # that is later than the signal
        if signalled == signal.SIGKILL:
            self._run.communicate()

    def await_stop(self) -> None:
        """Until it stands still, by whose signal ever."""
        _, how = os.waitpid(self.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(how)

    def end(self) -> None:
        self._run.kill()
        self._run.communicate()

    @property
    def lives(self) -> bool:
        return self._run.poll() is None


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "usage.db"


@contextlib.contextmanager
def workers(path: Path, many: int, module: str = "worker") -> Iterator[list[Worker]]:
    """So many at work; killed at the end, whatever happens."""
    those = [Worker(path, module) for _ in range(many)]
    try:
        yield those
    finally:
        for one in those:
            one.end()


def describe(path: Path, limit: int) -> None:
    with UsageControl(path) as control:
        control.apply(model(limit))


def in_the_file(path: Path) -> tuple[int, int, int]:
    """(limit, used, granted) of the team."""
    with contextlib.closing(sqlite3.connect(path)) as looking:
        rows = looking.execute(
            "SELECT c.lim, c.used, c.granted FROM cells AS c JOIN resources AS r ON r.id = c.resource"
            " WHERE r.resource_id = 'team'"
        ).fetchall()
    return rows[0] if rows else (0, 0, 0)  # nobody has come to it yet


def test_four_processes_of_four_threads_admit_exactly_the_limit(path: Path) -> None:
    describe(path, 6_000)
    with workers(path, 4) as four:
        for one in four:
            one.begin("exhaust", 4, 0)
        assert sum(one.answer() for one in four) == 6_000
        assert in_the_file(path)[1:] == (6_000, 0)
    with UsageControl(path) as control:
        assert control.verify() == []
        assert control.check(**ASK).remaining == 0


@pytest.mark.parametrize("seed", range(3))
def test_whoever_is_killed_no_limit_is_passed_and_the_rest_is_admitted_in_the_end(
    path: Path, seed: int
) -> None:
    print(f"seed {seed}")  # noqa: T201 - so that a failure replays
    chance, limit = random.Random(seed), 3_000
    describe(path, limit)
    with workers(path, 4) as those:
        for one in those:
            one.begin("exhaust", 4, 1)
        for _ in range(chance.randrange(6, 13)):
            time.sleep(chance.uniform(0.05, 0.4))
            chance.choice(those).send(signal.SIGKILL)
            those[:] = [one for one in those if one.lives]
            those.append(Worker(path))
            those[-1].begin("exhaust", 4, 1)
            _, used, _ = in_the_file(path)
            assert used <= limit
        for one in those:
            one.answer()
    time.sleep(2.1)  # the last hold of a dead one is over
    with UsageControl(path) as control:
        assert control.verify() == []
        remaining = control.check(**ASK, requested_usage=0).remaining
        assert remaining == limit - in_the_file(path)[1]
        if remaining:
            assert control.consume(**ASK, amount=remaining).charged == remaining
        with pytest.raises(AccessDenied):
            control.consume(**ASK, amount=1)
        assert control.verify() == []
    assert in_the_file(path) == (limit, limit, 0)


def insisting(control: UsageControl, amount: int) -> Any:
    """A reserve that is tried again as long as others do not answer, within reason."""
    for _ in range(40):
        try:
            return control.reserve(**ASK, amount=amount)
        except AccessDenied as denied:
            reason = denied.decision.access_denied_reason
        assert reason is AccessDeniedReason.SHARE_UNAVAILABLE
    raise AssertionError("they never answered")


@pytest.mark.parametrize("then", [signal.SIGCONT, signal.SIGKILL])
def test_who_is_stopped_hides_its_spare_and_is_named_until_it_goes_on_or_dies(path: Path, then: int) -> None:
    """RK1, RK3: retryable, within the bound; never robbed."""
    describe(path, 1_000)
    with workers(path, 1) as [stopped], UsageControl(path) as control:
        assert stopped("consume", 1) == 1  # alone it takes all
        assert stopped("reserve", 4, 600) == 4
        stopped.send(signal.SIGSTOP)
        began = time.monotonic()
        with pytest.raises(AccessDenied) as denied:
            control.reserve(**ASK, amount=1)
        assert time.monotonic() - began < 5
        decision = denied.value.decision
        assert decision.access_denied_reason is AccessDeniedReason.SHARE_UNAVAILABLE
        assert f"process {stopped.pid}" in str(decision)
        assert decision.remedy is not None
        assert decision.remedy.kind == "RETRY"
        assert control.check(**ASK, requested_usage=995)  # a look is in nobody's way
        stopped.send(then)
        assert insisting(control, 995).amount == 995
        with pytest.raises(AccessDenied) as full:
            control.reserve(**ASK, amount=1)
        assert full.value.decision.access_denied_reason is AccessDeniedReason.BUDGET_EXCEEDED
        if then == signal.SIGCONT:
            assert stopped("settle", 4) == 4


def test_eight_processes_that_report_one_key_are_charged_once(path: Path) -> None:
    describe(path, 1_000)
    with workers(path, 8) as eight:
        for one in eight:
            one.begin("report", "the-key")
        answers = [one.answer() for one in eight]
    assert len({event for event, _ in answers}) == 1
    assert sum(not duplicate for _, duplicate in answers) == 1
    with UsageControl(path) as control:
        assert [event.amounts for event in control.events("c")] == [{"ai-tokens": 1}]


def test_a_change_binds_others_before_apply_returns_and_who_is_stopped_is_named(path: Path) -> None:
    """RK4, RK1."""
    describe(path, 1_000)
    with workers(path, 2) as [one, other], UsageControl(path) as control:
        assert one("consume", 1) == other("consume", 1) == 1
        assert control.apply(model(10)).waiting_for == ()
        assert one("consume", 9)["denied"] == "BUDGET_EXCEEDED"
        assert (one("consume", 4), other("consume", 4)) == (4, 4)
        assert not one("check", 1)
        assert not other("check", 1)
        assert control.check(**ASK).remaining == 0
        other.send(signal.SIGSTOP)
        assert control.suspend("user").waiting_for == (f"process {other.pid}",)
        assert one("consume", 0)["denied"] == "SUSPENDED"
        other.send(signal.SIGCONT)
        assert control.resume("user").waiting_for == ()
        assert other("consume", 0) == 0


def test_a_look_counts_what_all_of_them_hold(path: Path) -> None:
    """H2: of a process that holds nothing, and of one that does; what is spare is nobody's."""
    describe(path, 1_000)
    with workers(path, 2) as [one, other], UsageControl(path) as control:
        assert one("reserve", 30, 600) == 30
        assert other("reserve", 40, 600) == 40
        assert one("consume", 100) == 100
        assert control.check(**ASK, requested_usage=830)
        assert not control.check(**ASK, requested_usage=831)
        node = control.tree("team", "ai-tokens")
        assert (node.used, node.held, node.remaining) == (100, 70, 830)
        assert other("check", 830)
        assert not one("check", 831)
        assert not other("check", 831)
        assert one("release") is None
        assert control.check(**ASK, requested_usage=0).remaining == 860
