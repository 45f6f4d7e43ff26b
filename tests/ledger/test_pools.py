"""Pools: how grants pay for an event together, and how room is drawn of all of them at once."""

import itertools
from contextlib import closing
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stiggctl.amounts import COUNTER_MAX
from stiggctl.errors import LedgerCorrupt
from stiggctl.ledger.opening import open_ledger
from stiggctl.ledger.records import (
    Ask,
    AskCell,
    Booked,
    Draining,
    Drawn,
    Known,
    Orphan,
    Part,
    Payer,
    Refused,
)
from stiggctl.ledger.sqlite import pools
from stiggctl.shares import drawable, surplus

from .prepaid import Prepaid
from .test_shares import _halt_surplus
from .world import NOW_US, World, grant

SECOND = 1_000_000


@pytest.fixture
def pool(world: World) -> Prepaid:
    """Three grants, of which nothing is used or granted."""
    return Prepaid(world, {"x": 10, "y": 20, "z": 40})


ALL = ["x", "y", "z"]


# ------------------------------------------------------------------ who pays


def test_grants_pay_in_drain_order_each_up_to_its_amount(pool: Prepaid) -> None:
    """PY1, PY2."""
    assert pool.paid(pool.book("1", 25, ["y", "x", "z"])) == {"y": 20, "x": 5}
    assert pool.paid(pool.book("2", 25, ["y", "x", "z"])) == {"x": 5, "z": 20}
    assert pool.paid(pool.book("3", 20, ["y", "x", "z"])) == {"z": 20}
    assert pool.numbers() == {"x": (10, 0), "y": (20, 0), "z": (40, 0)}
    pool.world.assert_sound()


def test_what_is_more_than_all_of_them_is_booked_on_the_last(pool: Prepaid) -> None:
    """PY2, RC3: as the pool's overage; what comes after it, too."""
    done = pool.book("1", 75, ALL)
    assert pool.paid(done) == {"x": 10, "y": 20, "z": 45}
    drained = done.parts[0].drained
    assert (drained.overage_units, done.parts[0].overage_units) == (5, 5)
    assert drained.payers == tuple(pool.ids[name] for name in ALL)
    assert drained.used_after == (10, 20, 45)
    after = pool.book("2", 3, ALL)
    assert (pool.paid(after), after.parts[0].overage_units) == ({"z": 3}, 3)
    pool.world.assert_sound()


def test_what_was_overdrawn_on_one_is_no_overage_where_another_has_room(pool: Prepaid) -> None:
    """The pool is one: a later grant pays for it while both are open."""
    first = pool.book("1", 25, ["x"])
    assert first.parts[0].overage_units == 15
    both = pool.book("2", 4, ["x", "y"])
    assert (pool.paid(both), both.parts[0].overage_units) == ({"y": 4}, 0)
    more = pool.book("3", 9, ["x", "y"])
    assert (pool.paid(more), more.parts[0].overage_units) == ({"y": 9}, 8)
    assert more.parts[0].drained.used_after == (25, 13)


def test_without_a_grant_that_is_open_it_is_unbacked(pool: Prepaid) -> None:
    """All of it is overage; what comes back of it comes back to nobody, and is overage no more."""
    done = pool.book("1", 7)
    assert done.parts[0] == (7, (), [], [], (7, 7, (), (), ()))
    back = pool.book("2", -7)
    assert back.parts[0] == (-7, (), [], [], (-7, -7, (), (), ()))
    assert pool.numbers() == {"x": (0, 0), "y": (0, 0), "z": (0, 0)}
    pool.world.assert_sound()


def test_who_never_had_a_grant_has_no_pool(pool: Prepaid) -> None:
    [done] = pool.world.exchange(pool.booking("1", 7, None)).bookings
    assert done.parts[0].drained is None
    assert done.parts[0].overage_units == 0


def test_the_largest_overage_is_the_events_the_pools_too(pool: Prepaid) -> None:
    """Of a limit of 10 and of a grant of 40."""
    world = pool.world
    for n, (amount, of_limit, of_pool) in enumerate([(70, 60, 30), (10, 10, 10), (-15, -15, -15)]):
        draining = pool.draining(["z"], [("z", amount)] if amount < 0 else [])
        part = Part(world.tokens, amount, None, (world.ids["soft"],), (0,), draining)
        [done] = world.exchange(world.booking(f"{n}", amount, ["soft"], parts=(part,))).bookings
        assert (done.parts[0].overages, done.parts[0].drained.overage_units) == ([of_limit], of_pool)
        assert done.parts[0].overage_units == max(of_limit, of_pool)
        with world.ledger.reader() as reader:
            assert reader.event(done.event_id).parts[0].overage_units == max(of_limit, of_pool)
    world.change(grants=[grant("small", 1)])
    small = Prepaid(world, {})
    part = Part(world.tokens, 9, None, (world.ids["a"],), (0,), small.draining(["small"]))
    [done] = world.exchange(world.booking("s", 9, ["a"], parts=(part,))).bookings
    assert (done.parts[0].overages, done.parts[0].overage_units) == ([0], 8)


