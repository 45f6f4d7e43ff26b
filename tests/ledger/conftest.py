"""Every test of the contract gets a ledger from here; another kind is another parameter."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stiggctl.ledger.opening import open_ledger

from .world import World


@pytest.fixture(params=["sqlite"])
def ledger(request: pytest.FixtureRequest) -> Iterator[Any]:
    """An empty ledger that nobody else has."""
    assert request.param == "sqlite"
    opened = open_ledger(":memory:")
    yield opened
    opened.close()


@pytest.fixture
def world(ledger: Any) -> World:
    """The ledger with one customer, some limits and one holder."""
    return World(ledger)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a ledger on disk may be made."""
    return tmp_path / "usage.db"
