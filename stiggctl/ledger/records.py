"""Records: what crosses the ledger's border, rows in and rows out.

Here: plain slotted records, all numbers in units of the currency and microseconds since 1970.
Not here: who decides what stands in them (holder/), how they are kept (sqlite/).

`id` in a record is the ledger's row number (int); `resource_id`, `customer_id` and the like
are the texts that people write. No record has behaviour.
"""

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

# Namespaces of idempotency keys: one is the users', one is ours (settle, reverse, no key given).
KEYS_OF_USERS = 0
KEYS_OF_OURS = 1

# Bits of `events.flags`.
LATE = 1
EXPIRED = 2
ESTIMATED = 4
UNBACKED = 8


class LedgerState(NamedTuple):
    """The one row of `ledger`."""

    id: str
    schema_version: int
    model_version: int  #: raised by what is for all customers
    change: int  #: raised by every model change


# ------------------------------------------------------------------ the model, as rows


@dataclass(slots=True, kw_only=True)
class CurrencyRow:
    """A credit currency."""

    id: int
    currency_id: str
    name: str | None
    decimals: int


@dataclass(slots=True, kw_only=True)
class CustomerRow:
    """A customer, and the version of its model."""

    id: int
    customer_id: str
    name: str | None
    model_version: int
    archived_at_us: int | None


@dataclass(slots=True, kw_only=True)
class TypeRow:
    """A resource type; customer_id None: for all customers."""

    id: int
    customer_id: str | None
    type_id: str
    name: str | None
    parent_type_id: str | None
    attribution_keys: tuple[str, ...]
    properties: str  #: JSON: {name: {"type", "required", "values"}}


@dataclass(slots=True, kw_only=True)
class ResourceRow:
    """A resource. `parent` and `type` are row ids; the texts stand beside them."""

    id: int
    customer: int
    resource_id: str
    type: int
    type_id: str
    parent: int | None
    parent_resource_id: str | None
    name: str | None
    properties: str  #: JSON
    archived_at_us: int | None
    suspension: str | None  #: JSON: {"reason", "until_us", "actor", "since_us"}


@dataclass(slots=True, kw_only=True)
class AllocationRow:
    """A limit in a currency: on a resource, or (a template) on each that is of a type and matches.

    Windows, scopes and validity as people wrote them, in one form each: equal ones have equal texts.
    """

    id: int
    customer: int  #: 0: a template for all customers
    allocation_id: str | None
    resource: int  #: 0: a template
    resource_id: str  #: "" of a template
    type: int | None  #: of a template: the row of its resource type
    type_id: str | None
    where: str  #: of a template, JSON: {property: [values]}, sorted; "{}": every resource of the type
    currency: int
    limit_units: int
    enforcement: Literal["HARD", "SOFT"]
    cadence: str | None  #: a single-unit ISO 8601 duration; None: for ever
    timezone: str  #: an IANA zone
    anchor_us: int | None  #: windows are counted from here; None: calendar ones
    rolling: bool
    scope: str  #: JSON: {dimension: [values as text]}, sorted; "{}": every event counts
    effective_at_us: int | None
    expires_at_us: int | None


@dataclass(slots=True, kw_only=True)
class OverrideRow:
    """A temporary change of the limits of a resource in a currency and scope: another, or so much more."""

    id: int
    customer: int
    resource: int
    resource_id: str
    currency: int
    cadence: str | None  #: of the limits it changes; None: of whatever cadence
    scope: str  #: theirs, as in AllocationRow
    limit_units: int | None  #: either this
    add_units: int | None  #: or this
    reason: str | None
    actor: str | None
    effective_at_us: int | None
    expires_at_us: int


@dataclass(slots=True, kw_only=True)
class RateRow:
    """What an event costs in a currency. A changed rate is a new row; the old one is retired."""

    id: int
    customer_id: str | None
    event_name: str
    currency: int
    where: str  #: JSON: {dimension: [values as text]}, sorted; "{}": every event of the name
    credits: str  #: a decimal number
    terms: str  #: JSON: [{"dimension", "credits", "per"}]
    effective_at_us: int | None  #: it prices events that took place from then on


