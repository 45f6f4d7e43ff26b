"""Shares: what a holder may use of a cell without asking; drawn, spent, given back, withheld."""

from contextlib import closing
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stiggctl.errors import LedgerCorrupt
from stiggctl.ledger.opening import open_ledger
from stiggctl.ledger.records import Booked, Drawn, Known, Orphan, ShareRow
from stiggctl.shares import surplus

from .world import NOW_US, World, allocation, resource

SECOND = 1_000_000
EARLIER_US = NOW_US - 60 * SECOND


# ------------------------------------------------------------------ drawing


def test_alone_a_holder_draws_all_there_is(world: World) -> None:
    reply = world.exchange(asks=[world.ask(5)])
    assert reply.asks == [True]
    assert {name: reply.cells[world.ids[name]].granted for name in ("a", "root")} == {"a": 100, "root": 1_000}
    assert world.numbers()["b"] == (0, 0, 0)
    world.assert_sound()


def test_an_ask_that_fits_to_the_unit_is_granted_and_one_more_is_not(world: World) -> None:
    world.exchange(world.booking("k", 40))
    assert world.exchange(asks=[world.ask(61)]).asks == [False]
    assert world.exchange(asks=[world.ask(60)]).asks == [True]
    assert world.exchange(asks=[world.ask(1)]).asks == [False]


def test_a_short_ask_changes_no_cell(world: World) -> None:
    """RC2, U3: also where only the last of its cells is short; nothing is written."""
    world.exchange(world.booking("k", 30, ["b"]))
    before, changes = world.numbers(), _changes(world)
    for on in (["root", "a", "b"], ["b", "a"], ["a", "b", "root"]):
        assert world.exchange(asks=[world.ask(21, on)]).asks == [False]
    assert world.numbers() == before
    assert _changes(world) == changes


def _changes(world: World) -> int:
    return world.ledger._connections._writing.total_changes


def test_own_spare_counts_in_an_ask(world: World) -> None:
    world.exchange(asks=[world.ask(100)])
    assert world.exchange(asks=[world.ask(100, spare=100)]).asks == [True]
    assert world.exchange(asks=[world.ask(101, spare=100)]).asks == [False]


def test_own_spare_covers_what_others_overdrew(world: World) -> None:
    """need = amount - spare may be negative, and free too: it fits where need <= free."""
    world.exchange(asks=[world.ask(100, ["a"])])
    world.exchange(world.booking("k", 40, ["a"]))  # nobody admitted it: 40 over what is granted
    assert world.exchange(asks=[world.ask(60, ["a"], spare=100)]).asks == [True]
    assert world.exchange(asks=[world.ask(61, ["a"], spare=100)]).asks == [False]
    assert world.numbers()["a"] == (40, 100, 0)  # RC1: nothing was drawn where nothing is free


@pytest.mark.parametrize("on", [["a", "b"], ["b", "a"]])
def test_where_less_would_do_the_most_that_fits_is_granted(world: World, on: list[str]) -> None:
    world.exchange(world.booking("k", 20, ["b"]))
    _halt_surplus(world)
    ask = world.ask(90, on, minimum=30)
    assert world.exchange(asks=[ask]).asks == [True]
    assert world.numbers()["a"][1] == world.numbers()["b"][1] == 30
    assert world.exchange(asks=[world.ask(90, ["a", "b"], spare=29, minimum=30)]).asks == [False]
    assert world.exchange(asks=[world.ask(90, ["a", "b"], spare=30, minimum=30)]).asks == [True]


