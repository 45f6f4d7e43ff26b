"""Estimating: what a candidate may cost at most, in each currency of its call, by its tokens of output.

Here: a candidate as a portion of a request: dollars by prices, other currencies by rates. Not here: what
a candidate is (fit.py), what fits (fitting.py), what a call did cost (observing.py).

  EM1  An estimate is no less than what any response of text costs, in each currency, by the prices and
       rates of the instant, of the provider and the way of serving that the candidate names: input counts
       as the dearest class that it may be billed as, so does output.
  EM2  It is a straight line over the tokens of output, in exact fractions: so the largest number that
       fits is found by one division, and rounded once.
"""

from collections.abc import Mapping
from fractions import Fraction
from itertools import product
from math import lcm
from typing import NamedTuple

from stiggctl.amounts import Amount, to_amount
from stiggctl.control.fit import Candidate
from stiggctl.control.observing import Begun
from stiggctl.decision.portions import Line, Portion
from stiggctl.errors import InvalidRequest, RateNotFound, StiggctlError
from stiggctl.events import DimensionValue, read_dimensions
from stiggctl.holder.costs import contracts_for, is_money
from stiggctl.importing import importing
from stiggctl.rates import Rate, exact_price, price
from stiggctl.tokens import ALWAYS_SAID
from stiggctl.windows import to_datetime

#: What input and output of text may be billed as.
_INPUTS, _WRITTEN = ("input", "cache_read"), ("cache_write_5m", "cache_write_1h")
_OUTPUTS = ("output", "reasoning")

Dimensions = Mapping[str, DimensionValue]


class Estimated(NamedTuple):
    """What a candidate may cost."""

    candidate: Candidate
    dimensions: Dimensions  #: by which its call is decided, and which its event says
    currencies: tuple[tuple[str, int], ...]  #: id and decimals
    portion: Portion  #: by tokens of output

    @property
    def chosen(self) -> tuple[str, ...]:
        """The dimensions that are the candidate's own."""
        return ("model",) if self.candidate.provider is None else ("model", "provider")

    @property
    def amounts(self) -> tuple[tuple[str, Amount], ...]:
        """The most that it may cost, by currency."""
        units = self.portion.units(self.portion.most)
        return tuple(
            [
                (name, to_amount(one, decimals))
                for (name, decimals), one in zip(self.currencies, units, strict=True)
            ]
        )


def estimated(candidate: Candidate, call: Begun, credit_currency: str | None) -> Estimated:
    """What a candidate may cost in a currency; or, without one, in each that such a call costs something in.

    Those are dollars, where the model has them, and all in which its event has a rate.

    Raises CurrencyNotFound, PriceNotFound, RateNotFound, InvalidRequest or InvalidAmount where that
    cannot be told.
    """
    named = {"model": candidate.model, "provider": candidate.provider}
    own = {name: value for name, value in named.items() if value is not None}
    call = call._replace(dimensions=read_dimensions({**call.dimensions, **own}))
    known, rates = call.known, _rates(candidate, call)
    if credit_currency is not None:
        names = [credit_currency]
    else:
        names = sorted({*filter(is_money, known.currencies), *rates})
        if not names and call.event_name is not None:
            raise _no_rate(call, "any currency")  # of this candidate: another may have one
    currencies, lines = [], []
    for name in names or ["usd"]:
        decimals = known.currency(name).decimals
        currencies.append((name, decimals))
        if is_money(name):
            lines.append(_dollars(candidate, call, decimals))
        elif name in rates:
            lines.append(_credits(candidate, rates[name], call.dimensions, decimals))
        else:
            raise _no_rate(call, repr(name))
    portion = Portion(candidate.least_output_tokens, candidate.max_output_tokens, tuple(lines))
    return Estimated(candidate, call.dimensions, tuple(currencies), portion)


def _no_rate(call: Begun, currency: str) -> StiggctlError:
    """Nothing says what it costs in a currency that prices are not in."""
    if call.event_name is None:
        expected = f"the event whose rate says what a call costs in {currency}"
        return InvalidRequest(where="event_name", value=None, expected=expected)
    names = call.known.event_names()
    return RateNotFound(event_name=call.event_name, customer_id=call.customer_id, known=names)


def _dollars(candidate: Candidate, call: Begun, decimals: int) -> Line:
    with importing():
        from stiggctl.prices import estimate  # noqa: PLC0415 - few processes price what they call

    agreed = contracts_for(call.known, call.customer_id, candidate.model, candidate.provider, call.at_us)
    none, most = (
        estimate(
            candidate.model,
            candidate.input_tokens,
            output_tokens,
            provider=candidate.provider,
            at=to_datetime(call.at_us),
            contracts=agreed.prices,
            caching=candidate.caching,
            served=candidate.served,
        )
        for output_tokens in (0, candidate.max_output_tokens)
    )
    most.units(decimals)  # raises where it is no amount
    return _line(none.exact, most.exact, candidate.max_output_tokens, decimals)


def _rates(candidate: Candidate, call: Begun) -> dict[str, Rate]:
    """By currency: the rate that its event has."""
    if call.event_name is None:
        return {}
    used = _used("input", "output", candidate, candidate.max_output_tokens, call.dimensions)
    rates = call.known.rates(call.event_name, call.customer_id or "", used, call.at_us)
    return {rate.currency_id: rate for rate in rates}


def _credits(candidate: Candidate, rate: Rate, dimensions: Dimensions, decimals: int) -> Line:
    inputs = (*_INPUTS, *_WRITTEN) if candidate.caching else _INPUTS
    most = candidate.max_output_tokens
    exact, classes = max(
        (exact_price(rate, _used(*classes, candidate, most, dimensions)), classes)
        for classes in product(inputs, _OUTPUTS)
    )
    used = _used(*classes, candidate, most, dimensions)
    price([rate], used, {rate.currency_id: decimals})  # raises where it is no amount
    none = exact_price(rate, _used(*classes, candidate, 0, dimensions))
    return _line(none, exact, most, decimals)


def _used(
    of_input: str, of_output: str, candidate: Candidate, output_tokens: int, dimensions: Dimensions
) -> dict[str, DimensionValue]:
    """What its event would say, had it used so much of these classes; what the caller told stands before.

    How it is to be served it says, too: rates may be for that.
    """
    used: dict[str, DimensionValue] = {f"{name}_tokens": 0 for name in ALWAYS_SAID}
    used[f"{of_input}_tokens"] = candidate.input_tokens
    used[f"{of_output}_tokens"] = output_tokens
    return {**used, **(candidate.served or {}), **dimensions}


def _line(none: Fraction, most: Fraction, most_tokens: int, decimals: int) -> Line:
    """The line through what no output costs and what the most does, in a currency's units (EM2)."""
    fixed: Fraction = none * 10**decimals
    each: Fraction = (most - none) * 10**decimals / most_tokens
    per = lcm(fixed.denominator, each.denominator)
    return Line(int(fixed * per), int(each * per), per)
