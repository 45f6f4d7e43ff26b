"""Usage: the exchange, the one write of events, shares and counters.

Here: a batch -> rows, in one transaction and as few statements as possible; what is done
when a key turns out to be taken. Not here: the arithmetic (reckoning.py), waiting for the
write lock and rolling back (connections.py), writing the numbers that changed (changes.py).

What always holds:
  U1  The unique index on the key says which event is first. The quick attempt takes every key
      for new; where the index ignored one row, or a number cannot be, all is rolled back and
      done again with care: an event that is sent twice would spend its share twice.
  U2  An event that is known or refused has no effect on any number, and fails alone.
  U3  An exchange that changes nothing writes nothing.
  U4  What a grant paid of a part is written beside it, in one row; a known event tells its payments.

The quick attempt is six steps for any batch of up to 32 events in 32 cells that are known:
BEGIN, the version, events, cells, shares, COMMIT. It is one more each where grants pay, where rolling
cells count, and where room is asked for in one.
"""

import json
import sqlite3
from collections.abc import Mapping
from typing import Any

from stiggctl.ledger.records import (
    UNBACKED,
    Batch,
    Booked,
    Booking,
    Drained,
    Drawn,
    EventRow,
    Known,
    PartBooked,
    Refused,
    Reply,
)
from stiggctl.ledger.sqlite import changes, watching
from stiggctl.ledger.sqlite.connections import Connections
from stiggctl.ledger.sqlite.events import as_booked, packed_members, payments_of, together
from stiggctl.ledger.sqlite.numbers import KnownNumbers, Recent
from stiggctl.ledger.sqlite.reckoning import Contradiction, Overflow, Reckoning
from stiggctl.ledger.sqlite.rolling import of_cells
from stiggctl.ledger.sqlite.statements import SQL
from stiggctl.ledger.sqlite.troubles import contradiction

# A path is a tuple and a number, about 200 bytes; one that was forgotten is looked up again, in
# two microseconds.
_PATHS_KEPT = 8_192

_Path = tuple[int, tuple[int, ...]]  # customer, members
_Key = tuple[int, int, str]  # customer, namespace, key
_Appended = tuple[int, tuple[PartBooked, ...]]  # its first row in the batch, what its parts did


class _Taken(Exception):
    """Some key of the batch already names an event."""


