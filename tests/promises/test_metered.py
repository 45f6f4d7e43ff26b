"""metered: one decorator on a function of any kind: guarded, and told what it used by its result."""

import asyncio
import gc
import inspect
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from typing import Any, ClassVar

import pytest

from stiggctl import (
    AccessDenied,
    BudgetExhausted,
    InvalidAmount,
    InvalidRequest,
    UsageControl,
)

from .saying import TOKENS, Face, flat, numbers
from .stepping import charges, quiet

ASK: dict[str, Any] = {"resource_ids": ["a"], "credit_currency": TOKENS}
METER: dict[str, Any] = ASK | {"estimate": 10}
Run = Callable[..., Any]


@pytest.fixture
def spent(control: UsageControl) -> UsageControl:
    """Resources a and b, 100 ai-tokens each."""
    control.apply(flat({"a": 100, "b": 100}))
    control.reserve(**ASK, amount=1).release()
    return control


@pytest.fixture
def function(face: Face) -> Run:
    """A decorated function of either face, that is called as a plain one."""

    def make(decorator: Callable[[Any], Any], body: Callable[..., Any]) -> Callable[..., Any]:
        if face == "sync":
            return decorator(body)

        @decorator
        async def decorated(*args: Any, **kwargs: Any) -> Any:
            await asyncio.sleep(0)
            return body(*args, **kwargs)

        return lambda *args, **kwargs: asyncio.run(decorated(*args, **kwargs))

    return make


