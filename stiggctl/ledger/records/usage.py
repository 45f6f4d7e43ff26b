"""Usage: cells, events and the processes that write them, as they are read.

Here: what is counted, booked and paid. Not here: what an exchange carries (exchange.py).
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

# Namespaces of idempotency keys: one is the users', one is ours (settle, reverse, no key given).
KEYS_OF_USERS = 0
KEYS_OF_OURS = 1

# Bits of `events.flags`.
LATE = 1
EXPIRED = 2
ESTIMATED = 4
UNBACKED = 8


@dataclass(slots=True, kw_only=True)
class HolderWrite:
    """A process that enlists."""

    name: str
    host: str
    boot: str
    pid: int
    lock_inode: int
    ttl_max_ms: int
    obeys: int = 0  #: the last LedgerState.change that it knows


@dataclass(slots=True, kw_only=True)
class HolderRow:
    """A process that has reserved, consumed or reported; state 0 lives, 1 is buried."""

    id: int
    name: str
    host: str
    boot: str
    pid: int
    lock_inode: int
    state: int
    ttl_max_ms: int
    obeys: int = 0  #: the last LedgerState.change by which it decides


class ShareRow(NamedTuple):
    """What one living holder was granted of a cell."""

    holder: int
    granted: int
    exact: bool  #: it carries no surplus: all of it is held, or on its way back


class HoldingRow(NamedTuple):
    """A share of a holder that is not buried, and what it is of."""

    holder: int
    cell: int
    customer_id: str
    resource_id: str | None  #: None: of a grant
    grant_id: str | None
    currency_id: str
    decimals: int
    window_start_us: int
    granted: int
    exact: bool


class Orphan(NamedTuple):
    """Units that a dead holder held of a cell, withheld until its reservations end."""

    units: int
    until_us: int


class Bucket(NamedTuple):
    """What was used in one bucket of a rolling window."""

    start_us: int
    units: int


class CellRow(NamedTuple):
    """One cell as the ledger has it, seen by one holder.

    `granted` is the asking holder's share (0 for a reader); `others` what other holders that are
    not buried were granted, `hidden` what of that they may have to spare: all but the exact shares.
    `orphans` is what dead ones held, by end, earliest first. Of a grant, `allocation` is its row and
    `resource` 0.
    """

    id: int
    allocation: int
    resource: int
    limit_units: int
    used: int
    granted: int
    exact: bool
    others: int
    orphans: tuple[Orphan, ...]
    #: of a rolling one: its buckets that are not empty, oldest first; they sum to `used`. Told by a
    #: reader, and by the reply to an exchange that asked for room in it; else None.
    buckets: tuple[Bucket, ...] | None = None
    hidden: int = 0
    #: spare of it is asked for by somebody, or was until a moment ago; told by the reply to an exchange
    hushed: bool = False


class CellKey(NamedTuple):
    """Which cell: an allocation for a resource in the window that starts then (0: for ever, or rolling).

    Resource 0: `allocation` is a grant's row; it counts what it has paid.
    """

    allocation: int
    resource: int
    window_start_us: int


class Rolls(NamedTuple):
    """How a rolling cell counts: what took place from `opens_us` on, in buckets of `width_us`.

    It is one cell, whose `opens_us` moves on as buckets leave; and back, where the clock was set back.
    """

    opens_us: int
    width_us: int


class CellWanted(NamedTuple):
    """A cell that is needed: until when its window lasts, what it counts, and its limit as of now.

    The limit is the allocation's, or what an override in force makes of it; of a grant, its amount.
    """

    key: CellKey
    window_end_us: int | None  #: None: for ever, or rolling
    scope: str  #: as in AllocationRow
    limit_units: int
    rolls: Rolls | None = None


@dataclass(slots=True, kw_only=True)
class EventPart:
    """A booked part of an event, with the largest overage over its limits."""

    currency: int
    amount_units: int
    overage_units: int
    rate: int | None
    unbacked: bool = False  #: the customer had a pool, and no grant was open that could pay all of it


@dataclass(slots=True, kw_only=True)
class EventRow:
    """One event as booked; `id` is that of its part 0."""

    id: int
    customer: int
    namespace: int
    key: str
    members: tuple[int, ...]
    parts: tuple[EventPart, ...]
    event_name: str | None
    dimensions: str
    occurred_at_us: int
    booked_at_us: int
    reservation: str | None
    reverses: int | None
    flags: int
    unattributed: str | None
    fingerprint: bytes


class Payment(NamedTuple):
    """What a grant paid of one part of an event; less than 0: what came back to it."""

    part: int
    grant: int  #: its row
    grant_id: str
    units: int


class Apart(StrEnum):
    """What events are summed apart by."""

    NOTHING = "nothing"
    EVENT = "event"  #: their names
    PATH = "path"
    DIMENSION = "dimension"


class Counted(NamedTuple):
    """What a cell counts: the events of a resource in a currency, `since_us` included, `until_us` not.

    Or, of the resource 0, what a grant paid of them.
    """

    resource: int
    grant: int  #: its row; 0: none
    customer: int
    currency: int
    since_us: int
    until_us: int
    scope: str
    width_us: int  #: of a bucket; 0: it has none


class SumsWanted(NamedTuple):
    """Which events are summed, and what apart; None lets all pass."""

    apart: Apart
    dimension: str | None = None  #: with DIMENSION: its name
    resource: int | None = None  #: only what was charged to it or below it
    event_name: str | None = None
    currency: int | None = None


class UsageSum(NamedTuple):
    """What some events of a span sum to in a currency, and how many they are.

    Without a currency wanted an event of several counts once: beside its part 0.
    """

    span: int  #: its place among those that were asked for
    said: str | None  #: the event's name, or the dimension's value as text in its one form; None: it has none
    members: tuple[int, ...]  #: apart by PATH; else none
    currency: int
    units: int
    events: int


#: An event that none comes after.
LATEST = 2**63 - 1


class Spending(NamedTuple):
    """What a limit had counted: up to an event, and as far as it was booked by an instant."""

    customer: int
    resource: int
    currency: int
    since_us: int
    until_us: int
    booked_us: int
    last_event: int = LATEST
    #: a pool's: (grant, since, until) of each, in place of a resource, a currency and a window
    grants: tuple[tuple[int, int, int], ...] | None = None


class Spent(NamedTuple):
    """What was charged to the same resources."""

    members: tuple[int, ...]
    units: int
    events: int


class Difference(NamedTuple):
    """A number in the ledger that is not what its events or shares add up to."""

    what: str  #: "used of cell 7 (allocation 3, resource 'user-01', ai-tokens)"
    stored: int
    computed: int
