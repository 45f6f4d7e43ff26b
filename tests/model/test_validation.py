"""Checks over a whole model: each fault is one problem, at its place, with what would be right."""

from decimal import Decimal
from typing import Any

import pytest

from stiggctl.definitions import ResourceType, draft_of
from stiggctl.validation import (
    CHECKS,
    Known,
    Node,
    Standing,
    Whole,
    owners_of,
    problems_of,
    whole,
    without_owner,
)

NONE = Known()


def problems(model: Any, known: Known = NONE, having: dict[str, set[str]] | None = None) -> dict[str, str]:
    """What is wrong in it, by path, with nothing or little in the ledger."""
    draft = draft_of(model)
    found = problems_of(Whole(draft, known, owners_of(draft, having or {})))
    told = {problem.path: problem.expected for problem in found}
    assert len(told) == len(found)  # one fault is one problem
    return told


def node(resource_id: str, type_id: str = "t", parent_id: str | None = None, customer: str = "c") -> Node:
    return Node(customer, resource_id, type_id, parent_id, None, None)


def resources(*entries: dict[str, Any], **lists: Any) -> dict[str, Any]:
    """A model of resources, of type t and customer c where they do not say otherwise."""
    filled = [{"resourceTypeId": "t", "customerId": "c", **entry} for entry in entries]
    return {"resourceTypes": [{"id": "t"}], "resources": filled, **lists}


def allocations(*entries: dict[str, Any], **lists: Any) -> dict[str, Any]:
    filled = [
        {"resourceId": "a", "creditCurrency": "x", "customerId": "c", "limit": 1, **entry}
        for entry in entries
    ]
    return resources({"id": "a"}, {"id": "b"}, allocations=filled, **lists)


def test_the_checks_are_many_and_each_says_what_it_holds() -> None:  # WM4
    assert len(CHECKS) == len(set(CHECKS)) > 20
    assert all(check.__doc__ for check in CHECKS)


def test_nothing_is_wrong_in_nothing() -> None:
    assert problems({}) == {}
    assert problems(resources({"id": "a"}, {"id": "b", "parentResourceId": "a"})) == {}


# ------------------------------------------------------------------ once each


def test_an_entry_stands_once() -> None:
    found = problems(
        {
            "customers": [{"id": "c"}, {"id": "d"}, {"id": "c"}],
            "creditCurrencies": [{"id": "x"}, {"id": "x"}],
            "resourceTypes": [{"id": "t"}, {"id": "t", "customerId": "c"}, {"id": "t", "customerId": "c"}],
            "resources": [
                {"id": "a", "resourceTypeId": "t", "customerId": "c"},
                {"id": "a", "resourceTypeId": "t", "customerId": "d"},
                {"id": "a", "resourceTypeId": "t", "customerId": "c"},
            ],
            "allocations": [
                {"resourceId": "a", "creditCurrency": "x", "customerId": "c", "limit": 1},
                {"resourceId": "a", "creditCurrency": "x", "customerId": "d", "limit": 1},
                {"resourceId": "a", "creditCurrency": "x", "customerId": "c", "limit": 2},
                {"id": "n", "resourceId": "a", "creditCurrency": "x", "customerId": "c", "limit": 1},
                {"id": "n", "resourceId": "a", "creditCurrency": "x", "customerId": "d", "limit": 1},
                {"id": "n", "resourceId": "a", "creditCurrency": "y", "customerId": "d", "limit": 1},
            ],
            "rates": [
                {"eventName": "e", "creditCurrency": "x"},
                {"eventName": "e", "creditCurrency": "x", "customerId": "c"},
                {"eventName": "e", "creditCurrency": "x"},
                {"eventName": "f", "creditCurrency": "x", "terms": [{"dimension": "d", "credits": 1}] * 2},
            ],
        }
    )
    assert list(found) == [
        "customers[2].id",
        "creditCurrencies[1].id",
        "resourceTypes[2].id",
        "resources[2].id",
        "allocations[2].resourceId",
        "allocations[5].id",
        "rates[2].eventName",
        "rates[3].terms[1].dimension",
    ]


