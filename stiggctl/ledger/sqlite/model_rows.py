"""Model rows: the model as it stands, from rows to records.

Here: reading definitions, resources, allocations, overrides, grants, rates, prices and the audit.
Not here: in which snapshot (reading.py), what the rows mean together (holder/models.py, definitions).
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from stiggctl.ledger.records import (
    AllocationRow,
    AuditLine,
    CurrencyRow,
    CustomerRow,
    GrantRow,
    LedgerState,
    OverrideRow,
    PriceRow,
    RateRow,
    ResourceRow,
    TypeRow,
)
from stiggctl.ledger.sqlite.statements import SQL
from stiggctl.ledger.sqlite.sums import Rows


def state(rows: Rows) -> LedgerState:
    """The ledger's one row."""
    [row] = rows(SQL["state"], {})
    return LedgerState(*row)


def currencies(rows: Rows) -> list[CurrencyRow]:
    """All of them."""
    return [
        CurrencyRow(id=id_, currency_id=currency_id, name=name, decimals=decimals)
        for id_, currency_id, name, decimals in rows(SQL["currencies"], {})
    ]


def customers(rows: Rows, customer_ids: Sequence[str] | None, most: int | None) -> list[CustomerRow]:
    """Those named that exist; None: all. At most so many."""
    asked: dict[str, object] = {"most": -1 if most is None else most}
    if customer_ids is None:
        found = rows(SQL["customers"], asked)
    else:
        asked["customer_ids"] = json.dumps(list(customer_ids))
        found = rows(SQL["customers_named"], asked)
    return [
        CustomerRow(
            id=id_, customer_id=customer_id, name=name, model_version=version, archived_at_us=archived_at_us
        )
        for id_, customer_id, name, version, archived_at_us in found
    ]


def customers_with(rows: Rows, resource_ids: Sequence[str]) -> dict[str, set[str]]:
    """Who has a resource of that id."""
    who: dict[str, set[str]] = {}
    for resource_id, customer_id in rows(
        SQL["customers_with"], {"resource_ids": json.dumps(list(resource_ids))}
    ):
        who.setdefault(resource_id, set()).add(customer_id)
    return who


def types(rows: Rows) -> list[TypeRow]:
    """All of them."""
    return [
        TypeRow(
            id=id_,
            customer_id=customer_id,
            type_id=type_id,
            name=name,
            parent_type_id=parent_type_id,
            attribution_keys=tuple(json.loads(attribution_keys)),
            properties=properties,
        )
        for id_, customer_id, type_id, name, parent_type_id, attribution_keys, properties in rows(
            SQL["types"], {}
        )
    ]


def resources(found: Iterable[tuple[Any, ...]]) -> Iterator[ResourceRow]:
    """From rows as `resources` and `resources_by_row` select them."""
    for row in found:
        (id_, customer, resource_id, type_, type_id, parent, parent_resource_id, name, properties,
         archived_at_us, suspension) = row  # fmt: skip
        yield ResourceRow(
            id=id_,
            customer=customer,
            resource_id=resource_id,
            type=type_,
            type_id=type_id,
            parent=parent,
            parent_resource_id=parent_resource_id,
            name=name,
            properties=properties,
            archived_at_us=archived_at_us,
            suspension=suspension,
        )


def resources_by_row(rows: Rows, ids: Sequence[int]) -> list[ResourceRow]:
    """In the order of the ids."""
    return list(resources(rows(SQL["resources_by_row"], {"rows": json.dumps(list(ids))})))


def lineage(rows: Rows, customer: int, resource_ids: Sequence[str]) -> list[ResourceRow]:
    """Those named and all their ancestors, ancestors first."""
    asked = {"customer": customer, "resource_ids": json.dumps(list(resource_ids))}
    return resources_by_row(rows, [id_ for (id_,) in rows(SQL["ids_of_lineage"], asked)])


def named(rows: Rows, customer: int | None, resource_ids: Sequence[str]) -> list[ResourceRow]:
    """Those named, ancestors first."""
    asked = {"customer": customer, "resource_ids": json.dumps(list(resource_ids))}
    return resources_by_row(rows, [id_ for (id_,) in rows(SQL["ids_named"], asked)])


# Deeper than any tree: a cycle, which no model can make, would not be walked for ever.
_DEPTH_MAX = 100_000


def subtree(rows: Rows, customer: int, resource_id: str, depth: int | None) -> list[ResourceRow]:
    """It and everything below it, to that depth, ancestors first."""
    asked = {
        "customer": customer,
        "resource_id": resource_id,
        "depth": _DEPTH_MAX if depth is None else min(depth, _DEPTH_MAX),
    }
    return resources_by_row(rows, [id_ for (id_,) in rows(SQL["ids_below"], asked)])


def allocations(rows: Rows, customer: int | None, on: Sequence[int] | None) -> list[AllocationRow]:
    """Those of a customer, on those resources."""
    if on is not None:
        found = rows(SQL["allocations_on"], {"resources": json.dumps(sorted(set(on)))})
    elif customer is not None:
        found = rows(SQL["allocations_of"], {"customer": customer})
    else:
        found = rows(SQL["allocations"], {})
    return [_allocation(row) for row in found if customer is None or row[1] == customer]


