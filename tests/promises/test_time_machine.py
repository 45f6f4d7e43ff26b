"""Windows, scopes, templates and overrides, in any order, against sums over all there ever was."""

import tempfile
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from stiggctl import AccessDenied, UsageControl
from stiggctl.testing import ManualClock
from stiggctl.windows import ALWAYS, Window, read_cadence, read_zone, to_us, windows_of

from .saying import TOKENS, Face, Say

#: Before the night in which Amsterdam's clocks go forward.
START = datetime(2026, 3, 28, 21, 30, tzinfo=UTC)
PARENTS = {"org": None, "team": "org", "u1": "team", "u2": "team", "emea": None}
TIERS = {"u1": "STANDARD", "u2": "PREMIUM"}
MODELS = ["gpt-5", "small", None]


class Rule(NamedTuple):
    """A limit as the reference has it: on whom, how much, of what, in which windows."""

    name: str
    on: tuple[str, ...]
    limit: int
    cadence: str | None = None
    timezone: str = "UTC"
    model: str | None = None
    hard: bool = True
    template: str | None = None  # the tier that it is for
    hours: tuple[int, int] | None = None  # after START: from when to when it is in force

    def is_in_force(self, at_us: int) -> bool:
        """Whether it limits what takes place then."""
        if self.hours is None:
            return True
        begins, ends = (to_us(START + timedelta(hours=hour), "hours") for hour in self.hours)
        return begins <= at_us < ends

    def window(self, at_us: int) -> Window:
        """The window of an instant."""
        read = None if self.cadence is None else read_cadence(self.cadence)
        windows = windows_of(read, read_zone(self.timezone))
        return ALWAYS if windows is None else windows.window_of(at_us)

    def entry(self) -> dict[str, object]:
        """As a model says it."""
        found: dict[str, object] = {
            "id": self.name,
            "creditCurrency": TOKENS,
            "customerId": "c",
            "limit": self.limit,
            "timezone": self.timezone,
            "enforcementType": "HARD" if self.hard else "SOFT",
        }
        if self.template is None:
            found["resourceId"] = self.on[0]
        else:
            found |= {"resourceTypeId": "user", "where": {"tier": self.template}}
        if self.cadence is not None:
            found["cadence"] = self.cadence
        if self.model is not None:
            found["scope"] = {"model": self.model}
        if self.hours is not None:
            found["effectiveAt"], found["expiresAt"] = (
                (START + timedelta(hours=hour)).isoformat() for hour in self.hours
            )
        return found


RULES = [
    Rule("org-day", ("org",), 90, "P1D", "Europe/Amsterdam"),
    Rule("org-gpt", ("org",), 60, "P1D", "Europe/Amsterdam", "gpt-5"),
    Rule("org-ever", ("org",), 400),
    Rule("team-6h", ("team",), 50, "PT6H"),
    Rule("u1-hour", ("u1",), 25, "PT1H", model="small"),
    Rule("standard", ("u1",), 40, "P1D", template="STANDARD"),
    Rule("premium", ("u2",), 60, "P1D", template="PREMIUM"),
    Rule("emea-soft", ("emea",), 10, "PT2H", hard=False),
    Rule("u2-while", ("u2",), 35, "P1D", hours=(3, 30)),
    Rule("team-while", ("team",), 70, None, hours=(1, 12)),
]


@dataclass
class Spent:
    """An event, or a hold that is open: when, in whom, of which model, how much."""

    at_us: int
    members: frozenset[str]
    model: str | None
    amount: int


@dataclass
class Open:
    """A hold, until when, and the reservation that it is."""

    spent: Spent
    ends_us: int
    reservation: Any


@dataclass
class Override:
    """Another limit for a while."""

    name: str
    limit: int
    from_us: int
    until_us: int


