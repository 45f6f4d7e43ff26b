"""Grants and rolling limits in a model: applied, read back, changed and voided one at a time."""

import json
import pickle
from typing import Any

import pytest

from stiggctl import AccessDeniedReason, GrantNotFound, InvalidModel, InvalidRequest, UsageControl
from stiggctl.testing import ManualClock

from .saying import TOKENS, flat

WHOLE: dict[str, Any] = {
    "creditCurrencies": [{"id": TOKENS}],
    "grants": [
        {"id": "plan", "customerId": "c", "creditCurrency": TOKENS, "amount": 500, "cadence": "month"},
        {
            "id": "welcome",
            "creditCurrency": TOKENS,
            "amount": 100,
            "priority": 10,
            "kind": "PROMOTIONAL",
            "effectiveAt": "2026-01-01T00:00:00Z",
            "expiresAt": "2026-04-01T00:00:00+02:00",
        },
        {
            "id": "anchored",
            "creditCurrency": TOKENS,
            "amount": "7",
            "cadence": "P1M",
            "anchor": "2026-01-31",
            "timezone": "Europe/Amsterdam",
        },
    ],
}


def remaining(control: UsageControl, at: str = "a") -> object:
    return control.check(resource_ids=[at], credit_currency=TOKENS, requested_usage=0).remaining


@pytest.fixture
def c(control: UsageControl) -> UsageControl:
    """A customer c with a resource that nothing limits."""
    control.apply({**flat({"a": None}), "creditCurrencies": [{"id": TOKENS}]})
    return control


def test_grants_are_applied_once_and_read_back(control: UsageControl) -> None:
    applied = control.apply(WHOLE)
    assert applied.created == (
        "credit currency ai-tokens",
        "customer c",
        "grant plan of ai-tokens of c",
        "grant welcome of ai-tokens of c",
        "grant anchored of ai-tokens of c",
    )
    assert not control.apply(WHOLE, prune=True)
    exported = control.export_model()
    assert not control.apply(exported, prune=True)
    assert not control.apply(json.loads(exported.model_dump_json()), prune=True)
    with UsageControl(":memory:") as other:
        other.apply(exported)
        assert other.export_model() == exported
    assert json.loads(exported.model_dump_json())["grants"][2]["expiresAt"] == "2026-03-31T22:00:00Z"


def test_all_that_is_wrong_is_told_and_nothing_is_applied(control: UsageControl) -> None:
    wrong: list[dict[str, Any]] = [
        {"id": "a", "amount": 0},
        {"id": "b", "amount": "0.5"},
        {"id": "c", "amount": 5, "priority": 2_000},
        {"id": "d", "amount": 5, "kind": "FREE"},
        {"id": "e", "amount": 5, "anchor": "2026-01-31"},
        {"id": "f", "amount": 5, "effectiveAt": "2026-02-01T00:00:00Z", "expiresAt": "2026-01-01T00:00:00Z"},
        {"id": "f", "amount": 5},
    ]
    grants = [{"customerId": "c", "creditCurrency": TOKENS, **each} for each in wrong]
    with pytest.raises(InvalidModel) as invalid:
        control.apply({"grants": grants})
    assert [problem.path for problem in invalid.value.problems] == [
        "grants[0].amount",
        "grants[1].amount",
        "grants[2].priority",
        "grants[3].kind",
        "grants[4].anchor",
        "grants[5].expiresAt",
        "grants[6].id",
    ]
    assert control.export_model().as_dict() == {}


def test_the_same_grant_again_adds_nothing(c: UsageControl) -> None:
    for _ in range(2):
        c.grant_credits(credit_currency=TOKENS, amount=100, grant_id="g")
    assert remaining(c) == 100
    assert c.grant_credits(credit_currency=TOKENS, amount=130, grant_id="g").changed
    assert remaining(c) == 130
    c.grant_credits(credit_currency=TOKENS, amount=20, grant_id="h", priority=1)
    assert remaining(c) == 150


def test_a_grant_makes_the_customer_that_it_names(control: UsageControl) -> None:
    with pytest.raises(InvalidRequest, match="customer_id"):
        control.grant_credits(credit_currency=TOKENS, amount=5, grant_id="g")
    applied = control.grant_credits(customer_id="new", credit_currency=TOKENS, amount=5, grant_id="g")
    assert applied.created == ("credit currency ai-tokens", "customer new", "grant g of ai-tokens of new")


def test_usage_before_the_first_grant_is_never_counted(c: UsageControl) -> None:
    c.report(resource_ids=["a"], credit_currency=TOKENS, amount=70, event_name="e", idempotency_key="1")
    c.grant_credits(credit_currency=TOKENS, amount=100, grant_id="g")
    assert remaining(c) == 100


