"""Rolling limits: what counts in any hour or day, from the call on, and until when."""

import random
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from stiggctl import AccessDenied, AccessDeniedReason, RemedyKind, UsageControl
from stiggctl.testing import ManualClock

from .saying import TOKENS, Say, at_once

NOON = datetime(2026, 1, 15, 12, tzinfo=UTC)
ONE_US = timedelta(microseconds=1)
HOUR = timedelta(hours=1)
MINUTE_US = 60_000_000
#: How wide the buckets are: a sixtieth.
WIDTHS = {"PT1H": MINUTE_US, "PT2H": 2 * MINUTE_US, "P1D": 24 * MINUTE_US, "P1W": 7 * 24 * MINUTE_US}
ASK: dict[str, Any] = {"resource_ids": ["ann"], "credit_currency": TOKENS}
TREE = {
    "customers": [{"id": "c"}],
    "resourceTypes": [
        {"id": "org"},
        {"id": "user", "parentResourceTypeId": "org", "properties": {"tier": {"type": "STRING"}}},
    ],
    "resources": [
        {"id": "org", "resourceTypeId": "org"},
        {"id": "ann", "resourceTypeId": "user", "parentResourceId": "org", "properties": {"tier": "A"}},
        {"id": "bob", "resourceTypeId": "user", "parentResourceId": "org", "properties": {"tier": "B"}},
    ],
}


def limit(resource: str, amount: int, cadence: str = "PT1H", **terms: object) -> dict[str, object]:
    return {
        "resourceId": resource, "creditCurrency": TOKENS, "limit": amount,
        "cadence": cadence, "rolling": True, **terms,
    }  # fmt: skip


def described(control: UsageControl, *limits: dict[str, object], **lists: object) -> None:
    control.apply({**TREE, "allocations": list(limits), **lists})


def left(control: UsageControl, resource: str = "ann", **asked: object) -> list[tuple[Any, ...]]:
    """(resource, cadence, used, held, remaining) of each limit."""
    decision = control.check(resource_ids=[resource], credit_currency=TOKENS, requested_usage=0, **asked)
    return [(one.resource_id, one.cadence, one.used, one.held, one.remaining) for one in decision.limits]


def us(instant: datetime) -> int:
    return (instant - datetime(1970, 1, 1, tzinfo=UTC)) // ONE_US


# ------------------------------------------------------------------ how long usage counts


@pytest.mark.parametrize("cadence", WIDTHS)
@pytest.mark.parametrize("into", [0, 1, 0.5, -1])
def test_usage_counts_as_long_as_told_and_less_than_a_sixtieth_longer(
    control: UsageControl, clock: ManualClock, cadence: str, into: float
) -> None:
    """From anywhere in a bucket: its first and last microsecond, and its middle."""
    width_us = WIDTHS[cadence]
    described(control, limit("ann", 100, cadence))
    start_us = us(NOON) - us(NOON) % width_us
    spent_us = {0: start_us, 1: start_us + 1, -1: start_us + width_us - 1}.get(int(into), start_us)
    spent_us = spent_us if into != 0.5 else start_us + width_us // 2
    spent = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=spent_us)
    clock.set(spent)
    control.consume(**ASK, amount=70)
    whole, part = timedelta(microseconds=60 * width_us), timedelta(microseconds=width_us)
    for counts, instant in (
        (True, spent),
        (True, spent + whole / 2),
        (True, spent + whole - ONE_US),
        (False, spent + whole + part),
    ):
        clock.set(instant)
        assert left(control) == [("ann", cadence, 70 if counts else 0, 0, 30 if counts else 100)]
        assert bool(control.check(**ASK, requested_usage=31)) is not counts
    assert control.verify() == []