def templates(rows: Rows, customer: int) -> list[AllocationRow]:
    """The customer's and those for all."""
    return [_allocation(row) for row in rows(SQL["templates"], {"customer": customer})]


def _allocation(row: tuple[Any, ...]) -> AllocationRow:
    (id_, customer, allocation_id, resource, resource_id, type_, type_id, where, currency, lim, enforcement,
     cadence, timezone, anchor_us, rolling, scope, effective_at_us, expires_at_us,
     thresholds) = row  # fmt: skip
    return AllocationRow(
        id=id_,
        customer=customer,
        allocation_id=allocation_id,
        resource=resource,
        resource_id=resource_id or "",
        type=type_,
        type_id=type_id,
        where=where,
        currency=currency,
        limit_units=lim,
        enforcement=enforcement,
        cadence=cadence,
        timezone=timezone,
        anchor_us=anchor_us,
        rolling=bool(rolling),
        scope=scope,
        effective_at_us=effective_at_us,
        expires_at_us=expires_at_us,
        thresholds=thresholds,
    )


def scoped_dimensions(rows: Rows, customer: int) -> tuple[str, ...]:
    """The names in all scopes, each once."""
    scopes = rows(SQL["scopes_of"], {"customer": customer})
    return tuple(sorted({name for (scope,) in scopes for name in json.loads(scope)}))


def overrides(rows: Rows, customer: int | None, on: Sequence[int] | None) -> list[OverrideRow]:
    """Those of a customer, on those resources."""
    if on is not None:
        found = rows(SQL["overrides_on"], {"resources": json.dumps(sorted(set(on)))})
    else:
        found = rows(SQL["overrides"], {"customer": customer})
    return [
        OverrideRow(
            id=id_,
            customer=owner,
            resource=resource,
            resource_id=resource_id,
            currency=currency,
            cadence=cadence,
            scope=scope,
            limit_units=lim,
            add_units=add_units,
            reason=reason,
            actor=actor,
            effective_at_us=effective_at_us,
            expires_at_us=expires_at_us,
            put_at_us=put_at_us,
        )
        for id_, owner, resource, resource_id, currency, cadence, scope, lim, add_units, reason, actor,
            effective_at_us, expires_at_us, put_at_us in found
        if customer is None or owner == customer
    ]  # fmt: skip


def grants(rows: Rows, customer: int | None, since_us: int | None) -> list[GrantRow]:
    """All, or a customer's, in the order of their rows."""
    name = "grants" if customer is None else "grants_of" if since_us is None else "grants_since"
    return _grants(rows(SQL[name], {"customer": customer, "since_us": since_us}))


def grants_expiring(rows: Rows, since_us: int, until_us: int) -> list[GrantRow]:
    """Those that expire in a time, and of which nobody was warned."""
    return _grants(rows(SQL["grants_expiring"], {"since_us": since_us, "until_us": until_us}))


def _grants(found: Iterable[tuple[Any, ...]]) -> list[GrantRow]:
    return [
        GrantRow(
            id=id_,
            customer=owner,
            grant_id=grant_id,
            currency=currency,
            amount_units=amount_units,
            priority=priority,
            kind=kind,
            effective_at_us=effective_at_us,
            expires_at_us=expires_at_us,
            cadence=cadence,
            timezone=timezone,
            anchor_us=anchor_us,
            voided_at_us=voided_at_us,
            thresholds=thresholds,
        )
        for id_, owner, grant_id, currency, amount_units, priority, kind, effective_at_us, expires_at_us,
            cadence, timezone, anchor_us, voided_at_us, thresholds
        in found
    ]  # fmt: skip


def rates(rows: Rows, event_name: str | None) -> list[RateRow]:
    """The live ones."""
    return list(map(_rate, rows(SQL["rates"], {"event_name": event_name})))


def rate(rows: Rows, rate: int) -> RateRow:
    """By its row; the retired ones too."""
    [found] = rows(SQL["rate_by_row"], {"rate": rate})
    return _rate(found)


def _rate(row: tuple[Any, ...]) -> RateRow:
    id_, customer_id, name, currency, where, credits_, terms, effective_at_us = row
    return RateRow(
        id=id_,
        customer_id=customer_id,
        event_name=name,
        currency=currency,
        where=where,
        credits=credits_,
        terms=terms,
        effective_at_us=effective_at_us,
    )


def prices(rows: Rows) -> list[PriceRow]:
    """The live ones."""
    return [
        PriceRow(
            id=id_,
            customer_id=customer_id,
            provider=provider,
            model=model,
            per_million=per_million,
            each=each,
            effective_at_us=effective_at_us,
            expires_at_us=expires_at_us,
        )
        for id_, customer_id, provider, model, per_million, each, effective_at_us, expires_at_us in rows(
            SQL["prices"], {}
        )
    ]


def audit(found: Iterable[tuple[Any, ...]]) -> Iterator[AuditLine]:
    """From rows as `audit` selects them."""
    for at_us, customer_id, actor, reason, verb, subject, before, after in found:
        yield AuditLine(
            at_us=at_us,
            customer_id=customer_id,
            actor=actor,
            reason=reason,
            verb=verb,
            subject=subject,
            before=before,
            after=after,
        )
