"""Reading: one snapshot of the ledger, and what can be asked of it.

Here: the snapshot's life, streams over it, and which statement answers what. Not here: rows
to records (model_rows.py, events.py, cells.py).

What always holds:
  S1  Everything a reader returns is of the moment at which it was entered, whoever writes meanwhile.
  S2  A reader never creates a file, and never waits for who writes.
  S3  A snapshot lasts no longer than its reader. One that an interrupt took from its reader, between
      two steps of its taking or ending, is ended when next one is taken or the ledger's stamp is
      looked at: left open it would keep the log growing for as long as the process lives.
"""

import json
import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from stiggctl.errors import LedgerUnavailable
from stiggctl.ledger.records import (
    AllocationRow,
    AuditLine,
    CellKey,
    CellRow,
    CellWanted,
    Counted,
    CurrencyRow,
    CustomerRow,
    DenialRow,
    Difference,
    EventRow,
    GrantRow,
    HolderRow,
    HoldingRow,
    LedgerState,
    OverrideRow,
    Payment,
    PriceRow,
    RateRow,
    ResourceRow,
    ShareRow,
    Spending,
    Spent,
    SumsWanted,
    TypeRow,
    UsageSum,
    WarningRow,
)
from stiggctl.ledger.sqlite import cells, denials, events, grouping, model_rows, sums, verifying, watching
from stiggctl.ledger.sqlite.connections import Connections
from stiggctl.ledger.sqlite.holders import holder_row
from stiggctl.ledger.sqlite.lending import Loan, ReadingConnection
from stiggctl.ledger.sqlite.statements import SQL
from stiggctl.ledger.sqlite.troubles import translated

# Rows that a stream fetches at a time: a fork waits for no more than that (about a millisecond),
# and with fewer the lock would be taken as often as a row is made.
_ROWS_AT_A_TIME = 500


