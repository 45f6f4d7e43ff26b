"""Around a call, cancelled at every await: what was told is booked once, and nothing is held."""

import asyncio
import gc
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any, get_args

import pytest

from stiggctl import UsageControl

from .saying import TOKENS, flat, numbers
from .stepping import When, cancelled_at, charges, quiet

ASK: dict[str, Any] = {"resource_ids": ["a"], "credit_currency": TOKENS}
Open = Callable[..., UsageControl]
#: More than any of these paths has; each is cancelled at its first, its second … until it ends by itself.
AWAITS_MAX = 60


@pytest.fixture
def spent(control: UsageControl) -> UsageControl:
    control.apply(flat({"a": 100_000}))
    control.reserve(**ASK, amount=1).release()
    return control


class Said:
    """What one run of a path told before it was cancelled; None: nothing."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.told: int | None = None
        self.ended = False


async def guarded(control: UsageControl, said: Said, **more: Any) -> None:
    async with control.guard(**ASK, estimate=75, event_name=said.name, **more) as call:
        await asyncio.sleep(0)
        call.used(7)
        said.told = 7
        await asyncio.sleep(0)
        call.used(61)
        said.told = 61
        await asyncio.sleep(0)
    said.ended = True


async def untold(control: UsageControl, said: Said, **more: Any) -> None:
    async with control.guard(**ASK, estimate=75, event_name=said.name, **more):
        await asyncio.sleep(0)
        said.told = 75  # if it comes to its end from here
    said.ended = True


async def chunks() -> AsyncIterator[int]:
    for _ in range(4):
        await asyncio.sleep(0)
        yield 5
    await asyncio.sleep(0)


async def streamed(control: UsageControl, said: Said, **more: Any) -> None:
    async with control.guard(**ASK, estimate=6, event_name=said.name, **more) as call:
        async for chunk in call.stream(chunks(), amount=lambda chunk: chunk):
            said.told = (said.told or 0) + chunk
            await asyncio.sleep(0)
        said.told = said.told or 0
    said.ended = True


async def metered(control: UsageControl, said: Said, **more: Any) -> None:
    @control.metered(**ASK, estimate=75, amount=lambda result: result, event_name=said.name, **more)
    async def answer() -> int:
        await asyncio.sleep(0)
        said.told = 61
        return 61

    assert await answer() == 61
    said.ended = True


async def metered_items(control: UsageControl, said: Said, **more: Any) -> None:
    made = control.metered(**ASK, estimate=6, amount=lambda item: item, event_name=said.name, **more)(chunks)
    stream = made()
    try:
        async for item in stream:
            said.told = (said.told or 0) + item
            await asyncio.sleep(0)
    finally:
        await stream.aclose()
    said.ended = True


PATHS = [guarded, untold, streamed, metered, metered_items]


def events_of(control: UsageControl, said: Said) -> list[Any]:
    return [event.amounts[TOKENS] for event in control.events() if event.event_name == said.name]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("when", get_args(When))
@pytest.mark.parametrize("keyed", [False, True])
def test_cancelled_at_any_await_what_was_told_is_booked_once_and_nothing_is_held(
    spent: UsageControl, path: Any, when: When, keyed: bool
) -> None:
    """TL1."""
    at, total = 0, 0

    async def one(at: int) -> Said:
        said = Said(f"{path.__name__} {at}")
        more = {"idempotency_key": said.name} if keyed else {}
        reached = await cancelled_at(at, when, lambda: path(spent, said, **more))
        assert reached or said.ended
        await quiet(spent, "a")
        return said

    ended = False
    while not ended:
        at += 1
        assert at < AWAITS_MAX
        said = asyncio.run(one(at))
        booked = events_of(spent, said)
        if path is untold and not said.ended and not booked:
            said.told = None  # cancelled inside of the block: nothing was told
        assert booked == ([] if said.told is None else [said.told]), at
        total += said.told or 0
        ended = said.ended
    assert at >= 3  # or nothing was cancelled
    assert numbers(spent, "a")["a"] == (total, 0, 100_000 - total)
    assert list(spent.verify()) == []
    assert list(spent.reservations()) == []


@pytest.mark.parametrize("when", get_args(When))
def test_cancelled_while_it_begins_on_a_cold_ledger_it_holds_nothing(
    opened: Open, tmp_path: Any, when: When
) -> None:
    """The first request loads and draws, in another thread."""
    ended, at = False, 0
    while not ended:
        at += 1
        assert at < AWAITS_MAX
        control = opened(tmp_path / f"{when} {at}.db")
        control.apply(flat({"a": 1000}))
        said = Said("cold")

        async def one(control: UsageControl = control, said: Said = said, at: int = at) -> None:
            await cancelled_at(at, when, lambda: guarded(control, said))
            await asyncio.sleep(0.05)  # what was begun in that thread comes to its end
            await quiet(control, "a")

        asyncio.run(one())
        assert charges(control) == ([] if said.told is None else [said.told])
        assert list(control.reservations()) == []
        ended = said.ended
        control.close()
    assert at > 3


def test_a_coroutine_that_is_closed_while_its_loop_runs_is_left_to_the_keeper(spent: UsageControl) -> None:
    """TL3: whoever closes one waits for nothing; also of a stack, and one that awaits it."""

    async def stacked() -> None:
        async with AsyncExitStack() as stack:
            call = await stack.enter_async_context(spent.guard(**ASK, estimate=75))
            call.used(7)
            await asyncio.sleep(0)

    async def outer() -> None:
        await stacked()

    async def closing() -> None:
        for made in (stacked, outer, lambda: guarded(spent, Said("closed"))):
            coroutine = made()
            coroutine.send(None)
            if made not in (stacked, outer):
                coroutine.send(None)
            coroutine.close()
        await quiet(spent, "a")

    asyncio.run(closing())
    assert charges(spent) == [7, 7, 7]
    assert numbers(spent, "a")["a"] == (21, 0, 100_000 - 21)


def test_a_hundred_tasks_are_cancelled_at_once(spent: UsageControl) -> None:
    said = [Said(f"task {place}") for place in range(100)]

    async def all_of_them() -> None:
        tasks = [
            asyncio.ensure_future(PATHS[place % len(PATHS)](spent, one)) for place, one in enumerate(said)
        ]
        for _ in range(4):
            await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await quiet(spent, "a")

    asyncio.run(all_of_them())
    assert all(one.ended for one in said[1::2])
    for place, one in enumerate(said):
        booked = events_of(spent, one)
        if PATHS[place % len(PATHS)] is untold and not one.ended:
            assert booked in ([], [75])
        else:
            assert booked == ([] if one.told is None else [one.told])
    assert numbers(spent, "a")["a"][1] == 0


def test_a_loop_that_ends_in_the_middle_loses_nothing(spent: UsageControl) -> None:
    """What is left when asyncio.run ends is cancelled; what is left of a loop that is closed is not."""
    first, second = Said("run"), Said("closed")

    async def left_behind() -> None:
        task = asyncio.ensure_future(streamed(spent, first))
        while not first.told:  # noqa: ASYNC110 - steps of this loop, no time
            await asyncio.sleep(0)
        assert not task.done()

    asyncio.run(left_behind())
    asyncio.run(quiet(spent, "a"))
    assert events_of(spent, first) == [first.told]

    async def stepping() -> None:
        while not second.told:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0)

    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda *_: None)  # it says that a task was destroyed
    task = loop.create_task(streamed(spent, second))
    loop.run_until_complete(stepping())
    loop.close()
    del task
    del loop
    gc.collect()
    asyncio.run(quiet(spent, "a"))
    assert events_of(spent, second) == [second.told]
    assert numbers(spent, "a")["a"][1] == 0
