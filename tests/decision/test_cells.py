"""Cells: how records lie, move and refresh, and what leaves spare meanwhile."""

import sys

import pytest

from stiggctl.decision.cells import HEADER, LIMIT, SPARE, WIDTH
from stiggctl.decision.decide import look
from stiggctl.decision.holds import HELD, NUMBER
from stiggctl.decision.laying import sweep_loose
from stiggctl.decision.moving import grow, put_apart_back, set_apart
from stiggctl.decision.reservations import release
from stiggctl.decision.sights import places_of
from tests.decision.land import take_with_lock

from .land import LATER, Cell, Land

# ------------------------------------------------------------------ C1, C2, C3


def test_spare_is_what_is_granted_less_what_is_held() -> None:
    """C1."""
    land = Land()
    org, ann = land.limit("org", 100), land.limit("ann", 50)
    first, second = land.hold(["ann"], 20), land.hold(["ann"], 30)
    assert (land.seen(org)[SPARE], land.seen(ann)[SPARE]) == (50, 0)
    release(land.stripe, first[NUMBER])
    assert (land.seen(org)[SPARE], land.seen(ann)[SPARE]) == (70, 20)
    release(land.stripe, second[NUMBER])
    assert (land.seen(org)[SPARE], land.seen(ann)[SPARE]) == (100, 50)


def test_what_others_hold_counts_as_held_and_is_not_spare() -> None:
    """C1: `allotted` is granted and what others are known to hold."""
    land = Land()
    org = land.limit("org", 100, orphans=((30, 500),))
    land.hold(["org"], 10)
    spare, used, allotted, limit = land.seen(org)
    assert (spare, used, allotted, limit) == (60, 0, 100, 100)
    assert allotted - spare == 40  # held: 10 here, 30 by the dead


def test_a_change_of_the_limit_gives_all_spare_back_and_leaves_what_is_held() -> None:
    """C2: it leaves memory before the ledger hears of it; the next request draws under the new limit."""
    for limit in (99, 101):
        land = Land()
        org = land.limit("org", 100)
        land.hold(["org"], 30)
        org.limit = limit
        land.stripe.restamp()
        land.compile(["org"])
        assert land.seen(org) == (0, 0, 30, limit)
        assert land.stripe.gives == {org.cell: 70}
        land.tell_gives()
        assert org.granted == 30


def test_a_limit_that_did_not_change_gives_nothing_back() -> None:
    """C2: another change of the model costs no draw."""
    land = Land()
    org = land.limit("org", 100)
    land.hold(["org"], 30)
    land.stripe.restamp()
    land.compile(["org"])
    assert land.seen(org) == (70, 0, 100, 100)
    assert land.stripe.gives == {}


def test_what_is_on_its_way_back_is_not_counted_as_granted_when_the_ledger_tells_its_number() -> None:
    """C2: the ledger's number still has it; memory must not take it for spare again."""
    land = Land()
    org = land.limit("org", 100)
    land.hold(["org"], 30)
    org.limit = 60
    land.stripe.restamp()
    land.compile(["org"])
    land.tell(org)  # it was asked about something else meanwhile
    assert land.seen(org) == (0, 0, 30, 60)
    assert land.stripe.gives == {org.cell: 70}


def test_used_is_the_ledgers() -> None:
    """C3: also what others booked, and what a reversal took off."""
    land = Land()
    org = land.limit("org", 100, granted=50)
    land.compile(["org"])
    for used in (40, 10, -5):
        org.used = used
        land.tell(org)
        assert land.seen(org)[:3] == (50, used, 50)


def test_a_refresh_takes_over_the_limit_and_nothing_else() -> None:
    """C3: what was read for it is older than what the last exchange told."""
    land = Land()
    org = land.limit("org", 100, granted=50)
    land.compile(["org"])
    org.used, org.granted = 20, 30
    land.tell(org)
    org.used, org.granted = 0, 50  # as a reader saw it before that
    land.stripe.restamp()
    land.compile(["org"])
    assert land.seen(org) == (30, 20, 30, 100)


# ------------------------------------------------------------------ C4


def test_spare_above_the_limit_is_given_back_at_once() -> None:
    """C4: usage that nobody admitted took it."""
    land = Land()
    org = land.limit("org", 100)
    land.compile(["org"])
    org.used = 25  # booked by somebody who held nothing
    land.tell(org)
    assert land.seen(org) == (75, 25, 75, 100)
    assert land.stripe.gives == {org.cell: 25}


