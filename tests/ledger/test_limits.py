"""Limits: allocations by their keys, templates, overrides; and which open cells stay when they change."""

import random
import sqlite3
import time
from contextlib import closing
from typing import Any

import pytest

from stiggctl.errors import LedgerError
from stiggctl.ledger.records import (
    AllocationRow,
    CurrencyWrite,
    CustomerWrite,
    ModelChange,
    OverrideRow,
    ResourceWrite,
)

from .world import (
    DAY_US,
    NOW_US,
    TODAY,
    World,
    allocation,
    override,
    resource,
    template,
    thing,
    wanted,
)

GOLD, SILVER = '{"tier":["gold"]}', '{"tier":["silver"]}'
MODEL = '{"model":["gpt-5"]}'


def limits(world: World, **differs: Any) -> list[AllocationRow]:
    with world.ledger.reader() as reader:
        rows = reader.allocations()
    return [row for row in rows if all(getattr(row, name) == value for name, value in differs.items())]


# ------------------------------------------------------------------ keys


def test_a_limit_is_read_as_it_was_written(world: World) -> None:
    facts = {
        "limit_units": 7,
        "enforcement": "SOFT",
        "cadence": "P1M",
        "timezone": "Europe/Amsterdam",
        "anchor_us": -5,
        "rolling": True,
        "scope": '{"it\'s":["δ"],"model":["gpt-5","gpt-6"]}',
        "effective_at_us": -(10**15),
        "expires_at_us": NOW_US,
    }
    own = {"allocation_id": "own", **facts}
    of_type = {"allocation_id": "t", "where": GOLD, **facts}
    limit = of_type.pop("limit_units")
    own.pop("limit_units")
    world.change(allocations=[allocation("a", limit, **own), template(limit, **of_type, type_id="thing")])
    [row, for_all] = [world.limit("own"), world.limit("t")]
    with world.ledger.reader() as reader:
        [type_] = reader.types()
    shared = {"currency": world.tokens, "limit_units": limit, **facts}
    assert row == AllocationRow(
        id=row.id,
        customer=world.customer,
        allocation_id="own",
        resource=world.rows["a"],
        resource_id="a",
        type=None,
        type_id=None,
        where="{}",
        **shared,
    )
    assert for_all == AllocationRow(
        id=for_all.id,
        customer=0,
        allocation_id="t",
        resource=0,
        resource_id="",
        type=type_.id,
        type_id="thing",
        where=GOLD,
        **shared,
    )


#: Each is another limit than all others, also where nothing has an id.
KINDS: list[dict[str, Any]] = [
    {"resource_id": "free"},
    {"resource_id": "free", "currency_id": "usd"},
    {"resource_id": "free", "cadence": "P1D"},
    {"resource_id": "free", "cadence": "P1M"},
    {"resource_id": "free", "cadence": "P1D", "rolling": True},
    {"resource_id": "free", "scope": MODEL},
    {"resource_id": "free", "cadence": "P1D", "scope": MODEL},
    {"customer_id": None, "type_id": "thing"},
    {"customer_id": "acme", "type_id": "thing"},
    {"customer_id": "acme", "type_id": "thing", "type_customer_id": "acme"},
    {"customer_id": "acme", "type_id": "other"},
    {"customer_id": "acme", "type_id": "thing", "where": GOLD},
    {"customer_id": None, "type_id": "thing", "where": GOLD},
    {"customer_id": None, "type_id": "thing", "where": GOLD, "cadence": "P1D"},
    {"customer_id": None, "type_id": "thing", "where": GOLD, "scope": MODEL},
    {"customer_id": None, "type_id": "thing", "where": GOLD, "currency_id": "usd"},
]