@dataclass(slots=True, kw_only=True)
class AuditLine:
    """Who changed what of the model, when and why."""

    at_us: int
    customer_id: str | None
    actor: str | None
    reason: str | None
    verb: str  #: apply, put_resource, suspend …
    subject: str  #: "resource user-01"
    before: str | None  #: JSON of what was there
    after: str | None  #: JSON of what is there now


@dataclass(slots=True, kw_only=True)
class ResourceWrite:
    """A resource as it is to stand (inserted, or replaced whole by its key)."""

    customer_id: str
    resource_id: str
    type_id: str
    type_customer_id: str | None  #: whose type it is: None, one for all
    parent_resource_id: str | None
    name: str | None
    properties: str
    archived_at_us: int | None
    suspension: str | None


@dataclass(slots=True, kw_only=True)
class AllocationWrite:
    """An allocation as it is to stand.

    Its key: `allocation_id`, else (resource, or type and where; currency, scope, rolling, cadence).
    """

    customer_id: str | None  #: None: a template for all customers
    allocation_id: str | None
    resource_id: str | None  #: None: a template
    type_id: str | None  #: of a template
    type_customer_id: str | None  #: whose type it is: None, one for all
    where: str
    currency_id: str
    limit_units: int
    enforcement: Literal["HARD", "SOFT"]
    cadence: str | None
    timezone: str
    anchor_us: int | None
    rolling: bool
    scope: str
    effective_at_us: int | None
    expires_at_us: int | None


@dataclass(slots=True, kw_only=True)
class OverrideWrite:
    """An override as it is to stand. Its key: (resource, currency, cadence, scope, effective_at_us)."""

    customer_id: str
    resource_id: str
    currency_id: str
    cadence: str | None
    scope: str
    limit_units: int | None
    add_units: int | None
    reason: str | None
    actor: str | None
    effective_at_us: int | None
    expires_at_us: int


@dataclass(slots=True, kw_only=True)
class CustomerWrite:
    """A customer as it is to stand."""

    customer_id: str
    name: str | None
    archived_at_us: int | None


@dataclass(slots=True, kw_only=True)
class CurrencyWrite:
    """A currency as it is to stand. Decimals never change once an event or a cell exists."""

    currency_id: str
    name: str | None
    decimals: int


@dataclass(slots=True, kw_only=True)
class TypeWrite:
    """A resource type as it is to stand."""

    customer_id: str | None
    type_id: str
    name: str | None
    parent_type_id: str | None
    attribution_keys: tuple[str, ...]
    properties: str


@dataclass(slots=True, kw_only=True)
class RateWrite:
    """A rate as it is to stand; a live one of the same key is retired.

    Its key: (customer, event name, currency, where, effective_at_us).
    """

    customer_id: str | None
    event_name: str
    currency_id: str
    where: str
    credits: str
    terms: str
    effective_at_us: int | None


@dataclass(slots=True, kw_only=True)
class ModelChange:
    """All rows that one change of the model writes, in one transaction.

    `expected_change` is the `LedgerState.change` that the writer read before it planned;
    another one by now is Stale, and nothing is written. `for_all` raises the ledger's
    model version too; the customers in `customers_touched` get theirs raised. Resources
    come ancestors first.
    """

    expected_change: int
    at_us: int
    for_all: bool = False
    customers_touched: set[str] = field(default_factory=set)
    currencies: list[CurrencyWrite] = field(default_factory=list)
    customers: list[CustomerWrite] = field(default_factory=list)
    types: list[TypeWrite] = field(default_factory=list)
    types_removed: list[int] = field(default_factory=list)
    resources: list[ResourceWrite] = field(default_factory=list)
    allocations: list[AllocationWrite] = field(default_factory=list)
    allocations_removed: list[int] = field(default_factory=list)
    overrides: list[OverrideWrite] = field(default_factory=list)
    overrides_removed: list[int] = field(default_factory=list)
    rates: list[RateWrite] = field(default_factory=list)
    rates_retired: list[int] = field(default_factory=list)
    audit: list[AuditLine] = field(default_factory=list)


