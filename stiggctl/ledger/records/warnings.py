"""Warnings: what was recorded once, to be told: a threshold that was crossed, a grant that is to expire.

Here: the rows as they are read. Not here: when one is written (sqlite/watching.py).
"""

from typing import NamedTuple

# Kinds of warnings.
CROSSED = 0
EXPIRING = 1


class WarningRow(NamedTuple):
    """One warning, with the texts of what it names, as they were when it was recorded."""

    id: int
    kind: int
    at_us: int
    customer_id: str
    resource_id: str | None  #: None: of a grant
    name: str | None  #: the id of the allocation, if it has one; or of the grant
    currency_id: str
    decimals: int
    threshold: int  #: in hundredths of a percent; 0 of a grant that expires
    used: int
    limit_units: int
    event: int | None  #: None: no event crossed it, but another limit, say
    cadence: str | None
    rolling: bool
    scope: str
    window_start_us: int
    window_end_us: int | None  #: None: for ever, or it rolls; of a grant that expires, when that is


class ExpiringWrite(NamedTuple):
    """A grant that is about to expire, and what it has paid by now."""

    grant: int
    ends_us: int
    used: int
    limit_units: int
