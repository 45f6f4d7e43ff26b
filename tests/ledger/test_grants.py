"""Grants: as rows of the model, their cells, what they paid; and what verify says of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stiggctl.errors import LedgerError
from stiggctl.ledger import Stale
from stiggctl.ledger.opening import open_ledger
from stiggctl.ledger.records import (
    CellKey,
    CurrencyWrite,
    CustomerWrite,
    Difference,
    GrantRow,
    Known,
    ModelChange,
    Part,
    Payment,
)
from stiggctl.ledger.sqlite import cells

from .prepaid import Prepaid, of_grant
from .world import DAY_US, NOW_US, TODAY, World, allocation, grant

SECOND = 1_000_000
TOMORROW = (TODAY[1], TODAY[1] + DAY_US)


@pytest.fixture
def pool(world: World) -> Prepaid:
    """Two grants, whose rows have the numbers of allocations."""
    return Prepaid(world, {"first": 10, "second": 100})


def _rows(world: World, statement: str, **asked: object) -> list[tuple[Any, ...]]:
    with world.ledger.reader() as reader:
        return reader.rows(statement, asked)


# ------------------------------------------------------------------ the model


def test_a_grant_is_read_as_it_was_written(world: World) -> None:
    facts = {
        "priority": -3,
        "kind": "PROMOTIONAL",
        "effective_at_us": -5,
        "expires_at_us": NOW_US,
        "cadence": "P1M",
        "timezone": "Europe/Amsterdam",
        "anchor_us": 7,
    }
    world.change(
        customers=[CustomerWrite(customer_id="other", name=None, archived_at_us=None)],
        grants=[
            grant("all", 5, currency_id="usd", **facts),
            grant("plain", 10**17),
            grant("plain", 8, customer_id="other"),
        ],
    )
    with world.ledger.reader() as reader:
        mine, others, everyones = reader.grants(world.customer), reader.grants(2), reader.grants()
    assert [row.grant_id for row in mine] == ["all", "plain"]
    assert everyones == [*mine, *others]
    assert mine[0] == GrantRow(
        id=mine[0].id,
        customer=world.customer,
        grant_id="all",
        currency=world.usd,
        amount_units=5,
        voided_at_us=None,
        **facts,  # type: ignore[arg-type]  # facts of several types
    )
    assert (mine[1].amount_units, mine[1].cadence, mine[1].expires_at_us) == (10**17, None, None)
    with world.ledger.reader() as reader:
        assert reader.grants(77) == []
        assert reader.grants(77, since_us=NOW_US) == []


def test_a_grant_is_put_by_its_key_and_what_was_voided_stays_void(pool: Prepaid) -> None:
    """GR2."""
    world, row = pool.world, pool.rows["first"]
    world.change(grants=[grant("first", 30, priority=1, kind="PROMOTIONAL", expires_at_us=NOW_US)])
    world.change(grants_voided=[row.id])
    world.ledger.change_model(
        ModelChange(expected_change=world.version, at_us=NOW_US + 9, grants_voided=[row.id, 999])
    )
    world.change(grants=[grant("first", 40)])
    with world.ledger.reader() as reader:
        [now, second] = reader.grants()
    assert (now.id, now.amount_units, now.priority, now.voided_at_us) == (row.id, 40, 50, NOW_US)
    assert (now.kind, now.expires_at_us) == ("PAID", None)
    assert second == pool.rows["second"]


def test_a_change_of_grants_alone_is_a_change(world: World) -> None:
    """MC1: also of one that is void already; under another model it is Stale, and nothing is written."""
    before = world.version
    with pytest.raises(Stale):
        world.ledger.change_model(ModelChange(expected_change=before - 1, at_us=0, grants=[grant("g", 5)]))
    assert world.change(grants=[grant("g", 5)]).change == before + 1
    assert world.change(grants_voided=[1]).change == before + 2


@pytest.mark.parametrize("differs", [{"customer_id": "nobody"}, {"currency_id": "gold"}, {"kind": "FREE"}])
def test_a_grant_of_what_is_not_there_is_refused(world: World, differs: dict[str, Any]) -> None:
    with pytest.raises(LedgerError, match="nothing was changed"):
        world.change(grants=[grant("g", 5, **differs)])
    with world.ledger.reader() as reader:
        assert reader.grants() == []


def test_a_grant_makes_its_currency_one_of_the_customers(world: World) -> None:
    with world.ledger.reader() as reader:
        assert reader.currencies_of(world.customer) == [world.tokens]
        assert not reader.is_counted("usd")
    world.change(
        customers=[CustomerWrite(customer_id="other", name=None, archived_at_us=None)],
        grants=[grant("g", 5, currency_id="usd")],
    )
    with world.ledger.reader() as reader:
        assert reader.currencies_of(world.customer) == [world.tokens, world.usd]
        assert world.usd not in reader.currencies_of(2)
        assert not reader.is_counted("usd")  # what no cell counts yet may have other decimals
        [row] = reader.grants()
    world.open(of_grant(row))
    with world.ledger.reader() as reader:
        assert reader.is_counted("usd")
    with pytest.raises(Stale):
        world.change(currencies=[CurrencyWrite(currency_id="usd", name=None, decimals=2)])


def test_a_grants_cell_is_none_of_the_allocation_that_has_its_number(pool: Prepaid) -> None:
    """And the other way round: limits, what closes them, and decimals."""
    world = pool.world
    numbers = {row.id for row in pool.rows.values()}
    with world.ledger.reader() as reader:
        limits = [row for row in reader.allocations() if row.id in numbers]
    assert len(limits) == 2
    name = limits[0].resource_id
    world.change(allocations=[allocation(name, 777)], grants=[grant("second", 55)])
    assert [cell[0] for cell in _rows(world, "SELECT lim FROM cells WHERE resource = 0 ORDER BY id")] == [
        10,
        55,
    ]
    assert 777 in {lim for (lim,) in _rows(world, "SELECT lim FROM cells WHERE resource > 0")}
    assert 55 not in {lim for (lim,) in _rows(world, "SELECT lim FROM cells WHERE resource > 0")}
    cells_of_limits = _rows(world, "SELECT count(*) FROM cells WHERE resource > 0")
    world.exchange(asks=[pool.ask(5, ["first"]), world.ask(5, [name])])
    before = _rows(world, "SELECT count(*) FROM shares")
    world.change(grants=[grant("first", 10, cadence="P1D")])  # closes its one cell
    assert _rows(world, "SELECT count(*) FROM cells WHERE resource > 0") == cells_of_limits
    assert _rows(world, "SELECT count(*) FROM shares") == [(before[0][0] - 1,)]
    world.change(grants=[grant("first", 10)])
    world.open(pool.wanted["first"])
    world.change(allocations_removed=[row.id for row in limits])
    assert _rows(world, "SELECT count(*) FROM cells WHERE resource = 0") == [(2,)]
    world.assert_sound()


def test_currencies_of_limits_are_not_those_of_grants_with_their_numbers(world: World) -> None:
    world.change(
        for_all=True,
        currencies=[CurrencyWrite(currency_id="third", name=None, decimals=0)],
        allocations=[allocation("free", 9, currency_id="usd")],
        grants=[grant("g", 5, currency_id="third"), *(grant(f"h{n}", 5) for n in range(4))],
    )
    with world.ledger.reader() as reader:
        assert not reader.is_counted("third")  # allocation 1 has cells, grant 1 has none
        assert reader.is_counted("tokens")
        limit, given = reader.allocations()[-1], reader.grants()[-1]
    assert limit.id == given.id
    world.open(of_grant(given))
    with world.ledger.reader() as reader:
        assert not reader.is_counted("usd")  # grant 5 has a cell, allocation 5 has none


# ------------------------------------------------------------------ cells


def test_a_grants_cell_opens_with_what_it_paid(pool: Prepaid) -> None:
    """O1, L2: it never counts usage that it did not pay."""
    world = pool.world
    world.exchange(world.booking("of before", 50, ["free"]))
    pool.book("k", 15, ["first", "second"])
    with world.ledger.reader() as reader:
        seen = reader.cells(list(pool.wanted.values()), world.me)
    assert [(cell.used, cell.limit_units, cell.resource) for cell in seen.values()] == [
        (10, 10, 0),
        (5, 100, 0),
    ]
    assert [cell.allocation for cell in seen.values()] == [row.id for row in pool.rows.values()]
    world.change(grants=[grant("second", 100, cadence="P1D")])
    world.change(grants=[grant("second", 100)])
    asked = pool.wanted["second"]
    with world.ledger.reader() as reader:
        [looked] = reader.cells([asked], world.me).values()
    [opened] = world.open(asked)
    assert (looked.id, looked.used, opened.used, opened.id > 0) == (0, 5, 5, True)
    world.assert_sound()


def test_limits_and_grants_are_found_together(pool: Prepaid) -> None:
    world = pool.world
    nobody = of_grant(pool.rows["first"])._replace(key=CellKey(999, 0, 0))
    asked = [pool.wanted["second"], world.wanted["a"], nobody, pool.wanted["first"]]
    with world.ledger.reader() as reader:
        seen = reader.cells(asked, world.me)
    assert {key: cell.id for key, cell in seen.items()} == {
        pool.wanted["second"].key: pool.ids["second"],
        pool.wanted["first"].key: pool.ids["first"],
        world.keys["a"]: world.ids["a"],
    }
    assert world.ledger.open_cells(asked, world.version, world.me) == seen


def test_a_recurring_grant_counts_what_it_paid_in_each_window(world: World) -> None:
    """By the instants of the events: whenever they were booked, wherever the window's cell is opened."""
    world.change(grants=[grant("daily", 10, cadence="P1D")])
    with world.ledger.reader() as reader:
        [row] = reader.grants()
    asked = [of_grant(row, TODAY), of_grant(row, TOMORROW)]
    opened = world.open(*asked)
    pool = Prepaid(world, {})
    pool.ids = {"today": opened[0].id, "tomorrow": opened[1].id}
    pool.book("1", 3, ["today"], occurred_at_us=TODAY[0])
    pool.book("2", 4, ["today"], occurred_at_us=TODAY[1] - 1)
    pool.book("3", 5, ["tomorrow"], occurred_at_us=TODAY[1])
    assert [cell.used for cell in world.open(*asked)] == [7, 5]
    world.assert_sound()
    world.change(grants=[grant("daily", 10, cadence="P1D", anchor_us=1)])
    moved = (TODAY[0] + 1, TODAY[1] + 1)
    with world.ledger.reader() as reader:
        assert [cell.used for cell in reader.cells([of_grant(row, moved)], world.me).values()] == [9]
    assert [cell.used for cell in world.open(of_grant(row, moved), of_grant(row, TODAY))] == [9, 7]
    world.assert_sound()


