"""kill −9 beside grants and rolling limits: told is there, held is withheld of the same grants.

Run as a module it is that process: PATH LOG SEED CALLS. It does, step by step, what a seed says, by a clock
that is moved by the same seed; the test does the same steps by itself, and so knows every number after each.
With CALLS above 0 the process kills itself at that call of a function of the library.

KP1, HR1: what the dead held is withheld until its own end, of the grants that it was held of, to the unit.
"""

import json
import os
import random
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from stiggctl import AccessDenied, UsageControl
from stiggctl.testing import ManualClock

from .spender import die_at_call

ROOT = Path(__file__).parents[2]
TOKENS = "ai-tokens"
ASK: dict[str, Any] = {"resource_ids": ["user"], "credit_currency": TOKENS}
#: In the middle of a bucket, an hour before a recurring grant turns.
START = datetime(2026, 1, 15, 11, 0, 30, tzinfo=UTC)
STEPS = 60
#: Calls of the library until a process kills itself: from its first step to its last.
CALLS_MIN, CALLS_MAX = 3_000, 40_000
MODEL: dict[str, Any] = {
    "resourceTypes": [{"id": "team"}, {"id": "user", "parentResourceTypeId": "team"}],
    "resources": [
        {"id": "team", "resourceTypeId": "team", "customerId": "c"},
        {"id": "user", "resourceTypeId": "user", "parentResourceId": "team"},
    ],
    "allocations": [
        {"resourceId": "user", "creditCurrency": TOKENS, "limit": 260, "cadence": "PT1H", "rolling": True},
        {"resourceId": "team", "creditCurrency": TOKENS, "limit": 500, "cadence": "P1D", "rolling": True},
    ],
    "grants": [
        {"id": "gift", "customerId": "c", "creditCurrency": TOKENS, "amount": 40, "kind": "PROMOTIONAL",
         "priority": 1, "expiresAt": (START + timedelta(minutes=20)).isoformat()},
        {"id": "noon", "creditCurrency": TOKENS, "amount": 60, "priority": 2, "cadence": "PT12H"},
        {"id": "plan", "creditCurrency": TOKENS, "amount": 300, "priority": 3},
        {"id": "last", "creditCurrency": TOKENS, "amount": 90, "priority": 4},
    ],
}  # fmt: skip


class Numbers(NamedTuple):
    """All that can be read of it: of each grant and of each limit (used, held)."""

    grants: tuple[tuple[str, int, int], ...]
    limits: tuple[tuple[str, int, int], ...]


class Told(NamedTuple):
    """What a step told, and whether it was one that books or lets go of something held."""

    verb: str
    facts: dict[str, Any]
    before: Numbers  #: right before it, at its instant
    numbers: Numbers
    at: datetime


def numbers(control: UsageControl) -> Numbers:
    limits = control.check(**ASK, requested_usage=0).limits
    return Numbers(
        tuple(sorted((one.grant_id, int(one.used), int(one.held)) for one in control.grants("c"))),
        tuple((one.resource_id, int(one.used), int(one.held)) for one in limits if not one.is_pool),
    )


class Spending:
    """Does the steps of a seed; who has the same seed does the same."""

    def __init__(self, control: UsageControl, clock: ManualClock, seed: int) -> None:
        self.control, self.clock = control, clock
        self.chance = random.Random(seed)
        self.open: list[Any] = []

    def walk(self, number: int) -> Told:
        """Some time goes by, then a step; and what was to be read right before and after it."""
        self.clock.advance(seconds=self.chance.choice([0, 0, 1, 60, 90]))
        before = numbers(self.control)
        verb, facts = self.step(number)
        return Told(verb, facts, before, numbers(self.control), self.clock.now())

    def step(self, number: int) -> tuple[str, dict[str, Any]]:
        """What it did, and what it was told."""
        chance, key = self.chance, f"k{number}"
        choice, amount, place = chance.random(), chance.randint(1, 25), chance.randrange(1_000)
        ttl = chance.choice([300, 1_200, 3_000, 7_200])
        self.open = [one for one in self.open if self.clock.now() < one.expires_at]
        try:
            if choice < 0.45:
                held = self.control.reserve(**ASK, amount=amount, ttl_seconds=ttl, idempotency_key=key)
                self.open.append(held)
                return "reserve", {"ends": held.expires_at.isoformat(), "amount": amount}
            if choice < 0.60 and self.open:
                held = self.open.pop(place % len(self.open))
                receipt = held.settle(amount)
                return "settle", {"event": receipt.event_id, "paid": dict(receipt.paid_by)}
            if choice < 0.68 and self.open:
                self.open.pop(place % len(self.open)).release()
                return "release", {}
            if choice < 0.74 and self.open:
                self.open[place % len(self.open)].extend(amount)
                return "extend", {}
            verb = "consume" if choice < 0.92 else "report"
            receipt = getattr(self.control, verb)(**ASK, amount=amount, idempotency_key=key)
            return verb, {"event": receipt.event_id, "paid": dict(receipt.paid_by)}
        except AccessDenied:
            return "denied", {}


