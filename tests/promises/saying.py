"""Saying: one promise, two faces; and the numbers of limits, read the plain way.

Here: how a test says a public verb without repeating itself for async.
Not here: models and ledgers to say it to (conftest.py), what must come of it (the tests).
"""

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from stiggctl import Clock, UsageControl

ARTICLE = Path(__file__).parent / "article"
ACME = "cust-acme-inc"
TOKENS = "ai-tokens"

Face = Literal["sync", "async"]


class Say:
    """Says a public verb by name, in one face: each promise is written once and shown twice."""

    def __init__(self, control: UsageControl, face: Face) -> None:
        self.control = control
        self.face = face

    def __call__(self, verb: str, /, *given: object, **asked: object) -> Any:
        return self.to(self.control, verb, *given, **asked)

    def to(self, whom: object, verb: str, /, *given: object, **asked: object) -> Any:
        """Say it to something else than the control: a reservation, a second control."""
        if self.face == "sync":
            return getattr(whom, verb)(*given, **asked)

        async def said() -> object:
            return await getattr(whom, f"a{verb}")(*given, **asked)

        return asyncio.run(said())


def numbers(
    control: UsageControl, *resource_ids: str, customer_id: str | None = None, credit_currency: str = TOKENS
) -> dict[str, tuple[Any, Any, Any]]:
    """(used, held, remaining) of each limit over these resources, by the resource that has it."""
    decision = control.check(
        resource_ids=list(resource_ids),
        credit_currency=credit_currency,
        requested_usage=0,
        customer_id=customer_id,
    )
    return {limit.resource_id: (limit.used, limit.held, limit.remaining) for limit in decision.limits}


def event_ids(control: UsageControl, customer_id: str = ACME) -> list[object]:
    """The id of every event of a customer, in ledger order."""
    return [event.event_id for event in control.events(customer_id=customer_id)]


def flat(limits: Mapping[str, object], *, customer_id: str = "c", soft: Sequence[str] = ()) -> dict[str, Any]:
    """A model of roots of one type, each with a limit of ai-tokens, or without one (None)."""
    return {
        "resourceTypes": [{"id": "node"}],
        "resources": [{"id": name, "resourceTypeId": "node", "customerId": customer_id} for name in limits],
        "allocations": [
            {
                "resourceId": name,
                "creditCurrency": TOKENS,
                "customerId": customer_id,
                "limit": limit,
                "enforcementType": "SOFT" if name in soft else "HARD",
            }
            for name, limit in limits.items()
            if limit is not None
        ],
    }


def at_once(calls: Sequence[Callable[[], object]], *, within_seconds: float = 60.0) -> list[object]:
    """Run each call in a thread of its own, all let go together; what each returned or raised."""
    barrier = threading.Barrier(len(calls))
    results: list[object] = [None] * len(calls)

    def run(place: int, call: Callable[[], object]) -> None:
        barrier.wait()
        try:
            results[place] = call()
        except Exception as error:  # noqa: BLE001 - handed to the test, which judges it
            results[place] = error

    threads = [
        threading.Thread(target=run, args=(place, call), daemon=True) for place, call in enumerate(calls)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(within_seconds)
    assert not any(thread.is_alive() for thread in threads), "a call did not come back"
    return results


def nodes(tree: Any) -> Iterator[Any]:
    """A tree's nodes, the root first."""
    yield tree
    for child in tree.children:
        yield from nodes(child)


def moment(clock: Clock) -> datetime:
    """The clock's present moment."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=clock.now_us())
