"""Cadence: which texts are one, what they mean, and what is said of those that are none."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stiggctl.errors import InvalidRequest
from stiggctl.windows import Cadence, Unit, read_cadence
from tests.windows.truth import MOST, cadences


@given(cadences(), st.integers(0, 5))
def test_a_cadence_survives_its_text(cadence: Cadence, zeros: int) -> None:
    """CD2: in capitals or not, with zeros before it or not."""
    text = str(cadence)
    assert read_cadence(text) == read_cadence(text.lower()) == cadence
    padded = text.replace(str(cadence.count), "0" * zeros + str(cadence.count))
    assert str(read_cadence(padded)) == text


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        *(("PT1H", "PT1H"), ("P1D", "P1D"), ("P1W", "P1W"), ("P1M", "P1M"), ("P1Y", "P1Y"), ("P30D", "P30D")),
        *(("PT6H", "PT6H"), ("P3M", "P3M"), ("P2W", "P2W"), ("PT24H", "PT24H"), ("P7D", "P7D")),
        *(("hour", "PT1H"), ("day", "P1D"), ("week", "P1W"), ("month", "P1M"), ("year", "P1Y")),
        *(("Month", "P1M"), ("DAY", "P1D"), ("p1d", "P1D"), ("pt1h", "PT1H")),
    ],
)
def test_a_cadence_has_one_text(text: str, meaning: str) -> None:
    assert str(read_cadence(text)) == meaning


def test_no_unit_is_made_into_another() -> None:
    """CD3."""
    texts = ["PT24H", "P1D", "P7D", "P1W", "P12M", "P1Y"]
    assert len({read_cadence(text) for text in texts}) == len(texts)


REFUSED: list[tuple[str, str]] = [
    *(("P1M2D", "one unit"), ("P1Y6M", "one unit"), ("P1DT12H", "one unit"), ("PT1H30M", "one unit")),
    *(("P1D1D", "one unit"), ("P1W1D", "one unit")),
    *(("PT30M", "PT1H or longer"), ("PT90S", "PT1H or longer"), ("PT1M", "P1M is a month")),
    *(("P0D", "at least one day: P1D"), ("PT0H", "at least one hour: PT1H"), ("P000Y", "at least one year")),
    *(("P1.5D", "a whole number"), ("P1,5D", "a whole number"), ("PT0.5H", "a whole number")),
    *(
        ("-P1D", "without a sign"),
        ("P-1D", "without a sign"),
        ("+P1D", "without a sign"),
        ("PT+1H", "without a"),
    ),
    *(
        ("P1H", "PT1H: hours stand behind a T"),
        ("PT1D", "P1D: only hours stand behind"),
        ("PT2W", "P2W: only"),
    ),
    *(("P101Y", "at most P100Y"), ("P1201M", "at most P1200M"), ("PT876601H", "at most PT876600H")),
    *(("P36526D", "100 years"), ("P5218W", "for ever"), ("P" + "9" * 70 + "D", "at most P36525D")),
    *(
        ("daily", "did you mean 'day'?"),
        ("monthly", "did you mean 'month'?"),
        ("weeks", "did you mean 'week'?"),
    ),
    *(
        ("annual", "did you mean 'year'?"),
        ("mnth", "did you mean 'month'?"),
        ("hourly", "did you mean 'hour'?"),
    ),
]


@pytest.mark.parametrize(("text", "expected"), REFUSED)
def test_what_is_no_cadence_is_told_what_would_be(text: str, expected: str) -> None:
    """CD1."""
    for spelt in (text, text.lower()):
        with pytest.raises(InvalidRequest) as caught:
            read_cadence(spelt, "allocations[3].cadence")
        assert expected in caught.value.expected
        assert (caught.value.where, caught.value.value) == ("allocations[3].cadence", spelt)


NOTHING: list[Any] = [
    *(
        "",
        " ",
        "P",
        "PT",
        "P1",
        "1D",
        "D",
        "PD",
        "PT1",
        "PTH",
        "T1H",
        "P1DT",
        "PP1D",
        "P1D ",
        " P1D",
        "P1D\n",
    ),
    *(
        "P 1D",
        "P1S",
        "1 day",
        "every day",
        "forever",
        "P\u0661D",
        "\uff301D",
        "P1\u212a",
        "wee\u212a",
        "\ud800",
    ),
    *("P1X", "2025-01-01", "R/P1D", "P1D\0", "P" + "9" * 5_000 + "D", "x" * 5_000),
    *(None, 1, 1.5, True, b"P1D", ["P1D"], Cadence(Unit.DAY, 1)),
]


@pytest.mark.parametrize("text", NOTHING, ids=lambda text: ascii(text)[:30])
def test_what_is_no_duration_at_all_is_shown_one(text: Any) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_cadence(text)
    assert "such as PT1H" in caught.value.expected


@given(st.text(max_size=12) | st.text("PT0123456789HDWMYS.,-+ ", max_size=12))
def test_any_text_is_a_cadence_within_bounds_or_refused(text: str) -> None:
    """CD1."""
    try:
        cadence = read_cadence(text)
    except InvalidRequest as refused:
        cadence = None
        said = str(refused)
        told = said.startswith("cadence: got ") and "expected " in said
    assert told if cadence is None else 1 <= cadence.count <= MOST[cadence.unit]


def test_the_longest_of_each_unit_is_a_cadence() -> None:
    for unit, most in MOST.items():
        assert read_cadence(str(Cadence(unit, most))) == Cadence(unit, most)
