"""Keys: the keys of ours that say of which event another one is.

Here: how they are written, and read. Not here: who books under them (holder/), keys of users.

What always holds:
  KY1  An event is reversed under one key, and adjusted the n-th time under one key: the unique index
       decides which of two that book at once is first, and the other learns of it.
"""

import re

from stiggctl.ledger.records import KEYS_OF_OURS, EventRow

_ADJUSTMENT = re.compile(r"adjust ([0-9]{1,19}) [0-9]+")


def reversal_key(event_id: int) -> str:
    """The key under which an event is reversed."""
    return f"reverse {event_id}"


def adjustment_key(event_id: int, number: int) -> str:
    """The key of an event's adjustment that has so many before it.

    `adjustments_of` in the statements finds them by this form.
    """
    return f"adjust {event_id} {number}"


def adjusted_by(event: EventRow) -> int | None:
    """The id of the event that this one adjusts; None where it is no adjustment."""
    found = _ADJUSTMENT.fullmatch(event.key) if event.namespace == KEYS_OF_OURS else None
    return None if found is None else int(found[1])
