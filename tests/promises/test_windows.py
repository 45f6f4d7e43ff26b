"""Windows: a limit counts from when to when; it turns by itself, for late events and late settles too."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from stiggctl import AccessDenied, RemedyKind, UsageControl
from stiggctl.decision.paths import BRANCHES_KEPT
from stiggctl.testing import ManualClock

from .saying import TOKENS, Say

CUSTOMER = "acme"
ASK: dict[str, Any] = {"resource_ids": ["ann"], "credit_currency": TOKENS}
TREE = {
    "customers": [{"id": CUSTOMER}],
    "resourceTypes": [{"id": "org"}, {"id": "user", "parentResourceTypeId": "org"}],
    "resources": [
        {"id": "org", "resourceTypeId": "org"},
        {"id": "ann", "resourceTypeId": "user", "parentResourceId": "org"},
        {"id": "bob", "resourceTypeId": "user", "parentResourceId": "org"},
    ],
}


def limit(resource: str, amount: int, **terms: object) -> dict[str, object]:
    return {"resourceId": resource, "creditCurrency": TOKENS, "limit": amount, **terms}


def described(control: UsageControl, *limits: dict[str, object], **lists: object) -> None:
    control.apply({**TREE, "allocations": list(limits), **lists})


def left(control: UsageControl, resource: str = "ann", **asked: object) -> list[tuple[Any, ...]]:
    """(resource, cadence, used, held, remaining) of each limit."""
    decision = control.check(resource_ids=[resource], credit_currency=TOKENS, requested_usage=0, **asked)
    return [(one.resource_id, one.cadence, one.used, one.held, one.remaining) for one in decision.limits]


def test_a_window_turns_by_itself(control: UsageControl, say: Say, clock: ManualClock) -> None:
    """No reset job: the next call after midnight is in the next day."""
    described(control, limit("ann", 200, cadence="day"))
    assert say("consume", **ASK, amount=200).charged == 200
    decision = say("check", **ASK, requested_usage=1)
    assert not decision.has_access
    midnight = datetime(2026, 1, 16, tzinfo=UTC)
    assert (decision.retry_at, decision.remedy.kind) == (midnight, RemedyKind.WAIT)
    assert (decision.binding.window_start, decision.binding.window_end) == (
        datetime(2026, 1, 15, tzinfo=UTC),
        midnight,
    )
    clock.set(midnight - timedelta(microseconds=1))
    assert not say("check", **ASK, requested_usage=1).has_access
    clock.set(midnight)
    assert say("consume", **ASK, amount=200).charged == 200
    assert left(control) == [("ann", "P1D", 200, 0, 0)]
    assert control.verify() == []


def test_a_window_is_that_of_the_zone(control: UsageControl, say: Say, clock: ManualClock) -> None:
    """Amsterdam's day begins at 23:00 UTC in winter, and has 23 hours when the clocks go forward."""
    described(control, limit("ann", 200, cadence="P1D", timezone="Europe/Amsterdam"))
    found = say("check", **ASK, requested_usage=1).limits[0]
    assert (found.window_start, found.window_end) == (
        datetime(2026, 1, 14, 23, tzinfo=UTC),
        datetime(2026, 1, 15, 23, tzinfo=UTC),
    )
    clock.set(datetime(2026, 3, 29, 12, tzinfo=UTC))
    found = say("check", **ASK, requested_usage=1).limits[0]
    assert found.window_end - found.window_start == timedelta(hours=23)


def test_limits_of_several_cadences_count_at_once(
    control: UsageControl, say: Say, clock: ManualClock
) -> None:
    described(
        control,
        limit("ann", 100, cadence="day"),
        limit("ann", 250, cadence="month"),
        limit("org", 1_000),
    )
    for day in (15, 16):
        clock.set(datetime(2026, 1, day, 12, tzinfo=UTC))
        say("consume", **ASK, amount=100)
    clock.set(datetime(2026, 1, 17, 12, tzinfo=UTC))
    with pytest.raises(AccessDenied) as denied:
        say("consume", **ASK, amount=60)
    decision = denied.value.decision
    assert (decision.binding.cadence, decision.remaining) == ("P1M", 50)
    assert left(control) == [
        ("org", None, 200, 0, 800),
        ("ann", "P1D", 0, 0, 100),
        ("ann", "P1M", 200, 0, 50),
    ]
    assert decision.retry_at == datetime(2026, 2, 1, tzinfo=UTC)
    assert control.verify() == []


def test_anchored_windows_are_counted_from_their_anchor(
    control: UsageControl, say: Say, clock: ManualClock
) -> None:
    described(control, limit("ann", 100, cadence="month", anchor="2025-10-31T00:00:00Z"))
    clock.set(datetime(2026, 2, 28, tzinfo=UTC))
    found = say("check", **ASK, requested_usage=1).limits[0]
    assert (found.window_start, found.window_end) == (
        datetime(2026, 2, 28, tzinfo=UTC),
        datetime(2026, 3, 31, tzinfo=UTC),
    )


