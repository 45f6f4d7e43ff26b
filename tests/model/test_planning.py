"""A model into the rows to write: applied whole, any number of times, and read back."""

import json
from copy import deepcopy
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stiggctl.definitions import UsageModel, draft_of
from stiggctl.errors import (
    AmbiguousResource,
    CurrencyNotFound,
    CustomerNotFound,
    InvalidModel,
    InvalidRequest,
    ResourceNotFound,
)

from .desk import Desk
from .fake import FakeLedger

ACME: dict[str, Any] = {
    "customers": [{"id": "c", "name": "Acme"}],
    "creditCurrencies": [{"id": "usd", "decimals": 9}],
    "resourceTypes": [
        {"id": "org", "properties": {"city": {"type": "STRING"}, "area": {"type": "STRING"}}},
        {"id": "team", "parentResourceTypeId": "org", "properties": {"seats": {"type": "NUMBER"}}},
        {
            "id": "user",
            "parentResourceTypeId": "team",
            "properties": {"tier": {"type": "ENUM", "values": ["A", "B"], "required": True}},
        },
    ],
    "resources": [
        {
            "id": "user-01",
            "resourceTypeId": "user",
            "parentResourceId": "growth",
            "properties": {"tier": "A"},
        },
        {"id": "growth", "resourceTypeId": "team", "parentResourceId": "acme", "properties": {"seats": 3}},
        {"id": "acme", "resourceTypeId": "org", "properties": {"city": "Delft", "area": "NL"}},
        {
            "id": "user-02",
            "resourceTypeId": "user",
            "parentResourceId": "growth",
            "properties": {"tier": "B"},
        },
    ],
    "allocations": [
        {"resourceId": "user-01", "creditCurrency": "tokens", "limit": 200},
        {"resourceId": "growth", "creditCurrency": "usd", "limit": "0.02", "enforcementType": "SOFT"},
        {"id": "cap", "resourceId": "acme", "creditCurrency": "tokens", "limit": 1000},
    ],
    "rates": [
        {"eventName": "mail", "creditCurrency": "tokens", "credits": 5},
        {
            "eventName": "chat",
            "creditCurrency": "usd",
            "customerId": "c",
            "terms": [{"dimension": "n", "credits": "0.50", "per": 1000}],
        },
    ],
}


def acme(**lists: Any) -> dict[str, Any]:
    """The model, with some of its lists replaced."""
    return deepcopy({**ACME, **lists})


def entry(listed: str, place: int, **fields: Any) -> dict[str, Any]:
    """One entry of the model, changed, and whose it is."""
    owned = {} if listed in {"creditCurrencies", "resourceTypes", "customers"} else {"customerId": "c"}
    return {**deepcopy(ACME[listed][place]), **owned, **fields}


def problems(desk: Desk, model: Any, **options: Any) -> dict[str, str]:
    before = desk.export()
    with pytest.raises(InvalidModel) as caught:
        desk.apply(model, **options)
    assert desk.export() == before
    return {problem.path: problem.expected for problem in caught.value.problems}


@pytest.fixture
def written(desk: Desk) -> Desk:
    desk.apply(ACME)
    return desk


# ------------------------------------------------------------------ the same again


def test_a_model_is_created_once(desk: Desk) -> None:  # MP2
    first = desk.apply(ACME)
    assert first.created == (
        "credit currency usd",
        "credit currency tokens",
        "customer c",
        "resource type org",
        "resource type team",
        "resource type user",
        "resource user-01 of c",
        "resource growth of c",
        "resource acme of c",
        "resource user-02 of c",
        "allocation of tokens on user-01 of c",
        "allocation of usd on growth of c",
        "allocation cap of c",
        "rate of mail in tokens",
        "rate of chat in usd of c",
    )
    again = desk.apply(ACME)
    assert not again
    assert len(again.unchanged) == len(first.created) - 1  # nobody named the currency "tokens"
    assert not again.not_named


def test_equal_entries_are_equal_however_they_are_written(written: Desk) -> None:  # MP2
    model = acme()
    model["allocations"][0]["limit"] = "2e2"
    model["allocations"][1]["limit"] = Decimal("0.020")
    model["rates"][1]["terms"][0] = {"dimension": "n", "credits": Decimal("0.5"), "per": "1e3"}
    model["resources"][1]["properties"] = {"seats": Decimal("3.0")}
    model["resources"][2]["properties"] = {"area": "NL", "city": "Delft"}
    model["resources"].reverse()
    assert not written.apply(model)
    assert not written.apply(json.dumps(acme()))


def test_the_export_changes_nothing_and_makes_the_same_elsewhere(written: Desk) -> None:
    model = written.export()
    assert not written.apply(model)
    assert not written.apply(model, prune=True)
    assert not written.apply(model.model_dump_json(), prune=True)
    other = Desk(FakeLedger())
    other.apply(model)
    assert other.export() == model


def test_the_export_is_in_one_order_whoever_came_first(desk: Desk) -> None:
    node = {"resourceTypeId": "node", "customerId": "c"}
    for resource_id, parent_id in (("z", None), ("a", "z"), ("m", None), ("b", "m")):
        one = {**node, "id": resource_id, "parentResourceId": parent_id}
        limit = {"resourceId": resource_id, "customerId": "c", "creditCurrency": resource_id, "limit": 1}
        desk.apply({"resourceTypes": [{"id": "node"}], "resources": [one], "allocations": [limit]})
    model = desk.export()
    assert [one.id for one in model.resources] == ["m", "z", "a", "b"]
    assert [one.resource_id for one in model.allocations] == ["m", "z", "a", "b"]
    assert [one.id for one in model.credit_currencies] == ["a", "b", "m", "z"]


