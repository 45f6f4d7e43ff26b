"""The end of the interpreter with work open: nothing hangs, nothing that was told is lost."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from stiggctl import UsageControl
from stiggctl.testing import ManualClock

from . import leaver

WAYS = [name for name in vars(leaver) if name.startswith("with_")]


def left(path: Path, how: str) -> list[str]:
    """What a process said that ended that way, quietly and soon."""
    ran = subprocess.run(
        [sys.executable, "-m", leaver.__name__, str(path), how],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    return ran.stdout.split("\n")[:-1]


@pytest.mark.parametrize("how", WAYS)
def test_a_process_that_ends_with_work_open_ends_and_loses_nothing_that_it_was_told(
    tmp_path: Path, how: str
) -> None:
    path = tmp_path / "usage.db"
    said = left(path, how)
    told = {f"k{line}" for line in said if line.isdigit()}
    with UsageControl(path) as control:
        keys = [event.idempotency_key for event in control.events("c")]
        assert len(keys) == len(set(keys))
        assert told <= set(keys)
        assert control.verify() == []
        assert list(path.with_name("usage.db-holders").glob("*.lock")) == []  # it buried itself
        held = 7 if how == "with_a_reservation_open" else 0
        assert {limit.held for limit in control.check(**leaver.ASK, requested_usage=0).limits} == {held}
        control.consume(**leaver.ASK, amount=1)
    if how in ("with_handlers_of_its_own", "with_an_object_that_reports_when_it_is_collected"):
        assert said[-1] == "too late"
        assert len(keys) == 1
    later = ManualClock(datetime.now(UTC) + timedelta(hours=1))
    with UsageControl(path, clock=later) as control:
        assert {limit.held for limit in control.check(**leaver.ASK, requested_usage=0).limits} == {0}
