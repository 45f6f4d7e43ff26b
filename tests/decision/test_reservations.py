"""Reservations: a hold is open, or it has ended; and it ends when it was said."""

import pytest

from stiggctl.decision.cells import NEVER, SPARE
from stiggctl.decision.holds import BEGAN_US, ENDS_US, HELD, NUMBER, units_of
from stiggctl.decision.moving import grow
from stiggctl.decision.reservations import begin_settle, close_hold, end_settle, expire, release

from .land import Land


def world(limit: int = 10) -> Land:
    land = Land()
    land.limit("org", limit)
    return land


def spare(land: Land) -> int:
    return land.seen(land.path(["org"])[0])[SPARE]


# ------------------------------------------------------------------ R1


def test_a_reservation_is_open_as_long_as_its_number_stands_in_holds() -> None:
    """R1: it ends once, whoever ends it."""
    land = world()
    hold = land.hold(["org"], 4, ends=500)
    assert list(land.stripe.holds) == [hold[NUMBER]]
    assert release(land.stripe, hold[NUMBER]) is hold
    assert (land.stripe.holds, spare(land)) == ({}, 10)
    assert release(land.stripe, hold[NUMBER]) is None
    assert begin_settle(land.stripe, hold[NUMBER], 0) is None
    end_settle(land.stripe, hold[NUMBER])
    with land.stripe.lock:
        expire(land.stripe, 500)
    assert (land.stripe.holds, land.stripe.ended, spare(land)) == ({}, [], 10)


def test_what_ends_by_itself_is_noted_for_its_page() -> None:
    """R1: what is released or settled is not: its own thread clears it."""
    land = world()
    first, second, third = (land.hold(["org"], 1, ends=ends) for ends in (500, 400, 600))
    release(land.stripe, third[NUMBER])
    with land.stripe.lock:
        expire(land.stripe, 500)
    assert land.stripe.ended == [first[NUMBER], second[NUMBER]]


def test_a_release_frees_what_was_held_and_nothing_else() -> None:
    """R1."""
    land = Land()
    cells = [land.limit(name, 10) for name in ("org", "team", "ann")] + [land.limit("ann", 5, hard=False)]
    kept = land.hold(["ann"], 2)
    ended = land.hold(["ann"], 7)
    release(land.stripe, ended[NUMBER])
    assert [land.held(cell) for cell in cells] == [2, 2, 2, 2]
    assert [land.seen(cell)[SPARE] for cell in cells] == [8, 8, 8, -2]
    release(land.stripe, kept[NUMBER])
    assert [land.seen(cell)[SPARE] for cell in cells] == [10, 10, 10, 0]


# ------------------------------------------------------------------ R2


def test_a_hold_is_replaced_and_never_changed() -> None:
    """R2: by an extension, by a record that moves."""
    land = world()
    hold = land.hold(["org"], 4, ends=500)
    facts = (hold[NUMBER], hold[BEGAN_US], hold[ENDS_US], hold[HELD])
    grow(land.stripe, hold[NUMBER], {"t": 3}, 0)
    land.limit("org", 99)
    land.stripe.restamp()
    land.compile(["org"])
    now = land.stripe.holds[hold[NUMBER]]
    assert now is not hold
    assert (hold[NUMBER], hold[BEGAN_US], hold[ENDS_US], hold[HELD]) == facts
    assert (units_of(now), now[ENDS_US], now[BEGAN_US]) == ({"t": 7}, 500, hold[BEGAN_US])


# ------------------------------------------------------------------ R3


@pytest.mark.parametrize(("now", "ended"), [(499, False), (500, True), (501, True)])
def test_a_hold_ends_at_its_end_and_not_before(now: int, *, ended: bool) -> None:
    """R3."""
    land = world()
    hold = land.hold(["org"], 4, ends=500)
    with land.stripe.lock:
        expire(land.stripe, now)
    assert (hold[NUMBER] not in land.stripe.holds) == ended
    assert spare(land) == (10 if ended else 6)


