"""Models that are refused: all problems at once, each with its path, value and what would be right."""

import copy
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from stiggctl import InvalidModel, InvalidRequest, UsageControl

from .saying import TOKENS, flat, numbers

TYPES: list[dict[str, Any]] = [
    {"id": "org"},
    {"id": "team", "parentResourceTypeId": "org"},
    {
        "id": "user",
        "parentResourceTypeId": "team",
        "properties": {
            "name": {"type": "STRING"},
            "age": {"type": "NUMBER"},
            "admin": {"type": "BOOLEAN"},
            "tier": {"type": "ENUM", "values": ["STANDARD", "PREMIUM"], "required": True},
        },
    },
]
GOOD: dict[str, Any] = {
    "creditCurrencies": [{"id": TOKENS}, {"id": "usd", "decimals": 2}],
    "resourceTypes": TYPES,
    "resources": [
        {"id": "o", "resourceTypeId": "org", "customerId": "c"},
        {"id": "t", "resourceTypeId": "team", "parentResourceId": "o", "customerId": "c"},
        {
            "id": "u",
            "resourceTypeId": "user",
            "parentResourceId": "t",
            "customerId": "c",
            "properties": {"tier": "STANDARD"},
        },
    ],
    "allocations": [{"resourceId": "u", "creditCurrency": TOKENS, "customerId": "c", "limit": 200}],
    "rates": [{"eventName": "chat", "creditCurrency": TOKENS, "credits": 5}],
}


def changed(path: str, value: object) -> dict[str, Any]:
    """GOOD with another value at a path such as `resources/2/properties/tier`; ... takes it away."""
    model = copy.deepcopy(GOOD)
    *way, last = path.split("/")
    spot: Any = model
    for step in way:
        spot = spot[int(step)] if isinstance(spot, list) else spot[step]
    place: Any = int(last) if isinstance(spot, list) else last
    if value is ...:
        del spot[place]
    elif isinstance(spot, list) and place == len(spot):
        spot.append(value)
    else:
        spot[place] = value
    return model


def problems_of(control: UsageControl, model: Any) -> dict[str, Any]:
    with pytest.raises(InvalidModel) as invalid:
        control.apply(model)
    problems = invalid.value.problems
    assert isinstance(problems, tuple)
    assert problems
    for problem in problems:
        assert problem.path in str(invalid.value)
        assert problem.expected
    return {problem.path: problem for problem in problems}


def test_the_good_one_is_good(control: UsageControl) -> None:
    assert control.apply(GOOD).created


