"""Contract prices of a model: read, checked, written, read back."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stiggctl.definitions import Price
from stiggctl.errors import CustomerNotFound, InvalidModel
from stiggctl.prices import ContractPrice
from stiggctl.prices.usage import Usage
from stiggctl.tokens import EACH, TOKEN_CLASSES

from .desk import Desk
from .fake import FakeLedger

PRICES: list[dict[str, Any]] = [
    {"model": "gpt-5", "perMillion": {"output": 10, "input": "1.250"}},
    {"model": "gpt-5", "provider": "azure", "perMillion": {"input": Decimal("1.10"), "output": "9e0"}},
    {
        "model": "gpt-5",
        "perMillion": {"input": 1, "output": 8},
        "each": {"web_searches": "0.01"},
        "effectiveAt": "2026-02-01T01:00:00+01:00",
        "expiresAt": "2027-01-01T00:00:00Z",
    },
    {"model": "*", "customerId": "c", "each": {"requests": "0.5"}},
]
MODEL: dict[str, Any] = {"customers": [{"id": "c"}, {"id": "d"}], "prices": PRICES}
NAMES = (
    "price of gpt-5",
    "price of gpt-5 at azure",
    "price of gpt-5 (from 2026-02-01T00:00:00Z)",
    "price of * of c",
)


def problems(desk: Desk, *prices: dict[str, Any], **lists: Any) -> dict[str, str]:
    """What is wrong in it, by path; nothing of it was written."""
    before = desk.export()
    with pytest.raises(InvalidModel) as caught:
        desk.apply({"prices": list(prices), **lists})
    assert desk.export() == before
    found = {problem.path: problem.expected for problem in caught.value.problems}
    assert len(found) == len(caught.value.problems)
    return found


def test_prices_are_written_once_and_told(desk: Desk) -> None:
    assert desk.apply(MODEL).created[2:] == NAMES
    assert desk.last is not None
    assert not desk.last.for_all  # no path has a price in it
    again = desk.apply(MODEL)
    assert not again
    assert again.unchanged[2:] == NAMES
    [*_, line] = desk.audit()
    assert (line.subject, line.customer_id, line.before) == ("price of *", "c", None)
    assert json.loads(line.after or "") == {"model": "*", "customerId": "c", "each": {"requests": "0.5"}}


def test_the_export_changes_nothing_and_makes_the_same_elsewhere(desk: Desk) -> None:
    desk.apply(MODEL)
    model = desk.export()
    assert [(one.customer_id, one.provider, one.model, one.effective_at) for one in model.prices] == [
        (None, None, "gpt-5", None),
        (None, None, "gpt-5", "2026-02-01T00:00:00Z"),
        (None, "azure", "gpt-5", None),
        ("c", None, "*", None),
    ]
    assert model.prices[0].per_million == {"input": Decimal("1.25"), "output": 10}
    assert not desk.apply(model, prune=True)
    assert not desk.apply(model.model_dump_json(), prune=True)
    other = Desk(FakeLedger())
    other.apply(model.model_dump_json())
    assert other.export() == model


def test_a_price_that_changes_is_a_new_row(desk: Desk) -> None:
    desk.apply(MODEL)
    with desk.ledger.reader() as reader:
        first = reader.prices()
    changed = {**PRICES[0], "perMillion": {"input": 2, "output": 10}}
    assert desk.apply({"prices": [changed]}).changed == ("price of gpt-5",)
    ends = {**PRICES[1], "expiresAt": "2027-01-01T00:00:00Z"}
    assert desk.apply({"prices": [ends]}).changed == ("price of gpt-5 at azure",)
    with desk.ledger.reader() as reader:
        now = reader.prices()
    assert [row.id for row in now[:2]] == [first[2].id, first[3].id]
    assert min(row.id for row in now[2:]) > max(row.id for row in first)
    assert [line.before is None for line in desk.audit()[-2:]] == [False, False]


def test_what_is_not_named_is_told_and_pruned_as_rates_are(desk: Desk) -> None:
    desk.apply(MODEL)
    desk.apply({"prices": [{**PRICES[3], "customerId": "d"}]})
    fewer = {"customers": [{"id": "c"}], "prices": PRICES[1:3]}
    applied = desk.apply(fewer)
    assert not applied
    assert applied.not_named == (NAMES[0], NAMES[3])
    assert desk.apply(fewer, prune=True).archived == applied.not_named
    assert not desk.apply(fewer, prune=True)
    assert [one.customer_id for one in desk.export().prices] == [None, None, "d"]
    before = desk.export()
    assert not desk.apply({"customers": [{"id": "c"}, {"id": "d"}]}, prune=True)
    assert desk.export() == before
    assert len(desk.apply({"customers": [{"id": "d"}], "prices": []}, prune=True).archived) == 3
    desk.apply(MODEL)  # what was retired may come again
    assert len(desk.export().prices) == 4


def test_prices_of_an_archived_customer_are_not_exported(desk: Desk) -> None:
    desk.apply(MODEL)
    desk.do("archive_customer", customer_id="c")
    assert "c" not in {one.customer_id for one in desk.export().prices}


@pytest.mark.parametrize(
    ("fields", "at", "expected"),
    [
        ({"perMillion": {"inputs": 1}}, "perMillion.inputs", "did you mean 'input'?"),
        ({"perMillion": {"input": "-1"}}, "perMillion.input", "zero or more"),
        ({"perMillion": {"input": 0.5}}, "perMillion.input", "a float is not exact"),
        ({"perMillion": {"input": "one"}}, "perMillion.input", "an int"),
        ({"perMillion": {"input": 10**40}}, "perMillion.input", "at most"),
        ({"perMillion": {"input": True}}, "perMillion.input", "an int"),
        ({"perMillion": None, "each": {"calls": 1}}, "perMillion", "an object"),
        ({"each": {"input": 1}}, "each.input", "one of requests, web_searches"),
        ({"perMillion": {}}, "perMillion", "at least one price"),
        ({"perMillion": [1]}, "perMillion", "an object"),
        ({"customerId": "nobody"}, "customerId", "a customer that exists"),
        ({"model": ""}, "model", "text of 1 to 255"),
        ({"provider": 5}, "provider", "text of 1 to 255"),
        ({"effectiveAt": "soon"}, "effectiveAt", "ISO 8601"),
        (
            {"effectiveAt": "2026-02-01T00:00:00Z", "expiresAt": "2026-02-01T00:00:00Z"},
            "expiresAt",
            "an instant after effectiveAt",
        ),
        ({"per_milion": {}}, "per_milion", "did you mean"),
    ],
)
def test_a_price_that_cannot_be_meant_is_refused(
    desk: Desk, fields: dict[str, Any], at: str, expected: str
) -> None:
    entry = {"model": "gpt-5", "perMillion": {"input": 1}, **fields}
    found = problems(desk, PRICES[1], entry)
    assert expected in found[f"prices[1].{at}"]
    if "calls" not in fields.get("each", {}):
        assert len(found) == 1


def test_a_price_stands_once(desk: Desk) -> None:
    found = problems(
        desk, *PRICES, {**PRICES[0], "perMillion": {"input": 5}}, {**PRICES[0], "effectiveAt": "soon"},
        customers=[{"id": "c"}],
    )  # fmt: skip
    assert found.keys() == {"prices[4].model", "prices[5].effectiveAt"}


def test_upper_and_lower_case_make_no_two_prices(desk: Desk) -> None:
    """Both would fit each response, and which was meant would hang on their order."""
    twice = {"model": "GPT-5", "provider": "OpenAI", "perMillion": {"input": 1}}
    first = {**twice, "model": "gpt-5", "provider": "openai"}
    assert problems(desk, first, twice).keys() == {"prices[1].model"}
    desk.apply({"prices": [first]})
    assert desk.apply({"prices": [twice]}).changed == ("price of GPT-5 at OpenAI",)
    assert [(price.model, price.provider) for price in desk.export().prices] == [("GPT-5", "OpenAI")]
    assert not desk.apply({"prices": [twice]}, prune=True)


def test_a_price_names_its_customer_for_the_rest_of_the_model(desk: Desk) -> None:
    desk.apply({"customers": [{"id": "c"}]})
    grant = {"id": "g", "creditCurrency": "t", "amount": 1}
    assert "grant g of t of c" in desk.apply({"prices": [PRICES[3]], "grants": [grant]}).created


def test_a_price_is_set_by_itself(desk: Desk) -> None:
    desk.apply({"customers": [{"id": "c"}]})
    assert desk.do("set_price", model="m", per_million={"input": 1}, customer_id="c").created == (
        "price of m of c",
    )
    assert desk.audit()[-1].verb == "set_price"
    assert desk.do("set_price", model="m", each={"requests": 1}, customer_id="c", per_million=None).changed
    assert desk.export().prices == (Price(model="m", customer_id="c", each={"requests": 1}),)
    with pytest.raises(CustomerNotFound):
        desk.do("set_price", model="m", per_million={"input": 1}, customer_id="nobody")


amounts = st.one_of(
    st.integers(0, 10**9), st.decimals(0, 10**6, places=6), st.decimals(0, 10**3, places=9).map(str)
)


@given(
    st.dictionaries(st.sampled_from(TOKEN_CLASSES), amounts, min_size=1),
    st.dictionaries(st.sampled_from(EACH), amounts),
)
def test_what_a_model_may_say_prices_as_it_says(per_million: dict[str, Any], each: dict[str, Any]) -> None:
    """The model's checks let through just what a ContractPrice is, through its row and back."""
    desk = Desk(FakeLedger())
    desk.apply({"prices": [{"model": "m", "perMillion": per_million, "each": each}]})
    [row] = desk.ledger.reader().prices()
    kept = ContractPrice(model="m", per_million=json.loads(row.per_million), each=json.loads(row.each))
    for said, of_row in ((per_million, kept.per_million), (each, kept.each)):
        assert {name: Decimal(amount) for name, amount in said.items()} == {
            name: Decimal(amount) for name, amount in of_row.items()
        }
    [exported] = desk.export().prices
    assert exported.per_million.keys() == per_million.keys()


def test_usage_has_just_these_classes() -> None:
    assert set(TOKEN_CLASSES) < set(Usage.__dataclass_fields__)
