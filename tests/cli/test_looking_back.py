"""events, audit, verify: what was booked, who changed what, and whether it adds up."""

import json
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from stiggctl import BookedEvent, UsageControl
from stiggctl.cli.answering import Screen
from stiggctl.cli.listing import listed

from .conftest import ROOT, Run, files
from .terminal import on_a_terminal, shown

LONG = "a-user-with-a-very-long-name-that-goes-on-and-on@example.com"


@pytest.fixture
def busy(ours: Path) -> Path:
    """A ledger with names of any kind, several currencies, and a reversal."""
    with UsageControl(ours) as control:
        control.apply(
            {
                "creditCurrencies": [{"id": "usd", "decimals": 9}],
                "resources": [
                    {"id": name, "resourceTypeId": "user", "customerId": "ours"}
                    for name in ("渡辺さん", LONG, "two\nlines")
                ],
            }
        )
        for at, name in enumerate(("渡辺さん", LONG, "two\nlines")):
            receipt = control.report(
                customer_id="ours",
                event_name="chat",
                resource_ids=[name],
                amounts={"ai-tokens": 1200 + at, "usd": "0.000000123"},
                timestamp=f"2026-01-1{at}T12:00:00Z",
            )
        control.reverse(receipt.event_id, reason="empty")
        control.suspend("ana", reason="runaway\nagent", actor="ann", until="2999-01-01T00:00:00Z")
    return ours


def test_events_come_in_ledger_order_each_on_a_line(run: Run, busy: Path) -> None:
    lines = run("events", busy).stdout.splitlines()
    assert lines[0].split() == ["occurred", "at", "(UTC)", "event", "name", "amount", "charged", "to"]
    assert len(lines) == 6
    assert lines[2].endswith("chat  1,200 ai-tokens, 0.000000123 usd    渡辺さん")
    assert lines[4].endswith(r"two\nlines")
    assert "-1,202 ai-tokens, -0.000000123 usd" in lines[5]
    assert re.search(r"  two\\nlines \(reverses [0-9]+\)$", lines[5])


def test_events_are_chosen_by_whom_what_and_when(run: Run, busy: Path) -> None:
    def named(*words: str) -> list[str]:
        told = json.loads(run("events", busy, "--json", *words).stdout)["events"]
        return [one["eventId"] for one in told]

    everything = named()
    assert len(everything) == 5
    assert named("--resource", LONG) == everything[2:3]
    assert named("--event", "chat") == everything[1:]
    assert named("--since", "2026-01-11", "--until", "2026-01-12") == everything[2:3]
    east = ("--timezone", "Pacific/Kiritimati")  # where a day begins 14 hours earlier
    assert named("--since", "2026-01-11", "--until", "2026-01-12", *east) == everything[1:2]
    assert named("--last", "2") == everything[-2:]
    assert named("--customer", "ours") == everything
    assert named("--until", "2001-01-01") == []
    assert run("events", busy, "--until", "2001-01-01").stdout.split() == ["events", "there", "are", "none"]
    assert run("events", busy, "--customer", "nobody").exit_code == 1
    assert run("events", busy, "--last", "0").exit_code == 2


