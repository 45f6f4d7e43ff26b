"""A consume that waits to be booked: what it was admitted for stays so, and its key is its own until then."""

import asyncio
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from stiggctl import AccessDenied, Receipt, UsageControl
from stiggctl.control import opening
from stiggctl.testing import ManualClock
from tests.simulation.baton import Baton
from tests.simulation.host import Process

from .faulty import ANN, BOB, Calls, Faulty, charges, gone, make_faulty, memory, numbers, soon

FACES = pytest.mark.parametrize("face", ["sync", "async"])


@pytest.fixture
def faulty(control: UsageControl) -> Faulty:
    faulty = make_faulty(control)
    control.consume(**ANN, amount=1)
    control.consume(**BOB, amount=1)
    return faulty


def consume(control: UsageControl, face: str, **asked: Any) -> Any:
    if face == "sync":
        return control.consume(**asked)
    return asyncio.run(control.aconsume(**asked))


class Stalled:
    """One exchange is under way until it is let go; what is said meanwhile waits."""

    def __init__(self, control: UsageControl, faulty: Faulty) -> None:
        self._exchange = control._holder.exchange
        self._reached, self._open = threading.Event(), threading.Event()
        faulty.before.append(self._step)
        self._first = Calls(lambda: control.consume(**BOB, amount=1))
        assert self._reached.wait(20)

    def _step(self) -> None:
        self._reached.set()
        assert self._open.wait(30)

    def waiting(self, many: int) -> None:
        """So many wait to be served."""
        soon(lambda: len(self._exchange._queue) == 1 + many)

    def wait_for_alone(self) -> None:
        soon(lambda: len(self._exchange._alone) == 1)

    def let_go(self) -> None:
        self._open.set()
        assert [type(one) for one in self._first.done()] == [Receipt]


# ------------------------------------------------------------------ who else asks


@pytest.mark.parametrize("alone", [True, False])
def test_who_fits_is_admitted_also_behind_one_that_does_not(
    control: UsageControl, faulty: Faulty, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, alone: bool
) -> None:
    """Q1: what that one counted on is to spare again, and it is asked for once more, at once."""
    drawing(control)  # 99 are to spare, and one is free
    if not alone:
        monkeypatch.setattr(opening, "_holders", {})  # it is another process's
        other = Process(Baton(0), tmp_path / "usage.db", "other")
        other.holder.become_holder()
    waited: list[float] = []
    monkeypatch.setattr(control._holder.waiting, "pause", waited.append)
    stalled = Stalled(control, faulty)
    large = Calls(lambda: control.reserve(**ANN, amount=500))
    stalled.waiting(1)
    small = Calls(lambda: control.reserve(**ANN, amount=100))
    stalled.waiting(2)
    stalled.let_go()
    (denied,), (held,) = large.done(), small.done()
    assert isinstance(denied, AccessDenied)
    assert held.amount == 100
    assert max(len(batch.asks) for batch in faulty.batches) == 2  # they were asked for together
    assert waited == []  # nobody else has any of it
    if not alone:
        other.holder.ledger._ledger.close()


# ------------------------------------------------------------------ what it holds


def drawing(control: UsageControl) -> None:
    """ann has nothing to spare: the next request draws."""
    control.apply({"allocations": [{"resourceId": "ann", "creditCurrency": "t", "limit": 101}]})


@FACES
def test_what_was_drawn_and_ended_before_it_was_queued_is_not_booked_beside_who_got_it(
    control: UsageControl, faulty: Faulty, clock: ManualClock, face: str
) -> None:
    """R3, Q1: it waited for longer than a ttl; another has the room by then, and it is denied."""
    drawing(control)
    stalled = Stalled(control, faulty)
    late = Calls(lambda: consume(control, face, **ANN, amount=100))
    stalled.waiting(1)
    clock.advance(seconds=601)
    other = Calls(lambda: control.reserve(**ANN, amount=100))
    stalled.waiting(2)
    stalled.let_go()
    (reservation,) = other.done()
    (denied,) = late.done()
    assert isinstance(denied, AccessDenied), denied
    assert numbers(control, "ann")["ann"] == (1, 100)
    assert reservation.settle(100).overage == 0  # type: ignore[attr-defined]  # it was admitted
    assert sorted(charges(control)) == [1, 1, 1, 100]
    assert control.verify() == []


@FACES
def test_what_was_drawn_and_ended_before_it_was_queued_is_admitted_anew(
    control: UsageControl, faulty: Faulty, clock: ManualClock, face: str
) -> None:
    """R3: where nobody else has the room it is booked, as what was admitted."""
    drawing(control)
    stalled = Stalled(control, faulty)
    late = Calls(lambda: consume(control, face, **ANN, amount=100, idempotency_key="k"))
    stalled.waiting(1)
    clock.advance(seconds=601)
    stalled.let_go()
    (receipt,) = late.done()
    assert isinstance(receipt, Receipt), receipt
    assert (receipt.expired, receipt.overage, receipt.duplicate) == (False, 0, False)
    assert memory(control, "ann") == (0, 101, 0)
    assert control._holder.stripes["acme"].holds == {}
    assert control.verify() == []


