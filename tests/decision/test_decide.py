"""Deciding: one comparison, all cells or none, and what a booking and a reply do to the numbers."""

import threading
from itertools import pairwise

import hypothesis.strategies as st
import pytest
from hypothesis import given

from stiggctl.decision.cells import CUSTOMER, LIMIT, SPARE
from stiggctl.decision.decide import Met, fits, look, most, types_of
from stiggctl.decision.holds import NUMBER, SIGHTS, units_of
from stiggctl.decision.moving import grow, put_apart_back, set_apart
from stiggctl.decision.reservations import release
from stiggctl.decision.sights import places_of
from tests.decision.land import is_held, take_with_lock

from .land import Land

# ------------------------------------------------------------------ D1


@given(
    limits=st.tuples(*[st.integers(0, 9)] * 4), asked=st.lists(st.integers(0, 10), min_size=1, max_size=12)
)
def test_an_amount_fits_if_and_only_if_it_fits_every_limit(limits: tuple[int, ...], asked: list[int]) -> None:
    """D1, D2: against the least of four subtractions."""
    land, held = Land(), 0
    for name, limit in zip(("org", "team", "ann", "emea"), limits, strict=True):
        land.limit(name, limit)
    for units in asked:
        fitting = held + units <= min(limits)
        assert is_held(land.take(["ann", "emea"], units)) == fitting
        held += units * fitting
    assert {land.held(cell) for cell in land.cells.values()} == {held}


@pytest.mark.parametrize("short", ["org", "team", "ann", "emea", "paris"])
def test_a_denial_changes_no_number(short: str) -> None:
    """D1: whichever limit it is that denies, first, last or in between."""
    land = Land()
    for name in ("org", "team", "ann", "emea", "paris"):
        land.limit(name, 4 if name == short else 50)
    land.limit("bob", 3, hard=False)
    ids = ["ann", "paris", "bob"]
    land.look(ids)
    before = list(land.stripe.numbers)
    taken = land.take(ids, 5)
    assert isinstance(taken, Met)
    assert (land.stripe.holds, land.stripe.numbers) == ({}, before)
    assert is_held(land.take(ids, 4))


def test_what_fits_is_never_refused_while_a_larger_request_is_being_refused() -> None:
    """D1: charging and undoing would let the small one meet the large one's charge."""
    land = Land()
    names = ["org", "team", "ann"]
    for name in names:
        land.limit(name, 10 if name == "org" else 10_000)
    land.look(["ann"])
    stop, small = threading.Event(), []

    def ask_too_much() -> None:
        wants = [(land.strand(), 11)]
        while not stop.is_set():
            taken = take_with_lock(land.stripe, "ann", (), wants, 0, 10**9, 10)
            assert taken is not None
            assert isinstance(taken, Met)

    others = [threading.Thread(target=ask_too_much) for _ in range(2)]
    for one in others:
        one.start()
    wants = [(land.strand(), 10)]
    for number in range(3_000):
        taken = take_with_lock(land.stripe, "ann", (), wants, 0, number, 10)
        small.append(is_held(taken))
        release(land.stripe, number)
    stop.set()
    for one in others:
        one.join()
    assert all(small)
    assert land.seen(land.path(["org"])[0])[SPARE] == 10


