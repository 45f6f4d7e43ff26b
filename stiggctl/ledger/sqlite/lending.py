"""Lending: reading connections, each lent to one reader at a time.

Here: snapshots taken and ended, connections kept for the next reader, whether anything was written
since one looked, and what becomes of all that in a fork. Not here: what is read (reading.py), how a
connection is opened (connections.py).
"""

import contextlib
import sqlite3
import time
from collections.abc import Callable
from threading import Lock

from stiggctl.ledger.sqlite import forks
from stiggctl.ledger.sqlite.patience import patiently
from stiggctl.locks import await_turn

# Readers come in ones and twos; an idle one costs three file descriptors and a page cache.
_IDLE_MAX = 4


class ReadingConnection:
    """A connection that only reads, lent to one reader at a time."""

    __slots__ = ("connection", "lock", "streams")

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self.lock = Lock()  # held while SQLite is at work; a fork waits for it
        self.streams: set[sqlite3.Cursor] = set()  # not read to their end; under `lock`

    def end_streams(self) -> None:
        """An unfinished statement would keep the snapshot, and with it the log, for ever."""
        for stream in self.streams:
            stream.close()
        self.streams.clear()

    def close(self) -> None:
        """Close it; a connection with unfinished statements would stay open."""
        self.end_streams()
        self.connection.close()


class Lending:
    """The reading connections of one opening of a ledger."""

    def __init__(self, open_one: Callable[[], sqlite3.Connection], patience_seconds: float) -> None:
        self.lock = Lock()  # taken after that of the writing connection
        self._open_one = open_one
        self._patience_seconds = patience_seconds
        self._idle: list[ReadingConnection] = []  # under `lock`
        self._lent: set[ReadingConnection] = set()  # under `lock`
        self._watching: sqlite3.Connection | None = None  # under `lock`; for `stamp` alone
        self._watched = 0  # how many there have been

    def borrow(self) -> ReadingConnection:
        """A connection with its snapshot taken; `give_back` it. Raises what SQLite says."""
        await_turn(self.lock, self)
        with self.lock:
            lent = self._idle.pop() if self._idle else ReadingConnection(self._open_one())
            self._lent.add(lent)
        try:
            with lent.lock:
                patiently(lambda: take_snapshot(lent.connection), self._patience_seconds)
        except BaseException:
            self.give_back(lent, keep=False)
            raise
        return lent

    def give_back(self, lent: ReadingConnection, *, keep: bool) -> None:
        """End the snapshot; and keep the connection for the next reader, or close it."""
        await_turn(self.lock, self)
        with self.lock:
            if lent not in self._lent:
                return  # it was lent before a fork, to the parent
            self._lent.remove(lent)
            # Nothing was written, so nothing is lost; but what does not end is not lent again.
            with contextlib.suppress(sqlite3.Error):
                lent.end_streams()
                if lent.connection.in_transaction:
                    lent.connection.execute("ROLLBACK")
                if keep and len(self._idle) < _IDLE_MAX:
                    self._idle.append(lent)
                    return
            lent.close()

    def stamp(self) -> tuple[int, int]:
        """Another one whenever anything was committed through another connection. Raises what SQLite says.

        SQLite tells it of each connection by itself (PRAGMA data_version), so one is kept for that. It
        costs a look into shared memory, where a reader costs a snapshot and each question a search.
        """
        await_turn(self.lock, self)
        with self.lock:
            watching = self._watching
            if watching is None:
                watching = self._watching = self._open_one()
                self._watched += 1
            (version,) = patiently(
                lambda: watching.execute("PRAGMA data_version").fetchone(), self._patience_seconds
            )
            return self._watched, version

    def is_lent(self, lent: ReadingConnection) -> bool:
        """Whether its reader may still use it: not after a fork."""
        return lent in self._lent

    def close_idle(self) -> int:
        """Close what is not lent; how many. Under `lock`."""
        idle, self._idle = self._idle, []
        for one in idle:
            one.close()
        watching, self._watching = self._watching, None
        if watching is not None:
            watching.close()
        return len(idle) + (watching is not None)

    # ---------------------------------------------------------------- forking

    def hold_all(self, held: list[Lock], deadline: float) -> bool:
        """Keep readers out of SQLite: their locks are added to `held`. Under `lock`. False: one stayed."""
        for lent in self._lent:
            if not lent.lock.acquire(timeout=max(0.0, deadline - time.monotonic())):
                return False
            held.append(lent.lock)
        return True

    def after_fork_in_child(self, *, quiet: bool) -> None:
        """Have nothing open. `quiet`: no reader of the parent was inside."""
        lent, self._lent = self._lent, set()
        self.lock = Lock()
        if not quiet:
            # They may be torn in the middle of a statement: they must not even be closed.
            forks.abandon(self._idle, lent, self._watching)
            self._idle, self._watching = [], None
            return
        for one in lent:
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
