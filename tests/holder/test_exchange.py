"""The exchange: whatever fails, is slow or interrupted, each is told one outcome, and it is true."""

import asyncio
import random
import signal
import threading
import time
from typing import Any

import pytest

from stiggctl import (
    AccessDenied,
    IdempotencyConflict,
    InvalidAmount,
    LedgerUnavailable,
    Receipt,
    UsageControl,
)
from stiggctl.holder import exchange as exchange_module
from stiggctl.holder.waiting import Wake
from stiggctl.testing import ManualClock

from .faulty import ANN, BOB, Calls, Faulty, charges, gone, make_faulty, memory, numbers, soon


@pytest.fixture
def faulty(control: UsageControl) -> Faulty:
    faulty = make_faulty(control)
    control.consume(**ANN, amount=1)
    control.check(**BOB, requested_usage=1)
    assert memory(control, "ann") == (99, 1, 99)
    faulty.calls.clear()
    faulty.batches.clear()
    return faulty


def report(control: UsageControl, key: str, amount: int = 1, **facts: Any) -> Receipt:
    return control.report(customer_id="acme", idempotency_key=key, amount=amount, **{**ANN, **facts})


def queue(control: UsageControl) -> int:
    """How many entries wait."""
    return len(control._holder.exchange._queue)


def whole(control: UsageControl) -> None:
    """Nothing is held or set apart, memory is what the ledger is, and all that is left can be spent."""
    control._holder.exchange.clear_doubts()
    stripe = control._holder.stripes["acme"]
    assert (stripe.holds, stripe.settling, stripe.apart) == ({}, {}, {})
    assert control._holder.keeping._kept == {}
    assert control.verify() == []
    used, held = numbers(control, "ann")["ann"]
    assert (held, sum(charges(control))) == (0, used)
    if used < 100:
        assert control.reserve(**ANN, amount=100 - used).release() is None
    with pytest.raises(AccessDenied):
        control.reserve(**ANN, amount=max(0, 100 - used) + 1)


class Gate:
    """A step that waits until it is let go."""

    def __init__(self) -> None:
        self.reached, self._open = threading.Event(), threading.Event()

    def __call__(self) -> None:
        self.reached.set()
        assert self._open.wait(30)

    def let_go(self) -> None:
        self._open.set()


# ------------------------------------------------------------------ X1


def test_memory_changes_after_the_commit_and_not_before(control: UsageControl, faulty: Faulty) -> None:
    """X1: while it is on its way the hold stands, and nothing of it is used."""
    held = control.reserve(**ANN, amount=60)
    before: list[object] = []
    faulty.before.append(lambda: before.append((memory(control, "ann"), len(control._holder.keeping._kept))))
    faulty.after.append(lambda: before.append((memory(control, "ann"), len(control._holder.keeping._kept))))
    assert held.settle(50).charged == 50
    assert before == [((39, 1, 99), 1)] * 2
    assert memory(control, "ann") == (49, 51, 49)


def test_what_a_booking_takes_beside_its_hold_is_nobody_elses_meanwhile(
    control: UsageControl, faulty: Faulty
) -> None:
    """X1: it is set apart, or two would spend it."""
    gate = Gate()
    faulty.before.append(gate)
    calls = Calls(lambda: report(control, "k", 70))
    assert gate.reached.wait(10)
    assert memory(control, "ann")[0] == 29
    assert control.reserve(**ANN, amount=29).amount == 29
    more = Calls(lambda: control.reserve(**ANN, amount=1))
    soon(lambda: queue(control) == 2)
    gate.let_go()
    calls.done()
    assert isinstance(more.done()[0], AccessDenied)


