"""10,000 promotional credits until the end of March, paid ones after them, behind a limit of 50,000 a year.

A call must fit its limits and the pool: what is left of all grants that are open. Of these the one that ends
first burns first, and several may pay for one call. The clock is moved by hand, as in tests of your own.

Run it: python examples/credits.py. It prints:

    research has 50000 of 50000 ai-tokens left until 2027-01-01T00:00:00Z (0 used, 0 held)
    the pool of cust-nordwind has 30000 of 30000 ai-tokens left (0 used, 0 held)
     9,000 used, paid 9000 by launch
     1,000 used, paid 400 by launch and 600 by bought
    1 April
      bought  OPEN        600 used,   0 held, 19,400 left
      launch  EXPIRED   9,400 used, 600 held,      0 left
       450 used, paid 450 by launch
    20,000 denied, INSUFFICIENT_CREDITS:
      the pool of cust-nordwind has 19400 of 20000 ai-tokens left (600 used, 0 held);
      20000 were asked for; it would fit at 2026-05-01T00:00:00Z
     3,000 used, paid 2000 by monthly and 1000 by bought
    1 June, bought is voided
      monthly OPEN          0 used,   0 held,  2,000 left
      launch  EXPIRED   9,850 used,   0 held,      0 left
      bought  VOIDED    1,600 used,   0 held,      0 left
     2,500 denied, INSUFFICIENT_CREDITS:
      the pool of cust-nordwind has 2000 of 2000 ai-tokens left (0 used, 0 held);
      2500 were asked for
    every counter is the sum of its events: True
"""

from datetime import UTC, datetime

from stiggctl import AccessDenied, Receipt, UsageControl
from stiggctl.testing import ManualClock

TOKENS = "ai-tokens"
MODEL = {
    "resourceTypes": [{"id": "department"}],
    "resources": [{"id": "research", "resourceTypeId": "department", "customerId": "cust-nordwind"}],
    "allocations": [{"resourceId": "research", "creditCurrency": TOKENS, "limit": 50_000, "cadence": "year"}],
    "grants": [
        {
            "id": "launch",
            "creditCurrency": TOKENS,
            "amount": 10_000,
            "kind": "PROMOTIONAL",
            "expiresAt": "2026-04-01T00:00:00Z",
        },
        {"id": "bought", "creditCurrency": TOKENS, "amount": 20_000},
    ],
}


def main() -> None:
    """One department, its company's promotional credits and those that it paid for."""
    clock = ManualClock(datetime(2026, 3, 31, 23, 55, tzinfo=UTC))
    with UsageControl(":memory:", clock=clock) as control:
        control.apply(MODEL)

        def tell(amount: int, receipt: Receipt) -> None:
            paid = " and ".join(f"{units} by {grant_id}" for grant_id, units in receipt.paid_by.items())
            print(f"{amount:>6,} used, paid {paid}")

        def spend(amount: int) -> None:
            try:
                receipt = control.consume(resource_ids=["research"], credit_currency=TOKENS, amount=amount)
            except AccessDenied as denied:
                numbers, _, ask = str(denied).partition("; ")
                print(f"{amount:>6,} denied, {denied.decision.access_denied_reason}:\n  {numbers};\n  {ask}")
            else:
                tell(amount, receipt)

        def tell_grants(when: str) -> None:
            print(when)
            for one in control.grants():
                numbers = f"{one.used:>7,} used, {one.held:>3} held, {one.remaining:>6,} left"
                print(f"  {one.grant_id:<8}{one.status:<8}{numbers}")

        print(*control.check(resource_ids=["research"], credit_currency=TOKENS).limits, sep="\n")
        spend(9_000)
        call = control.reserve(resource_ids=["research"], credit_currency=TOKENS, amount=600)
        spend(1_000)
        clock.set(datetime(2026, 4, 1, tzinfo=UTC))
        tell_grants("1 April")
        tell(450, call.settle(450))  # by what it was reserved of; the other 150 are gone with the grant

        start = datetime(2026, 5, 1, tzinfo=UTC)
        control.grant_credits(
            grant_id="monthly", credit_currency=TOKENS, amount=2_000, cadence="month", effective_at=start
        )
        spend(20_000)
        clock.set(start)
        spend(3_000)
        control.void_grant("bought", actor="eve", reason="refunded")
        clock.set(datetime(2026, 6, 1, tzinfo=UTC))
        tell_grants("1 June, bought is voided")
        spend(2_500)
        print(f"every counter is the sum of its events: {control.verify() == []}")


if __name__ == "__main__":
    main()
