"""Windows, scopes, templates, overrides and credits, in any order, against sums over all there ever was."""

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
from stiggctl.windows import ALWAYS, Window, read_cadence, read_zone, to_datetime, to_us, windows_of

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
    rolling: bool = False

    def is_in_force(self, at_us: int) -> bool:
        """Whether it limits what takes place then."""
        if self.hours is None:
            return True
        begins, ends = (to_us(START + timedelta(hours=hour), "hours") for hour in self.hours)
        return begins <= at_us < ends

    def window(self, at_us: int, now_us: int) -> Window:
        """The window of an instant; a rolling one is that of now, whenever something took place."""
        if self.rolling:
            assert self.cadence is not None
            width_us = {"PT2H": 120_000_000, "P1D": 1_440_000_000}[self.cadence]
            return Window(now_us - now_us % width_us - 60 * width_us, ALWAYS.end_us)
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
        if self.rolling:
            found["rolling"] = True
        if self.model is not None:
            found["scope"] = {"model": self.model}
        if self.hours is not None:
            found["effectiveAt"], found["expiresAt"] = (
                (START + timedelta(hours=hour)).isoformat() for hour in self.hours
            )
        return found


POOL = f"pool/{TOKENS}"
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
    Rule("u1-rolling", ("u1",), 45, "PT2H", rolling=True),
    Rule("org-rolling", ("org",), 120, "P1D", model="gpt-5", rolling=True),
]


@dataclass
class Grant:
    """Prepaid credits as the reference has them."""

    name: str
    amount: int
    priority: int
    kind: str
    from_us: int
    until_us: int
    cadence: str | None
    age: int
    voided: bool = False

    def window(self, at_us: int) -> Window:
        """In which its credits are these."""
        windows = windows_of(None if self.cadence is None else read_cadence(self.cadence), read_zone("UTC"))
        window = ALWAYS if windows is None else windows.window_of(at_us)
        return Window(max(window.start_us, self.from_us), min(window.end_us, self.until_us))

    def drains(self, at_us: int) -> tuple[int, int, bool, int, int]:
        """Where it stands among those that are open."""
        ends_us = self.window(at_us).end_us
        return (self.priority, ends_us, self.kind == "PAID", self.from_us, self.age)


