"""Calendar windows: they cover all time once, and begin when clocks show that they do."""

import calendar
from datetime import date, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stiggctl.windows import ALWAYS, END_US, FIRST_US, Cadence, Calendar, Unit, Window, read_cadence, zone_of
from stiggctl.windows import to_text as text_of
from tests.windows.truth import (
    CHANGED,
    DAY,
    EARLY,
    HOUR,
    LATE,
    ODD,
    ZONES,
    cadences,
    changes_near,
    changes_of,
    first_shown,
    instants,
    local,
    shows_date,
    us,
    wall,
)

DATED = (Unit.DAY, Unit.WEEK, Unit.MONTH, Unit.YEAR)


def windows(cadence: str, zone: str = "UTC") -> Calendar:
    return Calendar(read_cadence(cadence), zone_of(zone))


def begins(cadence: Cadence, number: int) -> datetime:
    """The local time with which a window begins, as people count: the slow reference."""
    count = number * cadence.count
    if cadence.unit is Unit.DAY:
        return datetime(1970, 1, 1) + timedelta(days=count)  # noqa: DTZ001 - wall time
    if cadence.unit is Unit.WEEK:
        return datetime(1969, 12, 29) + timedelta(weeks=count)  # noqa: DTZ001 - wall time
    year, month = divmod(count * (12 if cadence.unit is Unit.YEAR else 1), 12)
    return datetime(1970 + year, month + 1, 1)  # noqa: DTZ001 - wall time


def slowly(cadence: Cadence, name: str, at_us: int) -> Window:
    """The last window that begins by an instant, by trying those round it."""
    days = {Unit.DAY: 1, Unit.WEEK: 7, Unit.MONTH: 30.436875, Unit.YEAR: 365.2425}[cadence.unit]
    near = int(at_us / DAY / days / cadence.count)
    starts = [first_shown(name, wall(begins(cadence, near + each))) for each in range(-3, 5)]
    return next(Window(start, end) for start, end in pairwise(starts) if start <= at_us < end)


@given(st.data(), ZONES, cadences(DATED))
def test_a_window_is_what_counting_on_a_calendar_says(
    data: st.DataObject, name: str, cadence: Cadence
) -> None:
    """CL2."""
    at_us = data.draw(instants(name))
    assert Calendar(cadence, zone_of(name)).window_of(at_us) == slowly(cadence, name, at_us)


@given(st.data(), ZONES, cadences())
def test_windows_neither_overlap_nor_leave_a_gap(data: st.DataObject, name: str, cadence: Cadence) -> None:
    """CL1, WN1, WN2: up to the first and the last instant that can be written."""
    edges = st.sampled_from([FIRST_US, END_US - 1]) | st.integers(FIRST_US, END_US - 1)
    at_us = data.draw(instants(name) | edges)
    turning = Calendar(cadence, zone_of(name))
    window = turning.window_of(at_us)
    assert FIRST_US <= window.start_us <= at_us < window.end_us <= END_US
    assert window.has(at_us)
    inside = data.draw(st.integers(window.start_us, window.end_us - 1))
    assert {turning.window_of(us) for us in (window.start_us, inside, window.end_us - 1)} == {window}
    if window.end_us < END_US:
        assert turning.window_of(window.end_us).start_us == window.end_us
    if window.start_us > FIRST_US:
        assert turning.window_of(window.start_us - 1).end_us == window.start_us


@given(st.data(), ZONES, cadences())
def test_a_later_instant_is_in_the_same_or_in_a_later_window(
    data: st.DataObject, name: str, cadence: Cadence
) -> None:
    """CL1."""
    turning = Calendar(cadence, zone_of(name))
    early_us, late_us = sorted((data.draw(instants(name)), data.draw(instants(name))))
    early, late = turning.window_of(early_us), turning.window_of(late_us)
    assert early == late or early.end_us <= late.start_us


@given(st.data(), ZONES, cadences((Unit.HOUR,)))
def test_a_window_of_hours_is_hours_of_real_time(data: st.DataObject, name: str, cadence: Cadence) -> None:
    """CL3: counted from 1970-01-01T00:00Z, whatever the zone."""
    window = Calendar(cadence, zone_of(name)).window_of(data.draw(instants(name)))
    length_us = cadence.count * HOUR
    assert window.start_us % length_us == 0
    assert window.end_us - window.start_us == length_us


@pytest.mark.parametrize("area", sorted({name.split("/")[0] for name in CHANGED}))
def test_a_day_begins_at_the_first_instant_of_its_date_at_every_change_of_every_zone(area: str) -> None:
    """CL1, CL2: at each change since 1970, just before it, and on the days round it."""
    for name in (name for name in CHANGED if name.split("/")[0] == area):
        for change_us in (change for change in changes_of(name) if change >= 0):
            assert_days_are_right(name, change_us)


