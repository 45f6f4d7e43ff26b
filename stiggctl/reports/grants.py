"""Grants: prepaid credits of customers, what each was, what is left of it, and where it stands.

Here: rows and cells to records that people read. Not here: which of them pays (holder/pools.py).
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, NamedTuple

from stiggctl.amounts import to_amount
from stiggctl.answers.json_form import camel, json_value
from stiggctl.holder.pools import GrantNow, grants_now
from stiggctl.ledger.records import CellKey, CellRow, CurrencyRow, GrantRow
from stiggctl.windows import to_datetime


class GrantStatus(StrEnum):
    """Where a grant stands."""

    COMING = "COMING"  #: it is not effective yet
    OPEN = "OPEN"  #: it pays
    SPENT = "SPENT"  #: it is open, and nothing is left of it
    EXPIRED = "EXPIRED"
    VOIDED = "VOIDED"


class GrantState(NamedTuple):
    """A grant: what it was, what it is, and whose.

    Of a recurring one the numbers are those of its present window; of one that is not open, of its
    first or its last. `remaining` is what is left of it: 0 where it is not open. What was overdrawn on
    another grant is not taken off: what may be spent of all together, `check` says.
    """

    grant_id: str
    customer_id: str
    credit_currency: str
    status: GrantStatus
    kind: str  #: "PAID" or "PROMOTIONAL"
    priority: int  #: a lower one burns first
    amount: int | Decimal
    used: int | Decimal  #: what it has paid
    held: int | Decimal  #: what reservations hold of it
    remaining: int | Decimal
    effective_at: datetime | None
    expires_at: datetime | None
    voided_at: datetime | None
    cadence: str | None  #: a fresh amount in each window; None: it does not recur
    window_start: datetime | None
    window_end: datetime | None

    def as_dict(self) -> dict[str, Any]:
        """The camelCase JSON of it."""
        return {camel(name): json_value(value) for name, value in self._asdict().items()}


def grants_in_order(rows: Iterable[GrantRow], now_us: int) -> list[GrantNow]:
    """Those that are open first, as they drain; then those that come, then those that have ended."""
    return sorted(grants_now(rows, now_us), key=lambda one: (one.row.customer, one.row.currency, one.order))


def grant_state(
    one: GrantNow,
    cells: Mapping[CellKey, CellRow],
    held: Mapping[int, int],
    customer_id: str,
    currency: CurrencyRow,
    now_us: int,
) -> GrantState:
    """One as people read it. `held`: cell -> units that processes hold."""
    row, cell = one.row, cells[one.limit.wanted.key]
    reserved = held.get(cell.id, 0) + sum(each.units for each in cell.orphans if each.until_us > now_us)
    left = max(0, row.amount_units - cell.used - reserved) if one.is_open else 0
    status = _status(one, row.amount_units - cell.used, now_us)
    numbers = (row.amount_units, cell.used, reserved, left)
    amount, used, reserved_, remaining = (to_amount(units, currency.decimals) for units in numbers)
    return GrantState(
        grant_id=row.grant_id,
        customer_id=customer_id,
        credit_currency=currency.currency_id,
        status=status,
        kind=row.kind,
        priority=row.priority,
        amount=amount,
        used=used,
        held=reserved_,
        remaining=remaining,
        effective_at=_instant(row.effective_at_us),
        expires_at=_instant(row.expires_at_us),
        voided_at=_instant(row.voided_at_us),
        cadence=row.cadence,
        window_start=None if row.cadence is None else to_datetime(one.window.start_us),
        window_end=None if row.cadence is None else to_datetime(one.window.end_us),
    )


def _status(one: GrantNow, left_units: int, now_us: int) -> GrantStatus:
    row = one.row
    if row.voided_at_us is not None:
        return GrantStatus.VOIDED
    if one.is_open:
        return GrantStatus.OPEN if left_units > 0 else GrantStatus.SPENT
    if row.effective_at_us is not None and now_us < row.effective_at_us:
        return GrantStatus.COMING
    return GrantStatus.EXPIRED


def _instant(us: int | None) -> datetime | None:
    return None if us is None else to_datetime(us)