def test_what_is_held_above_the_limit_is_given_back_when_it_falls_free() -> None:
    """C4: a hold that was admitted stays; its room is gone once it ends."""
    land = Land()
    org = land.limit("org", 100)
    hold = land.hold(["org"], 90)
    org.used = 60
    land.tell(org)
    assert land.seen(org) == (0, 60, 90, 100)
    assert land.stripe.gives == {org.cell: 10}
    release(land.stripe, hold[NUMBER])
    assert land.seen(org) == (40, 60, 40, 100)
    assert land.stripe.gives == {org.cell: 60}


def test_nothing_is_given_back_at_the_limit() -> None:
    """C4: not a unit too much."""
    land = Land()
    org = land.limit("org", 100, orphans=((20, 500),), granted=40)
    land.compile(["org"])
    org.used = 40
    land.tell(org)
    assert land.seen(org) == (40, 40, 60, 100)
    assert land.stripe.gives == {}


# ------------------------------------------------------------------ SOFT


def test_a_soft_cell_has_no_share_and_counts_what_is_held() -> None:
    land = Land()
    soft = land.limit("org", 10, hard=False)
    hold = land.hold(["org"], 25)
    assert land.seen(soft) == (-25, 0, 0, 10)
    soft.used = 30
    land.tell(soft)
    assert land.seen(soft) == (-25, 30, 0, 10)
    assert land.stripe.gives == {}
    release(land.stripe, hold[NUMBER])
    assert land.seen(soft) == (0, 30, 0, 10)
    soft.limit = 5
    land.stripe.restamp()
    land.compile(["org"])
    assert land.seen(soft) == (0, 30, 0, 5)


# ------------------------------------------------------------------ records that move


def test_what_is_held_moves_with_its_record() -> None:
    land = Land()
    ann, org = land.limit("ann", 50), land.limit("org", 100)
    hold = land.hold(["ann"], 20)
    before = land.places()
    added = land.limit("ann", 30, granted=0)
    land.stripe.restamp()
    land.compile(["ann"])
    assert land.places()[ann.cell] != before[ann.cell]
    assert land.places()[org.cell] == before[org.cell]
    assert (land.seen(ann), land.seen(added)[:3]) == ((30, 0, 50, 50), (0, 0, 0))
    release(land.stripe, hold[NUMBER])
    assert land.seen(ann) == (50, 0, 50, 50)
    assert land.seen(added)[SPARE] == 0  # it was not held there, so nothing falls there


def test_orphans_move_with_their_record_and_end() -> None:
    land = Land()
    ann = land.limit("ann", 50, orphans=((15, 500),))
    land.compile(["ann"])
    land.limit("ann", 30, granted=0)
    land.stripe.restamp()
    land.compile(["ann"])
    assert land.seen(ann) == (35, 0, 50, 50)
    land.look(["ann"], now=499)
    assert land.seen(ann) == (35, 0, 50, 50)
    land.look(["ann"], now=500)
    assert land.seen(ann) == (35, 0, 35, 50)  # free in the ledger, not yet drawn
    assert land.stripe.orphans == {}


def test_what_is_held_of_a_limit_that_is_gone_lies_beside_until_it_ends() -> None:
    """And then it is swept away: nobody counts it any more."""
    land = Land()
    ann, org = land.limit("ann", 50, orphans=((15, 500),)), land.limit("org", 100)
    hold = land.hold(["ann"], 20)
    del land.cells[ann.cell]
    land.stripe.restamp()
    land.compile(["ann"])
    assert list(land.stripe.loose) == [ann.cell]
    assert land.look(["ann"])[0].cells == (org.cell,)
    sweep_loose(land.stripe, LATER)
    assert list(land.stripe.loose) == [ann.cell]  # something is held in it
    release(land.stripe, hold[NUMBER])
    assert land.seen(org) == (100, 0, 100, 100)
    sweep_loose(land.stripe, LATER)
    assert ann.cell not in land.places([ann.cell])
    assert (land.stripe.loose, land.stripe.orphans) == ({}, {})


def test_a_place_that_was_left_is_used_again() -> None:
    land = Land()
    first, second = land.limit("ann", 50), land.limit("bob", 60)
    land.compile(["ann"])
    left = land.places()[first.cell]
    land.limit("ann", 30, granted=0)
    land.stripe.restamp()
    land.compile(["ann"])
    size = len(land.stripe.numbers)
    land.compile(["bob"])
    assert land.places()[second.cell] == left
    assert len(land.stripe.numbers) == size
    assert land.seen(second) == (60, 0, 60, 60)


def test_a_resource_without_limits_has_a_record_of_two_numbers() -> None:
    land = Land()
    land.compile(["free"])
    assert len(land.stripe.numbers) == HEADER


def test_a_million_cells_are_flat_numbers() -> None:
    """Not objects: a garbage collection looks at one list."""
    land = Land()
    land.limit("org", 100)
    land.compile(["org"])
    numbers = land.stripe.numbers
    assert len(numbers) == HEADER + WIDTH
    assert [type(one) for one in numbers[1:]] == [int] * (1 + WIDTH)
    assert sys.getsizeof(numbers) < 200