def test_many_threads_hold_a_limit_to_the_unit_and_not_one_more() -> None:
    """D1, D3: all of it is taken, and nothing is taken twice."""
    land = Land()
    cells = [land.limit(name, limit) for name, limit in (("org", 997), ("ann", 2_000), ("bob", 2_000))]
    for one in ("ann", "bob"):
        land.look([one])
    start, wants = threading.Barrier(8), [(land.strand(), 3)]
    held = [0] * 8

    def spend(at: int) -> None:
        start.wait()
        for number in range(at * 1_000, at * 1_000 + 200):
            taken = take_with_lock(land.stripe, "ann" if at % 2 else "bob", (), wants, 0, number, 10)
            held[at] += 3 * is_held(taken)

    threads = [threading.Thread(target=spend, args=(at,)) for at in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert sum(held) == 996
    assert land.seen(cells[0])[SPARE] == 1


def test_several_currencies_all_or_nothing() -> None:
    """D1: the first fits and is not held, because the second does not."""
    land = Land()
    tokens, money = land.limit("org", 100), land.limit("org", 40, currency="usd")
    assert isinstance(land.take(["org"], {"t": 30, "usd": 41}), Met)
    assert isinstance(land.take(["org"], {"usd": 30, "t": 101}), Met)
    assert (land.seen(tokens)[SPARE], land.seen(money)[SPARE]) == (100, 40)
    assert units_of(land.hold(["org"], {"t": 30, "usd": 40})) == {"t": 30, "usd": 40}


# ------------------------------------------------------------------ D2


def test_exactly_what_is_left_fits_and_one_more_does_not() -> None:
    """D2: in the tail and in the first resource's own record."""
    for above, own in ((10, 99), (99, 10), (10, 10)):
        land = Land()
        land.limit("org", above)
        land.limit("ann", own)
        assert isinstance(land.take(["ann"], 11), Met)
        assert is_held(land.take(["ann"], 10))
        assert isinstance(land.take(["ann"], 1), Met)


def test_soft_limits_deny_nothing() -> None:
    """D2."""
    land = Land()
    land.limit("org", 1, hard=False)
    land.limit("ann", 1, hard=False)
    assert is_held(land.take(["ann"], 50))


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize("passed", ["org", "ann"])
def test_nothing_fits_while_a_limit_is_passed_and_otherwise_zero_always_does(passed: str, told: bool) -> None:
    """D2: an amount of 0 asks whether a limit is passed."""
    land = Land()
    for name in ("org", "ann"):
        land.limit(name, 10, used=11 if name == passed else 10)
    assert isinstance(land.take(["ann"], 0, told=told), Met)
    land = Land()
    for name in ("org", "ann"):
        land.limit(name, 10, used=10)
    assert is_held(land.take(["ann"], 0, told=told))
    assert isinstance(land.take(["ann"], 1), Met)


def test_zero_fits_at_the_limit_however_it_is_used_up() -> None:
    """D2: by what is used, by what is held here, by what the dead held."""
    for facts in ({"used": 10}, {"orphans": ((10, 500),)}, {}):
        land = Land()
        org = land.limit("org", 10, **facts)
        if not facts:
            land.hold(["org"], 10)
        assert is_held(land.take(["org"], 0))
        org.used += 1
        land.tell(org)
        assert isinstance(land.take(["org"], 0), Met)


@given(spares=st.tuples(st.integers(0, 9), st.integers(0, 9)), units=st.integers(1, 12))
def test_the_most_that_fits_fits_and_one_more_does_not(spares: tuple[int, int], units: int) -> None:
    """D2."""
    land = Land()
    for name, limit in zip(("org", "ann"), spares, strict=True):
        land.limit(name, limit)
    sight = land.look(["ann"], units)
    found = most(sight)
    assert found == min(units, *spares)
    assert fits(land.look(["ann"], found))
    assert found == units or not fits(land.look(["ann"], found + 1))


@given(spare=st.integers(0, 9), units=st.integers(0, 9), minimum=st.integers(0, 9))
def test_with_a_minimum_it_takes_what_fits_or_nothing(spare: int, units: int, minimum: int) -> None:
    minimum = min(units, minimum)
    land = Land()
    org = land.limit("org", spare)
    taken = land.take(["org"], units, minimum=minimum)
    got = min(units, spare)
    assert is_held(taken) == (got >= minimum)
    assert land.held(org) == (got if got >= minimum else 0)
    if is_held(taken):
        assert (taken[SIGHTS][0][4], units_of(taken)) == (got, {"t": got})


# ------------------------------------------------------------------ D3


def test_a_path_of_an_older_model_is_never_used_however_threads_meet() -> None:
    """D3: a move and a hold; what is held is held where the resource stood at that moment."""
    land = Land()
    team, ops = land.limit("team", 10**9), land.limit("ops", 10**9)
    for above in ("team", "ops"):
        land.parents["ann"] = above
        land.stripe.restamp()
        land.look(["ann"])
    wants, taken, stop = [(land.strand(), 1)], [], threading.Event()

    def spend() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            found = take_with_lock(land.stripe, "ann", (), wants, 0, number, 10)
            if is_held(found):
                [(tail, _, own, *_)] = found[SIGHTS]
                taken.append((own[0].version, sorted(tail.ids - {CUSTOMER})))

    thread = threading.Thread(target=spend)
    thread.start()
    stood = {}
    for turn in range(400):
        land.parents["ann"] = above = ("team", "ops")[turn % 2]
        land.stripe.restamp()
        stood[land.stripe.version] = sorted({above, "org"})
        land.look(["ann"])
    stop.set()
    thread.join()
    assert taken
    assert all(stood.get(version, ids) == ids for version, ids in taken)
    assert all(before <= after for (before, _), (after, _) in pairwise(taken))
    assert land.held(team) + land.held(ops) == len(taken)


def test_what_decides_has_the_lock_while_it_looks_and_while_it_holds() -> None:
    """D3: or two would be given the last unit, each after both had looked."""
    land = Land()
    land.limit("org", 10)
    hold = land.hold(["org"], 1)
    seen: list[bool] = []

    class Watched(list):  # type: ignore[type-arg]  # numbers, and the headers of records
        def __getitem__(self, at: object) -> object:
            seen.append(land.stripe.lock.locked())
            return super().__getitem__(at)  # type: ignore[call-overload]  # as list does

    land.stripe.numbers = Watched(land.stripe.numbers)
    wants = [(land.strand(), 1)]
    for decides in (
        lambda: take_with_lock(land.stripe, "org", (), wants, 0, 77, 10),
        lambda: look(land.stripe, "org", (), wants, 0),
        lambda: grow(land.stripe, hold[NUMBER], {"t": 1}, 0),
        lambda: release(land.stripe, hold[NUMBER]),
        lambda: types_of(land.strand(), ["org"]),
    ):
        seen.clear()
        decides()
        assert seen
        assert all(seen)


def test_who_asks_at_the_instant_a_hold_ends_finds_it_free() -> None:
    """D3: not one microsecond before."""
    for now, free in ((499, False), (500, True)):
        land = Land()
        land.limit("org", 10)
        land.hold(["org"], 10, ends=500)
        assert is_held(land.take(["org"], 1, now=now)) == free
        assert land.stripe.ended == ([1] if free else [])


def test_a_denial_knows_what_was_held_at_that_moment() -> None:
    land = Land()
    land.limit("org", 10, orphans=((1, 700),))
    hold = land.hold(["org"], 9, ends=500)
    taken = land.take(["org"], 1)
    assert taken.holds == (hold,)
    assert list(taken.orphans.values()) == [((1, 700),)]
    release(land.stripe, hold[NUMBER])
    assert taken.holds == (hold,)  # it keeps what it saw


# ------------------------------------------------------------------ grow


def test_what_is_extended_counts_in_the_cells_of_the_hold_only() -> None:
    land = Land()
    team, ops = land.limit("team", 10), land.limit("ops", 10)
    hold = land.hold(["ann"], 4)
    land.parents["ann"] = "ops"
    land.stripe.restamp()
    land.look(["ann"])
    assert grow(land.stripe, hold[NUMBER], {"t": 6}, 0) is True
    assert (land.seen(team)[SPARE], land.seen(ops)[SPARE]) == (0, 10)
    assert grow(land.stripe, hold[NUMBER], {"t": 1}, 0) is False
    assert units_of(land.stripe.holds[hold[NUMBER]]) == {"t": 10}
    release(land.stripe, hold[NUMBER])
    assert land.seen(team)[SPARE] == 10


def test_an_extension_in_several_currencies_is_all_or_nothing() -> None:
    """D1."""
    land = Land()
    tokens, money = land.limit("org", 10), land.limit("org", 10, currency="usd")
    hold = land.hold(["org"], {"t": 1, "usd": 1})
    assert grow(land.stripe, hold[NUMBER], {"t": 9, "usd": 10}, 0) is False
    assert (land.seen(tokens)[SPARE], land.seen(money)[SPARE]) == (9, 9)
    assert grow(land.stripe, hold[NUMBER], {"usd": 9}, 0) is True
    assert (land.seen(tokens)[SPARE], land.seen(money)[SPARE]) == (9, 0)


def test_what_has_ended_cannot_be_extended() -> None:
    land = Land()
    land.limit("org", 10)
    hold = land.hold(["org"], 4, ends=500)
    assert grow(land.stripe, hold[NUMBER], {"t": 1}, 499) is True
    assert grow(land.stripe, hold[NUMBER], {"t": 1}, 500) is None
    assert grow(land.stripe, 4711, {"t": 1}, 0) is None


# ------------------------------------------------------------------ set_apart


def settled(land: Land, ids: list[str], units: int, held: int = 0) -> list[int]:
    """What each cell of a path pays, the HARD ones first."""
    places, hard = places_of(land.look(ids))
    with land.stripe.lock:
        return set_apart(land.stripe, places, hard, units, dict.fromkeys(places, held))


@pytest.mark.parametrize(
    ("units", "spend", "spare"),
    [(0, 0, 10), (4, 4, 6), (10, 10, 0), (11, 10, 0), (10**6, 10, 0), (-3, 0, 10)],
)
def test_a_report_pays_with_the_spare_that_there_is(units: int, spend: int, spare: int) -> None:
    """C1: never more, so spare is never negative; a reversal pays nothing."""
    land = Land()
    org = land.limit("org", 10)
    assert settled(land, ["org"], units) == [spend]
    assert land.seen(org)[SPARE] == spare


@pytest.mark.parametrize(
    ("units", "spend", "spare"), [(0, 0, 6), (3, 3, 6), (4, 4, 6), (7, 7, 3), (10, 10, 0), (99, 10, 0)]
)
def test_a_settle_pays_with_what_it_held_first(units: int, spend: int, spare: int) -> None:
    """C1: what it did not need falls with the hold, after the commit; beyond it spare is set apart."""
    land = Land()
    org = land.limit("org", 10)
    land.hold(["org"], 4)
    assert settled(land, ["org"], units, held=4) == [spend]
    assert land.seen(org)[SPARE] == spare


def test_each_limit_pays_what_it_can() -> None:
    land = Land()
    land.limit("org", 10)
    land.limit("ann", 3)
    land.limit("ann", 1, hard=False)
    spends = settled(land, ["ann"], 8)
    assert sorted(spends) == [0, 3, 8]
    assert spends[-1] == 0  # SOFT ones last, and they pay nothing
    assert sorted(land.seen(cell)[SPARE] for cell in land.cells.values()) == [0, 0, 2]


# ------------------------------------------------------------------ install


def test_what_falls_is_spare_again_where_the_ledger_told_nothing() -> None:
    """A refused booking: what was set apart comes back."""
    land = Land()
    org = land.limit("org", 10)
    settled(land, ["org"], 7)
    assert land.seen(org)[SPARE] == 3
    land.tell()
    assert land.seen(org)[SPARE] == 10
    settled(land, ["org"], 7)
    with land.stripe.lock:
        put_apart_back(land.stripe)
    assert land.seen(org)[SPARE] == 10
    assert land.stripe.apart == {}


def test_what_was_spent_is_not_spare_again() -> None:
    """The ledger's number has it off already; the hold falls in the same step."""
    land = Land()
    org = land.limit("org", 10)
    hold = land.hold(["org"], 6)
    settled(land, ["org"], 4, held=6)
    org.used, org.granted = 4, 6
    land.tell(org, settled=[hold])
    assert land.seen(org) == (6, 4, 6, 10)
    assert land.stripe.holds == {}


def test_a_draw_is_spare_beside_what_is_held() -> None:
    land = Land()
    org = land.limit("org", 10, granted=3)
    land.hold(["org"], 2)
    org.granted = 9
    land.tell(org)
    assert land.seen(org) == (7, 0, 9, 10)


def test_the_ledger_says_who_else_holds_and_until_when() -> None:
    land = Land()
    org = land.limit("org", 10, granted=3)
    land.compile(["org"])
    org.orphans = ((2, 500), (1, 600))
    land.tell(org)
    assert land.seen(org) == (3, 0, 6, 10)
    land.look(["org"], now=500)
    assert land.seen(org) == (3, 0, 4, 10)
    org.orphans = ()
    land.tell(org)
    assert land.seen(org) == (3, 0, 3, 10)
    assert land.stripe.orphans == {}


def test_a_reply_does_not_change_the_limit_that_paths_were_compiled_with() -> None:
    """It changes with its path, under one version."""
    land = Land()
    org = land.limit("org", 10)
    land.compile(["org"])
    org.limit = 20
    land.tell(org)
    assert land.seen(org)[LIMIT] == 10
