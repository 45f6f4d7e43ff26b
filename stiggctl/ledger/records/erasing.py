"""Erasing: what is to be forgotten of a resource, and what was.

Here: the record that one erasure is, and its outcome. Not here: how rows are rewritten (forgetting.py).
"""

from dataclasses import dataclass
from typing import NamedTuple


@dataclass(slots=True, kw_only=True)
class Erasure:
    """A resource whose id, name and properties go, wherever they stand.

    `expected_change` as in ModelChange: another one by now is Stale, and nothing is written.
    """

    expected_change: int
    at_us: int
    customer: int
    customer_id: str
    resource: int
    resource_id: str
    name: str | None
    token: str  #: in place of the id
    attribution_keys: tuple[str, ...]  #: of its type
    properties: str  #: JSON: what it keeps of them
    suspension: str | None
    actor: str | None
    reason: str | None
    for_all: bool = False  #: as in ModelChange: it is of one customer

    @property
    def customers_touched(self) -> set[str]:
        """As in ModelChange."""
        return {self.customer_id}


class Forgot(NamedTuple):
    """What an erasure did."""

    change: int  #: the LedgerState.change that it made
    events: int  #: that said something of it
    keys: int  #: idempotency keys of users that were replaced
