"""Reading a model: what is read, in which spelling, and everything that cannot be."""

import decimal
import json
import pickle
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stiggctl.definitions import (
    Applied,
    Resource,
    UsageModel,
    attribution_keys_of,
    draft_of,
    json_text,
    json_value,
    read,
)
from stiggctl.errors import InvalidModel, InvalidRequest


def problems(model: Any) -> dict[str, str]:
    """What is wrong in it, by path."""
    with pytest.raises(InvalidModel) as caught:
        read(model)
    found = {problem.path: problem.expected for problem in caught.value.problems}
    assert len(found) == len(caught.value.problems)  # one fault is one problem (DF6)
    return found


def allocation(**fields: Any) -> dict[str, Any]:
    return {"allocations": [{"resourceId": "a", "creditCurrency": "c", "limit": 1, **fields}]}


# ------------------------------------------------------------------ documents

WRITTEN = {
    "customers": [{"id": "c", "name": "Acme"}],
    "creditCurrencies": [{"id": "usd", "decimals": 9}],
    "resourceTypes": [{"id": "user", "properties": {"seats": {"type": "NUMBER"}}}],
    "resources": [{"id": "u", "resourceTypeId": "user", "customerId": "c", "properties": {"seats": 3}}],
    "allocations": [{"resourceId": "u", "creditCurrency": "usd", "customerId": "c", "limit": "0.02"}],
    "rates": [{"eventName": "chat", "creditCurrency": "usd", "terms": [{"dimension": "n", "credits": 1}]}],
}


def test_mapping_text_file_and_model_are_one(tmp_path: Path) -> None:
    model = read(WRITTEN)
    file = tmp_path / "model.json"
    file.write_bytes(b"\xef\xbb\xbf" + json.dumps(WRITTEN).encode())  # with the mark some editors write
    assert read(json.dumps(WRITTEN)) == model
    assert read("\n  " + json.dumps(WRITTEN)) == model
    assert read(file) == model
    assert read(model) == model
    assert read(MappingProxyType(WRITTEN)) == model
    assert read({"resources": model.resources}).resources == model.resources


def test_keys_are_read_in_either_spelling_and_written_in_camel_case() -> None:  # DF2
    snake = {
        "customers": WRITTEN["customers"],
        "credit_currencies": WRITTEN["creditCurrencies"],
        "resource_types": WRITTEN["resourceTypes"],
        "resources": [
            {"id": "u", "resource_type_id": "user", "customer_id": "c", "properties": {"seats": 3}}
        ],
        "allocations": [{"resource_id": "u", "credit_currency": "usd", "customer_id": "c", "limit": "0.02"}],
        "rates": [
            {"event_name": "chat", "credit_currency": "usd", "terms": [{"dimension": "n", "credits": 1}]}
        ],
    }
    model = read(snake)
    assert model == read(WRITTEN)
    assert model.as_dict().keys() == WRITTEN.keys()
    assert model.as_dict()["resources"] == ({**WRITTEN["resources"][0]},)
    assert not any("_" in key for key in json.loads(model.model_dump_json())["allocations"][0])
    assert read(model.model_dump_json()) == read(model.model_dump_json(indent=2)) == model


@pytest.mark.parametrize("text", ["model.json", "", "[]", "ab{}", "usage/model.json"])
def test_other_text_is_no_model_and_the_error_names_path(text: str) -> None:
    with pytest.raises(InvalidRequest, match=r"pathlib\.Path"):
        read(text)


@pytest.mark.parametrize("model", [None, 5, b"{}", ["a"], object()])
def test_what_is_no_model_is_refused_as_a_request(model: Any) -> None:
    with pytest.raises(InvalidRequest):
        read(model)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match=r"nowhere\.json"):
        read(tmp_path / "nowhere.json")
    with pytest.raises(InvalidRequest):
        read(tmp_path)
    file = tmp_path / "latin.json"
    file.write_bytes(b'{"customers": [{"id": "caf\xe9"}]}')
    assert problems(file) == {str(file): "text in UTF-8"}


def test_text_that_is_no_json_is_told_with_its_line() -> None:
    (path,) = problems('{"customers":\n [}')
    assert path == "line 2, column 3"
    for text in (
        '{"a": NaN}',
        '{"a": 1e9999999999999999999999}',
        " " + "[" * 100_000,
        '{"a":' + "9" * 5000 + "}",
    ):
        assert problems(text).keys() == {"model"}
    assert problems(" []").keys() == {"model"}


