"""The model changes while there is usage and while something is held."""

from typing import Any

import pytest

from stiggctl import AccessDenied, ResourceNotFound, UsageControl
from stiggctl.testing import ManualClock

from .saying import ACME, TOKENS, Say, flat, numbers

USER: dict[str, Any] = {"resource_ids": ["user-01"], "credit_currency": TOKENS}
OTHER_TEAM = {
    "resources": [
        {
            "id": "team-other",
            "resourceTypeId": "team",
            "parentResourceId": "dept-marketing",
            "customerId": ACME,
        }
    ],
    "allocations": [{"resourceId": "team-other", "creditCurrency": TOKENS, "customerId": ACME, "limit": 400}],
}


def limited(resource_id: str, limit: int, customer_id: str = ACME, **more: Any) -> dict[str, Any]:
    entry = {"resourceId": resource_id, "creditCurrency": TOKENS, "customerId": customer_id, "limit": limit}
    return {"allocations": [entry | more]}


def test_an_allocation_added_later_counts_the_usage_before_it(acme: UsageControl, say: Say) -> None:
    alice: dict[str, Any] = {"resource_ids": ["user-alice", "emea"], "credit_currency": TOKENS}
    say("consume", **alice, amount=30)
    say("report", customer_id=ACME, event_name="e", **alice, amount=12)
    acme.apply(limited("user-alice", 50))
    assert numbers(acme, "user-alice")["user-alice"] == (42, 0, 8)
    with pytest.raises(AccessDenied):
        say("consume", **alice, amount=9)
    assert say("consume", **alice, amount=8).charged == 8


def test_one_added_below_what_was_used_denies_at_once(acme: UsageControl, say: Say) -> None:
    alice: dict[str, Any] = {"resource_ids": ["user-alice"], "credit_currency": TOKENS}
    say("consume", **alice, amount=30)
    acme.apply(limited("user-alice", 20))
    assert numbers(acme, "user-alice")["user-alice"] == (30, 0, 0)
    assert not say("check", **alice, requested_usage=0)
    receipt = say("report", customer_id=ACME, event_name="e", **alice, amount=5)
    assert receipt.overage == 5  # of this event, not of those before


def test_what_is_held_counts_in_a_new_limit_when_it_settles(acme: UsageControl, say: Say) -> None:
    alice: dict[str, Any] = {"resource_ids": ["user-alice"], "credit_currency": TOKENS}
    reservation = say("reserve", **alice, amount=75)
    acme.apply(limited("user-alice", 100))
    assert numbers(acme, "user-alice")["user-alice"] == (0, 0, 100)
    assert numbers(acme, "user-alice")["team-growth"] == (0, 75, 4925)
    say.to(reservation, "settle", 61)
    assert numbers(acme, "user-alice")["user-alice"] == (61, 0, 39)
    assert numbers(acme, "user-alice")["team-growth"] == (61, 0, 4939)
    assert list(acme.verify()) == []


def test_a_lowered_limit_binds_at_once(acme: UsageControl, say: Say) -> None:
    say("consume", **USER, amount=50)
    acme.apply(limited("user-01", 60))
    assert say("check", **USER).remaining == 10
    with pytest.raises(AccessDenied):
        say("consume", **USER, amount=11)
    acme.apply(limited("user-01", 40))
    assert say("check", **USER).remaining == 0
    assert not say("check", **USER, requested_usage=0)


def test_a_raised_limit_admits_at_once(acme: UsageControl, say: Say) -> None:
    say("consume", **USER, amount=200)
    acme.apply(limited("user-01", 250))
    assert say("consume", **USER, amount=50).charged == 50


def test_a_limit_lowered_below_what_is_held_keeps_the_hold(acme: UsageControl, say: Say) -> None:
    reservation = say("reserve", **USER, amount=150)
    acme.apply(limited("user-01", 100))
    assert numbers(acme, "user-01")["user-01"] == (0, 150, 0)
    receipt = say.to(reservation, "settle", 90)
    assert (receipt.charged, receipt.overage) == (90, 0)
    assert numbers(acme, "user-01")["user-01"] == (90, 0, 10)


def test_hard_becomes_soft_and_back(acme: UsageControl, say: Say) -> None:
    acme.apply(limited("user-01", 200, enforcementType="SOFT"))
    say("consume", **USER, amount=230)
    acme.apply(limited("user-01", 300))
    assert numbers(acme, "user-01")["user-01"] == (230, 0, 70)
    with pytest.raises(AccessDenied):
        say("consume", **USER, amount=71)


def test_a_hold_is_kept_while_its_limit_becomes_soft_and_hard_again(acme: UsageControl, say: Say) -> None:
    reservation = say("reserve", **USER, amount=150)
    acme.apply(limited("user-01", 200, enforcementType="SOFT"))
    assert numbers(acme, "user-01")["team-growth"] == (0, 150, 4850)
    say.to(reservation, "settle", 120)
    acme.apply(limited("user-01", 200))
    assert numbers(acme, "user-01")["user-01"] == (120, 0, 80)
    assert list(acme.verify()) == []


