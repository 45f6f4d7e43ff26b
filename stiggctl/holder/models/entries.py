"""Entries: a model's entries as the ledger's rows have them, and how people are told of them.

Here: rows to definitions, definitions to the JSON that rows keep, names and audit texts.
Not here: allocations, overrides and grants (in modules of their names), which entries change
(planning.py), who reads and writes rows (ledger/).
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from decimal import Decimal
from functools import lru_cache
from typing import Any, TypeVar

from stiggctl.amounts import LIMIT_MAX, to_amount, to_units
from stiggctl.definitions import (
    Property,
    Rate,
    RateTerm,
    ResourceType,
    Value,
    json_text,
    json_value,
    plain,
    threshold_of_units,
    units_of_threshold,
)
from stiggctl.ledger.records import (
    AllocationWrite,
    CurrencyRow,
    CurrencyWrite,
    CustomerRow,
    CustomerWrite,
    GrantWrite,
    OverrideWrite,
    RateRow,
    RateWrite,
    ResourceRow,
    ResourceWrite,
    TypeRow,
    TypeWrite,
)
from stiggctl.windows import to_text

_Limit = TypeVar("_Limit", AllocationWrite, OverrideWrite, GrantWrite)

# As many values of a scope as a name is still one with.
_VALUES_SHOWN = 3
# A model of a hundred thousand limits has a few scopes; what is forgotten is made again.
_TEXTS_KEPT = 1_024

# ------------------------------------------------------------------ names


def shown_id(name: str) -> str:
    """An id in a line of text: as it is, or quoted where one would not see where it ends."""
    return name if name.isprintable() and name == name.strip() else repr(name)


def customer_name(customer_id: str) -> str:
    """Customer cust-acme-inc."""
    return f"customer {shown_id(customer_id)}"


def currency_name(currency_id: str) -> str:
    """Credit currency ai-tokens."""
    return f"credit currency {shown_id(currency_id)}"


def type_name(type_id: str) -> str:
    """Resource type user."""
    return f"resource type {shown_id(type_id)}"


def resource_name(resource_id: str) -> str:
    """Resource user-01."""
    return f"resource {shown_id(resource_id)}"


def rate_name(row: RateRow | RateWrite, currency_id: str) -> str:
    """Rate of chat in usd (from 2026-02-01T00:00:00Z, model gpt-5)."""
    begins = None if row.effective_at_us is None else f"from {to_text(row.effective_at_us)}"
    how = how_shown(begins, row.where)
    return f"rate of {shown_id(row.event_name)} in {shown_id(currency_id)}{how}"


@lru_cache(maxsize=_TEXTS_KEPT)
def filter_shown(text: str) -> str:
    """A scope or a `where` in a line of text: model gpt-5 or o4, tier GOLD."""
    shown = []
    for name, values in (filter_of(text) or {}).items():
        more = len(values) - _VALUES_SHOWN
        listed = " or ".join(map(shown_id, values[:_VALUES_SHOWN])) + (f" or {more} more" if more > 0 else "")
        shown.append(f"{shown_id(name)} {listed}")
    return ", ".join(shown)


def how_shown(cadence: str | None, scope: str, *, rolling: bool = False) -> str:
    """How a limit counts, behind what it is on: (rolling P1D, model gpt-5)."""
    parts = [part for part in (f"rolling {cadence}" if rolling else cadence, filter_shown(scope)) if part]
    return f" ({', '.join(parts)})" if parts else ""


def of_customer(name: str, customer_id: str | None) -> str:
    """The name, with whose it is."""
    return name if customer_id is None else f"{name} of {shown_id(customer_id)}"


# ------------------------------------------------------------------ what rows keep


def properties_text(properties: Mapping[str, Value]) -> str:
    """A resource's properties in one form, whatever their order: equal ones have equal texts."""
    return json_text(dict(sorted(properties.items()))) if properties else "{}"


def properties_of(text: str) -> dict[str, Value]:
    """The properties of a resource's row."""
    found: dict[str, Value] = json_value(text) if text != "{}" else {}
    return found


def filter_of(text: str) -> dict[str, tuple[str, ...]] | None:
    """A scope or a `where` that a row keeps."""
    return None if text == "{}" else {name: tuple(values) for name, values in json_value(text).items()}


def thresholds_text(thresholds: Iterable[int | Decimal]) -> str:
    """Thresholds, as rows keep them: in hundredths of a percent."""
    return json_text([units_of_threshold(one) for one in thresholds])


