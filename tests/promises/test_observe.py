"""observe: a response is booked at what it cost; what cannot be told is loud, and never nothing."""

import asyncio
import decimal
import gc
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from stiggctl import Call, InvalidAmount, InvalidModel, InvalidRequest, LedgerTrouble, UsageControl
from stiggctl.prices import PriceNotFound, Usage, UsageUnclear, cost_of
from stiggctl.testing import ManualClock
from tests.prices import payloads
from tests.prices.test_streams import STREAMS, USAGE, Known, messages

from .saying import TOKENS, Face, flat, numbers

USD: dict[str, Any] = {"resource_ids": ["a"], "credit_currency": "usd", "customer_id": "c"}
ESTIMATE = Decimal("0.02")
PER_MILLION = {"input": "1.25", "cache_read": "0.125", "output": 10, "reasoning": "10.00"}
AGREED = {"model": "a-model", "perMillion": PER_MILLION}
COST = Decimal("0.00059375")  # 25 input, 100 cached, 15 output, 40 reasoning
RESPONSE = payloads.chat(USAGE)

Block = Callable[[Call], object]
Inside = Callable[..., Call]


@pytest.fixture
def priced(control: UsageControl) -> UsageControl:
    """Resource a of c with 1,000 ai-tokens and 10 usd, and a price for a-model."""
    control.apply(
        flat({"a": 1000}) | {"creditCurrencies": [{"id": "usd", "decimals": 9}], "prices": [AGREED]}
    )
    control.set_allocation(resource_id="a", credit_currency="usd", limit=10, customer_id="c")
    return control


@pytest.fixture
def told(priced: UsageControl) -> list[LedgerTrouble]:
    records: list[LedgerTrouble] = []
    priced.subscribe(records.append)
    return records


@pytest.fixture
def inside(priced: UsageControl, face: Face) -> Iterator[Inside]:
    """Runs a block in a guard, in either face; the call that it had. Nothing stays held."""

    def run(block: Block, **asked: Any) -> Call:
        asked = USD | {"estimate": ESTIMATE} | asked
        calls: list[Call] = []

        def within(call: Call) -> None:
            calls.append(call)
            block(call)

        async def awaited() -> None:
            async with priced.guard(**asked) as call:
                await asyncio.sleep(0)
                within(call)

        if face == "sync":
            with priced.guard(**asked) as call:
                within(call)
        else:
            asyncio.run(awaited())
        return calls[0]

    yield run
    assert list(priced.reservations()) == []
    assert list(priced.verify()) == []


def observing(*responses: Any, **more: Any) -> Block:
    def block(call: Call) -> None:
        for response in responses:
            call.observe(response, **more)

    return block


def said(control: UsageControl) -> dict[str, Any]:
    """The dimensions of the one event there is."""
    (event,) = control.events(customer_id="c")
    return dict(event.dimensions)


# ------------------------------------------------------------------ what is told


@pytest.mark.parametrize("as_seen", [lambda whole: whole, payloads.as_objects], ids=["mapping", "object"])
def test_a_response_is_booked_at_what_it_cost(
    priced: UsageControl, inside: Inside, told: list[LedgerTrouble], as_seen: Callable[[Any], Any]
) -> None:
    call = inside(observing(as_seen(RESPONSE)))
    assert call.receipt is not None
    assert (call.receipt.charged, call.receipt.estimated) == (COST, False)
    assert told == []
    dimensions = said(priced)
    assert Usage.of_dimensions(dimensions) == replace(USAGE, provider=None)
    assert dimensions["price_source"] == "contract"
    assert dimensions["price_version"] == "contract any/a-model from always (price 1)"


