"""What the tests of the holder stand on: a clock moved by hand, and a control on a file."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from stiggctl import UsageControl
from stiggctl.testing import ManualClock

from .faulty import MODEL


@pytest.fixture
def policy() -> Any:
    """What happens where the ledger cannot be reached; a test may ask for the other."""
    return "fail_closed"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime(2026, 1, 15, 12, tzinfo=UTC))


@pytest.fixture
def control(tmp_path: Path, policy: Any, clock: ManualClock) -> Iterator[UsageControl]:
    """ann may spend 100, all of org 1,000."""
    with UsageControl(tmp_path / "usage.db", on_ledger_failure=policy, clock=clock) as control:
        control.apply(MODEL)
        yield control
