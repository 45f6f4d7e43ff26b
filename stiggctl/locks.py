"""Locks: telling a call that waits for another thread from one that would wait for its own.

Between any two steps of a thread other code may run on it: finalizers, when the collector of garbage
comes by, and signal handlers. If that code calls a verb while the steps that it came between have a
lock, the verb waits for what only its own thread can let go: for ever.

Here: looking for that where a lock is not free. Not here: the locks, each with what it guards; our own
finalizers, which wait for nothing (holder/owed.py).

  LK1  A call that came in the middle of a section of its own thread is refused, and changes nothing;
       but for a booking that stands in the queue by then: another thread sees to that.
  LK2  A lock that is free costs one look; on the way of each decision that look stands where the
       lock is taken, and this is not called. Which thread has it is asked of the stack of calls, and
       only where it was not to be had for a while: an owner noted beside it would have to be kept
       right through interrupts, and `RLock` would let the call into a half made change.
"""

import sys
from threading import Event, Lock
from types import FrameType

from stiggctl.errors import InvalidRequest

#: How long a lock of memory is waited for before it is asked who has it. A section takes
#: microseconds, but its thread may have been put aside for a turn or two of the interpreter (5 ms).
#: Shorter, busy threads would look at their stacks for nothing; longer, a finalizer stands still.
LOOKS, LOOK_SECONDS = 50, 0.001

_OURS = ("stiggctl.",)
#: Those that have locks while they run.
_ROOMS = ("stiggctl.decision.", "stiggctl.holder.", "stiggctl.ledger.", "stiggctl.control.reservation")


def await_turn(lock: Lock, whose: object) -> None:
    """Return when it is free, or another thread has it; for `if lock.locked()`, before `with lock`.

    `whose`: what every section of that lock has in a local variable. Raises InvalidRequest where the
    call came in the middle of such a section. Takes the lock at no time: a signal that raises between
    taking and letting go would leave it taken.
    """
    if _outer_section() is None:
        return  # it came in the middle of nothing of ours, as nearly always
    pause = Event()
    for _ in range(LOOKS):
        if not lock.locked():
            return
        pause.wait(LOOK_SECONDS)
    if _comes_between(whose):
        raise reentered()


def came_between() -> bool:
    """Whether this call came in the middle of one of ours, on its thread, that may have a lock.

    Then it does not wait for another thread: that may wait for what this one has.
    """
    return _outer_section() is not None


def reentered() -> InvalidRequest:
    """What a call is told that came in the middle of another one of its own thread."""
    return InvalidRequest(
        where="the call",
        value="one from a finalizer or a signal handler",
        expected="one that does not come in the middle of another of its own thread, which would "
        "wait for itself: hand it to another thread, or note it and call later",
    )


def _outer_section() -> FrameType | None:
    """The nearest frame of a room that locks, above code of others that called this, if there is one."""
    frame: FrameType | None = sys._getframe(2)  # noqa: SLF001 - nothing else tells who was interrupted
    while frame is not None and _is_in(frame, _OURS):
        frame = frame.f_back
    while frame is not None and not _is_in(frame, _ROOMS):
        frame = frame.f_back
    return frame


def _comes_between(whose: object) -> bool:
    """Whether code of others, on this thread, was called from a section of ours over that."""
    frame = _outer_section()
    while frame is not None:
        if _is_in(frame, _ROOMS) and any(one is whose for one in frame.f_locals.values()):
            return True
        frame = frame.f_back
    return False


def _is_in(frame: FrameType, rooms: tuple[str, ...]) -> bool:
    return str(frame.f_globals.get("__name__", "")).startswith(rooms)
