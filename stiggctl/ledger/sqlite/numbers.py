"""Numbers: what the cells that an exchange touches count, read once and kept while it is true.

Here: a cell's numbers as one holder sees them; reading them; remembering those that the next
exchange will want again. Not here: how a batch changes them (reckoning.py), who writes them
back (usage.py).

What always holds:
  N1  What is remembered is used only if it was true at the last commit of our writing
      connection (C3), and no other connection has committed since (`PRAGMA data_version`,
      read under the write lock). One number that does not match, and all is forgotten.

The numbers of a batch are changed in place, so they are right only if that batch commits:
`begin` marks them as of the commit that is to come, which a failure never reaches.
"""

import json
import sqlite3
from collections.abc import Iterable
from typing import Generic, TypeVar

from stiggctl.ledger import Fenced, Stale
from stiggctl.ledger.records import CellRow, Orphan
from stiggctl.ledger.sqlite.statements import SQL

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
        "hush_until",
        "lim",
        "mine",
        "orphans",
        "resource",
        "used",
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

    def row(self) -> CellRow:
        """As it crosses the border."""
        withheld = sum(orphan.units for orphan in self.orphans) if self.orphans else 0
        return CellRow(
            id=self.cell,
            allocation=self.allocation,
            resource=self.resource,
            limit_units=self.lim,
            used=self.used,
            granted=self.mine,
            # Where nothing is granted there is no surplus, whatever the row of a spent share says.
            exact=self.mine == 0 or self.exact == 1,
            others=self.granted - self.mine - withheld,
            orphans=self.orphans,
        )


def sorted_orphans(rows: list[list[int]]) -> tuple[Orphan, ...]:
    """From [[units, until], …]: earliest end first."""
    if not rows:
        return ()
    return tuple(sorted((Orphan(units, until) for units, until in rows), key=lambda orphan: orphan.until_us))


class KnownNumbers:
    """The numbers that the writing connection knows, for one holder at a time."""

    __slots__ = ("_cells", "_epoch", "_holder", "_version", "alive", "change")

    def __init__(self) -> None:
        self._cells: Recent[int, Numbers] = Recent(_CELLS_KEPT)
        self._epoch = -1  # the commit as of which all here is true
        self._version = -1  # SQLite's number of what other connections committed
        self._holder = -1
        self.alive = 0  # holders that live
        self.change = -1  # the model's

    def begin(self, cursor: sqlite3.Cursor, *, epoch: int, holder: int, change: int) -> None:
        """In a transaction: see that what is known is true, and that this holder may write.

        Raises Fenced where the holder is buried or never was, Stale where the model changed.
        """
        (version,) = cursor.execute("PRAGMA data_version").fetchone()
        if epoch != self._epoch or version != self._version or holder != self._holder:
            self._cells.forget()
            self._epoch = -1
            now, state, self.alive = cursor.execute(SQL["guard"], {"holder": holder}).fetchone()
            if state != 0:
                raise Fenced
            self.change, self._version, self._holder = now, version, holder
        if change != self.change:
            raise Stale
        self._epoch = epoch + 1

    def look(self, cursor: sqlite3.Cursor, cells: Iterable[int]) -> dict[int, Numbers]:
        """Those of them that are open, by their ids."""
        found: dict[int, Numbers] = {}
        unknown = []
        known = self._cells.get
        for cell in cells:
            numbers = known(cell)
            if numbers is None:
                unknown.append(cell)
            else:
                found[cell] = numbers
        if unknown:
            asked = {"cells": json.dumps(unknown), "holder": self._holder}
            (rows,) = cursor.execute(SQL["numbers"], asked).fetchone()
            for row in json.loads(rows):
                numbers = Numbers(*row)
                found[numbers.cell] = numbers
                self._cells.put(numbers.cell, numbers)
        return found