@pytest.mark.parametrize("window", [(0, None), TODAY])
def test_what_is_paid_while_a_grants_cell_opens_is_counted_once(
    world: World, window: tuple[int, int | None]
) -> None:
    """O1."""
    pool = Prepaid(world, {})
    world.change(grants=[grant("g", 1_000)])
    with world.ledger.reader() as reader:
        [row] = reader.grants()
    [other] = world.open(of_grant(row, (TODAY[0] - 7 * DAY_US, TODAY[0])))
    [late] = world.open(of_grant(row, (TODAY[0] - 9 * DAY_US, TODAY[1] + DAY_US)))
    pool.ids = {"other": other.id, "late": late.id}
    keys = iter(range(99))

    def busy() -> None:
        world.exchange(world.booking(f"{next(keys)}", 5_000, ["free"]))
        pool.book(f"{next(keys)}", 300, ["other"], occurred_at_us=TODAY[0] - 1)
        for at, amount in ((TODAY[1], 4_000), (TODAY[0], 1), (TODAY[1] - 1, 20)):
            pool.book(f"{next(keys)}", amount, ["late"], occurred_at_us=at)

    @contextmanager
    def snapshots() -> Iterator[Any]:
        with world.ledger.reader() as reader:
            busy()
            yield reader
        busy()

    busy()
    [opened] = cells.open_all(
        world.ledger._connections,
        snapshots,
        [of_grant(row, window)],
        change=world.version,
        holder=world.me,
        now_us=NOW_US,
    ).values()
    assert next(keys) == 5 * 5
    assert opened.used == 5 * (21 if window == TODAY else 4_321)


