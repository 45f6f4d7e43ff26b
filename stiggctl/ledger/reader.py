"""The reader: what a ledger can be asked, at one moment.

Here: the questions. Not here: the writes (`Ledger`), which credits may be spent (decision/).
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Protocol, Self

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


class Reader(Protocol):
    """Reads at one moment: everything it returns is of the same snapshot.

    Cheap to make, used by one thread, closed after use (a context manager).
    """

    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None: ...

    # -- the model
    def state(self) -> LedgerState:
        """The ledger's one row."""
        ...

    def currencies(self) -> list[CurrencyRow]:
        """All of them."""
        ...

    def customers(
        self, customer_ids: Sequence[str] | None = None, *, most: int | None = None
    ) -> list[CustomerRow]:
        """Those named that exist; None: all. At most so many."""
        ...

    def currencies_of(self, customer: int) -> list[int]:
        """The currencies (row ids) in which a customer has an allocation or an event."""
        ...

    def customers_with(self, resource_ids: Sequence[str]) -> dict[str, set[str]]:
        """For each resource id that any customer has: the ids of the customers that have it."""
        ...

    def types(self) -> list[TypeRow]:
        """All of them, of every customer (there are few)."""
        ...

    def lineage(self, customer: int, resource_ids: Sequence[str]) -> list[ResourceRow]:
        """Those named that exist and all their ancestors, each once, ancestors first."""
        ...

    def resources(
        self, customer: int | None = None, resource_ids: Sequence[str] | None = None
    ) -> Iterator[ResourceRow]:
        """Streams resources, ancestors before descendants; of one customer, of those ids."""
        ...

    def resources_by_row(self, rows: Sequence[int]) -> list[ResourceRow]:
        """By row id."""
        ...

    def subtree(self, customer: int, resource_id: str, depth: int | None = None) -> list[ResourceRow]:
        """It and everything below it, to that depth, ancestors first."""
        ...

    def allocations(
        self, customer: int | None = None, resources: Sequence[int] | None = None
    ) -> list[AllocationRow]:
        """Those of a customer, on those resources (row ids); templates are not among those on resources.

        Without resources: the customer's own templates too, and without a customer all.
        """
        ...

    def templates(self, customer: int) -> list[AllocationRow]:
        """The templates that are the customer's or for all (there are few)."""
        ...

    def overrides(
        self, customer: int | None = None, resources: Sequence[int] | None = None
    ) -> list[OverrideRow]:
        """Those of a customer, on those resources (row ids); those that have ended too."""
        ...

    def grants(self, customer: int | None = None, *, since_us: int | None = None) -> list[GrantRow]:
        """A customer's, or all: those that expired or were voided too; in the order of their rows.

        `since_us`: those that had expired by then are left out, but for the last to expire of each currency.
        """
        ...

    def scoped_dimensions(self, customer: int) -> tuple[str, ...]:
        """Every dimension that the scope of some limit of the customer, or for all, names; sorted."""
        ...

    def rates(self, event_name: str | None = None) -> list[RateRow]:
        """The live ones."""
        ...

    def rate(self, rate: int) -> RateRow:
        """By its row; the retired ones too."""
        ...

    def prices(self) -> list[PriceRow]:
        """The live contract prices."""
        ...

    def audit(
        self, customer_id: str | None = None, since_us: int | None = None, until_us: int | None = None
    ) -> Iterator[AuditLine]:
        """Oldest first."""
        ...

    # -- warnings
    def grants_expiring(self, since_us: int, until_us: int) -> list[GrantRow]:
        """Open ones that expire in that time, and of which no warning is recorded."""
        ...

    def is_untold(self, kinds: Collection[int], now_us: int, since_us: int) -> bool:
        """Whether there is a warning since then that somebody may tell now."""
        ...

    def warnings(self, rows: Sequence[int]) -> list[WarningRow]:
        """By row, oldest first."""
        ...

    def crossings(
        self, customer: int | None = None, since_us: int | None = None, until_us: int | None = None
    ) -> list[WarningRow]:
        """Thresholds that were crossed, oldest first; `since_us` included, `until_us` not."""
        ...

    # -- usage
    def is_counted(self, currency_id: str) -> bool:
        """Whether an event or an open cell counts in that currency: then its decimals stay."""
        ...

    def cells(self, wanted: Sequence[CellWanted], holder: int) -> dict[CellKey, CellRow]:
        """Those cells; one that is not open yet has id 0 and `used` summed from the events.

        The limit of each is the one that is wanted.
        """
        ...

    def used_by_bucket(self, counted: Counted) -> dict[int, int]:
        """Start of a bucket -> units; those without events are left out.

        Without buckets all is in that of 0.
        """
        ...

    def used_under(self, customer: int, currency: int, resources: Sequence[int]) -> dict[int, int]:
        """Resource -> units of all events under it; those without any are left out."""
        ...

    def holders(self) -> list[HolderRow]:
        """Those not buried."""
        ...

    def recalled(self, holder: int, now_us: int) -> dict[int, list[tuple[int, int]]]:
        """Customer -> (cell, what this holder was granted of it), where somebody wants what it may spare.

        Those of which its share is exact are left out.
        """
        ...

    def shares(self, cells: Sequence[int], holder: int) -> dict[int, list[ShareRow]]:
        """Cell -> what other holders that are not buried were granted of it; none is left out."""
        ...

    def holdings(self) -> list[HoldingRow]:
        """What all holders that are not buried were granted, by holder and cell."""
        ...

    def fullest(
        self, held: Mapping[int, int], now_us: int, *, most: int
    ) -> tuple[list[tuple[int, int]], list[int]]:
        """(customer, resource) of the fullest open cells; and customers with the fullest pools: row ids.

        `held`: cell -> units that count beside what is used. At most so many of each, the fullest first,
        roughly: a resource or customer may come several times.
        """
        ...

    def event_by_key(self, customer: int, namespace: int, key: str) -> EventRow | None:
        """The event of that key, if one was booked."""
        ...

    def event(self, event_id: int) -> EventRow | None:
        """By the id of its part 0."""
        ...

    def payments(self, event_id: int) -> tuple[Payment, ...]:
        """How grants paid for an event (by the id of its part 0), by part, in the order of the grants."""
        ...

    def reversal_of(self, event_id: int) -> EventRow | None:
        """The event that reverses it, if there is one."""
        ...

    def events(
        self,
        customer: int | None = None,
        *,
        resource: int | None = None,
        event_name: str | None = None,
        since_us: int | None = None,
        until_us: int | None = None,
    ) -> Iterator[EventRow]:
        """Streams events in ledger order; `since_us` included, `until_us` not (of occurred_at)."""
        ...

    def last_event(self) -> int:
        """The id of the last event; 0 where there is none."""
        ...

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
        """A stretch of a customer's events by their instants, oldest first; at most so many.

        Those at `since_us` only with an id above `after`; none with one above `last`. So a walk may
        go on, with another reader, behind the event that it was at.
        """
        ...

    def latest_events(
        self, customer: int, resource: int, span: tuple[int, int], *, booked_us: int, most: int
    ) -> list[EventRow]:
        """The last of a time that were charged to a resource (0: to the customer), the newest first.

        Only what was booked by an instant.
        """
        ...

    def spent(self, spending: Spending) -> list[Spent]:
        """What a limit, or some grants, had counted by an instant: by what was named together."""
        ...

    def event_of_reservation(self, reservation: str) -> EventRow | None:
        """What a reservation's settle booked, if it did; a decision has the id of its reservation."""
        ...

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
        ...

    def denial(self, decision_id: str) -> DenialRow | None:
        """The one that a decision is of, or is among."""
        ...

    def denials_dropped(self) -> int:
        """How many denials are not kept any more, or never were."""
        ...

    def adjustments_of(self, event_ids: Sequence[int]) -> list[EventRow]:
        """The adjustments of those events, in ledger order (keys.py)."""
        ...

    def reversals_of(self, event_ids: Sequence[int]) -> dict[int, int]:
        """Those of the events that were reversed -> the id of the reversal."""
        ...

    def instant_after(self, customer: int, since_us: int, until_us: int, *, events: int) -> int | None:
        """When the event took place that comes so many after the first of a time.

        None: there are not so many. Further parts of an event count as events.
        """
        ...

    def sums(self, customer: int, spans: Sequence[tuple[int, int]], wanted: SumsWanted) -> Iterator[UsageSum]:
        """Streams what a customer's events sum to in each span (its start included, its end not).

        A value of a dimension that was written in several ways may come in as many sums.
        """
        ...

    def differences(self) -> list[Difference]:
        """Every counter that is not what it should be (L2, L3, and the integrity check)."""
        ...
