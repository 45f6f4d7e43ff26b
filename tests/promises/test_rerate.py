"""rerate: what other prices would have made of booked usage; booked beside it, where that is told.

RR1, RR2, RR3, AJ1, AD1, AD2, AD3, RV1, RV2, RT1, RT2, CM1, KY1: each is cited at the test that shows it.
"""

import itertools
import math
import tempfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from stiggctl import (
    BookedEvent,
    CurrencyNotFound,
    CustomerNotFound,
    InvalidModel,
    InvalidRequest,
    InvalidTimestamp,
    Progress,
    RerateRow,
    Rerating,
    UsageControl,
)
from stiggctl.prices import ContractPrice, Usage
from stiggctl.testing import ManualClock
from tests.prices import payloads

from .saying import TOKENS, Say, at_once, numbers

NOON = datetime(2026, 1, 15, 12, tzinfo=UTC)
ALL: dict[str, Any] = {"since": "2025-12-01T00:00:00Z", "until": "2026-03-01T00:00:00Z"}
BOOK: dict[str, Any] = {**ALL, "book": True, "reason": "the price was wrong", "actor": "maria"}
#: So many input tokens cost a cent where a million costs a dollar.
A_CENT = 10_000

MODEL: dict[str, Any] = {
    "creditCurrencies": [{"id": "usd", "decimals": 2}, {"id": TOKENS}],
    "resourceTypes": [{"id": "team"}, {"id": "user", "parentResourceTypeId": "team"}],
    "resources": [
        {"id": "team", "resourceTypeId": "team", "customerId": "c"},
        {"id": "ana", "resourceTypeId": "user", "parentResourceId": "team"},
        {"id": "bob", "resourceTypeId": "user", "parentResourceId": "team"},
    ],
    "allocations": [
        {"resourceId": "team", "creditCurrency": "usd", "limit": 20},
        {"resourceId": "team", "creditCurrency": "usd", "limit": 10, "cadence": "day"},
        {"resourceId": "ana", "creditCurrency": "usd", "limit": 5, "cadence": "hour", "rolling": True},
        {"resourceId": "ana", "creditCurrency": "usd", "limit": 5, "scope": {"feature": "chat"}},
        {"resourceId": "team", "creditCurrency": TOKENS, "limit": 100},
    ],
    "prices": [{"model": "m", "perMillion": {"input": 1}}],
}


def at(hours: float) -> datetime:
    return NOON + timedelta(hours=hours)


@pytest.fixture
def c(control: UsageControl) -> UsageControl:
    """A team with two users, and a dollar a million tokens of m."""
    control.apply(MODEL)
    return control


def priced(
    control: UsageControl, tokens: int, amount: object, *, hours: float = 0, who: str = "ana", **said: object
) -> str:
    """An event as a response of m leaves it; its id."""
    dimensions = {
        **Usage(input=tokens, model="m").as_dimensions(),
        "price_source": "contract",
        "price_version": "contract any/m from always (price 1)",
        **said,
    }
    receipt = control.report(
        customer_id="c",
        resource_ids=[who],
        credit_currency="usd",
        amount=str(amount),
        timestamp=at(hours),
        dimensions=dimensions,  # type: ignore[arg-type]  # each is one
    )
    assert receipt.event_id is not None
    return receipt.event_id


def net(control: UsageControl) -> dict[str, Any]:
    """Each event -> what it comes to by now, in dollars: with its adjustments, without what was reversed."""
    events = {one.event_id: one for one in control.events()}
    gone = {one.reverses for one in events.values()}
    found: dict[str, Any] = {}
    for one in events.values():
        if one.reverses is None and one.event_id not in gone and "usd" in one.amounts:
            first = one.event_id if one.adjusts is None else one.adjusts
            found[first] = found.get(first, 0) + one.amounts["usd"]
    return found


def adjustments(control: UsageControl) -> list[BookedEvent]:
    return [one for one in control.events() if one.adjusts is not None and one.reverses is None]


def used(control: UsageControl, who: str = "ana", feature: str | None = None) -> list[Any]:
    """What is used of each limit over one, in dollars: the team's, of a day, of the feature, of an hour."""
    dimensions = {} if feature is None else {"feature": feature}
    asked = {"resource_ids": [who], "credit_currency": "usd", "requested_usage": 0, "dimensions": dimensions}
    return [limit.used for limit in control.check(**asked).limits if not limit.is_pool]


def grant(control: UsageControl, name: str, amount: Any, **more: Any) -> None:
    control.grant_credits(
        customer_id="c",
        credit_currency="usd",
        grant_id=name,
        amount=amount,
        **more,
    )


def left(control: UsageControl) -> dict[str, Any]:
    """What is used of each grant."""
    return {one.grant_id: one.used for one in control.grants("c")}


# ------------------------------------------------------------------ what is told


def test_it_shows_the_difference_that_another_price_makes_and_writes_nothing(
    c: UsageControl, say: Say
) -> None:
    first = priced(c, 200 * A_CENT, 2)
    priced(c, 300 * A_CENT, 3, who="bob", hours=-1)
    c.set_price(model="m", per_million={"input": "1.5"})
    before = list(c.events())
    rerating: Rerating = say("rerate", **ALL)
    [total] = rerating.totals
    assert total[:2] == ("usd", None)
    assert total[2:] == (2, 5, Decimal("7.5"), Decimal("2.5"), 0)
    assert [one.model for one in rerating.models] == ["m"]
    assert [row.charged for row in rerating.rows] == [3, 2]  # in order of their instants
    [_, row] = rerating.rows
    assert row == RerateRow(
        event_id=first,
        customer_id="c",
        event_name=None,
        model="m",
        credit_currency="usd",
        occurred_at=NOON,
        charged=Decimal(2),
        would_be=Decimal(3),
        difference=Decimal(1),
        price_version="contract any/m from always (price 1)",
        new_price_version="contract any/m from always (price 2)",
        adjustment_id=None,
    )
    assert list(rerating.unpriced) == []
    assert (rerating.adjustments, rerating.is_booked, rerating.reasons) == (0, False, {})
    assert list(c.events()) == before
    assert used(c) == [5, 5, 2]