def test_an_open_cell_gets_the_new_amount(pool: Prepaid) -> None:
    """GR1: hushed where less is left than was granted; what was granted stays."""
    world = pool.world
    pool.book("k", 4, ["first"])
    world.exchange(asks=[pool.ask(1, ["first", "second"])])
    assert pool.numbers() == {"first": (4, 6), "second": (0, 100)}
    world.change(grants=[grant("first", 10, priority=3), grant("second", 99)])
    assert _rows(world, "SELECT lim, granted, hush_until FROM cells WHERE resource = 0 ORDER BY id") == [
        (10, 6, 0),
        (99, 100, NOW_US + SECOND),
    ]
    world.change(grants=[grant("first", 9)])
    assert _rows(world, "SELECT lim, hush_until FROM cells WHERE id = :id", id=pool.ids["first"]) == [
        (9, NOW_US + SECOND)
    ]
    world.assert_sound()


def test_of_a_recurring_grant_windows_that_are_over_keep_their_amount(world: World) -> None:
    yesterday = (TODAY[0] - DAY_US, TODAY[0])
    world.change(grants=[grant("daily", 10, cadence="P1D")])
    with world.ledger.reader() as reader:
        [row] = reader.grants()
    opened = world.open(*(of_grant(row, window) for window in (yesterday, TODAY, TOMORROW)))
    world.change(grants=[grant("daily", 20, cadence="P1D")])
    found = dict(_rows(world, "SELECT id, lim FROM cells WHERE resource = 0"))
    assert [found[cell.id] for cell in opened] == [10, 20, 20]


