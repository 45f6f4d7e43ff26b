"""Cadences, scopes, templates, overrides and rates of a model: read, checked, written, read back."""

import json
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stiggctl.definitions import read, text_of_value, us_of_anchor
from stiggctl.errors import CurrencyNotFound, InvalidModel, InvalidRequest, ResourceNotFound
from stiggctl.events import canonical_text
from stiggctl.windows import to_text, to_us

from .desk import Desk
from .fake import FakeLedger

DAY_US = 86_400_000_000
SEATS = {"tier": {"type": "ENUM", "values": ["FREE", "GOLD"]}, "seats": {"type": "NUMBER"}}


def model(**lists: Any) -> dict[str, Any]:
    """A team and two users of a customer, and what is in the lists."""
    return {
        "resourceTypes": [
            {"id": "team"},
            {
                "id": "user",
                "parentResourceTypeId": "team",
                "properties": {**SEATS, "pilot": {"type": "BOOLEAN"}, "city": {"type": "STRING"}},
            },
        ],
        "resources": [
            {"id": "growth", "resourceTypeId": "team", "customerId": "c"},
            {
                "id": "ana",
                "resourceTypeId": "user",
                "parentResourceId": "growth",
                "properties": {"tier": "GOLD"},
            },
            {"id": "bob", "resourceTypeId": "user", "parentResourceId": "growth"},
        ],
        **lists,
    }


def limit(**fields: Any) -> dict[str, Any]:
    on = {} if "resourceTypeId" in fields else {"resourceId": "ana"}
    return {**on, "creditCurrency": "t", "limit": 5, **fields}


def override(**fields: Any) -> dict[str, Any]:
    amount = {} if fields.keys() & {"limit", "add"} else {"limit": 9}
    return {
        "resourceId": "ana",
        "creditCurrency": "t",
        "expiresAt": "2026-02-01T00:00:00Z",
        **amount,
        **fields,
    }


def problems(desk: Desk, **lists: Any) -> dict[str, str]:
    """What is wrong in it, by path; nothing of it was written."""
    with desk.ledger.reader() as reader:
        before = reader.state().change
    with pytest.raises(InvalidModel) as caught:
        desk.apply(model(**lists))
    with desk.ledger.reader() as reader:
        assert reader.state().change == before
    found = {problem.path: problem.expected for problem in caught.value.problems}
    assert len(found) == len(caught.value.problems)
    return found


@pytest.fixture
def fake() -> Desk:
    return Desk(FakeLedger())


# ------------------------------------------------------------------ one form


def test_what_is_written_in_several_ways_is_kept_in_one() -> None:  # DF7
    [kept] = read(
        {
            "allocations": [
                limit(
                    cadence="day",
                    timezone="Europe/Amsterdam",
                    anchor=datetime(2026, 1, 31, 9, tzinfo=timezone(timedelta(hours=1))),
                    scope={"model": ["o4", "gpt-5", "o4"], "batch": True, "n": [5, Decimal("0.50")]},
                    effectiveAt="2026-01-01T00:00:00+01:00",
                    expiresAt=datetime(2027, 1, 1, tzinfo=UTC),
                )
            ]
        }
    ).allocations
    assert (kept.cadence, kept.timezone) == ("P1D", "Europe/Amsterdam")
    assert kept.anchor == "2026-01-31T08:00:00Z"
    assert kept.scope == {"batch": ("true",), "model": ("gpt-5", "o4"), "n": ("0.5", "5")}
    assert list(kept.scope) == ["batch", "model", "n"]
    assert (kept.effective_at, kept.expires_at) == ("2025-12-31T23:00:00Z", "2027-01-01T00:00:00Z")


def test_a_date_is_an_anchor_at_midnight_of_the_zone() -> None:
    for anchor in ("2026-01-31", date(2026, 1, 31)):
        [kept] = read({"allocations": [limit(cadence="P1M", anchor=anchor)]}).allocations
        assert kept.anchor == "2026-01-31"
    assert us_of_anchor("2026-01-31", "Europe/Amsterdam") == to_us("2026-01-30T23:00:00Z", "")
    assert us_of_anchor("2026-01-31", None) == to_us("2026-01-31T00:00:00Z", "")
    # Midnight was skipped there: the day began at one.
    assert us_of_anchor("2018-11-04", "America/Sao_Paulo") == to_us("2018-11-04T03:00:00Z", "")


@given(
    st.text(max_size=5).filter(lambda text: "\0" not in text)
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.decimals(-(10**9), 10**9, places=4)
)
def test_scopes_compare_values_as_dimensions_are_compared(value: Any) -> None:
    assert text_of_value(value) == canonical_text(value, "")
    [kept] = read({"allocations": [limit(scope={"d": value})]}).allocations
    assert kept.scope == {"d": (canonical_text(value, ""),)}
    again = read({"allocations": [limit(scope=kept.scope)]}).allocations[0]
    assert again == kept


