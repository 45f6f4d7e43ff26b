"""Others: the other processes on the ledger: dead, to be buried; alive, to be named.

Here: enlisting among them, burying, what they hold. Not here: the proof that one is dead
(liveness.py), rows (ledger/).
"""

from collections.abc import Iterable
from pathlib import Path

from stiggctl.clocks import Clock
from stiggctl.errors import LedgerUnavailable
from stiggctl.holder.liveness import Presence
from stiggctl.ledger import Ledger, Reader
from stiggctl.ledger.records import HolderRow, HolderWrite, Orphan

#: How often a process tries to enlist while others die and are buried.
ENLIST_MAX = 16


class Others:
    """The holders of one ledger, as one process sees them."""

    def __init__(self, ledger: Ledger, location: str, directory: Path, clock: Clock) -> None:
        self._ledger = ledger
        self._location = location
        self._directory = directory
        self._clock = clock

    def rows(self) -> list[HolderRow]:
        """Those that are not buried."""
        with self._ledger.reader() as reader:
            return reader.holders()

    def enlist(self, presence: Presence, ttl_max_ms: int) -> int:
        """Write this process's row, once the dead are buried; returns its id.

        Raises LedgerUnavailable where one lives.
        """
        writing = HolderWrite(
            name=presence.name,
            host=presence.host,
            boot=presence.boot_id,
            pid=presence.pid,
            lock_inode=presence.lock_inode,
            ttl_max_ms=ttl_max_ms,
        )
        for _ in range(ENLIST_MAX):
            others = self._ledger.enlist(writing)
            if isinstance(others, int):
                return others
            self.bury_dead(others)
        raise LedgerUnavailable(
            location=self._location,
            reason="other processes came and went while this one tried to enlist",
            remedy="try again",
        )

    def bury_dead(self, others: Iterable[HolderRow]) -> None:
        """Bury those that are dead; raises LedgerUnavailable for the first that lives."""
        for other in others:
            if not Presence.is_dead(self._directory, other):
                raise self._taken_by(other)
            now_us = self._clock.now_us()
            orphans = Presence.orphans_of(self._directory, other, now_us)
            self._ledger.bury(other.id, orphans, now_us)
            Presence.forget(self._directory, other.name)

    def _taken_by(self, other: HolderRow) -> LedgerUnavailable:
        """Another living process has the ledger."""
        return LedgerUnavailable(
            location=self._location,
            reason="another process has it",
            remedy="use it from that process only, or end that one first; "
            "several processes on one ledger are not in this version",
            holder_pid=other.pid,
            unreachable=False,
        )

    def held(self, reader: Reader, mine: int, now_us: int) -> dict[int, list[Orphan]]:
        """cell -> what processes that are not buried hold of it, by their pages; without row `mine`."""
        held: dict[int, list[Orphan]] = {}
        for other in reader.holders():
            if other.id != mine:
                for cell, ends in Presence.orphans_of(self._directory, other, now_us).items():
                    held.setdefault(cell, []).extend(ends)
        return held
