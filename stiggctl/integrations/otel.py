"""OpenTelemetry: decisions, bookings and limits as metrics, and each decision on the span that asked.

Here: what is measured, by the API alone (extra `[otel]`): without an SDK, which the application chooses,
all of it does nothing. Not here: which limits (limits.py), what is told (UsageControl.subscribe).

  OT1  What names a call is named as the semantic conventions of generative AI do: the dimensions "model"
       and "provider" are gen_ai.request.model and gen_ai.provider.name. All else begins with "stiggctl.".
  OT2  It measures no gen_ai.client.* metric: who instruments the client does, and would count twice.
  OT3  As with Prometheus: no user or key is an attribute of a metric, and no warning is taken.
"""

from collections.abc import Iterable, Mapping
from typing import Self

from opentelemetry import metrics, trace
from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation

from stiggctl import DecisionMade, LedgerTrouble, LimitState, StiggctlError, UsageBooked, UsageControl
from stiggctl.integrations.limits import LIMITS_MAX, Found, find, labels_of, read_chosen

#: Our dimension -> the attribute of the conventions.
GEN_AI = {"model": "gen_ai.request.model", "provider": "gen_ai.provider.name"}


class OpenTelemetryMetrics:
    """The metrics and span attributes of one control, until it is closed.

    Each decision sets stiggctl.verb, stiggctl.has_access, stiggctl.denied_reason and
    stiggctl.decision_id on the span that is current where it was asked. Counters count what this
    process asked and booked; limits are read from the ledger when they are observed.

    Args:
        control: whose decisions and bookings these are.
        resources, depth, customer_id, limits_max: whose limits are observed, as for PrometheusMetrics.
        meter_provider: left out: the global one.

    >>> from opentelemetry.sdk.metrics import MeterProvider
    >>> from opentelemetry.sdk.metrics.export import InMemoryMetricReader
    >>> control, reader = getfixture("acme"), InMemoryMetricReader()
    >>> provider = MeterProvider(metric_readers=[reader])
    >>> with OpenTelemetryMetrics(control, meter_provider=provider):
    ...     _ = control.consume(resource_ids=["user-01"], credit_currency="ai-tokens", amount=30)
    ...     [of_scope] = reader.get_metrics_data().resource_metrics[0].scope_metrics
    >>> {one.name: one.data.data_points[0].value for one in of_scope.metrics}
    {'stiggctl.decisions': 1, 'stiggctl.usage': 30}
    """

    def __init__(
        self,
        control: UsageControl,
        *,
        resources: Iterable[tuple[str, str]] = (),
        depth: int = 0,
        customer_id: str | None = None,
        limits_max: int = LIMITS_MAX,
        meter_provider: MeterProvider | None = None,
    ) -> None:
        self._control: UsageControl | None = control
        self._chosen = read_chosen(resources, depth=depth, customer_id=customer_id, limits_max=limits_max)
        meter = metrics.get_meter("stiggctl", meter_provider=meter_provider)
        self._decisions = meter.create_counter(
            "stiggctl.decisions", unit="{decision}", description="What was asked for, and what came of it"
        )
        # Not a counter: a reversal takes away.
        self._usage = meter.create_up_down_counter(
            "stiggctl.usage", unit="{credit}", description="Credits booked, less what was reversed"
        )
        self._over = meter.create_counter(
            "stiggctl.bookings_over", unit="{event}", description="Events booked over a limit or the pool"
        )
        self._troubles = meter.create_counter(
            "stiggctl.ledger_troubles", unit="{failure}", description="Times that the ledger failed"
        )
        if self._chosen.resources:
            for name, what in (
                ("limit", "What limits are"),
                ("used", "What is booked"),
                ("held", "What is held"),
            ):
                meter.create_observable_gauge(
                    f"stiggctl.limit.{name}" if name != "limit" else "stiggctl.limit.value",
                    [self._observing(name)],
                    unit="{credit}",
                    description=what,
                )
        self._ends = [
            control.subscribe(self._decided, kinds=DecisionMade),
            control.subscribe(self._booked, kinds=UsageBooked),
            control.subscribe(self._troubled, kinds=LedgerTrouble),
        ]

    # ---------------------------------------------------------------- what happens

    def _decided(self, made: DecisionMade) -> None:
        decision, reason = made.decision, made.decision.access_denied_reason
        asked: dict[str, str | bool] = {
            "stiggctl.verb": made.verb,
            "stiggctl.has_access": decision.has_access,
        }
        if reason is not None:
            asked["stiggctl.denied_reason"] = str(reason)
        self._decisions.add(1, asked)
        span = trace.get_current_span()
        if span.is_recording():
            span.set_attributes({**asked, "stiggctl.decision_id": decision.decision_id})

    def _booked(self, booked: UsageBooked) -> None:
        named = _named(booked.dimensions)
        for currency, amount in booked.amounts.items():
            units = amount if isinstance(amount, int) else float(amount)
            self._usage.add(units, {**named, "stiggctl.credit_currency": currency})
        if booked.overage > 0:
            self._over.add(1, named)

    def _troubled(self, _: LedgerTrouble) -> None:
        self._troubles.add(1)

    # ---------------------------------------------------------------- limits

    def _observing(self, name: str) -> "_Observing":
        return _Observing(self, name)

    def find(self) -> Found:
        """The limits that were chosen; none where they cannot be read, or after the end."""
        if self._control is None:
            return Found([], 0)
        try:
            return find(self._control, self._chosen)
        except StiggctlError:  # out of reach, or a resource is not there (any more)
            return Found([], 0)

    def close(self) -> None:
        """Measure nothing more. Safe twice."""
        for end in self._ends:
            end()
        self._control = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Observing:
    """One number of each limit, when somebody observes it."""

    def __init__(self, whose: OpenTelemetryMetrics, name: str) -> None:
        self._whose, self._name = whose, name

    def __call__(self, _: CallbackOptions) -> list[Observation]:
        return [
            Observation(_number(limit, self._name), _attributes(limit)) for limit in self._whose.find().limits
        ]


def _number(limit: LimitState, name: str) -> int | float:
    value = {"limit": limit.limit, "used": limit.used, "held": limit.held}[name]
    return value if isinstance(value, int) else float(value)


def _attributes(limit: LimitState) -> dict[str, str]:
    labels = labels_of(limit)
    labels["credit_currency"] = labels.pop("currency")
    return {f"stiggctl.{name}": value for name, value in labels.items() if value}


def _named(dimensions: Mapping[str, object]) -> dict[str, str]:
    """The dimensions for which there are conventions (OT1)."""
    return {name: str(dimensions[key]) for key, name in GEN_AI.items() if key in dimensions}