@dataclass
class World:
    """Every number is a sum over all there ever was."""

    now_us: int = 0
    events: list[Spent] = field(default_factory=list)
    holds: list[Open] = field(default_factory=list)
    overrides: list[Override] = field(default_factory=list)

    def rules(self, members: frozenset[str], model: str | None, at_us: int) -> list[Rule]:
        """The limits that such a request meets; an own one stands in the place of a template like it."""
        met = [one for one in RULES if members.intersection(one.on) and one.is_in_force(at_us)]
        own = {(one.on, one.cadence, one.model) for one in met if one.template is None}
        met = [one for one in met if one.template is None or (one.on, one.cadence, one.model) not in own]
        return [one for one in met if one.model in (None, model)]

    def limit(self, rule: Rule, at_us: int) -> int:
        """As high as it is now, or was when its window ended."""
        window = rule.window(at_us)
        seen = min(max(self.now_us, window.start_us), window.end_us - 1)
        now = [one for one in self.overrides if one.name == rule.name and one.from_us <= seen < one.until_us]
        return max(now, key=lambda one: one.from_us).limit if now else rule.limit

    def used(self, rule: Rule, at_us: int) -> int:
        return _sum(rule, at_us, self.events)

    def held(self, rule: Rule, at_us: int) -> int:
        return _sum(rule, at_us, [one.spent for one in self.holds if self.now_us < one.ends_us])

    def room(self, rule: Rule, at_us: int) -> int:
        return self.limit(rule, at_us) - self.used(rule, at_us) - self.held(rule, at_us)


def _sum(rule: Rule, at_us: int, all_of_them: list[Spent]) -> int:
    window = rule.window(at_us)
    return sum(
        one.amount
        for one in all_of_them
        if window.has(one.at_us) and one.members.intersection(rule.on) and rule.model in (None, one.model)
    )


def members_of(ids: tuple[str, ...]) -> frozenset[str]:
    found: set[str] = set()
    for one in ids:
        above: str | None = one
        while above is not None:
            found.add(above)
            above = PARENTS[above]
    return frozenset(found)


requests = st.sampled_from([("u1",), ("u2",), ("u1", "emea"), ("u2", "emea"), ("team",), ("org", "u1")])
models = st.sampled_from(MODELS)
amounts = st.integers(0, 40)
places = st.integers(0, 1_000)
pauses = st.sampled_from([0, 1, 60, 1_800, 3_599, 3_600, 7_200, 21_600, 40_000, 86_400, 200_000])


