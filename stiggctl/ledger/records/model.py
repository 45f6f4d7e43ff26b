"""Model: the rows of what is limited and priced, as they are read.

Here: each part of the model as a record. Not here: rows as they are to be written (writes.py).
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple


class LedgerState(NamedTuple):
    """The one row of `ledger`."""

    id: str
    schema_version: int
    model_version: int  #: raised by what is for all customers
    change: int  #: raised by every model change


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
    thresholds: str = "[]"  #: JSON: hundredths of a percent, ascending


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
    effective_at_us: int | None  #: None: from when it was put
    expires_at_us: int
    put_at_us: int | None  #: when it got the limit that it says; None: before that was kept


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
class PriceRow:
    """What tokens of a model cost by contract. A changed price is a new row; the old one is retired."""

    id: int
    customer_id: str | None  #: None: for all
    provider: str | None  #: None: whoever serves it
    model: str
    per_million: str  #: JSON: {class of tokens: a decimal number as text}, sorted
    each: str  #: JSON: the same, of requests and searches
    effective_at_us: int | None
    expires_at_us: int | None


@dataclass(slots=True, kw_only=True)
class GrantRow:
    """Prepaid credits of a customer. Once granted it stays a row: one that was voided, too."""

    id: int
    customer: int
    grant_id: str
    currency: int
    amount_units: int  #: of a recurring one: in each window
    priority: int  #: a lower one burns first
    kind: Literal["PAID", "PROMOTIONAL"]
    effective_at_us: int | None
    expires_at_us: int | None
    cadence: str | None  #: a fresh amount in each window; None: it does not recur
    timezone: str
    anchor_us: int | None
    voided_at_us: int | None
    thresholds: str = "[]"  #: as in AllocationRow


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
