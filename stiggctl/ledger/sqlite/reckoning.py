"""Reckoning: what a batch does to the numbers of its cells. Pure: no SQL, no clock.

Here: booking, giving back and drawing, as arithmetic over Numbers, in the order of
SHARES §6 exchange; and what has to be written for it. Not here: where the numbers come from
(numbers.py), how what changed is written (usage.py).

What always holds:
  RC1  A draw never leaves `used + granted` above the limit, and takes nothing where nothing is free.
  RC2  An ask is granted in all of its cells, or changes none.
  RC3  The overage of an event at a limit is what it added to what is over: while the limit stays
      as it is, overages sum to `max(0, used − limit)`.
  RC4  What is refused or known changes no number.
"""

from collections.abc import Collection, Sequence

from stiggctl.amounts import COUNTER_MAX
from stiggctl.ledger.records import Ask, Booking, Give, Part, PartBooked
from stiggctl.ledger.sqlite.numbers import Numbers
from stiggctl.shares import surplus

# How long a cell of which more was granted than is left is drawn from without surplus; by then
# every other holder has seen it, on its beat (at most 0.25 s), and given its spare back.
HUSH_US = 1_000_000


class Overflow(Exception):
    """A counter would pass its bound; numbers were changed, and must not be written."""


class Contradiction(Exception):
    """A share would become negative; numbers were changed, and must not be written.

    Of an event that is known already it says nothing: its spend was taken when it was booked.
    """


