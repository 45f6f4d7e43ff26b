"""Amounts, at the door: right to the unit, or refused by name."""

import decimal
import enum
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stiggctl.amounts import (
    AMOUNT_MAX,
    CONTEXT,
    COUNTER_MAX,
    DECIMALS_MAX,
    LIMIT_MAX,
    plain,
    to_amount,
    to_units,
)
from stiggctl.errors import InvalidAmount, shown

WHERE = "amounts['usd']"
DECIMALS = st.integers(0, DECIMALS_MAX)
MAXIMA = st.sampled_from([AMOUNT_MAX, LIMIT_MAX, COUNTER_MAX, 10, 0])
NUMBERS = st.one_of(
    st.integers(-5, 10**20),
    st.decimals(-1, 10**20, places=None, allow_nan=False),
    st.builds(lambda units, scale: Decimal(units).scaleb(-scale, CONTEXT), st.integers(0, 10**19), DECIMALS),
)


def host() -> decimal.Context:
    """A host's context that would spoil everything that relied on it."""
    traps = [decimal.Inexact, decimal.Rounded, decimal.FloatOperation, decimal.Subnormal]
    return decimal.Context(prec=5, rounding=decimal.ROUND_UP, Emin=-9, Emax=9, traps=traps)


def reference(amount: int | Decimal, decimals: int, maximum: int) -> int | None:
    units = Fraction(amount) * 10**decimals
    return int(units) if units.denominator == 1 and 0 <= units <= maximum else None


def read(*args: Any, **kwargs: Any) -> int | None:
    try:
        return to_units(*args, **kwargs)
    except InvalidAmount:
        return None


@given(NUMBERS, DECIMALS, MAXIMA)
@example(AMOUNT_MAX, 0, AMOUNT_MAX)
@example(AMOUNT_MAX + 1, 0, AMOUNT_MAX)
@example(Decimal("1E+17"), 0, AMOUNT_MAX)
@example(Decimal("0.1"), 0, AMOUNT_MAX)
@example(Decimal("-0.0"), 0, 0)
def test_units_are_those_of_exact_arithmetic(amount: int | Decimal, decimals: int, maximum: int) -> None:
    """M1: the number itself, or nothing."""
    expected = reference(amount, decimals, maximum)
    assert read(amount, decimals, WHERE, maximum=maximum) == expected
    assert read(str(amount).replace("E+", "e"), decimals, WHERE, maximum=maximum) == expected


@given(NUMBERS, DECIMALS)
def test_the_hosts_decimal_context_changes_nothing_and_is_not_changed(
    amount: int | Decimal, decimals: int
) -> None:
    """M2."""
    before = read(amount, decimals, WHERE)
    back: int | Decimal | None = None
    with decimal.localcontext(host()) as context:
        flags, traps = dict(context.flags), dict(context.traps)
        assert read(amount, decimals, WHERE) == before
        assert read(str(amount), decimals, WHERE) == before
        if before is not None:
            back = to_amount(before, decimals)
            assert str(back) != ""
            assert plain(back) != ""
        assert (dict(context.flags), dict(context.traps)) == (flags, traps)
    assert back == (None if before is None else amount)


@given(st.integers(-COUNTER_MAX, COUNTER_MAX), DECIMALS)
def test_units_and_amounts_are_each_others_reverse(units: int, decimals: int) -> None:
    amount = to_amount(units, decimals)
    assert type(amount) is (Decimal if decimals else int)
    assert Fraction(amount) * 10**decimals == units
    if units >= 0:
        for written in (amount, plain(amount), str(amount)):
            assert to_units(written, decimals, WHERE, maximum=COUNTER_MAX) == units


@given(st.integers(-COUNTER_MAX, COUNTER_MAX), DECIMALS)
def test_plain_text_has_no_exponent_and_no_zeros_that_say_nothing(units: int, decimals: int) -> None:
    text = plain(to_amount(units, decimals))
    assert set(text) <= set("-.0123456789")
    assert not ("." in text and text.endswith(("0", ".")))
    assert Fraction(text) * 10**decimals == units


@pytest.mark.parametrize(
    ("amount", "decimals", "units"),
    [
        ("5", 0, 5),
        ("5.0", 0, 5),
        ("0.02", 9, 20_000_000),
        ("1e3", 0, 1_000),
        ("1E+3", 0, 1_000),
        ("25e-1", 1, 25),
        ("007", 0, 7),
        ("-0", 0, 0),
        ("0e999999999", 0, 0),
        ("0e-99999999999999999", 0, 0),
        ("5." + "0" * 10_000, 0, 5),
        ("0" * 10_000 + "5", 0, 5),
        (Decimal("1E+16"), 1, AMOUNT_MAX),
        (0, 18, 0),
    ],
)
def test_an_amount_may_be_written_in_many_ways(amount: Any, decimals: int, units: int) -> None:
    assert to_units(amount, decimals, WHERE) == units


class Priority(enum.IntEnum):
    HIGH = 7


class Sly(int):
    """An int that says of itself what is not so."""

    def __lt__(self, other: object) -> bool:
        return False

    def __gt__(self, other: object) -> bool:
        return False

    def __int__(self) -> int:
        return 1

    def __index__(self) -> int:
        return 1


