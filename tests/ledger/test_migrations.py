"""Migrations: numbered steps, in one transaction, by one process (F2, G1, G2)."""

import hashlib
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from threading import Barrier, Thread
from typing import Any

import pytest
from sqlite_utils import Database
from sqlite_utils.migrations import Migrations

from stiggctl.errors import LedgerError
from stiggctl.ledger import migrations
from stiggctl.ledger.migrations import (
    version_1,
    version_2,
    version_3,
    version_4,
    version_5,
    version_6,
    version_7,
)
from stiggctl.ledger.opening import open_ledger
from stiggctl.ledger.records import CellKey, CellWanted, LedgerState, ModelChange, RateRow, Rolls
from stiggctl.ledger.sqlite import schema

from .world import NOW_US, TODAY, World, allocation, grant, holder, resource, template, thing, wanted

VERSIONS = {
    1: version_1.STATEMENTS,
    2: version_2.STATEMENTS,
    3: version_3.STATEMENTS,
    4: version_4.STATEMENTS,
    5: version_5.STATEMENTS,
    6: version_6.STATEMENTS,
    7: version_7.STATEMENTS,
}


def described(path: Path) -> set[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as looking:
        return set(looking.execute("SELECT type, name, tbl_name, sql FROM sqlite_schema"))


def test_the_version_is_the_number_of_steps(path: Path) -> None:
    open_ledger(path).close()
    with closing(Database(path)) as database:
        applied = [step.name for step in migrations.STEPS.applied(database)]
    assert applied == [f"version_{number}" for number in VERSIONS]
    assert len(applied) == schema.SCHEMA_VERSION == len(VERSIONS)


def test_a_released_step_is_never_edited() -> None:
    """G1: a change of the schema is another version, with a step of its own."""
    text = "\n".join(
        " ".join(line.split("--")[0].split()) for part in version_1.STATEMENTS for line in part.splitlines()
    )
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == "54ea0e8b44c3a504"


# ------------------------------------------------------------------ from each version


def steps_to(version: int) -> Migrations:
    steps = Migrations("stiggctl")
    for number in range(1, version + 1):
        steps(name=f"version_{number}")(migrations._step(VERSIONS[number]))
    return steps


#: What the stiggctl of schema 1 wrote: a customer, a tree, limits, rates, usage, and what was granted.
ROWS_OF_1 = (
    "INSERT INTO ledger VALUES ('00000000-0000-4000-8000-000000000000', 1, 3, 8, 5)",
    "INSERT INTO customers (customer_id, name) VALUES ('acme', 'Acme'), ('other', NULL)",
    "INSERT INTO currencies (currency_id, name, decimals) VALUES ('tokens', NULL, 0), ('usd', 'USD', 9)",
    """INSERT INTO resource_types (type_id, attribution_keys, properties)
       VALUES ('thing', '["thing"]', '{}')""",
    """INSERT INTO resources (customer, resource_id, type, parent, properties) VALUES
       (1, 'root', 1, NULL, '{}'), (1, 'a', 1, 1, '{"tier": "gold"}'), (2, 'a', 1, NULL, '{}')""",
    """INSERT INTO allocations (customer, allocation_id, resource, currency, lim, enforcement) VALUES
       (1, NULL, 1, 1, 1000, 'HARD'), (1, NULL, 2, 1, 100, 'HARD'), (1, 'in-usd', 2, 2, 9, 'SOFT'),
       (2, 'in-usd', 3, 2, 7, 'HARD')""",
    """INSERT INTO rates (customer, event_name, currency, credits, terms, retired_at_us) VALUES
       (0, 'chat', 1, '2', '[]', 77), (0, 'chat', 1, '3', '[]', NULL), (1, 'chat', 1, '4', '[]', NULL)""",
    """INSERT INTO holders (name, host, boot, pid, lock_inode, state, ttl_max_ms)
       VALUES ('h', 'h', 'b', 1, 2, 1, 5)""",
    """INSERT INTO cells (allocation, resource, window_start_us, lim, used, granted) VALUES
       (1, 1, 0, 1000, 37, 20), (2, 2, 0, 100, 37, 0), (3, 2, 0, 9, 12, 0)""",
    f"INSERT INTO shares (cell, holder, until_us, granted, exact) VALUES (1, 1, {NOW_US + 5}, 20, 1)",
    "INSERT INTO paths (customer, members) VALUES (1, x'00000000000000010000000000000002')",
    "INSERT INTO path_resources VALUES (1, 1), (2, 1)",
    f"""INSERT INTO events (customer, namespace, key, part, currency, amount_units, overage_units, path,
                           event_name, dimensions, occurred_at_us, booked_at_us, rate, fingerprint) VALUES
       (1, 0, 'k', 0, 1, 30, 0, 1, 'chat', '{{"model":"gpt-5"}}', {TODAY[0] - 1}, {NOW_US}, 1, x'6b'),
       (1, 0, 'k', 1, 2, 12, 3, 1, 'chat', '{{"model":"gpt-5"}}', {TODAY[0] - 1}, {NOW_US}, NULL, x'6b'),
       (1, 0, 'l', 0, 1, 7, 0, 1, 'chat', '{{}}', {TODAY[0]}, {NOW_US}, 2, x'6c')""",
    """INSERT INTO audit (at_us, customer_id, verb, subject, after)
       VALUES (6, 'acme', 'apply', 'resource a', '{}')""",
)
#: What that of schema 2 added to it: a window, a scope, a template, an override, and usage in them.
ROWS_OF_2 = (
    *ROWS_OF_1,
    "UPDATE ledger SET schema_version = 2",
    f"""INSERT INTO allocations (customer, allocation_id, resource, type, currency, lim, enforcement, cadence,
                               timezone, anchor_us, rolling, scope, effective_at_us, expires_at_us) VALUES
       (1, 'daily', 1, NULL, 1, 50, 'HARD', 'P1D', 'UTC', NULL, 0, '{{}}', NULL, {NOW_US * 2}),
       (1, 'scoped', 1, NULL, 1, 60, 'HARD', NULL, 'UTC', NULL, 0, '{{"model":["gpt-5"]}}', 5, NULL),
       (0, 'gold', 0, 1, 1, 70, 'SOFT', 'P1D', 'Europe/Amsterdam', 3, 0, '{{}}', NULL, NULL)""",
    "UPDATE allocations SET matching = '{\"tier\":[\"gold\"]}' WHERE allocation_id = 'gold'",
    f"""INSERT INTO overrides (customer, resource, currency, cadence, scope, add_units, expires_at_us)
       VALUES (1, 1, 1, 'P1D', '{{}}', 9, {NOW_US + 9})""",
    """INSERT INTO rates (customer, event_name, currency, credits, terms, matching, effective_at_us)
       VALUES (0, 'chat', 1, '5', '[]', '{"model":["gpt-5"]}', 6)""",
    f"""INSERT INTO cells (allocation, resource, window_start_us, lim, used, closes) VALUES
       (5, 1, {TODAY[0]}, 59, 7, {TODAY[1]}), (6, 1, 0, 60, 30, NULL),
       (7, 2, {TODAY[0] - 1}, 70, 30, {TODAY[0]})""",
)
#: What that of schema 3 added: a grant and what it paid, and a rolling window with its bucket.
ROWS_OF_3 = (
    *ROWS_OF_2,
    "UPDATE ledger SET schema_version = 3",
    """INSERT INTO grants (customer, grant_id, currency, amount_units, priority, kind)
       VALUES (1, 'welcome', 1, 100, 50, 'PAID')""",
    "INSERT INTO event_grants VALUES (1, 1, 30)",
    """INSERT INTO allocations (customer, allocation_id, resource, currency, lim, enforcement, cadence,
                               rolling)
       VALUES (1, 'rolling', 1, 1, 80, 'HARD', 'PT1H', 1)""",
    f"""INSERT INTO cells (allocation, resource, window_start_us, lim, used, opens, width_us, hush_until)
       VALUES (8, 1, 0, 80, 7, {TODAY[0]}, 60000000, {NOW_US}), (1, 0, 0, 100, 30, NULL, NULL, 0)""",
    f"INSERT INTO buckets VALUES (7, {TODAY[0]}, 7)",
)
#: That of schema 4 has an index more.
ROWS_OF_4 = (*ROWS_OF_3, "UPDATE ledger SET schema_version = 4")
#: That of schema 5 has tables more, which were empty where nobody set a threshold.
ROWS_OF_5 = (*ROWS_OF_3, "UPDATE ledger SET schema_version = 5")
#: That of schema 6 has another view.
ROWS_OF_6 = (*ROWS_OF_3, "UPDATE ledger SET schema_version = 6")
ROWS = {1: ROWS_OF_1, 2: ROWS_OF_2, 3: ROWS_OF_3, 4: ROWS_OF_4, 5: ROWS_OF_5, 6: ROWS_OF_6}


def make(path: Path, version: int, rows: Sequence[str]) -> None:
    """A ledger as the stiggctl of that schema made it."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA page_size = 2048")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("BEGIN")
        steps_to(version).apply(Database(connection, recursive_triggers=False, execute_plugins=False))
        connection.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
        for row in rows:
            connection.execute(row)
        connection.execute("COMMIT")


@pytest.mark.parametrize("version", ROWS)
@pytest.mark.parametrize("create", [True, False])
def test_a_ledger_of_each_version_becomes_as_a_new_one(path: Path, version: int, create: bool) -> None:
    """G2, with rows in it; nothing of them is lost, and nothing is done twice."""
    make(path, version, ROWS[version])
    with closing(sqlite3.connect(path)) as looking:
        tables = [name for (name,) in looking.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        before = {
            name: list(looking.execute(f"SELECT * FROM {name}"))
            for name in tables
            if not name.startswith(("_", "sqlite_")) and name != "ledger"
        }
    for _ in range(2):
        with closing(open_ledger(path, create=create)) as ledger, ledger.reader() as reader:
            assert reader.state() == ("00000000-0000-4000-8000-000000000000", schema.SCHEMA_VERSION, 3, 8)
            assert {row.thresholds for row in (*reader.allocations(), *reader.grants())} == {"[]"}
            assert reader.crossings() == reader.differences() == []
    new = path.with_name("new.db")
    open_ledger(new).close()
    assert described(path) == described(new)
    with closing(sqlite3.connect(path)) as looking:
        for name, rows in before.items():
            width = len(rows[0]) if rows else 0
            now = [row[:width] for row in looking.execute(f"SELECT * FROM {name}")]
            assert now == rows, name


def test_what_version_1_limited_is_limited_as_before(path: Path) -> None:
    make(path, 1, ROWS_OF_1)
    with closing(open_ledger(path)) as ledger:
        with ledger.reader() as reader:
            rows = reader.allocations()
            assert [
                (row.resource_id, row.allocation_id, row.limit_units, row.enforcement) for row in rows
            ] == [
                ("root", None, 1_000, "HARD"),
                ("a", None, 100, "HARD"),
                ("a", "in-usd", 9, "SOFT"),
                ("a", "in-usd", 7, "HARD"),
            ]
            assert {
                (row.type, row.type_id, row.where, row.cadence, row.timezone, row.anchor_us, row.rolling,
                 row.scope, row.effective_at_us, row.expires_at_us)
                for row in rows
            } == {(None, None, "{}", None, "UTC", None, False, "{}", None, None)}  # fmt: skip
            assert (reader.templates(1), reader.overrides(), reader.scoped_dimensions(1)) == ([], [], ())
            assert reader.rates("chat")[0] == RateRow(
                id=2,
                customer_id=None,
                event_name="chat",
                currency=1,
                where="{}",
                credits="3",
                terms="[]",
                effective_at_us=None,
            )
            cells = list(reader.cells([wanted(row) for row in rows], 0).values())
        assert [(cell.id, cell.used, sum(each.units for each in cell.orphans)) for cell in cells] == [
            (1, 37, 20),
            (2, 37, 0),
            (3, 12, 0),
            (0, 0, 0),
        ]


def test_the_keys_of_version_1_are_found_again(path: Path) -> None:
    """A limit that is applied again is changed, not doubled; so is one with the defaults spelt out."""
    make(path, 1, ROWS_OF_1)
    with closing(open_ledger(path)) as ledger:
        me = ledger.enlist(holder())
        change = ModelChange(
            expected_change=8,
            at_us=NOW_US,
            allocations=[
                allocation("a", 60),
                allocation("a", 5, allocation_id="in-usd", currency_id="usd"),
                allocation("a", 40, cadence="P1D"),
                template(70, '{"tier":["gold"]}', cadence="P1D", scope='{"model":["gpt-5"]}'),
            ],
        )
        ledger.change_model(change)
        with ledger.reader() as reader:
            rows = reader.allocations()
            limits = [(row.id, row.limit_units) for row in rows]
            assert limits == [(1, 1_000), (2, 60), (3, 5), (4, 7), (5, 40), (6, 70)]
        today = CellWanted(CellKey(5, 2, TODAY[0]), TODAY[1], "{}", 40)
        ever = CellWanted(CellKey(2, 2, 0), None, "{}", 60)
        yesterday = CellWanted(CellKey(6, 2, TODAY[0] - 1), TODAY[0], '{"model":["gpt-5"]}', 70)
        opened = ledger.open_cells([today, ever, yesterday], 9, me)
        assert [(cell.id > 3, cell.used) for cell in opened.values()] == [(True, 7), (False, 37), (True, 30)]
        with ledger.reader() as reader:
            assert reader.differences() == []


def test_what_limits_nothing_in_particular_is_refused_by_the_table(path: Path) -> None:
    """A template has a type, an allocation of a resource has none."""
    make(path, 1, ROWS_OF_1)
    with closing(open_ledger(path)) as ledger:
        for wrong in (
            template(5, type_id="nothing"),
            template(5, type_id=None),
            allocation("a", 5, type_id="thing"),
            allocation("nowhere", 5),
        ):
            with pytest.raises(LedgerError, match="nothing was changed"):
                ledger.change_model(ModelChange(expected_change=8, at_us=NOW_US, allocations=[wrong]))
        change = ModelChange(
            expected_change=8,
            at_us=NOW_US,
            types=[thing("other")],
            resources=[resource("b", type_id="other")],
        )
        assert ledger.change_model(change).change == 9


def test_what_version_2_limited_is_limited_as_before(path: Path) -> None:
    make(path, 2, ROWS_OF_2)
    with closing(open_ledger(path)) as ledger, ledger.reader() as reader:
        limits = {row.allocation_id: row for row in reader.allocations() if row.id > 4}
        assert (limits["daily"].cadence, limits["daily"].expires_at_us) == ("P1D", NOW_US * 2)
        assert (limits["scoped"].scope, limits["scoped"].effective_at_us) == ('{"model":["gpt-5"]}', 5)
        assert (limits["gold"].type_id, limits["gold"].where) == ("thing", '{"tier":["gold"]}')
        assert [row.add_units for row in reader.overrides(1)] == [9]
        assert reader.grants() == []
        assert reader.payments(1) == ()
        asked = [
            wanted(limits["daily"], TODAY, limit=59),
            wanted(limits["scoped"]),
            wanted(limits["gold"], (TODAY[0] - 1, TODAY[0]), resource=2),
        ]
        cells = list(reader.cells(asked, 0).values())
        assert [(cell.id, cell.used, cell.buckets) for cell in cells] == [
            (4, 7, None),
            (5, 30, None),
            (6, 30, None),
        ]


@pytest.mark.parametrize("version", ROWS)
def test_a_migrated_ledger_has_grants_and_rolling_limits(path: Path, version: int) -> None:
    make(path, version, ROWS[version])
    with closing(open_ledger(path)) as ledger:
        me = ledger.enlist(holder())
        change = ModelChange(
            expected_change=8,
            at_us=NOW_US,
            allocations=[allocation("a", 40, allocation_id="hourly", cadence="PT1H", rolling=True)],
            grants=[grant("welcome", 90)],
        )
        state = ledger.change_model(change)
        assert isinstance(state, LedgerState)
        with ledger.reader() as reader:
            [row] = [row for row in reader.allocations() if row.allocation_id == "hourly"]
            [given] = reader.grants()
        rolls = Rolls(TODAY[0] - 10, 10)
        asked = [
            wanted(row)._replace(rolls=rolls),
            CellWanted(CellKey(given.id, 0, 0), None, "{}", 90),
        ]
        hourly, welcome = ledger.open_cells(asked, state.change, me).values()
        paid = 30 if version >= 3 else 0
        assert (hourly.used, welcome.used, welcome.limit_units) == (37, paid, 90)
        with ledger.reader() as reader:
            assert reader.cells(asked, me)[asked[0].key].buckets == (
                (TODAY[0] - 10, 30),
                (TODAY[0], 7),
            )
            assert reader.differences() == []


# ------------------------------------------------------------------ a later one


LATER = schema.SCHEMA_VERSION + 1


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A later stiggctl: one step more, which counts how often it is taken."""
    steps, taken = steps_to(schema.SCHEMA_VERSION), []

    @steps(name="one_more")
    def one_more(database: Database) -> None:
        taken.append(1)
        database.execute("CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT) STRICT")
        database.execute("INSERT INTO notes (text) SELECT key FROM events ORDER BY id")

    monkeypatch.setattr(migrations, "STEPS", steps)
    monkeypatch.setattr(schema, "SCHEMA_VERSION", LATER)
    return taken


@pytest.fixture
def old(path: Path) -> Path:
    with closing(open_ledger(path)) as ledger:
        world = World(ledger)
        world.exchange(world.booking("k", 7))
    return path


@pytest.mark.parametrize("create", [True, False])
def test_an_older_ledger_is_brought_up_to_date_with_its_rows(
    old: Path, later: list[int], create: bool
) -> None:
    for _ in range(2):
        with closing(open_ledger(old, create=create)) as ledger, ledger.reader() as reader:
            assert reader.state().schema_version == LATER
            assert reader.rows("SELECT text FROM notes", {}) == [("k",)]
            assert reader.differences() == []
    assert later == [1]


def test_a_migrated_ledger_is_as_a_new_one(old: Path, later: list[int]) -> None:
    """G2."""
    open_ledger(old).close()
    new = old.with_name("new.db")
    open_ledger(new).close()
    assert described(old) == described(new)


def test_of_many_that_migrate_at_once_one_does(path: Path, later: list[int]) -> None:
    """Over all steps at once."""
    make(path, 1, ROWS_OF_1)
    together, versions = Barrier(5), []

    def migrate() -> None:
        together.wait()
        with closing(open_ledger(path)) as ledger, ledger.reader() as reader:
            versions.append(reader.state().schema_version)

    threads = [Thread(target=migrate) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert versions == [LATER] * 5
    assert later == [1]


def test_a_step_that_fails_leaves_the_ledger_as_it_was(
    path: Path, later: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    make(path, 1, ROWS_OF_1)
    before = described(path)

    @migrations.STEPS(name="two_more")
    def two_more(database: Database) -> None:
        database.execute("CREATE TABLE more (id INTEGER)")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        open_ledger(path)
    assert described(path) == before
    monkeypatch.undo()
    with closing(open_ledger(path)) as ledger, ledger.reader() as reader:
        assert reader.state().schema_version == LATER - 1
