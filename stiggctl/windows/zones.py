"""Zones: what the clocks of an IANA zone show, as one number that never falls.

Here: the name of a zone to the zone; an instant to the wall time that its clocks have shown by
then, and back. Not here: what a day or a month of wall time is (periods.py).

Wall time is an integer too: the microseconds that would have passed since 1970 if the clocks of
the zone had never been changed. Where clocks are set back they show an hour twice, where they
are set forward they skip one; some zones skipped or repeated a whole day. So windows are cut by
what the clocks *have shown*: it waits where they are set back and leaps where they are set
forward. A window begins at the first instant at which the clocks have shown its beginning, and
that is all there is to clock changes: whatever they do, windows of wall time that follow one
another become windows of time that follow one another.

What always holds:
  Z1  `shown_by` never falls, and `first_at(wall) <= at` exactly if `wall <= shown_by(at)`.
  Z2  Both are defined for all integers: outside the years of datetimes no clock is changed.
  Z3  A name is a zone on every machine or on none: nothing depends on the machine's own zone or
      on how its file system compares letters, and UTC needs no database.
"""

from datetime import datetime, timedelta
from functools import cache, lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from stiggctl.errors import InvalidRequest, nearest, shown
from stiggctl.windows.instants import END_US, FIRST_US

HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US
_SECOND_US = 1_000_000
_MICROSECOND = timedelta(microseconds=1)

# An offset is less than a day (zoneinfo refuses others), so what clocks show at an instant and
# the instant at which they show it lie within two days: more is never looked at.
_MARGIN_US = 2 * DAY_US
# zoneinfo tells no changes, only offsets, so they are found by comparing days. No zone ever
# changed its clocks twice within a day (the least is four, Freetown in 1939; a test looks at
# all). If one did, Z1 would hold all the same: one change of both would be counted.
_STEP_US = DAY_US
# As many days are looked at together, in a tenth of a millisecond. With more the first look takes
# longer; with fewer a window of a month asks for more of them.
_STRETCH_US = 64 * DAY_US
# Stretches that are kept, of all zones together: a year of every zone there is, or thirty of two
# dozen, in 1.6 MB (400 bytes each; a zone itself takes 3 kB, where it is used). Of late events
# and old reports the oldest are forgotten, and found again.
_STRETCHES_MAX = 4_096

#: (start_us, end_us, offset_us): the offset of a zone between two changes.
_Steady = tuple[int, int, int]

# Names of files, not of places: what they mean depends on the machine.
_NO_PLACES = frozenset({"Factory", "localtime", "posixrules"})


