"""Prices: exact, rounded up once an event, or refused with the dimension's name."""

import decimal
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stiggctl.amounts import AMOUNT_MAX
from stiggctl.errors import InvalidAmount, InvalidRequest, shown
from stiggctl.rates import Rate, Term, applying, price

CREDITS = st.decimals(0, 10**6, places=12)
COUNTS = st.one_of(st.integers(0, 10**9), st.decimals(0, 10**9, places=6))
TERMS = st.tuples(CREDITS, st.decimals("0.000001", 10**9, places=6), COUNTS)


def rate(credits_: str | Decimal = "0", *terms: Term, currency: str = "usd", row: int = 7) -> Rate:
    return Rate(row, "chat", currency, Decimal(credits_), terms)


def tokens(credits_: str, per: str = "1") -> Term:
    return Term("tokens", Decimal(credits_), Decimal(per))


def units(one: Rate, dimensions: dict[str, Any], decimals: int) -> int:
    (found,) = price([one], dimensions, {one.currency_id: decimals}).values()
    assert found[1] == one.row
    return found[0]


def named(value: object) -> str:
    """A test's id: short, of plain letters, and for any value."""
    return ascii(shown(value))[1:20]


@given(CREDITS, st.lists(TERMS, max_size=4), st.integers(0, 9))
def test_a_price_is_exact_and_rounded_up_once(
    fixed: Decimal, terms: list[tuple[Decimal, Decimal, int | Decimal]], decimals: int
) -> None:
    """PR1."""
    one = rate(fixed, *(Term(f"d{at}", credits_, per) for at, (credits_, per, _) in enumerate(terms)))
    dimensions = {f"d{at}": count for at, (_, _, count) in enumerate(terms)}
    exact = (
        sum((Fraction(a) * Fraction(n) / Fraction(per) for a, per, n in terms), Fraction(fixed))
        * 10**decimals
    )
    with decimal.localcontext(prec=5) as host:
        host.traps[decimal.Inexact] = host.traps[decimal.FloatOperation] = True
        if exact > AMOUNT_MAX:
            with pytest.raises(InvalidAmount):
                units(one, dimensions, decimals)
            return
        found = units(one, dimensions, decimals)
        assert units(one, {name: f"{count:f}" for name, count in dimensions.items()}, decimals) == found
    assert 0 <= found - exact < 1


def test_terms_are_summed_before_they_are_rounded() -> None:
    thirds = [Term(name, Decimal(1), Decimal(3)) for name in "abc"]
    assert units(rate("0", *thirds), {"a": 1, "b": 1, "c": 1}, 0) == 1  # each rounded would be 3


@pytest.mark.parametrize(("count", "cents"), [(0, 0), (1, 1), (4_000, 1), (4_001, 2), (8_000, 2)])
def test_the_least_usage_costs_the_least_unit_and_none_costs_nothing(count: int, cents: int) -> None:
    assert units(rate("0", tokens("2.50", "1000000")), {"tokens": count}, 2) == cents


def test_every_currency_has_its_own_price_and_row() -> None:
    rates = [rate("0.25", row=3), rate("5", tokens("1", "1000"), currency="ai-tokens", row=4)]
    priced = price(rates, {"tokens": 1_500}, {"usd": 9, "ai-tokens": 0})
    assert priced == {"usd": (250_000_000, 3), "ai-tokens": (7, 4)}
    assert price([], {}, {}) == {}


def test_a_fixed_price_looks_at_no_dimension() -> None:
    assert units(rate("5"), {"tokens": "many"}, 0) == 5


@pytest.mark.parametrize(
    "value", [1500, "1500", "1500.0", "1.5e3", Decimal(1500), Decimal("1.5E+3"), "01500"]
)
def test_a_count_may_be_int_decimal_or_text(value: Any) -> None:
    assert units(rate("0", tokens("1")), {"tokens": value}, 0) == 1500


HOSTILE: list[Any] = [
    *(True, False, None, 1.5, float("nan"), float("inf"), b"5", [5], object()),
    *("", "many", " 5", "5 ", "5\n", "5_0", "+5", "0x5", "NaN", "inf", "true", "\u0665", "\uff15", "\ud800"),
    *(-1, "-1", "-0.5", Decimal(-1), Decimal("-1e-9")),
    *(Decimal("NaN"), Decimal("sNaN"), Decimal("Infinity"), Decimal("-Infinity")),
    *("1e999999999", "1e99999999999999999", "1e-999999999", Decimal("1e999999"), Decimal("1e-999999")),
    *(10**5_000, "1" * 5_000, 2**64, "0." + "3" * 5_000),
]


