"""Rolling: limits that count what took place lately, in one cell each and buckets beside it.

Here: which buckets a rolling cell keeps as it moves on; reading and writing them. Not here: summing
events by bucket (sums.py), when a cell moves (cells.py), how a booking counts in it (reckoning.py).

What always holds:
  RW1  The buckets of a rolling cell sum to its `used`, and are what its events from `opens` on sum to,
       each of those that took place in its `width`.
  RW2  It moves on without a walk over events: the buckets that begin before it opens leave `used`. It
       goes back, where a clock was set back, only by summing anew.
"""

import json
import sqlite3
from collections.abc import Iterable, Mapping

from stiggctl.ledger.records import Bucket, Rolls
from stiggctl.ledger.sqlite.statements import SQL
from stiggctl.ledger.sqlite.sums import LATEST_US, Rows


def start_of(occurred_at_us: int, width_us: int) -> int:
    """Where the bucket begins in which something took place.

    >>> start_of(25, 10), start_of(-1, 10)
    (20, -10)
    """
    return occurred_at_us - occurred_at_us % width_us


def goes_on(stands: Rolls | None, wanted: Rolls | None) -> bool:
    """Whether a cell that counts so may count as wanted without a look at its events (RW2)."""
    if stands is None or wanted is None:
        return stands is wanted
    return stands.width_us == wanted.width_us and stands.opens_us <= wanted.opens_us


def kept(units: Iterable[tuple[int, int]], opens_us: int) -> tuple[Bucket, ...]:
    """The buckets that count from then on: those that are not empty, oldest first."""
    return tuple(sorted(Bucket(start, used) for start, used in units if used and start >= opens_us))


def of_cells(rows: Rows, cells: Iterable[int]) -> dict[int, tuple[Bucket, ...]]:
    """Those of open cells; a cell may have none."""
    asked = sorted(cells)
    [(found,)] = rows(SQL["buckets_of"], {"cells": json.dumps(asked)})
    buckets: dict[int, list[tuple[int, int]]] = {cell: [] for cell in asked}
    for cell, start_us, used in json.loads(found):
        buckets[cell].append((start_us, used))
    return {cell: kept(units, -LATEST_US) for cell, units in buckets.items()}


def drop_before(cursor: sqlite3.Cursor, cell: int, opens_us: int) -> None:
    """They have left it."""
    cursor.execute(SQL["drop_buckets"], {"cell": cell, "until_us": opens_us})


def put(cursor: sqlite3.Cursor, cell: int, units: Mapping[int, int]) -> None:
    """In place of all that it has."""
    drop_before(cursor, cell, LATEST_US)
    buckets = json.dumps([[start, used] for start, used in units.items() if used])
    cursor.execute(SQL["put_buckets"], {"cell": cell, "buckets": buckets})
