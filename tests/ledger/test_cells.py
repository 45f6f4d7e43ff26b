"""Cells: opened when they are needed, with all that was booked before."""

import sqlite3
from threading import Barrier, Thread
from typing import Any

import pytest

from stiggctl.errors import LedgerError
from stiggctl.ledger import Stale
from stiggctl.ledger.records import CellKey, Part
from stiggctl.ledger.sqlite import cells

from .world import World, allocation, resource


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
        key = CellKey(row.id, row.resource, 0)
        for _ in range(2):
            cell = reader.cells([key], world.me)[key]
            assert (cell.id, cell.used, cell.limit_units, cell.granted) == (0, 7, 30, 0)
    opened = world.ledger.open_cells([key], world.version, world.me)[key]
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
        keys = {
            (row.resource_id, row.currency): CellKey(row.id, row.resource, 0) for row in reader.allocations()
        }
    opened = world.ledger.open_cells(list(keys.values()), world.version, world.me)
    assert opened[keys["free", world.tokens]].used == 9
    assert opened[keys["free", world.usd]].used == 1_000
    assert opened[keys["root", world.tokens]].used == 105
    world.assert_sound()


def _parts(world: World, amount: int, currency: int) -> tuple[Part, ...]:
    return (Part(currency, amount, None, (), ()),)


def test_what_is_booked_while_a_cell_opens_is_counted_once(world: World) -> None:
    """O1: events before the sum, between the sum and the lock, and after; in a chosen order."""
    world.exchange(world.booking("before", 5, ["free"]))
    world.change(customers_touched={"acme"}, allocations=[allocation("free", 30)])
    with world.ledger.reader() as reader:
        [row] = reader.allocations(resources=[world.rows["free"]])
        key = CellKey(row.id, row.resource, 0)
        reader.state()
        world.exchange(world.booking("between", 3, ["free"]), world.booking("elsewhere", 90, ["a", "root"]))
        opened = cells.open_all(
            world.ledger._connections, reader.rows, [key], change=world.version, holder=world.me
        )
    assert opened[key].used == 8
    world.ids["free"], world.keys["free"] = opened[key].id, key
    world.exchange(world.booking("after", 2, ["free"]))
    assert world.cell("free").used == 10
    world.assert_sound()


def test_opening_again_changes_nothing(world: World) -> None:
    looking = sqlite3.connect(world.ledger.path)
    before = looking.execute("PRAGMA data_version").fetchone()
    again = world.ledger.open_cells(list(world.keys.values()), world.version, world.me)
    assert {name: again[key].id for name, key in world.keys.items()} == world.ids
    assert looking.execute("PRAGMA data_version").fetchone() == before
    looking.close()


def test_a_cell_opens_only_under_the_model_that_was_read(world: World) -> None:
    old = world.version
    world.change(customers_touched={"acme"}, allocations=[allocation("free", 30)])
    with world.ledger.reader() as reader:
        [row] = reader.allocations(resources=[world.rows["free"]])
    new = CellKey(row.id, row.resource, 0)
    for keys in ([new], [world.keys["a"]]):
        with pytest.raises(Stale):
            world.ledger.open_cells(keys, old, world.me)
    with world.ledger.reader() as reader:
        assert reader.cells([new], world.me)[new].id == 0


def test_an_allocation_that_is_not_there_has_no_cell(world: World) -> None:
    none = CellKey(10**6, world.rows["a"], 0)
    assert world.ledger.open_cells([none], world.version, world.me) == {}
    with world.ledger.reader() as reader:
        assert reader.cells([none, world.keys["a"]], world.me).keys() == {world.keys["a"]}


def test_threads_that_open_one_cell_get_the_same(world: World) -> None:
    world.change(
        customers_touched={"acme"},
        resources=[resource(f"r{n}") for n in range(20)],
        allocations=[allocation(f"r{n}", 5) for n in range(20)],
    )
    with world.ledger.reader() as reader:
        keys = [CellKey(row.id, row.resource, 0) for row in reader.allocations() if row.resource_id[0] == "r"]
    together, found = Barrier(4), []

    def open_all() -> None:
        together.wait()
        found.append(world.ledger.open_cells(keys, world.version, world.me))

    threads = [Thread(target=open_all) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert all(each == found[0] for each in found)
    assert len({cell.id for cell in found[0].values()}) == len(keys)


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
    assert reply.bookings[0].parts == ((0, (), [], []),)
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
        key = CellKey(row.id, row.resource, 0)
        assert reader.cells([key], world.me)[key].used == 100 * huge
    with pytest.raises(LedgerError, match="more than a limit can count"):
        world.ledger.open_cells([key], world.version, world.me)
    world.exchange(*(world.booking(f"{n} back", -huge, ["free"]) for n in range(21)))
    opened: Any = world.ledger.open_cells([key], world.version, world.me)
    assert opened[key].used == 79 * huge
    world.assert_sound()