@pytest.mark.parametrize(
    ("fields", "at", "expected"),
    [
        ({"cadence": "dayly"}, "cadence", "did you mean 'day'"),
        ({"cadence": "P1M2D"}, "cadence", "one unit"),
        ({"cadence": 5}, "cadence", "P1D"),
        ({"timezone": "Europe/Amsterdm"}, "timezone", "did you mean 'Europe/Amsterdam'"),
        ({"timezone": "amsterdam"}, "timezone", "did you mean 'Europe/Amsterdam'"),
        ({"timezone": "CEST+1"}, "timezone", "an IANA time zone"),
        ({"cadence": "P1M", "anchor": "2026-02-30"}, "anchor", "a date that exists"),
        ({"cadence": "P1M", "anchor": "2026-01-31T00:00:00"}, "anchor", "offset"),
        ({"cadence": "P1M", "anchor": datetime(2026, 1, 31)}, "anchor", "offset"),  # noqa: DTZ001 - naive
        ({"cadence": "P1M", "anchor": 31}, "anchor", "a date, such as"),
        ({"anchor": "2026-01-31"}, "anchor", "a cadence beside it"),
        ({"cadence": "P1D", "anchor": "0001-01-01", "timezone": "Asia/Tokyo"}, "anchor", "years 1 to 9999"),
        ({"rolling": True}, "rolling", "a cadence beside it that says how far back it counts"),
        ({"rolling": True, "cadence": "P1M"}, "cadence", "hours, days or weeks"),
        ({"rolling": True, "cadence": "year"}, "cadence", "hours, days or weeks"),
        (
            {"rolling": True, "cadence": "P1D", "anchor": "2026-01-31"},
            "anchor",
            "no anchor beside rolling: a rolling window ends now",
        ),
        ({"rolling": True, "cadence": "dayly"}, "cadence", "did you mean 'day'"),
        ({"rolling": "yes", "anchor": "2026-01-31", "cadence": "P1D"}, "rolling", "true or false"),
        ({"effectiveAt": "2026-01-01"}, "effectiveAt", "offset"),
        ({"expiresAt": 5}, "expiresAt", "offset"),
        (
            {"effectiveAt": "2026-01-02T00:00:00Z", "expiresAt": "2026-01-02T01:00:00+01:00"},
            "expiresAt",
            "an instant after effectiveAt, 2026-01-02T00:00:00Z",
        ),
        ({"scope": ["gpt-5"]}, "scope", "an object"),
        ({"scope": {"model": 0.5}}, "scope.model", "a float is not exact"),
        ({"scope": {"model": None}}, "scope.model", "a value, or a list of values"),
        ({"scope": {"model": {"a": 1}}}, "scope.model", "a value, or a list of values"),
        ({"scope": {"model": []}}, "scope.model", "an empty list would match nothing"),
        ({"scope": {"model": ["a", None]}}, "scope.model[1]", "text"),
        ({"scope": {"model": list(range(1_001))}}, "scope.model", "at most 1,000 values"),
        ({"scope": {"": "a"}}, "scope['']", "a name"),
        ({"scope": {f"d{n}": n for n in range(33)}}, "scope", "at most 32 names"),
    ],
)
def test_a_mistake_is_named_with_what_would_be_right(
    fake: Desk, fields: dict[str, Any], at: str, expected: str
) -> None:  # DF5, DF6
    found = problems(fake, allocations=[limit(limit=1, resourceId="bob"), limit(**fields)])
    assert list(found) == [f"allocations[1].{at}"]
    assert expected in found[f"allocations[1].{at}"]


def test_what_follows_from_a_mistake_is_not_told(fake: Desk) -> None:  # DF6
    # Without its cadence the second would be the first, and the third too.
    entries = [limit(), limit(cadence="dialy"), limit(cadnce="P1M"), limit(scope={"model": 0.5})]
    assert problems(fake, allocations=entries).keys() == {
        "allocations[1].cadence",
        "allocations[2].cadnce",
        "allocations[3].scope.model",
    }
    found = problems(fake, allocations=[limit(cadence="P1D", timezone="nowhere", anchor="2026-01-31")])
    assert found.keys() == {"allocations[0].timezone"}
    found = problems(fake, allocations=[{"resource_idd": "ana", "creditCurrency": "t", "limit": 1}])
    assert found.keys() == {"allocations[0].resource_idd"}
    found = problems(fake, allocations=[limit()], overrides=[override(limit=0.5, add=1)])
    assert found.keys() == {"overrides[0].limit"}
    found = problems(fake, allocations=[limit()], overrides=[override(expiresAt="soon", resourceId="nobody")])
    assert found.keys() == {"overrides[0].expiresAt", "overrides[0].resourceId"}


def test_a_mistake_that_stands_in_every_entry_is_found_in_seconds(fake: Desk) -> None:
    many = [limit(timezone="Europe/Amsterdm", id=f"l{n}") for n in range(20_000)]
    assert len(problems(fake, allocations=many)) == 20_000


# ------------------------------------------------------------------ several limits of a resource


