"""Opening: what is a ledger is opened, what is none is refused and left as it was."""

import gc
import os
import shutil
import sqlite3
import struct
import time
from contextlib import closing
from pathlib import Path
from threading import Barrier, Thread

import pytest

from stiggctl.errors import (
    InvalidRequest,
    LedgerCorrupt,
    LedgerError,
    LedgerUnavailable,
    LedgerVersionError,
)
from stiggctl.ledger.opening import file_system, open_ledger
from stiggctl.ledger.sqlite import schema

from . import outside
from .world import World


def contents(directory: Path) -> dict[str, bytes]:
    return {
        str(found.relative_to(directory)): found.read_bytes()
        for found in directory.rglob("*")
        if found.is_file()
    }


@pytest.fixture
def kept(path: Path) -> Path:
    """A ledger with the world in it, closed."""
    with closing(open_ledger(path)) as ledger:
        world = World(ledger)
        world.exchange(world.booking("k", 7))
    return path


# ------------------------------------------------------------------ making


def test_a_ledger_is_made_where_there_is_none_and_is_found_again(path: Path) -> None:
    with closing(open_ledger(path)) as ledger, ledger.reader() as reader:
        made = reader.state()
    with closing(open_ledger(str(path))) as ledger, ledger.reader() as reader:
        assert reader.state() == made
    assert contents(path.parent).keys() == {"usage.db"}  # the last to close leaves one file


def test_what_was_booked_is_there_after_reopening(kept: Path) -> None:
    for create in (True, False):
        with closing(open_ledger(kept, create=create)) as ledger, ledger.reader() as reader:
            assert [event.key for event in reader.events()] == ["k"]
            assert reader.differences() == []


def test_an_empty_file_becomes_a_ledger(path: Path) -> None:
    """As tempfile makes one."""
    path.touch()
    with pytest.raises(LedgerError, match="there is no ledger"):
        open_ledger(path, create=False)
    assert path.read_bytes() == b""
    with closing(open_ledger(path)) as ledger, ledger.reader() as reader:
        assert reader.state().change == 1


@pytest.mark.parametrize(
    "name", ["with space.db", "who?.db", "50%20.db", "a#b.db", "ключ.db", 'it\'s "x".db', "-.db"]
)
def test_any_file_name_will_do(tmp_path: Path, name: str) -> None:
    with closing(open_ledger(tmp_path / name)) as ledger, ledger.reader() as reader:
        reader.state()
        assert (tmp_path / name).exists()
    assert contents(tmp_path).keys() == {name}


def test_a_link_leads_to_its_ledger(kept: Path) -> None:
    link = kept.with_name("link.db")
    link.symlink_to(kept)
    with closing(open_ledger(link)) as ledger:
        assert ledger.path == kept.resolve()
        with ledger.reader() as reader:
            assert [event.key for event in reader.events()] == ["k"]


def test_threads_that_make_one_ledger_make_one(path: Path) -> None:
    together, found = Barrier(6), []

    def make() -> None:
        together.wait()
        with closing(open_ledger(path)) as ledger, ledger.reader() as reader:
            found.append(reader.state().id)

    threads = [Thread(target=make) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 6
    assert len(set(found)) == 1


def test_processes_that_make_one_ledger_make_one(path: Path) -> None:
    """F2: with sqlite-utils imported beforehand, so that all begin at once."""
    code = """
        import sqlite_utils
        from stiggctl.ledger.opening import open_ledger
        print("ready", flush=True)
        sys.stdin.readline()
        for n in range(8):
            ledger = open_ledger(PATH.with_name(f"{n}.db"))
            with ledger.reader() as reader:
                print(reader.state().id)
            ledger.close()
    """
    processes = [outside.start(path, code) for _ in range(3)]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    said = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], said
    assert len({ids for ids, _ in said}) == 1
    assert len(set(said[0][0].split())) == 8


@pytest.mark.parametrize("statements", range(0, 60, 4))
def test_who_dies_while_it_makes_a_ledger_leaves_nothing_in_the_way(path: Path, statements: int) -> None:
    """F3: after so many of SQLite's statements."""
    _make_and_die(path, statements)
    with closing(open_ledger(path)) as ledger, ledger.reader() as reader:
        assert reader.state().change == 1
        assert reader.differences() == []