@FACES
def test_what_waits_in_the_queue_keeps_what_it_holds_however_long_that_is(
    control: UsageControl, faulty: Faulty, clock: ManualClock, face: str
) -> None:
    """R3: nobody else gets it, and it is booked."""
    stalled = Stalled(control, faulty)
    late = Calls(lambda: consume(control, face, **ANN, amount=99))
    stalled.waiting(1)
    clock.advance(seconds=601)
    other = Calls(lambda: control.reserve(**ANN, amount=1))
    stalled.waiting(2)
    assert memory(control, "ann")[0] == 0
    stalled.let_go()
    assert [type(one) for one in late.done() + other.done()] == [Receipt, AccessDenied]
    assert numbers(control, "ann")["ann"] == (100, 0)


# ------------------------------------------------------------------ where it counts


@FACES
def test_what_waits_while_its_resource_moves_counts_where_it_was_admitted(
    control: UsageControl, faulty: Faulty, face: str
) -> None:
    """D3: the limits that it moves under have no room, and admitted nothing."""
    control.apply(
        {
            "resources": [{"id": "org2", "resourceTypeId": "org", "customerId": "acme"}],
            "allocations": [{"resourceId": "org2", "creditCurrency": "t", "limit": 10}],
        }
    )
    control.report(customer_id="acme", credit_currency="t", amount=10, resource_ids=["org2"])
    control.reserve(**ANN, amount=1).release()  # its path is in memory again
    stalled = Stalled(control, faulty)
    booking = Calls(lambda: consume(control, face, **ANN, amount=50))
    stalled.waiting(1)
    moving = Calls(lambda: control.move_resource("ann", "org2"))
    stalled.wait_for_alone()
    stalled.let_go()
    (receipt,) = booking.done()
    moving.done()
    assert isinstance(receipt, Receipt), receipt
    assert receipt.overage == 0
    assert {limit.resource_id: limit.used for limit in receipt.limits} == {"ann": 51, "org": 53}
    assert numbers(control, "org", "org2") == {"org": (53, 0), "org2": (10, 0)}
    with pytest.raises(AccessDenied):
        control.consume(**ANN, amount=1)  # it stands below org2 now
    assert control.verify() == []


# ------------------------------------------------------------------ its key


@pytest.mark.parametrize("committed", [False, True])
def test_a_key_whose_loop_was_closed_is_free_when_its_booking_has_failed(
    control: UsageControl, faulty: Faulty, *, committed: bool
) -> None:
    """X2: also where somebody keeps the trouble, and with it all frames that led to it."""
    kept: list[object] = []
    control.subscribe(kept.append)
    reached, go = threading.Event(), threading.Event()

    def fail() -> None:
        reached.set()
        assert go.wait(30)
        raise gone()

    (faulty.after if committed else faulty.before).append(fail)
    tasks: list[asyncio.Task[Receipt]] = []

    async def begin() -> None:
        tasks.append(asyncio.create_task(control.aconsume(**ANN, amount=5, idempotency_key="k")))
        await asyncio.to_thread(reached.wait, 20)

    asyncio.run(begin())
    go.set()
    soon(lambda: kept)
    (again,) = Calls(lambda: control.consume(**ANN, amount=5, idempotency_key="k")).done(10)
    assert isinstance(again, Receipt), again
    assert again.duplicate == committed
    assert sorted(charges(control)) == [1, 1, 5]
    assert control._holder.under_way._keys == {}


def test_a_key_is_free_after_an_interrupt_at_the_first_step_of_leaving_it(
    control: UsageControl, faulty: Faulty
) -> None:
    """X2: as Ctrl-C comes on entering a function; whoever logs it keeps the frames that it passed."""
    faulty.before.append(gone())

    def interrupt(frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        if event == "call" and code.co_name == "leave" and code.co_filename.endswith("under_way.py"):
            sys.setprofile(None)
            raise KeyboardInterrupt

    def call() -> None:
        sys.setprofile(interrupt)
        try:
            control.consume(**ANN, amount=5, idempotency_key="k")
        finally:
            sys.setprofile(None)

    first = Calls(call)
    assert isinstance(first.done()[0], KeyboardInterrupt)
    (again,) = Calls(lambda: control.consume(**ANN, amount=5, idempotency_key="k")).done(10)
    assert isinstance(again, Receipt), again
    assert isinstance(first.results[0], KeyboardInterrupt)  # it is kept until here
    assert control._holder.under_way._keys == {}
