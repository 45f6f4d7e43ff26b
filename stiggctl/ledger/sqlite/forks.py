"""Forks: no SQLite connection of ours is open in two processes.

Here: who is told before and after a fork, and that two forks do not mix. Not here: what is
closed then, and why (connections.py, CN4); what a holder is in a child (holder/holder.py, H4).
"""

import os
import weakref
from threading import Lock, RLock
from typing import Protocol


class Forked(Protocol):
    """What must not cross a fork."""

    def before_fork(self) -> list[Lock]:
        """Let nobody be inside; the locks that keep it so, or none where somebody was for too long."""
        ...

    def after_fork_in_child(self, *, quiet: bool) -> None:
        """Have nothing open. `quiet`: nobody was inside."""
        ...


_forked: "weakref.WeakSet[Forked]" = weakref.WeakSet()  # under `_lock`
_under_way: list[tuple[Forked, list[Lock]]] = []  # under `_lock`
_abandoned: list[object] = []  # in a child only
_lock = RLock()  # held from before a fork until after it; a finalizer may open a ledger in between


def watch(forked: Forked) -> None:
    """Tell it of every fork, as long as it lives."""
    with _lock:
        _forked.add(forked)


def let_go(held: list[Lock]) -> list[Lock]:
    """Release them, the last first; none is held now."""
    for lock in reversed(held):
        lock.release()
    return []


def abandon(*what: object) -> None:
    """Keep it for ever, so that nothing collects, and closes, it."""
    _abandoned.append(what)


def _before() -> None:
    _lock.acquire()
    _under_way.extend((forked, forked.before_fork()) for forked in _forked)


def _after_in_parent() -> None:
    while _under_way:
        let_go(_under_way.pop()[1])
    _lock.release()


def _after_in_child() -> None:
    global _lock  # noqa: PLW0603 - who waits for the old one is a thread that is not here
    _lock = RLock()
    while _under_way:
        forked, held = _under_way.pop()
        forked.after_fork_in_child(quiet=bool(held))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child)
