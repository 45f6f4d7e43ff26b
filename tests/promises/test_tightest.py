"""tightest: the limits and pools that are nearest to their end, with the numbers that decisions see."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stiggctl import InvalidRequest, UsageControl
from stiggctl.reports.tightest import MORE, TIMES
from stiggctl.testing import ManualClock

NOON = datetime(2026, 1, 15, 12, tzinfo=UTC)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOON)


@pytest.fixture
def control(tmp_path: Path, clock: ManualClock) -> Any:
    with UsageControl(tmp_path / "usage.db", clock=clock) as control:
        control.apply(
            {
                "creditCurrencies": [{"id": "t"}, {"id": "usd", "decimals": 9}],
                "resourceTypes": [{"id": "team"}, {"id": "user"}],
                "resources": [
                    {"id": "team", "resourceTypeId": "team", "customerId": "acme"},
                    *(
                        {"id": f"u{n}", "resourceTypeId": "user", "parentResourceId": "team"}
                        for n in range(6)
                    ),
                    {"id": "u0", "resourceTypeId": "user", "customerId": "other"},
                ],
            }
        )
        yield control


def limited(control: UsageControl, resource_id: str, limit: Any, **more: Any) -> None:
    control.set_allocation(
        **{"resource_id": resource_id, "credit_currency": "t", "customer_id": "acme", "limit": limit, **more}
    )


def asked(resource_id: str, amount: Any, customer_id: str = "acme", currency: str = "t") -> dict[str, Any]:
    whose = {"resource_ids": [resource_id], "customer_id": customer_id}
    return {**whose, "credit_currency": currency, "amount": amount}


def told(control: UsageControl, most: int = 10) -> list[tuple[str, str, str]]:
    return [(one.customer_id, one.limit.resource_id, str(one.utilisation)) for one in control.tightest(most)]


def test_what_has_the_larger_part_used_and_held_comes_first(control: UsageControl) -> None:
    """TG1, TG2: of every customer and currency; what is untouched is not among them."""
    for name, limit in [("u0", 100), ("u1", 1_000), ("u2", 50), ("u3", 10), ("team", 2_000)]:
        limited(control, name, limit)
    limited(control, "u0", 10, customer_id="other")
    limited(control, "u4", "0.5", credit_currency="usd")
    control.consume(**asked("u0", 30))
    held = control.reserve(**asked("u1", 990))
    control.consume(**asked("u2", 20))
    control.consume(**asked("u0", 10, "other"))
    control.consume(**asked("u4", "0.000000001", currency="usd"))
    expected = [
        ("other", "u0", "1.0000"), ("acme", "u1", "0.9900"), ("acme", "team", "0.5200"),
        ("acme", "u2", "0.4000"), ("acme", "u0", "0.3000"), ("acme", "u4", "0.0000"),
    ]  # fmt: skip
    assert told(control) == expected
    assert told(control, 2) == expected[:2]
    state = control.tightest(2)[1].limit
    assert (state.used, state.held, state.remaining) == (0, 990, 10)
    held.release()
    assert told(control, 2) == [("other", "u0", "1.0000"), ("acme", "u2", "0.4000")]


def test_a_window_that_turned_and_an_override_count_at_once(
    control: UsageControl, clock: ManualClock
) -> None:
    """TG1: the counter of yesterday is no more among them."""
    limited(control, "u0", 100, cadence="DAY")
    limited(control, "u1", 100)
    limited(control, "u2", 100, cadence="PT1H", rolling=True)
    for name, amount in [("u0", 90), ("u1", 50), ("u2", 80)]:
        control.consume(**asked(name, amount))
    assert [name for _, name, _ in told(control)] == ["u0", "u2", "u1"]
    control.override_limit(
        resource_id="u1", credit_currency="t", customer_id="acme", limit=50, until="2026-01-15T20:00:00Z",
        reason="less", actor="ann",
    )  # fmt: skip
    assert told(control)[0] == ("acme", "u1", "1.0000")
    clock.advance(seconds=2 * 3_600)
    assert told(control) == [("acme", "u1", "1.0000"), ("acme", "u0", "0.9000")]
    clock.advance(seconds=24 * 3_600)
    assert told(control) == [("acme", "u1", "0.5000")]


def test_many_windows_that_are_over_hide_nothing_of_today(control: UsageControl, clock: ManualClock) -> None:
    """TG2: however full they were, what is looked at is what counts now."""
    limited(control, "u0", 100, cadence="DAY")
    for _ in range(TIMES + MORE + 2):
        control.consume(**asked("u0", 100))
        clock.advance(seconds=86_400)
    limited(control, "u1", 100)
    control.consume(**asked("u1", 10))
    assert told(control, 1) == [("acme", "u1", "0.1000")]


def test_a_limit_of_nothing_that_is_passed_is_the_tightest(control: UsageControl) -> None:
    limited(control, "u0", 0)
    limited(control, "u1", 1)
    for name in ("u0", "u1"):
        control.report(event_name="chat", **asked(name, 5))
    first, second = control.tightest()
    assert (first.limit.resource_id, first.utilisation) == ("u0", None)
    assert (second.limit.resource_id, second.utilisation) == ("u1", Decimal(5))
    assert first.as_dict()["utilisation"] is None
    assert second.as_dict()["limit"]["used"] == 5


def test_a_pool_is_one_limit_whatever_grants_it_has(control: UsageControl) -> None:
    for name, amount in [("first", 10), ("second", 90)]:
        control.grant_credits(customer_id="acme", credit_currency="t", grant_id=name, amount=amount)
    control.consume(**asked("u0", 40))
    [pool] = control.tightest()
    assert (pool.customer_id, pool.limit.is_pool, str(pool.utilisation)) == ("acme", True, "0.4000")
    assert (pool.limit.used, pool.limit.limit) == (40, 100)


def test_it_is_asked_for_one_or_more(control: UsageControl) -> None:
    for most in (0, -1, True, 2.0, "3"):
        with pytest.raises(InvalidRequest, match="whole number"):
            control.tightest(most)  # type: ignore[arg-type]  # what is refused


spendings = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 60), st.booleans()), max_size=12)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(1, 200), min_size=6, max_size=6), spendings, st.integers(1, 7))
def test_it_is_what_one_finds_by_looking_at_all(tmp_path_factory, limits, spending, most) -> None:
    """TG2: against the tree, sorted."""
    with UsageControl(tmp_path_factory.mktemp("all") / "usage.db", clock=ManualClock(NOON)) as control:
        names = [f"u{n}" for n in range(6)]
        control.apply(
            {
                "resourceTypes": [{"id": "user"}],
                "resources": [{"id": name, "resourceTypeId": "user", "customerId": "acme"} for name in names],
                "allocations": [
                    {"resourceId": name, "creditCurrency": "t", "limit": limit}
                    for name, limit in zip(names, limits, strict=True)
                ],
            }
        )
        for which, amount, books in spending:
            if control.check(
                resource_ids=[f"u{which}"], credit_currency="t", requested_usage=amount
            ).has_access:
                (control.consume if books else control.reserve)(**asked(f"u{which}", amount))
        nodes = [control.tree(name, "t") for name in names]
        expected = sorted(
            ((node.used + node.held) / Decimal(str(node.limit)), node.resource_id)
            for node in nodes
            if node.used or node.held
        )
        found = control.tightest(most)
        parts = [(Decimal(one.limit.used) + one.limit.held) / Decimal(one.limit.limit) for one in found]
        assert parts == [part for part, _ in reversed(expected)][:most]
