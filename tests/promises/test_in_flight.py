"""In flight: a thousand calls while the model changes under them: exact, nothing lost, nothing left held."""

import asyncio
import itertools
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest

from stiggctl import AccessDenied, UsageControl
from stiggctl.testing import ManualClock

from .saying import TOKENS, at_once, moment
from .stepping import quiet

CALLS = 1_000
USERS = [f"u{number}" for number in range(8)]
TIERS = {user: "STANDARD" if number < 4 else "PREMIUM" for number, user in enumerate(USERS)}


@dataclass(frozen=True)
class Rules:
    """What the model says between two changes."""

    org: int = 4_200
    team: int = 2_400  # of each team
    cadence: str = "day"
    rolling: bool = False
    cadence_made: int = 0  # the change that made the limits what they are
    parents: tuple[tuple[str, str], ...] = tuple(
        (user, "red" if number % 2 else "blue") for number, user in enumerate(USERS)
    )
    tiers: tuple[str, ...] = ("STANDARD",)
    tiers_made: tuple[tuple[str, int], ...] = (("STANDARD", 0),)
    each: int = 420  # of each user of these tiers
    emea: int = 1_600
    grants: tuple[tuple[str, int], ...] = (("g0", 700), ("g1", 900), ("g2", 800))

    def team_of(self, user: str) -> str:
        return dict(self.parents)[user]

    def limits(self, user: str, region: str) -> Iterator[tuple[str, int, int]]:
        """(name, limit, the change from which on it counts what is held) of each that such a call meets."""
        yield "org", self.org, 0
        yield self.team_of(user), self.team, self.cadence_made
        if TIERS[user] in self.tiers:
            yield user, self.each, dict(self.tiers_made)[TIERS[user]]
        if region == "emea":
            yield "emea", self.emea, 0


@dataclass
class Call:
    """One call: what it asked for, when it began and ended by the count of all of them, what came of it."""

    number: int
    verb: str
    user: str
    region: str
    amount: int
    used: int
    began: int = 0
    ended: int = 10**9
    since: int = 0  # changes that had returned when it began
    until: int = 0  # changes that had begun when it ended
    admitted: bool | None = None  # None: it was cancelled, and never told
    decision: Any = None
    receipt: Any = None

    @property
    def ask(self) -> dict[str, Any]:
        return {
            "resource_ids": [self.user, self.region],
            "credit_currency": TOKENS,
            "amount": self.amount,
            "idempotency_key": f"k{self.number}",
        }


@dataclass
class Story:
    """The calls, and the rules one after the other; rules[n] are those after n changes."""

    control: UsageControl
    clock: ManualClock
    rules: list[Rules]
    calls: list[Call]
    ticks: Iterator[int] = field(default_factory=itertools.count)
    begun: int = 0
    returned: int = 0

    def begins(self, call: Call) -> None:
        call.since = self.returned
        call.began = next(self.ticks)

    def ends(self, call: Call, *, admitted: bool, decision: Any = None) -> None:
        call.ended = next(self.ticks)
        call.until = self.begun
        call.decision = decision
        call.admitted = admitted

    def change(self) -> None:
        """The next one."""
        self.begun += 1
        CHANGES[self.begun - 1](self.control, self.clock, self.rules[self.begun])
        self.returned += 1


def lower_the_root(control: UsageControl, clock: ManualClock, rules: Rules) -> None:
    control.set_allocation(resource_id="org", credit_currency=TOKENS, limit=rules.org)


def move_a_user(control: UsageControl, clock: ManualClock, rules: Rules) -> None:
    control.move_resource("u0", parent_resource_id=rules.team_of("u0"))


def turn_the_teams(control: UsageControl, clock: ManualClock, rules: Rules) -> None:
    control.apply({"allocations": teams(rules)})


def widen_the_template(control: UsageControl, clock: ManualClock, rules: Rules) -> None:
    control.apply({"allocations": [template(rules)]})


