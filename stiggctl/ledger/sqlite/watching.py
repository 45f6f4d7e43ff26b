"""Watching: thresholds that are crossed, and grants that are about to expire, recorded once.

Here: at which number a threshold is crossed; what an exchange, another limit or a cell that opens over
earlier usage crosses, to rows; who tells them. Not here: telling them (holder/news.py).

What always holds:
  WA1  A crossing is recorded in the transaction that books what crosses it, once a limit, window and
       threshold, whoever books and however often: under the write lock, and by a unique key.
  WA2  A threshold of T percent is crossed where used · 100 >= limit · T and anything is used, exactly:
       in whole units, rounded up.
  WA3  Once it was crossed, a window has crossed it, also where a reversal or another limit takes it back.
  WA4  Where nothing has thresholds, an exchange does nothing for them.
"""

import json
import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from stiggctl.ledger.records import CROSSED, WarningRow
from stiggctl.ledger.sqlite.statements import SQL
from stiggctl.ledger.sqlite.sums import Rows

if TYPE_CHECKING:
    from stiggctl.ledger.records import PartBooked
    from stiggctl.ledger.sqlite.numbers import Numbers

#: A threshold is a whole number of these in the whole limit: hundredths of a percent.
WHOLE = 10_000


class Mark(NamedTuple):
    """A threshold, and what is used when it is crossed."""

    units: int
    threshold: int


class Crossed(NamedTuple):
    """What the event in that row of a batch crossed."""

    row: int
    cell: int
    threshold: int
    used: int
    limit_units: int


def mark_of(limit_units: int, threshold: int) -> Mark:
    """When it is crossed (WA2).

    >>> mark_of(200, 8_000).units, mark_of(3, 5_000).units, mark_of(0, 10_000).units
    (160, 2, 1)
    """
    return Mark(max(1, -(-limit_units * threshold // WHOLE)), threshold)


def mark(cursor: sqlite3.Cursor, numbers: "Mapping[int, Numbers]", cells: Sequence[int]) -> None:
    """Note in those cells what is still to be crossed."""
    marks: dict[int, list[Mark]] = {}
    for cell, threshold in cursor.execute(SQL["thresholds_left"], {"cells": json.dumps(cells)}):
        if cell in numbers:
            marks.setdefault(cell, []).append(mark_of(numbers[cell].lim, threshold))
    for cell, of_cell in marks.items():
        numbers[cell].marks = tuple(of_cell)


def crossed_by(row: int, part: "PartBooked", numbers: "Mapping[int, Numbers]") -> list[Crossed]:
    """What a part that was just counted has crossed; its cells have crossed it from now on."""
    crossed = []
    counted = list(zip(part.cells, part.used_after, strict=True))
    if part.drained is not None:
        counted += [(cell, numbers[cell].used) for cell, _ in part.drained.paid]
    for cell, used in counted:
        of_cell = numbers[cell]
        while of_cell.marks and used >= of_cell.marks[0].units:
            first, *rest = of_cell.marks
            crossed.append(Crossed(row, cell, first.threshold, used, of_cell.lim))
            of_cell.marks = tuple(rest)
    return crossed


def record(cursor: sqlite3.Cursor, crossed: Sequence[Crossed], first_event: int, at_us: int) -> list[int]:
    """Write what events crossed; the rows of what is new."""
    rows = [(one.cell, one.threshold, one.used, one.limit_units, first_event + one.row) for one in crossed]
    return _record(cursor, rows, at_us)


def record_passed(cursor: sqlite3.Cursor, cells: Collection[int], at_us: int) -> list[int]:
    """Write what those cells have passed without an event; the rows of what is new.

    Their limits are others, or they have opened over what was used before.
    """
    if not cells or not cursor.execute(SQL["any_watched"]).fetchone()[0]:
        return []
    asked = {"cells": json.dumps(list(cells))}
    found = {cell: (used, lim) for cell, used, lim in cursor.execute(SQL["used_of"], asked)}
    passed = []
    for cell, threshold in cursor.execute(SQL["thresholds_left"], asked).fetchall():
        used, lim = found[cell]
        if used >= mark_of(lim, threshold).units:
            passed.append((cell, threshold, used, lim, None))
    return _record(cursor, passed, at_us)


def record_changed(
    cursor: sqlite3.Cursor, allocations: Iterable[int], grants: Iterable[int], at_us: int
) -> list[int]:
    """Write what open cells have passed because the model changed; the rows of what is new."""
    cells: list[int] = []
    for of_grant, rows in ((0, allocations), (1, grants)):
        for row in rows:
            asked = {"allocation": row, "of_grant": of_grant, "at_us": at_us}
            cells += [cell for (cell,) in cursor.execute(SQL["cells_watched"], asked)]
    return record_passed(cursor, cells, at_us)


def _record(cursor: sqlite3.Cursor, rows: Sequence[tuple[int | None, ...]], at_us: int) -> list[int]:
    if not rows:
        return []
    asked = {"crossed": json.dumps(rows), "at_us": at_us}
    return sorted(row for (row,) in cursor.execute(SQL["record_crossings"], asked).fetchall())


# ------------------------------------------------------------------ telling them


def record_expiring(cursor: sqlite3.Cursor, expiring: Iterable[Mapping[str, int]], at_us: int) -> None:
    """Write that grants are about to expire; each once."""
    for grant in expiring:
        cursor.execute(SQL["record_expiring"], {**grant, "at_us": at_us})


def take_untold(
    cursor: sqlite3.Cursor, holder: int, kinds: Collection[int], now_us: int, since_us: int, until_us: int
) -> list[int]:
    """Those that this holder is to tell until then."""
    asked = {"holder": holder, "now_us": now_us, "since_us": since_us, "until_us": until_us}
    found = cursor.execute(SQL["take_untold"], {**asked, "kinds": json.dumps(sorted(kinds))})
    return sorted(row for (row,) in found.fetchall())


def is_untold(rows: Rows, kinds: Collection[int], now_us: int, since_us: int) -> bool:
    """Whether there is one that somebody may tell now."""
    asked = {"kinds": json.dumps(sorted(kinds)), "now_us": now_us, "since_us": since_us}
    [(there_is,)] = rows(SQL["untold"], asked)
    return bool(there_is)


def by_row(rows: Rows, warnings: Sequence[int]) -> list[WarningRow]:
    """Oldest first."""
    return list(map(_warning, rows(SQL["warnings_by_row"], {"warnings": json.dumps(list(warnings))})))


def crossings(rows: Rows, customer: int | None, since_us: int, until_us: int) -> list[WarningRow]:
    """Thresholds that were crossed in a time, oldest first."""
    asked = {"customer": customer, "kind": CROSSED, "since_us": since_us, "until_us": until_us}
    return list(map(_warning, rows(SQL["warnings_of"], asked)))


def _warning(row: tuple[Any, ...]) -> WarningRow:
    found = WarningRow._make(row)
    return found._replace(rolling=bool(found.rolling))
