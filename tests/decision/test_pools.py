"""Pools: who pays what, who pays for what was overdrawn, and what stays held when a grant ends."""

import hypothesis.strategies as st
import pytest
from hypothesis import example, given

from stiggctl.answers import Circumstances
from stiggctl.decision.cells import CUSTOMER, NEVER
from stiggctl.decision.decide import Met, look, most
from stiggctl.decision.holds import NUMBER, units_of
from stiggctl.decision.laying import all_cells, sweep_loose
from stiggctl.decision.meeting import Meeting
from stiggctl.decision.moving import grow, set_apart_of_pool
from stiggctl.decision.paths import compile_path, tail_of_members
from stiggctl.decision.pools import Coming, Grant, Numbers, comings_and_goings, most_of, room_of, split
from stiggctl.decision.reservations import release
from stiggctl.decision.sights import members_of
from stiggctl.holder.ways import Way
from stiggctl.shares import drawable
from tests.decision.land import is_held, take_with_lock

from .land import Cell, Land

SMALL = st.integers(0, 9)
#: (amount, used, drawn by this process, held of that): whatever a grant may look like; mostly sound.
LOOKS = st.tuples(SMALL, st.integers(0, 3) | st.integers(0, 12), st.integers(0, 4) | SMALL, st.integers(0, 2))


def told(looks: list[tuple[int, int, int, int]]) -> tuple[list[Grant], Numbers]:
    """Grants as a path gathers them; what is held is never more than what was drawn."""
    grants = [Grant(str(at), amount, NEVER) for at, (amount, *_) in enumerate(looks)]
    spare = [max(0, drawn - held) for *_, drawn, held in looks]
    return grants, Numbers(spare, [used for _, used, *_ in looks], [drawn for *_, drawn, _ in looks])


def unit_by_unit(looks: list[tuple[int, int, int, int]], units: int) -> list[int] | None:
    """Each unit is paid by the first that can; None where the first that could was not drawn."""
    grants, numbers = told(looks)
    left = list(numbers.spare)
    free = [amount - used - drawn for amount, used, drawn, _ in looks]
    for owed in range(len(free)):  # what is overdrawn, unit by unit, the first that has something pays
        while free[owed] < 0 and any(each > 0 for each in free):
            payer = next(at for at, each in enumerate(free) if each > 0)
            free[payer] -= 1
            free[owed] += 1
    paid = [0] * len(grants)
    for _ in range(units):
        payer = next((at for at in range(len(paid)) if left[at] > 0 or free[at] > 0), None)
        if payer is None or left[payer] == 0:
            return None
        left[payer] -= 1
        paid[payer] += 1
    return paid


@example(looks=[(9, 0, 2, 0), (5, 0, 5, 0)], units=2)
@example(looks=[(9, 0, 2, 0), (5, 0, 5, 0)], units=4)  # the first has room that was not drawn
@example(looks=[(9, 7, 2, 0), (5, 0, 5, 0)], units=4)
@example(looks=[(9, 0, 2, 0), (5, 12, 0, 0), (5, 0, 5, 0)], units=4)  # which pays for what was overdrawn
@given(looks=st.lists(LOOKS, max_size=5), units=st.integers(0, 12))
def test_a_grant_pays_only_for_what_those_before_it_cannot_pay(
    looks: list[tuple[int, int, int, int]], units: int
) -> None:
    """PL1, PL2: against a reference that pays unit by unit."""
    grants, numbers = told(looks)
    assert split(grants, numbers, units) == unit_by_unit(looks, units)


@given(looks=st.lists(LOOKS, max_size=5))
def test_the_most_that_a_pool_pays_is_the_largest_amount_that_it_splits(
    looks: list[tuple[int, int, int, int]],
) -> None:
    grants, numbers = told(looks)
    assert most_of(grants, numbers) == max(n for n in range(60) if unit_by_unit(looks, n) is not None)