def test_a_key_that_stands_twice_in_an_object_is_told() -> None:
    text = '{"resources": [{"id": "a", "id": "b", "resourceTypeId": "t"}], "rates": [], "rates": []}'
    assert problems(text) == {
        "resources[0].id": "each key once in an object",
        "rates": "each key once in an object",
    }
    deep = '{"resources": [{"id": "a", "resourceTypeId": "t", "properties": {"x": 1, "x": 1}}]}'
    assert problems(deep).keys() == {"resources[0].properties.x"}


def test_the_hosts_decimal_context_changes_nothing() -> None:
    with decimal.localcontext() as context:
        context.prec = 2
        context.traps[decimal.Inexact] = True
        limit = read('{"allocations":[{"resourceId":"a","creditCurrency":"c","limit":0.123456789}]}')
        assert limit.allocations[0].limit == Decimal("0.123456789")


# ------------------------------------------------------------------ numbers and ids


@pytest.mark.parametrize("limit", [0, 5, 10**30, Decimal("0.02"), "0.02", "1e3"])
def test_amounts_are_what_was_written(limit: Any) -> None:  # DF1
    assert read(allocation(limit=limit)).allocations[0].limit == limit


def test_json_numbers_are_exact() -> None:
    digits = "0.1000000000000000055511151231257827"  # the float 0.1 is this, and a little more
    text = json.dumps(allocation(limit=None)).replace("null", digits)
    assert read(text).allocations[0].limit == Decimal(digits)


@pytest.mark.parametrize(
    "number", [10**38, -(10**38), Decimal("1e39"), Decimal("1e-39"), Decimal("1." + "3" * 38)]
)
def test_a_property_is_no_number_of_many_digits(number: Any) -> None:
    entry = {"id": "a", "resourceTypeId": "t", "properties": {"x": number, "y": Decimal("1e38"), "z": 10**37}}
    assert problems({"resources": [entry]}) == {"resources[0].properties.x": "a number of at most 38 digits"}


@pytest.mark.parametrize("limit", [0.1, 5.0, True, None, [], float("nan"), b"5"])
def test_no_float_or_bool_is_an_amount(limit: Any) -> None:
    (expected,) = problems(allocation(limit=limit)).values()
    assert ("write text or Decimal" in expected) == isinstance(limit, float)


def test_no_float_is_a_property() -> None:
    entry = {"id": "a", "resourceTypeId": "t", "properties": {"x": 0.5, "y": None, "z": Decimal("NaN")}}
    found = problems({"resources": [entry]})
    assert found.keys() == {f"resources[0].properties.{name}" for name in "xyz"}
    assert "Decimal" in found["resources[0].properties.x"]


ODD = ["a", "日本語", "a" * 255, "😀" * 255, 'it\'s\n"quoted"', " ", "\u202e"]


@pytest.mark.parametrize("good", ODD)
def test_ids_are_of_any_script_and_compared_as_given(good: str) -> None:
    assert read({"customers": [{"id": good}]}).customers[0].id == good


@pytest.mark.parametrize("bad", ["", "a" * 256, "a\0", "\ud800", 5, None, b"a", True])
def test_what_is_no_id_is_refused(bad: Any) -> None:
    (expected,) = problems({"customers": [{"id": bad}]}).values()
    assert "255" in expected


def test_a_text_enum_is_its_text() -> None:
    class Tier(StrEnum):
        GOLD = "gold"

    entry = {"id": Tier.GOLD, "resourceTypeId": "t", "properties": {"tier": Tier.GOLD}}
    resource = read({"resources": [entry]}).resources[0]
    assert (type(resource.id), type(resource.properties["tier"])) == (str, str)


@pytest.mark.parametrize("decimals", [-1, 19, "9", 9.0, Decimal(9), True])
def test_decimals_are_a_whole_number_in_bounds(decimals: Any) -> None:
    assert problems({"creditCurrencies": [{"id": "usd", "decimals": decimals}]}) == {
        "creditCurrencies[0].decimals": "a whole number from 0 to 18"
    }


def test_the_default_attribution_keys_follow_from_the_id() -> None:
    assert attribution_keys_of("user") == ("user", "user_id", "userId")
    assert attribution_keys_of("team-lead") == ("team-lead", "team-lead_id", "teamLeadId")
    (long,) = read({"resourceTypes": [{"id": "a" * 255}]}).resource_types
    assert read({"resourceTypes": [long]}).resource_types == (long,)
    (own,) = read({"resourceTypes": [{"id": "user", "attributionKeys": ["who"]}]}).resource_types
    assert own.attribution_keys == ("who",)


