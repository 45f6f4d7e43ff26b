"""Limits, prices and grants of a model against what the ledger has: the second half of a plan.

Here: which allocations, overrides, rates, prices and grants are new, changed or as they were. Not here: the
first half (planning.py), what an entry is as a row (allocations.py, overrides.py, grants.py,
contracts.py, entries.py).

Overrides that ended are applied as any other: a model that says so still fits. They are no part
of what is exported or pruned. So are grants that were voided, as long as they are as they were.
"""

from typing import TYPE_CHECKING

from stiggctl.definitions import filter_text, us_of
from stiggctl.holder.models import allocations, contracts, entries, grants, overrides
from stiggctl.holder.models.present import key_of_rate
from stiggctl.ledger.records import RateWrite
from stiggctl.validation import key_of_allocation, key_of_override, key_of_price

if TYPE_CHECKING:
    from stiggctl.holder.models.planning import Plan


def decimals_of(plan: "Plan") -> dict[str, int]:
    """The decimals of each currency as it is to stand; the plan's currencies have been written."""
    decimals = {row.currency_id: row.decimals for row in plan.present.currencies.values()}
    return decimals | {write.currency_id: write.decimals for write in plan.writing.change.currencies}


def write_allocations(plan: "Plan") -> None:
    """Each allocation that is new, or says something else than before."""
    decimals, present, writing = decimals_of(plan), plan.present, plan.writing
    rows = {row.id: row for row in present.currencies.values()}
    for entry, owner in plan.told(plan.draft.model.allocations, plan.owners.allocations):
        type_id, currency_id = entry.resource_type_id, entry.credit_currency
        assert owner is not None or type_id is not None  # else there was a problem
        type_key = None if type_id is None else plan.whole.type_key(owner, type_id)
        write = allocations.write_of(owner, entry, type_key, decimals[currency_id])
        row = present.allocations.get(key_of_allocation(owner, entry))
        subject = allocations.allocation_name(write, currency_id)
        before = None
        if row is not None:
            was = rows[row.currency]
            if allocations.is_as_written(row, was.currency_id, write):
                writing.keep(subject, owner)
                continue
            before = allocations.allocation_entry(owner, row, was.currency_id, was.decimals)
        writing.change.allocations.append(write)
        after = allocations.allocation_entry(owner, write, currency_id, decimals[currency_id])
        writing.tell(subject, owner, before, after)
        writing.touch(owner)


def write_overrides(plan: "Plan") -> None:
    """Each override that is new, or says something else than before."""
    decimals, present, writing = decimals_of(plan), plan.present, plan.writing
    for entry, owner in plan.told(plan.draft.model.overrides, plan.owners.overrides):
        assert owner is not None  # else there was a problem
        currency_id = entry.credit_currency
        write = overrides.override_of(owner, entry, decimals[currency_id])
        row = present.overrides.get(key_of_override(owner, entry))
        subject = overrides.override_name(write, currency_id)
        before = None
        if row is not None:
            if overrides.is_as_written(row, write):
                writing.keep(subject, owner)
                continue
            former = present.currencies[currency_id].decimals
            before = overrides.override_entry(owner, row, currency_id, former)
        writing.change.overrides.append(write)
        after = overrides.override_entry(owner, write, currency_id, decimals[currency_id])
        writing.tell(subject, owner, before, after)
        writing.touch(owner)


def write_grants(plan: "Plan") -> None:
    """Each grant that is new, or says something else than before."""
    decimals, present, writing = decimals_of(plan), plan.present, plan.writing
    for entry, owner in plan.told(plan.draft.model.grants, plan.owners.grants):
        assert owner is not None  # else there was a problem
        currency_id = entry.credit_currency
        write = grants.grant_of(owner, entry, decimals[currency_id])
        row = present.grants.get(grants.key_of_grant(owner, entry))
        subject = grants.grant_name(write, currency_id)
        before = None
        if row is not None:
            if grants.is_as_written(row, write):
                writing.keep(subject, owner)
                continue
            former = present.currencies[currency_id].decimals
            before = grants.grant_entry(owner, row, currency_id, former, voided_at_us=row.voided_at_us)
        writing.change.grants.append(write)
        voided_at_us = None if row is None else row.voided_at_us  # then only its units are others
        after = grants.grant_entry(
            owner, write, currency_id, decimals[currency_id], voided_at_us=voided_at_us
        )
        writing.tell(subject, owner, before, after)
        writing.touch(owner)


def write_rescaled(plan: "Plan") -> None:
    """What the model does not name, in a currency that gets other decimals: as it was."""
    decimals, change = decimals_of(plan), plan.writing.change
    for currency_id, rescaled in plan.present.rescaled.items():
        former, now = plan.present.currencies[currency_id].decimals, decimals[currency_id]
        for customer_id, row in rescaled.allocations:
            write = allocations.written_again(customer_id, row, currency_id, plan.present.type_keys)
            change.allocations.append(entries.in_decimals(write, former, now))
        for owner, override in rescaled.overrides:
            again = overrides.override_again(owner, override, currency_id)
            change.overrides.append(entries.in_decimals(again, former, now))
        for owner, grant in rescaled.grants:
            same = grants.grant_again(owner, grant, currency_id)
            change.grants.append(entries.in_decimals(same, former, now))


def write_rates(plan: "Plan") -> None:
    """Each rate that is new, or says something else than before: the former row is retired."""
    writing = plan.writing
    for entry in plan.draft.model.rates:
        write = RateWrite(
            customer_id=entry.customer_id,
            event_name=entry.event_name,
            currency_id=entry.credit_currency,
            where=filter_text(entry.where),
            credits=entries.number_text(entry.credits),
            terms=entries.terms_text(entry),
            effective_at_us=us_of(entry.effective_at),
        )
        row = plan.present.rates.get(key_of_rate(write, entry.credit_currency))
        subject = entries.rate_name(write, entry.credit_currency)
        if row is not None and (row.credits, row.terms) == (write.credits, write.terms):
            writing.keep(subject, entry.customer_id)
            continue
        writing.change.rates.append(write)
        before = None if row is None else entries.rate_entry(row, entry.credit_currency)
        after = entries.rate_entry(write, entry.credit_currency)
        writing.tell(subject, entry.customer_id, before, after)
        writing.touch(entry.customer_id)


def write_prices(plan: "Plan") -> None:
    """Each contract price that is new, or says something else than before; no path has one in it."""
    writing = plan.writing
    for entry in plan.draft.model.prices:
        write = contracts.price_of(entry)
        row = plan.present.prices.get(key_of_price(entry))
        subject = contracts.price_name(write)
        if row is not None and contracts.is_as_written(row, write):
            writing.keep(subject, entry.customer_id)
            continue
        if row is not None and not contracts.is_spelt_as_written(row, write):
            writing.change.prices_retired.append(row.id)
        writing.change.prices.append(write)
        before = None if row is None else contracts.price_entry(row)
        writing.tell(subject, entry.customer_id, before, contracts.price_entry(write))
