"""Before: what a limit's window, or a grant's, had spent before a replay begins.

Here: from a model's limit to the ledger's events. Not here: the replay (simulating.py).
"""

from collections.abc import Mapping

from stiggctl.holder.in_force import Limit
from stiggctl.holder.replaying import Before
from stiggctl.ledger import Ledger, Reader
from stiggctl.ledger.records import Counted, CurrencyRow, CustomerRow
from stiggctl.windows import FIRST_US


def spent_before(
    ledger: Ledger,
    model: Reader,
    customer: CustomerRow,
    in_model: CustomerRow,
    currencies: Mapping[int, CurrencyRow],
    of_model: Mapping[str, CurrencyRow],
    since_us: int | None,
) -> Before:
    """What the ledger has of a limit's window, or a grant's, before the replay begins."""
    if since_us is None:
        return _nothing
    ids = {row.currency_id: row.id for row in currencies.values()}
    names = {row.id: name for name, row in of_model.items()}
    with ledger.reader() as reader:
        grants = {row.grant_id: row.id for row in reader.grants(customer.id)}
    of_grants = {row.id: row for row in model.grants(in_model.id)}
    of_limits: dict[int, int] = {}  # allocation of the model -> its currency there

    def counted(limit: Limit) -> Mapping[int, int]:
        terms = limit.terms
        from_us = FIRST_US if limit.counts_until_us is None else terms.window_start_us
        if terms.bucket_us is not None:
            from_us = terms.window_start_us
        if from_us >= since_us:
            return {}
        resource, grant, named = 0, 0, ""
        if limit.resource:
            named = model.resources_by_row([limit.resource])[0].resource_id
            if limit.allocation not in of_limits:
                rows = [*model.allocations(in_model.id, [limit.resource]), *model.templates(in_model.id)]
                of_limits.update((one.id, one.currency) for one in rows)
            currency = ids.get(names[of_limits[limit.allocation]])
        else:
            row_of_grant = of_grants[limit.allocation]
            grant = grants.get(row_of_grant.grant_id, 0)
            currency = ids.get(names[row_of_grant.currency])
        with ledger.reader() as reader:
            if limit.resource:
                lineage = reader.lineage(customer.id, [named])
                resource = lineage[-1].id if lineage else 0
            if currency is None or not (resource or grant):
                return {}  # nothing was booked of what the ledger does not have
            return reader.used_by_bucket(
                Counted(
                    resource=resource,
                    grant=grant,
                    customer=customer.id,
                    currency=currency,
                    since_us=from_us,
                    until_us=since_us,
                    scope=terms.scope,
                    width_us=terms.bucket_us or 0,
                )
            )

    return counted


def _nothing(limit: Limit) -> Mapping[int, int]:
    """Before the first event."""
    del limit
    return {}