def test_each_hold_ends_at_its_own_end() -> None:
    """R3: in whatever order they were made."""
    land = world()
    for ends in (300, 100, 200):
        land.hold(["org"], 2, ends=ends)
    seen = []
    for now in range(0, 400, 50):
        land.look(["org"], now=now)
        seen.append(spare(land))
    assert seen == [4, 4, 6, 6, 8, 8, 10, 10]


def test_while_its_settle_is_under_way_a_hold_does_not_end() -> None:
    """R3: or its room would be spent while the ledger books it."""
    land = world()
    hold = land.hold(["org"], 4, ends=500)
    assert begin_settle(land.stripe, hold[NUMBER], 499) is hold
    land.look(["org"], now=10_000)
    assert spare(land) == 6
    end_settle(land.stripe, hold[NUMBER])  # it was not taken
    land.look(["org"], now=10_000)
    assert spare(land) == 10


def test_of_two_settles_under_way_the_last_to_come_to_nothing_lets_it_end() -> None:
    """R3: a second one begins before it is known what became of the first."""
    land = world()
    hold = land.hold(["org"], 4, ends=500)
    begin_settle(land.stripe, hold[NUMBER], 0)
    begin_settle(land.stripe, hold[NUMBER], 0)
    end_settle(land.stripe, hold[NUMBER])
    land.look(["org"], now=600)
    assert spare(land) == 6
    end_settle(land.stripe, hold[NUMBER])
    land.look(["org"], now=600)
    assert spare(land) == 10
    assert land.stripe.settling == {}


def test_a_release_beside_a_settle_does_nothing() -> None:
    """R3: the settle sets the rest free, or it stays held."""
    land = world()
    hold = land.hold(["org"], 4, ends=500)
    begin_settle(land.stripe, hold[NUMBER], 0)
    assert release(land.stripe, hold[NUMBER]) is None
    assert spare(land) == 6
    end_settle(land.stripe, hold[NUMBER])
    assert release(land.stripe, hold[NUMBER]) is hold
    assert spare(land) == 10


def test_what_is_booked_is_held_no_more() -> None:
    """R1, R3: also what a second settle of it was under way for."""
    land = world()
    hold = land.hold(["org"], 4, ends=500)
    begin_settle(land.stripe, hold[NUMBER], 0)
    with land.stripe.lock:
        close_hold(land.stripe, hold[NUMBER])
    assert (land.stripe.holds, land.stripe.settling) == ({}, {})
    end_settle(land.stripe, hold[NUMBER])  # the second one
    assert land.stripe.settling == {}


def test_a_settle_that_begins_too_late_finds_that_it_has_ended() -> None:
    """R3: at the instant itself."""
    land = world()
    hold = land.hold(["org"], 4, ends=500)
    assert begin_settle(land.stripe, hold[NUMBER], 500) is None
    assert spare(land) == 10


def test_a_settle_that_was_not_taken_ends_at_its_old_end_also_if_that_is_the_first() -> None:
    """R3: the next sweep must not be later than it."""
    land = world()
    hold = land.hold(["org"], 4, ends=100)
    land.hold(["org"], 1, ends=900)
    begin_settle(land.stripe, hold[NUMBER], 0)
    land.look(["org"], now=150)  # a sweep that leaves it, and looks again at 900
    end_settle(land.stripe, hold[NUMBER])
    land.look(["org"], now=151)
    assert spare(land) == 9


def test_an_extension_does_not_move_the_end() -> None:
    """R3."""
    land = world()
    hold = land.hold(["org"], 4, ends=500)
    grow(land.stripe, hold[NUMBER], {"t": 2}, 499)
    land.look(["org"], now=500)
    assert spare(land) == 10


def test_a_sweep_is_made_when_something_may_end_and_not_at_each_decision() -> None:
    land = world(1_000)
    for ends in (900, 500, 700):
        land.hold(["org"], 1, ends=ends)
    assert land.stripe.next_end_us == 500
    land.look(["org"], now=500)
    assert land.stripe.next_end_us == 700
    land.look(["org"], now=900)
    assert land.stripe.next_end_us == NEVER