SEVERAL = [
    limit(),
    limit(cadence="P1D"),
    limit(cadence="P1M"),
    limit(scope={"model": "gpt-5"}),
    limit(scope={"model": "gpt-5"}, cadence="P1D"),
    limit(scope={"model": ["gpt-5", "o4"]}),
    limit(id="named"),
    limit(id="other", cadence="P1D"),
    limit(resourceTypeId="user"),
    limit(resourceTypeId="user", customerId="c"),
    limit(resourceTypeId="user", where={"tier": "GOLD"}),
    limit(resourceTypeId="user", where={"tier": "GOLD"}, cadence="P1D"),
    limit(resourceTypeId="team"),
]


def test_a_resource_has_limits_of_several_cadences_and_scopes(desk: Desk) -> None:
    desk.apply(model(allocations=SEVERAL))
    assert len(desk.export().allocations) == len(SEVERAL)
    assert not desk.apply(model(allocations=SEVERAL), prune=True)
    assert not desk.apply(model(allocations=list(reversed(SEVERAL))), prune=True)
    for place, each in enumerate(SEVERAL):
        changed = {**each, "limit": 6}
        found = desk.apply(model(allocations=[changed]))
        assert len(found.changed) == 1, place
        assert not found.created
    assert len(desk.export().allocations) == len(SEVERAL)
    assert {one.limit for one in desk.export().allocations} == {6}


@pytest.mark.parametrize("each", SEVERAL)
def test_a_limit_stands_once(fake: Desk, each: dict[str, Any]) -> None:
    name = "id" if "id" in each else "resourceTypeId" if "resourceTypeId" in each else "resourceId"
    assert problems(fake, allocations=[each, {**each, "limit": 7}]).keys() == {f"allocations[1].{name}"}


def test_a_limit_has_a_name_of_its_own(fake: Desk) -> None:
    names = fake.apply(model(allocations=SEVERAL)).created
    assert len(set(names)) == len(names)
    assert set(names) >= {
        "allocation of t on ana (P1D) of c",
        "allocation of t on ana (P1D, model gpt-5) of c",
        "allocation of t on each user with tier GOLD (P1D)",
        "allocation of t on each user of c",
    }
    values = {"model": ["a", "b", "c", "d", "e"]}
    [name] = fake.apply(model(allocations=[limit(scope=values)])).created
    assert name == "allocation of t on ana (model a or b or c or 2 more) of c"


def test_a_change_of_any_key_is_a_change_and_is_audited(desk: Desk) -> None:
    desk.apply(model(allocations=[limit(id="l")]))
    keys = {
        "cadence": "P1M",
        "timezone": "Europe/Amsterdam",
        "anchor": "2026-01-31",
        "scope": {"model": "gpt-5"},
        "effectiveAt": "2026-01-01T00:00:00Z",
        "expiresAt": "2027-01-01T00:00:00Z",
    }
    said: dict[str, Any] = {}
    for key, value in keys.items():
        said[key] = value
        applied = desk.apply(model(allocations=[limit(id="l", **said)]))
        assert applied.changed == ("allocation l of c",), key
        assert key in json.loads(desk.audit()[-1].after or ""), key
        assert key not in json.loads(desk.audit()[-1].before or ""), key
        assert not desk.apply(model(allocations=[limit(id="l", **said)]))
    assert json.loads(desk.audit()[-1].after or "") == {
        "id": "l",
        "resourceId": "ana",
        "creditCurrency": "t",
        "customerId": "c",
        "limit": 5,
        "enforcementType": "HARD",
        **keys,
        "anchor": "2026-01-30T23:00:00Z",
        "scope": {"model": ["gpt-5"]},
    }
    desk.apply(model(allocations=[limit(id="l")]))  # what is left out is the default
    with desk.ledger.reader() as reader:
        [row] = reader.allocations()
    assert (row.cadence, row.timezone, row.anchor_us, row.scope) == (None, "UTC", None, "{}")
    assert (row.effective_at_us, row.expires_at_us) == (None, None)


def test_the_export_says_all_of_it_and_changes_nothing(desk: Desk) -> None:
    whole = limit(
        cadence="P1M",
        timezone="Europe/Amsterdam",
        anchor="2026-01-31",
        scope={"model": ["gpt-5", "o4"]},
        effectiveAt="2026-01-01T00:00:00Z",
        expiresAt="2027-01-01T00:00:00Z",
    )
    template = limit(resourceTypeId="user", where={"tier": ["GOLD"], "seats": 5, "pilot": True})
    rates = [
        {"eventName": "chat", "creditCurrency": "t", "credits": 1},
        {"eventName": "chat", "creditCurrency": "t", "credits": 2, "where": {"model": ["gpt-5", "o4"]}},
        {"eventName": "chat", "creditCurrency": "t", "credits": 3, "effectiveAt": "2026-03-01T00:00:00Z"},
    ]
    desk.apply(
        model(
            allocations=[whole, template],
            overrides=[override(add=5, reason="launch", actor="maria", cadence="P1M", scope=whole["scope"])],
            rates=rates,
        )
    )
    exported = desk.export()
    for again in (exported, exported.model_dump_json(), exported.as_dict()):
        for prune in (False, True):
            applied = desk.apply(again, prune=prune)
            assert not applied
            assert not applied.not_named
    elsewhere = Desk(FakeLedger())
    elsewhere.apply(exported.model_dump_json())
    assert elsewhere.export() == exported
    document = json.loads(exported.model_dump_json())
    assert document["allocations"][0] == {
        "resourceTypeId": "user",
        "where": {"pilot": ["true"], "seats": ["5"], "tier": ["GOLD"]},
        "creditCurrency": "t",
        "limit": 5,
        "enforcementType": "HARD",
    } | {key: None for key in document["allocations"][0] if document["allocations"][0][key] is None}
    assert document["allocations"][1]["anchor"] == "2026-01-30T23:00:00Z"
    assert len(exported.rates) == 3


