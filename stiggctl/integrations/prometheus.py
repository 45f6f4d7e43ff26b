"""Prometheus: decisions, bookings and limits as metrics that are scraped (extra `[prometheus]`).

Here: the metrics, and a collector that reads limits when it is asked. Not here: which limits (limits.py),
what is told (UsageControl.subscribe), how metrics are served (prometheus_client).

  PM1  A label has few values, whoever spends: verbs, reasons, currencies; resources only where they are
       named (IN1). No user, key, model or dimension is one.
  PM2  It takes no warning from anybody: thresholds are told to one process, and metrics are no reader.
"""

from collections.abc import Iterable, Iterator
from typing import Self

from prometheus_client import REGISTRY, CollectorRegistry, Counter
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from stiggctl import DecisionMade, LedgerTrouble, StiggctlError, UsageBooked, UsageControl
from stiggctl.integrations.limits import LIMITS_MAX, Found, find, labels_of, read_chosen

_LABELS = ("resource", "resource_type", "currency", "allocation", "cadence", "scope")


class PrometheusMetrics(Collector):
    """The metrics of one control, in a registry, until it is closed.

    Counters count what this process asked and booked; gauges are read from the ledger when they are
    scraped, so every process tells the same. With prometheus_client's multiprocess mode only the
    counters are collected.

    Args:
        control: one for each registry.
        resources: whose limits are gauges: (resource id, currency) of teams, regions, features.
        depth: how many levels below each of them, too.
        customer_id: whose they are, where several customers have them.
        limits_max: so many limits at most; `stiggctl_limits_left_out` says how many more there are.
        registry: where they are collected.

    >>> from prometheus_client import CollectorRegistry
    >>> control = getfixture("acme")  # user-01 may spend 200 ai-tokens
    >>> registry = CollectorRegistry()
    >>> with PrometheusMetrics(control, resources=[("user-01", "ai-tokens")], registry=registry):
    ...     _ = control.consume(resource_ids=["user-01"], credit_currency="ai-tokens", amount=30)
    ...     labels = {"verb": "consume", "outcome": "admitted", "reason": ""}
    ...     admitted = registry.get_sample_value("stiggctl_decisions_total", labels)
    ...     [[used]] = [m.samples for m in registry.collect() if m.name == "stiggctl_limit_used"]
    >>> admitted, used.value
    (1.0, 30.0)
    """

    def __init__(
        self,
        control: UsageControl,
        *,
        resources: Iterable[tuple[str, str]] = (),
        depth: int = 0,
        customer_id: str | None = None,
        limits_max: int = LIMITS_MAX,
        registry: CollectorRegistry = REGISTRY,
    ) -> None:
        chosen = read_chosen(resources, depth=depth, customer_id=customer_id, limits_max=limits_max)
        self._control, self._chosen, self._registry = control, chosen, registry
        self._decisions = Counter(
            "stiggctl_decisions",
            "What was asked for, by verb, outcome and the reason of a denial",
            ("verb", "outcome", "reason"),
            registry=None,
        )
        self._bookings = Counter(
            "stiggctl_bookings", "Events booked, by currency", ("currency",), registry=None
        )
        self._booked = Counter(
            "stiggctl_booked_credits", "Credits booked, without reversals", ("currency",), registry=None
        )
        self._reversed = Counter(
            "stiggctl_reversed_credits", "Credits taken back by reversals", ("currency",), registry=None
        )
        self._over = Counter(
            "stiggctl_bookings_over", "Events booked over a limit or the pool", registry=None
        )
        self._troubles = Counter("stiggctl_ledger_troubles", "Times that the ledger failed", registry=None)
        self._counters: tuple[Counter, ...] = (
            self._decisions, self._bookings, self._booked, self._reversed, self._over, self._troubles,
        )  # fmt: skip
        self._registered: list[Collector] = []
        try:
            for one in (*self._counters, self):
                registry.register(one)
                self._registered.append(one)
        except ValueError:  # the registry has them already, of another control
            self._unregister()
            raise
        self._ends = [
            control.subscribe(self._decided, kinds=DecisionMade),
            control.subscribe(self._counted, kinds=UsageBooked),
            control.subscribe(self._troubled, kinds=LedgerTrouble),
        ]

    # ---------------------------------------------------------------- what happens

    def _decided(self, made: DecisionMade) -> None:
        reason = made.decision.access_denied_reason
        outcome = "admitted" if made.decision.has_access else "denied"
        self._decisions.labels(made.verb, outcome, "" if reason is None else str(reason)).inc()

    def _counted(self, booked: UsageBooked) -> None:
        for currency, amount in booked.amounts.items():
            self._bookings.labels(currency).inc()
            if amount >= 0:
                self._booked.labels(currency).inc(float(amount))
            else:
                self._reversed.labels(currency).inc(-float(amount))
        if booked.overage > 0:
            self._over.inc()

    def _troubled(self, _: LedgerTrouble) -> None:
        self._troubles.inc()

    # ---------------------------------------------------------------- limits

    def collect(self) -> Iterator[Metric]:
        """The limits as they are now; of a ledger out of reach none, and `stiggctl_limits_up` is 0."""
        try:
            found, is_up = find(self._control, self._chosen), 1
        except StiggctlError:  # out of reach, or a resource is not there (any more)
            found, is_up = Found([], 0), 0
        yield from _gauges(found)
        yield GaugeMetricFamily("stiggctl_limits_up", "1 where the limits could be read", is_up)
        left_out = "Limits that are there and not among these"
        yield GaugeMetricFamily("stiggctl_limits_left_out", left_out, found.left_out)

    def describe(self) -> Iterator[Metric]:
        """Their names, which need no ledger."""
        yield from _gauges(Found([], 0))

    def close(self) -> None:
        """Take the metrics out of the registry. Safe twice."""
        for end in self._ends:
            end()
        self._unregister()

    def _unregister(self) -> None:
        while self._registered:
            self._registry.unregister(self._registered.pop())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _gauges(found: Found) -> Iterator[GaugeMetricFamily]:
    limits = GaugeMetricFamily("stiggctl_limit", "What the limit is, in credits", labels=_LABELS)
    used = GaugeMetricFamily("stiggctl_limit_used", "What is booked in its window", labels=_LABELS)
    held = GaugeMetricFamily("stiggctl_limit_held", "What open reservations hold of it", labels=_LABELS)
    for limit in found.limits:
        labels = list(labels_of(limit).values())
        limits.add_metric(labels, float(limit.limit))
        used.add_metric(labels, float(limit.used))
        held.add_metric(labels, float(limit.held))
    yield from (limits, used, held)
