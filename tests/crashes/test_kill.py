"""kill −9 at random points: what was told is true afterwards, and what was held is withheld to its end.

KP1, HR1: what the dead held is withheld until its own end, by their pages; the rest is free at once.
"""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from stiggctl import AccessDenied, UsageControl
from stiggctl.testing import ManualClock

from .spender import ASK

ROOT = Path(__file__).parents[2]
#: How many processes die on one ledger, one after the other; five ledgers make fifty.
DEATHS = 10
#: Calls of the library until a process kills itself: from opening the ledger to some ms of spending.
CALLS_MIN, CALLS_MAX = 500, 30_000
LIMIT = 400


def model(limit: int) -> dict[str, Any]:
    """A user under a team, and a region beside them."""
    return {
        "resourceTypes": [{"id": "team"}, {"id": "user", "parentResourceTypeId": "team"}, {"id": "region"}],
        "resources": [
            {"id": "team", "resourceTypeId": "team", "customerId": "c"},
            {"id": "user", "resourceTypeId": "user", "parentResourceId": "team"},
            {"id": "region", "resourceTypeId": "region", "customerId": "c"},
        ],
        "allocations": [
            {"resourceId": "team", "creditCurrency": "ai-tokens", "limit": limit},
            {"resourceId": "user", "creditCurrency": "ai-tokens", "limit": 10**9},
            {"resourceId": "region", "creditCurrency": "ai-tokens", "limit": 10**9},
        ],
    }


@contextlib.contextmanager
def spending(path: Path, log: Path, seed: int, calls: int = 0) -> Iterator[subprocess.Popen[bytes]]:
    """A spender at work; killed at the end, whatever happens."""
    run = [sys.executable, "-m", "tests.crashes.spender", str(path), str(log), str(seed), str(calls)]
    spender = subprocess.Popen(run, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)})
    try:
        yield spender
    finally:
        spender.send_signal(signal.SIGKILL)
        spender.wait()


def lines(log: Path) -> list[dict[str, Any]]:
    """What the spender said; a last line that was cut is none."""
    if not log.exists():
        return []
    return [json.loads(line) for line in log.read_text().splitlines(keepends=True) if line.endswith("\n")]


def wait_for(what: Callable[[], object], spender: "subprocess.Popen[bytes]") -> None:
    end = time.monotonic() + 30
    while not what():
        assert spender.poll() is None, "the spender ended by itself"
        assert time.monotonic() < end, "the spender did nothing"
        time.sleep(0.002)


def die_somewhere(path: Path, log: Path, seed: int, chance: random.Random) -> None:
    """Let one spend for a moment, until it is killed: from outside, or at some call by itself."""
    calls = chance.randrange(CALLS_MIN, CALLS_MAX) if seed % 2 else 0
    with spending(path, log, seed, calls) as spender:
        if calls:
            assert spender.wait(60) == -signal.SIGKILL
        else:
            wait_for(lambda: log.exists() and log.stat().st_size, spender)
            time.sleep(chance.uniform(0, 0.12))


class Told:
    """All that the spenders said so far, and what must and may follow from it."""

    def __init__(self) -> None:
        self.begun: dict[tuple[str, str], dict[str, Any]] = {}
        self.done: dict[tuple[str, str], dict[str, Any]] = {}

    def hear(self, said: list[dict[str, Any]]) -> None:
        for line in said:
            (self.begun if line["what"] == "begin" else self.done)[line["verb"], line["name"]] = line

    def held(self, now: datetime) -> tuple[int, int]:
        """What is certainly held then, and what at most: it was on its way in or out at a death."""
        certain = most = 0
        for (verb, name), line in self.begun.items():
            if verb not in ("reserve", "extend"):
                continue
            of = line.get("of", name)
            if ("settle", of) in self.done or ("release", of) in self.done or ("denied", name) in self.done:
                continue
            answer = self.done.get(("reserve", of))
            if answer is not None and datetime.fromisoformat(answer["ends"]) <= now:
                continue
            most += line["amount"]
            leaving = ("settle", of) in self.begun or ("release", of) in self.begun
            if (verb, name) in self.done and not leaving:
                certain += line["amount"]
        return certain, most

    def admitted(self) -> int:
        """What was booked of what was admitted, for certain: no reports, nor what a settle was above."""
        total = 0
        for (verb, name), line in self.begun.items():
            if verb == "consume" and ("consume", name) in self.done:
                total += line["amount"]
            elif verb == "settle" and ("settle", name) in self.done:
                total += min(line["amount"], self.begun["reserve", name]["amount"])
        return total

    def ends(self) -> list[datetime]:
        return sorted({datetime.fromisoformat(line["ends"]) for line in self.done.values() if "ends" in line})