# ------------------------------------------------------------------ problems


@pytest.mark.parametrize("listed", ["allocations", "grants"])
def test_thresholds_are_percentages_in_one_form_and_written_where_there_are_any(listed: str) -> None:  # DF7
    entry = {"creditCurrency": "c"}
    entry |= {"resourceId": "a", "limit": 1} if listed == "allocations" else {"id": "g", "amount": 1}
    written = [50, "80.0", Decimal("99.50"), 1000]
    (one,) = getattr(read({listed: [{**entry, "thresholds": written}]}), listed)
    assert one.thresholds == (50, 80, Decimal("99.5"), 1000)
    assert json.loads(read({listed: [one]}).model_dump_json())[listed][0]["thresholds"] == [
        50,
        80,
        99.5,
        1000,
    ]
    assert getattr(read(read({listed: [one]}).model_dump_json()), listed) == (one,)
    for none in ({}, {"thresholds": []}):
        (without,) = getattr(read({listed: [{**entry, **none}]}), listed)
        assert without.thresholds == ()
        assert "thresholds" not in without.as_dict()


@pytest.mark.parametrize(
    ("value", "at", "expected"),
    [
        (None, "", "a list"),
        (50, "", "a list"),
        (["a"], "[0]", "a percentage"),
        ([True], "[0]", "an int, a Decimal or text"),
        ([0.5], "[0]", "a float is not exact"),
        ([0], "[0]", "above 0"),
        ([-1], "[0]", "above 0"),
        ([1001], "[0]", "up to 1,000"),
        (["1000.01"], "[0]", "up to 1,000"),
        (["0.001"], "[0]", "at most 2 decimals"),
        (["NaN"], "[0]", "a percentage"),
        ([50, 50], "", "ascending"),
        ([80, 50], "", "ascending"),
        (list(range(1, 18)), "", "at most 16"),
    ],
)
def test_what_is_no_list_of_thresholds_is_told_with_what_would_be(value: Any, at: str, expected: str) -> None:
    entry = {"resourceId": "a", "creditCurrency": "c", "limit": 1, "thresholds": value}
    found = problems({"allocations": [entry]})
    assert list(found) == [f"allocations[0].thresholds{at}"]
    assert expected in found[f"allocations[0].thresholds{at}"]


def test_as_many_thresholds_and_as_large_ones_as_there_may_be_are_read() -> None:
    entry = {"resourceId": "a", "creditCurrency": "c", "limit": 1}
    most = ["0.01", *range(1, 15), 1000]
    (one,) = read({"allocations": [{**entry, "thresholds": most}]}).allocations
    assert len(one.thresholds) == 16


def test_rolling_is_true_or_false_and_written_where_it_is_true() -> None:
    entry = {"resourceId": "a", "creditCurrency": "c", "limit": 1, "cadence": "P7D"}
    found = problems({"allocations": [{**entry, "rolling": each} for each in (1, None, "true", True)]})
    assert found == {f"allocations[{place}].rolling": "true or false" for place in range(3)}
    model = read({"allocations": [entry, {**entry, "rolling": False}, {**entry, "rolling": True}]})
    assert model.allocations[0] == model.allocations[1] != model.allocations[2]
    written = [one.get("rolling") for one in model.as_dict()["allocations"]]
    assert written == [None, None, True]
    assert model.model_dump_json().count("rolling") == 1
    assert read(model.as_dict()) == read(model.model_dump_json()) == model


def test_a_grant_is_paid_for_unless_it_says_otherwise() -> None:
    entry = {"id": "g", "creditCurrency": "c", "amount": "5.0"}
    (grant,) = read({"grants": [entry]}).grants
    assert (grant.priority, grant.kind, grant.customer_id, grant.cadence) == (50, "PAID", None, None)
    snake = {"id": "g", "credit_currency": "c", "amount": "5.0", "priority": 50, "kind": "PAID"}
    assert read({"grants": [snake]}).grants == (grant,)
    assert grant.as_dict() == {**entry, "priority": 50, "kind": "PAID"}