# ------------------------------------------------------------------ templates


@pytest.mark.parametrize(
    ("fields", "at", "expected"),
    [
        ({"resourceId": "ana", "resourceTypeId": "user"}, "resourceTypeId", "a resource or a type, not both"),
        ({"resourceId": "nobody", "resourceTypeId": "user"}, "resourceTypeId", "not both"),
        ({"where": {"tier": "GOLD"}}, "where", "no where beside resourceId"),
        ({"resourceId": None, "where": {"tier": "GOLD"}}, "resourceTypeId", "it is required"),
        ({"resourceId": None}, "resourceId", "or resourceTypeId"),
        ({"resourceTypeId": "usr"}, "resourceTypeId", "did you mean 'user'"),
        ({"resourceTypeId": "user", "where": {"tear": "GOLD"}}, "where.tear", "did you mean 'tier'"),
        ({"resourceTypeId": "team", "where": {"tier": "GOLD"}}, "where.tier", "there are: none"),
        ({"resourceTypeId": "user", "where": {"tier": "gold"}}, "where.tier", "one of 'FREE', 'GOLD'"),
        ({"resourceTypeId": "user", "where": {"tier": ["GOLD", 5]}}, "where.tier", "one of 'FREE'"),
        ({"resourceTypeId": "user", "where": {"seats": "five"}}, "where.seats", "an int or a Decimal"),
        ({"resourceTypeId": "user", "where": {"seats": "5.0"}}, "where.seats", "one form, such as 5"),
        ({"resourceTypeId": "user", "where": {"seats": "1e999999"}}, "where.seats", "an int or a Decimal"),
        ({"resourceTypeId": "user", "where": {"pilot": "yes"}}, "where.pilot", "true or false"),
        ({"resourceTypeId": "user", "customerId": "d"}, "customerId", "a customer that exists"),
    ],
)
def test_a_template_that_no_resource_can_match_is_refused(
    fake: Desk, fields: dict[str, Any], at: str, expected: str
) -> None:
    found = problems(fake, allocations=[limit(**fields)])
    assert list(found) == [f"allocations[0].{at}"]
    assert expected in found[f"allocations[0].{at}"]


def test_a_template_asks_for_what_a_property_can_be(desk: Desk) -> None:
    where = {"tier": ["FREE", "GOLD"], "seats": [5, Decimal("0.5"), "7"], "pilot": [True, "false"], "city": 5}
    desk.apply(model(allocations=[limit(resourceTypeId="user", where=where)]))
    assert desk.export().allocations[0].where == {
        "city": ("5",),
        "pilot": ("false", "true"),
        "seats": ("0.5", "5", "7"),
        "tier": ("FREE", "GOLD"),
    }


def test_a_template_without_a_customer_is_for_all(desk: Desk) -> None:
    applied = desk.apply(model(allocations=[limit(resourceTypeId="user")]))
    assert "allocation of t on each user" in applied.created
    assert desk.last is not None
    assert desk.last.for_all
    own = [{"id": "seat", "customerId": "c"}]
    found = problems(desk, resourceTypes=own, resources=[], allocations=[limit(resourceTypeId="seat")])
    assert found == {
        "allocations[0].resourceTypeId": (
            "a resource type for all (customer 'c' has one of its own: is customerId missing?)"
        )
    }
    applied = desk.apply(
        {"resourceTypes": own, "allocations": [limit(resourceTypeId="seat", customerId="c")]}
    )
    assert applied.created == ("resource type seat of c", "allocation of t on each seat of c")


def test_a_type_keeps_what_its_templates_ask_for(desk: Desk) -> None:
    template = limit(resourceTypeId="user", where={"tier": "GOLD"}, customerId="c")
    desk.apply(model(allocations=[template]))
    for properties, at in (({}, "tier"), ({"tier": {"type": "ENUM", "values": ["FREE"]}}, "tier")):
        user = {"id": "user", "properties": {"city": {"type": "STRING"}, **properties}}
        resources = [{"id": "ana", "resourceTypeId": "user", "parentResourceId": "growth"}]
        with pytest.raises(InvalidModel) as caught:
            desk.apply({"resourceTypes": [user], "resources": resources})
        [problem] = caught.value.problems
        assert problem.path == f"resourceTypes[0].properties.{at}"
        assert "tier is 'GOLD'" in problem.expected
    # With an id the template can change in the same breath.
    desk.do("remove_allocation", resource_type_id="user", credit_currency="t", customer_id="c")
    desk.apply({"allocations": [{**template, "id": "seats"}]})
    user = {"id": "user", "parentResourceTypeId": "team", "properties": {"city": {"type": "STRING"}}}
    ana = {"id": "ana", "resourceTypeId": "user", "parentResourceId": "growth"}
    changed = {**template, "id": "seats", "where": {"city": "Delft"}}
    assert desk.apply({"resourceTypes": [user], "resources": [ana], "allocations": [changed]})


