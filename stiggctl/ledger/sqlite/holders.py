"""Holders: who may write usage, and what becomes of the shares of one that died.

Here: enlist, bury, raise_ttl, obey, as transactions. Not here: who is alive (holder/liveness.py
looks at its lock file), what a dead one held (its page, read there too).

What always holds:
  HR1  What a dead holder held stays withheld until its reservations would have ended, and never
      more than its share; the rest is free in the transaction that buries it.
"""

import sqlite3
from collections.abc import Collection
from dataclasses import asdict

from stiggctl.ledger import Fenced
from stiggctl.ledger.records import HolderRow, HolderWrite, Orphan
from stiggctl.ledger.sqlite.statements import SQL


def live(cursor: sqlite3.Cursor) -> list[HolderRow]:
    """Those not buried."""
    return [holder_row(row) for row in cursor.execute(SQL["live_holders"])]


def holder_row(row: tuple[int, str, str, str, int, int, int, int, int]) -> HolderRow:
    """A row as `live_holders` selects it."""
    id_, name, host, boot, pid, lock_inode, state, ttl_max_ms, obeys = row
    return HolderRow(
        id=id_,
        name=name,
        host=host,
        boot=boot,
        pid=pid,
        lock_inode=lock_inode,
        state=state,
        ttl_max_ms=ttl_max_ms,
        obeys=obeys,
    )


def enlist(
    cursor: sqlite3.Cursor, holder: HolderWrite, beside: Collection[int] | None
) -> int | list[HolderRow]:
    """Its id; or, while others than those `beside` (None: whoever is there) are not buried, theirs."""
    others = [] if beside is None else [row for row in live(cursor) if row.id not in beside]
    if others:
        return others
    row = asdict(holder)
    obeys = row.pop("obeys")
    id_ = cursor.execute(SQL["enlist"], row).lastrowid
    assert id_ is not None
    obey(cursor, id_, obeys)
    return id_


def obey(cursor: sqlite3.Cursor, holder: int, change: int) -> None:
    """It decides by that change of the model from now on. Raises Fenced as `raise_ttl` does."""
    if not cursor.execute(SQL["obey"], {"holder": holder, "change": change}).rowcount:
        raise Fenced


def raise_ttl(cursor: sqlite3.Cursor, holder: int, ttl_max_ms: int) -> None:
    """Raises Fenced where it is buried or never was."""
    if not cursor.execute(SQL["raise_ttl"], {"holder": holder, "ttl_max_ms": ttl_max_ms}).rowcount:
        raise Fenced


def bury(cursor: sqlite3.Cursor, holder: int, orphans: dict[int, list[Orphan]], now_us: int) -> None:
    """Withhold what it held, free the rest. One that is buried already stays as it is."""
    row: tuple[int] | None = cursor.execute(SQL["ttl_of_live"], {"holder": holder}).fetchone()
    if row is None:
        return
    latest_us = now_us + row[0] * 1_000  # it never promised a hold longer than that
    shares: list[tuple[int, int]] = cursor.execute(SQL["shares_of"], {"holder": holder}).fetchall()
    for cell, granted in shares:
        left = granted
        # A settle may have been committed before its record fell: then more stands in the page
        # than in the share. The latest ends come first: nobody may have what is still held.
        for units, until_us in sorted(orphans.get(cell, []), key=lambda orphan: -orphan.until_us):
            ends_us, withheld = min(until_us, latest_us), min(units, left)
            if ends_us > now_us and withheld > 0:
                asked = {"cell": cell, "holder": holder, "units": withheld, "until_us": ends_us}
                cursor.execute(SQL["withhold"], asked)
                left -= withheld
        if left:
            cursor.execute(SQL["free_cell"], {"cell": cell, "units": left})
    for name in ("drop_shares_of", "forget_seen"):
        cursor.execute(SQL[name], {"holder": holder})
    cursor.execute(SQL["bury"], {"holder": holder})
