"""Rolling windows: usage counts as long as it must, a sixtieth more at most; when there is room."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stiggctl.errors import InvalidRequest
from stiggctl.windows import END_US, FIRST_US, Cadence, Rolling, Unit, read_cadence
from tests.windows.truth import DAY, HOUR, cadences, us

ROLLING = cadences((Unit.HOUR, Unit.DAY, Unit.WEEK))
INSTANTS = st.integers(us("1970-01-01"), us("2100-01-01")) | st.integers(FIRST_US, END_US - 1)
LENGTHS = {Unit.HOUR: HOUR, Unit.DAY: DAY, Unit.WEEK: 7 * DAY}


@given(ROLLING, INSTANTS, st.data())
def test_usage_counts_as_long_as_the_cadence_and_less_than_a_sixtieth_longer(
    cadence: Cadence, at_us: int, data: st.DataObject
) -> None:
    """RL1."""
    rolling, length_us = Rolling(cadence), LENGTHS[cadence.unit] * cadence.count
    assert rolling.width_us * 60 == length_us
    edges = [0, length_us, length_us + rolling.width_us]
    near = st.sampled_from(edges).flatmap(lambda edge: st.integers(max(0, edge - 3), edge + 3))
    ago_us = data.draw(near | st.integers(0, 2 * length_us))
    counts = rolling.bucket_of(at_us - ago_us) in rolling.buckets_of(at_us)
    if ago_us <= length_us:
        assert counts
    if ago_us >= length_us + rolling.width_us:
        assert not counts
    assert counts is (at_us < rolling.leaves_us(rolling.bucket_of(at_us - ago_us)))


@given(ROLLING, INSTANTS)
def test_61_buckets_follow_one_another_and_the_last_is_now(cadence: Cadence, at_us: int) -> None:
    """RL2, RL3."""
    rolling = Rolling(cadence)
    buckets = rolling.buckets_of(at_us)
    assert len(buckets) == 61
    assert buckets[-1] == rolling.bucket_of(at_us) <= at_us < buckets[-1] + rolling.width_us
    assert {late - early for early, late in pairwise(buckets)} == {rolling.width_us}
    assert all(rolling.bucket_of(start) == start and start % rolling.width_us == 0 for start in buckets)
    window = rolling.window_of(at_us)
    assert window.has(at_us)
    assert window.start_us == max(buckets[0], FIRST_US)
    if window.end_us < END_US:
        assert rolling.buckets_of(window.end_us - 1) == buckets
        assert list(rolling.buckets_of(window.end_us))[:-1] == list(buckets)[1:]
        assert rolling.leaves_us(buckets[0]) == window.end_us


@given(
    st.integers(10**9 - 200, 10**9 + 200).map(lambda minutes: minutes * 17_000_000),
    st.dictionaries(st.integers(-70, 5), st.integers(-1, 4), max_size=12),
    st.integers(0, 9),
    st.integers(0, 9),
)
def test_room_is_told_for_the_first_instant_at_which_there_is_some(
    at_us: int, minutes: dict[int, int], amount: int, limit: int
) -> None:
    """Against trying every bucket that comes; those that lie ahead count when they come."""
    hour = Rolling(Cadence(Unit.HOUR, 1))
    used = {hour.bucket_of(at_us) + minute * 60_000_000: units for minute, units in minutes.items()}

    def fits(moment: int) -> bool:
        return amount + sum(used.get(start, 0) for start in hour.buckets_of(moment)) <= limit

    later = (hour.bucket_of(at_us) + minute * 60_000_000 for minute in range(1, 80))
    slowly = next((moment for moment in (at_us, *later) if fits(moment)), None)
    assert hour.fits_at_us(at_us, used.items(), amount_units=amount, limit_units=limit) == slowly


def test_never_more_than_the_limit_is_spent_in_any_hour() -> None:
    """RL1: who spends whatever fits, as soon as it is told that it does, keeps to it."""
    hour, spent, at_us = Rolling(Cadence(Unit.HOUR, 1)), [], us("2025-10-26T00:12:34.5Z")
    for number in range(400):
        amount = number * 7 % 31 + 1
        used: dict[int, int] = {}
        for moment, units in spent:
            used[hour.bucket_of(moment)] = used.get(hour.bucket_of(moment), 0) + units
        fits_us = hour.fits_at_us(at_us, used.items(), amount_units=amount, limit_units=100)
        assert fits_us is not None
        at_us = fits_us + number % 5 * 7_000_000
        spent.append((at_us, amount))
    for moment, _units in spent:
        assert sum(units for other, units in spent if moment - HOUR <= other <= moment) <= 100


def test_a_bucket_of_a_day_is_24_minutes_and_of_a_week_168() -> None:
    minutes = {
        text: Rolling(read_cadence(text)).width_us // 60_000_000 for text in ("PT1H", "P1D", "P1W", "P30D")
    }
    assert minutes == {"PT1H": 1, "P1D": 24, "P1W": 168, "P30D": 720}


@pytest.mark.parametrize("text", ["P1M", "P3M", "P1Y"])
def test_months_and_years_do_not_roll(text: str) -> None:
    with pytest.raises(InvalidRequest, match=r"limit\.cadence: .*hours, days or weeks \(P30D, P365D\)"):
        Rolling(read_cadence(text), "limit.cadence")
