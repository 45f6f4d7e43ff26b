"""Cost: what a usage costs in dollars, exactly, and what a call may cost at most.

Here: contract before list, the sum over classes, the one rounding, the estimate. Not here: which
prices there are (contracts.py, listed.py), what is booked.

What always holds:
  CO1  A cost is a sum of Fractions, rounded once an event, up, to the currency's unit. The host's Decimal
       context and threads change nothing, and no float is anywhere on the way.
  CO2  Every token that was used has a price, or PriceNotFound is raised: none is free for want of one.
  CO3  An estimate is no less than the cost of any response of text with at most so many tokens.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Literal, NamedTuple, cast

from stiggctl.amounts import AMOUNT_MAX, to_amount
from stiggctl.errors import InvalidAmount
from stiggctl.prices.contracts import ContractPrice, contract_tariff
from stiggctl.prices.listed import list_tariff
from stiggctl.prices.tariff import Tariff
from stiggctl.prices.usage import Usage, checked
from stiggctl.windows import to_datetime, to_us

#: A millionth of a dollar is a token; a thousandth of that is what a cached one may cost.
DECIMALS = 9


class Cost(NamedTuple):
    """What it costs, and by which price."""

    exact: Fraction  #: dollars, not rounded
    by_class: Mapping[str, str]  #: dollars of each class, exactly, as text
    source: Literal["list", "contract"]
    version: str  #: of the price list, or which contract
    model: str  #: that was priced, as the list or the contract names it
    provider: str | None

    @property
    def amount(self) -> Decimal:
        """Dollars with at most nine decimals, rounded up."""
        return Decimal(to_amount(self.units(DECIMALS), DECIMALS))

    def units(self, decimals: int) -> int:
        """Smallest units of a currency with so many decimals, rounded up: the event's one rounding.

        >>> Cost(Fraction(1, 3), {}, "list", "", "gpt-5", None).units(2)
        34
        """
        scaled: Fraction = self.exact * 10**decimals
        units = -(-scaled.numerator // scaled.denominator)
        if units > AMOUNT_MAX:
            raise InvalidAmount(
                where=f"the cost of {self.model!r}",
                value=f"{units} units",
                expected=f"at most {to_amount(AMOUNT_MAX, decimals)}; look at its prices",
            )
        return units


def cost_of(
    usage: Usage,
    model: str | None = None,
    at: datetime | str | None = None,
    *,
    provider: str | None = None,
    contracts: Sequence[ContractPrice] = (),
) -> Cost:
    """What a usage costs, by the prices of an instant (`at`; left out: now).

    `model` and `provider` stand before what the usage says of them. A contract in force comes before the
    list. Raises PriceNotFound where neither has a price for the model, or for a class that was used.

    >>> price = ContractPrice(model="gpt-5", per_million={"input": "1.25", "output": 10})
    >>> cost = cost_of(Usage(input=1, output=1, model="gpt-5"), contracts=[price])
    >>> cost.amount, dict(cost.by_class)
    (Decimal('0.00001125'), {'input': '0.00000125', 'output': '0.00001'})
    """
    tariff = _tariff(usage, model, at, provider, contracts)
    return _cost(tariff, dict(tariff.parts(usage)))


def estimate(
    model: str,
    input_tokens: int,
    max_output_tokens: int,
    *,
    provider: str | None = None,
    at: datetime | str | None = None,
    contracts: Sequence[ContractPrice] = (),
    caching: bool = True,
    served: Mapping[str, str] | None = None,
) -> Cost:
    """The most that a call of text can cost; reasoning is inside of max_output_tokens, as providers have it.

    Input counts at the dearest of what it may be billed as: uncached, read from a cache and, unless
    `caching` is False, written to one, which costs up to twice as much. False is for requests that ask for
    no caching, of a provider that bills none unasked (OpenAI does, from GPT-5.6 on). Searches that the
    provider makes are not in it. `served`: {"service_tier": "priority"}.

    >>> price = ContractPrice(model="gpt-5", per_million={"input": "1.25", "output": 10})
    >>> estimate("gpt-5", 1_000, 500, contracts=[price]).amount
    Decimal('0.00625')
    """
    given, made = checked(input_tokens, "input_tokens"), checked(max_output_tokens, "max_output_tokens")
    usage = Usage(input=given, output=made, served=tuple((served or {}).items()))
    tariff = _tariff(usage, model, at, provider, contracts)
    inputs = ("input", "cache_read", *(("cache_write_5m", "cache_write_1h") if caching else ()))
    parts: dict[str, Fraction] = {}
    if given:
        parts["input"] = tariff.dearest(inputs, given) * given
    if made:
        parts["output"] = tariff.dearest(("output", "reasoning"), given) * made
    if "requests" in tariff.prices:
        parts["requests"] = tariff.prices["requests"].most(given)
    return _cost(tariff, parts)


def _tariff(
    usage: Usage,
    model: str | None,
    at: datetime | str | None,
    provider: str | None,
    contracts: Sequence[ContractPrice],
) -> Tariff:
    at_us = to_us(datetime.now(tz=UTC) if at is None else at, "at")
    model = usage.model if model is None else model
    usage = usage if provider is None else replace(usage, provider=provider)
    agreed = contract_tariff(contracts, model, usage.provider, at_us) if contracts else None
    return list_tariff(usage, model, to_datetime(at_us)) if agreed is None else agreed


def _cost(tariff: Tariff, parts: Mapping[str, Fraction]) -> Cost:
    return Cost(
        exact=sum(parts.values(), Fraction(0)),
        by_class={name: exact_text(part) for name, part in parts.items()},
        source=cast("Literal['list', 'contract']", tariff.source),
        version=tariff.version,
        model=tariff.model,
        provider=tariff.provider,
    )


def exact_text(number: Fraction) -> str:
    """A fraction as people write it: decimals where they end, as those of all prices do.

    >>> exact_text(Fraction(1, 400_000)), exact_text(Fraction(1, 3)), exact_text(Fraction(7))
    ('0.0000025', '1/3', '7')
    """
    rest, twos, fives = number.denominator, 0, 0
    while rest % 2 == 0:
        rest, twos = rest // 2, twos + 1
    while rest % 5 == 0:
        rest, fives = rest // 5, fives + 1
    if rest != 1:
        return f"{number.numerator}/{number.denominator}"
    decimals = max(twos, fives)
    digits = str(number.numerator * 10**decimals // number.denominator).rjust(decimals + 1, "0")
    return f"{digits[:-decimals]}.{digits[-decimals:]}" if decimals else digits