@pytest.mark.parametrize(
    ("differs", "stays"),
    [
        ({"amount_units": 7, "priority": 1, "kind": "PROMOTIONAL", "expires_at_us": 9}, True),
        ({"effective_at_us": 3}, True),
        ({"cadence": "P1M"}, False),
        ({"cadence": None}, False),
        ({"timezone": "Europe/Amsterdam"}, False),
        ({"anchor_us": 6}, False),
    ],
)
def test_cells_of_a_recurring_grant_stay_while_its_windows_do(
    world: World, differs: dict[str, Any], stays: bool
) -> None:
    """GR1."""
    facts: dict[str, Any] = {"cadence": "P1D", "anchor_us": 5}
    world.change(grants=[grant("g", 10, **facts)])
    with world.ledger.reader() as reader:
        [row] = reader.grants()
    pool = Prepaid(world, {})
    [cell] = world.open(of_grant(row, TODAY))
    pool.ids = {"g": cell.id}
    world.exchange(asks=[pool.ask(1, ["g"])])
    pool.book("k", 3, ["g"])
    world.change(grants=[grant("g", differs.pop("amount_units", 10), **{**facts, **differs})])
    assert bool(_rows(world, "SELECT 1 FROM cells WHERE resource = 0")) == stays
    assert bool(_rows(world, "SELECT 1 FROM shares")) == stays
    world.assert_sound()


