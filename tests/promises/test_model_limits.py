"""Cadences, scopes, templates and overrides in a model: applied, read back, changed one at a time."""

import json
from datetime import UTC, date, datetime
from typing import Any

import pytest

from stiggctl import InvalidModel, InvalidRequest, UsageControl
from stiggctl.testing import ManualClock

from .saying import TOKENS, Say

WHOLE: dict[str, Any] = {
    "creditCurrencies": [{"id": TOKENS}],
    "resourceTypes": [
        {"id": "team"},
        {
            "id": "user",
            "parentResourceTypeId": "team",
            "properties": {"seat": {"type": "ENUM", "values": ["STANDARD", "PREMIUM"]}},
        },
    ],
    "resources": [
        {"id": "growth", "resourceTypeId": "team", "customerId": "c"},
        {
            "id": "ana",
            "resourceTypeId": "user",
            "parentResourceId": "growth",
            "properties": {"seat": "STANDARD"},
        },
    ],
    "allocations": [
        {
            "resourceTypeId": "user",
            "where": {"seat": "STANDARD"},
            "creditCurrency": TOKENS,
            "limit": 200,
            "cadence": "day",
            "timezone": "Europe/Amsterdam",
        },
        {
            "resourceId": "growth",
            "creditCurrency": TOKENS,
            "limit": 5_000,
            "cadence": "P1M",
            "anchor": "2026-01-31",
            "scope": {"model": ["gpt-5", "o4"]},
            "effectiveAt": "2026-01-01T00:00:00Z",
            "expiresAt": "2027-01-01T00:00:00Z",
        },
        {"resourceId": "growth", "creditCurrency": TOKENS, "limit": 50_000, "cadence": "year"},
    ],
    "overrides": [
        {
            "resourceId": "ana",
            "creditCurrency": TOKENS,
            "limit": 500,
            "reason": "support said so",
            "actor": "maria",
            "expiresAt": "2026-01-16T18:00:00+01:00",
        }
    ],
    "rates": [
        {"eventName": "chat", "creditCurrency": TOKENS, "credits": 5},
        {
            "eventName": "chat",
            "creditCurrency": TOKENS,
            "credits": 7,
            "where": {"model": "gpt-5"},
            "effectiveAt": "2026-01-01T00:00:00Z",
        },
    ],
}


def limits_of(control: UsageControl, resource_id: str, **more: Any) -> list[tuple[str, str | None, Any]]:
    decision = control.check(resource_ids=[resource_id], credit_currency=TOKENS, **more)
    return [(state.resource_id, state.cadence, state.limit) for state in decision.limits]


def test_a_whole_arrangement_is_data(control: UsageControl) -> None:
    applied = control.apply(WHOLE, actor="ann", reason="contract")
    assert applied.created[-6:] == (
        "allocation of ai-tokens on each user with seat STANDARD (P1D)",
        "allocation of ai-tokens on growth (P1M, model gpt-5 or o4) of c",
        "allocation of ai-tokens on growth (P1Y) of c",
        "override of ai-tokens on ana of c",
        "rate of chat in ai-tokens",
        "rate of chat in ai-tokens (from 2026-01-01T00:00:00Z, model gpt-5)",
    )
    assert {(entry.actor, entry.reason) for entry in control.audit()} == {("ann", "contract")}
    assert limits_of(control, "ana", dimensions={"model": "o4"}) == [
        ("growth", "P1M", 5_000),
        ("growth", "P1Y", 50_000),
        ("ana", "P1D", 500),
    ]


def test_applying_what_was_exported_changes_nothing(control: UsageControl) -> None:
    control.apply(WHOLE)
    model = control.export_model()
    for again in (WHOLE, json.dumps(WHOLE), model, model.as_dict(), model.model_dump_json()):
        for prune in (False, True):
            applied = control.apply(again, prune=prune)
            assert not applied
            assert not applied.not_named
    with UsageControl(":memory:", clock=ManualClock(datetime(2026, 1, 15, 12, tzinfo=UTC))) as other:
        other.apply(model.model_dump_json())
        assert other.export_model() == model


