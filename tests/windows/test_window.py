"""Window: what is in one, how long several hold, and which ones a limit has."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stiggctl.errors import InvalidRequest
from stiggctl.windows import (
    ALWAYS,
    END_US,
    FIRST_US,
    UTC_ZONE,
    Anchored,
    Calendar,
    Rolling,
    Window,
    read_cadence,
    read_zone,
    steady,
    to_datetime,
    validity,
    windows_of,
)
from tests.windows.truth import DAY, us

SMALL = st.integers(-20, 20)


def test_a_window_has_its_start_and_not_its_end() -> None:
    """WN1."""
    window = Window(10, 20)
    assert [window.has(at) for at in (9, 10, 19, 20)] == [False, True, True, False]


def test_what_has_no_beginning_or_end_is_valid_for_ever() -> None:
    assert validity(None, None) == ALWAYS == (FIRST_US, END_US)
    assert validity(5, None).has(5)
    assert not validity(None, 5).has(5)
    assert validity(None, 5).has(4)
    assert to_datetime(END_US).year == 9999


@given(SMALL, st.lists(st.tuples(SMALL, SMALL).map(Window._make), max_size=5), SMALL)
def test_nothing_turns_within_the_time_that_is_steady(
    at_us: int, windows: list[Window], other_us: int
) -> None:
    """And everything that does not turn with it is in it: it is the longest such time."""
    found = steady(at_us, windows)
    assert found.has(at_us)
    early, late = sorted((at_us, other_us))
    edges = {edge for window in windows for edge in window}
    assert found.has(other_us) is not any(early < edge <= late for edge in edges)


def test_the_windows_of_a_limit_turn_at_the_first_of_their_ends() -> None:
    zone = read_zone("Europe/Amsterdam")
    at_us = us("2025-10-26T12:00Z")
    day, month = (windows_of(read_cadence(text), zone) for text in ("day", "month"))
    rolling = windows_of(read_cadence("P1W"), zone, rolling=True)
    assert day and month and rolling  # noqa: PT018 - none of them is for ever
    bucket_us = 168 * 60_000_000
    held = [each.window_of(at_us) for each in (day, month)]
    assert steady(at_us, held) == (us("2025-10-25T22:00Z"), us("2025-10-26T23:00Z"))
    until_us = us("2025-10-26T22:30Z")
    assert steady(at_us, [*held, validity(None, until_us)]).end_us == until_us
    assert (
        steady(at_us, [*held, rolling.window_of(at_us)]).end_us == at_us // bucket_us * bucket_us + bucket_us
    )


def test_a_limit_has_the_windows_that_its_keys_say() -> None:
    day, zone = read_cadence("P1D"), read_zone("Asia/Tokyo")
    assert windows_of(None, zone) is None
    plain, anchored, rolling = (
        windows_of(day, zone),
        windows_of(day, zone, 5 * DAY),
        windows_of(day, zone, rolling=True),
    )
    assert isinstance(plain, Calendar)
    assert isinstance(anchored, Anchored)
    assert isinstance(rolling, Rolling)
    assert (plain.cadence, plain.zone) == (anchored.cadence, anchored.zone) == (day, zone)
    assert anchored.anchor_us == 5 * DAY
    assert windows_of(day, zone, 0) is not None
    assert isinstance(windows_of(day, zone, 0), Anchored)  # 1970 is an anchor as any other


@pytest.mark.parametrize(
    ("cadence", "anchor_us", "rolling", "said"),
    [
        (None, None, True, r"a\[3\]\.rolling: got True, expected a cadence beside it"),
        (None, 0, True, r"a\[3\]\.rolling: got True, expected a cadence beside it"),
        (None, 0, False, r"a\[3\]\.anchor: got '1970-01-01T00:00:00Z', expected a cadence beside it"),
        ("P1D", 0, True, r"a\[3\]\.anchor: got '1970-01-01T00:00:00Z', expected no anchor beside rolling"),
        ("P1M", None, True, r"a\[3\]\.cadence: got 'P1M', expected hours, days or weeks"),
    ],
)
def test_what_contradicts_itself_is_no_window(
    cadence: str | None, anchor_us: int | None, rolling: bool, said: str
) -> None:
    with pytest.raises(InvalidRequest, match=said):
        windows_of(
            None if cadence is None else read_cadence(cadence),
            UTC_ZONE,
            anchor_us,
            rolling=rolling,
            where="a[3].",
        )