def test_without_an_id_the_key_is_what_it_limits(world: World) -> None:
    """Nulls in it too: a limit that is put again is the same row."""
    world.change(types=[thing("other"), thing(customer_id="acme")])
    before, ids = len(limits(world)), []
    for n in range(3):
        world.change(
            allocations=[
                allocation(**{"resource_id": None, "limit": 10 * at + n, "timezone": f"zone {n}", **kind})
                for at, kind in enumerate(KINDS)
            ]
        )
        rows = limits(world)[before:]
        assert [row.limit_units for row in rows] == [10 * at + n for at in range(len(KINDS))]
        assert {row.timezone for row in rows} == {f"zone {n}"}
        ids = ids or [row.id for row in rows]
        assert [row.id for row in rows] == ids
    with pytest.raises(sqlite3.IntegrityError), closing(sqlite3.connect(world.ledger.path)) as other:
        other.execute(
            "INSERT INTO allocations (customer, resource, currency, lim, enforcement, type)"
            " SELECT customer, resource, currency, lim, enforcement, type FROM allocations"
            " WHERE resource = 0 AND cadence IS NULL AND matching = '{}' LIMIT 1"
        )


def test_with_an_id_the_key_is_the_id_of_a_customer(world: World) -> None:
    world.change(customers=[CustomerWrite(customer_id="other", name=None, archived_at_us=None)])
    world.change(
        allocations=[
            template(1, allocation_id="x"),
            template(2, allocation_id="x", customer_id="acme"),
            template(3, allocation_id="x", customer_id="other"),
            allocation("a", 4, allocation_id="y"),
        ]
    )
    ids = {row.id for row in limits(world) if row.allocation_id}
    world.change(
        allocations=[
            template(5, allocation_id="x", cadence="P1D"),
            allocation("b", 6, allocation_id="x", scope=MODEL),
            template(8, allocation_id="y", customer_id="acme", where=GOLD),
        ]
    )
    rows = [row for row in limits(world) if row.allocation_id]
    assert {row.id for row in rows} == ids
    assert [(row.customer, row.resource_id, row.limit_units, row.cadence) for row in rows] == [
        (0, "", 5, "P1D"),
        (world.customer, "b", 6, None),
        (world.customer + 1, "", 3, None),
        (world.customer, "", 8, None),
    ]


def test_templates_are_the_customers_and_those_for_all(world: World) -> None:
    world.change(customers=[CustomerWrite(customer_id="other", name=None, archived_at_us=None)])
    world.change(
        allocations=[
            template(1, allocation_id="for all"),
            template(2, allocation_id="acme's", customer_id="acme"),
            template(3, allocation_id="other's", customer_id="other", currency_id="usd"),
        ]
    )
    with world.ledger.reader() as reader:

        def names(rows: list[AllocationRow]) -> list[str | None]:
            return [row.allocation_id for row in rows if row.resource == 0]

        assert names(reader.templates(world.customer)) == ["for all", "acme's"]
        assert names(reader.templates(world.customer + 1)) == ["for all", "other's"]
        assert names(reader.templates(0)) == ["for all"]
        assert names(reader.allocations()) == ["for all", "acme's", "other's"]
        assert names(reader.allocations(world.customer)) == ["acme's"]
        assert names(reader.allocations(resources=[0, *world.rows.values()])) == []
        assert reader.currencies_of(world.customer + 1) == [world.tokens, world.usd]
        assert reader.currencies_of(world.customer + 7) == [world.tokens]  # of what is for all


def test_the_dimensions_of_all_scopes_are_known(world: World) -> None:
    world.change(customers=[CustomerWrite(customer_id="other", name=None, archived_at_us=None)])
    with world.ledger.reader() as reader:
        assert reader.scoped_dimensions(world.customer) == ()
    world.change(
        allocations=[
            allocation("a", 1, scope='{"model":["x"],"who":["1"]}'),
            allocation("b", 1, scope='{"feature":["y","z"]}'),
            allocation("root", 1, scope='{"feature":["y","z"]}'),
            template(1, scope='{"δ":["x"]}'),
            template(1, customer_id="other", scope='{"theirs":["x"]}'),
        ]
    )
    with world.ledger.reader() as reader:
        assert reader.scoped_dimensions(world.customer) == ("feature", "model", "who", "δ")
        assert reader.scoped_dimensions(world.customer + 1) == ("theirs", "δ")
        assert reader.scoped_dimensions(0) == ("δ",)
    world.change(
        allocations_removed=[
            row.id for row in limits(world, resource_id="a", scope='{"model":["x"],"who":["1"]}')
        ]
    )
    with world.ledger.reader() as reader:
        assert reader.scoped_dimensions(world.customer) == ("feature", "δ")


