"""call.stream: metered while it flows, cut where the limit is; what was yielded is booked, whoever stops."""

import asyncio
import gc
from collections.abc import AsyncIterator, Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest

from stiggctl import (
    AccessDenied,
    BudgetExhausted,
    Call,
    InvalidAmount,
    InvalidRequest,
    LimitState,
    ReservationNotFound,
    UsageControl,
)
from stiggctl.testing import ManualClock

from .saying import TOKENS, Face, flat, numbers
from .stepping import charges, quiet

ASK: dict[str, Any] = {"resource_ids": ["a"], "credit_currency": TOKENS}


class Source:
    """Chunks in either face, that knows what was taken and whether it was closed."""

    def __init__(self, chunks: list[Any], error: BaseException | None = None) -> None:
        self._left = list(chunks)
        self._error = error
        self.taken = 0
        self.closed = 0

    def _next(self, end: type[Exception]) -> Any:
        if not self._left:
            raise self._error or end
        self.taken += 1
        return self._left.pop(0)

    def close(self) -> None:
        self.closed += 1

    def lines(self, face: Face) -> Any:
        return _Lines(self) if face == "sync" else _AsyncLines(self)


class _Lines:
    def __init__(self, source: Source) -> None:
        self._source = source
        self.close = source.close

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        return self._source._next(StopIteration)


class _AsyncLines:
    def __init__(self, source: Source) -> None:
        self._source = source

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        await asyncio.sleep(0)
        return self._source._next(StopAsyncIteration)

    async def aclose(self) -> None:
        await asyncio.sleep(0)
        self._source.close()


class Streamed:
    """What came of a stream: the chunks that were yielded, the call, the error."""

    def __init__(self) -> None:
        self.chunks: list[Any] = []
        self.calls: list[Call] = []
        self.error: BaseException | None = None

    @property
    def receipt(self) -> Any:
        return self.calls[0].receipt


Stream = Callable[..., Streamed]


@pytest.fixture
def spent(control: UsageControl) -> UsageControl:
    """Resource a: 100 ai-tokens, 1 usd."""
    control.apply(flat({"a": 100}) | {"creditCurrencies": [{"id": "usd", "decimals": 9}]})
    control.set_allocation(resource_id="a", credit_currency="usd", limit=1, customer_id="c")
    control.reserve(**ASK, amount=1).release()
    return control


@pytest.fixture
def stream(spent: UsageControl, face: Face) -> Stream:
    """Runs a guarded stream in either face; `each` is told of each chunk, and may say "stop"."""

    def run(
        source: Source,
        each: Callable[[Call, Any], object] = lambda *_: None,
        amount: Callable[[Any], Any] = lambda chunk: chunk,
        last: Callable[[Call], object] = lambda _: None,
        **asked: Any,
    ) -> Streamed:
        streamed = Streamed()
        asked = ASK | {"estimate": 10} | asked

        async def awaited() -> None:
            async with spent.guard(**asked) as call:
                streamed.calls.append(call)
                chunks: Any = call.stream(source.lines(face), amount=amount)
                try:
                    async for chunk in chunks:
                        streamed.chunks.append(chunk)
                        if each(call, chunk) == "stop":
                            break
                finally:
                    await chunks.aclose()
                last(call)

        def plain() -> None:
            with spent.guard(**asked) as call:
                streamed.calls.append(call)
                for chunk in call.stream(source.lines(face), amount=amount):
                    streamed.chunks.append(chunk)
                    if each(call, chunk) == "stop":
                        break
                last(call)

        try:
            plain() if face == "sync" else asyncio.run(awaited())
        except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the test judges it
            streamed.error = error
        return streamed

    return run


def left(control: UsageControl) -> tuple[Any, Any, Any]:
    assert list(control.reservations()) == []
    return numbers(control, "a")["a"]


# ------------------------------------------------------------------ it flows


@pytest.mark.parametrize("estimate", [0, 1, 10, 100])
def test_every_chunk_that_fits_is_yielded_and_booked(
    spent: UsageControl, stream: Stream, estimate: int
) -> None:
    """ST1, ST2: up to the last credit, whatever the estimate was."""
    source = Source([7, 0, 30, 3, 60])
    streamed = stream(source, estimate=estimate)
    assert (streamed.chunks, streamed.error) == ([7, 0, 30, 3, 60], None)
    assert (streamed.receipt.charged, streamed.receipt.estimated) == (100, False)
    assert left(spent) == (100, 0, 0)


def test_what_is_yielded_was_set_aside_before(spent: UsageControl, stream: Stream) -> None:
    """ST1: in slices of what the estimate was."""
    held: list[int] = []
    stream(Source([4] * 8), lambda *_: held.append(numbers(spent, "a")["a"][1]))
    assert held == [10, 10, 20, 20, 20, 30, 30, 40]


