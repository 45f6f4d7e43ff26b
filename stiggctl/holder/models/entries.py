"""Entries: a model's entries as the ledger's rows have them, and how people are told of them.

Here: rows to definitions, definitions to the JSON that rows keep, names and audit texts.
Not here: which entries change (planning.py), who reads and writes rows (ledger/).
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from stiggctl.amounts import to_amount
from stiggctl.definitions import Property, Rate, RateTerm, ResourceType, Value, json_text, json_value, plain
from stiggctl.ledger.records import (
    AllocationRow,
    AllocationWrite,
    CurrencyRow,
    CurrencyWrite,
    CustomerRow,
    CustomerWrite,
    RateRow,
    RateWrite,
    ResourceRow,
    ResourceWrite,
    TypeRow,
    TypeWrite,
)
from stiggctl.windows import to_text

# ------------------------------------------------------------------ names


def _shown(name: str) -> str:
    """An id in a line of text: as it is, or quoted where one would not see where it ends."""
    return name if name.isprintable() and name == name.strip() else repr(name)


def customer_name(customer_id: str) -> str:
    """Customer cust-acme-inc."""
    return f"customer {_shown(customer_id)}"


def currency_name(currency_id: str) -> str:
    """Credit currency ai-tokens."""
    return f"credit currency {_shown(currency_id)}"


def type_name(type_id: str) -> str:
    """Resource type user."""
    return f"resource type {_shown(type_id)}"


def resource_name(resource_id: str) -> str:
    """Resource user-01."""
    return f"resource {_shown(resource_id)}"


def allocation_name(allocation_id: str | None, resource_id: str, currency_id: str) -> str:
    """Allocation of ai-tokens on user-01; or by the id that it has."""
    if allocation_id is not None:
        return f"allocation {_shown(allocation_id)}"
    return f"allocation of {_shown(currency_id)} on {_shown(resource_id)}"


def rate_name(event_name: str, currency_id: str) -> str:
    """Rate of email_enrichment in ai-tokens."""
    return f"rate of {_shown(event_name)} in {_shown(currency_id)}"


def of_customer(name: str, customer_id: str | None) -> str:
    """The name, with whose it is."""
    return name if customer_id is None else f"{name} of {_shown(customer_id)}"


# ------------------------------------------------------------------ what rows keep


def properties_text(properties: Mapping[str, Value]) -> str:
    """A resource's properties in one form, whatever their order: equal ones have equal texts."""
    return json_text(dict(sorted(properties.items()))) if properties else "{}"


def properties_of(text: str) -> dict[str, Value]:
    """The properties of a resource's row."""
    found: dict[str, Value] = json_value(text) if text != "{}" else {}
    return found


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
    return _entry(
        id=row.customer_id,
        name=row.name,
        archivedAt=None if row.archived_at_us is None else to_text(row.archived_at_us),
    )


def currency_entry(row: CurrencyRow | CurrencyWrite) -> str:
    """A credit currency as JSON."""
    return _entry(id=row.currency_id, name=row.name, decimals=row.decimals)


def type_entry(row: TypeRow | TypeWrite) -> str:
    """A resource type as JSON."""
    return _entry(
        id=row.type_id,
        name=row.name,
        customerId=row.customer_id,
        parentResourceTypeId=row.parent_type_id,
        attributionKeys=row.attribution_keys,
        properties=json_value(row.properties),
    )


def allocation_entry(
    customer_id: str, row: AllocationRow | AllocationWrite, currency_id: str, decimals: int
) -> str:
    """An allocation as JSON."""
    return _entry(
        id=row.allocation_id,
        resourceId=row.resource_id,
        creditCurrency=currency_id,
        customerId=customer_id,
        limit=to_amount(row.limit_units, decimals),
        enforcementType=row.enforcement,
    )


def rate_entry(row: RateRow | RateWrite, currency_id: str) -> str:
    """A rate as JSON."""
    return _entry(
        eventName=row.event_name,
        creditCurrency=currency_id,
        customerId=row.customer_id,
        credits=row.credits,
        terms=json_value(row.terms),
    )


def _entry(**fields: object) -> str:
    return json_text({key: value for key, value in fields.items() if value is not None})
