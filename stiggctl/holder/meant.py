"""Meant: whom a request means: the customer, and which of its resources are known.

Here: finding them, and what follows where one is unknown. Not here: loading them (trees.py).
"""

from collections.abc import Sequence
from typing import NamedTuple

from stiggctl.answers import AccessDeniedReason, Refusal
from stiggctl.errors import AmbiguousResource, CustomerNotFound, ResourceNotFound
from stiggctl.ledger import Reader
from stiggctl.ledger.records import CustomerRow


class Meant(NamedTuple):
    """Whom a request means; with a refusal where the policy is to deny what is unknown."""

    customer: CustomerRow | None
    ids: tuple[str, ...]
    refusal: Refusal | None


def find_meant(reader: Reader, customer_id: str | None, ids: Sequence[str], unknown_resources: str) -> Meant:
    """The customer and those of the ids that it has.

    `unknown_resources`: "error" raises CustomerNotFound or ResourceNotFound, "deny" returns a
    refusal, "ignore" leaves unknown ids out (one must be known, unless the customer is named).
    Raises AmbiguousResource where several customers have all that are known.
    """
    if customer_id is None:
        return _find_customer(reader, ids, unknown_resources)
    customers = reader.customers([customer_id])
    if not customers:
        if unknown_resources == "deny":
            refusal = Refusal(
                AccessDeniedReason.CUSTOMER_NOT_FOUND, f"customer {customer_id}", "does not exist"
            )
            return Meant(None, (), refusal)
        raise CustomerNotFound(customer_id=customer_id)
    found = {row.resource_id for row in reader.lineage(customers[0].id, ids)}
    unknown = tuple(one for one in dict.fromkeys(ids) if one not in found)
    known = tuple(one for one in ids if one in found)
    if not unknown or unknown_resources == "ignore":
        return Meant(customers[0], known, None)
    return _unknown(unknown, customers[0], known, unknown_resources)


def _find_customer(reader: Reader, ids: Sequence[str], unknown_resources: str) -> Meant:
    holders = reader.customers_with(ids)
    unknown = tuple(one for one in dict.fromkeys(ids) if not holders.get(one))
    wanted = [one for one in ids if holders.get(one)] if unknown_resources == "ignore" else list(ids)
    if not wanted or (unknown and unknown_resources != "ignore"):
        return _unknown(unknown, None, (), "error" if unknown_resources == "ignore" else unknown_resources)
    having_all = set.intersection(*(holders[one] for one in wanted))
    if len(having_all) > 1:
        raise AmbiguousResource(resource_ids=tuple(wanted), customer_ids=tuple(sorted(having_all)))
    if not having_all:  # each is known to somebody, but nobody has all
        having_some = set().union(*(holders[one] for one in wanted))
        raise AmbiguousResource(resource_ids=tuple(wanted), customer_ids=tuple(sorted(having_some)))
    return Meant(reader.customers(sorted(having_all))[0], tuple(wanted), None)


def _unknown(
    unknown: tuple[str, ...], customer: CustomerRow | None, known: tuple[str, ...], policy: str
) -> Meant:
    if policy == "deny":
        archived = None if customer is None else refusal_of_customer(customer)
        if archived is not None:
            return Meant(customer, known, archived)
        subject = "resource " + ", ".join(unknown)
        refusal = Refusal(AccessDeniedReason.RESOURCE_NOT_FOUND, subject, "does not exist")
        return Meant(customer, known, refusal)
    raise ResourceNotFound(
        resource_ids=unknown, customer_id=None if customer is None else customer.customer_id
    )


def refusal_of_customer(row: CustomerRow) -> Refusal | None:
    """Why nobody of this customer may spend."""
    if row.archived_at_us is None:
        return None
    return Refusal(AccessDeniedReason.CUSTOMER_ARCHIVED, f"customer {row.customer_id}", "is archived")