def test_a_receipt_is_made_of_what_was_committed(control: UsageControl, faulty: Faulty) -> None:
    """X1: its limits are those right after it, also where others were booked in the same commit."""
    gate = Gate()
    faulty.before.append(gate)
    calls = Calls(lambda: report(control, "first", 5))
    assert gate.reached.wait(10)
    for at in range(3):
        Calls(lambda at=at: report(control, f"k{at}", 10))
        soon(lambda at=at: queue(control) == at + 2)
    last = Calls(lambda: report(control, "last", 10))
    soon(lambda: queue(control) == 5)
    gate.let_go()
    calls.done()
    (receipt,) = last.done()
    assert isinstance(receipt, Receipt)
    assert {one.resource_id: one.used for one in receipt.limits} == {"ann": 46, "org": 46}
    assert len(faulty.batches[1].bookings) == 4


# ------------------------------------------------------------------ X2


def test_while_one_commit_is_under_way_the_next_gathers(control: UsageControl, faulty: Faulty) -> None:
    """X2: nine threads are served by one exchange, each with its own receipt."""
    gate = Gate()
    faulty.before.append(gate)
    first = Calls(lambda: report(control, "first"))
    assert gate.reached.wait(10)
    others = Calls(*[lambda at=at: report(control, f"k{at}", at + 1) for at in range(9)])
    soon(lambda: queue(control) == 10)
    gate.let_go()
    assert [receipt.charged for receipt in first.done() + others.done()] == [1, *range(1, 10)]
    assert [len(batch.bookings) for batch in faulty.batches] == [1, 9]
    whole(control)


@pytest.mark.parametrize("committed", [False, True])
def test_a_failure_is_told_to_all_of_its_batch_and_to_nobody_else(
    control: UsageControl, faulty: Faulty, *, committed: bool
) -> None:
    """X2, X3: sent again under their keys each is booked once, whatever had become of it."""
    gate = Gate()
    faulty.before.append(gate)
    faulty.after.append(None)
    (faulty.after if committed else faulty.before).append(gone())
    first = Calls(lambda: report(control, "first"))
    assert gate.reached.wait(10)
    calls = [lambda at=at: report(control, f"k{at}", 2) for at in range(9)]
    others = Calls(*calls)
    soon(lambda: queue(control) == 10)
    gate.let_go()
    assert [type(one) for one in first.done()] == [Receipt]
    assert [type(one) for one in others.done()] == [LedgerUnavailable] * 9
    again = Calls(*calls).done()
    assert [receipt.charged for receipt in again] == [2] * 9
    assert sorted(charges(control)) == [1, 1, *[2] * 9]
    whole(control)


def test_what_cannot_be_booked_fails_alone(control: UsageControl, faulty: Faulty) -> None:
    """X2: a conflict, a counter that would overflow, a resource that is gone."""
    report(control, "taken", 3)
    gate = Gate()
    faulty.before.append(gate)
    first = Calls(lambda: report(control, "first"))
    assert gate.reached.wait(10)
    huge = 10**17
    others = Calls(
        lambda: report(control, "taken", 4),
        lambda: report(control, "fine", 5),
        lambda: control.report_many([{"customerId": "acme", "creditCurrency": "t", "amount": huge}] * 3),
        lambda: report(control, "taken", 3),
    )
    soon(lambda: queue(control) == 7)
    gate.let_go()
    first.done()
    conflict, fine, many, same = others.done()
    assert isinstance(conflict, IdempotencyConflict)
    assert isinstance(fine, Receipt)
    assert isinstance(same, Receipt)
    assert same.duplicate
    assert [type(one) for one in many] == [Receipt] * 3  # type: ignore[attr-defined]  # they count nowhere


def test_a_counter_that_would_overflow_refuses_that_booking_only(
    control: UsageControl, faulty: Faulty
) -> None:
    """X2: and what was set apart for it is spare again."""
    many = [{"customerId": "acme", "resourceIds": ["ann"], "creditCurrency": "t", "amount": 10**17}] * 82
    outcomes = control.report_many([*many, {**many[0], "amount": 1}])
    assert [type(one) for one in outcomes[:79]] == [Receipt] * 79
    assert [type(one) for one in outcomes[80:-1]] == [InvalidAmount] * 2
    assert isinstance(outcomes[-1], Receipt)
    assert control.verify() == []
    assert control._holder.stripes["acme"].apart == {}


