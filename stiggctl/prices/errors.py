"""What can be wrong with a price: the usage cannot be told, or nothing says what it costs.

Here: the two errors of this room. Not here: all others (stiggctl/errors.py); they live apart while the
room stands alone, for whoever never prices a response never meets them.

    StiggctlError
    ├── UsageUnclear                a response that does not tell its usage, or contradicts itself
    └── PriceNotFound               no price for this model, or for tokens of this class
"""

from dataclasses import dataclass

from stiggctl.errors import StiggctlError, shown


@dataclass(kw_only=True, eq=False, repr=False)
class UsageUnclear(StiggctlError):
    """What was used cannot be told from the response. Nothing is guessed, and nothing is free."""

    where: str  #: the place in the response: usage.prompt_tokens
    value: object  #: what stands there
    expected: str  #: completes "expected …"

    def __str__(self) -> str:
        return f"{self.where}: got {shown(self.value)}, expected {self.expected}"


@dataclass(kw_only=True, eq=False, repr=False)
class PriceNotFound(StiggctlError):
    """Nothing says what this costs. It is never taken to be free."""

    model: str | None
    provider: str | None
    reason: str
    known: tuple[str, ...] = ()  #: the nearest names that have a price

    def __str__(self) -> str:
        whose = "" if self.provider is None else f" of {shown(self.provider)}"
        names = ", ".join(shown(name) for name in self.known)
        hint = f" (did you mean {names}?)" if names else ""
        return (
            f"no price for model {shown(self.model)}{whose}: {self.reason}{hint}; "
            f"give a ContractPrice, or the provider's name for the model"
        )
