"""bound: what requests have in common is named once: by a handle, and in a `with`."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from stiggctl import Bound, ControlClosed, IdempotencyConflict, InvalidRequest, UsageControl
from stiggctl.testing import ManualClock

from .saying import TOKENS, Say, flat, numbers

Open = Callable[..., UsageControl]


@pytest.fixture
def flats(control: UsageControl) -> UsageControl:
    """Roots a, b and top of one customer, 1,000 ai-tokens each."""
    control.apply(flat({"a": 1000, "b": 1000, "top": 1000}))
    return control


def used(control: UsageControl) -> dict[str, Any]:
    return {name: numbers(control, name)[name][0] for name in ("a", "b", "top")}


def test_each_verb_takes_what_it_is_not_given(flats: UsageControl, say: Say) -> None:
    with flats.bound(customer_id="c", resource_ids=["a", "top"], credit_currency=TOKENS, event_name="chat"):
        assert say("check", requested_usage=1000).remaining == 1000
        assert say("consume", amount=1).charged == 1
        say.to(say("reserve", amount=30), "settle", 2)
        assert say("report", amount=4).charged == 4
        assert [one.charged for one in say("report_many", [{"amount": 8}, {"amount": 16}])] == [8, 16]
    assert used(flats) == {"a": 31, "b": 0, "top": 31}
    assert {event.event_name for event in flats.events()} == {"chat"}


def test_a_handle_has_the_verbs_without_a_with(flats: UsageControl, say: Say) -> None:
    team = flats.bound(customer_id="c", resource_ids=["a"], credit_currency=TOKENS)
    assert say.to(team, "check", requested_usage=1001).remaining == 1000
    say.to(team, "consume", amount=1)
    say.to(say.to(team, "reserve", amount=30), "settle", 2)
    say.to(team, "report", amount=4, event_name="chat")
    say.to(team, "report_many", [{"amount": 8}])
    assert used(flats) == {"a": 15, "b": 0, "top": 0}
    with pytest.raises(InvalidRequest, match="bound"):
        say("consume", amount=1, credit_currency=TOKENS)  # the control itself took nothing on


def test_what_is_given_comes_first(flats: UsageControl, say: Say) -> None:
    with flats.bound(resource_ids=["a"], credit_currency="usd", dimensions={"model": "s"}, event_name="x"):
        say("consume", resource_ids=["b"], credit_currency=TOKENS, amount=1, dimensions={}, event_name="y")
    (event,) = flats.events()
    assert (event.event_name, dict(event.dimensions)) == ("y", {})
    assert used(flats) == {"a": 0, "b": 1, "top": 0}


def test_amounts_by_currency_need_no_currency_from_around(flats: UsageControl, say: Say) -> None:
    with flats.bound(resource_ids=["a"], credit_currency=TOKENS):
        assert say("check", amounts={TOKENS: 5}).has_access
        assert say("consume", amounts={TOKENS: 5}).charged == 5
        assert say("report", amounts={TOKENS: 5}).charged == 5


def test_an_inner_bound_replaces_what_it_names_and_keeps_the_rest(flats: UsageControl, say: Say) -> None:
    """BN1: each is taken whole, dimensions too."""
    outer = flats.bound(resource_ids=["a"], credit_currency=TOKENS, dimensions={"model": "s", "job": "1"})
    with outer, flats.bound(resource_ids=["b"]):
        with flats.bound(dimensions={"model": "l"}):
            say("consume", amount=1)
        say("consume", amount=2)
        say.to(outer, "consume", amount=4)  # a handle's own come before what is around it
        say.to(flats.bound(dimensions={}), "consume", amount=8)
    assert [dict(event.dimensions) for event in flats.events()] == [
        {"model": "l"},
        {"model": "s", "job": "1"},
        {"model": "s", "job": "1"},
        {},
    ]
    assert used(flats) == {"a": 4, "b": 11, "top": 0}


def test_a_handle_makes_narrower_ones(flats: UsageControl, say: Say) -> None:
    team = flats.bound(resource_ids=["a"], credit_currency=TOKENS)
    say.to(team.bound(resource_ids=["b"]), "consume", amount=1)
    with team, team.bound(event_name="chat"):
        say("consume", amount=2)
    assert used(flats) == {"a": 2, "b": 1, "top": 0}


def test_one_control_takes_nothing_from_another(
    opened: Open, tmp_path: Path, clock: ManualClock, say: Say
) -> None:
    """BN2: also where both have one ledger open, also where the other's is the innermost."""
    first, second = (opened(tmp_path / "one.db", clock=clock) for _ in range(2))
    first.apply(flat({"a": 10, "b": 10}))
    with first.bound(resource_ids=["a"], credit_currency=TOKENS), second.bound(resource_ids=["b"]):
        assert say.to(first, "consume", amount=1).limits[0].resource_id == "a"
        with pytest.raises(InvalidRequest, match="credit_currency"):
            say.to(second, "consume", amount=1)


def test_the_same_handle_may_be_entered_again(flats: UsageControl) -> None:
    team = flats.bound(resource_ids=["a"], credit_currency=TOKENS)
    with team:
        with flats.bound(resource_ids=["b"]):
            with team:
                flats.consume(amount=1)
            flats.consume(amount=2)
        flats.consume(amount=4)
    assert used(flats) == {"a": 5, "b": 2, "top": 0}
    with pytest.raises(InvalidRequest):
        flats.consume(amount=1)


