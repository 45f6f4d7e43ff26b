"""forecast: which limits run out first; from any process, and without making a file."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from stiggctl import UsageControl

from .conftest import Run
from .terminal import on_a_terminal, shown


@pytest.fixture
def spent(tmp_path: Path) -> Path:
    """Of ana 4 an hour for a day, of 200; of bea all that there is; of cho nothing."""
    path, now = tmp_path / "spent.db", datetime.now(UTC)
    with UsageControl(path) as control:
        control.apply(
            {
                "resourceTypes": [{"id": "user"}],
                "resources": [
                    {"id": name, "resourceTypeId": "user", "customerId": "ours"}
                    for name in ("ana", "bea", "cho")
                ],
                "allocations": [
                    {"resourceId": "ana", "creditCurrency": "ai-tokens", "limit": 200},
                    {"resourceId": "bea", "creditCurrency": "ai-tokens", "limit": 4},
                    {"resourceId": "cho", "creditCurrency": "ai-tokens", "limit": 4},
                ],
            }
        )
        for hour in range(24):
            control.report(
                customer_id="ours",
                event_name="chat",
                resource_ids=["ana"] if hour else ["ana", "bea"],
                credit_currency="ai-tokens",
                amount=4,
                timestamp=now - timedelta(hours=hour + 0.5),
            )
    return path


def test_what_runs_out_first_is_told_first(run: Run, spent: Path) -> None:
    told = run("forecast", spent)
    assert (told.exit_code, told.stderr) == (0, "")
    first, second = told.stdout.splitlines()
    assert first.startswith("now          bea has 0 of 4 ai-tokens left")
    assert second[:10] in {f"{datetime.now(UTC) + timedelta(hours=hours):%Y-%m-%d}" for hours in (23, 26, 29)}
    assert second[13:].startswith("ana has 104 of 200 ai-tokens left (96 used, 0 held); at ")
    fewer = run("forecast", spent, "--limits", "1")
    assert fewer.stdout.splitlines() == [first, "not shown    1 more, which last longer"]


def test_of_a_path_and_as_json(run: Run, spent: Path) -> None:
    [ana] = json.loads(run("forecast", spent, "ana", "--json").stdout)["forecasts"]
    assert (ana["limit"]["resourceId"], ana["limit"]["remaining"], ana["chance"]) == ("ana", 104, None)
    [cho] = run("forecast", spent, "cho", "--currency", "ai-tokens").stdout.splitlines()
    assert cho.startswith("-            cho has 4 of 4 ai-tokens left")
    assert run("forecast", spent, "--customer", "nobody").exit_code == 1
    assert run("forecast", spent, "--limits", "0").exit_code == 2


def test_a_ledger_of_which_nothing_is_used_and_one_that_is_not_there(run: Run, tmp_path: Path) -> None:
    with UsageControl(tmp_path / "new.db"):
        pass
    assert run("forecast", tmp_path / "new.db").stdout == "forecast     nothing is used of any limit\n"
    told = run("forecast", tmp_path / "none.db")
    assert told.exit_code == 1
    assert not (tmp_path / "none.db").exists()


@pytest.mark.parametrize("columns", [30, 80])
def test_on_a_terminal_no_line_is_wider_than_it(spent: Path, columns: int) -> None:
    lines = shown(on_a_terminal(columns, "forecast", str(spent)))
    assert all(state.columns <= columns for line in lines for state in line)
    assert "runs out" in " ".join(line[-1].text for line in lines)