def test_what_others_may_spend_is_paid_of_last(pool: Prepaid) -> None:
    """PY2: what was granted of a grant, to whomever, is spent by those who hold it first."""
    world = pool.world
    world.join()
    _share(pool, "x", 6)
    _share(pool, "z", 40)
    assert pool.paid(pool.book("1", 9, ALL)) == {"x": 4, "y": 5}
    assert pool.paid(pool.book("2", 16, ALL)) == {"x": 1, "y": 15}
    assert pool.paid(pool.book("3", 30, ALL)) == {"x": 5, "z": 25}
    assert pool.paid(pool.book("4", 20, ALL)) == {"z": 20}
    world.assert_sound()


def _share(pool: Prepaid, name: str, units: int) -> None:
    """Somebody else was granted so much of it."""
    with pool.world.ledger.reader() as reader:
        other = reader.holders()[-1].id
    cell = pool.ids[name]

    def add(cursor: Any) -> None:
        cursor.execute(
            "INSERT INTO shares (cell, holder, granted, exact) VALUES (?, ?, ?, 0)", [cell, other, units]
        )
        cursor.execute("UPDATE cells SET granted = granted + ? WHERE id = ?", [units, cell])

    pool.world.ledger._connections.transact(add)


def test_what_was_set_apart_is_spent_of_my_share(pool: Prepaid) -> None:
    """PY3: of the payer for whom it was, as far as that pays; in whichever pass."""
    world = pool.world
    world.exchange(asks=[pool.ask(70, ALL)])
    assert pool.numbers() == {"x": (0, 10), "y": (0, 20), "z": (0, 40)}
    done = pool.book("1", 13, [("x", 4), ("y", 12), "z"])
    assert pool.paid(done) == {"x": 4, "y": 9}
    assert pool.numbers() == {"x": (4, 6), "y": (9, 11), "z": (0, 40)}
    done = pool.book("2", 70, [("x", 2), ("y", 11), ("z", 40)])
    assert pool.paid(done) == {"x": 6, "y": 11, "z": 53}
    assert pool.numbers() == {"x": (10, 4), "y": (20, 0), "z": (53, 0)}
    assert done.parts[0].overage_units == 13
    world.assert_sound()


def test_what_is_settled_beforehand_is_paid_by_whom_it_was_held(pool: Prepaid) -> None:
    """Then the rest is split, with what is left of the same grants."""
    world = pool.world
    world.exchange(asks=[pool.ask(70, ALL)])
    done = pool.book("1", 30, [("x", 1), ("y", 3), ("z", 40)], [("y", 12, 12), ("z", 2, 1), ("x", 5, 0)])
    assert pool.paid(done) == {"y": 15, "z": 10, "x": 5}
    assert pool.numbers() == {"x": (5, 10), "y": (15, 5), "z": (10, 31)}
    world.assert_sound()


def test_a_reversal_gives_back_to_the_same_grants(pool: Prepaid) -> None:
    """Whatever else was paid meanwhile; and what had been over is over no more (RC3)."""
    done = pool.book("1", 75, ALL)
    pool.book("2", 4, ALL)
    back = [(name, -units) for name, units in pool.paid(done).items()]
    reversed_ = pool.book("back", -75, ALL, back, reverses=done.event_id)
    assert pool.paid(reversed_) == dict(back)
    assert reversed_.parts[0].overage_units == -9
    assert pool.numbers() == {"x": (0, 0), "y": (0, 0), "z": (4, 0)}
    with pool.world.ledger.reader() as reader:
        told = reader.payments(reversed_.event_id)
    assert [(each.grant_id, each.units) for each in told] == back
    pool.world.assert_sound()


def test_of_what_is_reversed_the_part_that_nobody_backed_comes_back_to_nobody(pool: Prepaid) -> None:
    reversed_ = pool.book("1", -20, ["x", "y"], [("x", -5)])
    assert pool.paid(reversed_) == {"x": -5}
    assert reversed_.parts[0].overage_units == -15
    assert pool.numbers()["y"] == (0, 0)


