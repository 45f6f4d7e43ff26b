"""Anchored windows: counted from the anchor both ways, in the time of day that clocks showed there."""

import calendar
from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stiggctl.windows import (
    END_US,
    FIRST_US,
    Anchored,
    Cadence,
    Calendar,
    Unit,
    Window,
    Zone,
    read_cadence,
    zone_of,
)
from tests.windows.truth import DAY, HOUR, ZONES, cadences, first_shown, instants, local, made_up, us, wall

DATED = (Unit.DAY, Unit.WEEK, Unit.MONTH, Unit.YEAR)


def windows(cadence: str, zone: str, anchor: str, fold: int = 0) -> Anchored:
    return Anchored(read_cadence(cadence), zone_of(zone), us(anchor, zone, fold))


def begins(anchor: datetime, cadence: Cadence, number: int) -> datetime:
    """The local time with which a window begins, as people count from an anchor."""
    count = number * cadence.count
    if cadence.unit in {Unit.DAY, Unit.WEEK}:
        return anchor + timedelta(days=count * (7 if cadence.unit is Unit.WEEK else 1))
    months = anchor.year * 12 + anchor.month - 1 + count * (12 if cadence.unit is Unit.YEAR else 1)
    year, month = divmod(months, 12)
    return anchor.replace(
        year=year, month=month + 1, day=min(anchor.day, calendar.monthrange(year, month + 1)[1])
    )


def slowly(cadence: Cadence, name: str, anchor_us: int, at_us: int) -> Window:
    """The last window that begins by an instant, by trying those round it."""
    days = {Unit.DAY: 1, Unit.WEEK: 7, Unit.MONTH: 30.436875, Unit.YEAR: 365.2425}[cadence.unit]
    near, anchor = int((at_us - anchor_us) / DAY / days / cadence.count), local(name, anchor_us)
    numbers = range(near - 4, near + 6)
    starts = {each: first_shown(name, wall(begins(anchor, cadence, each))) for each in numbers}
    if 0 in starts and anchor_us < starts.get(1, END_US):
        starts[0] = anchor_us
    return next(Window(start, end) for start, end in pairwise(starts.values()) if start <= at_us < end)


@given(st.data(), ZONES, cadences(DATED))
def test_a_window_is_what_counting_from_the_anchor_says(
    data: st.DataObject, name: str, cadence: Cadence
) -> None:
    """AN3."""
    anchor_us, apart = data.draw(instants(name)), data.draw(st.none() | st.integers(-40 * DAY, 40 * DAY))
    at_us = data.draw(instants(name)) if apart is None else anchor_us + apart
    turning = Anchored(cadence, zone_of(name), anchor_us)
    assert turning.window_of(at_us) == slowly(cadence, name, anchor_us, at_us)


@given(st.data(), ZONES, cadences())
def test_windows_neither_overlap_nor_leave_a_gap(data: st.DataObject, name: str, cadence: Cadence) -> None:
    """AN1: before the anchor too, and up to the first and the last instant that can be written."""
    edges = st.sampled_from([FIRST_US, END_US - 1]) | st.integers(FIRST_US, END_US - 1)
    anchor_us = data.draw(instants(name) | edges)
    at_us = data.draw(instants(name) | edges | st.integers(max(FIRST_US, anchor_us - DAY), anchor_us))
    turning = Anchored(cadence, zone_of(name), anchor_us)
    window = turning.window_of(at_us)
    assert FIRST_US <= window.start_us <= at_us < window.end_us <= END_US
    inside = data.draw(st.integers(window.start_us, window.end_us - 1))
    assert {turning.window_of(us) for us in (window.start_us, inside, window.end_us - 1)} == {window}
    if window.end_us < END_US:
        assert turning.window_of(window.end_us).start_us == window.end_us
    if window.start_us > FIRST_US:
        assert turning.window_of(window.start_us - 1).end_us == window.start_us