def test_the_zone_of_what_does_not_recur_closes_nothing(pool: Prepaid) -> None:
    pool.world.change(grants=[grant("first", 10, timezone="Europe/Amsterdam", anchor_us=5)])
    assert pool.cell("first").id == pool.ids["first"]


def test_what_more_than_a_limit_can_count_was_paid_by_is_refused_by_name(world: World) -> None:
    """Only a damaged file has it: a counter is bounded while it is open."""
    pool = Prepaid(world, {"g": 5})
    pool.book("k", 1, ["g"])
    world.ledger._connections.transact(
        lambda c: c.execute("UPDATE event_grants SET amount = 9000000000000000000")
    )
    world.change(grants=[grant("g", 5, cadence="P1D")])
    with pytest.raises(LedgerError, match="grant 1"):
        world.open(of_grant(pool.rows["g"]))


# ------------------------------------------------------------------ what was paid


def test_what_grants_paid_is_told_by_part_in_the_order_of_the_grants(world: World) -> None:
    """U4."""
    pool = Prepaid(world, {"late": 5, "early": 7, "other": 9})
    pool.put({"dollars": 100}, currency_id="usd")
    parts = (
        Part(world.tokens, 10, None, (), (), pool.draining(["early", "late"])),
        Part(world.usd, 30, None, (), (), pool.draining(["dollars"])),
        Part(world.tokens, 0, None, (), (), pool.draining(["other"])),
    )
    before = pool.book("before", 1, ["other"])
    reply = world.exchange(
        world.booking("other", 5, ["free"]), pool.booking("k", 40, None, parts=parts), world.booking("l", 5)
    )
    [_, done, _] = reply.bookings
    right = (
        Payment(0, pool.rows["late"].id, "late", 3),
        Payment(0, pool.rows["early"].id, "early", 7),
        Payment(1, pool.rows["dollars"].id, "dollars", 30),
    )
    with world.ledger.reader() as reader:
        assert reader.payments(done.event_id) == right
        assert reader.payments(done.event_id + 1) == ()  # not the id of an event
        assert reader.payments(before.event_id) == (Payment(0, pool.rows["other"].id, "other", 1),)
        assert reader.payments(done.event_id - 1) == reader.payments(10**9) == ()
    assert len(_rows(world, "SELECT 1 FROM event_grants")) == 4  # none for nothing
    [again] = world.exchange(pool.booking("k", 40, None, parts=parts)).bookings
    assert isinstance(again, Known)
    assert again.payments == right
    world.assert_sound()


def test_a_key_that_is_twice_in_a_batch_tells_what_the_first_was_paid_by(pool: Prepaid) -> None:
    """U2: and pays once."""
    twice = [pool.booking("k", 13, pool.draining(["first", "second"]))] * 2
    [_, known] = pool.world.exchange(*twice).bookings
    assert known.payments == (
        Payment(0, pool.rows["first"].id, "first", 10),
        Payment(0, pool.rows["second"].id, "second", 3),
    )
    assert pool.numbers() == {"first": (10, 0), "second": (3, 0)}
    [again] = pool.world.exchange(twice[0]).bookings
    assert again.payments == known.payments
    [_, same] = pool.world.exchange(*[pool.world.booking("p", 1, ["free"])] * 2).bookings
    assert same.payments == ()
    pool.world.assert_sound()


def test_many_payments_are_written_in_few_steps(world: World) -> None:
    """Beside an exchange without grants, one step more."""
    pool = Prepaid(world, {f"g{n}": 2 for n in range(60)})
    names = list(pool.ids)
    statements: list[str] = []
    connection = world.ledger._connections._writing
    pool.book("warm", 16, names[1:9])
    world.exchange(world.booking("warm too", 1))

    def steps(booking: Any) -> int:
        statements.clear()
        connection.set_trace_callback(statements.append)
        world.exchange(booking)
        connection.set_trace_callback(None)
        return len(statements)

    plain = steps(world.booking("plain", 1))
    assert steps(pool.booking("k", 3, pool.draining(names[1:9], [("g8", -2)]))) == plain + 1
    pool.book("many", 2 * 51, names[9:])
    assert _rows(world, "SELECT count(*), sum(amount) FROM event_grants") == [(8 + 1 + 51, 16 + 3 + 102)]
    world.assert_sound()


