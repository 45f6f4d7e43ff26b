"""denials and explain: every denial is kept with its numbers, and says why, a month later."""

import asyncio
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stiggctl import (
    AccessDenied,
    AccessDeniedReason,
    Candidate,
    CustomerNotFound,
    Decision,
    DecisionNotFound,
    DenialExplained,
    EventExplained,
    EventNotFound,
    InvalidRequest,
    Reservation,
    UsageControl,
)
from stiggctl.answers.kept import from_kept, to_kept
from stiggctl.holder import denials as denials_module
from stiggctl.testing import ManualClock

NOON = datetime(2026, 1, 15, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
MODEL: dict[str, Any] = {
    "creditCurrencies": [{"id": "t"}, {"id": "usd", "decimals": 4}],
    "resourceTypes": [{"id": "team"}, {"id": "user", "parentResourceTypeId": "team"}],
    "resources": [
        {"id": "team", "resourceTypeId": "team", "customerId": "acme"},
        {"id": "ann", "resourceTypeId": "user", "parentResourceId": "team"},
        {"id": "bob", "resourceTypeId": "user", "parentResourceId": "team"},
    ],
    "allocations": [
        {"resourceId": "team", "creditCurrency": "t", "limit": 150, "cadence": "day"},
        {"resourceId": "ann", "creditCurrency": "t", "limit": 100},
        {"resourceId": "ann", "creditCurrency": "t", "limit": 40, "scope": {"model": "large"}},
        {"resourceId": "bob", "creditCurrency": "usd", "limit": "2.5"},
    ],
}
ANN: dict[str, Any] = {"resource_ids": ["ann"], "credit_currency": "t"}
BOB: dict[str, Any] = {"resource_ids": ["bob"], "credit_currency": "t"}


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOON)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "usage.db"


@pytest.fixture
def control(path: Path, clock: ManualClock) -> Iterator[UsageControl]:
    with UsageControl(path, clock=clock) as control:
        control.apply(MODEL)
        yield control


def denied(control: UsageControl, verb: str = "reserve", **ask: Any) -> Decision:
    try:
        getattr(control, verb)(**ask)
    except AccessDenied as error:
        return error.decision
    raise AssertionError("it was admitted")


def why(control: UsageControl, decision: Decision | str, other: str | None = None) -> DenialExplained:
    id_ = decision if isinstance(decision, str) else decision.decision_id
    explained = control.explain(id_, other) if other else control.explain(id_)
    assert isinstance(explained, DenialExplained)
    return explained


# ------------------------------------------------------------------ what is kept


def test_each_verb_that_denies_leaves_a_denial_with_its_numbers(control: UsageControl) -> None:
    """DN3, KD1."""
    control.consume(**ANN, amount=90)
    held = control.reserve(**ANN, amount=5)
    decisions = {
        "check": control.check(**ANN, requested_usage=50, dimensions={"model": "small"}),
        "reserve": denied(control, "reserve", **ANN, amount=20, event_name="chat"),
        "consume": denied(control, "consume", **ANN, amount=30),
    }
    with pytest.raises(AccessDenied) as extended:
        held.extend(40)
    decisions["extend"] = extended.value.decision
    kept = {one.verb: one for one in control.denials()}
    assert kept.keys() == decisions.keys()
    for verb, decision in decisions.items():
        one = kept[verb]
        assert one.decision.as_dict() == decision.as_dict()
        assert (one.decision_id, one.customer_id, one.resource_ids) == (
            decision.decision_id, "acme", ("ann",),
        )  # fmt: skip
        assert (one.times, one.first_at, one.reason) == (1, NOON, AccessDeniedReason.BUDGET_EXCEEDED)
    assert kept["check"].dimensions == {"model": "small"}
    assert kept["reserve"].event_name == "chat"
    assert control.denials_dropped() == 0


def test_what_is_no_limit_is_kept_with_its_reason(control: UsageControl) -> None:
    control.suspend("ann", reason="loop", until=NOON + HOUR)
    decision = denied(control, **ANN, amount=1)
    explained = why(control, decision)
    assert explained.decision.access_denied_reason is AccessDeniedReason.SUSPENDED
    assert str(explained.decision) == str(decision)
    assert explained.decision.retry_at == NOON + HOUR
    assert (explained.filled_by, explained.last_events) == ((), ())


