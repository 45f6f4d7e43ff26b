"""Several currencies at once, all or nothing; and money to the ninth decimal."""

from decimal import Decimal
from typing import Any

import pytest

from stiggctl import AccessDenied, CurrencyNotFound, InvalidAmount, InvalidRequest, UsageControl

from .saying import TOKENS, Say, event_ids, numbers

BOTH = {TOKENS: 500, "usd": "0.02"}


@pytest.fixture
def priced(control: UsageControl) -> UsageControl:
    """Customer c, one resource a: 1,000 ai-tokens and 0.05 usd (nine decimals); b without usd."""
    control.apply(
        {
            "creditCurrencies": [{"id": "usd", "name": "US dollar", "decimals": 9}],
            "resourceTypes": [{"id": "node"}],
            "resources": [
                {"id": "a", "resourceTypeId": "node", "customerId": "c"},
                {"id": "b", "resourceTypeId": "node", "customerId": "c"},
            ],
            "allocations": [
                {"resourceId": "a", "creditCurrency": TOKENS, "limit": 1000},
                {"resourceId": "a", "creditCurrency": "usd", "limit": "0.05"},
                {"resourceId": "b", "creditCurrency": TOKENS, "limit": 5000},
            ],
        }
    )
    return control


def state(control: UsageControl) -> tuple[object, ...]:
    return (
        numbers(control, "a", "b"),
        numbers(control, "a", credit_currency="usd"),
        len(event_ids(control, "c")),
        len(list(control.reservations())),
    )


def test_several_currencies_are_looked_at_together(priced: UsageControl, say: Say) -> None:
    decision = say("check", resource_ids=["a"], amounts=BOTH)
    assert decision.has_access
    assert [(limit.credit_currency, limit.remaining) for limit in decision.limits] == [
        (TOKENS, 1000),
        ("usd", Decimal("0.05")),
    ]


def test_remaining_counts_in_the_currency_that_binds(priced: UsageControl, say: Say) -> None:
    decision = say("check", resource_ids=["a"], amounts={TOKENS: 500, "usd": "0.050000001"})
    assert not decision.has_access
    assert decision.binding.credit_currency == "usd"
    assert decision.remaining == Decimal("0.05")
    decision = say("check", resource_ids=["a"], amounts={TOKENS: 1001, "usd": "0.01"})
    assert (decision.binding.credit_currency, decision.remaining) == (TOKENS, 1000)


@pytest.mark.parametrize("lacking", [{TOKENS: 1001, "usd": "0.01"}, {TOKENS: 1, "usd": "0.06"}])
@pytest.mark.parametrize("verb", ["reserve", "consume"])
def test_of_several_currencies_all_or_none_are_taken(
    priced: UsageControl, say: Say, verb: str, lacking: dict[str, Any]
) -> None:
    before = state(priced)
    with pytest.raises(AccessDenied):
        say(verb, resource_ids=["a"], amounts=lacking)
    assert state(priced) == before


def test_consume_and_report_of_several_currencies_book_one_event(priced: UsageControl, say: Say) -> None:
    receipt = say("consume", resource_ids=["a"], amounts=BOTH, idempotency_key="k")
    assert receipt.amounts == {TOKENS: 500, "usd": Decimal("0.02")}
    reported = say("report", customer_id="c", event_name="e", resource_ids=["a"], amounts=BOTH)
    assert reported.amounts == receipt.amounts
    assert numbers(priced, "a", credit_currency="usd") == {"a": (Decimal("0.04"), 0, Decimal("0.01"))}
    assert numbers(priced, "a") == {"a": (1000, 0, 0)}
    again = say(
        "consume", resource_ids=["a"], amounts={"usd": Decimal("0.0200"), TOKENS: "500"}, idempotency_key="k"
    )
    assert (again.duplicate, again.event_id) == (True, receipt.event_id)
    assert set(event_ids(priced, "c")) == {receipt.event_id, reported.event_id}


def test_a_reservation_of_several_currencies_settles_each(priced: UsageControl, say: Say) -> None:
    reservation = say("reserve", resource_ids=["a"], amounts=BOTH)
    assert reservation.amounts == {TOKENS: 500, "usd": Decimal("0.02")}
    assert numbers(priced, "a") == {"a": (0, 500, 500)}
    receipt = say.to(reservation, "settle", amounts={TOKENS: 100, "usd": "0.030000000"})
    assert receipt.amounts == {TOKENS: 100, "usd": Decimal("0.03")}
    assert numbers(priced, "a") == {"a": (100, 0, 900)}
    assert numbers(priced, "a", credit_currency="usd") == {"a": (Decimal("0.03"), 0, Decimal("0.02"))}


def test_settling_several_with_one_number_is_refused_and_leaves_the_hold(
    priced: UsageControl, say: Say
) -> None:
    reservation = say("reserve", resource_ids=["a"], amounts=BOTH)
    with pytest.raises(InvalidRequest):
        say.to(reservation, "settle", 5)
    assert numbers(priced, "a") == {"a": (0, 500, 500)}
    say.to(reservation, "release")


def test_what_comes_back_is_int_without_decimals_and_decimal_with(priced: UsageControl, say: Say) -> None:
    decision = say("check", resource_ids=["a"], amounts=BOTH)
    tokens, usd = decision.limits
    assert [type(number) for number in (tokens.limit, tokens.used, tokens.held, tokens.remaining)] == [
        int
    ] * 4
    assert [type(number) for number in (usd.limit, usd.used, usd.held, usd.remaining)] == [Decimal] * 4
    receipt = say("consume", resource_ids=["a"], credit_currency="usd", amount="0.020000000")
    assert type(receipt.charged) is Decimal
    assert str(receipt.charged) == "0.02"


def test_the_smallest_unit_is_counted(priced: UsageControl, say: Say) -> None:
    for _ in range(3):
        say("consume", resource_ids=["a"], credit_currency="usd", amount="0.000000001")
    assert numbers(priced, "a", credit_currency="usd")["a"][0] == Decimal("0.000000003")
    with pytest.raises(InvalidAmount):
        say("consume", resource_ids=["a"], credit_currency="usd", amount="0.0000000001")


def test_a_currency_first_named_by_an_allocation_has_no_decimals(priced: UsageControl, say: Say) -> None:
    with pytest.raises(InvalidAmount):
        say("check", resource_ids=["a"], credit_currency=TOKENS, requested_usage="0.5")


def test_an_unknown_currency_among_several_is_an_error(priced: UsageControl, say: Say) -> None:
    before = state(priced)
    with pytest.raises(CurrencyNotFound):
        say("consume", resource_ids=["a"], amounts={TOKENS: 1, "eur": 1})
    assert state(priced) == before


def test_an_amount_without_a_currency_is_in_the_customers_only_one(
    acme: UsageControl, priced: UsageControl, say: Say
) -> None:
    receipt = say(
        "report", customer_id="cust-acme-inc", event_name="chat", resource_ids=["user-01"], amount=7
    )
    assert receipt.amounts == {TOKENS: 7}
    with pytest.raises(InvalidRequest):
        say("report", customer_id="c", event_name="chat", resource_ids=["a"], amount=7)
    assert event_ids(priced, "c") == []
