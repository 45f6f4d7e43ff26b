"""Tariff: what each class of tokens costs of one model, at one instant.

Here: prices by class as fractions of a dollar, which class stands in where one has no price of its own,
tiers by the size of the input. Not here: whose prices they are (listed.py, contracts.py), rounding
(cost.py).

What always holds:
  TF1  A price is a Fraction from the moment that it is read; no float is one, whoever gives it.
  TF2  A class without a price costs what the class costs that it is a part of, as the table says; where
       no class of that chain has one, PriceNotFound. No class is ever free for want of a price.
  TF3  Tiers are cliffs: all tokens of a response cost what its whole input's size says.
"""

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

from stiggctl.prices.errors import PriceNotFound
from stiggctl.prices.usage import Usage
from stiggctl.tokens import TOKEN_CLASSES


class Price(NamedTuple):
    """Dollars for each: one price, or several by how many tokens went in."""

    base: Fraction
    tiers: tuple[tuple[int, Fraction], ...] = ()  #: (input above which, price), rising

    def at(self, total_input: int) -> Fraction:
        """What each costs in a response with so many input tokens (TF3).

        >>> Price(Fraction(3), ((200_000, Fraction(6)),)).at(200_000)
        Fraction(3, 1)
        >>> Price(Fraction(3), ((200_000, Fraction(6)),)).at(200_001)
        Fraction(6, 1)
        """
        price = self.base
        for start, above in self.tiers:
            if total_input > start:
                price = above
        return price

    def most(self, total_input: int) -> Fraction:
        """The most that each can cost with at most so many input tokens; some tiers are cheaper."""
        return max((self.base, *(above for start, above in self.tiers if total_input > start)))


class Tariff(NamedTuple):
    """The prices that a response is billed by, and whose they are."""

    provider: str | None
    model: str
    source: str  #: "list" or "contract"
    version: str
    prices: Mapping[str, Price]  #: by class; "requests" is for each response
    chains: Mapping[str, tuple[str, ...]]  #: by class: itself, then what stands in

    def price(self, name: str) -> Price:
        """The price of a class, or of what stands in for it (TF2)."""
        for each in self.chains.get(name, (name,)):
            if (price := self.prices.get(each)) is not None:
                return price
        reason = f"it has no price for {spoken(name)}"
        raise PriceNotFound(model=self.model, provider=self.provider, reason=reason)

    def parts(self, usage: Usage) -> Iterator[tuple[str, Fraction]]:
        """What each class of a usage costs, exactly; classes that were not used are left out."""
        total_input = usage.total_input
        for name in (*TOKEN_CLASSES, "web_searches"):
            if count := getattr(usage, name):
                yield name, self.price(name).at(total_input) * count
        if "requests" in self.prices:
            yield "requests", self.prices["requests"].at(total_input)

    def dearest(self, names: Iterable[str], total_input: int) -> Fraction:
        """The most that one token of these classes can cost; the first must have a price."""
        first, *others = names
        prices = [self.price(first)]
        prices += [self.price(name) for name in others if self._has(name)]
        return max(price.most(total_input) for price in prices)

    def _has(self, name: str) -> bool:
        return any(each in self.prices for each in self.chains.get(name, (name,)))


def spoken(name: str) -> str:
    """A class as a sentence names it.

    >>> spoken("cache_write_1h"), spoken("web_searches")
    ('cache_write_1h tokens', 'web searches')
    """
    return f"{name} tokens" if name in TOKEN_CLASSES else name.replace("_", " ")


def exactly(price: object, per: int) -> Fraction | None:
    """Dollars for one, of a price for so many; None for what is no price (TF1).

    >>> exactly(Decimal("2.5"), 1_000_000), exactly(2.5, 1)
    (Fraction(1, 400000), None)
    """
    if isinstance(price, bool) or not isinstance(price, int | Decimal):
        return None
    if isinstance(price, Decimal) and not (
        price.is_finite()
        and abs(price.adjusted()) <= _DIGITS_MAX
        and len(price.as_tuple().digits) <= 2 * _DIGITS_MAX
    ):
        return None
    exact = Fraction(price)
    return exact / per if 0 <= exact <= 10**_DIGITS_MAX else None


#: A price of more digits, before its point or after, is none, and would take long to write out.
_DIGITS_MAX = 30
