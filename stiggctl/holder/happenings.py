"""Happenings: from an order or a row of the ledger to what hooks are told.

Here: the records, made; from when on a grant is about to expire; which line of the log is which.
Not here: when anybody is told (news.py), what the records are (answers/happenings.py).
"""

import logging
from typing import TYPE_CHECKING

from stiggctl.amounts import to_amount
from stiggctl.answers import GrantExpiring, Happening, ThresholdCrossed, UsageBooked
from stiggctl.definitions import threshold_of_units
from stiggctl.events import dimensions_of
from stiggctl.holder.models.entries import filter_of
from stiggctl.ledger.records import EXPIRING, GrantRow, WarningRow
from stiggctl.windows import to_datetime

if TYPE_CHECKING:
    from stiggctl.holder.orders import Order

_log = logging.getLogger("stiggctl")
HOUR_US = 3_600_000_000
#: A grant's last days in which it is told that it ends: time to spend or extend it. Of one that is open
#: for less than four times that, its last quarter: a trial of a day is no news at its beginning.
EXPIRING_US = 7 * 24 * HOUR_US
_PART_OF_VALIDITY = 4


def told_from(grant: GrantRow) -> int:
    """From when on it is told that it expires."""
    assert grant.expires_at_us is not None  # else it does not
    notice_us = EXPIRING_US
    if grant.effective_at_us is not None:
        notice_us = min(notice_us, (grant.expires_at_us - grant.effective_at_us) // _PART_OF_VALIDITY)
    return grant.expires_at_us - notice_us


def write_to_log(happening: Happening, row: WarningRow) -> None:
    """A warning where nothing is left, or will be left; else for who wants to know."""
    is_over = row.kind == EXPIRING or row.used >= row.limit_units
    _log.log(logging.WARNING if is_over else logging.INFO, "%s", happening)


def happening_of(row: WarningRow) -> ThresholdCrossed | GrantExpiring:
    """What a row of the ledger says."""
    at, limit = to_datetime(row.at_us), to_amount(row.limit_units, row.decimals)
    used = to_amount(row.used, row.decimals)
    if row.kind == EXPIRING:
        assert row.name is not None  # every grant has an id
        assert row.window_end_us is not None  # when it expires
        return GrantExpiring(
            at=at,
            customer_id=row.customer_id,
            grant_id=row.name,
            credit_currency=row.currency_id,
            amount=limit,
            used=used,
            expires_at=to_datetime(row.window_end_us),
        )
    is_grant = row.resource_id is None
    return ThresholdCrossed(
        at=at,
        threshold=threshold_of_units(row.threshold),
        customer_id=row.customer_id,
        resource_id=row.resource_id,
        grant_id=row.name if is_grant else None,
        allocation_id=None if is_grant else row.name,
        credit_currency=row.currency_id,
        limit=limit,
        used=used,
        cadence=row.cadence,
        rolling=row.rolling,
        scope=filter_of(row.scope) or {},
        window_start=None if row.cadence is None else to_datetime(row.window_start_us),
        window_end=None if row.window_end_us is None else to_datetime(row.window_end_us),
        event_id=None if row.event is None else str(row.event),
    )


def booked_of(order: "Order") -> UsageBooked:
    """What an order says that was served."""
    receipt = order.receipt
    assert receipt is not None  # it was booked
    return UsageBooked(
        at=receipt.booked_at,
        customer_id=order.stripe.customer_id,
        resource_ids=order.way.ids,
        event_name=order.event_name,
        dimensions=dimensions_of(order.said()),
        receipt=receipt,
    )
