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


# ------------------------------------------------------------------ which rate


def rate(cost: Any, **more: Any) -> dict[str, Any]:
    return {"eventName": "chat", "creditCurrency": TOKENS, "credits": cost, **more}


def test_the_most_particular_rate_prices_an_event(control: UsageControl, say: Say) -> None:
    priced(
        control,
        rate(1),
        rate(2, where={"model": ["gpt-5", "o4"]}),
        rate(3, where={"model": "gpt-5", "batch": True}),
        rate(4, where={"n": 5}),
    )
    for dimensions, charged in (
        ({}, 1),
        ({"model": "other"}, 1),
        ({"model": "o4"}, 2),
        ({"model": "gpt-5", "batch": False}, 2),
        ({"model": "gpt-5", "batch": True}, 3),
        ({"model": "gpt-5", "batch": "true"}, 3),  # values are compared as text in one form
        ({"n": Decimal("5.0")}, 4),
        ({"n": "5"}, 4),
        ({"n": "5.0"}, 1),
    ):
        assert reported(say, dimensions=dimensions).charged == charged, dimensions


def test_a_customers_own_rate_stands_before_a_more_particular_one_for_all(
    control: UsageControl, say: Say
) -> None:
    priced(control, rate(1, customerId="c"), rate(2, where={"model": "o4"}), rate(3))
    assert reported(say, dimensions={"model": "o4"}).charged == 1


def test_one_rate_a_currency_prices_an_event(control: UsageControl, say: Say) -> None:
    priced(
        control,
        rate(1),
        rate(2, where={"model": "o4"}),
        {"eventName": "chat", "creditCurrency": "usd", "credits": "0.05", "where": {"model": "gpt-5"}},
    )
    assert reported(say, dimensions={"model": "o4"}).amounts == {TOKENS: 2}
    assert reported(say, dimensions={"model": "gpt-5"}).amounts == {TOKENS: 1, "usd": Decimal("0.05")}


def test_an_event_is_priced_at_its_own_instant(control: UsageControl, say: Say) -> None:
    priced(
        control,
        rate(1),
        rate(2, effectiveAt="2026-01-10T00:00:00Z"),
        rate(3, effectiveAt="2026-01-14T00:00:00+01:00"),
        rate(4, effectiveAt="2026-02-01T00:00:00Z"),
    )
    for timestamp, charged in (
        (None, 3),
        ("2026-01-09T23:59:59.999999Z", 1),
        ("2026-01-10T00:00:00Z", 2),
        ("2026-01-13T22:59:59Z", 2),
        ("2026-01-13T23:00:00Z", 3),
    ):
        assert reported(say, timestamp=timestamp).charged == charged, timestamp


def test_an_event_that_no_rate_is_for_is_not_booked(control: UsageControl, say: Say) -> None:
    priced(control, rate(1, where={"model": "o4"}), rate(1, effectiveAt="2026-02-01T00:00:00Z"))
    with pytest.raises(RateNotFound, match="for other customers, currencies or dimensions, or begin later"):
        reported(say, dimensions={"model": "gpt-5"})
    assert numbers(control, "a")["a"][0] == 0


def test_what_was_priced_stays_as_it_was_charged(control: UsageControl, say: Say) -> None:
    priced(control, rate(1))
    first = reported(say, idempotency_key="k")
    control.set_rate(event_name="chat", credit_currency=TOKENS, credits=2)
    control.set_rate(
        event_name="chat", credit_currency=TOKENS, credits=7, effective_at="2026-02-01T00:00:00Z", actor="ann"
    )
    again = reported(say, idempotency_key="k")
    assert (again.duplicate, again.charged, again.event_id) == (True, 1, first.event_id)
    assert reported(say).charged == 2
    entry = list(control.audit())[-1]
    assert (entry.verb, entry.actor) == ("set_rate", "ann")
    assert "2026-02-01" in (entry.after or "")
