"""A limit that comes to a long past: who needs its sum waits for it, and nobody else does."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from stiggctl import UsageControl

from .faulty import ANN, BOB, Calls, Faulty, make_faulty, numbers, soon

Begin = Callable[[UsageControl], Callable[[], object]]


@pytest.fixture
def faulty(control: UsageControl) -> Faulty:
    return make_faulty(control)


class Summing:
    """The opening of a cell that takes long: it has begun, and it may end."""

    def __init__(self) -> None:
        self.begun, self.may_end, self.times = threading.Event(), threading.Event(), 0

    def __call__(self) -> None:
        self.times += 1
        self.begun.set()
        assert self.may_end.wait(20)


def reported(control: UsageControl, resource_id: str) -> object:
    return control.report(customer_id="acme", resource_ids=[resource_id], credit_currency="t", amount=7)


def reporting(control: UsageControl) -> Callable[[], object]:
    return lambda: reported(control, "ann")


def areporting(control: UsageControl) -> Callable[[], object]:
    asked: Any = {"customer_id": "acme", "resource_ids": ["ann"], "credit_currency": "t"}
    return lambda: asyncio.run(control.areport(**asked, amount=7))


def settling(control: UsageControl) -> Callable[[], object]:
    held = control.reserve(**ANN, amount=7)
    return lambda: held.settle(7)


def asettling(control: UsageControl) -> Callable[[], object]:
    held = control.reserve(**ANN, amount=7)
    return lambda: asyncio.run(held.asettle(7))


def reporting_many(control: UsageControl) -> Callable[[], object]:
    event = {"customerId": "acme", "creditCurrency": "t", "amount": 7, "resourceIds": ["ann"]}
    return lambda: control.report_many([event])


@pytest.mark.parametrize("begin", [reporting, areporting, settling, asettling, reporting_many])
def test_others_book_while_a_limit_is_summed(control: UsageControl, faulty: Faulty, begin: Begin) -> None:
    """T4: it is loaded by who needs it, before it is queued."""
    control.reserve(**ANN, amount=1).release()
    control.consume(**BOB, amount=1)
    book = begin(control)
    control.set_allocation(resource_id="ann", credit_currency="t", limit=50, cadence="day")
    control.consume(**BOB, amount=1)  # what it needs is in memory again
    faulty.opening = summing = Summing()
    calls = Calls(book)
    assert summing.begun.wait(20)
    others = Calls(lambda: control.consume(**BOB, amount=1), lambda: reported(control, "bob"))
    try:
        assert not any(isinstance(one, Exception) for one in others.done(10))
    finally:
        summing.may_end.set()
    assert not any(isinstance(one, Exception) for one in calls.done())
    faulty.opening = None
    assert numbers(control, "ann")["ann"] == (7, 0)
    assert control.verify() == []


def test_it_is_summed_once_for_many(control: UsageControl, faulty: Faulty) -> None:
    control.set_allocation(resource_id="ann", credit_currency="t", limit=50, cadence="day")
    loading = control._holder.trees.loading
    coming, enter = [], loading.enter

    def entering(key: str) -> Any:
        coming.append(key)
        return enter(key)

    loading.enter = entering  # type: ignore[method-assign]  # to see who comes
    faulty.opening = summing = Summing()
    calls = Calls(*[lambda: reported(control, "ann")] * 4)
    assert summing.begun.wait(20)
    soon(lambda: len(coming) == 4)
    summing.may_end.set()
    assert not any(isinstance(one, Exception) for one in calls.done())
    assert summing.times == 1
    assert numbers(control, "ann")["ann"] == (28, 0)
