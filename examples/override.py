"""Bob is lifted to 500 a day until Friday, because support said so; it ends by itself.

An override changes a limit for a while, with who did it and why. Every decision that it had a part in says
so, and the audit keeps it. The clock is moved by hand, as in tests of your own.

Run it: python examples/override.py. It prints:

    Wednesday, 16:00   10 of 200 left today
    60 are refused     they would fit at Thu 00:00
    lifted            250 of 500 left today, lifted by eve: ticket 4711
    Thursday          500 of 500 left today, lifted by eve: ticket 4711
    one minute left   200 of 500 left today, lifted by eve: ticket 4711
    Friday            200 of 200 left today
    the audit: 14 Jan 16:00 eve: ticket 4711
    every counter is the sum of its events: True
"""

from datetime import UTC, datetime

from stiggctl import AccessDenied, UsageControl
from stiggctl.testing import ManualClock

TOKENS = "ai-tokens"
MODEL = {
    "resourceTypes": [{"id": "user"}],
    "resources": [{"id": "bob", "resourceTypeId": "user", "customerId": "cust-nordwind"}],
    "allocations": [{"resourceId": "bob", "creditCurrency": TOKENS, "limit": 200, "cadence": "day"}],
}


def main() -> None:
    """One user, one limit, lifted until Friday."""
    clock = ManualClock(datetime(2026, 1, 14, 16, tzinfo=UTC))
    with UsageControl(":memory:", clock=clock) as control:
        control.apply(MODEL)

        def tell(what: str) -> None:
            limit = control.check(resource_ids=["bob"], credit_currency=TOKENS).binding
            assert limit is not None  # bob has one
            by = f", lifted by {limit.overridden_by}" if limit.overridden_by else ""
            print(f"{what:<17}{limit.remaining:>4} of {limit.limit} left today{by}")

        def spend(amount: int) -> None:
            control.consume(resource_ids=["bob"], credit_currency=TOKENS, amount=amount)

        spend(190)
        tell("Wednesday, 16:00")
        try:
            spend(60)
        except AccessDenied as denied:
            print(f"60 are refused     they would fit at {denied.decision.retry_at:%a %H:%M}")

        control.override_limit(
            "bob", TOKENS, limit=500, until="2026-01-16T00:00:00Z", actor="eve", reason="ticket 4711"
        )
        spend(60)
        tell("lifted")
        clock.set(datetime(2026, 1, 15, 9, tzinfo=UTC))
        tell("Thursday")
        spend(300)
        clock.set(datetime(2026, 1, 15, 23, 59, tzinfo=UTC))
        tell("one minute left")
        clock.set(datetime(2026, 1, 16, tzinfo=UTC))
        tell("Friday")
        for line in control.audit():
            if line.verb == "override_limit":
                print(f"the audit: {line.at:%d %b %H:%M} {line.actor}: {line.reason}")
        print(f"every counter is the sum of its events: {control.verify() == []}")


if __name__ == "__main__":
    main()
