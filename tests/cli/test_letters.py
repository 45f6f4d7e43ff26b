"""Letters: how wide text is, and how it is made to fit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stiggctl.cli.letters import cut, padded, printable, width_of, wrapped


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("", 0),
        ("user-01", 7),
        ("渡辺", 4),
        ("\N{FULLWIDTH LATIN CAPITAL LETTER A}", 2),
        ("한국", 4),
        ("e\N{COMBINING ACUTE ACCENT}", 1),
        ("😀", 2),
        ("❤\N{VARIATION SELECTOR-16}", 2),
        ("👍🏽", 2),
        ("👩\N{ZERO WIDTH JOINER}💻", 2),
        ("👨\N{ZERO WIDTH JOINER}👩\N{ZERO WIDTH JOINER}👧 x", 4),
        ("🇳🇴", 2),
    ],
)
def test_what_is_seen_as_one_letter_is_counted_as_one(text: str, columns: int) -> None:
    assert width_of(text) == columns


@given(st.text(), st.integers(1, 40))
def test_what_is_cut_fits_and_what_fits_is_not_cut(text: str, columns: int) -> None:
    kept = cut(text, columns)
    assert width_of(kept) <= columns
    if width_of(text) <= columns:
        assert kept == text
    else:
        assert kept.endswith("…")
        assert text.startswith(kept[:-1])


def test_an_emoji_is_not_cut_in_two() -> None:
    assert cut("ab👩\N{ZERO WIDTH JOINER}💻cd", 4) == "ab…"
    assert cut("ab👩\N{ZERO WIDTH JOINER}💻cd", 5) == "ab👩\N{ZERO WIDTH JOINER}💻…"


@given(st.text(max_size=10))
def test_padding_fills_up(text: str) -> None:
    assert width_of(padded(text, 40)) == 40


@given(st.text())
def test_what_is_printable_moves_no_cursor(text: str) -> None:
    made = printable(text)
    assert all(sign.isprintable() or sign == "\N{ZERO WIDTH JOINER}" for sign in made)
    if text.isprintable():
        assert made == text


@given(st.text(alphabet=st.sampled_from("ab 渡 "), max_size=60), st.integers(2, 20))
def test_wrapping_loses_nothing_but_spaces_and_fits(text: str, columns: int) -> None:
    lines = wrapped(text, columns)
    assert all(width_of(line) <= columns for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")


def test_without_a_width_nothing_is_broken() -> None:
    assert wrapped("as long as it is", None) == ["as long as it is"]