def test_more_than_one_exchange_takes_are_served_by_several(control: UsageControl, faulty: Faulty) -> None:
    """X2: in their order, with others between them."""
    events = [
        {
            "customerId": "acme",
            "resourceIds": ["bob"],
            "creditCurrency": "t",
            "amount": 1,
            "idempotencyKey": f"k{at}",
        }
        for at in range(exchange_module.BATCH_MAX + 100)
    ]
    gate = Gate()
    faulty.before.append(gate)
    many = Calls(lambda: control.report_many(events))
    assert gate.reached.wait(10)
    others = Calls(*[lambda at=at: report(control, f"other{at}") for at in range(5)])
    soon(lambda: queue(control) == len(events) + 5)
    gate.let_go()
    (outcomes,) = many.done()
    assert [type(one) for one in outcomes] == [Receipt] * len(events)  # type: ignore[attr-defined]  # a list
    assert [type(one) for one in others.done()] == [Receipt] * 5
    assert [len(batch.bookings) for batch in faulty.batches] == [exchange_module.BATCH_MAX, 105]


def test_of_many_only_those_of_a_failed_exchange_fail(control: UsageControl, faulty: Faulty) -> None:
    """X2."""
    events = [
        {
            "customerId": "acme",
            "resourceIds": ["bob"],
            "creditCurrency": "t",
            "amount": 1,
            "idempotencyKey": f"k{at}",
        }
        for at in range(exchange_module.BATCH_MAX + 10)
    ]
    faulty.before.extend([None, gone()])
    outcomes = control.report_many(events)
    assert [type(one) for one in outcomes] == [Receipt] * exchange_module.BATCH_MAX + [LedgerUnavailable] * 10
    assert [type(one) for one in control.report_many(events)] == [Receipt] * len(events)
    assert sum(charges(control)) == 1 + len(events)


def test_of_a_failure_it_is_told_who_watches_once_and_not_by_the_leader(
    control: UsageControl, faulty: Faulty
) -> None:
    """X2: a hook may use the control itself."""
    told: list[Any] = []

    def hook(record: object) -> None:
        told.append((record, report(control, "of the hook")))

    control.subscribe(hook)
    faulty.before.append(gone())
    with pytest.raises(LedgerUnavailable):
        report(control, "k")
    assert len(told) == 1
    assert told[0][1].charged == 1


# ------------------------------------------------------------------ X3


@pytest.mark.parametrize("committed", [False, True])
def test_in_doubt_nothing_of_it_is_given_to_anybody(
    control: UsageControl, faulty: Faulty, clock: ManualClock, *, committed: bool
) -> None:
    """X3: neither what was held, nor what was set apart, until the ledger was read; then what is true."""
    held = control.reserve(**ANN, amount=40)
    (faulty.after if committed else faulty.before).append(gone())
    with pytest.raises(LedgerUnavailable):
        held.settle(60)
    assert memory(control, "ann")[0] == 39
    faulty.reading = gone()
    with pytest.raises(AccessDenied) as denied:
        control.reserve(**ANN, amount=40)
    assert denied.value.decision.access_denied_reason == "LEDGER_UNAVAILABLE"
    assert memory(control, "ann")[0] == 39
    faulty.reading = None
    control._holder.keeper.beat(clock.now_us())
    assert numbers(control, "ann")["ann"] == ((61, 0) if committed else (1, 40))
    assert held.settle(60).charged == 60
    assert charges(control) == [1, 60]
    whole(control)


