"""guard: a block that is entered if its estimate fits, and leaves what it told booked, and nothing held."""

import asyncio
import contextlib
import random
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from stiggctl import (
    AccessDenied,
    Call,
    ControlClosed,
    Guard,
    IdempotencyConflict,
    InvalidAmount,
    InvalidRequest,
    ReservationNotFound,
    UsageControl,
)
from stiggctl.testing import ManualClock

from .saying import TOKENS, Face, at_once, flat, numbers
from .stepping import charges

ASK: dict[str, Any] = {"resource_ids": ["a"], "credit_currency": TOKENS}
Inside = Callable[..., Call]

#: whatever may end a block; what asyncio sends, what a user types, what a closed generator gets
ERRORS = [ValueError, KeyboardInterrupt, SystemExit, asyncio.CancelledError, GeneratorExit, StopIteration]


@pytest.fixture
def spent(control: UsageControl) -> UsageControl:
    """Resource a, 1,000 ai-tokens, and 1 usd, in a process that is a holder already."""
    control.apply(flat({"a": 1000}) | {"creditCurrencies": [{"id": "usd", "decimals": 9}]})
    control.set_allocation(resource_id="a", credit_currency="usd", limit=1, customer_id="c")
    control.reserve(**ASK, amount=1).release()
    return control


@pytest.fixture
def inside(spent: UsageControl, face: Face) -> Inside:
    """Runs a block in a guard, in either face; the call that it had."""

    def run(block: Callable[[Call], object] = lambda _: None, **asked: Any) -> Call:
        asked = ASK | {"estimate": 75} | asked
        calls: list[Call] = []

        def within(call: Call) -> None:
            calls.append(call)
            block(call)

        if face == "sync":
            with spent.guard(**asked) as call:
                within(call)
        else:

            async def awaited() -> None:
                async with spent.guard(**asked) as call:
                    await asyncio.sleep(0)
                    within(call)

            asyncio.run(awaited())
        return calls[0]

    return run


def left(control: UsageControl) -> tuple[Any, Any, Any]:
    assert list(control.reservations()) == []
    return numbers(control, "a")["a"]


# ------------------------------------------------------------------ it ends


def test_what_was_used_is_booked_and_the_rest_is_free(spent: UsageControl, inside: Inside) -> None:
    """TL1."""

    def block(call: Call) -> None:
        assert numbers(spent, "a")["a"] == (0, 75, 925)
        assert call.decision.has_access
        assert call.reservation.amount == 75
        assert call.receipt is None
        call.used(61)

    call = inside(block, event_name="chat", dimensions={"model": "s"})
    assert call.receipt is not None
    assert (call.receipt.charged, call.receipt.estimated) == (61, False)
    (event,) = spent.events()
    assert (event.event_name, event.dimensions) == ("chat", {"model": "s"})
    assert event.reservation_id == call.reservation.reservation_id
    assert left(spent) == (61, 0, 939)


@pytest.mark.parametrize("told", [[0], [90, 3], [3, 90], [5, 0], ["7.0"], [Decimal(8)], [{TOKENS: 9}]])
def test_used_called_again_replaces_and_zero_is_nothing(
    spent: UsageControl, inside: Inside, told: list[Any]
) -> None:
    call = inside(lambda call: [call.used(one) for one in told])
    last = told[-1][TOKENS] if isinstance(told[-1], dict) else told[-1]
    assert call.receipt is not None
    assert call.receipt.charged == Decimal(last)
    assert not call.receipt.estimated
    assert left(spent)[:2] == (Decimal(last), 0)


def test_if_nothing_is_told_the_estimate_is_booked_and_the_receipt_says_so(
    spent: UsageControl, inside: Inside
) -> None:
    call = inside()
    assert call.receipt is not None
    assert (call.receipt.charged, call.receipt.estimated) == (75, True)
    assert [event.estimated for event in spent.events()] == [True]
    assert left(spent) == (75, 0, 925)


def test_with_a_minimum_what_fits_is_set_aside_and_is_what_is_booked(
    spent: UsageControl, inside: Inside
) -> None:
    seen: list[Any] = []
    inside(lambda call: seen.append(call.reservation.amount), estimate=4000, minimum=500)
    assert seen == [1000]
    assert left(spent) == (1000, 0, 0)


