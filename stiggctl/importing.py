"""Importing: modules that are imported when they are first needed, never in the middle of a fork.

Python has a lock for each module while it is imported, and a child that was forked meanwhile has that lock
for ever: the thread that would let it go is not there. So an import inside of a function stands in a
`with importing():`, and a fork waits until nobody is in one.

Here: that gate. Not here: what is imported late, and why: it is said beside each.
"""

import os
from threading import RLock

# The largest import takes a second on a busy machine. A child that may hang where it first needs that module
# is better than a fork that does for certain.
_FORK_SECONDS = 10.0

#: Of each thread once more: an import may import, and a fork may come from inside of one.
_gate = RLock()
_held: list[bool] = []  # whether the gate is held by the fork that is under way; changed by who forks


def importing() -> RLock:
    """What an import inside of a function is done under."""
    return _gate


def _before() -> None:
    _held.append(_gate.acquire(timeout=_FORK_SECONDS))


def _after_in_parent() -> None:
    if _held.pop():
        _gate.release()


def _after_in_child() -> None:
    global _gate  # noqa: PLW0603 - who has the old one may be a thread that is not here
    _gate = RLock()
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child)