def assert_days_are_right(name: str, change_us: int) -> None:
    days = windows("P1D", name)
    before, after = days.window_of(change_us - 1), days.window_of(change_us)
    assert before.has(change_us - 1)
    assert after.has(change_us)
    assert before == after or before.end_us == after.start_us
    for start_us, end_us in {before, after}:
        assert days.window_of(start_us - 1).end_us == start_us
        assert days.window_of(end_us).start_us == end_us
        day = shows_date(name, start_us)
        assert shows_date(name, start_us - 1) < day
        # Other changes are days away, so that the date can have come earlier only before this one.
        assert shows_date(name, change_us - 1) < day or start_us < change_us


@given(st.data(), ZONES)
def test_no_date_comes_before_its_day(data: st.DataObject, name: str) -> None:
    """CL2: said without the reference."""
    at_us = data.draw(instants(name))
    start_us, end_us = windows("P1D", name).window_of(at_us)
    day = shows_date(name, start_us)
    tops = [change - 1 for change in changes_near(name, start_us) if change <= start_us]
    assert all(shows_date(name, us) < day for us in [start_us - 1, *tops])
    assert shows_date(name, end_us) > day
    assert shows_date(name, at_us) <= day  # less only where clocks were set back over midnight


# ------------------------------------------------------------------ what people must see

KNOWN = [
    ("Europe/Amsterdam", "2025-03-30T12:00", "2025-03-29T23:00Z", "2025-03-30T22:00Z", 23),
    ("Europe/Amsterdam", "2025-10-26T12:00", "2025-10-25T22:00Z", "2025-10-26T23:00Z", 25),
    ("America/Sao_Paulo", "2018-11-04T12:00", "2018-11-04T03:00Z", "2018-11-05T02:00Z", 23),  # no midnight
    ("America/Sao_Paulo", "2018-02-17T12:00", "2018-02-17T02:00Z", "2018-02-18T03:00Z", 25),
    ("Asia/Beirut", "2022-03-27T12:00", "2022-03-26T22:00Z", "2022-03-27T21:00Z", 23),  # no midnight
    ("Australia/Lord_Howe", "2025-04-06T12:00", "2025-04-05T13:00Z", "2025-04-06T13:30Z", 24.5),
    ("Australia/Lord_Howe", "2025-10-05T12:00", "2025-10-04T13:30Z", "2025-10-05T13:00Z", 23.5),
    ("Africa/Casablanca", "2025-02-23T12:00", "2025-02-22T23:00Z", "2025-02-24T00:00Z", 25),  # Ramadan
    ("Africa/Casablanca", "2025-04-06T12:00", "2025-04-06T00:00Z", "2025-04-06T23:00Z", 23),
    ("Pacific/Apia", "2011-12-29T12:00", "2011-12-29T10:00Z", "2011-12-30T10:00Z", 24),
    ("Pacific/Apia", "2011-12-31T12:00", "2011-12-30T10:00Z", "2011-12-31T10:00Z", 24),  # after the 29th
    ("Pacific/Kwajalein", "1993-08-22T12:00", "1993-08-21T12:00Z", "1993-08-22T12:00Z", 24),
    # At one minute past midnight back to 23:01: the day had begun, and goes on.
    ("America/St_Johns", "2006-10-29T12:00", "2006-10-29T02:30Z", "2006-10-30T03:30Z", 25),
]


@pytest.mark.parametrize(("zone", "at", "start", "end", "hours"), KNOWN)
def test_a_day_is_as_long_as_its_clocks_make_it(
    zone: str, at: str, start: str, end: str, hours: float
) -> None:
    window = windows("P1D", zone).window_of(us(at, zone))
    assert window == (us(start), us(end))
    assert window.end_us - window.start_us == hours * HOUR


def test_an_hour_that_clocks_show_twice_is_two_windows() -> None:
    hours = windows("PT1H", "Europe/Amsterdam")
    first, second = (us("2025-10-26T02:30", "Europe/Amsterdam", fold) for fold in (0, 1))
    assert hours.window_of(first) == (us("2025-10-26T00:00Z"), us("2025-10-26T01:00Z"))
    assert hours.window_of(second) == (us("2025-10-26T01:00Z"), us("2025-10-26T02:00Z"))
    in_half_an_hour = windows("PT1H", "Asia/Kolkata").window_of(us("2025-01-01T10:15Z"))
    assert in_half_an_hour == (us("2025-01-01T10:00Z"), us("2025-01-01T11:00Z"))