def test_the_export_says_what_was_written(written: Desk) -> None:
    model = written.export()
    assert [(one.id, one.parent_resource_id, one.customer_id) for one in model.resources] == [
        ("acme", None, "c"),
        ("growth", "acme", "c"),
        ("user-01", "growth", "c"),
        ("user-02", "growth", "c"),
    ]
    assert [(one.id, one.limit, one.enforcement_type) for one in model.allocations] == [
        ("cap", 1000, "HARD"),
        (None, Decimal("0.02"), "SOFT"),
        (None, 200, "HARD"),
    ]
    assert [(one.id, one.decimals) for one in model.credit_currencies] == [("tokens", 0), ("usd", 9)]
    assert model.rates[1].terms[0].credits == Decimal("0.5")
    assert type(model.rates[0].credits) is int
    assert model.resource_types[2].properties["tier"].values == ("A", "B")


# ------------------------------------------------------------------ whole entries


def test_what_is_left_out_is_the_default(written: Desk) -> None:  # MP3
    applied = written.apply(
        {
            "customers": [{"id": "c"}],
            "resources": [{"id": "growth", "resourceTypeId": "team"}],
            "allocations": [{"resourceId": "growth", "creditCurrency": "usd", "limit": "0.02"}],
        }
    )
    assert applied.changed == ("customer c", "resource growth of c", "allocation of usd on growth of c")
    model = written.export()
    assert model.customers[0].name is None
    growth = next(one for one in model.resources if one.id == "growth")
    assert (growth.parent_resource_id, growth.properties) == (None, {})
    assert all(one.enforcement_type == "HARD" for one in model.allocations)


def test_an_allocations_id_is_its_key(written: Desk) -> None:
    moved = {"id": "cap", "resourceId": "growth", "creditCurrency": "usd", "customerId": "c", "limit": 7}
    assert written.apply({"allocations": [moved]}).changed == ("allocation cap of c",)
    caps = [one for one in written.export().allocations if one.id == "cap"]
    assert [(one.resource_id, one.credit_currency, one.limit) for one in caps] == [("growth", "usd", 7)]
    assert not written.apply({"allocations": [moved]})
    moved["resourceId"] = "user-01"
    assert written.apply({"allocations": [moved]}).changed == ("allocation cap of c",)
    moved["resourceId"] = "growth"
    written.apply({"allocations": [moved]})
    line = written.audit()[-1]
    assert json.loads(line.before or "")["resourceId"] == "user-01"
    assert json.loads(line.after or "")["resourceId"] == "growth"


def test_a_currency_first_named_by_a_limit_has_no_decimals(desk: Desk) -> None:
    desk.apply(acme(creditCurrencies=[], rates=[], allocations=[entry("allocations", 0)]))
    assert [(one.id, one.decimals) for one in desk.export().credit_currencies] == [("tokens", 0)]


def test_decimals_that_nothing_counts_in_may_change_and_limits_stay_what_they_are(desk: Desk) -> None:
    desk.apply(acme(allocations=[entry("allocations", 0), entry("allocations", 2)]))
    applied = desk.apply(
        {
            "creditCurrencies": [{"id": "tokens", "decimals": 3}],
            "allocations": [entry("allocations", 0, limit="0.125")],
        }
    )
    assert applied.changed == ("credit currency tokens", "allocation of tokens on user-01 of c")
    limits = {one.resource_id: one.limit for one in desk.export().allocations}
    assert limits == {"user-01": Decimal("0.125"), "acme": 1000}
    assert not desk.apply(desk.export())
    only = {
        "creditCurrencies": [{"id": "tokens", "decimals": 4}],
        "allocations": [entry("allocations", 0, limit="0.125")],
    }
    assert desk.apply(only, prune=True).archived == ("allocation cap of c",)
    assert not desk.apply(only, prune=True)
    desk.apply({"allocations": [entry("allocations", 2)]})
    assert problems(desk, {"creditCurrencies": [{"id": "tokens", "decimals": 0}]}).keys() == {
        "creditCurrencies[0].decimals"
    }
    assert problems(desk, {"creditCurrencies": [{"id": "tokens", "decimals": 17}]}).keys() == {
        "creditCurrencies[0].decimals"  # 1000 would be more units than a limit has
    }


def test_decimals_that_something_counts_in_stay() -> None:  # MP4
    ledger = FakeLedger()
    desk = Desk(ledger)
    desk.apply(ACME)
    ledger.counted.add("tokens")
    assert problems(desk, {"creditCurrencies": [{"id": "tokens", "decimals": 2}]}) == {
        "creditCurrencies[0].decimals": "0, as it was: usage counts in this currency"
    }
    assert desk.apply({"creditCurrencies": [{"id": "tokens", "name": "Tokens"}]}).changed


def test_a_changed_rate_is_another_row(written: Desk) -> None:
    written.apply({"rates": [{"eventName": "mail", "creditCurrency": "tokens", "credits": 6}]})
    rates = [one for one in written.export().rates if one.event_name == "mail"]
    assert [one.credits for one in rates] == [6]


# ------------------------------------------------------------------ nothing of a wrong model


def test_nothing_of_a_wrong_model_is_written_and_all_of_it_is_told(written: Desk) -> None:  # MP1
    found = problems(
        written,
        {
            "resources": [
                entry("resources", 0, properties={"tier": "C"}),
                entry("resources", 1, name="new"),
                entry("resources", 2, parentResourceId="user-02"),
            ],
            "allocations": [
                entry("allocations", 0, limit=0.5),
                entry("allocations", 1, limit="0.0000000001"),
                entry("allocations", 2, resourceId="acme2"),
            ],
        },
        prune=True,
    )
    assert list(found) == [
        "resources[0].properties.tier",
        "resources[2].parentResourceId",
        "allocations[0].limit",
        "allocations[1].limit",
        "allocations[2].resourceId",
    ]


def test_a_parent_and_an_owner_are_found_in_the_ledger(written: Desk) -> None:
    written.apply(
        {"customers": [{"id": "d"}], "resources": [entry("resources", 2, customerId="d", id="root")]}
    )
    new = {
        "id": "user-03",
        "resourceTypeId": "user",
        "parentResourceId": "growth",
        "properties": {"tier": "A"},
    }
    limit = {"resourceId": "user-02", "creditCurrency": "tokens", "limit": 5}
    applied = written.apply({"resources": [new], "allocations": [limit]})
    assert applied.created == ("resource user-03 of c", "allocation of tokens on user-02 of c")


