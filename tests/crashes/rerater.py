"""A process that rates a ledger's usage anew, and reverses some of it beside that, until it kills itself.

Run as a module: PATH CALLS. It dies at so many calls of functions of the library, counted from where
it begins to book: so each point of a booking, of a look after it and of a reversal is as likely as any.
"""

import sys
import threading
from typing import Any

from stiggctl import UsageControl
from stiggctl.holder import rerating

from .spender import die_at_call

BOOK: dict[str, Any] = {
    "since": "2025-12-01T00:00:00Z",
    "until": "2026-12-01T00:00:00Z",
    "book": True,
    "reason": "the price was wrong",
}
#: Every so many-th event is reversed while it is adjusted.
REVERSED_EACH = 5
#: So few that there are many commits to die between.
EVENTS_AT_A_TIME = 7


def main(path: str, calls: str) -> None:
    """Rate all of it anew, and reverse a part."""
    rerating.EVENTS_AT_A_TIME = EVENTS_AT_A_TIME
    control = UsageControl(path)
    ids = [one.event_id for one in control.events() if one.idempotency_key is not None]

    def reverse() -> None:
        for event_id in ids[::REVERSED_EACH]:
            control.reverse(event_id, reason="refund")

    beside = threading.Thread(target=reverse)
    die_at_call(int(calls))
    beside.start()
    control.rerate(**BOOK)
    beside.join()


if __name__ == "__main__":
    main(*sys.argv[1:])