def test_of_several_candidates_only_what_was_denied_in_the_end_is_a_denial(control: UsageControl) -> None:
    control.set_rate(
        event_name="chat", credit_currency="t", terms=[{"dimension": "input_tokens", "credits": 1}]
    )
    control.consume(**ANN, amount=95)

    def candidates(*tokens: int) -> list[Candidate]:
        return [Candidate(model=f"m{n}", input_tokens=n, max_output_tokens=1) for n in tokens]

    ask: dict[str, Any] = {"resource_ids": ["ann"], "credit_currency": "t", "event_name": "chat"}
    assert control.reserve(**ask, fit=candidates(50, 2)).amount <= 3
    assert list(control.denials()) == []
    decision = denied(control, **ask, fit=candidates(50, 60))
    assert [one.decision_id for one in control.denials()] == [decision.decision_id]


def test_the_same_request_again_and_again_is_one_row_and_each_id_is_found(
    control: UsageControl, clock: ManualClock
) -> None:
    """DN2, DE1: with the numbers of each; another number is another row."""
    control.consume(**ANN, amount=90)
    same = []
    for _ in range(5):
        same.append(denied(control, **ANN, amount=20))
        clock.advance(seconds=1)
        if len(same) == 3:
            control.denials_dropped()  # what is noted by now is kept
    control.consume(**ANN, amount=3)
    other = denied(control, **ANN, amount=20)
    newest, oldest = control.denials()
    assert (newest.times, newest.decision.as_dict()) == (1, other.as_dict())
    assert (oldest.times, oldest.first_at, oldest.last_at) == (5, NOON, NOON + timedelta(seconds=4))
    assert oldest.other_ids == tuple(one.decision_id for one in same[1:])
    for one in same:
        assert why(control, one).decision.as_dict() == one.as_dict()
    clock.advance(seconds=61)
    denied(control, **ANN, amount=20)
    assert [one.times for one in control.denials()] == [1, 1, 5]  # a minute later it is another


