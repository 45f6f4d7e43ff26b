"""A guard that is told what a response says: what was used, and what that cost by the prices of the model.

Nothing is called here: responses are what providers would answer, as mappings or as their clients' objects.
The customer has a price of its own. Of a stream that is cut before it told its usage, and of a model
without a price, at least the estimate is booked, and both say so: unknown is not free.

Run it: python examples/observed_call.py. It prints:

    answered   0.001135 usd by contract openai/gpt-5* from always (price 2)
               200 uncached, 1000 cached, 100 out of which 70 reasoning
    streamed   0.00048 usd by contract any/claude-* from always (price 1)
    cut        0.01 usd, estimated
    unpriced   0.01 usd, estimated
    told       2 troubles; differences: []
"""

import logging
from types import SimpleNamespace

from stiggctl import Call, LedgerTrouble, UsageControl

MODEL = {
    "resourceTypes": [{"id": "user"}],
    "resources": [{"id": "ana", "resourceTypeId": "user", "customerId": "cust-nordwind"}],
    "creditCurrencies": [{"id": "usd", "decimals": 9}],
    "allocations": [{"resourceId": "ana", "creditCurrency": "usd", "limit": "5"}],
    "prices": [
        {"model": "claude-*", "perMillion": {"input": 3, "cache_read": "0.3", "output": 15}},
        {
            "provider": "openai",
            "model": "gpt-5*",
            "customerId": "cust-nordwind",  # agreed with this customer: it stands before those for all
            "perMillion": {"input": "1.10", "cache_read": "0.115", "output": 8},
        },
    ],
}
ANSWER = SimpleNamespace(  # as the provider's client has it
    object="chat.completion",
    model="gpt-5-2025-08-07",
    usage=SimpleNamespace(
        prompt_tokens=1_200,
        prompt_tokens_details=SimpleNamespace(cached_tokens=1_000),
        completion_tokens=100,
        completion_tokens_details=SimpleNamespace(reasoning_tokens=70),
    ),
)
STREAM = [
    {
        "type": "message_start",
        "message": {"model": "claude-x", "usage": {"input_tokens": 60, "output_tokens": 1}},
    },
    {"type": "content_block_delta", "delta": {"text": "Hello"}},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 20}},
    {"type": "message_stop"},
]


def guarded(control: UsageControl, *answers: object) -> Call:
    """A call that is told each answer, or each chunk of one."""
    with control.guard(resource_ids=["ana"], credit_currency="usd", estimate="0.01") as call:
        for answer in answers:
            call.observe(answer)
    return call


def main() -> None:
    """Two calls whose cost can be told, and two whose cannot."""
    troubles: list[LedgerTrouble] = []
    logging.getLogger("stiggctl").setLevel(logging.ERROR)  # each is logged, too
    with UsageControl(":memory:") as control:
        control.apply(MODEL)
        control.subscribe(troubles.append)
        guarded(control, ANSWER)
        guarded(control, *STREAM)
        for said, event in zip(("answered", "streamed"), control.events(), strict=True):
            told = event.dimensions
            print(f"{said:<10} {event.amounts['usd']} usd by {told['price_version']}")
            if said == "answered":
                out = f"100 out of which {told['reasoning_tokens']} reasoning"
                print(f"{'':<10} {told['input_tokens']} uncached, {told['cache_read_tokens']} cached, {out}")
        cut = guarded(control, *STREAM[:2])
        unpriced = guarded(control, {"model": "a-model-of-mine", "usage": vars(ANSWER.usage)})
        for said, call in (("cut", cut), ("unpriced", unpriced)):
            assert call.receipt is not None
            print(f"{said:<10} {call.receipt.charged} usd, {'estimated' if call.receipt.estimated else ''}")
        print(f"{'told':<10} {len(troubles)} troubles; differences: {list(control.verify())}")


if __name__ == "__main__":
    main()
