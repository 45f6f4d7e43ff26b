"""The command as a whole: what its exit codes say, and where it says what."""

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from stiggctl import UsageControl
from stiggctl.cli import main
from stiggctl.cli.answering import one_line, verified
from stiggctl.ledger.records import Difference

from .conftest import OURS, ROOT, Run, RunReally


def test_help_names_every_verb_and_exit_code(run: Run) -> None:
    told = run("--help")
    assert told.exit_code == 0
    verbs = ("demo", "doctor", "apply", "export-model", "check", "tree")
    ends = ("0 done or allowed", "1 an error", "2 wrong usage", "3 denied", "4 verify found differences")
    for said in (*verbs, *ends):
        assert said in " ".join(told.stdout.split())


def test_every_verb_has_help_and_can_answer_in_json(run: Run) -> None:
    for name, verb in main.commands.items():
        assert run(name, "--help").exit_code == 0
        assert any("--json" in option.opts for option in verb.params if isinstance(option, click.Option))


def test_it_says_which_version_it_is(run: Run) -> None:
    told = run("--version")
    assert (told.exit_code, told.stdout.startswith("stiggctl ")) == (0, True)


@pytest.mark.parametrize(
    "words",
    [
        ["no-such-verb"],
        ["doctor"],
        ["demo", "--seconds", "x"],
        ["demo", "--seed", "-1"],
        ["doctor", "a", "b"],
        ["doctor", ":memory:"],
        ["apply", "usage.db"],
        ["apply", ":memory:", "model.json"],
        ["export-model"],
        ["tree"],
        ["check", "usage.db", "--currency", "ai-tokens"],
        ["check", "usage.db", "--resource", "ana"],
    ],
)
def test_wrong_usage_ends_with_2_and_says_so_on_stderr(run: Run, words: list[str]) -> None:
    told = run(*words)
    assert (told.exit_code, told.stdout) == (2, "")
    assert told.stderr.startswith("Usage: ")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["doctor", "none.db"], "none.db: there is no ledger; "),
        (
            ["doctor", "postgresql://me:secret@host/db"],
            "postgresql://…@host/db: PostgreSQL ledgers are not in this version",
        ),
        (["demo", "no/such/place.db"], "is not there; make it first"),
        (["demo", "."], "this is a directory; name a file in it"),
        (["check", "none.db", "--resource", "ana", "--currency", "usd"], "none.db: there is no ledger; "),
        (["tree", "none.db"], "none.db: there is no ledger; "),
        (["export-model", "none.db"], "none.db: there is no ledger; "),
        (["apply", "no/such/place.db", "model.json"], "is not there; make it first"),
        (["apply", "no/such/place.db", "model.json", "--dry-run"], "is not there; make it first"),
        (["apply", "usage.db", "none.json"], "expected a readable file"),
    ],
)
def test_an_error_ends_with_1_and_is_one_line_on_stderr(
    run: Run, words: list[str], said: str, tmp_path: Path
) -> None:
    told = run(*words)
    assert (told.exit_code, told.stdout) == (1, "")
    (line,) = told.stderr.splitlines()
    assert line.startswith("stiggctl: ")
    assert said in line
    assert list(tmp_path.iterdir()) == []


def test_an_error_of_several_lines_is_told_in_one() -> None:
    assert one_line("the model has 2 problems\n  a\n  b") == "the model has 2 problems   a   b"


def test_a_process_of_its_own_does_the_same(run_really: RunReally, tmp_path: Path) -> None:
    done = run_really("demo", "kept.db", "--seconds", "0.2", "--seed", "7")
    assert (done.returncode, done.stderr) == (0, "")
    assert "verify" in done.stdout
    assert run_really("doctor", "kept.db").returncode == 0
    wrong = run_really("doctor", "none.db")
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert len(wrong.stderr.splitlines()) == 1
    assert run_really("doctor").returncode == 2


def test_names_that_the_output_cannot_write_are_no_error(run_really: RunReally) -> None:
    done = run_really("demo", "--seconds", "0.1", PYTHONIOENCODING="latin-1")
    assert (done.returncode, done.stderr) == (0, "")
    assert r"`-user-\u6e21\u8fba " in done.stdout  # and lines are drawn with what there is


def test_who_reads_half_of_it_gets_no_traceback() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "stiggctl.cli", "demo", "--seconds", "0.1"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    ) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.readline()
        running.stdout.close()
        assert "Traceback" not in running.stderr.read()


def test_a_remedy_in_words_says_what_to_do(opened) -> None:
    control: UsageControl = opened(":memory:")
    control.apply(OURS)
    ask = {"resource_ids": ["ana"], "credit_currency": "ai-tokens"}
    held = control.reserve(**ask, amount=90)
    assert str(control.check(**ask, requested_usage=20).remedy) == "ask for at most 10"
    more = control.reserve(**ask, amount=10)
    assert str(control.check(**ask, requested_usage=20).remedy).startswith(
        "ask again: it would fit once what is held is settled, at the latest at 20"
    )
    held.settle(90)
    more.settle(10)
    assert str(control.check(**ask, requested_usage=20).remedy) == (
        "only a limit that is higher by 20 would admit it"
    )


def test_what_verify_found_is_counted() -> None:
    one = Difference("used of cell 1", 2, 1)
    assert verified([]) == "every counter is the sum of its events"
    assert verified([one]) == "1 counter is not what it should be"
    assert verified([one, one]) == "2 counters are not what they should be"
