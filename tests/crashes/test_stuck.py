"""A process that is stopped inside a transaction, beside others: it has SQLite's write lock.

What others have to spare is spent as before, and the ledger is read; what needs the write lock is told so
within a bound, with the process that has it; and when that goes on or dies, so do they.
"""

import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from stiggctl import AccessDenied, UsageControl
from stiggctl.ledger.sqlite.patience import PATIENCE_SECONDS
from stiggctl.testing import ManualClock

from .company import LIMIT, describe, in_company, insisted
from .test_several import Worker, in_the_file, insisting, workers
from .troubled import NOON
from .worker import ASK


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "usage.db"
    describe(path)
    return path


def is_told_who_has_it(answer: dict[str, Any], stuck: Worker) -> None:
    assert "transaction in time" in answer["said"]
    if sys.platform == "linux":  # who else has it is told by the system there
        assert f"process {stuck.pid}" in answer["said"]


@pytest.mark.parametrize("then", [signal.SIGCONT, signal.SIGKILL])
@pytest.mark.parametrize("statement", [1, 0])
def test_beside_who_is_stopped_inside_a_transaction_spare_is_spent_and_the_rest_is_told(
    path: Path, statement: int, then: int
) -> None:
    """Before its first statement, and before its COMMIT: nothing of it is there until it goes on."""
    with workers(path, 2, "troubled") as [stuck, beside]:
        in_company(stuck, beside)
        beside("wait_at_most", 0.2)
        stuck("stop_at", statement)
        stuck.begin("consume", 100)
        stuck.await_stop()

        assert beside("reserve", 5, 600) == 5
        assert beside("check", 1_000)
        assert beside("extend", 2) == 7
        assert beside("release") is None
        answer = beside("reserve_for", "cold", 5)
        assert answer["denied"] == "LEDGER_UNAVAILABLE"
        is_told_who_has_it(answer, stuck)
        for verb in (("consume", 1), ("report", "k"), ("settle", 7)):
            answer = beside(*verb)
            assert (answer["trouble"], answer["unreachable"]) == ("LedgerUnavailable", True)
            is_told_who_has_it(answer, stuck)
        assert beside("used") == 0  # it is read, as of before

        stuck.send(then)
        if then == signal.SIGCONT:
            assert stuck.answer() == 100
        # What was told an error booked nothing, or holds what it held until the same is said again.
        assert beside("settle", 7) == 7
        assert beside("reserve_for", "cold", 5) == 5
        assert beside("consume", 1) == 1
        assert not beside("report", "k")[1]
        used = 7 + 1 + 1 + (100 if then == signal.SIGCONT else 0)
        assert beside("used") == used
    with UsageControl(path, clock=ManualClock(NOON)) as control:
        assert control.verify() == []
        left = LIMIT - used - 7  # what the other still holds is withheld
        assert insisting(control, left).amount == left
        with pytest.raises(AccessDenied):
            control.reserve(**ASK, amount=1)
    assert sum(in_the_file(path)[1:]) == LIMIT


def test_who_goes_on_in_time_is_only_waited_for(path: Path) -> None:
    """And so long is waited by default: what the documentation says."""
    assert PATIENCE_SECONDS == 5
    with workers(path, 3, "troubled") as [stuck, *others]:
        in_company(stuck, *others)
        stuck("stop_at", 0)
        stuck.begin("consume", 100)
        stuck.await_stop()
        for one in others:
            one("wait_at_most", 60)
            one.begin("consume", 10)
        stuck.send(signal.SIGCONT)
        assert [one.answer() for one in (stuck, *others)] == [100, 10, 10]
        assert others[0]("used") == 120


@pytest.mark.parametrize("then", [signal.SIGCONT, signal.SIGKILL])
def test_who_comes_while_one_is_stopped_inside_may_look_and_spends_once_that_goes_on(
    path: Path, then: int
) -> None:
    """It opens the ledger, reads it, and is told why it cannot enlist."""
    with workers(path, 1, "troubled") as [stuck]:
        in_company(stuck)
        stuck("stop_at", 0)
        stuck.begin("consume", 100)
        stuck.await_stop()
        with workers(path, 1, "troubled") as [newcomer]:
            assert newcomer("check", 1_000)
            newcomer("wait_at_most", 0.1)
            is_told_who_has_it(newcomer("consume", 1), stuck)
            stuck.send(then)
            assert insisted(newcomer, "consume", 1) == 1
            if then == signal.SIGCONT:
                assert stuck.answer() == 100
            assert newcomer("used") == (101 if then == signal.SIGCONT else 1)
