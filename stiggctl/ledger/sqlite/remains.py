"""Remains: what was deleted is gone from the file's unused bytes, too.

Here: writing a file anew that may have such bytes, and cutting the log. Not here: what is deleted
(erasing.py), moving the log beside bookings (checkpoints.py).

What always holds:
  RM1  What a connection of ours deletes, or moves to another page, it overwrites with zeros
       (`secure_delete`). Without that about one index entry in ten leaves a copy of itself where its page
       was split (tried), which deleting the entry later does not find.
  RM2  A file says whether that was so since it was made, or since it was last written anew: by
       `user_version`, which is 1 then.
"""

import contextlib
import sqlite3
import time
from typing import Literal

from stiggctl.ledger.sqlite.connections import Connections
from stiggctl.ledger.sqlite.patience import PATIENCE_SECONDS, patiently

#: Of a file in which no bytes remain of what was deleted.
CLEAN: Literal[1] = 1
# Readers that come and go are gone after a moment; with much less one of a few milliseconds would
# keep the log.
_PAUSE_SECONDS = 0.005


def write_anew(connections: Connections) -> None:
    """Write the file anew, without what remains in it; nothing, where nothing does (RM2).

    Nobody else writes meanwhile: about a second for each 100 MB.
    """
    with connections.not_writing(), contextlib.closing(connections.connect("rw")) as connection:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version != CLEAN:
            patiently(lambda: connection.execute("VACUUM"), PATIENCE_SECONDS)
            patiently(lambda: connection.execute(f"PRAGMA user_version = {CLEAN}"), PATIENCE_SECONDS)


def cut_log(connections: Connections) -> bool:
    """Move all of the log into the file and leave it empty; False where a reader keeps it for too long.

    It has SQLite's write lock from its beginning to its end, so nobody begins the log anew meanwhile (CK1).
    """
    with connections.checkpoints.lock, connections.not_writing():
        deadline = time.monotonic() + PATIENCE_SECONDS
        with contextlib.closing(connections.connect("rw")) as connection:
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
