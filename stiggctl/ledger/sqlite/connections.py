"""Connections: the only place that opens SQLite, takes its write lock and ends a transaction.

Here: the one writing connection, closing, and that no connection crosses a fork.
Not here: reading connections (lending.py), moving the log (checkpoints.py), how long one waits
for a lock (patience.py), what is read or written (usage.py, model.py, reading.py), how a file
becomes a ledger (schema.py).

What always holds:
  CN1  A connection is used by one thread at a time: the writing one under `_lock`, a reading
      one under its own. Shared, sqlite3 returns wrong rows (CPython #118172).
  CN2  A transaction that does not reach its COMMIT is rolled back whole, whatever ended it; one
      that an interrupt tore between two steps is rolled back before the next begins.
  CN3  `failures` grows whenever a transaction is not committed, and whenever the writing
      connection is another. So what a transaction left in memory can be known to be true
      later: by this number, and by those that SQLite counts (numbers.py).
  CN4  No connection is open in two processes. SQLite keeps its locks per process and in memory:
      a child that inherits a connection, even untouched, opens its own beside it without locks,
      and loses what it commits when the parent closes (tried). So before a fork the connections
      are closed, and both sides open theirs again when they next need one.
"""

import contextlib
import copy
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Lock
from typing import Literal, TypeVar

from stiggctl.errors import LedgerCorrupt, LedgerError, LedgerUnavailable
from stiggctl.ledger.sqlite import forks
from stiggctl.ledger.sqlite.checkpoints import Checkpoints
from stiggctl.ledger.sqlite.lending import Lending, Loan, take_snapshot
from stiggctl.ledger.sqlite.patience import PATIENCE_SECONDS, Line, patiently
from stiggctl.ledger.sqlite.troubles import is_locked, translated, unreadable
from stiggctl.ledger.sqlite.write_lock import writing_process
from stiggctl.locks import await_turn

T = TypeVar("T")

# How SQLite waits for a commit to reach the disk: OFF never, NORMAL at checkpoints, FULL always.
Synchronous = Literal["OFF", "NORMAL", "FULL"]

# More than there are statements and packed sizes: none is parsed twice.
_STATEMENTS_KEPT = 256
# After a burst the log is cut back to this when it is next written from its start.
_LOG_BYTES_KEPT = 64 * 2**20
# A fork waits for what is under way. A transaction takes milliseconds; a long read is what may
# take longer, and a child without this ledger is better than a fork that hangs.
_FORK_SECONDS = 10.0


