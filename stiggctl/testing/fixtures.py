"""Fixtures: a control in memory for tests that pytest runs.

Here: `usage_control`, and what it is made of. Not here: verdicts (verdicts.py), which need no pytest.

A test suite asks for them by name in its root conftest.py: pytest_plugins = ["stiggctl.testing.fixtures"].
Nothing is registered for it: an entry point would import stiggctl, and what it needs, into every run
of pytest in an environment that happens to have it, tests of other projects included.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from stiggctl.control import UsageControl
from stiggctl.definitions import UsageModel
from stiggctl.testing.clock import ManualClock


@pytest.fixture
def usage_clock() -> ManualClock:
    """What tells `usage_control` the time: it stands at the moment when the test began, until moved.

    Instants that the code under test reads from the system's clock are near it, so they can be booked.
    """
    return ManualClock(datetime.now(UTC))


@pytest.fixture
def usage_model() -> Mapping[str, Any] | str | Path | UsageModel | None:
    """What `usage_control` has applied. A suite defines its own of that name; by itself there is none."""
    return None


@pytest.fixture
def usage_control(
    usage_model: Mapping[str, Any] | str | Path | UsageModel | None, usage_clock: ManualClock
) -> Iterator[UsageControl]:
    """A control on a ledger in memory, of this test alone, with `usage_model` applied."""
    with UsageControl(":memory:", clock=usage_clock) as control:
        if usage_model is not None:
            control.apply(usage_model, actor="usage_model")
        yield control