def _make_and_die(path: Path, statements: int) -> None:
    child = os.fork()
    if child == 0:
        left = statements

        def count(statement: str) -> None:
            nonlocal left
            if left == 0:
                os._exit(9)
            left -= 1

        real = schema.Connections.connect

        def connect(self: schema.Connections, mode: str) -> sqlite3.Connection:
            connection = real(self, mode)  # type: ignore[arg-type]  # as it came
            connection.set_trace_callback(count)
            return connection

        schema.Connections.connect = connect  # type: ignore[method-assign, assignment]  # in this child only
        open_ledger(path)
        os._exit(9)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 9


def _as_in_the_middle_of_its_making(path: Path, pages: int) -> None:
    """Its first pages are written; the journal says that there were none before."""
    open_ledger(path).close()
    path.write_bytes(path.read_bytes()[: pages * 2_048])
    header = struct.pack(">8sIIIII", bytes.fromhex("d9d505f920a163d7"), 0, 0, 0, 512, 2_048)
    path.with_name("usage.db-journal").write_bytes(header.ljust(512, b"\0"))


@pytest.mark.parametrize("pages", [1, 2, 20])
def test_who_died_while_its_ledger_was_written_leaves_none(path: Path, pages: int) -> None:
    """F3."""
    _as_in_the_middle_of_its_making(path, pages)
    with pytest.raises(LedgerError):
        open_ledger(path, create=False)
    with closing(open_ledger(path)) as ledger, ledger.reader() as reader:
        assert reader.state().change == 1
        assert reader.differences() == []
    assert contents(path.parent).keys() == {"usage.db"}


# ------------------------------------------------------------------ reading never makes


def test_a_reader_of_nothing_makes_nothing(path: Path) -> None:
    """S2, OP1."""
    with pytest.raises(LedgerError, match="there is no ledger"):
        open_ledger(path, create=False)
    assert contents(path.parent) == {}


def test_a_reader_changes_no_byte(kept: Path) -> None:
    before = contents(kept.parent)
    with closing(open_ledger(kept, create=False)) as ledger, ledger.reader() as reader:
        assert len(list(reader.events())) == 1
        assert reader.differences() == []
    assert contents(kept.parent) == before


def test_what_was_deleted_meanwhile_is_not_made_anew_by_reading(kept: Path) -> None:
    with closing(open_ledger(kept, create=False)) as ledger:
        ledger.checkpoint(everything=True)
        for found in kept.parent.iterdir():
            found.unlink()
        ledger._connections._close_idle()
        with pytest.raises(LedgerError, match="there is no ledger"), ledger.reader():
            pass
    assert contents(kept.parent) == {}


def test_a_ledger_that_may_only_be_read_can_be_read(kept: Path) -> None:
    """And refuses writes by name. As another user: root may write everything."""
    kept.parent.chmod(0o755)
    kept.chmod(0o644)
    code = """
        from stiggctl.ledger.opening import open_ledger
        from stiggctl.errors import LedgerUnavailable
        from tests.ledger.world import holder
        PATH.as_uri()  # 3.13 imports what it needs now; the other user may not read this Python
        if os.getuid() == 0:
            os.setgid(65534); os.setuid(65534)
        else:
            PATH.chmod(0o444); PATH.parent.chmod(0o555)
        for create in (True, False):
            try:
                ledger = open_ledger(PATH, create=create)
                ledger.enlist(holder())
            except LedgerUnavailable as error:
                print(error)
    """
    for above in list(kept.parents)[:-1]:
        if above.stat().st_uid == os.getuid() and "pytest" in above.name:
            above.chmod(above.stat().st_mode | 0o055)
    said = outside.run(kept, code)
    kept.parent.chmod(0o755)
    assert said.count("\n") == 1
    assert said.count("let this user write both") + said.count("that this user may write in it") == 2


# ------------------------------------------------------------------ refused


def test_a_strangers_database_is_refused_and_left_as_it_was(path: Path) -> None:
    """F1: in both journal modes, with an id of its own and without."""
    for mode in ("delete", "wal"):
        for application_id in (0, 42):
            path.unlink(missing_ok=True)
            with closing(sqlite3.connect(path)) as stranger:
                stranger.execute(f"PRAGMA journal_mode = {mode}")
                stranger.execute(f"PRAGMA application_id = {application_id}")
                stranger.execute("CREATE TABLE theirs (x)")
                stranger.execute("INSERT INTO theirs VALUES ('precious')")
                stranger.commit()
            before = contents(path.parent)
            for create in (True, False):
                with pytest.raises(LedgerError, match="no ledger of stiggctl") as raised:
                    open_ledger(path, create=create)
                assert type(raised.value) is LedgerError
            assert contents(path.parent) == before


