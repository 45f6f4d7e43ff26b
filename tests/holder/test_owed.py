"""Owed: what nobody waits for any more is done by the keeper: once, in order, and never where it may not."""

import asyncio
import gc
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from stiggctl import (
    AccessDenied,
    BudgetExhausted,
    LedgerTrouble,
    LedgerUnavailable,
    UsageControl,
)
from stiggctl.holder import owed
from stiggctl.prices import UsageUnclear
from stiggctl.testing import ManualClock

from .faulty import ANN, BOB, Calls, Faulty, charges, gone, make_faulty, memory, numbers, soon

GUARD: dict[str, Any] = ANN | {"estimate": 40}
FAIL_OPEN = pytest.mark.parametrize("policy", ["fail_open"])
BOTH = pytest.mark.parametrize("policy", ["fail_closed", "fail_open"])


@pytest.fixture
def control(control: UsageControl) -> UsageControl:
    """It is a holder, with room for ann."""
    control.reserve(**ANN, amount=1).release()
    return control


@pytest.fixture
def faulty(control: UsageControl) -> Faulty:
    return make_faulty(control)


@pytest.fixture
def told(control: UsageControl) -> list[LedgerTrouble]:
    records: list[LedgerTrouble] = []
    control.subscribe(records.append)
    return records


def beat(control: UsageControl) -> None:
    control._holder.keeper.beat(control._holder.clock.now_us())


def fail(faulty: Faulty, where: str) -> None:
    """The next exchange fails, before its commit or after it."""
    getattr(faulty, where).append(gone())


def leave_guard(control: UsageControl, face: str, told: int | None = 7, **more: Any) -> Any:
    """A guarded call; what it had."""
    calls: list[Any] = []
    if face == "sync":
        with control.guard(**GUARD, **more) as call:
            calls.append(call)
            if told is not None:
                call.used(told)
    else:

        async def awaited() -> None:
            async with control.guard(**GUARD, **more) as call:
                calls.append(call)
                if told is not None:
                    call.used(told)

        asyncio.run(awaited())
    return calls[0]


faces = pytest.mark.parametrize("face", ["sync", "async"])
places = pytest.mark.parametrize("where", ["before", "after"])


# ------------------------------------------------------------------ the ledger is out of reach


@FAIL_OPEN
@faces
@places
def test_with_fail_open_a_settle_is_kept_and_sent_later_once(
    control: UsageControl, faulty: Faulty, told: list[LedgerTrouble], face: str, where: str
) -> None:
    """OW1: until then it is held; LedgerTrouble says so, and whose it is."""
    fail(faulty, where)
    call = leave_guard(control, face)
    assert call.receipt is None
    assert len(control._holder.owed) == 1
    kept = [one.error for one in told if isinstance(one.error, LedgerUnavailable) and one.error.reservation]
    assert [error.reservation for error in kept] == [call.reservation]
    assert "kept" in str(kept[0])
    assert memory(control, "ann")[0] == 60
    beat(control)
    assert (charges(control), numbers(control, "ann")["ann"]) == ([7], (7, 0))
    assert len(control._holder.owed) == 0
    assert control.reservations() == []
    beat(control)
    assert call.reservation.settle(9).charged == 7
    assert charges(control) == [7]
    assert control.verify() == []


@FAIL_OPEN
@faces
def test_what_is_kept_waits_for_as_long_as_it_takes(
    control: UsageControl, faulty: Faulty, clock: ManualClock, face: str
) -> None:
    """OW1: in order; after its own end it still books, and says that it came too late."""
    for amount in (7, 8):
        fail(faulty, "before")
        leave_guard(control, face, amount, ttl_seconds=60, event_name=f"of {amount}")
    for _ in range(3):
        fail(faulty, "before")
        with pytest.raises(LedgerUnavailable):
            beat(control)
        assert len(control._holder.owed) == 2
    assert memory(control, "ann")[0] == 20
    clock.advance(seconds=60)
    fail(faulty, "before")
    with pytest.raises(LedgerUnavailable):
        beat(control)
    assert memory(control, "ann")[0] == 60  # the first has ended; the second may be in the ledger (X3)
    beat(control)
    assert [(event.amounts["t"], event.expired) for event in control.events()] == [(7, True), (8, True)]
    assert numbers(control, "ann")["ann"] == (15, 0)