# ------------------------------------------------------------------ types


def test_a_type_has_a_parent_that_exists() -> None:
    model = {"resource_types": [{"id": "user", "parent_resource_type_id": "taem"}, {"id": "team"}]}
    assert problems(model) == {
        "resource_types[0].parent_resource_type_id": "a resource type that exists (did you mean 'team'?)"
    }
    assert problems({"resourceTypes": [{"id": "user", "parentResourceTypeId": "team"}]}, _types("team")) == {}


def _types(*type_ids: str, **known: Any) -> Known:
    return Known(types={(None, type_id): ResourceType(id=type_id) for type_id in type_ids}, **known)


def test_a_type_for_all_has_no_parent_of_one_customer() -> None:
    own = {"id": "team", "customerId": "c"}
    user = {"id": "user", "parentResourceTypeId": "team"}
    model = {"customers": [{"id": "c"}], "resourceTypes": [own, user]}
    assert problems(model).keys() == {"resourceTypes[1].parentResourceTypeId"}
    model["resourceTypes"][1]["customerId"] = "c"
    assert problems(model) == {}


def test_types_form_no_cycle() -> None:
    parents = {"a": "b", "b": "c", "c": "a", "d": "a", "e": "e"}
    model = {"resourceTypes": [{"id": one, "parentResourceTypeId": other} for one, other in parents.items()]}
    assert problems(model) == {
        "resourceTypes[0].parentResourceTypeId": "a parent type that is not below it (a > b > c > a)",
        "resourceTypes[4].parentResourceTypeId": "a parent type that is not below it (e > e)",
    }
    below = Known(types={(None, "b"): ResourceType(id="b", parent_resource_type_id="a")})
    model = {"resourceTypes": [{"id": "a", "parentResourceTypeId": "b"}]}
    assert problems(model, below).keys() == {"resourceTypes[0].parentResourceTypeId"}


def test_schemas_make_sense() -> None:
    model = {
        "resourceTypes": [
            {
                "id": "t",
                "attributionKeys": ["a", "b", "a"],
                "properties": {
                    "none": {"type": "ENUM"},
                    "empty": {"type": "ENUM", "values": []},
                    "twice": {"type": "ENUM", "values": ["x", "x"]},
                    "other": {"type": "STRING", "values": ["x"]},
                    "good": {"type": "ENUM", "values": ["x", "y"]},
                },
            }
        ]
    }
    assert problems(model).keys() == {
        "resourceTypes[0].attributionKeys[2]",
        *(f"resourceTypes[0].properties.{name}.values" for name in ("none", "empty", "twice", "other")),
    }


SCHEMA = {
    "displayName": {"type": "STRING", "required": True},
    "seats": {"type": "NUMBER"},
    "pilot": {"type": "BOOLEAN"},
    "tier": {"type": "ENUM", "values": ["STANDARD", "PREMIUM"]},
}


@pytest.mark.parametrize(
    ("properties", "wrong"),
    [
        ({"displayName": ""}, None),
        ({"displayName": "x", "seats": 5, "pilot": False, "tier": "PREMIUM"}, None),
        ({"displayName": "x", "seats": Decimal("0.5")}, None),
        ({}, ("displayName", "text; type 't' requires it")),
        ({"displayName": 5}, ("displayName", "text")),
        ({"displayName": "x", "seats": "5"}, ("seats", "an int or a Decimal")),
        ({"displayName": "x", "seats": True}, ("seats", "an int or a Decimal")),
        ({"displayName": "x", "pilot": 1}, ("pilot", "true or false")),
        ({"displayName": "x", "tier": "GOLD"}, ("tier", "one of 'STANDARD', 'PREMIUM'")),
        ({"displayName": "x", "tear": 5}, ("tear", "a property of type 't'; did you mean 'tier'?")),
        (
            {"displayName": "x", "qqq": 5},
            ("qqq", "a property of type 't'; there are: 'displayName', 'seats', 'pilot', 'tier'"),
        ),
    ],
)
def test_properties_fit_their_schema(properties: dict[str, Any], wrong: tuple[str, str] | None) -> None:
    model = resources(
        {"id": "a", "properties": properties}, resourceTypes=[{"id": "t", "properties": SCHEMA}]
    )
    expected = {} if wrong is None else {f"resources[0].properties.{wrong[0]}": wrong[1]}
    assert problems(model) == expected