def test_what_is_left_out_of_order_leaves_the_others_as_they_are(flats: UsageControl) -> None:
    outer = flats.bound(resource_ids=["a"], credit_currency=TOKENS)
    inner = flats.bound(resource_ids=["b"])
    outer.__enter__()
    inner.__enter__()
    outer.__exit__(None, None, None)
    with pytest.raises(InvalidRequest, match="credit_currency"):
        flats.consume(amount=1)
    flats.consume(amount=1, credit_currency=TOKENS)
    inner.__exit__(None, None, None)
    with pytest.raises(InvalidRequest, match="resource_ids"):
        flats.consume(amount=1, credit_currency=TOKENS)
    assert used(flats) == {"a": 0, "b": 1, "top": 0}


def test_an_error_ends_it(flats: UsageControl) -> None:
    with pytest.raises(ZeroDivisionError), flats.bound(resource_ids=["a"]):
        raise ZeroDivisionError
    with pytest.raises(InvalidRequest, match="resource_ids"):
        flats.consume(amount=1, credit_currency=TOKENS)


def test_threads_do_not_inherit_and_tasks_do(flats: UsageControl) -> None:
    """BN2: one handle in many threads and tasks at once."""
    team = flats.bound(resource_ids=["a"], credit_currency=TOKENS)
    told: list[object] = []

    def apart() -> None:
        try:
            flats.consume(amount=1)
        except InvalidRequest as error:
            told.append(error)
        with team:
            flats.consume(amount=2)

    with team:
        threads = [threading.Thread(target=apart) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(told) == 4

    async def task(name: str) -> None:
        await asyncio.sleep(0)
        await flats.aconsume(amount=10)
        with flats.bound(resource_ids=[name]):
            await asyncio.sleep(0)
            await flats.aconsume(amount=100)

    async def tasks() -> None:
        async with team:
            started = [asyncio.ensure_future(task(name)) for name in ("b", "top")]
        await asyncio.gather(*started)

    asyncio.run(tasks())
    assert used(flats) == {"a": 28, "b": 100, "top": 100}


def test_an_exit_in_another_context_changes_nothing_there(flats: UsageControl) -> None:
    async def inside() -> AsyncIterator[None]:
        with flats.bound(resource_ids=["a"], credit_currency=TOKENS):
            yield

    async def elsewhere(stream: Any) -> None:
        with flats.bound(resource_ids=["b"], credit_currency=TOKENS):
            await stream.aclose()
            await flats.aconsume(amount=1)

    async def both() -> None:
        stream = inside()
        started = asyncio.ensure_future(anext(stream))  # type: ignore[arg-type]  # it is awaitable
        await started
        await asyncio.ensure_future(elsewhere(stream))
        with pytest.raises(InvalidRequest):
            await flats.aconsume(amount=1)

    asyncio.run(both())
    assert used(flats) == {"a": 0, "b": 1, "top": 0}


def test_what_comes_from_around_is_as_if_it_was_given(flats: UsageControl, say: Say) -> None:
    asked: dict[str, Any] = {"resource_ids": ["a"], "credit_currency": TOKENS, "dimensions": {"n": 5}}
    with flats.bound(**asked, event_name="chat"):
        first = say("consume", amount=5, idempotency_key="k")
        told = say("report", amount=5, idempotency_key="r")
    again = say("consume", **asked, event_name="chat", amount=5, idempotency_key="k")
    assert (again.duplicate, again.event_id) == (True, first.event_id)
    assert say("report", **asked, event_name="chat", amount=5, idempotency_key="r").event_id == told.event_id
    with flats.bound(**asked, event_name="other"), pytest.raises(IdempotencyConflict, match="event_name"):
        say("consume", amount=5, idempotency_key="k")
    assert used(flats) == {"a": 10, "b": 0, "top": 0}


@pytest.mark.parametrize(
    "wrong",
    [{"resource_ids": "a"}, {"resource_ids": []}, {"dimensions": {"n": 0.5}}, {"event_name": ""}],
)
def test_what_cannot_be_meant_is_refused_where_it_is_named(flats: UsageControl, wrong: Any) -> None:
    with pytest.raises(InvalidRequest, match=next(iter(wrong))):
        flats.bound(**wrong)


def test_what_was_named_stays_as_it_was_named(flats: UsageControl) -> None:
    ids, dimensions = ["a"], {"model": "s"}
    team = flats.bound(resource_ids=ids, credit_currency=TOKENS, dimensions=dimensions)
    ids.append("b")
    dimensions.clear()
    team.consume(amount=1)
    (event,) = flats.events()
    assert dict(event.dimensions) == {"model": "s"}
    assert used(flats) == {"a": 1, "b": 0, "top": 0}


def test_a_handle_of_a_closed_control_says_so(opened: Open, tmp_path: Path, clock: ManualClock) -> None:
    control, other = (opened(tmp_path / "one.db", clock=clock) for _ in range(2))
    control.apply(flat({"a": 10}))
    team = control.bound(resource_ids=["a"], credit_currency=TOKENS)
    assert isinstance(team, Bound)
    assert "'a'" in repr(team)
    control.close()
    with pytest.raises(ControlClosed):
        team.consume(amount=1)
    assert other.check(resource_ids=["a"], credit_currency=TOKENS)


@pytest.fixture(autouse=True)
def _nothing_stays_bound() -> Iterator[None]:
    yield
    from stiggctl.control.named import in_force  # noqa: PLC0415 - only to look

    assert in_force() is None
