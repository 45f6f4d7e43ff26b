"""Model: one change of it, written whole.

Here: the rows of a ModelChange -> statements, in an order in which each finds what it names.
Not here: what the rows should be (holder/models.py plans them), what becomes of open cells
(allocations.py, grants.py), reading the rows (model_rows.py).

What always holds:
  MC1  A change is written as it was planned, against the model it was planned for, or not at all.
  MC2  Open cells follow their allocation or grant in the same transaction: a limit that changed is
      changed in them, and what ends an allocation, or has it count something else, deletes them
      with their shares.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence

from stiggctl.ledger import Stale
from stiggctl.ledger.records import (
    AuditLine,
    CurrencyWrite,
    CustomerWrite,
    LedgerState,
    ModelChange,
    OverrideWrite,
    PriceWrite,
    RateWrite,
    ResourceWrite,
    TypeWrite,
)
from stiggctl.ledger.sqlite import allocations, grants, watching
from stiggctl.ledger.sqlite.statements import SQL

_Write = (
    AuditLine
    | CurrencyWrite
    | CustomerWrite
    | OverrideWrite
    | PriceWrite
    | RateWrite
    | ResourceWrite
    | TypeWrite
)


def change_model(cursor: sqlite3.Cursor, change: ModelChange) -> LedgerState:
    """Write the rows and raise the versions, by which every holder sees that its paths are old."""
    if _state(cursor).change != change.expected_change:
        raise Stale
    if _is_empty(change):
        return _state(cursor)
    _put_definitions(cursor, change)
    cursor.executemany(SQL["put_resource"], _rows(change.resources))
    allocations.remove(cursor, change.allocations_removed)
    put = allocations.put(cursor, change.allocations, change.at_us)
    allocations.close_what_counts_no_more(cursor, put.narrowed, change.resources)
    _put_overrides(cursor, change)
    _put_rates(cursor, change)
    _put_prices(cursor, change)
    watched = grants.put(cursor, change.grants, change.at_us)
    grants.void(cursor, change.grants_voided, change.at_us)
    watching.record_changed(cursor, put.watched, watched, change.at_us)
    cursor.executemany(SQL["remove_type"], ({"type": type_} for type_ in change.types_removed))
    cursor.executemany(SQL["append_audit"], _rows(change.audit))
    touched = ({"customer_id": customer_id} for customer_id in sorted(change.customers_touched))
    cursor.executemany(SQL["raise_customer_version"], touched)
    cursor.execute(SQL["raise_versions"], {"for_all": int(change.for_all)})
    return _state(cursor)


def _state(cursor: sqlite3.Cursor) -> LedgerState:
    return LedgerState(*cursor.execute(SQL["state"]).fetchone())


def _is_empty(change: ModelChange) -> bool:
    """Whether it would write nothing but a version."""
    return not (
        change.for_all
        or change.customers_touched
        or change.currencies
        or change.customers
        or change.types
        or change.types_removed
        or change.resources
        or change.allocations
        or change.allocations_removed
        or change.overrides
        or change.overrides_removed
        or change.rates
        or change.rates_retired
        or change.prices
        or change.prices_retired
        or change.grants
        or change.grants_voided
        or change.audit
    )


def _rows(writes: Sequence[_Write]) -> Iterator[dict[str, object]]:
    """Each record as what its statement names."""
    for write in writes:
        yield {name: getattr(write, name) for name in write.__slots__}


def _put_definitions(cursor: sqlite3.Cursor, change: ModelChange) -> None:
    for currency in change.currencies:
        asked = {"currency_id": currency.currency_id, "decimals": currency.decimals}
        if cursor.execute(SQL["decimals_in_use"], asked).fetchone() is not None:
            # An event came between the plan and now, which raises no `change`. Who plans again
            # finds it, and says so to whom it concerns.
            raise Stale
    cursor.executemany(SQL["put_currency"], _rows(change.currencies))
    cursor.executemany(SQL["put_customer"], _rows(change.customers))
    types: Iterable[dict[str, object]] = (
        {**row, "attribution_keys": json.dumps(row["attribution_keys"], ensure_ascii=False)}
        for row in _rows(change.types)
    )
    cursor.executemany(SQL["put_type"], types)


def _put_overrides(cursor: sqlite3.Cursor, change: ModelChange) -> None:
    removed = ({"override": override} for override in change.overrides_removed)
    cursor.executemany(SQL["remove_override"], removed)
    cursor.executemany(
        SQL["put_override"], ({**row, "at_us": change.at_us} for row in _rows(change.overrides))
    )


def _put_rates(cursor: sqlite3.Cursor, change: ModelChange) -> None:
    at_us = change.at_us
    cursor.executemany(SQL["retire_rate"], ({"rate": rate, "at_us": at_us} for rate in change.rates_retired))
    cursor.executemany(SQL["retire_rate_like"], ({**row, "at_us": at_us} for row in _rows(change.rates)))
    cursor.executemany(SQL["put_rate"], _rows(change.rates))


def _put_prices(cursor: sqlite3.Cursor, change: ModelChange) -> None:
    at_us, retired = change.at_us, change.prices_retired
    cursor.executemany(SQL["retire_price"], ({"price": price, "at_us": at_us} for price in retired))
    cursor.executemany(SQL["retire_price_like"], ({**row, "at_us": at_us} for row in _rows(change.prices)))
    cursor.executemany(SQL["put_price"], _rows(change.prices))
