"""Watching: records of what happens, told to hooks.

Here: hooks and how they are called. Not here: what makes a record of something.

  WT1  A hook runs after locks and commits. One that raises is logged, and changes nothing.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from stiggctl.errors import LedgerError

_log = logging.getLogger("stiggctl")


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerTrouble:
    """The ledger failed, or is not what it should be: `error` says how, and what would help.

    Also where a call's cost could not be found from its response: its estimate is in the ledger.
    """

    at: datetime
    error: LedgerError


class Watching:
    """The hooks of one control."""

    def __init__(self) -> None:
        self._hooks: list[Callable[[LedgerTrouble], object]] = []  # replaced whole, never changed

    def subscribe(self, hook: Callable[[LedgerTrouble], object]) -> Callable[[], None]:
        """Add a hook; what is returned takes it away again, and is safe twice."""
        self._hooks = [*self._hooks, hook]

        def unsubscribe() -> None:
            self._hooks = [one for one in self._hooks if one is not hook]

        return unsubscribe

    def tell_trouble(self, error: LedgerError) -> None:
        """Log it, and tell every hook."""
        _log.warning("%s", error)
        record = LedgerTrouble(at=datetime.now(UTC), error=error)
        for hook in self._hooks:
            try:
                hook(record)
            except Exception:  # noqa: BLE001 - a hook may raise whatever it likes (WT1)
                _log.exception("a hook raised; nothing else is changed by that")
