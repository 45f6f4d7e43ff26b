"""One decorator on a function that asks a model; the code that calls it does not change.

What is set aside comes from the arguments: the prompt's words and the longest answer that is wanted. What is
booked comes from the result. Who asks comes from a `bound` around the request, as a middleware would have
it, so the function need not know. With a key, what is sent twice is charged once. Where it does not fit,
the function is not called.

Run it: python examples/metered_function.py. It prints:

    ana: 'two whales, slowly', 8 tokens
    ben: 'two whales, slowly', 8 tokens
    ben: 'two whales, slowly', 8 tokens
    ben: ben has 22 of 30 ai-tokens left (8 used, 0 held); 45 were asked for
    ben sent the first twice, and it was charged once; the model was asked 3 times
    growth    16 of 1000
      ana     8 without a limit
      ben     8 of 30
"""

from typing import NamedTuple

from stiggctl import AccessDenied, UsageControl

MODEL = {
    "resourceTypes": [{"id": "team"}, {"id": "user", "parentResourceTypeId": "team"}],
    "resources": [
        {"id": "growth", "resourceTypeId": "team", "customerId": "cust-nordwind"},
        {"id": "ana", "resourceTypeId": "user", "parentResourceId": "growth"},
        {"id": "ben", "resourceTypeId": "user", "parentResourceId": "growth"},
    ],
    "allocations": [
        {"resourceId": "growth", "creditCurrency": "ai-tokens", "limit": 1000},
        {"resourceId": "ben", "creditCurrency": "ai-tokens", "limit": 30},
    ],
}


class Answer(NamedTuple):
    """What a model's client returns."""

    text: str
    total_tokens: int


control = UsageControl(":memory:")  # in an application: the path of a file
asked: list[str] = []


@control.metered(
    credit_currency="ai-tokens",
    estimate=lambda prompt, *, longest, **_: len(prompt.split()) + longest,
    amount=lambda answer: answer.total_tokens,
    event_name="summary",
    idempotency_key=lambda *_, request_id, **__: request_id,
)
def summarize(prompt: str, *, longest: int, request_id: str) -> Answer:
    """Plays the model: it has three words to say."""
    asked.append(request_id)
    words = ["two", "whales,", "slowly"][:longest]
    return Answer(" ".join(words), total_tokens=len(prompt.split()) + len(words))


def serve(user: str, request_id: str, longest: int = 10) -> None:
    """One request of that user."""
    with control.bound(resource_ids=[user]):
        try:
            answer = summarize("a story of two whales", longest=longest, request_id=request_id)
        except AccessDenied as denied:
            print(f"{user}: {denied}")
        else:
            print(f"{user}: {answer.text!r}, {answer.total_tokens} tokens")


def main() -> None:
    """Four requests of two users."""
    with control:
        control.apply(MODEL)
        serve("ana", "request-1")
        serve("ben", "request-2")
        serve("ben", "request-2")  # the network failed, and it is sent again
        serve("ben", "request-3", longest=40)
        bens = [event for event in control.events() if "ben" in event.resource_ids]
        print(
            f"ben sent the first twice, and it was charged {'once' if len(bens) == 1 else 'twice!'}; "
            f"the model was asked {len(asked)} times"
        )
        for depth, node in control.tree("growth", "ai-tokens").walk():
            limit = "without a limit" if node.limit is None else f"of {node.limit}"
            print(f"{'  ' * depth + node.resource_id:<8}  {node.used} {limit}")


if __name__ == "__main__":
    main()
