"""A small model instead of no answer: the best call that still fits the budget, found and held in one step.

A team has a daily budget in dollars and credits of its own, and prefers its large model. As the day goes on
fewer tokens of the large one fit, then only the small one does, and then nothing: each denial says by which
limit. Models and prices are of this example alone.

Run it: python examples/degrade_instead_of_refusing.py. It prints:

     1. large  with up to 1500 tokens, 0.0171 usd and 15 credits held
     2. large  with up to 1500 tokens, 0.0171 usd and 15 credits held
     3. large  with up to 1370 tokens, 0.0158 usd and 14 credits held
     4. small  with up to 1500 tokens, 0.00342 usd and 3 credits held
     5. small  with up to 1030 tokens, 0.00248 usd and 3 credits held
     6. refused
        large: team-search has 0.00026 of 0.038 usd left
        small: team-search has 0.00026 of 0.038 usd left
    credits left: 19; differences: []
"""

from datetime import UTC, datetime

from stiggctl import AccessDenied, Candidate, UsageControl
from stiggctl.testing import ManualClock

PER_MILLION = {
    "large": {"input": "1.75", "output": 10},
    "small": {"input": "0.35", "output": 2},
}
MODEL = {
    "resourceTypes": [{"id": "team"}],
    "resources": [{"id": "team-search", "resourceTypeId": "team", "customerId": "cust-nordwind"}],
    "creditCurrencies": [{"id": "usd", "decimals": 9}, {"id": "credits"}],
    "allocations": [
        {"resourceId": "team-search", "creditCurrency": "usd", "limit": "0.038", "cadence": "day"},
    ],
    "grants": [{"id": "welcome", "customerId": "cust-nordwind", "creditCurrency": "credits", "amount": 50}],
    "prices": [{"model": name, "perMillion": prices} for name, prices in PER_MILLION.items()],
    "rates": [  # what the customer is charged for what it costs
        {
            "eventName": "answer",
            "creditCurrency": "credits",
            "where": {"model": name},
            "terms": [{"dimension": "output_tokens", "credits": credits_, "per": 500}],
        }
        for name, credits_ in (("large", 5), ("small", 1))
    ],
}
#: Preferred first: with fewer than 400 tokens the large model is of no use, with 200 the small one still is.
CANDIDATES = [Candidate("large", 1_200, 1_500, 400), Candidate("small", 1_200, 1_500, 200)]


def provider(model: str, max_output_tokens: int) -> dict[str, object]:
    """An answer, as a provider's client has it; long ones are cut where they may not be longer."""
    usage = {"prompt_tokens": 1_200, "completion_tokens": min(900, max_output_tokens)}
    return {"object": "chat.completion", "model": model, "usage": usage}


def main() -> None:
    """Six questions against a budget for three."""
    clock = ManualClock(datetime(2026, 3, 2, 9, tzinfo=UTC))
    with UsageControl(":memory:", clock=clock) as control:
        control.apply(MODEL)
        for number in range(1, 7):
            try:
                with control.guard(resource_ids=["team-search"], event_name="answer", fit=CANDIDATES) as call:
                    fit = call.fit
                    assert fit is not None
                    assert fit.model is not None
                    print(
                        f"{number:>2}. {fit.model:<6} with up to {fit.max_output_tokens} tokens, "
                        f"{fit.amounts['usd']} usd and {fit.amounts['credits']} credits held"
                    )
                    call.observe(provider(fit.model, fit.max_output_tokens))
            except AccessDenied as denied:
                print(f"{number:>2}. refused")
                for refused in () if denied.fit is None else denied.fit.refused:
                    print(f"    {str(refused).partition(' until')[0]}")
        (left,) = [grant.remaining for grant in control.grants()]
        print(f"credits left: {left}; differences: {list(control.verify())}")


if __name__ == "__main__":
    main()