def test_a_cycle_through_the_ledger_is_found(desk: Desk) -> None:
    node = {"resourceTypeId": "node", "customerId": "c"}
    chain = [{**node, "id": str(n), "parentResourceId": str(n + 1)} for n in range(5)]
    desk.apply({"resourceTypes": [{"id": "node"}], "resources": [*chain, {**node, "id": "5"}]})
    assert problems(desk, {"resources": [{**node, "id": "5", "parentResourceId": "2"}]}).keys() == {
        "resources[0].parentResourceId"
    }
    turned = [{**node, "id": str(n), "parentResourceId": str(n - 1) if n else None} for n in range(6)]
    desk.apply({"resources": turned})  # upside down, in one step
    assert desk.resource("5").parent_resource_id == "4"
    assert desk.resource("0").parent_resource_id is None


# ------------------------------------------------------------------ what stands already


def test_a_type_that_changes_fits_what_stands(written: Desk) -> None:
    narrower = entry("resourceTypes", 2)
    narrower["properties"]["tier"]["values"] = ["A"]
    assert problems(written, {"resourceTypes": [narrower]}) == {
        "resourceTypes[0].properties.tier": (
            "what fits the resources there are: tier of 'user-02' of 'c' would have to be one of 'A'"
        )
    }
    with_both = {"resourceTypes": [narrower], "resources": [entry("resources", 3, properties={"tier": "A"})]}
    assert written.apply(with_both).changed == ("resource type user", "resource user-02 of c")
    elsewhere = [entry("resourceTypes", 1, parentResourceTypeId="dept"), {"id": "dept"}]
    assert problems(written, {"resourceTypes": elsewhere}) == {
        "resourceTypes[0].parentResourceTypeId": (
            "what fits the resources there are: 'growth' of 'c' stands in a 'org'"
        )
    }
    stricter = entry("resourceTypes", 1)
    stricter["properties"]["seats"]["required"] = True
    assert written.apply({"resourceTypes": [stricter]}).changed  # growth has seats
    stricter["properties"]["new"] = {"type": "STRING", "required": True}
    assert problems(written, {"resourceTypes": [stricter]}).keys() == {"resourceTypes[0].properties.new"}
    looser = {
        "resources": [entry("resources", 1, properties={})],
        "resourceTypes": [entry("resourceTypes", 1)],
    }
    assert written.apply(looser).changed
    del stricter["properties"]["new"]
    assert problems(written, {"resourceTypes": [stricter]}).keys() == {"resourceTypes[0].properties.seats"}


def test_a_looser_type_reads_no_resources() -> None:
    ledger = FakeLedger()
    desk = Desk(ledger)
    desk.apply(ACME)
    ledger.read_through.clear()
    wider = entry("resourceTypes", 2, parentResourceTypeId=None, name="User")
    wider["properties"] = {"tier": {"type": "ENUM", "values": ["A", "B", "C"]}, "new": {"type": "STRING"}}
    assert desk.apply({"resourceTypes": [wider]}).changed
    assert ledger.read_through == []


def test_one_resource_reads_no_customer_through() -> None:
    ledger = FakeLedger()
    desk = Desk(ledger)
    desk.apply(ACME)
    ledger.read_through.clear()
    desk.do(
        "put_resource",
        resource_id="user-03",
        resource_type_id="user",
        parent_resource_id="growth",
        properties={"tier": "A"},
    )
    desk.do("set_allocation", resource_id="user-03", credit_currency="tokens", limit=5)
    desk.do("move_resource", resource_id="user-03", parent_resource_id=None)
    desk.do("suspend", resource_id="user-03")
    assert ledger.read_through == []


def test_a_resource_that_gets_another_type_fits_what_is_below_it(written: Desk) -> None:
    found = problems(written, {"resources": [entry("resources", 1, resourceTypeId="org", properties={})]})
    assert found.keys() == {"resources[0].resourceTypeId", "resources[0].parentResourceId"} - {
        "resources[0].parentResourceId"  # an org stands anywhere
    }
    alone = [entry("resources", 0, parentResourceId=None), entry("resources", 3, parentResourceId=None)]
    growth = entry("resources", 1, resourceTypeId="org", properties={})
    assert written.apply({"resources": [*alone, growth]}).changed
    assert written.resource("growth").type_id == "org"


def test_a_customers_own_type_takes_over_its_resources(written: Desk) -> None:
    written.apply({"resources": [entry("resources", 2, customerId="d", id="other")]})
    strict = entry("resourceTypes", 0, customerId="c")
    strict["properties"]["vat"] = {"type": "STRING", "required": True}
    assert problems(written, {"resourceTypes": [strict]}).keys() == {"resourceTypes[0].properties.vat"}
    loose = deepcopy(strict)
    loose["properties"]["vat"]["required"] = False
    assert written.apply({"resourceTypes": [loose]}).created == ("resource type org of c",)
    assert not written.apply(written.export())
    with written.ledger.reader() as reader:
        owners = {row.id: row.customer_id for row in reader.types()}
    assert owners[written.resource("acme").type] == "c"
    assert owners[written.resource("other", "d").type] is None
    written.apply({"resources": [entry("resources", 2, properties={"vat": "1"})]})


def test_a_resource_that_is_named_beside_its_customers_new_type_is_as_it_is_named(written: Desk) -> None:
    own = [entry("resourceTypes", 0, customerId="c"), {**entry("resourceTypes", 1), "customerId": "c"}]
    named = [entry("resources", 2, name="Acme"), entry("resources", 1)]
    written.apply({"resourceTypes": own, "resources": named})
    with written.ledger.reader() as reader:
        owners = {row.id: row.customer_id for row in reader.types()}
    assert {owners[written.resource(each).type] for each in ("acme", "growth")} == {"c"}
    assert written.resource("acme").name == "Acme"