@dataclass
class Spent:
    """An event, or a hold that is open: when, in whom, of which model, how much."""

    at_us: int
    members: frozenset[str]
    model: str | None
    amount: int
    paid: dict[str, int] = field(default_factory=dict)  # by grant, in drain order
    unbacked: bool = False


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
    grants: dict[str, Grant] = field(default_factory=dict)

    def pool(self, at_us: int) -> list[Grant]:
        """Those that are open, as they drain."""
        going = [
            one for one in self.grants.values() if not one.voided and one.from_us <= at_us < one.until_us
        ]
        return sorted(going, key=lambda one: one.drains(at_us))

    def paid_by(self, grant: Grant, at_us: int) -> int:
        """What it has paid, in the window of an instant."""
        window = grant.window(at_us)
        return sum(
            one.paid.get(grant.name, 0)
            for one in self.events
            if grant.cadence is None or window.has(one.at_us)
        )

    def held_by(self, grant: Grant, at_us: int) -> int:
        window = grant.window(at_us)
        return sum(
            one.spent.paid.get(grant.name, 0)
            for one in self.holds
            if self.now_us < one.ends_us and (grant.cadence is None or window.has(one.spent.at_us))
        )

    def credits(self, at_us: int) -> list[int]:
        """What is left of each that is open."""
        return [one.amount - self.paid_by(one, at_us) - self.held_by(one, at_us) for one in self.pool(at_us)]

    def split(self, amount: int) -> dict[str, int]:
        """Who pays for what fits now: what others overdrew, the first that can have paid."""
        rooms, now_us = self.credits(self.now_us), self.now_us
        debt = -sum(room for room in rooms if room < 0)
        paid = {}
        for one, room in zip(self.pool(now_us), rooms, strict=True):
            kept = min(debt, max(0, room))
            debt -= kept
            pays = min(amount, max(0, room) - kept)
            amount -= pays
            paid[one.name] = pays
        return paid

    def pay(self, spent: Spent, amount: int, held: dict[str, int]) -> int:
        """Who pays for an event: what is held first. What nobody pays."""
        left = amount
        for name, units in held.items():
            pays = min(left, units)
            spent.paid[name] = spent.paid.get(name, 0) + pays
            left -= pays
        payers = self.pool(spent.at_us)
        for ignores_held in (False, True):
            for one in payers:
                used = self.paid_by(one, spent.at_us) + spent.paid.get(one.name, 0)
                room = one.amount - used - (0 if ignores_held else self.held_by(one, spent.at_us))
                pays = max(0, min(left, room))
                spent.paid[one.name] = spent.paid.get(one.name, 0) + pays
                left -= pays
        if payers and left:
            spent.paid[payers[-1].name] = spent.paid.get(payers[-1].name, 0) + left
            left = 0
        return left

    def rules(self, members: frozenset[str], model: str | None, at_us: int) -> list[Rule]:
        """The limits that such a request meets; an own one stands in the place of a template like it."""
        met = [one for one in RULES if members.intersection(one.on)]
        met = [one for one in met if one.is_in_force(self.seen(one, at_us))]
        met = [one for one in met if one.window(at_us, self.now_us).has(at_us)]
        own = {(one.on, one.cadence, one.model) for one in met if one.template is None}
        met = [one for one in met if one.template is None or (one.on, one.cadence, one.model) not in own]
        return [one for one in met if one.model in (None, model)]

    def seen(self, rule: Rule, at_us: int) -> int:
        """As of when a limit is asked: now, or when the window ended."""
        window = rule.window(at_us, self.now_us)
        return min(max(self.now_us, window.start_us), window.end_us - 1)

    def limit(self, rule: Rule, at_us: int) -> int:
        """As high as it is now, or was when its window ended."""
        seen = self.seen(rule, at_us)
        now = [one for one in self.overrides if one.name == rule.name and one.from_us <= seen < one.until_us]
        return max(now, key=lambda one: one.from_us).limit if now else rule.limit

    def used(self, rule: Rule, at_us: int) -> int:
        return _sum(rule, rule.window(at_us, self.now_us), self.events)

    def held(self, rule: Rule, at_us: int) -> int:
        live = [one.spent for one in self.holds if self.now_us < one.ends_us]
        return _sum(rule, rule.window(at_us, self.now_us), live)

    def room(self, rule: Rule, at_us: int) -> int:
        return self.limit(rule, at_us) - self.used(rule, at_us) - self.held(rule, at_us)


