"""Consume: deduct or raise, in one step."""

from datetime import timedelta
from typing import Any

import pytest

from stiggctl import AccessDenied, IdempotencyConflict, UsageControl
from stiggctl.testing import ManualClock

from .saying import ACME, TOKENS, Say, at_once, event_ids, flat, moment, numbers

ASK: dict[str, Any] = {"resource_ids": ["user-01"], "credit_currency": TOKENS}


def of_user(control: UsageControl) -> tuple[Any, ...]:
    return numbers(control, "user-01")["user-01"]


def test_it_deducts_from_every_limit_above(acme: UsageControl, say: Say, ask: dict[str, Any]) -> None:
    receipt = say("consume", **ask, amount=5)
    assert (receipt.charged, receipt.amounts, receipt.overage) == (5, {TOKENS: 5}, 0)
    assert (receipt.duplicate, receipt.late, receipt.expired, receipt.estimated) == (False,) * 4
    assert {limit.resource_id: limit.used for limit in receipt.limits} == dict.fromkeys(
        ("engineering", "org-acme", "emea", "dept-marketing", "team-growth", "user-01"), 5
    )
    assert of_user(acme) == (5, 0, 195)


def test_or_it_raises_and_no_number_changes(acme: UsageControl, say: Say, ask: dict[str, Any]) -> None:
    acme.reserve(**ask, amount=20)
    acme.consume(**ask, amount=30)
    before, booked = numbers(acme, *ask["resource_ids"]), event_ids(acme)
    with pytest.raises(AccessDenied) as denied:
        say("consume", **ask, amount=151)
    decision = denied.value.decision
    assert decision.binding.resource_id == "user-01"
    assert (decision.binding.used, decision.binding.held, decision.binding.remaining) == (30, 20, 150)
    assert (numbers(acme, *ask["resource_ids"]), event_ids(acme)) == (before, booked)
    assert say("consume", **ask, amount=150).charged == 150


def test_to_the_last_unit_and_no_further(acme: UsageControl, say: Say) -> None:
    for _ in range(20):
        say("consume", **ASK, amount=10)
    with pytest.raises(AccessDenied):
        say("consume", **ASK, amount=1)
    assert of_user(acme) == (200, 0, 0)


@pytest.mark.parametrize("where", ["engineering", "emea", "dept-marketing", "user-01"])
def test_a_denial_by_one_limit_leaves_all_others_alone(
    acme: UsageControl, say: Say, ask: dict[str, Any], where: str
) -> None:
    acme.apply(
        {"allocations": [{"resourceId": where, "customerId": ACME, "creditCurrency": TOKENS, "limit": 3}]}
    )
    before = numbers(acme, *ask["resource_ids"])
    with pytest.raises(AccessDenied) as denied:
        say("consume", **ask, amount=4)
    assert denied.value.decision.binding.resource_id == where
    assert numbers(acme, *ask["resource_ids"]) == before


def test_a_key_is_charged_once(acme: UsageControl, say: Say, clock: ManualClock) -> None:
    first = say("consume", **ASK, amount=5, idempotency_key="k")
    clock.advance(seconds=3600)
    for amount in (5, "5", "5.0"):
        again = say("consume", **ASK, amount=amount, idempotency_key="k")
        assert (again.event_id, again.charged, again.duplicate) == (first.event_id, 5, True)
    assert of_user(acme) == (5, 0, 195)
    assert event_ids(acme) == [first.event_id]


def test_a_known_key_is_answered_also_where_it_would_be_denied_now(acme: UsageControl, say: Say) -> None:
    first = say("consume", **ASK, amount=150, idempotency_key="k")
    say("consume", **ASK, amount=50)
    again = say("consume", **ASK, amount=150, idempotency_key="k")
    assert (again.event_id, again.duplicate, again.overage) == (first.event_id, True, 0)
    assert {limit.resource_id: limit.used for limit in again.limits}["user-01"] == 200  # as it stands now
    acme.suspend("user-01")
    assert say("consume", **ASK, amount=150, idempotency_key="k").duplicate is True


def test_a_denied_consume_leaves_its_key_free(acme: UsageControl, say: Say) -> None:
    for amount in (201, 300):
        with pytest.raises(AccessDenied):
            say("consume", **ASK, amount=amount, idempotency_key="k")
    assert say("consume", **ASK, amount=200, idempotency_key="k").duplicate is False


def test_a_key_with_another_amount_conflicts(acme: UsageControl, say: Say) -> None:
    first = say("consume", **ASK, amount=5, idempotency_key="k")
    with pytest.raises(IdempotencyConflict) as conflict:
        say("consume", **ASK, amount=6, idempotency_key="k")
    assert conflict.value.differs == ("amount",)
    assert conflict.value.first_event_id == first.event_id
    with pytest.raises(IdempotencyConflict):
        say("consume", **ASK, amount=201, idempotency_key="k")  # and is no denial
    assert of_user(acme) == (5, 0, 195)


def test_a_consume_is_booked_at_its_own_instant(acme: UsageControl, say: Say, clock: ManualClock) -> None:
    clock.advance(seconds=1.5)
    say("consume", **ASK, amount=5)
    (event,) = acme.events(customer_id=ACME)
    assert event.occurred_at == moment(clock)
    assert event.occurred_at.utcoffset() == timedelta(0)


def test_calls_of_one_key_at_once_charge_once(control: UsageControl) -> None:
    control.apply(flat({"a": 100}))
    calls = [
        lambda: control.consume(resource_ids=["a"], credit_currency=TOKENS, amount=60, idempotency_key="k")
    ] * 16
    receipts: Any = at_once(calls)
    assert len({receipt.event_id for receipt in receipts}) == 1
    assert sorted(receipt.duplicate for receipt in receipts) == [False] + [True] * 15
    assert numbers(control, "a") == {"a": (60, 0, 40)}