def lower_the_region_for_a_while(control: UsageControl, clock: ManualClock, rules: Rules) -> None:
    until = moment(clock) + timedelta(hours=1)
    control.override_limit("emea", TOKENS, limit=rules.emea, until=until, actor="eve")


def change_grants(control: UsageControl, clock: ManualClock, rules: Rules) -> None:
    given = dict(rules.grants)
    standing = {one.grant_id: one for one in control.grants("c")}
    for name, amount in given.items():
        if name not in standing or standing[name].amount != amount:
            control.grant_credits(customer_id="c", credit_currency=TOKENS, grant_id=name, amount=amount)
    for name, one in standing.items():
        if name not in given and one.voided_at is None:
            control.void_grant(name)


#: What changes, and how the rules are after it.
STORY: list[tuple[Callable[..., None], Callable[[Rules], Rules]]] = [
    (lower_the_root, lambda was: replace(was, org=3_000)),
    (change_grants, lambda was: replace(was, grants=(*was.grants, ("g3", 600)))),
    (move_a_user, lambda was: replace(was, parents=(("u0", "red"), *was.parents[1:]))),
    (widen_the_template, lambda was: replace(was, tiers=("PREMIUM", "STANDARD"),
                                             tiers_made=(("PREMIUM", 4), ("STANDARD", 0)))),
    (change_grants, lambda was: replace(was, grants=(("g0", 1_100), *was.grants[1:]))),
    (turn_the_teams, lambda was: replace(was, cadence="week", cadence_made=6)),
    (lower_the_region_for_a_while, lambda was: replace(was, emea=1_150)),
    (turn_the_teams, lambda was: replace(was, cadence="day", rolling=True, cadence_made=8)),
    (change_grants, lambda was: replace(was, grants=tuple(one for one in was.grants if one[0] != "g1"))),
    (lower_the_root, lambda was: replace(was, org=3_600)),
    (change_grants, lambda was: replace(was, grants=(*was.grants, ("g4", 300)))),
]  # fmt: skip
CHANGES = [change for change, _ in STORY]


def teams(rules: Rules) -> list[dict[str, Any]]:
    return [
        {
            "id": name, "resourceId": name, "creditCurrency": TOKENS, "limit": rules.team,
            "cadence": rules.cadence, "rolling": rules.rolling, "customerId": "c",
        }
        for name in ("red", "blue")
    ]  # fmt: skip


def template(rules: Rules) -> dict[str, Any]:
    return {
        "id": "each", "resourceTypeId": "user", "where": {"tier": list(rules.tiers)},
        "creditCurrency": TOKENS,
        "limit": rules.each, "customerId": "c",
    }  # fmt: skip


def told(control: UsageControl, clock: ManualClock, seed: int, verbs: Sequence[str]) -> Story:
    """The model as it is before the first change, and the calls that will be made."""
    print(f"seed {seed}")  # noqa: T201 - so that a failure replays
    chance = random.Random(seed)
    first = Rules()
    control.apply(
        {
            "customers": [{"id": "c"}],
            "creditCurrencies": [{"id": TOKENS}],
            "resourceTypes": [
                {"id": "org"},
                {"id": "team", "parentResourceTypeId": "org"},
                {"id": "user", "parentResourceTypeId": "team", "properties": {"tier": {"type": "STRING"}}},
                {"id": "region"},
            ],
            "resources": [
                {"id": "org", "resourceTypeId": "org"},
                {"id": "red", "resourceTypeId": "team", "parentResourceId": "org"},
                {"id": "blue", "resourceTypeId": "team", "parentResourceId": "org"},
                *(
                    {
                        "id": user, "resourceTypeId": "user", "parentResourceId": first.team_of(user),
                        "properties": {"tier": TIERS[user]},
                    }
                    for user in USERS
                ),
                *({"id": name, "resourceTypeId": "region"} for name in ("emea", "apac")),
            ],
            "allocations": [
                {"resourceId": "org", "creditCurrency": TOKENS, "limit": first.org},
                {"resourceId": "emea", "creditCurrency": TOKENS, "limit": first.emea},
                *teams(first),
                template(first),
            ],
            "grants": [
                {"id": name, "customerId": "c", "creditCurrency": TOKENS, "amount": amount}
                for name, amount in first.grants
            ],
        }
    )  # fmt: skip
    rules = list(
        itertools.accumulate((after for _, after in STORY), lambda was, after: after(was), initial=first)
    )
    calls = []
    for number in range(CALLS):
        amount = chance.randint(1, 9)
        calls.append(
            Call(
                number,
                chance.choice(verbs),
                chance.choice(USERS),
                chance.choice(["emea", "apac"]),
                amount,
                chance.randint(0, amount),
            )
        )
    return Story(control, clock, rules, calls)


