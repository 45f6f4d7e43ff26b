"""denials, explain: what was denied, and why; from any process, and without making a file."""

import json
from pathlib import Path

import pytest

from stiggctl import AccessDenied, UsageControl

from .conftest import Run
from .terminal import on_a_terminal, shown


@pytest.fixture
def denied(ours: Path) -> tuple[Path, list[str]]:
    """Ana has 95 of 100 left: 500 are denied twice, then 600; and the id of the event of 5."""
    ids = []
    with UsageControl(ours) as control:
        for amount in (500, 500, 600):
            with pytest.raises(AccessDenied) as error:
                control.reserve(resource_ids=["ana"], credit_currency="ai-tokens", amount=amount)
            ids.append(error.value.decision.decision_id)
    return ours, ids


def test_denials_are_told_the_newest_first_with_their_ids(run: Run, denied: tuple[Path, list[str]]) -> None:
    path, ids = denied
    told = run("denials", path)
    assert (told.exit_code, told.stderr) == (0, "")
    newest, twice = told.stdout.splitlines()
    assert newest.endswith(f"600 were asked for [{ids[2]}]")
    assert " 2 times, until " in twice
    assert twice.endswith(f"500 were asked for [{ids[0]}]")
    assert run("denials", path, "--last", "1").stdout.splitlines() == [newest]
    assert run("denials", path, "--reason", "SUSPENDED").stdout == "denials      none is kept\n"
    assert run("denials", path, "--reason", "TIRED").exit_code == 2
    [first, second] = json.loads(run("denials", path, "--resource", "ana", "--json").stdout)["denials"]
    assert (first["times"], second["times"], second["otherIds"]) == (1, 2, [ids[1]])


def test_one_is_explained_and_laid_beside_another(run: Run, denied: tuple[Path, list[str]]) -> None:
    path, ids = denied
    told = run("explain", path, ids[1])
    assert (told.exit_code, told.stderr) == (0, "")
    assert told.stdout.startswith("why          reserve for ana was denied at ")
    assert "limit        ana has 95 of 100 ai-tokens left (5 used, 0 held)" in told.stdout.splitlines()
    assert "it would have passed with at most 95" in told.stdout
    differs = run("explain", path, ids[0], ids[2]).stdout
    assert "differs      amounts: 500 ai-tokens and 600 ai-tokens" in differs.splitlines()
    as_json = json.loads(run("explain", path, ids[0], ids[2], "--json").stdout)
    assert as_json["decision"]["decisionId"] == ids[0]
    event = run("explain", path, "1")
    assert event.stdout.startswith("why          event 1 at ")
    missing = run("explain", path, "nobody-7")
    assert (missing.exit_code, len(missing.stderr.splitlines())) == (1, 1)
    assert run("explain", path.with_name("none.db"), "1").exit_code == 1
    assert not path.with_name("none.db").exists()


@pytest.mark.parametrize("columns", [40, 100])
def test_on_a_terminal_no_line_is_wider_than_it(denied: tuple[Path, list[str]], columns: int) -> None:
    path, ids = denied
    for words in (("denials", str(path)), ("explain", str(path), ids[0])):
        lines = shown(on_a_terminal(columns, *words))
        assert all(state.columns <= columns for line in lines for state in line)
