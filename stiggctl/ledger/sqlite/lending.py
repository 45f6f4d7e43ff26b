"""Lending: reading connections, each lent to one reader at a time.

Here: snapshots taken and ended, connections kept for the next reader, whether anything was written
since one looked, and what becomes of all that in a fork. Not here: what is read (reading.py), how a
connection is opened (connections.py).
"""

import sqlite3
import time
import weakref
from collections.abc import Callable
from threading import Lock

from stiggctl.ledger.sqlite import forks
from stiggctl.ledger.sqlite.patience import patiently
from stiggctl.locks import await_turn

# Readers come in ones and twos; an idle one costs three file descriptors and a page cache.
_IDLE_MAX = 4


class ReadingConnection:
    """A connection that only reads, for one reader at a time."""

    __slots__ = ("_opened", "lock", "streams")

    def __init__(self) -> None:
        self._opened: sqlite3.Connection | None = None
        self.lock = Lock()  # held while SQLite is at work; a fork waits for it
        self.streams: set[sqlite3.Cursor] = set()  # not read to their end; under `lock`

    @property
    def connection(self) -> sqlite3.Connection:
        """SQLite's, to be used under `lock`."""
        assert self._opened is not None  # it is lent once it has begun
        return self._opened

    def begin(self, open_one: Callable[[], sqlite3.Connection], patience_seconds: float) -> None:
        """Take the snapshot, on a connection that is opened for the first. Raises what SQLite says."""
        with self.lock:
            opened = self._opened
            if opened is None:
                opened = self._opened = open_one()
            patiently(lambda: take_snapshot(opened), patience_seconds)

    def end_streams(self) -> None:
        """An unfinished statement would keep the snapshot, and with it the log, for ever."""
        for stream in self.streams:
            stream.close()
        self.streams.clear()

    def end(self) -> bool:
        """End the snapshot; False where that fails: nothing was written, so nothing is lost."""
        try:
            self.end_streams()
            if self._opened is not None and self._opened.in_transaction:
                self._opened.execute("ROLLBACK")
        except sqlite3.Error:
            return False
        return True

    def close(self) -> None:
        """Close it; a connection with unfinished statements would stay open."""
        self.end_streams()
        if self._opened is not None:
            self._opened.close()


class Loan:
    """What a reader has of a reading connection: once nobody has this any more, it is taken back."""

    __slots__ = ("__weakref__", "of")

    def __init__(self, of: ReadingConnection) -> None:
        self.of = of


class Lending:
    """The reading connections of one opening of a ledger."""

    def __init__(self, open_one: Callable[[], sqlite3.Connection], patience_seconds: float) -> None:
        self.lock = Lock()  # taken after that of the writing connection
        self._open_one = open_one
        self._patience_seconds = patience_seconds
        # Each with its loan, or None where it is idle: so that one step, which no interrupt tears,
        # lends it, and one takes it back. Under `lock`.
        self._open: dict[ReadingConnection, weakref.ref[Loan] | None] = {}
        self._watching: sqlite3.Connection | None = None  # under `lock`; for `stamp` alone
        self._watched = 0  # how many there have been

    def borrow(self) -> Loan:
        """A connection with its snapshot taken; `give_back` it. Raises what SQLite says."""
        await_turn(self.lock, self)
        with self.lock:
            self._take_back()
            idle = self._idle()
            one = idle[0] if idle else ReadingConnection()
            loan = Loan(one)
            self._open[one] = weakref.ref(loan)
        try:
            # Opened once it is known to be lent: one that nobody knows would cross a fork (CN4).
            one.begin(self._open_one, self._patience_seconds)
        except BaseException:
            self.give_back(loan, keep=False)
            raise
        return loan

    def give_back(self, loan: Loan, *, keep: bool) -> None:
        """End the snapshot; and keep the connection for the next reader, or close it."""
        await_turn(self.lock, self)
        with self.lock:
            if not self.is_lent(loan):
                return  # it was lent before a fork, to the parent
            one = loan.of
            # Until it is at rest it is lent: what an interrupt leaves here is taken back.
            if keep and len(self._idle()) < _IDLE_MAX and one.end():
                self._open[one] = None
            else:
                self._close(one)

    def _close(self, one: ReadingConnection) -> None:
        one.close()
        del self._open[one]

    def _idle(self) -> list[ReadingConnection]:
        return [one for one, loan in self._open.items() if loan is None]

    def _take_back(self) -> int:
        """Close what was lent to readers that are no more (S3); how many. Under `lock`.

        Not in a finalizer of theirs: that may run while this lock is held, on its own thread, and a
        fork would not wait for it.
        """
        left = [one for one, loan in self._open.items() if loan is not None and loan() is None]
        for one in left:
            self._close(one)
        return len(left)

    def stamp(self) -> tuple[int, int]:
        """Another one whenever anything was committed through another connection. Raises what SQLite says.

        SQLite tells it of each connection by itself (PRAGMA data_version), so one is kept for that. It
        costs a look into shared memory, where a reader costs a snapshot and each question a search.
        """
        await_turn(self.lock, self)
        with self.lock:
            self._take_back()
            watching = self._watching
            if watching is None:
                watching = self._watching = self._open_one()
                self._watched += 1
            (version,) = patiently(
                lambda: watching.execute("PRAGMA data_version").fetchone(), self._patience_seconds
            )
            return self._watched, version

    def is_lent(self, loan: Loan) -> bool:
        """Whether its reader may still use it: not after a fork."""
        lent_to = self._open.get(loan.of)
        return lent_to is not None and lent_to() is loan

    def close_idle(self) -> int:
        """Close what is not lent; how many. Under `lock`."""
        closed = self._take_back()
        for one in self._idle():
            self._close(one)
            closed += 1
        watching, self._watching = self._watching, None
        if watching is not None:
            watching.close()
        return closed + (watching is not None)

    # ---------------------------------------------------------------- forking

    def hold_all(self, held: list[Lock], deadline: float) -> bool:
        """Keep readers out of SQLite: their locks are added to `held`. Under `lock`. False: one stayed."""
        for lent in self._open:
            if not lent.lock.acquire(timeout=max(0.0, deadline - time.monotonic())):
                return False
            held.append(lent.lock)
        return True

    def after_fork_in_child(self, *, quiet: bool) -> None:
        """Have nothing open. `quiet`: no reader of the parent was inside."""
        opened, self._open = self._open, {}
        self.lock = Lock()
        if not quiet:
            # They may be torn in the middle of a statement: they must not even be closed.
            forks.abandon(opened, self._watching)
            self._watching = None
            return
        for one in opened:
            # It only reads, and no thread is in it; the parent keeps its own. While it were open
            # here, SQLite would share its locks, which this process does not have (CN4).
            one.close()


def take_snapshot(connection: sqlite3.Connection) -> None:
    """Begin, and read once: only a read takes the snapshot. Where it fails nothing is begun."""
    connection.execute("BEGIN")
    try:
        connection.execute("SELECT id FROM ledger").fetchone()
    except sqlite3.Error:
        connection.execute("ROLLBACK")
        raise
