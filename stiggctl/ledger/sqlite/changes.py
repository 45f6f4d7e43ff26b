"""Changes: the numbers that a batch changed, written in as few steps as possible.

Here: counters, shares, buckets and hushes -> packed statements. Not here: what changed (reckoning.py),
events and what grants paid of them (usage.py).
"""

import json
import sqlite3

from stiggctl.ledger.sqlite.reckoning import HUSH_US, Reckoning
from stiggctl.ledger.sqlite.statements import ROWS_EXACT, SQL, packed, sizes


def write(cursor: sqlite3.Cursor, reckoning: Reckoning, holder: int) -> None:
    """One step for each kind of row that changed, up to 32 rows of it; none where none did."""
    if changed := reckoning.changed.values():
        values: list[object] = []
        for n in changed:
            values += (n.cell, n.allocation, n.resource, n.window_start_us, n.lim, n.used, n.granted)
        write_packed(cursor, "set_cells", values, len(changed))
    if changed := reckoning.shares_changed.values():
        values = []
        for n in changed:
            values += (n.cell, holder, n.mine, n.exact)
        write_packed(cursor, "set_shares", values, len(changed))
    if reckoning.buckets:
        values = []
        for (cell, start_us), units in reckoning.buckets.items():
            values += (cell, start_us, units)
        write_packed(cursor, "add_to_buckets", values, len(reckoning.buckets))
    if reckoning.hushed:
        hushed = {"cells": json.dumps(reckoning.hushed), "until_us": reckoning.now_us + HUSH_US}
        cursor.execute(SQL["hush_cells"], hushed)


def write_packed(cursor: sqlite3.Cursor, name: str, values: list[object], rows: int) -> int:
    """Write so many rows in few steps; how many were written."""
    if rows <= ROWS_EXACT:
        return cursor.execute(packed(name, rows), values).rowcount
    width, written, start = len(values) // rows, 0, 0
    for size in sizes(rows):
        end = start + size * width
        cursor.execute(packed(name, size), values[start:end])
        written += cursor.rowcount
        start = end
    return written
