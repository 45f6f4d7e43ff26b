"""A clock that is set back or forward, in company: windows and ends follow it, and no limit is passed."""

import random
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from stiggctl import UsageControl
from stiggctl.testing import ManualClock

from .company import asked_until, insisted
from .test_several import workers
from .troubled import NOON

LIMIT = 100


def model(cadence: str | None = None) -> dict[str, Any]:
    return {
        "resourceTypes": [{"id": "team"}, {"id": "user", "parentResourceTypeId": "team"}],
        "resources": [
            {"id": "team", "resourceTypeId": "team", "customerId": "c"},
            {"id": "user", "resourceTypeId": "user", "parentResourceId": "team"},
        ],
        "allocations": [
            {"resourceId": "team", "creditCurrency": "ai-tokens", "limit": LIMIT, "cadence": cadence}
        ],
    }


def describe(path: Path, cadence: str | None = None) -> None:
    with UsageControl(path, clock=ManualClock(NOON)) as control:
        control.apply(model(cadence))


def by_day(path: Path) -> Counter[Any]:
    """What was booked of what was admitted, of each day."""
    days: Counter[Any] = Counter()
    with UsageControl(path, clock=ManualClock(NOON)) as control:
        assert control.verify() == []
        for event in control.events("c"):
            if not event.expired:
                days[event.occurred_at.date()] += int(event.amounts["ai-tokens"])
    return days


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "usage.db"


def test_each_spends_of_the_window_of_its_own_clock_and_of_none_more_than_its_limit(path: Path) -> None:
    describe(path, "P1D")
    with workers(path, 2, "troubled") as [ahead, other]:
        ahead("set_clock", 13)  # past midnight
        assert ahead("consume", 40) == 40
        assert other("consume", 40) == 40
        assert insisted(ahead, "consume", 61)["denied"] == "BUDGET_EXCEEDED"
        assert insisted(ahead, "consume", 60) == 60
        assert insisted(other, "consume", 60) == 60
        ahead("set_clock", 0)
        other("set_clock", 13)
        for one in (ahead, other):
            assert insisted(one, "consume", 1)["denied"] == "BUDGET_EXCEEDED"
    assert sorted(by_day(path).values()) == [LIMIT, LIMIT]


@pytest.mark.parametrize("seed", range(2))
def test_however_clocks_jump_no_window_admits_more_than_its_limit(path: Path, seed: int) -> None:
    print(f"seed {seed}")  # noqa: T201 - so that a failure replays
    chance = random.Random(seed)
    describe(path, "P1D")
    with workers(path, 3, "troubled") as three:
        holding = [0] * 3
        for _ in range(120):
            at = chance.randrange(3)
            one, choice = three[at], chance.random()
            if choice < 0.3:
                one("set_clock", chance.uniform(-30, 30))
            elif choice < 0.6:
                one("consume", chance.randint(1, 9))
            elif choice < 0.8:
                holding[at] += one("reserve", 9, chance.choice([1, 600, 86_400])) == 9
            elif holding[at]:
                holding[at] -= 1
                assert one("settle_late", chance.randint(1, 9))[0] > 0
    days = by_day(path)
    assert len(days) > 1
    assert max(days.values()) <= LIMIT


def test_what_a_dead_one_held_by_a_clock_far_ahead_is_withheld_no_longer_than_a_ttl(path: Path) -> None:
    """V4: else it would be withheld for a month."""
    describe(path)
    with workers(path, 2, "troubled") as [ahead, other]:
        ahead("set_clock", 30 * 24)
        assert ahead("reserve", 60, 600) == 60
        ahead.end()
        assert insisted(other, "reserve", 41, 60)["denied"] == "BUDGET_EXCEEDED"
        assert insisted(other, "reserve", 40, 60) == 40
        other("set_clock", 599.9 / 3600)
        assert insisted(other, "reserve", 61, 60)["denied"] == "BUDGET_EXCEEDED"
        other("set_clock", 600 / 3600)
        assert insisted(other, "reserve", 100, 60) == 100


def test_a_hold_whose_clock_was_set_back_lasts_longer_and_is_nobody_elses(path: Path) -> None:
    describe(path)
    with workers(path, 2, "troubled") as [back, other]:
        assert back("reserve", 60, 600) == 60
        for one in (back, other):
            one("set_clock", -5)
        assert insisted(other, "reserve", 41, 60)["denied"] == "BUDGET_EXCEEDED"
        other("set_clock", 1)  # to the other it is over; only who has it may end it
        for _ in range(3):
            assert "denied" in other("reserve", 41, 60)
        other("set_clock", -5)
        assert insisted(other, "consume", 40) == 40
        assert back("settle_late", 60) == [60, False, 0]
        assert insisted(other, "consume", 1)["denied"] == "BUDGET_EXCEEDED"
    assert sum(by_day(path).values()) == LIMIT


def test_a_hold_whose_clock_was_set_forward_ends_and_its_settle_is_overage(path: Path) -> None:
    describe(path)
    with workers(path, 2, "troubled") as [forward, other]:
        assert forward("reserve", 60, 600) == 60
        for one in (forward, other):
            one("set_clock", 1)
        assert asked_until(100, other, "consume", 100)
        assert forward("settle_late", 60) == [60, True, 60]
        assert insisted(other, "consume", 1)["denied"] == "BUDGET_EXCEEDED"
    assert sum(by_day(path).values()) == LIMIT


def test_processes_of_a_machine_that_slept_for_longer_than_a_ttl_find_their_holds_ended(path: Path) -> None:
    """All of them stand still, one in the middle of a booking: what they settle then is overage."""
    with UsageControl(path) as control:
        control.apply(model())
    with workers(path, 2) as [one, other], workers(path, 1, "troubled") as [booking]:
        three = (one, other, booking)
        booking("follow_the_system")
        assert one("reserve", 60, 1) == 60
        assert insisted(other, "reserve", 30, 1) == 30
        assert insisted(booking, "consume", 1) == 1
        booking("stop_at", 0)
        booking.begin("consume", 2)
        booking.await_stop()
        for each in (one, other):
            each.send(signal.SIGSTOP)
        time.sleep(1.1)
        for each in three:
            each.send(signal.SIGCONT)
        assert booking.answer() == 2
        # Who held it ends it at its next beat.
        assert asked_until(97, booking, "reserve", 97, 600)
        for each in three:
            assert insisted(each, "reserve", 1, 600)["denied"] == "BUDGET_EXCEEDED"
        assert one("settle_late", 60) == [60, True, 0]
        assert other("settle_late", 40) == [40, True, 3]
        assert booking("settle_late", 97) == [97, False, 97]
    with UsageControl(path) as control:
        assert control.verify() == []
        assert control.tree("team", "ai-tokens").used == 200
        assert sum(event.amounts["ai-tokens"] for event in control.events("c") if not event.expired) == LIMIT
