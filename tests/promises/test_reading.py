"""Reading, plain form: tree, events, reservations, audit, verify."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from stiggctl import CurrencyNotFound, ResourceNotFound, UsageControl
from stiggctl.testing import ManualClock

from .saying import ACME, TOKENS, flat, moment, nodes, numbers

USER: dict[str, Any] = {"resource_ids": ["user-01", "emea"], "credit_currency": TOKENS}


def test_the_tree_shows_each_node_as_its_limits_count_it(acme: UsageControl) -> None:
    acme.consume(**USER, amount=30)
    acme.reserve(**USER, amount=20)
    acme.report(
        customer_id=ACME, event_name="e", resource_ids=["user-bob"], credit_currency=TOKENS, amount=250
    )
    told = {
        node.resource_id: (node.limit, node.used, node.held, node.remaining)
        for node in nodes(acme.tree("org-acme", TOKENS))
    }
    assert told == {
        "org-acme": (50000, 280, 20, 49700),
        "dept-marketing": (20000, 280, 20, 19700),
        "team-growth": (5000, 280, 20, 4700),
        "user-alice": (None, 0, 0, None),
        "user-bob": (200, 250, 0, 0),
        "user-01": (200, 30, 20, 150),
    }


def test_the_tree_hangs_together_and_starts_anywhere(acme: UsageControl) -> None:
    root = acme.tree("team-growth", TOKENS)
    assert root.resource_id == "team-growth"
    assert sorted(child.resource_id for child in root.children) == ["user-01", "user-alice", "user-bob"]
    assert [node.resource_id for node in nodes(acme.tree("user-bob", TOKENS))] == ["user-bob"]


def test_utilisation_is_what_part_of_the_limit_is_taken(acme: UsageControl) -> None:
    acme.consume(**USER, amount=50)
    (node,) = nodes(acme.tree("user-01", TOKENS))
    assert float(node.utilisation) == pytest.approx(0.25)
    (alice,) = nodes(acme.tree("user-alice", TOKENS))
    assert alice.utilisation is None


def test_a_tree_of_nothing_is_an_error(acme: UsageControl) -> None:
    with pytest.raises(ResourceNotFound, match="nobody"):
        acme.tree("nobody", TOKENS)
    with pytest.raises(CurrencyNotFound, match="eur"):
        acme.tree("org-acme", "eur")


def test_events_come_in_ledger_order_with_what_was_given(acme: UsageControl, clock: ManualClock) -> None:
    at = moment(clock) - timedelta(days=1)
    late = acme.report(
        customer_id=ACME,
        event_name="chat",
        idempotency_key="k",
        resource_ids=["user-01"],
        credit_currency=TOKENS,
        amount=7,
        timestamp=at,
        dimensions={"model": "gpt-5"},
    )
    now = acme.consume(**USER, amount=3)
    first, second = acme.events(customer_id=ACME)
    assert (first.event_id, second.event_id) == (late.event_id, now.event_id)
    assert (first.customer_id, first.event_name, first.idempotency_key) == (ACME, "chat", "k")
    assert dict(first.dimensions) == {"model": "gpt-5"}
    assert (first.occurred_at, second.occurred_at) == (at, moment(clock))
    assert (first.amounts, second.amounts) == ({TOKENS: 7}, {TOKENS: 3})


def test_events_of_a_time_include_its_start_and_not_its_end(acme: UsageControl, clock: ManualClock) -> None:
    start = moment(clock)
    told = []
    for hours in range(4):
        clock.set(start + timedelta(hours=hours))
        told.append(acme.consume(**USER, amount=1).event_id)
    found = acme.events(customer_id=ACME, since=start + timedelta(hours=1), until=start + timedelta(hours=3))
    assert [event.event_id for event in found] == told[1:3]


def test_events_of_one_customer_are_its_own(acme: UsageControl) -> None:
    acme.apply(flat({"a": 10}, customer_id="other"))
    acme.consume(**USER, amount=1)
    other = acme.consume(resource_ids=["a"], credit_currency=TOKENS, amount=1)
    assert [event.event_id for event in acme.events(customer_id="other")] == [other.event_id]
    assert len(list(acme.events())) == 2


def test_events_may_be_read_while_more_are_booked(acme: UsageControl) -> None:
    for _ in range(10):
        acme.consume(**USER, amount=1)
    reading = iter(acme.events(customer_id=ACME))
    next(reading)
    acme.consume(**USER, amount=1)
    assert len(list(reading)) in (9, 10)
    assert numbers(acme, "user-01")["user-01"][0] == 11


def test_the_audit_says_who_changed_what_when_and_why(acme: UsageControl, clock: ManualClock) -> None:
    clock.advance(seconds=60)
    acme.suspend("user-01", reason="runaway agent", actor="ann")
    *_, line = acme.audit()
    assert (line.actor, line.reason) == ("ann", "runaway agent")
    assert line.at == moment(clock)
    assert "user-01" in line.subject


def test_a_healthy_ledger_has_no_differences(control: UsageControl) -> None:
    model = flat({"a": 10, "b": 20}, soft=["b"])
    model["creditCurrencies"] = [{"id": TOKENS}, {"id": "usd", "decimals": 9}]
    control.apply(model)
    ask: dict[str, Any] = {"resource_ids": ["a", "b"], "credit_currency": TOKENS}
    assert list(control.verify()) == []
    control.reserve(**ask, amount=3)
    reservation = control.reserve(**ask, amount=3)
    control.report(customer_id="c", event_name="e", **ask, amount=40)
    control.consume(resource_ids=["a"], credit_currency="usd", amount=Decimal("0.5"))
    reservation.settle(2)
    assert list(control.verify()) == []
