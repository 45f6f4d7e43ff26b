"""The surplus of a draw: within its bounds, and gone as a limit nears."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stiggctl.amounts import COUNTER_MAX
from stiggctl.shares import surplus

FREE = st.integers(-COUNTER_MAX, COUNTER_MAX)
REQUEST = st.integers(1, 10**6)
HOLDERS = st.integers(1, 2_000)


@given(FREE, REQUEST, HOLDERS, st.booleans())
def test_it_is_never_negative_and_never_more_than_is_free(
    free: int, request_: int, holders: int, recalled: bool
) -> None:
    taken = surplus(free, request_units=request_, holders_alive=holders, recalled=recalled)
    assert 0 <= taken <= max(free, 0)


@given(FREE, REQUEST, HOLDERS)
def test_a_recalled_cell_gives_none(free: int, request_: int, holders: int) -> None:
    assert surplus(free, request_units=request_, holders_alive=holders, recalled=True) == 0


@given(FREE, REQUEST)
def test_alone_a_holder_takes_all_there_is(free: int, request_: int) -> None:
    assert surplus(free, request_units=request_, holders_alive=1, recalled=False) == max(free, 0)


@given(FREE, REQUEST, st.integers(2, 2_000))
def test_in_company_all_together_take_a_quarter_at_most(free: int, request_: int, holders: int) -> None:
    taken = surplus(free, request_units=request_, holders_alive=holders, recalled=False)
    assert 4 * holders * taken <= max(free, 0)
    assert taken == 0 or taken >= 8 * request_


@pytest.mark.parametrize(("free", "taken"), [(639, 0), (640, 80), (647, 80), (648, 81), (-640, 0), (0, 0)])
def test_it_vanishes_below_eight_requests(free: int, taken: int) -> None:
    assert surplus(free, request_units=10, holders_alive=2, recalled=False) == taken


def test_what_usage_has_overdrawn_gives_none_whatever_is_asked() -> None:
    assert surplus(-1, request_units=0, holders_alive=1, recalled=False) == 0
    assert surplus(-640, request_units=0, holders_alive=2, recalled=False) == 0
