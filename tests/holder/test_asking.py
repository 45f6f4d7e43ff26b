"""Asking and booking where memory cannot answer: whom it means, what is read, and a denial that is true."""

import contextlib
import threading
from typing import Any

import pytest

from stiggctl import (
    AccessDenied,
    CustomerNotFound,
    InvalidAmount,
    InvalidRequest,
    LedgerUnavailable,
    RateNotFound,
    ResourceNotFound,
    StiggctlError,
    UsageControl,
)
from stiggctl.decision.cells import CELL
from stiggctl.decision.reservations import release
from stiggctl.holder import asking as asking_module
from stiggctl.holder import trees as trees_module

from .faulty import ANN, BOB, Faulty, charges, gone, make_faulty, memory

BOTH = pytest.mark.parametrize("policy", ["fail_closed", "fail_open"])


@pytest.fixture
def faulty(control: UsageControl) -> Faulty:
    faulty = make_faulty(control)
    control.consume(**ANN, amount=1)
    faulty.calls.clear()
    return faulty


# ------------------------------------------------------------------ Q1


def test_a_denial_comes_right_after_the_ledger_was_asked(control: UsageControl, faulty: Faulty) -> None:
    """Q1: and its own numbers prove it."""
    with pytest.raises(AccessDenied) as denied:
        control.reserve(**ANN, amount=100)
    assert "exchange" in faulty.calls
    limit = denied.value.decision.binding
    assert limit is not None
    assert limit.remaining == 99


def test_room_that_is_back_while_it_is_asked_for_is_taken(control: UsageControl, faulty: Faulty) -> None:
    """Q1: what is held when the ledger is asked, and released before its answer is looked at."""
    held = control.reserve(**ANN, amount=60)
    faulty.after.append(held.release)
    assert control.reserve(**ANN, amount=99).amount == 99


def test_a_denial_without_proof_is_no_denial(control: UsageControl, faulty: Faulty) -> None:
    """Q1: what was drawn is too little, and yet there is room in every limit: it is asked for again."""
    control.apply({"allocations": [{"resourceId": "ann", "creditCurrency": "t", "limit": 200}]})
    stripe = control._holder.stripes["acme"]
    at = stripe.strands["t"].leaves["ann"] + 2

    def give_much_back() -> None:  # between the answer and the look at it
        with stripe.lock:
            stripe.owe(stripe.numbers[at + CELL], 100)

    faulty.after.append(give_much_back)
    assert control.reserve(**ANN, amount=150).amount == 150
    assert faulty.calls.count("exchange") == 2
    assert control.verify() == []


