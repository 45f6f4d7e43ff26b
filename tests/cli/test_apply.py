"""apply and export-model: what they tell, that a dry run writes nothing, and that they fit each other."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from stiggctl import UsageControl
from stiggctl.cli import main

from .conftest import OURS, Run, RunReally, files, somebody_holding
from .terminal import on_a_terminal, shown


def written(directory: Path, model: object, name: str = "model.json") -> str:
    """A model as a file; its name."""
    (directory / name).write_text(json.dumps(model), encoding="utf-8")
    return name


def changed(limit: int) -> dict[str, Any]:
    """Our model with another limit."""
    return {**OURS, "allocations": [{"resourceId": "ana", "creditCurrency": "ai-tokens", "limit": limit}]}


def audit_of(path: Path) -> list[tuple[str | None, str | None]]:
    with UsageControl(path, create=False) as control:
        return [(entry.actor, entry.reason) for entry in control.audit()]


# ------------------------------------------------------------------ apply


def test_it_makes_the_ledger_and_tells_what_was_applied(run: Run, tmp_path: Path) -> None:
    model = written(tmp_path, OURS)
    told = run("apply", "new.db", model, "--actor", "ann", "--reason", "ticket 4711")
    assert (told.exit_code, told.stderr) == (0, "")
    made = (
        "credit currency ai-tokens, customer ours, resource type user, resource ana of ours, "
        "allocation of ai-tokens on ana of ours"
    )
    assert told.stdout.splitlines() == [
        "ledger       new.db, made now",
        "applied      5 created",
        f"created      {made}",
    ]
    assert set(audit_of(tmp_path / "new.db")) == {("ann", "ticket 4711")}


def test_again_there_is_nothing_to_write(run: Run, ours: Path, tmp_path: Path) -> None:
    before = audit_of(ours)
    told = run("apply", ours, written(tmp_path, OURS))
    assert (told.exit_code, told.stdout.splitlines()[1:]) == (
        0,
        ["applied      3 unchanged; there was nothing to write"],
    )
    assert audit_of(ours) == before


def test_what_the_model_no_longer_names_is_told_and_pruned_only_when_asked(
    run: Run, ours: Path, tmp_path: Path
) -> None:
    fewer = written(tmp_path, {**OURS, "allocations": []})
    named = "allocation of ai-tokens on ana of ours"
    (told,) = [line for line in run("apply", ours, fewer).stdout.splitlines() if line.startswith("not named")]
    assert told == f"not named    {named}"
    pruned = run("apply", ours, fewer, "--prune", "--dry-run").stdout
    assert f"archived     {named}" in pruned
    with UsageControl(ours) as control:
        assert len(control.export_model().allocations) == 1
    assert "1 archived or removed" in run("apply", ours, fewer, "--prune").stdout
    with UsageControl(ours) as control:
        assert control.export_model().allocations == ()


def test_a_dry_run_tells_what_would_change_and_writes_nothing(run: Run, ours: Path, tmp_path: Path) -> None:
    model = written(tmp_path, changed(300))
    before = files(tmp_path)
    told = run("apply", ours, model, "--dry-run")
    assert told.exit_code == 0
    assert told.stdout.splitlines()[1:] == [
        "dry run      1 changed, 2 unchanged; nothing was written",
        "changed      allocation of ai-tokens on ana of ours",
    ]
    assert files(tmp_path) == before
    assert "1 changed" in run("apply", ours, model).stdout  # as it was told
    assert files(tmp_path) != before


def test_a_dry_run_on_a_file_that_is_not_there_makes_none(run: Run, tmp_path: Path) -> None:
    model = written(tmp_path, OURS)
    told = run("apply", "new.db", model, "--dry-run")
    assert told.stdout.splitlines()[:2] == [
        "ledger       new.db, which would be made",
        "dry run      5 created; nothing was written",
    ]
    (tmp_path / "empty.db").touch()
    assert "which would be made" in run("apply", "empty.db", model, "--dry-run").stdout
    assert {name: len(text) for name, text in files(tmp_path).items() if name != model} == {"empty.db": 0}


def test_json_has_every_name_and_whether_it_was_written(run: Run, tmp_path: Path) -> None:
    model = written(tmp_path, OURS)
    would = json.loads(run("apply", "new.db", model, "--dry-run", "--json").stdout)
    assert (would["dryRun"], would["makesLedger"], len(would["created"])) == (True, True, 5)
    done = json.loads(run("apply", "new.db", model, "--json").stdout)
    assert done == {**would, "dryRun": False}
    again = json.loads(run("apply", "new.db", model, "--json").stdout)
    assert (again["makesLedger"], again["created"]) == (False, [])


def test_a_long_list_is_cut_and_says_so(run: Run, tmp_path: Path) -> None:
    model = {"customers": [{"id": f"c-{at:02}"} for at in range(25)]}
    told = run("apply", "new.db", written(tmp_path, model)).stdout
    assert told.splitlines()[-1].endswith("customer c-09 and 15 more (--json lists all)")


def test_every_problem_of_a_model_is_a_line(run: Run, tmp_path: Path) -> None:
    wrong = {
        "resources": [
            {"id": f"user-{at}\n", "resourceTypeId": "nope", "customerId": "c"} for at in range(30)
        ],
        "allocations": [{"resourceId": "user-0\n", "creditCurrency": "t", "limit": -3, "limt": 5}],
    }
    before = files(tmp_path)
    told = run("apply", "new.db", written(tmp_path, wrong))
    assert (told.exit_code, told.stdout) == (1, "")
    first, *problems = told.stderr.splitlines()
    assert first == "stiggctl: the model has 32 problems; nothing was applied"
    assert len(problems) == 32
    assert problems[3] == "  resources[3].resourceTypeId: got 'nope', expected a resource type that exists"
    assert "  allocations[0].limit: got -3, expected zero or more" in problems
    assert any("allocations[0].limt: got 5, " in line and "did you mean limit?" in line for line in problems)
    assert files(tmp_path).keys() - before.keys() == {"model.json"}  # and no empty ledger


def test_json_has_every_problem_too(run: Run, tmp_path: Path) -> None:
    wrong = {"allocations": [{"resourceId": "ana", "creditCurrency": "t", "limit": 0.5}]}
    told = run("apply", "new.db", written(tmp_path, wrong), "--json")
    assert told.exit_code == 1
    problems = json.loads(told.stdout)["problems"]
    assert [problem["path"] for problem in problems] == ["allocations[0].customerId", "allocations[0].limit"]
    assert (problems[1]["value"], len(told.stderr.splitlines())) == ("0.5", 3)


def test_a_model_comes_from_stdin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    def piped(text: str | bytes) -> tuple[int, str, str]:
        told = CliRunner(catch_exceptions=False).invoke(main, ["apply", "new.db", "-"], input=text)
        return told.exit_code, told.stdout, told.stderr

    assert piped("") == (1, "", "stiggctl: model: got '', expected a model as JSON on stdin\n")
    assert piped(b"{\xff}")[2].splitlines()[1] == r"  stdin: got b'\xff', expected text in UTF-8"
    assert "expected an object with customers, " in piped("[1]")[2]
    assert "expected JSON" in piped("model.json")[2]
    assert list(tmp_path.iterdir()) == []
    assert "5 created" in piped(json.dumps(OURS))[1]
    assert "3 unchanged" in piped("\n" + json.dumps(OURS, indent=1))[1]


def test_it_works_beside_other_processes_and_names_one_that_has_not_seen_it(
    run: Run, ours: Path, tmp_path: Path
) -> None:
    model = written(tmp_path, changed(300))
    with somebody_holding(ours) as process:
        assert "1 changed" in run("apply", ours, model, "--dry-run").stdout
        told = run("apply", ours, model)
        assert (told.exit_code, told.stderr) == (0, "")
        assert "waiting" not in told.stdout
        process.send_signal(signal.SIGSTOP)
        os.waitpid(process.pid, os.WUNTRACED)  # until it stands still
        told = run("apply", ours, written(tmp_path, changed(400)))
        assert told.exit_code == 0
        assert f"process {process.pid}" in told.stdout
        process.send_signal(signal.SIGCONT)
        told = run("export-model", ours)
        assert json.loads(told.stdout)["allocations"][0]["limit"] == 400


@pytest.mark.parametrize("columns", [80, 40])
def test_on_a_terminal_it_tells_how_far_it_is_and_fits(tmp_path: Path, columns: int) -> None:
    many = {
        "resourceTypes": [{"id": "user"}],
        "resources": [
            {"id": f"user-渡辺-{at}", "resourceTypeId": "user", "customerId": "c"} for at in range(300)
        ],
    }
    model = written(tmp_path, many)
    lines = shown(on_a_terminal(columns, "apply", str(tmp_path / "new.db"), str(tmp_path / model)))
    states = [state for line in lines for state in line]
    assert all(state.columns <= columns for state in states)
    told = [state.text for state in states]
    assert any("planning: 150 of " in text for text in told)
    assert any(text.startswith("█") and "checking: " in text for text in told)
    assert not any("ing: " in line[-1].text for line in lines)  # and it is gone in the end
    assert "applied      302 created" in told


def test_in_a_pipe_it_tells_the_end_only(run_really: RunReally, tmp_path: Path) -> None:
    done = run_really("apply", "new.db", written(tmp_path, OURS))
    assert (done.returncode, done.stderr) == (0, "")
    assert not set("\r\x1b") & set(done.stdout)
    assert len(done.stdout.splitlines()) == 3


# ------------------------------------------------------------------ export-model


def test_an_exported_model_applied_changes_nothing(run: Run, ours: Path, tmp_path: Path) -> None:
    priced = {
        "creditCurrencies": [{"id": "usd", "decimals": 9}],
        "rates": [{"eventName": "chat", "creditCurrency": "usd", "credits": "0.000000001"}],
        "resources": [{"id": "渡辺", "resourceTypeId": "user", "customerId": "ours", "name": 'a "name"\n'}],
    }
    run("apply", ours, written(tmp_path, priced))
    before = audit_of(ours)
    told = run("export-model", ours)
    assert (told.exit_code, told.stderr) == (0, "")
    (tmp_path / "out.json").write_text(told.stdout, encoding="utf-8")
    assert "there was nothing to write" in run("apply", ours, "out.json", "--prune").stdout
    assert audit_of(ours) == before
    assert run("export-model", ours, "--json").stdout == told.stdout
    run("apply", "copy.db", "out.json")
    assert run("export-model", "copy.db").stdout == told.stdout


def test_reading_the_model_makes_and_changes_nothing(run: Run, ours: Path, tmp_path: Path) -> None:
    before = files(tmp_path)
    assert run("export-model", ours).exit_code == 0
    assert files(tmp_path) == before
