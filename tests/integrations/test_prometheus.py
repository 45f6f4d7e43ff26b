"""Prometheus: what a scrape sees of a control."""

from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from stiggctl import AccessDenied, InvalidRequest, LedgerError, ThresholdCrossed, UsageControl
from stiggctl.integrations.prometheus import PrometheusMetrics

ANN: dict[str, Any] = {"resource_ids": ["ann"], "credit_currency": "usd"}


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


def values(registry: CollectorRegistry, name: str) -> dict[tuple[str, ...], float]:
    """Each sample of that name, by its labels."""
    return {
        tuple(sample.labels.values()): sample.value
        for metric in registry.collect()
        for sample in metric.samples
        if sample.name == name
    }


def test_decisions_and_bookings_are_counted(team: UsageControl, registry: CollectorRegistry) -> None:
    """PM1."""
    PrometheusMetrics(team, registry=registry)
    team.check(**ANN, requested_usage=1)
    with team.guard(**ANN, estimate="5") as call:
        call.used("2.50")
    with pytest.raises(AccessDenied):
        team.consume(**ANN, amount=500)
    receipt = team.report(customer_id="c", **ANN, amount="199", dimensions={"model": "x", "who": "someone"})
    team.reverse(receipt.event_id, reason="r")
    team._holder.report_trouble(LedgerError(location="l", reason="r", remedy="m"))
    assert values(registry, "stiggctl_decisions_total") == {
        ("check", "admitted", ""): 1,
        ("reserve", "admitted", ""): 1,
        ("consume", "denied", "BUDGET_EXCEEDED"): 1,
    }
    assert values(registry, "stiggctl_bookings_total") == {("usd",): 3}
    assert values(registry, "stiggctl_booked_credits_total") == {("usd",): 201.5}
    assert values(registry, "stiggctl_reversed_credits_total") == {("usd",): 199}
    assert values(registry, "stiggctl_bookings_over_total") == {(): 1}
    assert values(registry, "stiggctl_ledger_troubles_total") == {(): 1}
    assert "someone" not in generate_latest(registry).decode()


def test_limits_are_read_when_they_are_scraped_and_no_more_than_were_asked_for(
    team: UsageControl, registry: CollectorRegistry
) -> None:
    """IN1."""
    with PrometheusMetrics(
        team, resources=[("team", "usd"), ("ann", "usd")], depth=1, limits_max=2, registry=registry
    ):
        held = team.reserve(**ANN, amount="7.25", dimensions={"model": "x"})
        team.consume(**ANN, amount=3, dimensions={"model": "y"})
        assert values(registry, "stiggctl_limit") == {
            ("team", "team", "usd", "team/usd", "", ""): 300,
            ("ann", "user", "usd", "ann/usd", "rolling P1D", "model=x,y"): 50,
        }
        assert set(values(registry, "stiggctl_limit_used").values()) == {3}
        assert set(values(registry, "stiggctl_limit_held").values()) == {7.25}
        assert values(registry, "stiggctl_limits_left_out") == {(): 1}
        assert values(registry, "stiggctl_limits_up") == {(): 1}
        held.settle("7.25")
        assert set(values(registry, "stiggctl_limit_used").values()) == {10.25}
    assert values(registry, "stiggctl_limit") == {}
    with PrometheusMetrics(team, resources=[("ann", "usd")], registry=registry) as again:
        assert ("ann", "user", "usd", "ann/usd", "rolling P1D", "model=x,y") in values(
            registry, "stiggctl_limit"
        )
        assert values(registry, "stiggctl_decisions_total") == {}
        again.close()
    with PrometheusMetrics(team, resources=[("team", "usd")], registry=registry):
        assert list(values(registry, "stiggctl_limit")) == [("team", "team", "usd", "team/usd", "", "")]


def test_a_scrape_of_what_cannot_be_read_says_so(team: UsageControl, registry: CollectorRegistry) -> None:
    PrometheusMetrics(team, resources=[("nobody", "usd")], registry=registry)
    assert values(registry, "stiggctl_limits_up") == {(): 0}
    assert values(registry, "stiggctl_limit") == {}


def test_one_registry_has_the_metrics_of_one_control(team: UsageControl, registry: CollectorRegistry) -> None:
    first = PrometheusMetrics(team, registry=registry)
    with pytest.raises(ValueError, match="Duplicated"):
        PrometheusMetrics(team, registry=registry)
    team.check(**ANN)
    assert sum(values(registry, "stiggctl_decisions_total").values()) == 1
    first.close()
    PrometheusMetrics(team, registry=registry)


def test_metrics_take_no_warning_from_who_waits_for_it(
    team: UsageControl, registry: CollectorRegistry
) -> None:
    """PM2."""
    PrometheusMetrics(team, resources=[("team", "usd")], registry=registry)
    team.report(customer_id="c", **ANN, amount=150)
    told: list[ThresholdCrossed] = []
    team.subscribe(told.append, kinds=ThresholdCrossed)
    assert len(told) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"resources": ["team"]},
        {"resources": [("team", 5)]},
        {"depth": -1},
        {"depth": 1.5},
        {"limits_max": -1},
    ],
)
def test_what_cannot_be_meant_is_refused(
    team: UsageControl, registry: CollectorRegistry, wrong: dict[str, Any]
) -> None:
    with pytest.raises(InvalidRequest):
        PrometheusMetrics(team, registry=registry, **wrong)
    assert list(registry.collect()) == []