# ------------------------------------------------------------------ currencies


def test_currencies_are_counted_apart() -> None:
    land = Land()
    tokens, money = land.limit("org", 100), land.limit("org", 40, currency="usd")
    land.hold(["org"], {"t": 30, "usd": 40})
    assert (land.seen(tokens)[SPARE], land.seen(money)[SPARE]) == (70, 0)


@pytest.mark.parametrize("decimals", [0, 2])
def test_a_currency_that_gets_other_decimals_is_laid_anew(decimals: int) -> None:
    """Only before anything was counted in it: the ledger refuses it afterwards."""
    land = Land()
    first = land.strand()
    assert (land.stripe.strand("t", 1, decimals) is first) == (decimals == 0)


def test_a_stripe_is_found_stale_as_soon_as_its_model_changed() -> None:
    land = Land()
    land.limit("org", 100)
    land.compile(["org"])
    wants = [(land.strand(), 5)]
    assert take_with_lock(land.stripe, "org", (), wants, 0, 1, 10) is not None
    land.stripe.restamp()
    assert take_with_lock(land.stripe, "org", (), wants, 0, 2, 10) is None
    assert land.stripe.numbers[HEADER + LIMIT] == 100


def turned(land: Land, old: Cell) -> Cell:
    """The window of a limit turned: it has another cell now."""
    del land.cells[old.cell]
    new = land.limit(old.resource, old.limit)
    land.compile([old.resource])
    return new


def test_what_is_held_in_a_window_that_is_over_lies_beside_the_next_one() -> None:
    """C5, LY1: and nobody else's numbers are laid over it, however often windows turn."""
    land = Land()
    first = land.limit("ann", 50)
    hold = land.hold(["ann"], 20)
    second = turned(land, first)
    [place] = land.stripe.holds[hold[NUMBER]][HELD][0][0]
    assert land.stripe.loose[first.cell].place == place
    assert land.stripe.numbers[place : place + WIDTH] == [30, 0, 50, 50, first.cell]
    third = turned(land, second)
    for resource in ("bob", "org", "emea"):
        land.limit(resource, 10)
        land.compile([resource])
    assert second.cell not in land.places([second.cell])  # nothing was held in it
    release(land.stripe, hold[NUMBER])
    assert land.seen(third) == (50, 0, 50, 50)
    assert land.stripe.numbers[place] == 50
    sweep_loose(land.stripe, LATER)
    assert land.stripe.loose == {}
    assert land.stripe.gives == {first.cell: 50}


def test_what_a_booking_has_set_apart_moves_with_its_cell() -> None:
    """LY1."""
    land = Land()
    first = land.limit("ann", 50)
    land.compile(["ann"])
    sight = land.look(["ann"])
    with land.stripe.lock:
        assert set_apart(land.stripe, *places_of(sight), 15, {}) == [15]
    turned(land, first)
    place = land.stripe.loose[first.cell].place
    assert land.stripe.apart == {place: 15}
    sweep_loose(land.stripe, LATER)
    assert first.cell in land.stripe.loose
    with land.stripe.lock:
        put_apart_back(land.stripe)
    assert land.stripe.numbers[place] == 50


def test_a_tail_is_stale_once_a_record_that_it_names_was_laid_anew() -> None:
    """P1: its places may be another cell's."""
    land = Land()
    org, ann = land.limit("org", 100), land.limit("ann", 50)
    land.compile(["ann"])
    stale = land.strand().leaves["ann"]
    turned(land, org)
    assert look(land.stripe, "ann", (), [(land.strand(), 1)], 0) is None
    assert land.strand().leaves["ann"] == stale
    land.compile(["ann"])
    turned(land, ann)  # no tail names it
    assert look(land.stripe, "ann", (), [(land.strand(), 1)], 0) is not None


def test_a_hold_of_nothing_keeps_its_cell_too() -> None:
    """LY1: it may be extended, in the cells that it has; their places are nobody else's meanwhile."""
    land = Land()
    first = land.limit("ann", 50)
    hold = land.hold(["ann"], 0)
    second = turned(land, first)
    land.limit("bob", 60)
    land.compile(["bob"])
    assert grow(land.stripe, hold[NUMBER], {"t": 20}, 0)
    assert not grow(land.stripe, hold[NUMBER], {"t": 31}, 0)
    assert land.seen(second) == (50, 0, 50, 50)
    place = land.stripe.loose[first.cell].place
    assert land.stripe.numbers[place] == 30
    sweep_loose(land.stripe, LATER)
    assert first.cell in land.stripe.loose
