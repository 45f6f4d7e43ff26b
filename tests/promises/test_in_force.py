"""Limits that begin and end: what took place beside them counts in their window all the same."""

from datetime import UTC, datetime

from stiggctl import UsageControl
from stiggctl.testing import ManualClock

from .saying import Say
from .test_scopes import SEATS, spent, template
from .test_windows import ASK, described, limit


def hour(of_day: int, minute: int = 0) -> datetime:
    return datetime(2026, 1, 15, of_day, minute, tzinfo=UTC)


def test_a_limit_that_ended_goes_on_counting_its_window(
    control: UsageControl, say: Say, clock: ManualClock
) -> None:
    """It is not looked at; and were it in force again, it would have counted all."""
    described(control, limit("ann", 100, id="until-one", expiresAt="2026-01-15T13:00:00Z"))
    say("consume", **ASK, amount=60)
    clock.set(hour(13))
    receipt = say("consume", **ASK, amount=500)
    assert (receipt.overage, receipt.limits) == (0, ())
    assert say("check", **ASK, requested_usage=1).limits == ()
    assert control.verify() == []
    described(control, limit("ann", 1_000, id="until-one", expiresAt="2026-01-15T15:00:00Z"))
    assert spent(control) == {"until-one": (560, 440)}
    assert control.verify() == []


def test_a_late_event_from_before_a_limit_was_in_force_counts_in_its_window(
    control: UsageControl, say: Say, clock: ManualClock
) -> None:
    described(control, limit("ann", 100, id="from-one", cadence="day", effectiveAt="2026-01-15T13:00:00Z"))
    clock.set(hour(14))
    say("consume", **ASK, amount=10)
    receipt = say("report", **ASK, amount=95, timestamp=hour(12, 30))
    assert [(one.used, one.overage) for one in receipt.limits] == [(105, 5)]
    assert spent(control) == {"from-one": (105, 0)}
    assert control.verify() == []


def test_a_template_goes_on_counting_while_an_own_limit_is_in_its_place(
    control: UsageControl, say: Say, clock: ManualClock
) -> None:
    described(
        control,
        template(200, id="seat", cadence="day"),
        limit("ann", 500, id="hers", cadence="day", effectiveAt=hour(13), expiresAt=hour(14)),
        **SEATS,
    )
    say("consume", **ASK, amount=150)
    clock.set(hour(13))
    assert spent(control) == {"hers": (150, 350)}
    say("consume", **ASK, amount=300)
    clock.set(hour(14))
    assert spent(control) == {"seat": (450, 0)}
    # Its window lasts still: it is held against the limit of now, whenever it took place.
    assert say("report", **ASK, amount=1, timestamp=hour(13, 30)).overage == 1
    assert spent(control) == {"seat": (451, 0)}
    assert control.verify() == []