def test_several_currencies_are_one_guard(spent: UsageControl, inside: Inside) -> None:
    estimate = {TOKENS: 10, "usd": "0.02"}
    call = inside(lambda call: call.used({"usd": "0.013"}), credit_currency=None, estimate=estimate)
    assert call.receipt is not None
    assert call.receipt.amounts == {TOKENS: 0, "usd": Decimal("0.013")}
    call = inside(credit_currency=None, estimate=estimate)
    assert call.receipt is not None
    assert call.receipt.amounts == {TOKENS: 10, "usd": Decimal("0.02")}
    assert left(spent) == (10, 0, 990)


# ------------------------------------------------------------------ it raises


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("on_error", ["release", "charge_estimate"])
@pytest.mark.parametrize("told", [None, 0, 61])
def test_a_block_that_raises_books_what_it_told(
    spent: UsageControl, inside: Inside, error: type[BaseException], on_error: str, told: int | None
) -> None:
    """TL1, TL2: and only what it told, if nothing is said of the estimate."""
    raised = error("as it was")

    def block(call: Call) -> None:
        if told is not None:
            call.used(told)
        raise raised

    # A coroutine turns a StopIteration into a RuntimeError before anybody sees it.
    with pytest.raises((error, RuntimeError) if error is StopIteration else error) as caught:
        inside(block, on_error=on_error)
    if error in (ValueError, GeneratorExit):
        assert caught.value is raised
        assert not hasattr(raised, "__notes__")
    if error is GeneratorExit:
        asyncio.run(_until(lambda: numbers(spent, "a")["a"][1] == 0))
    expected = told if told is not None else 75 if on_error == "charge_estimate" else None
    assert charges(spent) == ([] if expected is None else [expected])
    assert [event.estimated for event in spent.events()] == ([] if expected is None else [told is None])
    assert left(spent) == (expected or 0, 0, 1000 - (expected or 0))


async def _until(found: Callable[[], bool]) -> None:
    for _ in range(2_000):
        if found():
            return
        await asyncio.sleep(0.005)
    raise AssertionError


@pytest.mark.parametrize("wrong", [0.5, True, -1, "1.5", "many", 10**18, {"usd": 1}])
def test_what_used_refuses_is_raised_where_it_is_told(
    spent: UsageControl, inside: Inside, wrong: Any
) -> None:
    seen: list[BaseException] = []

    def block(call: Call) -> None:
        call.used(3)
        try:
            call.used(wrong)
        except (InvalidAmount, InvalidRequest) as error:
            seen.append(error)

    call = inside(block)
    assert len(seen) == 1
    assert call.receipt is not None
    assert call.receipt.charged == 3  # what was told before stands
    with pytest.raises((InvalidAmount, InvalidRequest)):
        inside(lambda call: call.used(wrong))
    assert left(spent) == (3, 0, 997)


# ------------------------------------------------------------------ it is not entered


def test_a_block_whose_estimate_does_not_fit_is_not_entered(spent: UsageControl, inside: Inside) -> None:
    entered: list[Call] = []
    with pytest.raises(AccessDenied) as denied:
        inside(entered.append, estimate=1001)
    assert denied.value.decision.remaining == 1000
    assert entered == []
    assert left(spent) == (0, 0, 1000)


