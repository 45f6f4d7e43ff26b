"""Scopes, templates and overrides: which limits a request meets."""

from datetime import UTC, datetime
from typing import Any

import pytest

from stiggctl import AccessDenied, UsageControl
from stiggctl.testing import ManualClock

from .saying import TOKENS, Say
from .test_windows import ASK, described, left, limit


def spent(control: UsageControl, resource: str = "ann", **asked: object) -> dict[str, tuple[Any, ...]]:
    """allocation id -> (used, remaining)."""
    decision = control.check(resource_ids=[resource], credit_currency=TOKENS, requested_usage=0, **asked)
    return {one.allocation_id: (one.used, one.remaining) for one in decision.limits}


# ------------------------------------------------------------------ scopes


def test_a_scope_counts_only_what_it_names(control: UsageControl, say: Say) -> None:
    described(
        control,
        limit("org", 100, id="all"),
        limit("org", 30, id="large", scope={"model": ["gpt-5", "opus"]}),
        limit("ann", 20, id="hers", scope={"model": "gpt-5"}),
    )
    say("consume", **ASK, amount=15, dimensions={"model": "gpt-5"})
    say("consume", **ASK, amount=40, dimensions={"model": "small"})
    say("consume", **ASK, amount=10)
    say("report", **ASK, amount=3, dimensions={"model": "opus", "feature": "chat"})
    assert spent(control, dimensions={"model": "gpt-5"}) == {
        "all": (68, 32),
        "large": (18, 12),
        "hers": (15, 5),
    }
    assert spent(control, dimensions={"model": "opus"}) == {"all": (68, 32), "large": (18, 12)}
    assert spent(control, dimensions={"model": "small"}) == {"all": (68, 32)}
    assert spent(control) == {"all": (68, 32)}
    with pytest.raises(AccessDenied) as denied:
        say("consume", **ASK, amount=6, dimensions={"model": "gpt-5"})
    binding = denied.value.decision.binding
    assert (binding.allocation_id, binding.scope) == ("hers", {"model": ("gpt-5",)})
    assert control.verify() == []


def test_a_scope_matches_canonical_text(control: UsageControl, say: Say) -> None:
    described(control, limit("ann", 10, id="five", scope={"size": 5, "batch": True}))
    for size in (5, "5"):
        say("consume", **ASK, amount=2, dimensions={"size": size, "batch": True})
    say("consume", **ASK, amount=2, dimensions={"size": "5.0", "batch": True})
    say("consume", **ASK, amount=2, dimensions={"size": 5})
    assert spent(control, dimensions={"size": "5", "batch": "true"}) == {"five": (4, 6)}
    assert control.verify() == []


def test_a_settle_counts_in_the_scopes_of_its_reserve(control: UsageControl, say: Say) -> None:
    described(control, limit("ann", 20, id="hers", scope={"model": "gpt-5"}), limit("org", 100, id="all"))
    held = say("reserve", **ASK, amount=15, dimensions={"model": "gpt-5"})
    assert not say("check", **ASK, requested_usage=6, dimensions={"model": "gpt-5"}).has_access
    assert say("check", **ASK, requested_usage=6).has_access
    assert [one.allocation_id for one in say.to(held, "settle", 12).limits] == ["all", "hers"]
    assert spent(control, dimensions={"model": "gpt-5"}) == {"all": (12, 88), "hers": (12, 8)}


def test_a_scope_added_later_counts_what_there_was(control: UsageControl, say: Say) -> None:
    described(control, limit("org", 100, id="all"))
    for model, amount in (("gpt-5", 7), ("small", 11)):
        say("consume", **ASK, amount=amount, dimensions={"model": model})
    described(control, limit("org", 100, id="all"), limit("ann", 50, id="hers", scope={"model": "gpt-5"}))
    assert spent(control, dimensions={"model": "gpt-5"}) == {"all": (18, 82), "hers": (7, 43)}
    say("consume", **ASK, amount=3, dimensions={"model": "gpt-5"})
    assert spent(control, dimensions={"model": "gpt-5"}) == {"all": (21, 79), "hers": (10, 40)}
    assert control.verify() == []


def test_batch_work_leaves_room_for_the_rest(control: UsageControl, say: Say, clock: ManualClock) -> None:
    """The worked example: batch may use at most 70 % of the day."""
    described(
        control,
        limit("org", 1_000, id="day", cadence="day"),
        limit("org", 700, id="batch", cadence="day", scope={"workload": "batch"}),
    )
    batch, person = {"workload": "batch"}, {"workload": "interactive"}
    say("consume", **ASK, amount=700, dimensions=batch)
    with pytest.raises(AccessDenied):
        say("consume", **ASK, amount=1, dimensions=batch)
    say("consume", **ASK, amount=300, dimensions=person)
    clock.set(datetime(2026, 1, 16, tzinfo=UTC))
    say("consume", **ASK, amount=400, dimensions=person)
    with pytest.raises(AccessDenied) as denied:
        say("consume", **ASK, amount=601, dimensions=batch)
    assert denied.value.decision.remaining == 600
    assert control.verify() == []


