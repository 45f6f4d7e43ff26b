"""Remains: what was erased is gone from the file's unused bytes and from its log, too.

Here: writing the file anew, and cutting the log. Not here: what is erased (erasing.py), moving the log
beside bookings (checkpoints.py).

What always holds:
  RM1  After an erasure the file is written anew. Where a page is split, or a row grows, a copy of what
       stood there may stay in bytes that nobody reads. `secure_delete` clears some of them, not all: of
       1,200 keys one was found in the file, of 100 that were written without it nine (tried).
  RM2  An erasure marks the file in its own transaction, and only who has written it anew takes the mark
       away: what somebody left who was killed in between, or did not want to wait, the next one does.
"""

import contextlib
import sqlite3
import time

from stiggctl.ledger.sqlite.connections import Connections
from stiggctl.ledger.sqlite.patience import PATIENCE_SECONDS, patiently

#: `user_version` of a file in which something erased may remain.
MARKED = 1
# Readers that come and go are gone after a moment; with much less one of a few milliseconds would
# keep the log.
_PAUSE_SECONDS = 0.005


def mark(cursor: sqlite3.Cursor) -> None:
    """Something erased may remain: in the transaction that erases."""
    cursor.execute(f"PRAGMA user_version = {MARKED}")


def leave_none(connections: Connections) -> bool:
    """Write a marked file anew, and cut the log; False where a reader keeps the log for too long.

    Nobody else writes meanwhile: some seconds for each gigabyte. It takes as much room again.
    """
    with (
        connections.checkpoints.lock,
        connections.not_writing(),
        contextlib.closing(connections.connect("rw")) as connection,
    ):
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version == MARKED:
            patiently(lambda: connection.execute("VACUUM"), PATIENCE_SECONDS)
            patiently(lambda: connection.execute("PRAGMA user_version = 0"), PATIENCE_SECONDS)
        return _cut_log(connection)


def _cut_log(connection: sqlite3.Connection) -> bool:
    """Move all of the log into the file and leave it empty.

    It has SQLite's write lock from its beginning to its end, so nobody begins the log anew meanwhile (CK1).
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not _cut(connection):
        if time.monotonic() >= deadline:
            return False
        time.sleep(_PAUSE_SECONDS)
    return True


def _cut(connection: sqlite3.Connection) -> bool:
    try:
        [(busy, _, _)] = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise
        return False
    return bool(busy == 0)
