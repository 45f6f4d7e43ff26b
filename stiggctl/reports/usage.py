"""Usage: rows of what was used, in every currency, and the margin in each.

Here: the record, and a list of them. Not here: how rows are summed (totals.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

from stiggctl.amounts import DECIMALS_MAX, Amount, to_amount, to_units
from stiggctl.answers.json_form import json_value
from stiggctl.answers.markup import Cell, table
from stiggctl.errors import InvalidRequest, nearest, shown

# What one credit may be worth: with more decimals than any currency has it could not be told exactly.
_WORTH_MAX = 10 ** (2 * DECIMALS_MAX)


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageRow:
    """What was used of one kind, in one stretch of time.

    `amounts` has the currencies in which something was booked, by their ids in alphabetical order. A
    reversal counts as a booking of less than 0.
    """

    key: str | None  #: the resource, event, customer, or value as text; None: those without, or the total
    customer_id: str | None  #: whose; None: of all customers together
    bucket_start: datetime | None  #: with a bucket: from when
    bucket_end: datetime | None  #: until when, which is not in it
    amounts: dict[str, int | Decimal]
    events: int  #: how many were booked, reversals too
    currencies: tuple[str, ...] = field(repr=False, compare=False)  #: those in which it was looked at

    @property
    def amount(self) -> int | Decimal | None:
        """The amount of the one currency; None where several were booked, or nothing."""
        return next(iter(self.amounts.values())) if len(self.amounts) == 1 else None

    def margin(self, worth: Mapping[str, Amount], cost: str = "usd") -> Decimal:
        """What the customer was charged, in money, less what the provider charged: below 0 a loss.

        Exact. What nobody booked counts as nothing: usage without a cost looks like all profit.

        Args:
            worth: what one credit of each currency is worth, in the money of `cost`: int, Decimal or
                text, at most 18 decimals. Currencies that are left out bring in nothing.
            cost: the currency in which the provider's charge was booked.

        Raises InvalidRequest where a currency is not one of `currencies`, and InvalidAmount.

        >>> row = UsageRow(
        ...     key="summarize", customer_id=None, bucket_start=None, bucket_end=None, events=2,
        ...     amounts={"ai-tokens": 70, "usd": Decimal("0.95")}, currencies=("ai-tokens", "usd"),
        ... )
        >>> row.margin(worth={"ai-tokens": "0.01"})
        Decimal('-0.25')
        """
        given: object = worth
        if not isinstance(given, Mapping) or not given:
            expected = 'what one credit is worth, by currency: {"ai-tokens": "0.01"}'
            raise InvalidRequest(where="worth", value=worth, expected=expected)
        self._require(cost, "cost")
        # Fractions, for Decimals would be rounded as a context says.
        margin = -Fraction(self.amounts.get(cost, 0))
        for currency, value in worth.items():
            self._require(currency, "worth")
            if currency == cost:
                expected = "currencies that the customer is charged in, not the one of the cost"
                raise InvalidRequest(where="worth", value=currency, expected=expected)
            units = to_units(value, DECIMALS_MAX, f"worth[{currency!r}]", maximum=_WORTH_MAX)
            margin += Fraction(self.amounts.get(currency, 0)) * Fraction(units, 10**DECIMALS_MAX)
        scaled = margin * 10 ** (2 * DECIMALS_MAX)
        assert scaled.denominator == 1  # an amount has no more decimals than that, nor has a worth
        return Decimal(to_amount(scaled.numerator, 2 * DECIMALS_MAX))

    def _require(self, currency: object, where: str) -> None:
        if currency in self.currencies:
            return
        meant = nearest(currency, self.currencies) if isinstance(currency, str) else None
        there = ", ".join(map(shown, self.currencies)) or "none"
        expected = f"a currency that this usage was asked in ({there})"
        hint = "" if meant is None else f": did you mean {shown(meant)}?"
        raise InvalidRequest(where=where, value=currency, expected=f"{expected}{hint}")

    def as_dict(self) -> dict[str, Any]:
        """The camelCase JSON of it."""
        return {
            "key": self.key,
            "customerId": self.customer_id,
            "bucketStart": json_value(self.bucket_start),
            "bucketEnd": json_value(self.bucket_end),
            "amounts": json_value(self.amounts),
            "events": self.events,
        }


class UsageRows(list[UsageRow]):
    """Rows of usage in their order, as a notebook shows them; a list as any other."""

    def _repr_html_(self) -> str:
        """What a notebook shows: a column for each currency, and those that say something."""
        columns: dict[str, list[Cell]] = {
            "customer": [row.customer_id for row in self],
            "from": [json_value(row.bucket_start) for row in self],
            "of": [row.key for row in self],
        }
        columns = {name: cells for name, cells in columns.items() if any(cells)}
        columns["events"] = [row.events for row in self]
        for name in sorted({name for row in self for name in row.amounts}):
            columns[name] = [row.amounts.get(name) for row in self]
        return table(list(columns), zip(*columns.values(), strict=True))
