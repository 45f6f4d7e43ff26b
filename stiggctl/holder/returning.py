"""Returning: what comes back to grants where an event turns out to have cost less. Pure.

Here: what each grant paid of it by now, and gets of so much less. Not here: what comes back where all of
an event is reversed (orders.py), how it is counted (ledger/).

What always holds:
  RT1  No grant gets back more than it paid of the event, net of what came back to it before.
  RT2  Nobody's part comes back first, then that of the last payer: what is left paid is what a smaller
       event would have drained.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple


class Paid(NamedTuple):
    """How one event, or one of its adjustments, was paid for in one currency."""

    units: int
    grants: Mapping[int, int]  #: row -> units; less than 0: what came back to it
    unbacked: bool  #: no grant was open that could pay all of it


class Returned(NamedTuple):
    """What comes back of a part of an event."""

    grants: dict[int, int]  #: row -> units, each above 0
    nobodys: int  #: what nobody had paid, though there was a pool


def returned(history: Sequence[Paid], units: int, drains: Sequence[int]) -> Returned:
    """Who gets back so many units: `history` in booking order, `drains` the grants in drain order.

    What is in neither was booked while the customer had no grant yet: no pool counts it.

    >>> returned([Paid(30, {1: 20, 2: 10}, False)], 15, [1, 2])
    Returned(grants={2: 10, 1: 5}, nobodys=0)
    >>> returned([Paid(30, {1: 20}, True), Paid(-12, {1: -2}, False)], 5, [1, 2])
    Returned(grants={1: 5}, nobodys=0)
    """
    left, (grants, nobodys) = units, _paid_by_now(history)
    back = min(left, nobodys)
    left -= back
    found: dict[int, int] = {}
    for grant in reversed(drains):
        part = min(left, max(0, grants.get(grant, 0)))
        if part:
            found[grant] = part
            left -= part
    return Returned(found, back)


def _paid_by_now(history: Sequence[Paid]) -> tuple[dict[int, int], int]:
    """What each grant paid, net; and what nobody did."""
    grants: dict[int, int] = {}
    nobodys = 0
    for one in history:
        for grant, units in one.grants.items():
            grants[grant] = grants.get(grant, 0) + units
        rest = one.units - sum(one.grants.values())
        if one.unbacked:
            nobodys += rest
        elif rest < 0:  # it came back to nobody
            nobodys = max(0, nobodys + rest)
    return grants, nobodys