def test_a_moved_resource_leaves_its_past_where_it_was_booked(acme: UsageControl, say: Say) -> None:
    acme.apply(OTHER_TEAM)
    say("consume", **USER, amount=30)
    acme.move_resource("user-01", "team-other")
    assert numbers(acme, "team-growth")["team-growth"] == (30, 0, 4970)
    assert numbers(acme, "team-other")["team-other"] == (0, 0, 400)
    assert numbers(acme, "user-01")["user-01"] == (30, 0, 170)
    say("consume", **USER, amount=5)
    assert numbers(acme, "team-growth")["team-growth"] == (30, 0, 4970)
    assert numbers(acme, "team-other")["team-other"] == (5, 0, 395)
    assert numbers(acme, "dept-marketing")["dept-marketing"] == (35, 0, 19965)


def test_what_is_held_settles_on_the_path_that_admitted_it(acme: UsageControl, say: Say) -> None:
    acme.apply(OTHER_TEAM)
    reservation = say("reserve", **USER, amount=75)
    acme.move_resource("user-01", "team-other")
    assert numbers(acme, "team-growth")["team-growth"] == (0, 75, 4925)
    assert numbers(acme, "team-other")["team-other"] == (0, 0, 400)
    say.to(reservation, "settle", 61)
    assert numbers(acme, "team-growth")["team-growth"] == (61, 0, 4939)
    assert numbers(acme, "team-other")["team-other"] == (0, 0, 400)
    assert numbers(acme, "user-01")["user-01"] == (61, 0, 139)
    assert list(acme.verify()) == []


def test_a_moved_subtree_takes_what_is_below_along(acme: UsageControl, say: Say) -> None:
    dept = {"id": "dept-sales", "resourceTypeId": "dept", "parentResourceId": "org-acme", "customerId": ACME}
    acme.apply({"resources": [dept]} | limited("dept-sales", 40))
    say("consume", **USER, amount=30)
    acme.move_resource("team-growth", "dept-sales")
    say("consume", **USER, amount=7)
    assert numbers(acme, "user-01") == {
        "org-acme": (37, 0, 49963),
        "dept-sales": (7, 0, 33),
        "team-growth": (37, 0, 4963),
        "user-01": (37, 0, 163),
    }
    assert numbers(acme, "dept-marketing")["dept-marketing"] == (30, 0, 19970)


def test_a_limit_removed_while_held_lets_the_rest_settle(acme: UsageControl, say: Say) -> None:
    reservation = say("reserve", **USER, amount=75)
    acme.remove_allocation(resource_id="user-01", credit_currency=TOKENS)
    assert [limit.resource_id for limit in say("check", **USER).limits] == [
        "org-acme",
        "dept-marketing",
        "team-growth",
    ]
    receipt = say.to(reservation, "settle", 61)
    assert receipt.charged == 61
    assert numbers(acme, "user-01")["team-growth"] == (61, 0, 4939)
    acme.apply(limited("user-01", 200))
    assert numbers(acme, "user-01")["user-01"] == (61, 0, 139)
    assert list(acme.verify()) == []


def test_a_limit_removed_and_added_again_counts_all_that_was(acme: UsageControl, say: Say) -> None:
    say("consume", **USER, amount=30)
    acme.remove_allocation(resource_id="user-01", credit_currency=TOKENS)
    say("consume", **USER, amount=300)
    acme.apply(limited("user-01", 400))
    assert numbers(acme, "user-01")["user-01"] == (330, 0, 70)


def test_a_resource_archived_while_held_may_still_settle(acme: UsageControl, say: Say) -> None:
    settled, released = say("reserve", **USER, amount=75), say("reserve", **USER, amount=20)
    acme.archive_resource("user-01")
    receipt = say.to(settled, "settle", 61)
    assert (receipt.charged, receipt.expired) == (61, False)
    say.to(released, "release")
    acme.restore_resource("user-01")
    assert numbers(acme, "user-01")["user-01"] == (61, 0, 139)


def test_a_suspension_lets_what_is_held_settle(acme: UsageControl, say: Say) -> None:
    reservation = say("reserve", **USER, amount=75)
    acme.suspend("user-01", reason="runaway")
    with pytest.raises(AccessDenied):
        say.to(reservation, "extend", 1)
    assert say.to(reservation, "settle", 61).charged == 61


def test_extend_draws_on_the_limits_that_admitted_it(acme: UsageControl, say: Say) -> None:
    acme.apply(OTHER_TEAM)
    reservation = say("reserve", **USER, amount=75)
    acme.move_resource("user-01", "team-other")
    say.to(reservation, "extend", 25)
    assert numbers(acme, "team-growth")["team-growth"] == (0, 100, 4900)
    assert numbers(acme, "team-other")["team-other"] == (0, 0, 400)


def test_a_model_changed_through_one_face_binds_the_other(
    acme: UsageControl, say: Say, ledger_path: str, clock: ManualClock
) -> None:
    # K1
    with UsageControl(ledger_path, clock=clock) as second:
        assert Say(second, say.face)("check", **USER).remaining == 200
        second.apply(limited("user-01", 20))
        assert say("check", **USER).remaining == 20
        second.suspend("user-01")
        assert say("check", **USER).access_denied_reason == "SUSPENDED"


def test_a_resource_first_asked_for_in_vain_is_found_once_it_is_there(
    control: UsageControl, say: Say
) -> None:
    # T2
    control.apply(flat({"a": 10}))
    for _ in range(2):
        with pytest.raises(ResourceNotFound):
            say("check", resource_ids=["a", "b"], credit_currency=TOKENS)
    control.apply(flat({"b": 5}))
    assert say("check", resource_ids=["a", "b"], credit_currency=TOKENS).remaining == 5