def test_it_says_so_on_a_terminal_and_as_json(c: UsageControl, say: Say) -> None:
    priced(c, 200 * A_CENT, 2)
    priced(c, 100, 1, model="bell\a")
    c.set_price(model="m", per_million={"input": "1.5"})
    rerating = say("rerate", **ALL)
    assert str(rerating).splitlines()[:2] == [
        "from 2025-12-01T00:00:00Z until 2026-03-01T00:00:00Z: rated anew",
        "usd: charged 2, would be 3 (+1; 1 event; 1 unpriced)",
    ]
    assert str(rerating).endswith("\nnothing was booked")
    assert all(char.isprintable() or char == "\n" for char in str(rerating))
    assert repr(rerating).startswith("<Rerating from 2025-12-01")
    told = rerating.as_dict()
    assert told["totals"] == [
        {
            "creditCurrency": "usd",
            "model": None,
            "events": 1,
            "charged": "2",
            "wouldBe": "3",
            "difference": "1",
            "unpriced": 1,
        }
    ]
    assert (told["booked"], told["adjustments"], list(told["unpriced"].values())) == (False, 0, [1])
    [row], [unpriced] = rerating.rows, rerating.unpriced
    assert (row.as_dict()["wouldBe"], row.as_dict()["timestamp"]) == ("3", "2026-01-15T12:00:00Z")
    assert (unpriced.as_dict()["charged"], unpriced.as_dict()["model"]) == ("1", "bell\a")
    booked = say("rerate", **BOOK)
    assert str(booked).endswith("\nbooked 1 adjustments")
    assert say("rerate", "2020-01-01T00:00:00Z", "2020-02-01T00:00:00Z").totals == ()


def test_many_models_are_told_by_what_they_differ_most(c: UsageControl, say: Say) -> None:
    for number in range(15):
        priced(c, number * 10 * A_CENT, "0.01", model=f"m{number:02}")
    c.set_price(model="m?*", per_million={"input": 1})
    rerating = say("rerate", **ALL)
    assert len(rerating.models) == 15
    lines = str(rerating).splitlines()
    assert (lines[2].split(":")[0], lines[-2], lines[-1]) == ("  'm14'", "  and 3 more", "nothing was booked")


def test_progress_is_told_of_what_was_looked_at(c: UsageControl, say: Say) -> None:
    told: list[Progress] = []
    for number in range(3):
        priced(c, number, 1)
    say("rerate", **ALL, progress=told.append)
    assert [(one.phase, one.done, one.total) for one in told] == [("rating", 3, None)]


def test_rows_are_of_the_moment_at_which_it_was_asked(c: UsageControl, say: Say) -> None:
    """RR3."""
    first = priced(c, 200 * A_CENT, 2, hours=-1)
    second = priced(c, 200 * A_CENT, 2)
    c.set_price(model="m", per_million={"input": 2})
    booked = say("rerate", **BOOK)
    asked = list(booked.rows)
    c.reverse(second, reason="refund")
    priced(c, 500, 1)
    c.set_price(model="m", per_million={"input": 7})
    say("rerate", **BOOK)
    assert list(booked.rows) == asked
    assert [(row.event_id, row.charged, row.would_be) for row in asked] == [(first, 2, 4), (second, 2, 4)]
    assert [row.adjustment_id for row in asked] == [one.event_id for one in adjustments(c)[:1]] + [
        next(one.event_id for one in c.events() if one.adjusts == second)
    ]


# ------------------------------------------------------------------ what is rated anew


def test_what_an_application_told_by_hand_stays(c: UsageControl, say: Say) -> None:
    """RR1."""
    usage = Usage(input=200 * A_CENT, model="m").as_dimensions()
    told = {"customer_id": "c", "resource_ids": ["ana"], "credit_currency": "usd", "timestamp": NOON}
    c.report(**told, amount=1, dimensions=usage)  # type: ignore[arg-type]  # as above
    c.report(**told, amount=1, event_name="chat")  # type: ignore[arg-type]  # as above
    c.set_rate(event_name="chat", credit_currency="usd", credits=5)  # later, and what was told stands
    with c.guard(resource_ids=["ana"], credit_currency="usd", estimate=1):
        pass  # an estimate of which nothing says what was used
    assert say("rerate", **ALL).totals == ()


def test_a_price_that_begins_in_the_past_is_that_of_the_events_since(c: UsageControl, say: Say) -> None:
    """RR2: of their instants, not of now."""
    for hours in (-2, -1, 0):
        priced(c, 100 * A_CENT, 1, hours=hours)
    c.set_price(model="m", effective_at=at(-1), expires_at=at(0), per_million={"input": 3})
    assert [row.would_be for row in say("rerate", **ALL).rows] == [1, 3, 1]


def test_a_customers_own_price_stands_before_one_for_all(c: UsageControl, say: Say) -> None:
    """CM1."""
    priced(c, 100 * A_CENT, 1)
    c.set_price(model="m", customer_id="c", per_million={"input": 4})
    c.set_price(model="m", provider="openai", effective_at=at(-1), per_million={"input": 5})
    [row] = say("rerate", **ALL).rows
    assert (row.would_be, row.new_price_version) == (4, "contract any/m from always (price 2)")


def test_the_list_is_that_of_the_events_instant(c: UsageControl, say: Say) -> None:
    priced(c, 10**6, 9, model="gpt-5", provider="openai", price_source="list")
    [row] = say("rerate", **ALL).rows
    assert row.would_be == Decimal("1.25")
    assert row.new_price_version.startswith("genai-prices ")


def test_since_is_included_and_until_is_not(c: UsageControl, say: Say) -> None:
    for hours in (-2, -1, 0):
        priced(c, 1, 1, hours=hours)
    found = say("rerate", at(-2), at(0)).rows
    assert [row.occurred_at for row in found] == [at(-2), at(-1)]
    assert list(say("rerate", at(-1), at(-1)).rows) == []


