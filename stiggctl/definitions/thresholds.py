"""Thresholds: percentages of a limit or a grant, as people write them and as rows keep them.

Here: what may stand in a list of them. Not here: other fields (values.py), when one is crossed (ledger/).
"""

from decimal import Decimal
from itertools import pairwise
from typing import Annotated

from pydantic import AfterValidator, PlainValidator

from stiggctl.definitions.text import plain
from stiggctl.definitions.values import AsList, read_amount, refused

# Fifty, eighty, a hundred; nobody acts on each of twenty, and each is one look when it is crossed.
THRESHOLDS_MAX = 16
# Ten times a limit; what is over that is no longer a matter of shares.
THRESHOLD_MAX = 1_000
# A threshold is kept in hundredths of a percent.
_PARTS_OF_A_PERCENT = 100

A_THRESHOLD = f'a percentage above 0, up to {THRESHOLD_MAX:,}, with at most 2 decimals, such as 80 or "99.5"'
THRESHOLDS = f"a list of at most {THRESHOLDS_MAX} percentages, ascending, such as [50, 80, 100]"


def _read_threshold(value: object) -> int | Decimal:
    read_amount(value)
    try:
        number = Decimal(str(value))
    except ArithmeticError:
        raise refused(A_THRESHOLD) from None
    if not number.is_finite() or not 0 < number <= THRESHOLD_MAX:
        raise refused(A_THRESHOLD)
    return _percentage(number)


def _percentage(number: Decimal) -> int | Decimal:
    text = plain(number)
    if "." not in text:
        return int(text)
    if len(text.partition(".")[2]) > 2:
        raise refused(A_THRESHOLD)
    return Decimal(text)


def _ascending(values: tuple[int | Decimal, ...]) -> tuple[int | Decimal, ...]:
    if len(values) > THRESHOLDS_MAX:
        raise refused(THRESHOLDS)
    if any(low >= high for low, high in pairwise(values)):
        raise refused("an ascending list, each threshold once")
    return values


def units_of_threshold(threshold: int | Decimal) -> int:
    """A threshold that was read, as rows keep it: in hundredths of a percent.

    >>> units_of_threshold(80), units_of_threshold(Decimal("99.5"))
    (8000, 9950)
    """
    return int(threshold * _PARTS_OF_A_PERCENT)


def threshold_of_units(units: int) -> int | Decimal:
    """The percentage that a row keeps.

    >>> threshold_of_units(8000), threshold_of_units(9950)
    (80, Decimal('99.5'))
    """
    whole, rest = divmod(units, _PARTS_OF_A_PERCENT)
    return Decimal(plain(Decimal(f"{whole}.{rest:02}"))) if rest else whole


Thresholds = Annotated[
    tuple[Annotated[int | Decimal, PlainValidator(_read_threshold)], ...], AfterValidator(_ascending), AsList
]
