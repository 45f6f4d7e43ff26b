"""The doctor: what it finds, what it advises, and that it only looks."""

import json
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from stiggctl import LedgerUnavailable
from stiggctl.cli import examining
from stiggctl.ledger.sqlite.schema import SCHEMA_VERSION

from .conftest import Run, files, somebody_holding


def spoil(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement)


def test_a_healthy_ledger_is_told_with_its_facts(run: Run, ours: Path) -> None:
    told = run("doctor", ours)
    assert (told.exit_code, told.stderr) == (0, "")
    facts = {line[:13].strip(): line[13:] for line in told.stdout.splitlines()}
    assert facts["file"] == str(ours)
    assert facts["processes"] == "none has it"
    assert facts["verify"] == "every counter is the sum of its events"
    assert facts["wrong"] == "nothing"
    assert "what to do" not in facts
    for package in ("python", "sqlite", "pydantic", "sqlite-utils", "filelock"):
        assert f"{package} " in facts["versions"]


def test_json_has_the_same(run: Run, ours: Path) -> None:
    told = run("doctor", ours, "--json")
    assert told.exit_code == 0
    found = json.loads(told.stdout)
    assert (found["schemaVersion"], found["holders"], found["differences"], found["advice"]) == (
        SCHEMA_VERSION,
        [],
        [],
        [],
    )
    assert found["file"]["bytes"] == ours.stat().st_size
    assert found["versions"]["sqlite"] == sqlite3.sqlite_version


def test_it_changes_and_leaves_nothing(run: Run, ours: Path, tmp_path: Path) -> None:
    before = files(tmp_path)
    for words in (["doctor", ours], ["doctor", ours, "--json"], ["doctor", tmp_path / "none.db"]):
        run(*words)
    assert files(tmp_path) == before


def test_a_counter_that_is_wrong_is_told_and_ends_with_4(run: Run, ours: Path) -> None:
    spoil(ours, "UPDATE cells SET used = used + 3")
    told = run("doctor", ours)
    assert (told.exit_code, told.stderr) == (4, "")
    assert "8 stands there, not 5" in told.stdout
    assert "ana" in told.stdout
    assert "wrong        1 counter is not what it should be" in told.stdout
    assert "what to do   stop the processes that use it" in told.stdout
    as_json = run("doctor", ours, "--json")
    assert as_json.exit_code == 4
    assert [(one["stored"], one["computed"]) for one in json.loads(as_json.stdout)["differences"]] == [(8, 5)]


def test_who_has_it_is_named_and_what_it_held_is_told_after_its_death(run: Run, ours: Path) -> None:
    with somebody_holding(ours) as process:
        alive = run("doctor", ours)
        assert alive.exit_code == 0
        assert f"process      {process.pid} on " in alive.stdout
        assert " is alive and has it; it holds credits until 20" in alive.stdout
        process.send_signal(signal.SIGKILL)
        process.wait()
        dead = run("doctor", ours)
        assert dead.exit_code == 0
        assert " is dead; what it held is withheld until 20" in dead.stdout
        (holder,) = json.loads(run("doctor", ours, "--json").stdout)["holders"]
        assert (holder["pid"], holder["state"], holder["holdsUntil"][:2]) == (process.pid, "dead", "20")


def test_a_process_that_cannot_be_looked_at_is_neither_alive_nor_dead(
    run: Run, ours: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> bool:
        raise LedgerUnavailable(
            location="x", reason="its files are out of reach", remedy="let this user read them"
        )

    monkeypatch.setattr(examining.Presence, "is_dead", refused)
    with somebody_holding(ours) as process:
        told = run("doctor", ours)
        assert told.exit_code == 0
        assert "nobody can tell from here whether it lives" in told.stdout
        assert f"wrong        process {process.pid}: its files are out of reach" in told.stdout
        assert "what to do   let this user read them" in told.stdout


def test_what_is_no_ledger_is_told_beside_what_is_known_of_the_file(run: Run, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("just notes\n" * 200)
    told = run("doctor", "notes.txt")
    assert told.exit_code == 1
    assert "size         2.1 kB" in told.stdout
    assert "wrong " not in told.stdout  # it is said once, on stderr
    (line,) = told.stderr.splitlines()
    assert line.startswith("stiggctl: notes.txt: ")
    found = json.loads(run("doctor", "notes.txt", "--json").stdout)
    assert (found["ledgerId"], found["differences"], len(found["advice"])) == (None, None, 1)


def test_a_damaged_ledger_is_told_so(run: Run, ours: Path) -> None:
    whole = ours.read_bytes()
    ours.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))
    told = run("doctor", ours)
    assert told.exit_code in (1, 4)
    assert "damaged" in told.stderr + told.stdout


def test_a_newer_ledger_is_left_to_a_newer_version(run: Run, ours: Path) -> None:
    spoil(ours, "UPDATE ledger SET schema_version = 99")
    told = run("doctor", ours)
    assert told.exit_code == 1
    assert "a newer stiggctl wrote it" in told.stderr


def test_a_long_log_a_full_disk_and_a_file_that_may_only_be_read_are_told(
    run: Run, ours: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    really = examining._file(str(ours))
    assert really is not None
    facts = really._replace(log_bytes=2**30, free_bytes=2**20, writable=False)
    monkeypatch.setattr(examining, "_file", lambda _: facts)
    told = run("doctor", ours)
    assert told.exit_code == 0
    for wrong in ("its log has grown to 1.0 GB", "its disk has 1.0 MB left", "this user may read it only"):
        assert f"wrong        {wrong}" in told.stdout
    assert told.stdout.count("what to do ") == 3


def test_a_ledger_in_memory_cannot_be_looked_at_from_outside(run: Run) -> None:
    assert run("doctor", ":memory:").exit_code == 2
