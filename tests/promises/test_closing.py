"""Closing and opening again: what was booked is there, what was held is withheld to its end."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from stiggctl import ControlClosed, InvalidRequest, UsageControl
from stiggctl.testing import ManualClock

from .saying import ACME, TOKENS, Face, Say, event_ids, flat, numbers

USER: dict[str, Any] = {"resource_ids": ["user-01"], "credit_currency": TOKENS}
REPORT: dict[str, Any] = {"customer_id": "c", "event_name": "e", "resource_ids": ["a"], "amount": 1}


def test_what_was_used_is_there_after_reopening(
    acme: UsageControl, say: Say, ledger_path: str, clock: ManualClock
) -> None:
    say("consume", **USER, amount=30)
    say.to(say("reserve", **USER, amount=30), "settle", 12)
    acme.close()
    with UsageControl(ledger_path, clock=clock) as reopened:
        assert numbers(reopened, "user-01")["user-01"] == (42, 0, 158)
        assert len(event_ids(reopened)) == 2
        assert list(reopened.verify()) == []
        assert Say(reopened, say.face)("consume", **USER, amount=158).charged == 158


def test_open_reservations_stay_withheld_until_they_end(
    acme: UsageControl, say: Say, ledger_path: str, clock: ManualClock
) -> None:
    first = say("reserve", **USER, amount=75, ttl_seconds=60)
    second = say("reserve", **USER, amount=25, ttl_seconds=120)
    acme.close()
    with UsageControl(ledger_path, clock=clock) as reopened:
        again = Say(reopened, say.face)
        assert numbers(reopened, "user-01")["user-01"] == (0, 100, 100)
        denied = again("check", **USER, requested_usage=101)
        assert denied.retry_at == first.expires_at
        assert again("check", **USER, requested_usage=176).retry_at == second.expires_at
        again("consume", **USER, amount=1)  # a holder now, and still
        assert numbers(reopened, "user-01")["user-01"] == (1, 100, 99)
        clock.set(first.expires_at - timedelta(microseconds=1))
        assert numbers(reopened, "user-01")["user-01"] == (1, 100, 99)
        clock.set(first.expires_at)
        assert numbers(reopened, "user-01")["user-01"] == (1, 25, 174)
        clock.set(second.expires_at)
        assert again("consume", **USER, amount=199).charged == 199
        assert list(reopened.reservations()) == []


def test_after_close_everything_says_so(acme: UsageControl, say: Say) -> None:
    # H3
    reservation = say("reserve", **USER, amount=75)
    acme.close()
    for verb, asked in (
        ("check", USER),
        ("reserve", USER | {"amount": 1}),
        ("consume", USER | {"amount": 1}),
        ("report", {"customer_id": ACME, "event_name": "e", **USER, "amount": 1}),
    ):
        with pytest.raises(ControlClosed):
            say(verb, **asked)
    with pytest.raises(ControlClosed):
        say("report_many", [{"customerId": ACME, "eventName": "e"}])
    for verb, given in (("settle", (61,)), ("release", ()), ("extend", (1,))):
        with pytest.raises(ControlClosed):
            say.to(reservation, verb, *given)
    with pytest.raises(ControlClosed):
        acme.apply({})
    with pytest.raises(ControlClosed):
        acme.tree("org-acme", TOKENS)


def test_closing_twice_is_as_once(control: UsageControl) -> None:
    control.close()
    control.close()


def test_leaving_the_with_block_closes(ledger_path: str, clock: ManualClock) -> None:
    with UsageControl(ledger_path, clock=clock) as control:
        control.apply(flat({"a": 10}))
    with pytest.raises(ControlClosed, match=r"usage\.db"):
        control.check(resource_ids=["a"], credit_currency=TOKENS)


def test_two_controls_on_one_file_share_a_holder(
    acme: UsageControl, say: Say, ledger_path: str, clock: ManualClock
) -> None:
    # H1
    with UsageControl(Path(ledger_path), clock=clock) as second:
        other = Say(second, say.face)
        reservation = say("reserve", **USER, amount=75)
        assert numbers(second, "user-01")["user-01"] == (0, 75, 125)
        other("consume", **USER, amount=125)
        assert not say("check", **USER)
        assert {held.reservation_id for held in second.reservations()} == {reservation.reservation_id}
        assert other("report", customer_id=ACME, event_name="e", **USER, amount=1).overage == 0
        say.to(reservation, "settle", 75)
        assert numbers(second, "user-01")["user-01"] == (201, 0, 0)


@pytest.mark.parametrize("closed_first", ["first", "second"])
def test_the_holder_is_closed_with_the_last_control(
    ledger_path: str, clock: ManualClock, closed_first: str, face: Face
) -> None:
    first, second = UsageControl(ledger_path, clock=clock), UsageControl(ledger_path, clock=clock)
    first.apply(flat({"a": 10}))
    gone, left = (first, second) if closed_first == "first" else (second, first)
    ask: dict[str, Any] = {"resource_ids": ["a"], "credit_currency": TOKENS}
    reservation = Say(left, face)("reserve", **ask, amount=4)
    gone.close()
    gone.close()  # safe twice: it does not close the other's holder
    with pytest.raises(ControlClosed):
        Say(gone, face)("check", **ask)
    assert Say(left, face).to(reservation, "settle", 3).charged == 3
    assert numbers(left, "a") == {"a": (3, 0, 7)}
    left.close()


def test_one_file_by_several_names_is_one_file(
    ledger_path: str, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(ledger_path).parent
    with UsageControl(ledger_path, clock=clock) as first:
        first.apply(flat({"a": 10}))
        first.reserve(resource_ids=["a"], credit_currency=TOKENS, amount=4)
        (folder / "link.db").symlink_to(ledger_path)
        monkeypatch.chdir(folder)
        for name in (
            "usage.db",
            "./usage.db",
            str(folder / "link.db"),
            f"{folder}/../{folder.name}/usage.db",
        ):
            with UsageControl(name, clock=clock) as again:
                assert numbers(again, "a") == {"a": (0, 4, 6)}
                again.consume(resource_ids=["a"], credit_currency=TOKENS, amount=0)


@pytest.mark.parametrize(
    "options",
    [
        {"durability": "power"},
        {"on_ledger_failure": "fail_open"},
        {"default_access": "deny"},
        {"unknown_resources": "deny"},
        {"reservation_ttl_seconds": 60},
        {"clock": None},
    ],
)
def test_other_options_than_the_first_are_refused(
    ledger_path: str, clock: ManualClock, options: dict[str, Any]
) -> None:
    option = next(iter(options))
    with UsageControl(ledger_path, clock=clock) as first:
        first.apply(flat({"a": 10}))
        with pytest.raises(InvalidRequest, match=option):
            UsageControl(ledger_path, **({"clock": clock} | options))
        assert first.check(resource_ids=["a"], credit_currency=TOKENS)
    UsageControl(ledger_path, **({"clock": clock} | options)).close()  # once the first is closed


@pytest.mark.parametrize(
    "options",
    [
        {"durability": "none"},
        {"durability": "Power"},
        {"on_ledger_failure": "open"},
        {"default_access": True},
        {"unknown_resources": "raise"},
        {"reservation_ttl_seconds": 0},
        {"reservation_ttl_seconds": 86_401},
    ],
)
def test_options_that_are_none_are_refused_by_name(ledger_path: str, options: dict[str, Any]) -> None:
    (option,) = options
    with pytest.raises(InvalidRequest, match=option):
        UsageControl(ledger_path, **options)
    assert not Path(ledger_path).exists()


def test_durability_power_keeps_the_same_promises(ledger_path: str, clock: ManualClock, face: Face) -> None:
    with UsageControl(ledger_path, clock=clock, durability="power") as control:
        control.apply(flat({"a": 10}))
        say = Say(control, face)
        say("report", **REPORT, credit_currency=TOKENS)
        say.to(say("reserve", resource_ids=["a"], credit_currency=TOKENS, amount=4), "settle", 2)
    with UsageControl(ledger_path, clock=clock, durability="power") as control:
        assert numbers(control, "a") == {"a": (3, 0, 7)}


def test_in_memory_is_a_ledger_of_its_own_that_ends_with_it(clock: ManualClock, face: Face) -> None:
    with UsageControl(":memory:", clock=clock) as one, UsageControl(":memory:", clock=clock) as two:
        one.apply(flat({"a": 10}))
        two.apply(flat({"a": 20}))
        Say(one, face)("consume", resource_ids=["a"], credit_currency=TOKENS, amount=4)
        assert numbers(one, "a") == {"a": (4, 0, 6)}
        assert numbers(two, "a") == {"a": (0, 0, 20)}
        assert list(one.verify()) == []
    assert not Path(":memory:").exists()
    with UsageControl(":memory:", clock=clock) as fresh:
        assert not fresh.export_model().resources
