"""Meant: which customer, resource, currency or grant a single change is about.

Here: finding it, with the named error where it is not there, or is not one.
Not here: what a request for credits means (holder/trees.py).
"""

from stiggctl.definitions import AN_ID, is_id
from stiggctl.errors import (
    AmbiguousResource,
    CurrencyNotFound,
    CustomerNotFound,
    GrantNotFound,
    InvalidRequest,
    ResourceNotFound,
    shown,
)
from stiggctl.ledger import Reader
from stiggctl.ledger.records import CurrencyRow, CustomerRow, GrantRow, ResourceRow


def customer_meant(reader: Reader, customer_id: str) -> CustomerRow:
    """The customer of that id. Raises CustomerNotFound."""
    _need_id("customer_id", customer_id)
    found = reader.customers([customer_id])
    if not found:
        raise CustomerNotFound(customer_id=customer_id)
    return found[0]


def only_customer(reader: Reader) -> str | None:
    """The one customer that there is, but for archived ones; None where there are none or several."""
    having = [row.customer_id for row in reader.customers() if row.archived_at_us is None]
    return having[0] if len(having) == 1 else None


def grant_meant(reader: Reader, grant_id: str, customer_id: str | None) -> tuple[CustomerRow, GrantRow]:
    """The grant of that customer; without one, of the only customer that has one of that id.

    Raises GrantNotFound, CustomerNotFound; InvalidRequest where several customers have one.
    """
    _need_id("grant_id", grant_id)
    customers = reader.customers() if customer_id is None else [customer_meant(reader, customer_id)]
    rows = {row.id: row for row in customers}
    whose = None if customer_id is None else customers[0].id
    found = [row for row in reader.grants(whose) if row.grant_id == grant_id]
    if not found:
        raise GrantNotFound(grant_id=grant_id, customer_id=customer_id)
    if len(found) > 1:
        having = ", ".join(sorted(shown(rows[row.customer].customer_id) for row in found))
        expected = f"one of the customers that have a grant {shown(grant_id)}: {having}"
        raise InvalidRequest(where="customer_id", value=customer_id, expected=expected)
    return rows[found[0].customer], found[0]


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