# ------------------------------------------------------------------ what must have come of it


def judge(story: Story) -> None:
    """All that can be said of it exactly."""
    never_over(story)
    nothing_that_fits_is_refused(story)
    each_was_judged_by_rules_in_force(story)
    nothing_is_lost(story)
    each_grant_paid_what_it_had(story)


def in_force(story: Story, call: Call) -> list[Rules]:
    """The rules by which it may have been judged."""
    return story.rules[call.since : call.until + 1]


def never_over(story: Story) -> None:
    """What was surely there before a call that was admitted, and it: no more than a limit in force then.

    Nothing is settled before all have been admitted or denied, so nothing that was there had left.
    """
    taken = [one for one in story.calls if one.admitted]
    for call in taken:
        if call.verb == "report":
            continue
        before = [one for one in taken if one.ended < call.began]
        for name in {
            name for rules in in_force(story, call) for name, _, _ in rules.limits(call.user, call.region)
        }:
            rules = [
                {n: (most, made) for n, most, made in one.limits(call.user, call.region)}
                for one in in_force(story, call)
            ]
            if any(name not in one for one in rules):
                continue  # it may have been admitted by rules without it
            most = max(one[name][0] for one in rules)
            made = max(one[name][1] for one in rules)
            counted = sum(one.amount for one in before if surely_counts(story, one, name, made))
            assert counted + call.amount <= most, (name, call)
    admitted = sum(one.amount for one in taken if one.verb != "report")
    ever: dict[str, int] = {}
    for one in story.rules:
        for name, amount in one.grants:
            ever[name] = max(amount, ever.get(name, 0))
    assert admitted <= sum(ever.values())


def surely_counts(story: Story, call: Call, name: str, made: int) -> bool:
    """Whether it counts in a limit by all rules by which it may have been judged.

    What is held counts in no limit that was made after it was held.
    """
    if call.verb == "reserve" and call.since < made:
        return False
    if name in ("red", "blue"):
        return all(one.team_of(call.user) == name for one in in_force(story, call))
    return name in ("org", call.user, call.region)


def may_count(story: Story, call: Call, name: str) -> bool:
    if name in ("red", "blue"):
        return any(one.team_of(call.user) == name for one in in_force(story, call))
    return name in ("org", call.user, call.region)


def nothing_that_fits_is_refused(story: Story) -> None:
    """All that may have been there when a call was denied, and it: more than the least in force."""
    there = [one for one in story.calls if one.admitted is not False]
    for call in story.calls:
        if call.admitted is not False or call.decision.binding.is_pool:
            continue
        name = call.decision.binding.resource_id
        least = min(
            most
            for rules in in_force(story, call)
            for limit, most, _ in rules.limits(call.user, call.region)
            if limit == name
        )
        counted = sum(one.amount for one in there if one.began < call.ended and may_count(story, one, name))
        assert counted + call.amount > least, (name, call)


