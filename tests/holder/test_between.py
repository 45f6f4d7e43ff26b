"""Between two steps: who comes in the middle of a call, on its own thread, stops nothing (LK1, LK2).

A finalizer that the collector calls, or a signal handler, may say any verb. It is said here at every
step of every call: it works, or is refused with a reason, and the call that it came between goes on.
"""

import ctypes
import gc
import itertools
import random
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stiggctl import InvalidRequest, UsageControl, locks
from stiggctl.control import opening as opening_module
from stiggctl.holder import waiting
from stiggctl.testing import ManualClock

from .faulty import ANN, BOB, Calls, charges, gone, numbers, soon
from .stepping import at_every_step

REPORT: dict[str, Any] = {"customer_id": "acme", "amount": 0, **BOB}
MODEL_CHANGES = {"customers": [{"id": "another"}]}


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is waited for in vain is looked at soon: it happens some thousand times here."""
    monkeypatch.setattr(locks, "LOOKS", 1)
    monkeypatch.setattr(waiting, "LOOK_SECONDS", 0.001)


@pytest.fixture
def spent(control: UsageControl) -> UsageControl:
    """A process that is a holder, with the background thread stopped."""
    control.consume(**ANN, amount=1)
    control.check(**BOB)
    control._holder.keeper.stop()
    return control


def cold(control: UsageControl) -> None:
    """Nothing is compiled: the next call reads the ledger."""
    control._holder.model_changed(None)


def a_check(control: UsageControl) -> None:
    assert control.check(**ANN)


def a_cold_check(control: UsageControl) -> None:
    cold(control)
    assert control.check(**ANN)


def a_reservation_released(control: UsageControl) -> None:
    held = control.reserve(**ANN, amount=2)
    try:
        held.extend(1)
    finally:
        held.release()


def a_reservation_settled(control: UsageControl) -> None:
    control.reserve(**ANN, amount=2).settle(0)


def a_consume(control: UsageControl) -> None:
    control.consume(**ANN, amount=0)


def a_cold_consume(control: UsageControl) -> None:
    cold(control)
    a_consume(control)


def a_report(control: UsageControl) -> None:
    control.report(**REPORT)


def a_model_change(control: UsageControl) -> None:
    control.apply(MODEL_CHANGES)


def a_look_back(control: UsageControl) -> None:
    assert control.tree("org", "t").used
    assert next(iter(control.events()))
    assert control.reservations() == []


CALLS: list[Callable[[UsageControl], None]] = [
    a_check, a_cold_check, a_reservation_released, a_reservation_settled, a_cold_consume, a_report,
    a_model_change, a_look_back,
]  # fmt: skip


class Guest:
    """Says a verb, each time another one; it does what it says, or is refused."""

    def __init__(self, control: UsageControl) -> None:
        self.refused = 0
        self.reported = 0
        self.wrong: list[BaseException] = []
        self._control = control
        verbs = (a_check, a_reservation_released, self._report, a_consume, a_look_at_limits, a_model_change)
        self._verbs = itertools.cycle(verbs)

    def __call__(self) -> None:
        try:
            next(self._verbs)(self._control)
        except InvalidRequest as error:
            if error.where != "the call":
                self.wrong.append(error)
            self.refused += 1
        except BaseException as error:  # noqa: BLE001 - a finalizer can only print it
            self.wrong.append(error)

    def _report(self, control: UsageControl) -> None:
        control.report(**REPORT)
        self.reported += 1


def a_look_at_limits(control: UsageControl) -> None:
    control.tree("org", "t")


def whole(control: UsageControl) -> None:
    """Nothing is held or set apart, and each counter is the sum of its events."""
    holder = control._holder
    soon(lambda: not holder.exchange._queue)
    holder.exchange.clear_doubts()
    stripe = holder.stripes["acme"]
    assert not stripe.lock.locked()
    assert (stripe.holds, stripe.settling, stripe.apart) == ({}, {}, {})
    assert holder.keeping._kept == {}
    assert control.verify() == []
    used, held = numbers(control, "bob")["org"]
    assert (held, sum(charges(control))) == (0, used)


@pytest.mark.parametrize("call", CALLS)
def test_a_verb_that_comes_in_at_any_step_of_another_works_or_is_refused(
    spent: UsageControl, call: Callable[[UsageControl], None]
) -> None:
    """LK1: and the other is done as if nobody had come."""
    guest = Guest(spent)
    call(spent)
    before = len(charges(spent))
    (places,) = Calls(lambda: list(at_every_step(lambda: call(spent), guest))).done(100)
    assert isinstance(places, list), places
    assert guest.wrong == []
    assert guest.reported > 5
    assert guest.refused > 5
    assert len(charges(spent)) >= before + guest.reported
    whole(spent)


class Interrupted(BaseException):
    """What a soft time limit raises: no Exception."""


# What a generator raises that is collected, Python can only print.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("call", CALLS)
def test_an_interrupt_at_any_step_stops_and_strands_nothing(
    spent: UsageControl, clock: ManualClock, call: Callable[[UsageControl], None]
) -> None:
    """LK2, MD1, X2, X3: who was interrupted may say it again; what was held ends at its own time."""
    interrupts = 0

    def interrupt() -> None:
        raise Interrupted

    def interrupted() -> None:
        nonlocal interrupts
        try:
            call(spent)
        except Interrupted:
            interrupts += 1
            clock.advance(seconds=700)  # what it left held is over

    (places,) = Calls(lambda: list(at_every_step(interrupted, interrupt))).done(100)
    assert isinstance(places, list), places
    assert interrupts > 50
    (again,) = Calls(lambda: call(spent)).done()
    assert again is None
    clock.advance(seconds=700)
    soon(lambda: not spent._holder.exchange._queue)
    spent._holder.keeper.beat(clock.now_us())
    whole(spent)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_exceptions_that_another_thread_sends_stop_and_strand_nothing(
    spent: UsageControl, clock: ManualClock
) -> None:
    """LK2, MD1, X2, X3: as a soft time limit does it: PyThreadState_SetAsyncExc, whenever."""
    chance, said, stop = random.Random(7), [0], threading.Event()
    interrupts = 0

    def until_told() -> int:
        nonlocal interrupts
        while True:
            try:
                while not stop.is_set():
                    for call in CALLS:
                        if call is not a_look_back:  # something may be held
                            call(spent)
                            said[0] += 1
                return said[0]
            except Interrupted:
                interrupts += 1

    calls = Calls(until_told)
    (thread,) = calls._threads
    send = ctypes.pythonapi.PyThreadState_SetAsyncExc
    for _ in range(150):
        before = said[0] + chance.randrange(3)
        soon(lambda before=before: said[0] > before)
        for _ in range(chance.randrange(2_000)):
            pass  # somewhere in the middle of a call
        send(ctypes.c_ulong(thread.ident or 0), ctypes.py_object(Interrupted))
        clock.advance(seconds=700)
    stop.set()
    (told,) = calls.done()
    assert isinstance(told, int)
    assert interrupts > 100
    clock.advance(seconds=700)
    soon(lambda: not spent._holder.exchange._queue)
    spent._holder.keeper.beat(clock.now_us())
    whole(spent)


class Collected:
    """A finalizer that says a verb; each makes the next, so that every collection finds one."""

    def __init__(self, left: list[int], what: Callable[[], object]) -> None:
        self._itself = self  # only the collector finds it
        self._left, self._what = left, what

    def __del__(self) -> None:
        if self._left:
            self._left.pop()
            Collected(self._left, self._what)
            self._what()


def test_finalizers_that_say_verbs_wherever_the_collector_comes_by_stop_nothing(spent: UsageControl) -> None:
    """LK1: with the collector as eager as it can be."""
    guest = Guest(spent)

    def eager() -> None:
        before = gc.get_threshold()
        gc.set_threshold(1)
        Collected([0] * 400, guest)
        try:
            for call in CALLS * 6:
                call(spent)
        finally:
            gc.set_threshold(*before)

    (told,) = Calls(eager).done(100)
    assert told is None
    assert guest.wrong == []
    assert guest.reported > 20
    assert guest.refused > 5
    whole(spent)


def test_who_books_waits_for_nobody_that_keeps_something(spent: UsageControl) -> None:
    """KP2, LK1: a handler that came in the middle of that may be waiting for just that booking."""
    first = spent.reserve(**ANN, amount=1)
    keeping, came = spent._holder.keeping, []

    class Interrupted(dict[int, Any]):
        def __setitem__(self, number: int, kept: Any) -> None:
            came.append(Calls(lambda: first.settle(1)).done(5))
            super().__setitem__(number, kept)

    keeping._kept = Interrupted(keeping._kept)
    spent.reserve(**ANN, amount=1).release()
    assert [receipt.charged for (receipt,) in came] == [1]
    whole(spent)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="the system has no timers that signal")
@pytest.mark.platform
def test_signal_handlers_that_say_verbs_stop_nothing_whatever_they_come_between(spent: UsageControl) -> None:
    """LK1: also where their thread waits for another that books."""
    guest, stop = Guest(spent), threading.Event()

    def beside() -> None:
        while not stop.is_set():
            a_reservation_settled(spent)

    def handler(*_: object) -> None:
        guest()
        signal.setitimer(signal.ITIMER_REAL, chance.uniform(0.0001, 0.002))

    chance = random.Random(7)
    others = Calls(beside)
    before = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.001)
        for call in CALLS * 60:
            if call is not a_look_back:  # others hold something
                call(spent)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        stop.set()
    assert others.done() == [None]
    assert [error for error in guest.wrong if not isinstance(error, AssertionError)] == []
    assert guest.reported > 0
    whole(spent)


class Watched:
    """A lock that tells when somebody waits for it, whatever was looked at before."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.in_vain = threading.Event()
        self.locked, self.release = self._lock.locked, self._lock.release

    def __enter__(self) -> None:
        if not self._lock.acquire(blocking=False):
            self.in_vain.set()
            self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def test_who_waits_long_for_another_thread_is_not_taken_for_one_that_waits_for_itself(
    spent: UsageControl,
) -> None:
    """LK2: who has the lock is asked; it is not the own thread, also in a hook, so it waits on."""
    answered: list[object] = []
    spent.subscribe(lambda _: answered.append(spent.check(**ANN)))
    for call in (a_check, a_reservation_released, lambda spent: spent._holder.report_trouble(gone())):
        stripe, lock = spent._holder.stripes["acme"], Watched()
        stripe.lock = lock  # type: ignore[assignment]  # it does what a lock does
        with lock:
            calls = Calls(lambda call=call: call(spent))
            assert lock.in_vain.wait(20)
        assert calls.done() == [None]
    assert len(answered) == 1
    whole(spent)


def test_a_control_that_a_finalizer_closes_while_another_is_opened_is_closed(
    spent: UsageControl, tmp_path: Path
) -> None:
    """LK1: the one lock of all openings may be had by one thread twice."""
    closed = []

    def close() -> None:
        with UsageControl(tmp_path / "another.db") as another:
            closed.append(another)

    def opening() -> None:
        UsageControl(tmp_path / "opened.db").close()

    (places,) = Calls(lambda: list(at_every_step(opening, close))).done(100)
    assert isinstance(places, list), places
    assert len(closed) == len(places) > 50
    assert not {tmp_path / "opened.db", tmp_path / "another.db"} & set(opening_module._holders)
