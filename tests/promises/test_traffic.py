"""Traffic: one reservation in many hands, a model that changes, a control that closes, both faces at once."""

import asyncio
import contextlib
import random
import threading
from decimal import Decimal
from typing import Any

import pytest

from stiggctl import AccessDenied, ControlClosed, UsageControl
from stiggctl.testing import ManualClock

from .saying import TOKENS, at_once, event_ids, flat, numbers

pytestmark = pytest.mark.usefixtures("impatient")

ASK: dict[str, Any] = {"resource_ids": ["a"], "credit_currency": TOKENS}


def test_one_reservation_settled_by_many_threads_is_booked_once(control: UsageControl) -> None:
    control.apply(flat({"a": 100}))
    for round_ in range(1, 11):
        reservation = control.reserve(**ASK, amount=8)
        receipts: Any = at_once([lambda reservation=reservation: reservation.settle(7)] * 8)
        assert {receipt.charged for receipt in receipts} == {7}
        assert len({receipt.event_id for receipt in receipts}) == 1
        assert numbers(control, "a")["a"] == (7 * round_, 0, 100 - 7 * round_)
    assert len(event_ids(control, "c")) == 10


def test_one_reservation_settled_by_many_tasks_is_booked_once(control: UsageControl) -> None:
    control.apply(flat({"a": 100}))

    async def settled() -> list[Any]:
        reservation = await control.areserve(**ASK, amount=8)
        return await asyncio.gather(*(reservation.asettle(7) for _ in range(8)))

    assert len({receipt.event_id for receipt in asyncio.run(settled())}) == 1
    assert numbers(control, "a")["a"] == (7, 0, 93)


def test_settled_and_released_at_once_it_is_booked_once_and_holds_nothing(control: UsageControl) -> None:
    control.apply(flat({"a": 100}))
    for round_ in range(1, 11):
        reservation = control.reserve(**ASK, amount=8)
        receipt: Any
        receipt, *_ = at_once([lambda r=reservation: r.settle(7), *[lambda r=reservation: r.release()] * 3])
        assert receipt.charged == 7
        assert numbers(control, "a")["a"] == (7 * round_, 0, 100 - 7 * round_)
    assert list(control.reservations()) == []
    assert list(control.verify()) == []


def test_one_reservation_extended_by_many_threads_never_passes_the_limit(control: UsageControl) -> None:
    control.apply(flat({"a": 50, "b": 60}))
    reservation = control.reserve(resource_ids=["a", "b"], credit_currency=TOKENS, amount=1)

    def grow() -> int:
        grown = 0
        for _ in range(5):
            try:
                reservation.extend(2)
                grown += 2
            except AccessDenied:
                break
        return grown

    grown: Any = at_once([grow] * 16)
    assert sum(grown) == 48
    assert reservation.amount == 49
    assert numbers(control, "a", "b") == {"a": (0, 49, 1), "b": (0, 49, 11)}


def test_of_several_currencies_threads_take_all_or_none(control: UsageControl) -> None:
    model = flat({"a": 300})
    model["creditCurrencies"] = [{"id": TOKENS}, {"id": "usd", "decimals": 2}]
    model["allocations"].append(
        {"resourceId": "a", "creditCurrency": "usd", "customerId": "c", "limit": "2.5"}
    )
    control.apply(model)

    def work(worker: int) -> tuple[int, int]:
        chance, tokens, cents = random.Random(worker), 0, 0
        for _ in range(10):
            amounts = {TOKENS: chance.randint(0, 4), "usd": Decimal(chance.randint(0, 4)) / 100}
            try:
                receipt = control.consume(resource_ids=["a"], amounts=amounts)
            except AccessDenied:
                continue
            assert receipt.amounts == amounts
            tokens, cents = tokens + amounts[TOKENS], cents + int(amounts["usd"] * 100)
        return tokens, cents

    taken: Any = at_once([lambda worker=worker: work(worker) for worker in range(32)])
    assert numbers(control, "a")["a"][0] == sum(tokens for tokens, _ in taken) <= 300
    used = numbers(control, "a", credit_currency="usd")["a"][0]
    assert used == Decimal(sum(cents for _, cents in taken)) / 100
    assert used <= Decimal("2.5")