def each_was_judged_by_rules_in_force(story: Story) -> None:
    """One that began when a change had returned meets the new limit; and so on."""
    for call in story.calls:
        if call.decision is None:
            continue
        seen = {one.resource_id: one.limit for one in call.decision.limits if not one.is_pool}
        met = [
            {name: most for name, most, _ in one.limits(call.user, call.region)}
            for one in in_force(story, call)
        ]
        assert seen in met, (seen, met)
        pool = call.decision.limits[-1]
        # Grants of one change are put one by one, and counted when the call was.
        assert pool.is_pool
        assert pool.limit in [sum(dict(one.grants).values()) for one in in_force(story, call)]


def nothing_is_lost(story: Story) -> None:
    control = story.control
    events = {one.idempotency_key: one.amounts[TOKENS] for one in control.events("c")}
    assert len(events) == len(list(control.events("c")))
    receipts = {f"k{one.number}": one.receipt.charged for one in story.calls if one.receipt is not None}
    assert {key: events.get(key) for key in receipts} == receipts
    untold = {f"k{one.number}" for one in story.calls if one.receipt is None and one.admitted is not False}
    assert set(events) - set(receipts) <= untold
    assert control.reservations() == []
    for user in USERS:
        decision = control.check(resource_ids=[user, "emea"], credit_currency=TOKENS, requested_usage=0)
        assert [one.held for one in decision.limits] == [0] * len(decision.limits)
    assert control.tree("org", TOKENS).used == sum(events.values())
    assert control.verify() == []


def each_grant_paid_what_it_had(story: Story) -> None:
    states = {one.grant_id: one for one in story.control.grants("c")}
    paid: Counter[str] = Counter()
    admitted: Counter[str] = Counter()
    for call in story.calls:
        if call.receipt is not None:
            assert sum(call.receipt.paid_by.values()) == call.receipt.charged
            paid.update(call.receipt.paid_by)
            if call.verb != "report":
                admitted.update(call.receipt.paid_by)
    complete = all(one.admitted is not None for one in story.calls)
    for name, one in states.items():
        most = max(amount for rules in story.rules for grant, amount in rules.grants if grant == name)
        assert one.held == 0
        assert admitted[name] <= most
        assert one.used == paid[name] if complete else one.used >= paid[name]


def shows_something(story: Story) -> None:
    """Limits of each kind denied, and each verb was admitted: else it shows little."""
    denied = Counter(
        "pool" if one.decision.binding.is_pool else one.decision.binding.resource_id
        for one in story.calls
        if one.admitted is False
    )
    taken = Counter(one.verb for one in story.calls if one.admitted)
    print(denied, taken)  # noqa: T201 - beside the seed
    assert len(denied) > 1
    assert min(taken.values()) > 50


# ------------------------------------------------------------------ threads


