"""What a report refuses: with an error, and without a trace."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from stiggctl import (
    AmbiguousResource,
    CurrencyNotFound,
    CustomerNotFound,
    InvalidAmount,
    InvalidRequest,
    InvalidTimestamp,
    RateNotFound,
    UsageControl,
)
from stiggctl.testing import ManualClock

from .saying import ACME, TOKENS, Say, event_ids, flat, moment, numbers

GOOD: dict[str, Any] = {
    "customer_id": ACME,
    "event_name": "chat",
    "idempotency_key": "k",
    "resource_ids": ["user-01"],
    "credit_currency": TOKENS,
    "amount": 7,
    "dimensions": {"model": "gpt-5"},
    "timestamp": "2026-01-15T11:59:00Z",
}


def refused(control: UsageControl, say: Say, error: type[Exception], **wrong: Any) -> str:
    """It raises that error; nothing is booked; and the key is free for the report put right."""
    before = (numbers(control, "user-01"), event_ids(control))
    asked = {key: value for key, value in (GOOD | wrong).items() if value is not ...}
    with pytest.raises(error) as raised:
        say("report", **asked)
    assert (numbers(control, "user-01"), event_ids(control)) == before
    assert say("report", **GOOD).duplicate is False
    return str(raised.value)


@pytest.mark.parametrize(
    "timestamp",
    [
        "2026-01-15T11:59:00",
        datetime(2026, 1, 15, 11, 59),  # noqa: DTZ001 - naive on purpose
        "yesterday",
        "",
        "2026-13-01T00:00:00Z",
        "2026-02-30T00:00:00Z",
        "2026-01-15",
        "2026-01-15T25:00:00Z",
        1_768_478_340,
        1_768_478_340.5,
        True,
    ],
)
def test_a_timestamp_that_names_no_instant(acme: UsageControl, say: Say, timestamp: Any) -> None:
    assert "timestamp" in refused(acme, say, InvalidTimestamp, timestamp=timestamp)


def test_a_timestamp_more_than_five_minutes_ahead(acme: UsageControl, say: Say, clock: ManualClock) -> None:
    ahead = moment(clock) + timedelta(minutes=5, microseconds=1)
    refused(acme, say, InvalidTimestamp, timestamp=ahead)


@pytest.mark.parametrize(
    "amount",
    [-1, "-1", Decimal(-1), 7.0, "7.5", Decimal("0.1"), True, float("nan"), "NaN", 2**63, 10**17 + 1],
)
def test_an_amount_that_is_none(acme: UsageControl, say: Say, amount: Any) -> None:
    assert "amount" in refused(acme, say, InvalidAmount, amount=amount)


def test_no_amount_and_no_rate(acme: UsageControl, say: Say) -> None:
    assert "chat" in refused(acme, say, RateNotFound, amount=..., credit_currency=...)


def test_an_unknown_customer(acme: UsageControl, say: Say) -> None:
    assert "nobody" in refused(acme, say, CustomerNotFound, customer_id="nobody")


def test_an_unknown_currency(acme: UsageControl, say: Say) -> None:
    assert TOKENS in refused(acme, say, CurrencyNotFound, credit_currency="ai-token")


def test_resources_of_several_customers_and_no_customer(acme: UsageControl, say: Say) -> None:
    acme.apply(flat({"user-01": 1}, customer_id="other"))
    before = event_ids(acme)
    asked = {key: value for key, value in GOOD.items() if key != "customer_id"}
    with pytest.raises(AmbiguousResource) as ambiguous:
        say("report", **asked)
    assert set(ambiguous.value.customer_ids) == {ACME, "other"}
    assert event_ids(acme) == before
    assert event_ids(acme, "other") == []
    assert say("report", **GOOD).duplicate is False


@pytest.mark.parametrize(
    "wrong",
    [
        {"amounts": {TOKENS: 7}},
        {"resource_ids": "user-01"},
        {"idempotency_key": ""},
        {"idempotency_key": "x" * 256},
        {"idempotency_key": 5},
        {"dimensions": {"cost": 0.5}},
        {"dimensions": {"tags": ["a"]}},
        {"dimensions": {"none": None}},
        {"dimensions": {5: "a"}},
        {"dimensions": {f"d{place}": place for place in range(33)}},
        {"dimensions": {"prompt": "x" * 4097}},
        {"dimensions": ["model"]},
        {"event_name": ""},
        {"event_name": "x" * 256},
    ],
)
def test_contents_of_another_shape(acme: UsageControl, say: Say, wrong: dict[str, Any]) -> None:
    # B2, EV1
    refused(acme, say, InvalidRequest, **wrong)


def test_at_the_bounds_contents_are_accepted(acme: UsageControl, say: Say) -> None:
    dimensions = {f"d{place}": place for place in range(28)}
    dimensions |= {"yes": True, "price": Decimal("0.1"), "big": 10**17, "text": "ü" * 100}
    asked = GOOD | {"dimensions": dimensions, "idempotency_key": "ü" * 255, "event_name": "é" * 255}
    assert say("report", **asked).charged == 7
    (event,) = acme.events(customer_id=ACME)
    assert event.dimensions["text"] == "ü" * 100
    assert event.dimensions["yes"] is True
    assert str(event.dimensions["price"]) == "0.1"


def test_an_amount_that_would_take_a_counter_past_its_bound(acme: UsageControl, say: Say) -> None:
    most = GOOD | {"amount": 10**17}
    for place in range(80):
        say("report", **(most | {"idempotency_key": f"k{place}"}))
    assert numbers(acme, "user-01")["user-01"][0] == 8 * 10**18
    before = event_ids(acme)
    with pytest.raises(InvalidAmount):
        say("report", **(GOOD | {"amount": 1}))
    assert event_ids(acme) == before
    assert numbers(acme, "user-01")["user-01"][0] == 8 * 10**18
    assert say("report", **(GOOD | {"resource_ids": ["emea"], "amount": 1})).duplicate is False


def test_a_mapping_and_keywords_at_once(acme: UsageControl, say: Say) -> None:
    with pytest.raises((InvalidRequest, TypeError)):
        say("report", {"customerId": ACME, "eventName": "chat", "amount": 7}, event_name="chat")
    assert event_ids(acme) == []


def test_the_wrong_type_of_a_whole_report(acme: UsageControl, say: Say) -> None:
    for event in ("text", 5, [GOOD]):
        with pytest.raises(InvalidRequest):
            say("report", event)
    assert event_ids(acme) == []
