"""Another file in the place of the ledger, in company: who had the old one says so and spends nothing more.

And a copy beside the original, and a lock file that somebody takes away.
"""

import contextlib
import shutil
import signal
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest

from stiggctl import UsageControl
from stiggctl.testing import ManualClock

from .company import LIMIT, asked_until, describe, in_company, insisted
from .test_several import Worker, insisting, workers
from .troubled import NOON

PARTS = ("", "-wal", "-shm")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "usage.db"
    describe(path)
    return path


def opened(path: Path) -> UsageControl:
    return UsageControl(path, clock=ManualClock(NOON))


def move(path: Path, to: Path) -> None:
    """With its log and the index of that, as they belong together."""
    for part in PARTS:
        Path(f"{path}{part}").rename(f"{to}{part}")


def says_so(answer: Any) -> None:
    assert "the file was replaced, moved or deleted" in answer["said"]
    assert not answer["unreachable"]  # it raises under each policy


def until_refused(one: Worker) -> Any:
    """It spends from what it has to spare, until its next beat."""
    for _ in range(200):
        answer = one("reserve", 1, 600)
        if answer == 1:
            answer = one("release")
        if answer is not None:
            return answer
        time.sleep(0.02)
    raise AssertionError("it never noticed")


def spends_nothing(one: Worker) -> None:
    """Not from spare either, and shows nothing of what is no more."""
    for verb in (
        ("reserve", 1, 600), ("extend", 1), ("check", 1), ("settle", 7), ("consume", 1), ("report", "late"),
        ("used",),
    ):  # fmt: skip
        says_so(one(*verb))


@pytest.mark.parametrize("by", ["another", "nothing", "a backup"])
def test_who_had_the_file_is_told_and_spends_nothing_more_and_reopened_it_goes_on(
    path: Path, by: str
) -> None:
    """H5, CY3: at its next call that needs the ledger, or at its next beat."""
    old, copy = path.with_name("old.db"), path.with_name("copy.db")
    with workers(path, 3, "troubled") as three:
        in_company(*three)
        asks, idle, looks = three
        if by == "a backup":
            with opened(path) as control:
                control.backup(copy)
        elif by == "another":
            describe(copy, LIMIT // 2)
        assert [one("consume", 11) for one in three] == [11] * 3
        assert looks("close") is None  # it only looks from here on
        looks("reopen")
        assert looks("used") == 33
        move(path, old)
        if by != "nothing":
            copy.rename(path)
        says_so(asks("consume", 1))
        says_so(looks("used"))
        spends_nothing(asks)
        says_so(until_refused(idle))
        spends_nothing(idle)

        # Whoever opens what stands there now finds nothing of theirs in its way, though they live.
        if by != "nothing":
            limit = LIMIT if by == "a backup" else LIMIT // 2
            with opened(path) as control:
                assert control.verify() == []
                assert control.tree("team", "ai-tokens").used == 0
                assert control.reserve(resource_ids=["user"], credit_currency="ai-tokens", amount=limit - 2)
                for one in (asks, idle):
                    one("reopen")
                    assert insisted(one, "consume", 1) == 1
                for one in (asks, idle):
                    assert insisted(one, "consume", 1)["denied"] == "BUDGET_EXCEEDED"
        else:
            asks("reopen")
            assert asks("events") == 0  # a new ledger, that knows nobody
    # All that was told is in the old one.
    with opened(old) as control:
        assert control.verify() == []
        assert control.tree("team", "ai-tokens").used == 33


def test_a_file_that_comes_back_is_gone_on_with(path: Path) -> None:
    """H5: the same file, not one that is like it."""
    with workers(path, 2, "troubled") as two:
        in_company(*two)
        away = path.with_name("away.db")
        move(path, away)
        for one in two:
            says_so(one("consume", 1))
            spends_nothing(one)
        move(away, path)
        for one in two:
            assert asked_until(1, one, "consume", 1)
            assert one("extend", 1) == 8
            assert one("settle", 8) == 8
    with opened(path) as control:
        assert control.verify() == []
        assert control.tree("team", "ai-tokens").used == 2 * (1 + 8)


def ledger_id(path: Path) -> str:
    with contextlib.closing(sqlite3.connect(path)) as looking:
        (found,) = looking.execute("SELECT id FROM ledger").fetchone()
    return str(found)


@pytest.mark.parametrize("how", ["backup", "by hand"])
def test_a_copy_beside_the_original_is_a_ledger_of_its_own(path: Path, how: str) -> None:
    """Whoever made it, both are exact. What is held of the original is free in the copy at once (V2, CY3)."""
    copy = path.with_name("copy.db")
    with workers(path, 2, "troubled") as two:
        in_company(*two)
        assert [one("consume", 10) for one in two] == [10, 10]
        if how == "backup":
            with opened(path) as control:
                control.backup(copy)
        else:  # of files that stand still, with the log
            for one in two:
                one.send(signal.SIGSTOP)
            for part in PARTS[:2]:
                shutil.copyfile(f"{path}{part}", f"{copy}{part}")
            for one in two:
                one.send(signal.SIGCONT)
        with workers(copy, 1, "troubled") as [other], opened(path) as control:
            assert insisted(other, "consume", LIMIT - 20) == LIMIT - 20
            assert insisted(other, "consume", 1)["denied"] == "BUDGET_EXCEEDED"
            assert insisting(control, LIMIT - 34).amount == LIMIT - 34
            assert [one("settle", 7) for one in two] == [7, 7]
            assert insisted(two[0], "consume", 1)["denied"] == "BUDGET_EXCEEDED"
    assert ledger_id(path) == ledger_id(copy)
    for one, used in ((path, 34), (copy, LIMIT)):
        with opened(one) as control:
            assert control.verify() == []
            assert control.tree("team", "ai-tokens").used == used


def test_what_was_held_by_who_was_taken_for_dead_is_reported_under_its_key(path: Path) -> None:
    """Its lock file was taken away: it can settle nothing. Reopened, it reports it, once however often."""
    with workers(path, 2, "troubled") as [buried, other]:
        in_company(buried, other)
        assert buried("reserve_key", "the-call", 30) == 30
        for lock in path.with_name("usage.db-holders").glob("*.lock"):
            if lock.name != other("lock_name"):
                lock.unlink()
        assert asked_until(LIMIT - 7, other, "consume", LIMIT - 7)  # all but what it holds itself
        answer = buried("settle", 30)
        assert "its lock file was taken away" in answer["said"]
        assert "open it again" in answer["said"]
        buried("reopen")
        event, duplicate = buried("report_as", "the-call", 30)
        assert not duplicate
        assert buried("report_as", "the-call", 30) == [event, True]
        assert other("settle", 7) == 7
        with opened(path) as control:
            assert control.verify() == []
            assert control.tree("team", "ai-tokens").used == LIMIT + 30
