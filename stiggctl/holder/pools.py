"""Pools: which grants of a customer are open at an instant, in which order they drain, what comes.

Here: rows in, the pool out. Pure. Not here: reading the rows (trees.py), what each grant pays
(decision/pools.py), what is counted (ledger/).

What always holds:
  PO1  A customer that ever had a grant of a currency has a pool in it, also when none is open.
  PO2  Grants drain by priority, then the earlier end, PROMOTIONAL before PAID, the earlier beginning,
       the older one. Of one that recurs the end is that of its window: what is left is gone then.
  PO3  One that was voided is open at no instant: what it still pays was held before.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from stiggctl.answers import Terms
from stiggctl.decision.cells import NEVER
from stiggctl.decision.pools import Coming
from stiggctl.holder.in_force import Limit, recurring
from stiggctl.ledger.records import GrantRow
from stiggctl.windows import ALWAYS, END_US, Window, steady, validity


class PoolInForce(NamedTuple):
    """The open grants in drain order, as limits that count what they paid; and how long it is these."""

    limits: tuple[Limit, ...]
    coming: tuple[Coming, ...]
    from_us: int
    until_us: int


def pool_of(grants: Sequence[GrantRow], currency: int, at_us: int) -> PoolInForce | None:
    """The pool in a currency at an instant; None where the customer never had a grant of it."""
    own = [grant for grant in grants if grant.currency == currency]
    if not own:
        return None
    turns: list[Window] = []
    found: list[tuple[tuple[object, ...], Limit]] = []
    for grant in own:
        if grant.voided_at_us is not None:
            continue
        valid = validity(grant.effective_at_us, grant.expires_at_us)
        turns.append(valid)
        if valid.has(at_us):
            window = _window_of(grant, at_us)
            turns.append(window)
            found.append((_drains(grant, window), _as_limit(grant, window)))
    found.sort(key=lambda one: one[0])
    lasts = steady(at_us, turns)
    limits = tuple(limit for _, limit in found)
    return PoolInForce(limits, _coming(own, at_us), lasts.start_us, lasts.end_us)


def _window_of(grant: GrantRow, at_us: int) -> Window:
    """In which its credits are these: its validity, or the window of a recurring one in that."""
    valid = validity(grant.effective_at_us, grant.expires_at_us)
    windows = recurring(grant.cadence, grant.timezone, grant.anchor_us)
    if windows is None:
        return valid
    window = windows.window_of(at_us)
    return Window(max(valid.start_us, window.start_us), min(valid.end_us, window.end_us))


def _drains(grant: GrantRow, window: Window) -> tuple[object, ...]:
    begins_us = ALWAYS.start_us if grant.effective_at_us is None else grant.effective_at_us
    return (grant.priority, window.end_us, grant.kind != "PROMOTIONAL", begins_us, grant.id)


def in_drain_order(grants: Iterable[GrantRow], at_us: int) -> list[int]:
    """The rows of grants in the order in which they drained at an instant, whether they were open or not."""
    return [one.id for one in sorted(grants, key=lambda one: _drains(one, _window_of(one, at_us)))]


def _as_limit(grant: GrantRow, window: Window) -> Limit:
    start_us, end_us = 0, None
    windows = recurring(grant.cadence, grant.timezone, grant.anchor_us)
    if windows is not None:
        start_us, end_us = windows.window_of(window.start_us)
    # When it is open no more: what is late or held may be booked on it for longer.
    until_us = None if window.end_us == END_US else window.end_us
    return Limit(
        grant.id,
        grant.grant_id,
        0,
        hard=True,
        limit_units=grant.amount_units,
        terms=Terms(grant.cadence, window_start_us=start_us, window_end_us=until_us),
        counts_until_us=end_us,
    )


def _coming(grants: Sequence[GrantRow], at_us: int) -> tuple[Coming, ...]:
    """What begins after an instant, if nothing more is spent.

    Of a recurring one all its later windows together: each has the whole amount, as the next has.
    """
    coming = []
    for grant in grants:
        valid = validity(grant.effective_at_us, grant.expires_at_us)
        from_us = valid.start_us
        if grant.cadence is not None and valid.has(at_us):
            from_us = _window_of(grant, at_us).end_us
        if grant.voided_at_us is None and at_us < from_us < valid.end_us:
            until_us = NEVER if valid.end_us == END_US else valid.end_us
            coming.append(Coming(from_us, until_us, grant.amount_units))
    return tuple(coming)


def grant_as_limit(grant: GrantRow, at_us: int) -> Limit:
    """What counts what a grant paid at an instant, whether it is open then, by now, or not."""
    windows = recurring(grant.cadence, grant.timezone, grant.anchor_us)
    return _as_limit(grant, ALWAYS if windows is None else windows.window_of(at_us))


class GrantNow(NamedTuple):
    """A grant, open or not, with the window that its numbers are of."""

    row: GrantRow
    window: Window
    limit: Limit
    is_open: bool
    order: tuple[object, ...]  #: open ones as they drain, then those that come, then those that ended


def grants_now(grants: Iterable[GrantRow], now_us: int) -> Iterator[GrantNow]:
    """Each with its present window; of one that is not open, with its first or its last."""
    for grant in grants:
        valid = validity(grant.effective_at_us, grant.expires_at_us)
        is_open = grant.voided_at_us is None and valid.has(now_us)
        last_us = (
            valid.end_us - 1 if grant.voided_at_us is None else min(valid.end_us, grant.voided_at_us) - 1
        )
        window = _window_of(grant, max(valid.start_us, min(now_us, last_us)))
        has_ended = 2 if grant.voided_at_us is not None or now_us >= valid.end_us else 1
        order = (0 if is_open else has_ended, *_drains(grant, window))
        yield GrantNow(grant, window, _as_limit(grant, window), is_open, order)
