"""Usage: what one response used, in classes of tokens that share nothing.

Here: the classes, the record, what an event says of it and back. Not here: what a provider's
response means (shapes.py), what a class costs (tariff.py).

What always holds:
  TU1  Classes are disjoint: their sum is all that was used, and no token is in two of them.
  TU2  Counts are ints of zero or more. A bool, a float or a text is no count, whoever sent it.
  TU3  What an event says of a usage tells it whole: of_dimensions(as_dimensions()) is the same usage.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from decimal import Decimal
from typing import Final, Self

from stiggctl.prices.errors import UsageUnclear
from stiggctl.tokens import ALWAYS_SAID, SELDOM_SAID, TOKEN_CLASSES

#: A count larger than a million times any context window is a mistake, or a timestamp.
COUNT_MAX: Final = 10**12

INPUT_CLASSES: Final = tuple(
    name for name in TOKEN_CLASSES if name.startswith(("input", "cache_read", "cache_write"))
)
OUTPUT_CLASSES: Final = tuple(name for name in TOKEN_CLASSES if name not in INPUT_CLASSES)

#: How a response can be told to have been served, where that has another price; the dimensions' names.
SERVED: Final = ("processing", "service_tier", "speed")
#: What stands there for the usual way, at the usual price.
USUAL: Final = frozenset({"auto", "default", "on_demand", "standard", "unspecified"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What one response used. All counts are tokens, but for `web_searches`.

    >>> usage = Usage(input=200, cache_read=1_000, output=30, reasoning=70, model="gpt-5")
    >>> usage.total, usage.total_input, usage.total_output
    (1300, 1200, 100)
    """

    input: int = 0  #: neither read from a cache nor written to one
    cache_read: int = 0
    cache_write_5m: int = 0  #: kept for the provider's shorter time
    cache_write_1h: int = 0  #: kept for its longer time
    output: int = 0  #: without reasoning
    reasoning: int = 0
    input_audio: int = 0
    output_audio: int = 0
    cache_read_audio: int = 0
    input_image: int = 0
    cache_read_image: int = 0
    output_image: int = 0
    input_video: int = 0
    output_video: int = 0
    web_searches: int = 0  #: made by the provider, billed each
    model: str | None = None  #: as the response names it
    provider: str | None = None  #: as the response tells it, by a name or by its shape
    served: tuple[tuple[str, str], ...] = ()  #: what may change the price: (("service_tier", "flex"),)

    def __post_init__(self) -> None:
        for name in (*TOKEN_CLASSES, "web_searches"):
            object.__setattr__(self, name, checked(getattr(self, name), name))
        for name, value in (("model", self.model), ("provider", self.provider)):
            if value is not None and not isinstance(value, str):
                raise UsageUnclear(where=name, value=value, expected="text")
        # Sorted, so that two that say the same are equal.
        object.__setattr__(self, "served", tuple(sorted(self.served)))

    @property
    def total_input(self) -> int:
        """All tokens that went in, cached or not."""
        return sum(getattr(self, name) for name in INPUT_CLASSES)

    @property
    def total_output(self) -> int:
        """All tokens that came out, reasoning too."""
        return sum(getattr(self, name) for name in OUTPUT_CLASSES)

    @property
    def total(self) -> int:
        """All tokens."""
        return self.total_input + self.total_output

    def as_dimensions(self) -> dict[str, str | int]:
        """What an event says of it, so that rates can count it and it can be priced again (TU3).

        >>> said = Usage(input=200, output=30, model="gpt-5", served=(("service_tier", "flex"),))
        >>> said.as_dimensions()["input_tokens"], said.as_dimensions()["service_tier"]
        (200, 'flex')
        """
        said: dict[str, str | int] = {f"{name}_tokens": getattr(self, name) for name in ALWAYS_SAID}
        said |= {f"{name}_tokens": count for name in SELDOM_SAID if (count := getattr(self, name))}
        if self.web_searches:
            said["web_searches"] = self.web_searches
        if self.model is not None:
            said["model"] = self.model
        if self.provider is not None:
            said["provider"] = self.provider
        return said | dict(self.served)

    @classmethod
    def of_dimensions(cls, dimensions: Mapping[str, object]) -> Self:
        """The usage that an event tells of; other dimensions are not looked at.

        Raises UsageUnclear where a count is none, or where no class of tokens is named at all.
        """
        counts: dict[str, int] = {}
        for name in TOKEN_CLASSES:
            if (said := dimensions.get(f"{name}_tokens")) is not None:
                counts[name] = _said(said, f"{name}_tokens")
        if not counts:
            raise UsageUnclear(
                where="dimensions", value=list(dimensions), expected="counts, such as input_tokens"
            )
        if (searches := dimensions.get("web_searches")) is not None:
            counts["web_searches"] = _said(searches, "web_searches")
        texts = {name: str(dimensions[name]) for name in ("model", "provider") if name in dimensions}
        served = tuple((name, str(dimensions[name])) for name in SERVED if name in dimensions)
        return cls(**counts, **texts, served=served)  # type: ignore[arg-type]  # names as in the table


def _said(value: object, where: str) -> int:
    # A ledger may give a whole number back as a Decimal.
    if isinstance(value, Decimal) and value.is_finite() and value == value.to_integral_value():
        return checked(int(value), where)
    return checked(value, where)


def checked(value: object, where: str) -> int:
    """The count, or UsageUnclear where it is none (TU2).

    >>> checked(5, "usage.prompt_tokens")
    5
    >>> checked(5.0, "usage.prompt_tokens")
    Traceback (most recent call last):
    stiggctl.prices.errors.UsageUnclear: usage.prompt_tokens: got 5.0 (a float), expected a count ...
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise UsageUnclear(where=where, value=value, expected="a count of tokens, as an int")
    number = int.__index__(value)
    if not 0 <= number <= COUNT_MAX:
        raise UsageUnclear(where=where, value=value, expected=f"a count, of zero to {COUNT_MAX}")
    return number


assert {each.name for each in fields(Usage)} >= set(TOKEN_CLASSES)
