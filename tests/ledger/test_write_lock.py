"""Which process has the write lock, where the system tells."""

import os
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest

from stiggctl.errors import LedgerUnavailable
from stiggctl.ledger.opening import open_ledger
from stiggctl.ledger.sqlite.write_lock import writing_process

from . import outside
from .world import World


@pytest.fixture
def index(path: Path) -> str:
    """A log's index, and how the system names it in its list of locks."""
    shm = Path(f"{path}-shm")
    shm.touch()
    found = shm.stat()
    return f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"


@pytest.mark.parametrize(
    ("line", "pid"),
    [
        ("POSIX  ADVISORY  WRITE 4711 {index} 120 120", 4711),
        ("POSIX  ADVISORY  WRITE 4711 {index} 120 121", 4711),
        ("POSIX  ADVISORY  WRITE 4711 {index} 0 EOF", 4711),
        ("POSIX  ADVISORY  WRITE 4711 {index} 121 121", None),  # it moves the log
        ("POSIX  ADVISORY  WRITE 4711 {index} 119 119", None),
        ("POSIX  ADVISORY  READ 4711 {index} 120 120", None),
        ("-> POSIX  ADVISORY  WRITE 4711 {index} 120 120", None),  # it waits for it
        ("POSIX  ADVISORY  WRITE 0 {index} 120 120", None),  # of another namespace
        ("OFDLCK ADVISORY  WRITE -1 {index} 120 120", None),
        ("POSIX  ADVISORY  WRITE 4711 fe:00:1 120 120", None),  # of another file
    ],
)
def test_who_has_the_byte_of_the_writer_writes(
    path: Path, tmp_path: Path, index: str, line: str, pid: int | None
) -> None:
    locks = tmp_path / "locks"
    other = "1: POSIX  ADVISORY  WRITE 1 fe:00:2 120 120\n"
    locks.write_text(f"{other}2: {line.format(index=index)}\n")
    assert writing_process(path, locks) == pid


def test_where_the_system_does_not_tell_nobody_is_named(path: Path, tmp_path: Path, index: str) -> None:
    assert writing_process(path, tmp_path / "no-locks") is None
    assert writing_process(tmp_path / "no-ledger", Path(__file__)) is None


@pytest.mark.platform
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells of locks")
def test_who_waits_in_vain_is_told_which_process_has_the_lock(path: Path) -> None:
    with closing(open_ledger(path, patience_seconds=0.05)) as ledger:
        world = World(ledger)
        other = outside.start(
            path,
            """
            import sqlite3
            connection = sqlite3.connect(PATH, isolation_level=None)
            connection.execute("BEGIN IMMEDIATE")
            print("has it", flush=True)
            sys.stdin.readline()
            """,
        )
        try:
            assert other.stdout is not None
            assert other.stdout.readline() == "has it\n"
            for write in (lambda: world.exchange(world.booking("k", 1)), lambda: ledger.raise_ttl(1, 1)):
                with pytest.raises(LedgerUnavailable) as raised:
                    write()
                assert raised.value.holder_pid == other.pid
                assert f"(process {other.pid})" in str(raised.value)
        finally:
            other.communicate("", timeout=60)
        assert writing_process(path) is None
        world.exchange(world.booking("k", 1))
        with closing(sqlite3.connect(path, isolation_level=None)) as own:  # of this process: it is named too
            own.execute("BEGIN IMMEDIATE")
            assert writing_process(path) == os.getpid()