@given(st.data(), ZONES, cadences())
@example(None, "Europe/Amsterdam", Cadence(Unit.DAY, 1))
def test_the_anchor_is_the_beginning_of_a_window(
    data: st.DataObject | None, name: str, cadence: Cadence
) -> None:
    """AN2: also where clocks show its time of day for the second time."""
    anchor_us = us("2025-10-26T02:30", name, 1) if data is None else data.draw(instants(name))
    assert Anchored(cadence, zone_of(name), anchor_us).window_of(anchor_us).start_us == anchor_us


@given(st.data(), ZONES, cadences((Unit.HOUR,)))
def test_hours_are_counted_from_the_anchor_in_real_time(
    data: st.DataObject, name: str, cadence: Cadence
) -> None:
    """AN4."""
    anchor_us, at_us = data.draw(instants(name)), data.draw(instants(name))
    window = Anchored(cadence, zone_of(name), anchor_us).window_of(at_us)
    length_us = cadence.count * HOUR
    assert (window.start_us - anchor_us) % length_us == 0
    assert window.end_us - window.start_us == length_us


@given(st.data(), ZONES, cadences((Unit.DAY, Unit.WEEK)))
def test_an_anchor_at_the_origin_of_the_calendar_is_the_calendar(
    data: st.DataObject, name: str, cadence: Cadence
) -> None:
    at_us, zone = data.draw(instants(name)), zone_of(name)
    origin = "1969-12-29T00:00" if cadence.unit is Unit.WEEK else "1970-01-01T00:00"
    anchored, turning = Anchored(cadence, zone, us(origin, name)), Calendar(cadence, zone)
    assert anchored.window_of(at_us) == turning.window_of(at_us)


# ------------------------------------------------------------------ what people must see


def starts(turning: Anchored, zone: str, first: str, count: int) -> list[str]:
    found, at_us = [], us(first, zone)
    for _number in range(count):
        window = turning.window_of(at_us)
        found.append(local(zone, window.start_us).isoformat(timespec="minutes"))
        at_us = window.end_us
    return found


def test_months_from_the_31st_begin_on_the_last_day_where_there_is_no_31st() -> None:
    """PD2: counted from the anchor, never from the window before."""
    turning = windows("month", "Europe/Amsterdam", "2025-01-31T10:00")
    assert starts(turning, "Europe/Amsterdam", "2025-01-31T10:00", 6) == [
        "2025-01-31T10:00",
        "2025-02-28T10:00",
        "2025-03-31T10:00",
        "2025-04-30T10:00",
        "2025-05-31T10:00",
        "2025-06-30T10:00",
    ]
    leap = starts(turning, "Europe/Amsterdam", "2024-01-31T12:00", 3)
    assert leap == ["2024-01-31T10:00", "2024-02-29T10:00", "2024-03-31T10:00"]


def test_the_moment_before_the_anchors_time_of_day_is_in_the_window_before() -> None:
    turning = windows("month", "Europe/Amsterdam", "2025-01-31T10:00")
    before, at = us("2025-03-31T09:59:59.999999+02:00"), us("2025-03-31T10:00+02:00")
    assert turning.window_of(before) == (us("2025-02-28T10:00+01:00"), at)
    assert turning.window_of(at) == (at, us("2025-04-30T10:00+02:00"))


def test_years_from_a_leap_day_begin_on_the_28th_of_common_years() -> None:
    turning = windows("year", "America/New_York", "2024-02-29T00:00")
    assert starts(turning, "America/New_York", "2024-03-01T00:00", 5) == [
        "2024-02-29T00:00",
        "2025-02-28T00:00",
        "2026-02-28T00:00",
        "2027-02-28T00:00",
        "2028-02-29T00:00",
    ]
    assert starts(turning, "America/New_York", "2020-02-29T00:00", 1) == ["2020-02-29T00:00"]  # before it


def test_weeks_from_a_wednesday_begin_on_wednesdays() -> None:
    turning = windows("week", "Australia/Lord_Howe", "2025-03-26T09:15")
    found = starts(turning, "Australia/Lord_Howe", "2025-03-26T09:15", 60)
    assert {(datetime.fromisoformat(each).isoweekday(), each[11:]) for each in found} == {(3, "09:15")}


