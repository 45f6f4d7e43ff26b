"""Liveness: alive as long as the lock is held, dead with proof, and nothing in between."""

import errno
import fcntl
import os
import secrets
import signal
import threading
import time
from pathlib import Path

import pytest

from stiggctl.errors import LedgerUnavailable
from stiggctl.holder import liveness
from stiggctl.holder.liveness import Presence
from stiggctl.holder.page import Page
from stiggctl.ledger.records import HolderRow, Orphan

from .sealing import another_process

NOW_US = 1_768_478_400_000_000
SECOND = 1_000_000

#: Begins, holds 30 of cells 1 and 2, and waits to be killed or told to end.
BEGIN = f"""
import os, sys
from stiggctl.holder.liveness import Presence
presence = Presence.begin(sys.argv[1], [])
presence.page.write({NOW_US + 60 * SECOND}, 1, (1, 2), 30)
def say(*also):
    said = presence.name, presence.boot_id, presence.pid, presence.lock_inode, *also
    os.write(1, (" ".join(map(str, said)) + "\\n").encode())  # in one piece: a child writes there, too
"""
WAIT = "say(); sys.stdin.readline(); presence.end()"
#: … and has a child. What the child does with the presence is the argument.
FORK = """
import gc, time
child = os.fork()
if child == 0:
    exec(sys.argv[2])
say(child); sys.stdin.readline(); presence.end()
"""
ABANDONS = "presence.abandon_in_child()"
DROPS = "del presence; gc.collect()"
FORGETS_NOTHING = "pass"
#: … or it abandons in a hook that comes before filelock's own.
HOOKED = "import os; os.register_at_fork(after_in_child=lambda: presence.abandon_in_child())"


def row_of(said: str, **changed: object) -> HolderRow:
    name, boot, pid, inode, *_ = said.split()
    facts = {"name": name, "boot": boot, "pid": int(pid), "lock_inode": int(inode)} | changed
    return HolderRow(**({"id": 1, "host": "here", "state": 0, "ttl_max_ms": 600_000} | facts))


def row(presence: Presence, **changed: object) -> HolderRow:
    return row_of(f"{presence.name} {presence.boot_id} {presence.pid} {presence.lock_inode}", **changed)


