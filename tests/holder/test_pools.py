"""Which grants are open when, in which order they drain, and what comes."""

from itertools import permutations
from typing import Any, Literal

import hypothesis.strategies as st
from hypothesis import given

from stiggctl.holder.pools import grants_now, pool_of
from stiggctl.ledger.records import GrantRow

DAY = 86_400_000_000


def grant(id_: int, amount: int = 10, **differs: Any) -> GrantRow:
    facts: dict[str, Any] = {
        "customer": 1,
        "grant_id": f"g{id_}",
        "currency": 1,
        "priority": 50,
        "kind": "PAID",
        "effective_at_us": None,
        "expires_at_us": None,
        "cadence": None,
        "timezone": "UTC",
        "anchor_us": None,
        "voided_at_us": None,
    }
    return GrantRow(id=id_, amount_units=amount, **{**facts, **differs})


def drains(*rows: GrantRow, at: int = 0) -> list[str | None]:
    pool = pool_of(rows, 1, at)
    assert pool is not None
    return [limit.allocation_id for limit in pool.limits]


def test_who_ever_had_a_grant_of_a_currency_has_a_pool_in_it() -> None:
    """PO1."""
    assert pool_of([], 1, 0) is None
    assert pool_of([grant(1, currency=2)], 1, 0) is None
    for over in ({"expires_at_us": 0}, {"effective_at_us": 1}, {"voided_at_us": 0}):
        assert drains(grant(1, **over)) == []


def test_grants_drain_by_priority_end_kind_beginning_and_age() -> None:
    """PO2: each differs from the next in one thing; whatever the order of their rows."""
    facts: list[dict[str, Any]] = [
        {"priority": 10, "expires_at_us": 9 * DAY},
        {"expires_at_us": DAY},
        {"expires_at_us": 2 * DAY, "kind": "PROMOTIONAL"},
        {"expires_at_us": 2 * DAY, "effective_at_us": -5},
        {"expires_at_us": 2 * DAY, "effective_at_us": -4},
        {"kind": "PROMOTIONAL"},
        {},
    ]
    rows = [grant(at + 1, **one) for at, one in enumerate(facts)]
    for shuffled in list(permutations(rows))[::97]:
        assert drains(*shuffled) == [f"g{at + 1}" for at in range(len(facts))]
    assert drains(grant(8), grant(3)) == ["g3", "g8"]


def test_one_that_recurs_ends_with_its_window() -> None:
    """PO2: what is left of it is gone then, so it burns before what lasts longer."""
    daily, month = grant(1, cadence="P1D"), grant(2, expires_at_us=30 * DAY)
    assert drains(daily, month) == ["g1", "g2"]
    assert drains(daily, grant(2, expires_at_us=DAY - 1)) == ["g2", "g1"]
    [limit, _] = pool_of([daily, month], 1, 3 * DAY + 5).limits  # type: ignore[union-attr]  # there is one
    assert (limit.wanted.key.window_start_us, limit.wanted.window_end_us) == (3 * DAY, 4 * DAY)
    cut = grant(3, cadence="P1D", effective_at_us=DAY // 2, expires_at_us=3 * DAY // 2)
    [limit] = pool_of([cut], 1, DAY).limits  # type: ignore[union-attr]  # there is one
    # The window counts whole; the grant is open for a part of it.
    assert (limit.wanted.window_end_us, limit.terms.window_end_us) == (2 * DAY, 3 * DAY // 2)


def test_one_that_was_voided_is_open_at_no_instant() -> None:
    """PO3."""
    assert drains(grant(1, voided_at_us=5 * DAY), grant(2), at=DAY) == ["g2"]


kinds: list[Literal["PAID", "PROMOTIONAL"]] = ["PAID", "PROMOTIONAL"]
instants = st.none() | st.integers(-3 * DAY, 6 * DAY)
grants = st.builds(
    grant,
    st.integers(1, 10**6),
    st.integers(1, 50),
    effective_at_us=instants,
    expires_at_us=instants,
    cadence=st.sampled_from([None, "P1D", "PT6H", "P1W"]),
    voided_at_us=st.sampled_from([None, None, None, 0]),
)


@given(rows=st.lists(grants, max_size=5, unique_by=lambda one: one.id), at=st.integers(-4 * DAY, 7 * DAY))
def test_a_pool_stays_what_it_is_until_it_says(rows: list[GrantRow], at: int) -> None:
    pool = pool_of(rows, 1, at)
    if pool is None:
        return
    assert pool.from_us <= at < pool.until_us
    for edge in (pool.from_us, pool.until_us - 1):
        there = pool_of(rows, 1, edge)
        assert there is not None
        assert there.limits == pool.limits


@given(
    rows=st.lists(grants, min_size=1, max_size=4, unique_by=lambda one: one.id),
    at=st.integers(-3 * DAY, 6 * DAY),
    ahead=st.integers(1, 8 * DAY),
)
def test_what_comes_is_what_will_be_open_at_the_next_starts(
    rows: list[GrantRow], at: int, ahead: int
) -> None:
    """Each that begins later is told with its time; and nothing that never will be."""
    pool = pool_of(rows, 1, at)
    assert pool is not None
    later = pool_of(rows, 1, at + ahead)
    assert later is not None
    open_then = {limit.allocation for limit in later.limits}
    starting = {
        (row.effective_at_us, row.amount_units)
        for row in rows
        if row.id in open_then and row.cadence is None and (row.effective_at_us or at) > at
    }
    assert starting <= {(one.from_us, one.units) for one in pool.coming}
    for one in pool.coming:
        then = pool_of(rows, 1, one.from_us)
        assert then is not None
        assert one.from_us > at
        assert one.units in {limit.limit_units for limit in then.limits}


def test_of_a_grant_that_is_not_open_its_first_or_last_window_is_told() -> None:
    coming, over, void = grant(1, effective_at_us=DAY), grant(2, expires_at_us=-DAY), grant(3, voided_at_us=0)
    recurring = grant(4, cadence="P1D", effective_at_us=2 * DAY, expires_at_us=4 * DAY)
    told = {one.row.id: (one.is_open, one.order[0]) for one in grants_now([coming, over, void, recurring], 5)}
    assert told == {1: (False, 1), 2: (False, 2), 3: (False, 2), 4: (False, 1)}
    [first] = grants_now([recurring], 5)
    [last] = grants_now([recurring], 9 * DAY)
    assert (first.window.start_us, last.window.start_us) == (2 * DAY, 3 * DAY)
