"""Stepping: coroutines that are cancelled at their n-th await, for every n; and waiting for the keeper.

Here: how a test cancels at a chosen step. Not here: what must come of it (the tests).
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Literal

from stiggctl import UsageControl

from .saying import TOKENS, numbers

#: when the cancellation comes: while what is awaited is under way, or when it is done already
When = Literal["before", "after"]


class _Stepped:
    """Awaits a coroutine, and counts where it suspends; at one of these it is cancelled."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any], at: int, when: When) -> None:
        self._coroutine = coroutine
        self._at = at
        self._when = when
        self.steps = 0

    def __await__(self) -> Generator[Any, Any, Any]:
        thrown: BaseException | None = None
        try:
            while True:
                future = self._coroutine.send(None) if thrown is None else self._coroutine.throw(thrown)
                self.steps += 1
                due, thrown = self.steps == self._at, None
                if due and self._when == "before":
                    task = asyncio.current_task()
                    assert task is not None
                    task.cancel()  # what is yielded now is cancelled, as any task's await is
                try:
                    yield future
                    thrown = asyncio.CancelledError() if due and self._when == "after" else None
                except BaseException as error:  # noqa: BLE001 - handed to the coroutine, as a task does
                    thrown = error
        except StopIteration as ended:
            return ended.value


async def cancelled_at(at: int, when: When, call: Callable[[], Coroutine[Any, Any, Any]]) -> bool:
    """Cancel it at that await; whether it had so many."""
    stepped = _Stepped(call(), at, when)

    async def awaiting() -> None:
        await stepped

    try:
        await asyncio.ensure_future(awaiting())
    except asyncio.CancelledError:
        assert stepped.steps >= at
    return stepped.steps >= at


async def quiet(control: UsageControl, *resource_ids: str, seconds: float = 10.0) -> None:
    """Wait, within a bound, until nothing is held: the keeper and the committer have done their part."""
    end = time.monotonic() + seconds
    while any(held for _, held, _ in numbers(control, *resource_ids).values()):
        assert time.monotonic() < end, f"held still: {control.reservations()}"
        await asyncio.sleep(0.002)


def charges(control: UsageControl, credit_currency: str = TOKENS) -> list[Any]:
    """What each event charged, in ledger order."""
    return [event.amounts[credit_currency] for event in control.events()]
