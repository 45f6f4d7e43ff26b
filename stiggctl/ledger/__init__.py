"""The ledger: where the truth is kept. Rows and transactions, no decisions.

Here: what a ledger does (`Ledger`), how one is opened. What it can be asked: reader.py.
Not here: which credits may be spent (decision/), when to ask and what to do with the
answer (holder/).

What always holds of every implementation:
  L1  Each verb is one transaction: all of it, or nothing.
  L2  Events are only ever appended; `erase` rewrites what they say of somebody, and nothing that
      counts. `cells.used` is the sum of its events; of a grant, of what it paid of them.
  L3  `cells.granted` is the sum of its shares, and no share is negative.
  L4  A unique index on (customer, namespace, key, part) decides which event is first.
  L5  Configuration and usage share no table.
Whatever the database says is translated here, once, into a LedgerError.
"""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Protocol

from stiggctl.ledger.reader import Reader
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

__all__ = ["Fenced", "Ledger", "Reader", "Stale"]


class Stale(Exception):  # a signal between two rooms, not an error
    """The model changed since the caller read it: read it again, then ask again."""


class Fenced(Exception):
    """The holder's row is buried: it must enlist anew before it writes."""


class Ledger(Protocol):
    """The writes; each is one transaction. Thread-safe: one write at a time, readers beside it."""

    def reader(self) -> Reader:
        """A snapshot to read from."""
        ...

    def enlist(self, holder: HolderWrite, beside: Collection[int] | None = ()) -> int | list[HolderRow]:
        """Write my row and return its id; or, where others are not buried, return theirs.

        `beside`: those that the caller knows to live; None: whoever is there. So who is dead is buried
        before anybody counts on a company that is none.
        """
        ...

    def bury(self, holder: int, orphans: dict[int, list[Orphan]], now_us: int) -> None:
        """End a dead holder: `orphans` (by cell) stay withheld, the rest of its shares is free.

        In all never more than its share of the cell: the latest ends come first.
        """
        ...

    def raise_ttl(self, holder: int, ttl_max_ms: int) -> None:
        """The longest ttl that this holder promised; before a longer one is used."""
        ...

    def obey(self, holder: int, change: int) -> None:
        """This holder decides by that change of the model from now on. Raises Fenced."""
        ...

    def open_cells(self, wanted: Sequence[CellWanted], change: int, holder: int) -> dict[CellKey, CellRow]:
        """Open what is not open (`used` = its events so far) and return all. Raises Stale.

        One that is open with another limit than is wanted (an override began or ended) gets it;
        where less is left than was granted, nobody draws a surplus for a while. Thresholds that one has
        passed by that are recorded.
        """
        ...

    def exchange(self, batch: Batch) -> Reply:
        """Book, give back, draw: the one write of usage. Raises Stale or Fenced, writing nothing.

        An ask that does not fit in what is free, but might in what other holders have to spare, has
        them asked for it for a second (`recalled`, `CellRow.hushed`): meanwhile no draw there carries
        a surplus. Thresholds that events cross are recorded with them, each once a limit and window.
        """
        ...

    def change_model(self, change: ModelChange) -> LedgerState:
        """Write the rows, and raise the versions by which holders see that their paths are old.

        Raises Stale. Every exchange under the former change is Stale from here on; what holders have
        to spare is theirs until they see it, but where a limit is lower than what was granted of it:
        that is asked for, as by an ask that waits. Thresholds that a limit has passed now are recorded.
        """
        ...

    def erase(self, erasure: Erasure) -> Forgot:
        """Forget who a resource was, wherever that stands; every sum stays what it is.

        One transaction, which raises the versions as `change_model` does. Raises Stale.
        """
        ...

    def leave_no_remains(self) -> bool:
        """See that what was erased, by whomever, is gone from the place's unused bytes and log, too.

        False: some reader kept the log. Where nothing was erased since the last time, that is all it does.
        """
        ...

    def keep_denials(self, denials: Sequence[DenialWrite], dropped: int, most: int) -> None:
        """Keep them, and no more than so many in all; count those that are dropped, here or before."""
        ...

    def stamp(self) -> object:
        """What is another whenever anything was written since, by whomever: cheaper than a reader.

        Taken before one reads: what is written after it makes another.
        """
        ...

    def record_expiring(self, expiring: Sequence[ExpiringWrite], at_us: int) -> None:
        """Record that grants are about to expire; each once."""
        ...

    def take_untold(
        self, holder: int, kinds: Collection[int], now_us: int, *, since_us: int, until_us: int
    ) -> list[int]:
        """Warnings (rows) since then that nobody was told of, and that until then nobody else tells.

        Where the holder is buried before that, others may.
        """
        ...

    def told(self, warning: int, now_us: int) -> None:
        """All hooks have heard of it."""
        ...

    def still_there(self) -> None:
        """Raise LedgerUnavailable where the place that was opened now leads elsewhere."""
        ...

    def log_bytes(self) -> int:
        """How much has been written since the last checkpoint; 0 where there is no log to move."""
        ...

    def checkpoint(self, *, everything: bool = False) -> None:
        """Move what the log has into the file, as far as readers let it, while others write.

        `everything` leaves no log, where nobody else reads or writes.
        """
        ...

    def copy(self, to: Path) -> None:
        """Copy all of it to a file that is not there yet, as it is at one moment, while others write.

        Raises LedgerError where something is there, or none can be made.
        """
        ...

    def close(self) -> None:
        """Close every connection. Safe twice."""
        ...
