"""A control with a team, its user and a limit of each."""

import pytest

from stiggctl import UsageControl


@pytest.fixture
def team(control: UsageControl) -> UsageControl:
    """team may spend 300, ann 200 of it a day, bob has no limit."""
    control.apply(
        {
            "resourceTypes": [{"id": "team"}, {"id": "user"}],
            "creditCurrencies": [{"id": "usd", "decimals": 2}],
            "resources": [
                {"id": "team", "resourceTypeId": "team", "customerId": "c"},
                {"id": "ann", "resourceTypeId": "user", "parentResourceId": "team"},
                {"id": "bob", "resourceTypeId": "user", "parentResourceId": "team"},
            ],
            "allocations": [
                {"resourceId": "team", "creditCurrency": "usd", "limit": 300, "thresholds": [50]},
                {"id": "a", "resourceId": "ann", "creditCurrency": "usd", "limit": "200.5", "cadence": "day"},
                {
                    "resourceId": "ann",
                    "creditCurrency": "usd",
                    "limit": 50,
                    "cadence": "day",
                    "rolling": True,
                    "scope": {"model": ["x", "y"]},
                },
            ],
        }
    )
    return control
