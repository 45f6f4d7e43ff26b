"""The demo: what it tells, what it keeps, and what it leaves alone."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from stiggctl import Difference, UsageControl
from stiggctl.cli.acme import TOKENS
from stiggctl.cli.demo import _limits_in_words

from .conftest import OURS, ROOT, Run
from .terminal import on_a_terminal, shown

QUICK = ("--seconds", "0.1")


def bytes_of(path: Path) -> bytes:
    return path.read_bytes()


def test_without_a_path_it_says_that_nothing_is_kept_and_keeps_nothing(run: Run, tmp_path: Path) -> None:
    told = run("demo", *QUICK)
    assert (told.exit_code, told.stderr) == (0, "")
    assert "ledger       in memory, gone afterwards (with a PATH it is kept there)" in told.stdout
    assert list(tmp_path.iterdir()) == []


def test_it_tells_the_tree_a_denial_how_fast_and_whether_the_numbers_hold(run: Run) -> None:
    told = run("demo", "--seconds", "1", "--seed", "5").stdout
    assert re.search(r"^seed +5 \(with --seed 5 ", told, re.MULTILINE)
    assert re.search(r"^ai-tokens +used +held +left +limit$", told, re.MULTILINE)
    assert re.search(r"^│ │ └ user-渡辺 +[\d,]+ +0 +[\d,]+ +5,000  [█▒░]{24} +\d+%$", told, re.MULTILINE)
    assert re.search(r"^ +├ agent-nightly +[\d,]+ +1,500 ", told, re.MULTILINE)  # what is held shows
    assert re.search(
        r"^a denial +\S+ has \d+ of \d+ ai-tokens left \(\d+ used, \d+ held\); \d+ were asked",
        told,
        re.MULTILINE,
    )
    assert re.search(
        r"^decisions +[\d,]+ in 1\.\d s, [\d,]+ a second: [\d,]+ admitted and booked, ", told, re.MULTILINE
    )
    assert re.search(r"^limits +no HARD limit was passed", told, re.MULTILINE)
    assert re.search(r"^verify +every counter is the sum of its events$", told, re.MULTILINE)


def test_in_a_pipe_it_is_plain_lines(run: Run) -> None:
    told = run("demo", "--seconds", "1.2")
    assert "\x1b" not in told.stdout
    assert "\r" not in told.stdout
    assert re.search(
        r"^  0\.\d s: [\d,]+ calls, [\d,]+ admitted, [\d,]+ denied; org-acme has ", told.stdout, re.MULTILINE
    )


def test_json_is_one_object_with_the_same_facts(run: Run) -> None:
    told = run("demo", "--json", "--seconds", "1", "--seed", "5")
    assert told.exit_code == 0
    story = json.loads(told.stdout)
    assert (story["seed"], story["location"], story["differences"]) == (5, ":memory:", [])
    assert story["decisions"] == story["admitted"] + story["denied"] > 0
    (org,) = (tree for tree in story["trees"] if tree["resourceId"] == "org-acme")
    assert (org["used"], org["held"]) == (story["booked"][TOKENS], 1500)
    assert story["denial"]["hasAccess"] is False

    def passed(node: dict[str, object]) -> bool:
        over = any(
            limit["used"] + limit["held"] > limit["limit"] and limit["enforcementType"] == "HARD"
            for limit in node["limits"]  # type: ignore[attr-defined]  # it is JSON
        )
        return over or any(map(passed, node["children"]))  # type: ignore[call-overload]  # it is JSON

    assert not any(map(passed, story["trees"]))


def test_with_a_path_the_ledger_is_kept_and_holds_nothing_open(run: Run, opened, tmp_path: Path) -> None:
    told = run("demo", "kept.db", *QUICK)
    assert told.exit_code == 0
    assert told.stdout.splitlines()[-1] == "kept         look again with: stiggctl doctor kept.db"
    control: UsageControl = opened(tmp_path / "kept.db", create=False)
    assert control.verify() == []
    top = control.tree("org-acme", TOKENS)
    assert (top.held, top.used > 0) == (0, True)


def test_each_demo_in_one_ledger_has_a_customer_of_its_own(run: Run, opened, tmp_path: Path) -> None:
    for expected in ("cust-acme-inc", "cust-acme-inc-2", "cust-acme-inc-3"):
        told = run("demo", "kept.db", *QUICK, "--json")
        assert json.loads(told.stdout)["customerId"] == expected
    control: UsageControl = opened(tmp_path / "kept.db", create=False)
    customers = [customer.id for customer in control.export_model().customers or ()]
    assert customers == ["cust-acme-inc", "cust-acme-inc-2", "cust-acme-inc-3"]
    assert all(next(control.events(customer), None) for customer in customers)


def test_a_ledger_with_a_model_of_its_own_is_refused_and_not_changed(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "ours.db"
    with UsageControl(path) as control:
        control.apply(OURS)
    before = bytes_of(path)
    told = run("demo", path, *QUICK)
    assert (told.exit_code, told.stdout) == (1, "")
    assert "this ledger has a model of its own" in told.stderr
    assert "give the demo another path" in told.stderr
    assert bytes_of(path) == before


def test_a_demo_that_somebody_went_on_with_is_theirs(run: Run, tmp_path: Path) -> None:
    run("demo", "kept.db", *QUICK)
    with UsageControl(tmp_path / "kept.db") as control:
        control.put_customer("ours")
    assert run("demo", "kept.db", *QUICK).exit_code == 1


def test_another_kind_of_file_is_refused_and_not_changed(run: Run, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not a ledger, and somebody needs it\n" * 100)
    before = bytes_of(tmp_path / "notes.txt")
    told = run("demo", "notes.txt", *QUICK)
    assert (told.exit_code, told.stdout, len(told.stderr.splitlines())) == (1, "", 1)
    assert bytes_of(tmp_path / "notes.txt") == before


def test_an_empty_file_becomes_a_ledger(run: Run, tmp_path: Path) -> None:
    (tmp_path / "empty.db").touch()
    assert run("demo", "empty.db", *QUICK).exit_code == 0


def test_differences_end_with_4(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = [Difference("used of cell 7", 12, 11)]
    monkeypatch.setattr(UsageControl, "verify", lambda _: wrong)
    told = run("demo", *QUICK)
    assert told.exit_code == 4
    assert "1 counter is not what it should be" in told.stdout
    as_json = run("demo", *QUICK, "--json")
    assert (as_json.exit_code, json.loads(as_json.stdout)["differences"]) == (
        4,
        [{"what": "used of cell 7", "stored": 12, "computed": 11}],
    )


def test_a_hard_limit_that_was_passed_would_be_told(opened) -> None:
    control: UsageControl = opened(":memory:")
    control.apply(OURS)
    control.report(customer_id="ours", resource_ids=["ana"], credit_currency=TOKENS, amount=101)
    assert _limits_in_words([control.tree("ana", TOKENS)]) == "passed: ana"
    control.set_allocation(resource_id="ana", credit_currency=TOKENS, limit=100, enforcement_type="SOFT")
    assert _limits_in_words([control.tree("ana", TOKENS)]) == (
        "no HARD limit was passed; ana is SOFT and 1 over"
    )


@pytest.mark.parametrize("columns", [20, 60, 80, 120])
def test_on_a_terminal_it_fits_whatever_its_width_is(columns: int) -> None:
    """TB1, in a real terminal."""
    written = on_a_terminal(columns, "demo", "--seconds", "0.2")
    assert "\x1b[" in written
    for line in shown(written):
        for state in line:
            assert state.columns <= columns, state


def test_on_a_terminal_one_line_tells_how_far_it_is_and_goes_in_the_end() -> None:
    written = on_a_terminal(100, "demo", "--seconds", "0.6")
    assert len(re.findall(r"\r[█▒░]{16}  org-acme  0\.\d s  [\d,]+ calls, ", written)) > 3
    assert not [line for line in shown(written) if " s  " in line[-1].text]


def test_no_colour_where_none_is_wanted() -> None:
    written = on_a_terminal(80, "demo", "--seconds", "0.2", NO_COLOR="1")
    assert not re.search(r"\x1b\[[0-9;]*m", written)
    dumb = on_a_terminal(80, "demo", "--seconds", "0.2", TERM="dumb")
    assert "\x1b" not in dumb


def test_an_interrupt_ends_it_and_the_ledger_is_sound(run: Run, tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "stiggctl.cli", "demo", "kept.db", "--seconds", "60"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    ) as running:
        assert running.stdout is not None
        while "calls, " not in running.stdout.readline():
            pass
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=30)
    assert (running.returncode, said.strip()) == (1, "Aborted!")
    assert run("doctor", "kept.db").exit_code == 0
