"""A reservation: set aside, settled for less or more, released, extended."""

from datetime import timedelta
from typing import Any

import pytest

from stiggctl import AccessDenied, InvalidAmount, InvalidRequest, Reservation, UsageControl
from stiggctl.testing import ManualClock

from .saying import ACME, TOKENS, Say, event_ids, flat, moment, numbers

ASK: dict[str, Any] = {"resource_ids": ["user-01"], "credit_currency": TOKENS}


def of_user(control: UsageControl) -> tuple[Any, ...]:
    return numbers(control, "user-01")["user-01"]


def test_what_is_reserved_is_held_in_every_limit_above(acme: UsageControl, say: Say) -> None:
    say("reserve", resource_ids=["user-01", "emea"], credit_currency=TOKENS, amount=75)
    assert numbers(acme, "user-01", "emea") == {
        "org-acme": (0, 75, 49925),
        "emea": (0, 75, 925),
        "dept-marketing": (0, 75, 19925),
        "team-growth": (0, 75, 4925),
        "user-01": (0, 75, 125),
    }


def test_a_reservation_says_what_it_is(acme: UsageControl, say: Say, clock: ManualClock) -> None:
    reservation = say("reserve", **ASK, amount=75, ttl_seconds=120)
    assert isinstance(reservation, Reservation)
    assert reservation.reservation_id == reservation.decision.decision_id
    assert reservation.expires_at == moment(clock) + timedelta(seconds=120)
    assert reservation.decision.has_access
    assert reservation.amount == 75
    assert reservation.amounts == {TOKENS: 75}
    assert "75" in repr(reservation)


def test_a_denied_reserve_raises_with_the_decision_and_holds_nothing(acme: UsageControl, say: Say) -> None:
    with pytest.raises(AccessDenied) as denied:
        say("reserve", **ASK, amount=201)
    decision = denied.value.decision
    assert (decision.has_access, decision.access_denied_reason) == (False, "BUDGET_EXCEEDED")
    assert decision.binding.resource_id == "user-01"
    assert str(denied.value) == str(decision)
    assert of_user(acme) == (0, 0, 200)
    assert list(acme.reservations()) == []


def test_settling_for_less_books_it_and_frees_the_rest(acme: UsageControl, say: Say) -> None:
    receipt = say.to(say("reserve", **ASK, amount=75), "settle", 61)
    assert (receipt.charged, receipt.amounts, receipt.overage) == (61, {TOKENS: 61}, 0)
    assert (receipt.duplicate, receipt.expired, receipt.late, receipt.estimated) == (False,) * 4
    assert of_user(acme) == (61, 0, 139)
    assert event_ids(acme) == [receipt.event_id]


def test_settling_for_nothing_books_nothing_and_frees_all(acme: UsageControl, say: Say) -> None:
    assert say.to(say("reserve", **ASK, amount=75), "settle", 0).charged == 0
    assert of_user(acme) == (0, 0, 200)


def test_settling_for_more_books_all_of_it(acme: UsageControl, say: Say) -> None:
    receipt = say.to(say("reserve", **ASK, amount=75), "settle", 100)
    assert (receipt.charged, receipt.overage) == (100, 0)
    assert of_user(acme) == (100, 0, 100)


def test_settling_past_the_limit_is_booked_as_overage(acme: UsageControl, say: Say) -> None:
    receipt = say.to(say("reserve", **ASK, amount=150), "settle", 230)
    assert (receipt.charged, receipt.overage) == (230, 30)
    assert {limit.resource_id: limit.overage for limit in receipt.limits}["user-01"] == 30
    assert {limit.resource_id: limit.overage for limit in receipt.limits}["team-growth"] == 0
    assert of_user(acme) == (230, 0, 0)


def test_a_second_settle_returns_the_first_receipt_and_books_nothing(acme: UsageControl, say: Say) -> None:
    reservation = say("reserve", **ASK, amount=75)
    first = say.to(reservation, "settle", 61)
    second = say.to(reservation, "settle", 70)
    assert (second.event_id, second.charged) == (first.event_id, 61)
    released = say.to(reservation, "release")
    assert (released.event_id, released.charged) == (first.event_id, 61)
    assert of_user(acme) == (61, 0, 139)
    assert len(event_ids(acme)) == 1


def test_release_frees_all_and_a_second_release_does_nothing(acme: UsageControl, say: Say) -> None:
    reservation = say("reserve", **ASK, amount=75)
    say.to(reservation, "release")
    assert of_user(acme) == (0, 0, 200)
    say.to(reservation, "release")
    assert of_user(acme) == (0, 0, 200)
    assert event_ids(acme) == []
    assert list(acme.reservations()) == []


def test_settling_after_a_release_still_books_as_plain_usage(acme: UsageControl, say: Say) -> None:
    reservation = say("reserve", **ASK, amount=75)
    say.to(reservation, "release")
    say("consume", **ASK, amount=200)
    receipt = say.to(reservation, "settle", 61)
    assert (receipt.charged, receipt.expired, receipt.overage) == (61, True, 61)
    assert of_user(acme) == (261, 0, 0)
    assert say.to(reservation, "settle", 61).event_id == receipt.event_id
    assert of_user(acme) == (261, 0, 0)