def test_a_chunk_that_does_not_fit_is_neither_yielded_nor_booked(spent: UsageControl, stream: Stream) -> None:
    """ST1, ST3."""
    source = Source([40, 40, 21, 1])
    streamed = stream(source)
    assert streamed.chunks == [40, 40]
    error = streamed.error
    assert isinstance(error, BudgetExhausted)
    assert isinstance(error, AccessDenied)
    assert error.used == {TOKENS: 80}
    assert "80 ai-tokens" in str(error)
    binding = error.decision.binding
    assert isinstance(binding, LimitState)
    assert (binding.used, binding.held, error.decision.remaining) == (0, 80, 20)
    assert (source.taken, source.closed) == (3, 1)
    assert streamed.receipt.charged == 80
    assert left(spent) == (80, 0, 20)


def test_near_a_limit_the_last_chunk_that_fits_is_yielded(spent: UsageControl, stream: Stream) -> None:
    """ST2: where no slice is left, one credit at a time."""
    streamed = stream(Source([1] * 200), estimate=64)
    assert len(streamed.chunks) == 100
    assert isinstance(streamed.error, BudgetExhausted)
    assert left(spent) == (100, 0, 0)


def test_near_a_limit_others_have_what_a_stream_does_not_need(spent: UsageControl, stream: Stream) -> None:
    """ST2: a slice that was refused is smaller the next time."""
    held: list[int] = []
    stream(Source([1] * 90), lambda *_: held.append(numbers(spent, "a")["a"][1]), estimate=60)
    assert held[59] == 60
    assert held[60] == 61
    assert held[61] == 91
    assert max(held) == 91


def test_the_first_chunk_may_not_fit(spent: UsageControl, stream: Stream) -> None:
    streamed = stream(Source([101]), on_error="charge_estimate")
    assert isinstance(streamed.error, BudgetExhausted)
    assert streamed.error.used == {TOKENS: 0}
    assert left(spent) == (0, 0, 100)


def test_a_stream_of_nothing_used_nothing(spent: UsageControl, stream: Stream) -> None:
    streamed = stream(Source([]))
    assert (streamed.receipt.charged, streamed.receipt.estimated) == (0, False)
    assert left(spent) == (0, 0, 100)


def test_amounts_are_added_exactly_and_in_several_currencies(spent: UsageControl, stream: Stream) -> None:
    def amount(chunk: int) -> dict[str, Any]:
        return {TOKENS: chunk, "usd": Decimal("0.000000001") * chunk} if chunk else {"usd": "0.1"}

    estimate = {TOKENS: 1, "usd": 0}
    streamed = stream(Source([1, 2, 0, 3] * 3), amount=amount, estimate=estimate, credit_currency=None)
    assert streamed.error is None
    assert streamed.receipt.amounts == {TOKENS: 18, "usd": Decimal("0.300000018")}
    streamed = stream(
        Source([1, 0, 0, 0, 0, 0, 0, 0, 1]), amount=amount, estimate=estimate, credit_currency=None
    )
    assert isinstance(streamed.error, BudgetExhausted)
    assert streamed.error.used == {TOKENS: 1, "usd": Decimal("0.600000001")}
    assert streamed.error.decision.binding is not None
    assert streamed.error.decision.binding.credit_currency == "usd"
    assert left(spent) == (19, 0, 81)


# ------------------------------------------------------------------ it is stopped


@pytest.mark.parametrize("at", range(1, 6))
@pytest.mark.parametrize("how", ["stop", ValueError, KeyboardInterrupt])
def test_when_the_consumer_stops_what_was_yielded_is_booked(
    spent: UsageControl, stream: Stream, at: int, how: Any
) -> None:
    """ST1, ST3: by break, by an error; the source is closed."""
    source = Source([3] * 5)

    def each(call: Call, chunk: Any) -> Any:
        del call, chunk
        if source.taken < at:
            return None
        if how == "stop":
            return how
        raise how

    streamed = stream(source, each)
    gc.collect()
    assert streamed.chunks == [3] * at
    assert (streamed.error is None) == (how == "stop")
    assert source.closed == 1
    assert charges(spent) == [3 * at]
    assert left(spent) == (3 * at, 0, 100 - 3 * at)


def test_an_error_of_the_source_books_what_was_yielded(spent: UsageControl, stream: Stream) -> None:
    error = ConnectionError("reset")
    streamed = stream(Source([3, 4], error))
    assert streamed.error is error
    assert left(spent) == (7, 0, 93)
    # Before the first chunk nothing is told: then it is as the guard says.
    assert stream(Source([], error)).error is error
    assert left(spent) == (7, 0, 93)
    assert stream(Source([], error), on_error="charge_estimate").error is error
    assert charges(spent) == [7, 10]


@pytest.mark.parametrize("wrong", [0.5, -1, None, "x", {"usd": 1, "eur": 1}])
def test_a_chunk_whose_amount_is_none_is_not_yielded(spent: UsageControl, stream: Stream, wrong: Any) -> None:
    source = Source([3, wrong, 4])
    streamed = stream(source)
    assert streamed.chunks == [3]
    assert isinstance(streamed.error, InvalidAmount | InvalidRequest)
    assert source.closed == 1
    assert left(spent) == (3, 0, 97)


