"""Totals: booked usage, summed by what it has in common and by stretches of time.

Here: what rows are by; which spans are asked for; the ledger's sums to rows. Not here: the sums
themselves (ledger/), what a bucket is (windows/), a row (usage.py).

What always holds:
  TT1  Buckets are the windows of a limit of that cadence and zone. An event is in the one of its
       instant, whenever it was booked.
  TT2  Rows of a partition (all but those by resource) sum to the total, over buckets too.
  TT3  Memory is that of the rows, and of one part of the events: never of all events, nor of the
       buckets in which there are none.
"""

import heapq
from collections.abc import Iterator, Sequence
from enum import StrEnum
from itertools import islice
from typing import Any, NamedTuple

from stiggctl.amounts import to_amount
from stiggctl.errors import InvalidRequest, shown
from stiggctl.events import read_id
from stiggctl.ledger import Reader
from stiggctl.ledger.records import Apart, CurrencyRow, CustomerRow, SumsWanted, UsageSum
from stiggctl.reports.usage import UsageRow, UsageRows
from stiggctl.windows import ALWAYS, Unit, Window, Windows, to_datetime

# Events that are summed in one go take a third of a second, and for so long a fork waits (a reader's
# lock is held); of fewer, sums of the same kind come more often, each to be added in Python.
EVENTS_AT_A_TIME = 200_000
# Windows that are asked for in one go, where nearly all have events; where few have, fewer: `_spans`.
_WINDOWS_MAX = 1_024
# Python gives no other thread a turn while it sorts: this many take two milliseconds.
_SORTED_AT_A_TIME = 2_000
# Resources that were found to be of another type; a million of them would else all be remembered.
_OTHERS_MAX = 50_000


class By(StrEnum):
    """What rows may be by, besides dimensions; its value is the word for it."""

    RESOURCE = "resource"
    EVENT = "event"
    CUSTOMER = "customer"


class Grouping(NamedTuple):
    """What rows are by; both None: there is one row."""

    by: By | None = None
    dimension: str | None = None


_DIMENSIONS = "dimensions."
#: What people write where they mean something else than a dimension of that name.
_MEANT = {
    **{f"{by}{ending}": f'"{by}"' for by in By for ending in ("s", "_id", "Id", "_ids", "_name", "Name")},
    **{unit.value: f"bucket={unit.value!r}" for unit in Unit},
}


def read_grouping(group_by: object) -> Grouping:
    """What rows are by, from the word or the dimension's name.

    >>> read_grouping("resource").by, read_grouping("dimensions.resource"), read_grouping("model").dimension
    (<By.RESOURCE: 'resource'>, Grouping(by=None, dimension='resource'), 'model')
    >>> read_grouping("resources")
    Traceback (most recent call last):
    stiggctl.errors.InvalidRequest: group_by: got 'resources', expected ... did you mean "resource"? ...
    """
    if group_by is None:
        return Grouping()
    if not isinstance(group_by, str) or group_by in {"", _DIMENSIONS}:
        expected = '"resource", "event", "customer", or the name of a dimension, such as "model"'
        raise InvalidRequest(where="group_by", value=group_by, expected=expected)
    if group_by.startswith(_DIMENSIONS):
        return Grouping(dimension=read_id(group_by.removeprefix(_DIMENSIONS), "group_by"))
    meant = _MEANT.get(group_by)
    if meant is not None:
        other = shown(_DIMENSIONS + group_by)
        expected = f"another word: did you mean {meant}? A dimension of this name is {other}"
        raise InvalidRequest(where="group_by", value=group_by, expected=expected)
    if group_by in list(By):
        return Grouping(by=By(group_by))
    return Grouping(dimension=read_id(group_by, "group_by"))


class Asked(NamedTuple):
    """What totals are asked for, read."""

    customers: Sequence[CustomerRow]
    of_all: bool  #: customers, not of one
    grouping: Grouping
    windows: Windows | None  #: None: all of time is one
    since_us: int
    until_us: int
    currency: CurrencyRow | None = None
    resource: int | None = None  #: only what was charged to it or below it
    type_id: str | None = None  #: by resources of this type only
    event_name: str | None = None


class _Total:
    """A row that grows."""

    __slots__ = ("customer_id", "events", "key", "units", "window")

    def __init__(self, key: str | None, customer_id: str | None, window: Window) -> None:
        self.key = key
        self.customer_id = customer_id
        self.window = window
        self.units: dict[int, int] = {}  # by currency
        self.events = 0

    def add(self, one: UsageSum) -> None:
        """Count so many events, and what they sum to."""
        self.units[one.currency] = self.units.get(one.currency, 0) + one.units
        self.events += one.events


def read_totals(reader: Reader, asked: Asked) -> list[UsageRow]:
    """The rows: by bucket, then the largest first, by each currency in the order of their ids; then by key.

    A bucket or a key without events has no row; the total of all has one always.
    """
    found: dict[tuple[int, str | None, str | None], _Total] = {}
    named = _Named(reader, asked.type_id)
    together = asked.of_all and asked.grouping.by in {None, By.EVENT}
    if asked.grouping == Grouping() and asked.windows is None:
        whose = None if asked.of_all else asked.customers[0].customer_id
        found[ALWAYS.start_us, whose, None] = _Total(None, whose, ALWAYS)
    for customer in asked.customers:
        whose = None if together else customer.customer_id
        for window, one in _sums(reader, customer.id, asked):
            for key in _keys(one, asked.grouping, customer, named):
                place = (window.start_us, whose, key)
                total = found.get(place)
                if total is None:
                    total = found[place] = _Total(key, whose, window)
                total.add(one)
    return _rows(list(found.values()), reader.currencies(), asked)


