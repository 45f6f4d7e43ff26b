"""A pool of threads serves requests, as gunicorn's `gthread` workers do, and they run into a limit together.

Forty threads share one control. Each request sets 30 aside before the model is asked, and books the 25 that
it used. However the threads take turns: together they never pass the limit, and what fits is not refused.
What a handler answers to a denial is in its decision: 429 where it would fit once others have settled, and
the client tries again; 402 where it would not. Several processes share a limit in the same way:
processes_into_a_limit.py.

Run it: python examples/threads_into_a_limit.py. It prints, with another number of 429s each time:

    40 threads, 200 requests for 30 each, 1000 credits
      41 x 429; the first: chat has 10 of 1000 ai-tokens left (0 used, 990 held); 30 were asked for...
     161 x 402; the first: chat has 25 of 1000 ai-tokens left (975 used, 0 held); 30 were asked for
      39 x 200
    39 events are in the ledger, for 975 credits, and 0 are held; differences: []
"""

import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from threading import Event

from stiggctl import AccessDenied, UsageControl

MODEL = {
    "resourceTypes": [{"id": "feature"}],
    "resources": [{"id": "chat", "resourceTypeId": "feature", "customerId": "cust-nordwind"}],
    "allocations": [{"resourceId": "chat", "creditCurrency": "ai-tokens", "limit": 1000}],
}
THREADS, REQUESTS = 40, 200
ESTIMATE, USED = 30, 25
RETRY_AFTER_SECONDS = 0.001
Answer = tuple[int, str]  #: status, body

crowded = Event()  #: somebody was sent away


def model() -> None:
    """Plays a slow model: it answers no one before somebody had to be sent away."""
    crowded.wait(timeout=30)


def handle(control: UsageControl) -> Answer:
    """What a view does."""
    try:
        with control.guard(resource_ids=["chat"], credit_currency="ai-tokens", estimate=ESTIMATE) as call:
            model()
            call.used(USED)
    except AccessDenied as denied:
        crowded.set()
        # retry_at is when what is held now will have ended; most settle long before.
        return (402 if denied.decision.retry_at is None else 429), str(denied)
    return 200, "an answer"


def client(control: UsageControl) -> list[Answer]:
    """One request, sent again while the answer is 429: all the answers."""
    answers = [handle(control)]
    while answers[-1][0] == 429:
        time.sleep(RETRY_AFTER_SECONDS)
        answers.append(handle(control))
    return answers


def tell(answers: Iterable[Answer]) -> None:
    """How many there were of each, and what the first denial of its kind says."""
    by_status: dict[int, list[str]] = {}
    for status, body in answers:
        by_status.setdefault(status, []).append(body)
    for status in sorted(by_status, reverse=True):
        bodies = by_status[status]
        first = "" if status == 200 else f"; the first: {bodies[0]}"
        print(f"{len(bodies):>4} x {status}{first}")


def main() -> None:
    """All clients at once, through the pool."""
    with UsageControl(":memory:") as control:
        control.apply(MODEL)
        print(f"{THREADS} threads, {REQUESTS} requests for {ESTIMATE} each, 1000 credits")
        with ThreadPoolExecutor(THREADS) as pool:
            told = list(pool.map(client, [control] * REQUESTS))
        tell(answer for answers in told for answer in answers)
        events = list(control.events())
        booked = sum(event.amounts["ai-tokens"] for event in events)
        held = control.tree("chat", "ai-tokens").held
        print(
            f"{len(events)} events are in the ledger, for {booked} credits, and {held} are held; "
            f"differences: {control.verify()}"
        )


if __name__ == "__main__":
    main()
