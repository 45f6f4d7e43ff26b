"""Liveness: which process is alive, told by a lock that the system frees at its death.

Here: this process's presence beside a ledger (a lock file and a page), the proof that another
process is dead, what it held then, and what its files leave to sweep.
Not here: how a page is written and read (page.py); what the ledger does with the dead (ledger/);
why a file lock, and which version of filelock: docs/explanation/decisions/0002-liveness.md.

Beside `usage.db` stands the directory `usage.db-holders`, in it `<name>.lock` and `<name>.page`.

What always holds:
  V1  A process whose lock is taken is alive, however long it is silent: nothing of it is touched.
      Asking kills nobody and waits for nobody.
  V2  It is dead if its lock can be taken, or its lock file is gone or is another file: then it was
      copied or restored, and no living process has it. Nothing else is a proof. (Not the boot: a
      container can be given an id of its own, and its processes live.)
  V3  The system frees the lock when the process ends, forked children or not: a child closes what it
      inherited, and never unlocks it, for that would free its parent's.
  V4  A page counts only beside its own lock file, on the boot that wrote it. After another boot no
      call can be under way.
  V5  Files are removed by their process when it ends, by who buried it, or as litter: those of no
      holder in the ledger, a minute old, and nobody's lock.
"""

import contextlib
import errno
import fcntl
import os
import platform
import re
import secrets
import uuid
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from stiggctl.errors import LedgerUnavailable
from stiggctl.holder.page import Page, PageContents, read_page
from stiggctl.ledger.records import HolderRow, Orphan

if TYPE_CHECKING:
    from filelock import FileLock

# Whoever sweeps may have our new lock file for a moment, before we have locked it; then it is gone,
# and we make another. That takes microseconds; a second is for a machine that stands still.
_BEGIN_SECONDS_MAX = 5.0
_RETRY_SECONDS = 0.01
# A process makes its files milliseconds before the ledger knows it. A minute is far beyond that, and
# with an hour the files of a day of crashes would be read at each begin.
_LITTER_SECONDS = 60.0

_FILES = re.compile(r"(?P<name>[0-9a-f]{16})\.(?:lock|page)")


class Presence:
    """This process beside one ledger file: its name, its lock, its page.

    `begin` comes before the ledger is told of it, `end` after the ledger has buried it. While it
    stands, whoever asks finds this process alive; when the process dies, nobody has to tell.
    """

    def __init__(
        self, directory: str | os.PathLike[str], name: str, lock: "FileLock", lock_file: int
    ) -> None:
        self.name = name
        self.pid = os.getpid()
        self.host = platform.node()
        self.boot_id = boot_id()
        self._lock = lock  # it must not be collected: that would unlock
        self._lock_path, page_path = _paths(directory, name)
        self._lock_file = lock_file  # borrowed from the lock; this and the inode say which file it is
        self.lock_inode = os.fstat(lock_file).st_ino
        self.page = Page.create(page_path, name, self.boot_id)

    @staticmethod
    def get_ready() -> None:
        """Import what `begin` needs, before this process has threads that spend.

        A child that was forked while another thread imports it could never import it. A gate (importing.py)
        does not help here: filelock itself makes its import wait for a fork that is under way.
        """
        # Here, not above: it takes 10 ms, and who only looks at others needs none of it.
        import filelock  # noqa: F401, PLC0415 - as said

    @classmethod
    def begin(cls, directory: str | os.PathLike[str], rows: Iterable[HolderRow]) -> "Presence":
        """Make and lock this process's file, and its page; sweep what dead processes left.

        `rows` are the holders that the ledger has, read just now: their files are not swept.
        Raises LedgerUnavailable where the files cannot be made; then there are none.
        """
        from filelock import FileLock  # noqa: PLC0415 - `get_ready` has imported it

        name = secrets.token_hex(8)
        lock_path, page_path = _paths(directory, name)
        files: list[int] = []
        lock = FileLock(
            lock_path,
            thread_local=False,  # it is the process's, whichever thread came first
            fallback_to_soft=False,  # a file that merely exists proves no life
            on_acquired=files.append,
        )
        with _translated(directory):
            lock_path.parent.mkdir(exist_ok=True)
            try:
                lock.acquire(timeout=_BEGIN_SECONDS_MAX, poll_interval=_RETRY_SECONDS)
                presence = cls(directory, name, lock, files[-1])
                _sweep(lock_path, {row.name for row in rows} | {name})
            except BaseException:
                page_path.unlink(missing_ok=True)
                lock_path.unlink(missing_ok=True)
                lock.release()
                raise
        return presence

    def is_in_place(self) -> bool:
        """Whether the lock file is still where others look for it. If not, they take us for dead."""
        return _inode(self._lock_path) == self.lock_inode

    def end(self) -> None:
        """Take the page and the lock file away. Call it once the ledger has buried this holder."""
        self.page.close()
        self.page.remove()
        # Before it is unlocked: whoever could lock it in between would find a file that is no proof.
        self._lock_path.unlink(missing_ok=True)
        self._lock.release()

    def leave(self) -> None:
        """Let go as death would: the files stay, for who buries this holder by them."""
        self.page.close()
        self._lock.release()

    def abandon_in_child(self) -> None:
        """In a forked child: close what is the parent's, and unlock nothing (V3).

        flock belongs to the open file, which parent and child share: unlocking here would free the
        parent's lock, and keeping it open would keep a dead parent alive. filelock closes it in a
        hook of its own; which hook comes first is not ours to say, so the file is looked at.
        """
        self.page.abandon_in_child()
        with contextlib.suppress(OSError):  # closed already
            if os.fstat(self._lock_file).st_ino == self.lock_inode:
                os.close(self._lock_file)

    # ---------------------------------------------------------------- others

    @staticmethod
    def is_dead(directory: str | os.PathLike[str], row: HolderRow) -> bool:
        """Whether there is proof that the process of that row is dead (V1, V2).

        Raises LedgerUnavailable where its file cannot be looked at.
        """
        lock_path, _ = _paths(directory, row.name)
        with _translated(directory):
            if _inode(lock_path) != row.lock_inode:
                return True
            with _probed(lock_path) as taken:
                return taken

    @staticmethod
    def orphans_of(directory: str | os.PathLike[str], row: HolderRow, now_us: int) -> dict[int, list[Orphan]]:
        """cell -> what that process holds of it by its page, by end, the earliest first (V4).

        No hold lasts longer than its holder told the ledger: an end beyond that is cut, as after a
        clock that was set back. What has ended counts no more. Raises LedgerUnavailable where the
        page is there and cannot be read: that is no page without holds.
        """
        contents = Presence.page_of(directory, row)
        return {} if contents is None else orphans_on(contents, row, now_us)

    @staticmethod
    def page_of(directory: str | os.PathLike[str], row: HolderRow) -> PageContents | None:
        """What its page says; None where there is none that counts (V4). Raises as `orphans_of` does."""
        lock_path, page_path = _paths(directory, row.name)
        with _translated(directory):
            if _inode(lock_path) != row.lock_inode:
                return None
            contents = read_page(page_path)
        if contents is None or (contents.holder_name, contents.boot_id) != (row.name, boot_id()):
            return None
        return contents

    @staticmethod
    def forget(directory: str | os.PathLike[str], name: str) -> None:
        """Remove the files of a dead holder that the ledger has buried."""
        lock_path, page_path = _paths(directory, name)
        with _translated(directory):
            page_path.unlink(missing_ok=True)
            lock_path.unlink(missing_ok=True)  # last: as long as it is there, so is the proof