# ------------------------------------------------------------------ is it what it should be


@pytest.fixture
def busy(pool: Prepaid) -> Prepaid:
    """Payments of several events, one of them reversed, in plain grants and a recurring one."""
    world = pool.world
    world.exchange(asks=[pool.ask(20, ["first", "second"])])
    pool.book("k", 30, [("first", 5), ("second", 9)])
    pool.book("l", 6, ["second"])
    pool.book("back", -30, (), [("first", -10), ("second", -20)])
    world.change(grants=[grant("daily", 50, cadence="P1D")])
    with world.ledger.reader() as reader:
        row = reader.grants()[-1]
    [today, tomorrow] = world.open(of_grant(row, TODAY), of_grant(row, TOMORROW))
    pool.ids |= {"today": today.id, "tomorrow": tomorrow.id}
    pool.book("m", 7, ["today"])
    pool.book("n", 8, ["tomorrow"], occurred_at_us=TOMORROW[0])
    world.assert_sound()
    return pool


def _differences(world: World, statement: str, *values: object) -> list[Difference]:
    world.ledger._connections.transact(lambda cursor: cursor.execute(statement, values))
    with world.ledger.reader() as reader:
        return reader.differences()


@pytest.mark.parametrize(("which", "used"), [("first", 0), ("second", 6), ("today", 7), ("tomorrow", 8)])
def test_a_grants_cell_that_is_not_the_sum_of_what_it_paid_is_told(
    busy: Prepaid, which: str, used: int
) -> None:
    """L2."""
    cell, name = busy.ids[which], which if which in busy.rows else "daily"
    found = _differences(busy.world, "UPDATE cells SET used = used + 3 WHERE id = ?", cell)
    assert found == [Difference(f"used of cell {cell} (grant '{name}' of acme, tokens)", used + 3, used)]


def test_what_is_granted_of_a_grant_and_stands_in_no_share_is_told(busy: Prepaid) -> None:
    """L3."""
    cell = busy.ids["second"]
    [(granted,)] = _rows(busy.world, "SELECT granted FROM cells WHERE id = :id", id=cell)
    found = _differences(busy.world, "UPDATE cells SET granted = granted + 2 WHERE id = ?", cell)
    assert found == [
        Difference(f"granted of cell {cell} (grant 'second' of acme, tokens)", granted + 2, granted)
    ]


def test_a_grant_is_told_in_its_own_currency(world: World) -> None:
    """Whatever that of the allocation with its number."""
    world.change(grants=[grant("g", 5, currency_id="usd")])
    pool = Prepaid(world, {})
    cell = pool.ids["g"]
    for column in ("used", "granted"):
        _differences(world, "UPDATE cells SET used = 0, granted = 0 WHERE id = ?", cell)
        [found] = _differences(world, f"UPDATE cells SET {column} = 1 WHERE id = ?", cell)
        assert found == Difference(f"{column} of cell {cell} (grant 'g' of acme, usd)", 1, 0)


def test_payments_that_cannot_be_are_told(busy: Prepaid) -> None:
    """Of more than the part cost, of a part that is not there, of a grant that is not there."""
    world, first = busy.world, busy.rows["first"].id
    [(event, part)] = _rows(world, "SELECT id, amount_units FROM events WHERE key = 'k'")
    what = "what grants paid of the part of an event in row"
    add = "UPDATE event_grants SET amount = amount + ? WHERE event = ? AND grant_id = ?"
    for more in (1, 1 << 32, 5 << 32, 1 << 62):
        found = {each.what: each[1:] for each in _differences(world, add, more, event, first)}
        assert found.pop(f"{what} {event}") == (part + more, part)
        assert len(found) == 1  # the cell's used
        assert _differences(world, add, -more, event, first) == []
    less = _differences(world, add, -1, event, first)
    assert [each.what.split(" ")[0] for each in less] == ["used"]
    _differences(world, add, 1, event, first)
    assert _differences(world, "INSERT INTO event_grants VALUES (?, 999, 0)", first) == [
        Difference(f"{what} 999, which is not there", 0, 0)
    ]
    _differences(world, "DELETE FROM event_grants WHERE event = 999")
    assert _differences(world, "INSERT INTO event_grants VALUES (77, ?, 0)", event) == [
        Difference(f"grants that are gone of {what} {event}", 1, 0)
    ]