# ------------------------------------------------------------------ versions, audit


def test_only_customers_whose_paths_change_get_a_new_version(written: Desk) -> None:  # MP5
    written.apply({"resources": [entry("resources", 2, customerId="d", id="other")]})

    def raised(model: dict[str, Any], **options: Any) -> set[str]:
        former_all, former = written.versions()
        assert written.apply(model, **options)
        all_now, now = written.versions()
        return {key for key in now if now[key] != former.get(key)} | (
            {"all"} if all_now != former_all else set()
        )

    assert raised({"customers": [{"id": "c", "name": "A"}]}) == set()
    assert raised({"resources": [entry("resources", 3, properties={"tier": "A"}, name="x")]}) == set()
    assert raised({"resources": [entry("resources", 3, parentResourceId=None)]}) == {"c"}
    assert raised({"allocations": [entry("allocations", 0, limit=5)]}) == {"c"}
    assert raised({"resourceTypes": [{"id": "own", "customerId": "d"}]}) == {"d"}
    assert raised({"rates": [entry("rates", 0, customerId="d")]}) == {"d"}
    assert raised({"resourceTypes": [{"id": "new"}]}) == {"all"}
    assert raised({"rates": [{"eventName": "x", "creditCurrency": "usd"}]}) == {"all"}
    assert raised({"creditCurrencies": [{"id": "eur", "decimals": 2}]}) == {"all"}
    assert raised({"creditCurrencies": [{"id": "eur", "decimals": 2, "name": "Euro"}]}) == set()
    assert raised({"customers": [{"id": "c"}], "resources": []}, prune=True) == {"c"}


def test_each_changed_entry_leaves_one_audit_line(written: Desk) -> None:
    lines = written.audit()
    assert len(lines) == len(ACME["resources"]) + 11
    assert {(line.actor, line.reason, line.verb) for line in lines} == {("ops", "because", "apply")}
    assert all(line.before is None for line in lines)
    user = next(line for line in lines if line.subject == "resource user-01")
    assert user.customer_id == "c"
    assert json.loads(user.after or "") == {**ACME["resources"][0], "customerId": "c"}
    written.apply(acme(allocations=[entry("allocations", 1, limit=3), entry("allocations", 0)]))
    (line,) = written.audit()[len(lines) :]
    assert line.subject == "allocation of usd on growth"
    assert json.loads(line.before or "", parse_float=Decimal)["limit"] == Decimal("0.02")
    assert json.loads(line.after or "")["limit"] == 3


@pytest.mark.parametrize("reason", ["\0", "\ud800", "x" * 1_001, 5])
def test_why_is_text(written: Desk, reason: Any) -> None:
    for verb in ("archive_resource", "suspend"):
        with pytest.raises(InvalidRequest, match="reason"):
            written.do(verb, reason=reason, resource_id="growth")
    with pytest.raises(InvalidRequest, match="reason"):
        written.do("put_customer", reason=reason, customer_id="d")


def test_names_in_any_script_are_readable(desk: Desk) -> None:
    ids = ["日本", "it's", "two\nlines", " space ", 'quo"ted']
    model = {
        "resourceTypes": [{"id": "t"}],
        "resources": [{"id": each, "resourceTypeId": "t", "customerId": "c"} for each in ids],
    }
    names = desk.apply(model).created[-5:]
    assert names == (
        "resource 日本 of c",
        "resource it's of c",
        "resource 'two\\nlines' of c",
        "resource ' space ' of c",
        'resource quo"ted of c',
    )
    assert not desk.apply(desk.export())


# ------------------------------------------------------------------ what is not named


def test_what_is_not_named_is_told_and_stays(written: Desk) -> None:
    fewer = acme(
        resources=ACME["resources"][1:3], allocations=ACME["allocations"][1:], rates=ACME["rates"][:1]
    )
    applied = written.apply(fewer)
    assert not applied
    assert applied.not_named == (
        "resource user-01 of c",
        "resource user-02 of c",
        "allocation of tokens on user-01 of c",
        "rate of chat in usd of c",
    )
    pruned = written.apply(fewer, prune=True)
    assert pruned.archived == applied.not_named
    assert pruned.not_named == ()
    assert not written.apply(fewer, prune=True)
    assert {one.id for one in written.export().resources} == {"acme", "growth"}
    assert len(written.export().allocations) == 2
    assert [one.event_name for one in written.export().rates] == ["mail"]


def test_a_list_that_is_left_out_prunes_nothing(written: Desk) -> None:
    before = written.export()
    for model in ({}, {"customers": ACME["customers"]}, {"resourceTypes": ACME["resourceTypes"]}):
        applied = written.apply(model, prune=True)
        assert not applied
        assert not applied.not_named
    assert written.export() == before
    limits = {"customers": ACME["customers"], "allocations": ACME["allocations"]}
    assert not written.apply(limits, prune=True)
    assert len(written.apply({**limits, "rates": []}, prune=True).archived) == 2


def test_other_customers_are_not_pruned(written: Desk) -> None:
    other = {
        "resources": [entry("resources", 2, customerId="d", id="other")],
        "allocations": [entry("allocations", 0, customerId="d", resourceId="other")],
        "rates": [entry("rates", 0, customerId="d")],
    }
    written.apply(other)
    written.apply(ACME, prune=True)
    assert {one.customer_id for one in written.export().resources} == {"c", "d"}
    assert {one.customer_id for one in written.export().rates} == {None, "c", "d"}
    archived = written.apply(
        {"customers": [{"id": "d"}], "resources": [], "allocations": []}, prune=True
    ).archived
    assert archived == ("resource other of d", "allocation of tokens on other of d")