@pytest.mark.parametrize(
    ("payers", "payings"),
    [
        ([("x", 11)], []),
        ([("y", 0), ("x", 30)], []),
        ([], [("x", 12, 11)]),
        ([], [("x", 5, -1)]),
        ([], [("x", -5, 1)]),
        ([], [("x", 5, 11)]),
        ([("x", 6)], [("x", 5, 5)]),
    ],
)
def test_a_share_of_a_grant_is_never_negative(pool: Prepaid, payers: Any, payings: Any) -> None:
    """L3: nothing is written. Nor is anything spent of what comes back."""
    world = pool.world
    world.exchange(asks=[pool.ask(10, ["x"])])
    before = pool.numbers()
    with pytest.raises(LedgerCorrupt, match="share of"):
        world.exchange(world.booking("j", 1), pool.booking("k", 40, pool.draining(payers, payings)))
    assert pool.numbers() == before
    with world.ledger.reader() as reader:
        assert reader.event_by_key(world.customer, 0, "j") is None


def test_a_grant_whose_cell_was_closed_is_passed_over(pool: Prepaid) -> None:
    """Its windows are others now: what it was to pay, others do."""
    world = pool.world
    world.exchange(asks=[pool.ask(10, ["x"])])
    world.change(grants=[grant("x", 10, cadence="P1D")])
    done = pool.book("1", 12, [("x", 3), "y"], [("x", 5, 5), ("z", 1)])
    assert pool.paid(done) == {"y": 11, "z": 1}
    assert done.parts[0].drained.payers == (pool.ids["y"],)
    gone = pool.book("2", 7, ["x"])
    assert gone.parts[0].drained == (7, 7, (), (), ())
    assert world.exchange(asks=[pool.ask(59, ALL)]).asks == [False]
    assert world.exchange(asks=[pool.ask(48, ALL)]).asks == [True]
    world.assert_sound()


def test_a_counter_of_a_grant_is_bounded(pool: Prepaid) -> None:
    """U2: the booking fails alone, whether it is split or settled; the others are in."""
    world = pool.world
    world.ledger._connections.transact(
        lambda cursor: cursor.execute(
            "UPDATE cells SET used = ? WHERE id = ?", [COUNTER_MAX - 5, pool.ids["z"]]
        )
    )
    bookings = [
        pool.booking("1", 6, pool.draining(["z"])),
        pool.booking("2", 7, pool.draining((), [("z", 7)])),
        pool.booking("3", 5, pool.draining(["z"])),
        pool.booking("4", 1, pool.draining(["x", "z"])),
        pool.booking("5", 11, pool.draining(["x", "z"])),
    ]
    answers = world.exchange(*bookings).bookings
    assert [type(answer) for answer in answers] == [Refused, Refused, Booked, Booked, Refused]
    assert (answers[0].cell, answers[0].used) == (pool.ids["z"], COUNTER_MAX - 5)
    assert pool.cell("z").used == COUNTER_MAX
    assert [answer.cell for answer in world.exchange(*bookings[:1]).bookings] == [pool.ids["z"]]


def test_an_event_that_is_sent_twice_pays_and_spends_once(pool: Prepaid) -> None:
    """U1."""
    world = pool.world
    world.exchange(asks=[pool.ask(70, ALL)])
    booking = pool.booking("k", 12, pool.draining([("x", 10), ("y", 2)]))
    answers = [world.exchange(booking).bookings[0] for _ in range(2)]
    assert [type(answer) for answer in answers] == [Booked, Known]
    assert pool.numbers() == {"x": (10, 0), "y": (2, 18), "z": (0, 40)}
    world.assert_sound()


# ------------------------------------------------------------------ recalling


def _hushed(pool: Prepaid) -> set[str]:
    with pool.world.ledger.reader() as reader:
        found = dict(reader.rows("SELECT id, hush_until FROM cells WHERE resource = 0", {}))
    assert set(found.values()) <= {0, NOW_US + SECOND}
    return {name for name, cell in pool.ids.items() if found[cell]}


def test_usage_past_what_is_granted_recalls_the_grants_of_which_some_is(pool: Prepaid) -> None:
    """Of the payers, and only once the pool as a whole is short."""
    world = pool.world
    _halt = [pool.ask(3, [name]) for name in ("x", "z")]
    _halt_surplus(world)
    world.exchange(asks=_halt)
    world.ledger._connections.transact(lambda cursor: cursor.execute("UPDATE cells SET hush_until = 0"))
    pool.book("1", 26, ["x", "y"])  # 27 are free of those two: x is over what is granted, y is not
    assert _hushed(pool) == set()
    pool.book("2", 1, ["x", "y"])
    assert _hushed(pool) == set()
    pool.book("3", 1, ["x", "y"])
    assert _hushed(pool) == {"x"}
    pool.book("4", 38, ALL)
    assert _hushed(pool) == {"x", "z"}


