"""Zones: which names are zones, and what their clocks have shown by when."""

import os
import subprocess
import sys
import zoneinfo
from itertools import accumulate, pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stiggctl.errors import InvalidRequest
from stiggctl.windows import (
    END_US,
    FIRST_US,
    UTC_ZONE,
    Anchored,
    Cadence,
    Calendar,
    Unit,
    Zone,
    read_zone,
    zone_of,
)
from stiggctl.windows.zones import _STRETCH_US
from tests.windows.truth import (
    CHANGED,
    DAY,
    EARLY,
    LATE,
    NAMES,
    NEAR,
    ZONES,
    changes_of,
    first_shown,
    instants,
    made_up,
    shows,
    us,
)


@given(st.data(), ZONES, NEAR)
def test_clocks_have_shown_a_time_from_the_first_instant_at_which_they_did(
    data: st.DataObject, name: str, apart: int
) -> None:
    """Z1."""
    zone, at_us = zone_of(name), data.draw(instants(name))
    wall_us = zone.shown_by(at_us) + apart
    assert (zone.first_at(wall_us) <= at_us) is (wall_us <= zone.shown_by(at_us))
    assert zone.shown_by(at_us) <= zone.shown_by(at_us + abs(apart))
    assert zone.first_at(wall_us) <= zone.first_at(wall_us + abs(apart))


@given(st.data(), ZONES)
def test_what_clocks_show_is_what_zoneinfo_says(data: st.DataObject, name: str) -> None:
    at_us = data.draw(instants(name))
    zone, wall_us = zone_of(name), shows(name, at_us)
    assert zone.shows(at_us) == wall_us
    assert zone.shown_by(at_us) >= wall_us
    assert zone.first_at(wall_us) == first_shown(name, wall_us)


@given(st.data(), ZONES, st.sampled_from([FIRST_US, END_US - 1]) | st.integers(FIRST_US, END_US - 1), NEAR)
def test_clocks_show_something_at_every_instant_that_can_be_written(
    data: st.DataObject, name: str, at_us: int, apart: int
) -> None:
    """Z2."""
    zone = zone_of(name)
    for each_us in (at_us, at_us + apart):
        assert abs(zone.shown_by(each_us) - each_us) <= DAY
        assert zone.first_at(zone.shown_by(each_us)) <= each_us


@st.composite
def changes(draw: st.DrawFn, apart: int) -> list[tuple[int, int]]:
    """Clocks that are changed at any second, to any offset, a few times."""
    gaps = draw(st.lists(st.integers(apart, apart * 3) | st.integers(apart, 10**6), min_size=1, max_size=8))
    offsets = st.integers(-86_399, 86_399) | st.sampled_from([-86_399, -3_600, 0, 3_600, 86_399])
    # Where two stretches of what is remembered meet, so that they are seen to agree.
    first = _STRETCH_US // 1_000_000 * 307 + draw(st.integers(-86_400 * 3, 0))
    return [(first + total, draw(offsets)) for total in accumulate(gaps)]


@given(st.data(), changes(apart=1))
def test_whatever_is_done_to_clocks_windows_neither_overlap_nor_leave_a_gap(
    data: st.DataObject, changes: list[tuple[int, int]]
) -> None:
    """Z1, CL1, AN1: also where they are changed every second, by most of a day."""
    zone, seconds = Zone("Made/Up", made_up(changes)), [second for second, _offset in changes]
    near = st.sampled_from(seconds).map(lambda second: second * 1_000_000)
    moments = st.builds(int.__add__, near, NEAR)
    at_us, wall_us = data.draw(moments), data.draw(moments)
    assert (zone.first_at(wall_us) <= at_us) is (wall_us <= zone.shown_by(at_us))
    for turning in (
        Calendar(Cadence(Unit.DAY, 1), zone),
        Anchored(Cadence(Unit.DAY, 1), zone, data.draw(moments)),
        Anchored(Cadence(Unit.MONTH, 1), zone, data.draw(moments)),
    ):
        window = turning.window_of(at_us)
        assert window.has(at_us)
        assert turning.window_of(window.start_us) == turning.window_of(window.end_us - 1) == window
        assert turning.window_of(window.end_us).start_us == window.end_us
        assert turning.window_of(window.start_us - 1).end_us == window.start_us


@given(st.data(), changes(apart=86_400))
def test_clocks_that_are_changed_once_a_day_at_most_are_read_exactly(
    data: st.DataObject, changes: list[tuple[int, int]]
) -> None:
    near = st.sampled_from(changes).map(lambda change: change[0] * 1_000_000)
    at_us = data.draw(st.builds(int.__add__, near, NEAR))
    assert_read_exactly(Zone("Made/Up", made_up(changes)), changes, at_us)


def test_a_change_counts_as_long_as_it_matters_in_every_stretch() -> None:
    """Z1: what was shown before clocks were set back by two days is not forgotten within them."""
    border = _STRETCH_US // 1_000_000 * 300
    for hours in range(-50, 51, 5):
        changes = [(border + hours * 3_600 - 864_000, 86_399), (border + hours * 3_600, -86_399)]
        zone = Zone("Made/Up", made_up(changes))
        for hour in range(-100, 101):
            assert_read_exactly(zone, changes, (border + hour * 3_600) * 1_000_000)


