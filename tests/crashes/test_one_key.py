"""One key, from many processes at once: it is charged once, also where only one of them would fit."""

import signal
from pathlib import Path

import pytest

from stiggctl import UsageControl
from stiggctl.testing import ManualClock

from .company import describe, insisted
from .test_several import workers
from .troubled import NOON


@pytest.mark.parametrize("limit", [5, 100_000])
def test_eight_processes_that_consume_under_one_key_are_charged_once(tmp_path: Path, limit: int) -> None:
    """The limit lets one in: the others are told what it was told, not that they are denied."""
    path = tmp_path / "usage.db"
    describe(path, limit)
    with workers(path, 8, "troubled") as eight:
        for one in eight:
            one.begin("consume_key", "the-key", 5)
        answers = [one.answer() for one in eight]
        # Who had to wait for one of the others too long asks again.
        answers = [
            insisted(one, "consume_key", "the-key", 5) if isinstance(answer, dict) else answer
            for one, answer in zip(eight, answers, strict=True)
        ]
        assert len({event for event, _ in answers}) == 1
        assert sum(not duplicate for _, duplicate in answers) == 1
    with UsageControl(path, clock=ManualClock(NOON)) as control:
        assert [event.amounts for event in control.events("c")] == [{"ai-tokens": 5}]
        assert control.verify() == []
        assert control.check(
            resource_ids=["user"], credit_currency="ai-tokens", requested_usage=0
        ).remaining == (limit - 5)


def test_a_key_whose_process_is_killed_before_its_commit_is_charged_by_who_sends_it_again(
    tmp_path: Path,
) -> None:
    """Seven wait for the write lock of one that is stopped inside, and is killed there."""
    path = tmp_path / "usage.db"
    describe(path, 5)
    with workers(path, 8, "troubled") as [dying, *others]:
        dying("consume_for", "first", 1)
        dying("stop_at", 0)
        dying.begin("consume_key", "the-key", 5)
        dying.await_stop()
        for one in others:
            one.begin("consume_key", "the-key", 5)
        dying.send(signal.SIGKILL)
        answers = [one.answer() for one in others]
        answers = [
            insisted(one, "consume_key", "the-key", 5) if isinstance(answer, dict) else answer
            for one, answer in zip(others, answers, strict=True)
        ]
        assert len({event for event, _ in answers}) == 1
        assert sum(not duplicate for _, duplicate in answers) == 1
    with UsageControl(path, clock=ManualClock(NOON)) as control:
        assert control.tree("team", "ai-tokens").used == 5
        assert control.verify() == []