def test_who_loses_every_race_is_told_to_come_again(
    control: UsageControl, faulty: Faulty, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Q1: a bound, and its own reason; no denial that would not be true."""
    monkeypatch.setattr(asking_module, "ROUNDS_MAX", 3)
    monkeypatch.setattr(control._holder.exchange, "run", lambda wish: None)
    with pytest.raises(AccessDenied) as denied:
        control.reserve(**ANN, amount=100)
    assert denied.value.decision.access_denied_reason == "SHARE_UNAVAILABLE"
    assert denied.value.decision.remedy is not None
    assert denied.value.decision.remedy.kind == "RETRY"
    assert not control.check(**ANN, requested_usage=100)


def test_with_a_minimum_it_is_asked_for_all_and_given_what_fits(
    control: UsageControl, faulty: Faulty
) -> None:
    """Q1."""
    held = control.reserve(**ANN, amount=500, minimum=50)
    assert held.amount == 99
    held.release()
    with pytest.raises(AccessDenied):
        control.reserve(**ANN, amount=500, minimum=100)
    assert memory(control, "ann")[0] == 99


def test_a_denial_while_others_book_tells_no_end_that_nobody_can_read(
    control: UsageControl, faulty: Faulty
) -> None:
    """Q1: what is being booked will not be free again at an end of a hold."""
    held = control.reserve(**ANN, amount=50, ttl_seconds=30)
    faulty.after.append(lambda: control._holder.stripes["acme"].settling.update({held._number: 1}))
    with pytest.raises(AccessDenied) as denied:
        control.reserve(**ANN, amount=60)
    assert denied.value.decision.retry_at == held.expires_at


# ------------------------------------------------------------------ Q2


@pytest.mark.parametrize("why", ["suspended", "archived", "no allocation"])
def test_what_is_refused_whatever_the_numbers_are_asks_nobody(
    control: UsageControl, faulty: Faulty, why: str
) -> None:
    """Q2: no exchange, however often it is asked."""
    if why == "suspended":
        control.suspend("ann", reason="a test")
    elif why == "archived":
        control.archive_resource("ann")
    else:
        object.__setattr__(
            control._holder, "options", control._holder.options._replace(default_access="deny")
        )
        control.apply({"resources": [{"id": "free", "resourceTypeId": "region", "customerId": "acme"}]})
    asked = {**ANN, "resource_ids": ["free"]} if why == "no allocation" else ANN
    faulty.calls.clear()
    for _ in range(3):
        assert not control.check(**asked)
        with pytest.raises(AccessDenied):
            control.reserve(**asked, amount=0)
    assert "exchange" not in faulty.calls


def test_what_fits_from_spare_asks_nobody(control: UsageControl, faulty: Faulty) -> None:
    """Q2: the half that never waits."""
    held = control.reserve(**ANN, amount=10)
    held.extend(5)
    held.release()
    assert control.check(**ANN, requested_usage=99)
    assert faulty.calls == []


# ------------------------------------------------------------------ Q3


@BOTH
def test_where_the_ledger_is_out_of_reach_the_policy_decides_and_it_is_said(
    control: UsageControl, faulty: Faulty, policy: str
) -> None:
    """Q3."""
    told: list[object] = []
    control.subscribe(told.append)
    faulty.reading = gone()
    assert control.reserve(**ANN, amount=5).decision.policy is None  # from spare
    decision = control.check(**BOB, requested_usage=1)
    assert decision.has_access == (policy == "fail_open")
    assert decision.policy == ("fail_open" if policy == "fail_open" else None)
    if policy == "fail_open":
        held = control.reserve(**BOB, amount=5)
        assert held.decision.policy == "fail_open"
        faulty.reading = None
        assert held.settle(4).charged == 4
    else:
        with pytest.raises(AccessDenied) as denied:
            control.reserve(**BOB, amount=5)
        assert denied.value.decision.access_denied_reason == "LEDGER_UNAVAILABLE"
    assert told
    faulty.reading = gone()
    with pytest.raises(LedgerUnavailable):
        control.consume(**{**BOB, "resource_ids": ["emea"]}, amount=1)  # no policy makes up a booking


@BOTH
def test_what_is_no_outage_is_raised_under_both(control: UsageControl, faulty: Faulty, policy: str) -> None:
    """Q3."""
    error = gone()
    error.unreachable = False
    faulty.reading = error
    for asks in (lambda: control.check(**BOB), lambda: control.reserve(**BOB, amount=1)):
        with pytest.raises(LedgerUnavailable):
            asks()


# ------------------------------------------------------------------ T1, T2, T3


def test_only_what_is_named_and_what_is_above_it_is_loaded(control: UsageControl, faulty: Faulty) -> None:
    """T1, T2: nothing of an id that nobody has."""
    leaves = control._holder.stripes["acme"].strands["t"].leaves
    assert set(leaves) == {"ann", "org"}
    with pytest.raises(ResourceNotFound):
        control.check(**{**ANN, "resource_ids": ["ann", "nobody"]})
    control.report(customer_id="acme", amount=1, credit_currency="t", resource_ids=["nobody", "ann"])
    assert set(leaves) == {"ann", "org"}


def test_what_was_read_before_the_model_changed_is_not_laid(control: UsageControl, faulty: Faulty) -> None:
    """T3: the limit that was read is another by the time the stripe is locked."""
    stripe, opened = control._holder.stripes["acme"], []

    def change_meanwhile() -> None:
        if not opened:
            opened.append(1)
            stripe.restamp()

    control.apply({"allocations": [{"resourceId": "bob", "creditCurrency": "t", "limit": 5}]})
    faulty.opening = change_meanwhile
    control.reserve(**BOB, amount=5)
    assert faulty.calls.count("open_cells") >= 2
    branch: Any = stripe.numbers[stripe.strands["t"].leaves["bob"]]
    assert branch.version == stripe.version


def test_a_model_that_changes_at_each_reading_is_an_answer_and_not_a_loop(
    control: UsageControl, faulty: Faulty
) -> None:
    """T3: a bound for a booking; nothing is set apart."""
    stripe = control._holder.stripes["acme"]
    control.apply({"allocations": [{"resourceId": "bob", "creditCurrency": "t", "limit": 5}]})
    faulty.opening = stripe.restamp
    with pytest.raises(LedgerUnavailable, match=f"{trees_module.LOADS_MAX} times"):
        control.report(customer_id="acme", amount=1, **BOB)
    faulty.opening = None
    assert control.report(customer_id="acme", amount=1, **BOB).charged == 1
    assert (stripe.apart, charges(control)) == ({}, [1, 1])


def test_first_decisions_of_many_threads_load_one_tree(control: UsageControl, faulty: Faulty) -> None:
    """T3: and draw it once."""
    start, admitted = threading.Barrier(8), []

    def first(at: int) -> None:
        start.wait()
        with contextlib.suppress(AccessDenied):
            admitted.append(
                control.reserve(resource_ids=[("bob", "emea")[at % 2], "ann"], credit_currency="t", amount=13)
            )

    threads = [threading.Thread(target=first, args=(at,)) for at in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(admitted) == 7  # 7 × 13 of ann's 99
    assert memory(control, "ann")[0] == 8
    for held in admitted:
        held.release()
    assert memory(control, "ann")[0] == 99


# ------------------------------------------------------------------ B1, B2


def test_usage_that_took_place_is_booked_whatever_its_resources_are(
    control: UsageControl, faulty: Faulty
) -> None:
    """B1: suspended, archived, unknown, over every limit."""
    control.suspend("ann", reason="a test")
    control.archive_resource("bob")
    receipts = [
        control.report(customer_id="acme", amount=5_000, credit_currency="t", resource_ids=ids)
        for ids in (["ann"], ["bob"], ["ann", "nobody"], ["nobody"])
    ]
    assert [receipt.charged for receipt in receipts] == [5_000] * 4
    assert [receipt.unattributed for receipt in receipts] == [(), (), ("nobody",), ("nobody",)]
    assert receipts[0].overage == 4_901
    assert control.verify() == []


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        ({"customer_id": "nobody", "amount": 1, "credit_currency": "t"}, CustomerNotFound),
        ({"customer_id": "acme", "event_name": "unpriced"}, RateNotFound),
        ({"customer_id": "acme"}, InvalidRequest),
        ({"customer_id": "acme", "amount": 1, "credit_currency": "none"}, StiggctlError),
        ({"customer_id": "acme", "amount": "0.5", "credit_currency": "t"}, InvalidAmount),
    ],
)
def test_what_cannot_be_booked_is_refused_before_anything_changes(
    control: UsageControl, faulty: Faulty, event: dict[str, Any], kind: type[StiggctlError]
) -> None:
    """B2: and its key stays free."""
    before = memory(control, "ann")
    with pytest.raises(kind):
        control.report(**event, idempotency_key="k", resource_ids=["ann"])
    assert "exchange" not in faulty.calls
    assert (memory(control, "ann"), charges(control)) == (before, [1])
    receipt = control.report(customer_id="acme", idempotency_key="k", amount=1, **ANN)
    assert not receipt.duplicate


def test_what_was_undone_leaves_nothing(control: UsageControl, faulty: Faulty) -> None:
    """B2: a hold that is let go twice is let go once."""
    held = control.reserve(**ANN, amount=10)
    stripe = control._holder.stripes["acme"]
    assert release(stripe, held._number) is not None
    assert release(stripe, held._number) is None
    held.release()
    assert memory(control, "ann")[0] == 99
