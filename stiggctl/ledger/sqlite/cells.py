"""Cells: found by what they limit, and opened when they are first needed.

Here: reading cells by allocation, resource and window; `used` of one that is not open yet;
opening. Not here: what an exchange does to open cells (usage.py), what closes them (model.py).

What always holds:
  O1  A cell that opens has used what its resource's events sum to, whoever books meanwhile:
      what was there when the sum began is summed without any lock, up to an event; the few
      that came after it are added under the write lock.
"""

import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from stiggctl.amounts import COUNTER_MAX
from stiggctl.errors import LedgerError
from stiggctl.ledger import Stale
from stiggctl.ledger.records import CellKey, CellRow
from stiggctl.ledger.sqlite.connections import Connections
from stiggctl.ledger.sqlite.numbers import sorted_orphans
from stiggctl.ledger.sqlite.statements import SQL

#: Runs a statement and returns its rows: in a reader's snapshot, or in a transaction.
Rows = Callable[[str, Mapping[str, object]], list[tuple[Any, ...]]]


class _Found:
    """An allocation in a window, as a row: open or not."""

    __slots__ = ("cell", "currency", "customer", "key")

    def __init__(self, row: list[Any]) -> None:
        (resource, window_start_us, allocation, lim_of_allocation, self.customer, self.currency,
         id_, used, granted, lim, mine, exact, orphans) = row  # fmt: skip
        self.key = CellKey(allocation, resource, window_start_us)
        withheld = sorted_orphans(orphans)
        self.cell = CellRow(
            id=id_ or 0,
            allocation=allocation,
            resource=resource,
            limit_units=lim_of_allocation if id_ is None else lim,
            used=used or 0,
            granted=mine,
            exact=mine == 0 or exact == 1,
            others=(granted or 0) - mine - sum(orphan.units for orphan in withheld),
            orphans=withheld,
        )


def _find(rows: Rows, keys: Sequence[CellKey], holder: int) -> list[_Found]:
    [(found,)] = rows(SQL["cells_by_key"], {"keys": json.dumps(keys), "holder": holder})
    return [_Found(row) for row in json.loads(found)]


def _sum(rows: Rows, name: str, found: _Found, last_event: int) -> int:
    asked = {
        "resource": found.key.resource,
        "customer": found.customer,
        "currency": found.currency,
        "last_event": last_event,
    }
    [(high, low)] = rows(SQL[name], asked)
    return ((high or 0) << 32) + (low or 0)


def used_under(rows: Rows, customer: int, currency: int, resources: Sequence[int]) -> dict[int, int]:
    """Resource -> units of all events under it; those without any are left out."""
    if not resources:
        return {}
    asked = {"customer": customer, "currency": currency, "resources": json.dumps(list(resources))}
    return {resource: (high << 32) + low for resource, high, low in rows(SQL["used_under"], asked)}


def _last_event(rows: Rows) -> int:
    [(last,)] = rows(SQL["last_event"], {})
    return last or 0


def read(rows: Rows, keys: Sequence[CellKey], holder: int) -> dict[CellKey, CellRow]:
    """Those cells, in a snapshot; `used` of one that is not open is summed."""
    cells = {}
    for found in _find(rows, keys, holder):
        cell = found.cell
        if not cell.id:
            cell = cell._replace(used=_sum(rows, "used_until", found, _last_event(rows)))
        cells[found.key] = cell
    return cells


def open_all(
    connections: Connections, snapshot: Rows, keys: Sequence[CellKey], *, change: int, holder: int
) -> dict[CellKey, CellRow]:
    """Open what is not open, and return all. Raises Stale. `snapshot` reads without the write lock."""
    cells = {found.key: found for found in _find(snapshot, keys, holder)}
    closed = [found for found in cells.values() if not found.cell.id]
    if not closed:
        _refuse_if_changed(snapshot, change)
        return {key: found.cell for key, found in cells.items()}
    last_event = _last_event(snapshot)
    used = {found.key: _sum(snapshot, "used_until", found, last_event) for found in closed}

    def open_closed(cursor: sqlite3.Cursor) -> dict[CellKey, CellRow]:
        def rows(statement: str, asked: Mapping[str, object]) -> list[tuple[Any, ...]]:
            return cursor.execute(statement, asked).fetchall()

        _refuse_if_changed(rows, change)
        for found in _find(rows, keys, holder):
            if not found.cell.id:
                # It was not open in the snapshot either: since then only an opening of ours could
                # have closed it, which raises `change`.
                total = used[found.key] + _sum(rows, "used_since", found, last_event)
                _refuse_if_too_large(connections.location, found, total)
                cursor.execute(SQL["open_cell"], {**found.key._asdict(), "used": total})
        return {found.key: found.cell for found in _find(rows, keys, holder)}

    return connections.transact(open_closed)


def _refuse_if_changed(rows: Rows, change: int) -> None:
    [(_, _, _, now)] = rows(SQL["state"], {})
    if now != change:
        raise Stale


def _refuse_if_too_large(location: str, found: _Found, used: int) -> None:
    if not -COUNTER_MAX <= used <= COUNTER_MAX:
        raise LedgerError(
            location=location,
            reason=f"{used} units were booked on resource {found.key.resource}, more than a limit can count",
            remedy=f"remove allocation {found.key.allocation} on it",
        )
