"""Tightest: the limits and pools that are nearest to their end.

Here: which of them are looked at, and in which order they are told. Not here: the numbers of one
(tree.py), when it runs out (forecast.py).

What always holds:
  TG1  The numbers of each are those that a decision would see, of one moment, windows and overrides too;
       but for what is held of a SOFT limit, which its own process alone knows.
  TG2  What has the larger part used and held comes first. The fullest are found by what the ledger's
       counters and the pages say, and only those are reckoned: so it takes no longer where there are many
       resources that have spent nothing.
"""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple

from stiggctl.answers import LimitState, RawLimit
from stiggctl.answers.json_form import json_value
from stiggctl.holder import Holder
from stiggctl.holder.closely import limits_closely
from stiggctl.holder.in_force import Limit, limits_on
from stiggctl.holder.trees import read_model
from stiggctl.ledger import Reader
from stiggctl.ledger.records import CellRow, CurrencyRow, ResourceRow
from stiggctl.reports.tree import raw_limit, utilisation_of

#: So many are looked at for those that are told: of a rolling limit the counter has what left its window
#: since it was last spent, and an override that has just ended is not in it, so some fall behind.
TIMES, MORE = 4, 16


class TightLimit(NamedTuple):
    """A limit, or a pool, and how much of it is taken."""

    customer_id: str
    utilisation: Decimal | None  #: (used + held) / limit, to four digits; None: the limit is 0, and passed
    limit: LimitState

    def as_dict(self) -> dict[str, Any]:
        """The camelCase JSON of it."""
        return {
            "customerId": self.customer_id,
            "utilisation": json_value(self.utilisation),
            "limit": self.limit.as_dict(),
        }


def read_tightest(holder: Holder, reader: Reader, most: int, now_us: int) -> list[TightLimit]:
    """At most so many, the tightest first."""
    found = [
        (customer_id, raw)
        for customer_id, raw in _candidates(holder, reader, most * TIMES + MORE, now_us)
        if raw.used > 0 or raw.held > 0
    ]
    found.sort(key=lambda one: (-_part(one[1]), not one[1].hard, one[0], one[1].order))
    return [
        TightLimit(
            customer_id,
            utilisation_of(raw.used + raw.held, raw.limit) if raw.limit else None,
            LimitState(raw),
        )
        for customer_id, raw in found[:most]
    ]


def _part(raw: RawLimit) -> Fraction:
    """What is taken of it; of a limit of 0 more than of any other."""
    taken = raw.used + raw.held
    return Fraction(taken, raw.limit) if raw.limit else Fraction(taken * 10**18)


def _candidates(holder: Holder, reader: Reader, most: int, now_us: int) -> Iterator[tuple[str, RawLimit]]:
    held = holder.others.on_pages(reader, now_us)
    limits, pools = reader.fullest(held, now_us, most=most)
    customers = {row.id: row.customer_id for row in reader.customers()}
    currencies = reader.currencies()
    for customer in dict.fromkeys(customer for customer, _ in limits):
        rows = reader.resources_by_row(
            list(dict.fromkeys(resource for of, resource in limits if of == customer))
        )
        for currency in currencies:
            for _, _, raw in limits_standing(holder, reader, customer, rows, currency, now_us):
                yield customers[customer], raw
    for customer in dict.fromkeys(pools):
        customer_id = customers[customer]
        _, path = limits_closely(holder, reader, customer_id, (), currencies, {}, now_us)
        yield from ((customer_id, raw) for raw in path if raw.is_pool)


def limits_standing(
    holder: Holder,
    reader: Reader,
    customer: int,
    rows: Sequence[ResourceRow],
    currency: CurrencyRow,
    now_us: int,
) -> Iterator[tuple[Limit, CellRow, RawLimit]]:
    """Every limit in force on some resources of a customer, with its numbers, and its cell."""
    model = read_model(reader, customer, [row.id for row in rows])
    named = {row.id: row for row in rows}
    limits = [
        limit
        for of_row in limits_on(rows, model, currency.id, now_us, now_us).values()
        for limit in of_row.limits
        if not limit.terms.only_counts
    ]
    cells = reader.cells([limit.wanted for limit in limits], 0)
    held = holder.others.held(reader, [cell.id for cell in cells.values()], 0, now_us)
    for limit in limits:
        cell = cells[limit.wanted.key]
        units = sum(end.units for end in held.get(cell.id, ()))
        yield limit, cell, raw_limit(limit, named[limit.resource], cell, currency, 0, units, now_us)
