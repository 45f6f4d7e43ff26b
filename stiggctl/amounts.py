"""Amounts: what people write of credits, into integers of the smallest unit, and back.

Here: the bounds of amounts, limits and counters; text, int and Decimal to units; units to
int and Decimal; our own Decimal context. Not here: which currency has how many decimals
(definitions.py), what an event costs (rates.py).

What always holds:
  M1  Nothing is rounded: what the currency cannot hold is refused, never cut.
  M2  The host's Decimal context changes nothing here, and nothing here changes it.
  M3  No input takes long: the size of a number is looked at before it is written out.
"""

import re
from decimal import (
    Context,
    Decimal,
    DivisionByZero,
    FloatOperation,
    Inexact,
    InvalidOperation,
    Overflow,
    Underflow,
)

from stiggctl.errors import InvalidAmount

#: What an amount may be written as. A float never is one: 0.1 + 0.2 is not 0.3.
Amount = int | Decimal | str

# In units. They leave room inside 64 bits: sums of a thousand amounts, or of eight limits,
# are still integers that SQLite and PostgreSQL add without overflow.
AMOUNT_MAX = 10**17  # of one request or event
LIMIT_MAX = 10**18  # of one allocation
COUNTER_MAX = 8 * 10**18  # of all that one cell counts; 2**63 is 9.2 * 10**18
# With more decimals than a limit has digits, no limit could be as large as 1.
DECIMALS_MAX = 18

# Every product that is formed here has fewer digits (a bound of 31, 18 decimals), so that a
# rounding can only mean that the input was too precise: it is trapped and refused.
CONTEXT = Context(
    prec=60,
    Emin=-999_999,
    Emax=999_999,
    traps=[DivisionByZero, FloatOperation, Inexact, InvalidOperation, Overflow, Underflow],
)

# Twice as many decimals as a currency has: those of a product of two.
_POWERS: tuple[int, ...] = tuple(10**decimals for decimals in range(2 * DECIMALS_MAX + 1))

# JSON's numbers, with any leading zeros. A plus sign is left out: "+5" reads like a change.
# Seventeen digits of exponent are what Decimal can hold on any 64-bit machine.
NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,17})?")

_KINDS = 'an int, a Decimal or text such as "5" or "0.02"'


def to_units(amount: Amount, decimals: int, where: str, *, maximum: int = AMOUNT_MAX) -> int:
    """Units of a currency with so many decimals; `where` names the argument in the error.

    Raises InvalidAmount for a float, a bool, text that is not a plain number, what is not
    finite, negative, more precise than the currency, or above `maximum` (in units).

    >>> to_units("0.02", 9, "amount"), to_units(5, 0, "amount"), to_units("5.0", 0, "amount")
    (20000000, 5, 5)
    >>> to_units("0.005", 2, "amounts['usd']")
    Traceback (most recent call last):
    stiggctl.errors.InvalidAmount: amounts['usd']: got '0.005', expected at most 2 decimals
    """
    scale = _POWERS[decimals]
    if type(amount) is int:  # first and alone, because nearly all amounts are (a bool is not)
        number = amount
    elif isinstance(amount, int) and not isinstance(amount, bool):
        # A subclass (an IntEnum's member), as the int that it is, whatever it says of itself; not
        # through Decimal, which takes seconds for an int of a million digits.
        number = int.__index__(amount)
    else:
        exact = _read(amount, where)
        if exact.is_zero():
            return 0
        magnitude = exact.adjusted()  # 2 for 100 to 999: the exponent of the first digit
        if exact.is_signed():
            raise _negative(amount, where)
        if magnitude > DECIMALS_MAX + 1:
            raise _too_large(amount, decimals, where, maximum)
        if magnitude < -decimals:
            raise _too_precise(amount, decimals, where)
        try:
            units = int(CONTEXT.to_integral_exact(CONTEXT.scaleb(exact, decimals)))
        except Inexact:
            raise _too_precise(amount, decimals, where) from None
        if units > maximum:
            raise _too_large(amount, decimals, where, maximum)
        return units
    if number < 0:
        raise _negative(amount, where)
    if number > maximum // scale:
        raise _too_large(amount, decimals, where, maximum)
    return number * scale


def to_amount(units: int, decimals: int) -> int | Decimal:
    """The amount of so many units: an int where the currency has 0 decimals, else a Decimal.

    Negative units are possible: a reversal books minus an amount.

    >>> to_amount(5, 0), to_amount(20_000_000, 9), to_amount(0, 2)
    (5, Decimal('0.02'), Decimal('0'))
    """
    if not decimals:
        return units
    whole, rest = divmod(abs(units), _POWERS[decimals])
    sign = "-" if units < 0 else ""
    digits = str(rest).rjust(decimals, "0").rstrip("0")
    return Decimal(f"{sign}{whole}.{digits}" if digits else f"{sign}{whole}")


def plain(number: int | Decimal) -> str:
    """A number as people write it: no exponent, no zeros that say nothing.

    The caller bounds its size: 1E+999999 is written out.

    >>> plain(Decimal("0.020000000")), plain(1200), plain(Decimal("3E+2")), plain(Decimal("-0.0"))
    ('0.02', '1200', '300', '0')
    """
    if isinstance(number, int):
        return str(number)
    text = format(number, "f")
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text


def _read(amount: object, where: str) -> Decimal:
    """What was written, exactly; raises InvalidAmount where it is no finite number."""
    if isinstance(amount, bool | float):
        name = type(amount).__name__
        expected = f"{_KINDS}; a {name} is never an amount"
        raise InvalidAmount(where=where, value=amount, expected=expected)
    if isinstance(amount, str) and NUMBER.fullmatch(amount):
        # Decimal() of text is exact in every context; the pattern leaves it nothing to refuse
        # but a number of more digits than it can hold at all.
        return Decimal(amount)
    if isinstance(amount, Decimal) and amount.is_finite():
        return amount
    raise InvalidAmount(where=where, value=amount, expected=_KINDS)


def _negative(amount: object, where: str) -> InvalidAmount:
    return InvalidAmount(where=where, value=amount, expected="zero or more")


def _too_precise(amount: object, decimals: int, where: str) -> InvalidAmount:
    expected = f"at most {decimals} decimals" if decimals else "a whole number: the currency has no decimals"
    return InvalidAmount(where=where, value=amount, expected=expected)


def _too_large(amount: object, decimals: int, where: str, maximum: int) -> InvalidAmount:
    return InvalidAmount(where=where, value=amount, expected=f"at most {plain(to_amount(maximum, decimals))}")
