"""report_many: few commits; a receipt or an error for each, in order."""

from typing import Any

from stiggctl import (
    CustomerNotFound,
    IdempotencyConflict,
    InvalidAmount,
    InvalidRequest,
    InvalidTimestamp,
    RateNotFound,
    Receipt,
    UsageControl,
)

from .saying import ACME, TOKENS, Say, event_ids, numbers


def event(key: str, **more: Any) -> dict[str, Any]:
    return {
        "customerId": ACME,
        "eventName": "chat",
        "idempotencyKey": key,
        "resourceIds": ["user-01"],
        "creditCurrency": TOKENS,
        "amount": 1,
    } | more


def test_each_has_its_receipt_in_order(acme: UsageControl, say: Say) -> None:
    receipts = say("report_many", [event(f"k{place}", amount=place) for place in range(50)])
    assert [receipt.charged for receipt in receipts] == list(range(50))
    assert event_ids(acme) == [receipt.event_id for receipt in receipts]
    assert numbers(acme, "user-01")["user-01"][0] == sum(range(50))


def test_one_that_is_wrong_does_not_spoil_the_others(acme: UsageControl, say: Say) -> None:
    answers = say(
        "report_many",
        [
            event("a"),
            event("b", amount=1.5),
            event("c", timestamp="2026-01-15T11:59:00"),
            event("d", customerId="nobody"),
            {"customerId": ACME, "eventName": "no-rate", "idempotencyKey": "e"},
            event("f", amout=1),
            event("g"),
        ],
    )
    kinds = (
        Receipt,
        InvalidAmount,
        InvalidTimestamp,
        CustomerNotFound,
        RateNotFound,
        InvalidRequest,
        Receipt,
    )
    assert [type(answer) for answer in answers] == list(kinds)
    assert event_ids(acme) == [answers[0].event_id, answers[-1].event_id]
    assert say("report_many", [event("b"), event("c")])[0].duplicate is False  # a refused one's key is free


def test_one_key_twice_in_a_batch_is_booked_once(acme: UsageControl, say: Say) -> None:
    first, second, other = say("report_many", [event("k"), event("k", amount="1.0"), event("k", amount=2)])
    assert (first.duplicate, second.duplicate) == (False, True)
    assert second.event_id == first.event_id
    assert isinstance(other, IdempotencyConflict)
    assert numbers(acme, "user-01")["user-01"][0] == 1


def test_a_batch_sent_again_books_nothing(acme: UsageControl, say: Say) -> None:
    batch = [event(f"k{place}") for place in range(10)]
    first = say("report_many", batch)
    again = say("report_many", batch)
    assert [receipt.event_id for receipt in again] == [receipt.event_id for receipt in first]
    assert all(receipt.duplicate for receipt in again)
    assert numbers(acme, "user-01")["user-01"][0] == 10


def test_overages_follow_the_order_of_the_batch(acme: UsageControl, say: Say) -> None:
    receipts = say("report_many", [event(f"k{place}", amount=90) for place in range(4)])
    assert [receipt.overage for receipt in receipts] == [0, 0, 70, 90]


def test_snake_case_and_rates_work_in_a_batch_too(acme: UsageControl, say: Say) -> None:
    (receipt,) = say(
        "report_many",
        [
            {
                "customer_id": ACME,
                "event_name": "email_enrichment",
                "idempotency_key": "k",
                "dimensions": {"user_id": "user-01", "region": "emea"},
            }
        ],
    )
    assert receipt.charged == 5
    assert numbers(acme, "emea")["emea"][0] == 5


def test_nothing_is_a_batch(acme: UsageControl, say: Say) -> None:
    assert list(say("report_many", [])) == []


def test_a_large_batch_is_whole(acme: UsageControl, say: Say) -> None:
    receipts = say("report_many", [event(f"k{place}") for place in range(3000)])
    assert len({receipt.event_id for receipt in receipts}) == 3000
    assert numbers(acme, "user-01")["user-01"] == (3000, 0, 0)
    assert list(acme.verify()) == []
