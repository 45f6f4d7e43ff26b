"""Paying: how the pool pays for what is booked, and who has paid.

Here: what a booking asks of the grants of its path; what it answered. Not here: which those are
(pools.py), how the ledger splits it (ledger/).
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from stiggctl.amounts import to_amount
from stiggctl.decision.cells import CELL, Strand, Stripe
from stiggctl.decision.moving import set_apart_of_pool
from stiggctl.decision.tails import Tail
from stiggctl.ledger.records import CellRow, Draining, PartBooked, Payer, Paying


def draining_of(
    stripe: Stripe,
    tail: Tail,
    stakes: Sequence[tuple[int, int]],
    units: int,
    paid_back: Sequence[Paying],
    *,
    mirrors: bool,
) -> tuple[Draining, dict[int, int]]:
    """How the pool pays for so much: what its hold is of first. And cell -> place of those grants.

    `stakes`: (place, units) of each grant that the hold is of; `paid_back`: what is settled beforehand,
    of a reversal or an adjustment. Sets apart what it may spend beyond. What `mirrors` an event is paid
    by nobody who did not pay that (RV2). The caller has the lock.
    """
    left, payings = units, list(paid_back)
    places: dict[int, int] = {}
    for place, held in stakes:
        cell = stripe.numbers[place + CELL]
        pays = max(0, min(left, held))
        places[cell] = place
        # What is left over of an exact share is free in the commit that books (RD1).
        spends = held if cell in stripe.exact else pays
        if spends:
            payings.append(Paying(cell, pays, spends))
            left -= pays
    left -= sum(one.units for one in paid_back)
    if mirrors and left > 0:
        return Draining(tuple(payings), ()), places
    spares = set_apart_of_pool(stripe, tail.grant_places, left)
    return Draining(tuple(payings), tuple(map(Payer, tail.grant_cells, spares))), places


def is_unbacked(parts: Sequence[PartBooked]) -> bool:
    """Whether some of an event is paid by nobody: no grant was open at its instant."""
    return any(part.drained is not None and part.drained.unbacked_units > 0 for part in parts)


def paid_by(
    strands: Sequence[Strand], parts: Sequence[PartBooked], rows: Mapping[int, CellRow]
) -> dict[str, int | Decimal] | None:
    """Grant -> what it paid of the parts of an event; None, as nearly always, where there is no pool.

    `rows`: the cells as the ledger has them; of a grant's, `allocation` is the grant's row.
    """
    paid: dict[str, int | Decimal] | None = None
    for strand, part in zip(strands, parts, strict=True):
        if part.drained is not None:
            paid = {} if paid is None else paid
            drains = {cell: at for at, cell in enumerate(part.drained.payers)}
            for cell, units in sorted(part.drained.paid, key=lambda one: drains.get(one[0], -1)):
                paid[strand.grant_ids[rows[cell].allocation]] = to_amount(units, strand.decimals)
    return paid
