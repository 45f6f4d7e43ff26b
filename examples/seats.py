"""Each seat its own limit a day, by a template; a dear model its own a month, by a scope.

Nobody writes a limit for ana or for ben: whoever is a user of that tier is under its template, from the
moment that he is there or changes. A window turns by itself, here at Amsterdam's midnight, in the night in
which its clocks go forward: that day has 23 hours.

Run it: python examples/seats.py. It prints:

    ana's seat             200 of 200 left until 28 Mar 23:00 UTC
      1 refused by standard-seat, until 28 Mar 23:00 UTC
    Amsterdam's midnight   200 of 200 left until 29 Mar 22:00 UTC
    ben comes, premium    1000 of 1000 left until 29 Mar 22:00 UTC
    gpt-5 of the team       50 of 500 left until 01 Apr 00:00 UTC
      60 refused by gpt-5-of-growth, until 01 Apr 00:00 UTC
    ana's seat             140 of 200 left until 29 Mar 22:00 UTC
    ana gets premium       940 of 1000 left until 29 Mar 22:00 UTC
    every counter is the sum of its events: True
"""

from datetime import UTC, datetime

from stiggctl import AccessDenied, UsageControl
from stiggctl.testing import ManualClock

TOKENS = "ai-tokens"
MODEL = {
    "resourceTypes": [
        {"id": "team"},
        {
            "id": "user",
            "parentResourceTypeId": "team",
            "properties": {"tier": {"type": "ENUM", "values": ["STANDARD", "PREMIUM"]}},
        },
    ],
    "resources": [
        {"id": "growth", "resourceTypeId": "team", "customerId": "cust-nordwind"},
        {
            "id": "ana",
            "resourceTypeId": "user",
            "parentResourceId": "growth",
            "properties": {"tier": "STANDARD"},
        },
    ],
    "allocations": [
        {
            "id": "standard-seat",
            "resourceTypeId": "user",
            "where": {"tier": "STANDARD"},
            "creditCurrency": TOKENS,
            "limit": 200,
            "cadence": "day",
            "timezone": "Europe/Amsterdam",
        },
        {
            "id": "premium-seat",
            "resourceTypeId": "user",
            "where": {"tier": "PREMIUM"},
            "creditCurrency": TOKENS,
            "limit": 1_000,
            "cadence": "day",
            "timezone": "Europe/Amsterdam",
        },
        {
            "id": "gpt-5-of-growth",
            "resourceId": "growth",
            "creditCurrency": TOKENS,
            "limit": 500,
            "cadence": "month",
            "scope": {"model": "gpt-5"},
        },
    ],
}


def main() -> None:
    """One team, its seats by the day, its dear model by the month."""
    clock = ManualClock(datetime(2026, 3, 28, 22, tzinfo=UTC))
    with UsageControl(":memory:", clock=clock) as control:
        control.apply(MODEL)

        def tell(what: str, user: str, model: str) -> None:
            limit = control.check(
                resource_ids=[user], credit_currency=TOKENS, dimensions={"model": model}
            ).binding
            assert limit is not None  # each seat has one
            left = f"{limit.remaining:>4} of {limit.limit}"
            print(f"{what:<22}{left} left until {limit.window_end:%d %b %H:%M} UTC")

        def spend(user: str, amount: int, model: str) -> None:
            try:
                control.consume(
                    resource_ids=[user], credit_currency=TOKENS, amount=amount, dimensions={"model": model}
                )
            except AccessDenied as denied:
                binding = denied.decision.binding
                assert binding is not None  # some limit denies
                until = f"{denied.decision.retry_at:%d %b %H:%M} UTC"
                print(f"  {amount} refused by {binding.allocation_id}, until {until}")

        tell("ana's seat", "ana", "small")
        spend("ana", 200, "small")
        spend("ana", 1, "small")
        clock.set(datetime(2026, 3, 28, 23, tzinfo=UTC))
        tell("Amsterdam's midnight", "ana", "small")

        control.put_resource(
            "ben", resource_type_id="user", parent_resource_id="growth", properties={"tier": "PREMIUM"}
        )
        tell("ben comes, premium", "ben", "small")
        spend("ben", 450, "gpt-5")
        tell("gpt-5 of the team", "ana", "gpt-5")
        spend("ana", 60, "gpt-5")
        spend("ana", 60, "small")
        tell("ana's seat", "ana", "small")

        control.put_resource(
            "ana", resource_type_id="user", parent_resource_id="growth", properties={"tier": "PREMIUM"}
        )
        tell("ana gets premium", "ana", "small")
        print(f"every counter is the sum of its events: {control.verify() == []}")


if __name__ == "__main__":
    main()