def orphans_on(contents: PageContents, row: HolderRow, now_us: int) -> dict[int, list[Orphan]]:
    """cell -> what a page says that its process holds of it, as `Presence.orphans_of` tells it."""
    units: dict[tuple[int, int], int] = {}
    for record in contents.records:
        until_us = min(record.until_us, now_us + row.ttl_max_ms * 1000)
        if until_us > now_us:
            for cell in record.cells:
                units[cell, until_us] = units.get((cell, until_us), 0) + record.amount_units
    orphans: dict[int, list[Orphan]] = {}
    for (cell, until_us), held in sorted(units.items()):
        orphans.setdefault(cell, []).append(Orphan(held, until_us))
    return orphans


@cache
def boot_id() -> str:
    """Which boot of which machine this is.

    Without Linux's own id, the machine's name must do: then a page of before the last boot counts,
    and withholds what it held until its end. That is the safe side; a guess from clocks, which two
    processes could make differently, is not.
    """
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return str(uuid.uuid5(uuid.NAMESPACE_DNS, platform.node()))


def _paths(directory: str | os.PathLike[str], name: str) -> tuple[Path, Path]:
    """Where the lock file and the page of a holder are."""
    return Path(directory) / f"{name}.lock", Path(directory) / f"{name}.page"


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return None


@contextlib.contextmanager
def _probed(lock_path: Path) -> Iterator[bool]:
    """Whether that lock could be taken; if so it is, until the end of the block. Never waits.

    It is flock, which filelock uses too, but shared: two processes that look at a dead one at once
    would else find each other, and call it alive. And it makes no file where there is none.
    """
    try:
        file = os.open(lock_path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        yield False
        return
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            taken = True
        except BlockingIOError:
            taken = False
        yield taken
    finally:
        os.close(file)  # it unlocks, too


def _sweep(own_lock_path: Path, kept: set[str]) -> None:
    """Remove what processes left that died before the ledger knew them, or were buried (V5)."""
    now = own_lock_path.stat().st_mtime  # by the file system's own clock
    for path in sorted(own_lock_path.parent.iterdir()):
        found = _FILES.fullmatch(path.name)
        if found is None or found["name"] in kept:
            continue
        # Another user's file, or one that another sweep has just removed, is not ours to judge.
        with contextlib.suppress(PermissionError, FileNotFoundError):
            if now - path.stat().st_mtime >= _LITTER_SECONDS:
                lock_path, _ = _paths(path.parent, found["name"])
                with _probed(lock_path) as taken:
                    if taken or not lock_path.exists():
                        path.unlink()


#: What helps, by what the file system said.
_REMEDIES = {
    errno.ENOSPC: "make room on its disk",
    errno.EDQUOT: "make room on its disk",
    errno.EFBIG: "let this process write larger files",
    errno.EMFILE: "let this process open more files",
    errno.ENFILE: "let this machine open more files",
    errno.ENOSYS: "put the ledger on a local disk: this file system has no locks",
    errno.EOPNOTSUPP: "put the ledger on a local disk: this file system has no locks",
    errno.ENOLCK: "put the ledger on a local disk: this file system has no locks",
    errno.EIO: "look after its disk",
}


@contextlib.contextmanager
def _translated(directory: str | os.PathLike[str]) -> Iterator[None]:
    """What the file system says of the holders' files, as an error that says what would help."""
    try:
        yield
    except OSError as error:
        access = "let this process read and write in that directory, which belongs to the ledger"
        remedy = _REMEDIES.get(error.errno or 0, access)
        raise LedgerUnavailable(
            location=os.fspath(directory),
            reason=f"the files of its processes are out of reach ({error.strerror or error})",
            remedy="try again" if isinstance(error, TimeoutError) else remedy,
        ) from error
