"""Credits and rolling windows where one thing changes under another: what a review found, and more."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from stiggctl import AccessDenied, UsageControl
from stiggctl.testing import ManualClock

from .saying import TOKENS, flat

ASK: dict[str, Any] = {"resource_ids": ["ana"], "credit_currency": TOKENS}
START = datetime(2026, 3, 2, 10, tzinfo=UTC)


@pytest.fixture
def noon(clock: ManualClock) -> ManualClock:
    clock.set(START)
    return clock


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "usage.db"


@pytest.fixture
def control(path: Path, noon: ManualClock) -> Any:
    with UsageControl(path, clock=noon) as control:
        control.apply({**flat({"ana": None}), "creditCurrencies": [{"id": TOKENS}]})
        yield control


def grant(control: UsageControl, grant_id: str, amount: int, **more: Any) -> None:
    control.grant_credits(customer_id="c", credit_currency=TOKENS, grant_id=grant_id, amount=amount, **more)


def test_a_reversal_comes_back_in_the_window_that_paid(control: UsageControl, noon: ManualClock) -> None:
    """Also where the grant begins later by now."""
    grant(control, "daily", 100, cadence="day")
    event = control.consume(**ASK, amount=80).event_id
    noon.advance(seconds=2 * 86_400)
    grant(control, "daily", 100, cadence="day", effective_at="2026-03-04T00:00:00Z")
    control.reverse(event, reason="refund")
    assert control.check(**ASK, requested_usage=100).remaining == 100
    assert control.verify() == []


@pytest.mark.parametrize("held", [0, 60, 100])
def test_credits_that_come_during_a_call_are_there_for_the_rest_of_it(
    control: UsageControl, held: int
) -> None:
    grant(control, "first", 100)
    reservation = control.reserve(**ASK, amount=held)
    grant(control, "topped-up", 100)
    reservation.extend(190 - held)
    assert reservation.amount == 190
    assert reservation.settle(195).paid_by == {"first": 100, "topped-up": 95}
    assert control.verify() == []


def test_a_stream_goes_on_with_credits_that_come_while_it_flows(control: UsageControl) -> None:
    grant(control, "first", 10)
    with control.guard(**ASK, estimate=5) as call:
        for number in call.stream(range(30), amount=lambda _: 1):
            if number == 4:
                grant(control, "topped-up", 100)
    [first, second] = control.grants()
    assert (first.used, second.used) == (10, 20)


def rolling(control: UsageControl) -> None:
    control.set_allocation(resource_id="ana", credit_currency=TOKENS, limit=100, cadence="hour", rolling=True)


def test_for_whoever_looks_a_hold_leaves_a_rolling_limit_with_its_bucket(
    control: UsageControl, path: Path, noon: ManualClock
) -> None:
    """The tree, a process that holds nothing, and the one that comes after."""
    rolling(control)
    reservation = control.reserve(**ASK, amount=60, ttl_seconds=86_400)
    [limit] = control.tree("ana", TOKENS).limits
    assert (limit.held, limit.remaining) == (60, 40)
    noon.advance(seconds=61 * 60)
    [limit] = control.tree("ana", TOKENS).limits
    assert (limit.held, limit.remaining) == (0, 100)
    with UsageControl(path, clock=noon) as other:
        assert other.check(**ASK, requested_usage=100).has_access
    assert control.check(**ASK, requested_usage=100).has_access
    del reservation
    control.close()
    with UsageControl(path, clock=noon) as later:
        assert later.consume(**ASK, amount=100).charged == 100
        assert later.verify() == []


def test_a_denial_tells_when_by_what_is_in_the_window_now(control: UsageControl, noon: ManualClock) -> None:
    rolling(control)
    event = control.consume(**ASK, amount=100).event_id
    assert control.check(**ASK).retry_at == datetime(2026, 3, 2, 11, 1, tzinfo=UTC)
    control.reverse(event, reason="refund")
    noon.advance(seconds=1_800)
    control.reserve(**ASK, amount=100, ttl_seconds=600)
    assert control.check(**ASK).retry_at == datetime(2026, 3, 2, 10, 40, tzinfo=UTC)


def test_a_request_waits_for_a_hold_and_for_a_grant_that_recurs(control: UsageControl) -> None:
    grant(control, "paid", 60)
    control.reserve(**ASK, amount=60, ttl_seconds=3 * 3_600)
    grant(control, "hourly", 50, cadence="hour", priority=1)
    control.consume(**ASK, amount=50)
    denial = control.check(**ASK, requested_usage=100)
    assert denial.retry_at == datetime(2026, 3, 2, 13, tzinfo=UTC)
    assert denial.access_denied_reason == "INSUFFICIENT_CREDITS"


def test_what_no_grant_pays_is_said_of_the_currency_that_it_is_of(control: UsageControl) -> None:
    """Also in its reversal, when the other currency has a pool by then."""
    control.apply({"creditCurrencies": [{"id": "usd", "decimals": 2}]})
    grant(control, "over", 10, expires_at="2026-03-01T00:00:00Z")
    receipt = control.report(
        customer_id="c", event_name="e", resource_ids=["ana"], amounts={TOKENS: 5, "usd": "1"}
    )
    assert (receipt.unbacked, receipt.overage) == (True, 5)
    control.grant_credits(customer_id="c", credit_currency="usd", grant_id="usd", amount=10)
    back = control.reverse(receipt.event_id, reason="refund")
    assert {limit.credit_currency: limit.overage for limit in back.limits} == {TOKENS: -5, "usd": None}
    assert control.verify() == []


def test_of_a_grant_that_was_voided_its_last_window_is_told(control: UsageControl, noon: ManualClock) -> None:
    grant(control, "daily", 30, cadence="day")
    control.consume(**ASK, amount=7)
    control.void_grant("daily")
    noon.advance(seconds=3 * 86_400)
    [one] = control.grants()
    assert (one.status, one.used, one.remaining, one.window_start) == (
        "VOIDED",
        7,
        0,
        datetime(2026, 3, 2, tzinfo=UTC),
    )


def test_a_report_is_paid_by_what_a_hold_has_just_let_go(control: UsageControl, noon: ManualClock) -> None:
    grant(control, "first", 5, priority=1)
    grant(control, "second", 100)
    control.reserve(**ASK, amount=5, ttl_seconds=60)
    noon.advance(seconds=60)
    receipt = control.report(customer_id="c", event_name="e", **ASK, amount=7)
    assert receipt.paid_by == {"first": 5, "second": 2}


# ------------------------------------------------------------------ overrides in time


def daily(control: UsageControl) -> None:
    control.set_allocation(resource_id="ana", credit_currency=TOKENS, limit=100, cadence="day")


def test_an_override_from_now_on_wins_over_one_that_began_before(
    control: UsageControl, noon: ManualClock
) -> None:
    daily(control)
    control.override_limit(
        "ana", TOKENS, limit=150, since="2026-03-02T09:00:00Z", until="2026-03-09T00:00:00Z"
    )
    noon.advance(seconds=60)
    control.override_limit("ana", TOKENS, limit=500, until="2026-03-02T18:00:00Z")
    assert control.check(**ASK).remaining == 500
    noon.set(datetime(2026, 3, 2, 18, tzinfo=UTC))
    assert control.check(**ASK).remaining == 150


def test_an_override_from_now_on_says_nothing_of_yesterday(control: UsageControl) -> None:
    daily(control)
    yesterday = {"customer_id": "c", "event_name": "e", "timestamp": "2026-03-01T12:00:00Z", **ASK}
    control.override_limit("ana", TOKENS, limit=500, until="2026-03-02T18:00:00Z")
    receipt = control.report(**yesterday, amount=110)
    assert (receipt.limits[0].limit, receipt.overage) == (100, 10)
    control.remove_override("ana", TOKENS)
    assert control.report(**yesterday, amount=5).overage == 5


@pytest.mark.parametrize(
    ("override", "used", "asked", "retry_at"),
    [
        ({"limit": 10, "until": "2026-03-02T14:00:00Z"}, 0, 50, datetime(2026, 3, 2, 14, tzinfo=UTC)),
        ({"limit": 0, "until": "2026-03-02T14:00:00Z"}, 0, 50, datetime(2026, 3, 2, 14, tzinfo=UTC)),
        ({"limit": 500, "until": "2026-03-02T14:00:00Z"}, 200, 450, None),
        ({"limit": 500, "until": "2026-03-05T14:00:00Z"}, 200, 450, datetime(2026, 3, 3, tzinfo=UTC)),
        (
            {"limit": 500, "since": "2026-03-02T13:00:00Z", "until": "2026-03-04T00:00:00Z"},
            100,
            150,
            datetime(2026, 3, 2, 13, tzinfo=UTC),
        ),
    ],
)
def test_a_denial_knows_when_its_limit_is_another(
    control: UsageControl,
    noon: ManualClock,
    override: dict[str, Any],
    used: int,
    asked: int,
    retry_at: datetime | None,
) -> None:
    daily(control)
    control.override_limit("ana", TOKENS, **override)
    if used:
        control.consume(**ASK, amount=used)
    denial = control.check(**ASK, requested_usage=asked)
    assert (denial.has_access, denial.retry_at) == (False, retry_at)
    if retry_at is not None:
        noon.set(retry_at)
        assert control.check(**ASK, requested_usage=asked).has_access


def test_a_cell_has_one_limit_whoever_asks_for_it(control: UsageControl, noon: ManualClock) -> None:
    """What took place before a limit came into force is booked into the window that lasts now."""
    noon.set(datetime(2026, 3, 2, 11, tzinfo=UTC))
    control.set_allocation(
        resource_id="ana",
        credit_currency=TOKENS,
        limit=100,
        cadence="day",
        effective_at="2026-03-02T12:00:00Z",
    )
    noon.set(datetime(2026, 3, 2, 13, tzinfo=UTC))
    control.consume(**ASK, amount=90)
    late = control.report(customer_id="c", event_name="e", **ASK, amount=15, timestamp="2026-03-02T11:30:00Z")
    assert late.overage == 5
    assert control.report(customer_id="c", event_name="e", **ASK, amount=50).overage == 50


def test_what_cannot_grow_in_one_currency_takes_nothing_of_anothers_credits(control: UsageControl) -> None:
    """It is all or none: the room of the grants is whole afterwards."""
    control.apply({"creditCurrencies": [{"id": TOKENS}, {"id": "usd"}]})
    control.set_allocation(resource_id="ana", credit_currency="usd", limit=10, customer_id="c")
    grant(control, "first", 100)
    reservation = control.reserve(resource_ids=["ana"], amounts={TOKENS: 10, "usd": 5})
    for _ in range(2):
        with pytest.raises(AccessDenied):
            reservation.extend(amounts={TOKENS: 60, "usd": 6})
    assert reservation.amounts == {TOKENS: 10, "usd": 5}
    assert control.check(**ASK, requested_usage=90)
    other = control.reserve(**ASK, amount=90)
    assert reservation.settle(amounts={TOKENS: 10, "usd": 5}).paid_by == {"first": 10}
    assert other.settle(90).paid_by == {"first": 90}
    assert control.verify() == []
