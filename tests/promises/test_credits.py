"""Credits: which grants pay, in which order, and what a customer is told who has too few of them."""

import itertools
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from stiggctl import AccessDenied, AccessDeniedReason, RemedyKind, UsageControl
from stiggctl.testing import ManualClock

from .saying import TOKENS, Say, flat

NOON = datetime(2026, 1, 15, 12, tzinfo=UTC)
ONE_US = timedelta(microseconds=1)
ASK: dict[str, Any] = {"resource_ids": ["a"], "credit_currency": TOKENS}
POOL = f"pool/{TOKENS}"
SUMMER = datetime(2026, 7, 1, tzinfo=UTC)


def at(hours: float) -> datetime:
    return NOON + timedelta(hours=hours)


def grant(control: UsageControl, name: str, amount: int, **differs: Any) -> None:
    control.grant_credits(
        **{"customer_id": "c", "credit_currency": TOKENS, "grant_id": name, "amount": amount, **differs}
    )


def left(control: UsageControl, customer_id: str = "c") -> dict[str, tuple[Any, Any, Any]]:
    """(used, held, remaining) of each grant; open ones first, as they drain."""
    return {one.grant_id: (one.used, one.held, one.remaining) for one in control.grants(customer_id)}


def pool_of(limits: Sequence[Any]) -> Any:
    """The pool: it is the last."""
    assert [one.is_pool for one in limits] == [*[False] * (len(limits) - 1), True]
    return limits[-1]


@pytest.fixture
def c(control: UsageControl) -> UsageControl:
    """A customer c with a resource that nothing limits."""
    control.apply({**flat({"a": None}), "creditCurrencies": [{"id": TOKENS}, {"id": "usd", "decimals": 2}]})
    return control


# ------------------------------------------------------------------ who burns first

FIVE: dict[str, list[dict[str, Any]]] = {
    "each by another attribute": [
        {"id": "first", "amount": 13, "priority": 10, "expiresAt": SUMMER.isoformat()},
        {"id": "soon", "amount": 8, "expiresAt": at(24).isoformat()},
        {"id": "gift", "amount": 21, "kind": "PROMOTIONAL", "effectiveAt": at(-1).isoformat()},
        {"id": "early", "amount": 5, "effectiveAt": at(-48).isoformat()},
        {"id": "late", "amount": 17, "effectiveAt": at(-24).isoformat()},
    ],
    "all alike": [{"id": f"twin-{at}", "amount": 7 + at} for at in range(5)],
    "some alike": [
        {"id": "monthly", "amount": 10, "cadence": "month"},
        {"id": "one-off", "amount": 9, "expiresAt": "2026-02-01T00:00:00Z"},
        {"id": "gift", "amount": 8, "kind": "PROMOTIONAL", "expiresAt": "2026-02-01T00:00:00Z"},
        {"id": "last", "amount": 6, "priority": 60, "kind": "PROMOTIONAL", "expiresAt": at(1).isoformat()},
        {"id": "daily", "amount": 11, "priority": 60, "cadence": "day"},
    ],
}


