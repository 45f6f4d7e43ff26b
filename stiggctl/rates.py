"""Rates: what an event costs in a currency, from its name and its dimensions.

Here: a rate as a plain record, which rates price an event, and its price. Not here: which rates
there are (holder/known.py), how they are written (definitions/).

What always holds:
  PR1  A price is exact until its one rounding: up, to the currency's next unit, once an event
       and currency. Rounding each term would charge an event of many terms for its form.
  PR2  An event is priced by one rate a currency, of those in force at its own instant whose
       `where` it meets: a customer's own before one for all, then the most particular one, then
       the latest. The order in which rates were written decides only what nothing else does.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

from stiggctl.amounts import AMOUNT_MAX, NUMBER, to_amount
from stiggctl.definitions import text_of_value
from stiggctl.errors import InvalidAmount, InvalidRequest
from stiggctl.windows import FIRST_US


class Term(NamedTuple):
    """`credits` for each `per` of the number in a dimension."""

    dimension: str
    credits: Decimal
    per: Decimal


class Rate(NamedTuple):
    """What one kind of event costs in one currency: a fixed part, and parts by dimension."""

    row: int  #: the ledger's row, which stands on the events that it priced
    event_name: str
    currency_id: str
    credits: Decimal
    terms: tuple[Term, ...]
    customer_id: str | None = None  #: None: for all
    where: tuple[tuple[str, frozenset[str]], ...] = ()  #: a dimension, and the texts that it may be
    effective_at_us: int | None = None


def applying(
    rates: Sequence[Rate],
    customer_id: str,
    dimensions: Mapping[str, str | int | Decimal | bool],
    at_us: int,
) -> list[Rate]:
    """Which of an event's rates price it, of a customer and at an instant: one a currency (PR2).

    >>> any_model = Rate(1, "chat", "usd", Decimal(1), ())
    >>> of_gpt_5 = any_model._replace(row=2, where=(("model", frozenset({"gpt-5"})),))
    >>> [rate.row for rate in applying([any_model, of_gpt_5], "acme", {"model": "gpt-5"}, 0)]
    [2]
    >>> [rate.row for rate in applying([any_model, of_gpt_5], "acme", {"model": "o4"}, 0)]
    [1]
    """
    found: dict[str, Rate] = {}
    for rate in rates:
        if (
            (rate.customer_id is None or rate.customer_id == customer_id)
            and (rate.effective_at_us is None or rate.effective_at_us <= at_us)
            and all(
                name in dimensions and text_of_value(dimensions[name]) in texts for name, texts in rate.where
            )
        ):
            other = found.get(rate.currency_id)
            if other is None or _rank(rate) > _rank(other):
                found[rate.currency_id] = rate
    return list(found.values())


def _rank(rate: Rate) -> tuple[bool, int, int, int]:
    begins_us = FIRST_US - 1 if rate.effective_at_us is None else rate.effective_at_us
    return rate.customer_id is not None, len(rate.where), begins_us, rate.row


def price(
    rates: Sequence[Rate],
    dimensions: Mapping[str, str | int | Decimal | bool],
    decimals_of: Mapping[str, int],
) -> dict[str, tuple[int, int]]:
    """currency -> (units, rate row) of one event; at most one rate a currency is given.

    Raises InvalidRequest where a dimension that a rate counts is missing or no number, and
    InvalidAmount where the price is larger than any amount may be.

    >>> rate = Rate(1, "chat", "ai-tokens", Decimal(2), (Term("tokens", Decimal(1), Decimal(1000)),))
    >>> price([rate], {"tokens": 1500}, {"ai-tokens": 0})  # 3.5, rounded up once
    {'ai-tokens': (4, 1)}
    """
    return {
        rate.currency_id: (_units(rate, dimensions, decimals_of[rate.currency_id]), rate.row)
        for rate in rates
    }


def exact_price(rate: Rate, dimensions: Mapping[str, str | int | Decimal | bool]) -> Fraction:
    """What one event costs by a rate, in its currency, before it is rounded.

    >>> rate = Rate(1, "chat", "ai-tokens", Decimal(2), (Term("tokens", Decimal(1), Decimal(1000)),))
    >>> exact_price(rate, {"tokens": 1500})
    Fraction(7, 2)
    """
    exact = Fraction(rate.credits)
    for term in rate.terms:
        number = _number(rate, term.dimension, dimensions.get(term.dimension))
        exact += Fraction(term.credits) * number / Fraction(term.per)
    return exact


def _units(rate: Rate, dimensions: Mapping[str, str | int | Decimal | bool], decimals: int) -> int:
    scaled: Fraction = exact_price(rate, dimensions) * 10**decimals
    units = -(-scaled.numerator // scaled.denominator)
    if units > AMOUNT_MAX:
        raise InvalidAmount(
            where=f"the price of {rate.event_name!r} in {rate.currency_id}",
            value=f"{units} units",
            expected=f"at most {to_amount(AMOUNT_MAX, decimals)}; look at its rate and dimensions",
        )
    return units


def _number(rate: Rate, dimension: str, value: object) -> Fraction:
    """The number in a dimension, as a rate counts it."""
    number: Fraction | None = None
    if isinstance(value, str):
        # The pattern bounds the exponent; what is longer than any count is refused below.
        if NUMBER.fullmatch(value) and len(value) <= _DIGITS_MAX:
            number = _fraction(Decimal(value))
    elif isinstance(value, Decimal):
        number = _fraction(value)
    elif isinstance(value, int) and not isinstance(value, bool):
        number = Fraction(value)
    if number is None or number < 0 or number > AMOUNT_MAX:
        raise InvalidRequest(
            where=f"dimensions[{dimension!r}]",
            value=value,
            expected=f"a number of zero or more: the rate of {rate.event_name!r} counts it",
        )
    return number


#: Longer numbers are no counts of anything.
_DIGITS_MAX = 64


def _fraction(number: Decimal) -> Fraction | None:
    """Exactly; None for what no count can be, before it is written out."""
    return Fraction(number) if number.is_finite() and abs(number.adjusted()) <= _DIGITS_MAX else None
