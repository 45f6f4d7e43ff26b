"""Adjusting: booking, beside an event that stays, the difference that another price makes.

Here: the orders of adjustments, a stretch of events at a time, and seeing that each is booked once.
Not here: what an event would cost (rerating.py), who gets back what it cost too much (returning.py).

What always holds:
  AD1  An adjustment counts where its event counts, at the event's instant; it says what the event says,
       but for how much was used, and by which price it is now.
  AD2  It is booked under the number of those before it. So what it adds to was looked at whole, or its
       key is taken; then the event is looked at again, and what is already there is not booked twice.
  AD3  An event that was reversed has no adjustment that was not: who books one looks for a reversal after
       its commit (RV1), and who comes later finds what another left.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from stiggctl.events import DimensionValue, dimensions_of
from stiggctl.holder.adjusted import Adjusted, adjusted, part_in
from stiggctl.holder.enriching import enriched
from stiggctl.holder.orders import Charge, Order
from stiggctl.holder.pools import in_drain_order
from stiggctl.holder.rerating import SOURCE, VERSION, Rated, RatedPart, Stretch
from stiggctl.holder.returning import Paid, returned
from stiggctl.holder.reversing import LOOKS_MAX
from stiggctl.holder.ways import Way
from stiggctl.ledger import Reader
from stiggctl.ledger.keys import adjustment_key
from stiggctl.ledger.records import KEYS_OF_OURS, EventRow, GrantRow

if TYPE_CHECKING:
    from stiggctl.holder.holder import Holder


class Wanted(NamedTuple):
    """A part that is charged another amount than it would cost."""

    part: RatedPart
    units: int  #: the difference, less than 0 where it cost too much


class Adjusting:
    """Books adjustments, for one caller."""

    def __init__(self, holder: "Holder", reason: str, actor: str | None) -> None:
        self._holder = holder
        self._reason = reason
        self._actor = actor
        holder.become_holder()

    def book(self, stretch: Stretch) -> int:
        """Book what the events of a stretch differ by; how many adjustments that were.

        Raises what became of a booking; then those before it are booked, and again is safe (AD2).
        """
        for one in stretch.reversed_since:  # somebody died between a commit and its look (AD3)
            self._take_back(one.event.id)
        waiting, booked = stretch.rated, 0
        for _ in range(LOOKS_MAX):
            made = self._orders(waiting)
            if not made:
                return booked
            orders = [order for _, order in made]
            for error in self._holder.exchange.run_all(orders):
                if error is not None:
                    raise error
            self._take_back_reversed([rated.found.event.id for rated, _ in made])
            # Of a known key the first receipt is told: then another adjusted the event.
            waiting = [rated for rated, order in made if order.receipt is None or order.receipt.duplicate]
            booked += len(made) - len(waiting)
        raise self._holder.restless(LOOKS_MAX, "an event was adjusted that others adjusted again and again")

    def _take_back_reversed(self, event_ids: Sequence[int]) -> None:
        with self._holder.ledger.reader() as reader:
            reversed_ids = list(reader.reversals_of(event_ids))
        for event_id in reversed_ids:
            self._take_back(event_id)

    def _take_back(self, event_id: int) -> None:
        self._holder.reversals.reverse(str(event_id), "its event was reversed", self._actor)

    # ---------------------------------------------------------------- orders

    def _orders(self, waiting: Sequence[Rated]) -> list[tuple[Rated, Order]]:
        """Those of them that differ as they stand now, each with the order that makes it right."""
        if not waiting:
            return []
        made: list[tuple[Rated, Order]] = []
        customer = waiting[0].customer  # a stretch is of one
        with self._holder.ledger.reader() as reader:
            scoped = reader.scoped_dimensions(customer.id)
            grants = reader.grants(customer.id)
            now = adjusted(reader, [rated.found.event for rated in waiting])
            members = _Members(reader)
            for rated, found in zip(waiting, now, strict=True):
                wanted = [] if found.is_reversed else wanted_of(rated, found)
                if wanted:
                    order = self._order(rated, found, wanted, members.of(found.event), scoped)
                    pay_back(order, wanted, found, reader, grants)
                    made.append((rated, order))
        return made

    def _order(
        self,
        rated: Rated,
        found: Adjusted,
        wanted: Sequence[Wanted],
        members: frozenset[str],
        scoped: Sequence[str],
    ) -> Order:
        holder, event = self._holder, found.event
        stripe = holder.stripe_of(rated.customer)
        currency_of_row = holder.known.currency_of_row
        charges = [
            Charge(
                holder.strand_of(stripe, currency_of_row[one.part.part.currency][0]), one.units, one.part.rate
            )
            for one in wanted
        ]
        said = self._said(rated.dimensions, [one.part for one in wanted], scoped)
        # Of no version: the path is that of the event's members. And by what it says itself, so that
        # what counts it now and what counts it again later cannot differ.
        way = Way(stripe, (), dimensions_of(said), members, version=-1)
        way.admitted = event.members
        return Order(
            way,
            charges,
            namespace=KEYS_OF_OURS,
            key=adjustment_key(event.id, len(found.adjustments)),
            fingerprint=b"adjust",  # whoever books it, by whatever prices: the number says it all (AD2)
            occurred_at_us=event.occurred_at_us,
            event_name=event.event_name,
            dimensions=said,
            unattributed=event.unattributed,
        )

    def _said(
        self, dimensions: Mapping[str, DimensionValue], parts: Sequence[RatedPart], scoped: Sequence[str]
    ) -> str:
        """What it says (AD1): first what limits count it by, then why, by which price, and the rest."""
        why: dict[str, DimensionValue] = {"rerate_reason": self._reason}
        if self._actor is not None:
            why["rerate_actor"] = self._actor
        price: dict[str, DimensionValue] = {
            name: value
            for part in parts
            if part.source is not None
            for name, value in ((SOURCE, part.source), (VERSION, part.version))
        }
        counted = {name for part in parts for name in part.counted}
        told = {name: value for name, value in dimensions.items() if name in scoped}
        rest = [
            {name: value}
            for name, value in dimensions.items()
            if name not in counted and name not in (SOURCE, VERSION)
        ]
        named = sorted(rest, key=lambda one: "model" not in one and "provider" not in one)
        return enriched(told, [why, price, *named], scoped)


class _Members:
    """The ids of events' members; many events have the same."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._ids: dict[tuple[int, ...], frozenset[str]] = {}

    def of(self, event: EventRow) -> frozenset[str]:
        """The ids of the resources that it counts in."""
        if event.members not in self._ids:
            rows = self._reader.resources_by_row(event.members)
            self._ids[event.members] = frozenset(row.resource_id for row in rows)
        return self._ids[event.members]


