"""The article, as printed: its three documents, its entitlement call, its usage event."""

import json
from typing import Any

import pytest

from stiggctl import AccessDenied, InvalidRequest, RateNotFound, UsageControl

from .saying import ACME, ARTICLE, TOKENS, Say, event_ids, numbers

DOCUMENTS = ("resource-types", "resources", "allocations")
TEST_CUSTOMER = "test-customer-id"
RATE = {"rates": [{"eventName": "email_enrichment", "creditCurrency": TOKENS, "credits": 5}]}

#: The article's usage event, letter for letter, but for the key it abbreviates.
EVENT = {
    "customerId": "test-customer-id",
    "eventName": "email_enrichment",
    "idempotencyKey": "227c1b73-883a-4f0e-9d5c-1f2e3d4c5b6a",
    "dimensions": {"user_id": "user-01", "region": "emea", "org": "engineering"},
    "timestamp": "2025-10-26T15:01:55.768Z",
}


@pytest.fixture
def article(control: UsageControl) -> UsageControl:
    for document in (*DOCUMENTS, "test-customer"):
        control.apply(ARTICLE / f"{document}.json")
    return control


def limits_of_bob(control: UsageControl) -> dict[str, int]:
    decision = control.check(resource_ids=["user-bob"], credit_currency=TOKENS)
    return {limit.resource_id: limit.limit for limit in decision.limits}


def test_the_three_documents_load_one_by_one(control: UsageControl) -> None:
    for document in DOCUMENTS:
        control.apply(ARTICLE / f"{document}.json")
    assert limits_of_bob(control) == {
        "org-acme": 50000,
        "dept-marketing": 20000,
        "team-growth": 5000,
        "user-bob": 200,
    }


@pytest.mark.parametrize("as_what", ["mapping", "text", "model"])
def test_the_three_documents_load_as_one_model(control: UsageControl, as_what: str, ledger_path: str) -> None:
    whole: dict[str, Any] = {}
    for document in DOCUMENTS:
        whole |= json.loads((ARTICLE / f"{document}.json").read_text())
    if as_what == "mapping":
        control.apply(whole)
    elif as_what == "text":
        control.apply(json.dumps(whole))
    else:
        with UsageControl(ledger_path + ".other") as other:
            other.apply(whole)
            model = other.export_model()
        control.apply(model)
    assert limits_of_bob(control)["user-bob"] == 200


def test_bob_without_an_enforcement_type_is_hard(article: UsageControl) -> None:
    decision = article.check(resource_ids=["user-bob"], credit_currency=TOKENS, requested_usage=201)
    assert not decision.has_access
    assert decision.binding is not None
    assert (decision.binding.resource_id, decision.binding.enforcement_type) == ("user-bob", "HARD")


def test_alice_has_no_limit_of_her_own_but_those_above_her(article: UsageControl) -> None:
    decision = article.check(resource_ids=["user-alice"], credit_currency=TOKENS, requested_usage=201)
    assert decision.has_access
    assert [limit.resource_id for limit in decision.limits] == ["org-acme", "dept-marketing", "team-growth"]
    assert decision.remaining == 5000


def test_its_entitlement_call_finds_the_customer_and_every_limit(article: UsageControl, face: Any) -> None:
    say = Say(article, face)
    ask = {"resource_ids": ["user-01", "emea", "engineering"], "credit_currency": "ai-tokens"}
    decision = say("check", **ask, requested_usage=50)
    assert decision.has_access
    assert decision.access_denied_reason is None
    assert decision.remaining == 200
    assert [limit.resource_id for limit in decision.limits] == ["engineering", "emea", "user-01"]
    denied = say("check", **ask, requested_usage=201)
    assert not denied.has_access
    assert denied.access_denied_reason == "BUDGET_EXCEEDED"


def test_its_usage_event_books_what_its_rate_says_as_the_camel_case_mapping(
    article: UsageControl, face: Any
) -> None:
    article.apply(RATE)
    receipt = Say(article, face)("report", EVENT)
    assert (receipt.charged, receipt.amounts) == (5, {"ai-tokens": 5})
    assert (receipt.duplicate, receipt.late, receipt.expired, receipt.estimated) == (False,) * 4
    assert tuple(receipt.unattributed) == ()
    assert receipt.overage == 0
    assert numbers(article, "user-01", "emea", customer_id=TEST_CUSTOMER) == {
        "engineering": (5, 0, 999_995),
        "emea": (5, 0, 2995),
        "user-01": (5, 0, 195),
    }