@pytest.mark.parametrize("committed", [False, True])
def test_a_consume_in_doubt_is_booked_once_or_holds_nothing(
    control: UsageControl, faulty: Faulty, *, committed: bool
) -> None:
    """X3."""
    (faulty.after if committed else faulty.before).append(gone())
    with pytest.raises(LedgerUnavailable):
        control.consume(**ANN, amount=60, idempotency_key="k")
    assert memory(control, "ann")[0] == 39  # nobody else's yet
    control._holder.exchange.clear_doubts()
    assert memory(control, "ann") == ((39, 61, 39) if committed else (99, 1, 99))
    receipt = control.consume(**ANN, amount=60, idempotency_key="k")
    assert (receipt.charged, receipt.duplicate) == (60, committed)
    whole(control)


@pytest.mark.parametrize("committed", [False, True])
def test_a_draw_in_doubt_strands_nothing(control: UsageControl, faulty: Faulty, *, committed: bool) -> None:
    """X3: what was drawn and not told is found, and can be spent."""
    control.apply({"allocations": [{"resourceId": "bob", "creditCurrency": "t", "limit": 70}]})
    (faulty.after if committed else faulty.before).append(gone())
    with pytest.raises(AccessDenied):
        control.reserve(**BOB, amount=5)
    assert control.reserve(**BOB, amount=70).release() is None
    assert control.verify() == []


@pytest.mark.parametrize("committed", [False, True])
def test_what_was_given_back_in_doubt_is_not_lost(
    control: UsageControl, faulty: Faulty, *, committed: bool
) -> None:
    """X3: a lowered limit gives spare back; told twice it would take away what another has."""
    control.apply({"allocations": [{"resourceId": "ann", "creditCurrency": "t", "limit": 90}]})
    (faulty.after if committed else faulty.before).append(gone())
    with pytest.raises(AccessDenied):
        control.reserve(**ANN, amount=80)
    assert control.reserve(**ANN, amount=89).release() is None
    assert control.verify() == []


def test_before_anything_else_is_written_the_ledger_is_read(control: UsageControl, faulty: Faulty) -> None:
    """X3."""
    faulty.after.append(gone())
    with pytest.raises(LedgerUnavailable):
        report(control, "k")
    faulty.calls.clear()
    report(control, "other")
    assert faulty.calls[:3] == ["reader", "exchange", "exchange"]
    assert faulty.batches[-2].bookings == []


def test_a_change_of_the_model_waits_until_nothing_is_in_doubt(control: UsageControl, faulty: Faulty) -> None:
    """X3."""
    faulty.after.append(gone())
    with pytest.raises(LedgerUnavailable):
        report(control, "k", 7)
    control.apply({"allocations": [{"resourceId": "ann", "creditCurrency": "t", "limit": 50}]})
    assert faulty.calls.index("change_model") > faulty.calls.index("exchange", 1)
    assert control.reserve(**ANN, amount=42).release() is None
    with pytest.raises(AccessDenied):
        control.reserve(**ANN, amount=43)


def test_a_second_settle_keeps_the_hold_however_long_the_first_is_in_doubt(
    control: UsageControl, faulty: Faulty, clock: ManualClock
) -> None:
    """X3: its time is over meanwhile; were it freed, another would get what is being booked."""
    held = control.reserve(**ANN, amount=60, ttl_seconds=10)
    faulty.before.append(gone())
    with pytest.raises(LedgerUnavailable):
        held.settle(60)
    seen: list[object] = []

    def later() -> None:
        clock.advance(seconds=20)
        control.check(**BOB)  # what is over ends with the next decision
        seen.append(memory(control, "ann")[0])

    faulty.before.extend([None, later])  # the first of them only reads
    assert held.settle(60).charged == 60
    assert seen == [39]
    assert memory(control, "ann") == (39, 61, 39)