def test_a_property_that_a_template_asks_for_makes_paths_anew(desk: Desk) -> None:  # MP5
    desk.apply(model(allocations=[limit(resourceTypeId="user", where={"tier": "GOLD"})]))
    ana = {"id": "ana", "resourceTypeId": "user", "parentResourceId": "growth"}
    for properties, is_new in (
        ({"tier": "GOLD", "city": "Delft"}, False),
        ({"tier": "FREE", "city": "Delft"}, True),
        ({"city": "Delft"}, True),
        ({}, False),
    ):
        _, before = desk.versions()
        assert desk.apply({"resources": [{**ana, "properties": properties}]}).changed
        _, after = desk.versions()
        assert (after != before) == is_new, properties


# ------------------------------------------------------------------ overrides


@pytest.mark.parametrize(
    ("fields", "at", "expected"),
    [
        ({"limit": 5, "add": 5}, "add", "either limit"),
        ({"limit": None, "add": None}, "limit", "or add"),
        ({"limit": 0.5}, "limit", "a float is not exact"),
        ({"add": -5}, "add", "zero or more"),
        ({"add": "1.5"}, "add", "no decimals"),
        ({"expiresAt": None}, "expiresAt", "offset"),
        ({"expiresAt": "2026-02-01"}, "expiresAt", "offset"),
        ({"effectiveAt": "2026-02-01T00:00:00Z"}, "expiresAt", "after effectiveAt"),
        ({"resourceId": "anna"}, "resourceId", "did you mean 'ana'"),
        ({"creditCurrency": "tt"}, "creditCurrency", "a credit currency that exists"),
        ({"cadence": "fortnight"}, "cadence", "P1D"),
        ({"scope": {"model": 1.5}}, "scope.model", "a float"),
        ({"reason": 5}, "reason", "text"),
        ({"until": "2026-02-01T00:00:00Z"}, "until", "one of the keys"),
        ({"customerId": "d"}, "customerId", "a customer that exists"),
    ],
)
def test_an_override_that_cannot_be_meant_is_refused(
    fake: Desk, fields: dict[str, Any], at: str, expected: str
) -> None:
    found = problems(fake, allocations=[limit()], overrides=[override(**fields)])
    assert list(found) == [f"overrides[0].{at}"]
    assert expected in found[f"overrides[0].{at}"]


def test_an_override_has_an_end(fake: Desk) -> None:
    entry = override()
    del entry["expiresAt"]
    found = problems(fake, allocations=[limit()], overrides=[entry])
    assert list(found) == ["overrides[0].expiresAt"]
    assert "required" in found["overrides[0].expiresAt"]


def test_an_override_is_applied_once_and_replaced_by_its_key(desk: Desk) -> None:
    entries = [
        override(),
        override(resourceId="bob"),
        override(cadence="P1D"),
        override(scope={"model": "gpt-5"}),
        override(add=4, effectiveAt="2026-01-20T00:00:00Z"),
    ]
    for entry in entries:
        del entry["expiresAt"]
        entry["expires_at"] = "2026-02-01T01:00:00+01:00"
    applied = desk.apply(model(allocations=[limit()], overrides=entries))
    assert "override of t on ana (P1D) of c" in applied.created
    assert "override of t on ana from 2026-01-20T00:00:00Z of c" in applied.created
    assert not desk.apply(model(allocations=[limit()], overrides=entries), prune=True)
    assert len(desk.export().overrides) == len(entries)
    for entry in entries:
        assert problems(desk, allocations=[limit()], overrides=[entry, {**entry, "reason": "again"}])
    later = [{**entry, "reason": "again"} for entry in entries]
    assert len(desk.apply(model(allocations=[limit()], overrides=later)).changed) == len(entries)
    assert {one.reason for one in desk.export().overrides} == {"again"}