@FAIL_OPEN
@faces
def test_when_too_many_are_kept_it_is_raised(
    control: UsageControl, faulty: Faulty, monkeypatch: pytest.MonkeyPatch, face: str
) -> None:
    monkeypatch.setattr(owed, "OWED_MAX", 1)
    fail(faulty, "before")
    leave_guard(control, face)
    fail(faulty, "before")
    with pytest.raises(LedgerUnavailable) as raised:
        leave_guard(control, face)
    assert raised.value.reservation.settle(5).charged == 5
    beat(control)
    assert sorted(charges(control)) == [5, 7]


@faces
@places
def test_with_fail_closed_it_is_raised_with_the_reservation_still_open(
    control: UsageControl, faulty: Faulty, face: str, where: str
) -> None:
    fail(faulty, where)
    with pytest.raises(LedgerUnavailable) as raised:
        leave_guard(control, face, None)
    error = raised.value
    assert error.result is None
    assert len(control._holder.owed) == 0
    assert memory(control, "ann")[0] == 60
    receipt = error.reservation.settle(12)
    assert receipt.charged == (12 if where == "before" else 40)
    assert numbers(control, "ann")["ann"] == (receipt.charged, 0)


@faces
def test_each_of_a_batch_that_fails_has_its_own_reservation(
    control: UsageControl, faulty: Faulty, face: str
) -> None:
    """They share an exchange, and its exception."""
    started, first = threading.Event(), threading.Event()
    found: list[LedgerUnavailable] = []

    def waits() -> None:
        started.set()
        assert first.wait(20)

    def one(amount: int) -> None:
        try:
            leave_guard(control, face, amount, event_name=str(amount))
        except LedgerUnavailable as error:
            found.append(error)

    faulty.before.extend([waits, gone()])
    leading = Calls(lambda: control.report(**ANN, amount=1, event_name="e"))
    assert started.wait(20)
    both = Calls(lambda: one(3), lambda: one(4))
    soon(lambda: len(control._holder.exchange._queue) >= 3)
    first.set()
    leading.done()
    both.done()
    assert len({id(error.reservation) for error in found}) == 2
    assert sorted(error.reservation.settle(9).charged for error in found) == [9, 9]


@BOTH
@faces
def test_an_error_on_its_way_is_never_replaced_and_its_usage_not_lost(
    control: UsageControl, faulty: Faulty, told: list[LedgerTrouble], face: str, policy: str
) -> None:
    """TL2: a note and LedgerTrouble tell it; whatever the policy, it is sent later."""
    error = ValueError("mine")
    fail(faulty, "before")

    async def awaited() -> None:
        async with control.guard(**GUARD) as call:
            call.used(7)
            raise error

    def plain() -> None:
        with control.guard(**GUARD) as call:
            call.used(7)
            raise error

    with pytest.raises(ValueError, match="mine") as raised:
        plain() if face == "sync" else asyncio.run(awaited())
    assert raised.value is error
    assert "not booked" in error.__notes__[0]
    assert any(isinstance(one.error, LedgerUnavailable) and one.error.reservation for one in told)
    beat(control)
    assert (charges(control), numbers(control, "ann")["ann"]) == ([7], (7, 0))


@BOTH
@places
def test_a_settle_whose_await_is_cancelled_is_booked_also_where_it_fails(
    control: UsageControl, faulty: Faulty, where: str, policy: str
) -> None:
    """TL1: nobody waits for it who could be told."""
    waiting, go_on = threading.Event(), threading.Event()

    def waits() -> None:
        waiting.set()
        assert go_on.wait(20)
        raise gone()

    getattr(faulty, where).append(waits)

    async def cancelled() -> None:
        async def block() -> None:
            async with control.guard(**GUARD) as call:
                call.used(7)

        task = asyncio.ensure_future(block())
        while not waiting.is_set():  # noqa: ASYNC110 - another thread sets it
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    go_on.set()
    soon(lambda: not control._holder.exchange._queue)
    beat(control)
    assert (charges(control), numbers(control, "ann")["ann"]) == ([7], (7, 0))
    assert len(control._holder.owed) == 0


@faces
def test_a_settle_that_is_interrupted_before_it_is_queued_is_booked_all_the_same(
    control: UsageControl, faulty: Faulty, monkeypatch: pytest.MonkeyPatch, face: str
) -> None:
    """TL1: Ctrl-C between the end of the block and its settle."""
    real = control._holder.require_open

    def interrupted() -> None:
        monkeypatch.setattr(control._holder, "require_open", real)
        raise KeyboardInterrupt

    def block(call: Any) -> None:
        call.used(7)
        monkeypatch.setattr(control._holder, "require_open", interrupted)

    def plain() -> None:
        with control.guard(**GUARD) as call:
            block(call)

    async def awaited() -> None:
        async with control.guard(**GUARD) as call:
            block(call)

    with pytest.raises(KeyboardInterrupt):
        plain() if face == "sync" else asyncio.run(awaited())
    beat(control)
    assert (charges(control), numbers(control, "ann")["ann"]) == ([7], (7, 0))


