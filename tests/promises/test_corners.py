"""Corners: what ordinary code meets seldom, and must find in order."""

import asyncio
import contextlib
import threading
from datetime import timedelta
from typing import Any

import pytest

from stiggctl import AccessDenied, ControlClosed, InvalidAmount, RemedyKind, UsageControl
from stiggctl.testing import ManualClock

from .saying import TOKENS, Say, flat, moment, numbers

ASK: dict[str, Any] = {"resource_ids": ["a"], "credit_currency": TOKENS}


def test_a_key_of_a_consume_that_was_refused_is_free(control: UsageControl, say: Say) -> None:
    control.apply(flat({"a": 100}))
    say("consume", **ASK, amount=1)
    with pytest.raises(InvalidAmount):
        say("consume", **ASK, amount=-5, idempotency_key="k")
    assert say("consume", **ASK, amount=5, idempotency_key="k").charged == 5


def test_a_release_while_a_settle_is_under_way_frees_nothing_that_is_being_booked(
    control: UsageControl,
) -> None:
    control.apply(flat({"a": 100}))

    async def cancelled() -> Any:
        held = await control.areserve(**ASK, amount=100)
        settling = asyncio.ensure_future(held.asettle(100))
        await asyncio.sleep(0)
        settling.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await settling
        held.release()
        return held

    held = asyncio.run(cancelled())
    assert held.settle(100).charged == 100
    assert numbers(control, "a")["a"] == (100, 0, 0)
    with pytest.raises(AccessDenied):
        control.reserve(**ASK, amount=1)


def test_many_cancelled_settles_leave_nothing_behind(control: UsageControl) -> None:
    control.apply(flat({"a": 1000}))

    async def cancelled() -> None:
        for _ in range(20):
            held = await control.areserve(**ASK, amount=10)
            settling = asyncio.ensure_future(held.asettle(10))
            await asyncio.sleep(0)
            settling.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await settling

    asyncio.run(cancelled())
    control.consume(**ASK, amount=0)  # whatever was queued is served
    assert control.reservations() == []
    assert numbers(control, "a")["a"] == (200, 0, 800)
    assert control.verify() == []


def test_a_denial_while_another_call_is_being_booked_can_be_read(control: UsageControl) -> None:
    control.apply(flat({"a": 300}))
    stop = threading.Event()

    def spend() -> None:
        while not stop.is_set():
            with contextlib.suppress(AccessDenied):
                control.reserve(**ASK, amount=100).settle(0)

    spenders = [threading.Thread(target=spend) for _ in range(6)]
    for spender in spenders:
        spender.start()
    try:
        for _ in range(200):
            decision = control.check(**ASK, requested_usage=301)
            assert not decision
            assert decision.as_dict()["sentence"] == str(decision)
            assert decision.retry_at is None or decision.retry_at.year < 3000
    finally:
        stop.set()
        for spender in spenders:
            spender.join()


@pytest.mark.parametrize("minimum", [50, -3, "abc", True])
def test_a_minimum_that_cannot_be_meant_is_refused(control: UsageControl, say: Say, minimum: Any) -> None:
    control.apply(flat({"a": 100}))
    for _ in range(2):  # before and after what it needs is in memory
        with pytest.raises(InvalidAmount, match="minimum"):
            say("reserve", **ASK, amount=10, minimum=minimum)
        say("consume", **ASK, amount=1)


def test_of_two_suspensions_the_one_that_lasts_longer_is_told(
    control: UsageControl, clock: ManualClock, say: Say
) -> None:
    model = flat({"top": 100, "a": 100})
    model["resources"][1]["parentResourceId"] = "top"
    control.apply(model)
    noon = moment(clock)
    control.suspend("a", until=noon + timedelta(hours=1))
    control.suspend("top", until=noon + timedelta(hours=3))
    decision = say("check", **ASK)
    assert decision.retry_at == noon + timedelta(hours=3)
    assert decision.remedy.kind is RemedyKind.WAIT
    clock.set(noon + timedelta(hours=3))
    assert say("check", **ASK).has_access
    assert not control.tree("a", TOKENS).suspended


def test_an_extension_is_not_denied_by_a_limit_that_came_later(control: UsageControl, say: Say) -> None:
    model = flat({"top": None, "a": 100})
    model["resources"][1]["parentResourceId"] = "top"
    control.apply(model)
    held = say("reserve", **ASK, amount=20)
    control.set_allocation(resource_id="top", credit_currency=TOKENS, limit=5)
    say.to(held, "extend", 30)
    assert numbers(control, "a")["a"] == (0, 50, 50)
    assert say.to(held, "settle", 50).charged == 50


def test_what_the_dead_held_counts_in_no_answer_after_its_end(
    control: UsageControl, ledger_path: str, clock: ManualClock
) -> None:
    control.apply(flat({"a": 100}))
    held = control.reserve(**ASK, amount=60, ttl_seconds=10)
    control.close()
    with UsageControl(ledger_path, clock=clock) as again:
        again.consume(**ASK, amount=1)
        clock.set(held.expires_at)
        receipt = again.report(customer_id="c", amount=1, **ASK)
        (state,) = receipt.limits
        assert (state.used, state.held, state.remaining) == (2, 0, 98)
        assert again.tree("a", TOKENS).held == 0


def test_a_report_that_comes_with_the_close_is_answered(ledger_path: str, clock: ManualClock) -> None:
    control = UsageControl(ledger_path, clock=clock)
    control.apply(flat({"a": 100}))
    control.consume(**ASK, amount=1)

    async def late() -> None:
        await control.areport(customer_id="c", amount=1, **ASK)
        holder = control._holder
        order = holder.bookings.order_at_once(_report(), clock.now_us())
        assert order is not None
        control.close()
        with pytest.raises(ControlClosed):
            await asyncio.wait_for(holder.exchange.submit(order), 30)

    asyncio.run(late())


def _report() -> Any:
    from stiggctl.events import read_report  # noqa: PLC0415 - the one look behind the public names here

    return read_report({"customer_id": "c", "amount": 1, **ASK}, 0)
