"""Verifying: every counter beside what it should be, recomputed from the events and shares.

Here: the differences, and what SQLite itself finds wrong with the file. Not here: what to do
about them; how they are told (reports/).
"""

from collections.abc import Iterator
from typing import Any

from stiggctl.ledger.records import Difference
from stiggctl.ledger.sqlite.cells import Rows
from stiggctl.ledger.sqlite.statements import SQL


def differences(rows: Rows) -> list[Difference]:
    """Every counter that is not what it should be (L2, L3), and what quick_check complains of."""
    return [*_of_the_file(rows), *_of_cells(rows), *_of_shares(rows)]


def _of_the_file(rows: Rows) -> Iterator[Difference]:
    for (line,) in rows(SQL["quick_check"], {}):
        if line != "ok":
            yield Difference(f"problems of the file: {line}", 1, 0)


def _of_cells(rows: Rows) -> Iterator[Difference]:
    for row in rows(SQL["cells_with_sums"], {}):
        cell, allocation, resource_id, currency_id, used, high, low, granted, shares = row
        booked = (high << 32) + low
        if used == booked and granted == shares:
            continue
        name = f"cell {cell} (allocation {allocation}, resource {resource_id!r}, {_known(currency_id)})"
        if used != booked:
            yield Difference(f"used of {name}", used, booked)
        if granted != shares:
            yield Difference(f"granted of {name}", granted, shares)


def _of_shares(rows: Rows) -> Iterator[Difference]:
    for cell, holder, until_us, granted, has_cell in rows(SQL["shares_gone_wrong"], {}):
        name = f"share of holder {holder} in cell {cell}" + (
            f", withheld until {until_us}" if until_us else ""
        )
        if granted < 0:
            yield Difference(name, granted, 0)
        if not has_cell:
            yield Difference(f"{name}, which is not open", granted, 0)


def _known(currency_id: Any) -> str:
    return "a currency that is gone" if currency_id is None else str(currency_id)
