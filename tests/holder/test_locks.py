"""Locks: looking who has one takes none, whatever comes in between."""

import sys
import threading
from types import FrameType
from typing import Any

from stiggctl import LedgerTrouble, UsageControl
from stiggctl.locks import await_turn

from .faulty import Calls, gone

STEPS_MAX = 500


class Handed:
    """A lock that another thread has, and lets go just after somebody has come for it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.lock.acquire()
        self.came = 0

    def _let_go(self) -> bool:
        self.came += 1
        if self.came == 2:
            self.lock.release()
        return self.came <= 2

    def locked(self) -> bool:
        return self._let_go() or self.lock.locked()

    def acquire(self, **how: Any) -> bool:
        self.came = max(self.came, 1)
        self._let_go()
        return self.lock.acquire(**how)

    def release(self) -> None:
        self.lock.release()


class Interrupted(BaseException):
    """What a signal handler raises: no Exception."""


def test_an_interrupt_at_any_step_of_waiting_for_a_lock_leaves_it_to_be_had(control: UsageControl) -> None:
    """LK2: at each instruction; in a hook, which is called from the middle of something of ours."""
    interrupts, at = 0, 0

    def waiting(_: LedgerTrouble) -> None:
        nonlocal interrupts
        handed, steps = Handed(), 0

        def trace(frame: FrameType, event: str, _: object) -> Any:
            nonlocal steps
            if frame.f_code is not await_turn.__code__:
                return None
            frame.f_trace_opcodes = True
            if event == "opcode":
                steps += 1
                if steps == at:
                    raise Interrupted
            return trace

        before = sys.gettrace()
        # Python 3.12 traces instructions only where some frame wants that when tracing begins.
        sys._getframe().f_trace_opcodes = True
        sys.settrace(trace)
        try:
            await_turn(handed, handed)  # type: ignore[arg-type]  # it does what a lock does
        except Interrupted:
            interrupts += 1
        finally:
            sys.settrace(before)
        if handed.came < 2:  # it never came so far: its owner has it still
            handed.lock.release()
        free.append(handed.lock.acquire(blocking=False))

    free: list[bool] = []
    control.subscribe(waiting)

    def at_each() -> None:
        nonlocal at
        while interrupts == at and at < STEPS_MAX:
            at += 1
            control._holder.report_trouble(gone())

    assert Calls(at_each).done() == [None]
    assert 20 < interrupts < STEPS_MAX
    assert free == [True] * (interrupts + 1)