# ------------------------------------------------------------------ cells that stay, cells that go


@pytest.fixture
def busy(world: World) -> World:
    """A limit by day and scope on `free`, its cells of two days open, shares in one of them."""
    world.change(
        types=[thing("other")], allocations=[allocation("free", 100, allocation_id="x", cadence="P1D")]
    )
    world.exchange(
        *(
            world.booking(name, amount, ["free"], occurred_at_us=at_us)
            for name, amount, at_us in [("1", 7, NOW_US), ("2", 5, TODAY[0] - 1)]
        )
    )
    row = world.limit("x")
    today, yesterday = world.open(wanted(row, TODAY), wanted(row, (TODAY[0] - DAY_US, TODAY[0])))
    world.ids |= {"today": today.id, "yesterday": yesterday.id}
    world.exchange(asks=[world.ask(3, ["today"])])
    return world


def open_now(world: World, allocation_id: str = "x") -> dict[int, tuple[int, int, int]]:
    """The open cells of a limit: (limit, used, granted) by id."""
    with world.ledger.reader() as reader:
        rows = reader.rows(
            "SELECT id, lim, used, granted FROM cells WHERE allocation = :id",
            {"id": world.limit(allocation_id).id},
        )
        world.assert_sound()
    return {id_: (lim, used, granted) for id_, lim, used, granted in rows}


@pytest.mark.parametrize(
    "differs",
    [
        {"limit_units": 40},
        {"enforcement": "SOFT"},
        {"effective_at_us": NOW_US + 5},
        {"expires_at_us": NOW_US + 5},
        {"where": GOLD},
    ],
    ids=lambda differs: next(iter(differs)),
)
def test_cells_stay_while_they_count_the_same(busy: World, differs: dict[str, Any]) -> None:
    """AL1: with their shares; the limit in those that are not over is the new one."""
    before = open_now(busy)
    assert sorted(before.values()) == [(100, 5, 0), (100, 7, 93)]
    write = allocation("free", 100, allocation_id="x", cadence="P1D")
    for name, value in differs.items():
        setattr(write, name, value)
    busy.change(allocations=[write])
    lim = differs.get("limit_units", 100)
    assert open_now(busy) == {busy.ids["today"]: (lim, 7, 93), busy.ids["yesterday"]: (100, 5, 0)}
    old = wanted(busy.limit("x"), (TODAY[0] - DAY_US, TODAY[0]))
    assert [(cell.id, cell.limit_units) for cell in busy.open(old)] == [(busy.ids["yesterday"], lim)]


@pytest.mark.parametrize(
    "differs",
    [
        {"resource_id": "b"},
        {"resource_id": None, "type_id": "other"},
        {"currency_id": "usd"},
        {"cadence": "P1M"},
        {"cadence": None},
        {"timezone": "Asia/Kolkata"},
        {"anchor_us": 5},
        {"rolling": True},
        {"scope": MODEL},
    ],
    ids=lambda differs: next(reversed(differs)),
)
def test_cells_go_when_a_limit_counts_something_else(busy: World, differs: dict[str, Any]) -> None:
    """AL1, and MC2: with their shares; they are summed anew, whatever it counts then."""
    write = allocation("free", 100, allocation_id="x", cadence="P1D")
    for name, value in differs.items():
        setattr(write, name, value)
    row = busy.limit("x")
    busy.change(allocations=[write])
    assert busy.limit("x").id == row.id
    assert open_now(busy) == {}
    with busy.ledger.reader() as reader:
        assert reader.rows("SELECT 1 FROM shares WHERE cell = :cell", {"cell": busy.ids["today"]}) == []
    busy.change(allocations=[allocation("free", 100, allocation_id="x", cadence="P1D")])
    [again] = busy.open(wanted(busy.limit("x"), TODAY))
    assert (again.used, again.granted) == (7, 0)
    assert again.id > busy.ids["yesterday"]
    busy.assert_sound()


