"""Meant: which customer, resource or currency a single change is about.

Here: finding it, with the named error where it is not there, or is not one.
Not here: what a request for credits means (holder/trees.py).
"""

from stiggctl.definitions import AN_ID, is_id
from stiggctl.errors import (
    AmbiguousResource,
    CurrencyNotFound,
    CustomerNotFound,
    InvalidRequest,
    ResourceNotFound,
)
from stiggctl.ledger import Reader
from stiggctl.ledger.records import CurrencyRow, CustomerRow, ResourceRow


def customer_meant(reader: Reader, customer_id: str) -> CustomerRow:
    """The customer of that id. Raises CustomerNotFound."""
    _need_id("customer_id", customer_id)
    found = reader.customers([customer_id])
    if not found:
        raise CustomerNotFound(customer_id=customer_id)
    return found[0]


def currency_meant(reader: Reader, currency_id: str) -> CurrencyRow:
    """The credit currency of that id. Raises CurrencyNotFound."""
    _need_id("credit_currency", currency_id)
    rows = {row.currency_id: row for row in reader.currencies()}
    if currency_id not in rows:
        raise CurrencyNotFound(credit_currency=currency_id, known=tuple(sorted(rows)))
    return rows[currency_id]


def owner_meant(reader: Reader, resource_id: str, *, where: str = "resource_id") -> str | None:
    """The one customer that has such a resource; None where none has. Raises AmbiguousResource."""
    _need_id(where, resource_id)
    having = sorted(reader.customers_with([resource_id]).get(resource_id, ()))
    if len(having) > 1:
        raise AmbiguousResource(resource_ids=(resource_id,), customer_ids=tuple(having))
    return having[0] if having else None


def resource_meant(
    reader: Reader, resource_id: str, customer_id: str | None, *, where: str = "resource_id"
) -> tuple[CustomerRow, ResourceRow]:
    """The resource of that customer; without one, of the only customer that has it.

    Raises ResourceNotFound, AmbiguousResource, CustomerNotFound.
    """
    _need_id(where, resource_id)
    if customer_id is None:
        customer_id = owner_meant(reader, resource_id, where=where)
    if customer_id is None:
        raise ResourceNotFound(resource_ids=(resource_id,), customer_id=None)
    customer = customer_meant(reader, customer_id)
    for row in reader.lineage(customer.id, [resource_id]):
        if row.resource_id == resource_id:
            return customer, row
    raise ResourceNotFound(resource_ids=(resource_id,), customer_id=customer_id)


def _need_id(where: str, value: object) -> None:
    if not is_id(value):
        raise InvalidRequest(where=where, value=value, expected=AN_ID)
