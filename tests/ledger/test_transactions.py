"""Transactions: all of it or nothing (L1), whatever ends it; and the ledger works afterwards."""

import os
import resource as limits
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Barrier, Semaphore, Thread
from types import FrameType
from typing import Any

import pytest

from stiggctl.errors import LedgerError, LedgerUnavailable
from stiggctl.ledger.opening import open_ledger
from stiggctl.ledger.records import Booked, CellWanted, Known, Orphan
from stiggctl.ledger.sqlite import connections
from stiggctl.ledger.sqlite import patience as patience_module
from tests.holder.stepping import Lines

from . import outside
from .world import NOW_US, TODAY, World, allocation, resource, wanted


@pytest.fixture
def kept(path: Path) -> Iterator[World]:
    """The world in a ledger on disk, that waits for a lock only briefly."""
    with closing(open_ledger(path, patience_seconds=0.2)) as ledger:
        yield World(ledger)


# ------------------------------------------------------------------ interrupts


def _interrupted_at(line: int, work: Callable[[], Any]) -> bool:
    """Do it, and raise KeyboardInterrupt at that step of the ledger's code; whether it came so far.

    Not between a `with` and what it lets go, nor at a bare `try:`: no signal is looked at there
    (CPython checks after calls and at the ends of loops), and nothing could be done about it.
    """
    left, lines = line, Lines()

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal left
        if "/ledger/sqlite/" not in frame.f_code.co_filename:
            return None
        if lines.is_step(frame, event):
            left -= 1
            if left == 0:
                sys.settrace(None)
                raise KeyboardInterrupt
        return trace

    sys.settrace(trace)
    try:
        work()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(None)
    return False


def test_an_interrupt_at_any_line_leaves_all_of_an_exchange_or_nothing(world: World) -> None:
    """CN2, CN3: and the same keys, sent again, are booked once."""
    world.exchange(asks=[world.ask(5)])
    expected_a, line = 0, 0
    while True:
        line += 1
        keys = [f"{line} one", f"{line} two"]
        bookings = [
            world.booking(keys[0], 1),
            world.booking(keys[1], 2, ["free"] * (line % 2) + ["a", "root"]),
        ]
        came = _interrupted_at(line, lambda: world.exchange(*bookings))  # noqa: B023 - run at once
        with world.ledger.reader() as reader:
            found = {event.key for event in reader.events() if event.key in keys}
            assert reader.differences() == []
        assert found in (set(), set(keys))
        answers = world.exchange(*bookings).bookings
        assert {type(answer) for answer in answers} == {Known if found else Booked}
        expected_a += 3
        assert world.numbers()["a"][0] == expected_a
        if not came:
            break
    assert line > 80  # or no line was interrupted
    world.assert_sound()


@pytest.mark.parametrize(
    "work",
    [
        lambda world: world.ledger.bury(world.me, {world.ids["a"]: [Orphan(7, NOW_US + 9)]}, NOW_US),
        lambda world: world.change(
            resources=[resource("x")], allocations=[allocation("x", 3), allocation("a", 4)]
        ),
        lambda world: world.exchange(world.booking("k", 1), world.booking("k", 2), asks=[world.ask(3)]),
        lambda world: world.ledger.open_cells([world.wanted["new"]], world.version, world.me),
        lambda world: world.ledger.open_cells(_windows(world), world.version, world.me),
        lambda world: list(world.ledger.reader().__enter__().events()),
        lambda world: world.ledger.checkpoint(),
    ],
    ids=["bury", "change_model", "careful exchange", "open_cells", "windows", "reader", "checkpoint"],
)
def test_an_interrupt_at_any_line_of_a_verb_leaves_a_sound_ledger_that_works(
    world: World, work: Callable[[World], object]
) -> None:
    world.exchange(world.booking("before", 5, ["free", "a", "root"]), asks=[world.ask(5)])
    _limit_by_day(world)
    world.change(allocations=[allocation("free", 9)])
    with world.ledger.reader() as reader:
        row = reader.allocations(resources=[world.rows["free"]])[-1]
    world.wanted["new"] = wanted(row)
    line = 0
    while _interrupted_at(line := line + 7, lambda: work(world)):
        world.assert_sound()
        with world.ledger.reader() as reader:
            world.version = reader.state().change
        world.ledger.checkpoint()
    assert line > 7
    world.assert_sound()


