"""denials, explain: who was denied, why, and what was not the same when another went through."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from stiggctl import AccessDenied, UsageControl
from stiggctl.testing import ManualClock

from .conftest import Run, RunReally, files
from .terminal import on_a_terminal, shown

NOON = datetime(2026, 1, 15, 12, tzinfo=UTC)
LONG = "a-user-with-a-very-long-name-that-goes-on-and-on@example.com"


class Desk:
    """A ledger in which things were denied, and the ids that people quote."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.denied: list[str] = []
        clock = ManualClock(NOON)
        with UsageControl(path, clock=clock) as control:
            control.apply(
                {
                    "resourceTypes": [{"id": "team"}, {"id": "user", "parentResourceTypeId": "team"}],
                    "resources": [
                        {"id": "growth", "resourceTypeId": "team", "customerId": "acme"},
                        *(
                            {"id": name, "resourceTypeId": "user", "parentResourceId": "growth"}
                            for name in ("bob", LONG, "two\nlines")
                        ),
                    ],
                    "allocations": [
                        {
                            "resourceId": "growth",
                            "creditCurrency": "ai-tokens",
                            "limit": 1000,
                            "cadence": "day",
                        }
                    ],
                }
            )
            went = control.consume(
                resource_ids=["bob"], credit_currency="ai-tokens", amount=300, event_name="chat"
            )
            self.went = went.event_id
            clock.advance(seconds=60)
            for who in (LONG, "two\nlines"):
                control.consume(resource_ids=[who], credit_currency="ai-tokens", amount=320)
            control.set_allocation(
                resource_id="growth", credit_currency="ai-tokens", cadence="day", limit=980, actor="kim"
            )
            for seconds in (0, 1, 1):
                clock.advance(seconds=seconds)
                self.deny(control, resource_ids=["bob"], amount=300)
            control.suspend("two\nlines", reason="runaway\nagent")
            clock.advance(seconds=90)
            self.deny(control, resource_ids=["two\nlines"], amount=1)

    def deny(self, control: UsageControl, **ask: Any) -> None:
        """One more."""
        with pytest.raises(AccessDenied) as denied:
            control.reserve(**ask, credit_currency="ai-tokens", event_name="chat")
        self.denied.append(denied.value.decision.decision_id)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path / "usage.db")


def test_denials_come_the_newest_first_each_with_its_sentence(run: Run, desk: Desk) -> None:
    assert run("denials", desk.path).stdout.splitlines() == [
        rf"2026-01-15 12:02:32Z  SUSPENDED  reserve for two\nlines of acme  {desk.denied[3]}",
        r"  resource two\nlines is suspended: runaway\nagent; 1 ai-tokens were asked for",
        (
            "2026-01-15 12:01:00Z  BUDGET_EXCEEDED  reserve for bob of acme  3 times, until 12:01:02Z  "
            f"{desk.denied[0]}"
        ),
        (
            "  growth has 40 of 980 ai-tokens left until 2026-01-16T00:00:00Z (940 used, 0 held); 300 were "
            "asked for; it would fit at 2026-01-16T00:00:00Z"
        ),
    ]


def test_denials_are_chosen_by_whom_why_and_when(run: Run, desk: Desk) -> None:
    def named(*words: str) -> list[str]:
        told = json.loads(run("denials", desk.path, "--json", *words).stdout)
        assert told["dropped"] == 0
        return [one["decisionId"] for one in told["denials"]]

    first, last = desk.denied[0], desk.denied[3]
    assert named() == [last, first]
    assert named("--last", "1") == [last]
    assert named("--customer", "acme", "--resource", "bob") == [first]
    assert named("--reason", "suspended") == [last]
    assert named("--since", "2026-01-15T12:02:00Z") == [last]
    assert named("--until", "2026-01-15") == []
    nothing = run("denials", desk.path, "--until", "2026-01-15").stdout
    assert nothing.split() == ["denials", "there", "are", "none"]
    assert run("denials", desk.path, "--customer", "nobody").exit_code == 1
    assert run("denials", desk.path, "--reason", "TIRED").exit_code == 2


def test_on_a_screen_there_are_no_more_than_can_be_read(run: Run, desk: Desk) -> None:
    with UsageControl(desk.path) as control:
        for amount in range(2_000, 2_030):
            control.check(resource_ids=["bob"], credit_currency="ai-tokens", requested_usage=amount)
    lines = run("denials", desk.path).stdout.splitlines()
    assert (len(lines), lines[-1]) == (41, "not shown    those before; --last NUMBER shows more")
    assert len(run("denials", desk.path, "--last", "25").stdout.splitlines()) == 50
    assert len(json.loads(run("denials", desk.path, "--json").stdout)["denials"]) == 32


