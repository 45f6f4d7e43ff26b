"""Rerating: what booked usage would cost by other prices than those by which it was booked.

Here: which parts of which events prices said, and what they say now; a walk over all of them. Not here:
whose price it is (costs.py), booking the difference (adjusting.py), sums of it (reports/).

What always holds:
  RR1  Only what prices said is rated anew: a part that a rate priced, money that was priced by the usage
       that its event tells, and an estimate whose event tells its usage. What was told by hand stays.
  RR2  An event is rated by the prices and rates of its own instant. What has none is told with the reason.
  RR3  A walk is of the ledger as it was at its last event, however long it takes and whoever books
       meanwhile, and keeps no more in memory than EVENTS_AT_A_TIME events.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from stiggctl.errors import RateNotFound, StiggctlError
from stiggctl.events import DimensionValue, dimensions_of
from stiggctl.holder.adjusted import Adjusted, adjusted, part_in
from stiggctl.holder.costs import Given, cost_by_model, is_money
from stiggctl.holder.known import Known
from stiggctl.importing import importing
from stiggctl.ledger.keys import adjusted_by
from stiggctl.ledger.records import ESTIMATED, CustomerRow, EventPart, EventRow
from stiggctl.rates import price
from stiggctl.tokens import TOKEN_CLASSES

if TYPE_CHECKING:
    from stiggctl.holder.holder import Holder

#: What is read, rated and booked together: as many as go into one exchange (exchange.BATCH_MAX).
EVENTS_AT_A_TIME = 512

#: Dimensions in which an event tells what was used: those that a sum over events must not meet twice.
COUNTS = (*(f"{name}_tokens" for name in TOKEN_CLASSES), "web_searches")
SOURCE, VERSION = "price_source", "price_version"


class Question(NamedTuple):
    """What is to be rated anew, and by what."""

    customers: Sequence[CustomerRow]
    event_name: str | None
    currency: int | None  #: its row
    since_us: int
    until_us: int
    last: int  #: the last event of the ledger when it was asked
    known: Known  #: the prices and rates
    given: Given  #: prices that stand before those


class RatedPart(NamedTuple):
    """A part of an event, rated anew."""

    part: EventPart
    units: int  #: what it would cost
    rate: int | None  #: by which rate
    source: str | None  #: of the price, where no rate says it
    version: str  #: of the price, or which rate
    counted: tuple[str, ...]  #: the dimensions that say how much was used


class UnratedPart(NamedTuple):
    """A part of an event that cannot be rated now."""

    part: EventPart
    reason: StiggctlError


class Rated(NamedTuple):
    """An event, and what its parts would cost."""

    customer: CustomerRow
    found: Adjusted  #: as of the question's last event
    adjusted_since: tuple[EventRow, ...]  #: its adjustments after that
    dimensions: Mapping[str, DimensionValue]
    parts: tuple[RatedPart | UnratedPart, ...]


class Stretch(NamedTuple):
    """What a walk has come by: the events that have something to rate, and how many it looked at."""

    rated: list[Rated]
    reversed_since: list[Adjusted]  #: events that were reversed, with adjustments that were not
    events: int


def walk(holder: "Holder", question: Question) -> Iterator[Stretch]:
    """The events of a question by customer and instant, in stretches; each is read when it is asked for."""
    for customer in question.customers:
        since_us, after = question.since_us, 0
        while True:
            holder.require_open()
            with holder.ledger.reader() as reader:
                events = reader.events_in_order(
                    customer.id,
                    event_name=question.event_name,
                    since_us=since_us,
                    after=after,
                    until_us=question.until_us,
                    last=question.last,
                    most=EVENTS_AT_A_TIME,
                )
                found = adjusted(reader, [event for event in events if _may_be_rated(event)])
            if events:
                yield _stretch(question, customer, found, len(events))
            if len(events) < EVENTS_AT_A_TIME:
                break
            since_us, after = events[-1].occurred_at_us, events[-1].id


def _stretch(question: Question, customer: CustomerRow, found: Sequence[Adjusted], events: int) -> Stretch:
    rated = []
    for now in found:
        then = now.as_of(question.last)
        if then.is_reversed:
            continue
        dimensions = dimensions_of(then.event.dimensions)
        parts = tuple(rated_parts(question, customer.customer_id, then.event, dimensions))
        if parts:
            since = now.adjustments[len(then.adjustments) :]
            rated.append(Rated(customer, then, since, dimensions, parts))
    torn = [one for one in found if one.is_reversed and one.standing]
    return Stretch(rated, torn, events)


def _may_be_rated(event: EventRow) -> bool:
    """Whether prices said something of it, perhaps; without reading its dimensions."""
    return (
        event.reverses is None
        and (
            event.flags & ESTIMATED != 0
            or f'"{SOURCE}"' in event.dimensions
            or any(part.rate is not None for part in event.parts)
        )
        and adjusted_by(event) is None
    )


def rated_parts(
    question: Question, customer_id: str, event: EventRow, dimensions: Mapping[str, DimensionValue]
) -> Iterator[RatedPart | UnratedPart]:
    """The parts of an event that prices said, each as they say it now (RR1, RR2)."""
    money = _money(question.known, event, dimensions)
    for part in event.parts:
        if question.currency not in (None, part.currency):
            continue
        try:
            if part.rate is not None:
                yield _by_rate(question.known, customer_id, event, dimensions, part)
            elif part.currency == money:
                yield _by_price(question, customer_id, event, dimensions, part)
        except StiggctlError as error:
            yield UnratedPart(part, error)


def _money(known: Known, event: EventRow, dimensions: Mapping[str, DimensionValue]) -> int | None:
    """The currency (its row) of an event in which its usage was priced, or is to be; None: in none.

    Of an estimate only an event that tells its usage is: it tells all of it, or nothing (observing.py, OG4).
    """
    if SOURCE not in dimensions and not (
        event.flags & ESTIMATED and any(name in dimensions for name in COUNTS)
    ):
        return None
    rows = [part.currency for part in event.parts]
    return next((row for row in rows if is_money(known.currency_of_row[row][0])), None)


def _by_rate(
    known: Known,
    customer_id: str,
    event: EventRow,
    dimensions: Mapping[str, DimensionValue],
    part: EventPart,
) -> RatedPart:
    name, decimals = known.currency_of_row[part.currency]
    event_name = event.event_name or ""  # what a rate priced has one
    rates = [
        rate
        for rate in known.rates(event_name, customer_id, dimensions, event.occurred_at_us)
        if rate.currency_id == name
    ]
    if not rates:
        raise RateNotFound(event_name=event_name, customer_id=customer_id, known=known.event_names())
    units, row = price(rates, dimensions, {name: decimals})[name]
    counted = tuple(term.dimension for term in rates[0].terms)
    return RatedPart(part, units, row, None, rate_version(row), (*COUNTS, *counted))


def _by_price(
    question: Question,
    customer_id: str,
    event: EventRow,
    dimensions: Mapping[str, DimensionValue],
    part: EventPart,
) -> RatedPart:
    with importing():
        from stiggctl.prices import Usage  # noqa: PLC0415 - few processes price responses

    known = question.known
    usage = Usage.of_dimensions(dimensions)
    cost, version = cost_by_model(known, customer_id, usage, event.occurred_at_us, question.given)
    units = cost.units(known.currency_of_row[part.currency][1])
    return RatedPart(part, units, None, cost.source, version, COUNTS)


def rate_version(row: int) -> str:
    """How a rate is told beside the versions of prices."""
    return f"rate {row}"


def version_before(found: Adjusted, currency: int) -> str | None:
    """The price, or rate, by which an event is charged in a currency so far; None where none said it."""
    for event in reversed(found.standing):
        part = part_in(event, currency)
        if part is None:
            continue
        if part.rate is not None:
            return rate_version(part.rate)
        said = dimensions_of(event.dimensions).get(VERSION)
        return None if said is None else str(said)
    return None
