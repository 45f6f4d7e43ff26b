"""Interrupted: where one comes in the middle of an exchange, its second round does nothing twice.

What a thread wanted of the ledger is served again by another in its place; nothing is taken, grown or
put back a second time, and nobody is left with a lead that he does not know to have.
"""

import ctypes
import threading
from collections.abc import Callable
from typing import Any

import pytest

from stiggctl import AccessDenied, Receipt, UsageControl
from stiggctl.decision.holds import HELD
from stiggctl.holder import rounds, wishes
from stiggctl.holder.doubts import Doubts
from stiggctl.holder.exchange import Exchange
from stiggctl.ledger import Stale
from stiggctl.testing import ManualClock

from .faulty import ANN, BOB, Calls, Faulty, charges, make_faulty, memory, numbers, soon

#: ann's limit is HARD, emea's is SOFT: nothing is drawn for it, and its numbers change all the same.
BOTH: dict[str, Any] = {"resource_ids": ["ann", "emea"], "credit_currency": "t"}


@pytest.fixture
def faulty(control: UsageControl) -> Faulty:
    faulty = make_faulty(control)
    control.consume(**BOTH, amount=1)
    control.consume(**BOB, amount=1)
    return faulty


def forget(control: UsageControl) -> None:
    """What is in memory of ann is of an older model: the next request asks the ledger."""
    control.apply({"allocations": [{"resourceId": "ann", "creditCurrency": "t", "limit": 90}]})


def whole(control: UsageControl, clock: ManualClock, used: int) -> None:
    """Once what is held is over, nothing is held or set apart, and all that is left can be spent."""
    holder = control._holder
    soon(lambda: not (holder.exchange._queue or holder.exchange._leads or holder.exchange._alone))
    clock.advance(seconds=700)
    holder.keeper.beat(clock.now_us())
    stripe = holder.stripes["acme"]
    assert (stripe.holds, stripe.settling, stripe.apart, stripe.torn) == ({}, {}, {}, False)
    assert numbers(control, "ann", "emea")["ann"] == (used, 0)
    assert numbers(control, "ann", "emea")["emea"][1] == 0
    assert control.verify() == []
    limit = {one.resource_id: one.limit for one in control.check(**ANN, requested_usage=0).limits}["ann"]
    control.reserve(**ANN, amount=limit - used).release()
    with pytest.raises(AccessDenied):
        control.reserve(**ANN, amount=limit - used + 1)


def once(what: Callable[..., Any], *, then: bool) -> Callable[..., Any]:
    """The same, but the first time an interrupt comes: after it, or before."""
    left = [KeyboardInterrupt()]

    def interrupted(*given: Any, **named: Any) -> Any:
        if then:
            answer = what(*given, **named)
        if left:
            raise left.pop()
        return answer if then else what(*given, **named)

    return interrupted


# ------------------------------------------------------------------ what was drawn


class Led:
    """One exchange is under way; the next will be led by a report of bob, and is of others, too."""

    def __init__(self, control: UsageControl, faulty: Faulty) -> None:
        self.control = control
        self._reached, self._open = threading.Event(), threading.Event()
        faulty.before.append(self._step)
        self._first = Calls(lambda: control.consume(**BOB, amount=1))
        assert self._reached.wait(20)
        self.leader = Calls(lambda: control.consume(**BOB, amount=2, idempotency_key="leader"))
        self.waiting(2)

    def _step(self) -> None:
        self._reached.set()
        assert self._open.wait(30)

    def waiting(self, many: int) -> None:
        soon(lambda: len(self.control._holder.exchange._queue) == many)

    def let_go(self) -> None:
        """The leader is interrupted while it serves them; what it wanted is booked all the same."""
        self._open.set()
        assert [type(one) for one in self._first.done()] == [Receipt]
        assert [type(one) for one in self.leader.done()] == [KeyboardInterrupt]
        self.waiting(0)
        assert self.control.consume(**BOB, amount=2, idempotency_key="leader").charged == 2


