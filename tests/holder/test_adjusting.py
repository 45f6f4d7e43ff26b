"""Adjusting: what comes between a look and a commit is seen by one of the two. By chosen steps, not by luck.

AD2, AD3, RV1.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from stiggctl import LedgerUnavailable, Progress, UsageControl
from stiggctl.holder import adjusting, rerating, reversing

ALL: dict[str, Any] = {"since": "2026-01-01T00:00:00Z", "until": "2026-02-01T00:00:00Z"}
BOOK: dict[str, Any] = {**ALL, "book": True, "reason": "r"}


@pytest.fixture
def c(control: UsageControl) -> UsageControl:
    control.apply({"creditCurrencies": [{"id": "usd", "decimals": 2}]})
    control.set_price(model="m", per_million={"input": 1})
    control.grant_credits(customer_id="acme", credit_currency="usd", grant_id="g", amount=9)
    return control


def usage(control: UsageControl) -> str:
    """One event that cost a dollar."""
    receipt = control.report(
        customer_id="acme",
        resource_ids=["ann"],
        credit_currency="usd",
        amount=1,
        timestamp=datetime(2026, 1, 15, 11, tzinfo=UTC),
        dimensions={"price_source": "contract", "input_tokens": 10**6, "model": "m"},
    )
    assert receipt.event_id is not None
    return receipt.event_id


def before_its_commit(
    control: UsageControl,
    monkeypatch: pytest.MonkeyPatch,
    is_its: Callable[[str], bool],
    act: Callable[[], object],
) -> list[int]:
    """Act once, after a look and right before the first commit that has an order with such a key."""
    exchange = control._holder.exchange
    run_all, acted = exchange.run_all, []

    def commit(orders: Any) -> Any:
        if not acted and any(is_its(order.key) for order in orders):
            acted.append(1)
            act()
        return run_all(orders)

    monkeypatch.setattr(exchange, "run_all", commit)
    return acted


def net(control: UsageControl) -> Any:
    gone = {one.reverses for one in control.events()}
    return sum(
        one.amounts["usd"] for one in control.events() if one.reverses is None and one.event_id not in gone
    )


def is_adjustment(key: str) -> bool:
    return key.startswith("adjust")


def is_reversal(key: str) -> bool:
    return key.startswith("reverse")


@pytest.mark.parametrize("dollars", ["0.5", "1.5"])
def test_an_event_that_is_reversed_right_before_its_adjustment_has_none(
    c: UsageControl, monkeypatch: pytest.MonkeyPatch, dollars: str
) -> None:
    event_id = usage(c)
    c.set_price(model="m", per_million={"input": dollars})
    acted = before_its_commit(c, monkeypatch, is_adjustment, lambda: c.reverse(event_id, reason="refund"))
    c.rerate(**BOOK)
    assert acted
    assert (net(c), [one.used for one in c.grants()]) == (0, [0])
    assert len(list(c.events())) == 4  # it came, and was taken back
    assert c.verify() == []


@pytest.mark.parametrize("dollars", ["0.5", "1.5"])
def test_an_event_that_is_adjusted_right_before_its_reversal_has_none(
    c: UsageControl, monkeypatch: pytest.MonkeyPatch, dollars: str
) -> None:
    event_id = usage(c)
    c.set_price(model="m", per_million={"input": dollars})
    acted = before_its_commit(c, monkeypatch, is_reversal, lambda: c.rerate(**BOOK))
    receipt = c.reverse(event_id, reason="refund")
    assert acted
    assert (receipt.charged, net(c), [one.used for one in c.grants()]) == (-1, 0, [0])
    assert c.verify() == []


def test_an_event_that_is_adjusted_by_another_price_right_before_is_looked_at_again(
    c: UsageControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage(c)
    c.set_price(model="m", per_million={"input": "0.5"})
    other = [{"model": "m", "perMillion": {"input": 3}}]
    before_its_commit(c, monkeypatch, is_adjustment, lambda: c.rerate(**BOOK, prices=other))
    booked = c.rerate(**BOOK)
    assert net(c) == Decimal("0.5")
    assert [one.amounts["usd"] for one in c.events() if one.adjusts] == [2, Decimal("-2.5")]
    assert booked.adjustments == 1
    assert c.verify() == []


def test_the_same_that_another_books_right_before_is_not_booked_twice(
    c: UsageControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage(c)
    c.set_price(model="m", per_million={"input": "0.5"})
    before_its_commit(c, monkeypatch, is_adjustment, lambda: c.rerate(**BOOK))
    booked = c.rerate(**BOOK)
    assert (net(c), booked.adjustments) == (Decimal("0.5"), 0)
    [row] = booked.rows
    assert row.adjustment_id == next(one.event_id for one in c.events() if one.adjusts)


@pytest.mark.parametrize("finishes", ["reverse", "rerate"])
def test_who_stops_before_it_looked_again_is_finished_by_another_call(
    c: UsageControl, monkeypatch: pytest.MonkeyPatch, finishes: str
) -> None:
    event_id = usage(c)
    c.set_price(model="m", per_million={"input": "0.5"})
    before_its_commit(c, monkeypatch, is_adjustment, lambda: c.reverse(event_id, reason="refund"))

    class Died(Exception):
        pass

    def die(*_: object) -> None:
        raise Died

    with monkeypatch.context() as patch:
        patch.setattr(adjusting.Adjusting, "_take_back_reversed", die)
        with pytest.raises(Died):
            c.rerate(**BOOK)
    assert net(c) == Decimal("-0.5")
    assert c.rerate(**ALL).totals == ()  # what was reversed is none of its business
    if finishes == "reverse":
        assert c.reverse(event_id, reason="refund").duplicate
    else:
        assert c.rerate(**BOOK).adjustments == 0
    assert (net(c), [one.used for one in c.grants()]) == (0, [0])
    assert c.verify() == []


def test_what_is_reversed_before_its_turn_is_not_adjusted(
    c: UsageControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RR3: it was there when it was asked, and is told as it was then."""
    monkeypatch.setattr(rerating, "EVENTS_AT_A_TIME", 1)
    usage(c)
    event_id = usage(c)
    c.set_price(model="m", per_million={"input": "0.5"})

    def reverse(progress: Progress) -> None:
        if progress.done == 1:
            c.reverse(event_id, reason="refund")

    booked = c.rerate(**BOOK, progress=reverse)
    assert (booked.adjustments, booked.totals[0].events) == (1, 2)
    assert [row.adjustment_id is None for row in booked.rows] == [False, True]
    assert event_id not in {one.adjusts for one in c.events()}


def test_what_will_not_stand_still_is_told(c: UsageControl, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is a bound, and an error for when it is reached."""
    event_id = usage(c)
    monkeypatch.setattr(adjusting, "LOOKS_MAX", 0)
    with pytest.raises(LedgerUnavailable, match="again and again"):
        c.rerate(**BOOK)
    monkeypatch.setattr(reversing, "LOOKS_MAX", 1)
    with pytest.raises(LedgerUnavailable, match="again and again"):
        c.reverse(event_id, reason="refund")
    monkeypatch.undo()
    assert c.reverse(event_id, reason="refund").duplicate