def test_what_an_entry_restores_hides_nothing_from_pruning(written: Desk) -> None:
    written.do("archive_resource", resource_id="growth")
    fewer = acme(resources=ACME["resources"][:3])  # all but user-02
    assert written.apply(fewer, prune=True).archived == ("resource user-02 of c",)
    assert not written.apply(fewer, prune=True)
    written.do("archive_resource", resource_id="growth")
    away = {"customers": [{"id": "c"}], "resources": [entry("resources", 0, parentResourceId=None)]}
    assert written.apply(away, prune=True).archived == ("resource acme of c",)
    assert not written.apply(away, prune=True)


def test_a_parent_or_a_limit_names_a_resource(written: Desk) -> None:
    model = {
        "resources": [entry("resources", 0)],
        "allocations": [entry("allocations", 2), entry("allocations", 0)],
    }
    archived = written.apply(model, prune=True).archived
    assert archived == ("resource user-02 of c", "allocation of usd on growth of c")


def test_a_model_of_a_few_is_not_told_of_thousands(desk: Desk) -> None:
    users = [{"id": f"u{n}", "resourceTypeId": "t", "customerId": "c"} for n in range(1_500)]
    desk.apply({"resourceTypes": [{"id": "t"}], "resources": users})
    assert desk.apply({"resources": users[:1]}).not_named == ("many more resources of c",)
    assert len(desk.apply({"resources": users[:600]}).not_named) == 900
    assert len(desk.apply({"resources": users[:1]}, prune=True).archived) == 1_499


# ------------------------------------------------------------------ archived, suspended


def test_what_is_archived_is_restored_by_its_name(written: Desk) -> None:
    assert written.do("archive_resource", resource_id="user-01").archived == ("resource user-01 of c",)
    assert not written.do("archive_resource", resource_id="user-01")
    assert written.resource("user-01").archived_at_us is not None
    written.do("archive_customer", customer_id="c")
    applied = written.apply({"resources": [entry("resources", 0)]})
    assert applied.changed == ("customer c", "resource user-01 of c")
    assert written.resource("user-01").archived_at_us is None
    with written.ledger.reader() as reader:
        (customer,) = reader.customers(["c"])
    assert (customer.name, customer.archived_at_us) == ("Acme", None)
    written.do("archive_resource", resource_id="user-01")
    assert written.do("restore_resource", resource_id="user-01").changed == ("resource user-01 of c",)
    assert not written.do("restore_resource", resource_id="user-01")


def test_what_is_archived_or_below_it_is_not_exported_and_not_touched(written: Desk) -> None:
    whole = written.export()
    written.do("archive_resource", resource_id="growth")
    model = written.export()
    assert [one.id for one in model.resources] == ["acme"]
    assert [one.id for one in model.allocations] == ["cap"]
    for prune in (False, True):
        applied = written.apply(model, prune=prune)
        assert not applied
        assert not applied.not_named
    other = Desk(FakeLedger())
    other.apply(model)
    assert other.export() == model
    written.do("restore_resource", resource_id="growth")
    assert written.export() == whole


def test_an_archived_customer_is_not_exported(written: Desk) -> None:
    assert written.do("archive_customer", customer_id="c").archived == ("customer c",)
    assert not written.do("archive_customer", customer_id="c")
    model = written.export()
    assert (model.customers, model.resources, model.allocations) == ((), (), ())
    assert [one.customer_id for one in model.rates] == [None]
    assert not written.apply(model, prune=True)
    assert written.do("restore_customer", customer_id="c").changed == ("customer c",)
    assert not written.do("restore_customer", customer_id="c")
    assert len(written.export().resources) == 4
    with pytest.raises(CustomerNotFound):
        written.do("archive_customer", customer_id="nobody")


def test_no_model_suspends_or_resumes(written: Desk) -> None:
    until_us = written.now_us + 60_000_000
    written.do("suspend", reason="runaway", resource_id="growth", until_us=until_us)
    assert json.loads(written.resource("growth").suspension or "") == {
        "reason": "runaway",
        "until_us": until_us,
        "actor": "ops",
        "since_us": until_us - 60_000_000,
    }
    written.apply({"resources": [entry("resources", 1, name="Growth")]})
    assert written.resource("growth").suspension is not None
    assert not written.do("suspend", reason="runaway", resource_id="growth", until_us=until_us)
    assert written.do("suspend", reason="still", resource_id="growth").changed
    assert written.do("resume", resource_id="growth").changed == ("resource growth of c",)
    assert written.resource("growth").suspension is None
    assert not written.do("resume", resource_id="growth")
    assert [line.verb for line in written.audit()[-3:]] == ["apply", "suspend", "resume"]
    with pytest.raises(InvalidRequest, match="until"):
        written.do("suspend", resource_id="growth", until_us=written.now_us)


# ------------------------------------------------------------------ single changes


def test_single_changes_say_what_a_model_of_one_entry_says(desk: Desk) -> None:
    desk.do("put_customer", customer_id="c", name="Acme")
    desk.do("define_resource_type", resource_type_id="org")
    desk.do(
        "define_resource_type",
        resource_type_id="team",
        parent_resource_type_id="org",
        properties={"seats": {"type": "NUMBER"}},
        attribution_keys=["squad"],
    )
    desk.do("put_resource", resource_id="acme", resource_type_id="org", customer_id="c")
    desk.do(
        "put_resource",
        resource_id="growth",
        resource_type_id="team",
        parent_resource_id="acme",
        properties={"seats": 3},
        name="Growth",
    )
    desk.do(
        "set_allocation", resource_id="growth", credit_currency="tokens", limit="20", enforcement_type="SOFT"
    )
    desk.do("set_allocation", resource_id="acme", credit_currency="tokens", limit=50, allocation_id="cap")
    desk.do(
        "set_rate",
        event_name="mail",
        credit_currency="tokens",
        credits=5,
        terms=[{"dimension": "n", "credits": "0.5"}],
        customer_id="c",
    )
    same = {
        "customers": [{"id": "c", "name": "Acme"}],
        "resourceTypes": [
            {"id": "org"},
            {
                "id": "team",
                "parentResourceTypeId": "org",
                "properties": {"seats": {"type": "NUMBER"}},
                "attributionKeys": ["squad"],
            },
        ],
        "resources": [
            {"id": "acme", "resourceTypeId": "org"},
            {
                "id": "growth",
                "resourceTypeId": "team",
                "parentResourceId": "acme",
                "name": "Growth",
                "properties": {"seats": 3},
            },
        ],
        "allocations": [
            {"resourceId": "growth", "creditCurrency": "tokens", "limit": 20, "enforcementType": "SOFT"},
            {"id": "cap", "resourceId": "acme", "creditCurrency": "tokens", "limit": 50},
        ],
        "rates": [
            {
                "eventName": "mail",
                "creditCurrency": "tokens",
                "customerId": "c",
                "credits": 5,
                "terms": [{"dimension": "n", "credits": "0.5"}],
            }
        ],
    }
    applied = desk.apply(same, prune=True)
    assert not applied
    assert [line.verb for line in desk.audit()][:2] == ["put_customer", "define_resource_type"]


