"""Holders: who may write usage; what a dead one held is withheld until it ends."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stiggctl.ledger import Fenced
from stiggctl.ledger.opening import open_ledger
from stiggctl.ledger.records import HolderRow, Orphan

from .world import NOW_US, World, holder


def test_a_process_enlists_where_nobody_else_lives(ledger) -> None:
    me = holder("me", pid=17, host="here", boot="b", lock_inode=3, ttl_max_ms=5)
    id_ = ledger.enlist(me)
    row = HolderRow(id=id_, name="me", host="here", boot="b", pid=17, lock_inode=3, state=0, ttl_max_ms=5)
    assert ledger.enlist(holder("you")) == [row]
    with ledger.reader() as reader:
        assert reader.holders() == [row]


def test_a_process_enlists_beside_those_that_it_knows_to_live(ledger) -> None:
    """Of one that it does not know it is told first: that one may be dead, and is to be buried."""
    first = ledger.enlist(holder(obeys=7))
    second = ledger.enlist(holder(), [first])
    assert isinstance(second, int)
    for known, told in (([], [first, second]), ([first], [second]), ([second, 99], [first])):
        assert [row.id for row in ledger.enlist(holder(), known)] == told
    third = ledger.enlist(holder(), [second, first])
    with ledger.reader() as reader:
        assert {row.id: row.obeys for row in reader.holders()} == {first: 7, second: 0, third: 0}


def test_who_is_buried_obeys_nobody_any_more(ledger) -> None:
    me = ledger.enlist(holder(obeys=7))
    ledger.bury(me, {}, NOW_US)
    with pytest.raises(Fenced):
        ledger.obey(me, 8)
    with ledger.reader() as reader:
        assert reader.rows("SELECT * FROM seen", {}) == []


def test_a_holder_that_is_buried_makes_room_and_its_id_is_never_used_again(ledger) -> None:
    first = ledger.enlist(holder())
    ledger.bury(first, {}, NOW_US)
    second = ledger.enlist(holder())
    assert isinstance(second, int)
    assert second > first
    with ledger.reader() as reader:
        assert [row.id for row in reader.holders()] == [second]


def test_a_longer_ttl_is_promised_before_it_is_used(ledger) -> None:
    me = ledger.enlist(holder(ttl_max_ms=1_000))
    for asked, has in ((5_000, 5_000), (2_000, 5_000)):
        ledger.raise_ttl(me, asked)
        with ledger.reader() as reader:
            assert reader.holders()[0].ttl_max_ms == has
    ledger.bury(me, {}, NOW_US)
    for who in (me, me + 1):
        with pytest.raises(Fenced):
            ledger.raise_ttl(who, 9_000)


def test_what_a_dead_holder_did_not_hold_is_free_at_once(world: World) -> None:
    """HR1."""
    world.exchange(asks=[world.ask(5)])
    world.ledger.bury(world.me, {world.ids["a"]: [Orphan(30, NOW_US + 10)]}, NOW_US)
    cell, root = world.cell("a"), world.cell("root")
    assert (cell.granted, cell.others, cell.orphans) == (0, 0, (Orphan(30, NOW_US + 10),))
    assert (root.granted, root.others, root.orphans) == (0, 0, ())
    world.assert_sound()


def test_of_what_a_dead_holder_held_the_latest_ends_count_first_and_never_more_than_its_share(
    world: World,
) -> None:
    world.exchange(asks=[world.ask(5)])
    world.exchange(world.booking("k", 55, ["a"], spend=55))  # 45 are left, and its page says 60
    held = [Orphan(20, NOW_US + 10), Orphan(20, NOW_US + 30), Orphan(20, NOW_US + 20)]
    world.ledger.bury(world.me, {world.ids["a"]: held}, NOW_US)
    assert world.cell("a").orphans == (
        Orphan(5, NOW_US + 10), Orphan(20, NOW_US + 20), Orphan(20, NOW_US + 30),
    )  # fmt: skip
    world.assert_sound()


def test_no_hold_of_a_dead_holder_ends_later_than_it_could_promise(world: World) -> None:
    world.exchange(asks=[world.ask(5)])
    longest = NOW_US + 600_000 * 1_000
    held = [Orphan(1, longest - 1), Orphan(2, longest + 1), Orphan(4, longest * 2)]
    world.ledger.bury(world.me, {world.ids["a"]: held}, NOW_US)
    assert world.cell("a").orphans == (Orphan(1, longest - 1), Orphan(6, longest))
    world.assert_sound()


def test_holds_that_have_ended_and_cells_without_a_share_withhold_nothing(world: World) -> None:
    world.exchange(asks=[world.ask(5, ["a"])])
    held = {
        world.ids["a"]: [Orphan(5, NOW_US), Orphan(5, NOW_US - 1), Orphan(0, NOW_US + 1)],
        world.ids["b"]: [Orphan(5, NOW_US + 1)],
        10**6: [Orphan(5, NOW_US + 1)],
    }
    world.ledger.bury(world.me, held, NOW_US)
    assert [world.cell(name).orphans for name in ("a", "b")] == [(), ()]
    world.assert_sound()


def test_burying_twice_is_burying_once(world: World) -> None:
    world.exchange(asks=[world.ask(5)])
    held = {world.ids["a"]: [Orphan(30, NOW_US + 10)]}
    for _ in range(2):
        world.ledger.bury(world.me, held, NOW_US)
        assert world.cell("a").orphans == tuple(held[world.ids["a"]])
    world.ledger.bury(10**6, held, NOW_US)
    world.assert_sound()


@given(st.lists(st.lists(st.tuples(st.integers(0, 60), st.integers(-2, 9)), max_size=4), max_size=5))
def test_however_many_die_no_more_is_withheld_than_they_held(deaths: list[list[tuple[int, int]]]) -> None:
    ledger = open_ledger(":memory:")
    world = World(ledger)
    for n, held in enumerate(deaths):
        now_us = NOW_US + 2 * n
        world.exchange(asks=[world.ask(0, ["a"], request=1)], now_us=now_us)
        before = world.cell("a")
        mine = sorted((Orphan(units, now_us + end) for units, end in held), key=lambda one: one.until_us)
        ledger.bury(world.me, {world.ids["a"]: mine}, now_us)
        world.me = world.enlist()
        after = world.cell("a")
        new = sum(orphan.units for orphan in after.orphans) - sum(orphan.units for orphan in before.orphans)
        assert new == min(before.granted, sum(one.units for one in mine if one.until_us > now_us))
        assert after.granted == 0
        world.assert_sound()
    ledger.close()