def test_where_nothing_is_granted_nobody_is_recalled(pool: Prepaid) -> None:
    pool.book("1", 99, ALL)
    pool.book("2", 99)
    assert _hushed(pool) == set()


# ------------------------------------------------------------------ drawing


def test_room_is_drawn_in_drain_order_what_is_lacking_first(pool: Prepaid) -> None:
    """PY4."""
    pool.world.join()
    _halt_surplus(pool.world)
    reply = pool.world.exchange(asks=[pool.ask(25, ["y", "x", "z"])])
    assert reply.asks == [True]
    assert pool.numbers() == {"x": (0, 5), "y": (0, 20), "z": (0, 0)}
    assert set(reply.cells) == set(pool.ids.values())
    pool.world.exchange(asks=[pool.ask(9, [("y", 2), ("x", 1), "z"])])
    assert pool.numbers() == {"x": (0, 10), "y": (0, 20), "z": (0, 1)}
    assert pool.cell("x").exact
    pool.world.assert_sound()


def test_alone_all_of_the_pool_is_drawn(pool: Prepaid) -> None:
    pool.world.exchange(asks=[pool.ask(1, ALL)])
    assert pool.numbers() == {"x": (0, 10), "y": (0, 20), "z": (0, 40)}
    assert [pool.cell(name).exact for name in ALL] == [False, False, False]


def test_in_company_the_surplus_is_of_the_whole_pool_and_drawn_in_drain_order(world: World) -> None:
    pool = Prepaid(world, {"x": 50, "y": 60, "z": 4_000})
    world.join()
    world.exchange(asks=[pool.ask(20, ALL)])
    part = surplus(4_110 - 20, request_units=20, holders_alive=2, recalled=False)
    assert part > 90
    assert pool.numbers() == {"x": (0, 50), "y": (0, 60), "z": (0, part + 20 - 110)}
    world.exchange(gives=[], asks=[pool.ask(90, ["x"])])
    assert pool.numbers()["x"] == (0, 50)
    world.assert_sound()


def test_a_pool_waits_for_others_as_a_whole(pool: Prepaid) -> None:
    """RC6: whichever grant hides it, what would do is asked for; and no more is waited for than that."""
    world = pool.world
    world.join()
    _share(pool, "x", 10)
    _share(pool, "z", 30)
    assert world.exchange(asks=[pool.ask(71, ALL)]).asks == [Drawn.NO]
    assert _recalled(pool) == []
    assert world.exchange(asks=[pool.ask(70, ALL)]).asks == [Drawn.WAIT]
    assert _recalled(pool) == [pool.ids["x"], pool.ids["z"]]
    assert pool.numbers() == {"x": (0, 0), "y": (0, 0), "z": (0, 0)}
    assert world.exchange(asks=[pool.ask(30, ALL)]).asks == [Drawn.GRANTED]
    assert pool.numbers() == {"x": (0, 0), "y": (0, 20), "z": (0, 10)}
    world.assert_sound()


def _recalled(pool: Prepaid) -> list[int]:
    with pool.world.ledger.reader() as reader:
        of_customer = reader.recalled(reader.holders()[-1].id, NOW_US)
    return [cell for cell, _ in of_customer.get(pool.world.customer, [])]


def test_what_a_hold_has_left_over_of_an_exact_grant_is_free_in_the_commit_that_books(pool: Prepaid) -> None:
    """PY3."""
    world = pool.world
    world.join()
    _halt_surplus(world)
    world.exchange(asks=[pool.ask(15, ALL)])
    assert pool.numbers() == {"x": (0, 10), "y": (0, 5), "z": (0, 0)}
    done = pool.book("k", 7, [], [("x", 7, 10), ("y", 0, 5)])
    assert pool.paid(done) == {"x": 7}
    assert pool.numbers() == {"x": (7, 0), "y": (0, 0), "z": (0, 0)}
    world.assert_sound()