@pytest.mark.parametrize(
    ("cadence", "at", "first", "next_first"),
    [
        ("P1W", "2026-01-01T12:00", "2025-12-29", "2026-01-05"),  # from Monday
        ("P1W", "2025-12-28T23:59", "2025-12-22", "2025-12-29"),
        ("P1M", "2024-02-29T23:59", "2024-02-01", "2024-03-01"),
        ("P1Y", "2024-12-31T23:59", "2024-01-01", "2025-01-01"),
        ("P3M", "2025-11-11T00:00", "2025-10-01", "2026-01-01"),  # a quarter
        ("P6M", "2025-11-11T00:00", "2025-07-01", "2026-01-01"),
        ("P10Y", "2025-11-11T00:00", "2020-01-01", "2030-01-01"),
        ("P5M", "2025-11-11T00:00", "2025-11-01", "2026-04-01"),  # 134 times five from January 1970
        ("P2W", "2025-11-11T00:00", "2025-11-03", "2025-11-17"),  # 1,457 times two from 1969-12-29
        ("P30D", "2025-11-11T00:00", "2025-11-08", "2025-12-08"),  # 680 times thirty from 1970-01-01
        ("P2D", "1970-01-02T12:00", "1970-01-01", "1970-01-03"),
        ("P2D", "1969-12-31T12:00", "1969-12-30", "1970-01-01"),
    ],
)
@pytest.mark.parametrize("zone", ["Europe/Amsterdam", "Asia/Kathmandu", "America/New_York"])
def test_several_units_are_counted_from_1970(
    cadence: str, at: str, first: str, next_first: str, zone: str
) -> None:
    window = windows(cadence, zone).window_of(us(at, zone))
    assert window == (us(f"{first}T00:00", zone), us(f"{next_first}T00:00", zone))


@pytest.mark.parametrize(
    ("zone", "year", "days"),
    [
        *(("Europe/Amsterdam", 2024, 366), ("Europe/Amsterdam", 2025, 365), ("America/Sao_Paulo", 2018, 365)),
        *(("Pacific/Apia", 2011, 364), ("Pacific/Kwajalein", 1993, 364), ("Africa/Casablanca", 2025, 365)),
        *(("Australia/Lord_Howe", 2025, 365), ("America/St_Johns", 2006, 365)),
    ],
)
def test_a_year_has_a_window_for_each_of_its_days(zone: str, year: int, days: int) -> None:
    """Apia and Kwajalein skipped one."""
    each, whole = windows("day", zone), windows("year", zone).window_of(us(f"{year}-07-01T12:00", zone))
    starts, at_us = [], whole.start_us
    while at_us < whole.end_us:
        starts.append(at_us)
        at_us = each.window_of(at_us).end_us
    assert at_us == whole.end_us
    assert len(starts) == days
    first = date(year, 1, 1)
    dates = {first + timedelta(days=number) for number in range(366)} | {date(year, 12, 31)}
    assert {shows_date(zone, at) for at in starts} <= dates
    assert len({shows_date(zone, at) for at in starts}) == days


@pytest.mark.parametrize("zone", ODD)
def test_a_month_is_its_days_in_every_year(zone: str) -> None:
    days, months = windows("day", zone), windows("month", zone)
    for year in (1970, 1999, 2000, 2024, 2025, 2100):
        for month in range(1, 13):
            at_us = us(f"{year}-{month:02}-15T12:00", zone)
            last = calendar.monthrange(year, month)[1]
            start, end = (days.window_of(us(f"{year}-{month:02}-{day:02}T12:00", zone)) for day in (1, last))
            assert months.window_of(at_us) == (start.start_us, end.end_us)


@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "Etc/GMT+12", "Europe/Amsterdam"])
@pytest.mark.parametrize("cadence", ["PT1H", "PT7H", "P1D", "P1W", "P1M", "P100Y"])
def test_time_ends_where_it_can_no_longer_be_written(zone: str, cadence: str) -> None:
    """WN2."""
    first, last = (windows(cadence, zone).window_of(at) for at in (FIRST_US, END_US - 1))
    assert first.start_us == FIRST_US == ALWAYS.start_us
    assert last.end_us == END_US == ALWAYS.end_us
    assert text_of(first.start_us) == "0001-01-01T00:00:00Z"
    assert text_of(last.end_us) == "9999-12-31T23:59:59.999999Z"


def test_ten_years_of_hours_of_days_of_a_zone_are_one_chain() -> None:
    days = windows("day", "Africa/Casablanca")
    at_us, last = us("2020-01-01T00:00Z"), None
    for _hour in range(10 * 366 * 24):
        window = days.window_of(at_us)
        assert last is None or window == last or window.start_us == last.end_us
        at_us, last = at_us + HOUR, window


def test_the_references_walk_where_datetimes_go() -> None:
    assert local("UTC", EARLY).year > 400
    assert local("UTC", LATE).year < 9_600