def test_quarters_and_fortnights_are_counted_from_the_anchor() -> None:
    quarters = windows("P3M", "UTC", "2025-11-30T00:00")
    assert starts(quarters, "UTC", "2025-11-30T00:00", 4) == [
        "2025-11-30T00:00",
        "2026-02-28T00:00",
        "2026-05-30T00:00",
        "2026-08-30T00:00",
    ]
    fortnights = windows("P2W", "UTC", "2025-11-05T00:00")
    assert starts(fortnights, "UTC", "2025-11-20T00:00", 2) == ["2025-11-19T00:00", "2025-12-03T00:00"]


def test_an_anchor_that_lies_ahead_is_counted_backwards_from() -> None:
    turning = windows("month", "UTC", "2027-05-31T00:00")
    assert starts(turning, "UTC", "2026-02-10T00:00", 3) == [
        "2026-01-31T00:00",
        "2026-02-28T00:00",
        "2026-03-31T00:00",
    ]


def test_a_time_of_day_that_clocks_skip_begins_when_they_skip_it() -> None:
    """AN3."""
    turning = windows("day", "Europe/Amsterdam", "2025-03-28T02:30")
    days = starts(turning, "Europe/Amsterdam", "2025-03-28T12:00", 4)
    assert days == ["2025-03-28T02:30", "2025-03-29T02:30", "2025-03-30T03:00", "2025-03-31T02:30"]


def test_a_time_of_day_that_clocks_show_twice_begins_at_the_first() -> None:
    """AN3; the day of an anchor that is the second begins there (AN2), and an hour late only then."""
    turning = windows("day", "Europe/Amsterdam", "2025-10-20T02:30")
    assert turning.window_of(us("2025-10-26T12:00Z")).start_us == us("2025-10-26T02:30+02:00")
    second = windows("day", "Europe/Amsterdam", "2025-10-26T02:30", fold=1)
    anchor_us = us("2025-10-26T02:30+01:00")
    assert second.window_of(anchor_us - 1) == (us("2025-10-25T02:30+02:00"), anchor_us)
    assert second.window_of(anchor_us) == (anchor_us, us("2025-10-27T02:30+01:00"))
    assert second.window_of(us("2024-10-27T12:00Z")).start_us == us("2024-10-27T02:30+02:00")


def test_a_day_that_a_zone_skipped_has_no_window() -> None:
    turning = windows("day", "Pacific/Apia", "2011-12-28T08:00")
    assert starts(turning, "Pacific/Apia", "2011-12-28T08:00", 4) == [
        "2011-12-28T08:00",
        "2011-12-29T08:00",
        "2011-12-31T00:00",  # 08:00 of the 30th was skipped with its day: its window is what is left
        "2011-12-31T08:00",
    ]


#: UTC; then clocks are set forward by a day but a second, and a week later back by two.
BACK = 1_700_000_000
WILD = Zone("Made/Up", made_up([(BACK - 604_800, 86_399), (BACK, -86_399)]))
KWAJALEIN = zone_of("Pacific/Kwajalein")  # on 30 September 1969 back by 23 hours


@pytest.mark.parametrize("cadence", ["day", "week", "month", "year"])
@pytest.mark.parametrize(
    ("zone", "back_us"), [(KWAJALEIN, us("1969-09-30T13:00Z")), (WILD, BACK * 1_000_000)], ids=repr
)
def test_an_anchor_in_a_day_that_was_shown_twice_leaves_no_gap(
    cadence: str, zone: Zone, back_us: int
) -> None:
    """AN1."""
    for hour in range(-60, 61, 3):
        turning = Anchored(read_cadence(cadence), zone, back_us + hour * HOUR)
        for at_us in range(back_us - 3 * DAY, back_us + 3 * DAY, HOUR):
            window = turning.window_of(at_us)
            assert window.start_us <= at_us < window.end_us
            assert turning.window_of(window.end_us).start_us == window.end_us
            assert turning.window_of(window.start_us) == window
