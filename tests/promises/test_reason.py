"""Reasons that are no limit: unknown, archived, suspended, without an allocation; and their order."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from stiggctl import (
    AccessDenied,
    AmbiguousResource,
    CurrencyNotFound,
    CustomerNotFound,
    InvalidRequest,
    ResourceNotFound,
    UsageControl,
)
from stiggctl.testing import ManualClock

from .saying import ACME, TOKENS, Face, Say, flat, moment, numbers

Opener = Callable[..., UsageControl]


@pytest.fixture
def opened(ledger_path: str, clock: ManualClock) -> Iterator[Opener]:
    """Opens a control with other options than the usual ones."""
    controls: list[UsageControl] = []

    def open_with(**options: Any) -> UsageControl:
        controls.append(UsageControl(ledger_path, clock=clock, **options))
        return controls[-1]

    yield open_with
    for control in controls:
        control.close()


def asked(*resource_ids: str) -> dict[str, Any]:
    return {"resource_ids": list(resource_ids), "credit_currency": TOKENS}


def reason(say: Say, *resource_ids: str, **more: Any) -> str | None:
    decision = say("check", **asked(*resource_ids), **more)
    assert decision.has_access is (decision.access_denied_reason is None)
    if not decision:
        assert decision.remaining == 0
        assert str(decision)
        with pytest.raises(AccessDenied) as denied:
            say("consume", **asked(*resource_ids), amount=0, **more)
        assert denied.value.decision.access_denied_reason == decision.access_denied_reason
        with pytest.raises(AccessDenied):
            say("reserve", **asked(*resource_ids), amount=0, **more)
    return None if decision.access_denied_reason is None else str(decision.access_denied_reason)


@pytest.mark.parametrize("verb", ["check", "reserve", "consume"])
def test_an_unknown_resource_is_an_error_and_nothing_is_looked_at(
    acme: UsageControl, say: Say, verb: str
) -> None:
    amount = {} if verb == "check" else {"amount": 1}
    with pytest.raises(ResourceNotFound) as missing:
        say(verb, **asked("user-01", "nobody", "nowhere"), **amount)
    assert set(missing.value.resource_ids) == {"nobody", "nowhere"}
    assert "nobody" in str(missing.value)
    with pytest.raises(ResourceNotFound):
        say(verb, **asked("user-01", "nobody"), **amount, customer_id=ACME)
    with pytest.raises(CustomerNotFound) as unknown:
        say(verb, **asked("user-01"), **amount, customer_id="no-such-customer")
    assert unknown.value.customer_id == "no-such-customer"
    assert list(acme.reservations()) == []
    assert numbers(acme, "user-01")["user-01"] == (0, 0, 200)


def test_an_unknown_currency_is_an_error_that_names_the_known_ones(acme: UsageControl, say: Say) -> None:
    with pytest.raises(CurrencyNotFound, match=TOKENS) as unknown:
        say("check", resource_ids=["user-01"], credit_currency="ai-token")
    assert unknown.value.credit_currency == "ai-token"
    assert TOKENS in unknown.value.known


def test_deny_turns_unknown_into_a_denial(opened: Opener, face: Face) -> None:
    say = Say(opened(unknown_resources="deny"), face)
    say.control.apply(flat({"a": 10}))
    assert reason(say, "a", "nobody") == "RESOURCE_NOT_FOUND"
    assert reason(say, "nobody") == "RESOURCE_NOT_FOUND"
    assert reason(say, "a", "nobody", customer_id="c") == "RESOURCE_NOT_FOUND"
    assert reason(say, "a", customer_id="nobody") == "CUSTOMER_NOT_FOUND"
    assert say("check", **asked("nobody")).remedy is None
    assert reason(say, "a") is None


def test_ignore_leaves_unknown_ids_out(opened: Opener, face: Face) -> None:
    say = Say(opened(unknown_resources="ignore"), face)
    say.control.apply(flat({"a": 10}))
    assert say("check", **asked("a", "nobody")).remaining == 10
    assert say("consume", **asked("nobody", "a"), amount=4).charged == 4
    assert numbers(say.control, "a") == {"a": (4, 0, 6)}
    with pytest.raises(ResourceNotFound):
        say("check", **asked("nobody"))
    assert say("check", **asked("nobody"), customer_id="c").has_access


def test_the_customer_is_the_one_that_has_all_ids_named(control: UsageControl, say: Say) -> None:
    control.apply(flat({"shared": 10, "mine": 10}, customer_id="first"))
    control.apply(flat({"shared": 20, "yours": 20}, customer_id="second"))
    assert say("check", **asked("shared", "mine")).remaining == 10
    assert say("check", **asked("shared", "yours")).remaining == 20
    assert say("check", **asked("shared"), customer_id="second").remaining == 20
    with pytest.raises(AmbiguousResource) as ambiguous:
        say("check", **asked("shared"))
    assert set(ambiguous.value.customer_ids) == {"first", "second"}
    assert set(ambiguous.value.resource_ids) == {"shared"}
    with pytest.raises(AmbiguousResource):
        say("consume", **asked("shared", "mine", "yours"), amount=1)


def test_ignore_finds_the_customer_by_the_known_ids(opened: Opener, face: Face) -> None:
    say = Say(opened(unknown_resources="ignore"), face)
    say.control.apply(flat({"shared": 10, "mine": 10}, customer_id="first"))
    say.control.apply(flat({"shared": 20}, customer_id="second"))
    assert say("check", **asked("shared", "mine", "nobody")).remaining == 10
    with pytest.raises(AmbiguousResource):
        say("check", **asked("shared", "nobody"))


def test_nothing_crosses_customers(control: UsageControl, say: Say) -> None:
    control.apply(flat({"shared": 10}, customer_id="first"))
    control.apply(flat({"shared": 10}, customer_id="second"))
    say("consume", **asked("shared"), amount=10, customer_id="first")
    assert say("check", **asked("shared"), customer_id="second").remaining == 10


def test_where_no_allocation_applies_the_default_decides(opened: Opener, face: Face) -> None:
    say = Say(opened(default_access="deny"), face)
    say.control.apply(flat({"free": None, "soft": 1, "hard": 1}, soft=["soft"]))
    assert reason(say, "free") == "NO_ALLOCATION"
    assert say("check", **asked("free")).remedy is None
    assert reason(say, "soft") is None
    assert reason(say, "free", "hard") is None


@pytest.mark.parametrize("where", ["user-01", "team-growth", "org-acme", "emea"])
def test_suspending_a_resource_suspends_all_below_it_until_it_is_resumed(
    acme: UsageControl, say: Say, where: str
) -> None:
    acme.suspend(where, reason="runaway agent")
    assert reason(say, "user-01", "emea") == "SUSPENDED"
    denied = say("check", **asked("user-01", "emea"))
    assert (denied.remedy, denied.retry_at) == (None, None)
    assert where in str(denied)
    assert reason(say, "engineering") is None
    acme.resume(where)
    assert reason(say, "user-01", "emea") is None


def test_suspending_below_leaves_what_is_above_alone(acme: UsageControl, say: Say) -> None:
    acme.suspend("user-01")
    assert reason(say, "team-growth") is None
    assert reason(say, "user-bob") is None


def test_a_suspension_with_an_end_ends_by_itself(acme: UsageControl, say: Say, clock: ManualClock) -> None:
    until = moment(clock) + timedelta(hours=1)
    acme.suspend("team-growth", reason="cool down", until=until)
    denied = say("check", **asked("user-01"))
    assert denied.access_denied_reason == "SUSPENDED"
    assert denied.remedy.kind == "WAIT"
    assert denied.retry_at == until
    clock.set(until - timedelta(microseconds=1))
    assert reason(say, "user-01") == "SUSPENDED"
    clock.set(until)
    assert reason(say, "user-01") is None


def test_archived_resources_and_customers_are_denied_until_restored(acme: UsageControl, say: Say) -> None:
    assert reason(say, "user-01") is None
    acme.archive_resource("user-01")
    assert reason(say, "user-01") == "RESOURCE_ARCHIVED"
    acme.restore_resource("user-01")
    assert reason(say, "user-01") is None
    acme.archive_customer(ACME)
    assert reason(say, "user-01") == "CUSTOMER_ARCHIVED"
    acme.restore_customer(ACME)
    assert reason(say, "user-01") is None


def test_the_first_reason_in_the_stated_order_is_given(opened: Opener, face: Face) -> None:
    # Q2
    say = Say(opened(unknown_resources="deny", default_access="deny"), face)
    control = say.control
    control.apply(flat({"a": 10, "b": 10, "free": None}))
    say("consume", **asked("a"), amount=10)
    assert reason(say, "free") == "NO_ALLOCATION"
    assert str(say("check", **asked("a")).access_denied_reason) == "BUDGET_EXCEEDED"
    for name in ("a", "free"):
        control.suspend(name)
        assert reason(say, name) == "SUSPENDED"
        control.archive_resource(name)
        assert reason(say, name) == "RESOURCE_ARCHIVED"
    assert reason(say, "b", "a") == "RESOURCE_ARCHIVED"
    assert reason(say, "a", "nobody", customer_id="c") == "RESOURCE_NOT_FOUND"
    control.archive_customer("c")
    assert reason(say, "a", "nobody", customer_id="c") == "CUSTOMER_ARCHIVED"
    assert reason(say, "b") == "CUSTOMER_ARCHIVED"


@pytest.mark.parametrize(
    "wrong",
    [
        {"resource_ids": "a"},
        {"resource_ids": []},
        {"resource_ids": [1]},
        {"resource_ids": None},
        {"credit_currency": None},
        {"credit_currency": TOKENS, "amounts": {TOKENS: 1}},
        {"credit_currency": None, "amounts": {}},
    ],
)
def test_a_question_that_is_none_is_refused(control: UsageControl, say: Say, wrong: dict[str, Any]) -> None:
    control.apply(flat({"a": 10}))
    with pytest.raises(InvalidRequest):
        say("check", **{**asked("a"), **wrong})