def test_an_override_that_ended_leaves_the_model_by_itself(control: UsageControl, clock: ManualClock) -> None:
    control.apply(WHOLE)
    assert len(control.export_model().overrides) == 1
    clock.set(datetime(2026, 1, 16, 17, tzinfo=UTC))
    model = control.export_model()
    assert model.overrides == ()
    assert not control.apply(model, prune=True)
    assert not control.apply(WHOLE, prune=True)


def test_an_override_is_said_ends_early_and_is_audited(control: UsageControl, say: Say) -> None:
    control.apply({**WHOLE, "overrides": []})
    assert say("check", resource_ids=["ana"], credit_currency=TOKENS).remaining == 200
    control.override_limit(
        "ana", TOKENS, add=50, until="2026-01-16T00:00:00Z", actor="maria", reason="launch week"
    )
    for _ in range(2):  # said twice, it is one
        control.override_limit(
            "ana", TOKENS, add=50, until="2026-01-16T00:00:00Z", actor="maria", reason="launch week"
        )
    assert say("check", resource_ids=["ana"], credit_currency=TOKENS).remaining == 250
    entry = list(control.audit())[-1]
    assert (entry.verb, entry.actor, entry.reason) == ("override_limit", "maria", "launch week")
    assert control.remove_override("ana", TOKENS, actor="maria", reason="over")
    assert say("check", resource_ids=["ana"], credit_currency=TOKENS).remaining == 200
    assert list(control.audit())[-1].verb == "remove_override"
    with pytest.raises(InvalidRequest, match="an override that goes on"):
        control.remove_override("ana", TOKENS)
    with pytest.raises(InvalidRequest, match="until"):
        control.override_limit("ana", TOKENS, add=50, until="2026-01-15T12:00:00Z")
    with pytest.raises(InvalidModel, match="P1M or P1Y"):
        control.apply(
            {
                "allocations": [{**WHOLE["allocations"][1], "scope": {}}],
                "overrides": [{**WHOLE["overrides"][0], "resourceId": "growth"}],
            }
        )


def test_a_limit_is_set_with_all_that_a_model_can_say(control: UsageControl) -> None:
    control.apply({**WHOLE, "allocations": [], "overrides": []})
    control.set_allocation(
        resource_id="growth",
        credit_currency=TOKENS,
        limit=5_000,
        cadence="month",
        anchor=date(2026, 1, 31),
        scope={"model": ["o4", "gpt-5"]},
        effective_at=datetime(2026, 1, 1, tzinfo=UTC),
        expires_at="2027-01-01T00:00:00Z",
        actor="ann",
    )
    control.set_allocation(resource_id="growth", credit_currency=TOKENS, limit=50_000, cadence="P1Y")
    control.set_allocation(
        resource_type_id="user",
        where={"seat": "STANDARD"},
        credit_currency=TOKENS,
        limit=200,
        cadence="P1D",
        timezone="Europe/Amsterdam",
    )
    applied = control.apply({**WHOLE, "overrides": []}, prune=True)
    assert not applied
    with pytest.raises(InvalidRequest, match=r"growth \(P1M, model gpt-5 or o4\), .*growth \(P1Y\)"):
        control.remove_allocation(resource_id="growth", credit_currency=TOKENS)
    control.remove_allocation(resource_id="growth", credit_currency=TOKENS, cadence="P1Y")
    control.remove_allocation(resource_id="growth", credit_currency=TOKENS)
    control.remove_allocation(resource_type_id="user", credit_currency=TOKENS)
    assert control.export_model().allocations == ()


def test_a_template_is_over_resources_that_come_later(control: UsageControl) -> None:
    control.apply(WHOLE)
    control.put_resource(
        "bob", resource_type_id="user", parent_resource_id="growth", properties={"seat": "STANDARD"}
    )
    assert ("bob", "P1D", 200) in limits_of(control, "bob")
    control.put_resource(
        "bob", resource_type_id="user", parent_resource_id="growth", properties={"seat": "PREMIUM"}
    )
    assert [each for each in limits_of(control, "bob") if each[0] == "bob"] == []
