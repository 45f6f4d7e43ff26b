"""Migrations: numbered steps, in one transaction, by one process (F2, G1, G2)."""

import hashlib
import sqlite3
from contextlib import closing
from pathlib import Path
from threading import Barrier, Thread
from typing import Any

import pytest
from sqlite_utils import Database
from sqlite_utils.migrations import Migrations

from stiggctl.ledger import migrations
from stiggctl.ledger.migrations import version_1
from stiggctl.ledger.opening import open_ledger
from stiggctl.ledger.sqlite import schema

from .world import World


def described(path: Path) -> set[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as looking:
        return set(looking.execute("SELECT type, name, tbl_name, sql FROM sqlite_schema"))


def test_the_version_is_the_number_of_steps(path: Path) -> None:
    open_ledger(path).close()
    with closing(Database(path)) as database:
        applied = [step.name for step in migrations.STEPS.applied(database)]
    assert applied == ["version_1"]
    assert len(applied) == schema.SCHEMA_VERSION


def test_a_released_step_is_never_edited() -> None:
    """G1: a change of the schema is another version, with a step of its own."""
    text = "\n".join(
        " ".join(line.split("--")[0].split()) for part in version_1.STATEMENTS for line in part.splitlines()
    )
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == "54ea0e8b44c3a504"


@pytest.fixture
def version_2(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A later stiggctl: one step more, which counts how often it is taken."""
    steps, taken = Migrations("stiggctl"), []
    steps(name="version_1")(migrations._step(version_1.STATEMENTS))

    @steps(name="version_2")
    def version_2(database: Database) -> None:
        taken.append(1)
        database.execute("CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT) STRICT")
        database.execute("INSERT INTO notes (text) SELECT key FROM events ORDER BY id")

    monkeypatch.setattr(migrations, "STEPS", steps)
    monkeypatch.setattr(schema, "SCHEMA_VERSION", 2)
    return taken


@pytest.fixture
def old(path: Path) -> Path:
    with closing(open_ledger(path)) as ledger:
        world = World(ledger)
        world.exchange(world.booking("k", 7))
    return path


@pytest.mark.parametrize("create", [True, False])
def test_an_older_ledger_is_brought_up_to_date_with_its_rows(
    old: Path, version_2: list[int], create: bool
) -> None:
    for _ in range(2):
        with closing(open_ledger(old, create=create)) as ledger, ledger.reader() as reader:
            assert reader.state().schema_version == 2
            assert reader.rows("SELECT text FROM notes", {}) == [("k",)]
            assert reader.differences() == []
    assert version_2 == [1]


def test_a_migrated_ledger_is_as_a_new_one(old: Path, version_2: list[int]) -> None:
    """G2."""
    open_ledger(old).close()
    new = old.with_name("new.db")
    open_ledger(new).close()
    assert described(old) == described(new)


def test_of_many_that_migrate_at_once_one_does(old: Path, version_2: list[int]) -> None:
    together, versions = Barrier(5), []

    def migrate() -> None:
        together.wait()
        with closing(open_ledger(old)) as ledger, ledger.reader() as reader:
            versions.append(reader.state().schema_version)

    threads = [Thread(target=migrate) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert versions == [2] * 5
    assert version_2 == [1]


def test_a_step_that_fails_leaves_the_ledger_as_it_was(
    old: Path, version_2: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = described(old)

    @migrations.STEPS(name="version_3")
    def version_3(database: Database) -> None:
        database.execute("CREATE TABLE more (id INTEGER)")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        open_ledger(old)
    assert described(old) == before
    monkeypatch.undo()
    with closing(open_ledger(old)) as ledger, ledger.reader() as reader:
        assert reader.state().schema_version == 1