def test_a_strangers_database_that_is_in_use_is_refused_and_left_as_it_was(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as stranger:
        stranger.execute("PRAGMA journal_mode = wal")
        stranger.execute("CREATE TABLE theirs (x)")
        stranger.execute("BEGIN IMMEDIATE")
        stranger.execute("INSERT INTO theirs VALUES ('precious')")
        with pytest.raises(LedgerError, match="no ledger of stiggctl"):
            open_ledger(path)
        stranger.execute("COMMIT")
        assert stranger.execute("SELECT x FROM theirs").fetchall() == [("precious",)]


@pytest.mark.parametrize(
    "text", [b"not a database at all, but long enough to look at" * 9, b"short", b"\0" * 4096]
)
def test_what_is_no_database_is_refused_and_left_as_it_was(path: Path, text: bytes) -> None:
    path.write_bytes(text)
    for create in (True, False):
        with pytest.raises(LedgerError, match=r"not an SQLite database|no ledger of stiggctl"):
            open_ledger(path, create=create)
    assert contents(path.parent) == {"usage.db": text}


def test_a_damaged_ledger_is_named_so(kept: Path) -> None:
    """Where the damage is met: at opening, or at the first row that needs it."""
    whole = kept.read_bytes()
    for at in range(2_048, len(whole), 2_048):
        kept.write_bytes(whole[:at] + b"\xa5" * 2_048 + whole[at + 2_048 :])
        try:
            with closing(open_ledger(kept)) as ledger, ledger.reader() as reader:
                list(reader.events())
                list(reader.resources())
                assert reader.differences() != []
        except LedgerError as error:
            assert isinstance(error, LedgerCorrupt), error  # noqa: PT017 - either is an answer
    kept.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(LedgerCorrupt), closing(open_ledger(kept)) as ledger, ledger.reader() as reader:
        reader.differences()


def test_a_ledger_without_its_row_is_corrupt(kept: Path) -> None:
    with closing(sqlite3.connect(kept, isolation_level=None)) as damaging:
        damaging.execute("DELETE FROM ledger")
    for create in (True, False):
        with pytest.raises(LedgerCorrupt, match="row is missing"):
            open_ledger(kept, create=create)


def test_a_newer_ledger_is_refused_and_left_as_it_was(kept: Path) -> None:
    with closing(sqlite3.connect(kept, isolation_level=None)) as newer:
        newer.execute("UPDATE ledger SET schema_version = schema_version + 1")
    before = kept.read_bytes()
    for create in (True, False):
        with pytest.raises(LedgerVersionError, match="a newer stiggctl"):
            open_ledger(kept, create=create)
    assert kept.read_bytes() == before


@pytest.mark.parametrize(
    ("location", "says"),
    [
        ("postgresql://user:secret@host/db", "PostgreSQL ledgers are not in this version"),
        ("postgres://host/db", "PostgreSQL ledgers are not in this version"),
        ("mysql://host/db", "names no kind of ledger"),
        ("", "not a path"),
        ("a\0b", "not a path"),
        ("nowhere/usage.db", "is not there"),
        (".", "is a directory"),
    ],
)
def test_a_location_that_cannot_be_meant_is_refused(
    location: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LedgerError, match=says) as raised:
        open_ledger(location)
    assert "secret" not in str(raised.value)
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_regular_file_and_a_circle_of_links_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "one").symlink_to(tmp_path / "two")
    (tmp_path / "two").symlink_to(tmp_path / "one")
    for name in ("pipe", "one"):
        with pytest.raises(LedgerError):
            open_ledger(tmp_path / name)


def test_a_durability_that_is_not_there_is_refused_by_name(path: Path) -> None:
    with pytest.raises(InvalidRequest, match="everlasting"):
        open_ledger(path, durability="everlasting")
    assert not path.exists()


@pytest.mark.parametrize(("durability", "synchronous"), [("process", 1), ("power", 2)])
def test_durability_is_how_sqlite_waits_for_the_disk(path: Path, durability: str, synchronous: int) -> None:
    with closing(open_ledger(path, durability=durability)) as ledger:
        writing = ledger._connections._writing
        assert writing.execute("PRAGMA synchronous").fetchone() == (synchronous,)
        assert writing.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert writing.execute("PRAGMA wal_autocheckpoint").fetchone() == (0,)
        assert writing.execute("PRAGMA busy_timeout").fetchone() == (0,)


