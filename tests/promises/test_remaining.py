"""What remains, which limit binds, and what would help: remaining, binding, remedy, retry_at."""

from datetime import timedelta
from typing import Any

import pytest

from stiggctl import AccessDenied, UsageControl
from stiggctl.testing import ManualClock

from .saying import TOKENS, Say, flat, moment


def asked(*resource_ids: str) -> dict[str, Any]:
    return {"resource_ids": list(resource_ids), "credit_currency": TOKENS}


def test_remaining_is_the_largest_amount_that_would_be_admitted(control: UsageControl, say: Say) -> None:
    control.apply(flat({"a": 100, "b": 70}))
    control.consume(**asked("a"), amount=60)
    control.reserve(**asked("b"), amount=25)
    remaining = say("check", **asked("a", "b")).remaining
    assert remaining == 40
    assert not say("check", **asked("a", "b"), requested_usage=remaining + 1)
    assert say("check", **asked("a", "b"), requested_usage=remaining)
    say("consume", **asked("a", "b"), amount=remaining)


def test_nothing_limits_where_no_hard_limit_is(control: UsageControl, say: Say) -> None:
    control.apply(flat({"free": None, "soft": 10}, soft=["soft"]))
    for ids in (["free"], ["soft"], ["free", "soft"]):
        decision = say("check", **asked(*ids), requested_usage=10**17)
        assert decision.has_access
        assert decision.remaining is None
        assert decision.binding is None


def test_a_soft_limit_denies_nothing_but_says_that_it_does_not_fit(control: UsageControl, say: Say) -> None:
    control.apply(flat({"hard": 50, "soft": 10}, soft=["soft"]))
    decision = say("check", **asked("hard", "soft"), requested_usage=11)
    assert decision.has_access
    assert {limit.resource_id: limit.allowed for limit in decision.limits} == {"hard": True, "soft": False}
    assert decision.remaining == 50
    assert decision.binding.resource_id == "hard"
    say("consume", **asked("hard", "soft"), amount=11)
    after = say("check", **asked("hard", "soft"), requested_usage=0)
    assert {limit.resource_id: (limit.used, limit.remaining) for limit in after.limits} == {
        "hard": (11, 39),
        "soft": (11, 0),
    }


def test_held_on_a_soft_limit_is_told_apart_from_used(control: UsageControl, say: Say) -> None:
    control.apply(flat({"soft": 10}, soft=["soft"]))
    say("reserve", **asked("soft"), amount=8)
    say("consume", **asked("soft"), amount=1)
    (limit,) = say("check", **asked("soft"), requested_usage=2).limits
    assert (limit.used, limit.held, limit.remaining, limit.allowed) == (1, 8, 1, False)


def test_remaining_of_a_limit_is_never_below_zero(control: UsageControl, say: Say) -> None:
    control.apply(flat({"a": 10}))
    say("report", customer_id="c", event_name="e", resource_ids=["a"], credit_currency=TOKENS, amount=25)
    (limit,) = say("check", **asked("a")).limits
    assert (limit.used, limit.remaining) == (25, 0)


def test_the_denying_limit_with_the_least_remaining_binds(control: UsageControl, say: Say) -> None:
    control.apply(flat({"a": 30, "b": 20, "c": 10, "d": 90, "soft": 1}, soft=["soft"]))
    denied = say("check", **asked("a", "b", "c", "d", "soft"), requested_usage=25)
    assert denied.binding.resource_id == "c"
    assert [limit.resource_id for limit in denied.limits if not limit.allowed] == ["b", "c", "soft"]
    assert denied.remaining == 10


def test_on_a_tie_the_first_of_the_limits_binds(control: UsageControl, say: Say) -> None:
    control.apply(flat({"a": 30, "b": 20, "c": 20}))
    for amount in (1, 21):
        assert say("check", **asked("c", "b", "a"), requested_usage=amount).binding.resource_id == "b"


def test_an_exhausted_limit_says_no_also_when_no_amount_is_named(control: UsageControl, say: Say) -> None:
    control.apply(flat({"a": 10}))
    assert say("check", **asked("a"))
    say("consume", **asked("a"), amount=10)
    assert not say("check", **asked("a"))


def test_left_out_is_one_smallest_unit(control: UsageControl, say: Say) -> None:
    model = flat({"a": None})
    model["creditCurrencies"] = [{"id": "usd", "decimals": 2}]
    model["allocations"] = [{"resourceId": "a", "creditCurrency": "usd", "customerId": "c", "limit": 1}]
    control.apply(model)
    usd = {"resource_ids": ["a"], "credit_currency": "usd"}
    say("consume", **usd, amount="0.99")
    assert say("check", **usd)
    say("consume", **usd, amount="0.01")
    assert not say("check", **usd)