def _sum(rule: Rule, window: Window, all_of_them: list[Spent]) -> int:
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
        self.booked: list[tuple[str, Spent]] = []
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
        found = {
            rule.name: (world.limit(rule, at_us), world.used(rule, at_us), world.held(rule, at_us))
            for rule in world.rules(members_of(ids), model, at_us)
        }
        if world.grants:
            pool = world.pool(at_us)
            found[POOL] = (
                sum(one.amount for one in pool),
                sum(world.paid_by(one, at_us) for one in pool),
                sum(world.held_by(one, at_us) for one in pool),
            )
        assert {one.allocation_id: (one.limit, one.used, one.held) for one in limits} == found

    def fits(self, ids: tuple[str, ...], model: str | None, amount: int) -> bool:
        world = self.world
        rules = [one for one in world.rules(members_of(ids), model, world.now_us) if one.hard]
        if world.grants and sum(world.credits(world.now_us)) < amount:
            return False
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
        spent = Spent(now_us, members_of(ids), model, amount, self.world.split(amount))
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
        spent = Spent(self.world.now_us, members_of(ids), model, amount, self.world.split(amount))
        self.world.events.append(spent)
        self.booked.append((receipt.event_id, spent))
        self.compare(receipt.limits, ids, model, self.world.now_us)
        spent.paid = {name: units for name, units in spent.paid.items() if units}
        assert receipt.paid_by == spent.paid

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
        self.told(receipt, spent, amount, {} if receipt.expired else spent.paid)

    @rule(ids=requests, model=models, amount=amounts, ago=pauses)
    def report(self, ids: tuple[str, ...], model: str | None, amount: int, ago: int) -> None:
        at = self.clock.now() - timedelta(seconds=ago) if ago else None
        receipt = self.say("report", **self.asked(ids, model), amount=amount, timestamp=at)
        spent = Spent(self.world.now_us - ago * 1_000_000, members_of(ids), model, amount)
        self.told(receipt, spent, amount, {})

    @precondition(lambda self: self.booked)
    @rule(place=places)
    def reverse(self, place: int) -> None:
        event_id, first = self.booked.pop(place % len(self.booked))
        receipt = self.say("reverse", event_id, reason="refund")
        back = {name: -units for name, units in first.paid.items()}
        self.told(receipt, first, -first.amount, back, reverses=True)

    def told(
        self, receipt: Any, first: Spent, amount: int, held: dict[str, int], *, reverses: bool = False
    ) -> None:
        """Compares a receipt; `held`: what grants pay beforehand, or get back."""
        world, at_us = self.world, first.at_us
        spent = Spent(at_us, first.members, first.model, amount)
        rules = world.rules(spent.members, spent.model, at_us)
        assert receipt.late == any(one.window(at_us, world.now_us).end_us <= world.now_us for one in rules)
        over = {}
        pool = world.pool(at_us)
        before = sum(world.paid_by(one, at_us) for one in pool)
        unpaid = 0
        if not world.grants:
            pass
        elif reverses:
            spent.paid = dict(held)
            unpaid = amount - sum(held.values())
        else:
            unpaid = world.pay(spent, amount, held)
        spent.unbacked = unpaid > 0
        world.events.append(spent)
        if not reverses:
            self.booked.append((receipt.event_id, spent))
        spent.paid = {name: units for name, units in spent.paid.items() if units}
        assert receipt.paid_by == spent.paid
        assert receipt.unbacked == (unpaid > 0)
        if world.grants:
            after = sum(world.paid_by(one, at_us) for one in pool)
            limit = sum(one.amount for one in pool)
            over[POOL] = (after, max(0, after - limit) - max(0, before - limit) + unpaid)
            if reverses and not first.paid and not first.unbacked:
                over[POOL] = (after, None)
        for one in rules:
            limit, after = world.limit(one, at_us), world.used(one, at_us)
            over[one.name] = (after, max(0, after - limit) - max(0, after - amount - limit))
        assert {one.allocation_id: (one.used, one.overage) for one in receipt.limits} == over
        assert receipt.overage == max([each for _, each in over.values() if each is not None], default=0)

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

    @precondition(lambda self: len(self.world.grants) < 6)
    @rule(
        amount=st.integers(1, 80),
        priority=st.sampled_from([10, 50, 50]),
        kind=st.sampled_from(["PAID", "PROMOTIONAL"]),
        begins=pauses,
        lasts=st.sampled_from([None, 1, 3_600, 86_400, 200_000]),
        cadence=st.sampled_from([None, None, "PT6H", "P1D"]),
    )
    def grant(
        self, amount: int, priority: int, kind: str, begins: int, lasts: int | None, cadence: str | None
    ) -> None:
        world = self.world
        from_us = world.now_us + (begins - 3_600) * 1_000_000
        until_us = ALWAYS.end_us if lasts is None else from_us + lasts * 1_000_000
        name = f"g{len(world.grants)}"
        one = Grant(name, amount, priority, kind, from_us, until_us, cadence, len(world.grants))
        self.put(one)
        world.grants[name] = one

    def put(self, one: Grant) -> None:
        self.control.grant_credits(
            customer_id="c",
            credit_currency=TOKENS,
            grant_id=one.name,
            amount=one.amount,
            priority=one.priority,
            kind=one.kind,
            effective_at=to_datetime(one.from_us),
            expires_at=None if one.until_us == ALWAYS.end_us else to_datetime(one.until_us),
            cadence=one.cadence,
        )

    @precondition(lambda self: self.world.grants)
    @rule(place=places, amount=st.integers(1, 80), voids=st.booleans())
    def change_grant(self, place: int, amount: int, *, voids: bool) -> None:
        grants = list(self.world.grants.values())
        one = grants[place % len(grants)]
        if one.voided:
            return
        if voids and place % 3 == 0:
            self.control.void_grant(one.name)
            one.voided = True
        else:
            one.amount = amount
            self.put(one)

    @invariant()
    def grants_say_the_same(self) -> None:
        now_us = self.world.now_us
        for one in self.control.grants("c"):
            grant = self.world.grants[one.grant_id]
            if one.status in {"OPEN", "SPENT"}:
                used, held = self.world.paid_by(grant, now_us), self.world.held_by(grant, now_us)
                assert (one.amount, one.used, one.held) == (grant.amount, used, held)

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