def thresholds_of(text: str) -> tuple[int | Decimal, ...]:
    """The thresholds that a row keeps."""
    return () if text == "[]" else tuple(map(threshold_of_units, json_value(text)))


def instant_text(at_us: int | None) -> str | None:
    """An instant of a row, as a model says it."""
    return None if at_us is None else to_text(at_us)


def schema_text(properties: Mapping[str, Property]) -> str:
    """A type's properties, as its row keeps them."""
    return json_text({name: schema.as_dict() for name, schema in properties.items()})


def type_of(row: TypeRow) -> ResourceType:
    """The type that a row keeps."""
    return ResourceType(
        id=row.type_id,
        name=row.name,
        customer_id=row.customer_id,
        parent_resource_type_id=row.parent_type_id,
        attribution_keys=row.attribution_keys,
        properties={
            name: Property(type=each["type"], required=each["required"], values=each.get("values"))
            for name, each in json_value(row.properties).items()
        },
    )


def number_text(number: int | Decimal | str) -> str:
    """A number of a rate in one form: "0.5" for "0.50", ".5e0" and Decimal("0.5")."""
    return plain(Decimal(number))


def terms_text(rate: Rate) -> str:
    """A rate's terms, as its row keeps them."""
    return json_text(
        [
            {
                "dimension": term.dimension,
                "credits": number_text(term.credits),
                "per": number_text(term.per),
            }
            for term in rate.terms
        ]
    )


def terms_of(text: str) -> tuple[RateTerm, ...]:
    """The terms that a rate's row keeps."""
    return tuple(
        RateTerm(dimension=each["dimension"], credits=number(each["credits"]), per=number(each["per"]))
        for each in json_value(text)
    )


def number(text: str) -> int | Decimal:
    """A number of a row: an int where it is one."""
    return Decimal(text) if "." in text else int(text)


# ------------------------------------------------------------------ what an audit line says


def resource_entry(customer_id: str, row: ResourceRow | ResourceWrite) -> str:
    """A resource as JSON, as a model would say it, and what no model says: archived, suspended."""
    entry: dict[str, Any] = {"id": row.resource_id, "resourceTypeId": row.type_id, "customerId": customer_id}
    if row.parent_resource_id is not None:
        entry["parentResourceId"] = row.parent_resource_id
    if row.name is not None:
        entry["name"] = row.name
    if row.archived_at_us is not None:
        entry["archivedAt"] = to_text(row.archived_at_us)
    # These two are JSON already: to read and write them again would take most of the time.
    inner = "" if row.properties == "{}" else f',"properties":{row.properties}'
    inner += "" if row.suspension is None else f',"suspension":{row.suspension}'
    return f"{json_text(entry)[:-1]}{inner}}}"


def customer_entry(row: CustomerRow | CustomerWrite) -> str:
    """A customer as JSON."""
    return entry_text(
        id=row.customer_id,
        name=row.name,
        archivedAt=instant_text(row.archived_at_us),
    )


def currency_entry(row: CurrencyRow | CurrencyWrite) -> str:
    """A credit currency as JSON."""
    return entry_text(id=row.currency_id, name=row.name, decimals=row.decimals)


def type_entry(row: TypeRow | TypeWrite) -> str:
    """A resource type as JSON."""
    return entry_text(
        id=row.type_id,
        name=row.name,
        customerId=row.customer_id,
        parentResourceTypeId=row.parent_type_id,
        attributionKeys=row.attribution_keys,
        properties=json_value(row.properties),
    )


def rate_entry(row: RateRow | RateWrite, currency_id: str) -> str:
    """A rate as JSON."""
    return entry_text(
        eventName=row.event_name,
        creditCurrency=currency_id,
        customerId=row.customer_id,
        where=filter_of(row.where),
        credits=row.credits,
        terms=json_value(row.terms),
        effectiveAt=instant_text(row.effective_at_us),
    )


def entry_text(**fields: object) -> str:
    """An entry as JSON; what is None is left out."""
    return json_text({key: value for key, value in fields.items() if value is not None})


def in_decimals(write: _Limit, former: int, decimals: int) -> _Limit:
    """The same amounts in a currency that gets other decimals."""
    if former == decimals:
        return write
    units: dict[str, Any] = {
        name: to_units(to_amount(value, former), decimals, name, maximum=LIMIT_MAX)
        for name in ("limit_units", "add_units", "amount_units")
        if (value := getattr(write, name, None)) is not None
    }
    return replace(write, **units)