def test_an_override_says_which_of_several_limits_it_changes(desk: Desk) -> None:
    daily, monthly = limit(cadence="P1D"), limit(cadence="P1M")
    each, scoped = limit(resourceTypeId="user", cadence="P1Y"), limit(scope={"model": "o4"}, cadence="PT1H")

    def wrong(allocations: list[dict[str, Any]], entry: dict[str, Any]) -> str | None:
        try:
            desk.plan(model(allocations=allocations, overrides=[entry]))
        except InvalidModel as error:
            [problem] = error.problems
            assert problem.path == "overrides[0].cadence"
            return problem.expected
        return None

    assert wrong([daily, scoped], override()) is None
    assert wrong([daily, monthly], override(cadence="P1D")) is None
    assert wrong([daily, monthly], override(scope={"model": "o4"})) is None
    assert wrong([daily, monthly], override(resourceId="bob")) is None
    assert wrong([daily, monthly], override()) == "the cadence of one of the limits there are: P1D or P1M"
    assert "P1D (the one for ever" in (wrong([daily, limit()], override()) or "")
    assert wrong([daily, each], override()) == "the cadence of one of the limits there are: P1D or P1Y"
    gold = {**each, "where": {"tier": "GOLD"}}
    assert wrong([daily, gold], override())
    assert wrong([daily, {**gold, "where": {"tier": "FREE"}}], override()) is None
    over = {**monthly, "expiresAt": "2026-01-10T00:00:00Z"}
    assert wrong([daily, over], override(effectiveAt="2026-01-10T00:00:00Z")) is None
    assert wrong([daily, over], override(effectiveAt="2026-01-09T00:00:00Z"))
    # What the ledger has counts too, but for what the model replaces.
    desk.apply(model(allocations=[{**daily, "id": "l"}, gold]))
    assert wrong([], override()) == "the cadence of one of the limits there are: P1D or P1Y"
    assert wrong([{**daily, "id": "l", "cadence": "P1Y"}], override()) is None
    with pytest.raises(InvalidModel, match="P1D or P1Y"):
        desk.plan({"overrides": [override()]})  # the resource too is only in the ledger
    free = model(overrides=[override()])
    free["resources"][1]["properties"] = {"tier": "FREE"}
    assert desk.plan(free)  # the template matches no more


def test_an_override_that_goes_on_is_not_asked_about_again(desk: Desk) -> None:
    desk.apply(model(allocations=[limit(cadence="P1D")], overrides=[override()]))
    desk.apply(model(allocations=[limit(cadence="P1M")]))
    exported = desk.export()
    assert len(exported.overrides) == 1
    for prune in (False, True):
        assert not desk.apply(exported, prune=prune)
    desk.now_us = to_us(override()["expiresAt"], "")
    assert not desk.apply(exported)  # it ended: nobody is asked about what it changed
    again = override(expiresAt=to_text(desk.now_us + DAY_US))
    assert problems(desk, overrides=[again]).keys() == {"overrides[0].cadence"}


def test_an_override_needs_no_limit_yet(desk: Desk) -> None:
    desk.apply(model(creditCurrencies=[{"id": "t"}]))
    assert desk.apply({"overrides": [override()]}).created == ("override of t on ana of c",)
    assert not desk.apply({"overrides": [override()]})


def test_an_override_that_ended_is_no_part_of_the_model(desk: Desk) -> None:
    ends_us = desk.now_us + DAY_US
    entries = [override(expiresAt=to_text(ends_us)), override(resourceId="bob")]
    desk.apply(model(allocations=[limit()], overrides=entries))
    desk.now_us = ends_us - 1
    assert len(desk.export().overrides) == 2
    desk.now_us = ends_us
    exported = desk.export()
    assert [one.resource_id for one in exported.overrides] == ["bob"]
    for prune in (False, True):
        applied = desk.apply(exported, prune=prune)
        assert not applied
        assert not applied.not_named
    # A model that still says it fits, and changes nothing.
    assert not desk.apply(model(allocations=[limit()], overrides=entries), prune=True)


def test_pruning_ends_overrides_that_are_not_named(desk: Desk) -> None:
    begun = override(effectiveAt="2026-01-01T00:00:00Z")
    later = override(effectiveAt="2026-01-30T00:00:00Z")
    desk.apply(model(allocations=[limit()], overrides=[begun, later]))
    applied = desk.apply(model(allocations=[limit()], overrides=[]))
    assert len(applied.not_named) == 2
    assert not desk.apply(model(allocations=[limit()]), prune=True)  # it says nothing of overrides
    at_us = desk.now_us
    assert len(desk.apply(model(allocations=[limit()], overrides=[]), prune=True).archived) == 2
    with desk.ledger.reader() as reader:
        [row] = reader.overrides()  # the one that was in force says until when
    assert (row.effective_at_us, row.expires_at_us) == (to_us(begun["effectiveAt"], ""), at_us)
    assert desk.export().overrides == ()
    assert not desk.apply(model(allocations=[limit()], overrides=[]), prune=True)


def test_overrides_of_what_is_archived_are_left_as_they_are(desk: Desk) -> None:
    desk.apply(model(allocations=[limit()], overrides=[override()]))
    desk.do("archive_resource", resource_id="growth")
    exported = desk.export()
    assert exported.overrides == ()
    assert not desk.apply(exported, prune=True)
    desk.do("restore_resource", resource_id="growth")
    assert len(desk.export().overrides) == 1


