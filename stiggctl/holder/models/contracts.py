"""Contract prices as rows have them: from a model's entries, and back.

Here: the row that an entry is to be, which one it replaces, what an export and an audit line say of one,
and its name. Not here: which entries change (limits.py), which of several prices a response
(prices/contracts.py), who reads and writes rows (ledger/).
"""

from collections.abc import Mapping
from decimal import Decimal

from stiggctl.definitions import Price, json_text, json_value, us_of
from stiggctl.holder.models.entries import entry_text, how_shown, instant_text, number, number_text, shown_id
from stiggctl.ledger.records import PriceRow, PriceWrite
from stiggctl.validation import PriceKey, price_key
from stiggctl.windows import to_text


def key_of_price_row(row: PriceRow | PriceWrite) -> PriceKey:
    """Which price a row is."""
    return price_key(row.customer_id, row.provider, row.model, row.effective_at_us)


def price_of(entry: Price) -> PriceWrite:
    """The row that an entry is to be."""
    return PriceWrite(
        customer_id=entry.customer_id,
        provider=entry.provider,
        model=entry.model,
        per_million=_amounts_text(entry.per_million),
        each=_amounts_text(entry.each),
        effective_at_us=us_of(entry.effective_at),
        expires_at_us=us_of(entry.expires_at),
    )


def is_as_written(row: PriceRow, write: PriceWrite) -> bool:
    """Whether the row of that key is what is to be written."""
    same = ("per_million", "each", "expires_at_us")
    return is_spelt_as_written(row, write) and all(
        getattr(row, name) == getattr(write, name) for name in same
    )


def is_spelt_as_written(row: PriceRow, write: PriceWrite) -> bool:
    """Whether that row has the names letter by letter: only such a one does the ledger find by its key."""
    return (row.provider, row.model) == (write.provider, write.model)


def price_part_of(row: PriceRow) -> Price:
    """What a model says of a row."""
    return Price(
        provider=row.provider,
        model=row.model,
        customer_id=row.customer_id,
        per_million=_amounts_of(row.per_million),
        each=_amounts_of(row.each),
        effective_at=instant_text(row.effective_at_us),
        expires_at=instant_text(row.expires_at_us),
    )


def price_entry(row: PriceRow | PriceWrite) -> str:
    """A price as JSON."""
    return entry_text(
        provider=row.provider,
        model=row.model,
        customerId=row.customer_id,
        perMillion=json_value(row.per_million) or None,
        each=json_value(row.each) or None,
        effectiveAt=instant_text(row.effective_at_us),
        expiresAt=instant_text(row.expires_at_us),
    )


def price_name(row: PriceRow | PriceWrite) -> str:
    """Price of gpt-5* at openai (from 2026-02-01T00:00:00Z)."""
    begins = None if row.effective_at_us is None else f"from {to_text(row.effective_at_us)}"
    whose = "" if row.provider is None else f" at {shown_id(row.provider)}"
    return f"price of {shown_id(row.model)}{whose}{how_shown(begins, '{}')}"


def _amounts_text(amounts: Mapping[str, int | Decimal | str]) -> str:
    return json_text({name: number_text(amounts[name]) for name in sorted(amounts)})


def _amounts_of(text: str) -> dict[str, int | Decimal | str]:
    return {name: number(amount) for name, amount in json_value(text).items()}
