"""fit: the first candidate that fits every limit and the pool, as large as fits; and why others do not."""

import asyncio
import decimal
import json
import pickle
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from threading import Barrier, Thread
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stiggctl import (
    AccessDenied,
    AccessDeniedReason,
    Candidate,
    CurrencyNotFound,
    Fit,
    IdempotencyConflict,
    InvalidAmount,
    InvalidRequest,
    LedgerTrouble,
    RateNotFound,
    ResourceNotFound,
    UsageControl,
)
from stiggctl.prices import PriceNotFound, Usage
from stiggctl.testing import ManualClock, allow_all, deny
from tests.prices import payloads
from tests.prices.test_streams import USAGE

from .saying import TOKENS, Say, flat, moment, numbers

LARGE, SMALL = Candidate("large", 1_000, 4_000, 2_000), Candidate("small", 1_000, 4_000, 500)
BOTH = [LARGE, SMALL]
PRICES = [
    {"model": "large", "perMillion": {"input": "1.25", "output": 10}},
    {"model": "small", "perMillion": {"input": "0.25", "output": 2}},
]
RATE = {
    "eventName": "chat",
    "creditCurrency": TOKENS,
    "terms": [{"dimension": "output_tokens", "credits": 1, "per": 10}],
}
ASK: dict[str, Any] = {"resource_ids": ["a"], "customer_id": "c"}
USD = ASK | {"credit_currency": "usd"}


@pytest.fixture
def priced(control: UsageControl) -> UsageControl:
    """Resource a of c with 1,000 ai-tokens and 0.01 usd, and prices for two models."""
    control.apply(flat({"a": 1000}) | {"creditCurrencies": [{"id": "usd", "decimals": 9}], "prices": PRICES})
    limit(control, "0.01")
    return control


def limit(control: UsageControl, amount: str, **more: Any) -> None:
    control.set_allocation(resource_id="a", credit_currency="usd", limit=amount, customer_id="c", **more)


def left(control: UsageControl, currency: str = "usd") -> Any:
    used, held, _ = numbers(control, "a", credit_currency=currency)["a"]
    return used, held


# ------------------------------------------------------------------ what fits


def test_the_first_that_fits_is_found_as_large_as_fits(priced: UsageControl, say: Say) -> None:
    fit = say("fit", **USD, candidates=BOTH)
    assert (bool(fit), fit.has_access, fit.model, fit.candidate) == (True, True, "small", SMALL)
    assert (fit.max_output_tokens, fit.amount) == (4_000, Decimal("0.00825"))
    (refused,) = fit.refused
    assert (refused.candidate, refused.binding.resource_id, refused.error) == (LARGE, "a", None)
    # The denial is of its least: 1,000 in and 2,000 out.
    assert refused.decision.requested == {"usd": Decimal("0.02125")}
    assert left(priced) == (0, 0)


def test_as_much_output_as_fits(priced: UsageControl, say: Say) -> None:
    """EM2: to the token. With one more it costs more than is left."""
    fit = say("fit", **USD, candidates=[Candidate("large", 1_000, 4_000, 10)])
    assert (fit.max_output_tokens, fit.amount) == (875, Decimal("0.01"))
    assert priced.check(**USD, requested_usage="0.01")
    assert not priced.check(**USD, requested_usage="0.01000001")
    limit(priced, "0.009999999")
    assert say("fit", **USD, candidates=[Candidate("large", 1_000, 4_000, 10)]).max_output_tokens == 874


def test_without_a_minimum_all_of_its_output_is_needed(priced: UsageControl, say: Say) -> None:
    assert not say("fit", **USD, candidates=[Candidate("small", 1_000, 5_000)])
    assert say("fit", **USD, candidates=[Candidate("small", 1_000, 4_875)]).amount == Decimal("0.01")


def test_the_order_is_the_callers(priced: UsageControl, say: Say) -> None:
    limit(priced, 10)
    assert [say("fit", **USD, candidates=each).model for each in (BOTH, BOTH[::-1])] == ["large", "small"]


def test_where_none_fits_it_says_by_which_limit_each(priced: UsageControl, say: Say) -> None:
    limit(priced, "0.001")
    fit = say("fit", **USD, candidates=BOTH)
    assert (bool(fit), fit.candidate, fit.model, fit.max_output_tokens, fit.amounts) == (
        False, None, None, 0, {},
    )  # fmt: skip
    assert [one.candidate for one in fit.refused] == BOTH
    assert {one.binding.limit for one in fit.refused} == {Decimal("0.001")}
    assert fit.decision is fit.refused[-1].decision
    assert str(fit).startswith("no candidate fits: large: a has 0.001 of 0.001 usd left")


