"""Single changes that a model of one entry can say: put, define, set, override, grant, move.

Here: the entry, and whose it is, with the named error where what it stands on is not there.
Not here: any rule of what an entry may be: each goes through the plan that every model goes
through (planning.py); what no model says (marks.py, ending.py).

Each verb's name and its stamp's verb are the same word: it stands in the audit.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from stiggctl.definitions import Applied, draft_of, is_id
from stiggctl.errors import InvalidRequest
from stiggctl.holder.models import entries
from stiggctl.holder.models.meant import (
    currency_meant,
    customer_meant,
    only_customer,
    owner_meant,
    resource_meant,
)
from stiggctl.holder.models.planning import Plan
from stiggctl.holder.models.writing import Stamp
from stiggctl.ledger import Reader
from stiggctl.ledger.records import ModelChange
from stiggctl.windows import to_text

Planned = tuple[ModelChange, Applied]


def put_customer(reader: Reader, stamp: Stamp, *, customer_id: str, name: str | None = None) -> Planned:
    """A customer as it is to stand; an archived one is restored. Raises InvalidModel."""
    return _one(reader, stamp, "customers", {"id": customer_id, "name": name})


def define_resource_type(
    reader: Reader,
    stamp: Stamp,
    *,
    resource_type_id: str,
    name: str | None = None,
    parent_resource_type_id: str | None = None,
    attribution_keys: Sequence[str] | None = None,
    properties: Mapping[str, Any] | None = None,
    customer_id: str | None = None,
) -> Planned:
    """A resource type as it is to stand: of a customer, or for all.

    Raises CustomerNotFound; InvalidModel, also where it does not fit the resources that there are.
    """
    if customer_id is not None:
        customer_meant(reader, customer_id)
    entry: dict[str, object] = {
        "id": resource_type_id,
        "name": name,
        "customer_id": customer_id,
        "parent_resource_type_id": parent_resource_type_id,
        "properties": {} if properties is None else properties,
    }
    if attribution_keys is not None:
        entry["attribution_keys"] = attribution_keys
    return _one(reader, stamp, "resource_types", entry)


def put_resource(
    reader: Reader,
    stamp: Stamp,
    *,
    resource_id: str,
    resource_type_id: str,
    parent_resource_id: str | None = None,
    customer_id: str | None = None,
    name: str | None = None,
    properties: Mapping[str, Any] | None = None,
) -> Planned:
    """A resource as it is to stand; an archived one is restored.

    Without `customer_id` it is its parent's, else that of the one customer that has it already.
    Raises ResourceNotFound for the parent, AmbiguousResource, CustomerNotFound, InvalidModel.
    """
    if parent_resource_id is not None:
        customer, _ = resource_meant(reader, parent_resource_id, customer_id, where="parent_resource_id")
        customer_id = customer.customer_id
    elif customer_id is None and is_id(resource_id):
        customer_id = owner_meant(reader, resource_id)
    entry = {
        "id": resource_id,
        "resource_type_id": resource_type_id,
        "parent_resource_id": parent_resource_id,
        "customer_id": customer_id,
        "name": name,
        "properties": {} if properties is None else properties,
    }
    return _one(reader, stamp, "resources", entry)


def move_resource(
    reader: Reader,
    stamp: Stamp,
    *,
    resource_id: str,
    parent_resource_id: str | None,
    customer_id: str | None = None,
) -> Planned:
    """The resource, and with it all below it, under another parent (None: as a root).

    What is archived stays so. Raises ResourceNotFound for either, AmbiguousResource; InvalidModel
    where the parent is of another type than the resource's type names, or stands below it.
    """
    customer, row = resource_meant(reader, resource_id, customer_id)
    if parent_resource_id is not None:
        resource_meant(reader, parent_resource_id, customer.customer_id, where="parent_resource_id")
    entry = {
        "id": row.resource_id,
        "resource_type_id": row.type_id,
        "parent_resource_id": parent_resource_id,
        "customer_id": customer.customer_id,
        "name": row.name,
        "properties": entries.properties_of(row.properties),
    }
    return _one(reader, stamp, "resources", entry, keeps_archived=True)


def set_allocation(
    reader: Reader,
    stamp: Stamp,
    *,
    resource_id: str | None = None,
    credit_currency: str,
    customer_id: str | None = None,
    allocation_id: str | None = None,
    **fields: object,
) -> Planned:
    """A limit on a resource, or with `resource_type_id` a template; `fields` are an allocation's own.

    Raises ResourceNotFound, AmbiguousResource, CustomerNotFound, InvalidModel.
    """
    if resource_id is not None:
        customer, _ = resource_meant(reader, resource_id, customer_id)
        customer_id = customer.customer_id
    elif customer_id is not None:
        customer_meant(reader, customer_id)
    entry = {
        "id": allocation_id,
        "resource_id": resource_id,
        "credit_currency": credit_currency,
        "customer_id": customer_id,
        **fields,
    }
    return _one(reader, stamp, "allocations", entry)


def override_limit(
    reader: Reader,
    stamp: Stamp,
    *,
    resource_id: str,
    credit_currency: str,
    until_us: int,
    since_us: int | None = None,
    customer_id: str | None = None,
    **fields: object,
) -> Planned:
    """Another limit for a while, or so much more of it; who and why stand in the stamp.

    Raises ResourceNotFound, AmbiguousResource, CustomerNotFound, CurrencyNotFound, InvalidModel,
    and InvalidRequest where `until_us` is not later than the stamp.
    """
    if until_us <= stamp.at_us:
        expected = f"an instant after now, {to_text(stamp.at_us)}"
        raise InvalidRequest(where="until", value=to_text(until_us), expected=expected)
    customer, _ = resource_meant(reader, resource_id, customer_id)
    currency_meant(reader, credit_currency)
    entry = {
        "resource_id": resource_id,
        "credit_currency": credit_currency,
        "customer_id": customer.customer_id,
        "reason": stamp.reason,
        "actor": stamp.actor,
        "effective_at": None if since_us is None else to_text(since_us),
        "expires_at": to_text(until_us),
        **fields,
    }
    return _one(reader, stamp, "overrides", entry)


def set_rate(
    reader: Reader,
    stamp: Stamp,
    *,
    event_name: str,
    credit_currency: str,
    customer_id: str | None = None,
    **fields: object,
) -> Planned:
    """What an event costs in a currency; `fields` are a rate's own.

    Raises CurrencyNotFound, CustomerNotFound, InvalidModel.
    """
    if customer_id is not None:
        customer_meant(reader, customer_id)
    currency_meant(reader, credit_currency)
    entry = {
        "event_name": event_name,
        "credit_currency": credit_currency,
        "customer_id": customer_id,
        **fields,
    }
    return _one(reader, stamp, "rates", entry)


def set_price(
    reader: Reader, stamp: Stamp, *, model: str, customer_id: str | None = None, **fields: object
) -> Planned:
    """What tokens of a model cost by contract; `fields` are a price's own.

    Raises CustomerNotFound, InvalidModel.
    """
    if customer_id is not None:
        customer_meant(reader, customer_id)
    given = {name: value for name, value in fields.items() if value is not None}
    return _one(reader, stamp, "prices", {"model": model, "customer_id": customer_id, **given})


def grant_credits(
    reader: Reader,
    stamp: Stamp,
    *,
    grant_id: str,
    credit_currency: str,
    customer_id: str | None = None,
    **fields: object,
) -> Planned:
    """Prepaid credits of a customer, which it makes if nobody has; `fields` are a grant's own.

    Raises InvalidModel; InvalidRequest where no customer is named and there is not just one.
    """
    if customer_id is None and (customer_id := only_customer(reader)) is None:
        expected = "a customer's id; it may be left out where there is one customer"
        raise InvalidRequest(where="customer_id", value=None, expected=expected)
    entry = {"id": grant_id, "credit_currency": credit_currency, "customer_id": customer_id, **fields}
    return _one(reader, stamp, "grants", entry)


def _one(
    reader: Reader,
    stamp: Stamp,
    listed_in: str,
    entry: Mapping[str, object],
    *,
    keeps_archived: bool = False,
) -> Planned:
    draft = draft_of({listed_in: [entry]})
    writing = Plan(draft, reader, stamp, keeps_archived=keeps_archived).write()
    return writing.change, writing.applied()