def test_an_event_that_is_lost_is_told_by_what_grants_paid_of_it(busy: Prepaid) -> None:
    found = _differences(busy.world, "DELETE FROM events WHERE key = 'm'")
    assert sorted(each.stored - each.computed for each in found) == [7, 7]
    assert any("which is not there" in each.what for each in found)
    assert any("grant 'daily'" in each.what for each in found)


def test_a_cell_of_a_grant_that_is_gone_is_told(busy: Prepaid) -> None:
    cell, row = busy.ids["second"], busy.rows["second"].id
    found = _differences(busy.world, "DELETE FROM grants WHERE id = ?", row)
    assert Difference(f"used of cell {cell} (a grant that is gone, row {row})", 6, 0) in found
    assert all("gone" in each.what for each in found)


# ------------------------------------------------------------------ all of it, against ten lines


@given(
    windows=st.lists(st.tuples(st.integers(-20, 20), st.integers(1, 20)), min_size=1, max_size=4),
    payments=st.lists(st.tuples(st.integers(0, 1), st.integers(-30, 50), st.integers(-5, 30)), max_size=15),
)
@settings(max_examples=30, deadline=None)
def test_cells_of_grants_have_what_ten_lines_of_reference_have(
    windows: list[tuple[int, int]], payments: list[tuple[int, int, int]]
) -> None:
    """L2, O1: two grants, windows that overlap even, opened at any time."""
    ledger = open_ledger(":memory:")
    world = World(ledger)
    pool = Prepaid(world, {"x": 9, "y": 9})
    names = list(pool.ids)
    for n, (which, at, amount) in enumerate(payments):
        payings = [(names[which], amount)] if amount < 0 else []
        pool.book(f"{n}", amount, [] if payings else [names[which]], payings, occurred_at_us=at)
    for start, length in windows:
        for at, name in enumerate(names):
            asked = of_grant(pool.rows[name], (start, start + length))
            right = sum(
                amount for which, when, amount in payments if which == at and start <= when < start + length
            )
            with ledger.reader() as reader:
                assert reader.cells([asked], world.me)[asked.key].used == right
            if start:
                assert world.open(asked)[0].used == right
    world.assert_sound()
    ledger.close()


def test_those_that_had_ended_are_left_out_but_for_the_last_of_a_currency(world: World) -> None:
    """So whoever reads a pool knows that there is one, and since when it is what it is."""
    world.change(
        grants=[
            grant("long-over", 1, expires_at_us=NOW_US - 5),
            grant("over", 1, expires_at_us=NOW_US),
            grant("open", 1, expires_at_us=NOW_US + 1),
            grant("for-ever", 1),
            grant("usd-1", 1, currency_id="usd", expires_at_us=NOW_US - 5),
            grant("usd-2", 1, currency_id="usd", expires_at_us=NOW_US),
        ]
    )
    with world.ledger.reader() as reader:
        named = [row.grant_id for row in reader.grants(world.customer, since_us=NOW_US)]
        earlier = [row.grant_id for row in reader.grants(world.customer, since_us=NOW_US - 5)]
    assert named == ["over", "open", "for-ever", "usd-2"]
    assert earlier == ["long-over", "over", "open", "for-ever", "usd-1", "usd-2"]