def test_a_limit_of_one_model_counts_that_candidate_only(priced: UsageControl, say: Say) -> None:
    limit(priced, 10)
    limit(priced, "0.001", scope={"model": "large"})
    fit = say("fit", **USD, candidates=BOTH)
    assert (fit.model, fit.max_output_tokens) == ("small", 4_000)
    assert fit.refused[0].binding.scope == {"model": ("large",)}
    held = say("reserve", **USD, fit=BOTH)
    held.settle("0.5")
    limits = priced.check(**USD, dimensions={"model": "large"}).limits
    assert {one.used for one in limits if one.scope} == {0}


def test_the_pool_is_a_limit(priced: UsageControl, say: Say) -> None:
    limit(priced, 10)
    priced.grant_credits(customer_id="c", credit_currency="usd", grant_id="g", amount="0.01")
    fit = say("fit", **USD, candidates=BOTH)
    assert (fit.model, fit.refused[0].binding.is_pool) == ("small", True)
    assert fit.refused[0].decision.access_denied_reason is AccessDeniedReason.INSUFFICIENT_CREDITS


def test_soft_limits_and_nothing_limit_nothing(priced: UsageControl, say: Say) -> None:
    limit(priced, "0.001", enforcement_type="SOFT")
    assert say("fit", **USD, candidates=BOTH).max_output_tokens == 4_000
    priced.remove_allocation(resource_id="a", credit_currency="usd", customer_id="c")
    assert say("fit", **USD, candidates=BOTH).model == "large"


# ------------------------------------------------------------------ in which currencies


def test_it_costs_dollars_and_what_its_event_has_rates_for(priced: UsageControl, say: Say) -> None:
    priced.apply({"rates": [RATE]})
    limit(priced, 10)
    fit = say("fit", **ASK, event_name="chat", candidates=BOTH)
    assert fit.amounts == {TOKENS: 400, "usd": Decimal("0.04125")}
    priced.consume(**ASK, credit_currency=TOKENS, amount=760)  # 240 left: 2,400 tokens of output
    fit = say("fit", **ASK, event_name="chat", candidates=BOTH)
    assert (fit.model, fit.max_output_tokens) == ("large", 2_400)
    assert fit.amounts == {TOKENS: 240, "usd": Decimal("0.02525")}


def test_in_the_currency_that_is_given(priced: UsageControl, say: Say) -> None:
    priced.apply({"rates": [RATE]})
    only = say("fit", **ASK, credit_currency=TOKENS, event_name="chat", candidates=[LARGE])
    assert only.amounts == {TOKENS: 400}
    with priced.bound(**ASK, credit_currency=TOKENS, event_name="chat"):
        assert say("fit", candidates=[LARGE]).amounts == {TOKENS: 400}


def test_input_and_output_count_as_the_dearest_class_that_they_may_be(priced: UsageControl, say: Say) -> None:
    """EM1."""
    names = ("input", "cache_read", "cache_write_5m", "cache_write_1h", "output", "reasoning")
    terms = [
        {"dimension": f"{name}_tokens", "credits": credits_, "per": 100}
        for name, credits_ in zip(names, (3, 1, 4, 6, 5, 9), strict=True)
    ]
    priced.apply({"rates": [RATE | {"terms": terms, "credits": 7}]})
    ask = ASK | {"credit_currency": TOKENS, "event_name": "chat"}
    cached = say("fit", **ask, candidates=[Candidate("m", 1_000, 100)])
    plain = say("fit", **ask, candidates=[Candidate("m", 1_000, 100, caching=False)])
    assert (cached.amount, plain.amount) == (7 + 60 + 9, 7 + 30 + 9)


def test_in_dollars_what_goes_in_may_be_written_to_a_cache(priced: UsageControl, say: Say) -> None:
    """EM1."""
    priced.set_price(model="large", per_million={"input": 1, "cache_write_1h": 2, "output": 10})
    fits = [
        say("fit", **USD, candidates=[Candidate("large", 1_000, 100, caching=caching)])
        for caching in (True, False)
    ]
    assert [fit.amount for fit in fits] == [Decimal("0.003"), Decimal("0.002")]


def test_a_provider_that_is_named_has_its_own_price_and_stands_on_the_event(
    priced: UsageControl, say: Say
) -> None:
    own = {"model": "large", "perMillion": {"input": 0, "output": 1}}
    priced.apply({"prices": [own | {"provider": name} for name in ("here", "there")]})
    priced.set_price(model="large", provider="there", per_million={"input": 0, "output": 2})
    priced.set_price(model="large", customer_id="c", provider="nowhere", per_million={"output": 3})
    here, there = (Candidate("large", 1_000, 1_000, provider=name) for name in ("here", "there"))
    fits = [say("fit", **USD, candidates=[one]) for one in (here, there)]
    assert [fit.amount for fit in fits] == [Decimal("0.001"), Decimal("0.002")]
    first = say("reserve", **USD, fit=[here], idempotency_key="k").settle()
    again = say("reserve", **USD, fit=[there], idempotency_key="k").settle()
    assert (again.duplicate, again.event_id) == (True, first.event_id)  # EV2: derived, not given
    (event,) = priced.events()
    assert event.dimensions == {"model": "large", "provider": "here"}