def foretold(path: Path, seed: int) -> list[Told]:
    """Every step, done here on another ledger."""
    clock = ManualClock(START)
    with UsageControl(path, clock=clock) as control:
        control.apply(MODEL)
        spending = Spending(control, clock, seed)
        told = [spending.walk(number) for number in range(STEPS)]
        assert control.verify() == []
    return told


def killed(path: Path, log: Path, seed: int, calls: int) -> list[dict[str, Any]]:
    """What a process said until it was killed: by itself at a call, or by us when it had done all."""
    run = [sys.executable, "-m", "tests.crashes.test_credits", str(path), str(log), str(seed), str(calls)]
    child = subprocess.Popen(
        run, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE
    )
    try:
        assert child.stdout is not None
        child.stdout.readline()  # it has done all, or is dead
    finally:
        child.send_signal(signal.SIGKILL)
        assert child.wait() == -signal.SIGKILL
        child.stdout.close()
    return [json.loads(line) for line in log.read_text().splitlines(keepends=True) if line.endswith("\n")]


AMOUNTS = {"gift": 40, "noon": 60, "plan": 300, "last": 90, "user": 260, "team": 500}


def may_stand(found: Numbers, under_way: Told) -> bool:
    """Whether it may stand so in the ledger: as before the step in which it died, or as after it.

    What is settled is booked first, then its hold falls from the page, record by record: until then
    both are there, but never more than the dead had of a limit or a grant.
    """
    if found in (under_way.before, under_way.numbers):
        return True
    if under_way.verb != "settle":
        return False
    for now, after, before in zip(found, under_way.numbers, under_way.before, strict=True):
        for (name, used, held), (_, booked, left), (_, _, was) in zip(now, after, before, strict=True):
            if used != booked or held not in (left, min(was, AMOUNTS[name] - booked)):
                return False
    return True


@pytest.mark.parametrize("seed", range(8))
def test_what_was_told_and_held_is_there_after_kill_9(tmp_path: Path, seed: int) -> None:
    print(f"seed {seed}")  # noqa: T201 - so that a failure replays
    told = foretold(tmp_path / "foretold.db", seed)
    path, log = tmp_path / "usage.db", tmp_path / "log"
    with UsageControl(path, clock=ManualClock(START)) as control:
        control.apply(MODEL)
    calls = random.Random(seed).randrange(CALLS_MIN, CALLS_MAX) if seed % 4 else 0
    said = killed(path, log, seed, calls)
    assert [(one["verb"], one["facts"]) for one in said] == [
        (one.verb, one.facts) for one in told[: len(said)]
    ]
    print(f"{len(said)} of {STEPS} steps")  # noqa: T201 - as above
    under_way = told[min(len(said), STEPS - 1)]
    clock = ManualClock(under_way.at)
    with UsageControl(path, clock=clock) as control:
        assert control.verify() == []
        each_is_there_once(control, said)
        found = numbers(control)
        assert may_stand(found, under_way) if len(said) < STEPS else found == under_way.numbers
        take_what_is_free(control, found)
        if not calls:
            withheld_to_the_end(control, clock, said, found)
        spend_the_rest(control, clock)


def each_is_there_once(control: UsageControl, said: list[dict[str, Any]]) -> None:
    """And was paid by whom it was told; a duplicate says the same."""
    events = {one.event_id: one for one in control.events("c")}
    for number, one in enumerate(said):
        if "event" in one["facts"]:
            assert one["facts"]["event"] in events
            if one["verb"] != "settle":
                verb = getattr(control, one["verb"])
                amount = events[one["facts"]["event"]].amounts[TOKENS]
                again = verb(**ASK, amount=amount, idempotency_key=f"k{number}")
                assert (again.duplicate, again.event_id) == (True, one["facts"]["event"])
                assert dict(again.paid_by) == one["facts"]["paid"]
    keys = [one.idempotency_key for one in events.values()]
    assert len(keys) == len(set(keys))
    booked = sum(one["verb"] in ("settle", "consume", "report") for one in said)
    assert booked <= len(events) <= booked + 1


