"""Opening: one holder a file and process, however many controls.

Here: who shares a holder with whom, and what a closed control has in its place.
Not here: where a ledger may lie (ledger/opening.py), what a holder is (holder/).
"""

import atexit
import os
from pathlib import Path
from threading import RLock
from typing import Any

from stiggctl.errors import ControlClosed, InvalidRequest
from stiggctl.holder import Holder, Options
from stiggctl.ledger.opening import MEMORY, open_ledger


class Closed(Holder):
    """What a closed control has in place of its holder: it knows where it was, and refuses."""

    def __init__(self, was: Holder) -> None:
        self.location = was.location
        self.clock = was.clock
        self.options = was.options
        self.strands = {}

    def __getattr__(self, name: str) -> Any:
        raise ControlClosed(location=self.location)

    def require_open(self) -> None:
        """Raise ControlClosed."""
        raise ControlClosed(location=self.location)


#: guards the two below. Of each thread once more, for a finalizer may close a control while another opens.
_lock = RLock()
#: the file -> its holder, and how many controls have it
_holders: dict[Path, Holder] = {}
_controls: dict[Holder, int] = {}


def open_holder(location: str | os.PathLike[str], options: Options, *, create: bool) -> Holder:
    """The holder of this process on that ledger; opens it if it is the first.

    Raises InvalidRequest where it is open with other options.
    """
    text = os.fsdecode(location)
    with _lock:
        path = None if text == MEMORY else _file_of(text)
        holder = None if path is None else _holders.get(path)
        if holder is None:
            ledger = open_ledger(location, durability=options.durability, create=create)
            try:
                holder = Holder(ledger, text, ledger.path.with_name(f"{ledger.path.name}-holders"), options)
            except BaseException:
                ledger.close()
                raise
            if path is not None:
                _holders[path] = holder
        elif holder.options != options:
            differing = [
                name for name in Options._fields if getattr(holder.options, name) != getattr(options, name)
            ]
            raise InvalidRequest(
                where=differing[0],
                value=getattr(options, differing[0]),
                expected=f"{getattr(holder.options, differing[0])!r}, with which this process has "
                f"{text} open already",
            )
        _controls[holder] = _controls.get(holder, 0) + 1
        return holder


def release_holder(holder: Holder) -> None:
    """One control less; the last closes it."""
    with _lock:
        if holder not in _controls:
            return  # at exit it was closed already
        _controls[holder] -= 1
        if _controls[holder]:
            return
        del _controls[holder]
        for path, one in list(_holders.items()):
            if one is holder:
                del _holders[path]
        # Under the lock: who opens the same file now waits until this one has let it go.
        holder.close()


def _file_of(text: str) -> Path | None:
    """The file that a location names, by whatever name."""
    try:
        return Path(text).resolve()
    except (OSError, RuntimeError, ValueError):
        return None  # opening it will say what is wrong with it


def _after_fork_in_child() -> None:
    """Its holders begin anew (holder.py, H4), for the same controls; but the lock may be held for ever."""
    global _lock  # noqa: PLW0603 - the one of the parent is of no use here
    _lock = RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


@atexit.register
def _close_all() -> None:
    with _lock:
        holders = list(_controls)
        _controls.clear()
        _holders.clear()
    for holder in holders:
        holder.close()
