"""A decision: every field says what API.md says, whatever the order of the question."""

import json
import pickle
from datetime import timedelta
from typing import Any

import pytest

from stiggctl import AccessDeniedReason, Decision, LimitState, UsageControl
from stiggctl.testing import ManualClock

from .saying import ACME, TOKENS, Say, flat, moment

LIMIT_KEYS = {
    "allocationId",
    "resourceId",
    "resourceTypeId",
    "creditCurrency",
    "enforcementType",
    "limit",
    "used",
    "held",
    "remaining",
    "scope",
    "cadence",
    "windowStart",
    "windowEnd",
    "allowed",
    "isPool",
    "overriddenBy",
}


def keys_in(value: object) -> set[str]:
    if isinstance(value, dict):
        return set(value) | {key for inner in value.values() for key in keys_in(inner)}
    if isinstance(value, list | tuple):
        return {key for inner in value for key in keys_in(inner)}
    return set()


def without_id(decision: Decision) -> dict[str, Any]:
    told = dict(decision.as_dict())
    del told["decisionId"]
    return told


def test_a_yes_has_every_field(acme: UsageControl, say: Say, ask: dict[str, Any]) -> None:
    decision = say("check", **ask, requested_usage=50)
    assert isinstance(decision, Decision)
    assert decision.has_access is True
    assert bool(decision) is True
    assert decision.access_denied_reason is None
    assert decision.remaining == 200
    assert decision.remedy is None
    assert decision.retry_at is None
    assert decision.policy is None
    assert isinstance(decision.limits, tuple)
    assert decision.decision_id


def test_a_no_has_every_field(acme: UsageControl, say: Say, ask: dict[str, Any]) -> None:
    decision = say("check", **ask, requested_usage=201)
    assert decision.has_access is False
    assert bool(decision) is False
    assert decision.access_denied_reason is AccessDeniedReason.BUDGET_EXCEEDED
    assert decision.remaining == 200
    assert decision.binding.resource_id == "user-01"
    assert (decision.remedy.kind, decision.remedy.amount) == ("SHRINK", 200)
    assert decision.retry_at is None


def test_a_limit_state_has_every_field(acme: UsageControl, say: Say, ask: dict[str, Any]) -> None:
    # A2: used and held are told apart
    acme.reserve(**ask, amount=30)
    acme.consume(**ask, amount=12)
    state = say("check", **ask, requested_usage=158).limits[-1]
    assert isinstance(state, LimitState)
    assert (state.resource_id, state.resource_type_id) == ("user-01", "user")
    assert (state.credit_currency, state.enforcement_type) == (TOKENS, "HARD")
    assert (state.limit, state.used, state.held, state.remaining) == (200, 12, 30, 158)
    assert state.allowed is True
    assert (state.scope, state.cadence, state.window_start, state.window_end) == (None,) * 4
    assert state.is_pool is False
    assert state.overridden_by is None
    assert all(type(number) is int for number in (state.limit, state.used, state.held, state.remaining))


def test_an_allocation_with_an_id_is_named_by_it(control: UsageControl) -> None:
    model = flat({"a": 10})
    model["allocations"][0]["id"] = "limit-of-a"
    control.apply(model)
    assert control.check(resource_ids=["a"], credit_currency=TOKENS).limits[0].allocation_id == "limit-of-a"


def test_limits_stand_roots_first_then_by_type_then_by_resource(
    acme: UsageControl, say: Say, ask: dict[str, Any]
) -> None:
    limits = say("check", **ask).limits
    assert [limit.resource_id for limit in limits] == [
        "engineering",  # org, a root
        "org-acme",  # org, a root
        "emea",  # region, a root
        "dept-marketing",
        "team-growth",
        "user-01",
    ]


def test_limits_of_one_resource_stand_by_currency(control: UsageControl, say: Say) -> None:
    model = flat({"a": 10, "b": 20})
    model["creditCurrencies"] = [{"id": "eur", "decimals": 2}, {"id": "usd", "decimals": 9}]
    for currency in ("usd", "eur"):
        model["allocations"].append(
            {"resourceId": "a", "creditCurrency": currency, "customerId": "c", "limit": 5}
        )
    control.apply(model)
    decision = say("check", resource_ids=["b", "a"], amounts={"usd": 1, TOKENS: 1, "eur": 1})
    assert [(limit.resource_id, limit.credit_currency) for limit in decision.limits] == [
        ("a", TOKENS),
        ("a", "eur"),
        ("a", "usd"),
        ("b", TOKENS),
    ]


