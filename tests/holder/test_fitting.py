"""Fitting: candidates where the ledger cannot be asked, and one that loses its room while it is asked for."""

import asyncio

import pytest

from stiggctl import AccessDenied, AccessDeniedReason, Candidate, UsageControl

from .faulty import ANN, Faulty, gone, make_faulty, memory

OF_OUTPUT = [{"dimension": "output_tokens", "credits": 1}]
CANDIDATES = [Candidate("large", 0, 500, 200), Candidate("small", 0, 80, 5)]
TOO_LARGE = [CANDIDATES[0], Candidate("medium", 0, 300, 5)]


@pytest.fixture
def control(control: UsageControl) -> UsageControl:
    """It is a holder; a token of output costs one credit."""
    control.set_rate(event_name="chat", credit_currency="t", terms=OF_OUTPUT)
    control.reserve(**ANN, amount=1).release()
    return control


@pytest.fixture
def faulty(control: UsageControl) -> Faulty:
    return make_faulty(control)


def test_where_the_ledger_cannot_be_asked_one_candidate_is_enough_to_know(
    control: UsageControl, faulty: Faulty
) -> None:
    """FT3: each further question would wait as long."""
    faulty.reading = gone()
    faulty.calls.clear()
    with pytest.raises(AccessDenied) as denied:
        control.reserve(**ANN, event_name="chat", fit=TOO_LARGE)
    error = denied.value
    assert error.fit is not None
    assert [one.candidate.model for one in error.fit.refused] == ["large"]
    assert error.decision.access_denied_reason is AccessDeniedReason.LEDGER_UNAVAILABLE
    assert len(faulty.calls) == 1
    fit = control.fit(**ANN, event_name="chat", candidates=TOO_LARGE)
    assert [one.candidate.model for one in fit.refused] == ["large"]
    assert len(faulty.calls) == 2
    faulty.reading = None
    assert control.reserve(**ANN, event_name="chat", fit=CANDIDATES).amount == 80


def test_a_guard_that_could_not_ask_the_ledger_asks_it_again(control: UsageControl, faulty: Faulty) -> None:
    guard = control.guard(**ANN, event_name="chat", fit=TOO_LARGE)
    faulty.reading = gone()
    with pytest.raises(AccessDenied), guard:
        pass
    faulty.reading = None
    with guard as call:
        assert call.reservation.amount == 100


def test_spare_serves_candidates_without_the_ledger(control: UsageControl, faulty: Faulty) -> None:
    faulty.reading = gone()
    held = control.reserve(**ANN, event_name="chat", fit=CANDIDATES[1:])
    assert held.fit is not None
    assert (held.fit.max_output_tokens, held.amount, held.decision.policy) == (80, 80, None)


@pytest.mark.parametrize("verb", ["fit", "reserve", "areserve"])
def test_a_smaller_candidate_is_served_from_spare_where_the_ledger_cannot_be_asked(
    control: UsageControl, faulty: Faulty, verb: str
) -> None:
    """FT3: near a limit, and without the ledger, a small model is better than none."""
    faulty.reading = gone()
    ask = {**ANN, "event_name": "chat", "candidates" if verb == "fit" else "fit": CANDIDATES}
    found = getattr(control, verb)(**ask)
    if verb != "fit":
        found = (asyncio.run(found) if verb == "areserve" else found).fit
    assert (found.model, found.max_output_tokens) == ("small", 80)
    (refused,) = found.refused
    assert refused.decision.access_denied_reason is AccessDeniedReason.LEDGER_UNAVAILABLE


def test_without_the_ledger_a_customers_own_rate_is_known_still(
    control: UsageControl, faulty: Faulty
) -> None:
    """EM1: it is dearer than that for all."""
    dear = [{"dimension": "output_tokens", "credits": 2}]
    control.set_rate(event_name="chat", credit_currency="t", terms=dear, customer_id="acme")
    control.reserve(**ANN, event_name="chat", fit=CANDIDATES).release()
    control.suspend("bob", reason="so that the model is to be read again")
    faulty.reading = gone()
    fit = control.fit(**ANN, event_name="chat", candidates=CANDIDATES)
    (refused,) = fit.refused
    assert refused.decision is not None
    assert refused.decision.requested == {"t": 1_000}


@pytest.mark.parametrize("policy", ["fail_open"])
def test_with_fail_open_the_preferred_one_is_admitted_whole(
    control: UsageControl, faulty: Faulty, policy: str
) -> None:
    faulty.reading = gone()
    held = control.reserve(**ANN, event_name="chat", fit=CANDIDATES)
    assert held.fit is not None
    assert (held.fit.model, held.fit.max_output_tokens, held.decision.policy) == ("large", 500, policy)


def test_as_much_as_the_ledger_has_is_held(control: UsageControl, faulty: Faulty) -> None:
    """Q1: memory has less than all; the ledger is asked before less is given."""
    held = control.reserve(**ANN, event_name="chat", fit=[*CANDIDATES[:1], Candidate("medium", 0, 500, 5)])
    assert held.fit is not None
    assert (held.fit.model, held.fit.max_output_tokens, held.amount) == ("medium", 100, 100)
    asked = {
        (amount, least) for batch in faulty.batches for ask in batch.asks for _, amount, least in ask.cells
    }
    assert asked == {(500, 200), (500, 5)}
    assert memory(control, "ann")[0] == 0