class SqliteReader:
    """A snapshot; see ledger.Reader for what its methods promise."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._loan: Loan | None = None

    def __enter__(self) -> Self:
        self._loan = self._connections.borrow()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None:
        loan, self._loan = self._loan, None
        if loan is not None:
            self._connections.give_back(loan)

    # ---------------------------------------------------------------- asking SQLite

    def _connection(self) -> ReadingConnection:
        if self._loan is None or not self._connections.lending.is_lent(self._loan):
            raise LedgerUnavailable(
                location=self._connections.location,
                reason="this reader was closed, or stayed behind in a fork",
                remedy="open another",
            )
        return self._loan.of

    def rows(self, statement: str, asked: Mapping[str, object]) -> list[tuple[Any, ...]]:
        """All rows of a statement."""
        lent = self._connection()
        try:
            with lent.lock:
                return lent.connection.execute(statement, asked).fetchall()
        except sqlite3.Error as error:
            raise translated(error, self._connections.location) from error

    def _stream(self, statement: str, asked: Mapping[str, object]) -> Iterator[tuple[Any, ...]]:
        cursor: sqlite3.Cursor | None = None
        try:
            while True:
                lent = self._connection()
                with lent.lock:
                    if cursor is None:
                        cursor = lent.connection.execute(statement, asked)
                        lent.streams.add(cursor)
                    rows = cursor.fetchmany(_ROWS_AT_A_TIME)
                    if not rows:
                        lent.streams.discard(cursor)
                if not rows:
                    return
                yield from rows
        except sqlite3.Error as error:
            raise translated(error, self._connections.location) from error

    # ---------------------------------------------------------------- the model

    def state(self) -> LedgerState:
        """The ledger's one row."""
        return model_rows.state(self.rows)

    def currencies(self) -> list[CurrencyRow]:
        """All of them."""
        return model_rows.currencies(self.rows)

    def customers(
        self, customer_ids: Sequence[str] | None = None, *, most: int | None = None
    ) -> list[CustomerRow]:
        """Those named that exist; None: all. At most so many."""
        return model_rows.customers(self.rows, customer_ids, most)

    def currencies_of(self, customer: int) -> list[int]:
        """The currencies (row ids) in which a customer has an allocation, a grant or an event."""
        return [currency for (currency,) in self.rows(SQL["currencies_of"], {"customer": customer})]

    def is_counted(self, currency_id: str) -> bool:
        """Whether an event or an open cell counts in that currency: then its decimals stay."""
        no_decimals = -1  # differs from whatever it has
        asked = {"currency_id": currency_id, "decimals": no_decimals}
        return bool(self.rows(SQL["decimals_in_use"], asked))

    def customers_with(self, resource_ids: Sequence[str]) -> dict[str, set[str]]:
        """For each resource id that any customer has: the ids of the customers that have it."""
        return model_rows.customers_with(self.rows, resource_ids)

    def types(self) -> list[TypeRow]:
        """All of them, of every customer."""
        return model_rows.types(self.rows)

    def lineage(self, customer: int, resource_ids: Sequence[str]) -> list[ResourceRow]:
        """Those named that exist and all their ancestors, each once, ancestors first."""
        return model_rows.lineage(self.rows, customer, resource_ids)

    def resources(
        self, customer: int | None = None, resource_ids: Sequence[str] | None = None
    ) -> Iterator[ResourceRow]:
        """Ancestors before descendants; of one customer, of those ids."""
        if resource_ids is not None:
            return iter(model_rows.named(self.rows, customer, resource_ids))
        return model_rows.resources(self._stream(SQL["resources"], {"customer": customer}))

    def resources_by_row(self, rows: Sequence[int]) -> list[ResourceRow]:
        """By row id."""
        return model_rows.resources_by_row(self.rows, rows)

    def subtree(self, customer: int, resource_id: str, depth: int | None = None) -> list[ResourceRow]:
        """It and everything below it, to that depth, ancestors first."""
        return model_rows.subtree(self.rows, customer, resource_id, depth)

    def allocations(
        self, customer: int | None = None, resources: Sequence[int] | None = None
    ) -> list[AllocationRow]:
        """Those of a customer, on those resources (row ids); templates are not among those on resources."""
        return model_rows.allocations(self.rows, customer, resources)

    def templates(self, customer: int) -> list[AllocationRow]:
        """The templates that are the customer's or for all."""
        return model_rows.templates(self.rows, customer)

    def overrides(
        self, customer: int | None = None, resources: Sequence[int] | None = None
    ) -> list[OverrideRow]:
        """Those of a customer, on those resources (row ids); those that have ended too."""
        return model_rows.overrides(self.rows, customer, resources)

    def grants(self, customer: int | None = None, *, since_us: int | None = None) -> list[GrantRow]:
        """A customer's, or all: those that expired or were voided too; in the order of their rows."""
        return model_rows.grants(self.rows, customer, since_us)

    def scoped_dimensions(self, customer: int) -> tuple[str, ...]:
        """Every dimension that the scope of some limit of the customer, or for all, names; sorted."""
        return model_rows.scoped_dimensions(self.rows, customer)

    def rates(self, event_name: str | None = None) -> list[RateRow]:
        """The live ones."""
        return model_rows.rates(self.rows, event_name)

    def rate(self, rate: int) -> RateRow:
        """By its row; the retired ones too."""
        return model_rows.rate(self.rows, rate)

    def prices(self) -> list[PriceRow]:
        """The live contract prices."""
        return model_rows.prices(self.rows)

    def audit(
        self, customer_id: str | None = None, since_us: int | None = None, until_us: int | None = None
    ) -> Iterator[AuditLine]:
        """Oldest first."""
        asked = {"customer_id": customer_id, **_span(since_us, until_us)}
        return model_rows.audit(self._stream(SQL["audit"], asked))

    # ---------------------------------------------------------------- warnings

    def grants_expiring(self, since_us: int, until_us: int) -> list[GrantRow]:
        """Open ones that expire in that time, and of which no warning is recorded."""
        return model_rows.grants_expiring(self.rows, since_us, until_us)

    def is_untold(self, kinds: Collection[int], now_us: int, since_us: int) -> bool:
        """Whether there is a warning since then that somebody may tell now."""
        return watching.is_untold(self.rows, kinds, now_us, since_us)

    def warnings(self, rows: Sequence[int]) -> list[WarningRow]:
        """By row, oldest first."""
        return watching.by_row(self.rows, rows)

    def crossings(
        self, customer: int | None = None, since_us: int | None = None, until_us: int | None = None
    ) -> list[WarningRow]:
        """Thresholds that were crossed, oldest first; `since_us` included, `until_us` not."""
        return watching.crossings(
            self.rows,
            customer,
            sums.EARLIEST_US if since_us is None else since_us,
            sums.LATEST_US if until_us is None else until_us,
        )

    # ---------------------------------------------------------------- usage

    def cells(self, wanted: Sequence[CellWanted], holder: int) -> dict[CellKey, CellRow]:
        """Those cells; one that is not open yet has id 0 and `used` summed from the events."""
        return cells.read(self.rows, wanted, holder)

    def used_by_bucket(self, counted: Counted) -> dict[int, int]:
        """Start of a bucket -> units; without buckets all is in that of 0."""
        return sums.used_until(self.rows, counted, sums.last_event(self.rows))

    def used_under(self, customer: int, currency: int, resources: Sequence[int]) -> dict[int, int]:
        """Resource -> units of all events under it; those without any are left out."""
        return sums.used_under(self.rows, customer, currency, resources)

    def holders(self) -> list[HolderRow]:
        """Those not buried."""
        return [holder_row(row) for row in self.rows(SQL["live_holders"], {})]

    def recalled(self, holder: int, now_us: int) -> dict[int, list[tuple[int, int]]]:
        """Customer -> (cell, granted) of which somebody wants what others have to spare."""
        found: dict[int, list[tuple[int, int]]] = {}
        for cell, granted, customer in self.rows(SQL["recalled"], {"holder": holder, "now_us": now_us}):
            found.setdefault(customer, []).append((cell, granted))
        return found

    def shares(self, cells: Sequence[int], holder: int) -> dict[int, list[ShareRow]]:
        """Cell -> what other holders that are not buried were granted of it."""
        found: dict[int, list[ShareRow]] = {}
        asked = {"cells": json.dumps(list(cells)), "holder": holder}
        for cell, of, granted, exact in self.rows(SQL["shares_in"], asked):
            found.setdefault(cell, []).append(ShareRow(of, granted, exact == 1))
        return found

    def holdings(self) -> list[HoldingRow]:
        """What all holders that are not buried were granted, by holder and cell."""
        return [
            HoldingRow(holder, cell, customer_id, resource_id, grant_id, currency_id, decimals, start_us,
                       granted, exact == 1)
            for holder, cell, customer_id, resource_id, grant_id, currency_id, decimals, start_us, granted,
                exact in self.rows(SQL["holdings"], {})
        ]  # fmt: skip

    def fullest(
        self, held: Mapping[int, int], now_us: int, *, most: int
    ) -> tuple[list[tuple[int, int]], list[int]]:
        """(customer, resource) of the fullest open cells; and customers with the fullest pools."""
        asked = {"held": json.dumps(held), "now_us": now_us, "most": most}
        limits = [(customer, resource) for customer, resource in self.rows(SQL["fullest_cells"], asked)]
        return limits, [customer for (customer,) in self.rows(SQL["fullest_pools"], asked)]

    def event_by_key(self, customer: int, namespace: int, key: str) -> EventRow | None:
        """The event of that key, if one was booked."""
        asked = {"customer": customer, "namespace": namespace, "key": key}
        return next(events.together(self.rows(SQL["event_by_key"], asked)), None)

    def event(self, event_id: int) -> EventRow | None:
        """By the id of its part 0."""
        return self._event_named(SQL["key_of_event"], event_id)

    def payments(self, event_id: int) -> tuple[Payment, ...]:
        """How grants paid for an event (by the id of its part 0), by part, in the order of the grants."""
        return events.payments_of(self.rows, event_id)

    def reversal_of(self, event_id: int) -> EventRow | None:
        """The event that reverses it, if there is one."""
        return self._event_named(SQL["key_of_reversal"], event_id)

    def _event_named(self, statement: str, event_id: int) -> EventRow | None:
        for customer, namespace, key in self.rows(statement, {"event": event_id}):
            return self.event_by_key(customer, namespace, key)
        return None

    def events(
        self,
        customer: int | None = None,
        *,
        resource: int | None = None,
        event_name: str | None = None,
        since_us: int | None = None,
        until_us: int | None = None,
    ) -> Iterator[EventRow]:
        """In ledger order; `since_us` included, `until_us` not (of occurred_at)."""
        asked = {"resource": resource, "event_name": event_name, **_span(since_us, until_us)}
        if customer is None:
            return events.together(self._stream(SQL["events_of_all"], asked))
        return events.together(self._stream(SQL["events_of_customer"], {**asked, "customer": customer}))

    def last_event(self) -> int:
        """The id of the last event; 0 where there is none."""
        return sums.last_event(self.rows)

    def events_in_order(
        self,
        customer: int,
        *,
        event_name: str | None,
        since_us: int,
        after: int,
        until_us: int,
        last: int,
        most: int,
    ) -> list[EventRow]:
        """A stretch of a customer's events by their instants, oldest first; at most so many."""
        asked = {
            "customer": customer,
            "event_name": event_name,
            "since_us": since_us,
            "after": after,
            "until_us": until_us,
            "last": last,
            "most": most,
        }
        return list(events.together(self.rows(SQL["events_in_order"], asked)))

    def latest_events(
        self, customer: int, resource: int, span: tuple[int, int], *, booked_us: int, most: int
    ) -> list[EventRow]:
        """The last of a time that were charged to a resource (0: to the customer), the newest first."""
        asked = {"customer": customer, "resource": resource, "booked_us": booked_us, "most": most}
        asked |= {"since_us": span[0], "until_us": span[1]}
        return list(events.together(self.rows(SQL["latest_events"], asked)))

    def spent(self, spending: Spending) -> list[Spent]:
        """What a limit, or some grants, had counted by an instant: by what was named together."""
        return grouping.spent(self.rows, spending)

    def event_of_reservation(self, reservation: str) -> EventRow | None:
        """What a reservation's settle booked, if it did."""
        found = self.rows(SQL["event_of_reservation"], {"reservation": reservation})
        return self.event(found[0][0]) if found else None

    def denials(
        self,
        customer: int | None = None,
        *,
        resource_id: str | None = None,
        reason: str | None = None,
        since_us: int | None = None,
        until_us: int | None = None,
    ) -> Iterator[DenialRow]:
        """Streams those that are kept, the newest first."""
        asked = {"customer": customer, "resource": resource_id, "reason": reason}
        return denials.denials(self._stream, {**asked, **_span(since_us, until_us)})

    def denial(self, decision_id: str) -> DenialRow | None:
        """The one that a decision is of, or is among."""
        return denials.denial(self.rows, decision_id)

    def denials_dropped(self) -> int:
        """How many denials are not kept any more, or never were."""
        [(dropped,)] = self.rows(SQL["denials_dropped"], {})
        return int(dropped)

    def adjustments_of(self, event_ids: Sequence[int]) -> list[EventRow]:
        """The adjustments of those events, in ledger order."""
        asked = {"events": json.dumps(event_ids)}
        return list(events.together(self.rows(SQL["adjustments_of"], asked)))

    def reversals_of(self, event_ids: Sequence[int]) -> dict[int, int]:
        """Those of the events that were reversed -> the id of the reversal."""
        return dict(self.rows(SQL["reversals_of"], {"events": json.dumps(event_ids)}))

    def instant_after(self, customer: int, since_us: int, until_us: int, *, events: int) -> int | None:
        """When the event took place that comes so many after the first of a time; None: not so many."""
        asked = {"customer": customer, "since_us": since_us, "until_us": until_us, "events": events}
        return next((at_us for (at_us,) in self.rows(SQL["instant_after_all"], asked)), None)

    def sums(self, customer: int, spans: Sequence[tuple[int, int]], wanted: SumsWanted) -> Iterator[UsageSum]:
        """What a customer's events sum to in each span (its start included, its end not)."""
        return grouping.sums(self._stream, customer, spans, wanted)

    def differences(self) -> list[Difference]:
        """Every counter that is not what it should be (L2, L3, and the integrity check)."""
        return verifying.differences(self.rows, self._stream)


def _span(since_us: int | None, until_us: int | None) -> dict[str, object]:
    return {
        "since_us": sums.EARLIEST_US if since_us is None else since_us,
        "until_us": sums.LATEST_US if until_us is None else until_us,
    }
