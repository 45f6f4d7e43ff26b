"""A limit becomes HARD or SOFT while something is held under it: what is held was granted, or it was not."""

import hypothesis.strategies as st
import pytest
from hypothesis import given

from stiggctl.decision.cells import SPARE
from stiggctl.decision.holds import NUMBER, Hold
from stiggctl.decision.moving import PathNow, grow_locked, set_apart
from stiggctl.decision.reservations import release
from stiggctl.decision.sights import places_of

from .land import Cell, Land

LIMIT = 50


def changed(*, hard: bool, held: int, granted: int | None = None) -> tuple[Land, Cell, Hold]:
    """org's limit is enforced so from now on; so much is held since it was enforced otherwise.

    `granted`: what the ledger has granted since, as far as it has room for that.
    """
    land = Land()
    cell = land.limit("org", LIMIT, hard=not hard)
    hold = land.hold(["org"], held)
    cell.hard = hard
    land.stripe.restamp()
    land.look(["org"])
    if granted is not None:
        cell.granted = granted
        land.tell(cell)
    return land, cell, hold


def apart(land: Land) -> int:
    return sum(land.stripe.apart.values())


units = st.integers(0, LIMIT + 10)


@given(held=units, granted=st.integers(0, LIMIT), booked=units, settles=st.booleans())
def test_no_booking_pays_more_than_was_granted_whatever_is_held(
    held: int, granted: int, booked: int, *, settles: bool
) -> None:
    """C1, C2: a settle of what was held while it was SOFT, or a report beside it."""
    land, cell, _ = changed(hard=True, held=held, granted=granted)
    places, hard = places_of(land.look(["org"]))
    its_own = held if settles else 0
    with land.stripe.lock:
        (spend,) = set_apart(land.stripe, places, hard, booked, dict.fromkeys(places, its_own))
    free = granted if settles else max(0, granted - held)
    assert spend == min(booked, free)
    assert apart(land) == max(0, spend - its_own)
    assert land.seen(cell)[SPARE] == granted - held - apart(land)


def grown(land: Land, hold: Hold, more: int) -> bool | None:
    """Grow, judged by what is HARD now."""
    places, hard = places_of(land.look(["org"]))
    with land.stripe.lock:
        return grow_locked(land.stripe, hold[NUMBER], {"t": more}, 0, PathNow(frozenset(places[:hard]), {}))


@pytest.mark.parametrize(("more", "fits"), [(45, True), (46, False)])
def test_what_was_held_while_it_was_soft_grows_as_far_as_it_is_granted(more: int, *, fits: bool) -> None:
    """D1, D2."""
    land, cell, hold = changed(hard=True, held=5, granted=LIMIT)
    assert grown(land, hold, more) is fits
    assert land.seen(cell)[SPARE] == 45 - more * fits
    assert land.held(cell) == 5 + more * fits
    release(land.stripe, hold[NUMBER])
    assert land.seen(cell)[SPARE] == LIMIT


def test_what_was_held_while_it_was_hard_grows_past_it_when_it_is_soft() -> None:
    """D1: SOFT denies nothing."""
    land, cell, hold = changed(hard=False, held=30)
    assert grown(land, hold, 1_000) is True
    assert land.held(cell) == 1_030
