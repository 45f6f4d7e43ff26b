"""Erasing, by the ledger alone: another model than it was planned for, and nothing to say of nobody."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from stiggctl.ledger import Stale
from stiggctl.ledger.forgetting import Forgotten, is_token, new_token
from stiggctl.ledger.opening import open_ledger
from stiggctl.ledger.records import Erasure

from .world import NOW_US, World


def erasure(world: World, *, behind: int = 0) -> Erasure:
    with world.ledger.reader() as reader:
        change = reader.state().change
        [customer, *_] = reader.customers()
        [row, *_] = reader.lineage(customer.id, ["a"])[-1:]
    return Erasure(
        expected_change=change - behind,
        at_us=NOW_US,
        customer=customer.id,
        customer_id=customer.customer_id,
        resource=row.id,
        resource_id="a",
        name=None,
        token=new_token(),
        attribution_keys=("thing",),
        properties="{}",
        suspension=None,
        actor=None,
        reason=None,
    )


def dumped(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as looking:
        return list(looking.iterdump())


def test_an_erasure_that_was_planned_for_another_model_writes_nothing(path: Path) -> None:
    with closing(open_ledger(path)) as ledger:
        world = World(ledger)
        world.exchange(world.booking("k", 7))
        before = dumped(path)
        with pytest.raises(Stale):
            ledger.erase(erasure(world, behind=1))
        assert dumped(path) == before


def test_it_raises_the_versions_as_a_change_of_the_model_does(path: Path) -> None:
    with closing(open_ledger(path)) as ledger:
        world = World(ledger)
        world.exchange(world.booking("k", 7))
        with ledger.reader() as reader:
            change, [customer, *_] = reader.state().change, reader.customers()
        asked = erasure(world)
        forgot = ledger.erase(asked)
        with ledger.reader() as reader:
            assert reader.state().change == forgot.change == change + 1
            assert reader.customers()[0].model_version == customer.model_version + 1
            assert reader.differences() == []
            assert reader.lineage(customer.id, ["a"]) == []
            [row] = reader.resources_by_row([asked.resource])
            assert row.resource_id == asked.token
        assert ledger.leave_no_remains()


def test_a_token_is_one_and_nothing_else_is() -> None:
    assert is_token(new_token())
    assert new_token() != new_token()
    assert not any(map(is_token, ("erased-", "erased-0", "ana", f"{new_token()}0", f"x{new_token()}")))


@pytest.mark.parametrize(
    ("said", "left"),
    [
        ("ana", "T"),
        ("ana, ana.", "T, T."),
        ("(ana)", "(T)"),
        ("banana", "banana"),
        ("ana-2", "ana-2"),
        ("x-ana", "x-ana"),
        ("ana@b", "ana@b"),
        ("ana.b", "ana.b"),
        ("b.ana", "b.ana"),
        ("end. ana", "end. T"),
        ("anaé", "anaé"),
        ("an", "an"),
    ],
)
def test_in_running_text_an_id_is_a_word(said: str, left: str) -> None:  # FG2
    assert Forgotten("ana", "T", frozenset()).text(said) == left
