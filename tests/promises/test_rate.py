"""Rates: what an event costs, in each of its currencies."""

from decimal import Decimal
from typing import Any

import pytest

from stiggctl import RateNotFound, UsageControl

from .saying import TOKENS, Say, event_ids, flat, numbers


def priced(control: UsageControl, *rates: dict[str, Any], **also: Any) -> None:
    model = flat({"a": 1_000_000})
    model["creditCurrencies"] = [{"id": TOKENS}, {"id": "usd", "decimals": 2}]
    control.apply(model | {"rates": list(rates)} | also)


def reported(say: Say, name: str = "chat", **more: Any) -> Any:
    return say("report", customer_id="c", event_name=name, resource_ids=["a"], **more)


def test_a_fixed_rate(control: UsageControl, say: Say) -> None:
    priced(control, {"eventName": "chat", "creditCurrency": TOKENS, "credits": 5})
    assert reported(say).charged == 5
    assert numbers(control, "a")["a"][0] == 5


@pytest.mark.parametrize(
    ("fixed", "term", "tokens", "charged"),
    [
        (0, {"credits": 3}, 7, 21),
        (1, {"credits": 3}, 7, 22),
        (0, {"credits": 2, "per": 1000}, 3000, 6),
        (0, {"credits": 2, "per": 1000}, 3001, 7),  # up to the next unit
        (0, {"credits": 2, "per": 1000}, 1, 1),
        (0, {"credits": 2, "per": 1000}, 0, 0),
        (1, {"credits": 2, "per": 1000}, 1, 2),
        ("0.5", {"credits": "0.25"}, 2, 1),  # half and half is one, not two halves rounded
        (0, {"credits": 1, "per": 3}, 3, 1),
        (0, {"credits": 1, "per": 3}, 10, 4),
        (0, {"credits": "0.1"}, "2.5", 1),
        (0, {"credits": "0.4"}, Decimal("2.5"), 1),
        (0, {"credits": 1}, 10**15, 10**15),
    ],
)
def test_terms_charge_by_the_number_in_a_dimension(
    control: UsageControl, say: Say, fixed: Any, term: dict[str, Any], tokens: Any, charged: int
) -> None:
    rate = {"eventName": "chat", "creditCurrency": TOKENS, "credits": fixed}
    priced(control, rate | {"terms": [{"dimension": "tokens", **term}]})
    assert reported(say, dimensions={"tokens": tokens}).charged == charged


def test_all_terms_are_added_before_the_one_rounding(control: UsageControl, say: Say) -> None:
    terms = [
        {"dimension": "input", "credits": "0.3", "per": 1000},
        {"dimension": "output", "credits": "0.6", "per": 1000},
    ]
    priced(control, {"eventName": "chat", "creditCurrency": TOKENS, "credits": "0.1", "terms": terms})
    assert reported(say, dimensions={"input": 1000, "output": 1000}).charged == 1
    assert reported(say, dimensions={"input": 1000, "output": 1001}).charged == 2


def test_thirds_are_exact(control: UsageControl, say: Say) -> None:
    terms = [{"dimension": name, "credits": 1, "per": 3} for name in ("x", "y", "z")]
    priced(control, {"eventName": "chat", "creditCurrency": TOKENS, "credits": 0, "terms": terms})
    assert reported(say, dimensions={"x": 1, "y": 1, "z": 1}).charged == 1


def test_rounding_goes_to_the_currencys_own_unit(control: UsageControl, say: Say) -> None:
    rate = {"eventName": "chat", "creditCurrency": "usd", "credits": 0}
    priced(control, rate | {"terms": [{"dimension": "tokens", "credits": 1, "per": 1000}]})
    assert str(reported(say, dimensions={"tokens": 11}).charged) == "0.02"


def test_rates_of_several_currencies_all_charge(control: UsageControl, say: Say) -> None:
    priced(
        control,
        {"eventName": "chat", "creditCurrency": TOKENS, "credits": 5},
        {"eventName": "chat", "creditCurrency": "usd", "credits": "0.25"},
        {"eventName": "mail", "creditCurrency": TOKENS, "credits": 7},
    )
    receipt = reported(say, idempotency_key="k")
    assert receipt.amounts == {TOKENS: 5, "usd": Decimal("0.25")}
    assert len(event_ids(control, "c")) == 1
    assert reported(say, idempotency_key="k").amounts == receipt.amounts
    assert reported(say, "mail").amounts == {TOKENS: 7}


def test_an_amount_given_is_charged_as_it_is(control: UsageControl, say: Say) -> None:
    priced(control, {"eventName": "chat", "creditCurrency": TOKENS, "credits": 5})
    assert reported(say, amount=2, credit_currency=TOKENS).charged == 2


def test_another_event_has_no_rate(control: UsageControl, say: Say) -> None:
    priced(control, {"eventName": "chat", "creditCurrency": TOKENS, "credits": 5})
    for name in ("Chat", "chat ", "chats"):
        with pytest.raises(RateNotFound) as missing:
            reported(say, name)
        assert missing.value.event_name == name
    assert event_ids(control, "c") == []


def test_a_customers_rate_is_not_anothers(control: UsageControl, say: Say) -> None:
    control.apply({"customers": [{"id": "other"}]})
    priced(control, {"eventName": "chat", "creditCurrency": TOKENS, "credits": 5, "customerId": "other"})
    with pytest.raises(RateNotFound):
        reported(say)
    assert say("report", customer_id="other", event_name="chat").charged == 5


def test_a_changed_rate_prices_what_comes_after(control: UsageControl, say: Say) -> None:
    priced(control, {"eventName": "chat", "creditCurrency": TOKENS, "credits": 5})
    first = reported(say, idempotency_key="k")
    control.set_rate(event_name="chat", credit_currency=TOKENS, credits=9)
    assert reported(say).charged == 9
    again = reported(say, idempotency_key="k")  # a priced amount is not what the caller gave
    assert (again.event_id, again.charged, again.duplicate) == (first.event_id, 5, True)
    assert numbers(control, "a")["a"][0] == 14


def test_a_rate_that_costs_nothing_is_a_rate(control: UsageControl, say: Say) -> None:
    priced(control, {"eventName": "chat", "creditCurrency": TOKENS, "credits": 0})
    assert reported(say).charged == 0
    assert len(event_ids(control, "c")) == 1
