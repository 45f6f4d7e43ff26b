"""Happenings: what hooks are told of: a decision, a booking, a threshold that was crossed, credits that end.

Here: the records, frozen. Not here: when one is told (holder/news.py), hooks (control/watching.py), what
the ledger's trouble and its differences are (there, too).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal

from stiggctl.amounts import plain
from stiggctl.answers.decision import Decision
from stiggctl.answers.receipt import Receipt

Verb = Literal["check", "fit", "reserve", "extend", "consume"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """What hooks are told of, and when it was."""

    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionMade(Happening):
    """Something was asked for and admitted, or denied. guard and metered ask by `reserve`."""

    verb: Verb
    decision: Decision

    def __str__(self) -> str:
        return f"{self.verb} {'admitted' if self.decision.has_access else 'denied'}: {self.decision}"


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageBooked(Happening):
    """An event is in the ledger: new, and committed. A duplicate is not told again."""

    customer_id: str
    resource_ids: tuple[str, ...]  #: those that were named, or found by its dimensions
    event_name: str | None
    dimensions: Mapping[str, str | int | Decimal | bool]
    receipt: Receipt

    @property
    def amounts(self) -> Mapping[str, int | Decimal]:
        """What it cost, by currency; less than 0 in a reversal."""
        return self.receipt.amounts

    @property
    def overage(self) -> int | Decimal:
        """How much of it was over a limit or the pool: the largest of these."""
        return self.receipt.overage


@dataclass(frozen=True, slots=True, kw_only=True)
class ThresholdCrossed(Happening):
    """So much of a limit, or of a grant, is used: told once a limit, window and threshold.

    As it was then: the limit may have been changed since.
    """

    threshold: int | Decimal  #: percent
    customer_id: str
    resource_id: str | None  #: None: of a grant
    grant_id: str | None  #: None: of a limit
    allocation_id: str | None  #: of a limit that has one
    credit_currency: str
    limit: int | Decimal  #: the limit in force; of a grant, its amount
    used: int | Decimal
    cadence: str | None
    rolling: bool
    scope: Mapping[str, tuple[str, ...]]
    window_start: datetime | None  #: None: for ever
    window_end: datetime | None  #: None: for ever, or it rolls
    event_id: str | None  #: of the event that crossed it; None: another limit did, or usage before it

    def __str__(self) -> str:
        what = (
            f"grant {self.grant_id} of {self.customer_id}" if self.resource_id is None else self.resource_id
        )
        how = f" ({'rolling ' if self.rolling else ''}{self.cadence})" if self.cadence else ""
        return (
            f"{what} has used {plain(self.used)} of {plain(self.limit)} {self.credit_currency}{how}: "
            f"{plain(self.threshold)} % is crossed"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantExpiring(Happening):
    """Credits of a grant are about to be gone: told once a grant, while some are left."""

    customer_id: str
    grant_id: str
    credit_currency: str
    amount: int | Decimal
    used: int | Decimal
    expires_at: datetime

    @property
    def remaining(self) -> int | Decimal:
        """What is left of it, unless it is spent by then."""
        return self.amount - self.used

    def __str__(self) -> str:
        left = f"{plain(self.remaining)} of {plain(self.amount)} {self.credit_currency}"
        ends = f"{self.expires_at:%Y-%m-%dT%H:%M:%SZ}"
        return f"grant {self.grant_id} of {self.customer_id} expires at {ends}, with {left} left"
