"""simulate: what another model would have made of what a ledger has; nothing is written."""

import json
from pathlib import Path

import pytest

from stiggctl import UsageControl

from .conftest import OURS, Run
from .terminal import on_a_terminal, shown


@pytest.fixture
def spent(ours: Path) -> Path:
    """Of ana 5, and three times 20."""
    with UsageControl(ours) as control:
        for _ in range(3):
            control.consume(resource_ids=["ana"], credit_currency="ai-tokens", amount=20)
    return ours


def model(room: Path, limit: int) -> Path:
    path = room / f"{limit}.json"
    allocation = {"resourceId": "ana", "creditCurrency": "ai-tokens", "limit": limit}
    path.write_text(json.dumps({**OURS, "allocations": [allocation]}))
    return path


def test_who_would_have_been_denied_is_told(run: Run, spent: Path, tmp_path: Path) -> None:
    before = spent.read_bytes()
    told = run("simulate", spent, model(tmp_path, 50))
    assert (told.exit_code, told.stderr) == (0, "")
    first, second = told.stdout.splitlines()
    assert first == (
        "replayed     4 events: 3 would have been admitted (45 ai-tokens), 1 denied (20 ai-tokens)"
    )
    assert second.startswith("denied       ana would have been denied once (20 ai-tokens), first at 20")
    assert second.endswith(": ana has 5 of 50 ai-tokens left (45 used, 0 held)")
    assert spent.read_bytes() == before


def test_two_models_beside_each_other_and_as_json(run: Run, spent: Path, tmp_path: Path) -> None:
    low, high = model(tmp_path, 30), model(tmp_path, 50)
    told = run("simulate", spent, low, "--beside", high)
    assert told.stdout.splitlines()[-1] == "beside       ana: denied 2 times, by the other 1 (20 ai-tokens)"
    same = run("simulate", spent, low, "--beside", low)
    assert same.stdout.splitlines()[-1] == "beside       the other denies the same"
    as_json = json.loads(run("simulate", spent, low, "--beside", high, "--json").stdout)
    assert (as_json["events"], as_json["denied"], as_json["denials"][0]["times"]) == (4, 2, 2)
    assert as_json["changes"][0]["timesWithOther"] == 1


def test_a_part_of_it_and_what_is_wrong(run: Run, spent: Path, tmp_path: Path) -> None:
    changed = model(tmp_path, 30)
    nothing = run("simulate", spent, changed, "--until", "2020-01-01")
    assert nothing.stdout.startswith("replayed     0 events")
    assert run("simulate", spent, changed, "--customer", "nobody").exit_code == 1
    assert run("simulate", spent, tmp_path / "none.json").exit_code == 1
    assert run("simulate", tmp_path / "none.db", changed).exit_code == 1
    assert not (tmp_path / "none.db").exists()


@pytest.mark.parametrize("columns", [40, 80])
def test_on_a_terminal_no_line_is_wider_than_it(spent: Path, tmp_path: Path, columns: int) -> None:
    lines = shown(on_a_terminal(columns, "simulate", str(spent), str(model(tmp_path, 30))))
    assert all(state.columns <= columns for line in lines for state in line)
    assert any("replaying: " in state.text for line in lines for state in line)
