"""OpenTelemetry: what an SDK measures of a control, and what stands on spans."""

import asyncio
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider

from stiggctl import AccessDenied, LedgerError, ThresholdCrossed, UsageControl
from stiggctl.integrations.otel import OpenTelemetryMetrics

ANN: dict[str, Any] = {"resource_ids": ["ann"], "credit_currency": "usd"}


class Measured:
    """What an SDK has measured."""

    def __init__(self) -> None:
        self._reader = InMemoryMetricReader()
        self.provider = MeterProvider(metric_readers=[self._reader])

    def values(self, name: str) -> dict[tuple[tuple[str, Any], ...], float]:
        """Each data point of a metric, by its attributes."""
        found = self._reader.get_metrics_data()
        return {
            tuple(sorted(point.attributes.items())): point.value
            for resource in (found.resource_metrics if found else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
        }


@pytest.fixture
def measured() -> Measured:
    return Measured()


def test_decisions_and_bookings_are_measured(team: UsageControl, measured: Measured) -> None:
    """OT1, OT2, OT3."""
    with OpenTelemetryMetrics(team, meter_provider=measured.provider):
        with pytest.raises(AccessDenied):
            team.consume(**ANN, amount=500)
        dimensions = {"model": "gpt-5", "provider": "openai", "user": "ann"}
        receipt = team.report(customer_id="c", **ANN, amount="201.25", dimensions=dimensions)
        team.reverse(receipt.event_id, reason="r")
        team.consume(**ANN, amount=3)
        team._holder.report_trouble(LedgerError(location="l", reason="r", remedy="m"))
        denied = {
            ("stiggctl.denied_reason", "BUDGET_EXCEEDED"),
            ("stiggctl.has_access", False),
            ("stiggctl.verb", "consume"),
        }
        admitted = (("stiggctl.has_access", True), ("stiggctl.verb", "consume"))
        assert measured.values("stiggctl.decisions") == {tuple(sorted(denied)): 1, admitted: 1}
        named = (("gen_ai.provider.name", "openai"), ("gen_ai.request.model", "gpt-5"))
        usd = ("stiggctl.credit_currency", "usd")
        assert measured.values("stiggctl.usage") == {(*named, usd): 0, (usd,): 3}
        assert measured.values("stiggctl.bookings_over") == {named: 1}
        assert measured.values("stiggctl.ledger_troubles") == {(): 1}
    team.consume(**ANN, amount=3)
    assert measured.values("stiggctl.usage")[(usd,)] == 3


def test_limits_are_observed(team: UsageControl, measured: Measured) -> None:
    metrics = OpenTelemetryMetrics(team, resources=[("team", "usd")], meter_provider=measured.provider)
    held = team.reserve(**ANN, amount="7.25")
    team.consume(**ANN, amount=3)
    attributes = (
        ("stiggctl.allocation", "team/usd"),
        ("stiggctl.credit_currency", "usd"),
        ("stiggctl.resource", "team"),
        ("stiggctl.resource_type", "team"),
    )
    assert measured.values("stiggctl.limit.value") == {attributes: 300}
    assert measured.values("stiggctl.limit.used") == {attributes: 3}
    assert measured.values("stiggctl.limit.held") == {attributes: 7.25}
    held.release()
    metrics.close()
    metrics.close()
    assert measured.values("stiggctl.limit.used") == {}


@pytest.mark.parametrize("face", ["sync", "async"])
def test_a_decision_stands_on_the_span_that_asked(team: UsageControl, measured: Measured, face: str) -> None:
    tracer = TracerProvider().get_tracer("test")
    with OpenTelemetryMetrics(team, meter_provider=measured.provider):
        for amount in (5, 500):  # the first is from the ledger, the second is denied
            with tracer.start_as_current_span("call") as span:
                if face == "sync":
                    decision = team.check(**ANN, requested_usage=amount)
                else:
                    decision = asyncio.run(team.acheck(**ANN, requested_usage=amount))
            assert span.attributes is not None
            assert span.attributes["stiggctl.decision_id"] == decision.decision_id
            assert span.attributes["stiggctl.has_access"] is (amount == 5)
            assert span.attributes.get("stiggctl.denied_reason") == (
                None if amount == 5 else "BUDGET_EXCEEDED"
            )


def test_measuring_takes_no_warning_from_who_waits_for_it(team: UsageControl, measured: Measured) -> None:
    """OT3."""
    OpenTelemetryMetrics(team, meter_provider=measured.provider)
    team.report(customer_id="c", **ANN, amount=150)
    told: list[ThresholdCrossed] = []
    team.subscribe(told.append, kinds=ThresholdCrossed)
    assert len(told) == 1


def test_without_an_sdk_nothing_is_measured_and_nothing_fails(team: UsageControl) -> None:
    with OpenTelemetryMetrics(team, resources=[("team", "usd")]):
        assert team.consume(**ANN, amount=3).charged == 3
        with pytest.raises(AccessDenied):
            team.consume(**ANN, amount=500)


def test_what_cannot_be_read_is_not_observed(team: UsageControl, measured: Measured) -> None:
    OpenTelemetryMetrics(team, resources=[("nobody", "usd")], meter_provider=measured.provider)
    assert measured.values("stiggctl.limit.used") == {}