def test_a_required_property_is_named_as_its_schema_names_it() -> None:
    schema = {"display_name": {"type": "STRING", "required": True}}
    model = resources({"id": "a"}, resourceTypes=[{"id": "t", "properties": schema}])
    assert problems(model).keys() == {"resources[0].properties.display_name"}


def test_a_customers_own_type_stands_before_the_one_for_all() -> None:  # WM3
    required = {"seats": {"type": "NUMBER", "required": True}}
    types = [{"id": "t"}, {"id": "t", "customerId": "c", "properties": required}]
    model = resources({"id": "a"}, {"id": "b", "customerId": "d"}, resourceTypes=types)
    assert problems(model).keys() == {"resources[0].properties.seats"}


# ------------------------------------------------------------------ whose it is


def test_the_customer_is_named_or_follows_from_the_parent_or_is_the_only_one() -> None:
    draft = draft_of(
        {
            "customers": [{"id": "c"}, {"id": "d"}],
            "resources": [
                {"id": "leaf", "resourceTypeId": "t", "parentResourceId": "middle"},
                {"id": "middle", "resourceTypeId": "t", "parentResourceId": "root"},
                {"id": "root", "resourceTypeId": "t", "customerId": "d"},
                {"id": "below", "resourceTypeId": "t", "parentResourceId": "known"},
                {"id": "alone", "resourceTypeId": "t"},
            ],
            "allocations": [
                {"resourceId": "leaf", "creditCurrency": "x", "limit": 1},
                {"resourceId": "known", "creditCurrency": "x", "limit": 1},
                {"resourceId": "leaf", "creditCurrency": "x", "limit": 1, "customerId": "c"},
                {"resourceId": "both", "creditCurrency": "x", "limit": 1},
            ],
        }
    )
    assert without_owner(draft) == {"known", "both"}
    owners = owners_of(draft, {"known": {"e"}, "both": {"e", "f"}})
    assert owners.resources == ["d", "d", "d", "e", None]
    assert owners.allocations == ["d", "e", "c", None]


def test_the_only_customer_that_a_model_names_is_everyones() -> None:
    draft = draft_of(
        {
            "rates": [{"eventName": "e", "creditCurrency": "x", "customerId": "c"}],
            "resources": [{"id": "a", "resourceTypeId": "t"}, {"id": "b", "resourceTypeId": "t"}],
            "allocations": [{"resourceId": "z", "creditCurrency": "x", "limit": 1}],
        }
    )
    assert without_owner(draft) == set()
    assert owners_of(draft, {}) == (("c",), ["c", "c"], ["c"], [], [])


def test_where_nobody_can_say_whose_it_is_the_root_of_it_is_told() -> None:
    two = [{"id": "c"}, {"id": "d"}]
    model = {
        "customers": two,
        "resourceTypes": [{"id": "t"}],
        "resources": [
            {"id": "a", "resource_type_id": "t"},
            {"id": "b", "resourceTypeId": "t", "parentResourceId": "a"},
        ],
        "allocations": [
            {"resourceId": "b", "creditCurrency": "x", "limit": 1},
            {"resourceId": "z", "creditCurrency": "x", "limit": 1},
        ],
    }
    assert problems(model) == {
        "resources[0].customer_id": "one of the customers that the model names: 'c', 'd'",
        "allocations[1].customerId": "one of the customers that the model names: 'c', 'd'",
    }
    del model["customers"], model["allocations"]
    assert problems(model) == {"resources[0].customer_id": "a customer; the model names none"}


