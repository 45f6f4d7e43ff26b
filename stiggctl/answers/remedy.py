"""The remedy: what would let a denied request pass.

Here: its kinds, and that of a refusal that is no limit. Not here: that of limits (decision.py).
"""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from stiggctl.answers.limits import AccessDeniedReason
from stiggctl.answers.sights import Refusal
from stiggctl.windows import to_datetime


class RemedyKind(StrEnum):
    """What would help a denied request."""

    SHRINK = "SHRINK"  #: ask for at most `amount`
    RETRY = "RETRY"  #: it would fit without what is held now; soon, at the latest at `retry_at`
    WAIT = "WAIT"  #: it would fit at `retry_at`
    RAISE_LIMIT = "RAISE_LIMIT"  #: only a limit that is higher by `amount` would let it pass


class Remedy(NamedTuple):
    """What would let a denied request pass."""

    kind: RemedyKind
    amount: int | Decimal | None = None
    retry_at: datetime | None = None

    def __str__(self) -> str:
        """As advice."""
        at = "" if self.retry_at is None else f", at the latest at {self.retry_at:%Y-%m-%d %H:%M:%S %Z}"
        amount = f"{self.amount:,f}" if isinstance(self.amount, Decimal) else f"{self.amount or 0:,}"
        match self.kind:
            case RemedyKind.SHRINK:
                return f"ask for at most {amount}"
            case RemedyKind.RETRY:
                return f"ask again: it would fit once what is held is settled{at}"
            case RemedyKind.WAIT:
                return f"ask again later{at}"
            case RemedyKind.RAISE_LIMIT:
                return f"only a limit that is higher by {amount} would admit it"


def remedy_of(refusal: Refusal) -> Remedy | None:
    """What helps where no limit is the reason; None: only a change of the model."""
    retryable = (AccessDeniedReason.LEDGER_UNAVAILABLE, AccessDeniedReason.SHARE_UNAVAILABLE)
    if refusal.reason in retryable:
        return Remedy(RemedyKind.RETRY)
    if refusal.until_us is not None:
        return Remedy(RemedyKind.WAIT, None, to_datetime(refusal.until_us))
    return None
