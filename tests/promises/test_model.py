"""A model: applied whole, any number of times, and read back."""

import json
from pathlib import Path
from typing import Any

import pytest

from stiggctl import Applied, ResourceNotFound, UsageControl, UsageModel
from stiggctl.testing import ManualClock

from .saying import ACME, ARTICLE, TOKENS, flat, numbers


def changed(applied: Applied) -> bool:
    return bool(applied.created or applied.changed or applied.archived)


def limit_of(control: UsageControl, resource_id: str) -> Any:
    limits = control.check(resource_ids=[resource_id], credit_currency=TOKENS).limits
    (state,) = [limit for limit in limits if limit.resource_id == resource_id]
    return state


def test_applying_twice_changes_nothing_the_second_time(control: UsageControl) -> None:
    first = control.apply(flat({"a": 10, "b": 20}))
    assert first.created
    again = control.apply(flat({"a": 10, "b": 20}))
    assert not changed(again)
    assert again.unchanged
    assert not again.not_named
    assert not again.waiting_for


def test_mapping_text_path_and_model_are_one(control: UsageControl, tmp_path: Path) -> None:
    model = flat({"a": 10})
    control.apply(model)
    file = tmp_path / "model.json"
    file.write_text(json.dumps(model))
    for same in (json.dumps(model), file, control.export_model()):
        assert not changed(control.apply(same))


def test_snake_case_is_read_as_camel_case_is(control: UsageControl) -> None:
    control.apply(flat({"a": 10}))
    snake = {
        "resource_types": [{"id": "node"}],
        "resources": [{"id": "a", "resource_type_id": "node", "customer_id": "c"}],
        "allocations": [
            {
                "resource_id": "a",
                "credit_currency": TOKENS,
                "customer_id": "c",
                "limit": "10",
                "enforcement_type": "HARD",
            }
        ],
    }
    assert not changed(control.apply(snake))


def test_the_export_is_a_model_that_changes_nothing(acme: UsageControl) -> None:
    model = acme.export_model()
    assert isinstance(model, UsageModel)
    assert not changed(acme.apply(model))
    assert not changed(acme.apply(model, prune=True))
    assert not changed(acme.apply(model.model_dump_json(), prune=True))


def test_the_export_makes_the_same_model_elsewhere(
    acme: UsageControl, tmp_path: Path, clock: ManualClock
) -> None:
    acme.suspend("user-bob")
    acme.archive_resource("user-alice")
    model = acme.export_model()
    with UsageControl(str(tmp_path / "other.db"), clock=clock) as other:
        other.apply(model)
        assert other.export_model() == model


def test_the_export_is_written_in_camel_case(acme: UsageControl) -> None:
    told = json.loads(acme.export_model().model_dump_json())
    assert {"resourceTypes", "resources", "allocations", "creditCurrencies", "rates"} <= set(told)
    assert "_" not in "".join(key for entry in told["resources"] for key in entry)


def test_an_entry_replaces_the_former_one_of_its_key_whole(control: UsageControl) -> None:
    control.apply(flat({"a": 10}, soft=["a"]))
    assert limit_of(control, "a").enforcement_type == "SOFT"
    control.apply(
        {"allocations": [{"resourceId": "a", "customerId": "c", "creditCurrency": TOKENS, "limit": 10}]}
    )
    assert limit_of(control, "a").enforcement_type == "HARD"  # left out: the default


def test_an_allocation_with_an_id_is_replaced_by_it(control: UsageControl) -> None:
    model = flat({"a": 10})
    model["allocations"][0]["id"] = "cap"
    control.apply(model)
    model["allocations"][0]["limit"] = 15
    control.apply(model)
    states = control.check(resource_ids=["a"], credit_currency=TOKENS).limits
    assert [(state.allocation_id, state.limit) for state in states] == [("cap", 15)]


def test_one_that_is_named_nowhere_stays_and_is_told(control: UsageControl) -> None:
    control.apply(flat({"a": 10, "b": 20}))
    applied = control.apply(flat({"a": 10}))
    assert applied.not_named
    assert not changed(applied)
    assert limit_of(control, "b").limit == 20