def test_types_allocations_and_rates_are_of_a_customer_that_exists() -> None:
    model = resources(
        {"id": "a", "customerId": "acme"},
        resourceTypes=[{"id": "t"}, {"id": "own", "customerId": "amce"}],
        allocations=[{"resourceId": "a", "creditCurrency": "x", "limit": 1, "customerId": "acne"}],
        rates=[{"eventName": "e", "creditCurrency": "x", "customerId": "zzz"}],
    )
    expected = "a customer that exists, or that the model defines"
    assert problems(model) == {
        "resourceTypes[1].customerId": f"{expected} (did you mean 'acme'?)",
        "allocations[0].customerId": f"{expected} (did you mean 'acme'?)",
        "rates[0].customerId": expected,
    }
    assert "rates[0].customerId" not in problems(model, Known(customers={"zzz"}))


# ------------------------------------------------------------------ trees


def test_a_resource_has_a_type_that_exists() -> None:
    model = resources({"id": "a", "resourceTypeId": "usr"}, resourceTypes=[{"id": "user"}])
    assert problems(model) == {
        "resources[0].resourceTypeId": "a resource type that exists (did you mean 'user'?)"
    }
    assert problems(resources({"id": "a", "resourceTypeId": "user"}), _types("user")) == {}


def test_a_parent_is_a_resource_of_the_same_customer() -> None:
    model = resources(
        {"id": "team-growth"},
        {"id": "a", "parentResourceId": "team-grwoth"},
        {"id": "b", "customerId": "d", "parentResourceId": "team-growth"},
        {"id": "c", "parentResourceId": "old"},
    )
    known = Known(resources={("c", "old"): node("old")})
    assert problems(model, known) == {
        "resources[1].parentResourceId": "a resource of customer 'c' (did you mean 'team-growth'?)",
        "resources[2].parentResourceId": (
            "a resource of customer 'd' (customer 'c' has one; nothing crosses customers)"
        ),
    }


def test_type_parents_bind_where_given() -> None:
    types = [{"id": "org"}, {"id": "team", "parentResourceTypeId": "org"}]
    types.append({"id": "user", "parentResourceTypeId": "team"})
    model = resources(
        {"id": "o", "resourceTypeId": "org"},
        {"id": "t", "resourceTypeId": "team", "parentResourceId": "o"},
        {"id": "u", "resourceTypeId": "user", "parentResourceId": "t"},
        {"id": "root", "resourceTypeId": "user"},  # a root is of any type
        {"id": "over", "resourceTypeId": "org", "parentResourceId": "u"},  # no parent type: anywhere
        {"id": "x", "resourceTypeId": "user", "parentResourceId": "o"},
        {"id": "y", "resourceTypeId": "user", "parentResourceId": "old"},
        resourceTypes=types,
    )
    known = Known(resources={("c", "old"): node("old", "org")})
    assert problems(model, known) == {
        "resources[5].parentResourceId": (
            "a resource of type 'team', as type 'user' says ('o' is of type 'org')"
        ),
        "resources[6].parentResourceId": (
            "a resource of type 'team', as type 'user' says ('old' is of type 'org')"
        ),
    }


def test_resources_form_no_cycle() -> None:
    model = resources(
        {"id": "a", "parentResourceId": "b"},
        {"id": "b", "parentResourceId": "a"},
        {"id": "self", "parentResourceId": "self"},
        {"id": "below", "parentResourceId": "a"},
        {"id": "top", "parentResourceId": "low"},
    )
    known = Known(
        resources={
            ("c", "low"): node("low", parent_id="mid"),
            ("c", "mid"): node("mid", parent_id="top"),
            ("c", "top"): node("top"),
        }
    )
    assert problems(model, known) == {
        "resources[0].parentResourceId": "a parent that is not below it ('a' > 'b' > 'a')",
        "resources[2].parentResourceId": "a parent that is not below it ('self' > 'self')",
        "resources[4].parentResourceId": "a parent that is not below it ('top' > 'low' > 'mid' > 'top')",
    }


