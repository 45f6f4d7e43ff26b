"""Cancelling an await: neither loses nor doubles a booking, and leaves no hold."""

import asyncio
import sqlite3
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest

from stiggctl import UsageControl

from .saying import TOKENS, event_ids, flat, numbers

ASK: dict[str, Any] = {"resource_ids": ["a"], "credit_currency": TOKENS}
REPORT: dict[str, Any] = {"customer_id": "c", "event_name": "e", **ASK}


@pytest.fixture
def spent(control: UsageControl) -> UsageControl:
    """Resource a, 1,000 ai-tokens, in a process that is a holder already."""
    control.apply(flat({"a": 1000}))
    control.consume(**ASK, amount=0)
    return control


async def cancelled_after(steps: int, call: Callable[[], Awaitable[Any]]) -> Any:
    """What a call returned that was cancelled after so many steps of the loop; None: cancelled."""
    task = asyncio.ensure_future(call())
    for _ in range(steps):
        await asyncio.sleep(0)
    task.cancel()
    try:
        return await task
    except asyncio.CancelledError:
        return None


async def settled(found: Callable[[], bool]) -> None:
    """Waits, within a bound, until what went on in the background is done."""
    end = time.monotonic() + 10
    while not found() and time.monotonic() < end:  # noqa: ASYNC110 - nobody sets an event for us
        await asyncio.sleep(0.002)
    assert found()


@pytest.mark.parametrize("verb", ["areport", "aconsume"])
@pytest.mark.parametrize("steps", [0, 1, 2, 3, 5, 8, 50])
def test_cancelling_an_await_neither_loses_nor_doubles_a_booking(
    spent: UsageControl, verb: str, steps: int
) -> None:
    asked = REPORT if verb == "areport" else ASK

    async def rounds() -> None:
        for round_ in range(10):
            keyed: dict[str, Any] = asked | {"amount": 7, "idempotency_key": f"k{round_}"}

            async def call(keyed: dict[str, Any] = keyed) -> Any:
                return await getattr(spent, verb)(**keyed)

            first = await cancelled_after(steps, call)
            again = await call()
            if first is not None:
                assert again.event_id == first.event_id
                assert again.duplicate
            assert again.charged == 7

    asyncio.run(rounds())
    assert numbers(spent, "a") == {"a": (70, 0, 930)}
    assert len(event_ids(spent, "c")) == 11
    assert list(spent.verify()) == []


@pytest.mark.parametrize("steps", [0, 1, 2, 3, 5, 8])
def test_a_cancelled_settle_books_once_when_it_is_settled_again(spent: UsageControl, steps: int) -> None:
    async def rounds() -> None:
        for _ in range(10):
            reservation = await spent.areserve(**ASK, amount=9)
            first = await cancelled_after(steps, partial(reservation.asettle, 7))
            again = await reservation.asettle(7)
            assert again.charged == 7
            assert first is None or first.event_id == again.event_id

    asyncio.run(rounds())
    assert numbers(spent, "a") == {"a": (70, 0, 930)}
    assert list(spent.reservations()) == []


@pytest.mark.parametrize("steps", [0, 1, 2, 3, 5])
def test_a_cancelled_reserve_leaves_no_hold(spent: UsageControl, steps: int) -> None:
    async def rounds() -> None:
        for _ in range(10):
            reservation = await cancelled_after(steps, lambda: spent.areserve(**ASK, amount=9))
            if reservation is not None:
                await reservation.arelease()
        await settled(lambda: not list(spent.reservations()))

    asyncio.run(rounds())
    assert numbers(spent, "a") == {"a": (0, 0, 1000)}


def test_a_reserve_cancelled_while_it_waits_for_the_ledger_leaves_no_hold(ledger_path: str) -> None:
    with UsageControl(ledger_path) as control:
        control.apply(flat({"a": 1000, "b": 1000}))
        control.consume(**ASK, amount=0)
        other = sqlite3.connect(ledger_path, isolation_level=None)

        async def cancelled() -> None:
            other.execute("BEGIN IMMEDIATE")  # b has no spare yet: its first reserve must draw
            cold: dict[str, Any] = ASK | {"resource_ids": ["b"]}
            task = asyncio.ensure_future(control.areserve(**cold, amount=9))
            await asyncio.sleep(0.1)
            assert not task.done()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            other.execute("COMMIT")
            await asyncio.sleep(0.1)
            await settled(lambda: not list(control.reservations()))
            assert (await control.areserve(**cold, amount=1000)).amount == 1000

        asyncio.run(cancelled())
        other.close()


def test_a_booking_cancelled_while_it_waits_for_the_ledger_is_there_once(ledger_path: str) -> None:
    with UsageControl(ledger_path) as control:
        control.apply(flat({"a": 1000}))
        control.consume(**ASK, amount=0)
        other = sqlite3.connect(ledger_path, isolation_level=None)

        async def cancelled() -> None:
            other.execute("BEGIN IMMEDIATE")
            report: dict[str, Any] = REPORT | {"amount": 7, "idempotency_key": "k"}
            task = asyncio.ensure_future(control.areport(**report))
            await asyncio.sleep(0.1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            other.execute("COMMIT")
            assert (await control.areport(**report)).charged == 7

        asyncio.run(cancelled())
        other.close()
        assert numbers(control, "a") == {"a": (7, 0, 993)}
        assert len(event_ids(control, "c")) == 2


def test_one_cancelled_of_many_spoils_no_other(spent: UsageControl) -> None:
    async def many() -> list[Any]:
        tasks = [
            asyncio.ensure_future(spent.areport(**REPORT, amount=1, idempotency_key=f"k{place}"))
            for place in range(100)
        ]
        await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        return await asyncio.gather(*tasks, return_exceptions=True)

    told = asyncio.run(many())
    assert all(receipt.charged == 1 for receipt in told[1::2])
    again = [spent.report(**REPORT, amount=1, idempotency_key=f"k{place}") for place in range(100)]
    assert all(receipt.duplicate for receipt in again[1::2])
    assert numbers(spent, "a") == {"a": (100, 0, 900)}


def test_a_loop_that_ends_before_its_booking_loses_nothing_that_was_answered(spent: UsageControl) -> None:
    async def abandoned() -> None:
        task = asyncio.ensure_future(spent.areport(**REPORT, amount=7, idempotency_key="k"))
        await asyncio.sleep(0)
        assert not task.cancelled()  # and is left behind

    asyncio.run(abandoned())  # the loop cancels what is left, and closes
    assert spent.report(**REPORT, amount=7, idempotency_key="k").charged == 7
    assert numbers(spent, "a") == {"a": (7, 0, 993)}
