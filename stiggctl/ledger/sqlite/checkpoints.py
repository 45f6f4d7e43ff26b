"""Checkpoints: the log is moved into the file while bookings go on.

Here: how a checkpoint goes, why it loses no commit, and how far the log is filled.
Not here: when it is time for one (holder/keeper.py), connections and their locks (connections.py).

What always holds:
  CK1  While we move the log, nobody writes it anew from its start: SQLite before 3.51.3 may then
      take its old end for its new one, and never move what is written up to there. Beside bookings
      a snapshot of ours keeps them from it, whatever it reads (in SQLite's wal.c):
        - part of the log: to begin the log anew takes the locks of all such readers, exclusively
          (walRestartLog; a TRUNCATE of somebody else too);
        - only the file, since all is moved: to move anything takes the lock of all such readers,
          exclusively (walCheckpoint), so nothing is moved.
      Under the write lock nobody can: only who has it begins the log anew.
  CK2  One at a time in an opening, and nothing of it is open in a fork (CN4): all under `lock`.
"""

import contextlib
import sqlite3
from bisect import bisect_left
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

from stiggctl.ledger.sqlite import forks
from stiggctl.locks import await_turn

if TYPE_CHECKING:
    from stiggctl.ledger.sqlite.connections import Connections

# The first round moves nearly all, each later one what was booked during the one before. At 800
# bookings a second every other later one ends before the next commit; where eight do not, many
# are at work, or the disk is, and the next beat comes soon.
_ROUNDS = 8
# From here on the log is moved to its end under the write lock: where bookings never pause it would
# grow for ever. That costs them some milliseconds, so not at each checkpoint; with twice as much the
# log would grow beyond what `stiggctl doctor` takes for a sign of trouble (64 MB).
_FULL_BYTES = 24 * 2**20

# Of https://sqlite.org/fileformat2.html#walformat
_HEADER_BYTES = 32
_FRAME_HEADER_BYTES = 24
_SALT_BYTES = 8


class LogEnd(NamedTuple):
    """Up to where the log is filled, since it was last begun anew."""

    salt: bytes  #: another each time that it is begun anew
    bytes: int


class Checkpoints:
    """The checkpoints of one opening of a ledger."""

    def __init__(self, connections: "Connections") -> None:
        self.lock = Lock()  # taken before those of `connections`
        self._connections = connections
        self._log = Path(f"{connections.path}-wal")
        self._mover: sqlite3.Connection | None = None  # under `lock`; open while it moves only
        self._last = LogEnd(b"", 0)  # changed under `lock`: where the log ended at the last one

    def move(self, *, everything: bool) -> None:
        """Move the log into the file, as far as readers let it, while bookings go on.

        The booking after a moment at which all is moved begins the log anew. With `everything`
        none is left, where nobody else has the ledger open.
        """
        connections = self._connections
        if self.lock.locked():
            await_turn(self.lock, connections)
        with self.lock:
            connections.refuse_to_write()
            try:
                with contextlib.closing(connections.connect("rw")) as self._mover:
                    self._move_beside_bookings(self._mover)
                    if log_end(self._log).bytes > _FULL_BYTES:
                        connections.transact(self._move_the_rest)
            except sqlite3.Error as error:
                raise connections.told(error) from error
            finally:
                self._mover = None
            if everything:
                connections.close_idle()

    def _move_beside_bookings(self, mover: sqlite3.Connection) -> None:
        began, reached = log_end(self._log), -1
        for _ in range(_ROUNDS):
            reading = self._connections.borrow()  # CK1
            try:
                frames = _move(mover)
            finally:
                self._connections.give_back(reading)
            end = log_end(self._log)
            # Nothing was committed since the round before looked, or somebody began the log anew.
            if frames == reached or end.salt != began.salt:
                self._last = end  # else it is not done, and the log is as long as before
                return
            reached = frames

    def _move_the_rest(self, _: sqlite3.Cursor) -> None:
        assert self._mover is not None
        _move(self._mover)
        self._last = log_end(self._log)

    def log_bytes(self) -> int:
        """How much has been written to the log since the last checkpoint, whatever that one moved."""
        end, last = log_end(self._log), self._last
        return end.bytes - last.bytes if end.salt == last.salt else end.bytes

    def is_log_empty(self) -> bool:
        """Whether nothing was ever written to it, or it is not there."""
        try:
            return self._log.stat().st_size == 0
        except FileNotFoundError:
            return True

    def after_fork_in_child(self, *, quiet: bool) -> None:
        """Have nothing open. `quiet`: none was under way in the parent."""
        self.lock = Lock()
        if not quiet:
            forks.abandon(self._mover)
            self._mover = None


def _move(mover: sqlite3.Connection) -> int:
    """As far as readers let it; how many frames the log had. PASSIVE: it waits for nobody."""
    [(_, frames, _)] = mover.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
    assert isinstance(frames, int)
    return frames


def log_end(log: Path) -> LogEnd:
    """Up to where the log at this path is filled; after that come frames of before it was begun anew.

    The file's size does not tell: it stays, because to cut it and let it grow again takes ten
    times as long as to write over what is there (a booking would wait for it). Each frame carries
    the salt of the header that it was written under, so the first that does not is searched.

    To open and close the log is harmless: SQLite has no locks on it. The file and its index are
    never opened but by SQLite: closed, all locks of this process on them would end.
    """
    try:
        with log.open("rb", buffering=0) as file:
            header = file.read(_HEADER_BYTES)
            salt = header[16 : 16 + _SALT_BYTES]
            frame_bytes = _FRAME_HEADER_BYTES + int.from_bytes(header[8:12], "big")

            def is_older(frame: int) -> bool:
                file.seek(_HEADER_BYTES + frame * frame_bytes + 8)
                return file.read(_SALT_BYTES) != salt

            frames = max(0, file.seek(0, 2) - _HEADER_BYTES) // frame_bytes
            filled = bisect_left(range(frames), True, key=is_older)
    except FileNotFoundError:
        return LogEnd(b"", 0)
    return LogEnd(salt, _HEADER_BYTES + filled * frame_bytes if filled else 0)