def test_other_decimals_leave_overrides_and_templates_what_they_are(desk: Desk) -> None:
    template = limit(resourceTypeId="user")
    entries = [override(limit=7), override(resourceId="bob", add=3)]
    desk.apply(model(allocations=[limit(), template], overrides=entries))
    desk.apply({"creditCurrencies": [{"id": "t", "decimals": 2}]})
    exported = desk.export()
    assert [one.limit for one in exported.allocations] == [5, 5]
    assert [(one.limit, one.add) for one in exported.overrides] == [(7, None), (None, 3)]
    with desk.ledger.reader() as reader:
        assert [row.limit_units for row in reader.allocations()] == [500, 500]
    desk.apply({"overrides": [override(limit="7.25")]})
    with pytest.raises(InvalidModel) as caught:
        desk.apply({"creditCurrencies": [{"id": "t", "decimals": 1}]})
    assert "7.25" in str(caught.value)
    # One that is ended in the same breath follows too.
    model_now = model(allocations=[limit(), template], overrides=[override(limit="7.25")])
    assert desk.apply({**model_now, "creditCurrencies": [{"id": "t", "decimals": 3}]}, prune=True).archived
    assert desk.last is not None
    assert sorted(each.resource_id for each in desk.last.overrides) == ["ana", "bob"]  # each once
    with desk.ledger.reader() as reader:
        units = {row.resource_id: (row.limit_units, row.add_units) for row in reader.overrides()}
    assert units == {"ana": (7_250, None), "bob": (None, 3_000)}


# ------------------------------------------------------------------ single changes


def test_an_override_is_one_call_with_its_reason(desk: Desk) -> None:
    desk.apply(model(allocations=[limit()]))
    on = {"resource_id": "ana", "credit_currency": "t"}
    until_us = desk.now_us + DAY_US
    applied = desk.do("override_limit", "launch", **on, limit=9, until_us=until_us)
    assert applied.created == ("override of t on ana of c",)
    line = desk.audit()[-1]
    assert (line.actor, line.reason, line.verb, line.before) == ("ops", "launch", "override_limit", None)
    [one] = desk.export().overrides
    assert (one.actor, one.reason, one.limit, one.expires_at) == ("ops", "launch", 9, to_text(until_us))
    assert not desk.do("override_limit", "launch", **on, limit=9, until_us=until_us)
    assert desk.do("override_limit", "more", **on, add="2", until_us=until_us).changed
    assert len(desk.export().overrides) == 1  # nothing is added twice
    with pytest.raises(InvalidRequest, match="until"):
        desk.do("override_limit", **on, limit=9, until_us=desk.now_us)
    with pytest.raises(InvalidModel, match=r"overrides\[0\]\.add"):
        desk.do("override_limit", **on, limit=9, add=1, until_us=until_us)
    with pytest.raises(InvalidModel, match=r"overrides\[0\]\.limit"):
        desk.do("override_limit", **on, until_us=until_us)
    with pytest.raises(InvalidModel, match=r"overrides\[0\]\.expires_at"):
        desk.do("override_limit", **on, limit=9, since_us=until_us, until_us=until_us)
    with pytest.raises(ResourceNotFound):
        desk.do("override_limit", resource_id="nobody", credit_currency="t", limit=9, until_us=until_us)
    with pytest.raises(CurrencyNotFound):
        desk.do("override_limit", resource_id="ana", credit_currency="tt", limit=9, until_us=until_us)


def test_an_override_ends_early(desk: Desk) -> None:
    desk.apply(model(allocations=[limit()]))
    on = {"resource_id": "ana", "credit_currency": "t"}
    until_us = desk.now_us + DAY_US
    with pytest.raises(InvalidRequest, match="an override that goes on"):
        desk.do("remove_override", **on)
    desk.do("override_limit", **on, limit=9, until_us=until_us)
    at_us = desk.now_us
    assert desk.do("remove_override", "over", **on).archived == ("override of t on ana of c",)
    with desk.ledger.reader() as reader:
        assert [row.expires_at_us for row in reader.overrides()] == [at_us]
    assert json.loads(desk.audit()[-1].after or "")["expiresAt"] == to_text(at_us)
    assert desk.audit()[-1].reason == "over"
    with pytest.raises(InvalidRequest, match="an override that goes on"):
        desk.do("remove_override", **on)
    for fields in ({"cadence": "P1D"}, {"scope": {"model": "o4"}}, {"since_us": until_us}, {}):
        desk.do("override_limit", **on, limit=9, until_us=until_us + 1, **fields)
    assert desk.do("remove_override", **on).archived == ("override of t on ana of c",)
    with pytest.raises(InvalidRequest, match=r"override of t on ana \(P1D\)"):
        desk.do("remove_override", **on)
    with pytest.raises(InvalidRequest, match="an override that goes on"):
        desk.do("remove_override", **on, cadence="P1M")
    for fields in ({"cadence": "P1D"}, {"scope": {"model": "o4"}}, {"since_us": until_us}):
        assert desk.do("remove_override", **on, **fields).archived
    with desk.ledger.reader() as reader:
        assert until_us not in {row.effective_at_us for row in reader.overrides()}  # it never begins