def assert_read_exactly(zone: Zone, changes: list[tuple[int, int]], at_us: int) -> None:
    """By trying the times between all changes."""
    second = 1_000_000
    spans = list(pairwise([(-(10**9), 0), *changes, (10**11, 0)]))
    assert zone.shown_by(at_us) == max(
        min(at_us, until * second - 1) + offset * second
        for (since, offset), (until, _next) in spans
        if since * second <= at_us
    )
    assert zone.first_at(at_us) == min(
        max(since * second, at_us - offset * second)
        for (since, offset), (until, _next) in spans
        if at_us - offset * second < until * second
    )


def test_no_zone_changed_its_clocks_twice_within_a_day() -> None:
    """What the search for changes rests on, told by the zone files themselves."""
    close = [(name, a, b) for name in NAMES for a, b in pairwise(changes_of(name)) if b - a <= DAY]
    assert close == []
    assert len(CHANGED) > 200  # or this test looks at nothing
    assert sum(len(changes_of(name)) for name in CHANGED) > 5_000


def test_every_zone_of_this_machine_can_be_read() -> None:
    for name in NAMES:
        assert read_zone(name).name == name
        assert read_zone(name) is zone_of(name)


def test_utc_is_utc() -> None:
    assert read_zone("UTC") is UTC_ZONE
    assert UTC_ZONE.shown_by(FIRST_US) == UTC_ZONE.first_at(FIRST_US) == FIRST_US
    etc = read_zone("Etc/UTC")
    assert [etc.shown_by(at) - at for at in (EARLY, 0, LATE)] == [0, 0, 0]


NO_ZONES: list[Any] = [
    *("", " ", "Nowhere", "Europe", "Europe/", "/Europe/Amsterdam", "Europe//Amsterdam", "UTC ", "UTC\n"),
    *("../zoneinfo/Europe/Amsterdam", "Europe/../Europe/Amsterdam", "/etc/localtime", "./UTC", "C:\\UTC"),
    *(
        "localtime",
        "posixrules",
        "Factory",
        "posix/Europe/Amsterdam",
        "right/Europe/Amsterdam",
        "leapseconds",
    ),
    *("europe/amsterdam", "utc", "tzdata.zi", "zone.tab", "UTC\0", "\ud800", "Europe/Amsterdam" * 500),
    *(None, 1, True, b"UTC", zoneinfo.ZoneInfo("UTC")),
]


@pytest.mark.parametrize("name", NO_ZONES, ids=lambda name: ascii(name)[:40])
def test_what_is_no_zone_is_refused_everywhere(name: Any) -> None:
    """Z3: whatever files lie where this machine keeps its zones."""
    with pytest.raises(InvalidRequest) as caught:
        read_zone(name, "allocations[3].timezone")
    assert (caught.value.where, caught.value.value) == ("allocations[3].timezone", name)
    assert "an IANA time zone" in caught.value.expected
    assert not any(name in caught.value.expected for name in ("Factory", "localtime", "posixrules"))


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        *(("Europe/Amsterdm", "Europe/Amsterdam"), ("europe/amsterdam", "Europe/Amsterdam"), ("utc", "UTC")),
        *(
            ("Amsterdam", "Europe/Amsterdam"),
            ("New York", "America/New_York"),
            ("sao paulo", "America/Sao_Paulo"),
        ),
        *(("US/NewYork", "America/New_York"), ("Berlin", "Europe/Berlin")),
    ],
)
def test_a_name_that_is_nearly_a_zone_is_told_which(name: str, meant: str) -> None:
    with pytest.raises(InvalidRequest, match=f"did you mean '{meant}'"):
        read_zone(name)


@pytest.mark.parametrize(
    "name", ["Europe/Gone", "Europe", "../zoneinfo/UTC", "/etc/localtime", "localtime", "zone.tab", "UTC\0"]
)
def test_a_zone_that_another_machine_had_is_an_error_that_names_it(name: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        zone_of(name)
    assert caught.value.value == name


WITHOUT_ZONES = """
import sys
sys.modules["tzdata"] = None  # as where it is not installed
from stiggctl.errors import InvalidRequest
from stiggctl.windows import Calendar, read_cadence, read_zone
assert Calendar(read_cadence("day"), read_zone("UTC")).window_of(0) == (0, 86_400_000_000)
try:
    read_zone("Europe/Amsterdam")
except InvalidRequest as error:
    print(error)
"""


def test_without_a_database_utc_works_and_the_rest_is_told_how_to_get_one() -> None:
    """Z3."""
    command = [sys.executable, "-c", WITHOUT_ZONES]
    environment = {"PYTHONTZPATH": "", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    told = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    assert told.startswith("timezone: got 'Europe/Amsterdam', expected \"UTC\"")
    assert "pip install tzdata" in told


def test_the_time_that_clocks_show_twice_counts_once_and_the_skipped_one_not_at_all() -> None:
    zone = zone_of("Europe/Amsterdam")
    back = us("2025-10-26T03:00+02:00")
    assert [
        zone.shown_by(back + hours * DAY // 24) - shows("Europe/Amsterdam", back - 1) for hours in (0, 1)
    ] == [
        0,
        1,
    ]
    forward = us("2025-03-30T03:00+02:00")
    skipped = shows("Europe/Amsterdam", forward) - DAY // 48
    assert zone.first_at(skipped) == forward