@pytest.mark.parametrize(
    ("path", "value", "at"),
    [
        ("allocations/0/limit", -1, "allocations[0].limit"),
        ("allocations/0/limit", 1.5, "allocations[0].limit"),
        ("allocations/0/limit", 200.0, "allocations[0].limit"),
        ("allocations/0/limit", True, "allocations[0].limit"),
        ("allocations/0/limit", "0.5", "allocations[0].limit"),  # the currency has no decimals
        ("allocations/0/limit", "NaN", "allocations[0].limit"),
        ("allocations/0/limit", 10**18 + 1, "allocations[0].limit"),
        ("allocations/0/limit", None, "allocations[0].limit"),
        ("allocations/0/limit", ..., "allocations[0].limit"),
        ("allocations/0/enforcementType", "hard", "allocations[0].enforcementType"),
        ("allocations/0/resourceId", "nobody", "allocations[0].resourceId"),
        ("allocations/0/creditCurrency", "", "allocations[0].creditCurrency"),
        ("allocations/0/customerId", "nobody", "allocations[0]"),
        ("resources/2/resourceTypeId", "robot", "resources[2].resourceTypeId"),
        ("resources/2/parentResourceId", "nobody", "resources[2].parentResourceId"),
        ("resources/2/parentResourceId", "o", "resources[2].parentResourceId"),  # an org: a user needs a team
        ("resources/2/properties", {}, "resources[2].properties.tier"),
        ("resources/2/properties/tier", "GOLD", "resources[2].properties.tier"),
        ("resources/2/properties/age", "old", "resources[2].properties.age"),
        ("resources/2/properties/age", True, "resources[2].properties.age"),
        ("resources/2/properties/admin", "yes", "resources[2].properties.admin"),
        ("resources/2/properties/admin", 1, "resources[2].properties.admin"),
        ("resources/2/properties/name", 5, "resources[2].properties.name"),
        ("resources/2/properties/naem", "x", "resources[2].properties.naem"),
        ("resources/2/id", "", "resources[2].id"),
        ("resources/2/id", "x" * 256, "resources[2].id"),
        ("resources/2/id", "nul\0", "resources[2].id"),
        ("resources/2/id", "\ud800", "resources[2].id"),
        ("resources/2/id", 5, "resources[2].id"),
        ("resources/2/id", "t", "resources[2]"),  # twice
        ("resources/2/customerId", "other", "resources[2]"),  # another customer than its parent's
        ("resourceTypes/1/parentResourceTypeId", "nobody", "resourceTypes[1].parentResourceTypeId"),
        ("resourceTypes/0/parentResourceTypeId", "user", "resourceTypes["),  # a cycle
        ("resourceTypes/2/properties/age/type", "INTEGER", "resourceTypes[2].properties.age.type"),
        ("resourceTypes/2/properties/tier/values", [], "resourceTypes[2].properties.tier"),
        ("creditCurrencies/1/decimals", -1, "creditCurrencies[1].decimals"),
        ("creditCurrencies/1/decimals", "two", "creditCurrencies[1].decimals"),
        ("allocations/0/cadence", "dayly", "allocations[0].cadence"),
        ("allocations/0/timezone", "Europe/Amsterdm", "allocations[0].timezone"),
        ("allocations/0/anchor", "2026-01-31", "allocations[0].anchor"),
        ("allocations/0/scope", {"model": 0.5}, "allocations[0].scope.model"),
        ("allocations/0/scope", {"model": []}, "allocations[0].scope.model"),
        ("allocations/0/effectiveAt", "2026-01-01", "allocations[0].effectiveAt"),
        ("allocations/0/resourceTypeId", "user", "allocations[0].resourceTypeId"),
        ("allocations/0/where", {"tier": "STANDARD"}, "allocations[0].where"),
        ("overrides", [{"resourceId": "u", "creditCurrency": TOKENS, "add": 5}], "overrides[0].expiresAt"),
        ("rates/0/where", ["gpt-5"], "rates[0].where"),
        ("rates/0/effectiveAt", "tomorrow", "rates[0].effectiveAt"),
        ("rates/0/credits", -5, "rates[0].credits"),
        ("rates/0/credits", 0.5, "rates[0].credits"),
        ("rates/0/terms", [{"dimension": "n", "credits": 1, "per": 0}], "rates[0].terms[0].per"),
        ("rates/0/terms", [{"credits": 1}], "rates[0].terms[0].dimension"),
        ("resources", "none", "resources"),
        ("resources/2", "none", "resources[2]"),
    ],
)
def test_a_problem_has_its_path(control: UsageControl, path: str, value: Any, at: str) -> None:
    found = problems_of(control, changed(path, value))
    assert any(place.startswith(at) for place in found), list(found)
    assert not control.apply({}).not_named  # nothing of it was applied
    assert control.apply(GOOD).created


def test_a_cycle_of_resources_is_refused(control: UsageControl) -> None:
    model = flat({"a": None, "b": None, "c": None})
    for entry, parent in zip(model["resources"], ("c", "a", "b"), strict=True):
        entry["parentResourceId"] = parent
    assert any(path.startswith("resources[") for path in problems_of(control, model))
    model["resources"] = [model["resources"][0] | {"parentResourceId": "a"}]
    problems_of(control, model)