def test_a_limit_of_several_is_removed_by_how_it_counts(desk: Desk) -> None:
    on = {"resource_id": "ana", "credit_currency": "t"}
    several = [limit(), limit(cadence="P1D"), limit(cadence="P1D", scope={"model": "o4"}), limit(id="l")]
    desk.apply(model(allocations=several))

    def names() -> list[tuple[Any, Any, Any]]:
        return [(one.id, one.cadence, one.scope) for one in desk.export().allocations]

    with pytest.raises(InvalidRequest, match="a limit that exists"):
        desk.do("remove_allocation", **on, cadence="P1M")
    with pytest.raises(InvalidRequest, match=r"cadence: got 'dayly'"):
        desk.do("remove_allocation", **on, cadence="dayly")
    desk.do("remove_allocation", **on)  # as set_allocation without them: the one for ever
    assert (None, None, None) not in names()
    assert len(names()) == 3
    with pytest.raises(InvalidRequest, match=r"on ana \(P1D, model o4\)"):
        desk.do("remove_allocation", **on)
    desk.do("remove_allocation", **on, cadence="day")
    assert ("l", None, None) in names()
    assert (None, "P1D", {"model": ("o4",)}) in names()
    desk.do("remove_allocation", **on, scope={"model": ["o4"]})
    desk.do("remove_allocation", allocation_id="l", customer_id="c")
    assert names() == []


def test_templates_are_single_changes_too(desk: Desk) -> None:
    desk.apply(model(creditCurrencies=[{"id": "t"}]))
    of = {"resource_type_id": "user", "credit_currency": "t"}
    desk.do("set_allocation", **of, limit=5)
    desk.do("set_allocation", **of, limit=6, where={"tier": "GOLD"}, cadence="P1D")
    desk.do("set_allocation", **of, limit=7, customer_id="c")
    assert desk.do("set_allocation", **of, limit=8).changed == ("allocation of t on each user",)
    assert sorted(one.limit for one in desk.export().allocations) == [6, 7, 8]
    with pytest.raises(InvalidModel, match="not both"):
        desk.do("set_allocation", resource_id="ana", **of, limit=5)
    with pytest.raises(InvalidRequest):
        desk.do("remove_allocation", resource_id="ana", **of)
    desk.do("remove_allocation", **of)
    desk.do("remove_allocation", **of, where={"tier": "GOLD"})
    assert [one.customer_id for one in desk.export().allocations] == ["c"]
    desk.do("remove_allocation", **of, customer_id="c")
    assert desk.export().allocations == ()


def test_a_template_for_all_is_pruned_with_the_allocations(desk: Desk) -> None:
    desk.apply(model(allocations=[limit(), limit(resourceTypeId="user")]))
    assert not desk.apply(model(), prune=True)  # it says nothing of allocations
    applied = desk.apply(model(allocations=[limit()]))
    assert applied.not_named == ("allocation of t on each user",)
    applied = desk.apply(model(allocations=[limit()]), prune=True)
    assert applied.archived == ("allocation of t on each user",)
    assert desk.last is not None
    assert desk.last.for_all


# ------------------------------------------------------------------ rates


RATES = [
    {"eventName": "chat", "creditCurrency": "t", "credits": 1},
    {"eventName": "chat", "creditCurrency": "t", "credits": 2, "where": {"model": "gpt-5"}},
    {"eventName": "chat", "creditCurrency": "t", "credits": 3, "effectiveAt": "2026-03-01T00:00:00Z"},
    {"eventName": "chat", "creditCurrency": "t", "credits": 4, "customerId": "c"},
]


def test_rates_of_an_event_differ_by_where_and_beginning(desk: Desk) -> None:
    whole = model(creditCurrencies=[{"id": "t"}], rates=RATES)
    created = desk.apply(whole).created
    assert [name for name in created if name.startswith("rate")] == [
        "rate of chat in t",
        "rate of chat in t (model gpt-5)",
        "rate of chat in t (from 2026-03-01T00:00:00Z)",
        "rate of chat in t of c",
    ]
    for order in permutations(RATES):
        assert not desk.apply({"rates": list(order), "customers": [{"id": "c"}]}, prune=True)
    with desk.ledger.reader() as reader:
        rows = {row.credits: row.id for row in reader.rates()}
    changed = {**RATES[1], "credits": 9}
    assert desk.apply({"rates": [changed]}).changed == ("rate of chat in t (model gpt-5)",)
    with desk.ledger.reader() as reader:
        now = {row.credits: row.id for row in reader.rates()}
    assert now.keys() == {"1", "9", "3", "4"}
    assert now["9"] not in rows.values()  # events keep naming the former one
    found = problems(desk, creditCurrencies=[{"id": "t"}], rates=[*RATES, {**RATES[2], "credits": 5}])
    assert found.keys() == {"rates[4].eventName"}
    found = problems(desk, rates=[{**RATES[0], "where": {"model": 0.5}}, {**RATES[0], "effectiveAt": "soon"}])
    assert found.keys() == {"rates[0].where.model", "rates[1].effectiveAt"}


def test_a_rate_is_one_call(desk: Desk) -> None:
    desk.apply(model(creditCurrencies=[{"id": "t"}]))
    desk.do("set_rate", event_name="chat", credit_currency="t", credits=1)
    desk.do(
        "set_rate",
        event_name="chat",
        credit_currency="t",
        credits=2,
        where={"model": ["o4", "gpt-5"]},
        effective_at=datetime(2026, 3, 1, tzinfo=UTC),
    )
    assert [(one.credits, one.where, one.effective_at) for one in desk.export().rates] == [
        (1, None, None),
        (2, {"model": ("gpt-5", "o4")}, "2026-03-01T00:00:00Z"),
    ]
