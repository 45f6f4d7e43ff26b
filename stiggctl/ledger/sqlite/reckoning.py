"""Reckoning: what a batch does to the numbers of its cells. Pure: no SQL, no clock.

Here: booking, giving back and drawing, as arithmetic over Numbers, in the order of
SHARES §6 exchange; and what has to be written for it. Not here: how grants pay together (pools.py),
where the numbers come from (numbers.py), how what changed is written (usage.py).

What always holds:
  RC1  A draw never leaves `used + granted` above the limit, and takes nothing where nothing is free;
      of a pool, as a whole.
  RC2  An ask is granted in all of its cells and pools, or changes none.
  RC3  The overage of an event at a limit is what it added to what is over: while the limit stays
      as it is, overages sum to `max(0, used − limit)`; at a pool, together with what nobody backs.
  RC4  What is refused or known changes no number.
  RC5  An event counts in a rolling cell, and in its bucket there, if it took place since that opens.
  RC6  An ask is answered no only where all that others may hide would not do either, in some cell or
       pool. An exact share hides nothing: its holder returns what falls free in the commit that frees it.
  RC7  Alone no share is exact: nobody asks for what it may hide, and returning it would be for nothing.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence

from stiggctl.amounts import COUNTER_MAX
from stiggctl.ledger.records import Ask, Booking, Drained, Draining, Drawn, Give, Part, PartBooked
from stiggctl.ledger.sqlite import pools
from stiggctl.ledger.sqlite.numbers import Numbers
from stiggctl.ledger.sqlite.rolling import start_of
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

    __slots__ = ("_rolls", "alive", "buckets", "cells", "changed", "hushed", "now_us", "shares_changed")

    def __init__(self, cells: dict[int, Numbers], *, now_us: int, alive: int, rolls: bool) -> None:
        self.cells = cells  # those that are open; what names another is passed over
        self.now_us = now_us
        self.alive = alive
        self._rolls = rolls  # False: none of them does
        self.changed: dict[int, Numbers] = {}
        self.shares_changed: dict[int, Numbers] = {}
        self.hushed: list[int] = []
        self.buckets: dict[tuple[int, int], int] = {}  # what to add, by cell and start

    # ---------------------------------------------------------------- booking

    def refusing(self, booking: Booking) -> Numbers | None:
        """The first cell whose counter this booking would take past its bound."""
        sums: dict[int, int] = {}
        for part in booking.parts:
            for numbers, units in self._adds(part, booking.occurred_at_us):
                after = sums.get(numbers.cell, numbers.used) + units
                if not -COUNTER_MAX <= after <= COUNTER_MAX:
                    return numbers
                sums[numbers.cell] = after
        return None

    def _adds(self, part: Part, occurred_at_us: int) -> Iterator[tuple[Numbers, int]]:
        """What it adds to each cell that counts it."""
        for cell in self._counting(part, occurred_at_us).cells:
            yield self.cells[cell], part.amount_units
        if part.draining is not None:
            for flow in pools.flows(part.draining, part.amount_units, self.cells).flows.values():
                yield flow.numbers, flow.units

    def book(self, part: Part, occurred_at_us: int) -> PartBooked:
        """Count one part in its cells, and say what it did to each.

        Raises Overflow where a counter would pass its bound, Contradiction where a share would.
        """
        if self._rolls:
            part = self._counting(part, occurred_at_us)
            self._count_in_buckets(part, occurred_at_us)
        _, amount, _, cells, spends, draining = part
        changed, shares_changed = self.changed, self.shares_changed
        try:
            found = [self.cells[cell] for cell in cells]
        except KeyError:
            return self.book(self._counting(part, occurred_at_us), occurred_at_us)
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
        most = max(overages, default=0)
        if draining is None:
            return PartBooked(most, cells, used_after, overages)
        drained = self._drain(draining, amount)
        most = max(most, drained.overage_units) if overages else drained.overage_units
        return PartBooked(most, cells, used_after, overages, drained)

    def _counting(self, part: Part, occurred_at_us: int) -> Part:
        """The part without the cells that do not count it.

        The allocations of some have gone: they limit nothing any more; some roll, and open later (RC5).
        """
        still = [
            at
            for at, cell in enumerate(part.cells)
            if (numbers := self.cells.get(cell)) is not None
            and (numbers.opens_us is None or numbers.opens_us <= occurred_at_us)
        ]
        if len(still) == len(part.cells):
            return part
        cells = tuple([part.cells[at] for at in still])
        return part._replace(cells=cells, spends=tuple([part.spends[at] for at in still]))

    def _count_in_buckets(self, part: Part, occurred_at_us: int) -> None:
        if not part.amount_units:
            return
        for cell in part.cells:
            width_us = self.cells[cell].width_us
            if width_us is not None:
                bucket = (cell, start_of(occurred_at_us, width_us))
                self.buckets[bucket] = self.buckets.get(bucket, 0) + part.amount_units

    def _drain(self, draining: Draining, amount: int) -> Drained:
        """Have grants pay for a part, and say what it did to the pool of its payers."""
        for _, units, spend in draining.payings:
            if spend < 0 or (units < 0 and spend):
                raise Contradiction(
                    f"of {units} units that a grant pays, {spend} leave a holder's share of it"
                )
        flows, payers, unbacked = pools.flows(draining, amount, self.cells)
        before = pools.over(payers)
        for flow in flows.values():
            self._pay(flow.numbers, flow.units, flow.spend)
        granted = [numbers for numbers in payers if numbers.granted > 0]
        if granted and sum(numbers.lim - numbers.used - numbers.granted for numbers in payers) < 0:
            for numbers in granted:
                self._hush(numbers)
        return Drained(
            overage_units=pools.over(payers) - before + unbacked,
            unbacked_units=unbacked,
            paid=tuple([(cell, flow.units) for cell, flow in flows.items() if flow.units]),
            payers=tuple([numbers.cell for numbers in payers]),
            used_after=tuple([numbers.used for numbers in payers]),
        )

    def _pay(self, numbers: Numbers, units: int, spend: int) -> None:
        if spend:
            self._take_back(numbers, spend)
        numbers.used += units
        if not -COUNTER_MAX <= numbers.used <= COUNTER_MAX:
            raise Overflow
        if units:
            self.changed[numbers.cell] = numbers

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
        for cell, units, exact in gives:
            numbers = self.cells.get(cell)
            if numbers is None:
                continue
            if units:
                self._take_back(numbers, units)
            if exact and numbers.mine and not numbers.exact and self.alive > 1:
                numbers.exact = 1
                self.shares_changed[cell] = numbers

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

    def draw(self, ask: Ask) -> Drawn:
        """Grant what is asked in all of its cells and pools; or, where it is short in one, nothing.

        Own spare counts, and may cover what is missing (`need` below 0): so an ask fits where
        need <= free in every cell, also where free is negative.
        """
        open_cells = [
            (numbers, asked.spare_units, amount, minimum)
            for asked, amount, minimum in ask.cells
            if (numbers := self.cells.get(asked.cell)) is not None
        ]
        # Where less than the amount would do, all cells of one currency (of one amount), and its pool,
        # are asked for the most that fits in each of them.
        reach: dict[tuple[int, int], int] = {}
        short: list[Numbers] = []
        for numbers, spare, amount, minimum in open_cells:
            fits = spare + numbers.lim - numbers.used - numbers.granted
            if fits < minimum:
                if fits + numbers.hidden < minimum:
                    return Drawn.NO
                short.append(numbers)
            reach[amount, minimum] = min(reach.get((amount, minimum), amount), fits)
        asked_pools = [(pools.Pool(pool.grants, self.cells), pool[1], pool[2]) for pool in ask.pools]
        for pool, amount, minimum in asked_pools:
            fits = pool.fits()
            if fits < minimum:
                if fits + pool.hidden() < minimum:
                    return Drawn.NO
                short += pool.hiding()
            reach[amount, minimum] = min(reach.get((amount, minimum), amount), fits)
        if short:
            self._recall(short)
            return Drawn.WAIT
        for numbers, spare, amount, minimum in open_cells:
            self._draw(numbers, reach[amount, minimum] - spare, ask.request_units)
        for pool, amount, minimum in asked_pools:
            self._draw_of_pool(pool, reach[amount, minimum], ask.request_units)
        return Drawn.GRANTED

    def _recall(self, short: Iterable[Numbers]) -> None:
        """Have others asked for what they have to spare of these.

        Who waits asks again every few milliseconds: while the last call stands for long enough, nothing
        is written.
        """
        for numbers in short:
            if numbers.hush_until < self.now_us + HUSH_US // 2:
                self._hush(numbers)

    def _draw(self, numbers: Numbers, need: int, request_units: int) -> None:
        lacking = max(0, need)
        free = numbers.lim - numbers.used - numbers.granted
        extra = surplus(
            free - lacking,
            request_units=request_units,
            holders_alive=self.alive,
            recalled=numbers.hush_until > self.now_us,
        )
        self._take(numbers, lacking, min(lacking + max(0, extra), free))

    def _draw_of_pool(self, pool: pools.Pool, units: int, request_units: int) -> None:
        recalled = pool.is_hushed(self.now_us)

        def extra(free: int) -> int:
            return surplus(free, request_units=request_units, holders_alive=self.alive, recalled=recalled)

        for numbers, lacking, taken in pool.draws(units, extra):
            self._take(numbers, lacking, taken)

    def _take(self, numbers: Numbers, lacking: int, taken: int) -> None:
        """Add what is taken to my share; it is exact if that is what was lacking, and it was (RC7)."""
        if taken <= 0:
            return
        was_exact = numbers.exact == 1 or numbers.mine == 0
        numbers.exact = int(self.alive > 1 and taken == lacking and was_exact)
        numbers.mine += taken
        numbers.granted += taken
        self.changed[numbers.cell] = self.shares_changed[numbers.cell] = numbers


def _contradiction(numbers: Numbers, units: int) -> Contradiction:
    cell, mine = numbers.cell, numbers.mine
    return Contradiction(f"a holder's share of cell {cell} is {mine} units, and it spends {units} of it")