class TimeMachine(RuleBasedStateMachine):
    """Says each verb at any time, about any time; and compares every number."""

    face: ClassVar[Face] = "sync"

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.clock = ManualClock(START)
        self.world = World(self.clock.now_us())
        self.open()

    def open(self) -> None:
        self.control = UsageControl(
            str(Path(self.folder.name) / "usage.db"), clock=self.clock, reservation_ttl_seconds=7_000
        )
        self.say = Say(self.control, self.face)

    def teardown(self) -> None:
        try:
            assert list(self.control.verify()) == []
        finally:
            self.control.close()
            self.folder.cleanup()

    @initialize()
    def describe(self) -> None:
        tier = {"tier": {"type": "STRING"}}
        self.control.apply(
            {
                "customers": [{"id": "c"}],
                "resourceTypes": [{"id": "node"}, {"id": "user", "properties": tier}],
                "resources": [
                    {
                        "id": name,
                        "resourceTypeId": "user" if name in TIERS else "node",
                        "parentResourceId": parent,
                        "properties": {"tier": TIERS[name]} if name in TIERS else {},
                    }
                    for name, parent in PARENTS.items()
                ],
                "allocations": [one.entry() for one in RULES],
            }
        )

    # -- comparing

    def asked(self, ids: tuple[str, ...], model: str | None) -> dict[str, Any]:
        dimensions = {"feature": "chat"} if model is None else {"model": model}
        return {"resource_ids": list(ids), "credit_currency": TOKENS, "dimensions": dimensions}

    def compare(self, limits: Any, ids: tuple[str, ...], model: str | None, at_us: int) -> None:
        world = self.world
        assert {one.allocation_id: (one.limit, one.used, one.held) for one in limits} == {
            rule.name: (world.limit(rule, at_us), world.used(rule, at_us), world.held(rule, at_us))
            for rule in world.rules(members_of(ids), model, at_us)
        }

    def fits(self, ids: tuple[str, ...], model: str | None, amount: int) -> bool:
        world = self.world
        rules = [one for one in world.rules(members_of(ids), model, world.now_us) if one.hard]
        return all(amount <= world.room(one, world.now_us) for one in rules)

    # -- rules

    @rule(pause=pauses)
    def wait(self, pause: int) -> None:
        self.clock.advance(seconds=pause)
        self.world.now_us = self.clock.now_us()

    @rule(ids=requests, model=models, amount=amounts)
    def check(self, ids: tuple[str, ...], model: str | None, amount: int) -> None:
        decision = self.say("check", **self.asked(ids, model), requested_usage=amount)
        assert decision.has_access == self.fits(ids, model, amount)
        self.compare(decision.limits, ids, model, self.world.now_us)

    @rule(ids=requests, model=models, amount=amounts)
    def reserve(self, ids: tuple[str, ...], model: str | None, amount: int) -> None:
        try:
            reservation = self.say("reserve", **self.asked(ids, model), amount=amount)
        except AccessDenied as denied:
            assert not self.fits(ids, model, amount)
            self.compare(denied.decision.limits, ids, model, self.world.now_us)
            return
        assert self.fits(ids, model, amount)
        now_us = self.world.now_us
        spent = Spent(now_us, members_of(ids), model, amount)
        self.world.holds.append(Open(spent, now_us + 7_000_000_000, reservation))

    @rule(ids=requests, model=models, amount=amounts)
    def consume(self, ids: tuple[str, ...], model: str | None, amount: int) -> None:
        fits = self.fits(ids, model, amount)
        try:
            receipt = self.say("consume", **self.asked(ids, model), amount=amount)
        except AccessDenied:
            assert not fits
            return
        assert fits
        self.world.events.append(Spent(self.world.now_us, members_of(ids), model, amount))
        self.compare(receipt.limits, ids, model, self.world.now_us)

    @precondition(lambda self: self.world.holds)
    @rule(place=places, amount=amounts, releases=st.booleans())
    def settle(self, place: int, amount: int, *, releases: bool) -> None:
        held = self.world.holds.pop(place % len(self.world.holds))
        spent = held.spent
        if releases:
            self.say.to(held.reservation, "release")
            return
        receipt = self.say.to(held.reservation, "settle", amount)
        assert receipt.expired == (self.world.now_us >= held.ends_us)
        self.world.events.append(Spent(spent.at_us, spent.members, spent.model, amount))
        self.told(receipt, spent, amount)

    @rule(ids=requests, model=models, amount=amounts, ago=pauses)
    def report(self, ids: tuple[str, ...], model: str | None, amount: int, ago: int) -> None:
        at = self.clock.now() - timedelta(seconds=ago) if ago else None
        receipt = self.say("report", **self.asked(ids, model), amount=amount, timestamp=at)
        spent = Spent(self.world.now_us - ago * 1_000_000, members_of(ids), model, amount)
        self.world.events.append(spent)
        self.told(receipt, spent, amount)

    def told(self, receipt: Any, spent: Spent, amount: int) -> None:
        world, at_us = self.world, spent.at_us
        rules = world.rules(spent.members, spent.model, at_us)
        assert receipt.late == any(one.window(at_us).end_us <= world.now_us for one in rules)
        over = {}
        for one in rules:
            limit, after = world.limit(one, at_us), world.used(one, at_us)
            over[one.name] = (after, max(0, after - limit) - max(0, after - amount - limit))
        assert {one.allocation_id: (one.used, one.overage) for one in receipt.limits} == over
        assert receipt.overage == max([each for _, each in over.values()], default=0)

    @rule(
        name=st.sampled_from(["org-day", "u1-hour"]), limit=st.integers(0, 150), begins=pauses, lasts=pauses
    )
    def override(self, name: str, limit: int, begins: int, lasts: int) -> None:
        found = next(one for one in RULES if one.name == name)
        since = self.clock.now() + timedelta(seconds=begins)
        until = since + timedelta(seconds=lasts + 1)
        self.control.override_limit(
            found.on[0],
            TOKENS,
            limit=limit,
            since=since,
            until=until,
            cadence=found.cadence,
            scope=None if found.model is None else {"model": found.model},
            actor="eve",
        )
        from_us = self.world.now_us + begins * 1_000_000
        until_us = from_us + (lasts + 1) * 1_000_000
        world = self.world
        world.overrides = [one for one in world.overrides if (one.name, one.from_us) != (name, from_us)]
        world.overrides.append(Override(name, limit, from_us, until_us))

    @invariant()
    def tree_says_the_same(self) -> None:
        node = self.control.tree("org", TOKENS)
        now_us = self.world.now_us
        for _, one in node.walk():
            for limit in one.limits:
                found = next(each for each in RULES if each.name == limit.allocation_id)
                assert (limit.limit, limit.used) == (
                    self.world.limit(found, now_us),
                    self.world.used(found, now_us),
                )


class AsyncTimeMachine(TimeMachine):
    """The same in the other face."""

    face = "async"


SETTINGS = settings(
    max_examples=20,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestTimeMachine = TimeMachine.TestCase
TestTimeMachine.settings = SETTINGS
TestAsyncTimeMachine = AsyncTimeMachine.TestCase
TestAsyncTimeMachine.settings = settings(SETTINGS, max_examples=5)
