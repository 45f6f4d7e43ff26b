"""Schema: whether a file is a ledger of ours, and how it becomes one of this version.

Here: making a ledger, bringing an older one up to date, refusing what is none. Not here: the
steps themselves (ledger/migrations), where a ledger may lie (ledger/opening.py).

What always holds:
  F1  A file that is no ledger is refused and not touched, down to its last byte; so is a ledger
      of a newer version.
  F2  Of processes that make or migrate one ledger at once, one does it; the others find it done.
  F3  Whenever a process dies while it makes a ledger, the next opening makes it, or finds it whole.

F1 and F3 rest on one fact: `application_id` stands on the first page, which is the first that
SQLite writes. So a file is empty, or it says whose it is, at every moment of its making. That
is why the tables are made with a rollback journal, and the write-ahead log comes after.
"""

import sqlite3
import time
import uuid
from typing import Literal

from stiggctl.errors import LedgerCorrupt, LedgerError, LedgerUnavailable, LedgerVersionError
from stiggctl.importing import importing
from stiggctl.ledger.sqlite.connections import Connections
from stiggctl.ledger.sqlite.patience import PATIENCE_SECONDS, patiently
from stiggctl.ledger.sqlite.statements import SQL
from stiggctl.ledger.sqlite.troubles import translated

#: Stands in the header of each of our files: "stig" in ASCII.
APPLICATION_ID = 0x73746967
#: The number of steps in ledger/migrations.
SCHEMA_VERSION = 7
# STRICT tables; upserts and the rest are older.
_SQLITE_MIN = (3, 37, 0)
# A booking changes about seven pages, each on its own; with SQLite's 4,096 bytes it takes 20 %
# longer, with 1,024 a table of a million events gains a level and nothing more is won.
_PAGE_BYTES = 2_048


def make_ready(connections: Connections, *, create: bool) -> None:
    """See that the file is a ledger of this version; make or migrate it where that is needed.

    With `create` it is opened for writing too, and made where there is none.
    """
    if sqlite3.sqlite_version_info < _SQLITE_MIN:
        raise LedgerVersionError(
            location=connections.location,
            reason=f"SQLite {sqlite3.sqlite_version} is too old",
            remedy=f"use a Python whose sqlite3 has {'.'.join(map(str, _SQLITE_MIN))} or later",
        )
    try:
        kind = _kind(connections)
        if kind == "missing" and not create:
            raise LedgerError(
                location=connections.location,
                reason="there is no ledger",
                remedy="check the path; the first write makes one",
            )
        if kind == "ours" and not create and _version(connections) == SCHEMA_VERSION:
            return
        _bring_up_to_date(connections, mode="rw" if kind == "ours" else "rwc")
    except sqlite3.Error as error:
        raise translated(error, connections.location) from error


def _kind(connections: Connections) -> Literal["ours", "missing"]:
    """Whose file it is, by its header alone; a stranger's is refused.

    SQLite reads it, as a file that never changes: so it takes no lock, makes no log and no
    index beside it. Opening it ourselves would end all locks of this process on it when we
    close it again, as POSIX has it.
    """
    path = connections.path
    if not path.exists() or path.stat().st_size == 0:
        return "missing"
    looking = sqlite3.connect(f"{path.as_uri()}?mode=ro&immutable=1", uri=True)
    try:
        # While somebody makes it the file is shorter than its first page says. Without this SQLite
        # calls that damaged; nothing can be written here.
        looking.execute("PRAGMA writable_schema = ON")
        (application_id,) = looking.execute("PRAGMA application_id").fetchone()
    finally:
        looking.close()
    if application_id == APPLICATION_ID:
        return "ours"
    raise LedgerError(
        location=connections.location,
        reason="this SQLite file is no ledger of stiggctl",
        remedy="nothing in it was changed: choose another path",
    )


def _version(connections: Connections) -> int:
    loan = connections.borrow()
    try:
        reading = loan.of.connection
        return _refuse_newer(connections.location, reading.execute(SQL["schema_version"]).fetchone())
    finally:
        connections.give_back(loan)


def _refuse_newer(location: str, row: tuple[int] | None) -> int:
    if row is None:
        raise LedgerCorrupt(
            location=location, reason="its ledger's row is missing", remedy="restore a backup of the file"
        )
    (version,) = row
    if version > SCHEMA_VERSION:
        raise LedgerVersionError(
            location=location,
            reason=f"a newer stiggctl wrote it (schema {version}; this one knows up to {SCHEMA_VERSION})",
            remedy="upgrade stiggctl; nothing in it was changed",
        )
    return version


def _bring_up_to_date(connections: Connections, *, mode: Literal["rw", "rwc"]) -> None:
    """Make or migrate it where that is needed, and keep the connection for writing."""
    connection = connections.connect(mode)
    try:
        if not patiently(lambda: _is_current(connection, connections.location), PATIENCE_SECONDS):
            patiently(lambda: _migrate(connection, connections.location), PATIENCE_SECONDS)
        # No other connection may be reading while it turns, once, to the write-ahead log.
        patiently(lambda: _keep_log(connection, connections.location), PATIENCE_SECONDS)
    except BaseException:
        connection.close()
        raise
    connections.adopt(connection)


def _is_current(connection: sqlite3.Connection, location: str) -> bool:
    """Whether there is nothing to do: then no lock is waited for."""
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    if application_id != APPLICATION_ID:
        return False
    return _refuse_newer(location, connection.execute(SQL["schema_version"]).fetchone()) == SCHEMA_VERSION


def _keep_log(connection: sqlite3.Connection, location: str) -> None:
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise LedgerUnavailable(
            location=location,
            reason=f"SQLite cannot keep a write-ahead log there (journal mode {mode!r})",
            remedy="choose a path on a local disk that this user may write",
        )
    # Only reading opens the log. Else a connection that never did could not remove it when it is
    # the last to close.
    connection.execute(SQL["schema_version"]).fetchone()


def _migrate(connection: sqlite3.Connection, location: str) -> None:
    """One transaction: the tables, the header, the ledger's row (F2)."""
    connection.execute(f"PRAGMA page_size = {_PAGE_BYTES}")  # of a file that is still empty
    connection.execute("BEGIN IMMEDIATE")
    try:
        if not _is_current(connection, location):  # nobody did it meanwhile
            (application_id,) = connection.execute("PRAGMA application_id").fetchone()
            _apply_steps(connection)
            if application_id == APPLICATION_ID:
                connection.execute(SQL["set_schema_version"], {"schema_version": SCHEMA_VERSION})
            else:
                connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                made = {
                    "id": str(uuid.uuid4()),
                    "schema_version": SCHEMA_VERSION,
                    "created_at_us": time.time_ns() // 1_000,
                }
                connection.execute(SQL["create_ledger"], made)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _apply_steps(connection: sqlite3.Connection) -> None:
    """Those that were not applied yet. Inside a transaction of ours sqlite-utils makes savepoints."""
    with importing():
        from sqlite_utils import Database  # noqa: PLC0415 - it takes 0.1 s, and only this needs it

        from stiggctl.ledger.migrations import STEPS  # noqa: PLC0415 - it imports sqlite-utils too

    STEPS.apply(Database(connection, recursive_triggers=False, execute_plugins=False))
    assert connection.in_transaction  # else the migration was not one transaction
