"""Asked: what is asked for, as its caller gave it.

Here: that, and its amounts in units. Not here: reading the arguments of the verbs (control/arguments.py),
the answer (asking.py).
"""

from types import MappingProxyType
from typing import NamedTuple

from stiggctl.amounts import Amount, plain, to_amount, to_units
from stiggctl.decision.portions import Portion
from stiggctl.errors import InvalidAmount
from stiggctl.holder.known import Known
from stiggctl.holder.ways import Dimensions


class Asked(NamedTuple):
    """A request as its caller gave it, checked as far as that needs no ledger."""

    customer_id: str | None
    ids: tuple[str, ...]
    amounts: tuple[tuple[str, Amount | None], ...]  #: None: one smallest unit
    dimensions: Dimensions = MappingProxyType({})

    def units(self, known: Known) -> list[tuple[str, int]]:
        """(currency id, units) of each amount; raises CurrencyNotFound or InvalidAmount."""
        several = len(self.amounts) > 1
        units = []
        for name, amount in self.amounts:
            currency = known.currency(name)
            where = f"amounts[{name!r}]" if several else "amount"
            units.append((name, 1 if amount is None else to_units(amount, currency.decimals, where)))
        return units


class Hoped(NamedTuple):
    """A reservation to be."""

    number: int
    ends_us: int
    minimum: Amount | Portion | None


def read_minimum(minimum: Amount, decimals: int, units: int) -> int:
    """The least that would do, in units; raises InvalidAmount where it is more than is asked for."""
    least = to_units(minimum, decimals, "minimum")
    if least > units:
        expected = f"at most the amount, {plain(to_amount(units, decimals))}"
        raise InvalidAmount(where="minimum", value=minimum, expected=expected)
    return least
