"""Orphans: what dead processes held of a cell, until it ends; it counts as held meanwhile.

Here: noting it, and its end. Not here: who finds out that a process is dead (holder/others.py).
"""

from collections.abc import Sequence

from stiggctl.decision.cells import ALLOTTED, Stripe


def note_orphans(stripe: Stripe, place: int, orphans: Sequence[tuple[int, int]]) -> None:
    """What dead processes held there, as the ledger says; the caller counts it in `allotted`."""
    if orphans:
        stripe.orphans[place] = tuple(orphans)
        stripe.next_end_us = min(stripe.next_end_us, *(until_us for _, until_us in orphans))
    else:
        stripe.orphans.pop(place, None)


def end_orphans(stripe: Stripe, now_us: int) -> None:
    """Of what dead processes held, let what is over count no more; the caller has the lock.

    It is free in the ledger by now, to be drawn by whoever needs it.
    """
    for place, orphans in list(stripe.orphans.items()):
        left = tuple((units, until_us) for units, until_us in orphans if until_us > now_us)
        over = sum(units for units, _ in orphans) - sum(units for units, _ in left)
        stripe.numbers[place + ALLOTTED] -= over
        note_orphans(stripe, place, left)
