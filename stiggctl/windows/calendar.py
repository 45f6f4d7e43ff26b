"""Calendar windows: hours, and the days, weeks, months and years of a zone.

Here: from a cadence, a zone and an instant to the window. Not here: windows that are counted
from an instant of their own (anchored.py), what clock changes do (zones.py).

Windows of one unit are those of a calendar: a day from midnight, a week from Monday (ISO 8601),
a month from its first, a year from 1 January. Windows of several are counted in the same way
from 1970-01-01, weeks from the Monday of its week, 1969-12-29: one origin for all, and the one
of hours. Quarters, thirds and halves of a year then begin in January, decades with 1970, 1980;
any other origin would do as well, but it must be the same for all time and on every machine.

Hours are real time from 1970-01-01T00:00Z, in every zone: an hour that clocks show twice is two
windows, and no window of an hour is ever two hours long or half an hour.

What always holds:
  CL1  Each instant is in exactly one window: the next begins where it ends, and none is empty.
  CL2  A window of days or longer begins at the first instant at which the clocks have shown its
       local midnight: where clocks skip midnight, when they skip it; where they show it twice, at
       the first. A day that a zone skipped has no window.
  CL3  A window of n hours is n hours long.
"""

from stiggctl.windows.cadence import Cadence, Unit
from stiggctl.windows.periods import Even, Months, periods_of
from stiggctl.windows.window import Window
from stiggctl.windows.zones import DAY_US, UTC_ZONE, Zone

_MONDAY_US = -3 * DAY_US  # 1970-01-01 was a Thursday


class Calendar:
    """The calendar windows of a cadence in a zone."""

    __slots__ = ("_periods", "_zone", "cadence", "zone")

    cadence: Cadence
    zone: Zone
    _periods: Even | Months
    _zone: Zone  #: UTC for hours, whatever the zone is

    def __init__(self, cadence: Cadence, zone: Zone) -> None:
        self.cadence = cadence
        self.zone = zone
        self._zone = UTC_ZONE if cadence.unit is Unit.HOUR else zone
        self._periods = periods_of(cadence, _MONDAY_US if cadence.unit is Unit.WEEK else 0)

    def window_of(self, at_us: int) -> Window:
        """The window that an instant is in.

        >>> from stiggctl.windows import read_cadence, read_zone, to_text, to_us
        >>> days = Calendar(read_cadence("day"), read_zone("America/Sao_Paulo"))
        >>> window = days.window_of(to_us("2018-11-04T12:00:00-02:00", "at"))  # it began at 1 o'clock
        >>> to_text(window.start_us), to_text(window.end_us)
        ('2018-11-04T03:00:00Z', '2018-11-05T02:00:00Z')
        """
        zone = self._zone
        start_us, end_us = self._periods.period_of(zone.shown_by(at_us))
        return Window.within_time(zone.first_at(start_us), zone.first_at(end_us))

    def __repr__(self) -> str:
        return f"<Calendar {self.cadence} {self.zone.name}>"
