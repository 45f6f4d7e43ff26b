"""What clocks really do, found slowly: from the zone files, and by asking zoneinfo hour by hour.

Here: every change that the zone files list, what clocks show, the first instant at which they
show something, instants to draw. Not here: the library, which finds all this in another way.
"""

import importlib.resources
import io
import struct
import zoneinfo
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from stiggctl.windows import END_US, FIRST_US, Cadence, Unit

HOUR = 3_600_000_000
DAY = 24 * HOUR
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NAMES = sorted(zoneinfo.available_timezones() - {"localtime", "posixrules", "Factory"})

#: The years that datetimes and the references can walk about in.
EARLY, LATE = FIRST_US + 500 * 366 * DAY, END_US - 500 * 366 * DAY


def us(text: str, zone: str = "UTC", fold: int = 0) -> int:
    """The instant at which clocks of the zone show this time."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=ZoneInfo(zone), fold=fold)
    return (moment - EPOCH) // timedelta(microseconds=1)


def wall(moment: datetime) -> int:
    """A time of day as wall time."""
    return (moment.replace(tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)


def local(name: str, at_us: int) -> datetime:
    """What clocks of the zone show at an instant."""
    return (EPOCH + timedelta(microseconds=at_us)).astimezone(ZoneInfo(name)).replace(tzinfo=None)


def shows(name: str, at_us: int) -> int:
    return wall(local(name, at_us))


def shows_date(name: str, at_us: int) -> date:
    return local(name, at_us).date()


def changes_near(name: str, at_us: int) -> list[int]:
    """Every change within two days, to the second, provided that no two lie within one hour."""
    found = []
    for hour in range(at_us // HOUR - 49, at_us // HOUR + 49):
        early, late = hour * HOUR, (hour + 1) * HOUR
        old, new = shows(name, early) - early, shows(name, late) - late
        while old != new and late - early > 1_000_000:
            middle = (early + late) // 2_000_000 * 1_000_000
            early, late = (middle, late) if shows(name, middle) - middle == old else (early, middle)
        found += [late] if old != new else []
    return found


def first_shown(name: str, wall_us: int) -> int:
    """The first instant at which clocks show this or a later time: a change, or by an offset."""
    changes = changes_near(name, wall_us)
    offsets = {shows(name, at) - at for at in (wall_us - 2 * DAY, wall_us + 2 * DAY, *changes)}
    return min(
        at for at in {*changes, *(wall_us - offset for offset in offsets)} if shows(name, at) >= wall_us
    )


# ------------------------------------------------------------------ the zone files (RFC 8536)


@cache
def _file(name: str) -> bytes:
    for folder in zoneinfo.TZPATH:
        path = Path(folder, name)
        if path.is_file():
            return path.read_bytes()
    package, _, file = f"tzdata/zoneinfo/{name}".rpartition("/")
    return importlib.resources.files(package.replace("/", ".")).joinpath(file).read_bytes()


@cache
def changes_of(name: str) -> tuple[int, ...]:
    """Each instant for which the file gives another offset than before, in microseconds."""
    content, at = _file(name), 0
    for size in (4, 8):  # the same twice: in 32 bits, then in 64
        isut, isstd, leap, times, types, chars = struct.unpack_from(">6l", content, at + 20)
        start, at = at + 44, at + 44
        at += times * (size + 1) + types * 6 + chars + leap * (size + 4) + isstd + isut
    instants = struct.unpack_from(f">{times}q", content, start)
    kinds = struct.unpack_from(f">{times}B", content, start + times * 8)
    offsets = [struct.unpack_from(">l", content, start + times * 9 + kind * 6)[0] for kind in kinds]
    before = [struct.unpack_from(">l", content, start + times * 9)[0], *offsets]
    changed = zip(instants, before, offsets, strict=False)
    return tuple(second * 1_000_000 for second, old, new in changed if old != new)


#: Zones that ever changed their clocks, one of those that have the same file.
CHANGED = sorted({_file(name): name for name in reversed(NAMES) if changes_of(name)}.values())


def made_up(changes: list[tuple[int, int]]) -> ZoneInfo:
    """A zone that is UTC until its first change; (second, offset in seconds)."""
    header = b"TZif2" + bytes(15)
    offsets = [0, *(offset for _second, offset in changes)]
    content = header + struct.pack(">6l", 0, 0, 0, 0, 1, 4) + struct.pack(">lBB", 0, 0, 0) + b"ABC\0"
    content += header + struct.pack(">6l", 0, 0, 0, len(changes), len(offsets), 4)
    content += struct.pack(f">{len(changes)}q", *(second for second, _offset in changes))
    content += bytes(range(1, len(offsets)))
    content += b"".join(struct.pack(">lBB", offset, 0, 0) for offset in offsets) + b"ABC\0\n\n"
    return ZoneInfo.from_file(io.BytesIO(content))


# ------------------------------------------------------------------ what is drawn


ODD = [
    "Europe/Amsterdam",
    "America/Sao_Paulo",
    "Australia/Lord_Howe",
    "Africa/Casablanca",
    "Pacific/Apia",
    "Pacific/Kwajalein",
    "America/St_Johns",
    "Asia/Beirut",
    "America/Sitka",
]
ZONES = st.sampled_from(ODD) | st.sampled_from(CHANGED)
NEAR = st.sampled_from([-1, 0, 1]) | st.integers(-3 * DAY, 3 * DAY)
MOST = {Unit.HOUR: 876_600, Unit.DAY: 36_525, Unit.WEEK: 5_217, Unit.MONTH: 1_200, Unit.YEAR: 100}


@st.composite
def cadences(draw: st.DrawFn, units: tuple[Unit, ...] = tuple(Unit)) -> Cadence:
    unit = draw(st.sampled_from(units))
    return Cadence(unit, draw(st.just(1) | st.integers(1, 13) | st.integers(1, MOST[unit])))


@st.composite
def instants(draw: st.DrawFn, name: str) -> int:
    """Mostly within days of a change that the file lists, else any time of datetimes."""
    any_time = st.integers(us("1970-01-01"), us("2100-01-01")) | st.integers(EARLY, LATE)
    return draw(st.builds(int.__add__, st.sampled_from(changes_of(name)), NEAR) | any_time)