@pytest.mark.parametrize("seed", range(5))
def test_what_was_told_is_true_after_kill_9(tmp_path: Path, seed: int) -> None:
    """KP1: fifty deaths, each of its own seed."""
    print(f"seed {seed}")  # noqa: T201 - so that a failure replays
    chance, told = random.Random(seed), Told()
    path = tmp_path / "usage.db"
    with UsageControl(path) as control:
        control.apply(model(LIMIT))
    for death in range(DEATHS):
        log = tmp_path / f"{death}.log"
        die_somewhere(path, log, seed * 1000 + death, chance)
        told.hear(lines(log))
        judge(path, told, buries=death % 3 > 0)
    assert {"report", "consume", "reserve"} <= {verb for verb, _ in told.done}
    withheld_to_the_end(path, told)
    spend_the_rest(path)


def judge(path: Path, told: Told, *, buries: bool) -> None:
    """Hold the ledger against all that was told so far."""
    now = datetime.now(UTC)
    with UsageControl(path, clock=ManualClock(now)) as control:
        assert control.verify() == []
        each_is_there_once(control, told)
        team = team_of(control)  # by who holds nothing: from the page of who died
        assert team.used == sum(event.amounts["ai-tokens"] for event in control.events("c"))
        certain, most = told.held(now)
        assert certain <= team.held <= most
        limits = {LIMIT, *(line["limit"] for (verb, _), line in told.begun.items() if verb == "apply")}
        applied = [told.begun[key]["limit"] for key in told.done if key[0] == "apply"]
        assert team.limit in limits
        assert team.limit >= max(applied, default=LIMIT) or len(applied) > 1  # threads apply at once
        assert told.admitted() + certain <= max(limits)
        if buries:
            everything_else_is_free(control)
            assert team_of(control) == team
            assert control.verify() == []


def team_of(control: UsageControl) -> Any:
    decision = control.check(**ASK, requested_usage=0)
    return next(state for state in decision.limits if state.resource_id == "team")


def each_is_there_once(control: UsageControl, told: Told) -> None:
    events = list(control.events("c"))
    keys = [event.idempotency_key for event in events if event.idempotency_key is not None]
    assert len(keys) == len(set(keys)), "a key was booked twice"
    amounts = {event.event_id: event.amounts["ai-tokens"] for event in events}
    for (verb, name), line in told.done.items():
        if "event" in line:
            booked = amounts.get(line["event"])
            assert booked == told.begun[verb, name]["amount"], f"{verb} {name} returned, and is not there"
    sent = {name for verb, name in told.begun if verb in ("report", "consume")}
    assert set(keys) <= sent, "an event that nobody sent"
    settles = [one for one in told.begun if one[0] == "settle"]
    assert len(events) - len(keys) <= len(settles)


def everything_else_is_free(control: UsageControl) -> None:
    """At once, to the unit."""
    team = team_of(control)
    left = max(0, int(team.limit - team.used - team.held))
    with pytest.raises(AccessDenied):
        control.reserve(**ASK, amount=left + 1)
    if left:
        control.reserve(**ASK, amount=left).release()


def withheld_to_the_end(path: Path, told: Told) -> None:
    """And no longer: at each end, and right before it, by a clock that is moved."""
    clock = ManualClock(datetime.now(UTC))
    with UsageControl(path, clock=clock) as control:
        everything_else_is_free(control)  # it is the holder from here on
        for end in told.ends():
            for moment in (end - timedelta(microseconds=1), end):
                if moment > clock.now():
                    clock.set(moment)
                    certain, most = told.held(moment)
                    assert certain <= team_of(control).held <= most
        # What was never told ends at the latest a ttl after the death of who reserved it.
        clock.advance(seconds=61)
        assert team_of(control).held == 0


def spend_the_rest(path: Path) -> None:
    """After the last hold's end everything is free again, to the unit."""
    with UsageControl(path, clock=ManualClock(datetime.now(UTC) + timedelta(seconds=130))) as control:
        everything_else_is_free(control)
        team = team_of(control)
        if team.used < team.limit:
            assert control.consume(**ASK, amount=team.limit - team.used).charged == team.limit - team.used
        assert control.verify() == []


def test_who_dies_while_it_enlists_is_in_nobodys_way(tmp_path: Path) -> None:
    """At each of the first calls: before it has a row, and right after."""
    path = tmp_path / "usage.db"
    with UsageControl(path) as control:
        control.apply(model(10**6))
    chance = random.Random(7)
    for death in range(6):
        with spending(path, tmp_path / "log", death, chance.randrange(100, 900)) as spender:
            assert spender.wait(60) == -signal.SIGKILL
    with UsageControl(path) as control:
        everything_else_is_free(control)
        assert control.verify() == []
