"""Verifying: every counter beside what it should be, recomputed from the events and shares.

Here: the differences, and what SQLite itself finds wrong with the file. Not here: what to do
about them; how they are told (reports/); how windows and scopes are summed (sweeping.py).
"""

from collections.abc import Iterator

from stiggctl.ledger.records import Difference
from stiggctl.ledger.sqlite.statements import SQL
from stiggctl.ledger.sqlite.sums import Rows, whole
from stiggctl.ledger.sqlite.sweeping import Stream, swept


def differences(rows: Rows, stream: Stream) -> list[Difference]:
    """Every counter that is not what it should be (L2, L3), and what quick_check complains of."""
    return [*_of_the_file(rows), *_of_used(rows, stream), *_of_granted(rows), *_of_shares(rows)]


def _of_the_file(rows: Rows) -> Iterator[Difference]:
    for (line,) in rows(SQL["quick_check"], {}):
        if line != "ok":
            yield Difference(f"problems of the file: {line}", 1, 0)


def _of_used(rows: Rows, stream: Stream) -> Iterator[Difference]:
    for *named, used, high, low in rows(SQL["used_that_differs"], {}):
        yield Difference(f"used of {_name(*named)}", used, whole(high, low))
    for cell in swept(rows, stream):
        if cell.used != cell.booked:
            name = _name(cell.id, cell.allocation, cell.resource_id, cell.currency_id)
            yield Difference(f"used of {name}", cell.used, cell.booked)


def _of_granted(rows: Rows) -> Iterator[Difference]:
    for *named, granted, shares in rows(SQL["granted_that_differs"], {}):
        yield Difference(f"granted of {_name(*named)}", granted, shares)


def _of_shares(rows: Rows) -> Iterator[Difference]:
    for cell, holder, until_us, granted, has_cell in rows(SQL["shares_gone_wrong"], {}):
        name = f"share of holder {holder} in cell {cell}" + (
            f", withheld until {until_us}" if until_us else ""
        )
        if granted < 0:
            yield Difference(name, granted, 0)
        if not has_cell:
            yield Difference(f"{name}, which is not open", granted, 0)


def _name(cell: int, allocation: int, resource_id: str | None, currency_id: str | None) -> str:
    currency = "a currency that is gone" if currency_id is None else currency_id
    return f"cell {cell} (allocation {allocation}, resource {resource_id!r}, {currency})"