class Reckoning:
    """One batch, while it is reckoned: the numbers of its cells, and which of them to write."""

    __slots__ = ("alive", "cells", "changed", "hushed", "now_us", "shares_changed")

    def __init__(self, cells: dict[int, Numbers], *, now_us: int, alive: int) -> None:
        self.cells = cells  # those that are open; what names another is passed over
        self.now_us = now_us
        self.alive = alive
        self.changed: dict[int, Numbers] = {}
        self.shares_changed: dict[int, Numbers] = {}
        self.hushed: list[int] = []

    # ---------------------------------------------------------------- booking

    def refusing(self, booking: Booking) -> Numbers | None:
        """The first cell whose counter this booking would take past its bound."""
        sums: dict[int, int] = {}
        for part in booking.parts:
            for cell in part.cells:
                numbers = self.cells.get(cell)
                if numbers is None:
                    continue
                after = sums.get(cell, numbers.used) + part.amount_units
                if not -COUNTER_MAX <= after <= COUNTER_MAX:
                    return numbers
                sums[cell] = after
        return None

    def book(self, part: Part) -> PartBooked:
        """Count one part in its cells, and say what it did to each.

        Raises Overflow where a counter would pass its bound, Contradiction where a share would.
        """
        _, amount, _, cells, spends = part
        changed, shares_changed = self.changed, self.shares_changed
        try:
            found = [self.cells[cell] for cell in cells]
        except KeyError:
            return self.book(self._of_open_cells(part))
        used_after: list[int] = []
        overages = [0] * len(cells)
        for at, numbers in enumerate(found):
            before = numbers.used
            after = before + amount
            spend = spends[at]
            if spend:
                left = numbers.mine - spend
                if spend < 0 or left < 0:
                    raise _contradiction(numbers, spend)
                numbers.mine = left
                numbers.granted -= spend
                shares_changed[numbers.cell] = numbers
            # Where it fits beside all that is granted, nothing is over and nothing is to be
            # recalled; an amount below zero, of a reversal, may take away what was over.
            if amount < 0 or after + numbers.granted > numbers.lim:
                overages[at] = self._over(numbers, before, after)
            if amount or spend:
                changed[numbers.cell] = numbers
            numbers.used = after
            used_after.append(after)
        return PartBooked(max(overages, default=0), cells, used_after, overages)

    def _of_open_cells(self, part: Part) -> Part:
        """The part without the cells whose allocations have gone: they limit nothing any more."""
        still = [at for at, cell in enumerate(part.cells) if cell in self.cells]
        cells = tuple([part.cells[at] for at in still])
        return part._replace(cells=cells, spends=tuple([part.spends[at] for at in still]))

    def _over(self, numbers: Numbers, before: int, after: int) -> int:
        """The overage of what takes `used` from before to after (RC3)."""
        if not -COUNTER_MAX <= after <= COUNTER_MAX:
            raise Overflow
        lim = numbers.lim
        if numbers.granted and after + numbers.granted > lim:
            self._hush(numbers)
        return (after - lim if after > lim else 0) - (before - lim if before > lim else 0)

    def _take_back(self, numbers: Numbers, units: int) -> None:
        """My share falls by what is given back."""
        left = numbers.mine - units
        if units < 0 or left < 0:
            raise _contradiction(numbers, units)
        numbers.mine = left
        numbers.granted -= units
        self.changed[numbers.cell] = self.shares_changed[numbers.cell] = numbers

    def _hush(self, numbers: Numbers) -> None:
        until_us = self.now_us + HUSH_US
        if numbers.hush_until < until_us:
            numbers.hush_until = until_us
            self.hushed.append(numbers.cell)

    # ---------------------------------------------------------------- giving back

    def give(self, gives: Sequence[Give]) -> None:
        """Take back what a holder returns."""
        for cell, units in gives:
            numbers = self.cells.get(cell)
            if numbers is not None and units:
                self._take_back(numbers, units)

    # ---------------------------------------------------------------- drawing

    def drop_ended_orphans(self, cells: Collection[int]) -> list[int]:
        """Set free what dead holders held in these cells and no longer hold; where there was any."""
        ended = []
        for cell in cells:
            numbers = self.cells.get(cell)
            if numbers is None or not numbers.orphans or numbers.orphans[0].until_us > self.now_us:
                continue
            stay = tuple(orphan for orphan in numbers.orphans if orphan.until_us > self.now_us)
            numbers.granted -= sum(o.units for o in numbers.orphans) - sum(o.units for o in stay)
            numbers.orphans = stay
            self.changed[cell] = numbers
            ended.append(cell)
        return ended

    def draw(self, ask: Ask) -> bool:
        """Grant what is asked in all of its cells; or, where it is short in one, nothing.

        Own spare counts, and may cover what is missing (`need` below 0): so an ask fits where
        need <= free in every cell, also where free is negative.
        """
        open_cells = [
            (numbers, asked.spare_units, amount, minimum)
            for asked, amount, minimum in ask.cells
            if (numbers := self.cells.get(asked.cell)) is not None
        ]
        # Where less than the amount would do, all cells of one currency (of one amount) are asked
        # for the most that fits in each of them.
        reach: dict[tuple[int, int], int] = {}
        for numbers, spare, amount, minimum in open_cells:
            fits = spare + numbers.lim - numbers.used - numbers.granted
            if fits < minimum:
                return False
            reach[amount, minimum] = min(reach.get((amount, minimum), amount), fits)
        for numbers, spare, amount, minimum in open_cells:
            self._draw(numbers, reach[amount, minimum] - spare, ask.request_units)
        return True

    def _draw(self, numbers: Numbers, need: int, request_units: int) -> None:
        lacking = max(0, need)
        free = numbers.lim - numbers.used - numbers.granted
        extra = surplus(
            free - lacking,
            request_units=request_units,
            holders_alive=self.alive,
            recalled=numbers.hush_until > self.now_us,
        )
        taken = min(lacking + max(0, extra), free)
        if taken <= 0:
            return
        numbers.exact = int(taken == lacking and (numbers.exact == 1 or numbers.mine == 0))
        numbers.mine += taken
        numbers.granted += taken
        self.changed[numbers.cell] = self.shares_changed[numbers.cell] = numbers


def _contradiction(numbers: Numbers, units: int) -> Contradiction:
    cell, mine = numbers.cell, numbers.mine
    return Contradiction(f"a holder's share of cell {cell} is {mine} units, and it spends {units} of it")
