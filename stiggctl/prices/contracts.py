"""Contracts: prices that were agreed, instead of the list's.

Here: a contract price as a plain record, and which of several is meant. Not here: what a usage then
costs (cost.py), how a model writes them.

What always holds:
  CT1  One contract prices a response: of those in force that fit, an exact name before a pattern, a
       longer pattern before a shorter, a named provider before any, a later beginning before an earlier.
  CT2  What a contract has no price for is not taken from the list. Cached tokens and reasoning cost what
       input and output cost there; all other classes without a price are refused.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from fnmatch import fnmatchcase
from fractions import Fraction
from typing import Final

from stiggctl.amounts import NUMBER
from stiggctl.errors import InvalidAmount, InvalidRequest, nearest
from stiggctl.prices.tariff import Price, Tariff, exactly
from stiggctl.tokens import EACH, TOKEN_CLASSES
from stiggctl.windows import to_text, to_us, validity

_CHAINS: Final = {
    "cache_read": ("cache_read", "input"),
    "cache_read_audio": ("cache_read_audio", "input_audio"),
    "cache_read_image": ("cache_read_image", "input_image"),
    "reasoning": ("reasoning", "output"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractPrice:
    """What a model costs by contract, in dollars for a million tokens of each class.

    >>> price = ContractPrice(model="gpt-5*", per_million={"input": "1.00", "output": "8.00"})
    >>> price.version
    'contract any/gpt-5* from always'
    """

    model: str  #: its name, or a pattern with * and ?; upper and lower case are alike
    per_million: Mapping[str, int | Decimal | str]  #: by class: {"input": "1.25", "output": 10}
    provider: str | None = None  #: None: whoever serves it
    each: Mapping[str, int | Decimal | str] = field(default_factory=dict)  #: of "requests", "web_searches"
    effective_at: datetime | str | None = None
    expires_at: datetime | str | None = None

    def __post_init__(self) -> None:
        _prices(self)
        for name in ("effective_at", "expires_at"):
            _us(self, name)

    @property
    def version(self) -> str:
        """Which contract it is, as an event keeps it."""
        begins = _us(self, "effective_at")
        since = "always" if begins is None else to_text(begins)
        return f"contract {self.provider or 'any'}/{self.model} from {since}"


def contract_tariff(
    contracts: Sequence[ContractPrice], model: str | None, provider: str | None, at_us: int
) -> Tariff | None:
    """The contract that prices a model at an instant (CT1); None: none does.

    A response that does not tell its provider fits contracts of any.
    """
    if model is None:
        return None
    fitting = [
        (rank, at)
        for at, each in enumerate(contracts)
        if (rank := _rank(each, model.casefold(), provider, at_us)) is not None
    ]
    if not fitting:
        return None
    found = contracts[max(fitting)[1]]
    return Tariff(found.provider or provider, model, "contract", found.version, _prices(found), _CHAINS)


def _rank(
    contract: ContractPrice, model: str, provider: str | None, at_us: int
) -> tuple[bool, int, bool, int] | None:
    """How particular it is; None where it does not fit."""
    whose = contract.provider
    if whose is not None and provider is not None and whose.casefold() != provider.casefold():
        return None
    window = validity(_us(contract, "effective_at"), _us(contract, "expires_at"))
    if not window.has(at_us):
        return None
    pattern = contract.model.casefold()
    if pattern != model and not fnmatchcase(model, pattern.replace("[", "[[]")):  # a bracket is a letter
        return None
    return pattern == model, len(pattern), whose is not None, window.start_us


def _us(contract: ContractPrice, name: str) -> int | None:
    value = getattr(contract, name)
    return None if value is None else to_us(value, name)


def _prices(contract: ContractPrice) -> dict[str, Price]:
    found: dict[str, Price] = {}
    for where, given, names, per in (
        ("per_million", contract.per_million, TOKEN_CLASSES, 10**6),
        ("each", contract.each, EACH, 1),
    ):
        for name, amount in given.items():
            if name not in names:
                meant = nearest(str(name), names)
                hint = f"; did you mean {meant!r}?" if meant else ""
                raise InvalidRequest(where=where, value=name, expected=f"one of {', '.join(names)}{hint}")
            found[name] = Price(_exact(amount, f"{where}[{name!r}]", per))
    return found


def _exact(amount: object, where: str, per: int) -> Fraction:
    number = Decimal(amount) if isinstance(amount, str) and NUMBER.fullmatch(amount) else amount
    exact = exactly(number, per)
    if exact is None:
        expected = 'dollars, zero or more, as an int, a Decimal or text such as "1.25"; a float never is'
        raise InvalidAmount(where=where, value=amount, expected=expected)
    return exact
