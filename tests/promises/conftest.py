"""What the promises are shown on: a file ledger, a clock moved by hand, the article's model."""

import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from stiggctl import UsageControl
from stiggctl.testing import ManualClock

from .saying import ACME, ARTICLE, TOKENS, Face, Say

#: What the article's request names beside its documents: a user, a region, a second org.
REQUEST = {
    "resourceTypes": [{"id": "region", "name": "Region"}],
    "resources": [
        {
            "id": "user-01",
            "resourceTypeId": "user",
            "parentResourceId": "team-growth",
            "customerId": ACME,
            "properties": {"tier": "PREMIUM"},
        },
        {"id": "emea", "resourceTypeId": "region", "customerId": ACME},
        {
            "id": "engineering",
            "resourceTypeId": "org",
            "customerId": ACME,
            "properties": {"displayName": "Engineering"},
        },
    ],
    "allocations": [
        {"resourceId": "user-01", "creditCurrency": TOKENS, "customerId": ACME, "limit": 200},
        {"resourceId": "emea", "creditCurrency": TOKENS, "customerId": ACME, "limit": 1000},
        {"resourceId": "engineering", "creditCurrency": TOKENS, "customerId": ACME, "limit": 40000},
    ],
    "rates": [{"eventName": "email_enrichment", "creditCurrency": TOKENS, "credits": 5}],
}


@pytest.fixture
def clock() -> ManualClock:
    """Noon of 15 January 2026, until a test moves it."""
    return ManualClock(datetime(2026, 1, 15, 12, tzinfo=UTC))


@pytest.fixture
def ledger_path(tmp_path: Path) -> str:
    """Where the ledger's file is."""
    return str(tmp_path / "usage.db")


@pytest.fixture
def control(ledger_path: str, clock: ManualClock) -> Iterator[UsageControl]:
    """A control on an empty file ledger."""
    with UsageControl(ledger_path, clock=clock) as control:
        yield control


@pytest.fixture
def acme(control: UsageControl) -> UsageControl:
    """The control, with the article's model, and the user, region and org that its request names."""
    for document in ("resource-types", "resources", "allocations"):
        control.apply(ARTICLE / f"{document}.json")
    control.apply(REQUEST)
    return control


@pytest.fixture(params=["sync", "async"])
def face(request: pytest.FixtureRequest) -> Face:
    """Which of the two faces says it."""
    chosen: Face = request.param
    return chosen


@pytest.fixture
def say(face: Face, control: UsageControl) -> Say:
    """Says a public verb by name, in either face: each promise is written once and shown twice."""
    return Say(control, face)


@pytest.fixture
def ask() -> dict[str, Any]:
    """What the article's request names."""
    return {"resource_ids": ["user-01", "emea", "engineering"], "credit_currency": TOKENS}


@pytest.fixture
def impatient() -> Iterator[None]:
    """Threads take turns every few bytecodes, not every five milliseconds: races show."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)
