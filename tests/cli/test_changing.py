"""override, suspend, resume: what the support desk changes, with who and why."""

import json
import os
import signal
from pathlib import Path

import pytest

from stiggctl import UsageControl

from .conftest import Run, files, somebody_holding

ASK = {"resource_ids": ["ana"], "credit_currency": "ai-tokens"}


def left(ours: Path) -> object:
    with UsageControl(ours, create=False) as control:
        return control.check(**ASK).remaining


def test_an_override_changes_the_limit_until_its_end(run: Run, ours: Path) -> None:
    told = run(
        "override", ours, "ana", "ai-tokens", "--add", "50", "--until", "2999-01-31", "--actor", "maria",
        "--reason", "launch week",
    )  # fmt: skip
    assert (told.exit_code, told.stdout) == (0, "created      override of ai-tokens on ana of ours\n")
    assert left(ours) == 145
    with UsageControl(ours, create=False) as control:
        entry = list(control.audit())[-1]
        assert (entry.verb, entry.actor, entry.reason) == ("override_limit", "maria", "launch week")
        assert "2999-01-31T00:00:00" in f"{entry.after}"
    again = run("override", ours, "ana", "ai-tokens", "--limit", "7", "--until", "2999-01-31", "--json")
    assert json.loads(again.stdout)["changed"] == ["override of ai-tokens on ana of ours"]
    assert left(ours) == 2


def test_a_date_begins_and_ends_where_its_zone_says(run: Run, ours: Path) -> None:
    where = ("--timezone", "Europe/Amsterdam")
    more = ("--since", "2998-07-01", "--until", "2998-07-02")
    run("override", ours, "ana", "ai-tokens", "--limit", "7", *more, *where)
    with UsageControl(ours, create=False) as control:
        after = json.loads(f"{list(control.audit())[-1].after}")
    assert (after["effectiveAt"], after["expiresAt"]) == (
        "2998-06-30T22:00:00Z",
        "2998-07-01T22:00:00Z",
    )


def test_an_override_names_the_limits_that_are_meant(run: Run, ours: Path) -> None:
    with UsageControl(ours) as control:
        scope = {"model": ["large", "small"]}
        control.set_allocation(
            resource_id="ana", credit_currency="ai-tokens", limit=9, cadence="day", scope=scope
        )
    meant = ("--cadence", "day", "--scope", "model=large", "--scope", "model=small")
    end = ("--until", "2999-01-01")
    assert run("override", ours, "ana", "ai-tokens", "--limit", "3", *end, *meant).exit_code == 0
    with UsageControl(ours, create=False) as control:
        assert control.check(**ASK, dimensions={"model": "small"}).remaining == 3


def test_what_is_suspended_is_denied_until_it_is_resumed(run: Run, ours: Path) -> None:
    told = run("suspend", ours, "ana", "--reason", "runaway agent", "--actor", "ann")
    assert (told.exit_code, told.stdout) == (0, "changed      resource ana of ours\n")
    denied = run("check", ours, "--resource", "ana", "--currency", "ai-tokens")
    assert denied.exit_code == 3
    assert "runaway agent" in denied.stdout
    resumed = run("resume", ours, "ana", "--actor", "ann", "--json")
    assert json.loads(resumed.stdout)["changed"] == ["resource ana of ours"]
    assert run("check", ours, "--resource", "ana", "--currency", "ai-tokens").exit_code == 0
    again = run("resume", ours, "ana")
    assert (again.exit_code, again.stdout.split()[0]) == (0, "unchanged")
    with UsageControl(ours, create=False) as control:
        assert [entry.verb for entry in control.audit()][-2:] == ["suspend", "resume"]


def test_a_suspension_that_has_an_end_says_it(run: Run, ours: Path) -> None:
    run("suspend", ours, "ana", "--until", "2999-12-31", "--timezone", "Europe/Amsterdam")
    with UsageControl(ours, create=False) as control:
        assert f"{control.check(**ASK).retry_at:%Y-%m-%d %H:%M}" == "2999-12-30 23:00"


def test_a_process_that_stands_still_is_named(run: Run, ours: Path) -> None:
    with somebody_holding(ours) as process:
        process.send_signal(signal.SIGSTOP)
        os.waitpid(process.pid, os.WUNTRACED)
        told = run("suspend", ours, "ana")
        assert f"{process.pid}" in told.stdout.split("waiting for")[1]


@pytest.mark.parametrize(
    "words",
    [
        ["override", "PATH", "ana", "ai-tokens", "--until", "2999-01-01"],
        ["override", "PATH", "ana", "ai-tokens", "--until", "2999-01-01", "--limit", "1", "--add", "1"],
        ["override", "PATH", "ana", "ai-tokens", "--limit", "1"],
        ["override", "PATH", "ana", "ai-tokens", "--limit", "1", "--until", "2999-01-01", "--scope", "x"],
        ["suspend", "PATH"],
        ["resume", "PATH"],
    ],
)
def test_wrong_usage_changes_nothing(run: Run, ours: Path, words: list[str]) -> None:
    before = files(ours.parent)
    told = run(*[str(ours) if word == "PATH" else word for word in words])
    assert (told.exit_code, told.stdout) == (2, "")
    assert files(ours.parent) == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["override", "PATH", "bo", "ai-tokens", "--limit", "1", "--until", "2999-01-01"], "'bo'"),
        (["override", "PATH", "ana", "usd", "--limit", "1", "--until", "2999-01-01"], "'usd'"),
        (["override", "PATH", "ana", "ai-tokens", "--limit", "1", "--until", "2001-01-01"], "after now"),
        (["override", "PATH", "ana", "ai-tokens", "--limit", "1", "--until", "soon"], "'soon'"),
        (["suspend", "PATH", "bo"], "'bo'"),
        (["resume", "PATH", "ana", "--customer", "theirs"], "'theirs'"),
    ],
)
def test_what_cannot_be_meant_is_one_line_and_changes_nothing(
    run: Run, ours: Path, words: list[str], said: str
) -> None:
    told = run(*[str(ours) if word == "PATH" else word for word in words])
    assert (told.exit_code, told.stdout) == (1, "")
    assert said in told.stderr
    assert left(ours) == 95


@pytest.mark.parametrize("verb", ["override", "suspend", "resume"])
def test_no_ledger_is_made(run: Run, tmp_path: Path, verb: str) -> None:
    more = ("ai-tokens", "--limit", "1", "--until", "2999-01-01") if verb == "override" else ()
    told = run(verb, "none.db", "ana", *more)
    assert (told.exit_code, told.stdout) == (1, "")
    assert "there is no ledger" in told.stderr
    assert list(tmp_path.iterdir()) == []