def test_a_late_event_counts_where_it_happened(control: UsageControl, say: Say, clock: ManualClock) -> None:
    described(control, limit("ann", 100, cadence="day"), limit("org", 1_000, cadence="month"))
    say("consume", **ASK, amount=30)
    clock.set(datetime(2026, 1, 16, 9, tzinfo=UTC))
    say("consume", **ASK, amount=5)
    receipt = say("report", **ASK, amount=90, timestamp="2026-01-15T23:59:59Z")
    assert (receipt.late, receipt.overage) == (True, 20)
    assert [(one.cadence, one.used, one.overage) for one in receipt.limits] == [
        ("P1M", 125, 0),
        ("P1D", 120, 20),
    ]
    assert left(control) == [("org", "P1M", 125, 0, 875), ("ann", "P1D", 5, 0, 95)]
    assert not say("report", **ASK, amount=1).late
    assert control.verify() == []


def test_an_event_is_late_from_the_very_end_of_its_window(
    control: UsageControl, say: Say, clock: ManualClock
) -> None:
    described(control, limit("ann", 100, cadence="day"))
    last = datetime(2026, 1, 15, 23, 59, 59, 999_999, tzinfo=UTC)
    clock.set(last)
    assert not say("report", **ASK, amount=1, timestamp=last).late
    clock.advance(seconds=0.000001)
    assert say("report", **ASK, amount=1, timestamp=last).late


def test_late_events_find_what_is_held_in_their_window(
    control: UsageControl, say: Say, clock: ManualClock
) -> None:
    """A cell lies in one place (C5): what is booked late beside a hold takes nothing of it."""
    described(control, limit("ann", 100, cadence="hour"))
    held = say("reserve", **ASK, amount=60, ttl_seconds=7_200)
    clock.advance(seconds=3_600)
    assert say("check", **ASK, requested_usage=100).has_access  # in the next window
    receipt = say("report", **ASK, amount=30, timestamp="2026-01-15T12:30:00Z")
    assert [(one.used, one.held) for one in receipt.limits] == [(30, 60)]
    receipt = say("report", **ASK, amount=5, timestamp="2026-01-15T12:40:00Z")
    assert [(one.used, one.held) for one in receipt.limits] == [(35, 60)]
    with pytest.raises(AccessDenied):
        say.to(held, "extend", 6)
    say.to(held, "extend", 5)
    receipt = say.to(held, "settle", 65)
    assert [(one.used, one.held, one.overage) for one in receipt.limits] == [(100, 0, 0)]
    assert control.verify() == []


def test_an_event_of_a_window_nobody_was_in_counts_there(
    control: UsageControl, say: Say, clock: ManualClock
) -> None:
    described(control, limit("ann", 100, cadence="day"))
    receipt = say("report", **ASK, amount=40, timestamp="2025-12-24T18:00:00Z")
    assert (receipt.late, receipt.limits[0].used) == (True, 40)
    assert receipt.limits[0].window_start == datetime(2025, 12, 24, tzinfo=UTC)
    assert left(control) == [("ann", "P1D", 0, 0, 100)]
    assert say("report", **ASK, amount=7, timestamp="2025-12-24T18:00:00Z").limits[0].used == 47
    assert control.verify() == []


def test_a_settle_counts_in_the_window_of_its_reserve(
    control: UsageControl, say: Say, clock: ManualClock
) -> None:
    described(control, limit("ann", 100, cadence="day"), limit("org", 1_000))
    clock.set(datetime(2026, 1, 15, 23, 59, 59, tzinfo=UTC))
    held = say("reserve", **ASK, amount=80)
    clock.set(datetime(2026, 1, 16, 0, 0, 1, tzinfo=UTC))
    assert say("consume", **ASK, amount=100).charged == 100  # yesterday's hold takes nothing of today
    receipt = say.to(held, "settle", 60)
    assert receipt.late
    assert [(one.resource_id, one.used) for one in receipt.limits] == [("org", 160), ("ann", 60)]
    assert left(control) == [("org", None, 160, 0, 840), ("ann", "P1D", 100, 0, 0)]
    assert control.verify() == []


def test_what_is_held_over_a_turn_is_released_where_it_was(
    control: UsageControl, say: Say, clock: ManualClock
) -> None:
    described(control, limit("ann", 100, cadence="day"), limit("org", 120))
    clock.set(datetime(2026, 1, 15, 23, 59, 59, tzinfo=UTC))
    held = say("reserve", **ASK, amount=80)
    clock.set(datetime(2026, 1, 16, 0, 0, 1, tzinfo=UTC))
    assert left(control) == [("org", None, 0, 80, 40), ("ann", "P1D", 0, 0, 100)]
    say.to(held, "extend", 20)  # in its own window there is room for twenty more
    with pytest.raises(AccessDenied):
        say.to(held, "extend", 1)
    say.to(held, "release")
    assert left(control) == [("org", None, 0, 0, 120), ("ann", "P1D", 0, 0, 100)]
    assert say("consume", **ASK, amount=100).charged == 100
    assert control.verify() == []


