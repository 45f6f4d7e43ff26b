"""Portions: how a request may be made smaller, step by step, where not all of it fits.

Here: what each of its currencies costs at a step, and the largest step that fits. Not here: what fits
(decide.py), what a step is (one smallest unit, or a token of output: control/fitting.py).

What always holds:
  PN1  A request is made smaller in all of its currencies by the same step, so what is held is what one
       call of that size may cost.
  PN2  The step found is the largest that fits, and what is held for it is its cost, to the unit.
"""

from collections.abc import Sequence
from typing import NamedTuple, Self


class Line(NamedTuple):
    """What a request costs at a step, in units: `(fixed + each * step) / per`, rounded up once."""

    fixed: int
    each: int
    per: int

    def units(self, step: int) -> int:
        """Its cost at a step.

        >>> Line(5, 3, 10).units(0), Line(5, 3, 10).units(2)
        (1, 2)
        """
        return -(-(self.fixed + self.each * step) // self.per)

    def step(self, units: int, most: int) -> int:
        """The largest step up to `most` that costs no more; below 0 where none does.

        >>> Line(5, 3, 10).step(2, 100), Line(5, 0, 10).step(1, 100), Line(5, 3, 10).step(0, 100)
        (5, 100, -2)
        """
        left = units * self.per - self.fixed  # as whole units are compared, rounding up changes nothing
        if self.each == 0:
            return most if left >= 0 else -1
        return min(most, left // self.each)


class Portion(NamedTuple):
    """From `most` steps down to `least`: what each currency of the request costs, in its order."""

    least: int
    most: int
    lines: tuple[Line, ...]

    @classmethod
    def of_units(cls, least: int, most: int) -> Self:
        """Of one currency, by its smallest units."""
        return cls(least, most, (Line(0, 1, 1),))

    def step(self, rooms: Sequence[int | None]) -> int:
        """The largest step that fits in so many units of each currency (None: in any); PN2.

        Below `least` where not even that fits.

        >>> Portion(1, 9, (Line(0, 1, 1), Line(0, 2, 1))).step([7, 11])
        5
        """
        return min(
            [
                self.most if units is None else line.step(units, self.most)
                for line, units in zip(self.lines, rooms, strict=True)
            ]
        )

    def units(self, step: int) -> list[int]:
        """What a step costs, by currency."""
        return [line.units(step) for line in self.lines]