def test_without_an_id_another_zone_or_anchor_counts_something_else(world: World) -> None:
    for differs in ({"timezone": "Asia/Kolkata"}, {"anchor_us": 77}, {"anchor_us": None}):
        for facts, stays in (({"cadence": "P1D"}, False), ({"scope": MODEL}, True)):
            world.change(allocations=[allocation("free", 9, **facts)])
            [row] = [row for row in limits(world, resource_id="free") if row.cadence == facts.get("cadence")]
            [cell] = world.open(wanted(row, (0, DAY_US if row.cadence else None)))
            before = (row.timezone, row.anchor_us)
            world.change(allocations=[allocation("free", 9, **facts, **differs)])
            with world.ledger.reader() as reader:
                found = reader.rows("SELECT 1 FROM cells WHERE id = :id", {"id": cell.id})
            # For ever is for ever in every zone.
            is_same = before == (differs.get("timezone", "UTC"), differs.get("anchor_us"))
            assert bool(found) == (stays or is_same), (facts, differs)


def test_the_same_limit_again_takes_back_what_an_override_set(world: World) -> None:
    world.open(world.wanted["a"]._replace(limit_units=900))
    assert world.cell("a").limit_units == 900
    world.change(allocations=[allocation("a", 100)])
    assert world.cell("a").limit_units == 100


# ------------------------------------------------------------------ templates


def seat(resource_id: str, tier: str | None, **differs: Any) -> ResourceWrite:
    return resource(
        resource_id, properties="{}" if tier is None else f'{{"n":5.0,"tier":"{tier}"}}', **differs
    )


@pytest.fixture
def seats(world: World) -> World:
    """A template on gold seats, by day; cells of it open for two of them, with usage and shares."""
    world.change(
        types=[thing("other"), thing(customer_id="acme")],
        resources=[seat("s1", "gold"), seat("s2", "gold"), seat("s3", "silver")],
        allocations=[template(100, GOLD, allocation_id="x", cadence="P1D")],
    )
    world.reread_rows()
    world.exchange(*(world.booking(name, 7, [name]) for name in ("s1", "s2", "s3")))
    row = world.limit("x")
    for name in ("s1", "s2"):
        [cell] = world.open(wanted(row, TODAY, resource=world.rows[name]))
        world.ids[name] = cell.id
    world.exchange(asks=[world.ask(3, ["s1"]), world.ask(3, ["s2"])])
    assert len(open_now(world)) == 2
    return world


@pytest.mark.parametrize(
    ("writes", "stay"),
    [
        ({"resources": [seat("s1", "gold", name="renamed"), seat("s2", "gold", parent="a")]}, ["s1", "s2"]),
        ({"resources": [seat("s1", "gold", archived_at_us=5, suspension="{}")]}, ["s1", "s2"]),
        ({"resources": [seat("s1", "gold", type_customer_id="acme")]}, ["s1", "s2"]),
        ({"resources": [seat("s1", "silver"), seat("s2", "gold")]}, ["s2"]),
        ({"resources": [seat("s1", None)]}, ["s2"]),
        ({"resources": [seat("s1", "gold", type_id="other")]}, ["s2"]),
        ({"resources": [seat("s3", "gold")]}, ["s1", "s2"]),
        ({"allocations": [template(100, SILVER, allocation_id="x", cadence="P1D")]}, []),
        ({"allocations": [template(100, allocation_id="x", cadence="P1D")]}, ["s1", "s2"]),
        (
            {
                "allocations": [
                    template(100, '{"n":["5"],"tier":["gold","x"]}', allocation_id="x", cadence="P1D")
                ]
            },
            ["s1", "s2"],
        ),
        (
            {
                "resources": [seat("s1", "silver")],
                "allocations": [template(100, SILVER, allocation_id="x", cadence="P1D")],
            },
            ["s1"],
        ),
        ({"allocations": [allocation("s1", 5, cadence="P1D")]}, ["s1", "s2"]),
        ({"allocations": [allocation("s1", 5, cadence="P1D", expires_at_us=NOW_US + 1)]}, ["s1", "s2"]),
        ({"allocations": [allocation("s1", 5, cadence="P1D", expires_at_us=NOW_US)]}, ["s1", "s2"]),
        ({"allocations": [allocation("s1", 5, cadence="P1D", effective_at_us=NOW_US)]}, ["s1", "s2"]),
        ({"allocations": [allocation("s1", 5, cadence="P1D", effective_at_us=NOW_US + 1)]}, ["s1", "s2"]),
        ({"allocations": [allocation("s1", 5, cadence="P1M"), allocation("s1", 5)]}, ["s1", "s2"]),
        ({"allocations": [allocation("s1", 5, cadence="P1D", scope=MODEL)]}, ["s1", "s2"]),
        ({"allocations": [allocation("s1", 5, cadence="P1D", currency_id="usd")]}, ["s1", "s2"]),
        ({"allocations": [allocation("s1", 5, cadence="P1D", rolling=True)]}, ["s1", "s2"]),
        ({"allocations": [template(5, GOLD, cadence="P1D", customer_id="acme")]}, ["s1", "s2"]),
    ],
)  # fmt: skip
def test_a_templates_cells_stay_where_it_still_counts_and_go_elsewhere(
    seats: World, writes: dict[str, Any], stay: list[str]
) -> None:
    """AL2: what still counts keeps its shares; what counts no more is summed when it counts again."""
    before = open_now(seats)
    seats.change(resources=writes.get("resources", []), allocations=writes.get("allocations", []))
    assert open_now(seats) == {seats.ids[name]: before[seats.ids[name]] for name in stay}
    # Bookings pass by what does not count …
    seats.exchange(
        *(
            seats.booking(f"{name} later", 20, [name], parts=_parts(seats, name, stay))
            for name in ("s1", "s2")
        )
    )
    seats.assert_sound()
    # … and it counts all when it does again.
    own = [row.id for row in limits(seats, cadence="P1D") if row.resource]
    seats.change(
        resources=[seat("s1", "gold"), seat("s2", "gold")],
        allocations=[template(100, GOLD, allocation_id="x", cadence="P1D")],
        allocations_removed=own,
    )
    asked = [wanted(seats.limit("x"), TODAY, resource=seats.rows[name]) for name in ("s1", "s2")]
    assert [cell.used for cell in seats.open(*asked)] == [27, 27]
    seats.assert_sound()