# What a generator raises that is collected, Python can only print.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_interrupt_at_any_line_of_reading_leaves_no_snapshot(kept: World, path: Path) -> None:
    """S3: it would keep the log from being moved, for ever."""

    def read() -> None:
        with kept.ledger.reader() as reader:
            assert next(reader.events())
            assert reader.differences() == []

    kept.exchange(kept.booking("before", 1))
    line = 0
    while _interrupted_at(line := line + 1, read):
        kept.exchange(kept.booking(f"beside {line}", 1))
        kept.ledger.stamp()
        with closing(sqlite3.connect(path)) as other:
            [(_, frames, moved)] = other.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        assert moved == frames > 0, line
    assert line > 60
    kept.assert_sound()


def _limit_by_day(world: World) -> None:
    world.change(
        allocations=[allocation("free", 8, allocation_id="x", cadence="P1D", scope='{"model":["gpt-5"]}')]
    )


def _windows(world: World) -> list[CellWanted]:
    """Three days of a limit with a scope, and another limit in a cell that is open."""
    row, day_us = world.limit("x"), TODAY[1] - TODAY[0]
    days = [wanted(row, (TODAY[0] - n * day_us, TODAY[1] - n * day_us)) for n in range(3)]
    return [*days, world.wanted["a"]._replace(limit_units=77)]


def test_threads_that_read_and_write_together_see_and_leave_what_is_right(kept: World) -> None:
    """CN1: shared without locks, sqlite3 returns wrong rows."""
    together, wrong = Barrier(6), []

    def write(name: str) -> None:
        together.wait()
        for n in range(40):
            [answer] = kept.exchange(kept.booking(f"{name} {n}", n)).bookings
            with kept.ledger.reader() as reader:
                event = reader.event(answer.event_id)
                if event is None or (event.key, event.parts[0].amount_units) != (f"{name} {n}", n):
                    wrong.append(event)

    def read() -> None:
        together.wait()
        for _ in range(40):
            with kept.ledger.reader() as reader:
                events = sum(event.parts[0].amount_units for event in reader.events())
                if events != reader.cells([kept.wanted["a"]], kept.me)[kept.keys["a"]].used:
                    wrong.append(events)

    threads = [Thread(target=write, args=(f"thread {n}",)) for n in range(3)]
    threads += [Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert kept.numbers()["a"][0] == 3 * sum(range(40))
    kept.assert_sound()


# ------------------------------------------------------------------ deaths


def test_who_dies_at_any_statement_leaves_all_of_an_exchange_or_nothing(kept: World) -> None:
    kept.exchange(asks=[kept.ask(5)])
    seen = set()
    for step in range(12):
        child = os.fork()
        if child == 0:
            bookings = (kept.booking(f"{step} one", 1), kept.booking(f"{step} two", 2))
            asks = [kept.ask(0, request=1)]
            _die_at(kept, step, lambda: kept.exchange(*bookings, asks=asks))  # noqa: B023 - run at once
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) in (0, 9)
        with kept.ledger.reader() as reader:
            found = {event.key for event in reader.events() if event.key.startswith(f"{step} ")}
            assert reader.differences() == []
        seen.add(len(found))
        kept.exchange(kept.booking(f"{step} one", 1), kept.booking(f"{step} two", 2))
        kept.assert_sound()
        assert kept.numbers()["a"][0] == 3 * (step + 1)
    assert seen == {0, 2}