def test_the_models_entry_stands_before_the_ledgers() -> None:  # WM1
    known = Known(resources={("c", "a"): node("a", parent_id="b"), ("c", "b"): node("b")})
    swapped = resources({"id": "a"}, {"id": "b", "parentResourceId": "a"})
    assert problems(swapped, known) == {}
    assert problems(resources({"id": "b", "parentResourceId": "a"}), known).keys() == {
        "resources[0].parentResourceId"
    }


def test_a_deep_tree_takes_no_recursion_and_no_square() -> None:
    depth = 20_000
    chain = [{"id": str(n), "resourceTypeId": "t", "parentResourceId": str(n + 1)} for n in range(depth)]
    top = {"id": str(depth), "resourceTypeId": "t"}
    assert (
        problems({"resourceTypes": [{"id": "t"}], "customers": [{"id": "c"}], "resources": [*chain, top]})
        == {}
    )
    nobody = {"resourceTypes": [{"id": "t"}], "resources": [*chain, top]}
    assert problems(nobody).keys() == {f"resources[{depth}].customerId"}


def test_thousands_of_wrong_parents_take_a_hundred_searches_for_a_like_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    searched: list[str] = []
    monkeypatch.setattr(whole, "nearest", lambda name, _known: searched.append(name))
    entries = [{"id": f"resource-{n}", "parentResourceId": f"resoruce-{n}"} for n in range(5_000)]
    assert len(problems(resources(*entries))) == 5_000
    assert len(searched) == 100


# ------------------------------------------------------------------ what stands already


def standing(properties: dict[str, Any], type_id: str = "user", parent: str | None = None) -> Standing:
    return Standing(Node("c", "old", type_id, parent, properties, None), "org" if parent else None)


def test_a_changed_type_still_fits_what_stands() -> None:
    model = {"resourceTypes": [{"id": "user", "properties": {"tier": {"type": "ENUM", "values": ["A"]}}}]}
    assert problems(model, Known(standing=[standing({"tier": "A"}), standing({})])) == {}
    assert problems(model, Known(standing=[standing({"tier": "B"}), standing({"tier": "C"})])) == {
        "resourceTypes[0].properties.tier": (
            "what fits the resources there are: tier of 'old' of 'c' would have to be one of 'A' (and 1 more)"
        )
    }
    model = {"resourceTypes": [{"id": "team"}, {"id": "user", "parentResourceTypeId": "team"}]}
    assert problems(model, Known(standing=[standing({}, parent="o")])) == {
        "resourceTypes[1].parentResourceTypeId": (
            "what fits the resources there are: 'old' of 'c' stands in a 'org'"
        )
    }


def test_a_resource_of_another_type_still_fits_what_is_below_it() -> None:
    user = ResourceType(id="user", parent_resource_type_id="org")
    types = {(None, "user"): user, (None, "org"): ResourceType(id="org")}
    known = Known(types=types, standing=[standing({}, parent="o")])
    model = resources({"id": "o", "resourceTypeId": "t"})
    assert problems(model, known) == {
        "resources[0].resourceTypeId": "'org', because 'old' of 'c' is below it"
    }


# ------------------------------------------------------------------ limits and rates


