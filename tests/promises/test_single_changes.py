"""Single changes of the model: each does what an apply of that one entry would; each leaves an audit line."""

from collections.abc import Callable
from typing import Any

import pytest

from stiggctl import InvalidModel, ResourceNotFound, UsageControl

from .saying import ACME, TOKENS, numbers

USER: dict[str, Any] = {"resource_ids": ["user-01"], "credit_currency": TOKENS}


def test_a_model_may_be_made_of_single_changes(control: UsageControl) -> None:
    control.put_customer("c", name="Customer")
    control.define_resource_type("team", name="Team")
    control.define_resource_type(
        "user", parent_resource_type_id="team", properties={"tier": {"type": "ENUM", "values": ["A", "B"]}}
    )
    control.put_resource("growth", resource_type_id="team", customer_id="c")
    control.put_resource(
        "ann", resource_type_id="user", parent_resource_id="growth", properties={"tier": "A"}, customer_id="c"
    )
    control.set_allocation(resource_id="growth", credit_currency=TOKENS, limit=50)
    control.set_allocation(resource_id="ann", credit_currency=TOKENS, limit=10, enforcement_type="SOFT")
    control.set_rate(event_name="chat", credit_currency=TOKENS, credits=3)
    receipt = control.report(customer_id="c", event_name="chat", dimensions={"user": "ann"})
    assert receipt.charged == 3
    assert numbers(control, "ann") == {"growth": (3, 0, 47), "ann": (3, 0, 7)}
    exported = control.export_model()
    assert not control.apply(exported, prune=True).changed


def test_what_is_wrong_is_refused_as_in_a_model(acme: UsageControl) -> None:
    before = acme.export_model()
    with pytest.raises(InvalidModel):
        acme.put_resource("new", resource_type_id="robot", customer_id=ACME)
    with pytest.raises(InvalidModel):
        acme.put_resource(
            "new",
            resource_type_id="user",
            parent_resource_id="team-growth",
            properties={"tier": "GOLD"},
            customer_id=ACME,
        )
    with pytest.raises(InvalidModel):
        acme.set_allocation(resource_id="user-01", credit_currency=TOKENS, limit=1.5)
    with pytest.raises(InvalidModel):
        acme.set_allocation(resource_id="user-01", credit_currency=TOKENS, limit=-1)
    with pytest.raises(InvalidModel):
        acme.move_resource("team-growth", "user-01")  # below itself, and below a user
    with pytest.raises(InvalidModel):
        acme.move_resource("user-01", "dept-marketing")  # a user needs a team
    assert acme.export_model() == before


@pytest.mark.parametrize(
    "change",
    [
        lambda control: control.suspend("nobody"),
        lambda control: control.resume("nobody"),
        lambda control: control.archive_resource("nobody"),
        lambda control: control.restore_resource("nobody"),
        lambda control: control.move_resource("nobody", "team-growth"),
    ],
)
def test_an_unknown_resource_is_an_error(
    acme: UsageControl, change: Callable[[UsageControl], object]
) -> None:
    before = acme.export_model()
    with pytest.raises(ResourceNotFound, match="nobody"):
        change(acme)
    assert acme.export_model() == before


def test_each_leaves_a_line_that_says_who_and_what(acme: UsageControl) -> None:
    changes: list[Callable[[], object]] = [
        lambda: acme.put_customer("new", actor="ann"),
        lambda: acme.define_resource_type("robot", actor="ann"),
        lambda: acme.put_resource("r2", resource_type_id="robot", customer_id=ACME, actor="ann"),
        lambda: acme.set_allocation(
            resource_id="r2", customer_id=ACME, credit_currency=TOKENS, limit=5, actor="ann"
        ),
        lambda: acme.set_rate(event_name="walk", credit_currency=TOKENS, credits=1, actor="ann"),
        lambda: acme.suspend("r2", reason="runaway", actor="ann"),
        lambda: acme.resume("r2", actor="ann"),
        lambda: acme.remove_allocation(
            resource_id="r2", customer_id=ACME, credit_currency=TOKENS, actor="ann"
        ),
        lambda: acme.archive_resource("r2", actor="ann"),
        lambda: acme.restore_resource("r2", actor="ann"),
        lambda: acme.archive_customer("new", actor="ann"),
        lambda: acme.restore_customer("new", actor="ann"),
    ]
    for change in changes:
        before = len(list(acme.audit()))
        change()
        lines = list(acme.audit())
        assert len(lines) == before + 1
        assert lines[-1].actor == "ann"
        assert lines[-1].verb
        assert lines[-1].subject
    assert "runaway" in [line.reason for line in acme.audit()]


def test_suspending_and_resuming_twice_are_as_once(acme: UsageControl) -> None:
    for _ in range(2):
        acme.suspend("user-01", reason="runaway")
    assert acme.check(**USER).access_denied_reason == "SUSPENDED"
    for _ in range(2):
        acme.resume("user-01")
    assert acme.check(**USER).has_access


def test_a_resource_may_be_moved_to_the_root(control: UsageControl) -> None:
    control.define_resource_type("node")
    control.put_resource("top", resource_type_id="node", customer_id="c")
    control.put_resource("leaf", resource_type_id="node", parent_resource_id="top", customer_id="c")
    control.set_allocation(resource_id="top", credit_currency=TOKENS, limit=5)
    control.set_allocation(resource_id="leaf", credit_currency=TOKENS, limit=9)
    assert control.check(resource_ids=["leaf"], credit_currency=TOKENS).remaining == 5
    control.move_resource("leaf", None)
    assert control.check(resource_ids=["leaf"], credit_currency=TOKENS).remaining == 9