def test_the_order_and_repetition_of_resource_ids_change_nothing(acme: UsageControl, say: Say) -> None:
    asked: dict[str, Any] = {"credit_currency": TOKENS, "requested_usage": 201}
    first = without_id(say("check", resource_ids=["user-01", "emea", "engineering"], **asked))
    for ids in (
        ["emea", "engineering", "user-01"],
        ["engineering", "user-01", "user-01", "emea", "emea"],
        ["user-01", "team-growth", "emea", "org-acme", "engineering"],  # ancestors count once
        ("user-01", "emea", "engineering"),
    ):
        assert without_id(say("check", resource_ids=ids, **asked)) == first


def test_each_decision_has_an_id_of_its_own(acme: UsageControl, say: Say, ask: dict[str, Any]) -> None:
    assert len({say("check", **ask).decision_id for _ in range(5)}) == 5


def test_a_denial_in_words_has_the_names_and_the_numbers(
    acme: UsageControl, say: Say, ask: dict[str, Any]
) -> None:
    acme.consume(**ask, amount=61)
    sentence = str(say("check", **ask, requested_usage=140))
    assert "\n" not in sentence
    for part in ("user-01", "139", "200", "140", TOKENS):
        assert part in sentence


def test_a_yes_in_words_has_the_numbers_too(acme: UsageControl, say: Say, ask: dict[str, Any]) -> None:
    sentence = str(say("check", **ask, requested_usage=50))
    assert "\n" not in sentence
    assert "200" in sentence
    assert TOKENS in sentence


@pytest.mark.parametrize("amount", [50, 201])
def test_as_dict_is_camel_case_and_json(
    acme: UsageControl, say: Say, ask: dict[str, Any], amount: int
) -> None:
    decision = say("check", **ask, requested_usage=amount)
    told = json.loads(json.dumps(decision.as_dict()))
    assert told["hasAccess"] is decision.has_access
    assert told["accessDeniedReason"] == (None if decision else "BUDGET_EXCEEDED")
    assert told["remaining"] == 200
    assert told["decisionId"] == decision.decision_id
    assert told["binding"]["resourceId"] == "user-01"
    assert {"remedy", "retryAt"} <= set(told)
    assert len(told["limits"]) == 6
    for limit in told["limits"]:
        assert set(limit) >= LIMIT_KEYS
    assert not [key for key in keys_in(told) if "_" in key or key[:1].isupper()]


def test_as_dict_is_json_with_money_and_instants_in_it(
    control: UsageControl, say: Say, clock: ManualClock
) -> None:
    model = flat({"a": None})
    model["creditCurrencies"] = [{"id": "usd", "decimals": 9}]
    model["allocations"] = [{"resourceId": "a", "creditCurrency": "usd", "customerId": "c", "limit": "0.5"}]
    control.apply(model)
    ask = {"resource_ids": ["a"], "credit_currency": "usd"}
    control.reserve(**ask, amount="0.5", ttl_seconds=60)
    decision = say("check", **ask, requested_usage="0.000000001")
    told = json.dumps(decision.as_dict())
    assert "2026-01-15T12:01:00" in told
    assert decision.retry_at == moment(clock) + timedelta(seconds=60)


@pytest.mark.parametrize("amount", [50, 201])
def test_a_decision_survives_pickling(acme: UsageControl, say: Say, ask: dict[str, Any], amount: int) -> None:
    # A3
    decision = say("check", **ask, requested_usage=amount)
    again = pickle.loads(pickle.dumps(decision))
    assert again.as_dict() == decision.as_dict()
    assert str(again) == str(decision)
    assert again.binding.resource_id == decision.binding.resource_id


def test_a_decision_keeps_its_numbers_while_the_world_moves_on(
    acme: UsageControl, say: Say, ask: dict[str, Any]
) -> None:
    # A1
    early = say("check", **ask, requested_usage=50)
    told = early.as_dict()
    late = say("check", **ask, requested_usage=50)
    acme.consume(**ask, amount=150)
    lower = {"resourceId": "user-01", "customerId": ACME, "creditCurrency": TOKENS, "limit": 7}
    acme.apply({"allocations": [lower]})
    assert early.as_dict() == told
    assert without_id(late) == without_id(early)  # read only now: the numbers of its own moment


def test_a_check_changes_no_number(acme: UsageControl, say: Say, ask: dict[str, Any]) -> None:
    before = without_id(say("check", **ask, requested_usage=10))
    for amount in (0, 1, 200, 201, 10**17):
        say("check", **ask, requested_usage=amount)
    assert without_id(say("check", **ask, requested_usage=10)) == before
