"""forecast: when limits and pools run out, at the pace of what was booked."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from stiggctl import (
    AmbiguousResource,
    CurrencyNotFound,
    CustomerNotFound,
    Forecast,
    InvalidRequest,
    ResourceNotFound,
    UsageControl,
)
from stiggctl.testing import ManualClock

NOON = datetime(2026, 1, 15, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOON)


@pytest.fixture
def control(tmp_path: Path, clock: ManualClock) -> Any:
    with UsageControl(tmp_path / "usage.db", clock=clock) as control:
        control.apply(
            {
                "creditCurrencies": [{"id": "t"}, {"id": "usd", "decimals": 2}],
                "resourceTypes": [{"id": "team"}, {"id": "user"}],
                "resources": [
                    {"id": "team", "resourceTypeId": "team", "customerId": "acme"},
                    {"id": "ann", "resourceTypeId": "user", "parentResourceId": "team"},
                    {"id": "bob", "resourceTypeId": "user", "parentResourceId": "team"},
                    {"id": "ann", "resourceTypeId": "user", "customerId": "other"},
                ],
            }
        )
        yield control


def limited(control: UsageControl, resource_id: str, limit: int, **more: Any) -> None:
    control.set_allocation(
        resource_id=resource_id, credit_currency="t", customer_id="acme", limit=limit, **more
    )


def spent(control: UsageControl, resource_id: str, amount: int, hours: float, **more: Any) -> None:
    """So much, so long ago."""
    control.report(
        customer_id="acme",
        event_name="chat",
        resource_ids=[resource_id],
        credit_currency="t",
        amount=amount,
        timestamp=NOON - hours * HOUR,
        **more,
    )


def evenly(control: UsageControl, resource_id: str, amount: int, hours: int, **more: Any) -> None:
    """So much in each of the last hours, in the middle of it."""
    for hour in range(hours):
        spent(control, resource_id, amount, hour + 0.5, **more)


def of(control: UsageControl, resource_id: str, **asked: Any) -> list[Forecast]:
    found = control.forecast(["ann"], "t", customer_id="acme", **asked)
    return [one for one in found if one.limit.resource_id == resource_id]


def near(at: datetime | None, expected: datetime, within: timedelta) -> bool:
    return at is not None and abs(at - expected) <= within


def test_what_is_spent_evenly_runs_out_when_the_rest_is_spent(control: UsageControl) -> None:
    """104 are left; of 4 an hour that is 26 hours."""
    limited(control, "ann", 200)
    evenly(control, "ann", 4, 24)
    [ann] = of(control, "ann")
    assert (ann.limit.used, ann.limit.remaining, ann.at) == (96, 104, NOON)
    assert ann.per_day in range(94, 102)
    assert near(ann.runs_out_at, NOON + 26 * HOUR, 2 * HOUR)
    assert ann.earliest_at is not None
    assert ann.latest_at is not None
    assert ann.runs_out_at is not None
    assert ann.earliest_at < ann.runs_out_at < ann.latest_at
    assert (ann.ends_at, ann.chance) == (None, None)
    assert ann.looked_since is not None
    assert near(ann.looked_since, NOON - 24 * HOUR, HOUR)


def test_what_is_held_counts_as_spent(control: UsageControl) -> None:
    """FC2."""
    limited(control, "ann", 200)
    evenly(control, "ann", 4, 24)
    [before] = of(control, "ann")
    control.reserve(resource_ids=["ann"], customer_id="acme", credit_currency="t", amount=40)
    [after] = of(control, "ann")
    assert after.limit.held == 40
    assert before.runs_out_at is not None
    assert near(after.runs_out_at, before.runs_out_at - 10 * HOUR, HOUR)


def test_a_window_that_ends_first_does_not_run_out(control: UsageControl) -> None:
    """FC1: and says how likely it is that it does."""
    limited(control, "ann", 1_000, cadence="day")
    limited(control, "team", 110, cadence="day")
    evenly(control, "ann", 5, 24)
    [ann], [team] = of(control, "ann"), of(control, "team")
    assert ann.limit.used == 60
    assert (ann.runs_out_at, ann.earliest_at, ann.ends_at) == (None, None, NOON + 12 * HOUR)
    assert ann.chance is not None
    assert ann.chance < 0.01
    assert near(team.runs_out_at, NOON + 10 * HOUR, HOUR)
    assert team.chance is not None
    assert team.chance > 0.6
    assert control.forecast(["ann"], "t", customer_id="acme")[0] == team  # the soonest first


def test_what_has_run_out_has_run_out_now(control: UsageControl) -> None:
    """FC1: whatever the pace is, and where nothing is spent, too."""
    limited(control, "ann", 10)
    limited(control, "team", 0)
    spent(control, "ann", 10, 500)
    for one in (*of(control, "ann"), *of(control, "team")):
        assert (one.runs_out_at, one.earliest_at, one.latest_at, one.chance) == (NOON, NOON, NOON, 1.0)
        assert str(one).endswith("it has run out")


def test_a_limit_that_counts_only_some_has_the_pace_of_those(control: UsageControl) -> None:
    """Its scope, and the path of a request in it."""
    limited(control, "ann", 200, scope={"model": "large"})
    evenly(control, "ann", 4, 24, dimensions={"model": "large"})
    evenly(control, "ann", 100, 24, dimensions={"model": "small"})
    assert of(control, "ann") == []
    [ann] = of(control, "ann", dimensions={"model": "large"})
    assert ann.limit.used == 96
    assert near(ann.runs_out_at, NOON + 26 * HOUR, 2 * HOUR)
    [listed] = [one for one in control.forecast(customer_id="acme") if one.limit.scope]
    assert listed == ann


def test_an_override_that_ends_makes_less_of_it(control: UsageControl) -> None:
    """The room is what the limit is by then."""
    limited(control, "ann", 110)
    control.override_limit(
        "ann", "t", customer_id="acme", limit=1_000, reason="launch", until=NOON + 5 * HOUR
    )
    evenly(control, "ann", 4, 24)
    [ann] = of(control, "ann")
    assert ann.limit.limit == 1_000
    assert near(ann.runs_out_at, NOON + 5 * HOUR, timedelta(0))  # by then 20 more are spent: 116 of 110


def test_a_rolling_limit_has_room_again_as_usage_leaves(control: UsageControl) -> None:
    """Steadily used at half it does not run out; at once, it has room once that has left."""
    limited(control, "ann", 192, cadence="P1D", rolling=True)
    evenly(control, "ann", 4, 72)
    [ann] = of(control, "ann")
    assert ann.limit.rolling
    assert ann.runs_out_at is None
    assert ann.ends_at is None
    assert ann.chance is not None
    assert ann.chance < 0.05


def test_a_pool_counts_all_that_its_customer_spends(control: UsageControl) -> None:
    """Also what no limit counts; of bob, who is not asked for."""
    grant: dict[str, Any] = {"customer_id": "acme", "credit_currency": "t"}
    control.grant_credits(**grant, grant_id="first", amount=150, effective_at=NOON - 30 * HOUR)
    control.grant_credits(**grant, grant_id="next", amount=96, effective_at=NOON + 3 * HOUR)
    evenly(control, "ann", 2, 24)
    evenly(control, "bob", 2, 24)
    [pool] = [one for one in control.forecast(["ann"], "t", customer_id="acme") if one.limit.is_pool]
    assert (pool.limit.resource_id, pool.limit.remaining) == ("acme", 54)
    assert pool.per_day in range(94, 102)
    # 54 last for 13.5 hours; by then the next 96 are there.
    assert near(pool.runs_out_at, NOON + 37.5 * HOUR, 2 * HOUR)


def test_what_a_grant_leaves_when_it_ends_is_less_what_was_spent_of_it(control: UsageControl) -> None:
    """Of 100 that end in ten hours 40 are spent by then: 60 are lost, and of the other 100 nothing yet."""
    grant: dict[str, Any] = {"customer_id": "acme", "credit_currency": "t"}
    control.grant_credits(
        **grant, grant_id="ends", amount=196, effective_at=NOON - 30 * HOUR, expires_at=NOON + 10 * HOUR
    )
    control.grant_credits(**grant, grant_id="stays", amount=100, effective_at=NOON - 30 * HOUR)
    evenly(control, "ann", 4, 24)
    [pool] = [one for one in control.forecast(["ann"], "t", customer_id="acme") if one.limit.is_pool]
    assert pool.limit.remaining == 200
    assert near(pool.runs_out_at, NOON + 35 * HOUR, 3 * HOUR)


def test_without_resources_every_limit_that_is_used_is_told_and_no_other(control: UsageControl) -> None:
    limited(control, "ann", 200)
    limited(control, "bob", 200)
    limited(control, "team", 100_000)
    control.set_allocation(resource_id="ann", customer_id="other", credit_currency="t", limit=5)
    evenly(control, "ann", 4, 24)
    control.report(customer_id="other", event_name="e", resource_ids=["ann"], credit_currency="t", amount=5)
    found = control.forecast()
    assert [(one.limit.resource_id, one.limit.limit) for one in found] == [
        ("ann", 5),
        ("ann", 200),
        ("team", 100_000),
    ]
    mine = control.forecast(customer_id="acme")
    assert mine == found[1:]
    assert mine == control.forecast(["ann"], customer_id="acme")
    assert control.forecast(credit_currency="usd") == []


def test_another_process_is_told_the_same(control: UsageControl, tmp_path: Path, clock: ManualClock) -> None:
    """What is held stands on this one's page."""
    limited(control, "ann", 200)
    evenly(control, "ann", 4, 24)
    control.reserve(resource_ids=["ann"], customer_id="acme", credit_currency="t", amount=40)
    control.backup(tmp_path / "copy.db")
    with UsageControl(tmp_path / "copy.db", clock=clock) as copy:
        [theirs] = of(copy, "ann")
    [ours] = of(control, "ann")
    assert (theirs.limit.held, ours.limit.held) == (0, 40)  # nobody holds of a copy
    assert theirs.per_day == ours.per_day


