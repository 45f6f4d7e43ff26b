"""Priced by: an amount on the ledger names the rate that it is the price of, and no other amount does."""

from collections.abc import Callable
from typing import Any

import pytest

from stiggctl import Call, Candidate, UsageControl
from stiggctl.prices import Usage
from tests.prices import payloads
from tests.prices.test_streams import messages

from .faulty import ANN, Faulty, gone, make_faulty

RESPONSE = payloads.chat(Usage(input=10, output=60, model="m"))
#: 6 for the response above.
RATE: dict[str, Any] = {
    "event_name": "chat",
    "credit_currency": "t",
    "terms": [{"dimension": "output_tokens", "credits": 1, "per": 10}],
}
GUARD: dict[str, Any] = ANN | {"estimate": 40, "event_name": "chat"}

Block = Callable[[Call], object]


@pytest.fixture
def control(control: UsageControl) -> UsageControl:
    control.apply({"creditCurrencies": [{"id": "points"}]})
    control.set_rate(event_name="other", credit_currency="t", credits=1)
    control.set_rate(**RATE)
    return control


def booked(control: UsageControl) -> list[tuple[str, int, str | None]]:
    """Of the one event there is: currency, units, and the name of the event whose rate it has."""
    holder = control._holder
    with holder.ledger.reader() as reader:
        (event,) = reader.events()
        names = {row.id: row.event_name for row in reader.rates()}
        currencies = {row.id: row.currency_id for row in reader.currencies()}
    return [
        (currencies[one.currency], one.amount_units, None if one.rate is None else names[one.rate])
        for one in event.parts
    ]


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        (lambda call: call.observe(RESPONSE), (6, "chat")),
        (lambda call: (call.used(9), call.observe(RESPONSE)), (6, "chat")),
        (lambda call: (call.observe(RESPONSE), call.used(6)), (6, None)),
        (lambda call: (call.observe(RESPONSE), list(call.stream("abc", amount=len))), (9, None)),
        (lambda call: (call.observe(RESPONSE), list(call.stream("", amount=len))), (6, "chat")),
        (lambda call: (call.observe(RESPONSE), call.reservation.settle(9)), (9, None)),
        (lambda call: call.observe(messages()[0][0]), (40, None)),  # cut: its estimate
        (lambda call: None, (40, None)),
    ],
    ids=["observed", "used-observed", "used", "streamed", "empty-stream", "settled", "cut", "untold"],
)
def test_the_rate_stands_where_its_price_is_booked(
    control: UsageControl, block: Block, expected: tuple[int, str | None]
) -> None:
    with control.guard(**GUARD) as call:
        block(call)
    assert booked(control) == [("t", *expected)]


def test_of_several_currencies_each_has_its_own(control: UsageControl) -> None:
    guard = GUARD | {"credit_currency": None, "estimate": {"points": 6, "t": 40}}
    with control.guard(**guard) as call:
        call.observe(RESPONSE)
    assert booked(control) == [("points", 6, None), ("t", 6, "chat")]


def test_a_part_of_a_price_is_by_no_rate(control: UsageControl) -> None:
    """OG4: of a stream that was cut, also where what it told by then is more than the estimate."""
    control.set_rate(**RATE | {"credits": 50})
    with control.guard(**GUARD) as call:
        call.observe(messages()[0][0])
    ((currency, units, rate),) = booked(control)
    assert (currency, units > 40, rate) == ("t", True, None)


@pytest.mark.parametrize("policy", ["fail_open"])
@pytest.mark.parametrize("admitted", ["by the ledger", "by the policy"])
def test_what_is_sent_later_has_it_too(control: UsageControl, admitted: str) -> None:
    control.reserve(**ANN, amount=1).release()
    faulty: Faulty = make_faulty(control)
    if admitted == "by the policy":
        faulty.reading = gone()
    with control.guard(**GUARD | {"estimate": 40 if admitted == "by the ledger" else 400}) as call:
        call.observe(RESPONSE)
        faulty.reading = gone()
        faulty.before.append(gone())
    assert call.receipt is None
    faulty.reading = None
    faulty.before.clear()
    control._holder.keeper.beat(control._holder.clock.now_us())
    assert booked(control) == [("t", 6, "chat")]


def test_a_candidate_that_is_observed_has_its_rate(control: UsageControl) -> None:
    with control.guard(**ANN, event_name="chat", fit=[Candidate("m", 10, 500, 5)]) as call:
        call.observe(RESPONSE)
    assert booked(control) == [("t", 6, "chat")]
