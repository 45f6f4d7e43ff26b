"""Which limits a resource has at an instant, from rows alone."""

from typing import Any

import pytest

from stiggctl.holder.in_force import Limit, limits_of, model_of
from stiggctl.ledger.records import AllocationRow, OverrideRow, ResourceRow, Rolls
from stiggctl.windows import ALWAYS

DAY = 86_400_000_000
ANN = ResourceRow(
    id=7,
    customer=1,
    resource_id="ann",
    type=3,
    type_id="user",
    parent=None,
    parent_resource_id=None,
    name=None,
    properties='{"tier": "STANDARD", "seats": 5}',
    archived_at_us=None,
    suspension=None,
)


def allocation(id_: int, limit: int, **differs: Any) -> AllocationRow:
    facts: dict[str, Any] = {
        "customer": 1,
        "allocation_id": None,
        "resource": ANN.id,
        "resource_id": "ann",
        "type": None,
        "type_id": None,
        "where": "{}",
        "currency": 1,
        "enforcement": "HARD",
        "cadence": None,
        "timezone": "UTC",
        "anchor_us": None,
        "rolling": False,
        "scope": "{}",
        "effective_at_us": None,
        "expires_at_us": None,
    }
    return AllocationRow(id=id_, limit_units=limit, **{**facts, **differs})


def template(id_: int, limit: int, **differs: Any) -> AllocationRow:
    facts = {"resource": 0, "resource_id": "", "type": 3, "type_id": "user"}
    return allocation(id_, limit, **{**facts, **differs})


def override(id_: int, **differs: Any) -> OverrideRow:
    facts: dict[str, Any] = {
        "customer": 1,
        "resource": ANN.id,
        "resource_id": "ann",
        "currency": 1,
        "cadence": None,
        "scope": "{}",
        "limit_units": None,
        "add_units": None,
        "reason": None,
        "actor": None,
        "effective_at_us": None,
        "expires_at_us": 10 * DAY,
        "put_at_us": None,
    }
    return OverrideRow(id=id_, **{**facts, **differs})


def found(*rows: AllocationRow | OverrideRow, at: int = 0, now: int | None = None) -> list[Limit]:
    return [one for one in looked(*rows, at=at, now=now)[0] if not one.terms.only_counts]


def looked(*rows: AllocationRow | OverrideRow, at: int = 0, now: int | None = None) -> Any:
    own = [one for one in rows if isinstance(one, AllocationRow) and one.resource]
    templates = [one for one in rows if isinstance(one, AllocationRow) and not one.resource]
    model = model_of(own, templates, [one for one in rows if isinstance(one, OverrideRow)])
    return limits_of(ANN, model, 1, at, at if now is None else now)


def ids(*rows: AllocationRow | OverrideRow, at: int = 0) -> list[int]:
    return [one.allocation for one in found(*rows, at=at)]


