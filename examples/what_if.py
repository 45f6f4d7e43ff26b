"""What if every user had had a daily limit last month? The month is replayed under the changed model.

Here: a month of two teams, made up; the present model with one allocation more; who would have been denied,
when, and by which limit. Not here: what will be (control.forecast).

Run it: python examples/what_if.py. It prints:

    with 100,000 tokens a user and day, of 1,595 calls 160 denied:
      growth-2  160 times, 437,583 tokens, first 09 Jan 03:18
    with 40,000 tokens a user and day, of 1,595 calls 185 denied:
      growth-2  185 times, 497,440 tokens, first 09 Jan 01:10
"""

import random
from datetime import UTC, datetime, timedelta
from typing import Any

from stiggctl import UsageControl
from stiggctl.testing import ManualClock

START = datetime(2026, 1, 1, tzinfo=UTC)
MODEL: dict[str, Any] = {
    "creditCurrencies": [{"id": "ai-tokens"}],
    "resourceTypes": [{"id": "team"}, {"id": "user", "parentResourceTypeId": "team"}],
    "resources": [
        {"id": "growth", "resourceTypeId": "team", "customerId": "acme"},
        {"id": "support", "resourceTypeId": "team", "customerId": "acme"},
        *({"id": f"growth-{n}", "resourceTypeId": "user", "parentResourceId": "growth"} for n in range(4)),
        *({"id": f"support-{n}", "resourceTypeId": "user", "parentResourceId": "support"} for n in range(4)),
    ],
    "allocations": [
        {"resourceId": team, "creditCurrency": "ai-tokens", "limit": 3_000_000, "cadence": "month"}
        for team in ("growth", "support")
    ],
}


def a_month(control: UsageControl) -> None:
    """Some calls a day each; one of them runs away on the ninth."""
    chance = random.Random(7)
    events = []
    for day in range(31):
        for user in (f"{team}-{n}" for team in ("growth", "support") for n in range(4)):
            calls = 200 if (user, day) == ("growth-2", 8) else chance.randrange(12)
            for _ in range(calls):
                at = START + timedelta(days=day, seconds=chance.randrange(86_400))
                events.append((at, user, chance.randrange(500, 5_000)))
    control.report_many(
        [
            {
                "customerId": "acme",
                "eventName": "chat",
                "resourceIds": [user],
                "creditCurrency": "ai-tokens",
                "amount": tokens,
                "timestamp": at,
            }
            for at, user, tokens in sorted(events)
        ]
    )


def main() -> None:
    """Replay January under the model of now, and under one with a limit more."""
    with UsageControl(":memory:", clock=ManualClock(START + timedelta(days=31))) as control:
        control.apply(MODEL)
        a_month(control)
        present = control.export_model().model_dump(by_alias=True)
        limit = {
            "resourceTypeId": "user",
            "creditCurrency": "ai-tokens",
            "cadence": "day",
            "customerId": "acme",
        }
        for tokens in (100_000, 40_000):
            changed = {**present, "allocations": [*present["allocations"], {**limit, "limit": tokens}]}
            found = control.simulate(changed)
            print(f"with {tokens:,} tokens a user and day, of {found.events:,} calls {found.denied} denied:")
            for one in found.denials:
                spared = f"{one.amounts['ai-tokens']:,} tokens"
                print(
                    f"  {one.resource_ids[0]}  {one.times} times, {spared}, first {one.first_at:%d %b %H:%M}"
                )


if __name__ == "__main__":
    main()
