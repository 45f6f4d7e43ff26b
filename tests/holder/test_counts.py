"""Counts: what a process decided and denied, as others see it."""

import itertools
import json
import os
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stiggctl import AccessDenied, LedgerTrouble, LedgerUnavailable, UsageControl
from stiggctl.holder.counts import CountsTold, from_bytes
from stiggctl.holder.ids import Ids
from stiggctl.testing import ManualClock

from .faulty import ANN, Faulty, gone, make_faulty


def tell(control: UsageControl) -> CountsTold:
    """What stands on the page after a beat."""
    holder = control._holder
    holder.keeper.tell(holder.clock.now_us())
    (me,) = control.holders()
    assert me.counts is not None
    return CountsTold(int(me.counts.at.timestamp() * 1_000_000), me.counts.decisions, me.counts.denials)


@pytest.fixture
def faulty(control: UsageControl) -> Faulty:
    """Nothing runs in the background."""
    control.consume(**ANN, amount=1)
    return make_faulty(control)


@pytest.mark.usefixtures("faulty")
def test_each_request_to_hold_something_is_one_decision_whether_memory_or_the_ledger_answers(
    control: UsageControl,
) -> None:
    """HC1: a request that memory could not answer has taken two numbers, and is one."""
    assert tell(control)[1:] == (1, {})
    held = control.reserve(**ANN, amount=10)
    control.consume(**ANN, amount=10)
    for _ in range(3):
        with pytest.raises(AccessDenied):
            control.reserve(**ANN, amount=1_000)
    with pytest.raises(AccessDenied):
        control.consume(**ANN, amount=1_000)
    assert tell(control)[1:] == (7, {"BUDGET_EXCEEDED": 4})
    held.settle(1)
    assert tell(control)[1:] == (7, {"BUDGET_EXCEEDED": 4})


@pytest.mark.usefixtures("faulty")
def test_what_takes_nothing_is_no_decision(control: UsageControl) -> None:
    before = tell(control)
    yes, no = control.check(**ANN, requested_usage=1), control.check(**ANN, requested_usage=1_000)
    assert (yes.has_access, no.has_access) == (True, False)
    assert yes.decision_id != no.decision_id  # which takes a number of each
    control.report(customer_id="acme", event_name="chat", resource_ids=["ann"], credit_currency="t", amount=1)
    assert tell(control) == before


@pytest.mark.usefixtures("faulty")
def test_a_reservation_that_has_ended_is_open_no_more(control: UsageControl, clock: ManualClock) -> None:
    """Also before a beat has taken it off the page."""
    control.reserve(**ANN, amount=1, ttl_seconds=5)
    control.reserve(**ANN, amount=1, ttl_seconds=9)
    assert [one.reservations for one in control.holders()] == [2]
    clock.advance(seconds=5)
    assert [one.reservations for one in control.holders()] == [1]


@pytest.mark.usefixtures("faulty")
def test_nothing_is_written_where_nothing_was_decided(control: UsageControl, clock: ManualClock) -> None:
    first = tell(control)
    clock.advance(seconds=5)
    assert tell(control) == first
    control.consume(**ANN, amount=1)
    again = tell(control)
    assert again.decisions == first.decisions + 1
    assert again.at_us == first.at_us + 5_000_000


def test_what_cannot_be_told_is_told_at_the_next_beat(
    control: UsageControl, faulty: Faulty, monkeypatch: pytest.MonkeyPatch
) -> None:
    del faulty
    before = tell(control)
    control.consume(**ANN, amount=1)
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", lambda *_: 0)
        with pytest.raises(LedgerUnavailable, match="cannot be told"):
            control._holder.keeper.tell(0)
    (me,) = control.holders()
    assert me.counts is not None
    assert me.counts.decisions == before.decisions
    assert tell(control).decisions == before.decisions + 1


def test_a_denial_without_the_ledger_is_counted_by_its_reason(control: UsageControl, faulty: Faulty) -> None:
    troubles: list[object] = []
    control.subscribe(troubles.append, kinds=LedgerTrouble)
    faulty.before.append(gone())
    with pytest.raises(AccessDenied):
        control.reserve(**ANN, amount=1_000)
    assert tell(control).denials == {"LEDGER_UNAVAILABLE": 1}
    assert troubles


def test_numbers_are_counted_and_never_given_twice_by_threads() -> None:
    ids, taken = Ids("it"), list[int]()

    def take() -> None:
        for _ in range(2_000):
            taken.extend((ids.next_number(), ids.number_beside()))

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == list(range(1, 16_001))
    assert ids.requests() == 8_000
    assert ids.next_number() == 16_001  # to ask takes none


def test_what_is_told_never_falls(monkeypatch: pytest.MonkeyPatch, control: UsageControl) -> None:
    """HC2: while a number is taken beside, one less is seen."""
    counts = control._holder.counts
    seen = itertools.chain([5, 4, 6])
    monkeypatch.setattr(Ids, "requests", lambda _: next(seen))
    told = []
    for now_us in (1, 2, 3):
        if (news := counts.news(now_us)) is not None:
            counts.were_told(news)
            told.append(news[:2])
    assert told == [(1, 5), (3, 6)]


@given(
    st.binary(max_size=40)
    | st.recursive(st.none() | st.text(), st.lists).map(lambda x: json.dumps(x).encode())
)
def test_garbage_is_nothing_told(said: bytes) -> None:
    assert from_bytes(said) is None


@pytest.mark.parametrize("wrong", ['"denials":[]', '"denials":{"A":"x"}', '"denials":{"A":Infinity}'])
def test_counts_of_another_form_are_nothing_told(wrong: str) -> None:
    assert from_bytes(f'{{"at_us":1,"decisions":2,{wrong}}}'.encode()) is None