def test_nothing_fits_while_no_hard_limit_is_passed(control: UsageControl, say: Say) -> None:
    control.apply(flat({"a": 10}))
    say("consume", **asked("a"), amount=10)
    assert say("check", **asked("a"), requested_usage=0)
    assert say("consume", **asked("a"), amount=0).charged == 0
    say("report", customer_id="c", event_name="e", resource_ids=["a"], credit_currency=TOKENS, amount=1)
    assert not say("check", **asked("a"), requested_usage=0)
    with pytest.raises(AccessDenied):
        say("consume", **asked("a"), amount=0)


def test_shrink_says_the_amount_that_fits(control: UsageControl, say: Say) -> None:
    control.apply(flat({"a": 10}))
    say("consume", **asked("a"), amount=4)
    remedy = say("check", **asked("a"), requested_usage=7).remedy
    assert (remedy.kind, remedy.amount) == ("SHRINK", 6)
    say("consume", **asked("a"), amount=remedy.amount)


def test_raise_the_limit_when_it_is_all_used(control: UsageControl, say: Say) -> None:
    control.apply(flat({"a": 10}))
    say("consume", **asked("a"), amount=10)
    denied = say("check", **asked("a"), requested_usage=7)
    assert denied.remedy.kind == "RAISE_LIMIT"
    assert denied.retry_at is None


def test_retry_when_only_what_is_held_is_in_the_way(
    control: UsageControl, say: Say, clock: ManualClock
) -> None:
    control.apply(flat({"a": 10}))
    say("reserve", **asked("a"), amount=10, ttl_seconds=60)
    denied = say("check", **asked("a"), requested_usage=7)
    assert denied.remedy.kind == "RETRY"
    assert denied.retry_at == moment(clock) + timedelta(seconds=60)


def test_retry_at_is_when_enough_has_ended(control: UsageControl, say: Say, clock: ManualClock) -> None:
    control.apply(flat({"a": 100}))
    start = moment(clock)
    for amount, ttl_seconds in ((30, 50), (40, 100), (30, 25)):
        say("reserve", **asked("a"), amount=amount, ttl_seconds=ttl_seconds)
    for amount, after_seconds in ((1, 25), (30, 25), (31, 50), (60, 50), (61, 100), (100, 100)):
        denied = say("check", **asked("a"), requested_usage=amount)
        assert denied.retry_at == start + timedelta(seconds=after_seconds), amount
    assert say("check", **asked("a"), requested_usage=101).retry_at is None


def test_retry_at_holds_what_it_says(control: UsageControl, say: Say, clock: ManualClock) -> None:
    control.apply(flat({"a": 100}))
    say("reserve", **asked("a"), amount=90, ttl_seconds=60)
    at = say("check", **asked("a"), requested_usage=50).retry_at
    clock.set(at - timedelta(microseconds=1))
    assert not say("check", **asked("a"), requested_usage=50)
    clock.set(at)
    assert say("check", **asked("a"), requested_usage=50)


def test_retry_at_is_the_latest_over_the_limits_that_deny(
    control: UsageControl, say: Say, clock: ManualClock
) -> None:
    control.apply(flat({"a": 10, "b": 10}))
    start = moment(clock)
    say("reserve", **asked("a"), amount=10, ttl_seconds=60)
    say("reserve", **asked("b"), amount=10, ttl_seconds=30)
    assert say("check", **asked("a", "b")).retry_at == start + timedelta(seconds=60)
    say("consume", **asked("b"), amount=0)
    control.report(customer_id="c", event_name="e", resource_ids=["b"], credit_currency=TOKENS, amount=10)
    assert say("check", **asked("a", "b")).retry_at is None  # b never would


def test_shrink_comes_first_though_waiting_would_help_too(
    control: UsageControl, say: Say, clock: ManualClock
) -> None:
    control.apply(flat({"a": 10}))
    say("reserve", **asked("a"), amount=7, ttl_seconds=60)
    denied = say("check", **asked("a"), requested_usage=4)
    assert (denied.remedy.kind, denied.remedy.amount) == ("SHRINK", 3)
    assert denied.retry_at == moment(clock) + timedelta(seconds=60)


def test_a_request_larger_than_the_limit_is_never_worth_a_retry(control: UsageControl, say: Say) -> None:
    control.apply(flat({"a": 10}))
    say("reserve", **asked("a"), amount=10)
    denied = say("check", **asked("a"), requested_usage=11)
    assert denied.remedy.kind == "RAISE_LIMIT"
    assert denied.retry_at is None