@pytest.mark.parametrize(
    ("fields", "at", "expected"),
    [
        ({"id": ""}, "id", "1 to 255 characters"),
        ({"customerId": ""}, "customerId", "1 to 255 characters"),
        ({"creditCurrency": 5}, "creditCurrency", "1 to 255 characters"),
        ({"amount": 0.5}, "amount", "a float is not exact"),
        ({"amount": True}, "amount", "an int, a Decimal or text"),
        ({"priority": -1}, "priority", "a whole number from 0 to 1,000"),
        ({"priority": 1_001}, "priority", "a whole number from 0 to 1,000"),
        ({"priority": 5.0}, "priority", "a whole number from 0 to 1,000"),
        ({"priority": "5"}, "priority", "a whole number from 0 to 1,000"),
        ({"priority": True}, "priority", "a whole number from 0 to 1,000"),
        ({"kind": "promotional"}, "kind", "PAID or PROMOTIONAL"),
        ({"cadence": "P1M2D"}, "cadence", "one unit"),
        ({"timezone": "Europe/Amsterdm"}, "timezone", "did you mean"),
        ({"anchor": "2026-02-30"}, "anchor", "a date that exists"),
        ({"effectiveAt": "2026-01-01"}, "effectiveAt", "offset"),
        ({"expiresAt": 5}, "expiresAt", "offset"),
        ({"expires": "2026-01-01T00:00:00Z"}, "expires", "did you mean expiresAt?"),
        ({"rolling": True}, "rolling", "one of the keys id, customerId, creditCurrency, amount"),
        ({"limit": 5}, "limit", "one of the keys"),
    ],
)
def test_what_is_no_grant_is_told(fields: dict[str, Any], at: str, expected: str) -> None:
    found = problems({"grants": [{"id": "g", "creditCurrency": "c", "amount": 5, **fields}]})
    assert list(found) == [f"grants[0].{at}"]
    assert expected in found[f"grants[0].{at}"]


def test_the_bounds_of_a_priority_are_priorities() -> None:
    entries = [{"id": str(each), "creditCurrency": "c", "amount": 1, "priority": each} for each in (0, 1_000)]
    assert [one.priority for one in read({"grants": entries}).grants] == [0, 1_000]


def test_an_unknown_key_is_named_with_the_nearest_known_one() -> None:  # DF3
    found = problems(
        {
            "resourceTipes": [],
            "customers": [{"id": "a", "nmae": "A"}, {"idd": "b"}],
            "resourceTypes": [{"id": "t", "properties": {"p": {"type": "STRING", "requird": True}}}],
            "rates": [{"eventName": "e", "creditCurrency": "c", "terms": [{"dimension": "d", "credit": 1}]}],
            "zzz": 1,
        }
    )
    assert list(found) == [
        "resourceTipes",
        "customers[0].nmae",
        "customers[1].idd",
        "resourceTypes[0].properties.p.requird",
        "rates[0].terms[0].credit",
        "zzz",
    ]  # as they come in the model; a key misspelt is not missing as well
    hints = [expected.rpartition("did you mean ")[2] for expected in found.values()]
    assert hints[:-1] == ["resourceTypes?", "name?", "id?", "required?", "credits?"]
    assert "customers, creditCurrencies" in found["zzz"]


def test_every_problem_is_told_with_the_key_as_it_was_written() -> None:  # DF4, DF5
    found = problems(
        {
            "allocations": [
                {"resource_id": "", "creditCurrency": 5, "limit": 1.5, "enforcement_type": "hard"},
                {"resourceId": "a", "creditCurrency": "c", "limit": 1},
                {"resource_id": "a"},
                7,
            ],
            "resource_types": [
                {"id": "t", "parent_resource_type_id": 1, "properties": {"a b": {"type": "TEXT"}}}
            ],
            "customers": 5,
        }
    )
    assert list(found) == [
        "allocations[0].resource_id",
        "allocations[0].creditCurrency",
        "allocations[0].limit",
        "allocations[0].enforcement_type",
        "allocations[2].credit_currency",
        "allocations[2].limit",
        "allocations[3]",
        "resource_types[0].parent_resource_type_id",
        "resource_types[0].properties['a b'].type",
        "customers",
    ]


def test_one_key_in_two_spellings_is_told() -> None:
    entry = {"id": "a", "resourceTypeId": "t", "resource_type_id": "t"}
    assert problems({"resources": [entry]}) == {
        "resources[0].resource_type_id": "one spelling, resourceTypeId or resource_type_id, not both"
    }


