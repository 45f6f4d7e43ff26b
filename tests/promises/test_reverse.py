"""A reversal: books minus the same, at the first event's instant; the first row stays; once."""

from datetime import timedelta
from typing import Any

import pytest

from stiggctl import EventNotFound, UsageControl
from stiggctl.testing import ManualClock

from .saying import ACME, TOKENS, Say, at_once, event_ids, moment, numbers

USER: dict[str, Any] = {
    "customer_id": ACME,
    "event_name": "chat",
    "resource_ids": ["user-01", "emea"],
    "credit_currency": TOKENS,
}


def of_user(control: UsageControl) -> tuple[Any, ...]:
    return numbers(control, "user-01")["user-01"]


def test_it_books_minus_the_same_and_the_first_row_stays(acme: UsageControl, say: Say) -> None:
    first = say("report", **USER, amount=7)
    say("report", **USER, amount=2)
    receipt = say("reverse", first.event_id, reason="refund", actor="ops")
    assert receipt.event_id != first.event_id
    assert (receipt.charged, receipt.amounts) == (-7, {TOKENS: -7})
    assert len(event_ids(acme)) == 3
    assert first.event_id in event_ids(acme)
    assert {name: used for name, (used, _, _) in numbers(acme, "user-01", "emea").items()} == dict.fromkeys(
        ("org-acme", "emea", "dept-marketing", "team-growth", "user-01"), 2
    )
    assert list(acme.verify()) == []


def test_it_is_booked_at_the_first_events_instant(acme: UsageControl, say: Say, clock: ManualClock) -> None:
    at = moment(clock) - timedelta(days=3)
    first = say("report", **USER, amount=7, timestamp=at)
    clock.advance(seconds=86_400)
    say("reverse", first.event_id, reason="refund")
    assert [event.occurred_at for event in acme.events(customer_id=ACME)] == [at, at]


def test_its_overage_is_never_above_zero_and_undoes_the_firsts(acme: UsageControl, say: Say) -> None:
    first = say("report", **USER, amount=150)
    second = say("report", **USER, amount=80)
    third = say("report", **USER, amount=1)
    assert (first.overage, second.overage, third.overage) == (0, 30, 1)
    receipt = say("reverse", second.event_id, reason="refund")
    assert {limit.resource_id: limit.overage for limit in receipt.limits}["user-01"] == -31
    assert receipt.overage <= 0
    assert of_user(acme) == (151, 0, 49)


def test_it_frees_what_was_used_at_once(acme: UsageControl, say: Say) -> None:
    first = say("consume", resource_ids=["user-01"], credit_currency=TOKENS, amount=200)
    assert not say("check", resource_ids=["user-01"], credit_currency=TOKENS)
    say("reverse", first.event_id, reason="refund")
    assert say("consume", resource_ids=["user-01"], credit_currency=TOKENS, amount=200).charged == 200


def test_it_is_booked_once(acme: UsageControl, say: Say) -> None:
    first = say("report", **USER, amount=7)
    reversal = say("reverse", first.event_id, reason="refund")
    again = say("reverse", first.event_id, reason="refund")
    assert (again.event_id, again.charged, again.duplicate) == (reversal.event_id, -7, True)
    assert of_user(acme) == (0, 0, 200)
    assert len(event_ids(acme)) == 2


def test_several_at_once_book_it_once(acme: UsageControl) -> None:
    first = acme.report(**USER, amount=7)
    receipts: Any = at_once([lambda: acme.reverse(first.event_id, reason="refund")] * 8)
    assert len({receipt.event_id for receipt in receipts}) == 1
    assert of_user(acme) == (0, 0, 200)


def test_a_reversed_key_stays_taken(acme: UsageControl, say: Say) -> None:
    first = say("report", **USER, amount=7, idempotency_key="k")
    say("reverse", first.event_id, reason="refund")
    again = say("report", **USER, amount=7, idempotency_key="k")
    assert (again.event_id, again.duplicate, again.charged) == (first.event_id, True, 7)
    assert of_user(acme) == (0, 0, 200)


def test_an_unknown_event_is_an_error(acme: UsageControl, say: Say) -> None:
    first = say("report", **USER, amount=7)
    unknown = type(first.event_id)(f"{first.event_id}000")
    with pytest.raises(EventNotFound) as missing:
        say("reverse", unknown, reason="refund")
    assert missing.value.event_id == unknown
    assert of_user(acme) == (7, 0, 193)


def test_a_settled_reservation_may_be_reversed(acme: UsageControl, say: Say) -> None:
    reservation = say("reserve", resource_ids=["user-01"], credit_currency=TOKENS, amount=75)
    receipt = say.to(reservation, "settle", 61)
    say("reverse", receipt.event_id, reason="refund")
    assert of_user(acme) == (0, 0, 200)
    assert say.to(reservation, "settle", 61).event_id == receipt.event_id


def test_it_goes_back_where_it_was_booked_though_the_resource_moved(acme: UsageControl, say: Say) -> None:
    other = {
        "id": "team-other",
        "resourceTypeId": "team",
        "parentResourceId": "dept-marketing",
        "customerId": ACME,
    }
    limit = {"resourceId": "team-other", "customerId": ACME, "creditCurrency": TOKENS, "limit": 9}
    first = say("report", **USER, amount=7)
    acme.apply({"resources": [other], "allocations": [limit]})
    acme.move_resource("user-01", "team-other")
    say("reverse", first.event_id, reason="refund")
    assert numbers(acme, "team-growth")["team-growth"] == (0, 0, 5000)
    assert numbers(acme, "team-other")["team-other"] == (0, 0, 9)
    assert list(acme.verify()) == []


def test_a_limit_that_asks_for_why_it_was_reversed_counts_both_or_neither(
    acme: UsageControl, say: Say
) -> None:
    scoped = {"resource_id": "user-01", "credit_currency": TOKENS, "limit": 50}
    acme.set_allocation(**scoped, scope={"reversal_reason": "refund"})
    acme.set_allocation(**scoped, scope={"reversal_actor": ["ops", "ann"]})

    def used() -> list[Any]:
        said = {"reversal_reason": "refund", "reversal_actor": "ann"}
        asked = {"resource_ids": ["user-01"], "credit_currency": TOKENS, "requested_usage": 0}
        return [limit.used for limit in acme.check(**asked, dimensions=said).limits if limit.scope]

    outside = say("report", **USER, amount=7)
    inside = say(
        "report", **USER, amount=7, dimensions={"reversal_reason": "refund", "reversal_actor": "ann"}
    )
    assert used() == [7, 7]
    say("reverse", outside.event_id, reason="refund", actor="ops")
    assert (used(), list(acme.verify())) == ([7, 7], [])
    say("reverse", inside.event_id, reason="mistake", actor="bob")
    assert used() == [0, 0]
    assert acme.verify() == []
