"""A month of usage that was priced too high: the difference is shown, then booked beside the events.

The contract that was agreed for January is signed in February, and put into the model with the day from
which it holds. What was booked stays; an adjustment of each event says the difference. Credits that paid
too much come back. Nothing is called here: responses are what a provider would answer.

Run it: python examples/rerate_a_month.py. It prints:

    booked     4 calls, 3.80 usd; 3.80 usd of credits used
    shown      from 2026-01-01T00:00:00Z until 2026-02-01T00:00:00Z: rated anew
               usd: charged 2.85, would be 1.14 (-1.71; 3 events)
                 'gpt-5': charged 2.85, would be 1.14 (-1.71; 3 events)
               nothing was booked
    by half    1.425
    adjusted   3 events; again 0
               0.95 -0.57 by contract any/gpt-5* from 2026-01-01T00:00:00Z (price 2)
               0.95 -0.57 by contract any/gpt-5* from 2026-01-01T00:00:00Z (price 2)
               0.95 -0.57 by contract any/gpt-5* from 2026-01-01T00:00:00Z (price 2)
    now        2.09 usd; 2.09 usd of credits used
    refunded   1.71 usd; differences: []
"""

from datetime import UTC, datetime
from typing import Any

from stiggctl import UsageControl
from stiggctl.testing import ManualClock

MODEL = {
    "creditCurrencies": [{"id": "usd", "decimals": 9}],
    "resourceTypes": [{"id": "user"}],
    "resources": [{"id": "ana", "resourceTypeId": "user", "customerId": "cust-nordwind"}],
    "allocations": [{"resourceId": "ana", "creditCurrency": "usd", "limit": 20, "cadence": "month"}],
    "grants": [{"id": "welcome", "customerId": "cust-nordwind", "creditCurrency": "usd", "amount": 10}],
    "prices": [{"model": "gpt-5*", "perMillion": {"input": "1.25", "output": 10}}],
}
ANSWER = {
    "object": "chat.completion",
    "model": "gpt-5",
    "usage": {"prompt_tokens": 360_000, "completion_tokens": 50_000, "total_tokens": 410_000},
}
JANUARY: dict[str, Any] = {"since": "2026-01-01T00:00:00Z", "until": "2026-02-01T00:00:00Z"}
AGREED: dict[str, int | str] = {"input": "0.50", "output": 4}


def used(control: UsageControl) -> str:
    """What all events come to, and what credits paid of that."""
    total = sum(event.amounts["usd"] for event in control.events())
    [grant] = control.grants()
    return f"{total:.2f} usd; {grant.used:.2f} usd of credits used"


def main() -> None:
    """Three calls in January and one in February, and a contract for January."""
    clock = ManualClock(datetime(2026, 1, 15, 12, tzinfo=UTC))
    with UsageControl(":memory:", clock=clock) as control:
        control.apply(MODEL)
        for month, day in ((1, 15), (1, 20), (1, 25), (2, 9)):
            clock.set(datetime(2026, month, day, 12, tzinfo=UTC))
            with control.guard(resource_ids=["ana"], credit_currency="usd", estimate=1) as call:
                call.observe(ANSWER)
        print(f"{'booked':<10} {len(list(control.events()))} calls, {used(control)}")

        control.set_price(
            model="gpt-5*",
            effective_at=JANUARY["since"],
            expires_at=JANUARY["until"],
            per_million=AGREED,
            actor="maria",
            reason="signed on 9 February",
        )
        shown = str(control.rerate(**JANUARY)).splitlines()
        for name, line in zip(("shown", "", "", ""), shown, strict=True):
            print(f"{name:<10} {line}")
        half = [{"model": "gpt-5*", "perMillion": {"input": "0.625", "output": 5}}]
        print(f"{'by half':<10} {control.rerate(**JANUARY, prices=half).totals[0].would_be}")

        book: dict[str, Any] = {**JANUARY, "book": True, "reason": "the contract", "actor": "maria"}
        booked = control.rerate(**book)
        print(f"{'adjusted':<10} {booked.adjustments} events; again {control.rerate(**book).adjustments}")
        for row in booked.rows:
            print(f"{'':<10} {row.charged} {row.difference} by {row.new_price_version}")
        print(f"{'now':<10} {used(control)}")

        first = next(iter(control.events()))
        control.reverse(first.event_id, reason="refund")  # and its adjustment with it
        total = sum(event.amounts["usd"] for event in control.events())
        print(f"{'refunded':<10} {total} usd; differences: {list(control.verify())}")


if __name__ == "__main__":
    main()