@pytest.mark.parametrize(
    ("limit", "decimals", "good"),
    [
        (200, 0, True),
        ("5.0", 0, True),
        ("1e3", 0, True),
        ("0.02", 2, True),
        ("0.02", 1, False),
        (-1, 0, False),
        ("-0.01", 9, False),
        ("abc", 0, False),
        ("1_000", 0, False),
        (" 5", 0, False),
        ("٣", 0, False),
        (Decimal("NaN"), 0, False),
        (Decimal("Infinity"), 0, False),
        (10**18, 0, True),
        (10**18 + 1, 0, False),
        (10**9, 9, True),
        (10**9 + 1, 9, False),
        (2**63, 0, False),
        ("1e999999999", 0, False),
    ],
)
def test_a_limit_is_representable_in_its_currency(
    limit: Any,
    decimals: int,
    good: bool,
) -> None:
    model = allocations({"limit": limit}, creditCurrencies=[{"id": "x", "decimals": decimals}])
    assert (problems(model) == {}) == good
    if not good:
        assert problems(model).keys() == {"allocations[0].limit"}
    del model["creditCurrencies"]
    assert (problems(model, Known(currencies={"x": decimals})) == {}) == good


def test_an_allocation_stands_on_a_resource_of_its_customer() -> None:
    model = allocations({"resourceId": "a1"}, {"resourceId": "old"}, {"resourceId": "b", "customerId": "d"})
    model["customers"] = [{"id": "d"}]
    assert problems(model, Known(resources={("c", "old"): node("old")})).keys() == {
        "allocations[0].resourceId",
        "allocations[2].resourceId",
    }


def test_a_rate_charges_in_a_currency_that_is_known() -> None:
    rates = [{"eventName": "e", "creditCurrency": name} for name in ("x", "y", "z", "ai-tokns")]
    currencies = [{"id": "y"}, {"id": "ai-tokens"}]
    model = allocations({}, rates=rates, creditCurrencies=currencies)
    assert problems(model, Known(currencies={"z": 2})) == {
        "rates[3].creditCurrency": (
            "a credit currency that exists, or that the model defines (did you mean 'ai-tokens'?)"
        )
    }


def test_prices_are_numbers() -> None:
    terms = [
        {"dimension": "a", "credits": "0.000000000001", "per": "1000"},
        {"dimension": "b", "credits": -1, "per": 0},
        {"dimension": "c", "credits": "x", "per": "0.0"},
        {"dimension": "d", "credits": "1e-19", "per": "1e99"},
    ]
    rates = [{"eventName": "e", "creditCurrency": "x", "credits": Decimal(-1), "terms": terms}]
    assert problems({"creditCurrencies": [{"id": "x"}], "rates": rates}).keys() == {
        "rates[0].credits",
        *(f"rates[0].terms[{number}].{key}" for number in (1, 2, 3) for key in ("credits", "per")),
    }


def test_decimals_stay_once_something_counts() -> None:
    model = {"creditCurrencies": [{"id": "usd", "decimals": 9}]}
    assert problems(model, Known(currencies={"usd": 0})) == {}
    assert problems(model, Known(currencies={"usd": 9}, counted={"usd"})) == {}
    assert problems(model, Known(currencies={"usd": 0}, counted={"usd"})) == {
        "creditCurrencies[0].decimals": "0, as it was: usage counts in this currency"
    }
    model = {"creditCurrencies": [{"id": "usd", "decimals": 1}]}
    former = Known(currencies={"usd": 2}, limits={"usd": [Decimal("0.5"), Decimal("0.05")]})
    assert problems(model, former).keys() == {"creditCurrencies[0].decimals"}


# ------------------------------------------------------------------ one fault, one problem