@pytest.mark.parametrize("names", [("here", "there"), ("there", "here")])
def test_a_response_that_names_no_provider_is_priced_by_the_candidates(
    priced: UsageControl, names: tuple[str, str]
) -> None:
    """OG1: by the price that its estimate was by, not by that of whom it might be of."""
    dollars = {"here": 1, "there": 2}
    for name in names:
        priced.set_price(model="m", provider=name, per_million={"input": 0, "output": dollars[name]})
    for name in names:
        with priced.guard(**USD, fit=[Candidate("m", 10, 1_000, provider=name)]) as call:
            call.observe(payloads.chat(Usage(input=10, output=1_000, model="m")))
        assert call.fit is not None
        assert call.receipt is not None
        assert call.receipt.charged == call.fit.amount == Decimal(dollars[name]) / 1_000


def test_how_it_is_served_is_priced_in_dollars_too(priced: UsageControl, say: Say) -> None:
    """What the list has no price for is not taken at the usual one."""
    usual = Candidate("gpt-5", 1_000, 100)
    served = Candidate("gpt-5", 1_000, 100, served={"service_tier": "priority"})
    fit = say("fit", **USD, candidates=[served, usual])
    assert fit.candidate is usual
    assert isinstance(fit.refused[0].error, PriceNotFound)


def test_rates_are_those_of_the_instant(priced: UsageControl, clock: ManualClock, say: Say) -> None:
    begins = datetime.fromtimestamp(clock.now_us() / 1e6 + 3_600, UTC)
    priced.apply({"rates": [RATE]})
    priced.set_rate(event_name="chat", credit_currency=TOKENS, credits=7, effective_at=begins)
    ask = ASK | {"credit_currency": TOKENS, "event_name": "chat", "candidates": [LARGE]}
    assert say("fit", **ask).amount == 400
    clock.advance(seconds=3_600)
    assert say("fit", **ask).amount == 7


def test_what_costs_more_than_any_amount_is_passed_over(priced: UsageControl, say: Say) -> None:
    priced.set_price(model="large", per_million={"input": 1, "output": 10**6})
    priced.set_rate(event_name="chat", credit_currency=TOKENS, terms=[
        {"dimension": "output_tokens", "credits": 10**6}
    ])  # fmt: skip
    vast = Candidate("large", 0, 10**12, 1)
    for ask in (USD, ASK | {"credit_currency": TOKENS, "event_name": "chat"}):
        fit = say("fit", **ask, candidates=[vast, Candidate("small", 0, 1, 0)])
        assert (fit.model, type(fit.refused[0].error)) == ("small", InvalidAmount)


def test_a_rate_counts_what_the_caller_tells(priced: UsageControl, say: Say) -> None:
    terms = [{"dimension": "images", "credits": 20}, *RATE["terms"]]
    priced.apply({"rates": [RATE | {"terms": terms}]})
    ask = ASK | {"credit_currency": TOKENS, "event_name": "chat"}
    assert say("fit", **ask, dimensions={"images": 3}, candidates=[LARGE]).amount == 460
    with pytest.raises(InvalidRequest, match="images"):
        say("fit", **ask, candidates=[LARGE])
    priced.apply({"rates": [RATE | {"where": {"model": "small"}}]})
    fit = say("fit", **ask, candidates=BOTH)  # of the large one it cannot be told
    assert (fit.model, type(fit.refused[0].error)) == ("small", InvalidRequest)


def test_what_the_caller_tells_of_tokens_stands(priced: UsageControl, say: Say) -> None:
    """The rate counts the caller's number, as it will when the call is booked: no output is dearer."""
    priced.apply({"rates": [RATE]})
    ask = ASK | {"credit_currency": TOKENS, "event_name": "chat", "dimensions": {"output_tokens": 90}}
    fit = say("fit", **ask, candidates=[Candidate("large", 1_000, 4_000, 10)])
    assert (fit.max_output_tokens, fit.amount) == (4_000, 9)
    with priced.guard(**ask, fit=BOTH) as call:
        call.observe(payloads.chat(USAGE))
    assert call.receipt is not None
    assert (call.receipt.charged, call.receipt.estimated) == (9, False)