def wanted_of(rated: Rated, found: Adjusted) -> list[Wanted]:
    """What its parts differ by, as it stands."""
    return [
        Wanted(one, difference)
        for one in rated.parts
        if isinstance(one, RatedPart) and (difference := one.units - found.charged(one.part.currency))
    ]


def pay_back(
    order: Order, wanted: Sequence[Wanted], found: Adjusted, reader: Reader, grants: Sequence[GrantRow]
) -> None:
    """Of what cost too much, what grants paid comes back to them, the last payer first (RT2).

    What cost too little is paid as a late event is: by the grants of the event's instant.
    """
    if not grants or all(one.units > 0 for one in wanted):
        return
    order.returns = {}
    payments = {event.id: reader.payments(event.id) for event in found.standing}
    drains = in_drain_order(grants, found.event.occurred_at_us)
    rows: set[int] = set()
    for number, one in enumerate(wanted):
        if one.units > 0:
            order.returns[number] = {}
            continue
        currency = one.part.part.currency
        history = []
        for event in found.standing:
            part = part_in(event, currency)
            if part is not None:
                at = event.parts.index(part)
                paid = {paying.grant: paying.units for paying in payments[event.id] if paying.part == at}
                history.append(Paid(part.amount_units, paid, part.unbacked))
        back = returned(history, -one.units, drains)
        if back.grants or back.nobodys:
            order.returns[number] = {grant: -units for grant, units in back.grants.items()}
            rows |= back.grants.keys()
    order.way.grants = frozenset(rows)