def test_a_settle_that_fails_leaves_it_held_until_its_own_end(
    control: UsageControl, faulty: Faulty, clock: ManualClock
) -> None:
    """X3: not longer, and not shorter."""
    held = control.reserve(**ANN, amount=60, ttl_seconds=10)
    faulty.before.append(gone())
    with pytest.raises(LedgerUnavailable):
        held.settle(60)
    control._holder.exchange.clear_doubts()
    clock.advance(seconds=9)
    assert numbers(control, "ann")["ann"] == (1, 60)
    clock.advance(seconds=1)
    assert numbers(control, "ann")["ann"] == (1, 0)
    receipt = held.settle(60)
    assert (receipt.charged, receipt.expired) == (60, True)
    whole(control)


def test_a_settle_that_could_not_even_be_sent_leaves_a_first_one_in_doubt_alone(
    control: UsageControl, faulty: Faulty, clock: ManualClock
) -> None:
    """X3: the first may be in the ledger; its hold must not end by itself before that is known."""
    held = control.reserve(**ANN, amount=60, ttl_seconds=10)
    faulty.after.append(gone())
    with pytest.raises(LedgerUnavailable):
        held.settle(60)
    faulty.reading = gone()
    with pytest.raises(LedgerUnavailable):
        held.settle(60)
    clock.advance(seconds=20)
    with pytest.raises(AccessDenied):
        control.reserve(**ANN, amount=40)
    assert memory(control, "ann")[0] == 39
    faulty.reading = None
    control._holder.exchange.clear_doubts()
    assert numbers(control, "ann")["ann"] == (61, 0)
    assert held.settle(60).charged == 60
    whole(control)


def test_a_release_beside_a_settle_frees_nothing_twice(control: UsageControl, faulty: Faulty) -> None:
    """X3: two threads have one reservation."""
    held, gate = control.reserve(**ANN, amount=60), Gate()
    faulty.before.append(gate)
    settle = Calls(lambda: held.settle(50))
    assert gate.reached.wait(10)
    assert held.release() is None
    assert memory(control, "ann")[0] == 39
    gate.let_go()
    settle.done()
    assert memory(control, "ann") == (49, 51, 49)
    assert held.release() is held.settle(99)
    whole(control)


def test_two_settles_of_one_reservation_book_it_once(control: UsageControl, faulty: Faulty) -> None:
    """X3: in one exchange; both are told the same."""
    held, gate = control.reserve(**ANN, amount=60), Gate()
    faulty.before.append(gate)
    first = Calls(lambda: report(control, "first"))
    assert gate.reached.wait(10)
    settles = Calls(lambda: held.settle(50), lambda: held.settle(50))
    soon(lambda: queue(control) == 3)
    gate.let_go()
    first.done()
    one, two = settles.done()
    assert isinstance(one, Receipt)
    assert isinstance(two, Receipt)
    assert one.event_id == two.event_id
    assert sorted(charges(control)) == [1, 1, 50]
    whole(control)


def test_what_is_cancelled_is_booked_once_and_leaves_nothing_held(
    control: UsageControl, faulty: Faulty
) -> None:
    """X3: and nothing on the page either."""
    held = control.reserve(**ANN, amount=60)

    async def cancel() -> None:
        gate = Gate()
        faulty.before.append(gate)
        settle = asyncio.ensure_future(held.asettle(50))
        await asyncio.to_thread(gate.reached.wait)
        settle.cancel()
        with pytest.raises(asyncio.CancelledError):
            await settle
        gate.let_go()
        await held.asettle(50)

    asyncio.run(cancel())
    assert charges(control) == [1, 50]
    whole(control)


def test_what_is_cancelled_and_never_asked_for_again_leaves_nothing_on_the_page(
    control: UsageControl, faulty: Faulty
) -> None:
    """X3."""
    held = control.reserve(**ANN, amount=60)

    async def cancel() -> None:
        settle = asyncio.ensure_future(held.asettle(50))
        await asyncio.sleep(0)
        settle.cancel()
        with pytest.raises(asyncio.CancelledError):
            await settle
        while control._holder.keeping._kept:  # noqa: ASYNC110 - what ends is seen from outside
            await asyncio.sleep(0.001)

    asyncio.run(asyncio.wait_for(cancel(), 10))
    assert charges(control) == [1, 50]
    whole(control)


