"""check: it says what the control says, ends with 0 or 3, and changes nothing."""

import contextlib
import json
import sqlite3
from pathlib import Path

import pytest

from stiggctl import UsageControl

from .conftest import Run, RunReally, files, somebody_holding
from .terminal import on_a_terminal, shown

MODEL = {
    "creditCurrencies": [{"id": "ai-tokens"}, {"id": "usd", "decimals": 9}, {"id": "a=b"}],
    "resourceTypes": [{"id": "team"}, {"id": "user", "parentResourceTypeId": "team"}, {"id": "region"}],
    "resources": [
        {"id": "growth", "resourceTypeId": "team", "customerId": "acme"},
        {"id": "user-01", "resourceTypeId": "user", "parentResourceId": "growth"},
        {"id": "emea", "resourceTypeId": "region", "customerId": "acme"},
    ],
    "allocations": [
        {"resourceId": "growth", "creditCurrency": "ai-tokens", "limit": 5000},
        {"resourceId": "user-01", "creditCurrency": "ai-tokens", "limit": 40},
        {"resourceId": "emea", "creditCurrency": "ai-tokens", "limit": 30, "enforcementType": "SOFT"},
        {"resourceId": "growth", "creditCurrency": "usd", "limit": "0.5"},
        {"resourceId": "growth", "creditCurrency": "a=b", "limit": 9},
    ],
}


@pytest.fixture
def acme(tmp_path: Path) -> Path:
    path = tmp_path / "acme.db"
    with UsageControl(path) as control:
        control.apply(MODEL)
        control.consume(resource_ids=["user-01", "emea"], credit_currency="ai-tokens", amount=10)
    return path


ASK = ("--resource", "user-01", "--resource", "emea", "--currency", "ai-tokens")


def test_a_denial_ends_with_3_and_shows_the_sentence_and_every_limit(run: Run, acme: Path) -> None:
    told = run("check", acme, *ASK, "--amount", "50")
    assert (told.exit_code, told.stderr) == (3, "")
    assert told.stdout.splitlines() == [
        "denied       user-01 has 30 of 40 ai-tokens left (10 used, 0 held); 50 were asked for",
        "reason       BUDGET_EXCEEDED",
        "remedy       ask for at most 30",
        "",
        "ai-tokens             used  held   left  limit",
        "emea (soft, no room)    10     0     20     30  ████████░░░░░░░░░░░░░░░░    33%",
        "growth                  10     0  4,990  5,000  █░░░░░░░░░░░░░░░░░░░░░░░     0%",
        "user-01 (denies)        10     0     30     40  ██████░░░░░░░░░░░░░░░░░░    25%",
        "█ used  ▒ held  ░ left",
    ]


def test_what_is_allowed_ends_with_0(run: Run, acme: Path) -> None:
    told = run("check", acme, *ASK, "--amount", "30")
    assert told.exit_code == 0
    first, *table = told.stdout.splitlines()
    assert first.startswith(
        "allowed      30 ai-tokens may be spent; the tightest limit: user-01 has 30 of 40"
    )
    assert "user-01                 10     0     30     40" in table[4]
    assert run("check", acme, *ASK).stdout.startswith("allowed      1 ai-tokens may be spent")


