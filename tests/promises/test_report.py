"""A report: usage that took place is booked, whatever the limits say."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest

from stiggctl import UsageControl
from stiggctl.testing import ManualClock

from .saying import ACME, TOKENS, Say, event_ids, flat, moment, numbers

USER: dict[str, Any] = {
    "customer_id": ACME,
    "event_name": "chat",
    "resource_ids": ["user-01"],
    "credit_currency": TOKENS,
}


def of_user(control: UsageControl) -> tuple[Any, ...]:
    return numbers(control, "user-01")["user-01"]


def overages(receipt: Any) -> dict[str, Any]:
    return {limit.resource_id: limit.overage for limit in receipt.limits}


def test_a_report_is_booked_in_every_limit_above(acme: UsageControl, say: Say) -> None:
    receipt = say("report", **USER, amount=7)
    assert (receipt.charged, receipt.amounts, receipt.overage) == (7, {TOKENS: 7}, 0)
    assert numbers(acme, "user-01") == {
        "org-acme": (7, 0, 49993),
        "dept-marketing": (7, 0, 19993),
        "team-growth": (7, 0, 4993),
        "user-01": (7, 0, 193),
    }
    assert event_ids(acme) == [receipt.event_id]


def test_the_receipt_shows_each_limit_as_it_stands_after(acme: UsageControl, say: Say) -> None:
    say("report", **USER, amount=7)
    receipt = say("report", **USER, amount=3)
    assert {limit.resource_id: (limit.used, limit.limit) for limit in receipt.limits} == {
        "org-acme": (10, 50000),
        "dept-marketing": (10, 20000),
        "team-growth": (10, 5000),
        "user-01": (10, 200),
    }


def test_overages_sum_to_what_a_limit_is_over(acme: UsageControl, say: Say) -> None:
    receipts = [say("report", **USER, amount=amount) for amount in (150, 50, 1, 0, 30)]
    assert [receipt.overage for receipt in receipts] == [0, 0, 1, 0, 30]
    assert [overages(receipt)["user-01"] for receipt in receipts] == [0, 0, 1, 0, 30]
    assert [overages(receipt)["team-growth"] for receipt in receipts] == [0] * 5
    assert of_user(acme) == (231, 0, 0)


def test_overage_is_the_largest_over_the_limits_soft_ones_too(control: UsageControl, say: Say) -> None:
    control.apply(flat({"hard": 10, "soft": 4, "wide": 100}, soft=["soft"]))
    receipt = say(
        "report",
        customer_id="c",
        event_name="e",
        resource_ids=["hard", "soft", "wide"],
        credit_currency=TOKENS,
        amount=15,
    )
    assert receipt.overage == 11
    assert overages(receipt) == {"hard": 5, "soft": 11, "wide": 0}


def test_what_is_held_is_no_overage(acme: UsageControl, say: Say) -> None:
    acme.reserve(resource_ids=["user-01"], credit_currency=TOKENS, amount=150)
    receipt = say("report", **USER, amount=100)
    assert receipt.overage == 0
    assert of_user(acme) == (100, 150, 0)


def test_archived_and_suspended_resources_are_booked(acme: UsageControl, say: Say) -> None:
    # B1
    acme.suspend("team-growth")
    acme.archive_resource("user-01")
    assert say("report", **USER, amount=7).charged == 7
    acme.archive_customer(ACME)
    assert say("report", **USER, amount=3).charged == 3
    acme.restore_customer(ACME)
    acme.restore_resource("user-01")
    acme.resume("team-growth")
    assert of_user(acme) == (10, 0, 190)


def test_dimensions_name_resources_by_the_keys_of_their_type(acme: UsageControl, say: Say) -> None:
    event = {"customer_id": ACME, "event_name": "chat", "credit_currency": TOKENS, "amount": 1}
    for key in ("user", "user_id", "userId"):
        say("report", **event, dimensions={key: "user-01"})
    assert of_user(acme)[0] == 3
    receipt = say(
        "report", **event, dimensions={"user-id": "user-01", "USER_ID": "user-01", "who": "user-01"}
    )
    assert (receipt.limits, tuple(receipt.unattributed)) == ((), ())
    assert of_user(acme)[0] == 3


def test_a_type_may_name_its_own_attribution_keys(control: UsageControl, say: Say) -> None:
    model = flat({"a": 10, "b": 10})
    model["resourceTypes"] = [{"id": "node", "attributionKeys": ["agent", "assistant"]}]
    control.apply(model)
    event = {"customer_id": "c", "event_name": "e", "credit_currency": TOKENS, "amount": 1}
    say("report", **event, dimensions={"agent": "a", "assistant": "b", "node_id": "a"})
    assert numbers(control, "a", "b") == {"a": (1, 0, 9), "b": (1, 0, 9)}
    say("report", **event, dimensions={"node_id": "a"})
    assert numbers(control, "a") == {"a": (1, 0, 9)}


def test_an_id_of_another_type_is_not_attributed(acme: UsageControl, say: Say) -> None:
    receipt = say(
        "report",
        customer_id=ACME,
        event_name="chat",
        credit_currency=TOKENS,
        amount=1,
        dimensions={"user_id": "emea", "region": "user-01"},
    )
    assert set(receipt.unattributed) == {"emea", "user-01"}
    assert numbers(acme, "user-01", "emea")["emea"][0] == 0
    assert of_user(acme)[0] == 0


def test_given_resource_ids_the_dimensions_attribute_nothing(acme: UsageControl, say: Say) -> None:
    receipt = say("report", **USER, amount=7, dimensions={"region": "emea", "user_id": "user-bob"})
    assert tuple(receipt.unattributed) == ()
    assert numbers(acme, "user-01", "emea", "user-bob")["emea"] == (0, 0, 1000)
    assert numbers(acme, "user-bob")["user-bob"] == (0, 0, 200)
    assert of_user(acme)[0] == 7


def test_unknown_ids_are_unattributed_and_the_rest_is_booked(acme: UsageControl, say: Say) -> None:
    asked = USER | {"resource_ids": ["nobody", "user-01", "nowhere", "nobody"]}
    receipt = say("report", **asked, amount=7)
    assert sorted(receipt.unattributed) == ["nobody", "nowhere"]
    assert of_user(acme)[0] == 7
    receipt = say("report", **(USER | {"resource_ids": ["nobody"]}), amount=7)
    assert (receipt.charged, receipt.limits, receipt.overage) == (7, (), 0)
    assert len(event_ids(acme)) == 2


def test_the_customer_may_be_found_by_the_resources(acme: UsageControl, say: Say) -> None:
    asked = {key: value for key, value in USER.items() if key != "customer_id"}
    assert say("report", **asked, amount=7).charged == 7
    assert of_user(acme)[0] == 7


@pytest.mark.parametrize(
    "timestamp",
    [
        "2025-10-26T15:01:55.768Z",
        "2025-10-26T15:01:55.768+00:00",
        "2025-10-26T17:01:55.768000+02:00",
        datetime(2025, 10, 26, 15, 1, 55, 768_000, tzinfo=UTC),
        datetime(2025, 10, 26, 10, 1, 55, 768_000, tzinfo=timezone(timedelta(hours=-5))),
        "2025-10-26T15:01:55.768000999Z",  # finer than a microsecond: cut
    ],
)
def test_a_timestamp_is_text_or_an_aware_datetime(acme: UsageControl, say: Say, timestamp: Any) -> None:
    receipt = say("report", **USER, amount=7, timestamp=timestamp, idempotency_key="k")
    (event,) = acme.events(customer_id=ACME)
    assert event.occurred_at == datetime(2025, 10, 26, 15, 1, 55, 768_000, tzinfo=UTC)
    assert receipt.late is False  # a lifetime limit has no window that closes
    assert of_user(acme)[0] == 7


def test_left_out_the_timestamp_is_now(acme: UsageControl, say: Say, clock: ManualClock) -> None:
    clock.advance(seconds=0.25)
    say("report", **USER, amount=7)
    assert next(iter(acme.events(customer_id=ACME))).occurred_at == moment(clock)


def test_five_minutes_ahead_is_accepted(acme: UsageControl, say: Say, clock: ManualClock) -> None:
    ahead = moment(clock) + timedelta(minutes=5)
    assert say("report", **USER, amount=7, timestamp=ahead).charged == 7


@pytest.mark.parametrize("amount", [5, "5", "5.0", "5e0", Decimal(5), Decimal("5.000"), Decimal("0.5e1")])
def test_five_is_five_however_it_is_written(acme: UsageControl, say: Say, amount: Any) -> None:
    receipt = say("report", **USER, amount=amount)
    assert receipt.charged == 5
    assert type(receipt.charged) is int


def test_the_customer_must_be_known_but_its_resources_need_not(control: UsageControl, say: Say) -> None:
    control.apply(
        {"customers": [{"id": "new"}], "creditCurrencies": [{"id": TOKENS}, {"id": "usd", "decimals": 2}]}
    )
    receipt = say(
        "report",
        customer_id="new",
        event_name="e",
        credit_currency="usd",
        amount="1.5",
        dimensions={"user": "x"},
    )
    assert receipt.charged == Decimal("1.5")
    assert event_ids(control, "new") == [receipt.event_id]


def test_a_report_takes_no_part_in_what_is_held(acme: UsageControl, say: Say) -> None:
    reservation = acme.reserve(resource_ids=["user-01"], credit_currency=TOKENS, amount=100)
    say("report", **USER, amount=150)
    assert of_user(acme) == (150, 100, 0)
    assert reservation.settle(100).overage == 50
    assert of_user(acme) == (250, 0, 0)