def test_it_leaves_in_one_piece_at_the_instant_that_was_told(
    control: UsageControl, say: Say, clock: ManualClock
) -> None:
    described(control, limit("ann", 100))
    for minutes, amount in ((0, 30), (10, 50), (40, 20)):
        clock.set(NOON + timedelta(minutes=minutes, seconds=7))
        say("consume", **ASK, amount=amount)
    ends = {
        amount: say("check", **ASK, requested_usage=amount).retry_at
        for amount in (1, 30, 31, 80, 81, 100, 101)
    }
    first, second, third = (NOON + timedelta(minutes=61 + more) for more in (0, 10, 40))
    assert ends == {1: first, 30: first, 31: second, 80: second, 81: third, 100: third, 101: None}
    for instant, room in ((first, 30), (second, 80), (third, 100)):
        clock.set(instant - ONE_US)
        assert not say("check", **ASK, requested_usage=room)
        clock.set(instant)
        assert say("check", **ASK, requested_usage=room).remaining == room
    assert control.verify() == []


def test_a_denial_tells_that_it_rolls(control: UsageControl, say: Say) -> None:
    described(control, limit("ann", 100))
    say("consume", **ASK, amount=90)
    with pytest.raises(AccessDenied) as denied:
        say("consume", **ASK, amount=11)
    decision = denied.value.decision
    binding = decision.binding
    assert (binding.rolling, binding.window_start, binding.window_end) == (
        True,
        NOON - HOUR,
        NOON + timedelta(minutes=1),
    )
    assert decision.access_denied_reason is AccessDeniedReason.BUDGET_EXCEEDED
    assert str(decision).startswith(
        "ann has 10 of 100 ai-tokens left in any PT1H (90 used, 0 held); 11 were asked for"
    )
    assert (decision.remedy.kind, decision.remedy.retry_at) == (
        RemedyKind.SHRINK,
        NOON + timedelta(minutes=61),
    )


# ------------------------------------------------------------------ never over, in any window

LIMIT = 60


@dataclass
class Spent:
    """What was admitted: when, how much, and until when it counts if it is not booked."""

    at_us: int
    amount: int
    ends_us: int | None = None
    reservation: Any = None


@dataclass
class Past:
    """All that was admitted, and all else that was booked."""

    admitted: list[Spent] = field(default_factory=list)
    others: list[Spent] = field(default_factory=list)

    def open(self, now_us: int) -> list[Spent]:
        return [one for one in self.admitted if one.ends_us is not None and now_us < one.ends_us]

    def counts(self, now_us: int, at_us: int, width_us: int) -> int:
        """What counts then of all that there is now, if nothing more is spent."""
        live = [one for one in self.admitted if one.ends_us is None or max(now_us, at_us) < one.ends_us]
        newest = at_us // width_us
        return sum(
            one.amount for one in [*live, *self.others] if newest - 60 <= one.at_us // width_us <= newest
        )


#: Pauses in seconds: inside a bucket, some buckets, nearly a window, more than one.
pauses = st.sampled_from([1, 17, 60, 61, 600, 1_800, 3_540, 3_600, 3_661, 7_300])
steps = st.lists(
    st.tuples(
        st.sampled_from(["consume", "consume", "reserve", "settle", "release", "report", "wait", "wait"]),
        st.integers(1, 40),
        st.integers(0, 9),
        pauses,
    ),
    min_size=5,
    max_size=40,
)


@pytest.mark.parametrize("cadence", ["PT1H", "P1D"])
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=steps)
def test_what_is_admitted_never_exceeds_it_in_any_window_and_a_denial_says_when_it_fits(
    cadence: str, steps: Sequence[tuple[str, int, int, int]]
) -> None:
    """Every window as long as the cadence; retry_at against a look at each bucket's turn and hold's end."""
    width_us, slow = WIDTHS[cadence], 24 if cadence == "P1D" else 1
    clock, past = ManualClock(NOON), Past()
    with tempfile.TemporaryDirectory() as folder, UsageControl(Path(folder, "u.db"), clock=clock) as control:
        described(control, limit("ann", LIMIT, cadence), limit("org", 10**6, cadence))
        for verb, amount, place, pause in steps:
            step(control, clock, past, verb, amount, place, pause * slow, width_us)
            now_us = clock.now_us()
            [_, own] = left(control)
            assert own[2] + own[3] == past.counts(now_us, now_us, width_us)
            never_over(past, now_us, width_us)
        assert control.verify() == []