def test_a_rate_for_how_a_call_is_served_counts(priced: UsageControl, say: Say) -> None:
    """EM1: its event will say how it was served."""
    of_tier = RATE | {"where": {"service_tier": "priority"}, "terms": [], "credits": 900}
    priced.apply({"rates": [RATE, of_tier]})
    served = Candidate("m", 1_000, 100, served={"service_tier": "priority"})
    ask = ASK | {"credit_currency": TOKENS, "event_name": "chat"}
    assert say("fit", **ask, candidates=[served]).amount == 900
    assert say("fit", **ask, candidates=[Candidate("m", 1_000, 100)]).amount == 10


# ------------------------------------------------------------------ held in the same step


def test_reserve_holds_it_and_says_which(priced: UsageControl, clock: ManualClock, say: Say) -> None:
    held = say("reserve", **USD, fit=BOTH, idempotency_key="k", ttl_seconds=30)
    assert (held.fit.model, held.fit.max_output_tokens) == ("small", 4_000)
    assert (held.amount, held.fit.amount) == (Decimal("0.00825"), Decimal("0.00825"))
    assert held.fit.refused[0].candidate == LARGE
    assert left(priced) == (0, Decimal("0.00825"))
    assert held.expires_at == moment(clock) + timedelta(seconds=30)
    held.settle("0.001")
    (event,) = priced.events()
    assert (event.dimensions, event.idempotency_key) == ({"model": "small"}, "k")
    assert priced.verify() == []


def test_what_is_held_is_the_cost_of_what_fits_and_no_more(priced: UsageControl, say: Say) -> None:
    """PN2: what is left over, less than a token costs, stays free."""
    limit(priced, "0.010000003")
    held = say("reserve", **USD, fit=[Candidate("large", 1_000, 4_000, 10)])
    assert (held.fit.max_output_tokens, held.amount) == (875, Decimal("0.01"))
    assert say("reserve", **USD, amount="0.000000003").amount == Decimal("0.000000003")


def test_in_several_currencies_one_size_is_held_in_all(priced: UsageControl, say: Say) -> None:
    priced.apply({"rates": [RATE]})
    limit(priced, 10)
    priced.consume(**ASK, credit_currency=TOKENS, amount=760)
    held = say("reserve", **ASK, event_name="chat", fit=BOTH)
    assert held.fit.max_output_tokens == 2_400
    assert held.amounts == {TOKENS: 240, "usd": Decimal("0.02525")}
    assert (left(priced), left(priced, TOKENS)) == ((0, Decimal("0.02525")), (760, 240))


def test_where_none_fits_nothing_is_held(priced: UsageControl, say: Say) -> None:
    limit(priced, "0.001")
    with pytest.raises(AccessDenied) as denied:
        say("reserve", **USD, fit=BOTH)
    error = denied.value
    assert error.fit is not None
    assert [one.candidate for one in error.fit.refused] == BOTH
    assert error.decision is error.fit.refused[-1].decision
    assert "large: a has" in str(error)
    assert "small: a has" in str(error)
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.fit.refused[0].candidate) == (str(error), LARGE)
    assert left(priced) == (0, 0)
    assert priced.reservations() == []


def test_a_key_knows_its_call_whichever_model_was_chosen(priced: UsageControl, say: Say) -> None:
    """EV2: the model was derived, not given. Sent again it charges once."""
    limit(priced, 10)
    first = say("reserve", **USD, fit=BOTH, idempotency_key="k").settle("0.02")
    limit(priced, "0.03")
    again = say("reserve", **USD, fit=BOTH, idempotency_key="k")
    assert again.fit.model == "small"
    receipt = again.settle("0.001")
    assert (receipt.duplicate, receipt.event_id, receipt.charged) == (True, first.event_id, Decimal("0.02"))


def test_a_key_knows_its_call_whatever_the_candidate_costs(priced: UsageControl, say: Say) -> None:
    """EV2: without a currency, in which it costs something was derived from the candidate, too."""
    priced.apply({"rates": [RATE | {"where": {"model": "large"}}]})
    limit(priced, 10)
    ask = ASK | {"event_name": "chat", "fit": BOTH, "idempotency_key": "k"}
    first = say("reserve", **ask).settle()
    assert first.amounts == {TOKENS: 400, "usd": Decimal("0.04125")}
    priced.set_allocation(resource_id="a", credit_currency=TOKENS, limit=410, customer_id="c")
    again = say("reserve", **ask)
    assert (again.fit.model, again.amounts) == ("small", {"usd": Decimal("0.00825")})
    assert again.settle().duplicate
    with pytest.raises(IdempotencyConflict, match="credit_currency"):
        say("reserve", **ask, credit_currency="usd").settle()


