"""A stream is metered while it flows: it is cut where the limit is, and what was shown is what is booked.

Nobody knows before how long a stream gets. So a slice is set aside at first, and another each time that it is
used up. The reader who leaves early has used what he saw; the chunk that does not fit is neither shown nor
counted, and the model's own generator is closed, so that it does not go on writing for nobody.

Run it: python examples/stream_cut.py. It prints:

    ana reads all     once upon a time there were two whales  [the model's stream: ended]
    8 used, 0 held, 16 left
    ana leaves early  once upon a                             [the model's stream: closed]
    11 used, 0 held, 13 left
    ben reads all     once upon a time there were two whales  [the model's stream: ended]
    ana's is cut      once upon a time there                  [the model's stream: closed]
    papers has 0 of 24 ai-tokens left (19 used, 5 held); it was cut after 5
    24 used, 0 held, 0 left
    differences: []
"""

from collections.abc import Callable, Iterator

from stiggctl import BudgetExhausted, UsageControl

MODEL = {
    "resourceTypes": [{"id": "team"}, {"id": "user", "parentResourceTypeId": "team"}],
    "resources": [
        {"id": "papers", "resourceTypeId": "team", "customerId": "cust-nordwind"},
        {"id": "ana", "resourceTypeId": "user", "parentResourceId": "papers"},
        {"id": "ben", "resourceTypeId": "user", "parentResourceId": "papers"},
    ],
    "allocations": [{"resourceId": "papers", "creditCurrency": "ai-tokens", "limit": 24}],
}
SLICE = 4


def model(ended: list[str]) -> Iterator[str]:
    """Plays the model: a token at a time; how its stream ended stands in the list."""
    try:
        yield from ["once", "upon", "a", "time", "there", "were", "two", "whales"]
        ended.append("ended")
    except GeneratorExit:
        ended.append("closed")
        raise


def read(control: UsageControl, user: str, title: str, wants: Callable[[list[str]], bool]) -> None:
    """That user reads a stream as long as he wants; a token costs 1."""
    seen: list[str] = []
    ended: list[str] = []
    said = ""
    try:
        with control.guard(resource_ids=[user], credit_currency="ai-tokens", estimate=SLICE) as call:
            for token in call.stream(model(ended), amount=lambda _: 1):
                seen.append(token)
                if not wants(seen):
                    break
    except BudgetExhausted as exhausted:
        said = f"{exhausted.decision.binding}; it was cut after {exhausted.used['ai-tokens']}"
    print(f"{title:<16}  {' '.join(seen):<38}  [the model's stream: {', '.join(ended)}]")
    if said:
        print(said)


def tell(control: UsageControl) -> None:
    """The team's numbers."""
    team = control.tree("papers", "ai-tokens")
    print(f"{team.used} used, {team.held} held, {team.remaining} left")


def main() -> None:
    """Four streams into one limit."""
    with UsageControl(":memory:") as control:
        control.apply(MODEL)
        read(control, "ana", "ana reads all", lambda _: True)
        tell(control)
        read(control, "ana", "ana leaves early", lambda seen: len(seen) < 3)
        tell(control)
        read(control, "ben", "ben reads all", lambda _: True)
        read(control, "ana", "ana's is cut", lambda _: True)
        tell(control)
        print(f"differences: {control.verify()}")


if __name__ == "__main__":
    main()