def test_what_is_too_much_is_dropped_and_counted(
    control: UsageControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DN2, DE2: in memory, and in the ledger, where the oldest go."""
    control._holder.keeper.stop()  # so that nothing is kept meanwhile
    monkeypatch.setattr(denials_module, "WAITING_MAX", 6)
    for amount in range(200, 210):
        denied(control, **ANN, amount=amount)
    assert len(list(control.denials())) == 6
    assert control.denials_dropped() == 4
    monkeypatch.setattr(denials_module, "KEPT_MAX", 3)
    gone = next(iter(list(control.denials())[-1:])).decision_id
    denied(control, **ANN, amount=300)
    assert [int(one.decision.requested["t"]) for one in control.denials()] == [300, 205, 204]
    assert control.denials_dropped() == 8
    with pytest.raises(DecisionNotFound):
        control.explain(gone)


def test_threads_that_are_denied_at_once_are_all_counted(control: UsageControl) -> None:
    """DN1, DN2: none waits for it."""
    control.consume(**ANN, amount=100)
    barrier = threading.Barrier(6)

    def hammer() -> None:
        barrier.wait()
        for _ in range(40):
            denied(control, **ANN, amount=1)

    threads = [threading.Thread(target=hammer) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(one.times for one in control.denials()) + control.denials_dropped() == 240


def test_they_are_found_by_customer_resource_reason_and_time(
    control: UsageControl, clock: ManualClock
) -> None:
    first = denied(control, **ANN, amount=500)
    clock.advance(seconds=3600)
    control.suspend("bob")
    second = denied(control, **BOB, amount=1)

    def ids(**asked: Any) -> list[str]:
        return [one.decision_id for one in control.denials(**asked)]

    assert ids() == [second.decision_id, first.decision_id]
    assert ids(resource_id="ann") == [first.decision_id]
    assert ids(reason="SUSPENDED") == [second.decision_id]
    assert ids(reason=AccessDeniedReason.BUDGET_EXCEEDED, customer_id="acme") == [first.decision_id]
    assert ids(since=NOON + HOUR) == [second.decision_id]
    assert ids(until=NOON + HOUR) == [first.decision_id]
    with pytest.raises(CustomerNotFound):
        control.denials("nobody")
    with pytest.raises(InvalidRequest, match="BUDGET_EXCEEDED"):
        control.denials(reason="TIRED")


def test_they_outlive_the_process_and_others_read_them(path: Path, clock: ManualClock) -> None:
    """Of one that only checks, too: it keeps them when it closes."""
    with UsageControl(path, clock=clock) as control:
        control.apply(MODEL)
        decision = control.check(**ANN, requested_usage=500)
        assert not control._holder.is_holder
    with UsageControl(path, clock=clock) as again:
        assert why(again, decision).decision.as_dict() == decision.as_dict()


def test_who_lists_them_asks_for_whose_they_are_also_where_no_limit_was_looked_at(tmp_path: Path) -> None:
    with UsageControl(tmp_path / "usage.db", default_access="deny") as control:
        control.apply(MODEL)
        control.put_resource("zoe", resource_type_id="team", customer_id="other")
        denied(control, resource_ids=["zoe"], credit_currency="t", amount=1)
        control.suspend("ann")
        denied(control, **ANN, amount=1)
        assert [one.reason for one in control.denials("acme")] == ["SUSPENDED"]
        assert [one.reason for one in control.denials("other")] == ["NO_ALLOCATION"]


def test_asyncio_denials_are_kept_too(control: UsageControl) -> None:
    async def ask() -> Decision:
        return await control.acheck(**ANN, requested_usage=500)

    decision = asyncio.run(ask())
    assert [one.decision_id for one in control.denials()] == [decision.decision_id]


asked = st.lists(
    st.tuples(
        st.sampled_from(["check", "reserve", "settle", "consume", "report", "late", "reverse"]),
        st.sampled_from(["ann", "bob"]),
        st.integers(0, 60),
        st.sampled_from([{}, {"model": "large"}, {"model": "small"}]),
        st.sampled_from([1, 2, 40_000]),
    ),
    max_size=25,
)


@settings(max_examples=25, deadline=None)
@given(asked)
def test_of_each_denial_of_a_random_run_the_numbers_are_reproduced(steps: Any) -> None:
    """DN3, KD1: whatever its limits, windows, scopes and holds were; and who had filled it, to the unit.

    What is settled, taken back or told late after it is none of what had filled it.
    """
    clock = ManualClock(NOON)
    with UsageControl(":memory:", clock=clock) as control:
        control.apply(MODEL)
        control.grant_credits(customer_id="acme", credit_currency="t", grant_id="g", amount=160)
        told: list[Decision] = []
        held: list[Reservation] = []
        booked: list[str] = []
        for verb, who, amount, dimensions, seconds in steps:
            clock.advance(seconds=seconds)
            ask = {"resource_ids": [who], "credit_currency": "t", "dimensions": dimensions}
            at = clock.now() - timedelta(seconds=90) if verb == "late" else clock.now()
            if verb in {"report", "late"}:
                report = {**ask, "event_name": "e", "customer_id": "acme", "timestamp": at}
                booked.append(control.report(**report, amount=amount).event_id)
            elif verb == "settle":
                booked += [held.pop().settle(amount).event_id] if held else []
            elif verb == "reverse":
                if booked:
                    control.reverse(booked.pop(), reason="no")
            elif verb == "check":
                decision = control.check(**ask, requested_usage=amount)
                told += [] if decision else [decision]
            else:
                try:
                    done = getattr(control, verb)(**ask, amount=amount)
                    held += [done] if verb == "reserve" else []
                except AccessDenied as error:
                    told.append(error.decision)
        assert sum(one.times for one in control.denials()) == len(told)
        for decision in told:
            explained = why(control, decision)
            assert explained.decision.as_dict() == decision.as_dict()
            assert str(explained.decision) == str(decision)
            text = to_kept(decision)
            assert to_kept(from_kept(text, decision.decision_id, decision.at_us)) == text
            assert decision.binding is not None
            assert sum(one.amount for one in explained.filled_by) == decision.binding.used


# ------------------------------------------------------------------ why


def test_who_had_filled_the_limit_and_its_last_events_are_told(
    control: UsageControl, clock: ManualClock
) -> None:
    """In its window, until then: neither what was before nor what came after."""
    control.report(event_name="old", customer_id="acme", **BOB, amount=70, timestamp=NOON - timedelta(days=1))
    for amount in (30, 20):
        control.consume(**ANN, amount=amount, event_name="chat")
        clock.advance(seconds=60)
    control.consume(**BOB, amount=85, event_name="draw")
    decision = denied(control, **BOB, amount=40)
    clock.advance(seconds=60)
    control.consume(**BOB, amount=15)
    explained = why(control, decision)
    assert explained.decision.binding is not None
    assert explained.decision.binding.resource_id == "team"
    assert [(one.resource_ids, one.amount, one.events) for one in explained.filled_by] == [
        (("bob",), 85, 1),
        (("ann",), 50, 2),
    ]
    assert [(one.event_name, one.amounts["t"]) for one in explained.last_events] == [
        ("draw", 85), ("chat", 20), ("chat", 30),
    ]  # fmt: skip
    lines = str(explained).splitlines()
    assert lines[0].startswith("reserve for bob was denied at 2026-01-15T12:02:00Z: team has 15 of 150")
    assert "it would have passed with at most 15" in lines
    assert "it would have passed from 2026-01-16T00:00:00Z on, with nothing more spent" in lines
    assert "spent by bob: 85 (1 event)" in lines


def test_a_limit_that_counts_only_some_is_filled_by_those(control: UsageControl) -> None:
    for model, amount in (("small", 30), ("large", 25), ("large", 10)):
        control.consume(**ANN, amount=amount, dimensions={"model": model})
    decision = denied(control, **ANN, amount=8, dimensions={"model": "large"})
    explained = why(control, decision)
    assert explained.decision.binding is not None
    assert explained.decision.binding.scope == {"model": ("large",)}
    assert [(one.resource_ids, one.amount, one.events) for one in explained.filled_by] == [(("ann",), 35, 2)]
    assert [one.amounts["t"] for one in explained.last_events] == [10, 25]


def test_a_pool_is_filled_by_all_that_its_customer_spent(control: UsageControl) -> None:
    control.grant_credits(customer_id="acme", credit_currency="t", grant_id="g", amount=60)
    control.consume(**ANN, amount=30)
    control.consume(**BOB, amount=20)
    decision = denied(control, **BOB, amount=15)
    explained = why(control, decision)
    assert explained.decision.access_denied_reason is AccessDeniedReason.INSUFFICIENT_CREDITS
    assert [(one.resource_ids, one.amount) for one in explained.filled_by] == [(("ann",), 30), (("bob",), 20)]


def test_each_way_in_which_it_would_have_passed_is_one(control: UsageControl, clock: ManualClock) -> None:
    """Whoever is told so and tries it is admitted; and with one unit less of it is not."""
    running = control.reserve(**ANN, amount=60)
    decision = denied(control, **ANN, amount=95)
    assert why(control, decision).would_pass == (
        "with at most 40",
        "from 2026-01-15T12:10:00Z on, with nothing more spent",
        "with 5 more on team and 55 more on ann",
    )
    control.override_limit("ann", "t", add=55, until=NOON + HOUR)
    control.override_limit("team", "t", add=4, until=NOON + HOUR)
    assert not control.check(**ANN, requested_usage=95)
    control.override_limit("team", "t", add=5, until=NOON + HOUR)
    assert control.check(**ANN, requested_usage=95)
    running.release()
    several = denied(control, resource_ids=["bob"], amounts={"t": 1, "usd": 3})
    assert why(control, several).would_pass == ("with at most 2.5 usd", "with 0.5 more on bob")
    control.suspend("ann", until=clock.now() + HOUR)
    assert why(control, denied(control, **ANN, amount=1)).would_pass == (
        "from 2026-01-15T13:00:00Z on, with nothing more spent",
    )


def test_an_override_that_came_later_is_told_with_whose_it_is(
    control: UsageControl, clock: ManualClock
) -> None:
    control.override_limit("ann", "t", limit=107, until=NOON + timedelta(seconds=30), reason="over")
    control.consume(**ANN, amount=95)
    clock.advance(seconds=60)
    decision = denied(control, **ANN, amount=20)
    clock.advance(seconds=60)
    control.override_limit("ann", "t", limit=500, until=NOON + HOUR, reason="launch", actor="kim")
    [lift] = why(control, decision).lifts
    assert (lift.limit, lift.add, lift.reason, lift.actor) == (500, None, "launch", "kim")
    assert (lift.since, lift.until) == (NOON + timedelta(seconds=120), NOON + HOUR)
    assert "override: set to 500 from" in str(why(control, decision))


# ------------------------------------------------------------------ what differs


def test_of_two_denials_what_differed_is_named_and_nothing_else(
    control: UsageControl, clock: ManualClock
) -> None:
    control.consume(**ANN, amount=90)
    first = denied(control, **ANN, amount=20)
    clock.advance(seconds=5)
    control.consume(**ANN, amount=4)
    second = denied(control, **ANN, amount=20)
    assert why(control, first, second.decision_id).difference == (
        "at: 2026-01-15T12:00:00Z and 2026-01-15T12:00:05Z",
        "limit of team in t (P1D), used: 90 and 94",
        "limit of ann in t, used: 90 and 94",
    )
    other = control.check(**{**ANN, "dimensions": {"model": "large"}}, requested_usage=50)
    found = why(control, first, other.decision_id).difference
    assert found is not None
    assert {one.split(":")[0] for one in found} == {
        "verb", "amounts", "dimensions", "at", "limit of team in t (P1D), used", "limit of ann in t, used",
        "limit of ann in t (model large)",
    }  # fmt: skip
    assert why(control, first, first.decision_id).difference == ()


def test_an_identical_one_that_went_through_is_laid_beside_it(
    control: UsageControl, clock: ManualClock
) -> None:
    went = control.consume(**ANN, amount=90)
    clock.advance(seconds=5)
    decision = denied(control, **ANN, amount=90)
    assert why(control, decision, went.event_id).difference == (
        "at: 2026-01-15T12:00:05Z and 2026-01-15T12:00:00Z",
        "limit of team in t (P1D), used: 90 and 0",
        "limit of ann in t, used: 90 and 0",
    )


def test_what_was_changed_of_the_model_between_two_is_named(
    control: UsageControl, clock: ManualClock
) -> None:
    """Of what concerns them: neither what was changed of others, nor before, nor after."""
    control.set_allocation(resource_id="ann", credit_currency="t", limit=101)
    went = control.consume(**ANN, amount=0, event_name="chat")
    clock.advance(seconds=5)
    control.set_allocation(resource_id="ann", credit_currency="t", limit=30, actor="kim", reason="too much")
    control.set_allocation(resource_id="bob", credit_currency="t", limit=30)
    control.set_rate(event_name="draw", credit_currency="t", credits=2)
    control.put_resource("cy", resource_type_id="user", parent_resource_id="team")
    clock.advance(seconds=5)
    decision = denied(control, **ANN, amount=50, event_name="chat")
    clock.advance(seconds=5)
    control.set_allocation(resource_id="ann", credit_currency="t", limit=90)
    found = why(control, decision, went.event_id).difference
    assert found is not None
    assert [one for one in found if not one.startswith(("at: ", "amounts: "))] == [
        "changed between: allocation of t on ann, set_allocation at 2026-01-15T12:00:05Z by kim: too much"
    ]
    second = denied(control, **ANN, amount=200, event_name="chat")
    assert [
        one for one in why(control, decision, second.decision_id).difference or () if "changed" in one
    ] == ["changed between: allocation of t on ann, set_allocation at 2026-01-15T12:00:15Z"]


def test_an_event_that_no_limit_of_the_denial_counts_says_so(
    control: UsageControl, clock: ManualClock
) -> None:
    """Another's; one without the dimension of the scope; one of the window before."""
    control.report(event_name="old", customer_id="acme", **ANN, amount=3, timestamp=NOON - timedelta(days=1))
    [yesterday] = control.events()
    bobs = control.consume(**BOB, amount=60)
    clock.advance(seconds=1)
    decision = denied(control, **ANN, amount=100, dimensions={"model": "large"})
    whose = ["limit of team in t (P1D)", "limit of ann in t", "limit of ann in t (model large)"]
    found = [one for one in why(control, decision, bobs.event_id).difference or () if "limit" in one]
    assert found == [
        f"{whose[0]}, used: 60 and 0",
        *[f"{one}: the event does not count in it" for one in (whose[2], whose[1])],
    ]
    found = [one for one in why(control, decision, yesterday.event_id).difference or () if "limit" in one]
    assert f"{whose[0]}: its window began after the event" in found
    assert f"{whose[1]}, used: 3 and 0" in found


# ------------------------------------------------------------------ events


def test_an_event_says_by_which_rate_where_it_counts_and_who_paid(control: UsageControl) -> None:
    control.set_rate(
        event_name="chat", credit_currency="t", credits=2, terms=[{"dimension": "n", "credits": 3}]
    )
    control.grant_credits(customer_id="acme", credit_currency="t", grant_id="welcome", amount=9)
    control.grant_credits(customer_id="acme", credit_currency="t", grant_id="paid", amount=900)
    receipt = control.report(
        event_name="chat", customer_id="acme", resource_ids=["ann"], dimensions={"n": 4, "model": "large"}
    )
    control.set_rate(event_name="chat", credit_currency="t", credits=5)  # another since
    explained = control.explain(receipt.event_id)
    assert isinstance(explained, EventExplained)
    [charged] = explained.charged
    assert (charged.credit_currency, charged.amount) == ("t", 14)
    assert charged.why.startswith("rate ")
    assert "chat" in charged.why
    assert sorted((one.resource_id, one.limit, one.used) for one in explained.limits) == [
        ("ann", 40, 14), ("ann", 100, 14), ("team", 150, 14),
    ]  # fmt: skip
    assert [(one.grant_id, one.amount) for one in explained.paid_by] == [("welcome", 9), ("paid", 5)]
    assert explained.reversed_by is None
    back = control.reverse(receipt.event_id, reason="by mistake")
    again = control.explain(receipt.event_id)
    assert isinstance(again, EventExplained)
    assert again.reversed_by == back.event_id
    assert f"taken back by event {back.event_id}" in str(again)


def test_an_event_is_found_by_its_reservation_and_its_decision(control: UsageControl) -> None:
    held = control.reserve(**ANN, amount=10)
    with pytest.raises(DecisionNotFound):
        control.explain(held.reservation_id)  # it is open still
    receipt = held.settle(7)
    explained = control.explain(held.decision.decision_id)
    assert isinstance(explained, EventExplained)
    assert explained.event.event_id == receipt.event_id
    assert [one.why for one in explained.charged] == ["told by its caller"]
    assert explained.as_dict()["event"]["reservationId"] == held.reservation_id


def test_what_is_not_kept_and_what_cannot_be_compared_is_said(control: UsageControl) -> None:
    receipt = control.consume(**ANN, amount=1)
    decision = denied(control, **ANN, amount=500)
    with pytest.raises(DecisionNotFound):
        control.explain("nobody-7")
    with pytest.raises(EventNotFound):
        control.explain("4711")
    with pytest.raises(EventNotFound):
        control.explain("9" * 30)
    with pytest.raises(InvalidRequest, match="denial first"):
        control.explain(receipt.event_id, decision.decision_id)


def test_an_explanation_is_json_too(control: UsageControl) -> None:
    control.consume(**ANN, amount=90)
    decision = denied(control, **ANN, amount=20)
    shown = why(control, decision, decision.decision_id).as_dict()
    assert list(shown) == ["denial", "decision", "wouldPass", "filledBy", "lastEvents", "lifts", "difference"]
    assert shown["decision"] == decision.as_dict()
    assert shown["filledBy"] == [{"resourceIds": ["ann"], "amount": 90, "events": 1}]
    assert shown["denial"]["reason"] == "BUDGET_EXCEEDED"
