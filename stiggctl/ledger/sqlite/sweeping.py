"""Sweeping: what all cells that have a window, roll or have a scope should have used, in one walk.

Here: a customer's events in the order of their instants, and the cells that count at each; of one that
rolls each bucket too, as a window of its own. Not here: cells that count everything for ever, which
SQLite sums alone; grants; what is told of a difference (verifying.py).

What always holds:
  SW1  Each event is read once and each cell once, however many windows there are and wherever they
       begin; memory has the cells whose windows overlap, and a part of the events between two
       instants at which a window begins or ends.
"""

import heapq
import json
from collections.abc import Iterator
from itertools import repeat
from typing import Any

from stiggctl.ledger.sqlite.events import unpacked_members
from stiggctl.ledger.sqlite.statements import SQL
from stiggctl.ledger.sqlite.sums import EARLIEST_US, EVENTS_AT_A_TIME, LATEST_US, Rows, Stream, whole
from stiggctl.scopes import EVERYTHING, filter_of

# Of one part of the events: (their path's members, currency, dimensions or null, units).
_Group = tuple[tuple[int, ...], int, str, int]


class SweptCell:
    """A cell, what it says that it has used, and what its events sum to so far; or a bucket of one."""

    __slots__ = ("allocation", "booked", "bucket_us", "counts", "currency_id", "customer", "end_us", "id",
                 "in_buckets", "resource_id", "scope", "start_us", "used", "width_us")  # fmt: skip

    def __init__(self, row: tuple[Any, ...], customer: int) -> None:
        (self.start_us, self.id, self.allocation, resource, self.resource_id, currency, self.currency_id,
         end_us, self.scope, self.used, self.width_us, self.bucket_us) = row  # fmt: skip
        self.customer = customer
        self.counts: tuple[int, int] = (resource, currency)
        self.end_us: int = LATEST_US if end_us is None else end_us
        self.booked = 0
        self.in_buckets = 0  # of one that rolls: what its buckets say


def swept(rows: Rows, stream: Stream) -> Iterator[SweptCell]:
    """Every cell with a window or a scope, or that rolls, when all its events are summed.

    A rolling one comes after its buckets.
    """
    for (customer,) in rows(SQL["customers_to_sweep"], {}):
        rows_of = stream(SQL["cells_to_sweep"], {"customer": customer})
        cells = (SweptCell(row, who) for row, who in zip(rows_of, repeat(customer), strict=False))
        yield from _Sweep(rows, customer).over(cells)


class _Sweep:
    """One customer's walk."""

    def __init__(self, rows: Rows, customer: int) -> None:
        self._rows = rows
        self._customer = customer
        self._counting: dict[tuple[int, int], list[SweptCell]] = {}  # by resource and currency
        self._ends: list[tuple[int, int, SweptCell]] = []  # a heap: of those, the next to end first
        self._scoped = 0  # how many of those have a scope
        self._in_buckets: dict[int, int] = {}  # of rolling cells: what their buckets say, so far

    def over(self, cells: Iterator[SweptCell]) -> Iterator[SweptCell]:
        """All of these, which come in the order of their starts, each when its window has ended."""
        at_us, coming = EARLIEST_US, next(cells, None)
        while coming is not None or self._ends:
            next_start_us = LATEST_US if coming is None else coming.start_us
            until_us = min(next_start_us, self._ends[0][0]) if self._ends else next_start_us
            if self._ends:
                self._count(at_us, until_us)
            at_us = until_us
            while self._ends and self._ends[0][0] <= at_us:
                yield self._end()
            while coming is not None and coming.start_us <= at_us:
                self._begin(coming)
                coming = next(cells, None)

    def _begin(self, cell: SweptCell) -> None:
        self._counting.setdefault(cell.counts, []).append(cell)
        heapq.heappush(self._ends, (cell.end_us, cell.id, cell))
        self._scoped += cell.scope != EVERYTHING

    def _end(self) -> SweptCell:
        _, _, cell = heapq.heappop(self._ends)
        beside = self._counting[cell.counts]
        beside.remove(cell)
        if not beside:
            del self._counting[cell.counts]
        self._scoped -= cell.scope != EVERYTHING
        if cell.bucket_us is not None:
            self._in_buckets[cell.id] = self._in_buckets.get(cell.id, 0) + cell.used
        elif cell.width_us is not None:
            cell.in_buckets = self._in_buckets.pop(cell.id, 0)
        return cell

    def _count(self, since_us: int, until_us: int) -> None:
        """Add the events of a time in which the same cells count."""
        for groups in self._parts(since_us, until_us):
            verdicts: dict[tuple[str, str], bool] = {}
            for members, currency, said, units in groups:
                for member in members:
                    for cell in self._counting.get((member, currency), ()):
                        if cell.scope == EVERYTHING:
                            cell.booked += units
                            continue
                        asked = (cell.scope, said)
                        passes = verdicts.get(asked)
                        if passes is None:
                            passes = verdicts[asked] = filter_of(cell.scope).passes(said)
                        if passes:
                            cell.booked += units

    def _parts(self, since_us: int, until_us: int) -> Iterator[Iterator[_Group]]:
        """The events of a time, so many together, and of those what is alike summed."""
        name = "used_by_path_and_dimensions" if self._scoped else "used_by_path"
        while since_us < until_us:
            asked = {"customer": self._customer, "since_us": since_us, "until_us": until_us}
            [*more] = self._rows(SQL["instant_after_all"], {**asked, "events": EVENTS_AT_A_TIME})
            part_until_us = max(more[0][0], since_us + 1) if more else until_us
            [(found,)] = self._rows(SQL[name], {**asked, "until_us": part_until_us})
            yield (
                (_members(packed), currency, said, whole(high, low))
                for packed, currency, said, high, low in json.loads(found)
            )
            since_us = part_until_us


def _members(packed: str) -> tuple[int, ...]:
    return unpacked_members(bytes.fromhex(packed))