def burns(grants: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """In which order, by the rule as it is told; they were granted in the order given."""
    ends = {"month": "2026-02-01T00:00:00Z", "day": "2026-01-16T00:00:00Z", None: "9999-12-31T00:00:00Z"}

    def place(one: tuple[int, dict[str, Any]]) -> tuple[object, ...]:
        age, said = one
        expires = datetime.fromisoformat(said.get("expiresAt", ends[said.get("cadence")]))
        return (
            said.get("priority", 50),
            expires.timestamp(),
            said.get("kind", "PAID") == "PAID",
            said.get("effectiveAt", ""),
            age,
        )

    return [said for _, said in sorted(enumerate(grants), key=place)]


@pytest.mark.parametrize("five", FIVE)
def test_grants_burn_in_one_order_however_they_came(control: UsageControl, five: str) -> None:
    """Every order in which five may be granted, against one sort by the rule; to the last unit."""
    orders = list(itertools.permutations(FIVE[five]))
    names = [f"c{number:03}" for number in range(len(orders))]
    control.apply(
        {
            "customers": [{"id": name} for name in names],
            "resourceTypes": [{"id": "node"}],
            "resources": [{"id": "a", "resourceTypeId": "node", "customerId": name} for name in names],
        }
    )
    for number, (name, order) in enumerate(zip(names, orders, strict=True)):
        whole = [{**one, "customerId": name, "creditCurrency": TOKENS} for one in order]
        parts = [whole] if number % 2 else [[one] for one in whole]  # all at once, or one by one
        for part in parts:
            control.apply({"grants": part})
        burning = [[one["id"], one["amount"]] for one in burns(order)]
        assert [one.grant_id for one in control.grants(name)] == [one for one, _ in burning]
        steps = itertools.cycle([1, 11, 7, 3])
        while burning:
            amount = min(next(steps), sum(units for _, units in burning))
            expected: dict[str, int] = {}
            wanted = amount
            while wanted:
                pays = min(wanted, burning[0][1])
                expected[burning[0][0]] = pays
                wanted -= pays
                burning[0][1] -= pays
                if not burning[0][1]:
                    del burning[0]
            receipt = control.consume(**ASK, customer_id=name, amount=amount)
            assert receipt.paid_by == expected
            assert list(receipt.paid_by) == list(expected)  # as they drain
        assert not control.check(**ASK, customer_id=name, requested_usage=1)
    assert control.verify() == []


# ------------------------------------------------------------------ from when, until when


def test_a_grant_pays_from_its_start_to_just_before_its_end(
    c: UsageControl, say: Say, clock: ManualClock
) -> None:
    grant(c, "g", 100, effective_at=at(1), expires_at=at(2))
    for instant, pays in ((at(1) - ONE_US, False), (at(1), True), (at(2) - ONE_US, True), (at(2), False)):
        clock.set(instant)
        assert say("check", **ASK, requested_usage=1).has_access is pays
        if pays:
            assert say("consume", **ASK, amount=10).paid_by == {"g": 10}
        else:
            with pytest.raises(AccessDenied) as denied:
                say("reserve", **ASK, amount=1)
            assert denied.value.decision.access_denied_reason is AccessDeniedReason.INSUFFICIENT_CREDITS
    assert c.verify() == []


def test_the_next_grant_pays_from_the_instant_at_which_one_expires(
    c: UsageControl, say: Say, clock: ManualClock
) -> None:
    grant(c, "soon", 100, expires_at=at(1))
    grant(c, "later", 100)
    clock.set(at(1) - ONE_US)
    assert say("consume", **ASK, amount=5).paid_by == {"soon": 5}
    clock.set(at(1))
    assert say("consume", **ASK, amount=5).paid_by == {"later": 5}
    assert left(c) == {"later": (5, 0, 95), "soon": (5, 0, 0)}


def test_recurring_grants_are_fresh_in_each_window_and_what_is_unspent_is_gone(
    c: UsageControl, say: Say, clock: ManualClock
) -> None:
    grant(c, "daily", 50, cadence="day")
    grant(c, "reserve", 30)
    midnight = datetime(2026, 1, 16, tzinfo=UTC)
    assert say("consume", **ASK, amount=20).paid_by == {"daily": 20}
    clock.set(midnight - ONE_US)
    assert say("check", **ASK, requested_usage=1).remaining == 60
    clock.set(midnight)
    assert say("check", **ASK, requested_usage=1).remaining == 80
    assert say("consume", **ASK, amount=60).paid_by == {"daily": 50, "reserve": 10}
    clock.advance(seconds=86_400)
    assert say("consume", **ASK, amount=70).paid_by == {"daily": 50, "reserve": 20}
    assert not say("check", **ASK, requested_usage=1)
    assert c.verify() == []


def test_a_recurring_grant_that_ends_gives_nothing_anew(
    c: UsageControl, say: Say, clock: ManualClock
) -> None:
    grant(c, "daily", 50, cadence="day", expires_at=at(30))  # at 18:00 of the 16th
    clock.set(at(24))
    decision = say("check", **ASK, requested_usage=51)
    assert (decision.remaining, decision.retry_at) == (50, None)
    clock.set(at(30))
    assert say("check", **ASK, requested_usage=1).remaining == 0


# ------------------------------------------------------------------ holds


def test_a_hold_across_an_expiry_is_paid_by_what_expired(
    c: UsageControl, say: Say, clock: ManualClock
) -> None:
    grant(c, "soon", 20, expires_at=at(1))
    grant(c, "later", 30)
    held = say("reserve", **ASK, amount=25, ttl_seconds=7_200)
    assert left(c) == {"soon": (0, 20, 0), "later": (0, 5, 25)}
    clock.set(at(1.5))
    assert say("check", **ASK, requested_usage=0).remaining == 25
    receipt = say.to(held, "settle", 22)
    assert (receipt.paid_by, receipt.expired, receipt.unbacked) == ({"soon": 20, "later": 2}, False, False)
    assert left(c) == {"later": (2, 0, 28), "soon": (20, 0, 0)}
    assert c.verify() == []


def test_what_is_released_to_an_expired_grant_is_gone(c: UsageControl, say: Say, clock: ManualClock) -> None:
    grant(c, "soon", 20, expires_at=at(1))
    grant(c, "later", 30)
    released, ends = (say("reserve", **ASK, amount=10, ttl_seconds=ttl) for ttl in (7_200, 5_400))
    clock.set(at(1))
    say.to(released, "release")
    assert say("check", **ASK, requested_usage=0).remaining == 30
    clock.set(at(1.5))  # the other ends by itself
    assert say("check", **ASK, requested_usage=0).remaining == 30
    receipt = say.to(ends, "settle", 4)  # plain usage, of the instant at which it was reserved
    assert (receipt.expired, receipt.paid_by) == (True, {"soon": 4})
    assert c.verify() == []


def test_a_hold_across_a_turn_is_paid_by_the_window_of_its_reserve(
    c: UsageControl, say: Say, clock: ManualClock
) -> None:
    grant(c, "daily", 50, cadence="day")
    clock.set(datetime(2026, 1, 15, 23, 30, tzinfo=UTC))
    held = say("reserve", **ASK, amount=40, ttl_seconds=7_200)
    clock.set(datetime(2026, 1, 16, 0, 30, tzinfo=UTC))
    assert left(c) == {"daily": (0, 0, 50)}
    assert say.to(held, "settle", 45).paid_by == {"daily": 45}
    assert left(c) == {"daily": (0, 0, 50)}
    clock.set(datetime(2026, 1, 15, 23, 45, tzinfo=UTC))
    assert left(c) == {"daily": (45, 0, 5)}
    assert c.verify() == []


def test_a_grant_voided_under_a_hold_pays_its_settle_and_nothing_else(c: UsageControl, say: Say) -> None:
    grant(c, "g", 20)
    grant(c, "h", 30)
    settled, released = (say("reserve", **ASK, amount=10) for _ in range(2))
    c.void_grant("g")
    assert say("check", **ASK, requested_usage=0).remaining == 30
    say.to(released, "release")
    assert say("check", **ASK, requested_usage=0).remaining == 30
    receipt = say.to(settled, "settle", 13)
    assert receipt.paid_by == {"g": 10, "h": 3}
    assert left(c) == {"h": (3, 0, 27), "g": (10, 0, 0)}
    assert c.verify() == []


def test_a_release_gives_back_to_the_grants_that_it_was_held_of(c: UsageControl, say: Say) -> None:
    for name, amount in (("g", 20), ("h", 15), ("i", 30)):
        grant(c, name, amount)
    before = left(c)
    held = say("reserve", **ASK, amount=50)
    assert left(c) == {"g": (0, 20, 0), "h": (0, 15, 0), "i": (0, 15, 15)}
    say.to(held, "release")
    assert left(c) == before
    assert say("consume", **ASK, amount=36).paid_by == {"g": 20, "h": 15, "i": 1}


@pytest.mark.parametrize("used", [0, 1, 20, 21, 35, 36, 50, 51, 65, 66, 80])
def test_a_settle_over_several_grants_is_paid_in_their_order(c: UsageControl, say: Say, used: int) -> None:
    """Less than was held: the first of them pay. More: what is free of the others; then the last."""
    for name, amount in (("g", 20), ("h", 15), ("i", 30)):
        grant(c, name, amount)
    held = say("reserve", **ASK, amount=50)
    receipt = say.to(held, "settle", used)
    parts = [min(used, 20), min(max(0, used - 20), 15), max(0, used - 35)]
    assert receipt.paid_by == {name: units for name, units in zip("ghi", parts, strict=True) if units}
    assert (receipt.overage, receipt.unbacked) == (max(0, used - 65), False)
    assert left(c) == {
        name: (paid, 0, max(0, amount - paid))
        for name, paid, amount in zip("ghi", parts, (20, 15, 30), strict=True)
    }
    assert say("check", **ASK, requested_usage=0).remaining == max(0, 65 - used)
    assert c.verify() == []


def test_a_settle_takes_nothing_that_others_hold_while_something_is_free(c: UsageControl, say: Say) -> None:
    grant(c, "g", 20)
    grant(c, "h", 20)
    first, second = (say("reserve", **ASK, amount=15) for _ in range(2))
    assert left(c) == {"g": (0, 20, 0), "h": (0, 10, 10)}
    assert say.to(first, "settle", 22).paid_by == {"g": 15, "h": 7}
    assert say.to(second, "settle", 15).paid_by == {"g": 5, "h": 10}
    assert left(c) == {"g": (20, 0, 0), "h": (17, 0, 3)}


def test_an_extension_is_held_of_the_same_pool(c: UsageControl, say: Say) -> None:
    grant(c, "g", 20)
    grant(c, "h", 20)
    held = say("reserve", **ASK, amount=15)
    say.to(held, "extend", 15)
    assert left(c) == {"g": (0, 20, 0), "h": (0, 10, 10)}
    with pytest.raises(AccessDenied):
        say.to(held, "extend", 11)
    assert left(c) == {"g": (0, 20, 0), "h": (0, 10, 10)}
    assert say.to(held, "settle", 25).paid_by == {"g": 20, "h": 5}


def test_a_minimum_takes_what_all_grants_have_together(c: UsageControl, say: Say) -> None:
    grant(c, "g", 20)
    grant(c, "h", 15)
    say("consume", **ASK, amount=3)
    with pytest.raises(AccessDenied):
        say("reserve", **ASK, amount=100, minimum=33)
    held = say("reserve", **ASK, amount=100, minimum=32)
    assert held.amount == 32
    assert left(c) == {"g": (3, 17, 0), "h": (0, 15, 0)}
    say.to(held, "release")
    assert say("reserve", **ASK, amount=21, minimum=1).amount == 21
    assert left(c) == {"g": (3, 17, 0), "h": (0, 4, 11)}


@pytest.mark.parametrize("verb", ["consume", "report"])
def test_what_a_hold_lets_go_at_its_end_pays_for_what_comes_next(
    c: UsageControl, say: Say, clock: ManualClock, verb: str
) -> None:
    """Whoever comes first after the end: nobody has to look before."""
    grant(c, "first", 5, priority=1)
    grant(c, "second", 100)
    say("reserve", **ASK, amount=5, ttl_seconds=60)
    clock.advance(seconds=60)
    assert say(verb, **ASK, amount=7).paid_by == {"first": 5, "second": 2}
    assert left(c) == {"first": (5, 0, 0), "second": (2, 0, 98)}
    assert c.verify() == []


# ------------------------------------------------------------------ receipts


def test_a_receipt_says_who_paid_in_the_order_in_which_they_drain(
    c: UsageControl, say: Say, clock: ManualClock
) -> None:
    """Also where what was held is of a later one than what is paid beyond it."""
    grant(c, "first", 5, priority=1)
    grant(c, "second", 100)
    ends = say("reserve", **ASK, amount=5)
    held = say("reserve", **ASK, amount=2, idempotency_key="k")
    say.to(ends, "release")
    receipt = say.to(held, "settle", 7)
    assert list(receipt.paid_by.items()) == [("first", 5), ("second", 2)]


def test_a_duplicate_tells_who_paid_the_first_time(c: UsageControl, say: Say) -> None:
    grant(c, "g", 20)
    grant(c, "h", 30)
    keyed = {**ASK, "amount": 25, "idempotency_key": "k"}
    first = say("consume", **keyed)
    grant(c, "now-first", 100, priority=1)
    again = say("consume", **keyed)
    assert (first.duplicate, again.duplicate) == (False, True)
    assert list(again.paid_by.items()) == list(first.paid_by.items()) == [("g", 20), ("h", 5)]
    assert again.event_id == first.event_id
    held = say("reserve", **ASK, amount=7, idempotency_key="r")
    first = say.to(held, "settle", 6)
    assert say.to(held, "settle", 6).paid_by == first.paid_by == {"now-first": 6}
    assert left(c) == {"now-first": (6, 0, 94), "g": (20, 0, 0), "h": (5, 0, 25)}


def test_a_reversal_gives_back_to_those_that_paid(c: UsageControl, say: Say, clock: ManualClock) -> None:
    grant(c, "g", 20, expires_at=at(1))
    grant(c, "h", 30)
    receipt = say("consume", **ASK, amount=25)
    grant(c, "now-first", 100, priority=1)
    clock.set(at(2))
    back = say("reverse", receipt.event_id, reason="refund")
    assert back.paid_by == {"g": -20, "h": -5}
    assert say("reverse", receipt.event_id, reason="refund").paid_by == back.paid_by
    assert left(c) == {"now-first": (0, 0, 100), "h": (0, 0, 30), "g": (0, 0, 0)}
    assert c.verify() == []


def test_late_events_are_paid_by_the_grants_of_their_instant(
    c: UsageControl, say: Say, clock: ManualClock
) -> None:
    grant(c, "old", 20, expires_at=at(1))
    grant(c, "new", 30, effective_at=at(1))
    clock.set(at(5))
    assert say("report", **ASK, amount=12, timestamp=at(1) - ONE_US).paid_by == {"old": 12}
    assert say("report", **ASK, amount=12, timestamp=at(1)).paid_by == {"new": 12}
    receipt = say("report", **ASK, amount=12, timestamp=at(0.5))  # eight were left
    assert (receipt.paid_by, receipt.overage, receipt.unbacked) == ({"old": 12}, 4, False)
    assert say("check", **ASK, requested_usage=0).remaining == 18
    assert c.verify() == []


def test_usage_that_no_grant_can_pay_is_booked_and_says_so(
    c: UsageControl, say: Say, clock: ManualClock
) -> None:
    grant(c, "g", 20, expires_at=at(1))
    clock.set(at(1))
    receipt = say("report", **ASK, amount=12)
    assert (receipt.paid_by, receipt.unbacked, receipt.overage, receipt.charged) == ({}, True, 12, 12)
    assert pool_of(receipt.limits).overage == 12
    grant(c, "h", 50)
    assert say("check", **ASK, requested_usage=0).remaining == 50  # nobody owes it
    back = say("reverse", receipt.event_id, reason="refund")
    assert (back.paid_by, back.charged) == ({}, -12)
    assert left(c)["h"] == (0, 0, 50)
    assert c.verify() == []


def test_what_was_overdrawn_is_paid_by_the_next_grant(c: UsageControl, say: Say) -> None:
    grant(c, "g", 20)
    receipt = say("report", **ASK, amount=32)
    assert (receipt.paid_by, receipt.overage) == ({"g": 32}, 12)
    decision = say("check", **ASK, requested_usage=1)
    assert (decision.has_access, decision.remaining, decision.remedy) == (
        False,
        0,
        (RemedyKind.RAISE_LIMIT, 13, None),
    )
    grant(c, "h", 50)
    assert say("check", **ASK, requested_usage=0).remaining == 38
    assert say("consume", **ASK, amount=38).paid_by == {"h": 38}
    assert not say("check", **ASK, requested_usage=1)
    assert c.verify() == []


def test_usage_without_resources_is_paid_too(ledger_path: str, clock: ManualClock) -> None:
    with UsageControl(ledger_path, clock=clock, unknown_resources="ignore") as control:
        control.apply({**flat({"a": 10}), "creditCurrencies": [{"id": TOKENS}]})
        grant(control, "g", 20)
        nobody: dict[str, Any] = {**ASK, "resource_ids": ["nobody"], "customer_id": "c"}
        assert control.consume(**nobody, amount=15).paid_by == {"g": 15}
        decision = control.check(**nobody, requested_usage=6)
        assert [one.allocation_id for one in decision.limits] == [POOL]
        assert (decision.remaining, decision.access_denied_reason) == (
            5,
            AccessDeniedReason.INSUFFICIENT_CREDITS,
        )
        receipt = control.report(customer_id="c", credit_currency=TOKENS, amount=4, dimensions={"x": 1})
        assert receipt.paid_by == {"g": 4}
        held = control.reserve(**nobody, amount=1)
        assert not control.check(**ASK, requested_usage=1)
        held.release()
        assert control.verify() == []


def test_credits_of_several_currencies_are_each_paid_by_their_own(c: UsageControl, say: Say) -> None:
    grant(c, "tokens", 20)
    grant(c, "more-tokens", 20)
    grant(c, "dollars", 3, credit_currency="usd")
    both = {"resource_ids": ["a"], "amounts": {TOKENS: 25, "usd": "1.25"}}
    receipt = say("consume", **both)
    assert {name: str(units) for name, units in receipt.paid_by.items()} == {
        "tokens": "20",
        "more-tokens": "5",
        "dollars": "1.25",
    }
    with pytest.raises(AccessDenied) as denied:
        say("reserve", resource_ids=["a"], amounts={TOKENS: 15, "usd": "1.76"})
    decision = denied.value.decision
    assert (decision.access_denied_reason, decision.binding.credit_currency) == (
        AccessDeniedReason.INSUFFICIENT_CREDITS,
        "usd",
    )
    assert str(decision.remaining) == "1.75"
    assert [one.is_pool for one in decision.limits] == [True, True]
    assert left(c)["more-tokens"] == (5, 0, 15)  # all or nothing
    held = say("reserve", resource_ids=["a"], amounts={TOKENS: 15, "usd": "1.75"})
    receipt = say.to(held, "settle", amounts={TOKENS: 10, "usd": 0})
    assert receipt.paid_by == {"more-tokens": 10}
    assert c.verify() == []


def test_a_first_grant_makes_a_pool_from_then_on(c: UsageControl, say: Say, clock: ManualClock) -> None:
    held = say("reserve", **ASK, amount=40)
    receipt = say("consume", **ASK, amount=1_000)
    assert (receipt.paid_by, receipt.unbacked, receipt.limits) == ({}, False, ())
    assert say("check", **ASK, requested_usage=1).remaining is None
    grant(c, "g", 50, effective_at=at(1))
    assert not say("check", **ASK, requested_usage=1)  # it has a pool, and nothing in it
    clock.set(at(1) - ONE_US)
    assert say("check", **ASK, requested_usage=1).retry_at == at(1)
    clock.set(at(1))
    assert say("check", **ASK, requested_usage=1).remaining == 50
    receipt = say.to(held, "settle", 30)  # reserved when nothing was open
    assert receipt.paid_by == {}
    assert left(c) == {"g": (0, 0, 50)}
    assert c.verify() == []


# ------------------------------------------------------------------ what a denial says


def test_a_denial_names_the_pool_and_its_numbers(c: UsageControl, say: Say) -> None:
    grant(c, "g", 300)
    grant(c, "h", 200)
    say("consume", **ASK, amount=410)
    say("reserve", **ASK, amount=40)
    with pytest.raises(AccessDenied) as denied:
        say("consume", **ASK, amount=75)
    decision = denied.value.decision
    assert decision.access_denied_reason is AccessDeniedReason.INSUFFICIENT_CREDITS
    assert str(decision).startswith(
        "the pool of c has 50 of 500 ai-tokens left (410 used, 40 held); 75 were asked for"
    )
    assert (decision.remaining, decision.remedy.kind, decision.remedy.amount) == (
        50,
        RemedyKind.SHRINK,
        50,
    )
    pool = pool_of(decision.limits)
    assert pool == decision.binding
    assert (pool.allocation_id, pool.resource_id, pool.resource_type_id, pool.allowed) == (
        POOL,
        "c",
        "customer",
        False,
    )
    assert decision.as_dict()["binding"]["isPool"] is True


@pytest.mark.parametrize(
    ("limit", "granted", "reason", "is_pool"),
    [
        (10, 20, AccessDeniedReason.BUDGET_EXCEEDED, False),
        (20, 10, AccessDeniedReason.INSUFFICIENT_CREDITS, True),
        (10, 10, AccessDeniedReason.BUDGET_EXCEEDED, False),  # on a tie the first, and the pool is last
    ],
)
def test_of_a_limit_and_a_pool_the_tighter_one_binds(
    c: UsageControl, say: Say, limit: int, granted: int, reason: AccessDeniedReason, is_pool: bool
) -> None:
    c.apply(flat({"a": limit, "z": 5, "soft": 1}, soft=["soft"]))
    grant(c, "g", granted)
    decision = say("check", **ASK | {"resource_ids": ["a", "soft"]}, requested_usage=30)
    assert [one.allocation_id for one in decision.limits] == [
        f"a/{TOKENS}",
        f"soft/{TOKENS}",
        POOL,
    ]
    assert (decision.access_denied_reason, decision.binding.is_pool) == (reason, is_pool)
    assert decision.remaining == min(limit, granted)
    decision = say("check", **ASK, requested_usage=1)
    assert (decision.has_access, decision.binding.is_pool) == (True, is_pool)


# ------------------------------------------------------------------ when it would fit

HOUR_US = 3_600_000_000
#: Instants are told in quarters of an hour after noon.
QUARTER = timedelta(minutes=15)


@dataclass
class Told:
    """A grant as the reference has it: hours are quarters after noon."""

    name: str
    amount: int
    begins: int
    ends: int | None
    hours: int | None  #: it recurs each so many hours of the day
    paid: dict[int, int] = field(default_factory=dict)  # by window
    held: list[tuple[int, int, int]] = field(default_factory=list)  # (until, window, units)

    def window(self, quarter: int) -> int | None:
        """In which it is open, by number; None where it is not open."""
        if quarter < self.begins or (self.ends is not None and quarter >= self.ends):
            return None
        return 0 if self.hours is None else (quarter + 48) // (4 * self.hours)

    def room(self, quarter: int) -> int:
        window = self.window(quarter)
        if window is None:
            return 0
        held = sum(units for until, of, units in self.held if of == window and quarter < until)
        return self.amount - self.paid.get(window, 0) - held

    def ends_at(self, quarter: int) -> float:
        turn = float("inf") if self.hours is None else (quarter + 48) // (4 * self.hours) + 1
        turns = turn if self.hours is None else turn * 4 * self.hours - 48
        return min(turns, float("inf") if self.ends is None else self.ends)


#: Few numbers, so that what comes back is often just enough.
tens = st.sampled_from([10, 10, 20, 30])
told = st.builds(
    Told,
    name=st.just(""),
    amount=tens,
    begins=st.sampled_from([-8, -8, -8, 3, 6, 20, 40]),
    ends=st.sampled_from([None, None, 2, 8, 12, 30, 60]),
    hours=st.sampled_from([None, None, 1, 2, 3, 6]),
).filter(lambda one: one.ends is None or one.begins < one.ends)
#: A hold until a quarter, an event, or usage that nobody admitted.
spendings = st.lists(
    st.tuples(
        st.sampled_from(["reserve", "reserve", "consume", "report"]), st.integers(1, 40), st.integers(1, 70)
    ),
    max_size=5,
)


def first_fit(grants: Sequence[Told], quarter: int, amount: int) -> int | None:
    """The first quarter from then on in which the pool has so much: each is looked at."""
    # After a day nothing changes any more but by windows, and those repeat each six hours.
    for later in range(quarter, quarter + 4 * 24 * 2):
        if amount <= sum(one.room(later) for one in grants):
            return later
    return None


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(grants=st.lists(told, min_size=1, max_size=4), spent=spendings, amount=tens | st.integers(1, 90))
def test_a_denial_says_when_the_pool_would_have_enough(
    grants: list[Told], spent: list[tuple[str, int, int]], amount: int
) -> None:
    """The first instant at which the same request passes, against a look at each; and as it comes."""
    clock = ManualClock(NOON)
    with tempfile.TemporaryDirectory() as folder, UsageControl(Path(folder, "u.db"), clock=clock) as control:
        control.apply({**flat({"a": None}), "creditCurrencies": [{"id": TOKENS}]})
        # Each is made anew: what is drawn is drawn again, and these change.
        grants = [
            Told(f"g{number}", one.amount, one.begins, one.ends, one.hours)
            for number, one in enumerate(grants)
        ]
        for one in grants:
            grant(
                control,
                one.name,
                one.amount,
                effective_at=NOON + one.begins * QUARTER,
                expires_at=None if one.ends is None else NOON + one.ends * QUARTER,
                cadence=None if one.hours is None else f"PT{one.hours}H",
            )
        for verb, units, quarters in spent:
            spend(control, grants, verb, units, quarters)
        judge(control, clock, grants, amount)
        assert control.verify() == []


def spend(control: UsageControl, grants: Sequence[Told], verb: str, units: int, quarters: int) -> None:
    """At noon; who pays is told by the receipt, or by what each grant says that it holds."""
    try:
        if verb == "reserve":
            before = left(control)
            control.reserve(**ASK, amount=units, ttl_seconds=900 * quarters)
            for one in grants:
                more = left(control)[one.name][1] - before[one.name][1]
                if more:
                    one.held.append((quarters, one.window(0) or 0, more))
            return
        receipt = getattr(control, verb)(**ASK, amount=units)
    except AccessDenied:
        return
    for one in grants:
        window = one.window(0)
        if window is not None:
            one.paid[window] = one.paid.get(window, 0) + receipt.paid_by.get(one.name, 0)


def judge(control: UsageControl, clock: ManualClock, grants: Sequence[Told], amount: int) -> None:
    decision = control.check(**ASK, requested_usage=amount)
    rooms = [one.room(0) for one in grants]
    assert decision.has_access == (amount <= sum(rooms))
    assert decision.remaining == max(0, sum(rooms))
    if decision.has_access:
        event("allowed")
        return
    assert decision.binding is not None
    assert decision.binding == pool_of(decision.limits)
    fits = first_fit(grants, 0, amount)
    event("never" if fits is None else "later")
    assert decision.retry_at == (None if fits is None else NOON + fits * QUARTER)
    held = sum(
        one.amount - one.paid.get(one.window(0) or 0, 0) for one in grants if one.window(0) is not None
    )
    kind = RemedyKind.WAIT if fits is not None else RemedyKind.RAISE_LIMIT
    if sum(rooms) > 0:
        kind = RemedyKind.SHRINK
    elif amount <= held:
        kind = RemedyKind.RETRY
    assert decision.remedy is not None
    assert decision.remedy.kind is kind
    if fits is not None:  # and so it is
        clock.set(NOON + fits * QUARTER - ONE_US)
        assert not control.check(**ASK, requested_usage=amount)
        clock.set(NOON + fits * QUARTER)
        assert control.check(**ASK, requested_usage=amount)


def test_a_denial_says_when_held_credits_come_back(c: UsageControl, say: Say) -> None:
    grant(c, "g", 20, expires_at=at(3))
    grant(c, "h", 10, effective_at=at(2))
    say("reserve", **ASK, amount=20, ttl_seconds=5_400)
    asked = {amount: say("check", **ASK, requested_usage=amount) for amount in (5, 20, 30, 31)}
    assert {amount: one.retry_at for amount, one in asked.items()} == {
        5: at(1.5),
        20: at(1.5),
        30: at(2),
        31: None,
    }
    assert {amount: one.remedy.kind for amount, one in asked.items()} == {
        5: RemedyKind.RETRY,
        20: RemedyKind.RETRY,
        30: RemedyKind.WAIT,
        31: RemedyKind.RAISE_LIMIT,
    }


def test_a_denial_looks_beyond_the_next_window_of_a_recurring_grant(c: UsageControl, say: Say) -> None:
    """When the held credits come back, the recurring ones are there in the window after the next."""
    grant(c, "plain", 10, priority=1)
    say("reserve", **ASK, amount=10, ttl_seconds=5 * 3_600)
    grant(c, "two-hourly", 10, cadence="PT2H")
    say("consume", **ASK, amount=10)
    assert say("check", **ASK, requested_usage=20).retry_at == at(5)


def test_a_denial_sees_that_what_was_overdrawn_expires(c: UsageControl, say: Say) -> None:
    """What nobody owes any more is not paid out of the recurring grant's next but one window."""
    grant(c, "overdrawn", 10, priority=99, expires_at=at(5))
    grant(c, "two-hourly", 10, cadence="PT2H")
    say("report", **ASK, amount=30)
    assert say("check", **ASK, requested_usage=10).retry_at == at(5)


# ------------------------------------------------------------------ memory


def sizes(control: UsageControl, customer_id: str) -> dict[str, int]:
    """Of all that a customer's stripe keeps in lists and dicts."""
    stripe = control._holder.stripes[customer_id]
    found = {}
    for whose in (stripe, *stripe.strands.values()):
        for name in whose.__slots__:
            kept = getattr(whose, name)
            if isinstance(kept, list | dict | set):
                found[f"{type(whose).__name__}.{name}"] = len(kept)
    return found


def test_a_thousand_turns_of_grants_and_rolling_limits_keep_the_memory(
    c: UsageControl, clock: ManualClock
) -> None:
    c.apply(flat({"a": None, "b": None}))
    for name, cadence, rolling in (("a", "day", False), ("a", "hour", True), ("b", "day", False)):
        c.set_allocation(
            resource_id=name, credit_currency=TOKENS, cadence=cadence, rolling=rolling, limit=1_000
        )
    grant(c, "daily", 100, cadence="day")
    grant(c, "hourly", 30, cadence="hour", priority=60)
    grant(c, "once", 10**9, priority=90)
    seen = []
    for turn in range(1_000):  # twenty of them take seventeen days, and are like the twenty before
        c.consume(**ASK, amount=10 + 35 * (turn % 5))
        held = c.reserve(**ASK | {"resource_ids": ["a", "b"]}, amount=60, ttl_seconds=7_200)
        clock.advance(seconds=86_400 if turn % 5 else 21_600)
        if turn % 4:
            held.settle(15 + 30 * (turn % 4))
        if turn % 4 == 0:
            c.report(**ASK, amount=3, timestamp=clock.now() - timedelta(days=turn % 5))
        if turn % 10 == 9:
            c._holder.keeper.beat(clock.now_us())
            seen.append(sizes(c, "c"))
    # The keeper tells the ledger of what is given back whenever it comes to it, and grows nothing either.
    early, late = (
        {name: max(one[name] for one in part) for name in seen[0]} for part in (seen[:10], seen[10:])
    )
    gives = late.pop("Stripe.gives")
    assert gives <= 2 * early.pop("Stripe.gives")
    assert {name: late[name] for name in late if late[name] > early[name]} == {}
    assert c.verify() == []