def test_a_problem_has_the_value_and_says_what_would_be_right(control: UsageControl) -> None:
    problem = problems_of(control, changed("resources/2/properties/tier", "GOLD"))[
        "resources[2].properties.tier"
    ]
    assert problem.value == "GOLD"
    assert "STANDARD" in str(problem)
    assert "PREMIUM" in str(problem)


def test_all_problems_are_told_at_once(control: UsageControl) -> None:
    model = changed("resources/2/properties/tier", "GOLD")
    model["allocations"] += [
        {"resourceId": "u", "creditCurrency": TOKENS, "customerId": "c", "limit": "1.5"},
        {"resourceId": "nobody", "creditCurrency": TOKENS, "customerId": "c", "limit": 1},
    ]
    model["resourceTypes"] = [*TYPES, {"id": "team2", "parentResourceTypeId": "nothing"}]
    assert set(problems_of(control, model)) >= {
        "resources[2].properties.tier",
        "allocations[2].resourceId",
        "resourceTypes[3].parentResourceTypeId",
    }
    shapes = changed("allocations/0/limit", True)
    shapes["creditCurrencies"][1]["decimals"] = "two"
    assert set(problems_of(control, shapes)) >= {"allocations[0].limit", "creditCurrencies[1].decimals"}


@pytest.mark.parametrize(
    ("path", "near"),
    [
        ("alocations", "allocations"),
        ("allocations/0/limt", "limit"),
        ("allocations/0/enforcement_typ", "enforcement"),
        ("resources/2/resourceType", "resourceTypeId"),
    ],
)
def test_an_unknown_key_is_named_with_the_nearest_known_one(
    control: UsageControl, path: str, near: str
) -> None:
    with pytest.raises(InvalidModel) as invalid:
        control.apply(changed(path, "x"))
    assert path.rsplit("/", 1)[-1] in str(invalid.value)
    assert near in str(invalid.value)


def test_an_invalid_model_leaves_the_former_one_as_it_was(control: UsageControl) -> None:
    control.apply(GOOD)
    before = control.export_model()
    model = changed(
        "allocations/1", {"resourceId": "u", "creditCurrency": "usd", "customerId": "c", "limit": -1}
    )
    model["allocations"][0]["limit"] = 5
    problems_of(control, model)
    assert control.export_model() == before


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"resources": [}', '{"a": NaN}', "\ud800"])
def test_text_that_is_no_model_is_refused(control: UsageControl, text: str) -> None:
    with pytest.raises((InvalidModel, InvalidRequest)):
        control.apply(text)


def test_a_float_in_json_text_is_refused_by_its_path(control: UsageControl) -> None:
    text = json.dumps(changed("allocations/0/limit", 0.1))
    assert "allocations[0].limit" in problems_of(control, text)


@pytest.mark.parametrize("wrong", [None, 5, [GOOD]])
def test_what_is_no_model_at_all_is_refused(control: UsageControl, wrong: Any) -> None:
    with pytest.raises((InvalidModel, InvalidRequest)):
        control.apply(wrong)


def test_a_missing_file_is_an_error_that_names_it(control: UsageControl, tmp_path: Path) -> None:
    with pytest.raises((InvalidModel, InvalidRequest), match=r"no-such\.json"):
        control.apply(tmp_path / "no-such.json")


def test_decimals_never_change_once_something_was_booked(control: UsageControl) -> None:
    control.apply(GOOD)
    control.apply({"creditCurrencies": [{"id": TOKENS, "decimals": 2}]})  # nothing is booked in it yet
    control.report(customer_id="c", event_name="e", resource_ids=["u"], credit_currency=TOKENS, amount="0.25")
    assert numbers(control, "u") == {"u": (Decimal("0.25"), 0, Decimal("199.75"))}  # 200 is still 200
    found = problems_of(control, {"creditCurrencies": [{"id": TOKENS, "decimals": 0}]})
    assert any(path.startswith("creditCurrencies[0]") for path in found)