# ------------------------------------------------------------------ file systems

MOUNTS = r"""
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 27 0:30 / /mnt/share rw,relatime shared:7 master:1 - nfs4 server:/x rw,addr=1.2.3.4
31 27 0:31 / /mnt/share/local rw - xfs /dev/vdb rw
32 27 0:32 / /mnt/our\040share rw - cifs //server/x rw
33 27 0:33 / /mnt/twice rw - ext4 /dev/vdc rw
34 33 0:34 / /mnt/twice rw - fuse.sshfs me@host: rw
35 27 0:35 / /mnt/share-not rw - btrfs /dev/vdd rw
36 27 0:36 / /mnt/odd rw
"""


@pytest.mark.parametrize(
    ("place", "kind"),
    [
        ("/srv/usage.db", "ext4"),
        ("/mnt/share/usage.db", "nfs4"),
        ("/mnt/share/deep/er/usage.db", "nfs4"),
        ("/mnt/share/local/usage.db", "xfs"),
        ("/mnt/share-not/usage.db", "btrfs"),
        ("/mnt/our share/usage.db", "cifs"),
        ("/mnt/twice/usage.db", "fuse.sshfs"),
        ("/mnt/odd/usage.db", "ext4"),
    ],
)
def test_the_longest_and_last_mount_says_which_file_system_it_is(
    tmp_path: Path, place: str, kind: str
) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(MOUNTS)
    assert file_system(Path(place), mounts) == kind


def test_where_the_system_does_not_tell_nothing_is_refused(path: Path) -> None:
    assert file_system(path, path.with_name("no such file")) is None
    open_ledger(path, mounts=path.with_name("no such file")).close()


@pytest.mark.parametrize(
    "kind", ["nfs", "nfs4", "cifs", "smb3", "9p", "virtiofs", "ceph", "lustre", "fuse.sshfs"]
)
def test_a_network_file_system_is_refused_before_anything_is_made(
    path: Path, tmp_path: Path, kind: str
) -> None:
    """OP1."""
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        f"1 0 0:1 / / rw - ext4 /dev/vda rw\n2 1 0:2 / {path.parent} rw - {kind} server:/x rw\n"
    )
    with pytest.raises(LedgerError, match="use a local disk or PostgreSQL"):
        open_ledger(path, mounts=mounts)
    assert not path.exists()


# ------------------------------------------------------------------ in memory


def test_a_ledger_in_memory_goes_with_its_closing(ledger) -> None:
    """OP2."""
    room = ledger.path.parent
    assert ledger.location == ":memory:"
    World(ledger)
    assert room.stat().st_mode & 0o777 == 0o700
    ledger.close()
    ledger.close()
    assert not room.exists()


def test_two_ledgers_in_memory_are_two() -> None:
    with (
        closing(open_ledger(":memory:")) as one,
        closing(open_ledger(":memory:")) as two,
        one.reader() as first,
        two.reader() as second,
    ):
        assert first.state().id != second.state().id


def test_a_ledger_in_memory_goes_with_the_process_that_made_it_and_not_with_its_forks(path: Path) -> None:
    """OP2."""
    said = outside.run(
        path,
        """
        from stiggctl.ledger.opening import open_ledger
        from tests.ledger.world import World
        ledger = open_ledger(":memory:")
        print(ledger.path.parent)
        world = World(ledger)
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            world.exchange(world.booking("child", 5))
            ledger.close()
            sys.exit(0)
        os.waitpid(child, 0)
        assert ledger.path.exists()
        with ledger.reader() as reader:
            assert [event.key for event in reader.events()] == ["child"]
        """,
    )
    assert said
    assert not Path(said).exists()


# Since Python 3.13 sqlite3 says of each connection that nobody closed that it was left.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_ledger_that_was_never_closed_goes_when_it_is_forgotten() -> None:
    room = open_ledger(":memory:").path.parent
    for _ in range(100):
        if not room.exists():
            break
        time.sleep(0.01)
    else:
        shutil.rmtree(room)
        pytest.fail("it is still there")
    gc.collect()  # it is said here, of this one


def test_a_closed_ledger_says_that_it_is_closed(path: Path) -> None:
    ledger = open_ledger(path)
    world = World(ledger)
    ledger.close()
    for use in (
        world.exchange,
        lambda: ledger.reader().__enter__(),
        ledger.checkpoint,
        world.enlist,
    ):
        with pytest.raises(LedgerUnavailable, match="closed") as raised:
            use()
        assert not raised.value.unreachable