def _parts(world: World, name: str, stay: list[str]) -> Any:
    ids = (world.ids[name],) if name in stay else ()
    return (world.booking("", 20, []).parts[0]._replace(cells=ids, spends=(0,) * len(ids)),)


def test_a_resource_of_another_customer_with_the_same_id_is_another(seats: World) -> None:
    seats.change(
        customers=[CustomerWrite(customer_id="other", name=None, archived_at_us=None)],
        resources=[seat("s1", "silver", customer_id="other")],
        allocations=[],
    )
    seats.change(allocations=[allocation("s1", 5, cadence="P1D", customer_id="other")])
    assert open_now(seats).keys() == {seats.ids["s1"], seats.ids["s2"]}


def test_what_ends_a_template_ends_all_its_cells(seats: World) -> None:
    row = seats.limit("x")
    seats.change(allocations_removed=[row.id])
    with seats.ledger.reader() as reader:
        assert reader.rows("SELECT 1 FROM cells WHERE allocation = :id", {"id": row.id}) == []
        assert reader.rows("SELECT 1 FROM shares", {}) == []
    seats.assert_sound()


# ------------------------------------------------------------------ overrides


def test_an_override_is_read_as_it_was_written(world: World) -> None:
    facts = {"cadence": "P1D", "scope": MODEL, "reason": "said so", "actor": "support", "effective_at_us": -7}
    world.change(overrides=[override("a", 500, **facts), override("b", add_units=40, currency_id="usd")])
    with world.ledger.reader() as reader:
        [first, second] = reader.overrides()
        assert first == OverrideRow(
            id=first.id,
            customer=world.customer,
            resource=world.rows["a"],
            resource_id="a",
            currency=world.tokens,
            limit_units=500,
            add_units=None,
            expires_at_us=NOW_US + DAY_US,
            put_at_us=NOW_US,
            **facts,
        )
        assert (second.resource_id, second.limit_units, second.add_units, second.currency) == (
            "b",
            None,
            40,
            world.usd,
        )
        assert reader.overrides(world.customer) == [first, second]
        assert reader.overrides(world.customer + 1) == []
        assert reader.overrides(resources=[world.rows["b"], world.rows["free"], world.rows["b"]]) == [second]
        assert reader.overrides(world.customer, [world.rows["a"], world.rows["b"]]) == [first, second]
        assert reader.overrides(world.customer + 1, [world.rows["a"]]) == []
        assert reader.overrides(resources=[]) == []


