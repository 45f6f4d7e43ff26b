"""Holders: the processes that spend from a ledger: what each holds, and what it hides from the others.

Here: rows and pages to records that people read. Not here: who is alive (holder/liveness.py), what a
share is (ledger/).
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, NamedTuple

from stiggctl.amounts import to_amount
from stiggctl.answers.json_form import camel, json_value
from stiggctl.holder.others import Seen
from stiggctl.ledger.records import HolderRow, HoldingRow, Orphan
from stiggctl.windows import to_datetime


class HolderStatus(StrEnum):
    """Whether a process lives."""

    ALIVE = "ALIVE"  #: it may be stopped: that nobody can see, and nothing of it is touched
    DEAD = "DEAD"  #: the next process that needs something of it buries it


class HolderShare(NamedTuple):
    """What one process has of one limit."""

    customer_id: str
    resource_id: str | None  #: None: of a grant
    grant_id: str | None
    credit_currency: str
    window_start: datetime | None  #: None: it counts for ever, or rolls
    held: int | Decimal  #: what its reservations hold, as its page says
    hidden: int | Decimal  #: what it may spend beside that without asking; others may ask for it

    def as_dict(self) -> dict[str, Any]:
        """The camelCase JSON of it."""
        return {camel(name): json_value(value) for name, value in self._asdict().items()}


class HolderCounts(NamedTuple):
    """What a process decided since it first spent, as it told others a moment ago.

    A decision is a request to hold something: of `reserve`, of `consume`, and one for each candidate of a
    `fit`. A `check` is none.
    """

    at: datetime  #: when it told that; nothing was decided since, or it was less than a second ago
    decisions: int
    denials: Mapping[str, int]  #: how many of them were denied, by reason

    @property
    def denied(self) -> int:
        """How many were denied, for whatever reason."""
        return sum(self.denials.values())

    def as_dict(self) -> dict[str, Any]:
        """The camelCase JSON of it."""
        return {"at": json_value(self.at), "decisions": self.decisions, "denials": dict(self.denials)}


class HolderState(NamedTuple):
    """A process that has reserved, consumed or reported, and has not been buried."""

    pid: int
    host: str
    status: HolderStatus
    is_up_to_date: bool  #: it decides by the model as it stands
    holds_until: datetime | None  #: when the last of what it holds ends
    shares: tuple[HolderShare, ...]  #: those in which it has something
    holder_id: str  #: with it begin the ids of its decisions; a process that begins anew has another
    reservations: int  #: how many are open
    counts: HolderCounts | None  #: None: it has told none yet

    def as_dict(self) -> dict[str, Any]:
        """The camelCase JSON of it, shares included."""
        nested = {
            "shares": [share.as_dict() for share in self.shares],
            "counts": None if self.counts is None else self.counts.as_dict(),
        }
        plain = {name: value for name, value in self._asdict().items() if name not in nested}
        return {camel(name): json_value(value) for name, value in plain.items()} | nested


def holder_state(
    row: HolderRow,
    holdings: Iterable[HoldingRow],
    seen: Seen,
    *,
    change: int,
) -> HolderState:
    """One as people read it. `seen`: from outside; `change`: the model's."""
    ends = [end.until_us for of_cell in seen.held.values() for end in of_cell]
    counts = seen.counts
    return HolderState(
        pid=row.pid,
        host=row.host,
        status=HolderStatus.DEAD if seen.is_dead else HolderStatus.ALIVE,
        is_up_to_date=row.obeys >= change,
        holds_until=to_datetime(max(ends)) if ends else None,
        shares=tuple([_share(one, seen.held.get(one.cell, ())) for one in holdings if one.holder == row.id]),
        holder_id=row.name,
        reservations=seen.reservations,
        counts=None
        if counts is None
        else HolderCounts(to_datetime(counts.at_us), counts.decisions, counts.denials),
    )


def _share(one: HoldingRow, ends: Iterable[Orphan]) -> HolderShare:
    # A settle may have committed before its hold fell from the page.
    held = min(one.granted, sum(end.units for end in ends))
    return HolderShare(
        customer_id=one.customer_id,
        resource_id=one.resource_id,
        grant_id=one.grant_id,
        credit_currency=one.currency_id,
        window_start=to_datetime(one.window_start_us) if one.window_start_us else None,
        held=to_amount(held, one.decimals),
        hidden=to_amount(0 if one.exact else one.granted - held, one.decimals),
    )