def test_the_mapping_and_the_keywords_are_one_report(article: UsageControl, face: Any) -> None:
    article.apply(RATE)
    say = Say(article, face)
    first = say("report", EVENT)
    snake = {
        "customer_id": EVENT["customerId"],
        "event_name": EVENT["eventName"],
        "idempotency_key": EVENT["idempotencyKey"],
        "dimensions": EVENT["dimensions"],
        "timestamp": EVENT["timestamp"],
    }
    by_keywords = say("report", **snake)
    as_snake_mapping = say("report", snake)
    assert {by_keywords.event_id, as_snake_mapping.event_id} == {first.event_id}
    assert by_keywords.duplicate
    assert as_snake_mapping.duplicate
    assert event_ids(article, TEST_CUSTOMER) == [first.event_id]


def test_an_unknown_key_of_the_mapping_is_named_with_the_nearest_known_one(article: UsageControl) -> None:
    with pytest.raises(InvalidRequest, match=r"(?s)idempotencykey.*idempotency_?[kK]ey"):
        article.report({**EVENT, "idempotencykey": "x"})


def test_without_a_rate_its_event_is_refused_and_nothing_is_booked(article: UsageControl, face: Any) -> None:
    say = Say(article, face)
    with pytest.raises(RateNotFound) as refused:
        say("report", EVENT)
    assert refused.value.event_name == "email_enrichment"
    assert "email_enrichment" in str(refused.value)
    assert event_ids(article, TEST_CUSTOMER) == []
    assert numbers(article, "user-01", "emea", customer_id=TEST_CUSTOMER)["user-01"] == (0, 0, 200)
    article.apply(RATE)
    assert say("report", EVENT).duplicate is False


def test_ids_that_no_resource_has_stand_in_the_receipt_and_the_rest_is_booked(
    article: UsageControl, face: Any
) -> None:
    article.apply(RATE)
    receipt = Say(article, face)(
        "report",
        customer_id=TEST_CUSTOMER,
        event_name="email_enrichment",
        idempotency_key="k",
        dimensions={"user_id": "user-99", "region": "emea", "plan": "gold"},
    )
    assert tuple(receipt.unattributed) == ("user-99",)
    assert numbers(article, "user-01", "emea", customer_id=TEST_CUSTOMER) == {
        "engineering": (0, 0, 1_000_000),
        "emea": (5, 0, 2995),
        "user-01": (0, 0, 200),
    }


def test_the_articles_loop_check_execute_report_ends_in_a_denial_at_the_limit(
    article: UsageControl, face: Any
) -> None:
    article.apply(RATE)
    say = Say(article, face)
    ask = {"resource_ids": ["user-01", "emea", "engineering"], "credit_currency": "ai-tokens"}
    runs = 0
    while say("check", **ask, requested_usage=5):
        say("report", {**EVENT, "idempotencyKey": f"run-{runs}"})
        runs += 1
        assert runs <= 40
    assert runs == 40
    with pytest.raises(AccessDenied) as denied:
        say("consume", **ask, amount=1)
    assert denied.value.decision.access_denied_reason == "BUDGET_EXCEEDED"


def test_every_key_of_every_document_comes_back_in_the_export(article: UsageControl) -> None:
    exported = json.loads(article.export_model().model_dump_json())
    named = {
        kind: {entry["id"]: entry for entry in exported[kind]} for kind in ("resourceTypes", "resources")
    }
    for document in ("resource-types", "resources"):
        for kind, entries in json.loads((ARTICLE / f"{document}.json").read_text()).items():
            for entry in entries:
                kept = named[kind][entry["id"]]
                for key, value in entry.items():
                    if key == "properties" and kind == "resourceTypes":
                        for name, schema in value.items():
                            assert kept["properties"][name].items() >= schema.items()
                    else:
                        assert kept[key] == value
    assert {
        (entry["resourceId"], entry["limit"])
        for entry in exported["allocations"]
        if entry["customerId"] == ACME
    } == {("org-acme", 50000), ("dept-marketing", 20000), ("team-growth", 5000), ("user-bob", 200)}
