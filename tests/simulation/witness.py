"""The witness: what takes place by itself, as time passes: ends of overrides, of grants, of buckets.

Here: noting that it did, and whether anything was held of it. Not here: what must hold then (truth.py).
"""

from collections import Counter
from collections.abc import Callable, Iterator

from stiggctl.decision.cells import leaves_us

from .rows import NEVER, POOL, Rows

MINUTE_US = 60_000_000  #: of a limit that rolls over an hour, a bucket


class Witness:
    """Of one host's file."""

    def __init__(self, rows: Rows, seen: Counter[str]) -> None:
        self._rows = rows
        self._seen = seen
        self._ends: list[tuple[int, str, int]] = []  # (when, what, cell), those to come
        self._next_us = NEVER
        self._open: dict[int, int] = {}  # cell of a grant -> when it ends, as of the last change

    def changed(self, now_us: int, is_held: Callable[[int], bool]) -> None:
        """Something was committed."""
        grants = {cell.id: cell.closes_us for cell in self._rows.cells.values() if cell.name == POOL}
        for cell, ends_us in self._open.items():
            if ends_us and grants.get(cell) == 0 and is_held(cell):
                self._seen["grants voided under a hold"] += 1
        self._open = grants
        self._ends = [end for end in self._to_come() if end[0] > now_us]
        self._next_us = min((end[0] for end in self._ends), default=NEVER)

    def passed(self, now_us: int, is_held: Callable[[int], bool]) -> None:
        """It is later."""
        if now_us < self._next_us:
            return
        for when_us, kind, cell in self._ends:
            if when_us <= now_us and (not cell or is_held(cell)):
                self._seen[kind] += 1
        self._ends = [end for end in self._ends if end[0] > now_us]
        self._next_us = min((end[0] for end in self._ends), default=NEVER)

    def _to_come(self) -> Iterator[tuple[int, str, int]]:
        for *_, until_us in self._rows.overrides:
            yield until_us, "overrides that ended", 0
        for cell in self._rows.cells.values():
            if cell.name == POOL:
                yield cell.closes_us, "grants that ended under a hold", cell.id
            for start_us, _ in cell.buckets or ():
                yield leaves_us(start_us, MINUTE_US), "buckets that left a rolling window", 0