# ------------------------------------------------------------------ X4


def test_under_a_stripes_lock_nothing_is_read_or_written(control: UsageControl, faulty: Faulty) -> None:
    """X4: no call of the ledger is made by who has one; the leader's is taken before."""
    held: list[str] = []
    stripe = control._holder.stripes["acme"]
    faulty.watch = lambda verb: held.append(verb) if stripe.lock.locked() else None
    reservation = control.reserve(**ANN, amount=10)
    reservation.extend(5)
    reservation.settle(20)
    control.report_many(
        [{"customerId": "acme", "resourceIds": ["bob"], "creditCurrency": "t", "amount": 1}] * 3
    )
    control.apply({"allocations": [{"resourceId": "bob", "creditCurrency": "t", "limit": 5}]})
    with pytest.raises(AccessDenied):
        control.reserve(**BOB, amount=6)
    control.consume(**BOB, amount=2)
    control.reverse(next(iter(control.events())).event_id, reason="a test")
    control.suspend("bob", reason="a test")
    with pytest.raises(AccessDenied):
        control.consume(**BOB, amount=1)
    control.check(**BOB)
    assert {"reader", "exchange", "open_cells", "change_model"} <= set(faulty.calls)
    assert held == []


# ------------------------------------------------------------------ interrupts


class Interrupted(BaseException):
    """What a signal handler raises: no Exception."""


@pytest.mark.parametrize("kind", [KeyboardInterrupt, Interrupted, TimeoutError])
@pytest.mark.parametrize("committed", [False, True])
def test_who_is_interrupted_while_leading_loses_nothing_for_anybody(
    control: UsageControl, faulty: Faulty, kind: type[BaseException], *, committed: bool
) -> None:
    """X2, X3: the others of the batch get their receipts; what the interrupted wanted is booked once."""
    gate = Gate()

    def interrupt() -> None:
        if not committed:
            gate()
        raise kind

    if committed:
        faulty.before.append(gate)
    (faulty.after if committed else faulty.before).append(interrupt)
    leader = Calls(lambda: report(control, "leader", 5))
    assert gate.reached.wait(10)
    others = Calls(*[lambda at=at: report(control, f"k{at}", 2) for at in range(5)])
    soon(lambda: queue(control) == 6)
    gate.let_go()
    assert isinstance(leader.done()[0], kind)
    assert [receipt.charged for receipt in others.done()] == [2] * 5
    assert report(control, "leader", 5).charged == 5
    soon(lambda: queue(control) == 0)
    assert sorted(charges(control)) == [1, *[2] * 5, 5]
    whole(control)


