"""Pools: how grants pay for an event together, and how room is drawn of them. Pure arithmetic.

Here: what each grant pays of a part and what leaves my share of it; what an ask takes of each. Not here:
in which order grants drain (holder/), what becomes of the numbers (reckoning.py).

What always holds:
  PY1  What is paid is what the event costs, to the unit; but for what nobody backs, and for what would
       come back to nobody.
  PY2  A grant pays no more than what is free of it while a later one has something free, and no more than
       its amount while a later one has something left. So only the last is ever overdrawn.
  PY3  Of what a grant pays beyond what was settled beforehand, what was set apart leaves my share first.
  PY4  An ask takes of each grant what I have of it, then what may be drawn of it, in drain order; all that
       is drawn is never more than is free of the pool, nor of a grant than is free of it.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from stiggctl.ledger.records import AskCell, Draining
from stiggctl.ledger.sqlite.numbers import Numbers
from stiggctl.shares import drawable


class Flow:
    """What one grant pays of a part, and what of it leaves my share."""

    __slots__ = ("numbers", "spend", "units")

    def __init__(self, numbers: Numbers) -> None:
        self.numbers = numbers
        self.units = self.spend = 0


class Flows(NamedTuple):
    """How a part is paid for."""

    flows: dict[int, Flow]  #: by cell, of those who pay or are paid back
    payers: list[Numbers]
    unbacked: int  #: what nobody pays; less than 0: what comes back to nobody


def flows(draining: Draining, amount_units: int, cells: Mapping[int, Numbers]) -> Flows:
    """How a part is paid for; a grant whose cell has been closed is passed over."""
    by_cell: dict[int, Flow] = {}

    def pay(numbers: Numbers, units: int, spend_units: int) -> None:
        one = by_cell.get(numbers.cell)
        if one is None:
            one = by_cell[numbers.cell] = Flow(numbers)
        one.units += units
        one.spend += spend_units

    rest = amount_units
    for cell, units, spend_units in draining.payings:
        if cell in cells:
            pay(cells[cell], units, spend_units)
            rest -= units
    payers, free, left = [], [], []
    for cell, spare in draining.payers:
        if cell in cells:
            numbers = cells[cell]
            most, granted = numbers.lim - numbers.used, numbers.granted
            if cell in by_cell:  # what was settled just now
                most, granted = most - by_cell[cell].units, granted - by_cell[cell].spend
            payers.append(numbers)
            left.append(most)
            free.append(most - granted + spare)
    if payers and rest > 0:
        spares = dict(draining.payers)
        for numbers, units in zip(payers, split(rest, free, left), strict=True):
            if units:
                pay(numbers, units, min(units, spares[numbers.cell]))
        rest = 0
    return Flows(by_cell, payers, rest)


def split(units: int, free: Sequence[int], left: Sequence[int]) -> list[int]:
    """What each pays, in drain order (PY2).

    `free` is what of each nobody else may spend; `left` may be more, what others were granted of it.

    >>> split(30, [10, 5, 40], [20, 50, 40])
    [10, 5, 15]
    >>> split(80, [10, 5, 40], [20, 50, 40]), split(200, [0, 5], [-7, 50])
    ([20, 20, 40], [0, 200])
    """
    paid = [0] * len(free)
    if units <= free[0]:
        paid[0] = units
        return paid
    for most in (free, left):
        for at, units_most in enumerate(most):
            more = min(units, max(0, units_most - paid[at]))
            paid[at] += more
            units -= more
    paid[-1] += units
    return paid


def over(payers: Sequence[Numbers]) -> int:
    """What is used of them beyond their amounts, together."""
    return max(0, sum(numbers.used - numbers.lim for numbers in payers))


class Draw(NamedTuple):
    """What is drawn of one grant: all of it, and what of that an ask lacks."""

    numbers: Numbers
    lacking: int
    taken: int


class Pool:
    """A pool that is asked for room: its grants that are open, in drain order, and what I have of each."""

    __slots__ = ("_free", "_grants", "_spare")

    def __init__(self, grants: Sequence[AskCell], cells: Mapping[int, Numbers]) -> None:
        asked = [(cells[each.cell], each.spare_units) for each in grants if each.cell in cells]
        self._grants = [numbers for numbers, _ in asked]
        self._spare = [spare for _, spare in asked]
        self._free = [each.lim - each.used - each.granted for each in self._grants]

    def fits(self) -> int:
        """The most that fits: what is overdrawn of one is paid by all."""
        return sum(self._spare) + sum(self._free)

    def hidden(self) -> int:
        """What others may have to spare of it."""
        return sum(numbers.hidden for numbers in self._grants)

    def hiding(self) -> list[Numbers]:
        """The grants of which they may."""
        return [numbers for numbers in self._grants if numbers.hidden]

    def is_hushed(self, now_us: int) -> bool:
        """Whether some grant of it was recalled lately."""
        return any(numbers.hush_until > now_us for numbers in self._grants)

    def draws(self, units: int, surplus: Callable[[int], int]) -> list[Draw]:
        """What to draw for so much, which fits; `surplus` says how much more, of what is then free (PY4)."""
        most, draws, rest = drawable(self._free), [], units
        for spare, may in zip(self._spare, most, strict=True):
            takes = min(rest, spare + may)
            rest -= takes
            draws.append(max(0, takes - spare))
        extra = max(0, surplus(sum(self._free) - sum(draws)))
        drawn = []
        for numbers, lacking, may in zip(self._grants, draws, most, strict=True):
            more = min(extra, may - lacking)
            extra -= more
            drawn.append(Draw(numbers, lacking, lacking + more))
        return drawn
