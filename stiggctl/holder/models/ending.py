"""The end of a limit, an override or a grant: what no model says but by leaving it out.

Here: which one is meant, and what ends it. Not here: marks on resources and customers (marks.py),
what an entry says (single.py).

Usage stays, whatever is ended. Where several limits are in a resource's currency, the one is meant
that `set_allocation` would replace with the same arguments: without a cadence the one for ever.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from stiggctl.definitions import Applied, draft_of, filter_text
from stiggctl.errors import InvalidRequest
from stiggctl.holder.models.allocations import allocation_entry, allocation_name
from stiggctl.holder.models.grants import end_grant, grant_name
from stiggctl.holder.models.meant import currency_meant, customer_meant, grant_meant, resource_meant
from stiggctl.holder.models.overrides import end_override, override_name
from stiggctl.holder.models.present import FOR_ALL
from stiggctl.holder.models.writing import Stamp, Writing
from stiggctl.ledger import Reader
from stiggctl.ledger.records import AllocationRow, CurrencyRow, ModelChange

Planned = tuple[ModelChange, Applied]


def remove_allocation(
    reader: Reader,
    stamp: Stamp,
    *,
    resource_id: str | None = None,
    resource_type_id: str | None = None,
    where: Mapping[str, Any] | None = None,
    credit_currency: str | None = None,
    cadence: str | None = None,
    rolling: bool | None = None,
    scope: Mapping[str, Any] | None = None,
    allocation_id: str | None = None,
    customer_id: str | None = None,
) -> Planned:
    """End a limit: by what it is on, its currency and how it counts; or by its id and customer.

    Raises InvalidRequest where there is no such limit, or where several are meant;
    ResourceNotFound, AmbiguousResource, CustomerNotFound, CurrencyNotFound.
    """
    counting = {"where": where, "cadence": cadence, "rolling": rolling, "scope": scope}
    named = {
        "resource_id": resource_id,
        "resource_type_id": resource_type_id,
        "allocation_id": allocation_id,
        **counting,
    }
    given = {name: value for name, value in named.items() if value is not None}
    on_something = (resource_id is None) != (resource_type_id is None) and credit_currency is not None
    if not on_something and (allocation_id is None or len(given) > 1):
        expected = "resource_id (or resource_type_id) and credit_currency, or allocation_id and customer_id"
        raise InvalidRequest(where="remove_allocation", value=given, expected=expected)
    read = _read(**counting)
    owner, rows = _rows(reader, resource_id, resource_type_id, customer_id)
    currency = None if credit_currency is None else currency_meant(reader, credit_currency).id
    found = [
        row
        for row in rows
        if currency in {None, row.currency}
        and allocation_id in {None, row.allocation_id}
        and all(getattr(row, name) == read[name] for name in read if name in given)
    ]
    if len(found) > 1 and allocation_id is None:
        # Without an id, what is left out is the default, as for `set_allocation`.
        exactly = (row for row in found if all(getattr(row, name) == read[name] for name in read))
        found = [row for row in exactly if row.allocation_id is None] or found
    currencies = {row.id: row for row in reader.currencies()}
    if len(found) != 1:
        names = _listed([_name_among(row, currencies[row.currency].currency_id) for row in found])
        expected = f"what names one of these limits: {names}" if found else "a limit that exists"
        raise InvalidRequest(where="remove_allocation", value=given, expected=expected)
    writing = Writing(reader.state().change, stamp)
    _remove(writing, owner, found[0], currencies[found[0].currency])
    return writing.change, writing.applied()


def _rows(
    reader: Reader, resource_id: str | None, type_id: str | None, customer_id: str | None
) -> tuple[str | None, list[AllocationRow]]:
    """The limits of a resource, the templates of a type, or all of a customer; and whose they are."""
    if resource_id is not None:
        customer, resource = resource_meant(reader, resource_id, customer_id)
        return customer.customer_id, reader.allocations(customer.id, [resource.id])
    whose = FOR_ALL if customer_id is None else customer_meant(reader, customer_id).id
    if type_id is None and whose != FOR_ALL:
        return customer_id, reader.allocations(whose)
    templates = (row for row in reader.templates(whose) if row.customer == whose)
    return customer_id, [row for row in templates if type_id in {None, row.type_id}]


def _name_among(row: AllocationRow, currency_id: str) -> str:
    return allocation_name(row, currency_id) if row.allocation_id is None else repr(row.allocation_id)


def _remove(writing: Writing, customer_id: str | None, row: AllocationRow, currency: CurrencyRow) -> None:
    writing.change.allocations_removed.append(row.id)
    before = allocation_entry(customer_id, row, currency.currency_id, currency.decimals)
    name = allocation_name(row, currency.currency_id)
    writing.tell(name, customer_id, before, None, outcome="archived")
    writing.touch(customer_id)


def void_grant(reader: Reader, stamp: Stamp, *, grant_id: str, customer_id: str | None = None) -> Planned:
    """Take nothing more from a grant; where it is void already, nothing is done.

    Raises GrantNotFound, CustomerNotFound; InvalidRequest where several customers have one of that id.
    """
    customer, row = grant_meant(reader, grant_id, customer_id)
    currency = next(each for each in reader.currencies() if each.id == row.currency)
    writing = Writing(reader.state().change, stamp)
    if row.voided_at_us is None:
        end_grant(writing, customer.customer_id, row, currency, stamp.at_us)
    else:
        writing.keep(grant_name(row, currency.currency_id), customer.customer_id)
    return writing.change, writing.applied()


def remove_override(
    reader: Reader,
    stamp: Stamp,
    *,
    resource_id: str,
    credit_currency: str,
    cadence: str | None = None,
    scope: Mapping[str, Any] | None = None,
    since_us: int | None = None,
    customer_id: str | None = None,
) -> Planned:
    """End an override now; one that has not begun is removed.

    Raises InvalidRequest where there is none that has not ended, or where several are meant;
    ResourceNotFound, AmbiguousResource, CustomerNotFound, CurrencyNotFound.
    """
    customer, resource = resource_meant(reader, resource_id, customer_id)
    currency = currency_meant(reader, credit_currency)
    read: dict[str, object] = {**_read(cadence=cadence, scope=scope), "effective_at_us": since_us}
    given = {"cadence": cadence, "scope": scope, "effective_at_us": since_us}
    found = [
        row
        for row in reader.overrides(customer.id, [resource.id])
        if row.currency == currency.id
        and row.expires_at_us > stamp.at_us
        and all(value is None or getattr(row, name) == read[name] for name, value in given.items())
    ]
    if len(found) > 1:
        exactly = [row for row in found if all(getattr(row, name) == read[name] for name in read)]
        found = exactly or found
    if len(found) != 1:
        names = _listed([override_name(row, currency.currency_id) for row in found])
        expected = (
            f"the cadence, scope or since of one of these: {names}" if found else "an override that goes on"
        )
        raise InvalidRequest(where="remove_override", value=resource_id, expected=expected)
    writing = Writing(reader.state().change, stamp)
    end_override(writing, customer.customer_id, found[0], currency, stamp.at_us)
    return writing.change, writing.applied()


_FILTERS = ("scope", "where")
# As many as are read at a glance.
_SHOWN = 8


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _read(**fields: Any) -> dict[str, object]:
    """A cadence, rolling, scope or where as rows keep them. Raises InvalidRequest."""
    given = {name: value for name, value in fields.items() if value is not None}
    entry = {"resource_id": "any", "credit_currency": "any", "limit": 0, **given}
    draft = draft_of({"allocations": [entry]})
    for problem in draft.problems:
        at = problem.path.removeprefix("allocations[0].")
        raise InvalidRequest(where=at, value=problem.value, expected=problem.expected)
    [read] = draft.model.allocations
    kept = {name: getattr(read, name) for name in fields}
    return {name: filter_text(kept[name]) if name in _FILTERS else kept[name] for name in fields}
