"""Between a batch made ready and its reply a window turns, and what was under way lies elsewhere."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from stiggctl import AccessDenied, UsageControl
from stiggctl.testing import ManualClock

from .faulty import ANN, Faulty, make_faulty


def apart(work: Callable[[], object]) -> None:
    """Do it in another thread: this one may be in the middle of an exchange."""
    thread = threading.Thread(target=work)
    thread.start()
    thread.join(20)
    assert not thread.is_alive()


def turning(control: UsageControl, clock: ManualClock, **hourly: Any) -> Faulty:
    """ann has a limit by the day and one by the hour; the hour is about to turn."""
    clock.set(datetime(2026, 1, 15, 12, 59, 59, tzinfo=UTC))
    faulty = make_faulty(control)
    control.set_allocation(resource_id="ann", credit_currency="t", limit=1_000)
    control.set_allocation(resource_id="ann", credit_currency="t", limit=100, cadence="day")
    control.set_allocation(resource_id="ann", credit_currency="t", cadence="hour", **hourly)
    control.consume(**ANN, amount=1)

    def turn() -> None:
        clock.set(datetime(2026, 1, 15, 13, tzinfo=UTC))
        apart(lambda: control.check(**ANN, requested_usage=0))  # what it lacks would wait for this exchange

    faulty.before.append(turn)
    return faulty


def day(control: UsageControl) -> tuple[Any, Any]:
    [limit] = [one for one in control.check(**ANN).limits if one.cadence == "P1D"]
    return limit.used, limit.remaining


def test_what_one_booking_spent_is_known_though_another_spent_nothing_there(
    control: UsageControl, clock: ManualClock
) -> None:
    turning(control, clock, limit=90, enforcement_type="SOFT")
    event = {"customerId": "acme", "resourceIds": ["ann"], "creditCurrency": "t"}
    late = {**event, "amount": 1, "timestamp": "2026-01-10T10:00:00Z"}
    control.report_many([{**event, "amount": 50}, {**event, "amount": 0}, late])
    assert day(control) == (51, 49)
    with pytest.raises(AccessDenied) as denied:
        control.reserve(**ANN, amount=90)
    assert denied.value.decision.remaining == 49
    control.reserve(**ANN, amount=49).settle()
    assert control.verify() == []


def test_what_was_booked_where_nothing_is_spent_is_known(control: UsageControl, clock: ManualClock) -> None:
    """Of a SOFT limit a booking spends nothing, and of one that is exhausted."""
    turning(control, clock, limit=10, enforcement_type="SOFT")
    control.report(customer_id="acme", event_name="e", **ANN, amount=150)
    assert day(control) == (151, 0)
    assert not control.check(**ANN, requested_usage=0)


def test_room_that_others_took_meanwhile_is_asked_for_again_by_an_extension(
    control: UsageControl, clock: ManualClock
) -> None:
    """As a reserve does: one that loses a race is not denied what fits."""
    del clock
    faulty = make_faulty(control)
    reservation = control.reserve(**ANN, amount=10)
    control.set_allocation(resource_id="ann", credit_currency="t", limit=90)  # what is spare is given back
    raced: list[int] = []

    def change() -> None:
        """Before what was drawn is held, the model is another."""
        raced.append(1)
        control._holder.stripes["acme"].restamp()

    faulty.after.extend([change, change])
    reservation.extend(80)
    assert len(raced) == 2
    assert reservation.amount == 90
    assert control.verify() == []


def test_what_was_granted_under_a_higher_limit_is_not_spent_under_a_lower_one(
    control: UsageControl, clock: ManualClock
) -> None:
    """The clock is set back into a window that had been left, and whose limit was lowered since."""
    clock.set(datetime(2026, 1, 15, 12, 59, 50, tzinfo=UTC))
    control.set_allocation(resource_id="ann", credit_currency="t", limit=300, cadence="hour")
    control.remove_allocation(resource_id="ann", credit_currency="t")
    control.consume(**ANN, amount=1)
    clock.set(datetime(2026, 1, 15, 13, tzinfo=UTC))
    control.consume(**ANN, amount=1)
    control.set_allocation(resource_id="ann", credit_currency="t", limit=20, cadence="hour")
    clock.set(datetime(2026, 1, 15, 12, 59, 55, tzinfo=UTC))
    decision = control.check(**ANN, requested_usage=20)
    assert (decision.has_access, decision.remaining) == (False, 19)
