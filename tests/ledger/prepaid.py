"""Grants in a small world: how to put them, open their cells, have them pay, and ask for room in them."""

from collections.abc import Mapping, Sequence
from typing import Any

from stiggctl.ledger.records import (
    Ask,
    AskCell,
    AskPool,
    Booked,
    Booking,
    CellKey,
    CellRow,
    CellWanted,
    Draining,
    GrantRow,
    Part,
    Payer,
    Paying,
)

from .world import World, grant


def of_grant(
    row: GrantRow, window: tuple[int, int | None] = (0, None), amount: int | None = None
) -> CellWanted:
    """The cell of a grant, for ever or in a window, with its amount or another."""
    key = CellKey(row.id, 0, window[0])
    return CellWanted(key, window[1], "{}", row.amount_units if amount is None else amount)


class Prepaid:
    """A world with grants that do not recur; their cells by their ids."""

    def __init__(self, world: World, amounts: Mapping[str, int]) -> None:
        self.world = world
        self.put(amounts)

    def put(self, amounts: Mapping[str, int], **differs: Any) -> None:
        """Grant them, and open their cells."""
        self.world.change(grants=[grant(name, amount, **differs) for name, amount in amounts.items()])
        with self.world.ledger.reader() as reader:
            self.rows = {row.grant_id: row for row in reader.grants()}
        self.wanted = {name: of_grant(row) for name, row in self.rows.items() if row.cadence is None}
        opened = self.world.open(*self.wanted.values())
        self.ids = {name: cell.id for name, cell in zip(self.wanted, opened, strict=True)}

    def cell(self, name: str) -> CellRow:
        """As it stands, seen by me."""
        with self.world.ledger.reader() as reader:
            return reader.cells([self.wanted[name]], self.world.me)[self.wanted[name].key]

    def numbers(self) -> dict[str, tuple[int, int]]:
        """Of each: used, mine."""
        return {name: (cell.used, cell.granted) for name, cell in ((n, self.cell(n)) for n in self.ids)}

    def draining(
        self,
        payers: Sequence[str | tuple[str, int]] = (),
        payings: Sequence[tuple[str, int] | tuple[str, int, int]] = (),
    ) -> Draining:
        """Payers as `name` or (name, spare); payings as (name, units) or (name, units, spent)."""
        pairs = [(each, 0) if isinstance(each, str) else each for each in payers]
        return Draining(
            payings=tuple(Paying(self.ids[name], units, *(spent or [0])) for name, units, *spent in payings),
            payers=tuple(Payer(self.ids[name], spare) for name, spare in pairs),
        )

    def booking(self, key: str, amount: int, draining: Draining | None, **differs: Any) -> Booking:
        """An event on `free` that is paid so."""
        part = Part(self.world.tokens, amount, None, (), (), draining)
        return self.world.booking(key, amount, ["free"], **{"parts": (part,), **differs})

    def book(self, key: str, amount: int, *draining: Any, **differs: Any) -> Booked:
        """The same, booked by itself."""
        [done] = self.world.exchange(self.booking(key, amount, self.draining(*draining), **differs)).bookings
        assert isinstance(done, Booked)
        return done

    def paid(self, done: Booked, part: int = 0) -> dict[str, int]:
        """Who paid what of a part."""
        drained = done.parts[part].drained
        assert drained is not None
        names = {cell: name for name, cell in self.ids.items()}
        return {names[cell]: units for cell, units in drained.paid}

    def ask(
        self,
        amount: int,
        grants: Sequence[str | tuple[str, int]],
        *,
        minimum: int | None = None,
        request: int | None = None,
    ) -> Ask:
        """A wish for room in the pool of those grants, in drain order, as `name` or (name, spare)."""
        pairs = [(each, 0) if isinstance(each, str) else each for each in grants]
        cells = tuple(AskCell(self.ids[name], spare) for name, spare in pairs)
        pool = AskPool(cells, amount, amount if minimum is None else minimum)
        return Ask(cells=(), request_units=amount if request is None else request, pools=(pool,))
