"""Holders: the processes that spend from a ledger: what each holds, and what it hides from the others.

Here: rows and pages to records that people read. Not here: who is alive (holder/liveness.py), what a
share is (ledger/).
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, NamedTuple

from stiggctl.amounts import to_amount
from stiggctl.answers.json_form import camel, json_value
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


class HolderState(NamedTuple):
    """A process that has reserved, consumed or reported, and has not been buried."""

    pid: int
    host: str
    status: HolderStatus
    is_up_to_date: bool  #: it decides by the model as it stands
    holds_until: datetime | None  #: when the last of what it holds ends
    shares: tuple[HolderShare, ...]  #: those in which it has something

    def as_dict(self) -> dict[str, Any]:
        """The camelCase JSON of it, shares included."""
        shares = [share.as_dict() for share in self.shares]
        plain = self._replace(shares=())._asdict()
        return {camel(name): json_value(value) for name, value in plain.items()} | {"shares": shares}


def holder_state(
    row: HolderRow,
    holdings: Iterable[HoldingRow],
    page: Mapping[int, Sequence[Orphan]],
    *,
    is_dead: bool,
    change: int,
) -> HolderState:
    """One as people read it. `page`: cell -> what its page says that it holds; `change`: the model's."""
    ends = [end.until_us for of_cell in page.values() for end in of_cell]
    return HolderState(
        pid=row.pid,
        host=row.host,
        status=HolderStatus.DEAD if is_dead else HolderStatus.ALIVE,
        is_up_to_date=row.obeys >= change,
        holds_until=to_datetime(max(ends)) if ends else None,
        shares=tuple([_share(one, page.get(one.cell, ())) for one in holdings if one.holder == row.id]),
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