def test_it_is_a_record_with_a_sentence_and_json(control: UsageControl) -> None:
    limited(control, "ann", 200)
    [blank] = of(control, "ann")
    assert (blank.per_day, blank.looked_since, blank.runs_out_at, blank.chance) == (None, None, None, None)
    assert "too little was spent" in str(blank)
    evenly(control, "ann", 4, 24)
    [ann] = of(control, "ann")
    shown = ann.as_dict()
    assert list(shown) == [
        "limit", "at", "lookedSince", "perDay", "earliestAt", "runsOutAt", "latestAt", "endsAt", "chance",
    ]  # fmt: skip
    assert shown["limit"]["resourceId"] == "ann"
    assert shown["at"] == "2026-01-15T12:00:00Z"
    assert "runs out about 2026-01-16T1" in str(ann)
    assert "eight cases of ten" in str(ann)


def test_what_is_asked_wrongly_is_refused(control: UsageControl) -> None:
    with pytest.raises(ResourceNotFound):
        control.forecast(["nobody"])
    with pytest.raises(CustomerNotFound):
        control.forecast(customer_id="nobody")
    with pytest.raises(AmbiguousResource):
        control.forecast(["ann"])
    with pytest.raises(CurrencyNotFound):
        control.forecast(["ann"], "gold", customer_id="acme")
    with pytest.raises(InvalidRequest, match="dimensions"):
        control.forecast(dimensions={"model": "large"})
    with pytest.raises(InvalidRequest, match="resource_ids"):
        control.forecast("ann")