def test_who_dies_at_any_statement_leaves_all_of_what_it_opens_or_nothing(kept: World) -> None:
    kept.exchange(kept.booking("k", 5, ["free"]), kept.booking("l", 3, ["a", "root"]))
    seen = set()
    for step in range(40):
        _limit_by_day(kept)
        child = os.fork()
        if child == 0:
            _die_at(kept, step, lambda: kept.open(*_windows(kept)))
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) in (0, 9)
        row = kept.limit("x")
        with kept.ledger.reader() as reader:
            opened = reader.rows("SELECT used FROM cells WHERE allocation = :id ORDER BY id", {"id": row.id})
            assert reader.differences() == []
        seen.add((tuple(used for (used,) in opened), kept.cell("a").limit_units))
        assert [cell.used for cell in kept.open(*_windows(kept))] == [5, 0, 0, 3]
        kept.assert_sound()
        kept.change(allocations_removed=[row.id], allocations=[allocation("a", 100)])
    assert seen == {((), 100), ((5, 0, 0), 77)}


def _die_at(world: World, step: int, work: Callable[[], object]) -> None:
    left = step
    real = world.ledger._connections.connect

    def count(_: str) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            os._exit(9)

    def connect(mode: Any) -> sqlite3.Connection:
        connection = real(mode)
        connection.set_trace_callback(count)
        return connection

    world.ledger._connections.connect = connect
    work()
    os._exit(0)


_BOOKS_FOR_EVER = """
    import itertools
    from stiggctl.ledger.opening import open_ledger
    from tests.ledger.world import World
    world = World(open_ledger(PATH))
    for n in itertools.count():
        world.exchange(*(world.booking(f"{n} {part}", 1) for part in range(n % 5 + 1)))
        print(n, flush=True)
        if n % 50 == 49:
            world.ledger.checkpoint()
"""


@pytest.mark.parametrize("lines", [1, 73, 200])
def test_what_was_answered_survives_kill_9(path: Path, lines: int) -> None:
    """L1, L2: and of what was under way all or nothing."""
    process = outside.start(path, _BOOKS_FOR_EVER)
    outside.kill_after(process, lines, path)


# ------------------------------------------------------------------ a full disk


def _book_until_full(world: World) -> tuple[int, LedgerError]:
    for n in range(10_000):
        try:
            world.exchange(*(world.booking(f"{n} {part}", 1) for part in range(20)))
        except LedgerError as error:
            return n, error
    raise AssertionError


def _assert_nothing_half_booked(world: World, exchanges: int) -> None:
    world.assert_sound()
    with world.ledger.reader() as reader:
        assert sum(1 for _ in reader.events()) == 20 * exchanges
        assert reader.event_by_key(world.customer, 0, f"{exchanges} 0") is None


def test_a_full_file_books_nothing_half_and_works_again_when_there_is_room(kept: World) -> None:
    writing = kept.ledger._connections._writing
    (pages,) = writing.execute("PRAGMA page_count").fetchone()
    writing.execute(f"PRAGMA max_page_count = {pages + 40}")
    booked, error = _book_until_full(kept)
    assert booked > 0
    assert isinstance(error, LedgerUnavailable)
    assert "disk is full" in str(error)
    _assert_nothing_half_booked(kept, booked)
    writing.execute("PRAGMA max_page_count = 1000000")
    kept.exchange(*(kept.booking(f"{booked} {part}", 1) for part in range(20)))
    _assert_nothing_half_booked(kept, booked + 1)


def test_a_file_that_may_not_grow_books_nothing_half(path: Path) -> None:
    """By the system's own limit, in a process of its own: the log cannot be written."""
    child = os.fork()
    if child == 0:
        try:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            world = World(open_ledger(path))
            limits.setrlimit(limits.RLIMIT_FSIZE, (600_000, limits.RLIM_INFINITY))
            booked, error = _book_until_full(world)
            assert isinstance(error, LedgerUnavailable)
            _assert_nothing_half_booked(world, booked)
            limits.setrlimit(limits.RLIMIT_FSIZE, (limits.RLIM_INFINITY, limits.RLIM_INFINITY))
            world.exchange(*(world.booking(f"{booked} {part}", 1) for part in range(20)))
            _assert_nothing_half_booked(world, booked + 1)
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a megabyte."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("mounting is for root")
    yield place
    subprocess.run(["umount", str(place)], check=True)