def take_what_is_free(control: UsageControl, found: Numbers) -> None:
    """At once, to the unit; what the dead held is of the same grants as before, now that they are buried."""
    decision = control.check(**ASK, requested_usage=0)
    room = int(decision.remaining or 0)
    with pytest.raises(AccessDenied):
        control.reserve(**ASK, amount=room + 1)
    if room:
        held = control.reserve(**ASK, amount=room)
        for (name, _, before), (again, _, after) in zip(found.grants, numbers(control).grants, strict=True):
            assert name == again
            assert after >= before
        held.release()
    assert numbers(control) == found
    assert control.verify() == []


def withheld_to_the_end(
    control: UsageControl, clock: ManualClock, said: list[dict[str, Any]], found: Numbers
) -> None:
    """Each until its own end, and no longer: right before it, and at it."""
    ends = sorted({datetime.fromisoformat(one["facts"]["ends"]) for one in said if "ends" in one["facts"]})
    for end in ends:
        if end > clock.now():
            clock.set(end - timedelta(microseconds=1))
            before = sum(held for _, _, held in numbers(control).limits)
            clock.set(end)
            assert sum(held for _, _, held in numbers(control).limits) <= before
    assert [held for _, _, held in numbers(control).limits] == [0, 0]
    assert control.verify() == []


def spend_the_rest(control: UsageControl, clock: ManualClock) -> None:
    """When the last hold has ended nothing is held, and everything that is open is spent."""
    clock.advance(seconds=7_201)
    assert {held for _, _, held in numbers(control).grants} == {0}
    while room := control.check(**ASK, requested_usage=0).remaining:
        assert control.consume(**ASK, amount=room).charged == room
    assert control.verify() == []


@pytest.mark.parametrize("seed", [20, 38, 42])
def test_each_hold_of_the_dead_ends_by_itself_of_its_own_grants(tmp_path: Path, seed: int) -> None:
    """The same clock beside a process that lives on: at each end, the same numbers of every grant."""
    path, beside, log = tmp_path / "usage.db", tmp_path / "beside.db", tmp_path / "log"
    clock = ManualClock(START)
    with UsageControl(path, clock=clock) as control:
        control.apply(MODEL)
    said = killed(path, log, seed, 0)
    with UsageControl(beside, clock=clock) as living:
        living.apply(MODEL)
        spending = Spending(living, clock, seed)
        for number in range(STEPS):
            spending.walk(number)
        with UsageControl(path, clock=clock) as control:
            held = [one for one in numbers(living).grants if one[2]]
            assert len(held) > 1, "it holds too little to show something"
            assert numbers(control) == numbers(living)
            ends = {datetime.fromisoformat(one["facts"]["ends"]) for one in said if "ends" in one["facts"]}
            for end in sorted(ends):
                for instant in (end - timedelta(microseconds=1), end):
                    if instant > clock.now():
                        clock.set(instant)
                        same_but_for_rolling(control, living)
            assert control.consume(**ASK, amount=1).paid_by == living.consume(**ASK, amount=1).paid_by
            assert numbers(control) == numbers(living)
            assert control.verify() == []


def same_but_for_rolling(dead: UsageControl, living: UsageControl) -> None:
    """What the dead held may leave a rolling limit with its bucket, as of the living, or stay to its end."""
    found, wanted = numbers(dead), numbers(living)
    assert found.grants == wanted.grants
    held = sum(int(one.amounts[TOKENS]) for one in living.reservations())
    assert [one[:2] for one in found.limits] == [one[:2] for one in wanted.limits]
    for (_, _, of_dead), (_, _, of_living) in zip(found.limits, wanted.limits, strict=True):
        assert of_living <= of_dead <= held


def main(path: str, log_path: str, seed: str, calls: str) -> None:
    """The process that is killed."""
    log = os.open(log_path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    clock = ManualClock(START)
    control = UsageControl(path, clock=clock)
    spending = Spending(control, clock, int(seed))
    if int(calls):
        die_at_call(int(calls))
    for number in range(STEPS):
        told = spending.walk(number)
        os.write(log, (json.dumps({"verb": told.verb, "facts": told.facts}) + "\n").encode())
    print("done", flush=True)  # noqa: T201 - what the test waits for
    signal.pause()


if __name__ == "__main__":
    main(*sys.argv[1:])
