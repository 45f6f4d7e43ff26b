"""Denials of several processes, through kill −9 and restart: what is kept is what was told.

DN2, DN3, DE1: a process that is killed loses no more than what it had noted last.
"""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from stiggctl import DecisionNotFound, DenialExplained, UsageControl

ROOT = Path(__file__).parents[2]
MODEL: dict[str, Any] = {
    "resourceTypes": [{"id": "user"}],
    "resources": [{"id": "user", "resourceTypeId": "user", "customerId": "c"}],
    "allocations": [{"resourceId": "user", "creditCurrency": "ai-tokens", "limit": 100}],
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A ledger with a limit that is nearly used up."""
    path = tmp_path / "usage.db"
    with UsageControl(path) as control:
        control.apply(MODEL)
        control.consume(resource_ids=["user"], credit_currency="ai-tokens", amount=60)
    return path


def refused(path: Path, log: Path, name: str, verb: str) -> "subprocess.Popen[bytes]":
    """A process that is denied."""
    run = [sys.executable, "-m", "tests.crashes.refused", str(path), str(log), name, verb]
    return subprocess.Popen(run, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)})


def told(log: Path) -> dict[str, str]:
    """Id to sentence of what its process was told, in order."""
    lines = log.read_text().splitlines() if log.exists() else []
    return {line.split()[0]: line.split(" ", 2)[2] for line in lines}


def explained(control: UsageControl, name: str) -> DenialExplained | None:
    """None: it is not kept."""
    try:
        found = control.explain(name)
    except DecisionNotFound:
        return None
    assert isinstance(found, DenialExplained)
    return found


@pytest.mark.parametrize("verb", ["check", "consume"])
def test_what_four_processes_were_told_is_kept_with_the_numbers_of_each(
    tmp_path: Path, path: Path, verb: str
) -> None:
    """Those that only check, and those that spend."""
    logs = [tmp_path / f"log-{at}" for at in range(4)]
    running = [refused(path, log, f"client-{at}", f"{verb}:70") for at, log in enumerate(logs)]
    assert [one.wait(120) for one in running] == [0] * 4
    with UsageControl(path) as control:
        rows = list(control.denials())
        assert sum(one.times for one in rows) + control.denials_dropped() == 4 * 70
        assert control.denials_dropped() == 0
        assert {one.dimensions["client"] for one in rows} == {f"client-{at}" for at in range(4)}
        for log in logs:
            assert len(told(log)) == 70
            for name, sentence in list(told(log).items())[::7]:
                found = explained(control, name)
                assert found is not None
                assert str(found.decision) == sentence
                assert [one.amount for one in found.filled_by] == [60]
        assert control.verify() == []


@pytest.mark.parametrize("seed", range(2))
def test_who_is_killed_loses_no_more_than_what_it_noted_last(tmp_path: Path, path: Path, seed: int) -> None:
    """Nothing is kept twice, and nothing that nobody was told; the ledger adds up."""
    chance = random.Random(seed)
    before_the_end: set[str] = set()
    everything: dict[str, str] = {}
    for at in range(3):
        log = tmp_path / f"log-{at}"
        running = refused(path, log, f"client-{at}", chance.choice(["check", "consume"]))
        try:
            deadline = time.monotonic() + 60
            while not told(log):
                assert time.monotonic() < deadline
                time.sleep(0.01)
            early = set(told(log))
            with UsageControl(path) as control:  # another process has them while it lives
                while not all(explained(control, name) for name in early):
                    assert time.monotonic() < deadline, "what was told is not kept while its process lives"
                    time.sleep(0.05)
            time.sleep(chance.uniform(0, 0.5))
        finally:
            running.send_signal(signal.SIGKILL)
            assert running.wait(60) == -signal.SIGKILL
        before_the_end |= early
        everything |= told(log)
    with UsageControl(path) as control:
        rows = list(control.denials())
        names = [name for one in rows for name in (one.decision_id, *one.other_ids)]
        assert len(set(names)) == len(names), f"seed {seed}: kept twice"
        # What was told and not written down, as its process died between, may be kept as well.
        kept = {name: found for name in everything if (found := explained(control, name)) is not None}
        assert before_the_end <= kept.keys(), f"seed {seed}"
        assert len(set(names) - everything.keys()) <= 3, f"seed {seed}"
        assert all(str(found.decision) == everything[name] for name, found in kept.items())
        assert control.verify() == []
        control.check(resource_ids=["user"], credit_currency="ai-tokens", requested_usage=500)
        assert next(control.denials()).decision.requested == {"ai-tokens": 500}  # it goes on


def test_a_forked_child_keeps_its_own_and_its_parent_what_it_noted(path: Path) -> None:
    with UsageControl(path) as control:
        ask: dict[str, Any] = {"resource_ids": ["user"], "credit_currency": "ai-tokens"}
        before = control.check(**ask, requested_usage=500).decision_id
        child = os.fork()
        if child == 0:
            control.check(**ask, requested_usage=600)
            control.close()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        found = {int(one.decision.requested["ai-tokens"]): one for one in control.denials()}
        assert {amount: one.times for amount, one in found.items()} == {500: 1, 600: 1}
        assert found[500].decision_id == before
