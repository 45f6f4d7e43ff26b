"""Rolling limits: one cell each, which counts what took place since it opens, in buckets beside it."""

import itertools
import random
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stiggctl.errors import LedgerError
from stiggctl.ledger import Stale
from stiggctl.ledger.opening import open_ledger
from stiggctl.ledger.records import (
    AllocationRow,
    Bucket,
    CellKey,
    CellRow,
    CellWanted,
    Difference,
    Part,
    Rolls,
)
from stiggctl.ledger.sqlite import cells, sums, sweeping

from .world import NOW_US, World, allocation, template, wanted

WIDTH = 10
MODEL = '{"model":["gpt-5"]}'
GPT_5, OTHER = '{"model":"gpt-5"}', "{}"

_keys = itertools.count()


def limit(world: World, allocation_id: str = "rolling", units: int = 1_000, **differs: Any) -> AllocationRow:
    """A rolling limit on `free`, or another."""
    facts = {"allocation_id": allocation_id, "cadence": "PT1H", "rolling": True, **differs}
    world.change(allocations=[allocation(facts.pop("resource_id", "free"), units, **facts)])
    return world.limit(allocation_id)


def from_(row: AllocationRow, opens_us: int, width_us: int = WIDTH, **differs: Any) -> CellWanted:
    """The limit's cell as it counts from then on."""
    return wanted(row, **differs)._replace(rolls=Rolls(opens_us, width_us))


def book(world: World, at_us: int, amount: int, *counted: CellRow, said: str = OTHER, **differs: Any) -> Any:
    """An event on `free`, which counts in those cells; what it did."""
    spends = differs.pop("spends", (0,) * len(counted))
    part = Part(world.tokens, amount, None, tuple(cell.id for cell in counted), spends)
    key = differs.pop("key", f"{next(_keys)}")
    booking = world.booking(
        key, amount, ["free"], parts=(part,), occurred_at_us=at_us, dimensions=said, **differs
    )
    return world.exchange(booking).bookings[0]


def seen(world: World, asked: CellWanted) -> CellRow:
    with world.ledger.reader() as reader:
        return reader.cells([asked], world.me)[asked.key]


def stored(world: World) -> list[tuple[int, int]]:
    """All buckets that are not empty, of all cells."""
    with world.ledger.reader() as reader:
        return reader.rows("SELECT start_us, used FROM buckets WHERE used <> 0 ORDER BY cell, start_us", {})


# ------------------------------------------------------------------ opening, reading


def test_a_rolling_cell_counts_from_its_opening_on_in_buckets(world: World) -> None:
    """RW1: to the microsecond, with no upper bound; a reader sees it without opening it."""
    row = limit(world)
    for n, at in enumerate([-1, 0, 9, 10, 29, 30, 10_000_000]):
        book(world, NOW_US + at, 1 << n)
    asked = from_(row, NOW_US)
    right = ((0, 6), (10, 8), (20, 16), (30, 32), (10_000_000, 64))
    buckets = tuple(Bucket(NOW_US + start, units) for start, units in right)
    before = seen(world, asked)
    assert (before.id, before.used, before.buckets) == (0, 126, buckets)
    [opened] = world.open(asked)
    assert (opened.id > 0, opened.used, opened.buckets) == (True, 126, None)
    assert seen(world, asked) == opened._replace(buckets=buckets)
    assert stored(world) == list(buckets)
    world.assert_sound()


def test_buckets_lie_on_multiples_of_their_width_before_1970_too(world: World) -> None:
    row = limit(world)
    for at in (-31, -30, -21, -11, -10, -1, 0, 9):
        book(world, at, 1)
    [cell] = world.open(from_(row, -30))
    assert cell.used == 7
    assert stored(world) == [(-30, 2), (-20, 1), (-10, 2), (0, 2)]
    book(world, -12, 5, cell)
    book(world, -30, 7, cell)
    assert stored(world) == [(-30, 9), (-20, 6), (-10, 2), (0, 2)]
    world.assert_sound()