@pytest.mark.parametrize(
    ("asked", "where"),
    [
        ({"estimate": 0.5}, "estimate"),
        ({"estimate": -1}, "estimate"),
        ({"estimate": {TOKENS: 0.5, "usd": 1}, "credit_currency": None}, r"estimate\['ai-tokens'\]"),
        ({"estimate": {TOKENS: 1}}, "credit_currency"),
        ({"estimate": 10, "minimum": 11}, "minimum"),
        ({"resource_ids": None}, "resource_ids"),
        ({"credit_currency": None}, "estimate"),
        ({"on_error": "ignore"}, "on_error"),
        ({"ttl_seconds": 0}, "ttl_seconds"),
        ({"idempotency_key": ""}, "idempotency_key"),
        ({"dimensions": {"n": 0.5}}, "dimensions"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_its_name(
    spent: UsageControl, inside: Inside, asked: Any, where: str
) -> None:
    entered: list[Call] = []
    with pytest.raises((InvalidAmount, InvalidRequest), match=where):
        inside(entered.append, **asked)
    assert entered == []
    assert left(spent) == (0, 0, 1000)


def test_a_guard_is_for_one_call(spent: UsageControl) -> None:
    guard = spent.guard(**ASK, estimate=5)
    assert isinstance(guard, Guard)
    assert "'a'" in repr(guard) or "a" in repr(guard)
    with guard as call, pytest.raises(InvalidRequest, match="new guard"), guard:
        pass
    with pytest.raises(InvalidRequest, match="new guard"), guard:
        pass
    with pytest.raises(InvalidRequest, match="over"):
        call.used(7)
    assert left(spent) == (5, 0, 995)


# ------------------------------------------------------------------ keys, ends, hands


def test_a_key_books_once_and_frees_the_second_hold(spent: UsageControl, inside: Inside) -> None:
    first = inside(lambda call: call.used(7), idempotency_key="k")
    again = inside(lambda call: call.used(9), idempotency_key="k")
    assert first.receipt is not None
    assert again.receipt is not None
    assert (again.receipt.duplicate, again.receipt.charged) == (True, 7)
    assert again.receipt.event_id == first.receipt.event_id
    assert left(spent) == (7, 0, 993)


@pytest.mark.parametrize("fails", [False, True])
def test_a_key_of_another_event_books_nothing_and_holds_nothing(
    spent: UsageControl, inside: Inside, fails: bool
) -> None:
    """TL2: where the block raises, that is what is raised, with a note."""
    inside(lambda call: call.used(7), idempotency_key="k")
    error = ValueError("mine")

    def block(call: Call) -> None:
        call.used(9)
        if fails:
            raise error

    with pytest.raises(ValueError if fails else IdempotencyConflict):
        inside(block, idempotency_key="k", event_name="another")
    assert len(getattr(error, "__notes__", [])) == fails
    assert left(spent) == (7, 0, 993)


def test_a_block_that_takes_longer_than_its_ttl_is_booked_as_expired(
    spent: UsageControl, clock: ManualClock, inside: Inside
) -> None:
    def block(call: Call) -> None:
        clock.advance(seconds=60)
        with pytest.raises(ReservationNotFound):
            call.reservation.extend(1)
        call.used(7)

    call = inside(block, ttl_seconds=60)
    assert call.receipt is not None
    assert (call.receipt.charged, call.receipt.expired) == (7, True)
    assert left(spent) == (7, 0, 993)


def test_what_was_settled_or_released_by_hand_is_not_done_again(spent: UsageControl, inside: Inside) -> None:
    call = inside(lambda call: call.reservation.settle(8))
    assert call.receipt is not None
    assert call.receipt.charged == 8
    assert inside(lambda call: call.reservation.release()).receipt is None
    assert left(spent) == (8, 0, 992)
    # What is told after a release was used all the same.
    call = inside(lambda call: [call.reservation.release(), call.used(9)])
    assert call.receipt is not None
    assert call.receipt.charged == 9
    assert left(spent) == (17, 0, 983)


def test_more_than_the_estimate_is_booked_too(spent: UsageControl, inside: Inside) -> None:
    call = inside(lambda call: call.used(1010))
    assert call.receipt is not None
    assert call.receipt.overage == 10
    assert left(spent) == (1010, 0, 0)


def test_guards_of_many_threads_never_pass_a_limit_and_leave_nothing_held(
    spent: UsageControl, impatient: None
) -> None:
    admitted: list[int] = []

    def calls(seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(40):
            with contextlib.suppress(AccessDenied, ZeroDivisionError), spent.guard(**ASK, estimate=9) as call:
                used = chance.randint(0, 9)
                call.used(used)
                admitted.append(used)
                if chance.random() < 0.3:
                    raise ZeroDivisionError

    at_once([lambda seed=seed: calls(seed) for seed in range(8)])
    assert left(spent) == (sum(admitted), 0, 1000 - sum(admitted))
    assert sum(admitted) > 900
    assert sorted(charges(spent)) == sorted(admitted)
    assert list(spent.verify()) == []


def test_what_is_not_given_comes_from_bound(spent: UsageControl, inside: Inside) -> None:
    with spent.bound(resource_ids=["a"], event_name="chat", dimensions={"n": 1}):
        inside(lambda call: call.used(1), resource_ids=None)
    team = spent.bound(**ASK, event_name="chat")
    with team.guard(estimate=5) as call:
        call.used(2)
    assert [(event.event_name, event.dimensions) for event in spent.events()] == [
        ("chat", {"n": 1}),
        ("chat", {}),
    ]
    assert left(spent) == (3, 0, 997)


def test_a_control_that_is_closed_in_the_block_says_so_and_spares_an_error(
    spent: UsageControl, inside: Inside
) -> None:
    """TL2."""

    def block(call: Call) -> None:
        spent.close()
        raise ValueError(call)

    with pytest.raises(ValueError, match="Call") as raised:
        inside(block)
    assert "closed" in raised.value.__notes__[0]
    with pytest.raises(ControlClosed):
        inside()
