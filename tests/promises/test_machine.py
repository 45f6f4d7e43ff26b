"""Every verb, in any order, against a reference that recomputes everything from what was booked and held."""

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from stiggctl import AccessDenied, IdempotencyConflict, UsageControl
from stiggctl.testing import ManualClock

from .reference import Event, Hold, Reference
from .saying import TOKENS, Face, Say

START = datetime(2026, 1, 15, 12, tzinfo=UTC)
PARENTS: dict[str, str | None] = {
    "org": None,
    "t1": "org",
    "t2": "org",
    "u1": "t1",
    "u2": "t1",
    "u3": "t2",
    "emea": None,
    "chat": None,
}
LIMITS = {"org": 60, "t1": 40, "t2": 30, "u1": 20, "u3": 25, "emea": 50, "chat": 10}
SOFT = {"chat"}
USERS = ["u1", "u2", "u3"]

requests = st.tuples(st.sampled_from(USERS), st.sets(st.sampled_from(["emea", "chat", "t1"]))).map(
    lambda drawn: (drawn[0], *sorted(drawn[1]))
)
amounts = st.integers(0, 30)
keys = st.none() | st.sampled_from(["k1", "k2"])
places = st.integers(0, 1000)


class Machine(RuleBasedStateMachine):
    """Says each verb to a control on a file, and to the reference; and compares every number."""

    face: ClassVar[Face] = "sync"

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.clock = ManualClock(START)
        self.reference = Reference(dict(PARENTS), dict(LIMITS), SOFT)
        self.keys: dict[str, Event] = {}
        self.booked: list[tuple[Any, Event]] = []
        self.reservations: list[tuple[Any, Hold]] = []
        self.open()

    def open(self) -> None:
        self.control = UsageControl(str(Path(self.folder.name) / "usage.db"), clock=self.clock)
        self.say = Say(self.control, self.face)

    def teardown(self) -> None:
        try:
            assert list(self.control.verify()) == []
            held = {
                id(hold) for _, hold in self.reservations if hold.open and hold.until > self.reference.now
            }
            assert len(list(self.control.reservations())) == len(held)
        finally:
            self.control.close()
            self.folder.cleanup()

    @initialize()
    def describe(self) -> None:
        nodes = [
            {"id": name, "resourceTypeId": "node", "parentResourceId": parent, "customerId": "c"}
            for name, parent in PARENTS.items()
        ]
        limits = [
            {
                "resourceId": name,
                "creditCurrency": TOKENS,
                "customerId": "c",
                "limit": limit,
                "enforcementType": "SOFT" if name in SOFT else "HARD",
            }
            for name, limit in LIMITS.items()
        ]
        self.control.apply({"resourceTypes": [{"id": "node"}], "resources": nodes, "allocations": limits})

    # -- comparing

    def compare(self, decision: Any, ids: tuple[str, ...], amount: int) -> None:
        reference, members = self.reference, self.reference.members(ids)
        reason = reference.reason(ids, amount)
        assert (decision.access_denied_reason, decision.has_access) == (reason, reason is None)
        told = {
            limit.resource_id: (limit.limit, limit.used, limit.held, limit.remaining, limit.allowed)
            for limit in decision.limits
        }
        if reference.other_reason(ids):
            assert decision.remaining == 0
            return
        assert told == {
            name: (
                reference.limits[name],
                reference.used(name),
                reference.held(name),
                max(0, reference.left(name)),
                amount <= reference.left(name),
            )
            for name in members
            if name in reference.limits
        }
        room = reference.room(members)
        assert decision.remaining == (None if room is None else max(0, room))
        hard = [limit for limit in decision.limits if limit.enforcement_type == "HARD"]
        denying = [limit for limit in hard if not limit.allowed]
        binding = min(denying or hard, key=lambda limit: limit.remaining, default=None)
        if binding is not None:
            assert decision.binding.resource_id == binding.resource_id
        else:
            assert decision.binding is None
        if denying:
            self.compare_remedy(decision, [limit.resource_id for limit in denying], amount)
        else:
            assert (decision.remedy, decision.retry_at) == (None, None)

    def compare_remedy(self, decision: Any, denying: list[str], amount: int) -> None:
        reference = self.reference
        ends = [reference.passes_at(name, amount) for name in denying]
        at = None if None in ends else max(end for end in ends if end is not None)
        assert decision.retry_at == (None if at is None else START + timedelta(seconds=at))
        if decision.remaining > 0:
            assert (decision.remedy.kind, decision.remedy.amount) == ("SHRINK", decision.remaining)
        elif all(amount <= reference.limits[name] - reference.used(name) for name in denying):
            assert decision.remedy.kind == "RETRY"
        else:
            assert decision.remedy.kind == "RAISE_LIMIT"

    def answer(self, receipt: Any, event: Event, *, key: str | None = None, new: bool = True) -> None:
        """Compares a receipt; books what is new in the reference."""
        assert receipt.duplicate is not new
        assert receipt.charged == event.amount
        if new:
            assert receipt.overage == self.reference.book(event)
            self.booked.append((receipt.event_id, event))
            if key is not None:
                self.keys[key] = event

    # -- verbs

    @rule(ids=requests, amount=amounts)
    def check(self, ids: tuple[str, ...], amount: int) -> None:
        asked = {"resource_ids": list(ids), "credit_currency": TOKENS, "requested_usage": amount}
        self.compare(self.say("check", **asked), ids, amount)

    @rule(ids=requests, amount=amounts, ttl=st.integers(1, 60), key=keys)
    def reserve(self, ids: tuple[str, ...], amount: int, ttl: int, key: str | None) -> None:
        asked: dict[str, Any] = {"resource_ids": list(ids), "credit_currency": TOKENS, "amount": amount}
        asked |= {"ttl_seconds": ttl, "idempotency_key": f"reserve-{key}" if key else None}
        self.reserved(asked, ids, amount, amount, key)

    @rule(ids=requests, amount=st.integers(1, 80), share=st.integers(1, 80), ttl=st.integers(1, 60))
    def reserve_what_fits(self, ids: tuple[str, ...], amount: int, share: int, ttl: int) -> None:
        minimum = min(amount, share)
        asked: dict[str, Any] = {"resource_ids": list(ids), "credit_currency": TOKENS, "amount": amount}
        self.reserved(asked | {"ttl_seconds": ttl, "minimum": minimum}, ids, amount, minimum, None)

    def reserved(
        self, asked: dict[str, Any], ids: tuple[str, ...], amount: int, minimum: int, key: str | None
    ) -> None:
        reference = self.reference
        members = reference.members(ids)
        if reference.reason(ids, minimum):
            try:
                self.say("reserve", **asked)
            except AccessDenied as denied:
                if minimum == amount:
                    self.compare(denied.decision, ids, amount)
                return
            raise AssertionError("a reserve was admitted that does not fit")
        reservation = self.say("reserve", **asked)
        room = reference.room(members)
        fitting = amount if room is None else min(amount, room)
        assert reservation.amount == fitting
        until = reference.now + asked["ttl_seconds"]
        assert reservation.expires_at == START + timedelta(seconds=until)
        hold = Hold(ids, fitting, members, reference.counted(members), until, key and f"reserve-{key}")
        reference.holds.append(hold)
        self.reservations.append((reservation, hold))

    @precondition(lambda self: self.reservations)
    @rule(place=places, amount=amounts)
    def settle(self, place: int, amount: int) -> None:
        reservation, hold = self.reservations[place % len(self.reservations)]
        live = hold.open and hold.until > self.reference.now
        if hold.event is not None:
            receipt = self.say.to(reservation, "settle", amount)
            assert receipt.charged == hold.event.amount
            return
        first = self.keys.get(hold.key) if hold.key else None
        if first is not None and first.contents != frozenset(hold.ids):
            return  # a conflict: what becomes of the hold is not promised
        receipt = self.say.to(reservation, "settle", amount)
        hold.open = False
        if first is None:
            assert receipt.expired is not live
            hold.event = Event(amount, hold.members, frozenset(hold.ids))
            self.answer(receipt, hold.event, key=hold.key)
        else:
            hold.event = first
            self.answer(receipt, first, new=False)

    @precondition(lambda self: self.reservations)
    @rule(place=places)
    def release(self, place: int) -> None:
        reservation, hold = self.reservations[place % len(self.reservations)]
        receipt = self.say.to(reservation, "release")
        hold.open = False
        if hold.event is not None:
            assert receipt.charged == hold.event.amount

    @precondition(lambda self: self.reservations)
    @rule(place=places, amount=st.integers(1, 30))
    def extend(self, place: int, amount: int) -> None:
        reservation, hold = self.reservations[place % len(self.reservations)]
        reference = self.reference
        if not hold.open or hold.until <= reference.now or reference.other_reason(hold.ids):
            return
        hard = [name for name, made in hold.counted if name in reference.hard(hold.members)]
        hard = [name for name in hard if (name, reference.made.get(name, 0)) in hold.counted]
        room = min((reference.left(name) for name in hard), default=None)
        try:
            self.say.to(reservation, "extend", amount)
        except AccessDenied:
            assert room is not None
            assert amount > room
        else:
            assert room is None or amount <= room
            hold.amount += amount
            assert reservation.amount == hold.amount

    @rule(ids=requests, amount=amounts, key=keys)
    def consume(self, ids: tuple[str, ...], amount: int, key: str | None) -> None:
        named = key and f"consume-{key}"
        asked = {
            "resource_ids": list(ids),
            "credit_currency": TOKENS,
            "amount": amount,
            "idempotency_key": named,
        }
        self.spent("consume", asked, ids, amount, named)

    @rule(ids=requests, amount=amounts, key=keys)
    def report(self, ids: tuple[str, ...], amount: int, key: str | None) -> None:
        named = key and f"report-{key}"
        asked = {
            "resource_ids": list(ids),
            "credit_currency": TOKENS,
            "amount": amount,
            "idempotency_key": named,
        }
        self.spent("report", asked | {"customer_id": "c", "event_name": "e"}, ids, amount, named)

    def spent(
        self, verb: str, asked: dict[str, Any], ids: tuple[str, ...], amount: int, key: str | None
    ) -> None:
        contents = (frozenset(ids), amount)
        first = self.keys.get(key) if key else None
        try:
            receipt = self.say(verb, **asked)
        except AccessDenied as denied:
            assert verb == "consume"
            assert first is None
            self.compare(denied.decision, ids, amount)
            assert self.reference.reason(ids, amount)
        except IdempotencyConflict:
            assert first is not None
            assert first.contents != contents
        else:
            if first is not None:
                assert first.contents == contents
                self.answer(receipt, first, new=False)
                return
            assert verb == "report" or not self.reference.reason(ids, amount)
            self.answer(receipt, Event(amount, self.reference.members(ids), contents), key=key)

    @rule(drawn=st.lists(st.tuples(requests, amounts), max_size=4))
    def report_many(self, drawn: list[tuple[tuple[str, ...], int]]) -> None:
        batch = [
            {
                "customerId": "c",
                "eventName": "e",
                "resourceIds": list(ids),
                "creditCurrency": TOKENS,
                "amount": amount,
            }
            for ids, amount in drawn
        ]
        for receipt, (ids, amount) in zip(self.say("report_many", batch), drawn, strict=True):
            self.answer(receipt, Event(amount, self.reference.members(ids)))

    @precondition(lambda self: self.booked)
    @rule(place=places)
    def reverse(self, place: int) -> None:
        event_id, event = self.booked[place % len(self.booked)]
        key = f"reverse-{event_id}"
        receipt = self.say("reverse", event_id, reason="refund")
        if key in self.keys:
            self.answer(receipt, self.keys[key], new=False)
            return
        self.keys[key] = Event(-event.amount, event.members)
        assert receipt.overage == self.reference.book(self.keys[key])
        assert receipt.charged == -event.amount

    # -- time, the model, the process

    @rule(seconds=st.integers(1, 45))
    def wait(self, seconds: int) -> None:
        self.reference.now += seconds
        self.clock.advance(seconds=seconds)

    @rule(name=st.sampled_from(sorted(LIMITS)), limit=st.none() | st.integers(0, 60))
    def change_limit(self, name: str, limit: int | None) -> None:
        if limit is None:
            if name not in self.reference.limits:
                return
            self.control.remove_allocation(resource_id=name, credit_currency=TOKENS)
            del self.reference.limits[name]
            self.reference.made[name] = self.reference.made.get(name, 0) + 1
        else:
            kind = "SOFT" if name in SOFT else "HARD"
            entry = {"resourceId": name, "creditCurrency": TOKENS, "customerId": "c", "limit": limit}
            self.control.apply({"allocations": [entry | {"enforcementType": kind}]})
            self.reference.limits[name] = limit

    @rule(name=st.sampled_from(["org", "t1", "u1", "emea"]))
    def suspend(self, name: str) -> None:
        self.control.suspend(name, reason="runaway")
        self.reference.suspended.add(name)

    @precondition(lambda self: self.reference.suspended)
    @rule()
    def resume(self) -> None:
        for name in self.reference.suspended:
            self.control.resume(name)
        self.reference.suspended.clear()

    @precondition(lambda self: "u2" not in self.reference.archived)
    @rule()
    def archive(self) -> None:
        self.control.archive_resource("u2")
        self.reference.archived.add("u2")

    @precondition(lambda self: self.reference.archived)
    @rule()
    def restore(self) -> None:
        self.control.restore_resource("u2")
        self.reference.archived.clear()

    @precondition(lambda self: not self.reference.archived)
    @rule(user=st.sampled_from(USERS), team=st.sampled_from(["t1", "t2"]))
    def move(self, user: str, team: str) -> None:
        self.control.move_resource(user, team)
        self.reference.parents[user] = team

    @rule()
    def reopen(self) -> None:
        self.control.close()
        self.open()
        self.reservations.clear()
        for hold in self.reference.holds:
            hold.ours = False

    @invariant()
    def every_number_is_right(self) -> None:
        if not self.reference.suspended:
            for ids in (("u1", "emea", "chat"), ("u3",)):
                asked = {"resource_ids": list(ids), "credit_currency": TOKENS, "requested_usage": 1}
                self.compare(self.control.check(**asked), ids, 1)


class AsyncMachine(Machine):
    """The same, said in the async face."""

    face = "async"


Machine.TestCase.settings = settings(
    max_examples=settings().max_examples // 2,
    stateful_step_count=40,
    deadline=None,
    print_blob=True,
    report_multiple_bugs=False,
    phases=set(Phase) - {Phase.explain},  # it traces every line, for minutes
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
AsyncMachine.TestCase.settings = settings(
    Machine.TestCase.settings, max_examples=settings().max_examples // 6
)

TestEveryVerb = Machine.TestCase
TestEveryVerbAsync = AsyncMachine.TestCase