def test_a_subtree_moves_as_one(written: Desk) -> None:
    written.apply({"resources": [entry("resources", 2, id="acme-2")]})
    assert written.do("move_resource", resource_id="growth", parent_resource_id="acme-2").changed == (
        "resource growth of c",
    )
    assert written.resource("growth").parent_resource_id == "acme-2"
    assert written.resource("user-01").parent_resource_id == "growth"
    assert not written.do("move_resource", resource_id="growth", parent_resource_id="acme-2")
    written.do("archive_resource", resource_id="growth")
    assert written.do("move_resource", resource_id="growth", parent_resource_id="acme").changed
    assert written.resource("growth").archived_at_us is not None  # a move restores nothing
    for parent in ("user-01", "growth"):  # below itself, or of another type
        with pytest.raises(InvalidModel, match="parent_resource_id"):
            written.do("move_resource", resource_id="growth", parent_resource_id=parent)
    with pytest.raises(ResourceNotFound):
        written.do("move_resource", resource_id="growth", parent_resource_id="nobody")


def test_a_limit_is_removed_by_what_names_it(written: Desk) -> None:
    also = {"id": "also", "resourceId": "user-01", "creditCurrency": "tokens", "customerId": "c", "limit": 1}
    written.apply({"allocations": [also]})
    on = {"resource_id": "user-01", "credit_currency": "tokens"}
    removed = written.do("remove_allocation", **on)
    assert removed.archived == ("allocation of tokens on user-01 of c",)
    assert written.do("remove_allocation", **on).archived == ("allocation also of c",)
    with pytest.raises(InvalidRequest, match="a limit that exists"):
        written.do("remove_allocation", **on)
    for customer_id, expected in (("d", CustomerNotFound), ("c", InvalidRequest)):
        with pytest.raises(expected):
            written.do("remove_allocation", allocation_id="zzz", customer_id=customer_id)
    two = [{**also, "id": name} for name in ("one", "two")]
    written.apply({"allocations": two})
    with pytest.raises(InvalidRequest, match="'one', 'two'"):
        written.do("remove_allocation", **on)
    assert written.do("remove_allocation", allocation_id="one", **on)
    assert written.do("remove_allocation", allocation_id="two", customer_id="c")
    with pytest.raises(InvalidRequest):
        written.do("remove_allocation", allocation_id="two")
    assert len(written.export().allocations) == 2


def test_who_is_meant_is_found_or_named(written: Desk) -> None:
    written.apply({"resources": [entry("resources", 2, customerId="d")]})
    with pytest.raises(AmbiguousResource) as caught:
        written.do("archive_resource", resource_id="acme")
    assert caught.value.customer_ids == ("c", "d")
    with pytest.raises(AmbiguousResource):
        written.do("put_resource", resource_id="acme", resource_type_id="org")
    assert written.do("archive_resource", resource_id="acme", customer_id="d")
    with pytest.raises(ResourceNotFound):
        written.do("suspend", resource_id="nobody")
    with pytest.raises(ResourceNotFound) as missing:
        written.do("suspend", resource_id="growth", customer_id="d")
    assert missing.value.customer_id == "d"
    with pytest.raises(CustomerNotFound):
        written.do("suspend", resource_id="growth", customer_id="e")
    with pytest.raises(CustomerNotFound):
        written.do("set_rate", event_name="e", credit_currency="usd", customer_id="e")
    with pytest.raises(CustomerNotFound):
        written.do("define_resource_type", resource_type_id="x", customer_id="e")
    with pytest.raises(CurrencyNotFound) as unknown:
        written.do("set_rate", event_name="e", credit_currency="eur")
    assert unknown.value.known == ("tokens", "usd")
    with pytest.raises(CurrencyNotFound):
        written.do("remove_allocation", resource_id="growth", credit_currency="eur")
    for bad in ("", "\0", "\ud800", 5, None):
        with pytest.raises(InvalidRequest):
            written.do("archive_resource", resource_id=bad)
        with pytest.raises(InvalidRequest):
            written.do("archive_customer", customer_id=bad)
    with pytest.raises(InvalidModel, match=r"resources\[0\]\.id"):
        written.do("put_resource", resource_id="\ud800", resource_type_id="org", customer_id="c")
    with pytest.raises(InvalidModel, match="customer_id"):
        written.do("put_resource", resource_id="new", resource_type_id="org")
    with pytest.raises(ResourceNotFound):
        written.do("put_resource", resource_id="new", resource_type_id="team", parent_resource_id="nobody")


# ------------------------------------------------------------------ whatever the model