def test_no_surplus_is_drawn_of_a_pool_of_which_one_grant_was_recalled(pool: Prepaid) -> None:
    cell = pool.ids["z"]
    pool.world.ledger._connections.transact(
        lambda cursor: cursor.execute("UPDATE cells SET hush_until = ? WHERE id = ?", [NOW_US + 1, cell])
    )
    pool.world.exchange(asks=[pool.ask(1, ALL)])
    assert pool.numbers() == {"x": (0, 1), "y": (0, 0), "z": (0, 0)}
    pool.world.exchange(asks=[pool.ask(2, ["x", "y"])])
    assert pool.numbers() == {"x": (0, 10), "y": (0, 20), "z": (0, 0)}
    pool.world.exchange(asks=[pool.ask(2, ALL)], now_us=NOW_US + 1)
    assert pool.numbers()["z"] == (0, 40)


def test_an_ask_is_short_in_a_pool_only_as_a_whole(pool: Prepaid) -> None:
    """And what was overdrawn on one grant is paid by the others (RC1)."""
    pool.book("1", 25, ["x"])
    _halt_surplus(pool.world)
    assert pool.world.exchange(asks=[pool.ask(46, ALL)]).asks == [False]
    assert pool.numbers() == {"x": (25, 0), "y": (0, 0), "z": (0, 0)}
    assert pool.world.exchange(asks=[pool.ask(45, ALL)]).asks == [True]
    assert pool.numbers() == {"x": (25, 0), "y": (0, 5), "z": (0, 40)}
    assert pool.world.exchange(asks=[pool.ask(1, ALL)]).asks == [False]
    assert pool.world.exchange(asks=[pool.ask(0, ALL)]).asks == [True]
    pool.world.assert_sound()


def test_own_spare_covers_what_is_overdrawn_and_nothing_is_drawn_then(pool: Prepaid) -> None:
    """RC1: of the pool as a whole, where a grant before it still has something free."""
    pool.world.exchange(asks=[pool.ask(40, ["z"])])
    pool.book("1", 45, ["x"])  # 35 over; 20 of y are free
    assert pool.world.exchange(asks=[pool.ask(26, ["x", "y", ("z", 40)])]).asks == [False]
    assert pool.world.exchange(asks=[pool.ask(25, ["x", "y", ("z", 40)])]).asks == [True]
    assert pool.numbers() == {"x": (45, 0), "y": (0, 0), "z": (0, 40)}


def test_the_most_that_fits_is_the_least_of_cells_and_pool(pool: Prepaid) -> None:
    """RC2: at one amount and minimum; an ask that is short in one changes none."""
    world = pool.world
    _halt_surplus(world)
    for n, (of_cell, minimum, fits) in enumerate([("b", 40, 50), ("a", 60, 70), ("a", 71, None)]):
        grants = tuple(AskCell(pool.ids[name], 0) for name in ALL)
        wish = pool.ask(90, ALL, minimum=minimum)
        wish.cells = ((AskCell(world.ids[of_cell], 0), 90, minimum),)
        assert wish.pools[0].grants == grants
        assert world.exchange(asks=[wish]).asks == [fits is not None], n
        drawn = sum(mine for _, mine in pool.numbers().values())
        assert (drawn, world.numbers()[of_cell][1]) == (fits or 0, fits or 0)
        world.exchange(
            gives=[
                *(world.give(name, world.numbers()[name][1]) for name in ("a", "b")),
                *(_gift(pool, name) for name in ALL),
            ]
        )
    too_much = pool.ask(71, ALL)
    too_much.cells = ((AskCell(world.ids["a"], 0), 71, 71),)
    assert world.exchange(asks=[too_much]).asks == [False]
    assert world.numbers()["a"] == (0, 0, 0)


def _gift(pool: Prepaid, name: str) -> Any:
    return pool.world.give("a", 0)._replace(cell=pool.ids[name], units=pool.numbers()[name][1])


def test_pools_of_two_currencies_are_asked_each_for_its_own(world: World) -> None:
    pool = Prepaid(world, {"x": 10, "y": 20})
    pool.put({"u": 7}, currency_id="usd")
    _halt_surplus(world)
    tokens, usd = pool.ask(30, ["x", "y"], minimum=5), pool.ask(9, ["u"], minimum=1)
    both = Ask(cells=(), request_units=1, pools=(*tokens.pools, *usd.pools))
    assert world.exchange(asks=[both]).asks == [True]
    assert pool.numbers() == {"x": (0, 10), "y": (0, 20), "u": (0, 7)}
    assert world.exchange(asks=[both]).asks == [False]


