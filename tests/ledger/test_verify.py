"""Verify: whatever is not what its events and shares add up to is told."""

import pytest

from stiggctl.ledger.records import Difference, Orphan

from .world import NOW_US, World


def _plant(world: World, statement: str, *values: object) -> None:
    """Damage a row, past all that guards it."""
    world.ledger._connections.transact(
        lambda cursor: (
            cursor.execute("PRAGMA ignore_check_constraints = 1"),
            cursor.execute(statement, values),
            cursor.execute("PRAGMA ignore_check_constraints = 0"),
        )
    )


@pytest.fixture
def busy(world: World) -> World:
    """Events, reversals, shares of the living and of the dead."""
    world.exchange(asks=[world.ask(5)])
    world.exchange(world.booking("k", 30, spend=20), world.booking("l", 5, ["b", "root"]))
    world.ledger.bury(world.me, {world.ids["a"]: [Orphan(30, NOW_US + 10)]}, NOW_US)
    world.me = world.enlist()
    world.exchange(
        world.booking("back", -30), world.booking("soft", 99, ["soft"]), asks=[world.ask(5, ["b"])]
    )
    return world


def test_a_sound_ledger_has_no_differences(busy: World) -> None:
    busy.assert_sound()


def test_a_counter_that_is_not_the_sum_of_its_events_is_told(busy: World) -> None:
    """L2."""
    cell = busy.ids["b"]
    _plant(busy, "UPDATE cells SET used = 7 WHERE id = ?", cell)
    allocation = busy.keys["b"].allocation
    with busy.ledger.reader() as reader:
        [found] = reader.differences()
    assert found == Difference(f"used of cell {cell} (allocation {allocation}, resource 'b', tokens)", 7, 5)


def test_an_event_that_is_lost_is_told_by_every_counter_that_had_it(busy: World) -> None:
    _plant(busy, "DELETE FROM events WHERE key = ?", "l")
    with busy.ledger.reader() as reader:
        found = reader.differences()
    assert {(each.stored, each.computed) for each in found} == {(5, 0)}
    assert {each.what.split("resource ")[1].split(",")[0] for each in found} == {"'b'", "'root'"}


def test_what_is_granted_and_stands_in_no_share_is_told(busy: World) -> None:
    """L3."""
    _plant(busy, "UPDATE cells SET granted = granted + 1 WHERE id = ?", busy.ids["a"])
    _plant(busy, "DELETE FROM shares WHERE cell = ? AND until_us = 0", busy.ids["b"])
    with busy.ledger.reader() as reader:
        found = {each.what.split(" (")[0]: each[1:] for each in reader.differences()}
    assert found == {
        f"granted of cell {busy.ids['a']}": (31, 30),
        f"granted of cell {busy.ids['b']}": (45, 0),
    }


def test_shares_that_cannot_be_are_told(busy: World) -> None:
    _plant(busy, "UPDATE shares SET granted = -3 WHERE cell = ? AND until_us = 0", busy.ids["b"])
    _plant(busy, "INSERT INTO shares (cell, holder, granted, exact) VALUES (999, 1, 4, 0)")
    with busy.ledger.reader() as reader:
        found = {each.what: each[1:] for each in reader.differences() if each.what.startswith("share")}
    assert found == {
        f"share of holder {busy.me} in cell {busy.ids['b']}": (-3, 0),
        "share of holder 1 in cell 999, which is not open": (4, 0),
    }


def test_a_cell_of_a_resource_that_is_gone_is_named_all_the_same(busy: World) -> None:
    _plant(busy, "UPDATE cells SET allocation = 999 WHERE id = ?", busy.ids["b"])
    with busy.ledger.reader() as reader:
        [found] = reader.differences()
    assert "allocation 999, resource 'b', a currency that is gone" in found.what


def test_what_sqlite_finds_wrong_with_the_file_is_told(busy: World) -> None:
    """An index that lacks a row: no counter shows it."""
    _plant(busy, "PRAGMA writable_schema = 1")
    _plant(
        busy,
        "UPDATE sqlite_schema SET rootpage ="
        " (SELECT rootpage FROM sqlite_schema WHERE name = 'audit_customer')"
        " WHERE name = 'events_reversal'",
    )
    busy.ledger.checkpoint(everything=True)
    with busy.ledger.reader() as reader:
        found = [each for each in reader.differences() if each.what.startswith("problems of the file")]
    assert found