@pytest.mark.parametrize("committed", [False, True])
def test_a_reservation_whose_settle_is_interrupted_is_settled_once(
    control: UsageControl, faulty: Faulty, *, committed: bool
) -> None:
    """X3."""
    held = control.reserve(**ANN, amount=60)
    (faulty.after if committed else faulty.before).append(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        held.settle(50)
    soon(lambda: queue(control) == 0)
    assert held.settle(50).charged == 50
    assert charges(control) == [1, 50]
    whole(control)


def test_a_waiter_interrupted_while_the_lead_is_handed_to_it_does_not_keep_it(
    control: UsageControl, faulty: Faulty, monkeypatch: pytest.MonkeyPatch
) -> None:
    """X2: it has woken, the lead is its, and it does not come to look."""
    doomed: list[threading.Thread] = []
    sleep = Wake.sleep

    def interrupted(self: Wake) -> None:
        sleep(self)
        if threading.current_thread() in doomed:
            doomed.clear()
            raise KeyboardInterrupt

    monkeypatch.setattr(Wake, "sleep", interrupted)
    gate = Gate()
    faulty.before.append(gate)
    first = Calls(lambda: report(control, "first"))
    assert gate.reached.wait(10)
    waiter = Calls(lambda: (doomed.append(threading.current_thread()), report(control, "waiter", 5)))
    soon(lambda: queue(control) == 2)
    others = Calls(*[lambda at=at: report(control, f"k{at}", 2) for at in range(5)])
    soon(lambda: queue(control) == 7)
    gate.let_go()
    assert isinstance(waiter.done()[0], KeyboardInterrupt)
    assert [type(one) for one in first.done() + others.done()] == [Receipt] * 6
    assert report(control, "waiter", 5).charged == 5
    assert sorted(charges(control)) == [1, 1, *[2] * 5, 5]
    whole(control)


def test_who_waits_to_be_alone_and_is_interrupted_is_in_nobodys_way(
    control: UsageControl, faulty: Faulty, monkeypatch: pytest.MonkeyPatch
) -> None:
    """X2: as `apply` does; before the lead is handed to it, and after."""
    for handed in (False, True):
        doomed: list[threading.Thread] = []
        sleep, passed = Wake.sleep, threading.Event()

        def interrupted(
            self: Wake, *, handed: bool = handed, sleep: Any = sleep, passed: Any = passed
        ) -> None:
            if threading.current_thread() in doomed:  # noqa: B023 - called before the next round
                if handed:
                    sleep(self)
                else:
                    assert passed.wait(10)
                raise KeyboardInterrupt
            sleep(self)

        with monkeypatch.context() as patched:
            patched.setattr(Wake, "sleep", interrupted)
            gate = Gate()
            faulty.before.append(gate)
            first = Calls(lambda handed=handed: report(control, f"first {handed}"))
            assert gate.reached.wait(10)
            applying = Calls(
                lambda: (
                    doomed.append(threading.current_thread()),  # noqa: B023 - as above
                    control.apply({"customers": [{"id": "new"}]}),
                )
            )
            soon(lambda: len(control._holder.exchange._alone) == 1)
            others = Calls(
                *[lambda at=at, handed=handed: report(control, f"{handed} {at}") for at in range(3)]
            )
            soon(lambda: queue(control) == 4)
            passed.set()
            if not handed:
                applying.done()
            gate.let_go()
            assert isinstance(applying.done()[0], KeyboardInterrupt)
            assert [type(one) for one in first.done() + others.done()] == [Receipt] * 4
    assert len(control.apply({"customers": [{"id": "new"}]}).created) == 1
    whole(control)


def test_many_that_are_interrupted_before_they_are_queued_hold_nothing(
    control: UsageControl, faulty: Faulty, monkeypatch: pytest.MonkeyPatch
) -> None:
    """X2: neither for ever, nor as long as a settle that is under way."""

    class Interrupting(type(control._holder.exchange._queue)):  # type: ignore[misc]  # a deque
        def extend(self, entries: object) -> None:
            raise KeyboardInterrupt

    held = control.reserve(**ANN, amount=20)
    with monkeypatch.context() as patched:
        patched.setattr(control._holder.exchange, "_queue", Interrupting())
        with pytest.raises(KeyboardInterrupt):
            control.consume(**ANN, amount=10)
        with pytest.raises(KeyboardInterrupt):
            held.settle(10)
        soon(lambda: control._holder.stripes["acme"].settling == {})
    soon(lambda: memory(control, "ann")[0] == 79)
    held.release()
    whole(control)


def test_a_key_whose_loop_was_closed_keeps_nobody_waiting(control: UsageControl, faulty: Faulty) -> None:
    """X2: it was cancelled, and its event loop ended before the ledger answered."""
    gate = Gate()
    faulty.before.append(gate)

    async def cancel() -> None:
        consume = asyncio.ensure_future(control.aconsume(**ANN, amount=5, idempotency_key="k"))
        await asyncio.to_thread(gate.reached.wait)
        consume.cancel()

    asyncio.run(cancel())
    gate.let_go()
    (again,) = Calls(lambda: control.consume(**ANN, amount=5, idempotency_key="k")).done()
    assert isinstance(again, Receipt)
    assert again.duplicate
    assert charges(control) == [1, 5]
    whole(control)


def test_who_waits_for_a_key_goes_on_when_the_first_is_gone(control: UsageControl, faulty: Faulty) -> None:
    """X2: without having left; of several who wait one at a time."""
    under_way = control._holder.under_way
    turn: object = under_way.enter("k")
    assert turn is not None
    assert under_way.enter("k") is None
    waiting = Calls(*[lambda: control.consume(**ANN, amount=5, idempotency_key="k")] * 3)
    time.sleep(0.1)
    assert charges(control) == [1]
    del turn
    receipts = waiting.done()
    assert all(isinstance(receipt, Receipt) for receipt in receipts)
    assert sorted(getattr(receipt, "duplicate", None) for receipt in receipts) == [False, True, True]
    assert under_way._keys == {}


# What a weak reference's callback raises, Python can only print.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="the system has no timers that signal")
@pytest.mark.platform
def test_signals_that_raise_anywhere_lose_and_strand_nothing(
    control: UsageControl, faulty: Faulty, clock: ManualClock
) -> None:
    """X2, X3: some hundred interrupts of one thread, while others book; then everything is as it was said."""
    seed = random.randrange(10**6)
    print(f"seed {seed}")  # noqa: T201 - so that a failure replays, as far as signals do
    chance = random.Random(seed)
    limit = 10**9
    control.apply({"allocations": [{"resourceId": "org", "creditCurrency": "t", "limit": limit}]})
    stop, booked = threading.Event(), [0] * 2

    def beside(at: int) -> int:
        while not stop.is_set():
            held = control.reserve(**BOB, amount=3)
            booked[at] += int(held.settle(chance.randint(0, 4)).charged)
        return booked[at]

    def on_alarm(*_: object) -> None:
        raise Interrupted

    keys: dict[str, int] = {}
    others = Calls(*[lambda at=at: beside(at) for at in range(2)])
    before = signal.signal(signal.SIGALRM, on_alarm)
    end, interrupts = time.monotonic() + 2.5, 0
    try:
        while time.monotonic() < end:
            key = f"k{len(keys)}"
            keys[key] = 0
            try:
                signal.setitimer(signal.ITIMER_REAL, chance.uniform(0.00005, 0.003))
                for at in range(100):
                    control.consume(**BOB, amount=1, idempotency_key=f"consumed {key} {at}")
                    held = control.reserve(**BOB, amount=2, ttl_seconds=1)
                    report(control, f"{key} {at}", 1, **BOB)
                    keys[key] = at + 1
                    held.extend(1)
                    held.settle(1) if at % 2 else held.release()
            except Interrupted:
                interrupts += 1
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
    except Interrupted:
        pass
    finally:
        stop.set()  # first: however this ends, the others do
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert [type(one) for one in others.done()] == [int] * 2
    assert interrupts > 50
    soon(lambda: queue(control) == 0)
    for key, returned in keys.items():
        for at in range(returned):
            assert report(control, f"{key} {at}", 1, **BOB).duplicate
    assert control.verify() == []
    # What was left open by who was interrupted ends at its own time. Then nothing is held any more.
    clock.advance(seconds=700)
    control._holder.keeper.beat(clock.now_us())
    stripe = control._holder.stripes["acme"]
    assert (stripe.holds, stripe.settling, stripe.apart) == ({}, {}, {})
    assert control._holder.keeping._kept == {}
    for key in list(control._holder.under_way._keys):  # nor does a key keep others waiting
        assert control.consume(**BOB, amount=1, idempotency_key=key).charged == 1
    used, held = numbers(control, "bob")["org"]
    assert (held, sum(charges(control))) == (0, used)
    assert control.reserve(**BOB, amount=limit - used).amount == limit - used
