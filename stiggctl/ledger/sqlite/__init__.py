"""The SQLite ledger: one file, one writing connection, readers beside it.

Here: the Ledger protocol over the rooms of this package. Not here: where a file may lie, and
":memory:" (ledger/opening.py).

    connections   opening, writing; lending, patience, forks   troubles    SQLite's errors in our words
    checkpoints   moving the log into the file             copying     to another file
    schema        making and migrating a file                  statements  the named SQL
    usage         the exchange, by reckoning over numbers      changes     writing what it changed
    pools         how grants pay together                      rolling     limits in buckets, that move on
    cells         opening what an exchange touches             sums        what a cell has used, from events
    holders       who writes                                   model       changing what is limited
    allocations   limits, and the cells that stay or go        grants      prepaid credits, and theirs
    reading       snapshots: model_rows, events, cells         verifying   what should be equal
    sweeping      all windows and scopes at once             watching    thresholds that are crossed
    denials       what was denied, kept
    erasing       a resource's id and name, everywhere         remains     what was deleted, in unused bytes
"""

import sqlite3
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from stiggctl.ledger.records import (
    Batch,
    CellKey,
    CellRow,
    CellWanted,
    DenialWrite,
    Erasure,
    ExpiringWrite,
    Forgot,
    HolderRow,
    HolderWrite,
    LedgerState,
    ModelChange,
    Orphan,
    Reply,
)
from stiggctl.ledger.sqlite import cells, copying, erasing, holders, model, remains, watching
from stiggctl.ledger.sqlite import denials as keeping
from stiggctl.ledger.sqlite.connections import Connections, Synchronous
from stiggctl.ledger.sqlite.patience import PATIENCE_SECONDS
from stiggctl.ledger.sqlite.reading import SqliteReader
from stiggctl.ledger.sqlite.schema import make_ready
from stiggctl.ledger.sqlite.statements import SQL
from stiggctl.ledger.sqlite.troubles import translated
from stiggctl.ledger.sqlite.usage import Usage


class SqliteLedger:
    """A ledger in an SQLite file; see ledger.Ledger for what its verbs promise.

    Thread-safe. After a fork both processes may use it: each opens its own connections.
    """

    def __init__(
        self,
        path: Path,
        *,
        location: str,
        synchronous: Synchronous,
        create: bool,
        patience_seconds: float = PATIENCE_SECONDS,
        on_close: Callable[[], object] | None = None,
    ) -> None:
        """Open `path`, which is absolute; `location` is how people call it."""
        self.location = location
        self.path = path
        self._on_close = on_close
        self._connections = Connections(
            path, location=location, synchronous=synchronous, patience_seconds=patience_seconds
        )
        try:
            make_ready(self._connections, create=create)
            self._connections.remember_file()
        except BaseException:
            self._connections.close()
            raise
        self._usage = Usage(self._connections)

    def reader(self) -> SqliteReader:
        """A snapshot to read from."""
        return SqliteReader(self._connections)

    def enlist(self, holder: HolderWrite, beside: Collection[int] | None = ()) -> int | list[HolderRow]:
        """Write my row and return its id; or, while others than those `beside` live, return theirs."""
        return self._connections.transact(lambda cursor: holders.enlist(cursor, holder, beside))

    def bury(self, holder: int, orphans: dict[int, list[Orphan]], now_us: int) -> None:
        """End a dead holder: `orphans` (by cell) stay withheld, the rest of its shares is free."""
        self._connections.transact(lambda cursor: holders.bury(cursor, holder, orphans, now_us))

    def raise_ttl(self, holder: int, ttl_max_ms: int) -> None:
        """The longest ttl that this holder promised; before a longer one is used."""
        self._connections.transact(lambda cursor: holders.raise_ttl(cursor, holder, ttl_max_ms))

    def obey(self, holder: int, change: int) -> None:
        """This holder decides by that change of the model from now on. Raises Fenced."""
        self._connections.transact(lambda cursor: holders.obey(cursor, holder, change))

    def open_cells(
        self, wanted: Sequence[CellWanted], change: int, holder: int, *, now_us: int | None = None
    ) -> dict[CellKey, CellRow]:
        """Open what is not open (`used` = its events so far) and return all. Raises Stale.

        One that is open with another limit than is wanted gets it.
        """
        return cells.open_all(
            self._connections, self.reader, wanted, change=change, holder=holder, now_us=now_us
        )

    def exchange(self, batch: Batch) -> Reply:
        """Book, give back, draw: the one write of usage. Raises Stale or Fenced, writing nothing."""
        return self._usage.exchange(batch)

    def change_model(self, change: ModelChange) -> LedgerState:
        """Write the rows, and raise the versions by which holders see it; raises Stale."""
        return self._connections.transact(lambda cursor: model.change_model(cursor, change))

    def record_expiring(self, expiring: Sequence[ExpiringWrite], at_us: int) -> None:
        """Record that grants are about to expire; each once."""
        rows = [one._asdict() for one in expiring]
        self._connections.transact(lambda cursor: watching.record_expiring(cursor, rows, at_us))

    def take_untold(
        self, holder: int, kinds: Collection[int], now_us: int, *, since_us: int, until_us: int
    ) -> list[int]:
        """Warnings that nobody was told of, and that from now until then nobody else tells."""
        return self._connections.transact(
            lambda cursor: watching.take_untold(cursor, holder, kinds, now_us, since_us, until_us)
        )

    def told(self, warning: int, now_us: int) -> None:
        """All hooks have heard of it."""
        asked = {"warning": warning, "now_us": now_us}
        self._connections.transact(lambda cursor: cursor.execute(SQL["told"], asked).rowcount)

    def erase(self, erasure: Erasure) -> Forgot:
        """Forget who a resource was, wherever that stands; raises Stale."""
        return self._connections.transact(lambda cursor: erasing.erase(cursor, erasure))

    def leave_no_remains(self) -> bool:
        """See that what was erased is gone from unused bytes and from the log; False: not from the log."""
        try:
            return remains.leave_none(self._connections)
        except sqlite3.Error as error:
            raise translated(error, self.location) from error

    def keep_denials(self, denials: Sequence[DenialWrite], dropped: int, most: int) -> None:
        """Keep them, and no more than so many in all; count those that are dropped."""
        self._connections.transact(lambda cursor: keeping.keep(cursor, denials, dropped, most))

    def checkpoint(self, *, everything: bool = False) -> None:
        """Move what the log has into the file, as far as readers let it, while others write."""
        self._connections.checkpoints.move(everything=everything)

    def log_bytes(self) -> int:
        """How much has been written to the log since the last checkpoint."""
        return self._connections.checkpoints.log_bytes()

    def copy(self, to: Path) -> None:
        """Copy all of it to a file that is not there yet, as it is at one moment."""
        loan = self._connections.borrow()
        try:
            copying.copy(loan.of, to, self.location)
        except sqlite3.Error as error:
            raise translated(error, self.location) from error
        finally:
            self._connections.give_back(loan)

    def stamp(self) -> object:
        """What is another whenever anything was written since: then a reader may find something new."""
        try:
            return self._connections.stamp()
        except sqlite3.Error as error:
            raise translated(error, self.location) from error

    def still_there(self) -> None:
        """Raise LedgerUnavailable where the path no longer names the file that is open."""
        self._connections.still_there()

    def close(self) -> None:
        """Close every connection. Safe twice."""
        self._connections.close()
        if self._on_close is not None:
            self._on_close()