ids = st.sampled_from(["a", "b", "日", "it's", 'q"', "x" * 40])
names = st.none() | st.text(max_size=5).filter(lambda text: "\0" not in text)
amounts = st.integers(0, 10**18) | st.decimals(0, 10**6, places=2) | st.integers(0, 99).map(str)
KINDS = {
    "p": ({"type": "STRING"}, st.text(max_size=4).filter(lambda text: "\0" not in text)),
    "n": (
        {"type": "NUMBER", "required": True},
        st.integers(-(10**30), 10**30) | st.decimals(-(10**9), 10**9, places=3),
    ),
    "b": ({"type": "BOOLEAN"}, st.booleans()),
    "e": ({"type": "ENUM", "values": ["x", "", "é"]}, st.sampled_from(["x", "", "é"])),
}


cadences = st.sampled_from(["P1D", "month", "PT6H", "P30D"])
zones = st.sampled_from(["UTC", "Europe/Amsterdam", "Australia/Lord_Howe"])
instants = st.sampled_from(["2026-01-01T00:00:00Z", "2026-01-14T00:30:00+01:00", "2026-02-01T00:00:00Z"])
values = st.sampled_from(["a", "é", 5, True]) | st.lists(st.sampled_from(["a", "b", 5]), min_size=1)
scopes = st.dictionaries(st.sampled_from(["model", "batch"]), values, max_size=2)
ways_to_count = st.fixed_dictionaries(
    {},
    optional={
        "timezone": zones,
        "scope": scopes,
        "effectiveAt": instants,
        "expiresAt": st.just("2026-03-01T00:00:00Z"),
    },
).flatmap(
    lambda one: (
        st.just(one)
        | st.builds(
            lambda cadence, anchor: {**one, "cadence": cadence, "anchor": anchor},
            cadences,
            st.none() | st.just("2026-01-31") | instants,
        )
        | st.builds(
            lambda cadence: {**one, "cadence": cadence, "rolling": True},
            st.sampled_from(["day", "PT6H", "P30D", "P1W"]),
        )
    )
)
ways_to_grant = st.fixed_dictionaries(
    {},
    optional={
        "priority": st.integers(0, 1_000),
        "kind": st.sampled_from(["PAID", "PROMOTIONAL"]),
        "timezone": zones,
        "effectiveAt": instants,
        "expiresAt": st.sampled_from(["2026-02-02T00:00:00Z", "2026-03-01T00:00:00Z"]),
    },
).flatmap(
    lambda one: (
        st.just(one)
        | st.builds(
            lambda cadence, anchor: {**one, "cadence": cadence, "anchor": anchor},
            cadences,
            st.none() | st.just("2026-01-31") | instants,
        )
    )
)


@st.composite
def valid_models(draw: st.DrawFn) -> dict[str, Any]:
    """Models without a fault: types by depth, trees whose parents come from what was drawn before."""
    kinds = draw(st.lists(st.sampled_from(sorted(KINDS)), unique=True, max_size=3))
    types = [
        {
            "id": f"t{depth}",
            "name": draw(names),
            "parentResourceTypeId": f"t{depth - 1}" if depth else None,
            "properties": {kind: KINDS[kind][0] for kind in kinds},
        }
        for depth in range(3)
    ]
    owners = draw(st.lists(ids, unique=True, min_size=1, max_size=2))
    types += [{**types[1], "customerId": owner} for owner in owners if draw(st.booleans())]
    resources: list[dict[str, Any]] = []
    for owner in owners:
        depths: dict[str, int] = {}
        for resource_id in draw(st.lists(ids, unique=True, max_size=5)):
            parents = [each for each in depths if depths[each] < 2]
            parent = draw(st.none() | st.sampled_from(parents)) if parents else None
            depths[resource_id] = 0 if parent is None else depths[parent] + 1
            given_kinds = [kind for kind in kinds if KINDS[kind][0].get("required") or draw(st.booleans())]
            resources.append(
                {
                    "id": resource_id,
                    "resourceTypeId": f"t{depths[resource_id]}",
                    "parentResourceId": parent,
                    "customerId": owner,
                    "name": draw(names),
                    "properties": {kind: draw(KINDS[kind][1]) for kind in given_kinds},
                }
            )
    currencies = draw(st.dictionaries(ids, st.integers(2, 4), min_size=1, max_size=2))
    allocations = [
        {
            "id": draw(st.none() | st.just(f"id-{place}-{currency}")),
            "resourceId": one["id"],
            "customerId": one["customerId"],
            "creditCurrency": currency,
            "limit": min(draw(amounts), 10**12, key=Decimal),
            "enforcementType": draw(st.sampled_from(["HARD", "SOFT"])),
            **draw(ways_to_count),
        }
        for place, one in enumerate(resources)
        for currency in draw(st.lists(st.sampled_from(sorted(currencies)), unique=True))
    ]
    allocations += [
        {
            "resourceTypeId": f"t{depth}",
            "customerId": draw(st.none() | st.sampled_from(owners)),
            "where": draw(st.just({}) | st.just({kind: draw(KINDS[kind][1]) for kind in kinds})),
            "creditCurrency": draw(st.sampled_from(sorted(currencies))),
            "limit": 5,
            **draw(ways_to_count),
        }
        for depth in draw(st.sets(st.integers(0, 2)))
    ]
    overrides = [
        {
            "resourceId": one["id"],
            "customerId": one["customerId"],
            "creditCurrency": draw(st.sampled_from(sorted(currencies))),
            draw(st.sampled_from(["limit", "add"])): draw(st.integers(0, 10**12)),
            "cadence": draw(cadences),
            "scope": draw(scopes),
            "reason": draw(names),
            "expiresAt": draw(instants),
        }
        for one in resources
        if draw(st.booleans())
    ]
    rates = [
        {
            "eventName": event,
            "creditCurrency": draw(st.sampled_from(sorted(currencies))),
            "customerId": draw(st.none() | st.sampled_from(owners)),
            "where": draw(scopes),
            "effectiveAt": draw(st.none() | instants),
            "credits": draw(amounts.map(lambda amount: min(amount, 10**9, key=Decimal))),
            "terms": [{"dimension": name, "credits": "0.5", "per": 3} for name in draw(st.sets(ids))],
        }
        for event in draw(st.sets(ids, max_size=2))
    ]
    grants = [
        {
            "id": f"{currency}-{place}",  # a grant keeps its currency
            "creditCurrency": currency,
            "customerId": owner,
            "amount": draw(st.sampled_from([1, "2.50", Decimal("0.01"), 10**12])),
            **draw(ways_to_grant),
        }
        for owner in owners
        for currency in sorted(currencies)
        for place in range(draw(st.integers(0, 2)))
    ]
    return {
        "customers": [{"id": owner, "name": draw(names)} for owner in owners],
        "creditCurrencies": [{"id": name, "decimals": decimals} for name, decimals in currencies.items()],
        "resourceTypes": draw(st.permutations(types)),
        "resources": draw(st.permutations(resources)),
        "allocations": draw(st.permutations(allocations)),
        "overrides": overrides,
        "rates": rates,
        "grants": draw(st.permutations(grants)),
    }


