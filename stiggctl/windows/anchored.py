"""Anchored windows: counted from an instant, such as the day on which a contract began.

Here: from a cadence, a zone, an anchor and an instant to the window. Not here: calendar windows
(calendar.py), what clock changes do (zones.py), what 31 days after 31 January is (periods.py).

Days, weeks, months and years begin at the time of day that the clocks of the zone showed at the
anchor; hours are real time from it. The anchor is one of the beginnings and nothing more: windows
are counted backwards from it too, so that usage before it is counted, and an anchor that lies
ahead moves no window but those between. What shall not count before a day has effectiveAt.

What always holds:
  AN1  Each instant is in exactly one window: the next begins where it ends, and none is empty.
  AN2  A window begins at the anchor.
  AN3  Every other one of days or longer begins at the first instant at which the clocks have
       shown the anchor's time of day on its day, counted from the anchor (PD2).
  AN4  A window of n hours is n hours long.
"""

from stiggctl.windows.cadence import Cadence, Unit
from stiggctl.windows.periods import Even, Months, periods_of
from stiggctl.windows.window import Window
from stiggctl.windows.zones import UTC_ZONE, Zone


class Anchored:
    """The windows of a cadence that are counted from an anchor, in a zone."""

    __slots__ = ("_origin_us", "_periods", "_turn_us", "_zone", "anchor_us", "cadence", "zone")

    cadence: Cadence
    zone: Zone
    anchor_us: int
    _periods: Even | Months
    _zone: Zone  #: UTC for hours, whatever the zone is
    _origin_us: int  #: what the clocks showed at the anchor
    _turn_us: int  #: where the window that is counted from _origin_us begins: the anchor

    def __init__(self, cadence: Cadence, zone: Zone, anchor_us: int) -> None:
        self.cadence = cadence
        self.zone = zone
        self.anchor_us = anchor_us
        self._zone = UTC_ZONE if cadence.unit is Unit.HOUR else zone
        self._origin_us = self._zone.shows(anchor_us)
        self._periods = periods_of(cadence, self._origin_us)
        # Clocks that were set back may have shown the anchor's time an hour before it already.
        # It is the anchor that counts; unless they were set back by more than a day, which no zone
        # ever did, and the next window has begun by then.
        _start_us, end_us = self._periods.period_of(self._origin_us)
        first_us = self._zone.first_at(self._origin_us)
        self._turn_us = anchor_us if anchor_us < self._zone.first_at(end_us) else first_us

    def window_of(self, at_us: int) -> Window:
        """The window that an instant is in.

        >>> from stiggctl.windows import read_cadence, read_zone, to_text, to_us
        >>> anchor_us = to_us("2025-01-31T00:00:00Z", "anchor")
        >>> months = Anchored(read_cadence("month"), read_zone("UTC"), anchor_us)
        >>> [to_text(us) for us in months.window_of(to_us("2025-03-30T12:00:00Z", "at"))]
        ['2025-02-28T00:00:00Z', '2025-03-31T00:00:00Z']
        """
        zone = self._zone
        start_us, end_us = self._periods.period_of(zone.shown_by(at_us))
        if start_us == self._origin_us and at_us < self._turn_us:
            start_us, end_us = self._periods.period_of(start_us - 1)
        return Window.within_time(self._turns_us(start_us), self._turns_us(end_us))

    def _turns_us(self, wall_us: int) -> int:
        return self._turn_us if wall_us == self._origin_us else self._zone.first_at(wall_us)

    def __repr__(self) -> str:
        return f"<Anchored {self.cadence} {self.zone.name} from {self.anchor_us}>"
