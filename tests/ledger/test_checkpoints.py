"""Checkpoints: the log is moved while bookings go on, and nothing is lost (CK1, CK2)."""

import os
import resource as limits
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from random import Random
from threading import Event, Thread

import pytest

from stiggctl.errors import LedgerCorrupt, LedgerUnavailable
from stiggctl.ledger.opening import open_ledger
from stiggctl.ledger.sqlite import checkpoints
from stiggctl.ledger.sqlite.checkpoints import LogEnd, log_end

from . import outside
from .world import World

_ALWAYS, _NEVER = -1, 2**62


@pytest.fixture
def kept(path: Path) -> Iterator[World]:
    """The world in a ledger on disk, that waits for a lock only briefly."""
    with closing(open_ledger(path, patience_seconds=0.2)) as ledger:
        yield World(ledger)


@pytest.fixture
def full_bytes(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> int:
    """From where on the write lock is taken."""
    monkeypatch.setattr(checkpoints, "_FULL_BYTES", request.param)
    return request.param


def book(world: World, name: str, events: int = 100) -> None:
    world.exchange(*(world.booking(f"{name} {n}", 1) for n in range(events)))


def log_of(path: Path) -> LogEnd:
    return log_end(Path(f"{path}-wal"))


def moving(path: Path) -> tuple[int, int]:
    """As another tool would do it: the frames of the log, and how many of them are moved."""
    with closing(sqlite3.connect(path)) as mover:
        _, frames, moved = mover.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        return frames, moved


def at_each_move(world: World, step: Callable[[], object]) -> None:
    """Do it whenever our checkpoint is about to move something."""
    connect = world.ledger._connections.connect

    def watched(mode: str) -> sqlite3.Connection:
        connection = connect(mode)
        connection.set_trace_callback(lambda said: step() if "wal_checkpoint" in said else None)
        return connection

    world.ledger._connections.connect = watched


def writes(world: World) -> bool:
    """Whether the write lock is taken."""
    writing = world.ledger._connections._writing
    return writing is not None and writing.in_transaction


# ------------------------------------------------------------------ what is moved


def test_a_checkpoint_moves_the_log_into_the_file(kept: World, path: Path) -> None:
    book(kept, "first", 200)
    size, grown = path.stat().st_size, kept.ledger.log_bytes()
    assert grown > 40_000
    kept.ledger.checkpoint()
    assert path.stat().st_size > size
    for n in range(5):
        book(kept, f"{n} more", 200)
        kept.ledger.checkpoint()
    assert log_of(path).bytes < 2 * grown  # it is written anew from its start
    kept.ledger.checkpoint(everything=True)
    assert not Path(f"{path}-wal").exists()
    assert kept.ledger.log_bytes() == 0
    book(kept, "after")
    kept.assert_sound()


def test_where_the_log_ends_is_what_sqlite_says(kept: World, path: Path) -> None:
    """Also where frames of before it was begun anew come after, as many as are still there."""
    salts = []
    for n in range(12):
        if n == 6:
            kept.ledger.checkpoint()
        book(kept, str(n), 1 + 50 * (n < 6))
        end = log_of(path)
        with kept.ledger.reader():  # it keeps the end in the log
            frames, _ = moving(path)
        assert end.bytes == 32 + frames * (2_048 + 24)
        salts.append(end.salt)
    assert len(set(salts)) > 1
    assert log_of(path).bytes < Path(f"{path}-wal").stat().st_size


def test_a_log_that_is_not_there_or_begun_has_no_end(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert log_end(log).bytes == 0
    for said in (b"", b"\x37\x7f\x06\x82", bytes(32)):
        log.write_bytes(said)
        assert log_end(log).bytes == 0


def test_what_a_checkpoint_has_seen_is_not_looked_at_again(kept: World) -> None:
    """Only what was written since: nothing, where nobody books."""
    book(kept, "first")
    first = kept.ledger.log_bytes()
    kept.ledger.checkpoint()
    assert kept.ledger.log_bytes() == 0
    book(kept, "one", 1)
    assert 0 < kept.ledger.log_bytes() < first


def test_where_a_reader_keeps_the_log_the_next_waits_until_it_has_grown_as_much_again(
    kept: World, path: Path
) -> None:
    with kept.ledger.reader() as reader:
        before = len(list(reader.events()))
        book(kept, "first")
        kept.ledger.checkpoint()
        assert kept.ledger.log_bytes() == 0
        book(kept, "second")
        assert 0 < kept.ledger.log_bytes() < log_of(path).bytes
        assert len(list(reader.events())) == before
    kept.ledger.checkpoint()
    kept.exchange(kept.booking("after", 1))
    assert kept.ledger.log_bytes() == log_of(path).bytes < 40_000


def test_a_reader_in_another_process_reads_on(kept: World, path: Path) -> None:
    reading = outside.start(
        path,
        """
        import sqlite3
        reader = sqlite3.connect(PATH)
        reader.execute("BEGIN")
        for _ in range(2):
            print(*reader.execute("SELECT count(*) FROM events").fetchone(), flush=True)
            sys.stdin.readline()
        """,
    )
    book(kept, "first")
    assert reading.stdout.readline() == "100\n"
    book(kept, "second")
    kept.ledger.checkpoint(everything=True)
    assert log_of(path).bytes > 0  # it is still needed
    book(kept, "third")
    kept.ledger.checkpoint()
    said, complained = reading.communicate("\n\n", timeout=60)
    assert (said, complained) == ("100\n", "")  # the same snapshot
    kept.ledger.checkpoint()
    kept.assert_sound()


# ------------------------------------------------------------------ beside bookings


def test_bookings_go_on_while_the_log_is_moved(kept: World) -> None:
    """In each round: the one that waits for the disk too."""
    booked = []

    def step() -> None:
        thread = Thread(target=book, args=(kept, str(len(booked)), 1))
        thread.start()
        thread.join(20)
        booked.append(not thread.is_alive())

    book(kept, "first")
    at_each_move(kept, step)
    kept.ledger.checkpoint()
    assert booked == [True] * checkpoints._ROUNDS
    kept.assert_sound()


@pytest.mark.parametrize("full_bytes", [_ALWAYS, _NEVER], indirect=True)
def test_while_we_move_the_log_nobody_begins_it_anew(kept: World, full_bytes: int) -> None:
    """CK1: a snapshot of ours is open, or we have the write lock."""
    seen = []

    def lent() -> int:
        return sum(loan is not None for loan in kept.ledger._connections.lending._open.values())

    def step() -> None:
        seen.append((lent(), writes(kept)))
        if not writes(kept):
            book(kept, str(len(seen)), 1)

    book(kept, "first")
    at_each_move(kept, step)
    kept.ledger.checkpoint()
    beside = [(1, False)] * checkpoints._ROUNDS
    assert seen == (beside if full_bytes == _NEVER else [*beside, (0, True)])
    assert lent() == 0


def test_what_reads_the_log_keeps_it_from_being_begun_anew(kept: World, path: Path) -> None:
    """CK1, what SQLite does: a snapshot that reads part of the log."""
    kept.ledger.checkpoint()
    book(kept, "first")
    began = log_of(path)
    with kept.ledger.reader():
        frames, moved = moving(path)
        assert frames == moved > 0
        for n in range(3):
            book(kept, f"beside {n}", 1)
            assert log_of(path).salt == began.salt
            frames, moved = moving(path)
            assert frames > moved
    assert moving(path)[1] == frames
    book(kept, "after", 1)
    assert log_of(path).salt != began.salt


def test_what_reads_only_the_file_keeps_the_log_from_being_moved(kept: World, path: Path) -> None:
    """CK1, what SQLite does: a snapshot taken when all was moved. The log may be begun anew then."""
    book(kept, "first")
    kept.ledger.checkpoint()
    began = log_of(path)
    with kept.ledger.reader():
        book(kept, "beside", 1)
        assert log_of(path).salt != began.salt
        frames, moved = moving(path)
        assert frames > moved == 0
    assert moving(path) == (frames, frames)


def test_where_bookings_never_pause_a_full_log_is_moved_to_its_end(
    kept: World, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before that they are not held up: it is tried again, as long as it takes."""

    def step() -> None:
        if not writes(kept):
            book(kept, f"beside {len(moves)}", 1)
        moves.append(writes(kept))

    moves: list[bool] = []
    book(kept, "first")
    began = log_of(path)
    at_each_move(kept, step)
    kept.ledger.checkpoint()
    assert moves == [False] * checkpoints._ROUNDS
    assert kept.ledger.log_bytes() == log_of(path).bytes > began.bytes
    monkeypatch.setattr(checkpoints, "_FULL_BYTES", log_of(path).bytes)
    kept.ledger.checkpoint()
    assert moves[-1]
    assert kept.ledger.log_bytes() == 0
    book(kept, "after", 1)
    assert log_of(path).salt != began.salt
    kept.assert_sound()


@pytest.mark.parametrize("full_bytes", [_ALWAYS, 200_000], indirect=True)
def test_eight_writers_beside_checkpoints_lose_nothing(full_bytes: int) -> None:
    """CK1: the log is begun anew hundreds of times, by bookings that meet the next checkpoint.

    Without CK1 a minute of this damages the file, with SQLite 3.40 at least; a second seldom does.
    """
    returned: list[int] = []

    def write(name: int) -> None:
        chance = Random(name)
        for n in range(300):
            events = chance.randint(1, 4)
            book(world, f"{name} {n}", events)
            returned.append(events)
            if chance.random() < 0.5:  # or who moves the log would seldom get the lock
                time.sleep(chance.uniform(0, 0.003))

    with closing(open_ledger(":memory:")) as ledger:
        world, salts = World(ledger), set()
        writers = [Thread(target=write, args=(name,)) for name in range(8)]
        for writer in writers:
            writer.start()
        while any(writer.is_alive() for writer in writers):
            ledger.checkpoint()
            salts.add(log_of(ledger.path).salt)
        assert len(returned) == 8 * 300
        assert len(salts) > (20 if full_bytes == _ALWAYS else 1)
        assert world.numbers()["a"][0] == sum(returned)
        with ledger.reader() as reader:
            assert sum(1 for _ in reader.events()) == sum(returned)
        world.assert_sound()
        ledger.checkpoint(everything=True)
        with closing(sqlite3.connect(ledger.path)) as alone:
            assert alone.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


_BOOKS_BESIDE_CHECKPOINTS = """
    import itertools, threading
    from stiggctl.ledger.opening import open_ledger
    from stiggctl.ledger.sqlite import checkpoints
    from tests.ledger.world import World
    checkpoints._FULL_BYTES = ALWAYS_OR_NEVER
    world = World(open_ledger(PATH))
    def move():
        while True:
            world.ledger.checkpoint()
    threading.Thread(target=move, daemon=True).start()
    for n in itertools.count():
        world.exchange(*(world.booking(f"{n} {part}", 1) for part in range(n % 5 + 1)))
        print(n, flush=True)
"""


@pytest.mark.parametrize("full_bytes", [_ALWAYS, _NEVER])
@pytest.mark.parametrize("lines", [1, 40, 97, 211])
def test_what_was_answered_survives_kill_9_at_any_moment_of_a_checkpoint(
    path: Path, lines: int, full_bytes: int
) -> None:
    """L1, L2: they follow each other without a pause, so that death finds one under way."""
    process = outside.start(path, _BOOKS_BESIDE_CHECKPOINTS.replace("ALWAYS_OR_NEVER", str(full_bytes)))
    outside.kill_after(process, lines, path)


# ------------------------------------------------------------------ trouble, closing, forks


def test_a_checkpoint_waits_for_nobody_who_writes_unless_the_log_is_full(
    kept: World, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    book(kept, "first")
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        kept.ledger.checkpoint()
        monkeypatch.setattr(checkpoints, "_FULL_BYTES", _ALWAYS)
        with pytest.raises(LedgerUnavailable):
            kept.ledger.checkpoint()
        other.execute("ROLLBACK")
    kept.ledger.checkpoint()


def test_a_checkpoint_that_finds_no_room_is_told_and_bookings_go_on(path: Path) -> None:
    """The file may not grow, by the system's own limit; the log still may. Nothing is lost."""
    child = os.fork()
    if child == 0:
        try:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            world = World(open_ledger(path))
            limits.setrlimit(limits.RLIMIT_FSIZE, (600_000, limits.RLIM_INFINITY))
            troubles = booked = 0
            while troubles < 3:
                book(world, str(booked), 20)
                booked += 1
                try:
                    world.ledger.checkpoint()
                except LedgerUnavailable:
                    troubles += 1
            world.assert_sound()
            limits.setrlimit(limits.RLIMIT_FSIZE, (limits.RLIM_INFINITY, limits.RLIM_INFINITY))
            world.ledger.checkpoint()
            assert world.ledger.log_bytes() == 0
            assert path.stat().st_size > 600_000
            world.assert_sound()
            with world.ledger.reader() as reader:
                assert sum(1 for _ in reader.events()) == 20 * booked > 60
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_checkpoint_that_finds_damage_ends_all_writing(kept: World) -> None:
    book(kept, "first")

    error = sqlite3.DatabaseError("database disk image is malformed")
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT

    def move(_: sqlite3.Connection) -> int:
        raise error

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(checkpoints, "_move", move)
        with pytest.raises(LedgerCorrupt):
            kept.ledger.checkpoint()
    for write in (kept.ledger.checkpoint, lambda: book(kept, "more")):
        with pytest.raises(LedgerCorrupt):
            write()


def test_closing_waits_for_a_checkpoint_and_leaves_no_log(kept: World, path: Path) -> None:
    """CK2: nothing of it is open when the last connection is closed."""
    inside, closing_ = Event(), Thread(target=kept.ledger.close)

    def step() -> None:
        if not inside.is_set():
            inside.set()
            closing_.start()
            closing_.join(0.05)
            assert closing_.is_alive()

    book(kept, "first")
    at_each_move(kept, step)
    kept.ledger.checkpoint()
    closing_.join(20)
    assert inside.is_set()
    assert [found.name for found in path.parent.iterdir()] == ["usage.db"]


def opened() -> Iterator[str]:
    """The names of all files that this process has open."""
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # that of the directory itself
            yield str(descriptor.readlink())


def test_forks_beside_checkpoints_lose_and_double_nothing(path: Path) -> None:
    """CK2, CN4: nothing of one is open in a child.

    All of them write at once: they wait for each other as long as anybody does, not only briefly.
    """
    stop, moved, children = Event(), [], []
    with closing(open_ledger(path)) as ledger:
        world = World(ledger)

        def move() -> None:
            while not stop.is_set():
                ledger.checkpoint()
                moved.append(1)

        mover = Thread(target=move)
        mover.start()
        try:
            for n in range(12):
                book(world, f"parent {n}", 5)
                child = os.fork()
                if child == 0:
                    try:
                        assert not any(name.startswith(str(path)) for name in opened())
                        book(world, f"child {n}", 1)
                        ledger.checkpoint()
                        os._exit(0)
                    finally:
                        os._exit(1)
                children.append(child)
        finally:
            ended = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
            stop.set()
            mover.join()
        assert ended == [0] * 12
        assert moved
        world.assert_sound()
        with ledger.reader() as reader:
            assert sum(1 for _ in reader.events()) == 12 * 6


def test_a_fork_that_a_checkpoint_does_not_let_be_leaves_the_child_without_the_ledger(
    kept: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CK2: and the parent goes on."""
    monkeypatch.setattr("stiggctl.ledger.sqlite.connections._FORK_SECONDS", 0.05)
    inside, go_on = Event(), Event()

    def step() -> None:
        inside.set()
        go_on.wait()

    book(kept, "first")
    at_each_move(kept, step)
    moving_ = Thread(target=kept.ledger.checkpoint)
    moving_.start()
    inside.wait()
    child = os.fork()
    if child == 0:
        try:
            for use in (kept.ledger.checkpoint, lambda: book(kept, "child")):
                with pytest.raises(LedgerUnavailable, match="was forked"):
                    use()
            os._exit(0)
        finally:
            os._exit(1)
    go_on.set()
    moving_.join()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    book(kept, "parent")
    kept.assert_sound()
