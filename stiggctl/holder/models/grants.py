"""Grants as rows have them: from a model's entries, and back.

Here: which row an entry replaces, whether it would change it, what an export and an audit line
say of one, and its name; how one is voided. Not here: which entries change (limits.py), which grant
pays (whoever decides), who reads and writes rows (ledger/).

A grant's row stays for ever: what it paid is told by it. One that was voided is no part of the model
any more: no export has it, and no pruning voids it again.
"""

from typing import Any

from stiggctl.amounts import LIMIT_MAX, to_amount, to_units
from stiggctl.definitions import Grant, us_of, us_of_anchor
from stiggctl.holder.models.entries import (
    entry_text,
    instant_text,
    shown_id,
    thresholds_of,
    thresholds_text,
)
from stiggctl.holder.models.writing import Writing
from stiggctl.ledger.records import CurrencyRow, GrantRow, GrantWrite
from stiggctl.validation import GrantKey

#: What an entry says and a row keeps under the same name.
_SAME = (
    "grant_id",
    "amount_units",
    "priority",
    "kind",
    "effective_at_us",
    "expires_at_us",
    "cadence",
    "timezone",
    "anchor_us",
    "thresholds",
)


def key_of_grant(customer_id: str, entry: Grant | GrantRow | GrantWrite) -> GrantKey:
    """Which grant it is, whether an entry or a row."""
    return customer_id, entry.id if isinstance(entry, Grant) else entry.grant_id


def grant_of(customer_id: str, entry: Grant, decimals: int) -> GrantWrite:
    """The row that an entry is to be."""
    return GrantWrite(
        customer_id=customer_id,
        grant_id=entry.id,
        currency_id=entry.credit_currency,
        amount_units=to_units(entry.amount, decimals, "amount", maximum=LIMIT_MAX),
        priority=entry.priority,
        kind=entry.kind,
        effective_at_us=us_of(entry.effective_at),
        expires_at_us=us_of(entry.expires_at),
        cadence=entry.cadence,
        timezone=entry.timezone or "UTC",
        anchor_us=us_of_anchor(entry.anchor, entry.timezone),
        thresholds=thresholds_text(entry.thresholds),
    )


def is_as_written(row: GrantRow, write: GrantWrite) -> bool:
    """Whether the row of that key is what is to be written; its currency never changes."""
    return all(getattr(row, name) == getattr(write, name) for name in _SAME)


def grant_again(customer_id: str, row: GrantRow, currency_id: str) -> GrantWrite:
    """A row as it stands, to be written with a change."""
    same = {name: getattr(row, name) for name in _SAME}
    return GrantWrite(customer_id=customer_id, currency_id=currency_id, **same)


def grant_fields_of(customer_id: str, row: GrantRow, currency_id: str, decimals: int) -> dict[str, Any]:
    """What a Grant says of a row."""
    return {
        "id": row.grant_id,
        "customer_id": customer_id,
        "credit_currency": currency_id,
        "amount": to_amount(row.amount_units, decimals),
        "priority": row.priority,
        "kind": row.kind,
        "effective_at": instant_text(row.effective_at_us),
        "expires_at": instant_text(row.expires_at_us),
        "cadence": row.cadence,
        "timezone": None if row.timezone == "UTC" else row.timezone,
        "anchor": instant_text(row.anchor_us),
        "thresholds": thresholds_of(row.thresholds),
    }


def grant_entry(
    customer_id: str,
    row: GrantRow | GrantWrite,
    currency_id: str,
    decimals: int,
    *,
    voided_at_us: int | None = None,
) -> str:
    """A grant as JSON, as a model would say it, and what no model says: voided."""
    return entry_text(
        id=row.grant_id,
        customerId=customer_id,
        creditCurrency=currency_id,
        amount=to_amount(row.amount_units, decimals),
        priority=row.priority,
        kind=row.kind,
        effectiveAt=instant_text(row.effective_at_us),
        expiresAt=instant_text(row.expires_at_us),
        cadence=row.cadence,
        timezone=None if row.timezone == "UTC" else row.timezone,
        anchor=instant_text(row.anchor_us),
        thresholds=thresholds_of(row.thresholds) or None,
        voidedAt=instant_text(voided_at_us),
    )


def grant_name(row: GrantRow | GrantWrite, currency_id: str) -> str:
    """Grant welcome of ai-tokens."""
    return f"grant {shown_id(row.grant_id)} of {shown_id(currency_id)}"


def goes_on(row: GrantRow, at_us: int) -> bool:
    """Whether it can still pay, now or later: it is not void, and has not expired."""
    return row.voided_at_us is None and (row.expires_at_us is None or row.expires_at_us > at_us)


def end_grant(writing: Writing, customer_id: str, row: GrantRow, currency: CurrencyRow, at_us: int) -> None:
    """Void one that is not: from then on nothing more is taken from it."""
    currency_id = currency.currency_id
    writing.change.grants_voided.append(row.id)
    before, after = (
        grant_entry(customer_id, row, currency_id, currency.decimals, voided_at_us=voided_at_us)
        for voided_at_us in (None, at_us)
    )
    writing.tell(grant_name(row, currency_id), customer_id, before, after, outcome="archived")
    writing.touch(customer_id)
