"""Used: what a call used, as its caller tells it.

Here: reading it. Not here: what is done with it (reservation.py, tally.py, stream.py).
"""

from collections.abc import Mapping, Sequence

from stiggctl.amounts import Amount, to_units
from stiggctl.answers import Sight
from stiggctl.errors import InvalidRequest

#: What was used: of the one currency, or by currency.
Used = Amount | Mapping[str, Amount]


def read_used(sights: Sequence[Sight], used: Used) -> dict[str, int]:
    """Units of each reserved currency, however they are told."""
    return read_by_currency(sights, used) if isinstance(used, Mapping) else read_one(sights, used)


def read_one(sights: Sequence[Sight], amount: Amount) -> dict[str, int]:
    """Units of the one reserved currency.

    Raises InvalidAmount, and InvalidRequest where several were reserved.
    """
    names = [sight[0].credit_currency for sight in sights]
    if len(names) > 1:
        expected = f"amounts by currency ({', '.join(names)}), for several were reserved"
        raise InvalidRequest(where="amount", value=amount, expected=expected)
    return read_by_currency(sights, {names[0]: amount})


def read_by_currency(sights: Sequence[Sight], amounts: Mapping[str, Amount]) -> dict[str, int]:
    """Units of each reserved currency; one that is left out counts 0.

    Raises InvalidAmount, and InvalidRequest where one was not reserved.
    """
    decimals = {sight[0].credit_currency: sight[0].decimals for sight in sights}
    for name in amounts:
        if name not in decimals:
            expected = f"a currency that was reserved: {', '.join(decimals)}"
            raise InvalidRequest(where="amounts", value=name, expected=expected)
    return {
        name: to_units(amounts[name], number, "amount") if name in amounts else 0
        for name, number in decimals.items()
    }