def test_what_is_not_kept_is_told(run: Run, desk: Desk) -> None:
    with UsageControl(desk.path) as control:
        control._holder.ledger.keep_denials([], 1_234, 100)
    assert run("denials", desk.path).stdout.splitlines()[-1].startswith("not kept     1,234 of all")
    assert json.loads(run("denials", desk.path, "--json").stdout)["dropped"] == 1_234


def test_a_denial_is_explained_with_all_that_filled_its_limit(run: Run, desk: Desk) -> None:
    """Any of those that were told once has its id, and its instant."""
    lines = run("explain", desk.path, desk.denied[2]).stdout.splitlines()
    assert lines[1:7] == [
        "reason       BUDGET_EXCEEDED",
        "asked        reserve for bob, at 2026-01-15 12:01:02Z",
        "customer     acme",
        "event        chat",
        "the same     3 times from 2026-01-15 12:01:00Z on",
        "would pass   with at most 40",
    ]
    assert "would pass   with 260 more on growth" in lines
    at = lines.index(f"{'spent of growth':<{len(LONG)}}  amount  events")
    assert [line.split()[-2:] for line in lines[at + 1 : at + 4]] == [
        ["320", "1"],
        ["320", "1"],
        ["300", "1"],
    ]
    assert any(line.startswith("growth (denies)") for line in lines)
    assert lines[-1].split()[-3:] == ["ai-tokens", "growth,", "bob"]


def test_what_differs_from_one_that_went_through_is_told(run: Run, desk: Desk) -> None:
    told = run("explain", desk.path, desk.denied[0], desk.went).stdout.splitlines()
    assert [line[13:] for line in told if line.startswith("differs")] == [
        "at: 2026-01-15T12:01:00Z and 2026-01-15T12:00:00Z",
        "limit of growth in ai-tokens (P1D), used: 940 and 0",
        (
            "changed between: allocation of ai-tokens on growth (P1D), set_allocation at "
            "2026-01-15T12:01:00Z by kim"
        ),
    ]
    same = run("explain", desk.path, desk.denied[0], desk.denied[0]).stdout
    assert "differs      nothing that was kept" in same


def test_an_event_is_explained_with_its_cost_and_its_limits(run: Run, desk: Desk) -> None:
    lines = run("explain", desk.path, desk.went).stdout.splitlines()
    assert lines[0] == f"event        {desk.went} chat"
    assert "cost         300 ai-tokens: told by its caller" in lines
    assert any(line.startswith("growth") and " 940 " in line for line in lines)


def test_an_explanation_is_json_too(run: Run, desk: Desk) -> None:
    told = json.loads(run("explain", desk.path, desk.denied[0], desk.went, "--json").stdout)
    assert told["decision"]["decisionId"] == desk.denied[0]
    assert len(told["difference"]) == 3
    assert json.loads(run("explain", desk.path, desk.went, "--json").stdout)["charged"][0]["amount"] == 300


def test_what_is_not_kept_is_an_error_that_says_so(run: Run, desk: Desk) -> None:
    for words in (["nobody-1"], ["4711"], [desk.went, desk.denied[0]]):
        told = run("explain", desk.path, *words)
        assert (told.exit_code, told.stdout) == (1, "")
        assert told.stderr.startswith("stiggctl: ")


@pytest.mark.parametrize("columns", [10, 20, 40, 80, 120])
def test_both_fit_a_terminal(desk: Desk, columns: int) -> None:  # LI1
    for words in (["denials", str(desk.path)], ["explain", str(desk.path), desk.denied[1], desk.went]):
        lines = [line[-1] for line in shown(on_a_terminal(columns, *words))]
        assert len(lines) > 4
        assert all(line.columns <= columns for line in lines)


def test_to_read_them_changes_no_file(run_really: RunReally, desk: Desk) -> None:
    before = files(desk.path.parent)
    for words in (["denials", desk.path], ["explain", desk.path, desk.denied[0]]):
        assert run_really(*words).returncode == 0
    assert files(desk.path.parent) == before


def test_a_denied_check_at_the_desk_is_kept_as_any(run: Run, desk: Desk) -> None:
    asked = ("--resource", "bob", "--currency", "ai-tokens", "--amount", "5000")
    assert run("check", desk.path, *asked).exit_code == 3
    newest = json.loads(run("denials", desk.path, "--json").stdout)["denials"][0]
    assert (newest["verb"], newest["decision"]["requested"]) == ("check", {"ai-tokens": 5000})