def test_extend_holds_more_or_raises_and_changes_nothing(acme: UsageControl, say: Say) -> None:
    reservation = say("reserve", **ASK, amount=75)
    say.to(reservation, "extend", 50)
    assert (reservation.amount, reservation.amounts) == (125, {TOKENS: 125})
    assert of_user(acme) == (0, 125, 75)
    with pytest.raises(AccessDenied) as denied:
        say.to(reservation, "extend", 76)
    assert denied.value.decision.remaining == 75
    assert of_user(acme) == (0, 125, 75)
    assert reservation.amount == 125
    say.to(reservation, "extend", 75)
    receipt = say.to(reservation, "settle", 190)
    assert (receipt.charged, receipt.overage) == (190, 0)
    assert of_user(acme) == (190, 0, 10)


def test_a_minimum_takes_what_fits_now(acme: UsageControl, say: Say) -> None:
    say("consume", **ASK, amount=120)
    reservation = say("reserve", **ASK, amount=150, minimum=50)
    assert reservation.amount == 80
    assert reservation.decision.has_access
    assert of_user(acme) == (120, 80, 0)
    say.to(reservation, "release")
    assert say("reserve", **ASK, amount=60, minimum=50).amount == 60  # all of it fits: no more, no less


def test_less_than_the_minimum_is_denied(acme: UsageControl, say: Say) -> None:
    say("consume", **ASK, amount=120)
    with pytest.raises(AccessDenied) as denied:
        say("reserve", **ASK, amount=150, minimum=81)
    assert denied.value.decision.remaining == 80
    assert of_user(acme) == (120, 0, 80)
    assert say("reserve", **ASK, amount=150, minimum=80).amount == 80


@pytest.mark.parametrize("ttl_seconds", [0, -1, 86_401, True, "60", float("nan"), float("inf")])
def test_a_ttl_out_of_bounds_is_refused(acme: UsageControl, say: Say, ttl_seconds: Any) -> None:
    with pytest.raises(InvalidRequest, match=r"86[,_]?400"):
        say("reserve", **ASK, amount=1, ttl_seconds=ttl_seconds)
    assert of_user(acme) == (0, 0, 200)


@pytest.mark.parametrize("ttl_seconds", [1, 86_400])
def test_a_ttl_at_its_bounds_is_taken(
    acme: UsageControl, say: Say, clock: ManualClock, ttl_seconds: int
) -> None:
    reservation = say("reserve", **ASK, amount=1, ttl_seconds=ttl_seconds)
    assert reservation.expires_at == moment(clock) + timedelta(seconds=ttl_seconds)


def test_ten_minutes_is_the_ttl_where_none_is_given(acme: UsageControl, say: Say, clock: ManualClock) -> None:
    assert say("reserve", **ASK, amount=1).expires_at == moment(clock) + timedelta(minutes=10)


@pytest.mark.parametrize("amount", [-1, 1.0, "1.5", True])
def test_a_settle_of_no_amount_is_refused_and_the_hold_stays(
    acme: UsageControl, say: Say, amount: Any
) -> None:
    reservation = say("reserve", **ASK, amount=75)
    with pytest.raises(InvalidAmount):
        say.to(reservation, "settle", amount)
    with pytest.raises(InvalidAmount):
        say.to(reservation, "extend", amount)
    assert of_user(acme) == (0, 75, 125)
    assert say.to(reservation, "settle", 61).charged == 61


def test_what_is_held_is_listed_until_it_ends(acme: UsageControl, say: Say, clock: ManualClock) -> None:
    first = say("reserve", **ASK, amount=75, ttl_seconds=60)
    second = say("reserve", resource_ids=["emea"], credit_currency=TOKENS, amount=5, ttl_seconds=120)
    listed = {held.reservation_id: held for held in acme.reservations()}
    assert set(listed) == {first.reservation_id, second.reservation_id}
    assert listed[first.reservation_id].expires_at == first.expires_at
    assert listed[first.reservation_id].amounts == {TOKENS: 75}
    say.to(second, "settle", 1)
    assert [held.reservation_id for held in acme.reservations()] == [first.reservation_id]
    clock.advance(seconds=60)
    assert list(acme.reservations()) == []


def test_two_that_fit_one_by_one_but_not_together_are_not_both_admitted(acme: UsageControl, say: Say) -> None:
    say("reserve", **ASK, amount=120)
    with pytest.raises(AccessDenied):
        say("reserve", **ASK, amount=120)
    assert of_user(acme) == (0, 120, 80)


def test_a_settle_frees_for_others_at_once(control: UsageControl, say: Say) -> None:
    control.apply(flat({"a": 10}))
    ask = {"resource_ids": ["a"], "credit_currency": TOKENS}
    for _ in range(10):
        reservation = say("reserve", **ask, amount=10)
        say.to(reservation, "settle", 1)
        with pytest.raises(AccessDenied):
            say("reserve", **ask, amount=10)
        control.apply(flat({"a": 10 + numbers(control, "a")["a"][0]}))


def test_the_event_is_the_customers(acme: UsageControl, say: Say) -> None:
    say.to(say("reserve", **ASK, amount=75), "settle", 1)
    assert len(event_ids(acme, ACME)) == 1
