"""A guard around a call to a model: an estimate is set aside before it, what it cost is booked after it.

A plain function plays the model. Each way in which the block can end is here: it says what the call cost, it
says nothing and the estimate stands for it, the model refuses and costs nothing, the code fails after the
model was paid, the estimate does not fit and the model is never asked. Nothing stays held after any of
them, and what was told is booked once.

Run it: python examples/guarded_call.py. It prints:

    said          an answer to 'hello'; 0.012 is booked
    said nothing  an answer to 'hello'; 0.02 is booked
    refused       ValueError: too long; nothing is booked
    failed after  JSONDecodeError: Expecting value: line 1 column 1 (char 0); 0.012 is booked
    denied        ana has 0.016 of 0.06 usd left (0.044 used, 0 held); 0.02 were asked for
    the model was asked 4 times; ana: 0.044 used, 0 held; differences: []
"""

import json

from stiggctl import AccessDenied, UsageControl

MODEL = {
    "resourceTypes": [{"id": "user"}, {"id": "feature"}],
    "resources": [
        {"id": "ana", "resourceTypeId": "user", "customerId": "cust-nordwind"},
        {"id": "chat", "resourceTypeId": "feature", "customerId": "cust-nordwind"},
    ],
    "creditCurrencies": [{"id": "usd", "decimals": 9}],
    "allocations": [
        {"resourceId": "ana", "creditCurrency": "usd", "limit": "0.06"},
        {"resourceId": "chat", "creditCurrency": "usd", "limit": "25"},
    ],
}
COST = "0.012"  # prices are text or Decimal, never float
asked: list[str] = []


def model(prompt: str) -> str:
    """Plays the model: it refuses long prompts, and whatever it answers has cost COST."""
    asked.append(prompt)
    if len(prompt) > 100:
        raise ValueError("too long")
    return f"an answer to {prompt!r}"


def call(control: UsageControl, what: str, prompt: str = "hello") -> None:
    """One guarded call, and what was booked for it."""
    said = ""
    guard = control.guard(
        resource_ids=["ana", "chat"], credit_currency="usd", estimate="0.020", event_name="chat"
    )
    before = len(list(control.events()))
    try:
        with guard as call:
            said = model(prompt)
            if what != "said nothing":
                call.used(COST)
            if what == "failed after":
                json.loads(said)
    except AccessDenied as denied:  # before the block was entered
        print(f"{what:<12}  {denied.decision}")
        return
    except ValueError as error:  # it goes on as it was
        said = f"{type(error).__name__}: {error}"
    booked = [f"{event.amounts['usd']}" for event in control.events()][before:]
    print(f"{what:<12}  {said}; {' and '.join(booked) or 'nothing'} is booked")


def main() -> None:
    """One user, five calls."""
    with UsageControl(":memory:") as control:
        control.apply(MODEL)
        call(control, "said")
        call(control, "said nothing")
        call(control, "refused", prompt="hello " * 50)
        call(control, "failed after")
        call(control, "denied")
        limit = control.check(resource_ids=["ana"], credit_currency="usd").binding
        if limit is not None:
            print(
                f"the model was asked {len(asked)} times; ana: {limit.used} used, {limit.held} held; "
                f"differences: {control.verify()}"
            )


if __name__ == "__main__":
    main()
