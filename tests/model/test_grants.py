"""Grants of a model: read, checked, written, read back, pruned, voided."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from stiggctl.errors import CustomerNotFound, GrantNotFound, InvalidModel, InvalidRequest
from stiggctl.windows import to_text

from .desk import Desk
from .fake import FakeLedger

DAY_US = 86_400_000_000


def grant(**fields: Any) -> dict[str, Any]:
    return {"id": "g", "customerId": "c", "creditCurrency": "t", "amount": 5, **fields}


def problems(desk: Desk, *grants: dict[str, Any], **lists: Any) -> dict[str, str]:
    """What is wrong in it, by path; nothing of it was written."""
    before = desk.export()
    with pytest.raises(InvalidModel) as caught:
        desk.apply({"grants": list(grants), **lists})
    assert desk.export() == before
    found = {problem.path: problem.expected for problem in caught.value.problems}
    assert len(found) == len(caught.value.problems)
    return found


@pytest.fixture
def fake() -> Desk:
    return Desk(FakeLedger())


# ------------------------------------------------------------------ checks


@pytest.mark.parametrize(
    ("fields", "at", "expected"),
    [
        ({"amount": 0}, "amount", "more than 0"),
        ({"amount": "0.0"}, "amount", "more than 0"),
        ({"amount": -5}, "amount", "0 or more"),
        ({"amount": "0.5"}, "amount", "a whole number"),
        ({"amount": 10**18 + 1}, "amount", "at most"),
        ({"amount": "five"}, "amount", "an int"),
        (
            {"effectiveAt": "2026-01-02T00:00:00Z", "expiresAt": "2026-01-02T01:00:00+01:00"},
            "expiresAt",
            "an instant after effectiveAt, 2026-01-02T00:00:00Z",
        ),
        ({"anchor": "2026-01-31"}, "anchor", "a cadence beside it; a grant that only begins there"),
        ({"cadence": "P1D", "anchor": "0001-01-01", "timezone": "Asia/Tokyo"}, "anchor", "years 1 to 9999"),
    ],
)
def test_a_grant_that_cannot_be_meant_is_refused(
    fake: Desk, fields: dict[str, Any], at: str, expected: str
) -> None:
    found = problems(fake, grant(id="good"), grant(**fields))
    assert list(found) == [f"grants[1].{at}"]
    assert expected in found[f"grants[1].{at}"] or at == "amount"


@pytest.mark.parametrize(
    "fields",
    [
        {"amount": 1},
        {"amount": 10**18},
        {"amount": "5.0"},
        {"amount": Decimal(5)},
        {"priority": 0},
        {"priority": 1_000},
        {"kind": "PROMOTIONAL"},
        {"expiresAt": "2020-01-01T00:00:00Z"},  # a model that says what has expired still fits
        {"effectiveAt": "2026-01-02T00:00:00Z", "expiresAt": "2026-01-02T00:00:00.000001Z"},
        {"cadence": "month"},
        {"cadence": "P1Y", "timezone": "Europe/Amsterdam"},
        {"cadence": "P1M", "anchor": date(2026, 1, 31), "timezone": "America/Sao_Paulo"},
        {"cadence": "P1M", "anchor": datetime(2026, 1, 31, 9, tzinfo=UTC)},
        {"cadence": "P1Y", "anchor": "9999-12-31T23:59:59Z"},
        {"timezone": "Asia/Tokyo"},
    ],
)
def test_a_grant_that_can_be_meant_is_written_and_says_so(desk: Desk, fields: dict[str, Any]) -> None:
    entry = grant(**fields)
    assert desk.apply({"grants": [entry]}).created[-1] == "grant g of t of c"
    exported = desk.export()
    assert exported.grants[0].amount == Decimal(entry["amount"])
    for again in ({"grants": [entry]}, exported, exported.model_dump_json()):
        for prune in (False, True):
            applied = desk.apply(again, prune=prune)
            assert not applied
            assert not applied.not_named


def test_all_faults_are_told_at_once(fake: Desk) -> None:
    ends = {"effectiveAt": "2026-02-01T00:00:00Z", "expiresAt": "2026-01-01T00:00:00Z"}
    found = problems(
        fake,
        grant(amount=0, anchor="2026-01-31", **ends),
        grant(id="h", priority=-1, **ends),
        grant(id="h"),
        grant(amount="0.5", id="i"),
        grant(id="j", amount=0.5, **ends),
        grant(id="k", kind="FREE", amount=0),
        grant(id="l", cadence="fortnight", anchor="2026-01-31", priority=2_000),
        grant(id="m", timezone="Europe/Atlantis", anchor="2026-01-31"),
    )
    assert list(found) == [
        "grants[0].anchor",
        "grants[0].expiresAt",
        "grants[0].amount",
        "grants[1].priority",
        "grants[1].expiresAt",
        "grants[2].id",
        "grants[3].amount",
        "grants[4].amount",
        "grants[4].expiresAt",
        "grants[5].kind",
        "grants[5].amount",
        "grants[6].priority",
        "grants[6].cadence",
        "grants[7].timezone",
        "grants[7].anchor",
    ]


def test_a_grant_stands_once_a_customer(desk: Desk) -> None:
    assert problems(desk, grant(), grant(creditCurrency="u", amount=7)) == {
        "grants[1].id": "one entry for each grant of 'c'"
    }
    desk.apply({"grants": [grant(), grant(customerId="d")]})
    assert [(one.customer_id, one.id) for one in desk.export().grants] == [("c", "g"), ("d", "g")]


def test_an_amount_is_one_of_its_currency(fake: Desk) -> None:
    usd = [{"id": "usd", "decimals": 9}]
    assert problems(
        fake, grant(creditCurrency="usd", amount="0.0000000001"), creditCurrencies=usd
    ).keys() == {"grants[0].amount"}
    assert problems(fake, grant(creditCurrency="usd", amount=10**9 + 1), creditCurrencies=usd)
    fake.apply({"grants": [grant(creditCurrency="usd", amount="0.000000001")], "creditCurrencies": usd})
    with fake.ledger.reader() as reader:
        assert [row.amount_units for row in reader.grants()] == [1]
    # Nobody can say what an amount may be in a currency that could not be read.
    assert problems(
        fake, grant(id="h", amount="0.5"), creditCurrencies=[{"id": "t", "decimals": 99}]
    ).keys() == {"creditCurrencies[0].decimals"}


# ------------------------------------------------------------------ whose


def test_a_grant_makes_its_customer_and_its_currency(desk: Desk) -> None:
    applied = desk.apply({"grants": [grant()]})
    assert applied.created == ("credit currency t", "customer c", "grant g of t of c")
    exported = desk.export()
    assert [one.id for one in exported.customers] == ["c"]
    assert [(one.id, one.decimals) for one in exported.credit_currencies] == [("t", 0)]
    # So what else is of that customer may be in the same model.
    desk.apply(
        {
            "grants": [grant(customerId="d")],
            "rates": [{"eventName": "e", "creditCurrency": "t", "customerId": "d", "credits": 1}],
        }
    )
    # A rate or an override in the currency that only a grant names knows it.
    desk.apply(
        {"grants": [grant(id="h", creditCurrency="u")], "rates": [{"eventName": "e", "creditCurrency": "u"}]}
    )


def test_the_customer_may_be_left_out_where_there_is_one(desk: Desk) -> None:
    nobody = grant()
    del nobody["customerId"]
    assert problems(desk, nobody) == {"grants[0].customerId": "a customer; the model names none"}
    desk.apply({"grants": [nobody, grant(id="h")]})  # the model names one
    assert {one.customer_id for one in desk.export().grants} == {"c"}
    desk.apply({"grants": [{**nobody, "id": "i"}]})  # there is one
    assert {one.customer_id for one in desk.export().grants} == {"c"}
    # The model's comes first: the one that it names is meant, not the one that there is.
    desk.apply({"customers": [{"id": "d"}], "grants": [{**nobody, "id": "j"}]})
    assert {one.id for one in desk.export().grants if one.customer_id == "d"} == {"j"}
    assert problems(desk, {**nobody, "id": "k"}).keys() == {"grants[0].customerId"}
    assert problems(desk, {**nobody, "id": "k"}, customers=[{"id": "c"}, {"id": "d"}]) == {
        "grants[0].customerId": "one of the customers that the model names: 'c', 'd'"
    }
    desk.do("archive_customer", customer_id="d")
    assert desk.apply({"grants": [{**nobody, "id": "k"}]}).created == ("grant k of t of c",)


def test_whose_it_is_is_not_asked_where_an_entry_could_not_be_read(fake: Desk) -> None:
    nobody = grant()
    del nobody["customerId"]
    assert problems(fake, nobody, customers=[{"id": ""}]).keys() == {"customers[0].id"}
    # Two of which nobody can say whose they are may be of two customers.
    assert problems(fake, nobody, nobody).keys() == {"grants[0].customerId", "grants[1].customerId"}
    found = problems(
        fake,
        grant(id=""),
        rates=[{"eventName": "e", "creditCurrency": "t", "customerId": "c"}],
    )
    assert found.keys() == {"grants[0].id"}  # it would have made customer and currency


def test_a_grant_restores_no_archived_customer(desk: Desk) -> None:
    desk.apply({"customers": [{"id": "c"}]})
    desk.do("archive_customer", customer_id="c")
    assert desk.apply({"grants": [grant()]}).created == ("credit currency t", "grant g of t of c")
    assert desk.export().grants == ()
    assert not desk.apply({"grants": [grant()]}, prune=True)
    desk.do("restore_customer", customer_id="c")
    assert len(desk.export().grants) == 1


# ------------------------------------------------------------------ what changes, and what is told


def test_a_grant_is_replaced_by_its_key_and_nothing_is_added(desk: Desk) -> None:
    desk.apply({"grants": [grant(kind="PROMOTIONAL", priority=10, cadence="P1M", timezone="Asia/Tokyo")]})
    with desk.ledger.reader() as reader:
        [before] = reader.grants()
    assert desk.apply({"grants": [grant(amount=3)]}).changed == ("grant g of t of c",)
    with desk.ledger.reader() as reader:
        [after] = reader.grants()
    assert after.id == before.id
    assert (after.amount_units, after.kind, after.priority, after.cadence) == (3, "PAID", 50, None)
    assert after.timezone == "UTC"


CHANGES: dict[str, Any] = {
    "amount": 7,
    "priority": 51,
    "kind": "PROMOTIONAL",
    "effectiveAt": "2026-01-02T00:00:00Z",
    "expiresAt": "2026-03-01T00:00:00Z",
    "cadence": "P1W",
    "timezone": "Europe/Amsterdam",
    "anchor": "2026-01-30",
}
FULL = grant(
    cadence="P1M", anchor="2026-01-31", effectiveAt="2026-01-01T00:00:00Z", expiresAt="2026-02-01T00:00:00Z"
)


@pytest.mark.parametrize("key", sorted(CHANGES))
def test_a_change_of_any_key_is_a_change_and_is_audited(desk: Desk, key: str) -> None:
    desk.apply({"grants": [FULL]})
    before = desk.versions()
    assert desk.apply({"grants": [{**FULL, key: CHANGES[key]}]}).changed == ("grant g of t of c",)
    version, customers = desk.versions()
    assert (version, customers["c"]) == (before[0], before[1]["c"] + 1)
    line = desk.audit()[-1]
    assert (line.subject, line.customer_id, line.actor) == ("grant g of t", "c", "ops")
    was, became = json.loads(line.before or ""), json.loads(line.after or "")
    assert was.get(key) != became[key]
    # The zone says which instant the anchor's midnight is.
    assert {each for each in became if was.get(each) != became[each]} == {key} | (
        {"anchor"} if key == "timezone" else set()
    )


def test_an_audit_line_says_a_grant_as_a_model_does(desk: Desk) -> None:
    desk.apply({"grants": [FULL]})
    line = desk.audit()[-1]
    assert line.before is None
    said = json.loads(line.after or "")
    assert said == {**FULL, "anchor": "2026-01-31T00:00:00Z", "priority": 50, "kind": "PAID"}
    assert not desk.apply({"grants": [said]})


def test_a_grant_keeps_its_currency(desk: Desk) -> None:
    desk.apply({"grants": [grant()], "creditCurrencies": [{"id": "t"}, {"id": "u"}]})
    found = problems(desk, grant(creditCurrency="u"), grant(id="h", creditCurrency="u"))
    assert found == {"grants[0].creditCurrency": "'t', as it was; grant another with its own id"}
    assert problems(desk, grant(creditCurrency="new")).keys() == {"grants[0].creditCurrency"}
    desk.apply({"grants": [grant(creditCurrency="u", customerId="d")]})


def test_other_decimals_leave_grants_what_they_are(desk: Desk) -> None:
    other = grant(id="other", creditCurrency="u")
    desk.apply({"grants": [grant(), grant(id="void", amount=9), grant(id="named", amount=4), other]})
    desk.do("void_grant", grant_id="void")
    desk.apply({"creditCurrencies": [{"id": "t", "decimals": 2}], "grants": [grant(id="named")]})
    with desk.ledger.reader() as reader:
        rows = {row.grant_id: (row.amount_units, row.voided_at_us is None) for row in reader.grants()}
    assert rows == {"g": (500, True), "void": (900, False), "named": (500, True), "other": (5, True)}
    assert [one.amount for one in desk.export().grants] == [5, 5, 5]
    assert not desk.apply({"grants": [grant(id="void", amount="9.00")]})  # as it was
    desk.apply({"grants": [grant(amount="7.25")]})
    with pytest.raises(InvalidModel, match=r"amounts there are: Decimal\('7.25'\)"):
        desk.apply({"creditCurrencies": [{"id": "t", "decimals": 1}]})
    # One that is voided in the same breath follows too, and so does a void one that is named.
    desk.apply(
        {
            "creditCurrencies": [{"id": "t", "decimals": 3}],
            "customers": [{"id": "c"}],
            "grants": [grant(id="named"), grant(id="void", amount=9), other],
        },
        prune=True,
    )
    with desk.ledger.reader() as reader:
        rows = {row.grant_id: (row.amount_units, row.voided_at_us is None) for row in reader.grants()}
    assert rows == {"g": (7_250, False), "void": (9_000, False), "named": (5_000, True), "other": (5, True)}


# ------------------------------------------------------------------ export, prune, void


def test_the_export_has_what_expired_and_not_what_was_voided(desk: Desk) -> None:
    entries = [
        grant(id="b", expiresAt="2026-01-01T00:00:00Z"),
        grant(id="a", creditCurrency="u", cadence="P1M", anchor="2026-01-31", timezone="Europe/Amsterdam"),
        grant(id="c", customerId="d", kind="PROMOTIONAL", priority=0),
        grant(id="v"),
    ]
    desk.apply({"grants": entries})
    desk.do("void_grant", grant_id="v")
    exported = desk.export()
    assert [one.id for one in exported.grants] == ["a", "b", "c"]
    for prune in (False, True):
        applied = desk.apply(exported, prune=prune)
        assert not applied
        assert not applied.not_named
    other = Desk(FakeLedger())
    other.apply(exported)
    assert other.export() == exported
    backwards = Desk(FakeLedger())
    backwards.apply({"grants": entries[2::-1]})
    assert backwards.export().grants == exported.grants


def test_pruning_voids_what_is_not_named(desk: Desk) -> None:
    ends = to_text(desk.now_us + DAY_US)
    entries = [
        grant(id="kept"),
        grant(id="gone"),
        grant(id="later", effectiveAt=to_text(desk.now_us + DAY_US)),
        grant(id="ends", expiresAt=ends),
        grant(id="over", expiresAt="2026-01-01T00:00:00Z"),
        grant(id="other", customerId="d"),
    ]
    desk.apply({"grants": entries})
    assert not desk.apply({"customers": [{"id": "c"}]}, prune=True)  # it says nothing of grants
    named = ("grant gone of t of c", "grant later of t of c", "grant ends of t of c")
    assert desk.apply({"grants": [grant(id="kept")]}).not_named == named
    at_us = desk.now_us
    applied = desk.apply({"grants": [grant(id="kept")]}, prune=True)
    assert (applied.archived, applied.not_named) == (named, ())
    with desk.ledger.reader() as reader:
        voided = {row.grant_id: row.voided_at_us for row in reader.grants() if row.voided_at_us is not None}
    assert voided == dict.fromkeys(("gone", "later", "ends"), at_us)
    assert not desk.apply({"grants": [grant(id="kept")]}, prune=True)
    assert {one.id for one in desk.export().grants} == {"kept", "over", "other"}
    line = desk.audit()[-1]
    assert "voidedAt" not in json.loads(line.before or "")
    assert json.loads(line.after or "")["voidedAt"] == to_text(at_us)
    both = {"customers": [{"id": "c"}, {"id": "d"}], "grants": []}
    assert desk.plan(both)[1].not_named == ("grant kept of t of c", "grant other of t of d")
    # What expires is left as it is, from the instant of its end on.
    desk.apply({"grants": [grant(id="kept"), grant(id="soon", expiresAt=to_text(desk.now_us + DAY_US))]})
    with desk.ledger.reader() as reader:
        [soon] = (row for row in reader.grants() if row.grant_id == "soon")
    desk.now_us = soon.expires_at_us
    assert not desk.apply({"grants": [grant(id="kept")]}, prune=True)
    desk.now_us = soon.expires_at_us - 1
    assert desk.apply({"customers": [{"id": "c"}], "grants": []}).not_named == (
        "grant kept of t of c",
        "grant soon of t of c",
    )


def test_a_grant_that_was_voided_stays_so(desk: Desk) -> None:
    desk.apply({"grants": [FULL]})
    desk.do("void_grant", grant_id="g")
    applied = desk.apply(
        {"grants": [{**FULL, "amount": "5.0", "anchor": "2026-01-31T00:00:00Z"}]}, prune=True
    )
    assert not applied
    assert applied.unchanged == ("grant g of t of c",)
    assert desk.export().grants == ()
    for key, value in {**CHANGES, "creditCurrency": "u"}.items():
        assert problems(desk, {**FULL, key: value}) == {
            "grants[0].id": "another id: a grant that was voided stays so; grant another with its own id"
        }
    assert problems(desk, {**FULL, "amount": "0.5"}).keys() >= {"grants[0].amount"}
    # What could not be read may be what it was.
    for key, value in ("priority", -1), ("amount", 5.0), ("anchor", "2026-02-30"):
        assert problems(desk, {**FULL, key: value}).keys() == {f"grants[0].{key}"}
    desk.apply({"grants": [{**FULL, "id": "h"}, grant(id="i")]})
    desk.do("void_grant", grant_id="i")
    assert problems(desk, grant(id="i", timezone="Asia/Tokyo")).keys() == {"grants[0].id"}


# ------------------------------------------------------------------ single changes


def test_a_grant_is_one_call(desk: Desk) -> None:
    until = datetime(2026, 4, 1, tzinfo=UTC)
    facts = {"customer_id": "c", "credit_currency": "t", "amount": "10000", "kind": "PROMOTIONAL"}
    applied = desk.do("grant_credits", "sign-up", grant_id="welcome", **facts, expires_at=until)
    assert applied.created == ("credit currency t", "customer c", "grant welcome of t of c")
    line = desk.audit()[-1]
    assert (line.verb, line.actor, line.reason) == ("grant_credits", "ops", "sign-up")
    assert not desk.do("grant_credits", grant_id="welcome", **facts, expires_at=until)  # repeated: once
    facts |= {"amount": 5, "priority": 3, "cadence": "month", "anchor": date(2026, 1, 31)}
    assert desk.do("grant_credits", grant_id="welcome", **facts).changed == ("grant welcome of t of c",)
    [one] = desk.export().grants
    assert (one.amount, one.priority, one.cadence, one.expires_at) == (5, 3, "P1M", None)
    # The one customer that there is, until there is another.
    assert desk.do("grant_credits", grant_id="more", credit_currency="t", amount=5).created
    desk.do("put_customer", customer_id="d")
    with pytest.raises(InvalidRequest, match="customer_id"):
        desk.do("grant_credits", grant_id="most", credit_currency="t", amount=5)
    for wrong, at in ({"amount": 0}, "amount"), ({"grant_id": ""}, "id"), ({"priority": 2.0}, "priority"):
        with pytest.raises(InvalidModel, match=rf"grants\[0\]\.{at}"):
            desk.do("grant_credits", **{**facts, "grant_id": "x", **wrong})
    with pytest.raises(InvalidModel, match="currency"):
        desk.do("grant_credits", **{**facts, "grant_id": "welcome", "credit_currency": "u"})


def test_the_first_grant_of_an_empty_ledger_names_its_customer(desk: Desk) -> None:
    with pytest.raises(InvalidRequest, match="there is one customer"):
        desk.do("grant_credits", grant_id="g", credit_currency="t", amount=5)


def test_a_grant_is_voided_once(desk: Desk) -> None:
    desk.apply({"grants": [grant(), grant(id="both"), grant(id="both", customerId="d")]})
    before, at_us = desk.versions(), desk.now_us
    applied = desk.do("void_grant", "sent twice", grant_id="g")
    assert applied.archived == ("grant g of t of c",)
    assert desk.versions()[1] == {**before[1], "c": before[1]["c"] + 1}
    line = desk.audit()[-1]
    assert (line.verb, line.reason, line.subject) == ("void_grant", "sent twice", "grant g of t")
    assert json.loads(line.after or "") == {**json.loads(line.before or ""), "voidedAt": to_text(at_us)}
    again = desk.do("void_grant", grant_id="g", customer_id="c")
    assert not again
    assert again.unchanged == ("grant g of t of c",)
    with desk.ledger.reader() as reader:
        [row] = (row for row in reader.grants() if row.grant_id == "g")
    assert row.voided_at_us == at_us  # the first time counts
    with pytest.raises(InvalidModel, match="stays so"):
        desk.do("grant_credits", grant_id="g", credit_currency="t", amount=50, customer_id="c")
    with pytest.raises(InvalidRequest, match="'c', 'd'"):
        desk.do("void_grant", grant_id="both")
    assert desk.do("void_grant", grant_id="both", customer_id="d").archived == ("grant both of t of d",)


def test_a_grant_that_nobody_has_is_named(desk: Desk) -> None:
    desk.apply({"grants": [grant(), grant(id="h", customerId="d")]})
    with pytest.raises(GrantNotFound) as caught:
        desk.do("void_grant", grant_id="nothing")
    assert (caught.value.grant_id, caught.value.customer_id) == ("nothing", None)
    with pytest.raises(GrantNotFound, match="no grant 'h' of customer 'c'"):
        desk.do("void_grant", grant_id="h", customer_id="c")
    with pytest.raises(CustomerNotFound):
        desk.do("void_grant", grant_id="h", customer_id="nobody")
    for bad in (5, "", None):
        with pytest.raises(InvalidRequest, match="grant_id"):
            desk.do("void_grant", grant_id=bad)


def test_only_customers_that_are_granted_something_are_read(fake: Desk) -> None:
    fake.apply({"grants": [grant(customerId=f"c{n}") for n in range(5)]})
    asked: list[int | None] = []
    read = fake.ledger.grants

    def grants(customer: int | None = None) -> Any:
        asked.append(customer)
        return read(customer)

    fake.ledger.grants = grants
    fake.plan({"grants": [grant(customerId="c3")]})
    assert len(set(asked)) == 1
    assert None not in asked
    del asked[:]
    fake.plan({"customers": [{"id": "c3"}]})
    assert asked == []


def test_a_model_without_grants_asks_for_no_other_customers(fake: Desk) -> None:
    fake.apply({"customers": [{"id": "c"}]})
    read = fake.ledger.customers

    def customers(customer_ids: Any = None) -> Any:
        assert customer_ids is not None
        return read(customer_ids)

    fake.ledger.customers = customers
    fake.plan({"rates": [], "creditCurrencies": [{"id": "t"}]})
    with pytest.raises(AssertionError):
        fake.plan({"grants": [{"id": "g", "creditCurrency": "t", "amount": 5}]})