def test_the_model_changes_while_calls_are_in_flight(control: UsageControl) -> None:
    # T3
    model = flat({"top": 10_000, "other": 10_000, "a": 3000, "b": None})
    for entry in model["resources"][2:]:
        entry["parentResourceId"] = "top"
    control.apply(model)
    stop = threading.Event()
    reasons: set[str] = set()

    def change() -> None:
        chance = random.Random(0)
        try:
            for place in range(40):
                if place % 4 == 0:
                    control.move_resource("a", chance.choice(["top", "other"]))
                elif place % 4 == 1:
                    control.set_allocation(resource_id="a", credit_currency=TOKENS, limit=2000 + place)
                elif place % 4 == 2:
                    control.set_allocation(resource_id="b", credit_currency=TOKENS, limit=5000)
                else:
                    control.remove_allocation(resource_id="b", credit_currency=TOKENS)
        finally:
            stop.set()

    def spend(worker: int) -> int:
        chance, spent = random.Random(worker), 0
        while not stop.is_set():
            ids = chance.choice([["a"], ["b"], ["a", "b"]])
            try:
                if chance.random() < 0.5:
                    spent += control.consume(resource_ids=ids, credit_currency=TOKENS, amount=1).charged
                else:
                    reservation = control.reserve(resource_ids=ids, credit_currency=TOKENS, amount=2)
                    spent += reservation.settle(1).charged
            except AccessDenied as denied:
                reasons.add(str(denied.decision.access_denied_reason))
        return spent

    changed, *spent = at_once([change, *[lambda worker=worker: spend(worker) for worker in range(12)]])
    assert changed is None
    assert reasons <= {"BUDGET_EXCEEDED"}
    booked: Any = list(control.events(customer_id="c"))
    assert [isinstance(one, int) for one in spent] == [True] * 12, spent
    assert sum(event.amounts[TOKENS] for event in booked) == sum(spent)
    assert {held for _, held, _ in numbers(control, "a", "b", "top", "other").values()} == {0}
    assert list(control.reservations()) == []
    assert list(control.verify()) == []


def test_a_control_closed_under_traffic_loses_nothing_that_was_answered(
    ledger_path: str, clock: ManualClock
) -> None:
    control = UsageControl(ledger_path, clock=clock)
    control.apply(flat({"a": 100_000}))
    begun = threading.Barrier(9)

    def spend() -> list[str]:
        told: list[str] = []
        begun.wait()
        while True:
            try:
                told.append(control.consume(**ASK, amount=1).event_id)
                told.append(control.reserve(**ASK, amount=2).settle(1).event_id)
            except ControlClosed:
                return told

    def close() -> None:
        begun.wait()
        while not event_ids(control, "c"):
            pass
        control.close()

    _, *told = at_once([close, *[spend] * 8])
    answered: set[Any] = {event_id for one in told for event_id in one}
    with UsageControl(ledger_path, clock=clock) as reopened:
        booked = event_ids(reopened, "c")
        assert answered <= set(booked)
        assert len(booked) - len(answered) <= 8  # each thread had at most one under way
        assert numbers(reopened, "a")["a"][0] == len(booked)
        assert list(reopened.verify()) == []


@pytest.mark.parametrize("seed", [1, 2])
def test_both_faces_at_once_are_as_exact_as_one(control: UsageControl, seed: int) -> None:
    control.apply(flat({"a": 700}))

    async def tasks() -> int:
        async def one(task: int) -> int:
            try:
                reservation = await control.areserve(**ASK, amount=1 + task % 5)
                return (await reservation.asettle(1 + task % 5)).charged
            except AccessDenied:
                return 0

        return sum(await asyncio.gather(*(one(task + seed) for task in range(120))))

    def threads() -> int:
        spent = 0
        for place in range(20):
            with contextlib.suppress(AccessDenied):
                spent += control.consume(**ASK, amount=1 + (place + seed) % 5).charged
        return spent

    spent: Any = at_once([threads] * 8 + [lambda: asyncio.run(tasks())] * 2)
    used, held, remaining = numbers(control, "a")["a"]
    assert (used, held) == (sum(spent), 0)
    assert used + remaining == 700
    assert list(control.verify()) == []


def test_a_process_is_never_in_its_own_way(ledger_path: str, clock: ManualClock) -> None:
    for round_ in range(20):
        with UsageControl(f"{ledger_path}.{round_}", clock=clock) as control:
            control.apply(flat({"a": 100}))

            def change(control: UsageControl = control) -> None:
                for limit in range(10):
                    control.set_allocation(resource_id="a", credit_currency=TOKENS, limit=200 + limit)

            def begin(control: UsageControl = control) -> int:
                charged: int = control.consume(**ASK, amount=1).charged  # its first: a holder from now on
                return charged

            assert at_once([change, begin, change, begin]) == [None, 1, None, 1]