def test_overrides_are_replaced_by_their_keys_and_removed_by_their_rows(world: World) -> None:
    """Nulls in the key too."""
    kinds: list[dict[str, Any]] = [
        {},
        {"cadence": "P1D"},
        {"scope": MODEL},
        {"effective_at_us": 0},
        {"effective_at_us": -(2**62)},
        {"currency_id": "usd"},
        {"resource_id": "b"},
    ]
    ids: list[int] = []
    for n in range(3):
        world.change(
            overrides=[
                override(
                    **{"resource_id": "a", "limit": None, "add_units": 10 * at + n, "reason": str(n), **kind}
                )
                for at, kind in enumerate(kinds)
            ]
        )
        with world.ledger.reader() as reader:
            rows = reader.overrides()
        assert [(row.add_units, row.reason) for row in rows] == [
            (10 * at + n, str(n)) for at in range(len(kinds))
        ]
        ids = ids or [row.id for row in rows]
        assert [row.id for row in rows] == ids
    world.change(
        overrides=[override("a", 6, expires_at_us=5, actor="me")], overrides_removed=[ids[1], ids[6]]
    )
    with world.ledger.reader() as reader:
        rows = reader.overrides()
    assert [row.id for row in rows] == [ids[0], *ids[2:6]]
    assert (rows[0].limit_units, rows[0].add_units, rows[0].expires_at_us, rows[0].actor, rows[0].reason) == (
        6, None, 5, "me", None,
    )  # fmt: skip


def test_an_override_needs_what_it_names_and_says_one_thing(world: World) -> None:
    for wrong in (
        override("nowhere", 5),
        override("a", 5, customer_id="nobody"),
        override("a", 5, currency_id="none"),
        override("a", 5, add_units=5),
        override("a"),
    ):
        with pytest.raises(LedgerError, match="nothing was changed"):
            world.change(overrides=[wrong])
    with world.ledger.reader() as reader:
        assert reader.overrides() == []
        assert reader.state().change == world.version


def test_a_change_of_overrides_alone_is_a_change(world: World) -> None:
    before = world.version
    assert world.change(overrides=[override("a", 5)]).change == before + 1
    with world.ledger.reader() as reader:
        [row] = reader.overrides()
    assert world.change(overrides_removed=[row.id]).change == before + 2


# ------------------------------------------------------------------ many


def test_what_is_asked_of_one_resource_of_many_looks_at_none_of_the_others(ledger) -> None:
    count = 20_000
    names = [f"r{n}" for n in range(count)]
    random.Random(7).shuffle(names)
    change = ModelChange(
        expected_change=1,
        at_us=NOW_US,
        customers_touched={"acme"},
        currencies=[CurrencyWrite(currency_id="tokens", name=None, decimals=0)],
        customers=[CustomerWrite(customer_id="acme", name=None, archived_at_us=None)],
        types=[thing()],
        resources=[seat(name, "gold") for name in names],
        allocations=[
            template(5, GOLD, allocation_id="x", cadence="P1D"),
            *(allocation(name, 5, scope=MODEL) for name in names),
        ],
    )
    ledger.change_model(change)
    with ledger.reader() as reader:
        [row] = reader.templates(1)
    keys = [wanted(row, TODAY, resource=resource) for resource in range(1, count + 1)]
    ledger.open_cells(keys, 2, 0)
    started = time.process_time()
    with ledger.reader() as reader:
        assert reader.templates(1) == [row]
        assert reader.scoped_dimensions(1) == ("model",)
        assert len(reader.allocations(1, [5, 6, 7])) == 3
        assert reader.overrides(1, [5, 6, 7]) == []
    read = time.process_time()
    change = ModelChange(
        expected_change=2, at_us=NOW_US, resources=[seat("r5", "gold"), seat("r6", "silver")]
    )
    ledger.change_model(change)
    changed = time.process_time()
    assert read - started < 0.02  # with a look at all of them it is more than that
    assert changed - read < 0.02
    with ledger.reader() as reader:
        assert reader.rows("SELECT count(*) FROM cells", {}) == [(count - 1,)]