@pytest.mark.parametrize("said_of_limit", [{}, {"scope": MODEL}])
def test_a_rolling_cell_moves_on_without_its_events(
    world: World, said_of_limit: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """RW2: buckets leave; what is granted, and the cell, stay."""
    row = limit(world, **said_of_limit)
    for at in range(0, 60, 5):
        book(world, NOW_US + at, 1, said=GPT_5)
    [first] = world.open(from_(row, NOW_US))
    world.ids["free"] = first.id
    world.exchange(asks=[world.ask(7, ["free"])])
    monkeypatch.setattr(cells, "used_until", None)
    monkeypatch.setattr(cells, "used_since", lambda *_: pytest.fail("it walks over events"))
    later = from_(row, NOW_US + 20)
    looked = seen(world, later)
    assert (looked.used, len(stored(world))) == (8, 6)  # looking writes nothing
    [moved] = world.open(later)
    assert (moved.id, moved.used, moved.granted) == (first.id, 8, 988)
    assert looked == moved._replace(buckets=tuple(Bucket(NOW_US + at, 2) for at in (20, 30, 40, 50)))
    assert len(stored(world)) == 4
    world.assert_sound()
    [moved] = world.open(from_(row, NOW_US + 10**9))
    assert (moved.used, moved.granted, stored(world)) == (0, 988, [])
    world.assert_sound()


def test_a_clock_that_was_set_back_by_a_bucket_brings_that_back(world: World) -> None:
    """RW2: who wants less than the cell has would admit what the window has no room for."""
    row = limit(world)
    for at in (0, 15, 25):
        book(world, NOW_US + at, 3)
    world.open(from_(row, NOW_US + 10))
    [back] = world.open(from_(row, NOW_US))
    assert (back.used, stored(world)) == (9, [(NOW_US, 3), (NOW_US + 10, 3), (NOW_US + 20, 3)])
    world.assert_sound()


@pytest.mark.parametrize("said_of_limit", [{}, {"scope": MODEL}])
def test_a_clock_that_was_set_back_brings_buckets_back(world: World, said_of_limit: dict[str, Any]) -> None:
    """RW2: they are summed anew."""
    row = limit(world, **said_of_limit)
    for at in (0, 5, 15, 25, 35):
        book(world, NOW_US + at, 3, said=GPT_5)
        book(world, NOW_US + at, 100 * len(said_of_limit), said=OTHER)
    [now] = world.open(from_(row, NOW_US + 20))
    world.ids["free"] = now.id
    world.exchange(asks=[world.ask(7, ["free"])])
    earlier = from_(row, NOW_US)
    looked = seen(world, earlier)
    assert (looked.id, looked.used, len(looked.buckets), len(stored(world))) == (now.id, 15, 4, 2)
    [back] = world.open(earlier)
    assert (back.id, back.used, back.granted) == (now.id, 15, 994)
    assert back._replace(buckets=looked.buckets) == looked == seen(world, earlier)
    assert stored(world) == [(NOW_US, 6), (NOW_US + 10, 3), (NOW_US + 20, 3), (NOW_US + 30, 3)]
    world.assert_sound()


def test_buckets_of_another_width_are_summed_anew(world: World) -> None:
    row = limit(world)
    for at in (0, 5, 15, 25):
        book(world, NOW_US + at, 3)
    [first] = world.open(from_(row, NOW_US))
    wider = from_(row, NOW_US - NOW_US % 25 - 25, 25)
    [again] = world.open(wider)
    assert (again.id, again.used) == (first.id, 12)
    assert all(start % 25 == 0 for start, _ in stored(world))
    world.assert_sound()


def test_a_rolling_limit_that_is_wanted_is_set_as_it_moves(world: World) -> None:
    """O2: where less is left than was granted, hushed; and not where what is left just suffices."""
    row = limit(world)
    book(world, NOW_US, 100)
    book(world, NOW_US + 10, 10)
    [cell] = world.open(from_(row, NOW_US))
    world.ids["free"] = cell.id
    world.exchange(asks=[world.ask(5, ["free"])])
    asked = from_(row, NOW_US + 10)
    for units, hushed in ((900, False), (899, True)):
        [lowered] = world.ledger.open_cells(
            [asked._replace(limit_units=units)], world.version, world.me, now_us=NOW_US
        ).values()
        assert (lowered.limit_units, lowered.used, lowered.granted) == (units, 10, 890)
        with world.ledger.reader() as reader:
            [(until,)] = reader.rows("SELECT hush_until FROM cells WHERE id = :id", {"id": cell.id})
        assert (until > 0) == hushed


def test_a_rolling_cell_opens_only_under_the_model_that_was_read(world: World) -> None:
    old, row = world.version, limit(world)
    with pytest.raises(Stale):
        world.ledger.open_cells([from_(row, NOW_US)], old, world.me)
    [cell] = world.open(from_(row, NOW_US))
    for opens in (NOW_US, NOW_US + 50, NOW_US - 50):
        with pytest.raises(Stale):
            world.ledger.open_cells([from_(row, opens)], old, world.me)
    assert seen(world, from_(row, NOW_US)) == cell._replace(buckets=())


def test_more_than_a_limit_can_count_is_refused_by_name(world: World) -> None:
    """Also where it is so only in one bucket, or only once others have left."""
    huge = 10**17
    row = limit(world)
    back = [world.booking(f"b{n}", -huge, ["free"], occurred_at_us=NOW_US) for n in range(79)]
    there = [world.booking(f"t{n}", huge, ["free"], occurred_at_us=NOW_US + 10) for n in range(81)]
    world.exchange(*back, *there)
    for opens, units in ((NOW_US, 81 * huge), (NOW_US + 10, 81 * huge)):
        with pytest.raises(LedgerError, match=f"{units} units"):
            world.open(from_(row, opens))
    world.exchange(*(world.booking(f"m{n}", huge, ["free"], occurred_at_us=NOW_US + 20) for n in range(9)))
    world.exchange(*(world.booking(f"l{n}", -huge, ["free"], occurred_at_us=NOW_US + 10) for n in range(6)))
    [cell] = world.open(from_(row, NOW_US))
    assert cell.used == 5 * huge
    with pytest.raises(LedgerError, match=f"{84 * huge} units"):
        world.open(from_(row, NOW_US + 10))
    world.assert_sound()


def test_a_template_rolls_for_each_resource(world: World) -> None:
    world.change(allocations=[template(50, allocation_id="t", cadence="PT1H", rolling=True)])
    row = world.limit("t")
    world.exchange(world.booking("k", 5, occurred_at_us=NOW_US))
    asked = [from_(row, NOW_US, resource=world.rows[name]) for name in ("a", "b", "root")]
    assert [cell.used for cell in world.open(*asked)] == [5, 0, 5]
    world.assert_sound()


# ------------------------------------------------------------------ whoever opens when


@pytest.mark.parametrize("said_of_limit", [{}, {"scope": MODEL}])
def test_what_is_booked_while_a_rolling_cell_opens_is_counted_once(
    world: World, said_of_limit: dict[str, Any]
) -> None:
    """O1: its buckets too; and again when the clock is set back."""
    row = limit(world, **said_of_limit)
    opened: list[CellRow] = []
    taken = 0

    def busy() -> None:
        nonlocal taken
        taken += 1
        for at, amount in ((0, 1), (10, 20), (25, 300), (-1, 7_000)):
            counted = [cell for cell in opened if at >= 20]
            book(world, NOW_US + at, amount, *counted, said=GPT_5)
        if said_of_limit:
            book(world, NOW_US, 9_999, said=OTHER)

    @contextmanager
    def snapshots() -> Iterator[Any]:
        with world.ledger.reader() as reader:
            busy()
            yield reader
        busy()

    busy()
    connections = world.ledger._connections
    facts = {"change": world.version, "holder": world.me, "now_us": NOW_US}
    opened += cells.open_all(connections, snapshots, [from_(row, NOW_US + 20)], **facts).values()
    assert (taken, opened[0].used) == (5, 5 * 300)
    world.assert_sound()
    [back] = cells.open_all(connections, snapshots, [from_(row, NOW_US)], **facts).values()
    assert (taken, back.used) == (9, 9 * 321)
    assert stored(world) == [(NOW_US, 9), (NOW_US + 10, 180), (NOW_US + 20, 2_700)]
    world.assert_sound()


def test_a_cell_that_somebody_moved_on_meanwhile_is_summed_all_the_same(world: World) -> None:
    """Between the snapshot, which says that it only moves on, and the write lock."""
    row = limit(world)
    for at in (0, 15, 25, 75):
        book(world, NOW_US + at, 3)
    [first] = world.open(from_(row, NOW_US))

    @contextmanager
    def snapshots() -> Iterator[Any]:
        with world.ledger.reader() as reader:
            yield reader
        world.open(from_(row, NOW_US + 70))

    [slow] = cells.open_all(
        world.ledger._connections,
        snapshots,
        [from_(row, NOW_US + 10)],
        change=world.version,
        holder=world.me,
        now_us=NOW_US,
    ).values()
    assert (slow.id, slow.used) == (first.id, 9)
    world.assert_sound()


# ------------------------------------------------------------------ booking, asking


def test_an_event_counts_if_it_took_place_since_the_cell_opens(world: World) -> None:
    """RC5: else the cell is passed over, and its spend is not taken."""
    row = limit(world, units=50)
    [cell] = world.open(from_(row, NOW_US))
    world.ids["free"] = cell.id
    world.exchange(asks=[world.ask(7, ["free"])])
    late = book(world, NOW_US - 1, 60, cell, spends=(5,))
    assert late.parts == ((0, (), [], [], None),)
    assert seen(world, from_(row, NOW_US))[4:6] == (0, 50)
    just = book(world, NOW_US, 4, cell, spends=(4,))
    assert just.parts == ((0, (cell.id,), [4], [0], None),)
    over = book(world, NOW_US + 12, 50, cell)
    assert over.parts == ((4, (cell.id,), [54], [4], None),)
    assert seen(world, from_(row, NOW_US))[4:6] == (54, 46)
    assert stored(world) == [(NOW_US, 4), (NOW_US + 10, 50)]
    world.assert_sound()


def test_beside_other_cells_only_the_rolling_one_is_passed_over(world: World) -> None:
    [cell] = world.open(from_(limit(world, resource_id="a"), NOW_US))
    part = Part(world.tokens, 5, None, (world.ids["a"], cell.id, world.ids["root"]), (0, 0, 0))
    for n, (at, count) in enumerate(((-1, 2), (0, 3))):
        [done] = world.exchange(world.booking(f"k{n}", 5, parts=(part,), occurred_at_us=NOW_US + at)).bookings
        assert len(done.parts[0].cells) == len(done.parts[0].used_after) == count
    assert (world.cell("a").used, seen(world, from_(world.limit("rolling"), NOW_US)).used) == (10, 5)
    world.assert_sound()


def test_reversals_leave_buckets_empty_or_below_zero(world: World) -> None:
    row = limit(world)
    [cell] = world.open(from_(row, NOW_US))
    for at, amount in ((0, 5), (3, -5), (10, -2), (25, 4)):
        book(world, NOW_US + at, amount, cell)
    assert seen(world, from_(row, NOW_US)).buckets == ((NOW_US + 10, -2), (NOW_US + 20, 4))
    world.assert_sound()
    assert world.open(from_(row, NOW_US + 20))[0].used == 4
    world.assert_sound()


def test_events_of_one_batch_count_together_in_a_bucket(world: World) -> None:
    """Of many buckets, too, in few steps."""
    row = limit(world)
    [cell] = world.open(from_(row, NOW_US))
    part = Part(world.tokens, 2, None, (cell.id,), (0,))
    world.exchange(
        *(
            world.booking(f"{n}", 2, ["free"], parts=(part,), occurred_at_us=NOW_US + 4 * n)
            for n in range(100)
        )
    )
    right: dict[int, int] = {}
    for n in range(100):
        start = NOW_US + 4 * n // 10 * 10
        right[start] = right.get(start, 0) + 2
    assert dict(stored(world)) == right
    world.assert_sound()


def test_an_event_that_is_sent_twice_counts_once_in_its_bucket(world: World) -> None:
    """U1, U2: also within one batch, in which the quick attempt is given up."""
    row = limit(world)
    [cell] = world.open(from_(row, NOW_US))
    for _ in range(2):
        book(world, NOW_US, 5, cell, key="same")
    part = Part(world.tokens, 7, None, (cell.id,), (0,))
    twice = [world.booking("twice", 7, ["free"], parts=(part,), occurred_at_us=NOW_US + 10)] * 2
    world.exchange(*twice, world.booking("other", 2, ["free"], parts=(part,), occurred_at_us=NOW_US - 10))
    assert stored(world) == [(NOW_US, 5), (NOW_US + 10, 7)]
    world.assert_sound()


def test_an_ask_in_a_rolling_cell_is_told_its_buckets(world: World) -> None:
    """Those of the ledger as the batch leaves it; no other statement looks at buckets."""
    row = limit(world)
    [cell] = world.open(from_(row, NOW_US))
    world.ids["free"] = cell.id
    book(world, NOW_US, 5, cell)
    part = Part(world.tokens, 3, None, (cell.id,), (0,))
    booking = world.booking("k", 3, ["free"], parts=(part,), occurred_at_us=NOW_US + 20)
    statements: list[str] = []
    connection = world.ledger._connections._writing
    connection.set_trace_callback(statements.append)
    told = world.exchange(booking, asks=[world.ask(4, ["free", "a"])])
    assert told.cells[cell.id].buckets == ((NOW_US, 5), (NOW_US + 20, 3))
    assert told.cells[world.ids["a"]].buckets is None
    assert sum("buckets" in each for each in statements) == 2
    statements.clear()
    quiet = world.exchange(world.booking("l", 3, occurred_at_us=NOW_US + 20), asks=[world.ask(4)])
    assert all(told.buckets is None for told in quiet.cells.values())
    assert not any("buckets" in each for each in statements)
    short = world.exchange(asks=[world.ask(4_000, ["free"])])
    assert (short.asks, short.cells[cell.id].buckets) == ([False], ((NOW_US, 5), (NOW_US + 20, 3)))
    connection.set_trace_callback(None)


def test_what_overdraws_a_rolling_cell_of_which_something_is_granted_hushes_it(world: World) -> None:
    row = limit(world, units=50)
    [cell] = world.open(from_(row, NOW_US))
    world.ids["free"] = cell.id
    world.exchange(asks=[world.ask(7, ["free"])])
    book(world, NOW_US - 1, 60, cell)
    with world.ledger.reader() as reader:
        assert reader.rows("SELECT max(hush_until) FROM cells", {}) == [(0,)]
    book(world, NOW_US, 1, cell)
    with world.ledger.reader() as reader:
        assert reader.rows("SELECT max(hush_until) FROM cells", {}) == [(NOW_US + 1_000_000,)]


# ------------------------------------------------------------------ the model


def test_what_closes_a_rolling_cell_takes_its_buckets(world: World) -> None:
    """AL1, AL2: removed, of another window, or of a template that counts the resource no more."""
    for ending in (
        lambda row: world.change(allocations_removed=[row.id]),
        lambda _: limit(world, cadence="PT2H"),
        lambda _: limit(world, rolling=False),
    ):
        row = limit(world)
        [cell] = world.open(from_(row, NOW_US))
        book(world, NOW_US, 5, cell)
        assert stored(world) == [(NOW_US, 5)]
        ending(row)
        assert stored(world) == []
        world.assert_sound()
        with world.ledger.reader() as reader:
            assert reader.rows("SELECT 1 FROM buckets", {}) == []
        world.exchange(world.booking(f"{next(_keys)}", -5, ["free"], occurred_at_us=NOW_US))
    world.change(allocations=[template(50, allocation_id="t", cadence="PT1H", rolling=True)])
    [cell, other] = world.open(
        *(from_(world.limit("t"), NOW_US, resource=world.rows[name]) for name in ("free", "b"))
    )
    book(world, NOW_US, 5, cell, other)
    where = '{"tier": ["gold"]}'  # which neither is
    world.change(allocations=[template(50, where, allocation_id="t", cadence="PT1H", rolling=True)])
    with world.ledger.reader() as reader:
        assert reader.rows("SELECT DISTINCT cell FROM buckets", {}) == []


def test_another_limit_keeps_a_rolling_cell(world: World) -> None:
    [cell] = world.open(from_(limit(world), NOW_US))
    book(world, NOW_US, 5, cell)
    limit(world, units=77)
    with world.ledger.reader() as reader:
        assert reader.rows("SELECT used, lim FROM cells WHERE id = :id", {"id": cell.id}) == [(5, 77)]
    assert stored(world) == [(NOW_US, 5)]
    world.assert_sound()


# ------------------------------------------------------------------ is it what it should be


@pytest.fixture
def two(world: World) -> list[CellRow]:
    """Two rolling cells of different widths, one with a scope, beside others that do not roll."""
    rows = [limit(world, "plain"), limit(world, "scoped", scope=MODEL)]
    limits = [from_(rows[0], NOW_US), from_(rows[1], NOW_US - NOW_US % 25, 25)]
    opened = world.open(*limits)
    for at in range(0, 100, 7):
        book(world, NOW_US + at, 1 + at, *opened, said=GPT_5)
        book(world, NOW_US + at, 1_000, opened[0], said=OTHER)
    book(world, NOW_US - 1_000, 5, said=GPT_5)
    world.assert_sound()
    return opened


def _differences(world: World, *damage: tuple[str, tuple[object, ...]]) -> list[Difference]:
    world.ledger._connections.transact(
        lambda cursor: [cursor.execute(statement, values) for statement, values in damage]
    )
    with world.ledger.reader() as reader:
        return reader.differences()


@pytest.mark.parametrize("at", [0, 1])
def test_each_number_of_a_rolling_cell_is_told_where_it_is_wrong(
    world: World, two: list[CellRow], at: int
) -> None:
    """RW1, SW1: `used`, one bucket, two that cancel out, one that is missing, one too many."""
    cell, width = two[at].id, (10, 25)[at]
    name = f"cell {cell} (allocation {two[at].allocation}, resource 'free', tokens)"
    with world.ledger.reader() as reader:
        buckets = reader.rows("SELECT start_us, used FROM buckets WHERE cell = :cell", {"cell": cell})
    (first, of_first), (second, of_second) = buckets[1:3]
    add = "UPDATE buckets SET used = used + ? WHERE cell = ? AND start_us = ?"
    used = sum(units for _, units in buckets)
    told = {
        "used": (
            [("UPDATE cells SET used = used + 3 WHERE id = ?", (cell,))],
            {(f"used of {name}", used + 3, used)},
        ),
        "bucket": (
            [(add, (3, cell, first))],
            {(f"used of bucket {first} of {name}", of_first + 3, of_first)},
        ),
        "two": (
            [(add, (3, cell, first)), (add, (-3, cell, second))],
            {
                (f"used of bucket {first} of {name}", of_first + 3, of_first),
                (f"used of bucket {second} of {name}", of_second - 3, of_second),
            },
        ),
        "missing": (
            [("DELETE FROM buckets WHERE cell = ? AND start_us = ?", (cell, first))],
            {(f"used of bucket {first} of {name}", 0, of_first)},
        ),
        "many": (
            [("INSERT INTO buckets VALUES (?, ?, 4)", (cell, first + 100 * width))],
            {(f"used of bucket {first + 100 * width} of {name}", 4, 0)},
        ),
        "before": (
            [("INSERT INTO buckets VALUES (?, ?, 5)", (cell, first - 100 * width))],
            {(f"used of bucket {first - 100 * width} of cell {cell}, which counts nothing then", 5, 0)},
        ),
        "between": (
            [("INSERT INTO buckets VALUES (?, ?, 6)", (cell, first + 1))],
            {(f"used of bucket {first + 1} of cell {cell}, which counts nothing then", 6, 0)},
        ),
        "gone": (
            [("INSERT INTO buckets VALUES (999, ?, 7)", (first,))],
            {(f"used of bucket {first} of cell 999, which counts nothing then", 7, 0)},
        ),
    }
    for which, (damage, right) in told.items():
        world.ledger._connections.transact(
            lambda cursor: cursor.execute("CREATE TABLE kept_b AS SELECT * FROM buckets")
        )
        world.ledger._connections.transact(
            lambda cursor: cursor.execute("CREATE TABLE kept_c AS SELECT id, used FROM cells")
        )
        assert {tuple(each) for each in _differences(world, *damage)} == right, which
        restored = _differences(
            world,
            ("DELETE FROM buckets", ()),
            ("INSERT INTO buckets SELECT * FROM kept_b", ()),
            ("UPDATE cells SET used = (SELECT used FROM kept_c WHERE kept_c.id = cells.id)", ()),
            ("DROP TABLE kept_b", ()),
            ("DROP TABLE kept_c", ()),
        )
        assert restored == []


def test_an_event_that_is_lost_is_told_by_the_bucket_that_had_it(world: World, two: list[CellRow]) -> None:
    damage = "DELETE FROM events WHERE occurred_at_us = ? AND amount_units = 1000"
    found = _differences(world, (damage, (NOW_US + 14,)))
    name = f"cell {two[0].id} (allocation {two[0].allocation}, resource 'free', tokens)"
    assert [each.what for each in found] == [f"used of bucket {NOW_US + 10} of {name}", f"used of {name}"]
    assert {each.stored - each.computed for each in found} == {1_000}


def test_a_rolling_cell_of_an_allocation_that_is_gone_is_told(world: World, two: list[CellRow]) -> None:
    found = _differences(world, ("DELETE FROM allocations WHERE id = ?", (two[0].allocation,)))
    assert [each.what for each in found] == [
        f"used of cell {two[0].id} (allocation {two[0].allocation}, resource 'free', a currency that is gone)"
    ]


def test_a_cell_that_opens_at_another_instant_than_it_counts_from_is_told(
    world: World, two: list[CellRow]
) -> None:
    for by in (WIDTH, -100 * WIDTH):
        found = _differences(world, ("UPDATE cells SET opens = opens + ? WHERE id = ?", (by, two[0].id)))
        assert any(each.what.startswith(f"used of cell {two[0].id} ") for each in found)
        assert _differences(world, ("UPDATE cells SET opens = opens - ? WHERE id = ?", (by, two[0].id))) == []


# ------------------------------------------------------------------ all of it, against ten lines

SCOPES = {"{}": lambda _: True, MODEL: lambda said: said == GPT_5}


@given(seed=st.integers(0, 2**32))
@settings(max_examples=40, deadline=None)
def test_rolling_cells_have_what_ten_lines_of_reference_have(seed: int) -> None:
    """RW1, RW2, RC5, L2, O1, SW1: bookings early, late and ahead; clocks forward and back."""
    chance = random.Random(seed)
    with closing(open_ledger(":memory:")) as ledger:
        world = World(ledger)
        limits = [
            (limit(world, f"l{n}", resource_id=name, scope=scope), width)
            for n, (name, scope, width) in enumerate(
                (chance.choice(["a", "root"]), chance.choice(list(SCOPES)), chance.choice([1, 3, 10]))
                for _ in range(3)
            )
        ]
        booked: list[tuple[list[str], int, str, int]] = []
        opened: dict[CellKey, tuple[int, CellRow, int]] = {}  # opens, the cell, its width

        def reference(row: AllocationRow, opens: int, width: int) -> dict[int, int]:
            units: dict[int, int] = {}
            for names, at, said, amount in booked:
                if row.resource_id in names and at >= opens and SCOPES[row.scope](said):
                    units[at - at % width] = units.get(at - at % width, 0) + amount
            return {start: used for start, used in sorted(units.items()) if used}

        def check(cell: CellRow, asked: CellWanted, row: AllocationRow) -> int:
            assert asked.rolls is not None
            opens, width = asked.rolls
            right = reference(row, opens, width)
            assert cell.used == sum(right.values())
            assert cell.buckets in (None, tuple(right.items()))
            return opens

        now = 100
        monkey = pytest.MonkeyPatch()
        monkey.setattr(sums, "EVENTS_AT_A_TIME", chance.choice([1, 3, 4_096]))
        monkey.setattr(sweeping, "EVENTS_AT_A_TIME", chance.choice([1, 3, 4_096]))
        for n in range(40):
            now += chance.choice([0, 0, 1, 1, 2, 5, 20, -1, -1, -2, -30])
            row, width = chance.choice(limits)
            asked = from_(row, (now - chance.choice([0, 60])) // width * width, width)
            if chance.random() < 0.5:
                check(seen(world, asked), asked, row)
            if chance.random() < 0.5:
                [cell] = world.open(asked)
                at = check(cell, asked, row)
                opened[asked.key] = (at, cell, width)
            names = chance.choice([["a", "root"], ["root"], ["b", "root"], ["free"]])
            at, amount = now + chance.randrange(-90, 20), chance.randrange(-9, 99)
            said = chance.choice([GPT_5, OTHER])
            counting = [
                (cell, opens)
                for row, _ in limits
                for opens, cell, _ in [opened.get(CellKey(row.id, row.resource, 0), (0, None, 0))]
                if cell is not None and row.resource_id in names and SCOPES[row.scope](said)
            ]
            ever = tuple(world.ids[name] for name in names if name in world.ids)
            ids = (*(cell.id for cell, _ in counting), *ever)
            part = Part(world.tokens, amount, None, ids, (0,) * len(ids))
            [done] = world.exchange(
                world.booking(f"{n}", amount, names, parts=(part,), occurred_at_us=at, dimensions=said)
            ).bookings
            since = tuple(cell.id for cell, opens in counting if at >= opens)
            assert done.parts[0].cells == (*since, *ever)
            booked.append((names, at, said, amount))
            world.assert_sound()
        monkey.undo()
