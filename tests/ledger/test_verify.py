"""Verify: whatever is not what its events and shares add up to is told."""

from typing import Any

import pytest

from stiggctl.ledger.records import Difference, Orphan

from .world import DAY_US, NOW_US, TODAY, World, allocation, template, wanted


def _plant(world: World, statement: str, *values: object) -> None:
    """Damage a row, past all that guards it."""
    world.ledger._connections.transact(
        lambda cursor: (
            cursor.execute("PRAGMA ignore_check_constraints = 1"),
            cursor.execute(statement, values),
            cursor.execute("PRAGMA ignore_check_constraints = 0"),
        )
    )


def _read(world: World, statement: str) -> list[tuple[Any, ...]]:
    with world.ledger.reader() as reader:
        return reader.rows(statement, {})


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


@pytest.mark.parametrize("column", ["used", "granted"])
@pytest.mark.parametrize("by", [1, -1, 1 << 32, -(1 << 32), (1 << 32) - 1, 1 << 62])
def test_whatever_bits_of_a_counter_differ_it_is_told(busy: World, column: str, by: int) -> None:
    """L2, L3: the halves of a sum are compared as one number."""
    cell = busy.ids["root"]
    [(before,)] = _read(busy, f"SELECT {column} FROM cells WHERE id = {cell}")
    _plant(busy, f"UPDATE cells SET {column} = {column} + ? WHERE id = ?", by, cell)
    with busy.ledger.reader() as reader:
        assert [tuple(each)[1:] for each in reader.differences()] == [(before + by, before)]


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


@pytest.fixture
def windows(busy: World) -> dict[str, int]:
    """Cells of windows that lie apart, touch and overlap, and of scopes; cell ids by what they are."""
    facts: list[dict[str, Any]] = [
        {"cadence": "P1D"},
        {"cadence": "P1D", "scope": '{"model":["gpt-5"]}'},
        {"cadence": "P30D", "scope": '{"model":["gpt-5","gpt-6"]}'},
        {"scope": '{"model":["gpt-6"]}'},
    ]
    busy.change(
        allocations=[
            *(allocation("root", 9, allocation_id=str(at), **kind) for at, kind in enumerate(facts)),
            template(9, allocation_id="4", cadence="P7D"),
        ]
    )
    start, end = TODAY
    for n, at_us in enumerate([start - DAY_US, start - 1, start, NOW_US, end - 1, end, end + DAY_US]):
        said = '{"model":"gpt-5"}' if n % 2 else '{"model":"gpt-6"}'
        busy.exchange(busy.booking(f"w{n}", 1 << n, ["root"], occurred_at_us=at_us, dimensions=said))
    spans: dict[str, tuple[str, tuple[int, int | None]]] = {
        "yesterday": ("0", (start - DAY_US, start)),
        "today": ("0", TODAY),
        "long past": ("0", (start - 99 * DAY_US, start - 98 * DAY_US)),
        "scoped today": ("1", TODAY),
        "scoped tomorrow": ("1", (end, end + DAY_US)),
        "thirty days": ("2", (start - 20 * DAY_US, end + 9 * DAY_US)),
        "ever": ("3", (0, None)),
        "seven days": ("4", (start + 5, end + 6 * DAY_US)),
    }
    cells = [
        wanted(busy.limit(limit), window, resource=busy.rows["root"]) for limit, window in spans.values()
    ]
    ids = dict(zip(spans, (cell.id for cell in busy.open(*cells)), strict=True))
    busy.assert_sound()
    return ids


@pytest.mark.parametrize(
    "which",
    [
        "yesterday",
        "today",
        "long past",
        "scoped today",
        "scoped tomorrow",
        "thirty days",
        "ever",
        "seven days",
    ],
)
def test_a_cell_with_a_window_or_a_scope_that_is_not_its_sum_is_told(
    busy: World, windows: dict[str, int], which: str
) -> None:
    """L2, and SW1: that one, and no other."""
    cell = windows[which]
    [(allocation_, used)] = _read(busy, f"SELECT allocation, used FROM cells WHERE id = {cell}")
    _plant(busy, "UPDATE cells SET used = used + 3 WHERE id = ?", cell)
    with busy.ledger.reader() as reader:
        found = reader.differences()
    name = f"used of cell {cell} (allocation {allocation_}, resource 'root', tokens)"
    assert found == [Difference(name, used + 3, used)]


def test_an_event_that_is_lost_is_told_by_the_windows_and_scopes_that_had_it(
    busy: World, windows: dict[str, int]
) -> None:
    names = {id_: name for name, id_ in (windows | {"root": busy.ids["root"]}).items()}
    for key, counted in {
        "w0": {"root", "yesterday", "thirty days", "ever"},
        "w1": {"root", "yesterday", "thirty days"},
        "w2": {"root", "today", "thirty days", "ever"},
        "w3": {"root", "today", "scoped today", "thirty days", "seven days"},
        "w5": {"root", "scoped tomorrow", "thirty days", "seven days"},
        "w6": {"root", "thirty days", "ever", "seven days"},
    }.items():
        amount = 1 << int(key[1])
        _plant(busy, "UPDATE events SET amount_units = 0 WHERE key = ?", key)
        with busy.ledger.reader() as reader:
            found = reader.differences()
        told = {names[int(each.what.split("cell ")[1].split(" ")[0])]: each for each in found}
        assert told.keys() == counted
        assert {each.stored - each.computed for each in found} == {amount}
        _plant(busy, "UPDATE events SET amount_units = ? WHERE key = ?", amount, key)
    busy.assert_sound()


def test_windows_of_an_allocation_that_is_gone_are_told(busy: World, windows: dict[str, int]) -> None:
    _plant(busy, "DELETE FROM allocations WHERE allocation_id = '1'")
    with busy.ledger.reader() as reader:
        found = reader.differences()
    assert len(found) == 2
    assert all("a currency that is gone" in each.what and each.computed == 0 for each in found)


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
