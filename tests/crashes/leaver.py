"""What a process leaves that ends with work open: run as a module: PATH, HOW.

Here: each way to end. Not here: what must hold afterwards (test_exit.py).
"""

import asyncio
import atexit
import sys
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

from stiggctl import ControlClosed, UsageControl

from .spender import ASK
from .test_kill import model

#: Said at once, and for the test.
say: Callable[[object], None] = partial(print, flush=True)


def says_so(what: Callable[[], object], say: Any = say, closed: Any = ControlClosed) -> None:
    """Do what comes too late. It has in hand what it needs: a module that goes has no names left."""
    try:
        what()
    except closed:
        say("too late")


def report(control: UsageControl, at: int) -> Any:
    return control.report(customer_id="c", amount=1, idempotency_key=f"k{at}", **ASK)


def with_a_daemon_thread_in_report(control: UsageControl) -> None:
    """It goes on until the interpreter is gone: what it was told is booked stands on stdout before."""
    begun = threading.Event()

    def spend() -> None:
        for at in range(10**6):
            try:
                report(control, at)
            except ControlClosed:
                return
            say(at)
            if at == 20:
                begun.set()

    threading.Thread(target=spend, daemon=True).start()
    assert begun.wait(30)


def with_a_task_pending(control: UsageControl) -> None:
    """A booking that was queued and is never awaited to its end; another that was."""

    async def leave() -> None:
        await control.areport(customer_id="c", amount=1, idempotency_key="k0", **ASK)
        say(0)
        task = asyncio.ensure_future(control.areport(customer_id="c", amount=1, idempotency_key="k1", **ASK))
        await asyncio.sleep(0)
        assert not task.done()

    asyncio.run(leave())


def with_a_reservation_open(control: UsageControl) -> None:
    """Nobody settles it, nobody closes."""
    control.reserve(**ASK, amount=7, ttl_seconds=3600)


def with_handlers_of_its_own(control: UsageControl) -> None:
    """What was registered before the library's handler runs after it, and is told that it is too late."""
    report(control, 0)
    say(0)


def with_an_object_that_reports_when_it_is_collected(control: UsageControl) -> None:
    """It is this module's, and goes with it: after every handler, when names are taken away."""

    class Late:
        def __del__(self) -> None:
            too_late_to(lambda: report_at_last(control, 1))

    too_late_to, report_at_last = says_so, report
    globals()["late"] = Late()
    report(control, 0)
    say(0)


def main(path: str, how: str) -> None:
    """End that way, with the control open."""
    controls: list[UsageControl] = []
    if how == "with_handlers_of_its_own":
        from stiggctl.control import opening  # noqa: PLC0415 - its handler is registered by now

        atexit.unregister(opening._close_all)
        atexit.register(lambda: says_so(lambda: report(controls[0], 5)))  # registered first, run last
        atexit.register(opening._close_all)
    control = UsageControl(path)
    controls.append(control)
    control.apply(model(1_000_000))
    globals()[how](control)


if __name__ == "__main__":
    main(*sys.argv[1:])
