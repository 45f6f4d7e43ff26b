"""Beside processes that write all the time: a reader that stays, and copies of one moment."""

import contextlib
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from stiggctl import AccessDenied, UsageControl
from stiggctl.ledger.sqlite.checkpoints import log_end
from stiggctl.testing import ManualClock

from .company import LIMIT, describe, in_company
from .test_several import Worker, workers
from .troubled import NOON
from .worker import ASK

CHARS = 2_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "usage.db"
    describe(path)
    return path


@contextlib.contextmanager
def a_stream(path: Path, other: Worker) -> Iterator[None]:
    """Of events, in another process."""
    assert other("begin_reading") == "before"
    yield
    assert other("end_reading") == 0  # it is of the moment at which it began


@contextlib.contextmanager
def a_transaction(path: Path, other: Worker) -> Iterator[None]:
    """Of another tool, that reads."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as reading:
        reading.execute("BEGIN")
        assert reading.execute("SELECT count(*) FROM events WHERE key = 'before'").fetchone() == (1,)
        yield
        assert reading.execute("SELECT count(*) FROM events WHERE key LIKE 'w%'").fetchone() == (0,)


@pytest.mark.parametrize("reader", [a_stream, a_transaction])
def test_a_reader_that_stays_stops_no_booking_and_the_log_is_short_again_after_it(
    path: Path, reader: Callable[[Path, Worker], contextlib.AbstractContextManager[None]]
) -> None:
    log = Path(f"{path}-wal")
    with workers(path, 3, "troubled") as [other, *writers]:
        for one in (other, *writers):
            one("move_log_often")
        assert not writers[0]("report", "before")[1]
        with reader(path, other):
            for round_ in range(2):
                for at, one in enumerate(writers):
                    one.begin("report_all", f"w{at}", round_ * 100, round_ * 100 + 100, CHARS)
                assert [one.answer() for one in writers] == [[100, None]] * 2
            assert log_end(log).bytes > 400 * CHARS  # all of it: nobody may begin it anew
            assert writers[0]("used") == 401
        # After it the log is begun anew, again and again.
        anew, last, booked = 0, log_end(log).salt, 200
        while anew < 3:
            assert booked < 4_000, f"it was begun anew {anew} times"
            for at, one in enumerate(writers):
                one.begin("report_all", f"w{at}", booked, booked + 20, CHARS)
            assert [one.answer() for one in writers] == [[20, None]] * 2
            booked += 20
            anew, last = anew + (log_end(log).salt != last), log_end(log).salt
    with UsageControl(path, clock=ManualClock(NOON)) as control:
        assert control.verify() == []
        assert sum(str(event.idempotency_key)[0] == "w" for event in control.events("c")) == 2 * booked
    assert path.stat().st_size < 500_000 + 2 * booked * 3 * CHARS  # it grows with what is booked alone


def by_writer(control: UsageControl) -> dict[str, list[int]]:
    """Writer -> the numbers of its events, in the order of the ledger."""
    found: dict[str, list[int]] = {}
    for event in control.events("c"):
        if event.idempotency_key is not None:
            name, _, number = event.idempotency_key.partition("-")
            found.setdefault(name, []).append(int(number))
    return found


def test_backups_beside_four_writers_are_each_of_one_moment_and_can_be_gone_on_with(path: Path) -> None:
    copies: list[Path] = []
    with workers(path, 4, "troubled") as four, UsageControl(path, clock=ManualClock(NOON)) as control:
        in_company(*four)
        running = threading.Event()
        told: list[Any] = []

        def write() -> None:
            """So that they write until the last copy is made."""
            at = 0
            while not running.is_set() or at < 20:
                for n, one in enumerate(four):
                    one.begin("report_all", f"w{n}", at, at + 10, 200)
                told.append([one.answer() for one in four])
                at += 10

        writing = threading.Thread(target=write)
        writing.start()
        try:
            for n in range(4):
                before, copy = by_writer(control), path.with_name(f"copy-{n}.db")
                control.backup(copy)
                copies.append(copy)
                with UsageControl(copy, clock=ManualClock(NOON), create=False) as copied:
                    assert copied.verify() == []
                    found = by_writer(copied)
                    # What each wrote up to a moment, without a gap; and no less than was there before.
                    assert all(numbers == list(range(len(numbers))) for numbers in found.values())
                    assert all(len(found[name]) >= len(numbers) for name, numbers in before.items())
        finally:
            running.set()
            writing.join()
        assert all(answers == [[10, None]] * 4 for answers in told)
    with UsageControl(copies[-1], clock=ManualClock(NOON)) as copied:
        left = LIMIT - int(copied.tree("team", "ai-tokens").used)
        assert copied.consume(**ASK, amount=left).charged == left
        with pytest.raises(AccessDenied):
            copied.consume(**ASK, amount=1)
        assert copied.verify() == []