@given(free=st.lists(st.integers(-9, 9), max_size=6))
def test_no_more_is_drawn_than_a_pool_has_together(free: list[int]) -> None:
    """PL2: and the first that have something pay for what was overdrawn."""
    drawn = drawable(free)
    assert sum(drawn) == max(0, sum(free)) or sum(free) < 0 == sum(drawn)
    assert all(0 <= part <= max(0, has) for part, has in zip(drawn, free, strict=True))
    kept = [max(0, has) - part for part, has in zip(drawn, free, strict=True)]
    first_whole = next((at for at, part in enumerate(drawn) if part), len(free))
    assert not any(kept[first_whole + 1 :])


def test_what_is_left_of_a_pool_is_neither_used_nor_held() -> None:
    grants, numbers = told([(10, 3, 6, 2), (5, 7, 0, 0)])
    assert room_of(grants, numbers) == 10 - 3 - 2 + 5 - 7


# ------------------------------------------------------------------ under a stripe


def test_an_amount_is_split_over_grants_and_goes_back_to_the_same() -> None:
    land = Land()
    first, second = land.grant(10), land.grant(20, at=1)
    land.hold(["free"], 6)
    split_up = land.hold(["free"], 9)
    assert [land.held(first), land.held(second)] == [10, 5]
    release(land.stripe, split_up[NUMBER])
    assert [land.held(first), land.held(second)] == [6, 0]


@pytest.mark.parametrize("asked", [25, 26])
def test_a_minimum_takes_what_the_pool_has(asked: int) -> None:
    land = Land()
    land.grant(10)
    land.grant(15, at=1)
    assert most(land.look(["free"], asked)) == 25
    taken = land.take(["free"], asked, minimum=20)
    assert is_held(taken)
    assert units_of(taken) == {"t": 25}


def test_what_was_overdrawn_is_given_back_by_the_first_that_has_spare() -> None:
    """C6: and no more than that."""
    land = Land()
    over, second = land.grant(10), land.grant(20, at=1)
    land.grant(30, at=2)
    land.look(["free"])
    over.used, over.granted = 18, 0
    land.tell(over)
    assert land.stripe.gives == {second.cell: 8}
    assert isinstance(land.take(["free"], 43), Met)
    assert is_held(land.take(["free"], 42))


def test_a_release_into_a_pool_that_is_overdrawn_is_not_spent_again() -> None:
    """C6: what one gets back pays for what was overdrawn on another."""
    land = Land()
    first = land.grant(10)
    land.grant(10, at=1)
    hold = land.hold(["free"], 20)
    first.used, first.granted = 15, 10  # usage that nobody admitted
    land.tell(first)
    release(land.stripe, hold[NUMBER])
    assert land.look(["free"])[0].has_pool
    # 20 in all, 15 used: 5 are left.
    assert isinstance(land.take(["free"], 6), Met)
    assert is_held(land.take(["free"], 5))


def test_a_grant_that_ends_under_a_hold_keeps_it_and_takes_the_rest_away() -> None:
    land = Land()
    ending, lasting = land.grant(10), land.grant(10, at=1)
    hold = land.hold(["free"], 4)
    land.grants.remove(ending.cell)
    land.stripe.restamp()
    assert isinstance(land.take(["free"], 11), Met)
    assert is_held(land.take(["free"], 10))
    assert [land.held(ending), land.held(lasting)] == [4, 10]
    release(land.stripe, hold[NUMBER])
    assert isinstance(land.take(["free"], 1), Met)  # what came back to it is gone


def test_what_was_held_with_no_grant_open_does_not_grow() -> None:
    land = Land()
    land.grants = []
    hold = land.hold(["free"], 0)
    assert grow(land.stripe, hold[NUMBER], {"t": 1}, 0) is False
    assert grow(land.stripe, hold[NUMBER], {"t": 0}, 0) is True


def test_an_extension_takes_from_the_grants_that_were_open() -> None:
    land = Land()
    first, second = land.grant(10), land.grant(10, at=1)
    hold = land.hold(["free"], 4)
    assert grow(land.stripe, hold[NUMBER], {"t": 9}, 0) is True
    assert [land.held(first), land.held(second)] == [10, 3]
    assert grow(land.stripe, hold[NUMBER], {"t": -5}, 0) is True  # the last that paid gets back first
    assert [land.held(first), land.held(second)] == [8, 0]
    assert grow(land.stripe, hold[NUMBER], {"t": 13}, 0) is False
    assert [land.held(first), land.held(second)] == [8, 0]