def test_a_guard_takes_candidates(priced: UsageControl, face: str) -> None:
    response = payloads.chat(USAGE)

    async def guarded() -> Any:
        async with priced.guard(**USD, fit=BOTH) as call:
            call.observe(response, model=call.fit.model)
        return call

    if face == "sync":
        with priced.guard(**USD, fit=BOTH) as call:
            call.observe(response, model=call.fit.model)
    else:
        call = asyncio.run(guarded())
    assert (call.fit.model, call.receipt.estimated) == ("small", False)
    (event,) = priced.events()
    assert (event.dimensions["model"], event.dimensions["price_source"]) == ("small", "contract")
    assert left(priced)[1] == 0


def test_a_guard_that_was_denied_asks_each_candidate_again(priced: UsageControl) -> None:
    """FT1: what was refused the first time is not the answer of the second."""
    limit(priced, "0.001")
    guard = priced.guard(**USD, fit=BOTH)
    for _ in range(2):
        with pytest.raises(AccessDenied) as denied, guard:
            pass
        assert denied.value.fit is not None
        assert [one.candidate for one in denied.value.fit.refused] == BOTH
    limit(priced, 10)
    with guard as call:
        assert call.fit is not None
        assert (call.fit.model, call.fit.refused) == ("large", ())


def test_threads_that_degrade_never_exceed_the_limit(priced: UsageControl) -> None:
    limit(priced, "0.1")
    barrier, held = Barrier(8), []

    def spend() -> None:
        barrier.wait()
        for _ in range(10):
            try:
                held.append(priced.reserve(**USD, fit=BOTH))
            except AccessDenied:
                return

    threads = [Thread(target=spend) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert {one.fit.model for one in held} == {"large", "small"}
    total = sum(one.amount for one in held)
    assert total <= Decimal("0.1")
    assert Decimal("0.1") - total < Decimal("0.00125")  # less than the least that any of them needs
    assert left(priced) == (0, total)


# ------------------------------------------------------------------ what nothing has a price for


@pytest.fixture
def told(priced: UsageControl) -> list[LedgerTrouble]:
    records: list[LedgerTrouble] = []
    priced.subscribe(records.append)
    return records


@pytest.mark.parametrize("verb", ["fit", "reserve"])
def test_a_candidate_without_a_price_is_passed_over_loudly(
    priced: UsageControl, say: Say, told: list[LedgerTrouble], verb: str
) -> None:
    """FT2."""
    unknown = Candidate("nobody-has-a-price-for-it", 10, 10)
    taken = {"candidates" if verb == "fit" else "fit": [unknown, *BOTH]}
    found = say(verb, **USD, **taken)
    fit = found if verb == "fit" else found.fit
    assert fit.model == "small"
    assert isinstance(fit.refused[0].error, PriceNotFound)
    assert (fit.refused[0].decision, fit.refused[0].binding) == (None, None)
    assert [record.error.__cause__ for record in told] == [fit.refused[0].error]
    # Also where then none fits.
    limit(priced, "0.001")
    if verb == "fit":
        fit = say(verb, **USD, **taken)
    else:
        with pytest.raises(AccessDenied) as denied:
            say(verb, **USD, **taken)
        assert denied.value.fit is not None
        fit = denied.value.fit
    assert [type(one.error) for one in fit.refused] == [PriceNotFound, type(None), type(None)]
    assert [record.error.__cause__ for record in told[1:]] == [fit.refused[0].error]


@pytest.mark.parametrize("verb", ["fit", "reserve"])
def test_a_candidate_without_a_rate_is_passed_over_where_there_are_no_dollars(
    control: UsageControl, say: Say, verb: str
) -> None:
    """FT2: that the model has no dollars is no reason to refuse the next one."""
    control.apply(flat({"a": 100}) | {"rates": [RATE | {"where": {"model": "large"}}]})
    ask = ASK | {"event_name": "chat"}
    name = "candidates" if verb == "fit" else "fit"
    found = say(verb, **ask, **{name: [Candidate("small", 1, 10), Candidate("large", 1, 10)]})
    fit = found if verb == "fit" else found.fit
    assert (fit.model, fit.amounts) == ("large", {TOKENS: 1})
    assert isinstance(fit.refused[0].error, RateNotFound)
    with pytest.raises(RateNotFound):
        say(verb, **ask, **{name: [Candidate("small", 1, 10)]})
    with pytest.raises(CurrencyNotFound, match="usd"):
        say(verb, **ASK, **{name: [Candidate("large", 1, 10)]})
    with pytest.raises(InvalidRequest, match="event_name"):
        say(verb, **ASK, credit_currency=TOKENS, **{name: [Candidate("large", 1, 10)]})


def test_where_nothing_has_a_price_that_is_the_error(
    priced: UsageControl, say: Say, told: list[LedgerTrouble]
) -> None:
    unknown = Candidate("nobody-has-a-price-for-it", 10, 10)
    for verb, name in (("fit", "candidates"), ("reserve", "fit")):
        with pytest.raises(PriceNotFound, match="nobody-has-a-price"):
            say(verb, **USD, **{name: [unknown]})
        with pytest.raises(RateNotFound):
            say(verb, **ASK, credit_currency=TOKENS, event_name="chat", **{name: BOTH})
    assert told == []


def test_a_customers_own_price_stands_before_that_for_all(priced: UsageControl, say: Say) -> None:
    priced.set_price(model="large", customer_id="c", per_million={"input": 0, "output": 1})
    assert say("fit", **USD, candidates=BOTH).model == "large"
    assert say("fit", resource_ids=["a"], credit_currency="usd", candidates=BOTH).model == "large"


def test_prices_are_those_of_the_instant(priced: UsageControl, clock: ManualClock, say: Say) -> None:
    now = datetime.fromtimestamp(clock.now_us() / 1e6, UTC)
    cheap = {"input": 0, "output": 1}
    priced.set_price(model="large", per_million=cheap, effective_at=now.replace(year=now.year + 1))
    assert say("fit", **USD, candidates=BOTH).model == "small"
    clock.advance(seconds=366 * 86_400)
    assert say("fit", **USD, candidates=BOTH).model == "large"


# ------------------------------------------------------------------ what cannot be meant


@pytest.mark.parametrize(
    ("given_", "expected"),
    [
        ({"candidates": []}, "1 to 100"),
        ({"candidates": LARGE}, "a list"),
        ({"candidates": ["large"]}, r"candidates\[0\]"),
        ({"candidates": BOTH, "dimensions": {"model": "large"}}, "model"),
        ({"candidates": BOTH, "resource_ids": None}, "resource_ids"),
        ({"candidates": [Candidate("m", 1, 1, provider="p")], "dimensions": {"provider": "q"}}, "provider"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    priced: UsageControl, say: Say, given_: Mapping[str, Any], expected: str
) -> None:
    with pytest.raises(InvalidRequest, match=expected):
        say("fit", **(USD | given_))


@pytest.mark.parametrize("more", [{"amount": 1}, {"amounts": {"usd": 1}}, {"minimum": 1}])
def test_an_amount_beside_candidates_is_refused(
    priced: UsageControl, say: Say, more: Mapping[str, Any]
) -> None:
    with pytest.raises(InvalidRequest, match="left out: with fit"):
        say("reserve", **USD, fit=BOTH, **more)
    if "minimum" in more:
        with pytest.raises(InvalidRequest, match="left out: with fit"):
            priced.guard(**USD, fit=BOTH, **more)


def test_a_guard_needs_an_estimate_or_candidates(priced: UsageControl) -> None:
    with pytest.raises(InvalidRequest, match="estimate"):
        priced.guard(**USD)


@pytest.mark.parametrize(
    "arguments",
    [
        ("", 1, 1), (None, 1, 1), ("m", -1, 1), ("m", 1, 0), ("m", 1.0, 1), ("m", True, 1),
        ("m", 1, 5, 6), ("m", 1, 5, -1), ("m", 10**13, 1),
    ],
)  # fmt: skip
def test_a_candidate_that_cannot_be_meant_is_refused(arguments: Any) -> None:
    with pytest.raises(InvalidRequest, match=r"Candidate\."):
        Candidate(*arguments)


@pytest.mark.parametrize("served", [5, "priority", {"service_tier": 1}, {"": "priority"}])
def test_how_it_is_served_is_told_in_words(served: Any) -> None:
    with pytest.raises(InvalidRequest, match=r"Candidate\.served"):
        Candidate("m", 1, 1, served=served)


def test_a_candidate_can_be_looked_up(priced: UsageControl) -> None:
    flex = Candidate("large", 1_000, 10, served={"service_tier": "flex"})
    names = {flex: "cheap", LARGE: "dear"}
    assert names[priced.fit(**USD, candidates=[flex]).candidate or LARGE] == "cheap"


def test_who_is_unknown_is_told_as_check_tells_it(priced: UsageControl, say: Say) -> None:
    with pytest.raises(ResourceNotFound):
        say("fit", **(USD | {"resource_ids": ["nobody"]}), candidates=BOTH)
    with pytest.raises(CurrencyNotFound):
        say("fit", **(USD | {"credit_currency": "gold"}), candidates=BOTH)


def test_the_verdicts_of_a_test_hold_for_candidates(priced: UsageControl) -> None:
    with allow_all(priced):
        held = priced.reserve(**USD, fit=[Candidate("large", 1_000, 4_000_000)])
        assert held.fit is not None
        assert (held.fit.model, held.fit.max_output_tokens) == ("large", 4_000_000)
        assert priced.fit(**USD, candidates=BOTH).model == "large"
    with deny("SUSPENDED", priced):
        assert not priced.fit(**USD, candidates=BOTH)
        with pytest.raises(AccessDenied, match="suspended"):
            priced.reserve(**USD, fit=BOTH)


def test_the_verdicts_of_a_test_hold_for_credits_alone(control: UsageControl) -> None:
    """SI1: nothing is defined that was not named, so a call without dollars has no price in them."""
    control.apply(flat({"a": 100}) | {"rates": [RATE]})
    with allow_all(control):
        held = control.reserve(**ASK, event_name="chat", fit=[Candidate("large", 1_000, 4_000)])
        assert held.amounts == {TOKENS: 400}
    with deny("BUDGET_EXCEEDED", control):
        assert [one.decision for one in control.fit(**ASK, event_name="chat", candidates=BOTH).refused]


def test_the_verdicts_of_a_test_need_no_model(control: UsageControl) -> None:
    control.apply({"prices": PRICES})
    with allow_all(control):
        assert control.fit(**ASK, event_name="chat", candidates=BOTH).model == "large"


def test_suspension_denies_every_candidate(priced: UsageControl, say: Say) -> None:
    priced.suspend("a", customer_id="c", reason="fraud")
    fit = say("fit", **USD, candidates=BOTH)
    reasons = {one.decision.access_denied_reason for one in fit.refused}
    assert (len(fit.refused), reasons) == (2, {AccessDeniedReason.SUSPENDED})


def test_the_hosts_decimal_context_changes_nothing(priced: UsageControl) -> None:
    with decimal.localcontext() as host:
        host.prec = 3
        host.traps[decimal.Inexact] = host.traps[decimal.Rounded] = True
        fit = priced.fit(**USD, candidates=[Candidate("large", 1_003, 4_000, 10)])
        held = priced.reserve(**USD, fit=[Candidate("large", 1_003, 4_000, 10)])
    assert held.fit is not None
    assert fit.max_output_tokens == held.fit.max_output_tokens == 874


def test_it_is_written_as_json(priced: UsageControl) -> None:
    written = json.loads(json.dumps(priced.fit(**USD, candidates=BOTH).as_dict()))
    assert (written["hasAccess"], written["model"], written["maxOutputTokens"]) == (True, "small", 4_000)
    assert written["amounts"] == {"usd": "0.00825"}
    assert written["refused"][0]["decision"]["binding"]["resourceId"] == "a"


# ------------------------------------------------------------------ against brute force

TOKEN_COUNTS = st.integers(0, 60)
PRICE = st.decimals(0, 50, places=2)
LITTLE = st.decimals(0, "0.004", places=5)


@st.composite
def worlds(draw: st.DrawFn) -> dict[str, Any]:
    """A tree, limits in two currencies, prices and a rate for each of three models, candidates."""
    models = ["m0", "m1", "m2"]
    candidates = []
    for model in draw(st.permutations(models)):
        most = draw(st.integers(1, 40))
        least = draw(st.none() | st.integers(0, most))
        candidates.append(Candidate(model, draw(TOKEN_COUNTS), most, least, caching=draw(st.booleans())))
    limits = [
        {
            "resourceId": draw(st.sampled_from(["a", "top"])),
            "creditCurrency": currency,
            "customerId": "c",
            "limit": draw(st.integers(0, 60) if currency == TOKENS else LITTLE.map(str)),
            "enforcementType": draw(st.sampled_from(["HARD", "HARD", "HARD", "SOFT"])),
            "cadence": cadence,
        }
        for currency in (TOKENS, "usd")
        for cadence in draw(st.sets(st.sampled_from(["day", "month", "year"]), max_size=2))
    ]  # fmt: skip
    if limits and draw(st.booleans()):
        limits.append(limits[0] | {"scope": {"model": draw(st.sampled_from(models))}})
    return {
        "candidates": candidates,
        "limits": limits,
        "prices": [
            {"model": model, "perMillion": {"input": draw(PRICE), "output": draw(PRICE)}}
            for model in models
            if draw(st.integers(0, 5))
        ],
        "rates": [
            RATE
            | {
                "where": {"model": model},
                "credits": draw(st.integers(0, 9)),
                "terms": [
                    {
                        "dimension": f"{name}_tokens",
                        "credits": draw(st.integers(0, 9)),
                        "per": draw(st.integers(1, 9)),
                    }
                    for name in draw(
                        st.sets(st.sampled_from(["input", "cache_write_1h", "output", "reasoning"]))
                    )
                ],
            }
            for model in models
            if draw(st.integers(0, 5))
        ],
        "spent": {TOKENS: draw(st.integers(0, 30)), "usd": str(draw(st.decimals(0, "0.002", places=6)))},
        "grants": draw(st.lists(st.integers(1, 40), max_size=3)),
        "currency": draw(st.sampled_from([None, TOKENS, "usd"])),
    }


def cost(world: Mapping[str, Any], candidate: Candidate, output: int) -> dict[str, Any] | None:
    """What it may cost with so much output, by the sums of a reader; None: nothing says so."""
    rate = next((one for one in world["rates"] if one["where"]["model"] == candidate.model), None)
    agreed = next((one for one in world["prices"] if one["model"] == candidate.model), None)
    costs: dict[str, Any] = {}
    if world["currency"] in (None, TOKENS):
        if rate is not None:
            per = {one["dimension"]: Fraction(one["credits"], one["per"]) for one in rate["terms"]}
            of_input = ["input_tokens"] + ["cache_write_1h_tokens"] * candidate.caching
            exact = rate["credits"] + sum(
                max(per.get(name, Fraction(0)) for name in names) * count
                for names, count in (
                    (of_input, candidate.input_tokens),
                    (["output_tokens", "reasoning_tokens"], output),
                )
            )
            costs[TOKENS] = -(-exact.numerator // exact.denominator)
        elif world["currency"] == TOKENS:
            return None
    if world["currency"] in (None, "usd"):
        if agreed is None:
            return None
        million = agreed["perMillion"]
        exact = Fraction(million["input"]) * candidate.input_tokens + Fraction(million["output"]) * output
        nano = exact * 1000
        costs["usd"] = Decimal(-(-nano.numerator // nano.denominator)).scaleb(-9)
    return costs


def brute(control: UsageControl, world: Mapping[str, Any]) -> tuple[str | None, int, dict[str, Any]]:
    """Each candidate in turn, with all its output, then with one token less, until `check` says yes."""
    for candidate in world["candidates"]:
        least = candidate.minimum_output_tokens
        for output in range(
            candidate.max_output_tokens, (candidate.max_output_tokens if least is None else least) - 1, -1
        ):
            amounts = cost(world, candidate, output)
            if amounts is None:
                break
            if control.check(**ASK, amounts=amounts, dimensions={"model": candidate.model}):
                return candidate.model, output, amounts
    return None, 0, {}


@given(world=worlds(), holds=st.booleans())
@settings(max_examples=150, deadline=None)
def test_fit_equals_brute_force(world: dict[str, Any], holds: bool) -> None:
    with UsageControl(":memory:") as control:
        model = flat({"top": None, "a": None})
        model["resources"][1]["parentResourceId"] = "top"
        control.apply(
            model
            | {
                "creditCurrencies": [{"id": "usd", "decimals": 9}, {"id": TOKENS}],
                "allocations": world["limits"],
                "prices": [
                    one | {"perMillion": {name: str(number) for name, number in one["perMillion"].items()}}
                    for one in world["prices"]
                ],
                "rates": world["rates"],
                "grants": [
                    {"id": f"g{at}", "customerId": "c", "creditCurrency": TOKENS, "amount": amount}
                    for at, amount in enumerate(world["grants"])
                ],
            }
        )
        control.report(customer_id="c", resource_ids=["a"], amounts=world["spent"])
        if holds:
            with suppress(AccessDenied):
                control.reserve(**ASK, credit_currency=TOKENS, amount=30, minimum=0)
        expected = brute(control, world)
        ask = ASK | {"event_name": "chat", "credit_currency": world["currency"]}
        try:
            fit = control.fit(**ask, candidates=world["candidates"])
        except (PriceNotFound, RateNotFound):
            assert all(cost(world, one, 1) is None for one in world["candidates"])
            return
        assert (fit.model, fit.max_output_tokens, dict(fit.amounts)) == expected
        assert_refused(fit, world)
        if not fit:
            with pytest.raises(AccessDenied):
                control.reserve(**ask, fit=world["candidates"])
            return
        held = control.reserve(**ask, fit=world["candidates"])
        assert (held.fit.model, held.fit.max_output_tokens, held.amounts) == expected
        assert held.fit.amounts == fit.amounts
        assert control.verify() == []


def assert_refused(fit: Fit, world: Mapping[str, Any]) -> None:
    """Every candidate before the one that fits, each by a limit that its least passes."""
    before: Iterator[Candidate] = iter(world["candidates"])
    for refused in fit.refused:
        candidate = next(before)
        assert refused.candidate == candidate
        least = candidate.minimum_output_tokens
        amounts = cost(world, candidate, candidate.max_output_tokens if least is None else least)
        if amounts is None:
            assert refused.error is not None
            continue
        assert refused.decision.requested == amounts
        assert not refused.binding.allowed
    assert fit.candidate == next(before, None)
