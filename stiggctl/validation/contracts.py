"""Checks of contract prices: what tokens of a model cost, instead of the list's.

Here: each once, of classes that there are, with numbers that are prices. Not here: which of several
prices a response (prices/contracts.py), from when to when it does (times.py).
"""

from collections.abc import Iterator

from stiggctl.amounts import DECIMALS_MAX, to_units
from stiggctl.definitions import Found, Price, us_of
from stiggctl.errors import InvalidAmount
from stiggctl.tokens import EACH, TOKEN_CLASSES
from stiggctl.validation.prices import PRICE_MAX
from stiggctl.validation.whole import Whole

#: (customer or None: for all, provider or None: whoever, model, from when on)
PriceKey = tuple[str | None, str | None, str, int | None]


def price_key(
    customer_id: str | None, provider: str | None, model: str, effective_at_us: int | None
) -> PriceKey:
    """Which price it is. Upper and lower case are alike, as they are where a response is priced.

    >>> price_key(None, "OpenAI", "GPT-5", None)
    (None, 'openai', 'gpt-5', None)
    """
    whose = None if provider is None else provider.casefold()
    return customer_id, whose, model.casefold(), effective_at_us


def key_of_price(entry: Price) -> PriceKey:
    """The key of a model's entry."""
    return price_key(entry.customer_id, entry.provider, entry.model, us_of(entry.effective_at))


def contracts_are_once(whole: Whole) -> Iterator[Found]:
    """One entry for each provider, model and beginning, of a customer or for all."""
    seen: set[PriceKey] = set()
    for place, entry in enumerate(whole.model.prices):
        if whole.draft.is_wrong("prices", place, "effective_at"):
            continue
        key = key_of_price(entry)
        if key in seen:
            expected = "one entry for each provider and model, or another effectiveAt for each"
            yield Found("prices", place, ("model",), entry.model, expected)
        seen.add(key)


def contracts_price_what_there_is(whole: Whole) -> Iterator[Found]:
    """A price of something: of classes that there are, each zero or more."""
    for place, entry in enumerate(whole.model.prices):
        for field, names in (("per_million", TOKEN_CLASSES), ("each", EACH)):
            for name, amount in getattr(entry, field).items():
                if name not in names:
                    expected = f"one of {', '.join(names)}{whole.hint(name, names)}"
                    yield Found("prices", place, (field, name), name, expected)
                    continue
                try:
                    to_units(amount, DECIMALS_MAX, name, maximum=PRICE_MAX)
                except InvalidAmount as error:
                    yield Found("prices", place, (field, name), amount, error.expected)
        if not entry.per_million and not entry.each:
            expected = 'at least one price, such as {"input": "1.25", "output": 10}'
            yield Found("prices", place, ("per_million",), None, expected)