def test_two_asks_in_one_batch_are_granted_in_turn_after_what_is_booked_and_given(pool: Prepaid) -> None:
    world = pool.world
    world.exchange(asks=[pool.ask(1, ALL)])
    _halt_surplus(world)
    booking = pool.booking("k", 30, pool.draining([("x", 10), ("y", 20)]))
    gift = world.give("a", 0)._replace(cell=pool.ids["z"], units=40)
    asks = [pool.ask(25, ALL), pool.ask(25, ALL, minimum=16), pool.ask(25, ALL, minimum=15), pool.ask(0, ALL)]
    reply = world.exchange(booking, gives=[gift], asks=asks)
    assert reply.asks == [True, False, True, True]
    assert pool.numbers() == {"x": (10, 0), "y": (20, 0), "z": (0, 40)}
    world.assert_sound()


def test_what_a_dead_holder_held_of_a_grant_is_free_when_it_ends(pool: Prepaid) -> None:
    """Only in the grants that are asked for."""
    world = pool.world
    world.exchange(asks=[pool.ask(1, ALL)])
    held = {pool.ids[name]: [Orphan(8, NOW_US + 10)] for name in ALL}
    world.ledger.bury(world.me, held, NOW_US)
    world.me = world.enlist()
    assert world.exchange(asks=[pool.ask(15, ["x", "y"])], now_us=NOW_US + 9).asks == [False]
    assert world.exchange(asks=[pool.ask(30, ["x", "y"])], now_us=NOW_US + 10).asks == [True]
    assert pool.cell("z").orphans == (Orphan(8, NOW_US + 10),)
    world.assert_sound()


def test_a_pool_of_no_grants_has_room_for_nothing(pool: Prepaid) -> None:
    assert pool.world.exchange(asks=[pool.ask(1, [])]).asks == [False]
    assert pool.world.exchange(asks=[pool.ask(0, [])]).asks == [True]


