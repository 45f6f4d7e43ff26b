"""The article's three documents, as printed, one after the other and as one."""

import json
from pathlib import Path
from typing import Any

import pytest

from stiggctl.definitions import read
from stiggctl.errors import InvalidModel

from .desk import Desk
from .fake import FakeLedger

DOCUMENTS = Path(__file__).parent.parent / "promises" / "article"
NAMES = ("resource-types", "resources", "allocations")


def document(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((DOCUMENTS / f"{name}.json").read_text())
    return loaded


def merged() -> dict[str, Any]:
    return {key: entries for name in NAMES for key, entries in document(name).items()}


def test_the_three_documents_load_one_after_the_other(desk: Desk) -> None:
    for name in NAMES:
        assert desk.apply(DOCUMENTS / f"{name}.json").created
    one_by_one = desk.export()
    for name in NAMES:
        assert not desk.apply((DOCUMENTS / f"{name}.json").read_text())
    assert not desk.apply(merged(), prune=True)
    at_once = Desk(FakeLedger())
    at_once.apply(merged())
    assert at_once.export() == one_by_one


def test_user_bob_has_a_hard_limit_of_200(desk: Desk) -> None:
    desk.apply(merged())
    bob = next(one for one in desk.export().allocations if one.resource_id == "user-bob")
    assert (bob.limit, bob.enforcement_type, bob.customer_id) == (200, "HARD", "cust-acme-inc")


def test_the_examples_customer_stands_beside_it(desk: Desk) -> None:
    desk.apply(merged())
    desk.apply(DOCUMENTS / "test-customer.json")
    assert {one.id for one in desk.export().customers} == {"cust-acme-inc", "test-customer-id"}


def test_the_customer_may_be_left_out_below_a_parent_that_has_one(desk: Desk) -> None:
    model = merged()
    for entry in [*model["resources"][1:], *model["allocations"]]:
        del entry["customerId"]
    desk.apply(model)
    exported = desk.export()
    assert {one.customer_id for one in (*exported.resources, *exported.allocations)} == {"cust-acme-inc"}


@pytest.mark.parametrize("missing", ["resource-types", "resources"])
def test_a_document_before_what_it_stands_on_says_so(desk: Desk, missing: str) -> None:
    following = NAMES[NAMES.index(missing) + 1]
    with pytest.raises(InvalidModel) as caught:
        desk.apply(DOCUMENTS / f"{following}.json")
    key = {"resources": "resourceTypeId", "allocations": "resourceId"}[following]
    if following == "allocations":
        key = "customerId"  # nobody made the customer either, and that comes first
    assert {problem.path.partition(".")[2] for problem in caught.value.problems} >= {key}


def test_every_key_of_the_documents_is_read() -> None:
    model = read(merged())
    user = model.resource_types[3]
    assert (user.name, user.parent_resource_type_id) == ("User", "team")
    assert user.properties["tier"].values == ("STANDARD", "PREMIUM")
    assert (user.properties["tier"].required, user.properties["email"].required) == (True, False)
    assert model.resources[3].properties == {"email": "alice@acme.com", "tier": "STANDARD"}
    written = model.as_dict()
    for listed, entries in merged().items():
        for entry, read_entry in zip(entries, written[listed], strict=True):
            assert entry.keys() <= read_entry.keys()