class Usage:
    """Exchanges on one ledger. All that is remembered is used under the write lock only."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._known = KnownNumbers()
        self._paths: Recent[_Path, int] = Recent(_PATHS_KEPT)
        self._new_paths: dict[_Path, int] = {}  # of the exchange before: true if all it knew is (N1)

    def exchange(self, batch: Batch) -> Reply:
        """Book, give back, draw, in this order and in one transaction."""
        try:
            return self._connections.transact(lambda cursor: self._attempt(cursor, batch).quick())
        except (_Taken, Overflow, Contradiction):
            return self._connections.transact(lambda cursor: self._carefully(cursor, batch))

    def _carefully(self, cursor: sqlite3.Cursor, batch: Batch) -> Reply:
        try:
            return self._attempt(cursor, batch).careful()
        except Contradiction as error:
            raise contradiction(self._connections.location, str(error)) from error
        except _Taken as error:
            reason = "the index of keys holds a key that no event has"
            raise contradiction(self._connections.location, reason) from error

    def _attempt(self, cursor: sqlite3.Cursor, batch: Batch) -> "_Attempt":
        """The batch with the numbers of all its cells. Raises Fenced, Stale."""
        known = self._known
        is_true = known.begin(
            cursor, failures=self._connections.failures, holder=batch.holder, change=batch.change
        )
        if self._new_paths:
            new_paths, self._new_paths = self._new_paths, {}
            if is_true:
                for path, row in new_paths.items():
                    self._paths.put(path, row)
        return _Attempt(cursor, batch, known, self._paths, self._new_paths)


def _cells_of(batch: Batch) -> set[int]:
    """All that it names."""
    cells: set[int] = set()
    for booking in batch.bookings:
        for part in booking.parts:
            cells.update(part.cells)
            if part.draining is not None:
                for paying in (*part.draining.payings, *part.draining.payers):
                    cells.add(paying[0])
    if batch.gives:
        cells.update(give.cell for give in batch.gives)
    if batch.asks:
        cells |= _asked(batch)
    return cells


def _asked(batch: Batch) -> set[int]:
    """All that it asks for room in."""
    asked = {asked.cell for ask in batch.asks for asked, _, _ in ask.cells}
    for ask in batch.asks:
        for pool in ask.pools:
            asked.update(grant.cell for grant in pool.grants)
    return asked


class _Attempt:
    """One attempt at a batch, inside its transaction."""

    def __init__(
        self,
        cursor: sqlite3.Cursor,
        batch: Batch,
        known: KnownNumbers,
        paths: Recent[_Path, int],
        new_paths: dict[_Path, int],
    ) -> None:
        self._cursor = cursor
        self._batch = batch
        self._known = known
        self._reckoning = Reckoning(
            known.look(cursor, _cells_of(batch)),
            now_us=batch.now_us,
            alive=known.alive,
            rolls=known.rolls,
        )
        self._paths = paths
        self._new_paths = new_paths
        self._values: list[object] = []  # of the rows of `append_events`, one after the other
        self._rows = 0
        self._paid: list[tuple[int, int, int]] = []  # (grant, row in the batch, units)
        self._crossed: list[watching.Crossed] = []
        self._warnings: list[int] = []  # rows of what it crossed

    def quick(self) -> Reply:
        """Take every key for new. Raises _Taken, Overflow, Contradiction where care is needed."""
        appended = [self._append(booking) for booking in self._batch.bookings]
        granted = self._give_and_draw()
        first = self._write()
        return self._reply([self._booked(first, one) for one in appended], granted)

    def careful(self) -> Reply:
        """Look at the keys and the counters first; what fails, fails alone (U2)."""
        bookings = self._batch.bookings
        taken = self._taken()
        outcomes: list[_Appended | EventRow | Refused | int] = []  # an int: the same as that one before it
        first_of: dict[_Key, int] = {}
        for booking in bookings:
            key = (booking.customer, booking.namespace, booking.key)
            if key in taken:
                outcomes.append(taken[key])
            elif key in first_of:
                outcomes.append(first_of[key])
            elif (full := self._reckoning.refusing(booking)) is not None:
                outcomes.append(Refused(cell=full.cell, used=full.used))
            else:
                first_of[key] = len(outcomes)
                outcomes.append(self._append(booking))
        granted = self._give_and_draw()
        first = self._write()
        answers: list[Booked | Known | Refused] = []
        for outcome in outcomes:
            if isinstance(outcome, int):
                booked = answers[outcome]
                assert isinstance(booked, Booked)
                answers.append(self._known_event(as_booked(bookings[outcome], booked)))
            elif isinstance(outcome, EventRow):
                answers.append(self._known_event(outcome))
            else:
                answers.append(self._booked(first, outcome) if isinstance(outcome, tuple) else outcome)
        return self._reply(answers, granted)

    def _known_event(self, event: EventRow) -> Known:
        return Known(event=event, payments=payments_of(self._rows_of, event.id))

    def _rows_of(self, statement: str, asked: Mapping[str, object]) -> list[tuple[Any, ...]]:
        return self._cursor.execute(statement, asked).fetchall()

    def _taken(self) -> dict[_Key, EventRow]:
        """The events that the batch's keys name already."""
        events: dict[_Key, EventRow] = {}
        for booking in self._batch.bookings:
            asked = {"customer": booking.customer, "namespace": booking.namespace, "key": booking.key}
            for event in together(self._cursor.execute(SQL["event_by_key"], asked).fetchall()):
                events[event.customer, event.namespace, event.key] = event
        return events

    def _append(self, booking: Booking) -> _Appended:
        """Count an event in its cells, and note its rows."""
        (customer, namespace, key, _, parts, event_name, dimensions, occurred_at_us, reservation,
         reverses, flags, unattributed, fingerprint) = booking  # fmt: skip
        first, now_us, path = self._rows, self._batch.now_us, self._path(booking)
        booked = []
        for at, part in enumerate(parts):
            done = self._reckoning.book(part, occurred_at_us)
            booked.append(done)
            flags_of_part = flags
            if self._known.watched:
                self._crossed += watching.crossed_by(first + at, done, self._reckoning.cells)
            if done[4] is not None:
                self._note_payments(first + at, done[4])
                if done[4].unbacked_units > 0:
                    flags_of_part |= UNBACKED
            self._values += (
                customer, namespace, key, at, part[0], part[1], done[0], path, event_name, dimensions,
                occurred_at_us, now_us, reservation, reverses, part[2], flags_of_part, unattributed,
                fingerprint,
            )  # fmt: skip
        self._rows += len(booked)
        return first, tuple(booked)

    def _note_payments(self, row: int, drained: Drained) -> None:
        cells = self._reckoning.cells
        paid = [(cells[cell].allocation, row, units) for cell, units in drained.paid]
        assert len({grant for grant, _, _ in paid}) == len(paid)  # an instant lies in one window of a grant
        self._paid += paid

    def _booked(self, first: int, appended: _Appended) -> Booked:
        row, parts = appended
        return Booked(first + row, self._batch.now_us, parts)

    def _path(self, booking: Booking) -> int:
        """The id of the booking's path; one that nobody took yet is made."""
        path = (booking.customer, booking.members)
        row = self._paths.get(path) or self._new_paths.get(path)
        if row is not None:
            return row
        asked = {"customer": booking.customer, "members": packed_members(booking.members)}
        cursor = self._cursor
        found: tuple[int] | None = cursor.execute(SQL["path_of"], asked).fetchone()
        if found is not None:
            (row,) = found
        else:
            row = cursor.execute(SQL["append_path"], asked).lastrowid
            assert row is not None
            members = {"path": row, "members": json.dumps(booking.members)}
            cursor.execute(SQL["append_path_resources"], members)
        self._new_paths[path] = row
        return row

    def _give_and_draw(self) -> list[Drawn]:
        """Gives before asks: what is given back may be what an ask lacks."""
        batch, reckoning = self._batch, self._reckoning
        reckoning.give(batch.gives)
        if not batch.asks:
            return []
        for cell in reckoning.drop_ended_orphans(_asked(batch)):
            self._cursor.execute(SQL["drop_ended_orphans"], {"cell": cell, "now_us": batch.now_us})
        return [reckoning.draw(ask) for ask in batch.asks]

    def _write(self) -> int:
        """Write what changed; the id of the first event. Raises _Taken where a key was."""
        cursor, first = self._cursor, 0
        if self._rows:
            if changes.write_packed(cursor, "append_events", self._values, self._rows) < self._rows:
                raise _Taken
            last = cursor.lastrowid
            assert last is not None
            first = last - self._rows + 1
        if self._paid:
            values: list[object] = []
            for grant, row, units in self._paid:
                values += (grant, first + row, units)
            changes.write_packed(cursor, "append_payments", values, len(self._paid))
        if self._crossed:
            self._warnings = watching.record(cursor, self._crossed, first, self._batch.now_us)
        changes.write(cursor, self._reckoning, self._batch.holder)
        self._known.end(cursor)
        return first

    def _reply(self, bookings: list[Booked | Known | Refused], granted: list[Drawn]) -> Reply:
        cells = {cell: numbers.row(self._batch.now_us) for cell, numbers in self._reckoning.cells.items()}
        if self._known.rolls and self._batch.asks:
            found = self._reckoning.cells
            rolling = [c for c in _asked(self._batch) if c in found and found[c].width_us is not None]
            if rolling:
                for cell, buckets in of_cells(self._rows_of, rolling).items():
                    cells[cell] = cells[cell]._replace(buckets=buckets)
        alive, warnings = self._known.alive, tuple(self._warnings)
        return Reply(bookings=bookings, asks=granted, cells=cells, alive=alive, warnings=warnings)
