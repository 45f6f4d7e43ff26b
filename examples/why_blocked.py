"""Support is asked why a call was blocked, when the same one went through in the morning.

It is asked a month later. The denial was kept with its numbers; it is laid beside the morning's event.

Run it: python examples/why_blocked.py. It prints:

    16 September, 15:00, consume for noor
      growth has 600 of 19500 tokens left until 2026-09-17T00:00:00Z (18900 used, 0 held)
      noor has 4200 of 5000 tokens left until 2026-09-17T00:00:00Z (800 used, 0 held)
    it would have passed
      with at most 600
      from 2026-09-17T00:00:00Z on, with nothing more spent
      with 200 more on growth
    who had spent it
      iris    17,100, calls: 5
      tom      1,000, calls: 1
      noor       800, calls: 1
      the last: chat at 11:40, 1,000
    and the call that went through?
      at: 2026-09-16T15:00:00Z and 2026-09-16T09:00:00Z
      limit of growth in tokens (P1D), used: 18900 and 0
      limit of noor in tokens (P1D), used: 800 and 0
      changed between: allocation of tokens on growth (P1D), set_allocation at 2026-09-16T11:40:00Z by kim
"""

from datetime import UTC, datetime

from stiggctl import AccessDenied, DenialExplained, Receipt, UsageControl
from stiggctl.testing import ManualClock

MODEL = {
    "resourceTypes": [{"id": "team"}, {"id": "user", "parentResourceTypeId": "team"}],
    "resources": [
        {"id": "growth", "resourceTypeId": "team", "customerId": "cust-nordwind"},
        *(
            {"id": user, "resourceTypeId": "user", "parentResourceId": "growth"}
            for user in ("iris", "noor", "tom")
        ),
    ],
    "allocations": [
        {"resourceId": "growth", "creditCurrency": "tokens", "limit": 20_000, "cadence": "day"},
        {"resourceId": "noor", "creditCurrency": "tokens", "limit": 5_000, "cadence": "day"},
    ],
}


def ask(control: UsageControl) -> Receipt:
    """The call that noor makes, each time."""
    return control.consume(resource_ids=["noor"], credit_currency="tokens", amount=800, event_name="chat")


def day(control: UsageControl, clock: ManualClock) -> tuple[str, str]:
    """What took place on 16 September; the ids of noor's denial and of the call that went through."""
    clock.set(datetime(2026, 9, 16, 9, tzinfo=UTC))
    went = ask(control)
    for _ in range(5):
        clock.advance(seconds=1_800)
        control.consume(
            resource_ids=["iris"],
            credit_currency="tokens",
            amount=3_420,
            event_name="digest",
            dimensions={"model": "large"},
        )
    clock.advance(seconds=600)
    control.consume(resource_ids=["tom"], credit_currency="tokens", amount=1_000, event_name="chat")
    control.set_allocation(
        resource_id="growth",
        credit_currency="tokens",
        cadence="day",
        limit=19_500,
        actor="kim",
    )
    clock.set(datetime(2026, 9, 16, 15, tzinfo=UTC))
    try:
        ask(control)
    except AccessDenied as denied:
        return denied.decision.decision_id, went.event_id
    raise AssertionError("it went through")


def main() -> None:
    """The day, and the questions a month later."""
    clock = ManualClock(datetime(2026, 9, 16, tzinfo=UTC))
    with UsageControl(":memory:", clock=clock) as control:
        control.apply(MODEL)
        denied, went = day(control, clock)
        clock.set(datetime(2026, 10, 16, 10, tzinfo=UTC))  # somebody asks
        [denial] = control.denials(resource_id="noor", since="2026-09-01T00:00:00Z")
        assert denial.decision_id == denied
        found = control.explain(denied, went)
        assert isinstance(found, DenialExplained)
        print(f"{found.decision.at:%-d %B, %H:%M}, {denial.verb} for {', '.join(denial.resource_ids)}")
        for limit in found.decision.limits:
            print(f"  {limit}")
        print("it would have passed")
        for way in found.would_pass:
            print(f"  {way}")
        print("who had spent it")
        for one in found.filled_by:
            print(f"  {', '.join(one.resource_ids):<6}{one.amount:>8,}, calls: {one.events}")
        last = found.last_events[0]
        print(f"  the last: {last.event_name} at {last.occurred_at:%H:%M}, {last.amounts['tokens']:,}")
        print("and the call that went through?")
        for difference in found.difference or ():
            print(f"  {difference}")


if __name__ == "__main__":
    main()