def files(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def wait_until_dead(directory: Path, holder: HolderRow, within_seconds: float = 5.0) -> bool:
    """A killed process is reaped by its parent, or by nobody: its lock is free a moment later."""
    until = time.monotonic() + within_seconds
    while time.monotonic() < until:
        if Presence.is_dead(directory, holder):
            return True
        time.sleep(0.002)
    return False


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "usage.db-holders"


@pytest.fixture
def presence(directory: Path):
    presence = Presence.begin(directory, [])
    yield presence
    presence.page.close()
    presence._lock.release()


# ------------------------------------------------------------------ alive, dead


def test_a_process_is_alive_until_it_is_killed_and_dead_at_once(directory: Path) -> None:
    """V1, V2."""
    with another_process(BEGIN + WAIT, directory) as (process, said):
        holder = row_of(said)
        assert not any(Presence.is_dead(directory, holder) for _ in range(20))
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert Presence.is_dead(directory, holder)
    assert Presence.orphans_of(directory, holder, NOW_US) == {
        1: [Orphan(30, NOW_US + 60 * SECOND)],
        2: [Orphan(30, NOW_US + 60 * SECOND)],
    }


def test_a_process_that_is_stopped_is_alive(directory: Path) -> None:
    """V1."""
    with another_process(BEGIN + WAIT, directory) as (process, said):
        process.send_signal(signal.SIGSTOP)
        os.waitpid(process.pid, os.WUNTRACED)
        assert not Presence.is_dead(directory, row_of(said))
        assert Presence.orphans_of(directory, row_of(said), NOW_US)
        process.send_signal(signal.SIGCONT)
        assert not Presence.is_dead(directory, row_of(said))
        process.communicate("end\n")
        assert process.returncode == 0
        assert Presence.is_dead(directory, row_of(said))
    assert files(directory) == []


def test_this_very_process_is_alive_and_asking_changes_nothing(directory: Path, presence: Presence) -> None:
    """V1: also for the process that holds the lock."""
    before = files(directory)
    for _ in range(20):
        assert not Presence.is_dead(directory, row(presence))
    assert files(directory) == before == [f"{presence.name}.lock", f"{presence.name}.page"]
    assert presence.is_in_place()


def test_two_that_look_at_a_dead_process_at_once_do_not_take_each_other_for_it(
    directory: Path, presence: Presence
) -> None:
    presence.leave()
    with liveness._probed(directory / f"{presence.name}.lock") as taken:
        assert taken
        assert Presence.is_dead(directory, row(presence))


def test_a_process_whose_lock_file_is_gone_or_another_is_dead(directory: Path, presence: Presence) -> None:
    """V2: a copied or restored ledger."""
    lock_path = directory / f"{presence.name}.lock"
    assert Presence.is_dead(directory, row(presence, lock_inode=presence.lock_inode + 1))
    copy = directory / "copy"
    copy.write_bytes(lock_path.read_bytes())
    copy.rename(lock_path)
    assert Presence.is_dead(directory, row(presence))
    assert not presence.is_in_place()
    lock_path.unlink()
    assert Presence.is_dead(directory, row(presence))
    assert not presence.is_in_place()
    assert Presence.is_dead(directory / "none", row(presence))


def test_another_boot_id_alone_is_no_proof_of_death(directory: Path, presence: Presence) -> None:
    """V2."""
    assert not Presence.is_dead(directory, row(presence, boot="another boot"))


# ------------------------------------------------------------------ fork


@pytest.mark.parametrize("before", ["", HOOKED])
@pytest.mark.parametrize("does", [ABANDONS, DROPS, FORGETS_NOTHING])
def test_a_child_that_ends_does_not_free_its_parents_lock(directory: Path, before: str, does: str) -> None:
    """V3. With filelock before 3.30 a child that collects the inherited lock frees it."""
    child = f"{does}; os._exit(0)"
    with another_process(before + BEGIN + FORK, directory, child) as (_, said):
        pid = int(said.split()[-1])
        for _ in range(2_000):  # until it is a zombie: its parent does not wait for it
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                break
            time.sleep(0.005)
        else:
            pytest.fail("the child did not end")
        assert not Presence.is_dead(directory, row_of(said))


@pytest.mark.parametrize("before", ["", HOOKED])
@pytest.mark.parametrize("does", [ABANDONS, DROPS, FORGETS_NOTHING])
def test_a_child_does_not_keep_its_dead_parent_alive(directory: Path, before: str, does: str) -> None:
    """V3. With filelock before 3.30 a child keeps the lock until it ends."""
    child = f"{does}; os.write(1, b'child\\n'); time.sleep(60); os._exit(0)"
    with another_process(before + BEGIN + FORK, directory, child) as (process, first):
        assert process.stdout is not None
        lines = {first, process.stdout.readline().strip()}
        assert "child" in lines  # it did what it does
        (said,) = lines - {"child"}
        pid = int(said.split()[-1])
        try:
            assert not Presence.is_dead(directory, row_of(said))
            process.kill()
            process.wait()
            assert Presence.is_dead(directory, row_of(said))
            os.kill(pid, 0)  # the child is there still
        finally:
            os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("abandons", [False, True])
def test_a_child_forked_by_c_code_keeps_its_parent_alive_until_it_ends_or_abandons(
    directory: Path, abandons: bool
) -> None:
    """Python's hooks do not run in it. Its parent's credits stay withheld: the safe side."""
    fork = f"""
import ctypes
libc = ctypes.PyDLL(None)
child = libc.fork()
if child == 0:
    if {abandons}:
        presence.abandon_in_child()
    os.write(1, b"child\\n")
    libc.sleep(60)
    libc._exit(0)
say(child); sys.stdin.readline()
"""
    with another_process(BEGIN + fork, directory) as (process, first):
        assert process.stdout is not None
        (said,) = {first, process.stdout.readline().strip()} - {"child"}
        child = int(said.split()[-1])
        process.kill()
        process.wait()
        assert Presence.is_dead(directory, row_of(said)) is abandons
        os.kill(child, signal.SIGKILL)
        assert wait_until_dead(directory, row_of(said))


def test_a_child_closes_no_file_of_its_own_that_has_the_locks_number(directory: Path, tmp_path: Path) -> None:
    """filelock may have closed the lock already, and another hook opened a file."""
    opens = f"""
number = presence._lock_file
try:
    os.close(number)
except OSError:
    pass
own = os.open({str(tmp_path)!r}, os.O_RDONLY)
os.dup2(own, number)
presence.abandon_in_child()
os.fstat(number)
os._exit(0)
"""
    wait = "\nprint(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)"
    with another_process(BEGIN + FORK.replace("say(child)", wait), directory, opens) as (_, said):
        assert said == "0"


def test_a_program_that_is_started_does_not_keep_the_lock(directory: Path) -> None:
    start = """
import subprocess
sleeper = subprocess.Popen(["sleep", "60"], close_fds=False)
say(sleeper.pid); sys.stdin.readline()
"""
    with another_process(BEGIN + start, directory) as (process, said):
        process.kill()
        process.wait()
        try:
            assert Presence.is_dead(directory, row_of(said))
        finally:
            os.kill(int(said.split()[-1]), signal.SIGKILL)


# ------------------------------------------------------------------ what the dead held


def test_orphans_are_what_was_held_by_cell_and_end(directory: Path, presence: Presence) -> None:
    def ends(seconds: int) -> int:
        return NOW_US + seconds * SECOND

    for until_us, cells, amount in [
        (ends(20), (1, 2), 5),
        (ends(20), (2, 3), 7),
        (ends(10), (2,), 11),
        (ends(601), (3,), 13),  # longer than the holder ever promised: cut
        (ends(602), (3,), 17),
        (ends(0), (1,), 19),  # ends now: an end is not included
        (ends(-5), (4,), 23),
        (ends(30), (), 29),
    ]:
        presence.page.write(until_us, 1, cells, amount)
    presence.page.clear(presence.page.write(ends(20), 2, (1, 9), 1_000))
    presence.leave()
    assert Presence.orphans_of(directory, row(presence), NOW_US) == {
        1: [Orphan(5, ends(20))],
        2: [Orphan(11, ends(10)), Orphan(12, ends(20))],
        3: [Orphan(7, ends(20)), Orphan(30, ends(600))],
    }


def test_a_page_counts_only_beside_its_own_lock_file_and_on_its_own_boot(
    directory: Path, presence: Presence, monkeypatch: pytest.MonkeyPatch
) -> None:
    """V4."""
    presence.page.write(NOW_US + SECOND, 1, (1,), 5)
    presence.leave()
    assert Presence.orphans_of(directory, row(presence), NOW_US) == {1: [Orphan(5, NOW_US + SECOND)]}
    assert Presence.orphans_of(directory, row(presence, lock_inode=1), NOW_US) == {}
    with monkeypatch.context() as patched:
        patched.setattr(liveness, "boot_id", lambda: "another boot")
        assert Presence.orphans_of(directory, row(presence), NOW_US) == {}
    page_path = directory / f"{presence.name}.page"
    page_path.unlink()
    assert Presence.orphans_of(directory, row(presence), NOW_US) == {}
    another = Page.create(page_path, "of another", presence.boot_id)
    another.write(NOW_US + SECOND, 1, (1,), 5)
    another.close()
    assert Presence.orphans_of(directory, row(presence), NOW_US) == {}


def test_a_page_that_cannot_be_read_is_not_taken_for_one_without_holds(
    directory: Path, presence: Presence
) -> None:
    presence.leave()
    page_path = directory / f"{presence.name}.page"
    page_path.unlink()
    page_path.mkdir()
    with pytest.raises(LedgerUnavailable, match="Is a directory"):
        Presence.orphans_of(directory, row(presence), NOW_US)


def test_without_linuxs_boot_id_all_processes_of_a_machine_agree_on_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert liveness.boot_id() == Path("/proc/sys/kernel/random/boot_id").read_text().strip()

    def missing(*_: object, **__: object) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", missing)
    found = [liveness.boot_id.__wrapped__() for _ in range(3)]
    assert len(set(found)) == 1
    assert len(found[0]) == 36


# ------------------------------------------------------------------ coming and going


def test_names_are_never_used_twice(directory: Path) -> None:
    names = set()
    for _ in range(20):
        presence = Presence.begin(directory, [])
        names.add(presence.name)
        presence.end()
    assert len(names) == 20
    assert all(len(name) == 16 for name in names)
    assert files(directory) == []


def test_who_ends_takes_its_files_along_and_who_leaves_does_not(directory: Path) -> None:
    """V5."""
    ends, leaves = Presence.begin(directory, []), Presence.begin(directory, [])
    ends.end()
    leaves.leave()
    assert files(directory) == [f"{leaves.name}.lock", f"{leaves.name}.page"]
    assert Presence.is_dead(directory, row(ends))
    assert Presence.is_dead(directory, row(leaves))
    Presence.forget(directory, leaves.name)
    Presence.forget(directory, leaves.name)
    assert files(directory) == []


def test_a_lock_is_given_back_by_any_thread_and_not_collected_away(directory: Path) -> None:
    """`thread_local=False`."""
    begun: list[Presence] = []
    thread = threading.Thread(target=lambda: begun.append(Presence.begin(directory, [])))
    thread.start()
    thread.join()
    assert not Presence.is_dead(directory, row(begun[0]))
    begun[0].leave()
    assert Presence.is_dead(directory, row(begun[0]))


def test_litter_is_swept_and_nothing_else(directory: Path, presence: Presence) -> None:
    """V5."""

    def leave_files(*names: str, seconds_old: float) -> None:
        for name in names:
            path = directory / name
            path.touch()
            then = (directory / f"{presence.name}.lock").stat().st_mtime - seconds_old
            os.utime(path, (then, then))

    old, young = 70, 50
    leave_files("a" * 16 + ".lock", "a" * 16 + ".page", seconds_old=old)  # died before it enlisted
    leave_files("b" * 16 + ".page", seconds_old=old)  # was buried, and one file was left
    leave_files("c" * 16 + ".lock", "c" * 16 + ".page", seconds_old=young)
    leave_files("d" * 16 + ".lock", "d" * 16 + ".page", seconds_old=old)  # the ledger has it
    leave_files("notes.txt", "readme.lock", "e" * 16 + ".lock.bak", seconds_old=old)
    leave_files(f"{presence.name}.lock", f"{presence.name}.page", seconds_old=old)  # alive
    another = Presence.begin(directory, [row(presence, name="d" * 16)])
    another.end()
    assert files(directory) == sorted(
        [
            f"{presence.name}.lock",
            f"{presence.name}.page",
            *("c" * 16 + ".lock", "c" * 16 + ".page", "d" * 16 + ".lock", "d" * 16 + ".page"),
            *("notes.txt", "readme.lock", "e" * 16 + ".lock.bak"),
        ]
    )


def test_a_file_swept_before_it_was_locked_is_made_again(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "0" * 16
    monkeypatch.setattr(secrets, "token_hex", lambda _: name)
    directory.mkdir()
    lock_path = directory / f"{name}.lock"
    lock_path.touch()
    sweeper = os.open(lock_path, os.O_RDONLY)
    fcntl.flock(sweeper, fcntl.LOCK_SH)
    looks = []

    def swept(_: float) -> None:  # while begin waits to look again
        if not looks:
            lock_path.unlink()
            os.close(sweeper)
        looks.append(1)

    monkeypatch.setattr(time, "sleep", swept)
    presence = Presence.begin(directory, [])
    assert looks
    assert presence.is_in_place()
    assert not Presence.is_dead(directory, row(presence))
    presence.end()


def test_a_lock_that_others_take_again_and_again_is_an_error_in_the_end(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "0" * 16
    monkeypatch.setattr(secrets, "token_hex", lambda _: name)
    monkeypatch.setattr(liveness, "_BEGIN_SECONDS_MAX", 0.02)
    directory.mkdir()
    with (directory / f"{name}.lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_SH)
        with pytest.raises(LedgerUnavailable, match="try again"):
            Presence.begin(directory, [])
    assert files(directory) == []


# ------------------------------------------------------------------ trouble


def test_without_room_there_is_no_presence_and_no_file(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(*_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", no_room)
    with pytest.raises(LedgerUnavailable, match=r"No space left.*make room") as caught:
        Presence.begin(directory, [])
    assert caught.value.location == str(directory)
    assert files(directory) == []


def test_a_file_system_without_locks_is_refused_and_not_made_do_with(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`fallback_to_soft=False`."""

    def no_locks(*_: int) -> None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with pytest.raises(LedgerUnavailable, match="local disk"):
        Presence.begin(directory, [])
    assert files(directory) == []


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "usage.db-holders").touch()
    with pytest.raises(LedgerUnavailable, match=r"usage\.db-holders.*let this process"):
        Presence.begin(tmp_path / "usage.db-holders", [])
    with pytest.raises(LedgerUnavailable, match="No such file"):
        Presence.begin(tmp_path / "none" / "usage.db-holders", [])


def test_a_file_that_cannot_be_looked_at_proves_nothing(
    directory: Path, presence: Presence, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(*_: object) -> int:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(os, "open", denied)
    with pytest.raises(LedgerUnavailable, match="Permission denied"):
        Presence.is_dead(directory, row(presence))


def test_who_only_reads_does_not_import_filelock(directory: Path, presence: Presence) -> None:
    code = """
import sys
from stiggctl.holder.liveness import Presence
from stiggctl.ledger.records import HolderRow
name, inode = sys.argv[2:]
row = HolderRow(id=1, name=name, host="", boot="", pid=1, lock_inode=int(inode), state=0, ttl_max_ms=1)
print(Presence.is_dead(sys.argv[1], row), Presence.orphans_of(sys.argv[1], row, 1), "filelock" in sys.modules)
"""
    with another_process(code, directory, presence.name, presence.lock_inode) as (_, said):
        assert said == "False {} False"
