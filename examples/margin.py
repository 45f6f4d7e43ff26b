"""What the customer is charged and what the provider charges, side by side: which feature loses money?

Each call books two currencies of one event: tokens, which the customer pays for, and dollars, which the
provider asks for. Days are those of Amsterdam. A refund takes both back, at the instant of the call.

Run it: python examples/margin.py. It prints:

    by feature
      summarize   3 events   60 tokens  cost 1.3425  margin -0.7425  a loss
      translate   3 events   60 tokens  cost 0.226   margin 0.374
      chat        2 events   10 tokens  cost 0.019   margin 0.081
    by model
      large       4 events   80 tokens  cost 1.5125  margin -0.7125  a loss
      small       4 events   50 tokens  cost 0.075   margin 0.425
    by day
      2 March     4 events   65 tokens  cost 0.24    margin 0.41
      3 March     4 events   65 tokens  cost 1.3475  margin -0.6975  a loss
    after a refund
      translate   3 events   60 tokens  cost 0.226   margin 0.374
      summarize   4 events   40 tokens  cost 0.0925  margin 0.3075
      chat        2 events   10 tokens  cost 0.019   margin 0.081
      all         9 events  110 tokens  cost 0.3375  margin 0.7625
"""

from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from stiggctl import UsageControl, UsageRow
from stiggctl.testing import ManualClock

ZONE = "Europe/Amsterdam"
WORTH = {"ai-tokens": "0.01"}  # what the customer pays for one
MODEL = {
    "creditCurrencies": [{"id": "ai-tokens"}, {"id": "usd", "decimals": 9}],
    "resourceTypes": [{"id": "user"}],
    "resources": [{"id": "ana", "resourceTypeId": "user", "customerId": "cust-nordwind"}],
    "allocations": [{"resourceId": "ana", "creditCurrency": "ai-tokens", "limit": 500}],
}
#: When (UTC), feature, model, tokens, dollars.
CALLS = [
    ("2026-03-02T09:00", "chat", "small", 5, "0.01"),
    ("2026-03-02T11:00", "summarize", "small", 20, "0.03"),
    ("2026-03-02T14:00", "translate", "large", 20, "0.105"),
    ("2026-03-02T16:00", "translate", "large", 20, "0.095"),
    ("2026-03-02T23:30", "summarize", "large", 20, "1.25"),  # half an hour into 3 March, in Amsterdam
    ("2026-03-03T08:00", "chat", "small", 5, "0.009"),
    ("2026-03-03T09:30", "summarize", "large", 20, "0.0625"),
    ("2026-03-03T10:00", "translate", "small", 20, "0.026"),
]


def tell(label: str | None, row: UsageRow) -> None:
    """One row, and what it leaves us."""
    margin = row.margin(WORTH)
    numbers = f"{row.events:>2} events {row.amounts['ai-tokens']:>4} tokens  cost {row.amounts['usd']:<7}"
    print(f"  {label or 'all':<11}{numbers} margin {margin:<8}{' a loss' if margin < 0 else ''}".rstrip())


def main() -> None:
    """Two days of calls, and what they left."""
    clock = ManualClock(datetime(2026, 3, 2, tzinfo=UTC))
    with UsageControl(":memory:", clock=clock) as control:
        control.apply(MODEL)
        dearest, most = "", Decimal(0)
        for when, feature, model, tokens, dollars in CALLS:
            clock.set(datetime.fromisoformat(f"{when}Z"))
            with control.guard(
                resource_ids=["ana"],
                estimate={"ai-tokens": tokens, "usd": "0.10"},
                dimensions={"feature": feature, "model": model},
            ) as call:
                call.used({"ai-tokens": tokens, "usd": dollars})
            if call.receipt is not None and Decimal(dollars) > most:
                dearest, most = call.receipt.event_id, Decimal(dollars)

        for group_by in ("feature", "model"):
            print(f"by {group_by}")
            for row in control.usage(group_by=group_by):
                tell(row.key, row)
        print("by day")
        for row in control.usage(bucket="day", timezone=ZONE):
            assert row.bucket_start is not None
            tell(f"{row.bucket_start.astimezone(ZoneInfo(ZONE)):%-d %B}", row)
        control.reverse(dearest, reason="the summary was of the wrong book")
        print("after a refund")
        for row in control.usage(group_by="feature"):
            tell(row.key, row)
        [total] = control.usage()
        tell(total.key, total)


if __name__ == "__main__":
    main()
