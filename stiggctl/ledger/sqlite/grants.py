"""Grants: written by their keys, voided, and what becomes of the cells that count what they paid.

Here: putting and voiding grants; which of their cells stay. Not here: opening cells (cells.py), the order
of a change of the model (model.py), how grants pay (pools.py), reading them (model_rows.py).

What always holds:
  GR1  A grant's cells stay while its windows are the same: another amount is their limit, and what was
       granted of them stays. Other windows delete them with their shares, in the same transaction; they
       are opened anew, and summed from what the grant paid.
  GR2  What was voided stays void, whatever is written after; what a grant paid stays paid.
"""

import sqlite3
from collections.abc import Iterable
from typing import Any

from stiggctl.ledger.records import GrantWrite
from stiggctl.ledger.sqlite.reckoning import HUSH_US
from stiggctl.ledger.sqlite.statements import SQL

_Window = tuple[str, str, int | None] | None


def put(cursor: sqlite3.Cursor, writes: Iterable[GrantWrite], at_us: int) -> list[int]:
    """Write them by their keys; those with thresholds that were there before."""
    watched = []
    for write in writes:
        row: dict[str, Any] = {name: getattr(write, name) for name in write.__slots__}
        before: tuple[Any, ...] | None = cursor.execute(SQL["grant_named"], row).fetchone()
        cursor.execute(SQL["put_grant"], row)
        if before is None:
            continue
        grant, *window = before
        cells = {"allocation": grant, "of_grant": 1}
        if _window(*window) != _window(write.cadence, write.timezone, write.anchor_us):
            for name in ("close_shares", "close_cells", "crossed_as_former"):
                cursor.execute(SQL[name], cells)
        limit = {"limit_units": write.amount_units, "at_us": at_us, "hush_until": at_us + HUSH_US}
        cursor.execute(SQL["set_limit"], {**cells, **limit})
        if write.thresholds != "[]":
            watched.append(grant)
    return watched


def void(cursor: sqlite3.Cursor, grants: Iterable[int], at_us: int) -> None:
    """From then on; one that is void already stays as it is."""
    cursor.executemany(SQL["void_grant"], ({"grant": grant, "at_us": at_us} for grant in grants))


def _window(cadence: str | None, timezone: str, anchor_us: int | None) -> _Window:
    """From when to when it counts; None: for ever, whatever the zone."""
    return None if cadence is None else (cadence, timezone, anchor_us)
