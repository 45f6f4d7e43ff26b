"""simulate: what another model would have made of what took place, against a replay by hand."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stiggctl import (
    AccessDenied,
    AccessDeniedReason,
    CustomerNotFound,
    InvalidModel,
    InvalidRequest,
    InvalidTimestamp,
    Progress,
    UsageControl,
)
from stiggctl.testing import ManualClock

NOON = datetime(2026, 1, 15, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
MODEL: dict[str, Any] = {
    "creditCurrencies": [{"id": "t"}, {"id": "usd", "decimals": 2}],
    "resourceTypes": [{"id": "team"}, {"id": "user"}, {"id": "region"}],
    "resources": [
        {"id": "team", "resourceTypeId": "team", "customerId": "acme"},
        {"id": "ann", "resourceTypeId": "user", "parentResourceId": "team"},
        {"id": "bob", "resourceTypeId": "user", "parentResourceId": "team"},
        {"id": "emea", "resourceTypeId": "region", "customerId": "acme"},
    ],
}
USERS, REGIONS = ("ann", "bob"), ("emea", None)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOON)


@pytest.fixture
def control(tmp_path: Path, clock: ManualClock) -> Any:
    with UsageControl(tmp_path / "usage.db", clock=clock) as control:
        control.apply(MODEL)
        yield control


def with_limits(*limits: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {**MODEL, "allocations": [{"creditCurrency": "t", **one} for one in limits], **more}


def consume(control: UsageControl, user: str, amount: int, **more: Any) -> bool:
    """Whether it was admitted."""
    try:
        control.consume(
            resource_ids=[user, *more.pop("beside", ())], credit_currency="t", amount=amount, **more
        )
    except AccessDenied:
        return False
    return True


# ------------------------------------------------------------------ the same model


actions = st.lists(
    st.tuples(
        st.sampled_from(USERS),
        st.sampled_from(REGIONS),
        st.integers(0, 40),
        st.sampled_from(["large", "small"]),
        st.sampled_from([0, 1, 30, 300, 5_000]),  # minutes until then
    ),
    max_size=40,
)
windows = st.sampled_from(
    [
        {},
        {"cadence": "hour"},
        {"cadence": "day", "timezone": "America/New_York"},
        {"cadence": "P1D", "rolling": True},
        {"cadence": "PT1H", "rolling": True},
    ]
)
limits = st.lists(
    st.builds(
        lambda resource, limit, window, scoped, soft: {
            "resourceId": resource,
            "limit": limit,
            "enforcementType": "SOFT" if soft else "HARD",
            **window,
            **({"scope": {"model": "large"}} if scoped else {}),
        },
        st.sampled_from(["team", "ann", "bob", "emea"]),
        st.integers(0, 120),
        windows,
        st.booleans(),
        st.sampled_from([False, False, False, True]),
    ),
    max_size=5,
    unique_by=lambda one: (
        one["resourceId"],
        one.get("cadence"),
        one.get("rolling"),
        json.dumps(one.get("scope")),
    ),
)
grants = st.one_of(
    st.just([]),
    st.lists(
        st.builds(
            lambda amount, priority, begins, ends: {
                "amount": amount,
                "priority": priority,
                "effectiveAt": (NOON + begins * HOUR).isoformat(),
                "expiresAt": (NOON + (begins + ends) * HOUR).isoformat(),
            },
            st.integers(1, 150),
            st.integers(1, 3),
            st.integers(-10, 60),
            st.integers(1, 400),
        ),
        min_size=1,
        max_size=3,
    ).map(
        lambda found: [
            {**one, "id": f"g{at}", "customerId": "acme", "creditCurrency": "t"}
            for at, one in enumerate(found)
        ]
    ),
)


def replayed_by_hand(model: dict[str, Any], events: list[Any]) -> list[bool]:
    """A control that is asked the same, one after the other, at the same instants."""
    clock = ManualClock(NOON - 100 * HOUR)
    admitted = []
    with UsageControl(":memory:", clock=clock) as other:
        other.apply(model)
        for event in events:
            clock.set(event.occurred_at)
            admitted.append(
                consume(
                    other,
                    event.resource_ids[0],
                    int(event.amounts["t"]),
                    beside=event.resource_ids[1:],
                    dimensions=dict(event.dimensions),
                    customer_id="acme",
                )
            )
    return admitted


def take_place(control: UsageControl, clock: ManualClock, steps: Any) -> list[bool]:
    """Each action, one after the other; what was admitted."""
    admitted = []
    for user, region, amount, model, minutes in steps:
        clock.advance(seconds=60 * minutes)
        beside = [] if region is None else [region]
        admitted.append(consume(control, user, amount, beside=beside, dimensions={"model": model}))
    return admitted


@settings(max_examples=60, deadline=None)
@given(actions, limits, grants)
def test_under_the_present_model_nothing_that_was_admitted_is_denied(
    steps: Any, found: Any, credits_: Any
) -> None:
    """SM1, RY1, RY2: of what was consumed one call after the other, whatever limits there are."""
    clock = ManualClock(NOON)
    model = with_limits(*found, grants=credits_)
    with UsageControl(":memory:", clock=clock) as control:
        control.apply(model)
        admitted = take_place(control, clock, steps)
        simulated = control.simulate(control.export_model())
        assert (simulated.events, simulated.admitted, simulated.denied) == (
            sum(admitted),
            sum(admitted),
            0,
        )
        assert (simulated.newly_admitted, simulated.denied_again) == (0, len(admitted) - sum(admitted))
        assert sum(one.times for one in simulated.denials) == simulated.denied_again
        assert control.verify() == []


@settings(max_examples=60, deadline=None)
@given(actions, limits, grants, st.integers(0, 40))
def test_under_another_model_it_is_what_a_replay_by_hand_says(
    steps: Any, found: Any, credits_: Any, first: int
) -> None:
    """SM1, RY1, RY3: event by event; and what was spent before `since` counts (RY2)."""
    clock = ManualClock(NOON)
    model = with_limits(*found, grants=credits_)
    with UsageControl(":memory:", clock=clock) as control:
        control.apply(MODEL)
        take_place(control, clock, steps)
        events = list(control.events())
        named = [(event, [one for one in event.resource_ids if one != "team"]) for event in events]
        flat = [_Asked(event, ids) for event, ids in named]
        simulated = control.simulate(model)
        by_hand = replayed_by_hand(model, flat)
        assert simulated.admitted == sum(by_hand)
        assert simulated.denied == len(events) - sum(by_hand)
        spent = sum(int(event.amounts["t"]) for event, yes in zip(events, by_hand, strict=True) if yes)
        assert simulated.admitted_amounts.get("t", 0) == spent
        assert sum(one.times for one in simulated.denials) == simulated.denied
        if first < len(events) and not credits_:
            _check_since(control, model, flat, first)


class _Asked:
    """An event as a request: the resources that were named."""

    def __init__(self, event: Any, ids: list[str]) -> None:
        self.occurred_at, self.amounts, self.dimensions = event.occurred_at, event.amounts, event.dimensions
        self.resource_ids = ids


def _check_since(control: UsageControl, model: dict[str, Any], flat: list[_Asked], first: int) -> None:
    """Before `since` all of it is as it was booked, past any limit."""
    since = flat[first].occurred_at
    clock = ManualClock(NOON - 100 * HOUR)
    admitted = []
    with UsageControl(":memory:", clock=clock) as other:
        other.apply(model)
        for event in flat:
            clock.set(event.occurred_at)
            amount, dimensions = int(event.amounts["t"]), dict(event.dimensions)
            if event.occurred_at < since:
                other.report(
                    event_name="e",
                    customer_id="acme",
                    resource_ids=event.resource_ids,
                    credit_currency="t",
                    amount=amount,
                    dimensions=dimensions,
                )
                continue
            first_id, *beside = event.resource_ids
            asked = {"beside": beside, "dimensions": dimensions, "customer_id": "acme"}
            admitted.append(consume(other, first_id, amount, **asked))
    simulated = control.simulate(model, since=since)
    assert (simulated.events, simulated.admitted) == (len(admitted), sum(admitted))


# ------------------------------------------------------------------ what it says


def spent(control: UsageControl, user: str, amount: int, hours: float, **more: Any) -> Any:
    return control.report(
        customer_id="acme",
        event_name="chat",
        resource_ids=[user],
        credit_currency="t",
        amount=amount,
        timestamp=NOON - hours * HOUR,
        **more,
    )


def test_it_says_who_would_have_been_denied_when_and_by_which_limit(control: UsageControl) -> None:
    for hours in (5, 4, 3, 2, 1):
        spent(control, "ann", 30, hours)
    spent(control, "bob", 10, 0.5)
    found = control.simulate(with_limits({"resourceId": "ann", "limit": 100, "cadence": "day"}))
    [denial] = found.denials
    assert (denial.customer_id, denial.resource_ids, denial.times) == ("acme", ("ann",), 2)
    assert denial.reason is AccessDeniedReason.BUDGET_EXCEEDED
    assert denial.limit is not None
    assert (denial.limit.resource_id, denial.limit.used, denial.limit.remaining) == ("ann", 90, 10)
    assert (denial.first_at, denial.last_at) == (NOON - 2 * HOUR, NOON - HOUR)
    assert denial.amounts == {"t": 60}
    first = next(event for event in control.events() if event.occurred_at == NOON - 2 * HOUR)
    assert denial.first_event_id == first.event_id
    assert "ann would have been denied 2 times (60 t), first at 2026-01-15T10:00:00Z" in str(found)
    assert json.loads(json.dumps(found.as_dict()))["denials"][0]["limit"]["resourceId"] == "ann"


def test_a_pool_denies_as_a_limit_does(control: UsageControl) -> None:
    for hours in (5, 4, 3):
        spent(control, "ann", 30, hours)
    grant = {"id": "g", "customerId": "acme", "creditCurrency": "t", "amount": 70}
    found = control.simulate(with_limits(grants=[grant]))
    [denial] = found.denials
    assert denial.reason is AccessDeniedReason.INSUFFICIENT_CREDITS
    assert denial.limit is not None
    assert denial.limit.is_pool


def test_what_was_denied_is_asked_again(control: UsageControl, clock: ManualClock) -> None:
    """SM1: admitted by a higher limit it spends, and may deny what came after it."""
    control.set_allocation(resource_id="ann", credit_currency="t", limit=50)
    assert consume(control, "ann", 40)
    clock.advance(seconds=1)
    assert not consume(control, "ann", 30)
    assert not consume(control, "ann", 31)
    clock.advance(seconds=1)
    assert consume(control, "ann", 10)
    assert not control.check(resource_ids=["ann"], credit_currency="t", requested_usage=90)
    found = control.simulate(with_limits({"resourceId": "ann", "limit": 75}))
    assert (found.admitted, found.denied) == (1, 1)
    assert (found.newly_admitted, found.denied_again) == (1, 1)
    assert found.newly_admitted_amounts == {"t": 30}
    assert {why: count for why, count in found.not_replayed.items() if "check" in why} == {
        "denials of a check or an extension, or for another reason than a limit": 1
    }
    assert "of 2 that were denied 1 would have been admitted (30 t)" in str(found)
    lately = control.simulate(with_limits({"resourceId": "ann", "limit": 75}), since=clock.now())
    assert (lately.newly_admitted, lately.denied_again) == (0, 0)


def test_what_was_reversed_comes_back_if_it_was_admitted(control: UsageControl) -> None:
    """SM2."""
    first = spent(control, "ann", 30, 5)
    spent(control, "ann", 30, 4)
    refused = spent(control, "ann", 80, 3)
    spent(control, "ann", 30, 2)
    for receipt in (first, refused):
        control.reverse(receipt.event_id, reason="by mistake")
    found = control.simulate(with_limits({"resourceId": "ann", "limit": 70}))
    # 30 and back, 30, 80 would not have fitted (nor come back), 30.
    assert (found.events, found.admitted, found.denied) == (4, 3, 1)
    assert found.denied_amounts == {"t": 80}


def test_what_no_replay_can_know_is_counted(control: UsageControl) -> None:
    control.set_allocation(resource_id="ann", credit_currency="t", limit=50)
    for hours in (3, 2, 1):
        spent(control, "ann", 40, hours)
    found = control.simulate(control.export_model())
    assert (found.admitted, found.denied) == (1, 2)
    assert {why.split(":")[0]: count for why, count in found.not_replayed.items()} == {
        "events that were reported past a limit": 2
    }
    without = {**MODEL, "resources": MODEL["resources"][:2]}
    spent(control, "bob", 1, 0)
    unknown = control.simulate(without)
    assert (unknown.admitted, unknown.denied) == (4, 0)
    assert list(unknown.not_replayed.values()) == [1]


def test_two_models_are_laid_beside_each_other(control: UsageControl) -> None:
    for hours in (5, 4, 3, 2, 1):
        spent(control, "ann", 30, hours)
        spent(control, "bob", 10, hours)
    low = control.simulate(with_limits({"resourceId": "ann", "limit": 60}))
    high = control.simulate(
        with_limits({"resourceId": "ann", "limit": 90}, {"resourceId": "bob", "limit": 40})
    )
    assert [
        (one.resource_ids, one.times, one.times_with_other, one.amounts) for one in low.difference(high)
    ] == [
        (("ann",), 3, 2, {"t": 30}),
        (("bob",), 0, 1, {"t": -10}),
    ]
    assert low.difference(low) == []
    assert low.difference(high)[0].as_dict()["timesWithOther"] == 2


def test_customers_are_replayed_each_by_itself(control: UsageControl) -> None:
    control.apply(
        {"resources": [{"id": "ann", "resourceTypeId": "user", "customerId": "other", "name": "another"}]}
    )
    spent(control, "ann", 30, 2)
    control.report(customer_id="other", event_name="e", resource_ids=["ann"], credit_currency="t", amount=30)
    model = with_limits({"resourceId": "ann", "limit": 20, "customerId": "acme"})
    found = control.simulate(model)
    assert (found.events, found.admitted, found.denied) == (2, 1, 1)
    assert found.denials[0].customer_id == "acme"
    assert control.simulate(model, customer_id="other").denied == 0


def test_nothing_is_written(control: UsageControl, tmp_path: Path) -> None:
    """SM3."""
    spent(control, "ann", 30, 2)
    before = control.export_model(), list(control.events()), list(control.audit())
    control.simulate(with_limits({"resourceId": "ann", "limit": 20}))
    assert (control.export_model(), list(control.events()), list(control.audit())) == before


def test_it_tells_how_far_it_is(control: UsageControl) -> None:
    for hours in range(30):
        spent(control, "ann", 1, hours)
    told: list[Progress] = []
    control.simulate(MODEL, progress=told.append)
    assert {one.phase for one in told} == {"replaying"}
    assert (told[0].done, told[0].total, told[-1].done) == (0, 30, 30)


def test_what_is_asked_wrongly_is_refused(control: UsageControl) -> None:
    with pytest.raises(InvalidModel, match="limit"):
        control.simulate(with_limits({"resourceId": "ann", "limit": -1}))
    with pytest.raises(CustomerNotFound):
        control.simulate(MODEL, customer_id="nobody")
    with pytest.raises(InvalidTimestamp):
        control.simulate(MODEL, since="yesterday")
    spent(control, "ann", 1, 1)
    other = {**MODEL, "creditCurrencies": [{"id": "t", "decimals": 2}, {"id": "usd", "decimals": 2}]}
    with pytest.raises(InvalidRequest, match="decimals of t"):
        control.simulate(other)
