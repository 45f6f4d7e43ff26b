"""Allocations as rows have them: from a model's entries, and back.

Here: which row an entry replaces, whether it would change it, what an export and an audit line
say of one, and its name. Not here: which entries change (planning.py), overrides (overrides.py),
who reads and writes rows (ledger/).
"""

from collections.abc import Mapping
from typing import Any

from stiggctl.amounts import LIMIT_MAX, to_amount, to_units
from stiggctl.definitions import Allocation, filter_text, us_of, us_of_anchor
from stiggctl.holder.models.entries import (
    entry_text,
    filter_of,
    filter_shown,
    how_shown,
    instant_text,
    shown_id,
    thresholds_of,
    thresholds_text,
)
from stiggctl.ledger.records import AllocationRow, AllocationWrite
from stiggctl.validation import AllocationKey, TypeKey

#: What an entry says and a row keeps under the same name.
_SAME = (
    "allocation_id",
    "where",
    "limit_units",
    "enforcement",
    "cadence",
    "timezone",
    "anchor_us",
    "rolling",
    "scope",
    "effective_at_us",
    "expires_at_us",
    "thresholds",
)


def key_of_row(customer_id: str | None, row: AllocationRow, currency_id: str) -> AllocationKey:
    """What `key_of_allocation` says of an entry, of a row."""
    if row.allocation_id is not None:
        return customer_id, row.allocation_id
    return _key(customer_id, row, row.resource_id or None, currency_id)


def key_of_write(write: AllocationWrite) -> AllocationKey:
    """The same, of what is to be written."""
    if write.allocation_id is not None:
        return write.customer_id, write.allocation_id
    return _key(write.customer_id, write, write.resource_id, write.currency_id)


def _key(
    customer_id: str | None,
    row: AllocationRow | AllocationWrite,
    resource_id: str | None,
    currency_id: str,
) -> AllocationKey:
    return (
        customer_id,
        resource_id,
        row.type_id,
        row.where,
        currency_id,
        row.scope,
        row.rolling,
        row.cadence,
    )


def write_of(
    customer_id: str | None, entry: Allocation, type_key: TypeKey | None, decimals: int
) -> AllocationWrite:
    """The row that an entry is to be; `type_key` is a template's type."""
    return AllocationWrite(
        customer_id=customer_id,
        allocation_id=entry.id,
        resource_id=entry.resource_id,
        type_id=entry.resource_type_id,
        type_customer_id=None if type_key is None else type_key[0],
        where=filter_text(entry.where),
        currency_id=entry.credit_currency,
        limit_units=to_units(entry.limit, decimals, "limit", maximum=LIMIT_MAX),
        enforcement=entry.enforcement_type,
        cadence=entry.cadence,
        timezone=entry.timezone or "UTC",
        anchor_us=us_of_anchor(entry.anchor, entry.timezone),
        rolling=entry.rolling,
        scope=filter_text(entry.scope),
        effective_at_us=us_of(entry.effective_at),
        expires_at_us=us_of(entry.expires_at),
        thresholds=thresholds_text(entry.thresholds),
    )


def is_as_written(row: AllocationRow, currency_id: str, write: AllocationWrite) -> bool:
    """Whether the row is what is to be written: then there is nothing to write.

    Whose the type is does not matter: templates go by its id, as their customer has it.
    """
    return (
        (row.resource_id or None) == write.resource_id
        and row.type_id == write.type_id
        and currency_id == write.currency_id
        and all(getattr(row, name) == getattr(write, name) for name in _SAME)
    )


def written_again(
    customer_id: str | None, row: AllocationRow, currency_id: str, type_keys: Mapping[int, TypeKey]
) -> AllocationWrite:
    """A row as it stands, to be written with a change."""
    return AllocationWrite(
        customer_id=customer_id,
        resource_id=row.resource_id or None,
        type_id=row.type_id,
        type_customer_id=None if row.type is None else type_keys[row.type][0],
        currency_id=currency_id,
        **{name: getattr(row, name) for name in _SAME},
    )


def fields_of(customer_id: str | None, row: AllocationRow, currency_id: str, decimals: int) -> dict[str, Any]:
    """What an Allocation says of a row."""
    return {
        "id": row.allocation_id,
        "resource_id": row.resource_id or None,
        "resource_type_id": row.type_id,
        "where": filter_of(row.where),
        "credit_currency": currency_id,
        "customer_id": customer_id,
        "limit": to_amount(row.limit_units, decimals),
        "enforcement_type": row.enforcement,
        "cadence": row.cadence,
        "timezone": None if row.timezone == "UTC" else row.timezone,
        "anchor": instant_text(row.anchor_us),
        "rolling": row.rolling,
        "scope": filter_of(row.scope),
        "effective_at": instant_text(row.effective_at_us),
        "expires_at": instant_text(row.expires_at_us),
        "thresholds": thresholds_of(row.thresholds),
    }


def allocation_entry(
    customer_id: str | None, row: AllocationRow | AllocationWrite, currency_id: str, decimals: int
) -> str:
    """An allocation as JSON, as a model would say it."""
    return entry_text(
        id=row.allocation_id,
        resourceId=row.resource_id or None,
        resourceTypeId=row.type_id,
        where=filter_of(row.where),
        creditCurrency=currency_id,
        customerId=customer_id,
        limit=to_amount(row.limit_units, decimals),
        enforcementType=row.enforcement,
        cadence=row.cadence,
        timezone=None if row.timezone == "UTC" else row.timezone,
        anchor=instant_text(row.anchor_us),
        rolling=row.rolling or None,
        scope=filter_of(row.scope),
        effectiveAt=instant_text(row.effective_at_us),
        expiresAt=instant_text(row.expires_at_us),
        thresholds=thresholds_of(row.thresholds) or None,
    )


def allocation_name(row: AllocationRow | AllocationWrite, currency_id: str) -> str:
    """Allocation of ai-tokens on user-01 (rolling P1D, model gpt-5); or by the id that it has."""
    if row.allocation_id is not None:
        return f"allocation {shown_id(row.allocation_id)}"
    if row.type_id is None:
        on = shown_id(row.resource_id or "")
    else:
        which = filter_shown(row.where)
        on = f"each {shown_id(row.type_id)}{f' with {which}' if which else ''}"
    how = how_shown(row.cadence, row.scope, rolling=row.rolling)
    return f"allocation of {shown_id(currency_id)} on {on}{how}"
