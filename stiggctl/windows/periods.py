"""Periods: wall time cut into parts of one cadence, all counted from one origin.

Here: the period that a wall time is in; months of different lengths. Not here: what clocks show
when (zones.py), whose origin it is (calendar.py, anchored.py).

Days are numbered from 1970-01-01, months from January 1970, and both go on in both directions
by the rules of today (proleptic Gregorian), without the bounds of datetime.

What always holds:
  PD1  Periods follow one another without a gap, in both directions, and none is empty.
  PD2  Each is counted from the origin, never from the one before: from 31 January, the month
       after 28 February begins on 31 March.
"""

from stiggctl.windows.cadence import Cadence, Unit
from stiggctl.windows.zones import DAY_US, HOUR_US

_LENGTH_US = {Unit.HOUR: HOUR_US, Unit.DAY: DAY_US, Unit.WEEK: 7 * DAY_US}
_MONTHS = {Unit.MONTH: 1, Unit.YEAR: 12}

# 400 years are 4,800 months and 146,097 days, and then all repeats. Counted from a March a leap
# day is the last of its year, so that the days before a month are one formula (it is well
# known: H. Hinnant, "chrono-compatible low-level date algorithms"); 719,468 days lie between
# 1 March of the year 0 and 1970.
_MONTHS_ALL = 4_800
_DAYS_ALL = 146_097
_EPOCH_DAY = 719_468
_EPOCH_MONTH = 1970 * 12 - 2


def first_day_of(month: int) -> int:
    """The number of the day with which a month begins.

    >>> first_day_of(0), first_day_of(1), first_day_of(26) - first_day_of(25), first_day_of(-1)
    (0, 31, 29, -31)
    """
    year, since_march = divmod(month + _EPOCH_MONTH, 12)
    leap_days = year // 4 - year // 100 + year // 400
    return 365 * year + leap_days + (153 * since_march + 2) // 5 - _EPOCH_DAY


def month_of(day: int) -> int:
    """The number of the month that a day is in.

    >>> month_of(0), month_of(30), month_of(31), month_of(-1)
    (0, 0, 1, -1)
    """
    # Of even months it would be this one; real ones are at most two days off.
    month = (day + _EPOCH_DAY) * _MONTHS_ALL // _DAYS_ALL - _EPOCH_MONTH
    if day < first_day_of(month):
        return month - 1
    return month if day < first_day_of(month + 1) else month + 1


class Even:
    """Periods of one length: hours, days, weeks."""

    __slots__ = ("_length_us", "_origin_us")

    def __init__(self, origin_us: int, length_us: int) -> None:
        self._origin_us = origin_us
        self._length_us = length_us

    def period_of(self, wall_us: int) -> tuple[int, int]:
        """Where the period of a wall time begins, and where it ends."""
        start_us = wall_us - (wall_us - self._origin_us) % self._length_us
        return start_us, start_us + self._length_us


class Months:
    """Periods of so many months. A day that a month does not have is the last that it has."""

    __slots__ = ("_months", "_origin_day", "_origin_month", "_time_us")

    def __init__(self, origin_us: int, months: int) -> None:
        day, self._time_us = divmod(origin_us, DAY_US)
        self._origin_month = month_of(day)
        self._origin_day = day - first_day_of(self._origin_month)
        self._months = months

    def period_of(self, wall_us: int) -> tuple[int, int]:
        """Where the period of a wall time begins, and where it ends."""
        since = month_of(wall_us // DAY_US) - self._origin_month
        month = self._origin_month + since - since % self._months
        start_us = self._begins_us(month)
        if start_us <= wall_us:
            return start_us, self._begins_us(month + self._months)
        return self._begins_us(month - self._months), start_us

    def _begins_us(self, month: int) -> int:
        day = first_day_of(month)
        if self._origin_day:
            day += min(self._origin_day, first_day_of(month + 1) - day - 1)
        return day * DAY_US + self._time_us


def periods_of(cadence: Cadence, origin_us: int) -> Even | Months:
    """The periods of a cadence that are counted from a wall time."""
    months = _MONTHS.get(cadence.unit)
    if months is None:
        return Even(origin_us, _LENGTH_US[cadence.unit] * cadence.count)
    return Months(origin_us, months * cadence.count)
