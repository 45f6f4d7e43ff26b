"""Exactness under asyncio: 500 tasks on one loop; a loop that is never blocked by the ledger."""

import asyncio
import random
import sqlite3
import threading
import time
from typing import Any

import pytest

from stiggctl import AccessDenied, UsageControl

from .saying import TOKENS, event_ids, flat, numbers

TASKS = 500


def ask(*resource_ids: str) -> dict[str, Any]:
    return {"resource_ids": list(resource_ids), "credit_currency": TOKENS}


def test_a_hard_limit_is_never_exceeded_by_tasks(control: UsageControl) -> None:
    limits = {"top": 4000, "emea": 2500, "apac": 2500, "u0": 1500, "u1": 1600, "u2": 5000}
    control.apply(flat(limits))
    booked: list[tuple[list[str], int]] = []
    refused: list[tuple[list[str], int]] = []

    async def work(task: int) -> None:
        chance = random.Random(task)
        ids = [f"u{task % 3}", chance.choice(["emea", "apac"]), "top"]
        amount = chance.randint(1, 30)
        try:
            if task % 2:
                await control.aconsume(**ask(*ids), amount=amount)
                booked.append((ids, amount))
            else:
                reservation = await control.areserve(**ask(*ids), amount=amount)
                await asyncio.sleep(0)
                booked.append((ids, (await reservation.asettle(chance.randint(0, amount))).charged))
        except AccessDenied:
            refused.append((ids, amount))

    async def all_of_them() -> None:
        await asyncio.gather(*(work(task) for task in range(TASKS)))

    asyncio.run(all_of_them())
    assert refused
    state = numbers(control, *limits)
    for name, limit in limits.items():
        used, held, _ = state[name]
        assert held == 0
        assert used == sum(amount for ids, amount in booked if name in ids)
        assert used <= limit
    assert list(control.verify()) == []


def test_at_the_end_no_refused_request_of_a_task_would_fit(control: UsageControl) -> None:
    control.apply(flat({"a": 3000, "b": 2000}))
    refused: list[tuple[list[str], int]] = []

    async def work(task: int) -> None:
        chance = random.Random(task)
        ids = chance.choice([["a"], ["a", "b"]])
        for _ in range(2):
            amount = chance.randint(1, 20)
            try:
                await control.aconsume(**ask(*ids), amount=amount)
            except AccessDenied:
                refused.append((ids, amount))

    async def all_of_them() -> None:
        await asyncio.gather(*(work(task) for task in range(TASKS)))

    asyncio.run(all_of_them())
    assert refused
    for ids, amount in refused:
        assert not control.check(**ask(*ids), requested_usage=amount)


def test_reports_of_many_tasks_are_all_there_once(control: UsageControl) -> None:
    control.apply(flat({"a": 10}))
    report: dict[str, Any] = {"customer_id": "c", "event_name": "e", **ask("a"), "amount": 1}

    async def all_of_them() -> list[Any]:
        keys = [f"k{task % 250}" for task in range(TASKS)]  # each key twice
        return await asyncio.gather(*(control.areport(**report, idempotency_key=key) for key in keys))

    receipts = asyncio.run(all_of_them())
    assert sorted(receipt.duplicate for receipt in receipts) == [False] * 250 + [True] * 250
    assert {receipt.event_id for receipt in receipts} == set(event_ids(control, "c"))
    assert len(event_ids(control, "c")) == 250
    assert sum(receipt.overage for receipt in receipts if not receipt.duplicate) == 240


def test_loops_of_several_threads_share_one_control(control: UsageControl) -> None:
    control.apply(flat({"a": 300}))
    taken: list[int] = []

    async def work() -> None:
        for _ in range(10):
            try:
                taken.append((await control.aconsume(**ask("a"), amount=3)).charged)
            except AccessDenied:
                return

    async def twenty() -> None:
        await asyncio.gather(*(work() for _ in range(20)))

    threads = [threading.Thread(target=asyncio.run, args=(twenty(),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sum(taken) == 300
    assert numbers(control, "a") == {"a": (300, 0, 0)}


def test_the_loop_runs_on_while_a_booking_waits_for_the_ledger(ledger_path: str) -> None:
    with UsageControl(ledger_path) as control:
        control.apply(flat({"a": 300}))
        control.consume(**ask("a"), amount=1)
        other = sqlite3.connect(ledger_path, isolation_level=None, check_same_thread=False)
        other.execute("BEGIN IMMEDIATE")

        async def ticks() -> float:
            booking = asyncio.ensure_future(control.aconsume(**ask("a"), amount=1, idempotency_key="k"))
            worst = 0.0
            for _ in range(50):
                before = time.perf_counter()
                await asyncio.sleep(0.005)
                worst = max(worst, time.perf_counter() - before)
            assert not booking.done()
            assert (await control.acheck(**ask("a"), requested_usage=1)).has_access
            assert (await control.areserve(**ask("a"), amount=1)).amount == 1  # from spare: no ledger
            other.execute("COMMIT")
            assert (await booking).charged == 1
            return worst

        assert asyncio.run(ticks()) < 0.5
        other.close()
        assert numbers(control, "a")["a"][0] == 2


@pytest.mark.parametrize("amount", [1, 300])
def test_a_check_and_a_reserve_from_spare_never_suspend(control: UsageControl, amount: int) -> None:
    """In memory on the spot: such a coroutine ends at its first step."""
    control.apply(flat({"a": 300}))
    control.reserve(**ask("a"), amount=1).release()

    def first_step(coroutine: Any) -> Any:
        with pytest.raises(StopIteration) as ended:
            coroutine.send(None)
        return ended.value.value

    assert first_step(control.acheck(**ask("a"), requested_usage=amount)).has_access
    reservation = first_step(control.areserve(**ask("a"), amount=amount))
    assert reservation.amount == amount