def test_for_a_booking_no_more_is_set_apart_than_it_may_cost() -> None:
    land = Land()
    cells: list[Cell] = [land.grant(10), land.grant(20, at=1), land.grant(30, at=2)]
    land.look(["free"])
    at = land.places(one.cell for one in cells)
    with land.stripe.lock:
        spares = set_apart_of_pool(land.stripe, [at[one.cell] for one in cells], 25)
    assert spares == [10, 15, 0]
    assert [land.seen(one)[0] for one in cells] == [0, 5, 30]


def test_every_path_of_a_customer_has_its_pool_and_so_has_one_that_names_no_resource() -> None:
    """P4."""
    land = Land()
    land.limit("team", 100)
    grant = land.grant(10)
    assert land.look(["ann"])[0].grant_cells == (grant.cell,)
    pool, strand = land.pool(), land.strand()
    assert pool is not None
    with land.stripe.lock:
        compile_path(
            strand,
            [pool.node],
            pool=pool,
            version=land.stripe.version,
            meeting=Meeting(),
            refuse_unlimited=False,
            customer_refusal=None,
        )
    wants = [(strand, 10)]
    sights = look(land.stripe, CUSTOMER, (), wants, 0)
    assert sights is not None
    assert [raw.is_pool for raw in sights[0][0].raw_limits(sights[0], Circumstances())] == [True]
    assert members_of(sights[0]) == ()
    taken = take_with_lock(land.stripe, CUSTOMER, (), wants, 0, 1, 10)
    assert taken is not None
    assert is_held(taken)
    assert land.held(grant) == 10


# ------------------------------------------------------------------ when there will be more


@given(
    rooms=st.lists(
        st.tuples(st.integers(-5, 9), st.sampled_from([10, 20, 30, NEVER])), min_size=1, max_size=4
    ),
    held=st.lists(st.tuples(SMALL, st.sampled_from([5, 10, 25, 40, NEVER]), SMALL), max_size=4),
    starts=st.lists(st.tuples(st.integers(1, 50), st.integers(1, 30), SMALL), max_size=4),
)
def test_what_a_pool_will_have_is_the_sum_over_those_that_are_open_then(
    rooms: list[tuple[int, int]], held: list[tuple[int, int, int]], starts: list[tuple[int, int, int]]
) -> None:
    frees = [(grant % len(rooms), at, units) for grant, at, units in held]
    coming = [Coming(start, start + lasts, units) for start, lasts, units in starts]
    changes = comings_and_goings(rooms, frees, coming)
    for now in range(60):
        have = sum(room for room, until in rooms if now < until)
        have += sum(units for grant, at, units in frees if at <= now < rooms[grant][1] and at != NEVER)
        have += sum(one.units for one in coming if one.from_us <= now < one.until_us)
        assert have == sum(room for room, _ in rooms) + sum(units for at, units in changes if at <= now)


# ------------------------------------------------------------------ a pool that is laid anew


def test_a_path_whose_pool_was_laid_anew_since_is_compiled_again() -> None:
    """P1: a thread whose clock reading is a moment older still asks for it."""
    land = Land()
    land.grant(10)
    land.look(["ann"])
    land.grant(5)  # of the same version: a grant began, say
    land.compile(["paris"])
    assert look(land.stripe, "ann", (), [(land.strand(), 1)], 0) is None


def test_a_path_that_was_fixed_is_none_any_more_once_a_grant_of_it_lies_elsewhere() -> None:
    land = Land()
    grant = land.grant(10)
    pool, strand = land.pool(), land.strand()
    with land.stripe.lock:
        tail = tail_of_members(strand, [], pool=pool, meeting=Meeting(), customer_refusal=None)
    way = Way(land.stripe, (), {}, frozenset(), version=-1)
    way.fix(land.stripe.version, [tail], {})
    with land.stripe.lock:
        assert way.tails_at(0) == [tail]
        sweep_loose(land.stripe, 10**15)
        assert grant.cell not in all_cells(land.stripe)
        assert way.tails_at(0) is None