def test_all_that_one_call_uses_is_bounded(spent: UsageControl, stream: Stream) -> None:
    """A chunk that would pass what one event may charge is not yielded."""
    spent.put_resource("b", resource_type_id="node", customer_id="c")
    streamed = stream(Source([10**17 - 1, 1, 1]), resource_ids=["b"])
    assert streamed.chunks == [10**17 - 1, 1]
    assert isinstance(streamed.error, InvalidAmount)
    assert charges(spent) == [10**17]


def test_used_replaces_what_the_stream_counted(spent: UsageControl, stream: Stream) -> None:
    """A total that comes at the end is told after the loop; chunks after it add to it."""
    assert stream(Source([3, 4]), last=lambda call: call.used(50)).receipt.charged == 50
    told = stream(Source([3, 4]), lambda call, chunk: call.used(20) if chunk == 3 else None)
    assert told.receipt.charged == 24
    assert left(spent) == (74, 0, 26)


def test_two_streams_of_one_call_add_up(spent: UsageControl) -> None:
    with spent.guard(**ASK, estimate=10) as call:
        first = call.stream([30] * 9, amount=lambda chunk: chunk)
        second = call.stream([30] * 9, amount=lambda chunk: chunk)
        assert [next(first), next(second), next(first)] == [30] * 3
        assert numbers(spent, "a")["a"][1] == 90
        with pytest.raises(BudgetExhausted):
            next(second)
        with pytest.raises(BudgetExhausted):
            next(first)
    assert left(spent) == (90, 0, 10)


def test_what_was_extended_by_hand_is_used_first(spent: UsageControl, stream: Stream) -> None:
    held: list[int] = []

    def each(call: Call, chunk: Any) -> None:
        if chunk == 1:
            call.reservation.extend(50)
        held.append(numbers(spent, "a")["a"][1])

    stream(Source([1, 50, 9, 2]), each)
    assert held == [60, 60, 60, 70]
    assert left(spent) == (62, 0, 38)


def test_a_stream_after_its_ttl_says_so(spent: UsageControl, clock: ManualClock, stream: Stream) -> None:
    streamed = stream(Source([5, 5, 5]), lambda *_: clock.advance(seconds=31), ttl_seconds=60)
    assert streamed.chunks == [5, 5]
    assert isinstance(streamed.error, ReservationNotFound)
    assert (streamed.receipt.charged, streamed.receipt.expired) == (10, True)


def test_a_stream_outside_of_its_block_yields_nothing(spent: UsageControl) -> None:
    source = Source([1, 1])
    with spent.guard(**ASK, estimate=10) as call:
        chunks = call.stream(source.lines("sync"), amount=lambda chunk: chunk)
        next(chunks)
    with pytest.raises(InvalidRequest, match="over"):
        next(chunks)
    assert source.closed == 1
    assert left(spent) == (1, 0, 99)


def test_what_is_no_stream_is_refused(spent: UsageControl) -> None:
    with spent.guard(**ASK, estimate=10) as call:
        with pytest.raises(InvalidRequest, match="chunks"):
            call.stream(7, amount=lambda _: 1)  # type: ignore[call-overload]  # as said
        call.used(0)


def test_an_error_while_closing_the_source_is_told_beside_the_first(
    spent: UsageControl, stream: Stream
) -> None:
    """ST3: the error that ended the stream stays the one that is raised."""
    source = Source([60, 60])

    def closing() -> None:
        raise OSError("broken pipe")

    source.close = closing  # type: ignore[method-assign]  # a source that fails
    streamed = stream(source)
    assert isinstance(streamed.error, BudgetExhausted)
    assert "broken pipe" in streamed.error.__notes__[0]
    streamed = stream(Source([1]), last=lambda _: None)
    assert streamed.error is None
    assert left(spent) == (61, 0, 39)


def test_a_stream_that_nobody_finishes_counts_what_it_yielded(spent: UsageControl) -> None:
    """Neither closed nor kept: with its block it is over."""
    source = Source([3] * 9)
    kept: list[Any] = []
    with spent.guard(**ASK, estimate=10) as call:
        chunks = call.stream(source.lines("sync"), amount=lambda chunk: chunk)
        kept.append([next(chunks), next(chunks)])
        del chunks
        gc.collect()
        assert source.closed == 1
    assert left(spent) == (6, 0, 94)

    async def forgotten() -> None:
        async with spent.guard(**ASK, estimate=10) as call:
            chunks = call.stream(Source([3] * 9).lines("async"), amount=lambda chunk: chunk)
            async for _ in chunks:
                break

    asyncio.run(forgotten())
    asyncio.run(quiet(spent, "a"))
    assert left(spent) == (9, 0, 91)