@pytest.mark.parametrize("value", HOSTILE, ids=named)
def test_what_is_no_count_is_refused_with_the_dimension_and_the_event(value: Any) -> None:
    with pytest.raises(InvalidRequest) as caught:
        price(
            [rate("5"), rate("0", tokens("1"), currency="ai-tokens")],
            {"tokens": value},
            {"usd": 2, "ai-tokens": 0},
        )
    error = caught.value
    assert error.value is value
    assert "'tokens'" in error.where
    assert "'chat'" in str(error)
    assert "a number of zero or more" in error.expected
    assert len(str(error)) < 1_000


def test_a_missing_dimension_is_refused_by_its_name_though_its_price_is_nothing() -> None:
    with pytest.raises(InvalidRequest, match=r"'tokens'.*'chat'"):
        price([rate("5", tokens("0"))], {"Tokens": 5}, {"usd": 2})


def test_a_price_may_be_as_large_as_an_amount_and_no_larger() -> None:
    one = rate("0.01", tokens("1", "100"))
    assert units(one, {"tokens": AMOUNT_MAX - 1}, 2) == AMOUNT_MAX
    with pytest.raises(InvalidAmount) as caught:
        units(one, {"tokens": AMOUNT_MAX}, 2)
    assert "'chat'" in caught.value.where
    assert "usd" in caught.value.where
    assert "at most 1000000000000000" in str(caught.value)
    assert str(AMOUNT_MAX + 1) in str(caught.value)


def test_a_price_of_any_size_is_refused_in_one_sentence() -> None:
    with pytest.raises(InvalidAmount) as caught:
        units(rate("0", tokens("1e37", "1e-37")), {"tokens": AMOUNT_MAX}, 18)
    assert len(str(caught.value)) < 1_000


# ------------------------------------------------------------------ which rates price an event

ASKED = st.dictionaries(
    st.sampled_from("mn"), st.frozensets(st.sampled_from(["a", "5", "true"]), min_size=1), max_size=2
)
RATES = st.lists(
    st.builds(
        lambda customer, currency, where, begins: (customer, currency, tuple(sorted(where.items())), begins),
        st.sampled_from([None, "c", "d"]),
        st.sampled_from(["usd", "tokens"]),
        ASKED,
        st.sampled_from([None, 10, 20, 30]),
    ),
    max_size=8,
)
DIMENSIONS = st.dictionaries(st.sampled_from("mn"), st.sampled_from(["a", "b", 5, "5", True, Decimal("5.0")]))


@given(RATES, DIMENSIONS, st.sampled_from([9, 10, 20, 35]), st.randoms())
def test_one_rate_a_currency_prices_an_event_whatever_their_order(
    given_rates: list[Any], dimensions: dict[str, Any], at_us: int, random: Any
) -> None:
    """PR2."""
    rates = [
        Rate(row, "chat", currency, Decimal(row), (), customer, where, begins)
        for row, (customer, currency, where, begins) in enumerate(given_rates)
    ]
    texts = {
        name: "5" if value in {5, "5"} and value is not True else "true" if value is True else value
        for name, value in dimensions.items()
    }
    expected = {}
    for currency in ("usd", "tokens"):
        fitting = [
            rate
            for rate in rates
            if rate.currency_id == currency
            and rate.customer_id in {None, "c"}
            and (rate.effective_at_us or 0) <= at_us
            and all(texts.get(name) in asked for name, asked in rate.where)
        ]
        own = [rate for rate in fitting if rate.customer_id] or fitting
        longest = [rate for rate in own if len(rate.where) == max(len(each.where) for each in own)]
        latest = max((rate.effective_at_us or 0 for rate in longest), default=0)
        last = [rate.row for rate in longest if (rate.effective_at_us or 0) == latest]
        if last:
            expected[currency] = max(last)
    random.shuffle(rates)
    assert {rate.currency_id: rate.row for rate in applying(rates, "c", dimensions, at_us)} == expected