@BOTH
@faces
def test_a_file_that_was_replaced_is_raised_under_both(
    control: UsageControl, faulty: Faulty, tmp_path: Any, face: str
) -> None:
    (tmp_path / "usage.db").rename(tmp_path / "elsewhere.db")
    with pytest.raises(LedgerUnavailable, match="replaced"):
        leave_guard(control, face)
    (tmp_path / "elsewhere.db").rename(tmp_path / "usage.db")
    assert len(control._holder.owed) == 0


@faces
@places
def test_the_value_of_a_metered_function_is_never_lost(
    control: UsageControl, faulty: Faulty, face: str, where: str
) -> None:
    """MT2."""
    meter = control.metered(**GUARD, amount=len)

    @meter
    def answer() -> list[str]:
        return ["an", "answer"]

    @meter
    async def aanswer() -> list[str]:
        return ["an", "answer"]

    @meter
    def items() -> Iterator[str]:
        yield "an"
        return "answer"

    def drained() -> Any:
        return (yield from items())

    calls: list[Callable[[], Any]] = [answer if face == "sync" else lambda: asyncio.run(aanswer())]
    values: list[Any] = [["an", "answer"]]
    if face == "sync":
        calls.append(lambda: list(drained()))
        values.append("answer")
    for call, value in zip(calls, values, strict=True):
        fail(faulty, where)
        with pytest.raises(LedgerUnavailable) as raised:
            call()
        assert raised.value.result == value
        assert raised.value.reservation.settle(2).charged == 2
    assert charges(control) == [2] * len(calls)
    assert numbers(control, "ann")["ann"] == (2 * len(calls), 0)


def test_an_error_of_the_function_is_not_taken_for_one_of_its_settle(
    control: UsageControl, faulty: Faulty
) -> None:
    @control.metered(**GUARD, amount=len)
    def answer() -> str:
        raise gone("another ledger")

    with pytest.raises(LedgerUnavailable, match="another ledger") as raised:
        answer()
    assert raised.value.reservation is None
    assert charges(control) == []


# ------------------------------------------------------------------ streams while it is out of reach


@BOTH
@faces
def test_a_stream_goes_on_with_fail_open_and_stops_with_fail_closed(
    control: UsageControl, faulty: Faulty, face: str, policy: str
) -> None:
    other = control.reserve(**ANN, amount=55)  # what is left must be drawn
    chunks: list[int] = []

    def plain() -> None:
        with control.guard(**ANN, estimate=40) as call:
            chunks.extend(call.stream([20] * 6, amount=lambda chunk: chunk))

    async def source() -> Any:
        for _ in range(6):
            yield 20

    async def awaited() -> None:
        async with control.guard(**ANN, estimate=40) as call:
            async for chunk in call.stream(source(), amount=lambda chunk: chunk):
                chunks.append(chunk)  # noqa: PERF401 - kept also where it is cut

    faulty.before.extend([gone()] * 2)
    run = plain if face == "sync" else lambda: asyncio.run(awaited())
    if policy == "fail_closed":
        with pytest.raises(LedgerUnavailable):
            run()
        assert chunks == [20, 20]
        beat(control)
        assert charges(control) == [40]
    else:
        run()
        assert chunks == [20] * 6
        beat(control)
        assert charges(control) == [120]  # it was used, and is overage
    other.release()
    assert numbers(control, "ann")["ann"][1] == 0


@FAIL_OPEN
@faces
def test_a_call_that_was_admitted_without_the_ledger_is_booked_when_it_is_back(
    control: UsageControl, faulty: Faulty, face: str
) -> None:
    """Its stream is not cut: nothing can be asked."""
    faulty.reading = gone()

    def plain() -> Any:
        with control.guard(**BOB, estimate=40) as call:
            assert call.decision.policy == "fail_open"
            assert list(call.stream([30] * 3, amount=lambda chunk: chunk)) == [30] * 3
        return call

    async def source() -> Any:
        for _ in range(3):
            yield 30

    async def awaited() -> Any:
        async with control.guard(**BOB, estimate=40) as call:
            assert [chunk async for chunk in call.stream(source(), amount=lambda chunk: chunk)] == [30] * 3
        return call

    call = plain() if face == "sync" else asyncio.run(awaited())
    assert call.receipt is None
    with pytest.raises(LedgerUnavailable):
        beat(control)
    faulty.reading = None
    beat(control)
    assert charges(control) == [90]
    assert len(control._holder.owed) == 0