@pytest.mark.parametrize("seed", [1, 2])
def test_a_thousand_calls_of_threads_are_exact_while_everything_changes(
    control: UsageControl, clock: ManualClock, seed: int
) -> None:
    story = told(control, clock, seed, ["reserve", "reserve", "consume", "consume", "report"])
    gates = [threading.Event() for _ in range(len(CHANGES) + 1)]
    thought = threading.Event()
    done = threading.Semaphore(0)

    def run(call: Call) -> None:
        gates[call.number * len(gates) // CALLS].wait()
        story.begins(call)
        held = None
        try:
            if call.verb == "reserve":
                held = control.reserve(**call.ask)
                story.ends(call, admitted=True, decision=held.decision)
            else:
                call.receipt = getattr(control, call.verb)(**call.ask)
                story.ends(call, admitted=True)
        except AccessDenied as denied:
            story.ends(call, admitted=False, decision=denied.decision)
        done.release()
        if held is not None:
            thought.wait()
            call.receipt = held.settle(call.used)

    def main() -> None:
        for gate in gates:
            gate.set()
            if story.begun < len(CHANGES):
                story.change()
        for _ in range(CALLS):
            done.acquire()
        thought.set()

    results = at_once([main, *(lambda call=call: run(call) for call in story.calls)])
    assert [one for one in results if one is not None] == []
    judge(story)
    shows_something(story)


# ------------------------------------------------------------------ tasks


@pytest.mark.parametrize("seed", [4])
def test_a_thousand_calls_of_tasks_are_exact_while_everything_changes_and_some_are_cancelled(
    control: UsageControl, clock: ManualClock, seed: int
) -> None:
    story = told(control, clock, seed, ["reserve", "reserve", "consume", "consume", "report"])
    chance = random.Random(f"{seed} cancels")
    for call in story.calls:
        if chance.random() < 0.5:
            call.region = "apac"  # so that fewer are denied

    async def run(call: Call, gate: asyncio.Event, thought: asyncio.Event, done: asyncio.Semaphore) -> None:
        held = None
        try:
            await gate.wait()
            story.begins(call)
            try:
                if call.verb == "reserve":
                    held = await control.areserve(**call.ask)
                    story.ends(call, admitted=True, decision=held.decision)
                else:
                    call.receipt = await getattr(control, f"a{call.verb}")(**call.ask)
                    story.ends(call, admitted=True)
            except AccessDenied as denied:
                story.ends(call, admitted=False, decision=denied.decision)
        finally:
            done.release()
        if held is not None:
            await thought.wait()
            call.receipt = await held.asettle(call.used)

    async def all_of_it() -> None:
        gates = [asyncio.Event() for _ in range(len(CHANGES) + 1)]
        thought, done = asyncio.Event(), asyncio.Semaphore(0)
        tasks = [
            asyncio.ensure_future(run(call, gates[call.number * len(gates) // CALLS], thought, done))
            for call in story.calls
        ]
        for number, gate in enumerate(gates):
            gate.set()
            changing = (
                asyncio.ensure_future(asyncio.to_thread(story.change)) if number < len(CHANGES) else None
            )
            for call, task in zip(story.calls, tasks, strict=True):
                # Not while it thinks: what is given up there frees what the others were denied for.
                if call.number * len(gates) // CALLS == number and chance.random() < 0.15:
                    await asyncio.sleep(0)
                    if call.admitted is None:
                        task.cancel()
            if changing is not None:
                await changing
        for _ in range(CALLS):
            await done.acquire()
        thought.set()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert {type(one) for one in ended} <= {type(None), asyncio.CancelledError}
        await quiet(control, *USERS[:1], "emea")

    asyncio.run(all_of_it())
    cancelled = [one for one in story.calls if one.admitted is None]
    assert 20 < len(cancelled) < 400
    judge(story)
    shows_something(story)


def test_tasks_cancelled_while_they_think_leave_nothing_held(
    control: UsageControl, clock: ManualClock
) -> None:
    """What they give up is free again at once, of the grants that it was held of; the others keep theirs."""
    story = told(control, clock, 9, ["reserve"])
    held: dict[int, Any] = {}
    denied: set[int] = set()
    answered = asyncio.Semaphore(0)

    async def run(call: Call, thought: asyncio.Event) -> None:
        try:
            reservation = held[call.number] = await control.areserve(**call.ask)
        except AccessDenied:
            denied.add(call.number)
            return
        finally:
            answered.release()
        try:
            await thought.wait()
        except asyncio.CancelledError:
            await reservation.arelease()
            del held[call.number]
            raise
        call.receipt = await reservation.asettle(call.used)

    async def all_of_it() -> None:
        thought = asyncio.Event()
        tasks = [asyncio.ensure_future(run(call, thought)) for call in story.calls]
        for _ in range(200):
            await answered.acquire()
        for task in tasks[::3]:
            task.cancel()  # some hold, some are on their way, some were denied
        await asyncio.gather(*tasks[::3], return_exceptions=True)
        others = {call.number for call in story.calls} - set(range(0, CALLS, 3))
        end = time.monotonic() + 10
        while not (
            others <= {*held, *denied} and held_of(control) == sum(one.amount for one in held.values())
        ):
            assert time.monotonic() < end, "something is held that nobody has"
            await asyncio.sleep(0.002)
        thought.set()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(all_of_it())
    booked = [one for one in story.calls if one.receipt is not None]
    assert len(booked) > 100
    paid: Counter[str] = Counter()
    for one in booked:
        paid.update(one.receipt.paid_by)
    assert {one.grant_id: (one.used, one.held) for one in control.grants("c")} == {
        name: (paid[name], 0) for name, _ in story.rules[0].grants
    }
    assert control.verify() == []


def held_of(control: UsageControl) -> int:
    return sum(int(one.held) for one in control.grants("c"))


# ------------------------------------------------------------------ the last credits


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("verb", ["consume", "reserve"])
def test_a_pool_is_spent_to_the_last_unit_of_each_grant(control: UsageControl, verb: str) -> None:
    amounts = {"g0": 101, "g1": 67, "g2": 3, "g3": 250, "g4": 79}
    nothing_limits(control, amounts)
    ask: dict[str, Any] = {"resource_ids": ["a"], "credit_currency": TOKENS}

    remaining: list[tuple[Any, int]] = []

    def work(worker: int) -> list[Any]:
        receipts, amount = [], 1 + worker % 7
        while amount:
            try:
                if verb == "consume":
                    receipts.append(control.consume(**ask, amount=amount))
                else:
                    receipts.append(control.reserve(**ask, amount=amount).settle(amount))
            except AccessDenied as denied:
                remaining.append((denied.decision.remaining, amount))
                amount -= 1  # what does not fit may fit in part
        return receipts

    results: Any = at_once([lambda worker=worker: work(worker) for worker in range(64)])
    receipts = [one for worker in results for one in worker]
    assert all(left < asked for left, asked in remaining)
    paid: Counter[str] = Counter()
    for one in receipts:
        assert sum(one.paid_by.values()) == one.charged
        assert one.overage == 0
        paid.update(one.paid_by)
    assert dict(paid) == amounts
    assert {one.grant_id: (one.used, one.held, one.remaining) for one in control.grants()} == {
        name: (amount, 0, 0) for name, amount in amounts.items()
    }
    assert sum(one.amounts[TOKENS] for one in control.events()) == sum(amounts.values())
    assert control.verify() == []


def test_a_pool_is_spent_to_the_last_unit_by_tasks(control: UsageControl) -> None:
    amounts = {"g0": 101, "g1": 67, "g2": 3, "g3": 250}
    nothing_limits(control, amounts)
    ask: dict[str, Any] = {"resource_ids": ["a"], "credit_currency": TOKENS}
    paid: Counter[str] = Counter()

    async def work(task: int) -> None:
        amount = 1 + task % 5
        while amount:
            try:
                if task % 2:
                    receipt = await control.aconsume(**ask, amount=amount)
                else:
                    held = await control.areserve(**ask, amount=amount)
                    await asyncio.sleep(0)
                    receipt = await held.asettle(amount)
                paid.update(receipt.paid_by)
            except AccessDenied:
                amount -= 1

    async def all_of_them() -> None:
        await asyncio.gather(*(work(task) for task in range(200)))

    asyncio.run(all_of_them())
    assert dict(paid) == amounts
    assert control.verify() == []


def nothing_limits(control: UsageControl, amounts: dict[str, int]) -> None:
    control.apply(
        {
            "resourceTypes": [{"id": "node"}],
            "resources": [{"id": "a", "resourceTypeId": "node", "customerId": "c"}],
            "grants": [
                {"id": name, "customerId": "c", "creditCurrency": TOKENS, "amount": amount}
                for name, amount in amounts.items()
            ],
        }
    )