# ------------------------------------------------------------------ templates


SEATS = {
    "resourceTypes": [
        {"id": "org"},
        {
            "id": "user",
            "parentResourceTypeId": "org",
            "properties": {"tier": {"type": "ENUM", "values": ["STANDARD", "PREMIUM"]}},
        },
    ],
    "resources": [
        {"id": "org", "resourceTypeId": "org"},
        {
            "id": "ann",
            "resourceTypeId": "user",
            "parentResourceId": "org",
            "properties": {"tier": "STANDARD"},
        },
        {"id": "bob", "resourceTypeId": "user", "parentResourceId": "org", "properties": {"tier": "PREMIUM"}},
    ],
}


def template(amount: int, **terms: object) -> dict[str, object]:
    return {"resourceTypeId": "user", "creditCurrency": TOKENS, "limit": amount, **terms}


def test_a_template_limits_each_that_matches_by_itself(control: UsageControl, say: Say) -> None:
    described(
        control,
        template(200, id="standard", where={"tier": "STANDARD"}),
        template(1_000, id="premium", where={"tier": ["PREMIUM"]}),
        template(5_000, id="every"),
        **SEATS,
    )
    say("consume", **ASK, amount=150)
    assert spent(control) == {"standard": (150, 50), "every": (150, 4_850)}
    assert spent(control, "bob") == {"premium": (0, 1_000), "every": (0, 5_000)}
    assert control.verify() == []


def test_who_comes_later_or_changes_is_under_it_at_once(control: UsageControl, say: Say) -> None:
    described(control, template(200, id="standard", where={"tier": "STANDARD"}), **SEATS)
    say("consume", **ASK, amount=150)
    control.put_resource(
        "cleo", resource_type_id="user", parent_resource_id="org", properties={"tier": "STANDARD"}
    )
    assert spent(control, "cleo") == {"standard": (0, 200)}
    control.put_resource(
        "ann", resource_type_id="user", parent_resource_id="org", properties={"tier": "PREMIUM"}
    )
    assert spent(control) == {}
    control.put_resource(
        "ann", resource_type_id="user", parent_resource_id="org", properties={"tier": "STANDARD"}
    )
    assert spent(control) == {"standard": (150, 50)}
    assert control.verify() == []


def test_an_own_limit_stands_in_the_place_of_templates_like_it(control: UsageControl, say: Say) -> None:
    described(
        control,
        template(200, id="daily", cadence="day"),
        template(900, id="monthly", cadence="month"),
        limit("ann", 500, id="hers", cadence="day"),
        **SEATS,
    )
    assert spent(control) == {"hers": (0, 500), "monthly": (0, 900)}
    assert spent(control, "bob") == {"daily": (0, 200), "monthly": (0, 900)}


# ------------------------------------------------------------------ overrides


def test_an_override_lifts_a_limit_and_ends_by_itself(
    control: UsageControl, say: Say, clock: ManualClock
) -> None:
    described(control, limit("ann", 200, cadence="day"))
    say("consume", **ASK, amount=200)
    control.override_limit(
        "ann", TOKENS, limit=500, until="2026-01-16T18:00:00Z", reason="support said so", actor="eve"
    )
    found = say("check", **ASK, requested_usage=300)
    assert found.has_access
    assert (found.limits[0].limit, found.limits[0].overridden_by) == (500, "eve: support said so")
    say("consume", **ASK, amount=250)
    clock.set(datetime(2026, 1, 16, 17, 59, tzinfo=UTC))
    say("consume", **ASK, amount=400)
    clock.set(datetime(2026, 1, 16, 18, tzinfo=UTC))
    found = say("check", **ASK, requested_usage=1)
    assert not found.has_access
    assert (found.limits[0].limit, found.limits[0].used, found.limits[0].overridden_by) == (200, 400, None)
    clock.set(datetime(2026, 1, 17, tzinfo=UTC))
    assert left(control) == [("ann", "P1D", 0, 0, 200)]
    assert [line.actor for line in control.audit() if line.verb == "override_limit"] == ["eve"]
    assert control.verify() == []


def test_overrides_add_to_what_is_there(control: UsageControl, say: Say, clock: ManualClock) -> None:
    described(
        control,
        limit("ann", 200),
        overrides=[
            {
                "resourceId": "ann",
                "creditCurrency": TOKENS,
                "add": 50,
                "effectiveAt": "2026-01-15T13:00:00Z",
                "expiresAt": "2026-01-15T14:00:00Z",
            }
        ],
    )
    assert left(control) == [("ann", None, 0, 0, 200)]
    clock.set(datetime(2026, 1, 15, 13, tzinfo=UTC))
    assert left(control) == [("ann", None, 0, 0, 250)]
    held = say("reserve", **ASK, amount=240, ttl_seconds=86_400)
    clock.set(datetime(2026, 1, 15, 14, tzinfo=UTC))
    assert left(control) == [("ann", None, 0, 240, 0)]
    assert say.to(held, "settle", 240).overage == 40
    assert control.verify() == []
