"""Unrolled: what is written out for a shape does what the loop over its limits would do."""

from typing import Any, NamedTuple

import hypothesis.strategies as st
from hypothesis import given

from stiggctl.decision.cells import HEADER, SPARE, WIDTH
from stiggctl.decision.unrolled import Shape, loops

SPARES = st.integers(0, 9)


class Case(NamedTuple):
    """A stripe with one record and some places beside it, and a path over them."""

    shape: Shape
    numbers: list[Any]
    place: int  #: of the record
    others: tuple[int, ...]  #: places of the tail's limits, HARD ones first
    units: int

    @property
    def own(self) -> list[int]:
        """Where the spares of the record's limits lie, HARD ones first."""
        return [
            self.place + HEADER + WIDTH * at + SPARE
            for at in range(self.shape.own_hard + self.shape.own_soft)
        ]

    @property
    def hard(self) -> list[int]:
        """Where all HARD limits lie."""
        return self.own[: self.shape.own_hard] + list(self.others[: self.shape.hard])

    @property
    def all(self) -> list[int]:
        """Where all limits lie."""
        return self.own + list(self.others)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    shape = Shape(*[draw(st.integers(0, 4)) for _ in Shape._fields])
    tail, before = shape.hard + shape.soft, draw(st.integers(0, 3))
    width = HEADER + WIDTH * (shape.own_hard + shape.own_soft)
    numbers: list[Any] = draw(
        st.lists(SPARES, min_size=before + width + tail, max_size=before + width + tail)
    )
    numbers[before] = object()  # the branch: no number
    others = draw(st.permutations([*range(before), *range(before + width, len(numbers))]))[:tail]
    return Case(shape, numbers, before, tuple(others), draw(st.integers(0, 9)))


@given(case=cases())
def test_it_is_held_in_all_limits_where_it_fits_the_hard_ones_else_in_none(case: Case) -> None:
    """UR1, UR2: and nothing else of the stripe is touched."""
    numbers, before = list(case.numbers), list(case.numbers)
    held = loops(case.shape).hold(numbers, case.place, case.others, case.units)
    if any(before[at] < case.units for at in case.hard):
        assert held is None
        assert numbers == before
        return
    assert held is not None
    assert list(held[: len(case.hard)]) == case.hard
    assert sorted(held) == sorted(case.all)
    for at in case.all:
        before[at] -= case.units
    assert numbers == before


@given(case=cases())
def test_what_was_gathered_fits_exactly_where_it_could_be_held(case: Case) -> None:
    """UR1."""
    written = loops(case.shape)
    gathered = tuple([case.numbers[at] for at in case.others])
    own = case.numbers[case.place : case.place + written.width]
    fits = written.fits(gathered, own, case.units)
    assert fits is (written.hold(list(case.numbers), case.place, case.others, case.units) is not None)
    assert fits is all(case.numbers[at] >= case.units for at in case.hard)
    assert written.hard == len(case.hard)