@pytest.fixture
def items(face: Face) -> Run:
    """A decorated generator of either face, as a plain iterator that can be closed."""

    def make(decorator: Callable[[Any], Any], body: Callable[..., Any]) -> Callable[..., Iterator[Any]]:
        if face == "sync":
            return decorator(body)

        @decorator
        async def decorated(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
            inner = body(*args, **kwargs)
            try:
                for item in inner:
                    await asyncio.sleep(0)
                    yield item
            finally:
                inner.close()

        def plain(*args: Any, **kwargs: Any) -> Iterator[Any]:
            with asyncio.Runner() as runner:
                stream = decorated(*args, **kwargs)

                async def following() -> Any:
                    return await anext(stream)

                try:
                    while True:
                        try:
                            item = runner.run(following())
                        except StopAsyncIteration:
                            return
                        yield item
                finally:
                    runner.run(stream.aclose())

        return plain

    return make


def left(control: UsageControl) -> tuple[Any, Any, Any]:
    assert list(control.reservations()) == []
    return numbers(control, "a")["a"]


def returns(value: Any) -> Any:
    return value


# ------------------------------------------------------------------ functions


def test_a_call_is_guarded_and_its_result_tells_what_it_used(spent: UsageControl, function: Run) -> None:
    """MT1."""
    held: list[Any] = []

    def body(value: Any) -> Any:
        held.append(numbers(spent, "a")["a"][1])
        return [value] * value

    answer = function(spent.metered(**METER, amount=len, event_name="chat"), body)
    assert answer(7) == [7] * 7
    assert answer(value=3) == [3] * 3
    assert held == [10, 10]
    assert [event.event_name for event in spent.events()] == ["chat", "chat"]
    assert left(spent) == (10, 0, 90)


def test_what_a_call_is_about_may_be_found_from_its_arguments(spent: UsageControl, function: Run) -> None:
    def body(user: str, *, size: int) -> int:
        return size + len(user)

    answer = function(
        spent.metered(
            resource_ids=lambda user, **_: [user],
            credit_currency=TOKENS,
            estimate=lambda _, size: size,
            amount=returns,
            customer_id=lambda *_, **__: "c",
            event_name=lambda user, **_: f"chat of {user}",
            dimensions=lambda user, size: {"user": user, "size": size},
            idempotency_key=lambda user, size: f"{user}-{size}",
        ),
        body,
    )
    assert [answer("b", size=5), answer("b", size=5), answer("a", size=2)] == [6, 6, 3]
    assert [
        (event.event_name, event.dimensions, event.idempotency_key, event.amounts[TOKENS])
        for event in spent.events()
    ] == [
        ("chat of b", {"user": "b", "size": 5}, "b-5", 6),
        ("chat of a", {"user": "a", "size": 2}, "a-2", 3),
    ]
    with pytest.raises(AccessDenied):
        answer("b", size=95)


def test_a_call_that_does_not_fit_is_not_made(spent: UsageControl, function: Run) -> None:
    made: list[Any] = []
    answer = function(spent.metered(**ASK, estimate=101, amount=returns), made.append)
    with pytest.raises(AccessDenied):
        answer(7)
    assert made == []
    assert left(spent) == (0, 0, 100)


@pytest.mark.parametrize("on_error", ["release", "charge_estimate"])
def test_a_call_that_raises_books_nothing_or_its_estimate(
    spent: UsageControl, function: Run, on_error: str
) -> None:
    """MT1."""
    error = ConnectionError("reset")

    def body() -> None:
        raise error

    with pytest.raises(ConnectionError) as raised:
        function(spent.metered(**METER, amount=returns, on_error=on_error), body)()
    assert raised.value is error
    assert charges(spent) == ([] if on_error == "release" else [10])
    assert numbers(spent, "a")["a"][1] == 0


@pytest.mark.parametrize("wrong", [None, 0.5, -1, {"usd": 1}])
def test_a_call_whose_amount_is_none_was_made_all_the_same(
    spent: UsageControl, function: Run, wrong: Any
) -> None:
    """Its estimate is booked, and the receipt says so; that it told no amount is raised."""
    with pytest.raises((InvalidAmount, InvalidRequest)):
        function(spent.metered(**METER, amount=returns), returns)(wrong)
    with pytest.raises(KeyError):
        function(spent.metered(**METER, amount=lambda result: result["usage"]), returns)({})
    assert [(event.amounts[TOKENS], event.estimated) for event in spent.events()] == [(10, True)] * 2
    assert left(spent) == (20, 0, 80)


def test_methods_are_metered_too(spent: UsageControl) -> None:
    meter = spent.metered(
        resource_ids=lambda client, *_: [client.name], credit_currency=TOKENS, estimate=5, amount=len
    )

    class Client:
        name = "b"

        @meter
        def say(self, text: str) -> str:
            """Says it."""
            return self.name + text

        @meter
        async def asay(self, text: str) -> str:
            return self.name + text

        @classmethod
        @meter
        def shout(cls, text: str) -> str:
            return cls.name + text

        @staticmethod
        @spent.metered(**METER, amount=len)
        def whisper(text: str) -> str:
            return text

    client = Client()
    assert [client.say("x"), Client.say(client, "y"), client.shout("z")] == ["bx", "by", "bz"]
    assert asyncio.run(client.asay("w")) == "bw"
    assert Client.whisper("hello") == "hello"
    assert numbers(spent, "b")["b"][:2] == (8, 0)
    assert left(spent) == (5, 0, 95)
    assert (Client.say.__name__, Client.say.__doc__) == ("say", "Says it.")


def test_a_function_stays_of_its_kind(spent: UsageControl) -> None:
    """MT1."""
    meter = spent.metered(**METER, amount=returns)

    def plain(prompt: str, *, size: int = 1) -> int:
        """Plain."""
        return size

    async def coroutine(prompt: str) -> int:
        return 1

    def generator(prompt: str) -> Iterator[int]:
        yield 1

    async def async_generator(prompt: str) -> AsyncIterator[int]:
        yield 1

    kinds = [inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction]
    for one in (plain, coroutine, generator, async_generator):
        made: Any = meter(one)
        assert [kind(made) for kind in kinds] == [kind(one) for kind in kinds]
        assert (made.__name__, made.__doc__, made.__wrapped__) == (one.__name__, one.__doc__, one)
        assert inspect.signature(made) == inspect.signature(one)
    with pytest.raises(InvalidRequest, match="function"):
        meter(7)  # type: ignore[type-var]  # as said
    with pytest.raises(InvalidRequest, match="amount"):
        spent.metered(**METER, amount=7)


def test_a_call_takes_what_it_is_not_given_from_where_it_is_made(spent: UsageControl, function: Run) -> None:
    answer = function(spent.metered(estimate=5, amount=returns), returns)
    with spent.bound(**ASK):
        answer(1)
    with spent.bound(resource_ids=["b"], credit_currency=TOKENS):
        answer(2)
        function(spent.bound(**ASK).metered(estimate=5, amount=returns), returns)(4)
    assert numbers(spent, "b")["b"][0] == 2
    assert left(spent) == (5, 0, 95)
    with pytest.raises(InvalidRequest, match="credit_currency"):
        answer(1)


# ------------------------------------------------------------------ generators


def test_a_generator_is_metered_item_by_item(spent: UsageControl, items: Run) -> None:
    """MT3: it holds nothing before its first step."""
    stream = items(spent.metered(**METER, amount=returns), lambda: (yield from [4, 4, 4]))()
    assert numbers(spent, "a")["a"] == (0, 0, 100)
    held = []
    for item in stream:
        held.append(numbers(spent, "a")["a"][1])
        assert item == 4
    assert held == [10, 10, 20]
    assert charges(spent) == [12]
    assert left(spent) == (12, 0, 88)


def test_a_generator_that_is_never_started_holds_and_books_nothing(spent: UsageControl) -> None:
    @spent.metered(**METER, amount=returns)
    def stream() -> Iterator[int]:
        yield 1

    stream()
    gc.collect()
    assert charges(spent) == []
    assert left(spent) == (0, 0, 100)


def test_a_generator_is_cut_where_the_limit_is(spent: UsageControl, items: Run) -> None:
    closed: list[Any] = []

    def body() -> Iterator[int]:
        try:
            for _ in range(9):
                yield 30
        finally:
            closed.append(1)

    taken: list[int] = []
    with pytest.raises(BudgetExhausted) as cut:
        taken.extend(items(spent.metered(**METER, amount=returns), body)())
    assert cut.value.used == {TOKENS: 90}
    assert closed == [1]
    assert charges(spent) == [90]
    assert left(spent) == (90, 0, 10)


@pytest.mark.parametrize("at", range(5))
def test_a_generator_that_is_closed_at_any_item_books_what_it_yielded(
    spent: UsageControl, items: Run, at: int
) -> None:
    closed: list[Any] = []

    def body() -> Iterator[int]:
        try:
            for _ in range(4):
                yield 3
        finally:
            closed.append(1)

    stream = items(spent.metered(**METER, amount=returns), body)()
    for _ in range(at):
        next(stream)
    stream.close()
    assert closed == ([1] if at else [])
    assert charges(spent) == ([3 * at] if at else [])
    assert left(spent) == (3 * at, 0, 100 - 3 * at)


@pytest.mark.parametrize("at", range(1, 5))
def test_a_generator_that_raises_at_any_item_books_what_it_yielded(
    spent: UsageControl, items: Run, at: int
) -> None:
    error = ConnectionError("reset")

    def body() -> Iterator[int]:
        for place in range(5):
            if place == at:
                raise error
            yield 3

    taken: list[int] = []
    with pytest.raises(ConnectionError) as raised:
        taken.extend(items(spent.metered(**METER, amount=returns), body)())
    assert raised.value is error
    assert len(taken) == at
    assert charges(spent) == [3 * at]
    assert left(spent)[1] == 0


def test_send_throw_and_the_value_of_a_generator_go_through(spent: UsageControl) -> None:
    """MT1: as `yield from` would."""

    def echo() -> Generator[int, int | None, str]:
        sent: int | None = 1
        caught = 0
        while sent:
            try:
                sent = yield sent
            except LookupError:
                caught += 1
                sent = 5
        return f"caught {caught}"

    metered = spent.metered(**METER, amount=returns)(echo)
    for stream in (metered(), echo()):
        assert next(stream) == 1
        assert stream.send(7) == 7
        assert stream.throw(KeyError("k")) == 5
        with pytest.raises(StopIteration) as ended:
            stream.send(None)
        assert ended.value.value == "caught 1"
    stream = metered()
    next(stream)
    with pytest.raises(ValueError, match="mine"):
        stream.throw(ValueError("mine"))
    assert charges(spent) == [13, 1]

    def delegating() -> Generator[int, None, str]:
        return (yield from metered())

    assert list(delegating()) == [1]
    assert left(spent) == (15, 0, 85)


def test_asend_and_athrow_of_an_async_generator_go_through(spent: UsageControl) -> None:
    """MT1."""

    @spent.metered(**METER, amount=returns)
    async def echo() -> Any:
        sent: Any = 1
        while sent:
            try:
                sent = yield sent
            except LookupError:
                sent = 5

    async def talk() -> None:
        stream = echo()
        assert await anext(stream) == 1
        assert await stream.asend(7) == 7
        assert await stream.athrow(KeyError("k")) == 5
        with pytest.raises(StopAsyncIteration):
            await stream.asend(None)
        stream = echo()
        await anext(stream)
        with pytest.raises(ValueError, match="mine"):
            await stream.athrow(ValueError("mine"))

    asyncio.run(talk())
    assert charges(spent) == [13, 1]
    assert left(spent) == (14, 0, 86)


def test_an_async_generator_is_closed_by_the_time_it_says_so(spent: UsageControl) -> None:
    """ST3: what it is made of is closed with it, not some time later; also where it was cut."""
    closed: list[str] = []

    @spent.metered(**METER, amount=returns)
    async def stream(name: str) -> AsyncIterator[int]:
        try:
            while True:
                yield 30
        finally:
            await asyncio.sleep(0)
            closed.append(name)

    async def talk() -> None:
        first = stream("closed")
        await anext(first)
        await first.aclose()
        assert closed == ["closed"]
        second = stream("cut")
        with pytest.raises(BudgetExhausted):
            async for _ in second:
                pass
        assert closed == ["closed", "cut"]

    asyncio.run(talk())
    assert charges(spent) == [30, 60]


class Holding:
    """A metered generator of each face."""

    made: ClassVar[list[str]] = []

    def __init__(self, control: UsageControl) -> None:
        meter = control.metered(**METER, amount=returns)

        @meter
        def plain() -> Iterator[int]:
            while True:
                yield 3

        @meter
        async def awaited() -> AsyncIterator[int]:
            while True:
                yield 3

        self.plain = plain
        self.awaited = awaited


def test_a_generator_that_is_collected_half_way_books_what_it_yielded(spent: UsageControl) -> None:
    """TL1: at once where it is simply dropped; also as a part of a cycle."""
    stream = Holding(spent).plain()
    next(stream)
    next(stream)
    del stream
    assert charges(spent) == [6]
    cycle: list[Any] = [Holding(spent).plain()]
    cycle.append(cycle)
    next(cycle[0])
    del cycle
    gc.collect()
    assert charges(spent) == [6, 3]
    assert left(spent) == (9, 0, 91)


async def _first(stream: Any) -> None:
    assert await anext(stream) == 3


def test_an_async_generator_that_is_collected_books_what_it_yielded(spent: UsageControl) -> None:
    """TL1, TL3: while its loop runs, after its loop is closed, and where there never was one."""
    holding = Holding(spent)

    async def dropped() -> None:
        stream = holding.awaited()
        await _first(stream)
        del stream
        gc.collect()
        await quiet(spent, "a")

    asyncio.run(dropped())
    assert charges(spent) == [3]

    loop = asyncio.new_event_loop()
    stream = holding.awaited()
    loop.run_until_complete(_first(stream))
    loop.close()  # without shutdown_asyncgens: nobody will close it any more
    del stream
    gc.collect()
    asyncio.run(quiet(spent, "a"))
    assert charges(spent) == [3, 3]

    stream = holding.awaited()
    with pytest.raises(StopIteration) as first:  # by hand: from memory nothing suspends
        anext(stream).send(None)
    assert first.value.value == 3
    del stream
    gc.collect()
    asyncio.run(quiet(spent, "a"))
    assert charges(spent) == [3, 3, 3]
    assert left(spent) == (9, 0, 91)


def test_a_coroutine_that_is_closed_or_collected_half_way_holds_nothing(spent: UsageControl) -> None:
    """TL1, TL3: nothing was told, so nothing is booked."""

    @spent.metered(**METER, amount=returns)
    async def answer() -> int:
        await asyncio.sleep(0)
        return 1

    for ends in (lambda coroutine: coroutine.close(), lambda _: None):
        coroutine: Any = answer()
        coroutine.send(None)
        assert numbers(spent, "a")["a"][1] == 10
        ends(coroutine)
        del coroutine
        gc.collect()
        asyncio.run(quiet(spent, "a"))
    assert charges(spent) == []
    assert left(spent) == (0, 0, 100)
