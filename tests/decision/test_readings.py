"""Readings: a cell is not laid from a row of which something was given back since it was read (RG1)."""

from types import SimpleNamespace
from typing import Any

import pytest

from stiggctl.decision.cells import Loose, Stripe
from stiggctl.decision.readings import Reading, has_told, tell

CELL = 7
NODES: list[Any] = [SimpleNamespace(cells=[SimpleNamespace(cell=CELL)])]


@pytest.fixture
def stripe() -> Stripe:
    """What it has of the cell has just left spare."""
    stripe = Stripe("acme", 1)
    stripe.owe(CELL, 2)
    return stripe


def send(stripe: Stripe) -> None:
    stripe.owe_nothing()
    tell(stripe)


def test_a_row_is_overtaken_by_what_is_sent_after_it_was_read(stripe: Stripe) -> None:
    with Reading(stripe) as reading:
        assert not reading.is_overtaken(NODES)  # while it is owed, laying counts it
        send(stripe)
        assert reading.is_overtaken(NODES)
        has_told(stripe)
        assert reading.is_overtaken(NODES)


def test_a_row_is_overtaken_by_what_is_on_its_way_as_it_is_read(stripe: Stripe) -> None:
    send(stripe)
    with Reading(stripe) as reading:
        assert reading.is_overtaken(NODES)
    has_told(stripe)
    with Reading(stripe) as again:
        assert not again.is_overtaken(NODES)
    assert not stripe.readings


def test_a_cell_that_lies_somewhere_stays_as_it_is_whatever_was_told(stripe: Stripe) -> None:
    """What is given back near a limit, at each commit, holds up nobody who loads."""
    stripe.loose[CELL] = Loose(0, 0)
    with Reading(stripe) as reading:
        send(stripe)
        has_told(stripe)
        assert not reading.is_overtaken(NODES)


def test_what_was_told_of_other_cells_holds_up_nobody(stripe: Stripe) -> None:
    send(stripe)
    has_told(stripe)
    stripe.owe(CELL + 1, 3)
    with Reading(stripe) as reading:
        send(stripe)
        assert not reading.is_overtaken(NODES)
