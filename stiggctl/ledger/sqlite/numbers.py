"""Numbers: what the cells that an exchange touches count, read once and kept while it is true.

Here: a cell's numbers as one holder sees them; reading them; remembering those that the next
exchange will want again. Not here: how a batch changes them (reckoning.py), who writes them
back (usage.py).

What always holds:
  N1  What is remembered is used only if three numbers, read under the write lock, are as they
      were when it was last true: `Connections.failures` (CN3: it was committed), SQLite's
      `total_changes` (our connection has changed nothing since), and `data_version` (no other
      connection has committed since). One that differs, and all is forgotten.

The numbers of a batch are changed in place, before it is known whether it commits: from `begin`
to `end` nothing is remembered as true, and after `end` only if no failure is counted.
"""

import json
import sqlite3
from collections.abc import Iterable
from typing import Generic, TypeVar

from stiggctl.ledger import Fenced, Stale
from stiggctl.ledger.records import CellRow, Orphan
from stiggctl.ledger.sqlite import watching
from stiggctl.ledger.sqlite.statements import SQL
from stiggctl.ledger.sqlite.watching import Mark

K = TypeVar("K")
V = TypeVar("V")

# Cells of a few thousand users at work; about 400 bytes each. What does not fit is read again,
# which costs two microseconds.
_CELLS_KEPT = 8_192


class Recent(Generic[K, V]):
    """Remembers what was used lately, at least `size` of it and at most twice as much.

    Two dicts instead of an order: nothing is moved when found, and when the younger is full it
    takes the older's place, so that no large dict is ever emptied entry by entry.
    """

    __slots__ = ("_older", "_size", "_younger")

    def __init__(self, size: int) -> None:
        self._size = size
        self._younger: dict[K, V] = {}
        self._older: dict[K, V] = {}

    def get(self, key: K) -> V | None:
        """What was put there, if it is still remembered."""
        found = self._younger.get(key)
        if found is None:
            found = self._older.get(key)
            if found is not None:
                self.put(key, found)
        return found

    def of(self, keys: Iterable[K]) -> tuple[dict[K, V], list[K]]:
        """What is remembered of these, and those that are not."""
        found, missing, younger = {}, [], self._younger
        for key in keys:
            value = younger.get(key)
            if value is None:
                value = self.get(key)
            if value is None:
                missing.append(key)
            else:
                found[key] = value
        return found, missing

    def put(self, key: K, value: V) -> None:
        """Remember it."""
        if len(self._younger) >= self._size:
            self._older, self._younger = self._younger, {}
        self._younger[key] = value

    def forget(self) -> None:
        """Remember nothing."""
        if self._younger or self._older:
            self._younger, self._older = {}, {}


class Numbers:
    """One cell's row and my share of it, in a transaction that may change both."""

    __slots__ = (
        "allocation",
        "cell",
        "exact",
        "granted",
        "hidden",
        "hush_until",
        "lim",
        "marks",
        "mine",
        "opens_us",
        "orphans",
        "resource",
        "used",
        "width_us",
        "window_start_us",
    )

    def __init__(
        self,
        cell: int,
        allocation: int,
        resource: int,
        window_start_us: int,
        lim: int,
        used: int,
        granted: int,
        hush_until: int,
        mine: int,
        exact: int,
        orphans: list[list[int]],
        opens_us: int | None,
        width_us: int | None,
        hidden: int,
    ) -> None:
        self.cell = cell
        self.allocation = allocation
        self.resource = resource
        self.window_start_us = window_start_us
        self.lim = lim
        self.used = used
        self.granted = granted  # Σ of all shares: mine, others', orphans
        self.hush_until = hush_until
        self.mine = mine
        self.exact = exact
        self.orphans = sorted_orphans(orphans)
        self.opens_us = opens_us
        self.width_us = width_us  # of a bucket; None: it does not roll
        self.hidden = hidden  # what other living holders have that is not exact; no batch of mine changes it
        #: of what has thresholds: those that were not crossed yet, each with what is used then
        self.marks: tuple[Mark, ...] = ()

    def row(self, now_us: int) -> CellRow:
        """As it crosses the border."""
        mine, orphans = self.mine, self.orphans
        withheld = sum(orphan.units for orphan in orphans) if orphans else 0
        # Where nothing is granted there is no surplus, whatever the row of a spent share says. By
        # position: by name it takes twice as long, and each exchange makes one a cell.
        row = CellRow(
            self.cell,
            self.allocation,
            self.resource,
            self.lim,
            self.used,
            mine,
            mine == 0 or self.exact == 1,
            self.granted - mine - withheld,
            orphans,
        )
        if self.hidden or self.hush_until > now_us:  # only in company
            return row._replace(hidden=self.hidden, hushed=self.hush_until > now_us)
        return row


def sorted_orphans(rows: list[list[int]]) -> tuple[Orphan, ...]:
    """From [[units, until], …]: earliest end first."""
    if not rows:
        return ()
    return tuple(sorted((Orphan(units, until) for units, until in rows), key=lambda orphan: orphan.until_us))


class KnownNumbers:
    """The numbers that the writing connection knows, for one holder at a time."""

    __slots__ = (
        "_cells",
        "_changes",
        "_failures",
        "_holder",
        "_version",
        "alive",
        "change",
        "rolls",
        "watched",
    )

    def __init__(self) -> None:
        self._cells: Recent[int, Numbers] = Recent(_CELLS_KEPT)
        # When what is here was last true (N1); -1: it is not.
        self._failures = self._changes = self._version = -1
        self._holder = -1
        self.alive = 0  # holders that live
        self.change = -1  # the model's
        self.rolls = False  # whether any cell that was ever read rolls: else nobody looks for one
        self.watched = False  # whether anything has thresholds: else nobody looks whether one is crossed

    def begin(self, cursor: sqlite3.Cursor, *, failures: int, holder: int, change: int) -> bool:
        """In a transaction: see that this holder may write; and whether what is known is true.

        Raises Fenced where the holder is buried or never was, Stale where the model changed.
        """
        (version,) = cursor.execute("PRAGMA data_version").fetchone()
        is_true = (
            failures == self._failures
            and cursor.connection.total_changes == self._changes
            and version == self._version
            and holder == self._holder
        )
        self._changes = -1
        if not is_true:
            self._cells.forget()
            now, state, self.alive, self.watched = cursor.execute(SQL["guard"], {"holder": holder}).fetchone()
            if state != 0:
                raise Fenced
            self.change, self._version, self._holder, self._failures = now, version, holder, failures
        if change != self.change:
            raise Stale
        return is_true

    def end(self, cursor: sqlite3.Cursor) -> None:
        """All that is known is true once this transaction is committed."""
        self._changes = cursor.connection.total_changes

    def look(self, cursor: sqlite3.Cursor, cells: Iterable[int]) -> dict[int, Numbers]:
        """Those of them that are open, by their ids."""
        found, unknown = self._cells.of(cells)
        if unknown:
            asked = {"cells": json.dumps(unknown), "holder": self._holder}
            (rows,) = cursor.execute(SQL["numbers"], asked).fetchone()
            for row in json.loads(rows):
                numbers = Numbers(*row)
                found[numbers.cell] = numbers
                self._cells.put(numbers.cell, numbers)
                self.rolls = self.rolls or numbers.width_us is not None
            if self.watched:
                watching.mark(cursor, found, unknown)
        return found
