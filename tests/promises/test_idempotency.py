"""Idempotency keys: one namespace a customer, for ever; what is the same and what differs."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from stiggctl import IdempotencyConflict, UsageControl
from stiggctl.testing import ManualClock

from .saying import ACME, TOKENS, Say, at_once, event_ids, flat, numbers

FIRST: dict[str, Any] = {
    "customer_id": ACME,
    "event_name": "chat",
    "idempotency_key": "k",
    "resource_ids": ["user-01", "emea"],
    "credit_currency": TOKENS,
    "amount": 5,
    "dimensions": {"model": "gpt-5", "temperature": Decimal("0.5"), "turns": 3},
    "timestamp": "2026-01-15T11:59:00Z",
}


@pytest.mark.parametrize(
    "same",
    [
        {},
        {"amount": "5"},
        {"amount": Decimal("5.0")},
        {"timestamp": "2026-01-15T12:59:00.000+01:00"},
        {"timestamp": datetime(2026, 1, 15, 11, 59, tzinfo=UTC)},
        {"resource_ids": ["emea", "user-01"]},
        {"resource_ids": ("user-01", "emea", "emea")},
        {"dimensions": {"turns": 3, "temperature": Decimal("0.50"), "model": "gpt-5"}},
        {"amount": None, "credit_currency": None, "amounts": {TOKENS: 5}},
    ],
)
def test_the_same_contents_written_otherwise_are_a_duplicate(
    acme: UsageControl, say: Say, same: dict[str, Any]
) -> None:
    # EV2
    first = say("report", **FIRST)
    again = say("report", **(FIRST | same))
    assert (again.event_id, again.duplicate) == (first.event_id, True)
    assert (again.charged, again.overage) == (5, 0)
    assert event_ids(acme) == [first.event_id]


@pytest.mark.parametrize(
    ("other", "differs"),
    [
        ({"amount": 6}, {"amount"}),
        ({"event_name": "mail"}, {"event_name"}),
        ({"timestamp": "2026-01-15T11:59:00.000001Z"}, {"timestamp"}),
        ({"resource_ids": ["user-01"]}, {"resource_ids"}),
        ({"dimensions": {"model": "gpt-4"}}, {"dimensions"}),
        ({"dimensions": FIRST["dimensions"] | {"turns": 4}}, {"dimensions"}),
        ({"dimensions": None}, {"dimensions"}),
        ({"amount": 6, "event_name": "mail"}, {"amount", "event_name"}),
    ],
)
def test_other_contents_change_nothing_and_the_conflict_says_what_differs(
    acme: UsageControl, say: Say, other: dict[str, Any], differs: set[str]
) -> None:
    first = say("report", **FIRST)
    before = numbers(acme, "user-01", "emea")
    with pytest.raises(IdempotencyConflict) as conflict:
        say("report", **(FIRST | other))
    error = conflict.value
    assert set(error.differs) == differs
    assert (error.customer_id, error.idempotency_key) == (ACME, "k")
    assert error.first_event_id == first.event_id
    for name in differs:
        assert name in str(error)
    assert numbers(acme, "user-01", "emea") == before
    assert event_ids(acme) == [first.event_id]


def test_a_timestamp_left_out_is_never_a_difference(acme: UsageControl, say: Say, clock: ManualClock) -> None:
    asked = {key: value for key, value in FIRST.items() if key != "timestamp"}
    first = say("report", **asked)
    clock.advance(seconds=3600)
    again = say("report", **asked)
    assert (again.event_id, again.duplicate) == (first.event_id, True)


def test_keys_are_each_customers_own(acme: UsageControl, say: Say) -> None:
    acme.apply(flat({"user-01": 10, "emea": 10}, customer_id="other"))
    first = say("report", **FIRST)
    other = say("report", **(FIRST | {"customer_id": "other"}))
    assert other.duplicate is False
    assert other.event_id != first.event_id


def test_report_consume_and_reserve_share_one_namespace(acme: UsageControl, say: Say) -> None:
    ask: dict[str, Any] = {"resource_ids": ["user-01"], "credit_currency": TOKENS}
    say("report", **(FIRST | {"idempotency_key": "reported"}))
    say("consume", **ask, amount=5, idempotency_key="consumed")
    say.to(say("reserve", **ask, amount=5, idempotency_key="reserved"), "settle", 5)
    for key in ("consumed", "reserved"):
        with pytest.raises(IdempotencyConflict):
            say("report", **(FIRST | {"idempotency_key": key}))
    for key in ("reported", "reserved"):
        with pytest.raises(IdempotencyConflict):
            say("consume", **(ask | {"resource_ids": ["emea"]}), amount=5, idempotency_key=key)
    assert len(event_ids(acme)) == 3


def test_the_first_receipt_comes_back_as_booked_with_limits_as_they_stand(
    acme: UsageControl, say: Say
) -> None:
    first = say("report", **(FIRST | {"amount": 230}))
    assert first.overage == 30
    say("report", **(FIRST | {"amount": 4, "idempotency_key": "other"}))
    lifted = {"resourceId": "user-01", "customerId": ACME, "creditCurrency": TOKENS, "limit": 1000}
    acme.apply({"allocations": [lifted]})
    again = say("report", **(FIRST | {"amount": 230}))
    assert (again.charged, again.overage, again.duplicate) == (230, 30, True)
    (now,) = [limit for limit in again.limits if limit.resource_id == "user-01"]
    assert (now.limit, now.used) == (1000, 234)


def test_a_duplicate_keeps_the_unattributed_of_the_first(acme: UsageControl, say: Say) -> None:
    asked = FIRST | {"resource_ids": ["user-01", "nobody"]}
    say("report", **asked)
    node = {"id": "nobody", "resourceTypeId": "region", "customerId": ACME}
    acme.apply({"resources": [node]})
    again = say("report", **asked)
    assert again.duplicate
    assert tuple(again.unattributed) == ("nobody",)


def test_a_known_key_is_answered_though_its_timestamp_or_model_has_moved_on(
    acme: UsageControl, say: Say
) -> None:
    first = say("report", **FIRST)
    acme.archive_resource("user-01")
    assert say("report", **FIRST).event_id == first.event_id
    acme.archive_customer(ACME)
    assert say("report", **FIRST).event_id == first.event_id


def test_a_key_stays_known_after_reopening(
    acme: UsageControl, say: Say, ledger_path: str, clock: ManualClock
) -> None:
    first = say("report", **FIRST)
    acme.close()
    with UsageControl(ledger_path, clock=clock) as reopened:
        clock.advance(seconds=10 * 365 * 86_400)
        again = Say(reopened, say.face)("report", **FIRST)
        assert (again.event_id, again.duplicate) == (first.event_id, True)
        assert numbers(reopened, "user-01")["user-01"][0] == 5


def test_two_reports_of_one_key_at_once_book_once(acme: UsageControl) -> None:
    receipts: Any = at_once([lambda: acme.report(**FIRST)] * 16)
    assert len({receipt.event_id for receipt in receipts}) == 1
    assert sorted(receipt.duplicate for receipt in receipts) == [False] + [True] * 15
    assert numbers(acme, "user-01")["user-01"][0] == 5


def test_of_two_contents_under_one_key_at_once_one_is_booked(acme: UsageControl) -> None:
    calls = [lambda amount=amount: acme.report(**(FIRST | {"amount": amount})) for amount in (5, 6) * 8]
    answers: Any = at_once(calls)
    receipts = [answer for answer in answers if not isinstance(answer, Exception)]
    assert all(isinstance(answer, IdempotencyConflict) for answer in answers if isinstance(answer, Exception))
    assert len(receipts) == 8
    assert len({receipt.event_id for receipt in receipts}) == 1
    assert numbers(acme, "user-01")["user-01"][0] == receipts[0].charged