def fits(desk: Desk, model: dict[str, Any], *, prune: bool) -> bool:
    """Applies it; or says that it does not fit what stands: limits, resources, a customer's own types."""
    try:
        desk.apply(model, prune=prune)
    except InvalidModel as error:
        # A template of a type that the customer has of its own already asks for what that has.
        told = [problem.path for problem in error.problems if "].where." not in problem.path]
        wrong = {path.partition("[")[0] for path in told}
        if not wrong <= {"resourceTypes", "creditCurrencies", "resources"}:
            raise
        return False
    return True


@given(valid_models(), valid_models(), st.booleans(), st.sets(st.integers(0, 9), max_size=2))
def test_whatever_is_applied_is_there_and_applying_it_again_changes_nothing(
    first: dict[str, Any],
    second: dict[str, Any],
    prune: bool,
    archived: set[int],
) -> None:
    desk = Desk(FakeLedger())
    for model in (first, second):
        for place, one in enumerate(desk.export().resources):
            if place in archived:
                desk.do("archive_resource", resource_id=one.id, customer_id=one.customer_id)
        before = desk.export()
        if not fits(desk, model, prune=prune):
            assert model is second
            assert desk.export() == before
            continue
        assert not desk.apply(model, prune=prune)
        exported = desk.export()
        assert not desk.apply(exported, prune=prune)
        assert not desk.apply(exported.model_dump_json(), prune=prune)
        other = Desk(FakeLedger())
        other.apply(exported)
        assert other.export() == exported
        if model is first or prune:
            by_key = {(one.customer_id, one.id): one for one in exported.resources}
            assert by_key.keys() >= {(one["customerId"], one["id"]) for one in model["resources"]}
            granted = {(one.customer_id, one.id) for one in exported.grants}
            assert granted >= {(one["customerId"], one["id"]) for one in model["grants"]}


BAD: dict[str, dict[str, Any]] = {
    "customers": {"id": "", "name": 5},
    "creditCurrencies": {"id": None, "decimals": -1},
    "resourceTypes": {"id": 5, "parentResourceTypeId": "nowhere", "properties": {"p": {"type": "TEXT"}}},
    "resources": {
        "id": "x\0",
        "resourceTypeId": "nowhere",
        "parentResourceId": "nowhere",
        "properties": {"unknown": 1},
        "name": 0.5,
        "customerId": "",
    },
    "allocations": {
        "id": "",
        "resourceId": "nowhere",
        "creditCurrency": "",
        "limit": -1,
        "enforcementType": "MEDIUM",
        "customerId": "nobody",
        "cadence": "P1D2H",
        "timezone": "Europe/Atlantis",
        "scope": {"model": 0.5},
        "effectiveAt": "2026-01-01",
    },
    "overrides": {
        "resourceId": "nowhere",
        "creditCurrency": "nowhere",
        "cadence": "dayly",
        "scope": {"model": []},
        "reason": 5,
        "expiresAt": "soon",
        "effectiveAt": "2026-02-01T00:00:00",
    },
    "rates": {
        "eventName": "",
        "creditCurrency": "nowhere",
        "credits": "-1",
        "terms": [{"dimension": "d", "credits": 1, "per": 0}],
        "customerId": "nobody",
        "where": {"model": None},
        "effectiveAt": "now",
    },
    "grants": {
        "id": "",
        "customerId": 5,
        "creditCurrency": "",
        "amount": 0,
        "priority": 1_001,
        "kind": "FREE",
        "effectiveAt": "soon",
        "expiresAt": "2025-01-01",
        "cadence": "P1D2H",
        "timezone": "Europe/Atlantis",
        "anchor": "2026-02-30",
    },
}


@given(valid_models(), st.data())
def test_one_wrong_field_is_one_problem_and_nothing_is_written(
    model: dict[str, Any], data: st.DataObject
) -> None:
    listed = data.draw(st.sampled_from([name for name in BAD if model[name]]))
    place = data.draw(st.integers(0, len(model[listed]) - 1))
    key = data.draw(st.sampled_from(sorted(BAD[listed])))
    wrong = deepcopy(model)
    on = wrong[listed][place]
    if (listed, key) == ("allocations", "resourceId") and "resourceTypeId" in on:
        key = "resourceTypeId"  # a template
    on[key] = "nowhere" if key == "resourceTypeId" and listed == "allocations" else BAD[listed][key]
    desk = Desk(FakeLedger())
    with pytest.raises(InvalidModel) as caught:
        desk.apply(wrong, prune=True)
    assert desk.ledger.change == 0
    found = {problem.path for problem in caught.value.problems}
    at = f"{listed}[{place}].{key}"
    assert len(found) == 1 or (listed, key) == ("resources", "properties"), found
    assert all(path.startswith(at) for path in found), found


def test_a_draft_is_planned_as_often_as_needed(desk: Desk) -> None:
    draft = draft_of(ACME)
    first, _ = desk.plan(draft)
    second, _ = desk.plan(draft)
    assert first == second
    assert isinstance(draft.model, UsageModel)