def test_what_is_found_holds_until_something_begins_or_ends() -> None:
    """IF1."""
    assert looked(allocation(1, 5))[1:3] == (ALWAYS.start_us, ALWAYS.end_us)
    rows = (
        allocation(1, 5, cadence="P1D"),
        allocation(2, 5, effective_at_us=3 * DAY // 2, expires_at_us=2 * DAY),
        override(3, limit_units=9, effective_at_us=DAY, expires_at_us=DAY + 1),
    )
    assert [looked(*rows, at=at)[1:3] for at in (0, DAY, DAY + 1, 3 * DAY // 2, 2 * DAY)] == [
        (0, DAY),
        (DAY, DAY + 1),
        (DAY + 1, 3 * DAY // 2),
        (3 * DAY // 2, 2 * DAY),
        (2 * DAY, 3 * DAY),
    ]
    for at in range(0, 3 * DAY, DAY // 7):
        then = looked(*rows, at=at)
        assert then.from_us <= at < then.until_us
        assert looked(*rows, at=then.from_us) == looked(*rows, at=then.until_us - 1) == then


def test_an_own_limit_stands_for_templates_like_it_while_it_is_in_force() -> None:
    """IF2."""
    daily, monthly = template(1, 5, cadence="P1D"), template(2, 5, cadence="P1M")
    own = allocation(3, 9, cadence="P1D", effective_at_us=DAY, expires_at_us=2 * DAY)
    assert [ids(daily, monthly, own, at=at) for at in (0, DAY, 2 * DAY)] == [[1, 2], [2, 3], [1, 2]]
    assert ids(daily, allocation(4, 9, cadence="P1D", scope='{"model": ["gpt-5"]}')) == [1, 4]
    assert ids(daily, allocation(4, 9, cadence="P1D", currency=2)) == [1]


def test_a_rolling_window_is_that_of_now_whenever_something_took_place() -> None:
    """IF4: what took place before it meets the limit no more; but its cell is to have moved on."""
    rolling, now = allocation(1, 5, cadence="P1D", rolling=True), 10 * DAY + 7
    width, opens = DAY // 60, 9 * DAY
    for at in (opens, now, now + 300_000_000):
        [limit] = looked(rolling, at=at, now=now).limits
        assert limit.wanted.rolls == Rolls(opens, width)
        assert (limit.wanted.key.window_start_us, limit.wanted.window_end_us) == (0, None)
        assert (limit.terms.window_start_us, limit.terms.window_end_us) == (opens, 10 * DAY + width)
    late = looked(rolling, at=opens - 1, now=now)
    assert (late.limits, [one.wanted for one in late.moved_on]) == ((), [limit.wanted])
    assert looked(rolling, at=now, now=now)[1:4] == (10 * DAY, 10 * DAY + width, opens)
    assert late[1:3] == (ALWAYS.start_us, opens)


@pytest.mark.parametrize(
    ("differs", "matches"),
    [
        ({}, True),
        ({"customer": 0}, True),
        ({"customer": 2}, False),
        ({"type_id": "team"}, False),
        ({"where": '{"tier": ["PREMIUM", "STANDARD"]}'}, True),
        ({"where": '{"tier": ["PREMIUM"]}'}, False),
        ({"where": '{"seats": ["5"], "tier": ["STANDARD"]}'}, True),
        ({"where": '{"region": ["emea"]}'}, False),
        ({"currency": 2}, False),
    ],
)
def test_a_template_is_for_who_matches(differs: dict[str, Any], matches: bool) -> None:
    assert bool(ids(template(1, 5, **differs))) == matches


def test_of_overrides_the_latest_replaces_and_all_others_add() -> None:
    """IF3."""
    limit = allocation(1, 100, cadence="P1D")
    early, late = override(2, limit_units=50), override(3, limit_units=70, effective_at_us=0, actor="eve")
    more, much = override(4, add_units=5, reason="a friend"), override(5, add_units=6, actor="a", reason="b")
    assert [(one.limit_units, one.terms.overridden_by) for one in found(limit, late, early, more, much)] == [
        (81, "eve; a friend; a: b")
    ]
    assert found(limit, early, late, at=-1)[0].limit_units == 50
    assert found(limit, override(6, limit_units=7, cadence="P1M"))[0].limit_units == 100
    assert found(limit, override(6, limit_units=7, scope='{"model": ["gpt-5"]}'))[0].limit_units == 100
    assert found(limit, override(6, add_units=10**18))[0].limit_units == 10**18


def test_a_limit_is_as_high_as_it_is_now_or_was_when_its_window_ended() -> None:
    limit, ever = allocation(1, 100, cadence="P1D"), allocation(2, 200)
    lifted = override(3, add_units=11, effective_at_us=DAY // 2, expires_at_us=DAY)
    now = [(one.limit_units) for one in found(limit, ever, lifted, at=0, now=3 * DAY)]
    assert now == [111, 200]
    assert [one.limit_units for one in found(limit, ever, lifted, at=0, now=DAY // 2)] == [111, 211]
    assert [one.limit_units for one in found(limit, ever, lifted, at=0, now=1)] == [100, 200]


def test_hard_limits_come_first() -> None:
    assert ids(allocation(1, 5, enforcement="SOFT"), allocation(2, 5), template(3, 5, cadence="P1D")) == [
        2,
        3,
        1,
    ]


def test_what_is_not_in_force_goes_on_counting() -> None:
    """IF2: without a limit, so that nothing is over it."""
    rows = template(1, 5, cadence="P1D"), allocation(2, 9, cadence="P1D", expires_at_us=DAY)
    first, later = looked(*rows, at=0)[0], looked(*rows, at=DAY)[0]
    assert [(one.allocation, one.hard, one.terms.only_counts) for one in first] == [
        (2, True, False),
        (1, False, True),
    ]
    assert [(one.allocation, one.hard, one.limit_units) for one in later] == [
        (1, True, 5),
        (2, False, 10**18),
    ]
