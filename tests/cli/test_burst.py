"""The burst of the demo."""

from itertools import islice

import pytest

from stiggctl import AccessDenied, LedgerUnavailable, UsageControl
from stiggctl.cli import burst as bursting
from stiggctl.cli.acme import CALLERS, FEATURES, LONG_CALL, ROOTS, TOKENS, model
from stiggctl.cli.burst import Tally, burst, calls


@pytest.fixture
def company(opened) -> UsageControl:
    control: UsageControl = opened(":memory:")
    control.apply(model("acme"))
    return control


def test_a_seed_fixes_what_each_thread_asks_for() -> None:
    """DM1."""
    first = list(islice(calls(7, 0), 200))
    assert first == list(islice(calls(7, 0), 200))
    assert first != list(islice(calls(7, 1), 200))
    assert first != list(islice(calls(8, 0), 200))


def test_calls_are_of_both_kinds_and_settle_for_no_more_than_they_set_aside() -> None:
    made = list(islice(calls(1, 0), 500))
    assert {call.used is None for call in made} == {True, False}
    assert all(0 <= call.used <= call.amount for call in made if call.used is not None)
    assert {call.resource_ids[0] for call in made} == {caller for caller, _, _ in CALLERS}


def test_the_model_has_what_the_calls_name(company: UsageControl) -> None:
    for caller, _, region in CALLERS:
        for feature in FEATURES:
            assert company.check(resource_ids=[caller, region, feature], credit_currency=TOKENS)
    assert company.check(resource_ids=LONG_CALL, credit_currency=TOKENS)
    roots = {entry.id for entry in company.export_model().resources or () if entry.parent_resource_id is None}
    assert roots == set(ROOTS)


def test_what_is_told_is_what_the_ledger_has(company: UsageControl) -> None:
    told: list[tuple[float, int]] = []
    took, tally = burst(
        company, "acme", seed=1, seconds=0.4, tell=lambda at, sum_: told.append((at, sum_.decisions))
    )
    assert took >= 0.4
    assert told == sorted(told)
    assert tally.decisions == tally.admitted + tally.denied >= told[-1][1]
    events = list(company.events("acme"))
    assert len(events) == tally.admitted
    assert sum(event.amounts[TOKENS] for event in events) == tally.booked
    assert company.verify() == []


def test_a_denial_that_left_something_is_kept_before_one_at_a_spent_limit(company: UsageControl) -> None:
    ask = {"resource_ids": ["user-bob"], "credit_currency": TOKENS}
    company.consume(**ask, amount=1_990)
    some_left = company.check(**ask, requested_usage=20)
    company.consume(**ask, amount=10)
    spent = company.check(**ask, requested_usage=20)
    for first, second in ((spent, some_left), (some_left, spent)):
        total, tally = Tally(), Tally()
        total.denial, tally.denial = first, second
        total.add(tally)
        assert total.denial is some_left


def test_what_a_call_raises_ends_the_burst_and_is_raised(
    company: UsageControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    trouble = LedgerUnavailable(location="x", reason="the disk is full", remedy="make room")

    def failing(*_: object) -> None:
        raise trouble

    monkeypatch.setattr(bursting, "_make", failing)
    with pytest.raises(LedgerUnavailable) as raised:
        burst(company, "acme", seed=1, seconds=60, tell=lambda _, __: None)
    assert raised.value is trouble


def test_an_interrupt_stops_the_threads(company: UsageControl) -> None:
    def interrupt(_: float, __: Tally) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        burst(company, "acme", seed=1, seconds=60, tell=interrupt)
    booked = len(list(company.events("acme")))
    with pytest.raises(AccessDenied):
        company.consume(resource_ids=["user-bob"], credit_currency=TOKENS, amount=2_001)
    assert len(list(company.events("acme"))) == booked  # nobody calls any more