def step(
    control: UsageControl,
    clock: ManualClock,
    past: Past,
    verb: str,
    amount: int,
    place: int,
    pause: int,
    width_us: int,
) -> None:
    now_us = clock.now_us()
    live = past.open(now_us)
    if verb == "wait":
        clock.advance(seconds=pause)
    elif verb in ("consume", "reserve"):
        try:
            if verb == "consume":
                control.consume(**ASK, amount=amount)
                past.admitted.append(Spent(now_us, amount))
            else:
                ttl = min(86_400, pause)
                held = control.reserve(**ASK, amount=amount, ttl_seconds=ttl)
                past.admitted.append(Spent(now_us, amount, now_us + ttl * 1_000_000, held))
        except AccessDenied as denied:
            judge(past, denied.decision.retry_at, now_us, amount, width_us)
        else:
            assert past.counts(now_us, now_us, width_us) <= LIMIT
    elif verb == "report":
        late_us = now_us - place * width_us * 7
        instant = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=late_us)
        control.report(**ASK, amount=amount // 4, timestamp=instant)
        past.others.append(Spent(late_us, amount // 4))
    elif live:
        one = live[place % len(live)]
        if verb == "release":
            one.reservation.release()
            past.admitted.remove(one)
        else:
            one.reservation.settle(min(amount, one.amount))
            one.amount, one.ends_us = min(amount, one.amount), None


def judge(past: Past, retry_at: datetime | None, now_us: int, amount: int, width_us: int) -> None:
    """A denial was right, and says exactly when it would not be."""
    event("denied")
    assert past.counts(now_us, now_us, width_us) + amount > LIMIT
    assert retry_at is not None
    assert us(retry_at) == first_fit(past, now_us, amount, width_us)


def first_fit(past: Past, now_us: int, amount: int, width_us: int) -> int | None:
    """The first instant at which the amount fits: a look at each turn of a bucket, each end of a hold."""
    newest_us = now_us - now_us % width_us
    turns = [newest_us + turn * width_us for turn in range(1, 63)]
    ends = [one.ends_us for one in past.open(now_us) if one.ends_us is not None]
    for instant_us in sorted([*turns, *ends]):
        if past.counts(now_us, instant_us, width_us) + amount <= LIMIT:
            return instant_us
    return None


def never_over(past: Past, now_us: int, width_us: int) -> None:
    """A window that holds most begins with something that was admitted."""
    counted = [one for one in past.admitted if one.ends_us is None or now_us < one.ends_us]
    for first in counted:
        until_us = first.at_us + 60 * width_us
        assert sum(one.amount for one in counted if first.at_us <= one.at_us < until_us) <= LIMIT


def test_a_long_day_of_many_callers_is_never_over_in_any_hour(
    control: UsageControl, clock: ManualClock
) -> None:
    """Ten thousand windows of a day in which more was asked for than fits, by its events' instants."""
    seed = 5
    print(f"seed {seed}")  # noqa: T201 - so that a failure replays
    chance = random.Random(seed)
    described(control, limit("ann", 300), limit("org", 2_000, "P1D"))
    refused: list[Any] = []
    for _ in range(600):
        clock.advance(seconds=chance.choice([3, 20, 45, 90, 400]))
        try:
            if chance.random() < 0.5:
                control.consume(**ASK, amount=chance.randint(1, 40))
            else:
                control.reserve(**ASK, amount=40).settle(chance.randint(0, 40))
        except AccessDenied as denied:
            refused.append(denied.decision.retry_at)
            if chance.random() < 0.3:
                clock.set(refused[-1])
    assert len(refused) > 100
    booked = [(one.occurred_at, one.amounts[TOKENS]) for one in control.events()]
    for hours, most in ((1, 300), (24, 2_000)):
        for since, _ in booked:
            until = since + timedelta(hours=hours)
            assert sum(amount for instant, amount in booked if since <= instant < until) <= most
    assert control.verify() == []


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("seed", [1, 2])
def test_threads_are_never_over_in_any_hour(control: UsageControl, clock: ManualClock, seed: int) -> None:
    """Rounds of calls that all begin at once, and between them some seconds or minutes go by."""
    print(f"seed {seed}")  # noqa: T201 - so that a failure replays
    described(control, limit("ann", 200), limit("org", 260))
    denied: list[bool] = []

    def work(round_: int, worker: int) -> None:
        chance = random.Random(f"{seed} {round_} {worker}")
        for _ in range(4):
            who: dict[str, Any] = {**ASK, "resource_ids": [chance.choice(["ann", "bob"])]}
            try:
                if chance.random() < 0.5:
                    control.consume(**who, amount=chance.randint(1, 20))
                else:
                    control.reserve(**who, amount=20, ttl_seconds=3_000).settle(chance.randint(0, 20))
            except AccessDenied:
                denied.append(True)

    for round_ in range(16):
        calls = [lambda worker=worker, round_=round_: work(round_, worker) for worker in range(10)]
        assert at_once(calls) == [None] * 10
        clock.advance(seconds=random.Random(f"{seed} {round_}").choice([1, 20, 59, 600, 1_300]))
    assert len(denied) > 50
    over_in_no_hour(control, {"ann": 200, "org": 260})


def over_in_no_hour(control: UsageControl, limits: dict[str, int]) -> None:
    """By the instants at which it took place, as the ledger has them."""
    booked = [(one.occurred_at, one.resource_ids, one.amounts[TOKENS]) for one in control.events()]
    for name, most in limits.items():
        counted = [(instant, amount) for instant, members, amount in booked if name in members]
        for since, _ in counted:
            assert sum(amount for instant, amount in counted if since <= instant < since + HOUR) <= most
    assert control.verify() == []


class Pausing(ManualClock):
    """A clock that holds up the one thread that it is told to, right after that has read it."""

    def __init__(self, start: datetime) -> None:
        super().__init__(start)
        self.paused: threading.Thread | None = None
        self.has_read, self.goes_on = threading.Event(), threading.Event()

    def now_us(self) -> int:
        read = super().now_us()
        if threading.current_thread() is self.paused and not self.has_read.is_set():
            self.has_read.set()
            assert self.goes_on.wait(30)
        return read


@pytest.mark.parametrize("verb", ["consume", "reserve"])
@pytest.mark.parametrize("paused_seconds", [40, 90, 300, 3_599])
def test_a_call_that_was_paused_after_it_read_the_clock_is_not_over_in_its_hour(
    ledger_path: str, verb: str, paused_seconds: int
) -> None:
    """Another call moves the window on meanwhile; pauses of any length are promised to change nothing."""
    clock = Pausing(NOON + timedelta(seconds=50))
    with UsageControl(ledger_path, clock=clock) as control:
        described(control, limit("ann", 100))
        control.consume(**ASK, amount=90)
        clock.set(NOON + timedelta(minutes=60, seconds=30))  # half a minute later it counts no more

        def late() -> None:
            try:
                if verb == "consume":
                    control.consume(**ASK, amount=50)
                else:
                    control.reserve(**ASK, amount=50).settle()
            except AccessDenied:
                pass  # by its own hour it does not fit

        clock.paused = threading.Thread(target=late)
        clock.paused.start()
        assert clock.has_read.wait(30)
        clock.advance(seconds=paused_seconds)
        control.consume(**ASK, amount=1)
        clock.goes_on.set()
        clock.paused.join(30)
        over_in_no_hour(control, {"ann": 100})


# ------------------------------------------------------------------ holds


def test_a_hold_counts_from_its_reserve_and_leaves_with_its_bucket(
    control: UsageControl, say: Say, clock: ManualClock
) -> None:
    described(control, limit("ann", 100), limit("org", 100))
    held = say("reserve", **ASK, amount=80, ttl_seconds=10_000)
    with pytest.raises(AccessDenied) as denied:
        say("consume", **ASK, amount=21)
    assert denied.value.decision.retry_at == NOON + timedelta(minutes=61)  # before the hold ends
    assert denied.value.decision.remedy.kind is RemedyKind.SHRINK
    clock.set(NOON + timedelta(minutes=61) - ONE_US)
    assert left(control) == [("org", "PT1H", 0, 80, 20), ("ann", "PT1H", 0, 80, 20)]
    clock.set(NOON + timedelta(minutes=61))
    assert left(control) == [("org", "PT1H", 0, 0, 100), ("ann", "PT1H", 0, 0, 100)]
    assert say("consume", **ASK, amount=100).charged == 100
    receipt = say.to(held, "settle", 75)  # booked at noon, which counts no more
    assert receipt.expired is False
    assert left(control) == [("org", "PT1H", 100, 0, 0), ("ann", "PT1H", 100, 0, 0)]
    clock.set(NOON + timedelta(minutes=30))
    assert control.verify() == []


def test_what_a_hold_lets_go_may_be_spent_at_once(
    control: UsageControl, say: Say, clock: ManualClock
) -> None:
    described(control, limit("ann", 100))
    settled, released = (say("reserve", **ASK, amount=50) for _ in range(2))
    clock.advance(seconds=300)
    assert say("check", **ASK, requested_usage=60).retry_at == NOON + timedelta(minutes=10)  # both end
    say.to(settled, "settle", 20)
    assert say("consume", **ASK, amount=30).charged == 30
    say.to(released, "release")
    assert left(control) == [("ann", "PT1H", 50, 0, 50)]
    clock.set(NOON + timedelta(minutes=61))
    assert left(control) == [("ann", "PT1H", 30, 0, 70)]
    assert control.verify() == []


def test_a_hold_may_be_extended_in_what_counts_with_it(
    control: UsageControl, say: Say, clock: ManualClock
) -> None:
    described(control, limit("ann", 100))
    held = say("reserve", **ASK, amount=50, ttl_seconds=7_000)
    clock.advance(seconds=1_800)
    say("consume", **ASK, amount=30)
    with pytest.raises(AccessDenied):
        say.to(held, "extend", 21)
    say.to(held, "extend", 20)
    assert left(control) == [("ann", "PT1H", 30, 70, 0)]
    assert say.to(held, "settle", 70).charged == 70
    clock.set(NOON + timedelta(minutes=61))
    assert left(control) == [("ann", "PT1H", 30, 0, 70)]
    assert control.verify() == []


# ------------------------------------------------------------------ late, and by another clock


def test_late_events_count_by_their_instants(control: UsageControl, say: Say, clock: ManualClock) -> None:
    described(control, limit("ann", 100))
    receipt = say("report", **ASK, amount=40, timestamp=NOON - timedelta(minutes=30))
    assert left(control) == [("ann", "PT1H", 40, 0, 60)]
    assert (receipt.late, receipt.overage) == (False, 0)
    say("report", **ASK, amount=500, timestamp=NOON - timedelta(minutes=61))
    assert left(control) == [("ann", "PT1H", 40, 0, 60)]
    receipt = say("report", **ASK, amount=70, timestamp=NOON - timedelta(minutes=60))  # the last bucket
    assert (receipt.overage, [one.overage for one in receipt.limits]) == (10, [10])
    assert say("check", **ASK, requested_usage=1).retry_at == NOON + timedelta(minutes=1)
    clock.advance(seconds=60)
    assert left(control) == [("ann", "PT1H", 40, 0, 60)]
    say("reverse", next(iter(control.events())).event_id, reason="refund")
    assert left(control) == [("ann", "PT1H", 0, 0, 100)]
    assert control.verify() == []


def test_a_clock_set_back_an_hour_finds_what_counted_then(
    control: UsageControl, say: Say, clock: ManualClock
) -> None:
    described(control, limit("ann", 100), limit("org", 300, "P1D"))
    say("consume", **ASK, amount=60)
    clock.set(NOON + timedelta(minutes=70))
    say("consume", **ASK, amount=90)
    clock.set(NOON + timedelta(minutes=10))
    # What took place ahead counts too: nothing more is admitted than a clock that goes right would.
    used = left(control)[1][2]
    assert used in (60, 150)
    assert not say("check", **ASK, requested_usage=41)
    clock.set(NOON + timedelta(minutes=71))
    assert left(control) == [("org", "P1D", 150, 0, 150), ("ann", "PT1H", 90, 0, 10)]
    assert control.verify() == []


def test_a_clock_set_forward_a_day_finds_all_of_it_free_and_back_again_taken(
    control: UsageControl, say: Say, clock: ManualClock
) -> None:
    described(control, limit("ann", 100), limit("org", 300, "P1D"))
    held = say("reserve", **ASK, amount=30)
    say("consume", **ASK, amount=60)
    clock.set(NOON + timedelta(days=1, hours=1))
    assert left(control) == [("org", "P1D", 0, 0, 300), ("ann", "PT1H", 0, 0, 100)]
    say("consume", **ASK, amount=5)
    clock.set(NOON + timedelta(minutes=1))
    taken = 100 - int(left(control)[1][4])
    assert taken >= 60
    assert not say("check", **ASK, requested_usage=41)
    receipt = say.to(held, "settle", 30)
    assert receipt.charged == 30
    clock.set(NOON + timedelta(minutes=2))
    assert int(left(control)[1][2]) >= 90
    clock.set(NOON + timedelta(days=1, hours=2, minutes=2))
    assert left(control) == [("org", "P1D", 5, 0, 295), ("ann", "PT1H", 0, 0, 100)]
    assert control.verify() == []


# ------------------------------------------------------------------ changed, for some, for a while


def test_a_changed_limit_keeps_what_it_counts(control: UsageControl, say: Say, clock: ManualClock) -> None:
    described(control, limit("ann", 100))
    for minutes, amount in ((0, 50), (30, 40)):
        clock.set(NOON + timedelta(minutes=minutes))
        say("consume", **ASK, amount=amount)
    described(control, limit("ann", 60))
    assert left(control) == [("ann", "PT1H", 90, 0, 0)]
    assert say("check", **ASK, requested_usage=20).retry_at == NOON + timedelta(minutes=61)
    described(control, limit("ann", 200))
    assert say("consume", **ASK, amount=110).charged == 110
    assert not say("check", **ASK, requested_usage=1)
    assert control.verify() == []


def test_a_changed_width_counts_what_there_was(control: UsageControl, say: Say, clock: ManualClock) -> None:
    described(control, limit("ann", 100, id="ann"))
    say("consume", **ASK, amount=50)
    clock.advance(seconds=5_400)
    say("consume", **ASK, amount=20)
    assert left(control) == [("ann", "PT1H", 20, 0, 80)]
    described(control, limit("ann", 100, "PT2H", id="ann"))
    assert left(control) == [("ann", "PT2H", 70, 0, 30)]
    described(control, limit("ann", 100, "day", id="ann", rolling=False))
    assert left(control) == [("ann", "P1D", 70, 0, 30)]
    described(control, limit("ann", 100, id="ann"))
    assert left(control) == [("ann", "PT1H", 20, 0, 80)]
    assert control.verify() == []


def test_a_limit_that_rolls_and_one_that_does_not_stand_side_by_side(
    control: UsageControl, say: Say, clock: ManualClock
) -> None:
    described(control, limit("ann", 50, "day"), limit("ann", 80, "day", rolling=False))
    clock.set(datetime(2026, 1, 15, 23, 50, tzinfo=UTC))
    say("consume", **ASK, amount=50)
    clock.set(datetime(2026, 1, 16, 0, 10, tzinfo=UTC))
    decision = say("check", **ASK, requested_usage=1)
    assert sorted((one.rolling, one.used) for one in decision.limits) == [(False, 0), (True, 50)]
    assert (decision.has_access, decision.binding.rolling) == (False, True)
    assert decision.retry_at == datetime(2026, 1, 16, 23, 36, tzinfo=UTC) + timedelta(minutes=24)


def test_an_override_lifts_a_rolling_limit_for_a_while(
    control: UsageControl, say: Say, clock: ManualClock
) -> None:
    described(control, limit("ann", 50))
    say("consume", **ASK, amount=50)
    control.override_limit(
        "ann", TOKENS, limit=80, cadence="PT1H", since=NOON, until=NOON + timedelta(minutes=30), actor="eve"
    )
    assert say("consume", **ASK, amount=30).charged == 30
    clock.set(NOON + timedelta(minutes=30))
    assert left(control) == [("ann", "PT1H", 80, 0, 0)]
    clock.set(NOON + timedelta(minutes=61))
    assert left(control) == [("ann", "PT1H", 0, 0, 50)]
    assert control.verify() == []


def test_a_scope_rolls_for_what_it_counts(control: UsageControl, say: Say, clock: ManualClock) -> None:
    described(control, limit("ann", 50, scope={"model": "gpt-5"}), limit("ann", 100))
    for model, amount in (("gpt-5", 40), ("small", 30)):
        say("consume", **ASK, amount=amount, dimensions={"model": model})
    assert not say("check", **ASK, requested_usage=11, dimensions={"model": "gpt-5"})
    assert say("check", **ASK, requested_usage=30, dimensions={"model": "small"})
    assert not say("check", **ASK, requested_usage=31, dimensions={"model": "small"})
    clock.set(NOON + timedelta(minutes=30))
    decision = say("check", **ASK, requested_usage=31, dimensions={"model": "gpt-5"})
    assert (decision.remaining, decision.retry_at) == (10, NOON + timedelta(minutes=61))
    clock.set(NOON + timedelta(minutes=61))
    assert say("consume", **ASK, amount=50, dimensions={"model": "gpt-5"}).charged == 50
    assert control.verify() == []


def test_a_template_rolls_for_each_of_its_resources(
    control: UsageControl, say: Say, clock: ManualClock
) -> None:
    template = {
        "resourceTypeId": "user", "where": {"tier": ["A", "B"]}, "creditCurrency": TOKENS,
        "limit": 50, "cadence": "PT1H", "rolling": True,
    }  # fmt: skip
    described(control, template)
    say("consume", **ASK, amount=50)
    assert not say("check", **ASK, requested_usage=1)
    assert say("consume", resource_ids=["bob"], credit_currency=TOKENS, amount=20).charged == 20
    clock.set(NOON + timedelta(minutes=61))
    control.put_resource("cay", resource_type_id="user", parent_resource_id="org", properties={"tier": "A"})
    for who in ("ann", "bob", "cay"):
        assert left(control, who) == [(who, "PT1H", 0, 0, 50)]
    assert control.verify() == []


def test_a_soft_one_denies_nothing_and_counts_all(
    control: UsageControl, say: Say, clock: ManualClock
) -> None:
    described(control, limit("ann", 50, enforcementType="SOFT"))
    receipt = say("consume", **ASK, amount=70)
    assert (receipt.overage, receipt.limits[0].overage) == (20, 20)
    held = say("reserve", **ASK, amount=5)
    assert left(control) == [("ann", "PT1H", 70, 5, 0)]
    decision = say("check", **ASK, requested_usage=1)
    assert (decision.has_access, decision.remaining, decision.limits[0].allowed) == (True, None, False)
    say.to(held, "settle")
    clock.set(NOON + timedelta(minutes=61))
    assert left(control) == [("ann", "PT1H", 0, 0, 50)]
    assert say("consume", **ASK, amount=51).overage == 1
    assert control.verify() == []


@pytest.mark.parametrize("pause", [0, 1_800, 3_659, 3_660, 200_000])
def test_a_control_opened_later_counts_what_still_counts(
    ledger_path: str, clock: ManualClock, pause: int
) -> None:
    counted: Callable[[int], int] = lambda amount: amount if pause < 3_660 else 0  # noqa: E731 - told once
    with UsageControl(ledger_path, clock=clock) as control:
        described(control, limit("ann", 100), limit("org", 500, "P1D"))
        control.consume(**ASK, amount=60)
        control.reserve(**ASK, amount=25, ttl_seconds=3_000)
    clock.advance(seconds=pause)
    with UsageControl(ledger_path, clock=clock) as control:
        held = 25 if pause < 3_000 else 0
        day = 60 if pause < 86_400 else 0
        assert left(control) == [
            ("org", "P1D", day, held, 500 - day - held),
            ("ann", "PT1H", counted(60), held, 100 - counted(60) - held),
        ]
        assert control.verify() == []
        room = 100 - counted(60) - held
        with pytest.raises(AccessDenied) as denied:
            control.consume(**ASK, amount=room + 1)
        if room < 100:
            assert denied.value.decision.retry_at is not None
        assert control.consume(**ASK, amount=room).charged == room
        assert control.verify() == []