@pytest.mark.platform
def test_a_full_disk_books_nothing_half_and_works_again_when_there_is_room(small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(300_000))
    with closing(open_ledger(small_disk / "usage.db")) as ledger:
        world = World(ledger)
        booked, error = _book_until_full(world)
        assert booked > 0
        assert isinstance(error, LedgerUnavailable)
        _assert_nothing_half_booked(world, booked)
        with pytest.raises(LedgerUnavailable):
            world.exchange(*(world.booking(f"{booked} {part}", 1) for part in range(20)))
        ballast.unlink()
        world.exchange(*(world.booking(f"{booked} {part}", 1) for part in range(20)))
        _assert_nothing_half_booked(world, booked + 1)


# ------------------------------------------------------------------ waiting


@contextmanager
def _locked(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield other


def test_who_waits_too_long_for_the_lock_is_told_and_nothing_is_booked(kept: World, path: Path) -> None:
    before = kept.numbers()
    with _locked(path):
        started = time.monotonic()
        with pytest.raises(LedgerUnavailable, match="did not finish its transaction"):
            kept.exchange(kept.booking("k", 1))
        assert time.monotonic() - started > 0.2
        assert kept.numbers() == before  # S2: reading waits for nobody
    [answer] = kept.exchange(kept.booking("k", 1)).bookings
    assert isinstance(answer, Booked)


def test_who_waits_goes_on_when_the_lock_is_free(path: Path) -> None:
    with closing(open_ledger(path)) as ledger:
        world, answers = World(ledger), []
        with _locked(path) as other:
            thread = Thread(target=lambda: answers.extend(world.exchange(world.booking("k", 1)).bookings))
            thread.start()
            thread.join(0.05)
            assert answers == []
            other.execute("ROLLBACK")
            thread.join(5)
        assert isinstance(answers[0], Booked)


def test_who_waits_behind_others_that_wait_in_vain_waits_no_longer_than_one(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They want the lock of a writer that is stuck; one that comes later has its own time."""
    now, patience, came = 0.0, [], Semaphore(0)
    behind: list[Thread] = []
    answers: list[object] = []

    def monotonic() -> float:
        came.release()
        return now

    def waits(attempt: Callable[[], Any], seconds: float) -> Any:
        nonlocal now
        patience.append(round(seconds, 6))
        if not behind:
            for at in (0.0, 3.0):  # while the first waits
                now = at
                while came.acquire(blocking=False):
                    pass
                behind.append(Thread(target=wants))
                behind[-1].start()
                assert came.acquire(timeout=5)
        now = max(now, 5.0) if len(patience) == 1 else now
        return attempt()

    with closing(open_ledger(path)) as ledger:
        world = World(ledger)

        def wants() -> None:
            try:
                answers.append(world.exchange(world.booking("k", 1)).bookings)
            except LedgerUnavailable as error:
                answers.append(error)

        with _locked(path):
            monkeypatch.setattr(connections.time, "monotonic", monotonic)
            monkeypatch.setattr(patience_module, "patiently", waits)
            wants()
            for thread in behind:
                thread.join(5)
        assert sorted(patience) == [0.0, 3.0, 5.0]
        assert [type(answer) for answer in answers] == [LedgerUnavailable] * 3
        wants()
        assert isinstance(answers[-1], list)
        now = 16.0  # who came at 7 waited for this process itself, and has all its patience
        with _locked(path), pytest.raises(sqlite3.OperationalError):
            ledger._connections._begin(7.0)
        assert patience[-1] == 5.0


def test_opening_waits_for_nobody_who_writes(kept: World, path: Path) -> None:
    with _locked(path), closing(open_ledger(path, patience_seconds=0)) as ledger, ledger.reader() as reader:
        assert reader.state().change == kept.version


# ------------------------------------------------------------------ what is remembered


def test_what_another_connection_commits_is_seen_by_the_next_exchange(kept: World, path: Path) -> None:
    """N1."""
    kept.exchange(asks=[kept.ask(5)])
    with closing(open_ledger(path)) as second:
        other = World.__new__(World)
        other.__dict__.update(kept.__dict__, ledger=second)
        for n in range(6):
            one, two = (kept, other) if n % 2 else (other, kept)
            reply = one.exchange(one.booking(f"{n} one", 1, spend=1))
            assert reply.cells[one.ids["a"]].used == 2 * n + 1
            reply = two.exchange(two.booking(f"{n} two", 1, spend=1))
            assert (reply.cells[two.ids["a"]].used, reply.cells[two.ids["a"]].granted) == (
                2 * n + 2,
                98 - 2 * n,
            )
        kept.change(allocations=[allocation("a", 150)])
        other.version = kept.version
        assert other.exchange(asks=[other.ask(0, ["a"])]).cells[other.ids["a"]].limit_units == 150
    kept.assert_sound()


def test_a_failure_is_forgotten_whole(kept: World) -> None:
    """What a failed exchange had reckoned is in no later number."""
    kept.exchange(asks=[kept.ask(5)])
    writing = kept.ledger._connections._writing
    (pages,) = writing.execute("PRAGMA page_count").fetchone()
    writing.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(LedgerUnavailable):
        kept.exchange(*(kept.booking(f"lost {n}", 1, spend=1) for n in range(90)))
    writing.execute("PRAGMA max_page_count = 1000000")
    reply = kept.exchange(kept.booking("k", 1, spend=1))
    assert (reply.cells[kept.ids["a"]].used, reply.cells[kept.ids["a"]].granted) == (1, 99)
    kept.assert_sound()


# ------------------------------------------------------------------ the log, the file


@pytest.mark.parametrize("how", ["replaced", "deleted", "moved"])
def test_a_file_that_is_not_there_any_more_is_told(kept: World, path: Path, how: str) -> None:
    kept.ledger.still_there()
    if how == "replaced":
        with closing(open_ledger(path.with_name("other.db"))):
            pass
        path.with_name("other.db").replace(path)
    else:
        path.rename(path.with_name("elsewhere.db"))
    with pytest.raises(LedgerUnavailable, match="the file was replaced") as raised:
        kept.ledger.still_there()
    assert not raised.value.unreachable  # no policy can help: it raises under each
    kept.ledger._connections._close_idle()
    with pytest.raises(LedgerError):  # what stands there now is not written, nor read
        kept.exchange(kept.booking("k", 1))
    with pytest.raises(LedgerError), kept.ledger.reader():
        pass


def test_an_error_that_is_kept_keeps_no_connection(path: Path) -> None:
    """Its traceback has the cursor; the last to close removes the log all the same."""
    ledger = open_ledger(path)
    World(ledger)

    def work(cursor: sqlite3.Cursor) -> None:
        cursor.execute("SELECT id FROM resources")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as kept:
        ledger._connections.transact(work)
    ledger.close()
    assert [found.name for found in path.parent.iterdir()] == ["usage.db"]
    assert kept.value.__traceback__ is not None


# ------------------------------------------------------------------ which tables (L5)

_USAGE = {"holders", "seen", "cells", "shares", "events", "paths", "path_resources", "sqlite_sequence"}


def test_usage_and_configuration_share_no_table(world: World) -> None:
    """L5: but for the cells and shares that a changed limit concerns."""
    written: set[str] = set()

    def watch(action: int, table: str | None, *_: object) -> int:
        if action in (sqlite3.SQLITE_INSERT, sqlite3.SQLITE_UPDATE, sqlite3.SQLITE_DELETE) and table:
            written.add(table)
        return sqlite3.SQLITE_OK

    world.ledger._connections._writing.set_authorizer(watch)
    world.change(allocations=[allocation("free", 9)])
    assert "allocations" in written
    assert written & _USAGE <= {"cells", "shares", "sqlite_sequence"}
    written.clear()
    world.reread()
    world.exchange(
        world.booking("k", 1), world.booking("k", 1), asks=[world.ask(5)], gives=[world.give("b", 0)]
    )
    world.ledger.bury(world.me, {world.ids["a"]: [Orphan(1, NOW_US + 1)]}, NOW_US)
    world.enlist()
    assert "events" in written
    assert written <= _USAGE