def test_more_events_than_are_laid_out_at_a_time_all_come(run: Run, ours: Path) -> None:
    with UsageControl(ours) as control:
        control.report_many(
            [
                {
                    "customerId": "ours",
                    "resourceIds": ["ana"],
                    "creditCurrency": "ai-tokens",
                    "amount": at,
                    "eventName": "x" * (1 + at // 100),
                }
                for at in range(450)
            ]
        )
    lines = run("events", ours).stdout.splitlines()
    assert len(lines) == 1 + 1 + 450
    assert [int(line.split()[4]) for line in lines[2:]] == list(range(450))


@pytest.mark.parametrize("columns", [10, 20, 40, 80, 120])
def test_events_and_audit_fit_a_terminal(busy: Path, columns: int) -> None:  # LI1
    for verb in ("events", "audit", "verify"):
        lines = [line[-1] for line in shown(on_a_terminal(columns, verb, str(busy)))]
        assert len(lines) > 1
        assert all(line.columns <= columns for line in lines)


def test_a_narrow_terminal_shows_who_was_charged(busy: Path) -> None:
    told = on_a_terminal(40, "events", str(busy))
    assert "渡辺さん" in told
    assert LONG[:20] in told


def test_the_audit_tells_who_changed_what_when_and_why(run: Run, busy: Path) -> None:
    lines = run("audit", busy).stdout.splitlines()
    assert lines[-3].endswith("Z  suspend by ann")
    assert lines[-2:] == ["  resource ana of ours", r"  runaway\nagent"]
    [*_, last] = json.loads(run("audit", busy, "--json", "--customer", "ours").stdout)["audit"]
    assert (last["verb"], last["actor"], last["customerId"]) == ("suspend", "ann", "ours")
    assert "until" in last["after"]
    assert json.loads(run("audit", busy, "--json", "--until", "2001-01-01").stdout) == {"audit": []}
    assert run("audit", busy, "--since", "2999-01-01").stdout.split() == ["audit", "there", "is", "nothing"]


def test_verify_ends_with_0_where_all_adds_up_and_with_4_where_not(run: Run, busy: Path) -> None:
    told = run("verify", busy)
    assert (told.exit_code, told.stdout) == (0, "verify       every counter is the sum of its events\n")
    spoilt = sqlite3.connect(busy)
    spoilt.execute("UPDATE cells SET used = used + 3")
    spoilt.commit()
    spoilt.close()
    told = run("verify", busy)
    assert told.exit_code == 4
    assert told.stderr == ""
    first, second = told.stdout.splitlines()
    assert first == "verify       1 counter is not what it should be"
    assert second.endswith("8 stands there, not 5")
    told = run("verify", busy, "--json")
    assert told.exit_code == 4
    [difference] = json.loads(told.stdout)["differences"]
    assert (difference["stored"], difference["computed"]) == (8, 5)


@pytest.mark.parametrize("verb", ["events", "audit", "verify"])
@pytest.mark.parametrize("form", [[], ["--json"]])
def test_verbs_that_look_back_leave_every_byte_as_it_was(
    run: Run, busy: Path, verb: str, form: list[str], tmp_path: Path
) -> None:
    before = files(tmp_path)
    assert run(verb, busy, *form).exit_code == 0
    assert files(tmp_path) == before
    assert run(verb, "none.db", *form).exit_code == 1
    assert files(tmp_path) == before


@pytest.mark.parametrize(
    "words", [["events"], ["events", "--json"], ["audit", "--json"], ["audit"], ["export"]]
)
def test_who_reads_half_of_it_leaves_no_file_behind(busy: Path, words: list[str]) -> None:
    before = set(files(busy.parent))
    verb, *more = words
    to = ["-"] if verb == "export" else []
    with UsageControl(busy) as control:  # more than a pipe takes
        control.report_many(
            [
                {"customerId": "ours", "resourceIds": ["ana"], "creditCurrency": "ai-tokens", "amount": 1}
                for _ in range(3_000)
            ]
        )
        for at in range(300):
            control.put_customer(f"customer {at}", actor="ann", reason="x" * 200)
    with subprocess.Popen(
        [sys.executable, "-m", "stiggctl.cli", verb, str(busy), *to, *more],
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    ) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.readline()
        running.stdout.close()
        assert running.stderr.read() == ""
    assert {name for name in files(busy.parent) if "holders" not in name} == {
        name for name in before if "holders" not in name
    }


def test_amounts_in_json_are_exact(run: Run, busy: Path) -> None:
    told = json.loads(run("events", busy, "--json").stdout)["events"]
    assert Decimal(told[1]["amounts"]["usd"]) == Decimal("0.000000123")


def test_events_are_shown_as_they_come() -> None:  # LI2
    pulled = 0
    at = datetime(2026, 1, 15, tzinfo=UTC)

    def endless() -> Iterator[BookedEvent]:
        nonlocal pulled
        while True:
            pulled += 1
            yield BookedEvent(
                "1", "ours", "chat", None, {}, {"usd": 1}, 0, ("ana",), at, at, None, None, None,
                late=False, expired=False, estimated=False, unattributed=(), overages={"usd": 0},
            )  # fmt: skip

    lines = listed(endless(), Screen())
    assert [next(lines) for _ in range(300)][-1].endswith("ana")
    assert pulled <= 400
