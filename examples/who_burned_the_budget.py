"""Support is asked: "who burned our budget?" A made-up month of a company, and the answers.

In September somebody's nightly job began to send whole documents to the large model. Every number is a
sum of booked events, the same that decisions see.

Run it: python examples/who_burned_the_budget.py. It prints:

    September: 85,800 of 100,000 ai-tokens, 14 % left
    by user
      iris            61,600   71 %  #################
      noor            10,560   12 %  ###
      tom              7,040    8 %  ##
      ada              6,600    7 %  #
    what iris used it for
      nightly-digest  52,800  large
      chat             8,800  small
    by week, iris
      31 August        1,600
      7 September      2,000
      14 September    19,600
      21 September    26,640
      28 September    11,760
    since 16 September at 02:00: nightly-digest, 3,520 each night
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from stiggctl import UsageControl, UsageRow
from stiggctl.testing import ManualClock

SEPTEMBER = {"since": "2026-09-01T00:00:00Z", "until": "2026-10-01T00:00:00Z"}
MODEL = {
    "resourceTypes": [{"id": "org"}, {"id": "user", "parentResourceTypeId": "org"}],
    "resources": [
        {"id": "nordwind", "resourceTypeId": "org", "customerId": "cust-nordwind"},
        *(
            {"id": user, "resourceTypeId": "user", "parentResourceId": "nordwind"}
            for user in ("ada", "iris", "noor", "tom")
        ),
    ],
    "allocations": [
        {"resourceId": "nordwind", "creditCurrency": "ai-tokens", "limit": 100_000, "cadence": "month"}
    ],
}
#: Who chats how much on a working day.
DAILY = {"ada": 300, "iris": 400, "noor": 480, "tom": 320}


def month(control: UsageControl) -> None:
    """What took place: people on working days, and from the 16th on the job, each night."""
    day = datetime(2026, 9, 1, 9, tzinfo=UTC)
    while day.month == 9:
        if day.weekday() < 5:
            for user, tokens in DAILY.items():
                report(control, user, "chat", "small", tokens, day)
        if day.day >= 16:
            report(control, "iris", "nightly-digest", "large", 3_520, day.replace(hour=2))
        day += timedelta(days=1)


def report(control: UsageControl, user: str, event: str, model: str, tokens: int, at: datetime) -> None:
    """One booked use."""
    control.report(
        customer_id="cust-nordwind",
        resource_ids=[user],
        event_name=event,
        dimensions={"model": model},
        credit_currency="ai-tokens",
        amount=tokens,
        timestamp=at,
    )


def shares(rows: Sequence[UsageRow], total: int) -> None:
    """Each with its part of the whole."""
    for row in rows:
        part = int(row.amount or 0) * 100 // total
        print(f"  {row.key:<14}{row.amount:>8,}  {part:>3} %  {'#' * (part // 4)}")


def main() -> None:
    """The month, and what support asks."""
    clock = ManualClock(datetime(2026, 9, 30, 18, tzinfo=UTC))
    with UsageControl(":memory:", clock=clock) as control:
        control.apply(MODEL)
        month(control)
        node = control.tree("nordwind", "ai-tokens")
        assert node.limit is not None
        assert node.remaining is not None
        left = node.remaining * 100 // node.limit
        print(f"September: {node.used:,} of {node.limit:,} ai-tokens, {left} % left")
        print("by user")
        users = control.usage(group_by="resource", resource_type_id="user", **SEPTEMBER)
        shares(users, int(node.used))
        most = f"{users[0].key}"
        print(f"what {most} used it for")
        for row in control.usage(group_by="event", resource_id=most, **SEPTEMBER):
            [with_model, *_] = control.usage(
                group_by="model", resource_id=most, event_name=row.key, **SEPTEMBER
            )
            print(f"  {row.key:<14}{row.amount:>8,}  {with_model.key}")
        print(f"by week, {most}")
        for row in control.usage(bucket="week", resource_id=most, **SEPTEMBER):
            assert row.bucket_start is not None
            print(f"  {row.bucket_start:%-d %B}".ljust(16) + f"{row.amount:>8,}")
        first = next(iter(control.events(resource_id=most, event_name="nightly-digest")))
        nightly = first.amounts["ai-tokens"]
        print(f"since {first.occurred_at:%-d %B at %H:%M}: nightly-digest, {nightly:,} each night")


if __name__ == "__main__":
    main()