def test_whatever_the_policy_says_no_draw_passes_a_limit(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RC1."""
    monkeypatch.setattr("stiggctl.ledger.sqlite.reckoning.surplus", lambda *_, **__: 10**9)
    world.exchange(world.booking("k", 30))
    world.exchange(asks=[world.ask(5), world.ask(5, spare=65)])
    assert world.numbers()["a"] == (30, 70, 0)
    monkeypatch.setattr("stiggctl.ledger.sqlite.reckoning.surplus", lambda *_, **__: -(10**9))
    world.exchange(asks=[world.ask(5, ["b"])])
    assert world.numbers()["b"] == (0, 5, 0)
    world.assert_sound()


def _halt_surplus(world: World, until_us: int = NOW_US + 1) -> None:
    """As if every cell had been recalled just now."""
    world.ledger._connections.transact(
        lambda cursor: cursor.execute("UPDATE cells SET hush_until = ?", [until_us])
    )


def test_a_cell_that_was_recalled_gives_what_is_lacking_and_no_more(world: World) -> None:
    _halt_surplus(world)
    reply = world.exchange(asks=[world.ask(5)])
    assert world.numbers()["a"] == (0, 5, 0)
    assert reply.cells[world.ids["a"]].hushed
    assert not world.cell("a").exact  # RC7
    reply = world.exchange(asks=[world.ask(7, spare=5)], now_us=NOW_US + 1)
    assert world.numbers()["a"] == (0, 100, 0)
    assert not reply.cells[world.ids["a"]].hushed


def test_a_share_that_carried_a_surplus_is_exact_again_when_nothing_is_left_of_it(world: World) -> None:
    world.exchange(asks=[world.ask(5)])
    world.join()
    assert not world.cell("a").exact
    _halt_surplus(world)
    world.exchange(gives=[world.give("a", 90)], asks=[world.ask(5, ["a"])])
    assert not world.cell("a").exact  # it was not, and some of it is left
    world.exchange(gives=[world.give("a", 15)])
    assert world.cell("a").exact
    world.exchange(asks=[world.ask(5, ["a"])])
    assert world.cell("a").exact


def test_an_ask_for_nothing_draws_a_surplus_where_there_is_one(world: World) -> None:
    """What a check asks: it holds nothing."""
    assert world.exchange(asks=[world.ask(0, request=5)]).asks == [True]
    assert world.numbers()["a"] == (0, 100, 0)
    world.exchange(world.booking("k", 100, spend=100), world.booking("l", 1))
    assert world.exchange(asks=[world.ask(0, request=5)]).asks == [False]


def test_asks_are_granted_in_turn(world: World) -> None:
    asks = [world.ask(60, ["a"]), world.ask(60, ["a"]), world.ask(50, ["b"]), world.ask(1, ["a"])]
    _halt_surplus(world)
    assert world.exchange(asks=asks).asks == [True, False, True, True]
    assert world.numbers()["a"] == (0, 61, 0)


def test_a_cell_that_has_gone_limits_no_ask(world: World) -> None:
    """To extend a reservation whose limit was removed meanwhile."""
    ask = world.ask(10, ["a", "b"])
    world.change(customers_touched={"acme"}, allocations_removed=[world.keys["a"].allocation])
    assert world.exchange(asks=[ask]).asks == [True]
    assert world.cell("b").granted == 50


# ------------------------------------------------------------------ in company


def _company(world: World, granted: dict[str, int], *, exact: bool = False) -> int:
    """Another holder lives, and has been granted so much, just now: hushes of that are over by NOW_US."""
    other = world.join()
    _halt_surplus(world, EARLIER_US + 1)
    for name, units in granted.items():
        ask = world.ask(units, [name], request=0)
        assert world.exchange(asks=[ask], by=other, now_us=EARLIER_US).asks == [Drawn.GRANTED]
    if not exact:
        _mark(world, other, exact=False)
    return other


def _mark(world: World, holder: int, *, exact: bool) -> None:
    """As if its shares carried a surplus, or none."""
    world.ledger._connections.transact(
        lambda cursor: cursor.execute("UPDATE shares SET exact = ? WHERE holder = ?", [exact, holder])
    )


def test_in_company_a_draw_takes_a_part_of_what_is_free(world: World) -> None:
    _company(world, {"root": 200})
    world.exchange(asks=[world.ask(10)])
    part = surplus(1_000 - 200 - 10, request_units=10, holders_alive=2, recalled=False)
    assert part > 0
    assert world.numbers()["root"] == (0, 10 + part, 200)
    assert world.numbers()["a"] == (0, 10, 0)  # an eighth of 90 is less than eight requests of 10
    assert (world.cell("root").exact, world.cell("a").exact) == (False, True)
    world.assert_sound()


def test_each_holder_has_its_own_share(world: World) -> None:
    """N1: what is remembered is one holder's."""
    other = _company(world, {"a": 20})
    ask = world.ask(5, ["a"], request=10)
    assert world.exchange(asks=[ask]).cells[world.ids["a"]][5:8] == (5, True, 20)
    assert world.exchange(asks=[ask], by=other).cells[world.ids["a"]][5:8] == (25, False, 5)
    assert world.exchange(asks=[ask]).cells[world.ids["a"]][5:8] == (10, True, 25)
    world.assert_sound()


def test_what_others_were_granted_is_not_free(world: World) -> None:
    _company(world, {"a": 70})
    assert (world.cell("a").others, world.cell("a").hidden) == (70, 70)
    assert world.exchange(asks=[world.ask(31, ["a"])]).asks == [Drawn.WAIT]
    assert world.exchange(asks=[world.ask(30, ["a"])]).asks == [Drawn.GRANTED]


def test_usage_past_what_is_granted_recalls_the_cell_for_a_second(world: World) -> None:
    _company(world, {"a": 70})
    world.exchange(world.booking("k", 40, ["a"]))
    world.exchange(world.booking("back", -30, ["a"]))
    ask = world.ask(1, ["a"], request=0)
    world.exchange(asks=[ask], now_us=NOW_US + SECOND - 1)
    assert world.cell("a").granted == 1
    world.exchange(asks=[ask], now_us=NOW_US + SECOND)
    assert world.cell("a").granted > 2


def test_usage_of_a_limit_of_which_nobody_was_granted_anything_recalls_nothing(world: World) -> None:
    world.exchange(world.booking("k", 40, ["soft"]))
    with world.ledger.reader() as reader:
        assert reader.rows("SELECT max(hush_until) FROM cells", {}) == [(0,)]


# ------------------------------------------------------------------ what others may hide


def test_an_ask_waits_only_where_what_others_may_hide_would_do(world: World) -> None:
    """RC6: to the unit; nothing is drawn meanwhile, and they are asked for it for a second."""
    other = _company(world, {"a": 40, "root": 40})
    world.exchange(asks=[world.ask(50, request=500)])
    before = world.numbers()
    assert world.exchange(asks=[world.ask(51)]).asks == [Drawn.NO]
    assert _hushed(world) == {}
    reply = world.exchange(asks=[world.ask(50)])
    assert reply.asks == [Drawn.WAIT]
    assert world.numbers() == before
    # Of `root` there is enough: nobody is asked for it.
    assert _hushed(world) == {"a": NOW_US + SECOND}
    assert reply.cells[world.ids["a"]].hushed
    of_a = {world.customer: [(world.ids["a"], 40)]}
    with world.ledger.reader() as reader:
        for at_us, recalled in ((NOW_US + SECOND - 1, of_a), (NOW_US + SECOND, {})):
            assert reader.recalled(other, at_us) == recalled
    gone = world.exchange(gives=[world.give("a", 40)], by=other)
    assert gone.cells[world.ids["a"]].others == 50
    assert world.exchange(asks=[world.ask(50)]).asks == [Drawn.GRANTED]
    world.assert_sound()


def _hushed(world: World) -> dict[str, int]:
    names = {id_: name for name, id_ in world.ids.items()}
    with world.ledger.reader() as reader:
        rows = reader.rows("SELECT id, hush_until FROM cells WHERE hush_until > :us", {"us": EARLIER_US + 1})
    return {names[id_]: until_us for id_, until_us in rows}


def test_an_exact_share_hides_nothing(world: World) -> None:
    """RC6: its holder returns what falls free at once, so the answer is final."""
    other = _company(world, {"a": 40}, exact=True)
    assert (world.cell("a").others, world.cell("a").hidden) == (40, 0)
    assert world.exchange(asks=[world.ask(61, ["a"])]).asks == [Drawn.NO]
    _mark(world, other, exact=False)
    assert world.exchange(asks=[world.ask(61, ["a"])]).asks == [Drawn.WAIT]


def test_who_returned_its_spare_says_that_the_rest_is_exact(world: World) -> None:
    """RC6: also where there was nothing to return; from then on the answer is final."""
    other = _company(world, {"a": 40})
    assert world.exchange(asks=[world.ask(61, ["a"])]).asks == [Drawn.WAIT]
    with world.ledger.reader() as reader:
        assert reader.recalled(other, NOW_US) == {world.customer: [(world.ids["a"], 40)]}
    world.exchange(gives=[world.give("a", 0, exact=True)], by=other)
    with world.ledger.reader() as reader:
        assert reader.recalled(other, NOW_US) == {}
        assert reader.shares([world.ids["a"], world.ids["b"]], world.me) == {
            world.ids["a"]: [ShareRow(other, 40, True)]
        }
    assert world.exchange(asks=[world.ask(61, ["a"])]).asks == [Drawn.NO]
    assert world.exchange(asks=[world.ask(60, ["a"])]).asks == [Drawn.GRANTED]
    world.assert_sound()


def test_who_is_alone_has_no_exact_share_whatever_it_says(world: World) -> None:
    """RC7: who comes later would take what it has to spare for held."""
    world.exchange(asks=[world.ask(100, ["a"])], gives=[])
    world.exchange(gives=[world.give("a", 0, exact=True)])
    assert not world.cell("a").exact
    other = world.join()
    assert world.exchange(asks=[world.ask(1, ["a"])], by=other).asks == [Drawn.WAIT]


def test_one_cell_that_is_short_for_good_makes_the_answer_no(world: World) -> None:
    """RC6: and nobody is asked for the others."""
    _company(world, {"a": 100})
    world.exchange(world.booking("k", 1_000, ["root"]))
    assert world.exchange(asks=[world.ask(5)]).asks == [Drawn.NO]
    assert world.exchange(asks=[world.ask(5, ["root", "a"])]).asks == [Drawn.NO]
    assert _hushed(world) == {}


def test_where_less_would_do_others_are_asked_only_below_that(world: World) -> None:
    _company(world, {"a": 90})
    assert world.exchange(asks=[world.ask(50, ["a"], minimum=11)]).asks == [Drawn.WAIT]
    assert world.exchange(asks=[world.ask(50, ["a"], minimum=10)]).asks == [Drawn.GRANTED]
    assert world.numbers()["a"] == (0, 10, 90)


def test_who_waits_and_asks_again_writes_nothing_while_its_call_stands(world: World) -> None:
    _company(world, {"a": 90})
    ask = world.ask(50, ["a"])
    world.exchange(asks=[ask])
    before = _changes(world)
    for later_us in (1, SECOND // 2):
        assert world.exchange(asks=[ask], now_us=NOW_US + later_us).asks == [Drawn.WAIT]
    assert _changes(world) == before
    world.exchange(asks=[ask], now_us=NOW_US + SECOND // 2 + 1)
    assert _hushed(world) == {"a": NOW_US + SECOND // 2 + 1 + SECOND}


def test_while_a_cell_is_recalled_no_draw_carries_a_surplus(world: World) -> None:
    """So two that both wait both end: nothing is hidden anew meanwhile."""
    other = _company(world, {"root": 950})
    world.exchange(asks=[world.ask(51, ["root"])])
    world.exchange(gives=[world.give("root", 950)], by=other)
    world.exchange(asks=[world.ask(1, ["root"])], by=other)
    assert world.cell("root", other).granted == 1
    assert world.cell("root", other).exact
    world.exchange(asks=[world.ask(1, ["root"])], by=other, now_us=NOW_US + SECOND)
    assert world.cell("root", other).granted > 2


def test_what_is_left_over_of_an_exact_share_is_free_in_the_commit_that_books(world: World) -> None:
    """Spends may be more than the amount; a key that is known spends nothing, so nothing is freed twice."""
    world.join()
    _halt_surplus(world)
    world.exchange(asks=[world.ask(10)])
    for _ in range(2):
        world.exchange(world.booking("k", 6, spend=10))
        assert world.numbers()["a"] == (6, 0, 0)
    world.assert_sound()


def test_a_dead_holders_share_hides_nothing_once_it_is_buried(world: World) -> None:
    other = _company(world, {"a": 90})
    ask = world.ask(50, ["a"])
    assert world.exchange(asks=[ask]).asks == [Drawn.WAIT]
    world.ledger.bury(other, {world.ids["a"]: [Orphan(51, NOW_US + SECOND)]}, NOW_US)
    assert world.exchange(asks=[ask]).asks == [Drawn.NO]
    assert world.exchange(asks=[ask], now_us=NOW_US + SECOND).asks == [Drawn.GRANTED]


# ------------------------------------------------------------------ giving back, spending


def test_what_is_given_back_is_free_again(world: World) -> None:
    world.exchange(asks=[world.ask(5)])
    reply = world.exchange(gives=[world.give("a", 95), world.give("root", 0)])
    assert reply.cells[world.ids["a"]].granted == 5
    assert world.numbers()["a"] == (0, 5, 0)
    assert reply.cells[world.ids["root"]].granted == 1_000  # named, so it is told; nothing given
    world.assert_sound()


def test_gives_come_before_asks(world: World) -> None:
    world.exchange(asks=[world.ask(100, ["a"])])
    assert world.exchange(gives=[world.give("a", 100)], asks=[world.ask(100, ["a"])]).asks == [True]


def test_what_is_spent_leaves_the_share_as_usage(world: World) -> None:
    world.exchange(asks=[world.ask(30)])
    reply = world.exchange(world.booking("k", 30, spend=20))
    assert reply.cells[world.ids["a"]].used == 30
    assert reply.cells[world.ids["a"]].granted == 80
    assert world.numbers()["root"] == (30, 980, 0)
    world.assert_sound()


@pytest.mark.parametrize("how", ["gives", "spends"])
def test_a_share_is_never_negative(world: World, how: str) -> None:
    """L3: memory and ledger do not agree. Nothing is written, then or later."""
    world.exchange(asks=[world.ask(5)])
    before = world.numbers()
    gifts = [world.give("a", 101)] if how == "gives" else []
    spending = world.booking("k", 101, spend=0 if gifts else 101)
    with pytest.raises(LedgerCorrupt, match="share of cell"):
        world.exchange(world.booking("j", 1, ["b"]), spending, gives=gifts)
    with pytest.raises(LedgerCorrupt, match="share of cell"):
        world.exchange(world.booking("l", 1))
    assert world.numbers() == before
    world.assert_sound()


def test_a_gift_of_a_cell_that_has_gone_is_nobodys(world: World) -> None:
    world.exchange(asks=[world.ask(5)])
    gift = world.give("a", 5)
    world.change(customers_touched={"acme"}, allocations_removed=[world.keys["a"].allocation])
    assert world.exchange(gives=[gift]).cells == {}
    world.assert_sound()


# ------------------------------------------------------------------ what dead holders held


def test_what_a_dead_holder_held_is_free_when_its_reservations_end(world: World) -> None:
    world.exchange(asks=[world.ask(5)])
    held = [Orphan(30, NOW_US + 10), Orphan(20, NOW_US + 20)]
    world.ledger.bury(world.me, {world.ids["a"]: held}, NOW_US)
    world.me = world.enlist()
    assert world.cell("a").orphans == tuple(held)
    assert world.cell("a").others == 0
    assert world.exchange(asks=[world.ask(51, ["a"])], now_us=NOW_US + 9).asks == [False]
    assert world.exchange(asks=[world.ask(81, ["a"])], now_us=NOW_US + 10).asks == [False]
    assert world.cell("a").orphans == (held[1],)  # the other's time has come
    reply = world.exchange(asks=[world.ask(80, ["a"])], now_us=NOW_US + 19)
    assert reply.asks == [True]
    assert reply.cells[world.ids["a"]].orphans == (held[1],)
    assert world.exchange(asks=[world.ask(20, ["a"])], now_us=NOW_US + 20).asks == [True]
    assert world.cell("a").orphans == ()
    world.assert_sound()


def test_only_the_cells_that_are_asked_are_looked_through(world: World) -> None:
    world.exchange(asks=[world.ask(5)])
    world.ledger.bury(world.me, {world.ids[n]: [Orphan(30, NOW_US + 10)] for n in ("a", "root")}, NOW_US)
    world.me = world.enlist()
    world.exchange(world.booking("k", 1), asks=[world.ask(1, ["a"])], now_us=NOW_US + SECOND)
    assert world.cell("a").orphans == ()
    assert world.cell("root").orphans == (Orphan(30, NOW_US + 10),)
    world.assert_sound()


# ------------------------------------------------------------------ all of it, against ten lines

CELLS = ("x", "y")
amounts = st.integers(0, 12)
bookings = st.tuples(
    st.just("book"), st.sampled_from("pqrst"), st.integers(-3, 12), st.sets(st.sampled_from(CELLS)), amounts
)
gives = st.tuples(st.just("give"), st.sampled_from(CELLS), amounts)
asks = st.tuples(
    st.just("ask"),
    st.sets(st.sampled_from(CELLS), min_size=1),
    amounts,
    amounts,
    st.dictionaries(st.sampled_from(CELLS), amounts),
)
deaths = st.tuples(
    st.just("die"),
    st.dictionaries(st.sampled_from(CELLS), st.lists(st.tuples(amounts, st.integers(1, 6)), max_size=3)),
)
steps = st.lists(st.lists(st.one_of(bookings, gives, asks, deaths), max_size=6), max_size=8)


class Reference:
    """What a ledger is, in a few lines: used, mine and orphans of each cell; the keys."""

    def __init__(self, limits: dict[str, int]) -> None:
        self.lim, self.used, self.mine = limits, dict.fromkeys(limits, 0), dict.fromkeys(limits, 0)
        self.orphans: dict[str, list[tuple[int, int]]] = {name: [] for name in limits}
        self.keys: set[str] = set()
        self.hushed: set[str] = set()  # in this exchange; the next comes seconds later

    def free(self, name: str) -> int:
        return self.lim[name] - self.used[name] - self.mine[name] - sum(u for u, _ in self.orphans[name])

    def book(self, key: str, amount: int, on: set[str], spend: int) -> list[int] | None:
        if key in self.keys:
            return None
        self.keys.add(key)
        before = {name: max(0, self.used[name] - self.lim[name]) for name in on}
        for name in on:
            self.used[name] += amount
            self.mine[name] -= spend
            if self.free(name) < 0 and (self.mine[name] or self.orphans[name]):
                self.hushed.add(name)
        return [max(0, self.used[name] - self.lim[name]) - before[name] for name in sorted(on)]

    def draw(self, on: set[str], amount: int, minimum: int, spare: dict[str, int], now: int) -> bool:
        for name in on:
            self.orphans[name] = [(u, end) for u, end in self.orphans[name] if end > now]
        reach = min([amount, *(self.free(name) + spare.get(name, 0) for name in on)])
        if reach < minimum:
            return False
        for name in on:
            lacking = max(0, reach - spare.get(name, 0))  # alone: all there is
            self.mine[name] += max(0, min(self.free(name), lacking if name in self.hushed else 10**9))
        return True

    def die(self, held: dict[str, list[tuple[int, int]]], now: int) -> None:
        for name, mine in self.mine.items():
            left = mine
            for units, end in sorted(held.get(name, []), key=lambda hold: -hold[1]):
                kept = min(units, left)
                if kept and end > now:
                    self.orphans[name].append((kept, end))
                    left -= kept
            self.mine[name] = 0


@given(limits=st.tuples(st.integers(0, 40), st.integers(0, 40)), steps=steps)
def test_exchanges_do_what_ten_lines_of_reference_do(limits: tuple[int, int], steps: list[Any]) -> None:
    """RC1 to RC4, U2, HR1, L1 to L3: bookings with repeated keys, asks, gives, deaths."""
    with closing(open_ledger(":memory:")) as ledger:
        world, reference = World(ledger), Reference(dict(zip(CELLS, limits, strict=True)))
        _put(world, reference.lim)
        for second, batch in enumerate(steps):
            for _, held in (step for step in batch if step[0] == "die"):
                reference.die(held, 2 * second)
                orphans = {
                    world.ids[name]: [Orphan(units, NOW_US + end * SECOND) for units, end in holds]
                    for name, holds in held.items()
                }
                ledger.bury(world.me, orphans, NOW_US + 2 * second * SECOND)
                world.me = world.enlist()
            _one_exchange(world, reference, [step for step in batch if step[0] != "die"], 2 * second)
            for name in CELLS:
                cell, withheld = world.cell(name), sum(units for units, _ in reference.orphans[name])
                assert (cell.used, cell.granted) == (reference.used[name], reference.mine[name])
                assert sum(orphan.units for orphan in cell.orphans) == withheld
                assert cell.others == 0
            world.assert_sound()


def _put(world: World, limits: dict[str, int]) -> None:
    world.change(
        customers_touched={"acme"},
        resources=[resource(name) for name in limits],
        allocations=[allocation(name, limit) for name, limit in limits.items()],
    )
    world.reread()


def _one_exchange(world: World, reference: Reference, batch: list[Any], now: int) -> None:
    reference.hushed.clear()
    entries, gifts, wishes = [], [], []
    expected_overages, expected_asks = [], []
    left = dict(reference.mine)  # a holder spends and gives no more than it has
    seen = set(reference.keys)
    for _, key, amount, on, spend in (step for step in batch if step[0] == "book"):
        most = min([spend, *(left[name] for name in on)]) if key not in seen else spend
        if key not in seen:
            seen.add(key)
            left = {name: left[name] - most * (name in on) for name in left}
        entries.append(world.booking(key, amount, sorted(on), spend=most))
        expected_overages.append(reference.book(key, amount, on, most))
    for _, name, units in (step for step in batch if step[0] == "give"):
        most = min(units, left[name])
        left[name] -= most
        gifts.append(world.give(name, most))
        reference.mine[name] -= most
    for _, on, amount, less, spares in (step for step in batch if step[0] == "ask"):
        minimum = max(0, amount - less)
        spare = {name: min(spares.get(name, 0), reference.mine[name]) for name in on}
        ask = world.ask(amount, sorted(on), minimum=minimum)
        ask.cells = tuple(
            (asked._replace(spare_units=spare[name]), most, least)
            for (asked, most, least), name in zip(ask.cells, sorted(on), strict=True)
        )
        wishes.append(ask)
        expected_asks.append(reference.draw(on, amount, minimum, spare, now))
    reply = world.exchange(*entries, gives=gifts, asks=wishes, now_us=NOW_US + now * SECOND)
    assert reply.asks == expected_asks
    for answer, overages in zip(reply.bookings, expected_overages, strict=True):
        assert isinstance(answer, Known if overages is None else Booked)
        if isinstance(answer, Booked):
            assert answer.parts[0].overages == overages


def test_the_order_of_parts_of_a_batch_is_books_gives_asks(world: World) -> None:
    world.exchange(asks=[world.ask(100, ["a"])])
    reply = world.exchange(
        world.booking("k", 40, ["a"], spend=40), gives=[world.give("a", 60)], asks=[world.ask(60, ["a"])]
    )
    assert reply.asks == [True]
    assert world.numbers()["a"] == (40, 60, 0)
