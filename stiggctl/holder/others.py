"""Others: the other processes on the ledger: dead, to be buried; alive, to be named.

Here: enlisting among them, burying, what they hold. Not here: the proof that one is dead
(liveness.py), rows (ledger/).
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from stiggctl.clocks import Clock
from stiggctl.holder.counts import CountsTold, from_bytes
from stiggctl.holder.liveness import Presence, orphans_on
from stiggctl.holder.page import PageContents
from stiggctl.ledger import Ledger, Reader
from stiggctl.ledger.records import HolderRow, HolderWrite, Orphan, ShareRow

#: How often a process looks who of those that it enlists beside is dead. In a storm of starts each look
#: finds newcomers: they were alive a moment ago, and a dead one among them is buried by whoever needs what
#: it has.
ENLIST_MAX = 4


class Seen(NamedTuple):
    """What can be seen of a process from outside."""

    is_dead: bool
    held: Mapping[int, Sequence[Orphan]]  #: cell -> what it holds, by its page
    reservations: int  #: how many that is of
    counts: CountsTold | None  #: None: it told nothing yet


class OfCell(NamedTuple):
    """What others have of one cell."""

    certain: int  #: of exact shares: all of them, but what is late
    held: int  #: what they hold in all
    ends: Sequence[Orphan]  #: and when that ends, as far as it is known


class Beside(NamedTuple):
    """What others have of the cells of a path; none of it where this process is alone.

    What stands in an exact share is held, but what its holder has not given back yet though its end has
    passed: it is stopped, perhaps. That is late: room that it hides, as spare is.
    """

    cells: Mapping[int, OfCell] = {}
    late: Sequence[HolderRow] = ()  #: who has some of that


ALONE = Beside()


class Others:
    """The holders of one ledger, as one process sees them."""

    def __init__(self, ledger: Ledger, location: str, directory: Path, clock: Clock) -> None:
        self._ledger = ledger
        self._location = location
        self._directory = directory
        self._clock = clock
        self.row = 0  #: this process's own; 0 until it is a holder

    def living(self) -> list[HolderRow]:
        """Those that live, once the dead are buried; without this process."""
        with self._ledger.reader() as reader:
            others = [row for row in reader.holders() if row.id != self.row]
        return [row for row in others if not self._bury_if_dead(row)]

    def look(self, row: HolderRow, now_us: int) -> "Seen":
        """Whether the process of that row is dead, and what its page says."""
        page = Presence.page_of(self._directory, row)
        is_dead = Presence.is_dead(self._directory, row)
        if page is None:
            return Seen(is_dead, {}, 0, None)
        open_ = {record.reservation for record in page.records if record.until_us > now_us}
        return Seen(is_dead, orphans_on(page, row, now_us), len(open_), from_bytes(page.told))

    def on_pages(self, reader: Reader, now_us: int) -> dict[int, int]:
        """cell -> what all processes that are not buried hold of it, by their pages alone."""
        held: dict[int, int] = {}
        for row in reader.holders():
            for cell, ends in Presence.orphans_of(self._directory, row, now_us).items():
                held[cell] = held.get(cell, 0) + sum(end.units for end in ends)
        return held

    def are_there(self) -> bool:
        """Whether there is any that is not buried."""
        with self._ledger.reader() as reader:
            return any(row.id != self.row for row in reader.holders())

    def bury_dead(self) -> bool:
        """Bury those that are dead; whether there were any."""
        with self._ledger.reader() as reader:
            others = [row for row in reader.holders() if row.id != self.row]
        return sum(map(self._bury_if_dead, others)) > 0

    def enlist(self, presence: Presence, ttl_max_ms: int, obeys: int) -> int:
        """Write this process's row, once the dead are buried; returns its id."""
        writing = HolderWrite(
            name=presence.name,
            host=presence.host,
            boot=presence.boot_id,
            pid=presence.pid,
            lock_inode=presence.lock_inode,
            ttl_max_ms=ttl_max_ms,
            obeys=obeys,
        )
        living: set[int] = set()
        for _ in range(ENLIST_MAX):
            others = self._ledger.enlist(writing, living)
            if isinstance(others, int):
                self.row = others
                return others
            living.update(other.id for other in others if not self._bury_if_dead(other))
        row = self._ledger.enlist(writing, None)
        assert isinstance(row, int)  # beside whoever is there
        self.row = row
        return row

    def _bury_if_dead(self, other: HolderRow) -> bool:
        """Bury it where there is proof that it is dead; whether there was.

        Who buries twice buries once (Ledger.bury), and the files go after that: another process that
        finds them gone finds the holder buried.
        """
        if not Presence.is_dead(self._directory, other):
            return False
        now_us = self._clock.now_us()
        orphans = Presence.orphans_of(self._directory, other, now_us)
        self._ledger.bury(other.id, orphans, now_us)
        Presence.forget(self._directory, other.name)
        return True

    def held(self, reader: Reader, cells: Iterable[int], mine: int, now_us: int) -> dict[int, list[Orphan]]:
        """cell -> what processes that are not buried hold of it, by their pages; without row `mine`.

        Never more than the share of each: a settle may have committed before its hold fell from the page.
        """
        held: dict[int, list[Orphan]] = {}
        for seen in self._seen(reader, cells, mine, now_us):
            held.setdefault(seen.cell, []).extend(seen.ends)
        return held

    def beside(self, reader: Reader, cells: Collection[int], now_us: int) -> Beside:
        """What others have of these, by the ledger and their pages."""
        found = dict.fromkeys(cells, OfCell(0, 0, ()))
        late: dict[int, HolderRow] = {}
        for seen in self._seen(reader, cells, self.row, now_us):
            certain, held, all_ends = found[seen.cell]
            of_page = sum(end.units for end in seen.ends)
            stands = 0
            if seen.share.exact:
                over = min(seen.over, seen.share.granted - of_page)
                stands = seen.share.granted - over
                if over > 0 and seen.row is not None:
                    late[seen.row.id] = seen.row
            found[seen.cell] = OfCell(certain + stands, held + max(stands, of_page), (*all_ends, *seen.ends))
        return Beside(found, tuple(late.values()))

    def _seen(self, reader: Reader, cells: Iterable[int], mine: int, now_us: int) -> "Iterator[_OfShare]":
        """Each share of others in those cells, and what its holder's page says of it."""
        shares = reader.shares(list(cells), mine)
        if not shares:
            return
        rows = {row.id: row for row in reader.holders() if row.id != mine}
        pages = {row.id: Presence.page_of(self._directory, row) for row in rows.values()}
        told = {
            of: (orphans_on(page, rows[of], now_us), _over_on(page, now_us))
            for of, page in pages.items()
            if page is not None
        }
        for cell, of_cell in shares.items():
            for share in of_cell:
                ends, over = told.get(share.holder, ({}, {}))
                within = within_share(ends.get(cell, ()), share.granted)
                yield _OfShare(share, cell, within, over.get(cell, 0), rows.get(share.holder))


class _OfShare(NamedTuple):
    """A share of others, and what the page of its holder says of its cell."""

    share: ShareRow
    cell: int
    ends: list[Orphan]  #: what is held, within the share
    over: int  #: what is not any more, and stands there still
    row: HolderRow | None


def _over_on(contents: PageContents, now_us: int) -> dict[int, int]:
    """cell -> what of it stands on a page still, though its end has passed."""
    units: dict[int, int] = {}
    for record in contents.records:
        if record.until_us <= now_us:
            for cell in record.cells:
                units[cell] = units.get(cell, 0) + record.amount_units
    return units


def within_share(ends: Iterable[Orphan], share_units: int) -> list[Orphan]:
    """What a page says that its process holds, but never more than its share: the latest ends first.

    >>> within_share([Orphan(5, 100), Orphan(3, 200)], 6)
    [Orphan(units=3, until_us=200), Orphan(units=3, until_us=100)]
    """
    kept, left = [], share_units
    for end in sorted(ends, key=lambda end: -end.until_us):
        units = min(end.units, left)
        if units > 0:
            kept.append(Orphan(units, end.until_us))
            left -= units
    return kept
