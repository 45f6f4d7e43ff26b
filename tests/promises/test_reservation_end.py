"""How a reservation ends: at its very instant; late settles; its key; its own time."""

from datetime import timedelta
from typing import Any

import pytest

from stiggctl import AccessDenied, IdempotencyConflict, UsageControl
from stiggctl.testing import ManualClock

from .saying import ACME, TOKENS, Say, event_ids, moment, numbers

ASK: dict[str, Any] = {"resource_ids": ["user-01"], "credit_currency": TOKENS}


def of_user(control: UsageControl) -> tuple[Any, ...]:
    return numbers(control, "user-01")["user-01"]


def test_a_hold_ends_exactly_at_its_end(acme: UsageControl, say: Say, clock: ManualClock) -> None:
    reservation = say("reserve", **ASK, amount=200, ttl_seconds=60)
    clock.set(reservation.expires_at - timedelta(microseconds=1))
    assert of_user(acme) == (0, 200, 0)
    with pytest.raises(AccessDenied):
        say("consume", **ASK, amount=1)
    clock.set(reservation.expires_at)
    assert of_user(acme) == (0, 0, 200)
    assert say("consume", **ASK, amount=200).charged == 200


def test_settling_just_before_the_end_is_no_plain_usage(
    acme: UsageControl, say: Say, clock: ManualClock
) -> None:
    reservation = say("reserve", **ASK, amount=200, ttl_seconds=60)
    clock.set(reservation.expires_at - timedelta(microseconds=1))
    receipt = say.to(reservation, "settle", 150)
    assert (receipt.charged, receipt.expired) == (150, False)


def test_settling_after_the_end_still_books_and_says_so(
    acme: UsageControl, say: Say, clock: ManualClock
) -> None:
    reservation = say("reserve", **ASK, amount=150, ttl_seconds=60)
    clock.set(reservation.expires_at)
    say("consume", **ASK, amount=200)  # what was held is free again, and taken
    receipt = say.to(reservation, "settle", 150)
    assert (receipt.charged, receipt.expired, receipt.overage) == (150, True, 150)
    assert of_user(acme) == (350, 0, 0)
    again = say.to(reservation, "settle", 150)
    assert (again.event_id, again.expired) == (receipt.event_id, True)
    assert of_user(acme) == (350, 0, 0)


def test_releasing_after_the_end_does_nothing(acme: UsageControl, say: Say, clock: ManualClock) -> None:
    reservation = say("reserve", **ASK, amount=150, ttl_seconds=60)
    clock.advance(seconds=60)
    say("reserve", **ASK, amount=200)
    say.to(reservation, "release")
    assert of_user(acme) == (0, 200, 0)


def test_extending_does_not_move_the_end(acme: UsageControl, say: Say, clock: ManualClock) -> None:
    reservation = say("reserve", **ASK, amount=10, ttl_seconds=60)
    end = reservation.expires_at
    clock.advance(seconds=30)
    say.to(reservation, "extend", 10)
    assert reservation.expires_at == end
    clock.set(end)
    assert of_user(acme) == (0, 0, 200)


def test_many_holds_end_each_at_its_own_instant(acme: UsageControl, say: Say, clock: ManualClock) -> None:
    start = moment(clock)
    for ttl_seconds in (50, 10, 30, 20, 40):
        say("reserve", **ASK, amount=ttl_seconds, ttl_seconds=ttl_seconds)
    for passed, held in ((9, 150), (10, 140), (20, 120), (30, 90), (40, 50), (49, 50), (50, 0)):
        clock.set(start + timedelta(seconds=passed))
        assert of_user(acme) == (0, held, 200 - held)


def test_a_settle_carries_its_reserves_instant(acme: UsageControl, say: Say, clock: ManualClock) -> None:
    began = moment(clock)
    reservation = say("reserve", **ASK, amount=75, ttl_seconds=600)
    expired = say("reserve", **ASK, amount=5, ttl_seconds=1)
    clock.advance(seconds=300)
    say.to(reservation, "settle", 61)
    say.to(expired, "settle", 5)
    say("consume", **ASK, amount=1)
    assert [event.occurred_at for event in acme.events(customer_id=ACME)] == [
        began,
        began,
        began + timedelta(seconds=300),
    ]


def test_the_key_of_a_reserve_is_the_key_of_its_event(acme: UsageControl, say: Say) -> None:
    receipt = say.to(say("reserve", **ASK, amount=75, idempotency_key="k"), "settle", 61)
    with pytest.raises(IdempotencyConflict) as conflict:
        say("consume", resource_ids=["emea"], credit_currency=TOKENS, amount=61, idempotency_key="k")
    assert conflict.value.first_event_id == receipt.event_id
    assert numbers(acme, "emea")["emea"] == (0, 0, 1000)


def test_a_second_reserve_of_a_key_settles_to_the_first_receipt(acme: UsageControl, say: Say) -> None:
    first = say.to(say("reserve", **ASK, amount=75, idempotency_key="k"), "settle", 61)
    retried = say("reserve", **ASK, amount=90, idempotency_key="k")  # reserve does not look at the key
    assert of_user(acme) == (61, 90, 49)
    receipt = say.to(retried, "settle", 70)
    assert (receipt.event_id, receipt.charged, receipt.duplicate) == (first.event_id, 61, True)
    assert of_user(acme) == (61, 0, 139)
    assert event_ids(acme) == [first.event_id]


def test_two_open_reservations_of_one_key_charge_once(acme: UsageControl, say: Say) -> None:
    one = say("reserve", **ASK, amount=75, idempotency_key="k")
    two = say("reserve", **ASK, amount=75, idempotency_key="k")
    assert of_user(acme) == (0, 150, 50)
    first, second = say.to(two, "settle", 10), say.to(one, "settle", 20)
    assert (first.duplicate, second.duplicate) == (False, True)
    assert (second.event_id, second.charged) == (first.event_id, 10)
    assert of_user(acme) == (10, 0, 190)


def test_a_second_settle_under_a_key_with_other_resources_conflicts(acme: UsageControl, say: Say) -> None:
    say.to(say("reserve", **ASK, amount=75, idempotency_key="k"), "settle", 61)
    other = say("reserve", resource_ids=["emea"], credit_currency=TOKENS, amount=5, idempotency_key="k")
    with pytest.raises(IdempotencyConflict) as conflict:
        say.to(other, "settle", 5)
    assert "resource_ids" in conflict.value.differs
    assert numbers(acme, "emea")["emea"][0] == 0


def test_a_released_reservation_leaves_its_key_free(acme: UsageControl, say: Say) -> None:
    say.to(say("reserve", **ASK, amount=75, idempotency_key="k"), "release")
    assert say("consume", **ASK, amount=5, idempotency_key="k").duplicate is False


def test_reservations_without_a_key_never_meet(acme: UsageControl, say: Say) -> None:
    one, two = say("reserve", **ASK, amount=5), say("reserve", **ASK, amount=5)
    assert say.to(one, "settle", 5).event_id != say.to(two, "settle", 5).event_id
    say("consume", **ASK, amount=1, idempotency_key=one.reservation_id)  # a user's key is not ours
    assert of_user(acme) == (11, 0, 189)


def test_event_name_and_dimensions_of_a_reserve_stand_on_its_event(acme: UsageControl, say: Say) -> None:
    asked = {"event_name": "chat", "dimensions": {"model": "gpt-5", "cached": True}}
    say.to(say("reserve", **ASK, amount=5, **asked), "settle", 5)
    (event,) = acme.events(customer_id=ACME)
    assert event.event_name == "chat"
    assert dict(event.dimensions) == {"model": "gpt-5", "cached": True}