def test_only_what_was_asked_for(c: UsageControl, say: Say) -> None:
    c.apply({"resources": [{"id": "x", "resourceTypeId": "team", "customerId": "d"}]})
    priced(c, 100 * A_CENT, 2)
    told: dict[str, Any] = {"price_source": "contract", "input_tokens": A_CENT, "model": "m"}
    for name in ("chat", "draw"):
        c.report(
            customer_id="d", credit_currency="usd", amount=2, event_name=name, dimensions=told, timestamp=NOON
        )

    def found(**asked: object) -> list[Any]:
        return [(row.customer_id, row.event_name) for row in say("rerate", **ALL, **asked).rows]

    assert found() == [("c", None), ("d", "chat"), ("d", "draw")]
    assert found(customer_id="d") == [("d", "chat"), ("d", "draw")]
    assert found(event_name="draw") == [("d", "draw")]
    assert found(credit_currency=TOKENS) == []
    assert found(credit_currency="usd", customer_id="c") == [("c", None)]
    say("rerate", **BOOK, customer_id="d", event_name="chat")
    assert [one.customer_id for one in adjustments(c)] == ["d"]


@pytest.mark.parametrize(
    ("asked", "error"),
    [
        ({"customer_id": "nobody"}, CustomerNotFound),
        ({"credit_currency": "gold"}, CurrencyNotFound),
        ({"since": "2026-01-01"}, InvalidTimestamp),
        ({"until": "2025-01-01T00:00:00Z"}, InvalidRequest),
        ({"book": True}, InvalidRequest),
        ({"book": True, "reason": ""}, InvalidRequest),
        ({"book": True, "reason": "r", "actor": 5}, InvalidRequest),
        ({"prices": {"model": "m"}}, InvalidRequest),
        ({"prices": [{"model": "m", "perMillions": {"input": 1}}]}, InvalidModel),
        ({"prices": [{"model": "m", "perMillion": {"inputs": 1}}]}, InvalidRequest),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_booked(
    c: UsageControl, say: Say, asked: dict[str, Any], error: type[Exception]
) -> None:
    priced(c, 1, 1)
    before = list(c.events())
    with pytest.raises(error):
        say("rerate", **{**ALL, **asked})
    assert list(c.events()) == before


# ------------------------------------------------------------------ rates


def report_rated(control: UsageControl, **dimensions: object) -> Any:
    return control.report(
        customer_id="c",
        event_name="chat",
        resource_ids=["ana"],
        timestamp=NOON,
        dimensions=dimensions,  # type: ignore[arg-type]  # each is one
    )


def test_what_a_rate_charged_is_rated_by_the_rates_of_now(c: UsageControl, say: Say) -> None:
    """RR1, AJ1."""
    by_tokens = {"credits": 1, "terms": [{"dimension": "tokens", "credits": 1, "per": 1000}]}
    c.set_rate(event_name="chat", credit_currency=TOKENS, **by_tokens)
    receipt = report_rated(c, tokens=2_500, feature="chat")
    assert receipt.charged == 4  # 3.5, rounded up once
    c.set_rate(event_name="chat", credit_currency=TOKENS, credits=3)
    c.set_rate(event_name="chat", credit_currency="usd", credits=9)  # of another currency: it charged none
    [row] = say("rerate", **ALL).rows
    assert row[4:] == (TOKENS, NOON, 4, 3, -1, "rate 1", "rate 2", None)
    say("rerate", **BOOK)
    [one] = adjustments(c)
    assert (one.event_name, one.amounts) == ("chat", {TOKENS: -1})
    assert one.dimensions == {"feature": "chat", "tokens": 2_500} | {
        "rerate_reason": "the price was wrong",
        "rerate_actor": "maria",
    }
    c.set_rate(
        event_name="chat",
        credit_currency=TOKENS,
        credits=2,
        terms=[{"dimension": "tokens", "credits": 1, "per": 1000}],
    )
    say("rerate", **BOOK)
    [_, two] = adjustments(c)
    assert two.amounts == {TOKENS: 2}
    assert "tokens" not in two.dimensions  # the rate counts it: a sum over events must not meet it twice
    assert numbers(c, "ana", customer_id="c")["team"][0] == 5
    assert c.verify() == []


def test_money_by_a_price_and_credits_by_a_rate_are_each_rated_by_its_own(c: UsageControl, say: Say) -> None:
    """One event, and one adjustment of it."""
    c.set_rate(event_name="chat", credit_currency=TOKENS, credits=2)
    c.set_rate(event_name="chat", credit_currency="usd", credits=1)
    event_id = report_rated(c, **Usage(input=200 * A_CENT, model="m").as_dimensions(), price_source="list")
    c.set_rate(event_name="chat", credit_currency=TOKENS, credits=5)
    c.set_rate(event_name="chat", credit_currency="usd", credits="1.5")
    booked = say("rerate", **BOOK)
    assert [(row.credit_currency, row.difference) for row in booked.rows] == [
        (TOKENS, 3),
        ("usd", Decimal("0.5")),
    ]
    [one] = adjustments(c)
    assert (one.adjusts, one.amounts) == (event_id.event_id, {TOKENS: 3, "usd": Decimal("0.5")})
    assert {row.adjustment_id for row in booked.rows} == {one.event_id}
    say("rerate", **{**BOOK, "credit_currency": TOKENS})
    assert len(adjustments(c)) == 1


def test_a_rate_that_begins_later_is_not_that_of_the_event(c: UsageControl, say: Say) -> None:
    """RR2."""
    c.set_rate(event_name="chat", credit_currency=TOKENS, credits=2)
    report_rated(c)
    c.set_rate(event_name="chat", credit_currency=TOKENS, credits=3, effective_at=at(-1))
    c.set_rate(event_name="chat", credit_currency=TOKENS, credits=9, effective_at=at(1))
    assert [row.would_be for row in say("rerate", **ALL).rows] == [3]


def test_a_rate_that_is_gone_leaves_it_unpriced(c: UsageControl, say: Say) -> None:
    c.set_rate(event_name="chat", credit_currency=TOKENS, credits=2)
    report_rated(c)
    later = {"eventName": "chat", "creditCurrency": TOKENS, "credits": 7, "effectiveAt": at(1).isoformat()}
    c.apply({"customers": [{"id": "c"}], "rates": [later]}, prune=True)
    rerating = say("rerate", **BOOK)
    [unpriced] = rerating.unpriced
    assert (unpriced.charged, unpriced.event_name, list(rerating.rows)) == (2, "chat", [])
    assert c.verify() == []


# ------------------------------------------------------------------ estimates


def test_an_estimate_that_says_what_was_used_is_priced_once_there_is_a_price(
    c: UsageControl, say: Say
) -> None:
    """RR1: its model had no price when it was booked."""
    usage = Usage(input=150 * A_CENT, model="new").as_dimensions()
    with c.guard(resource_ids=["ana"], credit_currency="usd", estimate=5, dimensions=usage) as call:
        pass
    assert call.receipt is not None
    assert call.receipt.estimated
    [unpriced] = say("rerate", **BOOK).unpriced
    assert (unpriced.event_id, unpriced.charged) == (call.receipt.event_id, 5)
    assert "'new'" in unpriced.reason
    assert adjustments(c) == []
    c.set_price(model="new", per_million={"input": 2})
    [row] = say("rerate", **BOOK).rows
    assert row[6:11] == (5, 3, -2, None, "contract any/new from always (price 2)")
    assert used(c)[0] == 3
    assert say("rerate", **BOOK).adjustments == 0
    assert c.verify() == []


def test_an_estimate_in_credits_is_no_money(control: UsageControl, say: Say) -> None:
    """Dollars are not booked as credits, though it be the only currency."""
    control.apply(
        {
            "resourceTypes": [{"id": "user"}],
            "resources": [{"id": "ana", "resourceTypeId": "user", "customerId": "c"}],
            "allocations": [{"resourceId": "ana", "creditCurrency": TOKENS, "limit": 500}],
            "prices": [{"model": "m", "perMillion": {"input": 1}}],
        }
    )
    usage = Usage(input=150 * A_CENT, model="m").as_dimensions()
    with control.guard(resource_ids=["ana"], credit_currency=TOKENS, estimate=200, dimensions=usage):
        pass
    assert say("rerate", **ALL).totals == ()


def test_a_stream_that_was_cut_stays_as_it_was_booked(c: UsageControl, say: Say) -> None:
    """RR1: it told a part of its usage, and so its event tells none."""
    start = {"model": "m", "usage": {"input_tokens": 100 * A_CENT, "output_tokens": 0}}
    with c.guard(resource_ids=["ana"], credit_currency="usd", estimate=3) as call:
        call.observe({"type": "message_start", "message": start})
    assert call.receipt is not None
    assert (call.receipt.charged, call.receipt.estimated) == (3, True)
    rerating = say("rerate", **ALL)
    assert (list(rerating.rows), list(rerating.unpriced)) == ([], [])


def test_what_was_observed_without_a_price_is_priced_once_there_is_one(c: UsageControl, say: Say) -> None:
    """RR1: dollars were estimated; credits, which a rate priced, are as they were."""
    rate = {"dimension": "input_tokens", "credits": 1, "per": 10 * A_CENT}
    c.set_rate(event_name="chat", credit_currency=TOKENS, terms=[rate])
    estimate = {"usd": 5, TOKENS: 40}
    with c.guard(resource_ids=["ana"], event_name="chat", estimate=estimate) as call:
        call.observe(payloads.chat(Usage(input=150 * A_CENT, model="new")))
    assert call.receipt is not None
    assert (call.receipt.amounts, call.receipt.estimated) == ({"usd": 5, TOKENS: 15}, True)
    assert [row.event_id for row in say("rerate", **BOOK).unpriced] == [call.receipt.event_id]
    c.set_price(model="new", per_million={"input": 2})
    rows = list(say("rerate", **BOOK).rows)
    assert {row.credit_currency: (row.charged, row.would_be) for row in rows} == {
        "usd": (5, 3),
        TOKENS: (15, 15),
    }
    [one] = adjustments(c)
    assert one.amounts == {"usd": -2}
    assert say("rerate", **BOOK).adjustments == 0
    assert c.verify() == []


def test_what_a_call_observed_is_rated_anew_as_it_was_priced(c: UsageControl, say: Say) -> None:
    with c.guard(resource_ids=["ana"], credit_currency="usd", estimate=3) as call:
        call.observe(payloads.chat(Usage(input=100 * A_CENT, model="m")))
    assert call.receipt is not None
    [row] = say("rerate", **ALL).rows
    assert (row.charged, row.difference, row.price_version) == (1, 0, row.new_price_version)
    c.set_price(model="m", per_million={"input": "0.333333"})
    [row] = say("rerate", **ALL).rows
    assert row.would_be == Decimal("0.34")  # rounded once, up, as when it was booked


# ------------------------------------------------------------------ what has no price


def test_what_cannot_be_priced_is_told_and_the_rest_is_booked(c: UsageControl, say: Say) -> None:
    """RR2: never raised half way, never left out."""
    lost = priced(c, 100 * A_CENT, 1, hours=-0.5, model="gone")
    classless = priced(c, 0, 1, hours=-0.4, output_audio_tokens=5)
    countless = c.report(
        customer_id="c",
        resource_ids=["ana"],
        credit_currency="usd",
        amount=1,
        timestamp=at(-0.3),
        dimensions={"price_source": "list", "model": "m"},
    ).event_id
    wrong = priced(c, 0, 1, hours=-0.2, input_tokens="many")
    priced(c, 200 * A_CENT, 1, hours=-0.1)
    rerating = say("rerate", **BOOK)
    assert [one.event_id for one in rerating.unpriced] == [lost, classless, countless, wrong]
    assert [one.charged for one in rerating.unpriced] == [1, 1, 1, 1]
    assert [row.difference for row in rerating.rows] == [1]
    assert (rerating.adjustments, rerating.totals[0].unpriced, sum(rerating.reasons.values())) == (1, 4, 4)
    assert net(c)[lost] == 1


# ------------------------------------------------------------------ what if


@pytest.mark.parametrize(
    "price",
    [
        ContractPrice(model="m*", per_million={"input": 3}),
        {"model": "m*", "perMillion": {"input": 3}},
        {"model": "m*", "per_million": {"input": "3.00"}, "customerId": "c"},
    ],
)
def test_prices_of_the_question_stand_before_all_of_the_model(
    c: UsageControl, say: Say, price: object
) -> None:
    """CM1; nothing of the model is changed."""
    priced(c, 100 * A_CENT, 1)
    priced(c, 100 * A_CENT, 1, hours=-1, model="other")
    c.set_price(model="m", customer_id="c", per_million={"input": 2})
    model = c.export_model()
    rerating = say("rerate", **ALL, prices=[price])
    [row], [unpriced] = rerating.rows, rerating.unpriced
    assert (row.would_be, row.new_price_version) == (3, "contract any/m* from always (given)")
    assert unpriced.model == "other"  # the question says nothing of it, nor does the model
    assert c.export_model() == model
    assert [row.would_be for row in say("rerate", **ALL).rows] == [2]


def test_a_price_for_another_customer_is_not_this_ones(c: UsageControl, say: Say) -> None:
    priced(c, 100 * A_CENT, 1)
    theirs = {"model": "m", "perMillion": {"input": 3}, "customerId": "d"}
    assert [row.would_be for row in say("rerate", **ALL, prices=[theirs]).rows] == [1]


# ------------------------------------------------------------------ adjustments


def test_an_adjustment_is_an_event_beside_the_one_that_it_adjusts(c: UsageControl, say: Say) -> None:
    """AD1."""
    event_id = priced(c, 200 * A_CENT, 2, hours=-30, feature="chat", request="r-1", team_size=5)
    [first] = c.events()
    c.set_price(model="m", per_million={"input": "1.25"})
    booked = say("rerate", **BOOK)
    assert booked.adjustments == 1
    [same, one] = c.events()
    assert same == first
    assert (one.adjusts, one.reverses, one.idempotency_key, one.reservation_id) == (
        event_id,
        None,
        None,
        None,
    )
    assert (one.amounts, one.occurred_at, one.resource_ids) == (
        {"usd": Decimal("0.5")},
        first.occurred_at,
        first.resource_ids,
    )
    assert one.dimensions == {
        "feature": "chat",
        "request": "r-1",
        "team_size": 5,
        "model": "m",
        "price_source": "contract",
        "price_version": "contract any/m from always (price 2)",
        "rerate_reason": "the price was wrong",
        "rerate_actor": "maria",
    }
    assert (one.late, one.estimated, one.expired) == (True, False, False)
    assert one.as_dict()["adjusts"] == event_id
    assert first.as_dict()["adjusts"] is None
    assert used(c, feature="chat") == [Decimal("2.5"), 0, Decimal("2.5"), 0]
    assert c.verify() == []


def test_it_counts_in_the_windows_and_scopes_of_its_event(c: UsageControl, say: Say) -> None:
    priced(c, 200 * A_CENT, 2, feature="chat")
    priced(c, 200 * A_CENT, 2, hours=-0.25)
    priced(c, 200 * A_CENT, 2, hours=-13)
    c.set_price(model="m", per_million={"input": "2"})
    assert used(c, feature="chat") == [6, 4, 2, 4]
    say("rerate", **BOOK)
    assert used(c, feature="chat") == [12, 8, 4, 8]
    c.set_price(model="m", per_million={"input": "0.5"})
    say("rerate", **BOOK)
    assert used(c, feature="chat") == [3, 2, 1, 2]
    assert c.verify() == []


def test_a_limit_that_counts_by_how_much_was_used_counts_the_adjustment_too(
    c: UsageControl, say: Say
) -> None:
    """AD1: such a dimension stays, though it be a count."""
    c.set_allocation(resource_id="ana", credit_currency="usd", limit=5, scope={"input_tokens": 200 * A_CENT})
    priced(c, 200 * A_CENT, 2)
    c.set_price(model="m", per_million={"input": "2"})
    say("rerate", **BOOK)
    [one] = adjustments(c)
    assert one.dimensions["input_tokens"] == 200 * A_CENT
    asked = {"resource_ids": ["ana"], "credit_currency": "usd", "requested_usage": 0}
    found = c.check(**asked, dimensions={"input_tokens": 200 * A_CENT}).limits
    assert {limit.used for limit in found if limit.scope} == {4}
    assert c.verify() == []


@pytest.mark.parametrize("many", [0, 12, 20])
def test_an_adjustment_says_no_more_than_an_event_may(c: UsageControl, say: Say, many: int) -> None:
    mine = {f"d{at}": "x" * 60 for at in range(many)}
    priced(c, 200 * A_CENT, 2, feature="chat", **mine)
    c.set_price(model="m", per_million={"input": "2"})
    say("rerate", **{**BOOK, "reason": "é" * 255, "actor": "ü" * 255})
    [one] = adjustments(c)
    assert len(one.dimensions) <= 32
    assert sum(len(f"{name}{value}".encode()) for name, value in one.dimensions.items()) <= 4_096
    assert {"rerate_reason", "rerate_actor", "price_version", "model", "feature"} <= one.dimensions.keys()
    assert c.verify() == []


def test_it_goes_where_its_event_was_booked_though_the_user_moved(c: UsageControl, say: Say) -> None:
    c.apply({"resources": [{"id": "other", "resourceTypeId": "team", "customerId": "c"}]})
    priced(c, 200 * A_CENT, 2)
    c.move_resource("ana", "other")
    c.archive_resource("ana")
    c.set_price(model="m", per_million={"input": "2"})
    say("rerate", **BOOK)
    assert used(c, "team") == [4, 4]
    assert c.verify() == []


def test_ids_that_nobody_has_stay_unattributed(c: UsageControl, say: Say) -> None:
    receipt = c.report(
        customer_id="c",
        resource_ids=["nobody"],
        credit_currency="usd",
        amount=2,
        timestamp=NOON,
        dimensions={"price_source": "contract", "input_tokens": 100 * A_CENT, "model": "m"},
    )
    assert receipt.unattributed == ("nobody",)
    say("rerate", **BOOK)
    [one] = adjustments(c)
    assert (one.amounts, one.unattributed, one.resource_ids) == ({"usd": -1}, ("nobody",), ())
    assert receipt.event_id is not None
    c.reverse(receipt.event_id, reason="refund")
    assert c.verify() == []


def test_once_it_is_booked_nothing_differs_any_more(c: UsageControl, say: Say) -> None:
    """AJ1: and a price that comes back is booked back."""
    for number in range(5):
        priced(c, (100 + number) * A_CENT, 1, hours=-number)
    for dollars in ("1.5", "0.1", "1", "0"):
        c.set_price(model="m", per_million={"input": dollars})
        shown = say("rerate", **ALL)
        booked = say("rerate", **BOOK)
        assert booked.totals == shown.totals
        assert booked.adjustments == sum(row.difference != 0 for row in shown.rows)
        again = say("rerate", **BOOK)
        assert again.adjustments == 0
        assert {row.difference for row in again.rows} == {0}
        assert sum(net(c).values()) == again.totals[0].would_be
        assert c.verify() == []


def test_a_price_that_makes_no_difference_books_nothing(c: UsageControl, say: Say) -> None:
    priced(c, 100 * A_CENT, 1)
    c.set_price(model="m", provider="openai", effective_at=at(-1), per_million={"input": 1})
    assert say("rerate", **BOOK).adjustments == 0


def test_what_costs_more_is_overage_as_late_usage_is(c: UsageControl, say: Say) -> None:
    priced(c, 800 * A_CENT, 8, who="bob")
    c.set_price(model="m", per_million={"input": "3"})
    say("rerate", **BOOK)
    [one] = adjustments(c)
    assert (one.amounts["usd"], one.overage) == (16, 14)  # of 10 a day
    assert not c.check(resource_ids=["bob"], credit_currency="usd", requested_usage="0.01")
    c.set_price(model="m", per_million={"input": "1"})
    say("rerate", **BOOK)
    assert adjustments(c)[-1].overage <= 0
    assert c.check(resource_ids=["bob"], credit_currency="usd", requested_usage=2)


# ------------------------------------------------------------------ grants


def test_what_cost_too_much_comes_back_to_the_last_that_paid(c: UsageControl, say: Say) -> None:
    """RT1, RT2."""
    grant(c, "third", 2)
    grant(c, "second", 2, priority=20)
    grant(c, "first", 2, priority=10)
    priced(c, 500 * A_CENT, 5)
    assert left(c) == {"first": 2, "second": 2, "third": 1}
    for dollars, paid in (("0.7", (2, 1.5, 0)), ("0.3", (1.5, 0, 0)), ("0.9", (2, 2, 0.5)), ("0", (0, 0, 0))):
        c.set_price(model="m", per_million={"input": dollars})
        say("rerate", **BOOK)
        assert tuple(map(float, left(c).values())) == paid
        assert c.verify() == []


def test_what_was_overdrawn_comes_back_before_anything(c: UsageControl, say: Say) -> None:
    grant(c, "only", 2)
    priced(c, 500 * A_CENT, 5)
    assert left(c) == {"only": 5}
    c.set_price(model="m", per_million={"input": "0.5"})
    say("rerate", **BOOK)
    assert left(c) == {"only": Decimal("2.5")}
    assert adjustments(c)[0].overage == 0  # of the pool -2.5, and the largest of all limits is told


def test_what_nobody_backed_comes_back_to_nobody(c: UsageControl, say: Say, clock: ManualClock) -> None:
    """RT2, RV2: and a grant that begins in the past since then pays nothing of what is taken back."""
    grant(c, "over", 2)
    told = {"price_source": "contract", "input_tokens": 500 * A_CENT, "model": "m"}
    ask: dict[str, Any] = {"resource_ids": ["ana"], "credit_currency": "usd", "dimensions": told}
    held = c.reserve(**ask, amount=2, ttl_seconds=86_400)
    c.void_grant("over", customer_id="c")
    clock.set(at(2))
    receipt = held.settle(5)
    assert (receipt.paid_by, receipt.unbacked) == ({"over": 2}, True)
    event_id = receipt.event_id
    late = c.report(
        customer_id="c",
        resource_ids=["ana"],
        credit_currency="usd",
        amount=5,
        timestamp=at(1.5),
        dimensions=told,
    )
    assert (late.paid_by, late.unbacked) == ({}, True)
    c.set_price(model="m", per_million={"input": "0.4"})
    say("rerate", **BOOK)
    assert left(c) == {"over": 2}  # of five it paid two, and now it costs two
    grant(c, "since", 9, effective_at=at(-3))
    assert late.event_id is not None
    assert event_id is not None
    for one in adjustments(c):
        back = c.reverse(one.event_id, reason="undone")
        assert (back.charged, back.paid_by, back.unbacked) == (3, {}, True)
    assert left(c) == {"since": 0, "over": 2}
    c.reverse(late.event_id, reason="refund")
    c.reverse(event_id, reason="refund")
    assert left(c) == {"since": 0, "over": 0}
    assert used(c)[0] == 0
    assert c.verify() == []


def test_it_is_paid_by_and_comes_back_to_the_grants_of_its_instant(
    c: UsageControl, say: Say, clock: ManualClock
) -> None:
    """Also those that have expired, or were voided; one that recurs in its window."""
    grant(c, "daily", 3, cadence="day", priority=1)
    grant(c, "gone", 1, expires_at=at(5))
    grant(c, "void", 9, priority=99)
    receipt = c.report(
        customer_id="c",
        resource_ids=["bob"],
        credit_currency="usd",
        amount=5,
        dimensions={"price_source": "contract", "input_tokens": 500 * A_CENT, "model": "m"},
    )
    assert receipt.paid_by == {"daily": 3, "gone": 1, "void": 1}
    clock.set(at(30))
    c.void_grant("void", customer_id="c")
    grant(c, "now", 50, effective_at=at(29))
    for dollars, paid in (("0.7", (0, 0, 0.5)), ("0.2", (0, 0, 0)), ("2", (0, 0, 7))):
        c.set_price(model="m", per_million={"input": dollars})
        say("rerate", **BOOK)
        assert tuple(float(left(c)[name]) for name in ("now", "void", "gone")) == paid
        assert left(c)["daily"] == 0  # of today
        assert c.verify() == []
    assert receipt.event_id is not None
    c.reverse(receipt.event_id, reason="refund")
    assert set(left(c).values()) == {0}
    assert c.verify() == []


def test_of_one_event_each_currency_is_paid_for_itself(c: UsageControl, say: Say) -> None:
    """What cost too little in one is paid, what cost too much in another comes back."""
    grant(c, "money", 9)
    c.grant_credits(customer_id="c", credit_currency=TOKENS, grant_id="credits", amount=9)
    for tokens, dollars in ((2, 2), (5, 1), (1, 3), (0, 0)):
        for currency, amount in ((TOKENS, tokens), ("usd", dollars)):
            c.set_rate(event_name="chat", credit_currency=currency, credits=amount)
        if tokens == dollars == 2:
            report_rated(c)
        say("rerate", **BOOK)
        assert left(c) == {"money": dollars, "credits": tokens}
    assert c.verify() == []


def test_usage_of_before_the_first_grant_is_not_its(c: UsageControl, say: Say) -> None:
    event_id = priced(c, 500 * A_CENT, 5, hours=-1)
    grant(c, "g", 9, effective_at=at(0))
    for dollars in ("0.5", "2", "0.1"):
        c.set_price(model="m", per_million={"input": dollars})
        say("rerate", **BOOK)
        assert left(c) == {"g": 0}
    c.reverse(event_id, reason="refund")
    assert left(c) == {"g": 0}
    assert c.verify() == []


# ------------------------------------------------------------------ reversals


def test_what_was_reversed_is_not_rated(c: UsageControl, say: Say) -> None:
    event_id = priced(c, 500 * A_CENT, 5)
    c.reverse(event_id, reason="refund")
    c.set_price(model="m", per_million={"input": "2"})
    assert say("rerate", **BOOK).totals == ()
    assert net(c) == {}


def test_a_reversal_takes_back_all_of_it(c: UsageControl, say: Say) -> None:
    """RV1, RV2."""
    grant(c, "g", 3)
    grant(c, "h", 3)
    event_id = priced(c, 500 * A_CENT, 5, feature="chat")
    for dollars in ("0.5", "1.5", "0.2"):
        c.set_price(model="m", per_million={"input": dollars})
        say("rerate", **BOOK)
    receipt = say("reverse", event_id, reason="refund", actor="ops")
    assert receipt.charged == -5
    assert net(c) == {}
    assert left(c) == {"g": 0, "h": 0}
    assert used(c, feature="chat") == [0, 0, 0, 0]
    events = list(c.events())
    assert len(events) == 8
    assert {one.dimensions.get("reversal_reason") for one in events} == {None, "refund"}
    again = say("reverse", event_id, reason="again")
    assert (again.event_id, again.duplicate) == (receipt.event_id, True)
    assert list(c.events()) == events
    assert say("rerate", **BOOK).totals == ()
    assert c.verify() == []


def test_an_adjustment_alone_can_be_taken_back(c: UsageControl, say: Say) -> None:
    """AJ1: then it does not count, and is booked anew when that is told."""
    grant(c, "g", 9)
    event_id = priced(c, 500 * A_CENT, 5)
    c.set_price(model="m", per_million={"input": "0.5"})
    say("rerate", **BOOK)
    say("reverse", adjustments(c)[0].event_id, reason="too early")
    assert (net(c), left(c)) == ({event_id: 5}, {"g": 5})
    [row] = say("rerate", **BOOK).rows
    assert (row.charged, row.would_be, row.price_version) == (5, 2.5, "contract any/m from always (price 1)")
    assert (net(c), left(c)) == ({event_id: 2.5}, {"g": 2.5})
    say("reverse", event_id, reason="refund")
    assert (net(c), left(c)) == ({}, {"g": 0})
    assert c.verify() == []


# ------------------------------------------------------------------ many at once


def test_several_at_once_book_it_once(c: UsageControl, impatient: None) -> None:
    """AD2, KY1."""
    for number in range(40):
        priced(c, 100 * A_CENT, 1, hours=-number / 10)
    c.set_price(model="m", per_million={"input": "0.5"})
    found: Any = at_once([lambda: c.rerate(**BOOK)] * 6)
    assert sum(one.adjustments for one in found) == len(adjustments(c)) == 40
    assert set(net(c).values()) == {Decimal("0.5")}
    assert c.verify() == []


def test_several_at_once_by_different_prices_leave_one_of_them(c: UsageControl, impatient: None) -> None:
    """AD2: each looks again at what another adjusted."""
    for number in range(30):
        priced(c, 100 * A_CENT, 1, hours=-number / 10)
    dollars = [Decimal(number) / 10 for number in range(2, 8)]

    def rerate(one: Decimal) -> Callable[[], object]:
        return lambda: c.rerate(**BOOK, prices=[{"model": "m", "perMillion": {"input": one}}])

    found: Any = at_once([rerate(one) for one in dollars])
    assert all(isinstance(one, Rerating) for one in found), found
    assert set(net(c).values()) <= set(dollars)
    assert len(net(c)) == 30
    assert c.verify() == []


@pytest.mark.parametrize("dollars", ["0.5", "1.5"])
def test_of_what_is_reversed_meanwhile_nothing_is_left(
    c: UsageControl, impatient: None, dollars: str
) -> None:
    """RV1, AD3."""
    grant(c, "g", 30)
    ids = [priced(c, 100 * A_CENT, 1, hours=-number / 10) for number in range(20)]
    c.set_price(model="m", per_million={"input": dollars})
    reversals = [lambda one=one: c.reverse(one, reason="refund") for one in ids[:10]]
    found = at_once([lambda: c.rerate(**BOOK), *reversals, lambda: c.rerate(**BOOK)])
    assert not [one for one in found if isinstance(one, Exception)]
    assert net(c) == dict.fromkeys(ids[10:], Decimal(dollars))
    assert left(c) == {"g": 10 * Decimal(dollars)}
    assert used(c)[0] == 10 * Decimal(dollars)
    assert c.verify() == []


def test_usage_that_comes_meanwhile_is_for_the_next_time(c: UsageControl, say: Say) -> None:
    """RR3."""
    for number in range(3):
        priced(c, 100 * A_CENT, 1, hours=-number)
    c.set_price(model="m", per_million={"input": "0.5"})
    once = iter([True])

    def meanwhile(_: Progress) -> None:
        if next(once, False):
            priced(c, 100 * A_CENT, 1, hours=-0.5)

    assert say("rerate", **BOOK, progress=meanwhile).adjustments == 3
    assert say("rerate", **BOOK).adjustments == 1


def test_more_events_than_are_looked_at_together(c: UsageControl, say: Say) -> None:
    """RR3: a thousand of one instant, and parts that a stretch must not tear."""
    c.set_rate(event_name="chat", credit_currency=TOKENS, credits=1)
    c.set_rate(event_name="chat", credit_currency="usd", credits="0.01")
    said = {"customerId": "c", "eventName": "chat", "timestamp": NOON, "resourceIds": ["bob"]}
    c.report_many([said] * 1_100)
    c.set_rate(event_name="chat", credit_currency=TOKENS, credits=2)
    told: list[Progress] = []
    booked = say("rerate", **BOOK, progress=told.append)
    assert [one.done for one in told] == [512, 1_024, 1_100]
    assert booked.adjustments == 1_100
    assert [(one.credit_currency, one.events, one.difference) for one in booked.totals] == [
        (TOKENS, 1_100, 1_100),
        ("usd", 1_100, 0),
    ]
    ids = [row.event_id for row in booked.rows if row.credit_currency == TOKENS]
    assert len(set(ids)) == 1_100
    assert say("rerate", **BOOK).adjustments == 0
    assert c.verify() == []


# ------------------------------------------------------------------ against a sum of ten lines

DOLLARS = ("0", "0.3333", "0.5", "1", "2.25")
steps = st.one_of(
    st.tuples(
        st.just("usage"),
        st.integers(0, 3 * 10**6),  # tokens
        st.integers(0, 4),  # hours ago
        st.sampled_from(["ana", "bob"]),
        st.booleans(),  # of the feature that a scope counts
    ),
    st.tuples(st.just("price"), st.sampled_from(DOLLARS), st.sampled_from([None, 0, 1, 2, 3])),
    st.tuples(st.just("grant"), st.integers(1, 4), st.sampled_from([None, 0, 2]), st.integers(0, 2)),
    st.tuples(st.just("rerate"), st.integers(0, 4), st.integers(0, 4)),
    st.tuples(st.just("reverse"), st.integers(0, 9)),
    st.tuples(st.just("undo"), st.integers(0, 9)),
)


class Plain:
    """What must come of it: events, what each comes to, and prices by when they begin."""

    def __init__(self) -> None:
        self.usage: dict[str, tuple[int, int]] = {}  # event -> tokens, hours ago
        self.cents: dict[str, int] = {}
        self.prices: dict[int, Fraction] = {99: Fraction(1)}  # by how many hours ago it began

    def price(self, tokens: int, hours: int) -> int:
        begins = min(since for since in self.prices if since >= hours)
        return math.ceil(self.prices[begins] * tokens / 10**6 * 100)

    def rerate(self, oldest: int, newest: int) -> tuple[int, int]:
        """From so many hours ago until so many; what it was and is in all."""
        before = after = 0
        for name, (tokens, hours) in self.usage.items():
            if name in self.cents and newest < hours <= oldest:
                before += self.cents[name]
                self.cents[name] = self.price(tokens, hours)
                after += self.cents[name]
        return before, after


def replay(control: UsageControl, plain: Plain, step: tuple[Any, ...], number: int) -> None:
    """Do one step on both, and compare what it says."""
    what, *given_ = step
    event(what)
    ids = list(plain.usage)
    if what == "usage":
        tokens, hours, who, in_scope = given_
        said = {"feature": "chat"} if in_scope else {}
        cents = plain.price(tokens, hours)
        name = priced(control, tokens, Decimal(cents) / 100, hours=-hours, who=who, **said)
        plain.usage[name], plain.cents[name] = (tokens, hours), cents
    elif what == "price":
        dollars, hours = given_
        control.set_price(
            model="m", per_million={"input": dollars}, effective_at=None if hours is None else at(-hours)
        )
        plain.prices[99 if hours is None else hours] = Fraction(Decimal(dollars))
    elif what == "grant":
        dollars, expires, priority = given_
        ends = None if expires is None else at(-expires + 0.5)
        grant(control, f"g{number}", dollars, expires_at=ends, priority=priority)
    elif what == "rerate":
        oldest, newest = max(given_), min(given_) - 1
        asked = {"since": at(-oldest), "until": at(-newest)}
        shown = control.rerate(**asked)
        booked = control.rerate(**asked, book=True, reason="r")
        # `until` is not included: it is the beginning of the hour after the newest.
        before, after = plain.rerate(oldest, newest)
        assert sum(int(100 * one.charged) for one in shown.totals) == before
        assert sum(int(100 * one.would_be) for one in shown.totals) == after
        assert booked.totals == shown.totals
        assert sum(row.difference for row in booked.rows) * 100 == after - before
        assert control.rerate(**asked, book=True, reason="r").adjustments == 0
    elif what == "reverse" and ids:
        name = ids[given_[0] % len(ids)]
        control.reverse(name, reason="refund")
        plain.cents.pop(name, None)
    elif what == "undo" and (found := adjustments(control)):
        one = found[given_[0] % len(found)]
        gone = {each.reverses for each in control.events()}
        if one.adjusts in plain.cents and one.event_id not in gone:
            plain.cents[one.adjusts] -= int(100 * one.amounts["usd"])
        control.reverse(one.event_id, reason="undone")


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(story=st.lists(steps, min_size=1, max_size=14))
def test_it_is_what_ten_lines_say_whatever_came_before(story: Sequence[tuple[Any, ...]]) -> None:
    """Every limit and grant is right after each step, and all is nothing once all is reversed."""
    with (
        tempfile.TemporaryDirectory() as directory,
        UsageControl(Path(directory) / "usage.db", clock=ManualClock(NOON)) as control,
    ):
        control.apply(MODEL)
        plain = Plain()
        for number, step in enumerate(story):
            replay(control, plain, step, number)
            assert {name: int(100 * amount) for name, amount in net(control).items()} == plain.cents
            assert control.verify() == []
            assert used(control, "team")[0] * 100 == sum(plain.cents.values())
        for name in plain.usage:
            control.reverse(name, reason="all")
        assert net(control) == {}
        assert set(used(control, feature="chat")) == {0}
        assert set(left(control).values()) <= {0}
        assert control.verify() == []


def test_what_grants_paid_is_never_more_than_the_event_costs(c: UsageControl) -> None:
    """RT1: over every short run of prices, each grant has paid between nothing and its part of the whole."""
    grant(c, "g", 2)
    grant(c, "h", 2)
    for number, run in enumerate(itertools.permutations(DOLLARS, 3)):
        priced(c, 200 * A_CENT, 2, hours=-number / 100)
        for dollars in run:
            c.set_price(model="m", per_million={"input": dollars})
            c.rerate(**BOOK)
            assert all(units >= 0 for units in left(c).values())
            assert sum(left(c).values()) == sum(net(c).values())
        for one in list(net(c)):
            c.reverse(one, reason="refund")
        assert set(left(c).values()) == {0}
        if number > 8:
            break
    assert c.verify() == []
