"""Rerated: what one event is charged, and what it would be, as people read it.

Here: its records. Not here: their sums (rerating.py), what an event would cost (holder/rerating.py).
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from stiggctl.amounts import plain, to_amount
from stiggctl.holder.adjusted import part_in
from stiggctl.holder.rerating import Rated, RatedPart, UnratedPart, version_before
from stiggctl.windows import to_datetime, to_text, to_us

#: Row of a currency -> its id and decimals.
Currencies = Mapping[int, tuple[str, int]]


class RerateRow(NamedTuple):
    """What one event is charged in a currency, and what it would be."""

    event_id: str
    customer_id: str
    event_name: str | None
    model: str | None
    credit_currency: str
    occurred_at: datetime
    charged: int | Decimal  #: by the event and its adjustments
    would_be: int | Decimal
    difference: int | Decimal  #: less than 0 where it costs less
    price_version: str | None  #: by which it is charged; None: nothing said a price
    new_price_version: str  #: by which it would be
    adjustment_id: str | None  #: the event that booked the difference; None: it is not booked

    def as_dict(self) -> dict[str, Any]:
        """The camelCase JSON of it."""
        return {
            "eventId": self.event_id,
            "customerId": self.customer_id,
            "eventName": self.event_name,
            "model": self.model,
            "creditCurrency": self.credit_currency,
            "timestamp": text_of(self.occurred_at),
            "charged": json_of(self.charged),
            "wouldBe": json_of(self.would_be),
            "difference": json_of(self.difference),
            "priceVersion": self.price_version,
            "newPriceVersion": self.new_price_version,
            "adjustmentId": self.adjustment_id,
        }


class UnpricedRow(NamedTuple):
    """What one event is charged in a currency, and why nothing says what it would be."""

    event_id: str
    customer_id: str
    event_name: str | None
    model: str | None
    credit_currency: str
    occurred_at: datetime
    charged: int | Decimal
    reason: str

    def as_dict(self) -> dict[str, Any]:
        """The camelCase JSON of it."""
        return {
            "eventId": self.event_id,
            "customerId": self.customer_id,
            "eventName": self.event_name,
            "model": self.model,
            "creditCurrency": self.credit_currency,
            "timestamp": text_of(self.occurred_at),
            "charged": json_of(self.charged),
            "reason": self.reason,
        }


def model_of(rated: Rated) -> str | None:
    """The model that an event names."""
    model = rated.dimensions.get("model")
    return None if model is None else str(model)


def row_of(rated: Rated, one: RatedPart, currencies: Currencies, *, is_booked: bool) -> RerateRow:
    """The record of a part; `is_booked`: its difference was to be booked."""
    event, currency = rated.found.event, one.part.currency
    name, decimals = currencies[currency]
    charged = rated.found.charged(currency)
    difference = one.units - charged
    by = _booked_by(rated, currency, difference) if is_booked and difference else None
    return RerateRow(
        event_id=str(event.id),
        customer_id=rated.customer.customer_id,
        event_name=event.event_name,
        model=model_of(rated),
        credit_currency=name,
        occurred_at=to_datetime(event.occurred_at_us),
        charged=to_amount(charged, decimals),
        would_be=to_amount(one.units, decimals),
        difference=to_amount(difference, decimals),
        price_version=version_before(rated.found, currency),
        new_price_version=one.version,
        adjustment_id=by,
    )


def _booked_by(rated: Rated, currency: int, difference: int) -> str | None:
    """Which of the adjustments since is that of the difference; several only where others adjusted too."""
    found = [
        (part.amount_units != difference, row.id)
        for row in rated.adjusted_since
        if (part := part_in(row, currency)) is not None
    ]
    return str(min(found)[1]) if found else None


def unpriced_of(rated: Rated, one: UnratedPart, currencies: Currencies) -> UnpricedRow:
    """The record of a part that cannot be rated."""
    event, currency = rated.found.event, one.part.currency
    name, decimals = currencies[currency]
    return UnpricedRow(
        event_id=str(event.id),
        customer_id=rated.customer.customer_id,
        event_name=event.event_name,
        model=model_of(rated),
        credit_currency=name,
        occurred_at=to_datetime(event.occurred_at_us),
        charged=to_amount(rated.found.charged(currency), decimals),
        reason=str(one.reason),
    )


def text_of(instant: datetime) -> str:
    """An instant as JSON has it."""
    return to_text(to_us(instant, "instant"))


def json_of(amount: int | Decimal) -> int | str:
    """An amount as JSON has it: exactly."""
    return plain(amount) if isinstance(amount, Decimal) else amount
