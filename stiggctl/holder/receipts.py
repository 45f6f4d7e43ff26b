"""Receipts: from what was booked, now or before, to what its reporter gets.

Here: the first receipt of an event, the limits that counted it. Not here: booking it (orders.py).
"""

import json
from collections.abc import Callable, Sequence
from decimal import Decimal

from stiggctl.amounts import to_amount
from stiggctl.answers import Circumstances, RawLimit, Receipt, Sight
from stiggctl.decision.cells import CELL, HEADER, WIDTH, Stripe
from stiggctl.decision.sights import all_places_of
from stiggctl.decision.tails import Tail
from stiggctl.ledger.records import (
    ESTIMATED,
    EXPIRED,
    LATE,
    Drained,
    EventRow,
    PartBooked,
    Payment,
)


def receipt_of(
    event: EventRow,
    payments: Sequence[Payment],
    limits: Callable[[], list[RawLimit]],
    currencies: dict[int, tuple[str, int]],
    *,
    duplicate: bool = True,
) -> Receipt:
    """The first receipt of an event that was booked before."""
    amounts, overages = {}, []
    for part in event.parts:
        name, decimals = currencies[part.currency]
        amounts[name] = to_amount(part.amount_units, decimals)
        overages.append((part.overage_units, decimals))
    return Receipt(
        event_id=str(event.id),
        amounts=amounts,
        overage=largest(overages),
        occurred_at_us=event.occurred_at_us,
        booked_at_us=event.booked_at_us,
        limits=limits,
        duplicate=duplicate,
        expired=bool(event.flags & EXPIRED),
        late=bool(event.flags & LATE),
        estimated=bool(event.flags & ESTIMATED),
        unattributed=unattributed_of(event.unattributed),
        paid_by=_paid_by(event, payments, currencies),
        unbacked=any(part.unbacked for part in event.parts),
    )


def _paid_by(
    event: EventRow, payments: Sequence[Payment], currencies: dict[int, tuple[str, int]]
) -> dict[str, int | Decimal]:
    """Grant -> what it paid of an event."""
    decimals = [currencies[part.currency][1] for part in event.parts]
    return {one.grant_id: to_amount(one.units, decimals[one.part]) for one in payments}


def largest(overages: Sequence[tuple[int, int]]) -> int | Decimal:
    """The largest of several amounts, each given as (units, decimals)."""
    if not any(units for units, _ in overages):  # as nearly always
        return to_amount(0, max([decimals for _, decimals in overages], default=0))
    return max([to_amount(units, decimals) for units, decimals in overages], default=0)


def unattributed_of(text: str | None) -> tuple[str, ...]:
    """The ids that no resource has, from the ledger's JSON."""
    return () if text is None else tuple(json.loads(text))


def limits_standing(sights: tuple[Sight, ...]) -> list[RawLimit]:
    """The limits of a path, as they stand."""
    return [raw for sight in sights for raw in sight[0].raw_limits(sight, Circumstances())]


def limits_booked(sights: tuple[Sight, ...], parts: tuple[PartBooked, ...]) -> list[RawLimit]:
    """The limits of a booking, each with what was used right after it and its own overage."""
    limits = []
    # No sight where no resource was known: the parts of such an event have no cells.
    for sight, part in zip(sights, parts, strict=False):
        told = dict(zip(part.cells, zip(part.used_after, part.overages, strict=True), strict=True))
        tail: Tail
        tail, _, own, _, _, _ = sight
        cells = list(zip(tail.cells, tail.labels, strict=True))
        if len(own) > HEADER:
            cells += [(own[HEADER + WIDTH * at + CELL], told_as) for at, told_as in enumerate(own[0].own)]
        shown = [cell for cell, told_as in cells if not told_as.terms.only_counts]
        raws = tail.raw_limits(sight, Circumstances())
        if tail.has_pool:
            limits.append(_pool_booked(raws.pop(), part.drained))
        for raw, cell in zip(raws, shown, strict=True):
            if cell in told:
                used, overage = told[cell]
                limits.append(raw._replace(used=used, overage=overage))
            else:
                limits.append(raw)
    return limits


def _pool_booked(raw: RawLimit, drained: Drained | None) -> RawLimit:
    """The pool as it was right after a booking."""
    if drained is None:  # the customer's first grant came after it
        return raw
    return raw._replace(used=sum(drained.used_after), overage=drained.overage_units)


def regathered(stripe: Stripe, sight: Sight, units: int, cells: Sequence[int]) -> Sight:
    """The same path, with the numbers of now; as they were where its cells lie elsewhere by now.

    `cells` are those of the path, as `all_places_of` tells where they lie. The caller has the lock.
    """
    tail: Tail
    tail, _, own, first, _, place = sight
    numbers = stripe.numbers
    for at, cell in zip(all_places_of(sight), cells, strict=True):
        if numbers[at + CELL] != cell:
            return (*sight[:4], units, place)
    return tail, tail.gather(numbers), numbers[place : place + len(own)], first, units, place
