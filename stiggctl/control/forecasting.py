"""Forecasting: when limits and pools run out, at their present pace.

Here: the verb, which limits are meant, which events their pace is read from. Not here: the pace
(reports/pace.py), what it makes of a limit (reports/forecast.py).
"""

from collections.abc import Iterator, Mapping, Sequence

from stiggctl.answers import RawLimit
from stiggctl.errors import InvalidRequest
from stiggctl.events import DimensionValue, read_dimensions, read_id, read_ids
from stiggctl.holder import Holder
from stiggctl.holder.closely import limits_closely
from stiggctl.ledger import Reader
from stiggctl.ledger.records import Apart, Counted, CurrencyRow, CustomerRow, ResourceRow, SumsWanted
from stiggctl.reports.forecast import Forecast, forecast_of, look_us
from stiggctl.reports.pace import Pace, Spent, read_pace
from stiggctl.reports.tightest import limits_standing
from stiggctl.windows import BUCKETS

#: So many resources are looked at together where all of a customer are: their rows are in memory at once.
RESOURCES_AT_A_TIME = 1_000


class Forecasting:
    """The part of a control that looks ahead."""

    _holder: Holder

    def forecast(
        self,
        resource_ids: Sequence[str] | None = None,
        credit_currency: str | None = None,
        *,
        customer_id: str | None = None,
        dimensions: Mapping[str, DimensionValue] | None = None,
    ) -> list[Forecast]:
        """When each limit, and the pool, runs out if spending goes on at its present pace.

        The pace is that of as long as the limit's window, four weeks at most, or since spending began.
        What has run out, or will first, comes first. An estimate, from nothing but what was booked: how
        far it errs stands in docs/explanation/decisions/0014-forecast.md.

        Args:
            resource_ids: the limits of their path, as `check` looks at them, and the pool. Left out:
                every limit of the customer (of all, without one) of which something is used, or held.
            credit_currency: left out: every currency.
            dimensions: with resource_ids: those of a request, for limits that count only some.

        Raises ResourceNotFound, CustomerNotFound, AmbiguousResource, CurrencyNotFound, InvalidRequest.

        >>> control = getfixture("acme")  # user-01 may spend 200 ai-tokens; it is noon
        >>> for hour in range(12):
        ...     _ = control.report(
        ...         customer_id="cust-acme-inc", event_name="chat", resource_ids=["user-01"],
        ...         credit_currency="ai-tokens", amount=12, timestamp=f"2026-01-15T{hour:02}:30:00Z",
        ...     )
        >>> print(control.forecast(["user-01"], "ai-tokens")[0])
        user-01 has 56 of 200 ai-tokens left (144 used, 0 held); at 301 a day it runs out about ...
        """
        holder = self._holder
        holder.require_open()
        known = holder.known
        currencies = (
            list(known.currencies.values()) if credit_currency is None else [known.currency(credit_currency)]
        )
        read = read_dimensions(dimensions)
        if resource_ids is None and read:
            expected = "no dimensions without resource_ids: every limit is looked at, whatever it counts"
            raise InvalidRequest(where="dimensions", value=dimensions, expected=expected)
        owner = None if customer_id is None else read_id(customer_id, "customer_id")
        now_us = holder.clock.now_us()
        with holder.ledger.reader() as reader:
            if resource_ids is not None:
                ids = read_ids(resource_ids)
                customer, limits = limits_closely(holder, reader, owner, ids, currencies, read, now_us)
                rows = {row.resource_id: row.id for row in reader.lineage(customer.id, ids)}
                found = [(customer, rows.get(raw.resource_id), raw) for raw in limits]
            else:
                found = list(self._all(reader, owner, currencies, now_us))
            named = {row.currency_id: row.id for row in currencies}
            forecasts = [
                forecast_of(
                    raw, _pace(reader, customer, row, named[raw.credit_currency], raw, now_us), now_us
                )
                for customer, row, raw in found
            ]
        return sorted(forecasts, key=_soonest)

    def _all(
        self, reader: Reader, owner: str | None, currencies: Sequence[CurrencyRow], now_us: int
    ) -> Iterator[tuple[CustomerRow, int | None, RawLimit]]:
        """Every limit and pool of which something is used or held, with its resource's row."""
        holder = self._holder
        customers = reader.customers()
        if owner is not None:
            limits_closely(holder, reader, owner, (), [], {}, now_us)  # or it is not there
            customers = [row for row in customers if row.customer_id == owner]
        for customer in customers:
            _, pools = limits_closely(holder, reader, customer.customer_id, (), currencies, {}, now_us)
            yield from ((customer, None, raw) for raw in pools if raw.used or raw.held)
            chunk: list[ResourceRow] = []
            for row in reader.resources(customer.id):
                chunk.append(row)
                if len(chunk) == RESOURCES_AT_A_TIME:
                    yield from self._of(reader, customer, chunk, currencies, now_us)
                    chunk = []
            yield from self._of(reader, customer, chunk, currencies, now_us)

    def _of(
        self,
        reader: Reader,
        customer: CustomerRow,
        rows: Sequence[ResourceRow],
        currencies: Sequence[CurrencyRow],
        now_us: int,
    ) -> Iterator[tuple[CustomerRow, int | None, RawLimit]]:
        for currency in currencies:
            for limit, cell, raw in limits_standing(
                self._holder, reader, customer.id, rows, currency, now_us
            ):
                if raw.used or raw.held:
                    width_us = limit.terms.bucket_us
                    leaves = [
                        (start + BUCKETS * (width_us or 0), units) for start, units in cell.buckets or ()
                    ]
                    yield customer, limit.resource, raw._replace(frees=tuple(leaves))


def _pace(
    reader: Reader, customer: CustomerRow, row: int | None, currency: int, raw: RawLimit, now_us: int
) -> Pace | None:
    """That of the events which the limit counts; of a pool, of all of its customer's."""

    def of_limit(since_us: int, until_us: int, width_us: int) -> Mapping[int, int]:
        assert row is not None
        return reader.used_by_bucket(
            Counted(row, 0, customer.id, currency, since_us, until_us, raw.terms.scope, width_us)
        )

    def of_customer(since_us: int, until_us: int, width_us: int) -> Mapping[int, int]:
        starts = range(since_us, until_us, width_us)
        spans = [(start_us, min(start_us + width_us, until_us)) for start_us in starts]
        sums = reader.sums(customer.id, spans, SumsWanted(Apart.NOTHING, currency=currency))
        found: dict[int, int] = {}
        for one in sums:
            start_us = starts[one.span]
            found[start_us] = found.get(start_us, 0) + one.units
        return found

    spent: Spent = of_customer if raw.is_pool else of_limit
    return read_pace(spent, now_us, look_us(raw))


def _soonest(one: Forecast) -> tuple[object, ...]:
    """What has run out, or will first, comes first; then what is likelier to."""
    never = one.runs_out_at is None
    at = one.at if one.runs_out_at is None else one.runs_out_at
    return (never, at, -(one.chance or 0.0), one.limit.resource_id, one.limit.allocation_id)