def test_a_copy_that_nobody_checked_is_read_again() -> None:
    model = read(allocation())
    wrong = model.model_copy(update={"allocations": [model.allocations[0].model_copy(update={"limit": 0.5})]})
    assert problems(wrong).keys() == {"allocations[0].limit"}
    assert problems(model.model_copy(update={"allocations": {model.allocations[0]}})).keys() == {
        "allocations"
    }


def test_a_draft_keeps_what_can_be_read() -> None:  # DF4
    draft = draft_of(
        {
            "resources": [
                {"id": 5, "resourceTypeId": "t"},
                {"id": "lost", "resourceTypeId": None},
                {"id": "kept", "resourceTypeId": "t", "name": 5, "properties": {"good": 1, "bad": 0.5}},
            ]
        }
    )
    assert draft.model.resources == (Resource(id="kept", resource_type_id="t", properties={"good": 1}),)
    assert draft.kept["resources"] == [2]
    assert draft.unreadable == {"resources": {5, "lost"} - {5} | {None}}
    assert draft.is_wrong("resources", 0, "name")
    assert draft.is_wrong("resources", 0, "properties", "bad")
    assert draft.is_wrong("resources", 0, "properties")
    assert not draft.is_wrong("resources", 0, "properties", "good")
    assert draft_of(draft) is draft


KEYS = ["id", "resourceId", "resource_id", "resourceTypeId", "limit", "add", "properties", "terms", "type"]
KEYS += ["where", "scope", "cadence", "timezone", "anchor", "expiresAt", "", "a.b"]
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.decimals(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(KEYS),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
LISTS = [
    "customers",
    "creditCurrencies",
    "resource_types",
    "resources",
    "allocations",
    "overrides",
    "rates",
    "grants",
    "prices",
]


@given(st.dictionaries(st.sampled_from(LISTS), anything | st.lists(anything, max_size=3), max_size=4))
def test_whatever_is_written_is_read_or_explained(document: dict[str, Any]) -> None:
    draft = draft_of(document)
    for problem in draft.problems:
        assert problem.expected
        assert str(problem)
    if not draft.problems:
        assert read(draft.model) == draft.model
    pickle.loads(pickle.dumps(draft.problems))


# ------------------------------------------------------------------ text, and what was applied

json_like = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text()
    | st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**12), max_value=10**12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=10,
)


@given(json_like, st.sampled_from([None, 0, 2]))
def test_json_text_comes_back_as_it_was(value: Any, indent: int | None) -> None:
    text = json_text(value, indent=indent)
    assert json_value(text) == value
    json.loads(text)


def test_json_text_looks_as_json_writes_it() -> None:
    value = {"a": [1, {"b": "é"}], "c": [], "d": {}}
    assert json_text(value, indent=2) == json.dumps(value, indent=2, ensure_ascii=False)


def test_a_number_is_written_as_one_and_read_back() -> None:
    entry = {"id": "a", "resourceTypeId": "t", "properties": {"x": Decimal("0.10"), "y": 10**30}}
    model = read({"resources": [entry]})
    text = model.model_dump_json()
    assert '"x":0.1,' in text
    assert json_text([Decimal("-0.0"), Decimal("-0"), Decimal("1E+2")]) == "[0,0,100]"
    assert read(text) == model


def test_a_model_is_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        read(WRITTEN).customers = ()  # type: ignore[misc]  # that is the point


def test_applied_says_what_it_did() -> None:
    applied = Applied(
        created=("customer a",), unchanged=("customer b",), not_named=tuple(map(str, range(12)))
    )
    assert applied
    assert not Applied(unchanged=("customer b",))
    assert repr(applied) == (
        "<Applied created=1 changed=0 unchanged=1 archived=0 not_named=12 waiting_for=0>"
    )
    assert str(applied).splitlines()[0] == "1 created, 1 unchanged, 12 not named"
    assert "and 2 more" in str(applied)
    assert "customer b" not in str(applied)
    assert str(Applied()) == "nothing named, nothing changed"
    assert applied.as_dict()["notNamed"] == list(applied.not_named)
    assert pickle.loads(pickle.dumps(applied)) == applied


def test_a_model_made_of_parts_is_one() -> None:
    model = UsageModel(resources=(Resource(id="a", resource_type_id="t"),))
    assert read(model) == read({"resources": [{"id": "a", "resourceTypeId": "t"}]})