# -------------------------------------------------------------------- spans


def _sums(reader: Reader, customer: int, asked: Asked) -> Iterator[tuple[Window, UsageSum]]:
    """A customer's sums, each with the window that it is of."""
    apart = _APART[asked.grouping.by] if asked.grouping.dimension is None else Apart.DIMENSION
    wanted = SumsWanted(
        apart,
        asked.grouping.dimension,
        asked.resource,
        asked.event_name,
        None if asked.currency is None else asked.currency.id,
    )
    for windows, spans in _spans(reader, customer, asked):
        for one in reader.sums(customer, spans, wanted):
            yield windows[one.span], one


_APART = {
    None: Apart.NOTHING,
    By.CUSTOMER: Apart.NOTHING,
    By.EVENT: Apart.EVENT,
    By.RESOURCE: Apart.PATH,
}


def _spans(
    reader: Reader, customer: int, asked: Asked
) -> Iterator[tuple[list[Window], list[tuple[int, int]]]]:
    """The time in which a customer has events, in parts; of each the windows, and what is asked of them.

    Where events stand far apart the windows between them are passed over: there may be millions. So
    twice as many are looked at together each time, beginning with one.
    """
    at_us, windows_most = asked.since_us, 1
    while True:
        first_us = reader.instant_after(customer, at_us, asked.until_us, events=0)
        if first_us is None:
            return
        next_us = reader.instant_after(customer, first_us, asked.until_us, events=EVENTS_AT_A_TIME)
        # Of more than that many at one instant all are summed together.
        end_us = asked.until_us if next_us is None else max(next_us, first_us + 1)
        windows = list(islice(_windows(asked.windows, first_us, end_us), windows_most))
        spans = [(max(one.start_us, first_us), min(one.end_us, end_us)) for one in windows]
        yield windows, spans
        at_us, windows_most = spans[-1][1], min(2 * windows_most, _WINDOWS_MAX)


def _windows(windows: Windows | None, at_us: int, until_us: int) -> Iterator[Window]:
    """The window of an instant and those that follow it, as long as they begin before another."""
    while at_us < until_us:
        window = ALWAYS if windows is None else windows.window_of(at_us)
        yield window
        at_us = window.end_us


# -------------------------------------------------------------------- rows


def _keys(one: UsageSum, grouping: Grouping, customer: CustomerRow, named: "_Named") -> Sequence[str | None]:
    """The rows in which a sum counts."""
    match grouping.by:
        case By.RESOURCE:
            return named.of(one.members) or (None,)
        case By.CUSTOMER:
            return (customer.customer_id,)
        case _:
            return (one.said,)


class _Named:
    """The resources that have rows: their ids, by their row in the ledger."""

    def __init__(self, reader: Reader, type_id: str | None) -> None:
        self._reader = reader
        self._type_id = type_id
        self._ids: dict[int, str] = {}
        self._others: set[int] = set()  # of another type

    def of(self, members: Sequence[int]) -> list[str]:
        """The ids of those that have rows."""
        unknown = [one for one in members if one not in self._ids and one not in self._others]
        if unknown:
            if len(self._others) > _OTHERS_MAX:
                self._others.clear()
            for row in self._reader.resources_by_row(unknown):
                if self._type_id in {None, row.type_id}:
                    self._ids[row.id] = row.resource_id
                else:
                    self._others.add(row.id)
        return [self._ids[one] for one in members if one in self._ids]


def _rows(totals: list[_Total], currencies: Sequence[CurrencyRow], asked: Asked) -> list[UsageRow]:
    looked_at = [one for one in currencies if asked.currency is None or one.id == asked.currency.id]
    looked_at.sort(key=lambda one: one.currency_id)
    names = tuple(one.currency_id for one in looked_at)
    rows = []
    for total in _in_order(totals, [one.id for one in looked_at]):
        amounts = {
            one.currency_id: to_amount(total.units.get(one.id, 0), one.decimals)
            for one in looked_at
            if one.id in total.units or asked.currency is not None
        }
        bucket = None if asked.windows is None else total.window
        rows.append(
            UsageRow(
                key=total.key,
                customer_id=total.customer_id,
                bucket_start=None if bucket is None else to_datetime(bucket.start_us),
                bucket_end=None if bucket is None else to_datetime(bucket.end_us),
                amounts=amounts,
                events=total.events,
                currencies=names,
            )
        )
    return UsageRows(rows)


def _in_order(totals: Sequence[_Total], currencies: Sequence[int]) -> Iterator[_Total]:
    """By bucket, the largest first, then by key; sorted in runs that are merged."""
    # Numbers and text only, and no total among them: the garbage collector passes over such tuples.
    places: list[tuple[Any, ...]] = [
        (
            one.window.start_us,
            *(-one.units.get(currency, 0) for currency in currencies),
            one.key is None,
            one.key or "",
            one.customer_id or "",
            at,
        )
        for at, one in enumerate(totals)
    ]
    runs = [sorted(places[at : at + _SORTED_AT_A_TIME]) for at in range(0, len(places), _SORTED_AT_A_TIME)]
    del places
    return (totals[at] for *_, at in heapq.merge(*runs))
