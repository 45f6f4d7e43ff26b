"""Instants: what text and datetimes mean, to the microsecond, and what is refused."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stiggctl.errors import InvalidTimestamp
from stiggctl.windows import to_datetime, to_text, to_us

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FIRST_US = (datetime(1, 1, 1, tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)
LAST_US = (datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)
INSTANTS = st.integers(FIRST_US, LAST_US)
OFFSETS = st.integers(-23 * 60 - 59, 23 * 60 + 59).map(lambda minutes: timezone(timedelta(minutes=minutes)))
EARLY, LATE = EPOCH.replace(year=1, day=3, tzinfo=None), EPOCH.replace(year=9999, tzinfo=None)
INSIDE = st.datetimes(EARLY, LATE, timezones=OFFSETS)


@given(INSTANTS)
def test_an_instant_survives_text_and_datetime(us: int) -> None:
    assert to_us(to_text(us), "timestamp") == us
    assert to_us(to_datetime(us), "timestamp") == us
    assert to_datetime(us).tzinfo is UTC


@given(INSTANTS, INSTANTS)
def test_text_of_one_precision_sorts_as_the_instants_do(one: int, other: int) -> None:
    earlier, later = sorted((one // 1_000_000 * 1_000_000, other // 1_000_000 * 1_000_000))
    assert (to_text(earlier) <= to_text(later)) is True
    assert to_text(earlier).endswith("Z")


@given(INSIDE, st.sampled_from("Tt "))
def test_every_offset_names_the_same_instant(moment: datetime, between: str) -> None:
    us = (moment - EPOCH) // timedelta(microseconds=1)
    assert to_us(moment, "timestamp") == us
    assert to_us(moment.isoformat(between), "timestamp") == us
    assert to_us(moment.astimezone(UTC).isoformat().replace("+00:00", "z"), "timestamp") == us


@given(INSTANTS.map(lambda us: us // 1_000_000 * 1_000_000), st.text("0123456789", min_size=1, max_size=9))
def test_what_is_finer_than_a_microsecond_is_cut_toward_the_earlier(second: int, fraction: str) -> None:
    """I2, before 1970 too."""
    nanoseconds = int(fraction.ljust(9, "0"))
    for mark in ".,":
        written = to_text(second).replace("Z", f"{mark}{fraction}Z")
        assert to_us(written, "timestamp") == second + nanoseconds // 1_000


@pytest.mark.parametrize(
    ("text", "us"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T00:00Z", 0),
        ("1970-01-01 02:00:00+02:00", 0),
        ("1970-01-01T02:00:00+0200", 0),
        ("1969-12-31T18:30:00-05:30", 0),
        ("1970-01-01T00:00:00-00:00", 0),
        ("1969-12-31T23:59:59.999999999Z", -1),
        ("2024-02-29T00:00:00Z", 1_709_164_800_000_000),
        ("2025-10-26T15:01:55.768Z", 1_761_490_915_768_000),
        ("0001-01-01T00:00:00Z", FIRST_US),
        ("9999-12-31T23:59:59.999999Z", LAST_US),
        ("9999-12-31T23:59:59.999999+01:00", LAST_US - 3_600_000_000),
    ],
)
def test_text_means_its_instant(text: str, us: int) -> None:
    assert to_us(text, "timestamp") == us


def test_text_is_as_precise_as_it_has_to_be() -> None:
    assert to_text(1_761_490_915_000_000) == "2025-10-26T15:01:55Z"
    assert to_text(1_761_490_915_768_000) == "2025-10-26T15:01:55.768Z"
    assert to_text(1_761_490_915_768_001) == "2025-10-26T15:01:55.768001Z"
    assert to_text(1_761_490_915_500_000) == "2025-10-26T15:01:55.500Z"
    assert to_text(FIRST_US) == "0001-01-01T00:00:00Z"


def test_the_hour_that_comes_twice_is_two_hours() -> None:
    first = datetime(2025, 10, 26, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"))
    assert to_us(first.replace(fold=1), "timestamp") - to_us(first, "timestamp") == 3_600_000_000
    assert to_text(to_us(first, "timestamp")) == "2025-10-26T00:30:00Z"


NAIVE = [
    "2025-10-26T15:01:55",
    "2025-10-26 15:01",
    datetime(2025, 10, 26, 15, 1),  # noqa: DTZ001 - that is what is refused
]
MALFORMED: list[Any] = [
    *("", "now", "2025-10-26", "15:01Z", "1761490915", "2025-W43-7T15:01:55Z", "2025-299T15:01:55Z"),
    *(
        "20251026T150155Z",
        "2025-10-26T15Z",
        "2025-1-26T15:01:55Z",
        "25-10-26T15:01:55Z",
        "+12025-10-26T15:01Z",
    ),
    *("2025-10-26T15:01:55ZZ", "2025-10-26T15:01:55 Z", " 2025-10-26T15:01:55Z", "2025-10-26T15:01:55Z\n"),
    *(
        "2025-10-26T15:01:55.Z",
        "2025-10-26T15:01:55.0000000001Z",
        "2025-10-26T15:01:55+2",
        "2025-10-26T15:01:55+02:",
    ),
    *(
        "2025-10-26T15:01.5Z",
        "2025-10-26T15:01,5+02:00",
    ),  # half a minute: refused, not taken for half a second
    *("2025-10-26T15:01:55+05:60", "2025-10-26T15:01:55+05:99", "2025-10-26T15:01:55 Europe/Berlin"),
    *(
        "\u0662\u0660\u0662\u0665-10-26T15:01:55Z",
        "2025-10-26T15:01:5\uff15Z",
        "2025-10-26\ud800",
        "2025-10-26T15:01:55\0Z",
    ),
    *(1_761_490_915, 1_761_490_915.5, None, True, b"2025-10-26T15:01:55Z", EPOCH.date(), EPOCH.time()),
]
ABSENT = [
    *("2025-02-29T00:00:00Z", "2025-02-30T00:00:00Z", "2025-13-01T00:00:00Z", "2025-00-01T00:00:00Z"),
    *("0000-01-01T00:00:00Z", "2025-10-26T25:00:00Z", "2025-10-26T15:60:00Z", "2025-10-26T15:01:60Z"),
    *("2025-10-26T15:01:55+24:00", "2025-10-26T15:01:55-24:00"),
]
OUTSIDE = [
    "0001-01-01T00:00:00+00:01",
    "9999-12-31T23:59:59-00:01",
    datetime.min.replace(tzinfo=timezone(timedelta(minutes=1))),
    datetime.max.replace(tzinfo=timezone(timedelta(minutes=-1))),
]


def refused(timestamp: Any) -> InvalidTimestamp:
    with pytest.raises(InvalidTimestamp) as caught:
        to_us(timestamp, "events[3].timestamp")
    error = caught.value
    assert (error.where, error.value) == ("events[3].timestamp", timestamp)
    assert str(error).startswith("events[3].timestamp: got ")
    return error


@pytest.mark.parametrize("timestamp", NAIVE, ids=repr)
def test_a_naive_time_is_refused_and_told_of_offsets(timestamp: Any) -> None:
    """I1."""
    assert "an offset" in refused(timestamp).expected


@pytest.mark.parametrize("timestamp", MALFORMED, ids=ascii)
def test_what_is_no_instant_is_refused_with_an_example_of_one(timestamp: Any) -> None:
    assert '"2025-10-26T15:01:55.768Z"' in refused(timestamp).expected


@pytest.mark.parametrize("timestamp", ABSENT)
def test_what_does_not_exist_is_refused_with_the_reason(timestamp: str) -> None:
    assert refused(timestamp).expected.startswith("an instant that exists (")


@pytest.mark.parametrize("timestamp", OUTSIDE, ids=repr)
def test_what_an_offset_leads_out_of_the_years_is_refused(timestamp: Any) -> None:
    assert "years 1 to 9999" in refused(timestamp).expected