def test_prune_archives_resources_and_removes_allocations(control: UsageControl) -> None:
    control.apply(flat({"a": 10, "b": 20}))
    applied = control.apply(flat({"a": None}), prune=True)
    assert applied.archived
    assert (
        control.check(resource_ids=["b"], credit_currency=TOKENS).access_denied_reason == "RESOURCE_ARCHIVED"
    )
    assert control.check(resource_ids=["a"], credit_currency=TOKENS).limits == ()
    assert not changed(control.apply(flat({"a": None}), prune=True))


def test_an_archived_resource_named_again_is_restored(control: UsageControl) -> None:
    control.apply(flat({"a": 10, "b": 20}))
    control.consume(resource_ids=["b"], credit_currency=TOKENS, amount=3)
    control.archive_resource("b")
    control.apply(flat({"a": 10, "b": 20}))
    assert numbers(control, "b") == {"b": (3, 0, 17)}


def test_the_customer_may_be_left_out_where_the_parent_has_it(control: UsageControl) -> None:
    control.apply(
        {
            "resourceTypes": [{"id": "node"}],
            "resources": [
                {"id": "leaf", "resourceTypeId": "node", "parentResourceId": "root"},
                {"id": "root", "resourceTypeId": "node", "customerId": "c"},
            ],
        }
    )
    control.apply({"customers": [{"id": "only"}], "resources": [{"id": "r", "resourceTypeId": "node"}]})
    exported = json.loads(control.export_model().model_dump_json())
    assert {entry["id"]: entry["customerId"] for entry in exported["resources"]} == {
        "leaf": "c",
        "root": "c",
        "r": "only",
    }


def test_ids_are_unique_within_a_customer_only(control: UsageControl) -> None:
    control.apply(flat({"a": 10}, customer_id="first"))
    control.apply(flat({"a": 20}, customer_id="second"))
    for customer_id, limit in (("first", 10), ("second", 20)):
        decision = control.check(resource_ids=["a"], credit_currency=TOKENS, customer_id=customer_id)
        assert decision.remaining == limit


def test_an_empty_model_is_one(control: UsageControl) -> None:
    assert not changed(control.apply({}))
    control.apply({"creditCurrencies": [{"id": TOKENS}]})
    with pytest.raises(ResourceNotFound):
        control.check(resource_ids=["a"], credit_currency=TOKENS)


def test_applying_never_touches_usage(acme: UsageControl) -> None:
    acme.consume(resource_ids=["user-01"], credit_currency=TOKENS, amount=30)
    acme.reserve(resource_ids=["user-01"], credit_currency=TOKENS, amount=20)
    before = numbers(acme, "user-01")
    for document in ("resource-types", "resources", "allocations"):
        acme.apply(ARTICLE / f"{document}.json")
    acme.apply(acme.export_model(), prune=True)
    assert numbers(acme, "user-01") == before


def test_who_applied_it_and_why_stands_in_the_audit(control: UsageControl) -> None:
    control.apply(flat({"a": 10}, customer_id=ACME), actor="ops@acme.com", reason="first model")
    lines = list(control.audit())
    assert lines
    assert {(line.actor, line.reason) for line in lines} == {("ops@acme.com", "first model")}


def test_any_depth_is_counted(control: UsageControl) -> None:
    depth = 60
    model: dict[str, Any] = {
        "resourceTypes": [{"id": "node"}],
        "resources": [
            {
                "id": f"n{level}",
                "resourceTypeId": "node",
                "customerId": "c",
                "parentResourceId": f"n{level - 1}" if level else None,
            }
            for level in range(depth)
        ],
        "allocations": [
            {"resourceId": f"n{level}", "customerId": "c", "creditCurrency": TOKENS, "limit": 10_000 - level}
            for level in range(depth)
        ],
    }
    control.apply(model)
    receipt = control.consume(resource_ids=[f"n{depth - 1}"], credit_currency=TOKENS, amount=1)
    assert [limit.resource_id for limit in receipt.limits] == [f"n{level}" for level in range(depth)]
    assert control.check(resource_ids=["n59"], credit_currency=TOKENS).remaining == 10_000 - 59 - 1
