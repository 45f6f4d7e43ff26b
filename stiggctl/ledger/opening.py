"""Opening: from what people write to a ledger.

Here: which kind of ledger a location names, where one may lie, and ":memory:". Not here:
whether the file is one of ours, and of this version (sqlite/schema.py).

What always holds:
  OP1  What cannot be kept safely is refused before anything is made: on a network file system
      neither the write-ahead log nor file locks can be relied on.
  OP2  ":memory:" is a file in a private directory, with the same code paths as any other; it goes
      when the ledger is closed, and at the end of the process that made it, but not of its forks.
"""

import os
import re
import shutil
import tempfile
import weakref
from pathlib import Path

from stiggctl.errors import InvalidRequest, LedgerError
from stiggctl.ledger.sqlite import SqliteLedger
from stiggctl.ledger.sqlite.connections import Synchronous
from stiggctl.ledger.sqlite.patience import PATIENCE_SECONDS

MEMORY = ":memory:"
MOUNTS = Path("/proc/self/mountinfo")

#: What a report that returned survives -> how SQLite waits for the disk.
_SYNCHRONOUS: dict[str, Synchronous] = {"process": "NORMAL", "power": "FULL"}
_REMOTE = {
    "9p", "afs", "beegfs", "ceph", "cifs", "coda", "davfs", "glusterfs", "gpfs", "lustre", "ncpfs",
    "nfs", "nfs4", "openafs", "orangefs", "pvfs2", "smb2", "smb3", "smbfs", "virtiofs", "fuse.ceph",
    "fuse.cephfs", "fuse.davfs2", "fuse.gcsfuse", "fuse.glusterfs", "fuse.gvfsd-fuse",
    "fuse.juicefs", "fuse.rclone", "fuse.s3fs", "fuse.sshfs",
}  # fmt: skip


def open_ledger(
    location: str | os.PathLike[str],
    *,
    durability: str = "process",
    create: bool = True,
    mounts: Path = MOUNTS,
    patience_seconds: float = PATIENCE_SECONDS,
) -> SqliteLedger:
    """Open the ledger at `location`: a path, or ":memory:".

    With `create` it is made where there is none, and opened for writing at once; without, a
    missing one is an error, and nothing is opened for writing until something is written.

    Raises:
        LedgerError: it is no ledger, or may not lie there; LedgerVersionError, LedgerCorrupt,
            LedgerUnavailable. Nothing was made or changed.
    """
    if durability not in _SYNCHRONOUS:
        raise InvalidRequest(
            where="durability", value=durability, expected='"process" (survives kill -9) or "power" (fsync)'
        )
    text = os.fsdecode(location)
    if text == MEMORY:
        return _open_in_memory(patience_seconds)
    _refuse_urls(text)
    path = _place(text)
    kind = file_system(path, mounts)
    if kind in _REMOTE:
        raise LedgerError(
            location=text,
            reason=f"it lies on a network file system ({kind}), whose locks do not hold between hosts",
            remedy="use a local disk or PostgreSQL",
        )
    return SqliteLedger(
        path,
        location=text,
        synchronous=_SYNCHRONOUS[durability],
        create=create,
        patience_seconds=patience_seconds,
    )


def _refuse_urls(text: str) -> None:
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]+)://", text)
    if scheme is None:
        return
    shown = re.sub(r"//[^/@]*@", "//…@", text)  # a password may stand there
    if scheme[1] in {"postgresql", "postgres"}:
        raise LedgerError(
            location=shown,
            reason="PostgreSQL ledgers are not in this version",
            remedy="use a file on a local disk, one host",
        )
    raise LedgerError(
        location=shown, reason=f"{scheme[1]}:// names no kind of ledger", remedy='give a path, or ":memory:"'
    )


def _place(text: str) -> Path:
    """Where the file is or would be, without links: so that its log lies beside it."""
    if not text or "\0" in text:
        raise LedgerError(
            location=repr(text), reason="this is not a path", remedy='give a path, or ":memory:"'
        )
    try:
        path = Path(text).resolve()
        is_directory, has_parent = path.is_dir(), path.parent.is_dir()
    except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle
        raise LedgerError(
            location=text, reason=f"the path cannot be followed ({error})", remedy="choose another"
        ) from error
    if is_directory:
        raise LedgerError(location=text, reason="this is a directory", remedy="name a file in it")
    if not has_parent:
        raise LedgerError(
            location=text, reason=f"the directory {path.parent} is not there", remedy="make it first"
        )
    if path.exists() and not path.is_file():
        raise LedgerError(location=text, reason="this is not a regular file", remedy="choose another path")
    return path


# ------------------------------------------------------------------ file systems


def file_system(path: Path, mounts: Path = MOUNTS) -> str | None:
    """The type of the file system that `path` is on; None where the system does not tell (not Linux).

    Of the mount points above it the longest counts, and of several mounts on one point the last.
    """
    try:
        lines = mounts.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return None  # another system has no such file: nothing is known against the place
    kind, longest = None, -1
    for line in lines:
        fields = line.split(" ")
        if "-" not in fields[6:-1]:
            continue
        point = Path(_unescaped(fields[4]))
        if path.is_relative_to(point) and len(point.parts) >= longest:
            kind, longest = fields[fields.index("-", 6) + 1], len(point.parts)
    return kind


def _unescaped(text: str) -> str:
    r"""A mount point as it is: spaces, tabs, newlines and backslashes stand there in octal.

    >>> _unescaped(r"/mnt/our\040share")
    '/mnt/our share'
    """
    return re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), text)


# ------------------------------------------------------------------ in memory


def _open_in_memory(patience_seconds: float) -> SqliteLedger:
    """A ledger in a private directory, in shared memory where there is some; no commit waits for it."""
    shared = "/dev/shm"  # noqa: S108 - mkdtemp makes a directory of its own, for this user only
    room = tempfile.mkdtemp(prefix="stiggctl-", dir=shared if os.access(shared, os.W_OK) else None)
    remover = _Remover(room)
    try:
        ledger = SqliteLedger(
            Path(room).resolve() / "ledger.db",
            location=MEMORY,
            synchronous="OFF",
            create=True,
            patience_seconds=patience_seconds,
            on_close=remover,
        )
    except BaseException:
        remover()
        raise
    weakref.finalize(ledger, remover)  # also at the end of the process
    return ledger


class _Remover:
    """Removes the private directory, in the process that made it. Safe twice."""

    def __init__(self, room: str) -> None:
        self._room = room
        self._pid = os.getpid()

    def __call__(self) -> None:
        if os.getpid() == self._pid:
            shutil.rmtree(self._room, ignore_errors=True)