EACH_TOKEN = [{"dimension": f"{name}_tokens", "credits": 1} for name in ("input", "output")]
RESPONSE = {"model": "m", "object": "chat.completion", "usage": {"prompt_tokens": 3, "completion_tokens": 4}}
CUT = {"model": "m", "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": "a"}}]}


@FAIL_OPEN
@places
@pytest.mark.parametrize(("response", "booked"), [(RESPONSE, 7), (CUT, 40)], ids=["whole", "cut"])
def test_what_was_observed_is_kept_too(
    control: UsageControl,
    faulty: Faulty,
    told: list[LedgerTrouble],
    where: str,
    response: dict[str, Any],
    booked: int,
) -> None:
    """OW1: what it cost, what the event says of it, and that it could not be told."""
    control.set_rate(event_name="chat", credit_currency="t", terms=EACH_TOKEN)
    control.reserve(**ANN, amount=1).release()
    fail(faulty, where)
    with control.guard(**GUARD, event_name="chat") as call:
        call.observe(response)
    assert call.receipt is None
    beat(control)
    beat(control)
    (event,) = control.events()
    assert (event.amounts["t"], event.estimated) == (booked, response is CUT)
    assert ("output_tokens" in event.dimensions) == (response is RESPONSE)
    unclear = [one for one in told if isinstance(one.error.__cause__, UsageUnclear)]
    assert len(unclear) == (response is CUT)
    assert call.reservation.settle(9).charged == booked
    assert control.verify() == []


@FAIL_OPEN
def test_what_was_observed_without_the_ledger_is_booked_when_it_is_back(
    control: UsageControl, faulty: Faulty
) -> None:
    control.set_rate(event_name="chat", credit_currency="t", terms=EACH_TOKEN)
    control.reserve(**ANN, amount=1).release()
    faulty.reading = gone()
    with control.guard(**BOB, estimate=40, event_name="chat") as call:
        assert call.decision.policy == "fail_open"
        call.observe(RESPONSE)
    assert call.receipt is None
    faulty.reading = None
    beat(control)
    (event,) = control.events()
    assert (event.amounts["t"], event.dimensions["output_tokens"]) == (7, 4)
    assert control.verify() == []


@FAIL_OPEN
def test_without_the_ledger_nobody_elses_price_is_taken(control: UsageControl, faulty: Faulty) -> None:
    """OG2: whose call it is was not known, and some have terms of their own."""
    control.set_rate(event_name="chat", credit_currency="t", terms=EACH_TOKEN)
    control.put_resource("zoe", resource_type_id="org", customer_id="other")
    control.set_rate(event_name="chat", credit_currency="t", credits=39, customer_id="other")
    faulty.reading = gone()
    with control.guard(resource_ids=["zoe"], credit_currency="t", estimate=40, event_name="chat") as call:
        call.observe(RESPONSE)
    faulty.reading = None
    beat(control)
    (event,) = control.events()
    assert (event.customer_id, event.amounts["t"], event.estimated) == ("other", 40, True)


# ------------------------------------------------------------------ closing, and what can never be done


@FAIL_OPEN
def test_close_sends_what_is_kept(control: UsageControl, faulty: Faulty, tmp_path: Any) -> None:
    fail(faulty, "before")
    leave_guard(control, "sync")
    control.close()
    with UsageControl(tmp_path / "usage.db", on_ledger_failure="fail_open") as again:
        assert charges(again) == [7]
        assert numbers(again, "ann")["ann"] == (7, 0)


@FAIL_OPEN
def test_what_close_cannot_send_is_told(
    control: UsageControl, faulty: Faulty, told: list[LedgerTrouble]
) -> None:
    """OW3."""
    for amount in (7, 8):
        fail(faulty, "before")
        leave_guard(control, "sync", amount)
    told.clear()
    fail(faulty, "before")
    control.close()
    assert any("2 settles" in str(record.error) for record in told)


@FAIL_OPEN
def test_what_can_never_be_booked_is_told_and_holds_nothing(
    control: UsageControl, faulty: Faulty, told: list[LedgerTrouble]
) -> None:
    """OW3: and does not keep others from being booked."""
    fail(faulty, "before")
    leave_guard(control, "sync", 7, idempotency_key="k", event_name="one")
    fail(faulty, "before")
    leave_guard(control, "sync", 8)
    control.report(**ANN, amount=1, idempotency_key="k", event_name="another")
    told.clear()
    beat(control)
    assert any("event_name" in str(record.error) for record in told)
    assert charges(control) == [1, 8]
    assert (len(control._holder.owed), numbers(control, "ann")["ann"]) == (0, (9, 0))


