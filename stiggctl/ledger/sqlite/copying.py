"""Copying: a whole ledger to another file, while others read and write.

Here: one copy, of one moment. Not here: whose connection reads it (lending.py).

What always holds:
  CY1  A copy is of one moment, with all that was committed by then, also what only the log has.
  CY2  Under its name there is a whole copy or nothing: it is made beside it, brought to the disk, and
       then moved there. Nothing is ever written over.

  CY3  Processes that were at work are dead in the copy, wherever it is put, also in the place of the
       original, beside their lock files: what they held is free in it, for the calls that hold it
       cannot reach it.
"""

import contextlib
import os
import sqlite3
from pathlib import Path

from stiggctl.errors import LedgerError
from stiggctl.ledger.sqlite import holders
from stiggctl.ledger.sqlite.lending import ReadingConnection


def copy(lent: ReadingConnection, to: Path, location: str) -> None:
    """Copy what a connection sees. Raises LedgerError where something stands there, or cannot."""
    part = to.with_name(f"{to.name}.part-{os.getpid()}")
    try:
        with contextlib.closing(sqlite3.connect(part)) as target, lent.lock:  # a fork waits for it
            lent.connection.backup(target)
            _bury_all(target.cursor())
            target.commit()
        os.link(part, to)  # it refuses to take the place of another; a rename would not
        _sync(to.parent)
    except FileExistsError as error:
        raise LedgerError(
            location=location, reason=f"{to} is there already", remedy="choose another name"
        ) from error
    except OSError as error:
        raise LedgerError(
            location=location,
            reason=f"no copy can be made at {to} ({error.strerror})",
            remedy="choose another place",
        ) from error
    finally:
        for left in (part, part.with_name(f"{part.name}-wal"), part.with_name(f"{part.name}-shm")):
            with contextlib.suppress(OSError):
                left.unlink(missing_ok=True)


def _bury_all(cursor: sqlite3.Cursor) -> None:
    """In the copy (CY3)."""
    for row in holders.live(cursor):
        holders.bury(cursor, row.id, {}, 0)


def _sync(directory: Path) -> None:
    """Bring a name to the disk; the file itself SQLite has brought there."""
    opened = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