def test_an_amount_below_what_was_used_leaves_the_pool_overdrawn(c: UsageControl) -> None:
    c.grant_credits(credit_currency=TOKENS, amount=100, grant_id="g")
    c.consume(resource_ids=["a"], credit_currency=TOKENS, amount=60, event_name="e", idempotency_key="1")
    c.grant_credits(credit_currency=TOKENS, amount=40, grant_id="g")
    assert remaining(c) == 0
    c.grant_credits(credit_currency=TOKENS, amount=30, grant_id="h")
    assert remaining(c) == 10
    assert not c.verify()


def test_voiding_takes_back_what_is_left_and_what_was_paid_stays_paid(c: UsageControl) -> None:
    c.grant_credits(credit_currency=TOKENS, amount=100, grant_id="g")
    c.consume(resource_ids=["a"], credit_currency=TOKENS, amount=60, event_name="e", idempotency_key="1")
    held = c.reserve(resource_ids=["a"], credit_currency=TOKENS, amount=10)
    assert c.void_grant("g", actor="ann", reason="refund").archived == ("grant g of ai-tokens of c",)
    decision = c.check(resource_ids=["a"], credit_currency=TOKENS)
    assert decision.access_denied_reason is AccessDeniedReason.INSUFFICIENT_CREDITS
    assert held.settle(10).charged == 10
    assert c.void_grant("g").unchanged == ("grant g of ai-tokens of c",)
    assert c.export_model().grants == ()
    assert not c.apply(c.export_model(), prune=True)
    with pytest.raises(InvalidModel, match="stays so"):
        c.grant_credits(credit_currency=TOKENS, amount=200, grant_id="g")
    c.grant_credits(credit_currency=TOKENS, amount=100, grant_id="h")
    assert remaining(c) == 100
    line = list(c.audit())[-2]
    assert (line.verb, line.actor, line.reason) == ("void_grant", "ann", "refund")
    assert not c.verify()


def test_pruning_voids_what_a_model_with_grants_does_not_name(c: UsageControl) -> None:
    for grant_id in ("kept", "gone"):
        c.grant_credits(credit_currency=TOKENS, amount=100, grant_id=grant_id)
    assert not c.apply({"customers": [{"id": "c"}]}, prune=True)
    kept = {"id": "kept", "customerId": "c", "creditCurrency": TOKENS, "amount": 100}
    assert c.apply({"grants": [kept]}).not_named == ("grant gone of ai-tokens of c",)
    assert c.apply({"grants": [kept]}, prune=True).archived == ("grant gone of ai-tokens of c",)
    assert remaining(c) == 100


def test_an_export_carries_no_balances(c: UsageControl) -> None:
    c.grant_credits(credit_currency=TOKENS, amount=100, grant_id="g")
    c.consume(resource_ids=["a"], credit_currency=TOKENS, amount=60, event_name="e", idempotency_key="1")
    assert remaining(c) == 40
    assert not c.apply(c.export_model(), prune=True)
    assert remaining(c) == 40
    with UsageControl(":memory:") as other:
        other.apply(c.export_model())
        assert remaining(other) == 100


def test_a_currency_with_a_grant_that_nothing_used_may_get_other_decimals(c: UsageControl) -> None:
    c.grant_credits(credit_currency=TOKENS, amount=100, grant_id="g")
    cents = {"creditCurrencies": [{"id": TOKENS, "decimals": 2}]}
    c.apply(cents)
    assert c.export_model().grants[0].amount == 100
    assert remaining(c) == 100
    c.consume(resource_ids=["a"], credit_currency=TOKENS, amount="0.5", event_name="e", idempotency_key="1")
    with pytest.raises(InvalidModel, match="usage counts in this currency"):
        c.apply({"creditCurrencies": [{"id": TOKENS, "decimals": 3}]})


def test_a_grant_that_nobody_has_is_an_error_that_travels(c: UsageControl) -> None:
    with pytest.raises(GrantNotFound, match="no grant 'g'") as missing:
        c.void_grant("g", customer_id="c")
    travelled = pickle.loads(pickle.dumps(missing.value))
    assert (travelled.grant_id, travelled.customer_id, str(travelled)) == ("g", "c", str(missing.value))


def test_a_rolling_limit_is_set_read_back_and_removed(c: UsageControl, clock: ManualClock) -> None:
    on: dict[str, Any] = {"resource_id": "a", "credit_currency": TOKENS, "cadence": "day"}
    c.set_allocation(**on, limit=50)
    applied = c.set_allocation(**on, limit=40, rolling=True)
    assert applied.created == ("allocation of ai-tokens on a (rolling P1D) of c",)
    exported = c.export_model()
    assert [one.rolling for one in exported.allocations] == [False, True]
    assert not c.apply(exported.model_dump_json(), prune=True)
    c.consume(resource_ids=["a"], credit_currency=TOKENS, amount=30, event_name="e", idempotency_key="1")
    clock.advance(seconds=13 * 3_600)  # past midnight
    assert remaining(c) == 10
    assert c.remove_allocation(**on, rolling=True).archived == (
        "allocation of ai-tokens on a (rolling P1D) of c",
    )
    assert remaining(c) == 50
