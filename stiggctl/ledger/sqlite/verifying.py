"""Verifying: every counter beside what it should be, recomputed from the events and shares.

Here: the differences, and what SQLite itself finds wrong with the file. Not here: what to do
about them; how they are told (reports/); how windows and scopes are summed (sweeping.py).
"""

import json
from collections.abc import Iterator

from stiggctl.ledger.records import Counted, Difference
from stiggctl.ledger.sqlite import rolling
from stiggctl.ledger.sqlite.statements import SQL
from stiggctl.ledger.sqlite.sums import LATEST_US, Rows, Stream, last_event, used_until, whole
from stiggctl.ledger.sqlite.sweeping import SweptCell, swept


def differences(rows: Rows, stream: Stream) -> list[Difference]:
    """Every counter that is not what it should be (L2, L3), and what quick_check complains of."""
    return [
        *_of_the_file(rows),
        *_of_used(rows, stream),
        *_of_buckets(rows),
        *_of_grants(stream),
        *_of_payments(rows),
        *_of_granted(rows),
        *_of_shares(rows),
    ]


def _of_the_file(rows: Rows) -> Iterator[Difference]:
    for (line,) in rows(SQL["quick_check"], {}):
        if line != "ok":
            yield Difference(f"problems of the file: {line}", 1, 0)


def _of_used(rows: Rows, stream: Stream) -> Iterator[Difference]:
    for *named, used, high, low in rows(SQL["used_that_differs"], {}):
        yield Difference(f"used of {_name(*named)}", used, whole(high, low))
    for cell in swept(rows, stream):
        name = _name(cell.id, cell.allocation, cell.resource_id, cell.currency_id)
        if cell.bucket_us is not None:
            name = f"bucket {cell.bucket_us} of {name}"
        elif cell.width_us is not None and cell.in_buckets != cell.booked:
            yield from _of_missing_buckets(rows, cell, name)
        if cell.used != cell.booked:
            yield Difference(f"used of {name}", cell.used, cell.booked)


def _of_missing_buckets(rows: Rows, cell: SweptCell, name: str) -> Iterator[Difference]:
    """Those that a rolling cell should have: of those that it has each was looked at."""
    resource, currency = cell.counts
    assert cell.width_us is not None
    counted = Counted(
        resource=resource,
        grant=0,
        customer=cell.customer,
        currency=currency,
        since_us=cell.start_us,
        until_us=LATEST_US,
        scope=cell.scope,
        width_us=cell.width_us,
    )
    stored = {start_us for start_us, _ in rolling.of_cells(rows, [cell.id]).get(cell.id, ())}
    for start_us, units in sorted(used_until(rows, counted, last_event(rows)).items()):
        if units and start_us not in stored:
            yield Difference(f"used of bucket {start_us} of {name}", 0, units)


def _of_buckets(rows: Rows) -> Iterator[Difference]:
    for cell, start_us, used in rows(SQL["buckets_gone_wrong"], {}):
        yield Difference(f"used of bucket {start_us} of cell {cell}, which counts nothing then", used, 0)


def _of_grants(stream: Stream) -> Iterator[Difference]:
    for cell, grant, grant_id, customer_id, currency_id, used, halves in stream(SQL["paid_to_compare"], {}):
        paid = whole(*json.loads(halves))
        if used != paid:
            name = _name_of_grant(cell, grant, grant_id, customer_id, currency_id)
            yield Difference(f"used of {name}", used, paid)


def _of_payments(rows: Rows) -> Iterator[Difference]:
    for event, amount, unknown_grants, high, low in rows(SQL["payments_gone_wrong"], {}):
        name = f"what grants paid of the part of an event in row {event}"
        if amount is None:
            yield Difference(f"{name}, which is not there", whole(high, low), 0)
        elif amount >= 0 and whole(high, low) > amount:
            yield Difference(name, whole(high, low), amount)
        if unknown_grants:
            yield Difference(f"grants that are gone of {name}", int(unknown_grants), 0)


def _of_granted(rows: Rows) -> Iterator[Difference]:
    for resource, cell, row, id_, customer_id, currency_id, granted, shares in rows(
        SQL["granted_that_differs"], {}
    ):
        if resource:
            name = _name(cell, row, id_, currency_id)
        else:
            name = _name_of_grant(cell, row, id_, customer_id, currency_id)
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


def _name(cell: int, allocation: int, resource_id: str | None, currency_id: str | None) -> str:
    currency = "a currency that is gone" if currency_id is None else currency_id
    return f"cell {cell} (allocation {allocation}, resource {resource_id!r}, {currency})"


def _name_of_grant(
    cell: int, grant: int, grant_id: str | None, customer_id: str | None, currency_id: str | None
) -> str:
    if grant_id is None:
        return f"cell {cell} (a grant that is gone, row {grant})"
    currency = "a currency that is gone" if currency_id is None else currency_id
    return f"cell {cell} (grant {grant_id!r} of {customer_id}, {currency})"