def test_whatever_the_policy_says_no_draw_passes_what_is_free(
    pool: Prepaid, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RC1."""
    pool.book("1", 25, ["x"])
    monkeypatch.setattr("stiggctl.ledger.sqlite.reckoning.surplus", lambda *_, **__: -(10**9))
    pool.world.exchange(asks=[pool.ask(5, ["y", "x", "z"])])
    assert pool.numbers() == {"x": (25, 0), "y": (0, 5), "z": (0, 0)}  # the rest of y pays for x
    pool.world.exchange(asks=[pool.ask(5, ["z", "x", "y"])], gives=[_gift(pool, "y")])
    assert pool.numbers() == {"x": (25, 0), "y": (0, 0), "z": (0, 5)}
    monkeypatch.setattr("stiggctl.ledger.sqlite.reckoning.surplus", lambda *_, **__: 10**9)
    pool.world.exchange(asks=[pool.ask(5, ["x", "y", ("z", 5)])])
    assert pool.numbers() == {"x": (25, 0), "y": (0, 5), "z": (0, 40)}
    pool.world.assert_sound()


# ------------------------------------------------------------------ any five grants, in any order


def _one_by_one(units: int, free: list[int], left: list[int]) -> list[int]:
    """Unit by unit: of the first that has something free, else something left, else of the last."""
    paid = [0] * len(free)
    for _ in range(units):
        at = next((n for n, most in enumerate(free) if paid[n] < most), None)
        if at is None:
            at = next((n for n, most in enumerate(left) if paid[n] < most), len(free) - 1)
        paid[at] += 1
    return paid


FIVE = [(0, 6), (4, 4), (7, 2), (-3, -5), (3, 9)]  # (free, left): overdrawn, granted beyond, plain


def test_in_each_order_of_five_grants_each_unit_is_paid_by_whom_it_should() -> None:
    """PY1, PY2."""
    for order in itertools.permutations(FIVE):
        free, left = [max(0, f) for f, _ in order], [rest for _, rest in order]
        for units in range(32):
            paid = pools.split(units, free, left)
            assert paid == _one_by_one(units, free, left)
            assert sum(paid) == units


def test_in_each_order_of_five_grants_each_unit_is_drawn_of_whom_it_should(world: World) -> None:
    """PY4: by brute force, in the ledger: (used, mine, of that spare)."""
    five = {"p": (0, 4, 2), "q": (25, 0, 0), "r": (3, 3, 3), "s": (0, 0, 0), "t": (12, 8, 1)}
    pool = Prepaid(world, dict.fromkeys(five, 15))
    for name, (used, mine, _) in five.items():
        world.exchange(asks=[pool.ask(mine, [name])])
        world.exchange(gives=[_gift(pool, name)._replace(units=pool.numbers()[name][1] - mine)])
        pool.book(name, used, [name])
    before = pool.numbers()
    assert {name: (used, mine) for name, (used, mine, _) in five.items()} == before
    _halt_surplus(world)
    free = {name: 15 - used - mine for name, (used, mine, _) in five.items()}
    spare = {name: each[2] for name, each in five.items()}
    most = sum(free.values()) + sum(spare.values())
    for order in itertools.permutations(five):
        for units in (0, 1, 5, 9, 13, most):
            takes = _takes(list(order), units, free, spare)
            reply = world.exchange(asks=[pool.ask(units, [(name, spare[name]) for name in order])])
            drawn = {name: reply.cells[pool.ids[name]].granted - before[name][1] for name in order}
            assert (reply.asks, drawn) == (
                [True],
                {name: max(0, takes[name] - spare[name]) for name in order},
            )
            world.exchange(gives=[_gift(pool, name)._replace(units=drawn[name]) for name in order])
        short = pool.ask(most + 1, [(name, spare[name]) for name in order])
        assert world.exchange(asks=[short]).asks == [False]
    world.assert_sound()


def _takes(order: list[str], units: int, free: dict[str, int], spare: dict[str, int]) -> dict[str, int]:
    """Unit by unit; of what is free the first so many pay what is overdrawn."""
    debt, may = sum(-each for each in free.values() if each < 0), {}
    for name in order:
        units_of = [1] * max(0, free[name])
        may[name] = len(units_of[debt:])
        debt = max(0, debt - len(units_of))
    takes = dict.fromkeys(order, 0)
    for _ in range(units):
        takes[next(name for name in order if takes[name] < spare[name] + may[name])] += 1
    return takes


# ------------------------------------------------------------------ all of it, against ten lines

GRANTS = ("p", "q", "r", "s")
amounts = st.integers(0, 15)
names = st.permutations(GRANTS).flatmap(lambda order: st.integers(0, 4).map(lambda n: order[:n]))
spares = st.fixed_dictionaries(dict.fromkeys(GRANTS, amounts))
events = st.tuples(
    st.just("book"), st.sampled_from("klmno"), st.integers(0, 60), names, spares, spares, spares
)
reversals = st.tuples(st.just("back"), st.sampled_from("klmno"))
wishes = st.tuples(st.just("ask"), amounts, amounts, names, spares)
gifts = st.tuples(st.just("give"), st.sampled_from(GRANTS), amounts)
steps = st.lists(st.lists(st.one_of(events, events, reversals, wishes, gifts), max_size=5), max_size=8)


class Reference:
    """A pool, in a few lines: used, mine, hushed of each grant; what each key paid."""

    def __init__(self, lims: dict[str, int]) -> None:
        self.lim, self.used, self.mine = lims, dict.fromkeys(lims, 0), dict.fromkeys(lims, 0)
        self.paid: dict[str, dict[str, int]] = {}
        self.hushed: set[str] = set()

    def free(self, name: str) -> int:
        return self.lim[name] - self.used[name] - self.mine[name]

    def book(
        self, key: str, amount: int, order: list[str], held: dict[str, int], spare: dict[str, int]
    ) -> tuple[dict[str, int], int]:
        """Settled beforehand: `held`, all of it spent; the rest unit by unit, of `order`."""
        before = max(0, sum(self.used[name] - self.lim[name] for name in order))
        paid = dict(held)
        for name, units in held.items():
            self.used[name] += units
            self.mine[name] -= max(0, units)
        rest = amount - sum(held.values())
        if order:
            free = [max(0, self.free(name) + spare[name]) for name in order]
            split = _one_by_one(rest, free, [self.lim[name] - self.used[name] for name in order])
            for name, units in zip(order, split, strict=True):
                paid[name] = paid.get(name, 0) + units
                self.used[name] += units
                self.mine[name] -= min(units, spare[name])
        short = sum(self.free(name) for name in order) < 0
        self.hushed |= {name for name in order if short and self.mine[name]}
        after = max(0, sum(self.used[name] - self.lim[name] for name in order))
        self.paid[key] = {name: units for name, units in paid.items() if units}
        unbacked = 0 if order and rest >= 0 else rest
        return self.paid[key], after - before + unbacked

    def draw(self, amount: int, minimum: int, order: list[str], spare: dict[str, int]) -> bool:
        reach = min(amount, sum(self.free(name) + spare[name] for name in order))
        if reach < minimum:
            return False
        takes = _takes(order, reach, {name: self.free(name) for name in order}, spare)
        drawn = {name: max(0, takes[name] - spare[name]) for name in order}
        left = max(0, sum(self.free(name) for name in order) - sum(drawn.values()))
        may = drawable([self.free(name) for name in order])
        for name, most in zip(order, may, strict=True):  # alone: all there is
            more = 0 if self.hushed & set(order) else min(left, most - drawn[name])
            left -= more
            self.mine[name] += drawn[name] + more
        return True


@given(lims=st.fixed_dictionaries({name: st.integers(0, 30) for name in GRANTS}), steps=steps)
@settings(max_examples=150, deadline=None)
def test_pools_do_what_ten_lines_of_reference_do(lims: dict[str, int], steps: list[Any]) -> None:
    """PY1 to PY4, RC1 to RC4, U1, U2, U4, L2, L3."""
    with closing(open_ledger(":memory:")) as ledger:
        pool, reference = Prepaid(World(ledger), lims), Reference(lims)
        for second, batch in enumerate(steps):
            reference.hushed.clear()
            for kind, *facts in batch:
                _KINDS[kind](pool, reference, *facts, now_us=NOW_US + 2 * second * SECOND)
                assert pool.numbers() == {
                    name: (reference.used[name], reference.mine[name]) for name in GRANTS
                }
            pool.world.assert_sound()


def _book(
    pool: Prepaid, reference: Reference, key: str, amount: int, order: list[str],
    held: dict[str, int], spare: dict[str, int], spent: dict[str, int], *, now_us: int,
) -> None:  # fmt: skip
    left = dict(reference.mine)  # a holder spends no more than it has, nor settles more than it costs
    settled: dict[str, int] = {}
    for name in GRANTS:
        units = min(held[name] if spent[name] > 7 else 0, left[name], amount - sum(settled.values()))
        left[name] -= units
        settled |= {name: units} if units else {}
    spares = {name: min(spare[name], left[name]) for name in GRANTS}
    draining = pool.draining(
        [(name, spares[name]) for name in order], [(name, units, units) for name, units in settled.items()]
    )
    is_known, before = key in reference.paid, reference.paid.get(key)
    [answer] = pool.world.exchange(pool.booking(key, amount, draining), now_us=now_us).bookings
    if is_known:
        assert isinstance(answer, Known)
        assert {each.grant_id: each.units for each in answer.payments} == before
        return
    assert isinstance(answer, Booked)
    paid, overage = reference.book(key, amount, order, settled, spares)
    assert pool.paid(answer) == paid
    assert answer.parts[0].overage_units == overage
    drained = answer.parts[0].drained
    assert drained is not None
    assert drained.used_after == tuple(reference.used[name] for name in order)
    _tells(pool, answer, paid)


def _back(pool: Prepaid, reference: Reference, key: str, *, now_us: int) -> None:
    paid, again = reference.paid.get(key), f"{key} back"
    if paid is None or again in reference.paid:
        return
    back = {name: -units for name, units in paid.items()}
    draining = pool.draining(list(GRANTS), list(back.items()))
    amount = sum(back.values())
    [answer] = pool.world.exchange(pool.booking(again, amount, draining), now_us=now_us).bookings
    assert isinstance(answer, Booked)
    _, overage = reference.book(again, amount, list(GRANTS), back, dict.fromkeys(GRANTS, 0))
    assert (pool.paid(answer), answer.parts[0].overage_units) == (back, overage)
    _tells(pool, answer, back)


def _tells(pool: Prepaid, answer: Booked, paid: dict[str, int]) -> None:
    with pool.world.ledger.reader() as reader:
        assert {each.grant_id: each.units for each in reader.payments(answer.event_id)} == paid


def _ask(
    pool: Prepaid, reference: Reference, amount: int, less: int, order: list[str], spare: dict[str, int],
    *, now_us: int,
) -> None:  # fmt: skip
    minimum = max(0, amount - less)
    mine = {name: min(spare[name], reference.mine[name]) for name in GRANTS}
    wish = pool.ask(amount, [(name, mine[name]) for name in order], minimum=minimum)
    over = {name: min(0, reference.free(name)) for name in GRANTS}
    answer = pool.world.exchange(asks=[wish], now_us=now_us).asks
    assert answer == [reference.draw(amount, minimum, order, mine)]
    assert all(reference.free(name) >= over[name] for name in GRANTS)  # RC1


def _give(pool: Prepaid, reference: Reference, name: str, units: int, *, now_us: int) -> None:
    units = min(units, reference.mine[name])
    reference.mine[name] -= units
    pool.world.exchange(gives=[_gift(pool, name)._replace(units=units)], now_us=now_us)


_KINDS = {"book": _book, "back": _back, "ask": _ask, "give": _give}


def test_payers_are_told_by_cell(pool: Prepaid) -> None:
    """What the reference above takes for granted."""
    assert pool.draining(["x"]) == Draining((), (Payer(pool.ids["x"], 0),))
