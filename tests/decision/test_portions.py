"""Portions: how a request is made smaller where not all of it fits."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from stiggctl.decision.decide import Met
from stiggctl.decision.holds import units_of
from stiggctl.decision.portions import Line, Portion
from tests.decision.land import is_held

from .land import Land

LINES = st.builds(Line, st.integers(0, 60), st.integers(0, 20), st.integers(1, 12))


@given(line=LINES, step=st.integers(0, 50))
def test_a_step_costs_its_price_rounded_up_once(line: Line, step: int) -> None:
    exact = Fraction(line.fixed + line.each * step, line.per)
    assert line.units(step) - 1 < exact <= line.units(step)


@given(
    lines=st.lists(LINES, min_size=1, max_size=3).map(tuple),
    bounds=st.tuples(st.integers(0, 30), st.integers(0, 30)).map(sorted),
    rooms=st.lists(st.none() | st.integers(-3, 70), min_size=3, max_size=3),
)
def test_the_step_is_the_largest_that_fits_in_every_currency(
    lines: tuple[Line, ...], bounds: list[int], rooms: list[int | None]
) -> None:
    """PN1, PN2: against trying every step."""
    portion, rooms = Portion(bounds[0], bounds[1], lines), rooms[: len(lines)]
    fitting = [
        step
        for step in range(portion.most + 1)
        if all(room is None or line.units(step) <= room for line, room in zip(lines, rooms, strict=True))
    ]
    step = portion.step(rooms)
    assert (step if step >= 0 else None) == max(fitting, default=None)
    if fitting:
        # Found again from what it costs, which is all that a hold has.
        assert portion.step(portion.units(step)) == step


ROOMS = st.integers(0, 40)


@given(lines=st.tuples(LINES, LINES), rooms=st.tuples(ROOMS, ROOMS), least=st.integers(0, 9))
def test_a_take_holds_the_cost_of_the_largest_step_in_all_currencies_or_nothing(
    lines: tuple[Line, Line], rooms: tuple[int, int], least: int
) -> None:
    """PN1: and what is denied is the least."""
    portion = Portion(least, 9, lines)
    land = Land()
    for currency, room in zip(("t", "usd"), rooms, strict=True):
        land.limit("free", room, currency=currency)
    most = portion.units(9)
    taken = land.take(["free"], {"t": most[0], "usd": most[1]}, minimum=portion)
    step = portion.step(rooms)
    if step < least:
        assert isinstance(taken, Met)
        assert [sight[4] for sight in taken.sights] == portion.units(least)
    else:
        assert is_held(taken)
        assert list(units_of(taken).values()) == portion.units(step)
