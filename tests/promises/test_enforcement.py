"""A limit becomes HARD or SOFT while something is held under it: it is judged as it is now."""

from typing import Any

import pytest

from stiggctl import AccessDenied, UsageControl
from stiggctl.testing import ManualClock

from .saying import TOKENS, Say, flat, numbers

A: dict[str, Any] = {"resource_ids": ["a"], "credit_currency": TOKENS}
REPORT: dict[str, Any] = {"customer_id": "c", "event_name": "e"}


@pytest.fixture
def soft(control: UsageControl) -> UsageControl:
    """a may spend 50, SOFT; b has 100, HARD."""
    control.apply(flat({"a": 50, "b": 100}, soft=["a"]))
    return control


@pytest.fixture
def hard(control: UsageControl) -> UsageControl:
    """a may spend 50, HARD."""
    control.apply(flat({"a": 50, "b": 100}))
    return control


def become(control: UsageControl, enforcement: str, limit: int = 50) -> None:
    """a's limit is enforced otherwise from now on."""
    allocation = {"resourceId": "a", "creditCurrency": TOKENS, "limit": limit}
    control.apply({"allocations": [allocation | {"enforcementType": enforcement}]})


def others_go_on(control: UsageControl, say: Say) -> None:
    """What was done with a keeps nobody else from being booked, and the books are right."""
    assert say("report", **REPORT, resource_ids=["b"], credit_currency=TOKENS, amount=1).charged == 1
    assert list(control.verify()) == []


@pytest.mark.parametrize("used", [3, 5, 9, 60])
def test_what_was_held_while_it_was_soft_settles_when_it_is_hard(
    soft: UsageControl, say: Say, used: int
) -> None:
    reservation = say("reserve", **A, amount=5)
    become(soft, "HARD")
    receipt = say.to(reservation, "settle", used)
    assert (receipt.charged, receipt.overage) == (used, max(0, used - 50))
    assert numbers(soft, "a")["a"] == (used, 0, max(0, 50 - used))
    others_go_on(soft, say)


@pytest.mark.parametrize("used", [1, 10, 60])
def test_usage_is_reported_beside_what_was_held_while_it_was_soft(
    soft: UsageControl, say: Say, used: int
) -> None:
    reservation = say("reserve", **A, amount=5)
    become(soft, "HARD")
    assert say("report", **REPORT, **A, amount=used).charged == used
    assert numbers(soft, "a")["a"] == (used, 5, max(0, 45 - used))
    others_go_on(soft, say)
    say.to(reservation, "release")
    assert numbers(soft, "a")["a"] == (used, 0, max(0, 50 - used))
    others_go_on(soft, say)


def test_what_was_held_while_it_was_soft_leaves_others_the_rest(
    soft: UsageControl, say: Say, clock: ManualClock
) -> None:
    reservation = say("reserve", **A, amount=5)
    become(soft, "HARD")
    with pytest.raises(AccessDenied):
        say("reserve", **A, amount=46)
    other = say("reserve", **A, amount=45)
    say.to(other, "release")
    clock.advance(seconds=700)
    assert say.to(reservation, "settle", 5).expired
    assert numbers(soft, "a")["a"] == (5, 0, 45)
    others_go_on(soft, say)


def test_what_was_held_while_it_was_soft_is_extended_as_far_as_the_hard_limit(
    soft: UsageControl, say: Say
) -> None:
    reservation = say("reserve", **A, amount=5)
    become(soft, "HARD")
    with pytest.raises(AccessDenied):
        say.to(reservation, "extend", 46)
    assert numbers(soft, "a")["a"] == (0, 5, 45)
    say.to(reservation, "extend", 45)
    assert (reservation.amount, numbers(soft, "a")["a"]) == (50, (0, 50, 0))
    with pytest.raises(AccessDenied):
        say.to(reservation, "extend", 1)
    assert say.to(reservation, "settle").overage == 0
    others_go_on(soft, say)


def test_what_was_held_while_it_was_hard_is_extended_past_it_when_it_is_soft(
    hard: UsageControl, say: Say
) -> None:
    reservation = say("reserve", **A, amount=30)
    become(hard, "SOFT")
    say.to(reservation, "extend", 40)
    assert (reservation.amount, numbers(hard, "a")["a"][:2]) == (70, (0, 70))
    assert say.to(reservation, "settle").charged == 70
    others_go_on(hard, say)


def test_back_and_forth_while_it_is_held_leaves_the_numbers_right(soft: UsageControl, say: Say) -> None:
    reservation = say("reserve", **A, amount=5)
    become(soft, "HARD")
    say.to(reservation, "extend", 5)
    become(soft, "SOFT")
    say.to(reservation, "extend", 60)
    become(soft, "HARD")
    assert numbers(soft, "a")["a"] == (0, 70, 0)
    with pytest.raises(AccessDenied):
        say.to(reservation, "extend", 1)
    assert say.to(reservation, "settle", 20).charged == 20
    assert numbers(soft, "a")["a"] == (20, 0, 30)
    others_go_on(soft, say)


@pytest.mark.parametrize("changed", [False, True])
def test_of_several_currencies_only_those_that_are_extended_are_judged(
    control: UsageControl, say: Say, *, changed: bool
) -> None:
    """The limit of another is passed meanwhile; nor does it matter that the model has changed."""
    control.apply(flat({"a": 50, "b": 100}))
    money = {"resourceId": "a", "creditCurrency": "usd", "limit": 10}
    control.apply({"creditCurrencies": [{"id": "usd"}], "allocations": [money]})
    reservation = say("reserve", resource_ids=["a"], amounts={TOKENS: 10, "usd": 5})
    say("report", **REPORT, resource_ids=["a"], credit_currency="usd", amount=20)
    if changed:
        control.apply({"allocations": [{"resourceId": "b", "creditCurrency": TOKENS, "limit": 77}]})
    say.to(reservation, "extend", amounts={TOKENS: 10})
    assert reservation.amounts == {TOKENS: 20, "usd": 5}
    with pytest.raises(AccessDenied):
        say.to(reservation, "extend", amounts={TOKENS: 10, "usd": 1})
    with pytest.raises(AccessDenied):
        say.to(reservation, "extend", amounts={TOKENS: 31})
    assert reservation.amounts == {TOKENS: 20, "usd": 5}
    say.to(reservation, "extend", amounts={TOKENS: 30})
    assert say.to(reservation, "settle", amounts={TOKENS: 45}).amounts[TOKENS] == 45
    assert list(control.verify()) == []