@pytest.mark.parametrize("then", [False, True])
def test_what_others_draw_while_their_leader_is_interrupted_is_held_once(
    control: UsageControl, faulty: Faulty, clock: ManualClock, monkeypatch: pytest.MonkeyPatch, *, then: bool
) -> None:
    """X2, X3: right before it is held, or right after."""
    forget(control)
    led = Led(control, faulty)
    reserving = Calls(lambda: control.reserve(**BOTH, amount=7))
    led.waiting(3)
    monkeypatch.setattr(wishes, "take", once(wishes.take, then=then))
    led.let_go()
    (held,) = reserving.done()
    assert held.amount == 7  # type: ignore[attr-defined]  # it was admitted
    assert numbers(control, "ann")["ann"] == (1, 7)
    assert memory(control, "ann")[2] - memory(control, "ann")[0] == 7
    assert held.settle(5).charged == 5  # type: ignore[attr-defined]  # as above
    assert sorted(charges(control)) == [1, 1, 1, 2, 5]
    whole(control, clock, used=6)


@pytest.mark.parametrize("then", [False, True])
def test_what_others_draw_of_less_than_all_says_what_it_holds(
    control: UsageControl, faulty: Faulty, clock: ManualClock, monkeypatch: pytest.MonkeyPatch, *, then: bool
) -> None:
    """X2, PN2: held by the first round, and told by the second."""
    forget(control)
    led = Led(control, faulty)
    reserving = Calls(lambda: control.reserve(**BOTH, amount=500, minimum=7))
    led.waiting(3)
    monkeypatch.setattr(wishes, "take", once(wishes.take, then=then))
    led.let_go()
    (held,) = reserving.done()
    assert held.amount == held.decision.requested["t"] == 89  # type: ignore[attr-defined]  # as above
    assert numbers(control, "ann")["ann"] == (1, 89)
    assert held.settle().charged == 89  # type: ignore[attr-defined]  # as above
    whole(control, clock, used=90)


@pytest.mark.parametrize("then", [False, True])
def test_what_others_extend_while_their_leader_is_interrupted_grows_once(
    control: UsageControl, faulty: Faulty, clock: ManualClock, monkeypatch: pytest.MonkeyPatch, *, then: bool
) -> None:
    """X2, X3: right before it grows, or right after."""
    held = control.reserve(**BOTH, amount=7)
    forget(control)
    led = Led(control, faulty)
    extending = Calls(lambda: held.extend(5))
    led.waiting(3)
    monkeypatch.setattr(wishes, "grow_locked", once(wishes.grow_locked, then=then))
    led.let_go()
    assert extending.done() == [None]
    assert (held.amount, numbers(control, "ann")["ann"]) == (12, (1, 12))
    assert held.settle().charged == 12
    whole(control, clock, used=13)


