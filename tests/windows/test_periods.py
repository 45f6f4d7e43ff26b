"""Periods: months of all years against datetime, and what is counted from an origin."""

from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from stiggctl.windows.periods import first_day_of, month_of, periods_of
from tests.windows.truth import DAY, cadences

EPOCH = date(1970, 1, 1)


def test_every_month_begins_where_datetime_says() -> None:
    for year in range(1, 10_000):
        for month in range(1, 13):
            number = (year - 1970) * 12 + month - 1
            day = (date(year, month, 1) - EPOCH).days
            assert first_day_of(number) == day
            assert (month_of(day), month_of(day - 1)) == (number, number - 1)


@given(st.integers(date.min.toordinal(), date.max.toordinal()))
def test_every_day_is_in_its_month(ordinal: int) -> None:
    day = date.fromordinal(ordinal)
    assert month_of((day - EPOCH) // timedelta(days=1)) == (day.year - 1970) * 12 + day.month - 1


@given(st.integers(-(10**9), 10**9))
def test_months_go_on_beyond_the_years_of_datetime(month: int) -> None:
    first = first_day_of(month)
    assert 28 <= first_day_of(month + 1) - first <= 31
    assert first_day_of(month + 4_800) - first == 146_097
    assert (month_of(first), month_of(first - 1)) == (month, month - 1)


WALLS = st.integers(-(10**6) * DAY, 10**6 * DAY)


@given(WALLS, WALLS, cadences())
def test_periods_follow_one_another_in_both_directions(origin: int, wall: int, cadence) -> None:
    """PD1."""
    periods = periods_of(cadence, origin)
    start, end = periods.period_of(wall)
    assert start <= wall < end
    assert {periods.period_of(each) for each in (start, (start + end) // 2, end - 1)} == {(start, end)}
    assert periods.period_of(end)[0] == end
    assert periods.period_of(start - 1)[1] == start
    assert periods.period_of(origin)[0] == origin
