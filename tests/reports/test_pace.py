"""Pace: the odds of having spent so much, against spending that is drawn by lot."""

import random
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stiggctl.reports.pace import BUCKETS, Pace, Spent, pace_of, read_pace

HOUR_US = 3_600_000_000
units = st.integers(0, 10**12)


@given(st.lists(units, min_size=12, max_size=48), st.integers(1, 10**10), st.integers(1, 10**18), st.data())
def test_the_odds_grow_with_time_and_fall_with_the_room(
    buckets: list[int], width_us: int, room: int, data: st.DataObject
) -> None:
    """PC1."""
    pace = pace_of(buckets, width_us)
    early = data.draw(st.floats(0, 1e16))
    late = data.draw(st.floats(early, 1e17))
    odds = pace.chance(room, early)
    assert 0.0 <= odds <= pace.chance(room, late) + 1e-9 <= 1.0 + 1e-9
    assert pace.chance(room + data.draw(st.integers(0, 10**18)), late) <= pace.chance(room, late) + 1e-9


@given(st.lists(units.filter(bool), min_size=12, max_size=48), st.integers(1, 10**10), st.integers(1, 10**15))
def test_the_instant_of_some_odds_has_those_odds(buckets: list[int], width_us: int, room: int) -> None:
    """PC1: the one question is the other the other way round."""
    pace = pace_of(buckets, width_us)
    firsts = [pace.after_us(room, odds) for odds in (0.1, 0.5, 0.9)]
    assert firsts == sorted(firsts)
    for odds, after_us in zip((0.1, 0.5, 0.9), firsts, strict=True):
        assert pace.chance(room, after_us) >= odds
        assert pace.chance(room, after_us * 0.999 - 1) <= odds + 0.02


def test_what_is_spent_evenly_passes_when_it_must() -> None:
    pace = pace_of([10] * 24, HOUR_US)
    assert pace.variance == 0.0
    assert round(pace.after_us(100, 0.5) / HOUR_US, 6) == 10.0
    assert pace.after_us(100, 0.1) == pytest.approx(pace.after_us(100, 0.9))


def test_what_was_taken_back_on_the_whole_passes_nothing() -> None:
    """PC2; and nothing is left of nothing."""
    pace = pace_of([10, -20] * 12, HOUR_US)
    assert pace.units < 0
    assert pace.chance(1, 1e18) == 0.0
    assert pace.chance(0, 0.0) == 1.0


@pytest.mark.parametrize("burst", [1, 10])
@pytest.mark.parametrize("seed", range(3))
def test_in_eight_cases_of_ten_it_passes_between_the_first_and_the_last(burst: int, seed: int) -> None:
    """Calls by lot, alone and in bursts of ten: nine in ten at least for calls alone, seven for bursts.

    By lot, but always by the same one: the figures are what this method does, not what luck did.
    """
    chance, inside, cases = random.Random(seed), 0, 300
    for _ in range(cases):
        spent, at = [], 0.0
        while at < 2 * BUCKETS:
            at += chance.expovariate(20 / burst)
            spent += [(at, chance.randint(1, 100)) for _ in range(burst)]
        buckets = [0] * BUCKETS
        for when, amount in spent:
            if when < BUCKETS:
                buckets[int(when)] += amount
        pace = pace_of(buckets, HOUR_US)
        if pace.units <= 0:
            continue
        room = sum(buckets) * 6 // BUCKETS
        total, passed = 0, None
        for when, amount in spent:
            if when >= BUCKETS:
                total += amount
                if total > room and passed is None:
                    passed = (when - BUCKETS) * HOUR_US
        if passed is not None:
            inside += pace.after_us(room, 0.1) <= passed <= pace.after_us(room, 0.9)
    assert inside / cases > 0.7, f"seed {seed}: {inside} of {cases}"


# ------------------------------------------------------------------ reading


def of_events(events: list[tuple[int, int]]) -> tuple[list[tuple[int, int, int]], Spent]:
    asked: list[tuple[int, int, int]] = []

    def spent(since_us: int, until_us: int, width_us: int) -> Mapping[int, int]:
        asked.append((since_us, until_us, width_us))
        found: dict[int, int] = {}
        for at_us, amount in events:
            if since_us <= at_us < until_us:
                start_us = at_us - at_us % width_us
                found[start_us] = found.get(start_us, 0) + amount
        return found

    return asked, spent


@given(st.integers(1, 27 * 24 * 60), st.integers(40, 200), st.integers(0, 10**15))
def test_the_pace_is_that_since_spending_began(minutes: int, many: int, now_us: int) -> None:
    """However short ago that is: the buckets are as many."""
    span_us = minutes * 60_000_000
    events = [(now_us - span_us + at * span_us // many, 7) for at in range(many + 1)]
    _, spent = of_events(events)
    pace = read_pace(spent, now_us, 28 * 24 * HOUR_US)
    assert pace is not None
    assert span_us * 0.9 <= pace.look_us <= span_us * 2.2 + 1
    expected = 7 * (many + 1) / pace.look_us
    assert pace.units == pytest.approx(expected, rel=0.1)


def test_nights_in_which_nobody_spends_count() -> None:
    """PC2: only what is before the first spending does not."""
    now_us = 1_000 * HOUR_US
    events = [(hour * HOUR_US, 10) for hour in range(1_000 - 28 * 24, 1_000) if hour % 24 > 12]
    _, spent = of_events(events)
    pace = read_pace(spent, now_us, 28 * 24 * HOUR_US)
    assert pace is not None
    assert pace.units * HOUR_US == pytest.approx(10 * 11 / 24, rel=0.1)


@pytest.mark.parametrize("events", [[], [(10**15, 5)], [(10**15 - 3, 5), (10**15 - 1, 5)]])
def test_too_little_has_no_pace(events: list[tuple[int, int]]) -> None:
    """PC2."""
    _, spent = of_events(events)
    assert read_pace(spent, 10**15, 28 * 24 * HOUR_US) is None


def test_the_look_is_narrowed_a_bounded_number_of_times() -> None:
    asked, spent = of_events([(10**15 - 100, 5), (10**15 - 50, 5), (10**15 - 2, 5)])
    read_pace(spent, 10**15, 28 * 24 * HOUR_US)
    assert len(asked) < 64
    assert Pace(1.0, 0.0, 10).chance(5, 10) == 1.0
