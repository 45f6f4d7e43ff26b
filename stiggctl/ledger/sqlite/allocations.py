"""Allocations: written by their keys, and what becomes of the cells that count for them.

Here: putting and removing allocations; which of their cells stay and which go. Not here: opening
cells (cells.py), the order of a change of the model (model.py), reading allocations (model_rows.py).

What always holds:
  AL1  Cells stay while they count the same: another limit, enforcement or validity keeps them. What
       ends an allocation or has it count something else deletes them with their shares and buckets, in
       the same transaction; they are opened anew, and summed from the events.
  AL2  No cell of a template stays open for a resource that it counts no more, because its properties
       or the template's `where` are others: bookings would pass it by, and its number be wrong when it
       counts again. Those of all others stay, also where a limit of the resource's own is in its place:
       it goes on counting.
"""

import json
import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from stiggctl.ledger.records import AllocationWrite, ResourceWrite
from stiggctl.ledger.sqlite.reckoning import HUSH_US
from stiggctl.ledger.sqlite.statements import SQL
from stiggctl.scopes import filter_of

_Row = dict[str, Any]


def remove(cursor: sqlite3.Cursor, allocations: Iterable[int]) -> None:
    """End them, with their cells and shares."""
    for allocation in allocations:
        _close(cursor, allocation)
        cursor.execute(SQL["remove_allocation"], {"allocation": allocation})


def _close(cursor: sqlite3.Cursor, allocation: int) -> None:
    for name in ("close_shares", "close_buckets", "close_cells"):
        cursor.execute(SQL[name], {"allocation": allocation, "of_grant": 0})


class Put(NamedTuple):
    """What became of allocations that were written."""

    narrowed: list[int]  #: templates of which open cells may count no more (AL2)
    watched: list[int]  #: those with thresholds that were there before


def put(cursor: sqlite3.Cursor, writes: Iterable[AllocationWrite], at_us: int) -> Put:
    """Write them by their keys."""
    narrowed, watched = [], []
    for write in writes:
        row = _as_row(cursor, write)
        name = "allocation_like" if write.allocation_id is None else "allocation_named"
        before = cursor.execute(SQL[name], row).fetchone()
        if before is None:
            cursor.execute(SQL["append_allocation"], row)
            continue
        columns = ("allocation", "resource", "type", "where", "currency", "limit_units", *_WINDOW, "scope")
        was = dict(zip(columns, before, strict=True))
        row["allocation"] = was["allocation"]
        if _counts(was) != _counts(row):
            _close(cursor, row["allocation"])
            cursor.execute(SQL["crossed_as_former"], {"allocation": row["allocation"], "of_grant": 0})
        elif was["where"] != row["where"]:
            narrowed.append(row["allocation"])
        cursor.execute(SQL["replace_allocation"], row)
        # Also where the limit was the same: an override may have set another one in the cells.
        asked = {**row, "of_grant": 0, "at_us": at_us, "hush_until": at_us + HUSH_US}
        cursor.execute(SQL["set_limit"], asked)
        if write.thresholds != "[]":
            watched.append(row["allocation"])
    return Put(narrowed, watched)


_WINDOW = ("cadence", "timezone", "anchor_us", "rolling")


def _as_row(cursor: sqlite3.Cursor, write: AllocationWrite) -> _Row:
    """The record with row ids for what it names; None, which the table refuses, for what is not there."""
    row: _Row = {name: getattr(write, name) for name in write.__slots__}
    found = cursor.execute(SQL["allocation_as_rows"], row).fetchone()
    row["customer"], row["resource"], row["type"], row["currency"] = found
    return row


def _counts(row: _Row) -> tuple[object, ...]:
    """What an allocation counts, and from when to when; `where` says for whom (AL2)."""
    window = None if row["cadence"] is None else tuple(row[name] for name in _WINDOW)
    return (row["resource"], row["type"], row["currency"], row["scope"], window)


def close_what_counts_no_more(
    cursor: sqlite3.Cursor, narrowed: Sequence[int], resources: Iterable[ResourceWrite]
) -> None:
    """Close cells of templates, after all that was written (AL2).

    `narrowed` are templates with another `where`; a resource may have got another type or other
    properties.
    """
    if cursor.execute(SQL["any_template"]).fetchone() is None:
        return
    ids = json.dumps(sorted({(one.customer_id, one.resource_id) for one in resources}))
    found = cursor.execute(SQL["cells_of_templates_for"], {"resources": ids}).fetchall()
    for template in narrowed:
        found += cursor.execute(SQL["cells_of_template"], {"allocation": template})
    ended = [
        {"allocation": template, "resource": resource}
        for template, resource, same_type, where, properties in found
        if not same_type or not filter_of(where).passes(properties)
    ]
    for name in ("close_shares_for", "close_buckets_for", "close_cells_for"):
        cursor.executemany(SQL[name], ended)
