"""Closely: the limits of a path as the ledger and all pages have them, with what comes back when.

Here: one look for a report to reckon with. Not here: what a check says (asking.py), the report (reports/).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from stiggctl.answers import Circumstances, RawLimit
from stiggctl.decision.cells import CUSTOMER
from stiggctl.decision.decide import look
from stiggctl.holder.meant import find_meant
from stiggctl.holder.peeking import peek
from stiggctl.holder.ways import Dimensions, rest_of
from stiggctl.ledger import Reader
from stiggctl.ledger.records import CurrencyRow, CustomerRow

if TYPE_CHECKING:
    from stiggctl.holder.holder import Holder


def limits_closely(
    holder: "Holder",
    reader: Reader,
    customer_id: str | None,
    ids: Sequence[str],
    currencies: Sequence[CurrencyRow],
    dimensions: Dimensions,
    now_us: int,
) -> tuple[CustomerRow, list[RawLimit]]:
    """The customer that is meant, and every limit on the path in those currencies, the pool last of each.

    Raises ResourceNotFound, CustomerNotFound, AmbiguousResource.
    """
    meant = find_meant(reader, customer_id, ids, "error")
    assert meant.customer is not None  # or it was not found, and that was raised
    stripe, wants = peek(
        reader,
        meant,
        [(row.id, row.currency_id, row.decimals, 0) for row in currencies],
        dimensions=dimensions,
        held_by_others=lambda cells: holder.others.held(reader, cells, 0, now_us),
        refuse_unlimited=False,
        now_us=now_us,
    )
    named = meant.ids or (CUSTOMER,)
    sights = look(stripe, named[0], rest_of(stripe, named, dimensions), wants, now_us)
    assert sights is not None  # it was compiled a moment ago, in a stripe that is only ours
    circumstances = Circumstances(orphans=dict(stripe.orphans), buckets=dict(stripe.buckets))
    found: list[RawLimit] = []
    for sight in sights:
        limits: list[RawLimit] = sight[0].raw_limits(sight, circumstances)
        found += sorted(limits, key=lambda raw: raw.order)
    return meant.customer, found