def test_a_subclass_of_int_is_the_int_that_it_is() -> None:
    assert to_units(Priority.HIGH, 2, WHERE) == 700
    assert type(to_units(Priority.HIGH, 0, WHERE)) is int
    assert to_units(Sly(5), 0, WHERE) == 5
    for outside in (Sly(-1), Sly(AMOUNT_MAX + 1)):
        with pytest.raises(InvalidAmount):
            to_units(outside, 0, WHERE)


def named(value: object) -> str:
    """A test's id: short, of plain letters, and for any value."""
    return ascii(shown(value))[1:20]


KIND, SIGN, SIZE, PRECISION = 'such as "5" or "0.02"', "zero or more", "at most 100000000", "decimals"
REFUSED: list[tuple[Any, str]] = [
    *((value, KIND) for value in (0.1, 0.0, 1e30, float("nan"), float("inf"), float("-inf"))),
    *((value, KIND) for value in (True, False, None, b"5", 5j, [5], {"usd": 5}, object(), Fraction(1, 2))),
    *((Decimal(text), KIND) for text in ("NaN", "-NaN", "sNaN", "Infinity", "-Infinity")),
    *((text, KIND) for text in ("", " ", "NaN", "nan", "sNaN", "inf", "-Infinity", "five", "--5")),
    *(
        (text, KIND)
        for text in ("5_0", " 5", "5 ", "5\n", "\t5", "5,0", "0x5", "+5", ".5", "5.", "1e", "1e+")
    ),
    *(
        (text, KIND)
        for text in (
            "\u0665",
            "\u096b",
            "\uff15",
            "\xb2",
            "5\u0660",
            "1e\u0663",
            "5\u066b0",
            "\u22125",
            "\ud800",
        )
    ),
    ("1e" + "9" * 18, KIND),
    *((value, SIGN) for value in (-1, "-1", "-0.5", Decimal(-1), "-1e999999999", -(10**5_000), -(2**63))),
    *((value, SIZE) for value in (2**63, 2**64, 10**5_000, AMOUNT_MAX, str(2**63), Decimal(2**63))),
    *((value, SIZE) for value in ("1e999999999", "1e99999999999999999", Decimal("1e999999"), "1" * 10**6)),
    *((value, PRECISION) for value in ("0.0000000001", Decimal("0.0000000001"), "1.0000000001")),
    *((value, PRECISION) for value in ("1e-999999999", "1e-99999999999999999", Decimal("1e-999999"))),
    ("0." + "3" * 10**6, PRECISION),
    ("1." + "0" * 10**6 + "1", PRECISION),
]


@pytest.mark.parametrize("context", [decimal.Context, host], ids=["usual", "narrow"])
@pytest.mark.parametrize(("amount", "right"), REFUSED, ids=named)
def test_what_is_no_amount_is_refused_with_what_was_given_where_and_what_is_right(
    amount: Any, right: str, context: Callable[[], decimal.Context]
) -> None:
    """M3: also at once; a test that hung would be seen."""
    with decimal.localcontext(context()), pytest.raises(InvalidAmount) as caught:
        to_units(amount, 9, WHERE)
    error = caught.value
    assert error.where == WHERE
    assert error.value is amount
    assert right in error.expected
    assert str(error).startswith(f"{WHERE}: got ")
    assert error.expected in str(error)
    assert len(str(error)) < 1_000


def test_a_float_and_a_bool_are_called_by_their_names() -> None:
    told: list[tuple[Any, str]] = [(0.1, "float"), (True, "bool")]
    for amount, name in told:
        with pytest.raises(InvalidAmount, match=f"a {name} is never an amount"):
            to_units(amount, 0, WHERE)


def test_a_currency_without_decimals_asks_for_a_whole_number() -> None:
    with pytest.raises(InvalidAmount, match="expected a whole number"):
        to_units("0.5", 0, WHERE)


@pytest.mark.parametrize(
    "value", [10**1_000_000, Sly(10**1_000_000), -Sly(10**1_000_000)], ids=["int", "sub", "neg"]
)
def test_an_int_of_a_million_digits_is_refused_without_being_written_out(
    value: int, monkeypatch: Any
) -> None:
    """M3: Decimal takes 17 seconds for such an int, so it must not be asked."""
    monkeypatch.setattr("stiggctl.amounts.Decimal", type("Never", (), {}))
    with pytest.raises(InvalidAmount) as caught:
        to_units(value, 0, WHERE)
    assert caught.value.value is value
    assert len(str(caught.value)) < 200


def test_bounds_leave_room_inside_64_bits() -> None:
    assert AMOUNT_MAX < LIMIT_MAX < COUNTER_MAX
    assert COUNTER_MAX + LIMIT_MAX + AMOUNT_MAX < 2**63
    assert 10**DECIMALS_MAX == LIMIT_MAX


def test_our_context_traps_every_loss() -> None:
    lossy_ones: list[Callable[[], object]] = [
        lambda: CONTEXT.divide(Decimal(1), Decimal(3)),
        lambda: CONTEXT.plus(Decimal("1" * 61)),
        lambda: CONTEXT.multiply(Decimal("1e999999"), Decimal(10)),
        lambda: CONTEXT.create_decimal_from_float(0.1) and CONTEXT.create_decimal(0.1),
        lambda: CONTEXT.divide(Decimal(1), Decimal(0)),
    ]
    for lossy in lossy_ones:
        with pytest.raises(decimal.DecimalException):
            lossy()
