"""The audit: who changed what, in the order in which it was changed."""

from typing import Any

import pytest

from stiggctl.ledger import Stale
from stiggctl.ledger.records import AuditLine, ModelChange

from .world import World, resource


def line(at_us: int, subject: str, **differs: Any) -> AuditLine:
    facts: dict[str, Any] = {
        "at_us": at_us,
        "customer_id": "acme",
        "actor": "ops",
        "reason": "because",
        "verb": "put_resource",
        "subject": subject,
        "before": None,
        "after": '{"id": "x"}',
    }
    return AuditLine(**{**facts, **differs})


def test_audit_lines_are_read_as_they_were_written_oldest_first(world: World) -> None:
    first = [
        line(5, "one"),
        line(3, "two", customer_id=None, actor=None, reason=None, before="{}", after=None),
    ]
    world.change(audit=first)
    world.change(audit=[line(9, "three")])
    with world.ledger.reader() as reader:
        assert list(reader.audit()) == [*first, line(9, "three")]


@pytest.mark.parametrize(
    ("asked", "subjects"),
    [
        ({"customer_id": "acme"}, ["one", "three"]),
        ({"customer_id": "nobody"}, []),
        ({"since_us": 5}, ["one", "three"]),
        ({"until_us": 5}, ["two"]),
        ({"customer_id": "acme", "since_us": 5, "until_us": 9}, ["one"]),
    ],
)
def test_the_audit_is_read_by_customer_and_time(
    world: World, asked: dict[str, Any], subjects: list[str]
) -> None:
    world.change(audit=[line(5, "one"), line(3, "two", customer_id=None), line(9, "three")])
    with world.ledger.reader() as reader:
        assert [found.subject for found in reader.audit(**asked)] == subjects


def test_a_change_that_is_not_written_leaves_no_line(world: World) -> None:
    change = ModelChange(
        expected_change=world.version - 1, at_us=1, resources=[resource("x")], audit=[line(1, "x")]
    )
    with pytest.raises(Stale):
        world.ledger.change_model(change)
    with world.ledger.reader() as reader:
        assert list(reader.audit()) == []
