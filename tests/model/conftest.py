"""What planning is shown on: a ledger of dictionaries, and the SQLite one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from stiggctl.ledger.opening import open_ledger

from .desk import Desk
from .fake import FakeLedger


@pytest.fixture(params=["dict", "sqlite"])
def desk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Desk]:
    """Plans and writes on an empty ledger."""
    if request.param == "dict":
        yield Desk(FakeLedger())
        return
    ledger = open_ledger(tmp_path / "usage.db")
    yield Desk(ledger)
    ledger.close()