def test_a_clock_that_is_set_back_finds_the_old_window_as_it_was(
    control: UsageControl, say: Say, clock: ManualClock
) -> None:
    described(control, limit("org", 100, cadence="day"))
    say("consume", **ASK, amount=60)
    clock.set(datetime(2026, 1, 16, 1, tzinfo=UTC))
    say("consume", **ASK, amount=10)
    clock.set(datetime(2026, 1, 15, 13, tzinfo=UTC))
    assert left(control) == [("org", "P1D", 60, 0, 40)]
    with pytest.raises(AccessDenied):
        say("consume", **ASK, amount=41)
    say("consume", **ASK, amount=40)
    clock.set(datetime(2026, 1, 16, 2, tzinfo=UTC))
    assert left(control) == [("org", "P1D", 10, 0, 90)]
    assert control.verify() == []


def test_a_limit_in_force_for_a_while_limits_for_that_while(
    control: UsageControl, say: Say, clock: ManualClock
) -> None:
    begins, ends = "2026-01-15T13:00:00Z", "2026-01-15T14:00:00Z"
    described(control, limit("ann", 10, effectiveAt=begins, expiresAt=ends))
    assert say("check", **ASK, requested_usage=11).limits == ()
    clock.set(datetime(2026, 1, 15, 13, tzinfo=UTC))
    decision = say("check", **ASK, requested_usage=11)
    assert (decision.has_access, decision.retry_at) == (False, datetime(2026, 1, 15, 14, tzinfo=UTC))
    clock.set(datetime(2026, 1, 15, 14, tzinfo=UTC))
    assert say("consume", **ASK, amount=11).limits == ()
    assert control.verify() == []


def test_a_changed_cadence_counts_what_there_was(control: UsageControl, say: Say, clock: ManualClock) -> None:
    """An allocation with an id is the same one: what it counts is derived again from the events."""
    described(control, limit("ann", 100, id="ann", cadence="day"))
    say("consume", **ASK, amount=30)
    clock.set(datetime(2026, 1, 16, 12, tzinfo=UTC))
    say("consume", **ASK, amount=50)
    described(control, limit("ann", 100, id="ann", cadence="week"))
    assert left(control) == [("ann", "P1W", 80, 0, 20)]
    described(control, limit("ann", 100, id="ann", cadence="day", timezone="Asia/Tokyo"))
    assert left(control) == [("ann", "P1D", 50, 0, 50)]  # Tokyo's 16th began at 15:00 UTC of the 15th
    assert control.verify() == []


def test_a_control_opened_later_finds_each_window_as_it_was(ledger_path: str, clock: ManualClock) -> None:
    with UsageControl(ledger_path, clock=clock) as control:
        described(control, limit("ann", 100, cadence="day"), limit("org", 500, cadence="hour"))
        control.consume(**ASK, amount=60)
        held = control.reserve(**ASK, amount=25, ttl_seconds=7_200)
        assert held.amount == 25
    with UsageControl(ledger_path, clock=clock) as control:
        assert left(control) == [("org", "PT1H", 60, 25, 415), ("ann", "P1D", 60, 25, 15)]
        clock.set(datetime(2026, 1, 15, 13, tzinfo=UTC))
        assert left(control) == [("org", "PT1H", 0, 0, 500), ("ann", "P1D", 60, 25, 15)]
        clock.set(datetime(2026, 1, 15, 14, tzinfo=UTC))
        assert left(control) == [("org", "PT1H", 0, 0, 500), ("ann", "P1D", 60, 0, 40)]


def test_a_thousand_turns_keep_the_memory(control: UsageControl, clock: ManualClock) -> None:
    """A window that is over leaves memory when nothing is held in it."""
    described(control, limit("ann", 100, cadence="hour"), limit("org", 10**6, cadence="hour"))
    sizes = []
    for turn in range(1_000):
        control.consume(**ASK, amount=100)
        held = control.reserve(resource_ids=["bob"], credit_currency=TOKENS, amount=1, ttl_seconds=7_200)
        clock.advance(seconds=3_600)
        held.settle()
        if turn % 10 == 9:
            control._holder.keeper.beat(clock.now_us())
            stripe = control._holder.stripes[CUSTOMER]
            strand = stripe.strands[TOKENS]
            sizes.append((len(stripe.numbers), len(stripe.loose)))
            assert len(strand.branches) <= 2 * BRANCHES_KEPT
    assert max(sizes[10:]) <= max(sizes[:10])
    assert control.verify() == []