# ------------------------------------------------------------------ usage


@dataclass(slots=True, kw_only=True)
class HolderWrite:
    """A process that enlists."""

    name: str
    host: str
    boot: str
    pid: int
    lock_inode: int
    ttl_max_ms: int


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


class Orphan(NamedTuple):
    """Units that a dead holder held of a cell, withheld until its reservations end."""

    units: int
    until_us: int


class CellRow(NamedTuple):
    """One cell as the ledger has it, seen by one holder.

    `granted` is the asking holder's share (0 for a reader); `others` what living other
    holders were granted; `orphans` what dead ones held, by end, earliest first.
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


class CellKey(NamedTuple):
    """Which cell: an allocation for a resource in the window that starts then (0: for ever)."""

    allocation: int
    resource: int
    window_start_us: int


class CellWanted(NamedTuple):
    """A cell that is needed: until when its window lasts, what it counts, and its limit as of now.

    The limit is the allocation's, or what an override in force makes of it.
    """

    key: CellKey
    window_end_us: int | None  #: None: for ever
    scope: str  #: as in AllocationRow
    limit_units: int


class Part(NamedTuple):
    """What one event costs in one currency, and where that counts.

    `used` of every cell grows by `amount_units`, my share of `cells[at]` falls by `spends[at]`.
    Columns, not a record a cell: an event makes one of these, whatever it counts in.
    """

    currency: int
    amount_units: int
    rate: int | None
    cells: tuple[int, ...]
    spends: tuple[int, ...]


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


@dataclass(slots=True, kw_only=True)
class EventPart:
    """A booked part of an event, with the largest overage over its limits."""

    currency: int
    amount_units: int
    overage_units: int
    rate: int | None


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


class PartBooked(NamedTuple):
    """What one part did to its cells: `used` of each right after it, and its overage there.

    A cell that has been closed is not among them.
    """

    overage_units: int  #: the largest; 0 where it counts nowhere
    cells: tuple[int, ...]
    used_after: list[int]
    overages: list[int]


class Booked(NamedTuple):
    """A booking that was new: it is in the ledger now."""

    event_id: int
    booked_at_us: int
    parts: tuple[PartBooked, ...]


@dataclass(slots=True, kw_only=True)
class Known:
    """A booking whose key was taken; nothing changed. The fingerprints say whether it conflicts."""

    event: EventRow


@dataclass(slots=True, kw_only=True)
class Refused:
    """A booking that would take a counter past its bound; nothing of it was booked."""

    cell: int
    used: int


class Give(NamedTuple):
    """Spare that a holder returns."""

    cell: int
    units: int


class AskCell(NamedTuple):
    """One HARD cell of an ask, and what the asker has spare in it (never negative there)."""

    cell: int
    spare_units: int


@dataclass(slots=True, kw_only=True)
class Ask:
    """A wish for room in all of `cells` at once: `amount_units`, or what fits if >= the minimum.

    `request_units` sizes the surplus: how large one such request is (for a check, whose
    amount is 0, what was asked about).
    """

    cells: tuple[tuple[AskCell, int, int], ...]  #: (cell, amount_units, minimum_units)
    request_units: int


@dataclass(slots=True, kw_only=True)
class Batch:
    """What one exchange carries."""

    holder: int
    change: int  #: the LedgerState.change that the cells in it were found under
    now_us: int
    bookings: list[Booking]
    gives: list[Give]
    asks: list[Ask]


@dataclass(slots=True, kw_only=True)
class Reply:
    """What an exchange did.

    `cells` has every cell that a booking, give or ask of the batch named and that exists.
    """

    bookings: list[Booked | Known | Refused]
    asks: list[bool]  #: granted, or short in some cell
    cells: dict[int, CellRow]


class Difference(NamedTuple):
    """A number in the ledger that is not what its events or shares add up to."""

    what: str  #: "used of cell 7 (allocation 3, resource 'user-01', ai-tokens)"
    stored: int
    computed: int