def test_several_currencies_each_name_their_amount(run: Run, acme: Path) -> None:
    both = ("--amount", "ai-tokens=30", "--amount", "usd=0.5")
    told = run("check", acme, "--resource", "user-01", *both)
    assert told.exit_code == 0
    assert "\n\nusd  " in told.stdout
    denied = run("check", acme, "--resource", "user-01", "--amount", "ai-tokens=30", "--amount", "usd=0.51")
    assert denied.exit_code == 3
    assert denied.stdout.startswith("denied       growth has 0.5 of 0.5 usd left (0 used, 0 held); 0.51 were")
    assert run("check", acme, "--resource", "user-01", "--amount", "a=b=10").exit_code == 3
    assert run("check", acme, "--resource", "user-01", "--amount", "a=b=9").exit_code == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "Give --currency, or --amount as CURRENCY=NUMBER."),
        (("--amount", "5"), "'5' names no currency"),
        (("--currency", "usd", "--amount", "1", "--amount", "2"), "With --currency give one --amount"),
        (("--amount", "usd=1", "--amount", "usd=2"), "'usd' is given twice"),
        (("--currency", "usd", "--dimension", "model"), "--dimension 'model' is not KEY=VALUE"),
    ],
)
def test_what_cannot_be_meant_is_wrong_usage(run: Run, acme: Path, words: tuple[str, ...], said: str) -> None:
    told = run("check", acme, "--resource", "user-01", *words)
    assert (told.exit_code, told.stdout) == (2, "")
    assert said in told.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--resource", "nobody", "--currency", "usd"), "no resource 'nobody'"),
        (("--resource", "user-01", "--currency", "usdd"), "no credit currency 'usdd' (did you mean 'usd'?)"),
        (("--resource", "user-01", "--currency", "ai-tokens", "--amount", "0.5"), "amount: got '0.5'"),
        (("--resource", "user-01", "--currency", "usd", "--customer", "nobody"), "no customer 'nobody'"),
        (("--resource", "user-01", "--currency", "usd", "--dimension", "model=" + "x" * 5000), "dimensions"),
    ],
)
def test_what_is_not_there_is_an_error(run: Run, acme: Path, words: tuple[str, ...], said: str) -> None:
    told = run("check", acme, *words)
    assert (told.exit_code, told.stdout) == (1, "")
    (line,) = told.stderr.splitlines()
    assert said in line


def test_json_is_the_decision(run: Run, acme: Path) -> None:
    told = run("check", acme, *ASK, "--amount", "50", "--dimension", "model=a=b", "--json")
    assert told.exit_code == 3
    decision = json.loads(told.stdout)
    assert (decision["hasAccess"], decision["remaining"], len(decision["limits"])) == (False, 30, 3)
    assert json.loads(run("check", acme, *ASK, "--json").stdout)["hasAccess"] is True


def test_where_nothing_limits_there_is_no_table(run: Run, acme: Path) -> None:
    told = run("check", acme, "--resource", "emea", "--currency", "usd", "--amount", "1000")
    assert told.stdout == "allowed      1000 usd may be spent; nothing limits it\n"


def rows(path: Path) -> set[str]:
    """Each row of the file, as the statement that would make it."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return set(connection.iterdump())


def test_it_changes_nothing(run: Run, acme: Path, tmp_path: Path) -> None:
    before = files(tmp_path)
    assert run("check", acme, *ASK, "--amount", "5").exit_code == 0
    assert files(tmp_path) == before


def test_a_no_changes_nothing_but_what_is_kept_of_denials(run: Run, acme: Path) -> None:
    before = rows(acme)
    assert run("check", acme, *ASK, "--amount", "50").exit_code == 3
    after = rows(acme)
    changed = [line for line in after ^ before if "denials" not in line]
    assert after != before
    assert changed == []


def test_what_another_process_holds_counts(run: Run, ours: Path) -> None:
    ask = ("check", ours, "--resource", "ana", "--currency", "ai-tokens", "--amount")
    assert run(*ask, 56).exit_code == 0
    with somebody_holding(ours):
        told = run(*ask, 56)
        assert told.exit_code == 3
        assert "ana has 55 of 100 ai-tokens left (5 used, 40 held); 56 were asked for" in told.stdout
        assert run(*ask, 55).exit_code == 0


@pytest.mark.parametrize("columns", [80, 40, 20])
def test_it_fits_the_terminal(acme: Path, columns: int) -> None:
    long = "e\N{COMBINING ACUTE ACCENT}milie-渡辺-שלום-" + "x" * 200
    with UsageControl(acme) as control:
        control.put_resource(long, resource_type_id="user", parent_resource_id="growth")
        control.set_allocation(resource_id=long, credit_currency="ai-tokens", limit=10**15)
    words = ("check", str(acme), "--resource", long, "--currency", "ai-tokens", "--amount", "7")
    lines = [line[-1] for line in shown(on_a_terminal(columns, *words))]
    assert all(line.columns <= columns for line in lines)
    assert any(line.text.startswith("e\N{COMBINING ACUTE ACCENT}mil") for line in lines)


def test_colours_are_for_terminals_that_want_them(acme: Path, run_really: RunReally) -> None:
    words = ("check", str(acme), *ASK)
    assert "\x1b[32m" in on_a_terminal(80, *words)
    assert "\x1b" not in on_a_terminal(80, *words, NO_COLOR="1")
    assert "\x1b" not in on_a_terminal(80, *words, TERM="dumb")
    assert "\x1b" not in run_really(*words).stdout
