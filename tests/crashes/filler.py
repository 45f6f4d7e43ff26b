"""What a full disk is met with: reports until there is no room, then what must hold, then room again.

Here: the story, told in the process that meets it: this test's, on a small file system, or one of
its own whose files may not grow. Run as a module: PATH, in a process that may be limited.
"""

import resource
import signal
import sys
from collections.abc import Callable
from typing import Any

from stiggctl import LedgerUnavailable, UsageControl

ASK: dict[str, Any] = {"resource_ids": ["a"], "credit_currency": "t"}
#: Some 4 kB an event, so that it does not take long.
DIMENSIONS = {"prompt": "x" * 3_800}
REPORTS_MAX = 5_000
#: More than a page has room for in what is left.
HOLDS_MAX = 12_000


def model() -> dict[str, Any]:
    return {
        "resourceTypes": [{"id": "node"}],
        "resources": [{"id": "a", "resourceTypeId": "node", "customerId": "c"}],
        "allocations": [{"resourceId": "a", "creditCurrency": "t", "limit": 10**6}],
    }


def report(control: UsageControl, at: int) -> Any:
    return control.report(
        customer_id="c", idempotency_key=f"k{at}", amount=1, dimensions=DIMENSIONS, resource_ids=["a"],
        credit_currency="t",
    )  # fmt: skip


def fill(control: UsageControl, make_room: Callable[[], object]) -> None:
    """All of it; an assertion fails where something was lost, booked twice or half."""
    held = control.reserve(**ASK, amount=10)
    returned = 0
    try:
        for at in range(REPORTS_MAX):
            report(control, at)
            returned = at + 1
    except LedgerUnavailable as error:
        assert "room" in str(error) or "disk" in str(error), error  # noqa: PT017 - it is the story's turn
    assert 10 < returned < REPORTS_MAX, f"the disk was full after {returned} reports"

    # Nothing half-booked, nothing lost, and to look is as before.
    assert [event.idempotency_key for event in control.events("c")][:returned] == [
        f"k{at}" for at in range(returned)
    ]
    assert control.verify() == []
    assert control.check(**ASK, requested_usage=5).has_access
    assert control.reserve(**ASK, amount=5).release() is None  # from spare

    # It is refused as long as there is no room.
    for again in (lambda: report(control, returned), lambda: apply_large(control)):
        for _ in range(2):
            try:
                again()
            except LedgerUnavailable:
                continue
            raise AssertionError("it was accepted without room")
    # A settle is small: it may find room. It is booked and holds nothing, or refused and holds all.
    try:
        held.settle(10)
        left = 0
    except LedgerUnavailable:
        left = 10
    (limit,) = control.check(**ASK, requested_usage=0).limits
    assert limit.held == left
    hold_until_the_page_is_full(control, left)
    assert control.verify() == []

    make_room()
    receipts = [report(control, at) for at in range(returned + 20)]
    assert [receipt.duplicate for receipt in receipts[:returned]] == [True] * returned
    assert held.settle(10).charged == 10
    apply_large(control)
    used = sum(event.amounts["t"] for event in control.events("c"))
    assert used == returned + 20 + 10
    (limit,) = control.check(**ASK, requested_usage=0).limits
    assert (limit.used, limit.held) == (used, 0)
    assert control.verify() == []


def apply_large(control: UsageControl) -> None:
    """A change of the model that needs room."""
    control.apply(
        {
            "resources": [
                {"id": f"{at}", "resourceTypeId": "node", "customerId": "c", "name": "n" * 200}
                for at in range(2_000)
            ]
        }
    )


def hold_until_the_page_is_full(control: UsageControl, held: int) -> None:
    """Where the page cannot grow, nothing is held that would not stand on it (KP1)."""
    open_ = []
    try:
        for _ in range(HOLDS_MAX):
            open_.append(control.reserve(**ASK, amount=1))  # noqa: PERF401 - some, before the error
    except LedgerUnavailable:
        pass
    else:
        raise AssertionError("a page grew without room")
    (limit,) = control.check(**ASK, requested_usage=0).limits
    assert limit.held == len(open_) + held
    for one in open_:
        one.release()


def main(path: str) -> None:
    """In a process whose files may not grow beyond a limit, until that is lifted."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    with UsageControl(path) as control:
        control.apply(model())
        resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, most))
        fill(control, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most, most)))
    print("all of it held")  # noqa: T201 - what the test waits for


if __name__ == "__main__":
    main(*sys.argv[1:])
