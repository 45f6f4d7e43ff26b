"""Overtaken: rows that are read to be laid, of which something is given back before they are.

RG1, T3: seed 1373 of an earlier simulation found a share that was given back twice.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stiggctl import UsageControl
from tests.simulation.baton import Baton
from tests.simulation.host import Process, VirtualClock
from tests.simulation.run import model
from tests.simulation.truth import HOUR_US

ANN: dict[str, Any] = {"resource_ids": ["ann"], "credit_currency": "t"}


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Process]:
    """In company, so that near a limit its shares are exact; the limit of ann is by the hour."""
    baton, path = Baton(0), tmp_path / "usage.db"
    baton.now_us += HOUR_US - baton.now_us % HOUR_US - 1_000_000
    with UsageControl(path, clock=VirtualClock(baton)) as control:
        control.apply(model({"org": 100, "ann": 20}, (), turns=True))
    one, other = (Process(baton, path, name) for name in ("one", "other"))
    other.holder.become_holder()
    yield one
    for process in (one, other):
        process.ledger._ledger.close()


def test_what_was_given_back_since_it_was_read_is_not_given_back_again(one: Process) -> None:
    """RG1: a settle after its hold and its hour are over lays the cell of that hour anew."""
    held = one.control.reserve(**ANN, amount=2, ttl_seconds=1)
    with one.ledger._ledger.reader() as reader:
        ((of_that_hour, granted),) = reader.rows("SELECT id, granted FROM cells WHERE lim = 20", {})
    assert granted == 2
    one.host.baton.now_us += 2_000_000
    open_cells, given_back = one.ledger._ledger.open_cells, []

    def overtaken(*given: Any, **named: Any) -> Any:
        rows = open_cells(*given, **named)
        if not given_back and any(row.id == of_that_hour for row in rows.values()):
            given_back.append(dict(one.holder.stripes["acme"].gives))
            one.holder.recalls.give_back()  # as its other thread does at a beat
        return rows

    one.ledger._ledger.open_cells = overtaken  # type: ignore[method-assign]  # a test's own
    assert held.settle(2).expired
    assert given_back[0][of_that_hour] == 2
    assert one.control.verify() == []
    assert one.control.reserve(**ANN, amount=20).amount == 20