# ------------------------------------------------------------------ finalizers run anywhere


class Cycle:
    """Something that only the collector takes away, with what it has."""

    def __init__(self, has: object) -> None:
        self.has = has
        self.me = self


def kept_by_a_cycle(control: UsageControl, how: str) -> None:
    """A guarded call that nobody ends."""
    if how == "call":
        call = control.guard(**GUARD).__enter__()
        call.used(7)
        Cycle(call)
    elif how == "block":

        def block() -> Iterator[None]:
            with control.guard(**GUARD) as call:
                call.used(7)
                yield

        stream = block()
        next(stream)
        Cycle(stream)
    elif how == "caught":

        def caught() -> Iterator[None]:
            with control.guard(**GUARD) as call:
                call.used(7)
                try:
                    yield
                except GeneratorExit:
                    return

        stream = caught()
        next(stream)
        Cycle(stream)
    else:
        items = control.metered(**GUARD, amount=lambda item: item)(lambda: (yield from [7, 7]))
        one = items()
        next(one)
        Cycle(one)


@pytest.mark.parametrize("how", ["call", "block", "caught", "items"])
@pytest.mark.parametrize("inside", ["exchange", "stripe"])
def test_a_finalizer_inside_of_a_section_waits_for_nothing(
    control: UsageControl, faulty: Faulty, monkeypatch: pytest.MonkeyPatch, how: str, inside: str
) -> None:
    """OW2, TL3: it comes while this very thread leads an exchange, or has the stripe's lock."""
    gc.collect()
    gc.disable()
    try:
        kept_by_a_cycle(control, how)
        if inside == "exchange":
            faulty.before.append(gc.collect)
            calls = Calls(lambda: control.report(**ANN, amount=1, event_name="e"))
        else:
            stripe = control._holder.stripes["acme"]

            class Collecting(dict[int, Any]):
                def __setitem__(self, number: int, hold: Any) -> None:
                    assert stripe.lock.locked()
                    gc.collect()
                    super().__setitem__(number, hold)

            stripe.holds = Collecting(stripe.holds)
            calls = Calls(lambda: control.reserve(**ANN, amount=1).release())
        assert not isinstance(calls.done()[0], BaseException)
    finally:
        gc.enable()
    assert len(control._holder.owed) == 1
    beat(control)
    assert charges(control) == ([1, 7] if inside == "exchange" else [7])
    assert (len(control._holder.owed), numbers(control, "ann")["ann"][1]) == (0, 0)


def test_a_call_that_is_collected_ends_as_if_it_had_raised(control: UsageControl, faulty: Faulty) -> None:
    """TL1: nothing told: set free; or its estimate, where that was said."""
    for on_error, expected in (("release", []), ("charge_estimate", [40])):
        call = control.guard(**GUARD, on_error=on_error).__enter__()
        assert memory(control, "ann")[0] == 60 - sum(charges(control))
        del call
        gc.collect()
        beat(control)
        assert charges(control) == expected
        assert numbers(control, "ann")["ann"] == (sum(expected), 0)


def test_what_finds_no_place_is_counted_and_told(
    control: UsageControl, faulty: Faulty, told: list[LedgerTrouble], monkeypatch: pytest.MonkeyPatch
) -> None:
    """OW2, OW3: it cannot be told where it is left."""
    monkeypatch.setattr(owed, "LEFT_MAX", 1)
    calls = [control.guard(**ANN, estimate=1).__enter__() for _ in range(3)]
    for call in calls:
        call.used(1)
    calls.clear()
    del call
    gc.collect()
    assert told == []
    beat(control)
    assert [str(record.error) for record in told if "2 settles" in str(record.error)]
    assert charges(control) == [1]


def test_a_hook_may_close_the_control_while_what_is_owed_is_done(
    control: UsageControl, faulty: Faulty
) -> None:
    """It is told outside of every lock."""
    control.subscribe(lambda _: control.close())
    control.report(**ANN, amount=1, idempotency_key="k", event_name="another")
    call = control.guard(**GUARD, idempotency_key="k").__enter__()
    call.used(7)
    del call
    gc.collect()
    Calls(lambda: beat(control)).done()
    assert "closed" in repr(control)


def test_one_that_is_denied_owes_nothing(control: UsageControl, faulty: Faulty) -> None:
    with pytest.raises(AccessDenied), control.guard(**ANN, estimate=101):
        pass
    with pytest.raises(BudgetExhausted), control.guard(**GUARD) as call:
        list(call.stream([101], amount=lambda chunk: chunk))
    assert len(control._holder.owed) == 0
