"""Checks of what events cost: rates.

Here: each once; in currencies that exist, with numbers that are prices. Not here: what one event
costs (rates.py).

A rate makes no currency: a name misspelt there would charge where no limit looks.
"""

from collections.abc import Iterator

from stiggctl.amounts import AMOUNT_MAX, DECIMALS_MAX, Amount, to_units
from stiggctl.definitions import Found, Steps, filter_text
from stiggctl.errors import InvalidAmount
from stiggctl.validation.limits import currencies_are_known
from stiggctl.validation.whole import Whole

# A price may be finer than its currency: an event is rounded once, after its parts are added. But
# one of which a single event would cost more than an event can is a mistake.
PRICE_MAX = AMOUNT_MAX * 10**DECIMALS_MAX


def prices_are_numbers(whole: Whole) -> Iterator[Found]:
    """What a rate charges is a number of 0 or more, what it is charged for (`per`) one above 0."""
    for place, rate in enumerate(whole.model.rates):
        numbers: list[tuple[Steps, Amount]] = [(("credits",), rate.credits)]
        for number, term in enumerate(rate.terms):
            numbers.append((("terms", number, "credits"), term.credits))
            numbers.append((("terms", number, "per"), term.per))
        for steps, value in numbers:
            try:
                units = to_units(value, DECIMALS_MAX, "credits", maximum=PRICE_MAX)
            except InvalidAmount as error:
                yield Found("rates", place, steps, value, error.expected)
                continue
            if units == 0 and steps[-1] == "per":
                yield Found("rates", place, steps, value, "a number above 0")


def rates_are_once(whole: Whole) -> Iterator[Found]:
    """One entry for each event, currency, where and beginning, of a customer or for all."""
    seen: set[tuple[str | None, ...]] = set()
    for place, rate in enumerate(whole.model.rates):
        where = filter_text(rate.where)
        key = (rate.customer_id, rate.event_name, rate.credit_currency, where, rate.effective_at)
        doubtful = any(whole.draft.is_wrong("rates", place, name) for name in ("where", "effective_at"))
        if key in seen and not doubtful:
            expected = "one entry for each event and currency, or another where or effectiveAt for each"
            yield Found("rates", place, ("event_name",), rate.event_name, expected)
        if not doubtful:
            seen.add(key)
        dimensions: set[str] = set()
        for number, term in enumerate(rate.terms):
            if term.dimension in dimensions:
                steps = ("terms", number, "dimension")
                yield Found("rates", place, steps, term.dimension, "one term for each dimension")
            dimensions.add(term.dimension)


def rate_currencies_are_known(whole: Whole) -> Iterator[Found]:
    """A rate charges in a currency that exists, or that the model defines or has a limit in."""
    return currencies_are_known(whole, "rates", [rate.credit_currency for rate in whole.model.rates])
