"""Thresholds, with several processes, restarts and kill −9: each crossing is recorded exactly once.

WA1, NW2: by whichever process books what crosses it; one that dies before its hook is done leaves the
telling to the next.
"""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from stiggctl import ThresholdCrossed, UsageControl

from .crosser import ASK

ROOT = Path(__file__).parents[2]
LIMIT = 1_200
THRESHOLDS = list(range(5, 85, 5))


def model(limit: int = LIMIT) -> dict[str, Any]:
    """A user, whose limit has as many thresholds as it may."""
    return {
        "resourceTypes": [{"id": "user"}],
        "resources": [{"id": "user", "resourceTypeId": "user", "customerId": "c"}],
        "allocations": [
            {"resourceId": "user", "creditCurrency": "ai-tokens", "limit": limit, "thresholds": THRESHOLDS}
        ],
    }


def crossing(path: Path, log: Path, units: int) -> "subprocess.Popen[bytes]":
    """A process at work."""
    run = [sys.executable, "-m", "tests.crashes.crosser", str(path), str(log), str(units)]
    return subprocess.Popen(run, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)})


def recorded(path: Path) -> list[ThresholdCrossed]:
    """What the ledger says was crossed; each is what its event says."""
    with UsageControl(path) as control:
        used = {event.event_id: at for at, event in enumerate(control.events("c"), 1)}
        found = control.crossings()
        assert all(used[str(one.event_id)] == one.used for one in found)
        assert list(control.verify()) == []
        return found


def heard(log: Path) -> Counter[int]:
    """How often hooks heard of each."""
    return (
        Counter(int(line.split()[0]) for line in log.read_text().splitlines()) if log.exists() else Counter()
    )


def marks(thresholds: list[int], limit: int = LIMIT) -> list[tuple[int, int]]:
    """Which unit crosses which."""
    return [(one, -(-limit * one // 100)) for one in thresholds]


def test_of_four_processes_one_records_and_tells_each_crossing(tmp_path: Path) -> None:
    path, log = tmp_path / "usage.db", tmp_path / "log"
    with UsageControl(path) as control:
        control.apply(model())
    running = [crossing(path, log, LIMIT) for _ in range(4)]
    assert [one.wait(120) for one in running] == [0] * 4
    found = recorded(path)
    assert [(one.threshold, one.used) for one in found] == marks(THRESHOLDS)
    assert heard(log) == Counter(THRESHOLDS)


def test_a_process_that_dies_in_its_hook_leaves_the_telling_to_the_next(tmp_path: Path) -> None:
    path, log = tmp_path / "usage.db", tmp_path / "log"
    with UsageControl(path) as control:
        control.apply(model())
    assert crossing(path, log, -LIMIT).wait(120) == -signal.SIGKILL
    assert [(one.threshold, one.used) for one in recorded(path)] == marks(THRESHOLDS[:1])
    assert heard(log) == Counter()
    told: list[ThresholdCrossed] = []
    with UsageControl(path) as control:
        control.consume(**ASK, amount=1)  # it buries the dead
        control.subscribe(told.append, kinds=ThresholdCrossed)
        deadline = time.monotonic() + 30
        while not told and time.monotonic() < deadline:
            time.sleep(0.01)
    assert [one.threshold for one in told] == [5]
    with UsageControl(path) as control:
        control.subscribe(told.append, kinds=ThresholdCrossed)
    assert len(told) == 1
    assert len(recorded(path)) == 1


@pytest.mark.parametrize("seed", range(2))
def test_killed_at_any_moment_each_crossing_is_recorded_once(tmp_path: Path, seed: int) -> None:
    """And told, twice at most to those whose process died between its hook and its mark."""
    chance = random.Random(seed)
    path, log = tmp_path / "usage.db", tmp_path / "log"
    with UsageControl(path) as control:
        control.apply(model())
    running = [crossing(path, log, LIMIT) for _ in range(4)]
    deaths = 0
    try:
        for _ in range(6):
            time.sleep(chance.uniform(0.05, 0.6))
            victim = running.pop(0)
            victim.send_signal(signal.SIGKILL)
            deaths += victim.wait() == -signal.SIGKILL
            running.append(crossing(path, log, LIMIT))
        for one in running:
            assert one.wait(120) == 0
    finally:
        for one in running:
            with contextlib.suppress(ProcessLookupError):
                one.kill()
    found = recorded(path)
    crossed = [(one.threshold, one.used) for one in found]
    assert crossed == marks(THRESHOLDS), f"seed {seed}"
    told: list[ThresholdCrossed] = []
    with UsageControl(path) as control:
        control.report(customer_id="c", **ASK, amount=0)
        control.subscribe(told.append, kinds=ThresholdCrossed)
        deadline = time.monotonic() + 30
        while set(heard(log)) | {one.threshold for one in told} != set(THRESHOLDS):
            assert time.monotonic() < deadline, "what a dead process had taken was told by nobody"
            time.sleep(0.01)
    counted = heard(log) + Counter(int(one.threshold) for one in told)
    assert sum(counted.values()) <= len(THRESHOLDS) + deaths, f"seed {seed}"