class Connections:
    """All connections that one opening of a ledger has in this process."""

    def __init__(
        self,
        path: Path,
        *,
        location: str,
        synchronous: Synchronous,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        self.path = path
        self.location = location
        self.failures = 0  # under `_lock` (CN3)
        self._synchronous = synchronous
        self._patience_seconds = patience_seconds
        self._line = Line()  # under `_lock`
        self._lock = Lock()  # of the writing connection; taken before that of `lending`
        # Both under `_lock`; opened when first needed. One cursor for all: what an error's
        # traceback keeps of a second one would keep the connection open after it was closed.
        self._writing: sqlite3.Connection | None = None
        self._cursor: sqlite3.Cursor | None = None
        self._broken: LedgerCorrupt | None = None  # once set, nothing is written
        self.lending = Lending(lambda: self.connect("ro"), patience_seconds)
        self.checkpoints = Checkpoints(self)  # its lock is taken before both
        self._identity: tuple[int, int] | None = None  # of the file, once it was found to be a ledger
        self._closed = False  # set once, under both locks
        self._unusable = False  # set in a child whose parent could not be quieted
        forks.watch(self)

    # ---------------------------------------------------------------- opening

    def connect(self, mode: Literal["ro", "rw", "rwc"]) -> sqlite3.Connection:
        """A new connection, with our settings."""
        connection = sqlite3.connect(
            f"{self.path.as_uri()}?mode={mode}",
            uri=True,
            timeout=0,  # we wait ourselves: `patiently`
            isolation_level=None,  # we begin and end ourselves: `transact`
            check_same_thread=False,  # one thread at a time, by our locks (CN1)
            cached_statements=_STATEMENTS_KEPT,
        )
        try:
            # The first of them reads the schema, which waits for who is just making the ledger.
            patiently(
                lambda: connection.execute(f"PRAGMA synchronous = {self._synchronous}"),
                self._patience_seconds,
            )
            connection.execute("PRAGMA wal_autocheckpoint = 0")
            connection.execute(f"PRAGMA journal_size_limit = {_LOG_BYTES_KEPT}")
            # Between two openings another file may have come to stand there, a stranger's even.
            if self._identity is not None:
                self.still_there()
            return connection
        except UnicodeDecodeError as error:
            connection.close()
            raise unreadable(self.location) from error
        except BaseException:
            connection.close()
            raise

    def remember_file(self) -> None:
        """Take the file that stands there for the one that all later connections are to."""
        self._identity = self._identity_now()

    def still_there(self) -> None:
        """Raise LedgerUnavailable where the path no longer names the file that was opened."""
        if self._identity_now() != self._identity:
            raise self._unavailable(
                "the file was replaced, moved or deleted while it was open", "close it, and open it again"
            )

    def _identity_now(self) -> tuple[int, int] | None:
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return None
        except OSError as error:  # a directory above may be read no more, a disk may be gone
            raise LedgerUnavailable(
                location=self.location,
                reason=f"whether its file is still there cannot be seen ({error.strerror})",
                remedy="see to the directories above it",
            ) from error
        return found.st_dev, found.st_ino

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise self._unavailable("it was closed", "open it again")
        if self._unusable:
            raise self._unavailable("its process was forked while it was read", "close it, and open it again")

    def refuse_to_write(self) -> None:
        """Raise what keeps this opening from writing, if anything does."""
        self._refuse_if_closed()
        if self._broken is not None:
            raise copy.copy(self._broken)  # a new one: each raising adds to its traceback

    def _unavailable(self, reason: str, remedy: str) -> LedgerUnavailable:
        """Waiting would not help: no policy for a ledger out of reach applies."""
        return LedgerUnavailable(location=self.location, reason=reason, remedy=remedy, unreachable=False)

    # ---------------------------------------------------------------- writing

    def transact(self, work: Callable[[sqlite3.Cursor], T]) -> T:
        """Do `work` in one transaction under the write lock: all of it, or nothing (CN2)."""
        came = time.monotonic()
        await_turn(self._lock, self)
        with self._lock:
            try:
                cursor = self._begin(came)
                answer = work(cursor)
                cursor.execute("COMMIT")
            except BaseException as error:
                self._roll_back()
                raised = self.told(error)
                if raised is error:
                    raise
                raise raised from error
            return answer

    @contextlib.contextmanager
    def not_writing(self) -> Iterator[None]:
        """While inside, nobody writes through this opening."""
        await_turn(self._lock, self)
        with self._lock:
            self.refuse_to_write()
            if self._writing is not None and self._writing.in_transaction:  # torn by an interrupt (CN2)
                self._roll_back()
            yield

    def told(self, error: BaseException) -> BaseException:
        """What SQLite says in our words, or as it is; what is damaged is written no more."""
        if not isinstance(error, sqlite3.Error):
            raised = error
        else:
            raised = translated(error, self.location)
            if isinstance(raised, LedgerUnavailable) and is_locked(error):
                raised.holder_pid = writing_process(self.path)
        if isinstance(raised, LedgerCorrupt):
            self._broken = raised
        return raised

    def adopt(self, connection: sqlite3.Connection) -> None:
        """Write through this one: schema.py made the file, or brought it up to date, with it."""
        with self._lock:
            self._writing = connection
            self._cursor = connection.cursor()

    def _stop_writing(self) -> None:
        """Close the writing connection: an open transaction is undone with it. Under `_lock`."""
        writing, self._writing = self._writing, None
        cursor, self._cursor = self._cursor, None
        self.failures += 1  # what comes next is another connection (CN3)
        if cursor is not None:
            cursor.close()
        if writing is not None:
            writing.close()

    def _begin(self, came: float) -> sqlite3.Cursor:
        self.refuse_to_write()
        if self._writing is not None and self._writing.in_transaction:  # torn by an interrupt (CN2)
            self._roll_back()
        cursor = self._cursor
        if cursor is None:  # or an interrupt came between the connection and its cursor
            if self._writing is None:
                self._writing = self.connect("rw")
            cursor = self._cursor = self._writing.cursor()
        try:
            cursor.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if not is_locked(error):
                raise
            self._line.wait(lambda: cursor.execute("BEGIN IMMEDIATE"), self._patience_seconds, came)
        else:
            self._line.moved_on()
        return cursor

    def _roll_back(self) -> None:
        self.failures += 1
        writing = self._writing
        if writing is not None and writing.in_transaction:
            try:
                writing.execute("ROLLBACK")
            except sqlite3.Error:
                # What cannot even be rolled back is left.
                self._stop_writing()

    # ---------------------------------------------------------------- reading

    def borrow(self) -> Loan:
        """A reading connection with its snapshot taken; `give_back` it."""
        self._refuse_if_closed()
        try:
            return self.lending.borrow()
        except sqlite3.Error as error:
            if self.path.exists():
                raise translated(error, self.location) from error
            raise LedgerError(
                location=self.location,
                reason="there is no ledger",
                remedy="check the path; the first write makes one",
            ) from error

    def give_back(self, loan: Loan) -> None:
        """End the snapshot; the connection is kept for the next reader, or closed."""
        self.lending.give_back(loan, keep=not self._closed)

    def stamp(self) -> object:
        """Another one whenever anything was committed since; also where nothing was, after a fork."""
        self._refuse_if_closed()
        return self.lending.stamp()

    # ---------------------------------------------------------------- ending

    def close(self) -> None:
        """Close every connection that is not lent; a lent one when it is given back. Safe twice."""
        for lock in (self.checkpoints.lock, self._lock, self.lending.lock):
            await_turn(lock, self)
        with self.checkpoints.lock, self._lock, self.lending.lock:
            self._closed = True
            self._close_idle()

    def close_idle(self) -> None:
        """Close what nobody uses: where nobody else has it open, SQLite moves and removes the log."""
        with self._lock, self.lending.lock:
            self._close_idle()

    def _close_idle(self) -> None:
        """Close what nobody uses, the writing connection last. Under both locks."""
        wrote = self._writing is not None
        readers = self.lending.close_idle()
        self._stop_writing()
        if readers and not wrote and self.checkpoints.is_log_empty():
            # Who only reads cannot remove the empty log and index that SQLite made for it; who
            # may not write either leaves them, as does one whose file is not there any more.
            with (
                contextlib.suppress(sqlite3.Error, LedgerUnavailable),
                contextlib.closing(self.connect("rw")) as tidying,
            ):
                take_snapshot(tidying)

    # ---------------------------------------------------------------- forking

    def before_fork(self) -> list[Lock]:
        """Let no thread be inside SQLite, and close what is idle (CN4); the locks that are held now.

        Readers in use keep their snapshot in the parent. An empty list: somebody was inside for
        too long.
        """
        held: list[Lock] = []
        deadline = time.monotonic() + _FORK_SECONDS
        for lock in (self.checkpoints.lock, self._lock, self.lending.lock):
            if not lock.acquire(timeout=max(0.0, deadline - time.monotonic())):
                return forks.let_go(held)
            held.append(lock)
        if not self.lending.hold_all(held, deadline):
            return forks.let_go(held)
        self._close_idle()
        return held

    def after_fork_in_child(self, *, quiet: bool) -> None:
        """Have nothing open. `quiet`: no thread of the parent was inside."""
        self._lock = Lock()
        self.lending.after_fork_in_child(quiet=quiet)
        self.checkpoints.after_fork_in_child(quiet=quiet)
        if not quiet:
            forks.abandon(self._writing, self._cursor)
            self._writing, self._cursor, self._unusable = None, None, True
