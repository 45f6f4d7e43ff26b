"""Single changes that no model says: archive, restore, suspend, resume.

Here: a mark on one row. Not here: what an entry says (single.py), the end of a limit (ending.py).

Archiving and suspending mark one resource. What stands below it is not marked, yet every path
through it denies; the end of the mark brings all of that back as it was. The same holds for a
customer. Usage stays, whatever is marked.
"""

from dataclasses import replace

from stiggctl.definitions import Applied, json_text, json_value
from stiggctl.errors import InvalidRequest
from stiggctl.holder.models import entries
from stiggctl.holder.models.meant import customer_meant, resource_meant
from stiggctl.holder.models.planning import rewritten
from stiggctl.holder.models.writing import Outcome, Stamp, Writing
from stiggctl.ledger import Reader
from stiggctl.ledger.records import CustomerRow, CustomerWrite, ModelChange, ResourceRow
from stiggctl.windows import to_text

Planned = tuple[ModelChange, Applied]


def archive_customer(reader: Reader, stamp: Stamp, *, customer_id: str) -> Planned:
    """Deny whatever is asked for the customer, until it is restored. Raises CustomerNotFound."""
    return _mark_customer(reader, stamp, customer_id, stamp.at_us, "archived")


def restore_customer(reader: Reader, stamp: Stamp, *, customer_id: str) -> Planned:
    """The end of archive_customer. Raises CustomerNotFound."""
    return _mark_customer(reader, stamp, customer_id, None, "changed")


def _mark_customer(
    reader: Reader, stamp: Stamp, customer_id: str, archived_at_us: int | None, outcome: Outcome
) -> Planned:
    row = customer_meant(reader, customer_id)
    writing = Writing(reader.state().change, stamp)
    name = entries.customer_name(customer_id)
    if (row.archived_at_us is None) == (archived_at_us is None):
        writing.keep(name, None)
    else:
        write = CustomerWrite(customer_id=customer_id, name=row.name, archived_at_us=archived_at_us)
        writing.change.customers.append(write)
        before, after = entries.customer_entry(row), entries.customer_entry(write)
        writing.tell(name, customer_id, before, after, outcome=outcome, shown=name)
        writing.touch(customer_id)
    return writing.change, writing.applied()


def archive_resource(
    reader: Reader, stamp: Stamp, *, resource_id: str, customer_id: str | None = None
) -> Planned:
    """Deny whatever is asked for the resource, or for one below it, until it is restored.

    Raises ResourceNotFound, AmbiguousResource, CustomerNotFound.
    """
    customer, row = resource_meant(reader, resource_id, customer_id)
    archived_at_us = stamp.at_us if row.archived_at_us is None else row.archived_at_us
    return _mark(reader, stamp, customer, row, "archived", archived_at_us, row.suspension)


def restore_resource(
    reader: Reader, stamp: Stamp, *, resource_id: str, customer_id: str | None = None
) -> Planned:
    """The end of archive_resource. Raises ResourceNotFound, AmbiguousResource, CustomerNotFound."""
    customer, row = resource_meant(reader, resource_id, customer_id)
    return _mark(reader, stamp, customer, row, "changed", None, row.suspension)


def suspend(
    reader: Reader,
    stamp: Stamp,
    *,
    resource_id: str,
    until_us: int | None = None,
    customer_id: str | None = None,
) -> Planned:
    """Deny whatever is asked for the resource, or for one below it, until then or until resume.

    Why stands in the stamp. Raises ResourceNotFound, AmbiguousResource, CustomerNotFound, and
    InvalidRequest where `until_us` is not later than the stamp.
    """
    if until_us is not None and until_us <= stamp.at_us:
        expected = f"an instant after now, {to_text(stamp.at_us)}"
        raise InvalidRequest(where="until", value=to_text(until_us), expected=expected)
    customer, row = resource_meant(reader, resource_id, customer_id)
    asked = {"reason": stamp.reason, "until_us": until_us, "actor": stamp.actor}
    since_us = stamp.at_us
    if row.suspension is not None:
        former = json_value(row.suspension)
        if {key: former[key] for key in asked} == asked:
            since_us = former["since_us"]  # the same again changes nothing
    suspension = json_text({**asked, "since_us": since_us})
    return _mark(reader, stamp, customer, row, "changed", row.archived_at_us, suspension)


def resume(reader: Reader, stamp: Stamp, *, resource_id: str, customer_id: str | None = None) -> Planned:
    """The end of suspend. Raises ResourceNotFound, AmbiguousResource, CustomerNotFound."""
    customer, row = resource_meant(reader, resource_id, customer_id)
    return _mark(reader, stamp, customer, row, "changed", row.archived_at_us, None)


def _mark(
    reader: Reader,
    stamp: Stamp,
    customer: CustomerRow,
    row: ResourceRow,
    outcome: Outcome,
    archived_at_us: int | None,
    suspension: str | None,
) -> Planned:
    writing = Writing(reader.state().change, stamp)
    name = entries.resource_name(row.resource_id)
    if (row.archived_at_us, row.suspension) == (archived_at_us, suspension):
        writing.keep(name, customer.customer_id)
    else:
        whose = next(type_.customer_id for type_ in reader.types() if type_.id == row.type)
        was = rewritten(customer.customer_id, row, type_customer_id=whose)
        write = replace(was, archived_at_us=archived_at_us, suspension=suspension)
        writing.change.resources.append(write)
        before, after = (entries.resource_entry(customer.customer_id, each) for each in (was, write))
        writing.tell(name, customer.customer_id, before, after, outcome=outcome)
        writing.touch(customer.customer_id)
    return writing.change, writing.applied()
