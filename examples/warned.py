"""A team hears at 50, 80 and 100 % of its day, before anybody is denied; and of credits that will be gone.

Each crossing is recorded in the ledger with the event that crosses it, once a day, however many processes
spend. Here the hook for the last one lifts the limit for the rest of the day, and says why.

Run it: python examples/warned.py. It prints:

    09:00  growth has used 100 of 200 ai-tokens (P1D): 50 % is crossed
    11:00  growth has used 170 of 200 ai-tokens (P1D): 80 % is crossed
    13:00  growth has used 200 of 200 ai-tokens (P1D): 100 % is crossed
    14:00  a call of 40 is admitted: 20 of 260 left, lifted by on-call: all of it was used by 13:00
    the next day
    09:00  growth has used 110 of 200 ai-tokens (P1D): 50 % is crossed
    09:00  grant welcome of cust-nordwind expires at 2026-01-22T00:00:00Z, with 1650 of 2000 ai-tokens left
    recorded: 15 Jan 50 %, 15 Jan 80 %, 15 Jan 100 %, 16 Jan 50 %
"""

from datetime import UTC, datetime

from stiggctl import GrantExpiring, ThresholdCrossed, UsageControl
from stiggctl.testing import ManualClock

TOKENS = "ai-tokens"
MODEL = {
    "resourceTypes": [{"id": "team"}],
    "resources": [{"id": "growth", "resourceTypeId": "team", "customerId": "cust-nordwind"}],
    "allocations": [
        {
            "resourceId": "growth",
            "creditCurrency": TOKENS,
            "limit": 200,
            "cadence": "day",
            "thresholds": [50, 80, 100],
        }
    ],
    "grants": [
        {
            "id": "welcome",
            "customerId": "cust-nordwind",
            "creditCurrency": TOKENS,
            "amount": 2_000,
            "expiresAt": "2026-01-22T00:00:00Z",
        }
    ],
}


def main() -> None:
    """Two days of one team."""
    clock = ManualClock(datetime(2026, 1, 15, 9, tzinfo=UTC))
    with UsageControl(":memory:", clock=clock) as control:
        control.apply(MODEL)

        def warn(crossed: ThresholdCrossed) -> None:
            print(f"{crossed.at:%H:%M}  {crossed}")
            if crossed.threshold == 100:
                control.override_limit(
                    "growth",
                    TOKENS,
                    add=60,
                    until="2026-01-16T00:00:00Z",
                    actor="on-call",
                    reason=f"all of it was used by {crossed.at:%H:%M}",
                )

        control.subscribe(warn)

        def spend(day: int, hour: int, amount: int) -> None:
            clock.set(datetime(2026, 1, day, hour, tzinfo=UTC))
            control.consume(resource_ids=["growth"], credit_currency=TOKENS, amount=amount)

        for hour, amount in ((9, 100), (11, 70), (13, 30), (14, 40)):
            spend(15, hour, amount)
        limit = control.tree("growth", TOKENS).limits[0]
        left = f"{limit.remaining} of {limit.limit} left, lifted by {limit.overridden_by}"
        print(f"14:00  a call of 40 is admitted: {left}")

        print("the next day")
        spend(16, 9, 110)
        control.subscribe(lambda expiring: print(f"{expiring.at:%H:%M}  {expiring}"), kinds=GrantExpiring)
        recorded = [f"{one.at:%d %b} {one.threshold} %" for one in control.crossings()]
        print("recorded:", ", ".join(recorded))


if __name__ == "__main__":
    main()
