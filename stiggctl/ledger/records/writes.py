"""Writes: rows of what is limited and priced as they are to stand, and the change that writes them together.

Here: each part of the model, with the texts that it names; ModelChange. Not here: rows as read (model.py).
"""

from dataclasses import dataclass, field
from typing import Literal

from stiggctl.ledger.records.model import AuditLine


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
    thresholds: str = "[]"


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
class PriceWrite:
    """A contract price as it is to stand; a live one of the same key is retired.

    Its key: (customer, provider, model, effective_at_us).
    """

    customer_id: str | None
    provider: str | None
    model: str
    per_million: str
    each: str
    effective_at_us: int | None
    expires_at_us: int | None


@dataclass(slots=True, kw_only=True)
class GrantWrite:
    """A grant as it is to stand. Its key: (customer, grant_id). What it has paid stays paid."""

    customer_id: str
    grant_id: str
    currency_id: str
    amount_units: int
    priority: int
    kind: Literal["PAID", "PROMOTIONAL"]
    effective_at_us: int | None
    expires_at_us: int | None
    cadence: str | None
    timezone: str
    anchor_us: int | None
    thresholds: str = "[]"


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
    prices: list[PriceWrite] = field(default_factory=list)
    prices_retired: list[int] = field(default_factory=list)
    grants: list[GrantWrite] = field(default_factory=list)
    grants_voided: list[int] = field(default_factory=list)  #: rows; void from `at_us` on
    audit: list[AuditLine] = field(default_factory=list)