@pytest.mark.parametrize("verb", ["reserve", "consume"])
def test_what_the_interrupted_drew_itself_is_held_once_and_ends(
    control: UsageControl, faulty: Faulty, clock: ManualClock, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    """X3, R3."""
    forget(control)
    monkeypatch.setattr(wishes, "take", once(wishes.take, then=True))
    with pytest.raises(KeyboardInterrupt):
        getattr(control, verb)(**BOTH, amount=7)
    soon(lambda: not control._holder.exchange._queue)
    assert numbers(control, "ann")["ann"] in {(1, 7), (1, 0)}
    assert memory(control, "ann")[2] - memory(control, "ann")[0] in {7, 0}
    whole(control, clock, used=1)


# ------------------------------------------------------------------ a second interrupt


@pytest.mark.parametrize("then", [False, True])
def test_a_second_interrupt_while_the_first_is_noted_leaves_no_number_torn(
    control: UsageControl, faulty: Faulty, clock: ManualClock, monkeypatch: pytest.MonkeyPatch, *, then: bool
) -> None:
    """MD1, X3: of a SOFT limit, too, of which the ledger is not asked."""
    held = control.reserve(**BOTH, amount=7)
    forget(control)
    grow, left = wishes.grow_locked, [KeyboardInterrupt()]

    def torn(stripe: Any, number: int, *more: Any) -> bool | None:
        if not left:
            return grow(stripe, number, *more)
        for places, *_ in stripe.holds[number][HELD]:
            for place in places:
                stripe.numbers[place] -= 5  # the first step of growing, and not the second
        raise left.pop()

    monkeypatch.setattr(wishes, "grow_locked", torn)
    monkeypatch.setattr(Doubts, "note", once(Doubts.note, then=then))
    with pytest.raises(KeyboardInterrupt):
        held.extend(5)
    assert left == []
    soon(lambda: not control._holder.exchange._queue)
    assert numbers(control, "ann", "emea") == {"org": (2, 12), "ann": (1, 12), "emea": (1, 12)}
    whole(control, clock, used=1)


def test_an_interrupt_while_a_stale_batch_is_withdrawn_puts_nothing_back_twice(
    control: UsageControl, faulty: Faulty, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MD1, X3: what was set apart is spare again, and it is not admitted twice."""
    left = [KeyboardInterrupt()]
    put_back = rounds.put_apart_back

    def torn(stripe: Any) -> None:
        if not left:
            return put_back(stripe)
        for place, units in stripe.apart.items():
            stripe.numbers[place] += units  # the first step of it, and not the second
        raise left.pop()

    monkeypatch.setattr(rounds, "put_apart_back", torn)
    faulty.before.append(Stale())
    with pytest.raises(KeyboardInterrupt):
        control.report(customer_id="acme", amount=10, **ANN)
    assert left == []
    soon(lambda: not control._holder.exchange._queue)
    assert sorted(charges(control)) == [1, 1, 10]
    whole(control, clock, used=11)


# ------------------------------------------------------------------ the lead


class Noticed:
    """A lock that tells when somebody comes and finds it taken."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.in_vain = threading.Event()

    def __enter__(self) -> None:
        if not self._lock.acquire(blocking=False):
            self.in_vain.set()
            self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def test_the_lead_is_not_left_with_one_that_has_gone_since_it_was_looked_for(
    control: UsageControl, faulty: Faulty, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """X2: `apply` waits to be alone, and is interrupted just when it is its turn."""
    exchange = control._holder.exchange
    reached, go = threading.Event(), threading.Event()
    faulty.before.append(lambda: (reached.set(), go.wait(30)))
    leader = Calls(lambda: control.consume(**ANN, amount=1))
    assert reached.wait(20)
    applying = Calls(lambda: forget(control))
    (thread,) = applying._threads
    soon(lambda: len(exchange._alone) == 1)
    (waiter,) = exchange._alone
    handing, look, hand_on = Noticed(), exchange._next, exchange._hand_on
    looked, left = threading.Event(), threading.Event()

    def slowly() -> Any:
        found = look()
        if found is waiter and not looked.is_set():
            looked.set()
            send = ctypes.pythonapi.PyThreadState_SetAsyncExc
            send(ctypes.c_ulong(thread.ident or 0), ctypes.py_object(KeyboardInterrupt))
            waiter.up()  # so that it sees its interrupt
            soon(lambda: handing.in_vain.is_set() or left.is_set())
        return found

    def leaving(self: Exchange, sleeper: Any) -> None:
        hand_on(sleeper)
        if sleeper is waiter:
            left.set()

    monkeypatch.setattr(exchange, "_handing", handing)
    monkeypatch.setattr(exchange, "_next", slowly)
    monkeypatch.setattr(Exchange, "_hand_on", leaving)
    go.set()
    try:
        assert [type(one) for one in leader.done() + applying.done()] == [Receipt, KeyboardInterrupt]
        assert looked.is_set()
        (after,) = Calls(lambda: control.consume(**ANN, amount=1)).done(10)
        assert isinstance(after, Receipt)
    finally:
        if exchange._leads.get("lead") is waiter:
            exchange._leads.clear()  # or closing would wait for it, for ever
    whole(control, clock, used=3)
