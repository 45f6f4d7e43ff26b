"""What was set aside and what was used are two numbers: less, more, and late.

A call sets credits aside before it knows what it costs. Then it settles: for less, and the rest is free at
once; for more, and all of it is booked, for it was used; or late, after its time was over and others could
have had the credits: then it is still booked, and the receipt says that it had expired. What was used
beyond a limit is never refused and never hidden: it is overage.

The clock is moved by hand, as in tests of your own. Run it: python examples/settled_for_less_more_late.py.
It prints:

    at first          ana has 200 of 200 ai-tokens left (0 used, 0 held)
    75 set aside      ana has 125 of 200 ai-tokens left (0 used, 75 held)
    settled for 61    ana has 139 of 200 ai-tokens left (61 used, 0 held)
    30 set aside      ana has 109 of 200 ai-tokens left (61 used, 30 held)
    settled for 44    ana has 95 of 200 ai-tokens left (105 used, 0 held)
    90 for a minute   ana has 5 of 200 ai-tokens left (105 used, 90 held)
    20 are refused    they would fit at 12:01:00
    a minute later    ana has 95 of 200 ai-tokens left (105 used, 0 held)
    20 are used       ana has 75 of 200 ai-tokens left (125 used, 0 held)
    settled for 90    ana has 0 of 200 ai-tokens left (215 used, 0 held)
    its receipt       event 4: 90 ai-tokens, 15 over a limit; expired: True
    settled again     the same receipt: True
    every counter is the sum of its events: True
"""

from datetime import UTC, datetime

from stiggctl import AccessDenied, Reservation, UsageControl
from stiggctl.testing import ManualClock

MODEL = {
    "resourceTypes": [{"id": "user"}],
    "resources": [{"id": "ana", "resourceTypeId": "user", "customerId": "cust-nordwind"}],
    "allocations": [{"resourceId": "ana", "creditCurrency": "ai-tokens", "limit": 200}],
}


def main() -> None:
    """One user, one limit, three ways to settle."""
    clock = ManualClock(datetime(2026, 1, 15, 12, tzinfo=UTC))
    with UsageControl(":memory:", clock=clock) as control:
        control.apply(MODEL)

        def tell(what: str, sentence: object = None) -> None:
            limit = control.check(resource_ids=["ana"], credit_currency="ai-tokens").binding
            print(f"{what:<16}  {limit if sentence is None else sentence}")

        def reserve(amount: int, ttl_seconds: int = 600) -> Reservation:
            return control.reserve(
                resource_ids=["ana"], credit_currency="ai-tokens", amount=amount, ttl_seconds=ttl_seconds
            )

        tell("at first")
        call = reserve(75)
        tell("75 set aside")
        call.settle(61)
        tell("settled for 61")

        call = reserve(30)
        tell("30 set aside")
        call.settle(44)
        tell("settled for 44")

        call = reserve(90, ttl_seconds=60)
        tell("90 for a minute")
        try:
            reserve(20)
        except AccessDenied as denied:
            tell("20 are refused", f"they would fit at {denied.decision.retry_at:%H:%M:%S}")
        clock.advance(seconds=60)
        tell("a minute later")
        reserve(20).settle()
        tell("20 are used")

        receipt = call.settle(90)
        tell("settled for 90")
        tell("its receipt", f"{receipt}; expired: {receipt.expired}")
        tell("settled again", f"the same receipt: {call.settle(90) is receipt}")
        print(f"every counter is the sum of its events: {control.verify() == []}")


if __name__ == "__main__":
    main()