def test_the_hosts_decimal_context_changes_nothing(priced: UsageControl, inside: Inside) -> None:
    def block(call: Call) -> None:
        with decimal.localcontext() as host:
            host.prec = 5
            host.traps[decimal.Inexact] = host.traps[decimal.Rounded] = True
            call.observe(payloads.chat(Usage(input=123_456_789, output=987_654, model="a-model")))

    call = inside(block, estimate=1)
    exact = Fraction(123_456_789) * Fraction("1.25") / 10**6 + Fraction(987_654) * 10 / 10**6
    assert call.receipt is not None
    assert Fraction(call.receipt.charged) == Fraction(-(-exact.numerator * 10**9 // exact.denominator), 10**9)


def test_a_cost_is_rounded_once_up_to_the_currencys_unit(priced: UsageControl, inside: Inside) -> None:
    priced.apply({"creditCurrencies": [{"id": "USD", "decimals": 2}]})
    call = inside(observing(RESPONSE), credit_currency="USD", estimate=1)
    assert call.receipt is not None
    assert call.receipt.charged == Decimal("0.01")


def test_the_last_word_counts(priced: UsageControl, inside: Inside) -> None:
    other = payloads.chat(Usage(input=1_000_000, model="a-model"))

    def charged(block: Block, **asked: Any) -> Any:
        receipt = inside(block, **asked).receipt
        assert receipt is not None
        return receipt.charged, receipt.estimated

    assert charged(observing(other, RESPONSE)) == (COST, False)
    assert charged(observing(RESPONSE, other)) == (Decimal("1.25"), False)
    assert charged(observing({"object": "chat.completion"}, RESPONSE)) == (COST, False)
    assert charged(lambda call: (call.used("0.5"), call.observe(RESPONSE))) == (COST, False)
    assert charged(lambda call: (call.observe(RESPONSE), call.used(0))) == (0, False)
    assert charged(
        lambda call: (call.used(0), call.observe(RESPONSE), call.used(0), call.observe(RESPONSE))
    ) == (
        COST,
        False,
    )
    assert charged(lambda call: (call.observe({}), call.used("0.5"))) == (Decimal("0.5"), False)


def test_what_used_tells_has_no_price_of_ours(priced: UsageControl, inside: Inside) -> None:
    inside(lambda call: (call.observe(RESPONSE), call.used("0.5")))
    dimensions = said(priced)
    assert (dimensions["output_tokens"], dimensions["model"]) == (15, "a-model")
    assert "price_source" not in dimensions


def test_what_a_stream_adds_has_no_price_of_ours(priced: UsageControl, inside: Inside) -> None:
    def block(call: Call) -> None:
        call.observe(RESPONSE)
        assert list(call.stream("ab", amount=lambda _: "0.001")) == ["a", "b"]

    call = inside(block)
    assert call.receipt is not None
    assert call.receipt.charged == COST + Decimal("0.002")
    assert "price_source" not in said(priced)


def test_the_caller_names_what_a_response_does_not(priced: UsageControl, inside: Inside) -> None:
    whole = payloads.converse(Usage(input=1000))
    call = inside(observing(whole, model="a-model", provider="mine"))
    assert call.receipt is not None
    assert (call.receipt.charged, call.receipt.estimated) == (Decimal("0.00125"), False)
    assert (said(priced)["model"], said(priced)["provider"]) == ("a-model", "mine")


def test_nothing_is_observed_after_the_block(priced: UsageControl) -> None:
    with priced.guard(**USD, estimate=ESTIMATE) as call:
        call.observe(RESPONSE)
    with pytest.raises(InvalidRequest, match="guarded block"):
        call.observe(RESPONSE)


# ------------------------------------------------------------------ currencies


@pytest.mark.parametrize("names", [("usd", TOKENS), (TOKENS, "usd")], ids=" ".join)
def test_of_several_currencies_the_money_is_told(
    priced: UsageControl, inside: Inside, names: tuple[str, str]
) -> None:
    estimate = {name: {"usd": ESTIMATE, TOKENS: 75}[name] for name in names}
    asked = {"estimate": estimate, "credit_currency": None}

    def block(call: Call) -> None:
        call.used({TOKENS: 61})
        call.observe(RESPONSE)

    receipt = inside(block, **asked).receipt
    assert receipt is not None
    assert (receipt.amounts, receipt.estimated) == ({"usd": COST, TOKENS: 61}, False)


@pytest.mark.parametrize("currencies", [{TOKENS: 75}, {TOKENS: 75, "usd": ESTIMATE}], ids=" ".join)
def test_a_currency_that_nothing_tells_is_booked_at_its_estimate(
    inside: Inside, told: list[LedgerTrouble], currencies: dict[str, Any]
) -> None:
    """OG2: a price in dollars says nothing of points, and nobody's silence is a 0."""
    receipt = inside(observing(RESPONSE), estimate=currencies, credit_currency=None).receipt
    assert receipt is not None
    assert receipt.amounts == ({TOKENS: 75, "usd": COST} if "usd" in currencies else {TOKENS: 75})
    assert receipt.estimated
    (record,) = told
    assert isinstance(record.error.__cause__, InvalidRequest)
    assert "got 'ai-tokens', expected a rate" in str(record.error)


def test_what_the_caller_told_of_such_a_currency_stands(
    priced: UsageControl, inside: Inside, told: list[LedgerTrouble]
) -> None:
    priced.apply({"creditCurrencies": [{"id": "points"}]})
    estimate = {"points": 5, TOKENS: 75}
    for block in (
        lambda call: (call.used({TOKENS: 7}), call.observe(RESPONSE)),
        lambda call: (call.observe(RESPONSE), call.used({TOKENS: 7})),
    ):
        receipt = inside(block, estimate=estimate, credit_currency=None).receipt
        assert receipt is not None
        assert (receipt.amounts, receipt.estimated) == ({"points": 0, TOKENS: 7}, False)
    assert told == []


# ------------------------------------------------------------------ beside what is told otherwise


@pytest.mark.parametrize("each_chunk", [True, False], ids=["every chunk", "those with usage"])
def test_chunks_after_the_whole_usage_are_not_charged_on_top(inside: Inside, *, each_chunk: bool) -> None:
    """A stream that is metered and observed costs what its usage says."""
    chunks = [chunk for chunk, _, _ in messages()]

    def block(call: Call) -> None:
        for chunk in call.stream(chunks, amount=lambda _: "0.0008"):
            if each_chunk or chunk["type"] in {"message_start", "message_delta"}:
                call.observe(chunk, model="a-model")

    receipt = inside(block).receipt
    assert receipt is not None
    assert (receipt.charged, receipt.estimated) == (COST, False)


@pytest.mark.parametrize("way", ["replayed", "settled by hand"])
def test_trouble_says_that_the_estimate_is_booked_only_where_it_is(
    inside: Inside, told: list[LedgerTrouble], way: str
) -> None:
    key = "k" if way == "replayed" else None
    inside(observing(RESPONSE), idempotency_key=key)

    def block(call: Call) -> None:
        call.observe({})
        if way == "settled by hand":
            call.reservation.settle("0.7")

    receipt = inside(block, idempotency_key=key).receipt
    assert receipt is not None
    assert not receipt.estimated
    assert told == []


def test_an_event_that_was_settled_by_hand_names_no_price(priced: UsageControl, inside: Inside) -> None:
    inside(lambda call: (call.observe(RESPONSE), call.reservation.settle("0.7")))
    assert said(priced)["output_tokens"] == 15
    assert "price_source" not in said(priced)


# ------------------------------------------------------------------ credits by rates

BOTH: dict[str, Any] = {
    "estimate": {TOKENS: 75, "usd": ESTIMATE},
    "credit_currency": None,
    "event_name": "chat",
}


def output_rate(**more: Any) -> dict[str, Any]:
    """1 credit for each 1,000 tokens of output, reasoning too."""
    terms = [{"dimension": f"{name}_tokens", "credits": 1, "per": 10} for name in ("output", "reasoning")]
    return {"eventName": "chat", "creditCurrency": TOKENS, "terms": terms} | more


def test_credits_are_priced_by_the_rate_of_the_event_and_dollars_by_prices(
    priced: UsageControl, inside: Inside, told: list[LedgerTrouble]
) -> None:
    priced.apply({"rates": [output_rate()]})
    receipt = inside(observing(RESPONSE), **BOTH).receipt
    assert receipt is not None
    assert receipt.amounts == {TOKENS: 6, "usd": COST}  # 15 and 40 by 10: 5.5, rounded up once
    assert not receipt.estimated
    assert told == []
    assert said(priced)["price_source"] == "contract"


def test_credits_need_no_price(priced: UsageControl, inside: Inside, told: list[LedgerTrouble]) -> None:
    """A model that nothing has a price for is charged in credits all the same."""
    priced.apply({"rates": [output_rate()]})
    response = payloads.chat(replace(USAGE, model="nobody-has-a-price-for-it"))
    receipt = inside(observing(response), credit_currency=TOKENS, estimate=75, event_name="chat").receipt
    assert receipt is not None
    assert (receipt.charged, receipt.estimated) == (6, False)
    assert told == []
    dimensions = said(priced)
    assert (dimensions["output_tokens"], dimensions["reasoning_tokens"]) == (15, 40)
    assert "price_source" not in dimensions


def test_each_currency_is_told_or_not_by_itself(
    priced: UsageControl, inside: Inside, told: list[LedgerTrouble]
) -> None:
    """Dollars without a price are booked at their estimate; credits are what the rate says."""
    priced.apply({"rates": [output_rate()]})
    response = payloads.chat(replace(USAGE, model="nobody-has-a-price-for-it"))
    receipt = inside(observing(response), **BOTH).receipt
    assert receipt is not None
    assert (receipt.amounts, receipt.estimated) == ({TOKENS: 6, "usd": ESTIMATE}, True)
    assert [type(record.error.__cause__) for record in told] == [PriceNotFound]
    assert said(priced)["output_tokens"] == 15  # what it used is known: it can be priced later


def test_a_stream_that_is_cut_books_the_estimate_of_each(
    priced: UsageControl, inside: Inside, told: list[LedgerTrouble]
) -> None:
    """OG4: an event never says a part of a usage."""
    priced.apply({"rates": [output_rate()]})
    start, _, _ = messages()[0]
    receipt = inside(observing(start), **BOTH).receipt
    assert receipt is not None
    assert (receipt.amounts, receipt.estimated) == ({TOKENS: 75, "usd": ESTIMATE}, True)
    assert [type(record.error.__cause__) for record in told] == [UsageUnclear]
    assert set(said(priced)) <= {"model", "provider"}


def test_a_rate_for_one_model_prices_the_model_that_the_caller_told(
    priced: UsageControl, inside: Inside
) -> None:
    """A response tells its own, longer name; what the caller told stands before it, for rates too."""
    priced.apply({"rates": [output_rate(where={"model": "ours"})]})
    asked = {"credit_currency": TOKENS, "estimate": 75, "event_name": "chat"}
    by_response = inside(observing(RESPONSE), **asked).receipt
    by_caller = inside(observing(RESPONSE), **asked, dimensions={"model": "ours"}).receipt
    assert by_response is not None
    assert by_caller is not None
    assert (by_response.charged, by_response.estimated) == (75, True)
    assert (by_caller.charged, by_caller.estimated) == (6, False)


def test_a_call_has_the_rate_of_its_beginning(priced: UsageControl, inside: Inside) -> None:
    """OG1."""
    priced.apply({"rates": [output_rate()]})

    def block(call: Call) -> None:
        priced.set_rate(event_name="chat", credit_currency=TOKENS, credits=50)
        call.observe(RESPONSE)

    asked = {"credit_currency": TOKENS, "estimate": 75, "event_name": "chat"}
    first, second = (inside(block, **asked).receipt for _ in range(2))
    assert first is not None
    assert second is not None
    assert (first.charged, second.charged) == (6, 50)


def test_a_rate_that_cannot_be_reckoned_is_loud(
    priced: UsageControl, inside: Inside, told: list[LedgerTrouble]
) -> None:
    counts_more = output_rate(terms=[{"dimension": "pages", "credits": 1}])
    priced.apply({"rates": [counts_more]})
    asked = {"credit_currency": TOKENS, "estimate": 75, "event_name": "chat"}
    receipt = inside(observing(RESPONSE), **asked).receipt
    assert receipt is not None
    assert (receipt.charged, receipt.estimated) == (75, True)
    assert "pages" in str(told[0].error)


def test_a_rate_that_the_last_word_no_longer_meets_prices_nothing(
    priced: UsageControl, inside: Inside, told: list[LedgerTrouble]
) -> None:
    """OG2: what it was by an earlier word is no cost of the last one."""
    priced.apply({"rates": [output_rate(where={"model": "a-model"})]})
    response = payloads.chat(replace(USAGE, model="another"))
    asked = {"credit_currency": TOKENS, "estimate": 75, "event_name": "chat"}
    receipt = inside(observing(RESPONSE, response), **asked).receipt
    assert receipt is not None
    assert (receipt.charged, receipt.estimated) == (75, True)
    assert len(told) == 1


def test_a_customers_own_rate_stands_before_that_for_all(priced: UsageControl, inside: Inside) -> None:
    priced.apply({"rates": [output_rate(), output_rate(customerId="c", credits=100)]})
    asked = {"credit_currency": TOKENS, "estimate": 75, "event_name": "chat"}
    receipt = inside(observing(RESPONSE), **asked).receipt
    assert receipt is not None
    assert receipt.charged == 106


def test_a_price_that_is_no_amount_is_of_its_currency_alone(
    priced: UsageControl, inside: Inside, told: list[LedgerTrouble]
) -> None:
    """Dollars are told, though the credits of a mistaken rate are more than any amount may be."""
    priced.apply({"rates": [output_rate(terms=[{"dimension": "output_tokens", "credits": 10**16}])]})
    receipt = inside(observing(RESPONSE), **BOTH).receipt
    assert receipt is not None
    assert (receipt.amounts, receipt.estimated) == ({TOKENS: 75, "usd": COST}, True)
    assert [type(record.error.__cause__) for record in told] == [InvalidAmount]


def test_what_used_tells_is_by_no_rate(priced: UsageControl, inside: Inside) -> None:
    priced.apply({"rates": [output_rate()]})
    asked = {"credit_currency": TOKENS, "estimate": 75, "event_name": "chat"}
    receipt = inside(lambda call: (call.observe(RESPONSE), call.used(9)), **asked).receipt
    assert receipt is not None
    assert (receipt.charged, receipt.estimated) == (9, False)


# ------------------------------------------------------------------ loud


class Untold(Exception):
    """One that cannot even be shown."""

    def __str__(self) -> str:
        raise RuntimeError("no sentence")

    __repr__ = __str__


class Hostile:
    """Raises whatever is asked of it."""

    def __getattr__(self, name: str) -> object:
        raise Untold


UNCLEAR: dict[str, tuple[Any, type[Exception]]] = {
    "no response": (None, UsageUnclear),
    "a float": ({"object": "chat.completion", "usage": {"prompt_tokens": 5.0}}, UsageUnclear),
    "no usage": ({**RESPONSE, "usage": None}, UsageUnclear),
    "contradictory": (
        {**RESPONSE, "usage": {"prompt_tokens": 5, "completion_tokens": 5, "total_tokens": 9}},
        UsageUnclear,
    ),
    "negative": ({**RESPONSE, "usage": {"prompt_tokens": -5, "completion_tokens": 5}}, UsageUnclear),
    "unknown model": (payloads.chat(replace(USAGE, model="no-such-model")), PriceNotFound),
    "no model": (payloads.chat(replace(USAGE, model=None)), PriceNotFound),
    "no price for a class": (
        payloads.chat(Usage(input=1, output_audio=5, model="a-model")),
        PriceNotFound,
    ),
    "hostile": (Hostile(), UsageUnclear),
}
each_unclear = pytest.mark.parametrize("case", UNCLEAR)


@each_unclear
@pytest.mark.parametrize("error", [None, ValueError, KeyboardInterrupt, asyncio.CancelledError])
def test_what_cannot_be_told_is_the_estimate_and_loud(
    priced: UsageControl,
    inside: Inside,
    told: list[LedgerTrouble],
    case: str,
    error: type[BaseException] | None,
) -> None:
    """OG2."""
    response, why = UNCLEAR[case]
    calls: list[Call] = []

    def block(call: Call) -> None:
        calls.append(call)
        call.observe(response)
        if error is not None:
            raise error

    if error is None:
        inside(block)
    else:
        with pytest.raises(error):
            inside(block)
    receipt = calls[0].receipt
    assert receipt is not None
    assert (receipt.charged, receipt.estimated) == (ESTIMATE, True)
    (record,) = told
    assert isinstance(record.error.__cause__, why)
    assert str(record.error.__cause__) in str(record.error)
    assert calls[0].reservation.reservation_id in str(record.error)
    assert "price_source" not in said(priced)


def test_what_was_told_before_is_no_less(
    priced: UsageControl, inside: Inside, told: list[LedgerTrouble]
) -> None:
    """OG2."""
    for before, booked in (("0.5", Decimal("0.5")), ("0.001", ESTIMATE)):
        receipt = inside(lambda call, before=before: (call.used(before), call.observe(None))).receipt
        assert receipt is not None
        assert (receipt.charged, receipt.estimated) == (booked, True)
    assert len(told) == 2


def test_an_event_says_nothing_of_a_response_that_was_not_the_last(
    priced: UsageControl, inside: Inside
) -> None:
    call = inside(observing(RESPONSE, {"object": "chat.completion"}))
    assert call.receipt is not None
    assert (call.receipt.charged, call.receipt.estimated) == (ESTIMATE, True)
    assert said(priced) == {}


def test_who_sets_it_free_is_believed(priced: UsageControl, inside: Inside) -> None:
    call = inside(lambda call: (call.observe(None), call.reservation.release()))
    assert call.receipt is None


def test_a_call_that_nobody_has_any_more_is_booked_too(
    priced: UsageControl, told: list[LedgerTrouble]
) -> None:
    """OG2."""

    def lose() -> None:
        priced.guard(**USD, estimate=ESTIMATE).__enter__().observe(None)

    priced._holder.keeper.stop()  # else its own beat may be at it, and this one does not wait for that
    lose()
    gc.collect()
    priced._holder.keeper.beat(priced._holder.clock.now_us())
    (event,) = priced.events(customer_id="c")
    assert event.amounts == {"usd": ESTIMATE}
    assert len(told) == 1


# ------------------------------------------------------------------ streams


@pytest.mark.parametrize("stream", STREAMS, ids=lambda stream: stream.__name__)
@pytest.mark.parametrize("broken", [False, True], ids=["left", "broken"])
def test_a_stream_cut_at_any_chunk_is_booked_at_its_cost_or_the_estimate_at_least(
    priced: UsageControl,
    inside: Inside,
    told: list[LedgerTrouble],
    stream: Callable[[], list[tuple[Any, Known, bool]]],
    broken: bool,
) -> None:
    """OG2."""
    chunks = stream()
    for cut in range(1, len(chunks) + 1):
        _, known, final = chunks[cut - 1]
        calls: list[Call] = []

        def block(call: Call, cut: int = cut, calls: list[Call] = calls) -> None:
            calls.append(call)
            for chunk, _, _ in chunks[:cut]:
                call.observe(chunk, model="a-model")
            if broken:
                raise ConnectionError

        for estimate in ("0.00000001", "0.02"):
            calls.clear()
            told.clear()
            if broken:
                with pytest.raises(ConnectionError):
                    inside(block, estimate=estimate)
            else:
                inside(block, estimate=estimate)
            cost = Decimal(0)
            if known is not None:
                usage = Usage(input=known[0], cache_read=known[1], output=known[2] + known[3])
                cost = sum(
                    (
                        getattr(usage, name) * Decimal(PER_MILLION[name]) / 10**6
                        for name in ("input", "cache_read", "output")
                    ),
                    Decimal(0),
                )
            receipt = calls[0].receipt
            assert receipt is not None
            assert receipt.charged == (cost if final else max(cost, Decimal(estimate)))
            assert receipt.estimated is not final
            assert len(told) == (not final)


def test_a_word_from_the_caller_outlasts_chunks_that_tell_nothing(
    priced: UsageControl, inside: Inside
) -> None:
    chunk = {"type": "content_block_delta", "index": 0, "delta": {"text": "a"}}
    call = inside(lambda call: (call.observe(chunk), call.used("0.5"), call.observe(chunk)))
    assert call.receipt is not None
    assert (call.receipt.charged, call.receipt.estimated) == (Decimal("0.5"), False)


def test_a_metered_stream_ends_at_what_its_usage_says(priced: UsageControl) -> None:
    chunks = [chunk for chunk, _, _ in STREAMS[0]()]
    with priced.guard(**USD, estimate="0.001") as call:
        for chunk in call.stream(chunks, amount=lambda _: "0.0008"):
            call.observe(chunk)
    assert call.receipt is not None
    assert (call.receipt.charged, call.receipt.estimated) == (COST, False)


# ------------------------------------------------------------------ whose price


def test_a_contract_comes_before_the_list_and_a_customers_own_before_all(
    priced: UsageControl, inside: Inside, clock: ManualClock
) -> None:
    usage = Usage(input=1000, output=10, model="gpt-5")

    def charged() -> Any:
        receipt = inside(observing(payloads.chat(usage)), estimate=1).receipt
        assert receipt is not None
        assert not receipt.estimated
        return receipt.charged

    listed = cost_of(usage, at="2026-01-15T12:00:00Z")
    assert charged() == listed.amount
    assert dict(list(priced.events(customer_id="c"))[-1].dimensions)["price_version"] == listed.version
    priced.set_price(model="gpt-*", per_million={"input": 100, "output": 100})
    assert charged() == Decimal("0.101")
    priced.set_price(
        model="*",
        per_million={"input": 200, "output": 200},
        customer_id="c",
        effective_at="2026-01-15T13:00:00Z",
        expires_at="2026-01-15T14:00:00Z",
    )
    priced.put_customer("d")
    priced.set_price(model="gpt-5", per_million={"input": 7, "output": 7}, customer_id="d")
    assert charged() == Decimal("0.101")
    clock.advance(seconds=3600)
    assert charged() == Decimal("0.202")  # a pattern, but the customer's own
    clock.advance(seconds=3600)
    assert charged() == Decimal("0.101")


def test_whose_call_it_is_follows_from_its_resources(priced: UsageControl, inside: Inside) -> None:
    priced.put_customer("d")
    own = {"per_million": {"input": 2, "output": 0}, "each": {"requests": "0.25", "web_searches": "0.5"}}
    priced.set_price(model="*", customer_id="c", **own)
    whole = payloads.messages(Usage(input=1_000_000, model="claude-x"))
    whole["usage"]["server_tool_use"] = {"web_search_requests": 3}
    call = inside(observing(whole), customer_id=None)
    assert call.receipt is not None
    assert (call.receipt.charged, call.receipt.estimated) == (Decimal("3.75"), False)
    assert said(priced)["web_searches"] == 3


def test_prices_are_those_of_the_calls_beginning(
    priced: UsageControl, inside: Inside, clock: ManualClock
) -> None:
    """OG1."""
    priced.set_price(
        model="a-model", per_million={"input": 0, "output": 0}, effective_at="2026-01-15T12:00:01Z"
    )

    def block(call: Call) -> None:
        clock.advance(seconds=5)
        priced.set_price(model="a-model", per_million={"input": 500, "output": 500})
        call.observe(RESPONSE)

    call = inside(block)
    assert call.receipt is not None
    assert call.receipt.charged == COST
    assert said(priced)["price_version"].endswith("(price 1)")
    call = inside(observing(RESPONSE))
    assert call.receipt is not None
    assert (call.receipt.charged, call.receipt.estimated) == (0, False)


def test_a_price_change_never_rewrites_what_is_booked(priced: UsageControl, inside: Inside) -> None:
    inside(observing(RESPONSE))
    before = [(event.amounts, dict(event.dimensions)) for event in priced.events(customer_id="c")]
    priced.set_price(model="a-model", per_million={"input": 1, "output": 1})
    priced.apply({"prices": []}, prune=True)
    assert [(event.amounts, dict(event.dimensions)) for event in priced.events(customer_id="c")] == before
    assert numbers(priced, "a", credit_currency="usd")["a"][0] == COST


# ------------------------------------------------------------------ what the event says


def test_observing_is_no_part_of_the_fingerprint(priced: UsageControl, inside: Inside) -> None:
    """OG3."""
    asked = {"idempotency_key": "k", "dimensions": {"feature": "chat"}, "event_name": "chat"}
    first = inside(observing(RESPONSE), **asked).receipt
    other = payloads.chat(Usage(input=1_000_000, output=5, model="a-model"))
    for block in (observing(other), observing(None), lambda call: call.used("0.7")):
        again = inside(block, **asked).receipt
        assert again is not None
        assert first is not None
        assert (again.event_id, again.charged, again.duplicate) == (first.event_id, COST, True)
    assert said(priced)["output_tokens"] == 15


def test_what_the_caller_gave_wins(priced: UsageControl, inside: Inside) -> None:
    """EN1."""
    inside(observing(RESPONSE), dimensions={"model": "mine", "input_tokens": 7, "price_source": "me"})
    dimensions = said(priced)
    assert (dimensions["model"], dimensions["input_tokens"]) == ("mine", 7)
    assert (dimensions["price_source"], dimensions["output_tokens"]) == ("me", 15)


@pytest.mark.parametrize("given", range(33))
def test_an_event_says_what_it_has_room_for(priced: UsageControl, given: int) -> None:
    """EN1."""
    mine = {f"d{at}": "x" for at in range(given)}
    with priced.guard(**USD, estimate=ESTIMATE, dimensions=mine) as call:
        call.observe(RESPONSE)
    assert call.receipt is not None
    assert call.receipt.charged == COST
    dimensions = said(priced)
    assert dimensions.items() >= mine.items()
    assert len(dimensions) <= 32
    counts = {name for name in dimensions if name.endswith("_tokens")}
    assert len(counts) in {0, *range(4, 9)}  # all that were used, or none
    if given <= 28:
        assert Usage.of_dimensions(dimensions).total == USAGE.total
    if given <= 25:
        assert dimensions["price_source"] == "contract"


def test_an_event_says_no_more_bytes_than_it_may(priced: UsageControl) -> None:
    """EN1."""
    for length in (3_900, 4_000, 4_050, 4_095):
        with priced.guard(**USD, estimate=ESTIMATE, dimensions={"d": "é" * (length // 2)}) as call:
            call.observe(RESPONSE)
        assert call.receipt is not None
        said_ = dict(list(priced.events(customer_id="c"))[-1].dimensions)
        assert sum(len(f"{name}{value}".encode()) for name, value in said_.items()) <= 4_096
    assert said_.keys() == {"d"}


@pytest.mark.parametrize("name", ["a\0b", "\ud800"])
def test_a_name_that_no_dimension_may_be_is_left_out(priced: UsageControl, inside: Inside, name: str) -> None:
    priced.set_price(model="*", per_million={"input": 1, "output": 1})
    call = inside(observing(payloads.chat(replace(USAGE, model=name))))
    assert call.receipt is not None
    assert "model" not in said(priced)
    assert said(priced)["price_source"] == "contract"


def test_a_dimension_that_limits_ask_for_is_what_the_caller_told(
    priced: UsageControl, inside: Inside
) -> None:
    """EN2. `inside` verifies that every counter is what its events say."""
    scoped = {"resource_id": "a", "credit_currency": "usd", "customer_id": "c", "limit": 5}

    def used() -> dict[str, Any]:
        found = priced.check(
            **USD, requested_usage=0, dimensions={"model": "a-model", "output_tokens": 15}
        ).limits
        return {str(limit.scope): limit.used for limit in found if limit.scope}

    inside(observing(RESPONSE))  # before there is a scope: it says its model
    priced.set_allocation(**scoped, scope={"model": "a-model"})
    inside(observing(RESPONSE))
    inside(observing(RESPONSE), dimensions={"model": "a-model"})
    assert set(used().values()) == {2 * COST}

    def block(call: Call) -> None:
        priced.set_allocation(**scoped, scope={"output_tokens": 15})  # while the call is under way
        call.observe(RESPONSE)

    inside(block)
    counts = [
        {"model", "output_tokens"} & event.dimensions.keys() for event in priced.events(customer_id="c")
    ]
    assert counts == [{"model", "output_tokens"}, {"output_tokens"}, {"model", "output_tokens"}, set()]
    assert sorted(used().values()) == [2 * COST, 3 * COST]


def test_a_reversal_says_the_same(priced: UsageControl, inside: Inside) -> None:
    receipt = inside(observing(RESPONSE)).receipt
    assert receipt is not None
    assert receipt.event_id is not None
    priced.reverse(receipt.event_id, reason="not mine", actor="ops")
    first, second = priced.events(customer_id="c")
    assert first.dimensions.items() <= second.dimensions.items()
    assert numbers(priced, "a", credit_currency="usd")["a"][0] == 0


# ------------------------------------------------------------------ the model


def test_a_price_is_set_told_and_refused(priced: UsageControl) -> None:
    changed = priced.set_price(
        model="a-model", per_million={"input": Decimal("2.50"), "output": "1e1"}, actor="ops", reason="deal"
    )
    assert changed.changed == ("price of a-model",)
    assert not priced.set_price(model="a-model", per_million={"output": 10, "input": "2.5"})
    (line,) = [line for line in priced.audit() if line.verb == "set_price"]
    assert (line.actor, line.reason, line.subject) == ("ops", "deal", "price of a-model")
    assert priced.export_model().as_dict()["prices"] == (
        {"model": "a-model", "perMillion": {"input": Decimal("2.5"), "output": 10}},
    )
    with pytest.raises(InvalidModel, match="did you mean 'output'"):
        priced.set_price(model="b", per_million={"outputs": 1})
    with pytest.raises(InvalidModel, match="a float is not exact"):
        priced.set_price(model="b", per_million={"input": 0.5})  # type: ignore[dict-item]  # a float
    with pytest.raises(InvalidModel, match="at least one price"):
        priced.set_price(model="b")
