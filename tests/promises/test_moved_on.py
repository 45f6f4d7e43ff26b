"""What was reserved or happened a while ago is booked into its limits as they are now."""

from datetime import UTC, datetime

from stiggctl import UsageControl
from stiggctl.testing import ManualClock

from .saying import TOKENS, flat

ASK = {"resource_ids": ["ana"], "credit_currency": TOKENS}


def test_a_settle_finds_its_rolling_limit_moved_on(clock: ManualClock) -> None:
    clock.set(datetime(2026, 1, 15, 12, tzinfo=UTC))
    with UsageControl(":memory:", clock=clock) as control:
        control.apply(flat({"ana": None}))
        control.set_allocation(
            resource_id="ana", credit_currency=TOKENS, limit=50, cadence="PT2H", rolling=True
        )
        control.consume(**ASK, amount=30)
        clock.advance(seconds=119 * 60)
        reservation = control.reserve(**ASK, amount=20)
        clock.advance(seconds=4 * 60)
        [limit] = reservation.settle(25).limits
        assert (limit.used, limit.held, limit.overage) == (25, 0, 0)
        assert control.verify() == []


def test_a_late_event_is_held_against_an_override_that_has_begun_since(clock: ManualClock) -> None:
    clock.set(datetime(2026, 1, 15, 10, tzinfo=UTC))
    with UsageControl(":memory:", clock=clock) as control:
        control.apply(flat({"ana": None}))
        control.set_allocation(resource_id="ana", credit_currency=TOKENS, limit=100, cadence="day")
        control.override_limit(
            "ana", TOKENS, limit=20, since="2026-01-15T11:00:00Z", until="2026-01-15T20:00:00Z"
        )
        control.consume(**ASK, amount=1)
        clock.set(datetime(2026, 1, 15, 12, tzinfo=UTC))
        receipt = control.report(
            customer_id="c", **ASK, amount=29, timestamp="2026-01-15T10:30:00Z", event_name="e"
        )
        [limit] = receipt.limits
        assert (limit.limit, limit.used, limit.overage, receipt.overage) == (20, 30, 10, 10)
