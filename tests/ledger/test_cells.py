"""Cells: opened when they are needed, with all that was booked before."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Barrier, Thread
from typing import Any

import pytest

from stiggctl.errors import LedgerError
from stiggctl.ledger import Stale
from stiggctl.ledger.records import CellKey, CellWanted, Part
from stiggctl.ledger.sqlite import cells

from .world import NOW_US, TODAY, World, allocation, resource, wanted


def test_a_new_cell_has_its_limit_and_nothing_else(world: World) -> None:
    for name, limit in {"root": 1_000, "a": 100, "b": 50, "soft": 10}.items():
        cell = world.cell(name)
        assert (cell.limit_units, cell.used, cell.granted, cell.others, cell.orphans) == (limit, 0, 0, 0, ())
        assert cell.exact
        assert (cell.allocation, cell.resource) == (world.keys[name].allocation, world.rows[name])


def test_a_reader_sees_a_cell_that_is_not_open_without_opening_it(world: World) -> None:
    world.exchange(world.booking("k", 7, ["free", "a"]))
    world.change(customers_touched={"acme"}, allocations=[allocation("free", 30)])
    with world.ledger.reader() as reader:
        [row] = reader.allocations(resources=[world.rows["free"]])
        asked = wanted(row)
        for _ in range(2):
            cell = reader.cells([asked], world.me)[asked.key]
            assert (cell.id, cell.used, cell.limit_units, cell.granted) == (0, 7, 30, 0)
    [opened] = world.open(asked)
    assert opened.id > 0
    assert opened.used == 7
    world.assert_sound()


def test_an_allocation_added_later_counts_what_came_before_it(world: World) -> None:
    """O1, for the resource and its ancestors, in its currency only, reversals too."""
    world.exchange(
        world.booking("1", 5, ["free", "root"]),
        world.booking("2", 6, ["free"]),
        world.booking("3", 100, ["a", "root"]),
        world.booking("4", 1_000, ["free"], currency=world.usd, parts=_parts(world, 1_000, world.usd)),
        world.booking("5", -2, ["free"]),
    )
    world.change(
        customers_touched={"acme"},
        allocations=[
            allocation("free", 100),
            allocation("free", 100, currency_id="usd", allocation_id="in-usd"),
            allocation("root", 9, allocation_id="again"),
        ],
    )
    with world.ledger.reader() as reader:
        asked = {(row.resource_id, row.currency): wanted(row) for row in reader.allocations()}
    opened = dict(zip(asked, world.open(*asked.values()), strict=True))
    assert opened["free", world.tokens].used == 9
    assert opened["free", world.usd].used == 1_000
    assert opened["root", world.tokens].used == 105
    world.assert_sound()


def _parts(world: World, amount: int, currency: int) -> tuple[Part, ...]:
    return (Part(currency, amount, None, (), ()),)


def test_what_is_booked_while_a_cell_opens_is_counted_once(world: World) -> None:
    """O1: events before the sum, after it, before the lock, and after; in a chosen order."""
    world.exchange(world.booking("before", 5, ["free"]))
    world.change(customers_touched={"acme"}, allocations=[allocation("free", 30)])
    with world.ledger.reader() as reader:
        [row] = reader.allocations(resources=[world.rows["free"]])
    asked, taken = wanted(row), []

    @contextmanager
    def snapshots() -> Iterator[Any]:
        taken.append(len(taken))
        with world.ledger.reader() as reader:
            world.exchange(world.booking(f"during {taken[-1]}", 3, ["free"]))
            yield reader
        world.exchange(world.booking(f"between {taken[-1]}", 4, ["free"], spend=0))
        world.exchange(world.booking(f"elsewhere {taken[-1]}", 90, ["a", "root"]))

    [opened] = cells.open_all(
        world.ledger._connections, snapshots, [asked], change=world.version, holder=world.me, now_us=NOW_US
    ).values()
    assert taken == [0, 1]  # the sum, and one round more, in which nearly nothing came
    assert opened.used == 5 + 2 * 3 + 2 * 4
    world.ids["free"], world.keys["free"], world.wanted["free"] = opened.id, asked.key, asked
    world.exchange(world.booking("after", 2, ["free"]))
    assert world.cell("free").used == opened.used + 2
    world.assert_sound()


@pytest.mark.parametrize(("came", "summed"), [((50, 9, 2, 99), 4), ((9,) * 20, 9)], ids=["enough", "never"])
def test_where_much_is_booked_during_the_sum_it_goes_on_before_the_lock(
    world: World, monkeypatch: pytest.MonkeyPatch, came: Sequence[int], summed: int
) -> None:
    """O1: until little came; and it gives up in time, where booking is faster than summing."""
    monkeypatch.setattr(cells, "_EVENTS_UNDER_LOCK", 3)
    world.change(allocations=[allocation("free", 30), allocation("free", 30, cadence="P1D")])
    with world.ledger.reader() as reader:
        ever, daily = reader.allocations(resources=[world.rows["free"]])
    taken: list[int] = []

    @contextmanager
    def snapshots() -> Iterator[Any]:
        with world.ledger.reader() as reader:
            yield reader
        for n in range(came[len(taken)]):
            world.exchange(world.booking(f"{len(taken)} {n}", 1, ["free"]))
        taken.append(came[len(taken)])

    opened = cells.open_all(
        world.ledger._connections,
        snapshots,
        [wanted(ever), wanted(daily, TODAY)],
        change=world.version,
        holder=world.me,
        now_us=NOW_US,
    )
    assert len(taken) == summed
    assert [cell.used for cell in opened.values()] == [sum(taken)] * 2
    world.assert_sound()


def test_opening_again_changes_nothing(world: World) -> None:
    looking = sqlite3.connect(world.ledger.path)
    before = looking.execute("PRAGMA data_version").fetchone()
    again = world.ledger.open_cells(list(world.wanted.values()), world.version, world.me)
    assert {name: again[key].id for name, key in world.keys.items()} == world.ids
    assert looking.execute("PRAGMA data_version").fetchone() == before
    looking.close()


def test_a_cell_opens_only_under_the_model_that_was_read(world: World) -> None:
    old = world.version
    world.change(customers_touched={"acme"}, allocations=[allocation("free", 30)])
    with world.ledger.reader() as reader:
        [row] = reader.allocations(resources=[world.rows["free"]])
    new = wanted(row)
    for asked in ([new], [world.wanted["a"]], [world.wanted["a"]._replace(limit_units=7)]):
        with pytest.raises(Stale):
            world.ledger.open_cells(asked, old, world.me)
    with world.ledger.reader() as reader:
        assert reader.cells([new], world.me)[new.key].id == 0


def test_an_allocation_that_is_not_there_has_no_cell(world: World) -> None:
    no_allocation = CellWanted(CellKey(10**6, world.rows["a"], 0), None, "{}", 5)
    no_resource = CellWanted(CellKey(world.keys["a"].allocation, 10**6, 0), None, "{}", 5)
    assert world.ledger.open_cells([no_allocation, no_resource], world.version, world.me) == {}
    with world.ledger.reader() as reader:
        found = reader.cells([no_allocation, no_resource, world.wanted["a"]], world.me)
    assert found.keys() == {world.keys["a"]}


def test_threads_that_open_one_cell_get_the_same(world: World) -> None:
    world.change(
        customers_touched={"acme"},
        resources=[resource(f"r{n}") for n in range(20)],
        allocations=[allocation(f"r{n}", 5) for n in range(20)],
    )
    with world.ledger.reader() as reader:
        asked = [wanted(row) for row in reader.allocations() if row.resource_id[0] == "r"]
    together, found = Barrier(4), []

    def open_all() -> None:
        together.wait()
        found.append(world.ledger.open_cells(asked, world.version, world.me))

    threads = [Thread(target=open_all) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert all(each == found[0] for each in found)
    assert len({cell.id for cell in found[0].values()}) == len(asked)


def test_a_cell_whose_allocation_is_gone_is_gone_for_good(world: World) -> None:
    """MC2: its id is nobody else's, or a late settle would be booked on another's limit."""
    last = max(world.ids.values())
    gone = next(name for name, id_ in world.ids.items() if id_ == last)
    world.exchange(asks=[world.ask(5, [gone])])
    world.change(customers_touched={"acme"}, allocations_removed=[world.keys[gone].allocation])
    ids = dict(world.ids)
    world.change(customers_touched={"acme"}, allocations=[allocation("free", 30)])
    world.reread()
    assert world.ids["free"] > last
    spent_where_it_was_held = Part(world.tokens, 3, None, (ids[gone],), (3,))
    late = world.booking("late", 3, [gone, "root"], parts=(spent_where_it_was_held,))
    reply = world.exchange(late)
    assert reply.bookings[0].parts == ((0, (), [], [], None),)
    assert ids[gone] not in reply.cells
    assert world.cell("free").used == 0
    with world.ledger.reader() as reader:
        assert reader.event_by_key(world.customer, 0, "late").parts[0].amount_units == 3


def test_more_usage_than_a_limit_can_count_is_refused_by_name(world: World) -> None:
    """Nothing counted it while nothing limited it: the sum may be more than 64 bits hold."""
    huge = 10**17
    world.exchange(*(world.booking(str(n), huge, ["free"]) for n in range(100)))
    world.change(customers_touched={"acme"}, allocations=[allocation("free", 30)])
    with world.ledger.reader() as reader:
        [row] = reader.allocations(resources=[world.rows["free"]])
        asked = wanted(row)
        assert reader.cells([asked], world.me)[asked.key].used == 100 * huge
    with pytest.raises(LedgerError, match="more than a limit can count"):
        world.open(asked)
    world.exchange(*(world.booking(f"{n} back", -huge, ["free"]) for n in range(21)))
    [opened] = world.open(asked)
    assert opened.used == 79 * huge
    world.assert_sound()
