"""Exchange: what the one write of usage carries, and what it did.

Here: bookings, gives and asks, and the reply. Not here: cells and events as they are read (usage.py).
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from stiggctl.ledger.records.usage import CellRow, EventRow, Payment


class Paying(NamedTuple):
    """Units of an event that a certain grant pays, and how much leaves my share of it.

    More may leave than is paid: what a hold has left over, where my share is exact. Negative units,
    with nothing spent, go back to it: of a reversal.
    """

    cell: int
    units: int
    spend_units: int


class Payer(NamedTuple):
    """A grant that is open at an event's instant, and what of my share of it was set apart for the event."""

    cell: int
    spare_units: int


class Draining(NamedTuple):
    """How the pool pays for a part: what is settled beforehand, and who pays the rest.

    The rest is split over `payers`, which come in drain order: first each up to what is free of it
    and what was set apart (limit − used − granted + spare_units, never below 0); then each up to
    limit − used, for usage is never refused; what is left is booked on the last of them, over its
    amount. Of what a payer pays, up to its `spare_units` leave my share. With no payer it is unbacked.
    """

    payings: tuple[Paying, ...]
    payers: tuple[Payer, ...]


class Part(NamedTuple):
    """What one event costs in one currency, and where that counts.

    `used` of every cell grows by `amount_units`, my share of `cells[at]` falls by `spends[at]`: of an
    exact one by all that was held, so that what is left over is free in the same commit. But a rolling
    cell that opens after the event took place is passed over, as one that is closed is.
    Columns, not a record a cell: an event makes one of these, whatever it counts in.
    """

    currency: int
    amount_units: int
    rate: int | None
    cells: tuple[int, ...]
    spends: tuple[int, ...]
    draining: Draining | None = None  #: None: the customer never had a grant of the currency


class Booking(NamedTuple):
    """One event to append. `members` are row ids of its resources and all their ancestors."""

    customer: int
    namespace: int
    key: str
    members: tuple[int, ...]  #: sorted, each once
    parts: tuple[Part, ...]  #: at least one
    event_name: str | None
    dimensions: str  #: JSON object; "{}" where none
    occurred_at_us: int
    reservation: str | None
    reverses: int | None
    flags: int
    unattributed: str | None  #: JSON list of ids that no resource has
    fingerprint: bytes


class Drained(NamedTuple):
    """How the pool paid for a part.

    Its overage is of all its payers together (the pool of the event's instant): what is used of
    them beyond their amounts; of what is unbacked, all of it.
    """

    overage_units: int
    unbacked_units: int  #: what nobody pays; less than 0: what comes back to nobody
    paid: tuple[tuple[int, int], ...]  #: (cell, units) of each grant that paid, or was paid back
    payers: tuple[int, ...]
    used_after: tuple[int, ...]  #: of each payer


class PartBooked(NamedTuple):
    """What one part did to its cells: `used` of each right after it, and its overage there.

    A cell that has been closed is not among them, nor a rolling one that opens later.
    """

    overage_units: int  #: the largest, the pool's too; 0 where it counts nowhere
    cells: tuple[int, ...]
    used_after: list[int]
    overages: list[int]
    drained: Drained | None = None


class Booked(NamedTuple):
    """A booking that was new: it is in the ledger now."""

    event_id: int
    booked_at_us: int
    parts: tuple[PartBooked, ...]


@dataclass(slots=True, kw_only=True)
class Known:
    """A booking whose key was taken; nothing changed. The fingerprints say whether it conflicts."""

    event: EventRow
    payments: tuple[Payment, ...] = ()


@dataclass(slots=True, kw_only=True)
class Refused:
    """A booking that would take a counter past its bound; nothing of it was booked."""

    cell: int
    used: int


class Give(NamedTuple):
    """Spare that a holder returns."""

    cell: int
    units: int
    exact: bool = False  #: from now on my share carries no surplus: what falls free of it I return at once


class AskCell(NamedTuple):
    """One HARD cell of an ask, and what the asker has spare in it (never negative there)."""

    cell: int
    spare_units: int


class AskPool(NamedTuple):
    """Room in a pool: one need over all its grants, which come in drain order.

    What is free of it is Σ of what is free of each, less than 0 too; so an ask is short in it only as
    a whole. What is lacking is taken in drain order: of each grant its spare first, then what is free.
    """

    grants: tuple[AskCell, ...]
    amount_units: int
    minimum_units: int


@dataclass(slots=True, kw_only=True)
class Ask:
    """A wish for room in all of `cells` and `pools` at once: `amount_units`, or what fits if >= the minimum.

    `request_units` sizes the surplus: how large one such request is (for a check, whose
    amount is 0, what was asked about).
    """

    cells: tuple[tuple[AskCell, int, int], ...]  #: (cell, amount_units, minimum_units)
    request_units: int
    pools: tuple[AskPool, ...] = ()


@dataclass(slots=True, kw_only=True)
class Batch:
    """What one exchange carries."""

    holder: int
    change: int  #: the LedgerState.change that the cells in it were found under
    now_us: int
    bookings: list[Booking]
    gives: list[Give]
    asks: list[Ask]


class Drawn(IntEnum):
    """What came of an ask."""

    NO = 0  #: short in some cell or pool, also if others gave back all that they may have to spare
    GRANTED = 1
    WAIT = 2  #: short, but others may have enough to spare: they were asked for it


@dataclass(slots=True, kw_only=True)
class Reply:
    """What an exchange did.

    `cells` has every cell that a booking, give or ask of the batch named and that exists.
    """

    bookings: list[Booked | Known | Refused]
    asks: list[Drawn]
    cells: dict[int, CellRow]
    alive: int = 1  #: holders that are not buried, the asking one among them
    warnings: tuple[int, ...] = ()  #: rows of the thresholds that its events crossed