class Zone:
    """An IANA zone. There is one object a name: zones are compared by `is`, or by name."""

    __slots__ = ("_epoch", "_info", "name")

    name: str
    _info: ZoneInfo | None  #: None: UTC
    _epoch: datetime  #: 1970 in UTC with the zone written beside it: the form that fromutc wants

    def __init__(self, name: str, info: ZoneInfo | None) -> None:
        self.name = name
        self._info = info
        self._epoch = datetime(1970, 1, 1, tzinfo=info)

    def shows(self, at_us: int) -> int:
        """The wall time that the clocks show at this instant."""
        if self._info is None:
            return at_us
        steady = _stretch(self, at_us // _STRETCH_US)
        return at_us + next(offset_us for _start_us, end_us, offset_us in steady if at_us < end_us)

    def shown_by(self, at_us: int) -> int:
        """The latest wall time that the clocks have shown up to this instant."""
        if self._info is None:
            return at_us
        latest_us = at_us - DAY_US  # it has shown more than this: an offset is less than a day
        for _start_us, end_us, offset_us in _stretch(self, at_us // _STRETCH_US):
            if at_us < end_us:
                return max(latest_us, at_us + offset_us)
            latest_us = max(latest_us, end_us - 1 + offset_us)
        raise AssertionError("a stretch that ends before the instants that it is for")

    def first_at(self, wall_us: int) -> int:
        """The first instant at which the clocks have shown this wall time, or a later one."""
        if self._info is None:
            return wall_us
        for start_us, end_us, offset_us in _stretch(self, wall_us // _STRETCH_US):
            at_us = wall_us - offset_us
            if at_us < end_us:
                return max(start_us, at_us)
        raise AssertionError("an offset of a day or more")

    def asked_us(self, at_us: int) -> int:
        """The offset that zoneinfo tells, slowly: what `_stretch` is made from, and nothing else.

        A change that it missed (_STEP_US) would otherwise be there for some and not for others.
        """
        if self._info is None:
            return 0
        # At the ends of time no datetime is left for what the clocks show; nobody changes them there.
        us = min(max(at_us, FIRST_US + DAY_US), END_US - DAY_US - 1)
        utc = self._epoch + timedelta(microseconds=us)
        return (self._info.fromutc(utc) - utc) // _MICROSECOND

    def __repr__(self) -> str:
        return f"<Zone {self.name}>"


UTC_ZONE = Zone("UTC", None)

#: Never forgotten: at most as many as there are zones, because what is none raises.
_zones: dict[str, Zone] = {UTC_ZONE.name: UTC_ZONE}


@lru_cache(maxsize=_STRETCHES_MAX)
def _stretch(zone: Zone, number: int) -> tuple[_Steady, ...]:
    """The offsets of one stretch of time and of its margins, in order."""
    start_us = number * _STRETCH_US - _MARGIN_US
    end_us = (number + 1) * _STRETCH_US + _MARGIN_US
    found, offset_us = [], zone.asked_us(start_us)
    for probe_us in range(start_us + _STEP_US, end_us + _STEP_US, _STEP_US):
        told_us = zone.asked_us(probe_us)
        if told_us == offset_us:
            continue
        before_us, after_us = probe_us - _STEP_US, probe_us
        while after_us - before_us > _SECOND_US:  # clocks are changed at whole seconds
            middle_us = (before_us + after_us) // (2 * _SECOND_US) * _SECOND_US
            if zone.asked_us(middle_us) == offset_us:
                before_us = middle_us
            else:
                after_us = middle_us
        found.append((start_us, after_us, offset_us))
        start_us, offset_us = after_us, told_us
    return (*found, (start_us, end_us, offset_us))


def read_zone(name: object, where: str = "timezone") -> Zone:
    """The IANA zone of this name, spelt as it is known; `where` names the argument in the error.

    Raises InvalidRequest, which names the nearest zone there is, or says how to install zones.

    The first call with another name than UTC lists all zones of the machine, which takes some
    tens of milliseconds; `zone_of` does not.

    >>> read_zone("Europe/Amsterdam"), read_zone("UTC") is UTC_ZONE
    (<Zone Europe/Amsterdam>, True)
    >>> read_zone("Europe/Amsterdm")
    Traceback (most recent call last):
    stiggctl.errors.InvalidRequest: timezone: got 'Europe/Amsterdm', ... did you mean 'Europe/Amsterdam'?
    """
    # A file system that does not tell Europe from europe would open what is written nowhere.
    if not isinstance(name, str) or (name != UTC_ZONE.name and name not in _names()):
        raise _unknown(name, where)
    return zone_of(name, where)


def zone_of(name: str, where: str = "timezone") -> Zone:
    """The zone of a name that `read_zone` accepted, perhaps on another machine or in another year.

    Raises InvalidRequest where this machine does not have it.
    """
    zone = _zones.get(name)
    if zone is not None:
        return zone
    if name in _NO_PLACES:
        raise _unknown(name, where)
    try:
        info = ZoneInfo(name)
    except (ZoneInfoNotFoundError, OSError, ValueError) as error:
        raise _unknown(name, where) from error
    # Of threads that come here together one is first, and all return what it has put there.
    return _zones.setdefault(name, Zone(name, info))


@cache
def _names() -> frozenset[str]:
    return frozenset(available_timezones() - _NO_PLACES)


def _unknown(name: object, where: str) -> InvalidRequest:
    expected = 'an IANA time zone, such as "UTC" or "Europe/Amsterdam"'
    known = sorted(_names())
    if not known:
        return InvalidRequest(
            where=where,
            value=name,
            expected='"UTC": this machine has no time zones; "pip install tzdata" brings them',
        )
    near = None
    if isinstance(name, str):
        place = name.replace(" ", "_")
        ends = f"/{place}".casefold()
        same = [zone for zone in known if f"/{zone}".casefold().endswith(ends)]
        near = min(same, key=len, default=None) or nearest(place, known)
    hint = "" if near is None else f": did you mean {shown(near)}?"
    return InvalidRequest(where=where, value=name, expected=expected + hint)
