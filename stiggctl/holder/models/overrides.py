"""Overrides as rows have them: from a model's entries, and back.

Here: which row an entry replaces, whether it would change it, what an export and an audit line
say of one, and its name; how one ends early. Not here: which entries change (planning.py), which
limit results (whoever decides), who reads and writes rows (ledger/).

An override that has ended stays as a row: what happened while it was in force is judged by it. But
no export has it and no pruning ends it again: it is no part of the model any more.
"""

from dataclasses import replace
from typing import Any

from stiggctl.amounts import LIMIT_MAX, to_amount, to_units
from stiggctl.definitions import Override, filter_text, us_of
from stiggctl.holder.models.entries import (
    entry_text,
    filter_of,
    how_shown,
    in_decimals,
    instant_text,
    shown_id,
)
from stiggctl.holder.models.writing import Writing
from stiggctl.ledger.records import CurrencyRow, OverrideRow, OverrideWrite
from stiggctl.validation import OverrideKey
from stiggctl.windows import to_text

#: What an entry says and a row keeps under the same name, beside its key.
_SAME = ("limit_units", "add_units", "reason", "actor", "expires_at_us")


def key_of_override_row(customer_id: str, row: OverrideRow, currency_id: str) -> OverrideKey:
    """What `key_of_override` says of an entry, of a row."""
    return customer_id, row.resource_id, currency_id, row.cadence, row.scope, row.effective_at_us


def key_of_override_write(write: OverrideWrite) -> OverrideKey:
    """The same, of what is to be written."""
    where = (write.customer_id, write.resource_id, write.currency_id)
    return (*where, write.cadence, write.scope, write.effective_at_us)


def override_of(customer_id: str, entry: Override, decimals: int) -> OverrideWrite:
    """The row that an entry is to be."""
    expires_at_us = us_of(entry.expires_at)
    assert expires_at_us is not None  # it is required
    limit, add = (
        None if amount is None else to_units(amount, decimals, "limit", maximum=LIMIT_MAX)
        for amount in (entry.limit, entry.add)
    )
    return OverrideWrite(
        customer_id=customer_id,
        resource_id=entry.resource_id,
        currency_id=entry.credit_currency,
        cadence=entry.cadence,
        scope=filter_text(entry.scope),
        limit_units=limit,
        add_units=add,
        reason=entry.reason,
        actor=entry.actor,
        effective_at_us=us_of(entry.effective_at),
        expires_at_us=expires_at_us,
    )


def is_as_written(row: OverrideRow, write: OverrideWrite) -> bool:
    """Whether the row of that key is what is to be written."""
    return all(getattr(row, name) == getattr(write, name) for name in _SAME)


def override_again(customer_id: str, row: OverrideRow, currency_id: str) -> OverrideWrite:
    """A row as it stands, to be written with a change."""
    return OverrideWrite(
        customer_id=customer_id,
        resource_id=row.resource_id,
        currency_id=currency_id,
        cadence=row.cadence,
        scope=row.scope,
        effective_at_us=row.effective_at_us,
        **{name: getattr(row, name) for name in _SAME},
    )


def override_fields_of(customer_id: str, row: OverrideRow, currency_id: str, decimals: int) -> dict[str, Any]:
    """What an Override says of a row."""
    return {
        "resource_id": row.resource_id,
        "credit_currency": currency_id,
        "customer_id": customer_id,
        "limit": None if row.limit_units is None else to_amount(row.limit_units, decimals),
        "add": None if row.add_units is None else to_amount(row.add_units, decimals),
        "cadence": row.cadence,
        "scope": filter_of(row.scope),
        "reason": row.reason,
        "actor": row.actor,
        "effective_at": instant_text(row.effective_at_us),
        "expires_at": to_text(row.expires_at_us),
    }


def override_entry(
    customer_id: str, row: OverrideRow | OverrideWrite, currency_id: str, decimals: int
) -> str:
    """An override as JSON, as a model would say it."""
    return entry_text(
        resourceId=row.resource_id,
        creditCurrency=currency_id,
        customerId=customer_id,
        limit=None if row.limit_units is None else to_amount(row.limit_units, decimals),
        add=None if row.add_units is None else to_amount(row.add_units, decimals),
        cadence=row.cadence,
        scope=filter_of(row.scope),
        reason=row.reason,
        actor=row.actor,
        effectiveAt=instant_text(row.effective_at_us),
        expiresAt=to_text(row.expires_at_us),
    )


def override_name(row: OverrideRow | OverrideWrite, currency_id: str) -> str:
    """Override of ai-tokens on user-01 (P1D)."""
    begins = "" if row.effective_at_us is None else f" from {to_text(row.effective_at_us)}"
    on = f"{shown_id(currency_id)} on {shown_id(row.resource_id)}"
    return f"override of {on}{how_shown(row.cadence, row.scope)}{begins}"


def end_override(
    writing: Writing,
    customer_id: str,
    row: OverrideRow,
    currency: CurrencyRow,
    at_us: int,
    *,
    decimals: int | None = None,
) -> None:
    """End one early: from then on it is out of force; one that has not begun yet is removed.

    `decimals`: what its currency has from now on, where the same change gives it others.
    """
    currency_id, change = currency.currency_id, writing.change
    key = key_of_override_row(customer_id, row, currency_id)
    # One that follows its currency's new decimals is among the writes already.
    change.overrides = [each for each in change.overrides if key_of_override_write(each) != key]
    after = None
    if row.effective_at_us is not None and row.effective_at_us >= at_us:
        change.overrides_removed.append(row.id)
    else:
        now = currency.decimals if decimals is None else decimals
        write = replace(override_again(customer_id, row, currency_id), expires_at_us=at_us)
        change.overrides.append(in_decimals(write, currency.decimals, now))
        after = override_entry(customer_id, change.overrides[-1], currency_id, now)
    before = override_entry(customer_id, row, currency_id, currency.decimals)
    writing.tell(override_name(row, currency_id), customer_id, before, after, outcome="archived")
    writing.touch(customer_id)