def test_what_follows_from_what_could_not_be_read_is_not_told() -> None:
    model = {
        "customers": [{"id": "c"}],
        "creditCurrencies": [{"id": "usd", "decimals": "two"}, {"id": 5}],
        "resourceTypes": [
            {"id": "user", "parentResourceTypeId": "team", "properties": {"tier": {"type": "ENUMM"}}},
            {"id": "team", "customerId": 5},
            {"id": "open", "parentResourceTypeId": 5},
        ],
        "resources": [
            {"id": "gone", "resourceTypeId": None},
            {"id": "u", "resourceTypeId": "user", "parentResourceId": "gone", "properties": {"tier": "X"}},
            {"id": "o", "resourceTypeId": "open", "parentResourceId": "u", "name": 5},
        ],
        "allocations": [
            {"resourceId": "gone", "creditCurrency": "usd", "limit": "0.02"},
            {"resourceId": "u", "creditCurrency": "usd", "limit": 0.02},
        ],
        "rates": [{"eventName": "e", "creditCurrency": "eur"}],
    }
    assert list(problems(model)) == [
        "creditCurrencies[0].decimals",
        "creditCurrencies[1].id",
        "resourceTypes[0].properties.tier.type",
        "resourceTypes[1].customerId",
        "resourceTypes[2].parentResourceTypeId",
        "resources[0].resourceTypeId",
        "resources[2].name",
        "allocations[1].limit",
    ]


def test_the_other_fields_of_a_wrong_entry_are_looked_at_too() -> None:  # WM4
    types = [{"id": "t", "properties": {"tier": {"type": "ENUM", "values": ["A"]}, "n": {"type": "NUMBER"}}}]
    model = resources(
        {"id": "a", "name": 5, "properties": {"tier": "B", "n": 0.5}, "parentResourceId": "nobody"},
        resourceTypes=types,
        allocations=[
            {
                "resourceId": "nobody",
                "creditCurrency": "x",
                "customerId": "c",
                "limit": 0.5,
                "enforcementType": 1,
            }
        ],
    )
    assert set(problems(model)) == {
        "resources[0].name",
        "resources[0].properties.n",
        "resources[0].properties.tier",
        "resources[0].parentResourceId",
        "allocations[0].resourceId",
        "allocations[0].limit",
        "allocations[0].enforcementType",
    }


def test_a_field_that_could_not_be_read_is_told_once() -> None:
    types = [{"id": "t", "properties": {"tier": {"type": "STRING", "required": True}}}]
    assert problems(resources({"id": "a", "properties": {"tier": 0.5}}, resourceTypes=types)) == {
        "resources[0].properties.tier": 'an int or a Decimal; a float is not exact: write Decimal("0.5")'
    }


def test_what_stands_on_a_list_that_could_not_be_read_is_not_told() -> None:
    model = resources({"id": "a"}, resourceTypes={}, creditCurrencies=5)
    model["rates"] = [{"eventName": "e", "creditCurrency": "x"}]
    assert problems(model) == {"resourceTypes": "a list", "creditCurrencies": "a list"}
    model = allocations({})
    model["resources"] = None
    assert problems(model) == {"resources": "a list"}


def test_a_path_spells_each_key_as_it_was_written() -> None:
    entry = {"id": "a", "resource_type_id": "t", "customer_id": "c", "parentResourceId": "nobody"}
    model = {"resourceTypes": [{"id": "t"}], "resources": [entry]}
    assert problems(model).keys() == {"resources[0].parentResourceId"}
    entry["parent_resource_id"] = entry.pop("parentResourceId")
    assert problems(model).keys() == {"resources[0].parent_resource_id"}


def test_a_limit_on_what_two_customers_have_says_whose() -> None:
    model = resources(
        {"id": "a"},
        {"id": "a", "customerId": "d"},
        allocations=[{"resourceId": "a", "creditCurrency": "x", "limit": 1}],
    )
    assert problems(model) == {
        "allocations[0].customerId": "one of the customers that the model names: 'c', 'd'"
    }


def test_checks_ask_and_change_nothing() -> None:  # WM2, WM5
    draft = draft_of(resources({"id": "a"}))
    looked_at = Whole(draft, NONE, owners_of(draft, {}))
    before = (dict(looked_at.nodes), dict(looked_at.types), set(looked_at.customers))
    assert [list(check(looked_at)) for check in CHECKS] == [[] for _ in CHECKS]
    assert (looked_at.nodes, looked_at.types, looked_at.customers) == before
