"""Telling: what was gathered of a path, as limits that people read.

Here: each limit of a tail, of the first resource's own record and of the pool, with what will be free
when. Not here: which cells those are (tails.py), what is made of the raw numbers (answers/).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from stiggctl.answers import Circumstances, RawLimit, Sight, Terms
from stiggctl.decision.cells import ALLOTTED, CELL, HEADER, LIMIT, NEVER, SPARE, USED, WIDTH, leaves_us
from stiggctl.decision.holds import BEGAN_US, ENDS_US, HELD
from stiggctl.decision.pools import Numbers, comings_and_goings
from stiggctl.windows import BUCKETS

if TYPE_CHECKING:
    from stiggctl.decision.tails import Branch, Tail


class Label(NamedTuple):
    """How a limit of a tail is told."""

    depth: int
    resource_type_id: str
    resource_id: str
    allocation_id: str
    hard: bool
    limit: int
    terms: Terms


def raw_limits(tail: "Tail", sight: Sight, circumstances: Circumstances) -> list[RawLimit]:
    """Every limit of a path, with the numbers that were gathered; the pool last."""
    _, seen, own, first, units, place = sight
    many, places, cells = tail.many, tail.places, tail.cells
    raw = [
        _raw(
            tail,
            label,
            (seen[at], seen[many + at], seen[2 * many + at]),
            units,
            (places[at], cells[at]),
            circumstances,
        )
        for at, label in enumerate(tail.labels)
        if not label.terms.only_counts
    ]
    if len(own) > HEADER:
        branch: Branch = own[0]
        for (hard, allocation_id, terms), at in zip(branch.own, range(HEADER, len(own), WIDTH), strict=True):
            if terms.only_counts:
                continue
            label = Label(
                branch.depth,
                branch.type_id,
                first,
                allocation_id or f"{first}/{tail.credit_currency}",
                hard,
                own[at + LIMIT],
                terms,
            )
            numbers = own[at + SPARE], own[at + USED], own[at + ALLOTTED]
            raw.append(_raw(tail, label, numbers, units, (place + at, own[at + CELL]), circumstances))
    if tail.has_pool:
        raw.append(_raw_pool(tail, tail.numbers_of_pool(seen), units, circumstances))
    return raw


def _raw_pool(tail: "Tail", numbers: Numbers, units: int, circumstances: Circumstances) -> RawLimit:
    spare, used, allotted = numbers
    rooms, frees = [], []
    held = sum(allotted) - sum(spare)
    for at, grant in enumerate(tail.grants):
        more, ends = _of_others(tail.grant_places[at], tail.grant_cells[at], circumstances)
        held += more
        rooms.append((grant.amount_units - used[at] - (allotted[at] - spare[at]) - more, grant.until_us))
        frees += [(at, *each) for each in _frees(tail.grant_places[at], circumstances, None)]
        frees += [(at, until_us, units) for units, until_us in ends]
    customer_id = tail.strand.stripe.customer_id
    return RawLimit(
        depth=0,
        resource_type_id="customer",
        resource_id=customer_id,
        credit_currency=tail.credit_currency,
        allocation_id=f"pool/{tail.credit_currency}",
        decimals=tail.decimals,
        hard=True,
        limit=sum(grant.amount_units for grant in tail.grants),
        used=sum(used),
        held=held,
        amount=units,
        frees=comings_and_goings(rooms, frees, tail.coming),
        is_pool=True,
    )


def _raw(
    tail: "Tail",
    label: Label,
    numbers: tuple[int, int, int],
    units: int,
    lies: tuple[int, int],
    circumstances: Circumstances,
) -> RawLimit:
    """`numbers`: spare, used, allotted; `lies`: its place, and its cell."""
    spare, used, allotted = numbers
    place, cell = lies
    bucket_us = label.terms.bucket_us
    more, ends = _of_others(place, cell, circumstances)
    frees = _frees(place, circumstances, bucket_us) + [(until_us, units) for units, until_us in ends]
    if bucket_us is not None:
        buckets = circumstances.buckets.get(cell, ())
        frees += [(start_us + BUCKETS * bucket_us, units) for start_us, units in buckets]
    return RawLimit(
        depth=label.depth,
        resource_type_id=label.resource_type_id,
        resource_id=label.resource_id,
        credit_currency=tail.credit_currency,
        allocation_id=label.allocation_id or f"{label.resource_id}/{tail.credit_currency}",
        decimals=tail.decimals,
        hard=label.hard,
        limit=label.limit,
        used=used,
        held=allotted - spare + more,
        amount=units,
        frees=tuple(frees),
        terms=label.terms,
    )


def _of_others(place: int, cell: int, circumstances: Circumstances) -> tuple[int, Sequence[tuple[int, int]]]:
    """What others were seen to hold there beside what counts in the numbers, or less; and all their ends."""
    if cell not in circumstances.beside:
        return 0, ()
    held, ends = circumstances.beside[cell]
    return held - sum(
        units for units, until_us in circumstances.orphans.get(place, ()) if until_us == NEVER
    ), ends


def _frees(place: int, circumstances: Circumstances, bucket_us: int | None) -> list[tuple[int, int]]:
    """(end, units) of what was held there; what is being booked never comes back.

    Of a rolling limit it leaves the window, too, with the bucket in which it began.
    """
    frees = [
        (
            hold[ENDS_US] if bucket_us is None else min(hold[ENDS_US], leaves_us(hold[BEGAN_US], bucket_us)),
            units,
        )
        for hold in circumstances.holds
        for places, units, *_ in hold[HELD]
        if place in places and hold[ENDS_US] != NEVER
    ]
    withheld = circumstances.orphans.get(place, ())
    return frees + [(until_us, units) for units, until_us in withheld if until_us != NEVER]
