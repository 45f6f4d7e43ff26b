"""Pace: how fast something was spent lately, and when that would pass a bound. Pure.

Here: the pace of some buckets, and the odds of having spent so much by then. Not here: which events are
looked at, what becomes of a limit meanwhile (forecast.py).

Spending is taken for a Brownian motion with drift: what adds up from many calls, each at its own time. When
such a motion first passes a bound is the inverse Gaussian distribution (Schrödinger, Physikalische
Zeitschrift 16, 1915; Folks and Chhikara, J. R. Stat. Soc. B 40(3), 1978). Calls come in bursts, so what
stands in one bucket says something of the next: the variance counts that in, with Bartlett's weights (Newey
and West, Econometrica 55(3), 1987). How far it errs on a real trace stands in
docs/explanation/decisions/0014-forecast.md.

  PC1  The odds of having passed a bound grow with time, and fall with the bound.
  PC2  What nobody spent has no pace, and what was taken back on the whole passes nothing.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

#: So many stretches of time are looked at: fewer say little of how much they differ, more have nothing in
#: most of them. On the trace 20 to 30 erred least.
BUCKETS = 24
#: A burst lasts so many stretches at most, counted beside each.
_LAGS = 2
#: How often the look is narrowed to when spending began: each time to a half or less.
_NARROWED_MAX = 64
#: Of a distribution over so many orders of magnitude a bisection is exact to a microsecond.
_HALVINGS = 80
#: Less than this is no variance that was measured: bursts that cancel each other out.
_LEAST_OF_VARIANCE = 0.25
#: The largest power of e that a float has.
_POWER_MAX = 700.0

#: Units by the start of the bucket in which they were spent: from when, until when, how wide buckets are.
Spent = Callable[[int, int, int], Mapping[int, int]]


class Pace(NamedTuple):
    """Spending: so many units a microsecond, how much that varies, and how long it was looked at."""

    units: float
    variance: float
    look_us: int

    def chance(self, room_units: int, after_us: float) -> float:
        """The odds of having spent more than the room after so long (PC1).

        The pace itself is only known from what was looked at, so it varies the more the further ahead
        one looks.

        >>> steady = Pace(2.0, 0.0, 1_000)
        >>> steady.chance(100, 49.0), steady.chance(100, 51.0)
        (0.0, 1.0)
        >>> round(Pace(2.0, 4.0, 1_000).chance(100, 50.0), 2)
        0.53
        """
        if room_units <= 0:
            return 1.0
        if after_us <= 0 or self.units <= 0:
            return 0.0
        expected_us = room_units / self.units
        spread = math.sqrt(self.variance * (1 + expected_us / self.look_us) * after_us)
        if spread == 0.0:
            return float(after_us >= expected_us)
        ahead = _normal((self.units * after_us - room_units) / spread)
        back = _normal(-(self.units * after_us + room_units) / spread)
        power = 2 * self.units * room_units * after_us / spread**2
        if back > 0.0 and power + math.log(back) > -_POWER_MAX:
            ahead += math.exp(min(0.0, power + math.log(back)))
        return min(1.0, ahead)

    def after_us(self, room_units: int, odds: float) -> float:
        """After how long the odds of having spent more than the room are so high; units are above 0."""
        low, high = 0.0, max(1.0, room_units / self.units)
        while self.chance(room_units, high) < odds and high < 2.0**_HALVINGS:
            low, high = high, 2 * high
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            low, high = (middle, high) if self.chance(room_units, middle) < odds else (low, middle)
        return high


def pace_of(buckets: Sequence[int], width_us: int, more_units: int = 0, more_us: int = 0) -> Pace:
    """The pace of buckets of one width, the oldest first, and of the begun one that follows them.

    >>> pace_of([10, 10, 10, 10], 5, 2, 1)
    Pace(units=2.0, variance=0.0, look_us=21)
    """
    many, look_us = len(buckets), len(buckets) * width_us + more_us
    mean = sum(buckets) / many
    apart = [units - mean for units in buckets]

    def together(lag: int) -> float:
        return sum(one * other for one, other in zip(apart, apart[lag:], strict=False)) / many

    alone = together(0)
    beside = 2 * sum((1 - lag / (_LAGS + 1)) * together(lag) for lag in range(1, _LAGS + 1))
    variance = max(alone + beside, _LEAST_OF_VARIANCE * alone) * many / (many - 1)
    return Pace((sum(buckets) + more_units) / look_us, variance / width_us, look_us)


def read_pace(spent: Spent, now_us: int, look_us: int) -> Pace | None:
    """The pace of the time before now, or since spending began; None where there is too little (PC2)."""
    began_us: int | None = None
    for _ in range(_NARROWED_MAX):
        width_us = max(1, look_us // BUCKETS)
        from_us = now_us - look_us
        from_us -= from_us % width_us
        found = {start_us: units for start_us, units in spent(from_us, now_us + 1, width_us).items() if units}
        if not found:
            return None
        first_us = min(found)
        if first_us - from_us <= look_us // 2:
            break
        began_us, look_us = first_us, now_us - first_us
        if look_us < BUCKETS:
            return None
    else:
        return None
    begun_us = now_us - now_us % width_us  # the bucket that is not over
    starts = range(from_us if began_us is None else first_us, begun_us, width_us)
    if len(starts) < BUCKETS // 2 - 1:
        return None
    buckets = [found.get(start_us, 0) for start_us in starts]
    return pace_of(buckets, width_us, found.get(begun_us, 0), now_us - begun_us)


def _normal(deviations: float) -> float:
    """The odds that something normal is no more than so many deviations above its mean."""
    return 0.5 * math.erfc(-deviations / math.sqrt(2))
