"""Denials, as they are kept.

Here: the records. Not here: what one says (answers/kept.py), which are kept (holder/denials.py).
"""

from typing import NamedTuple


class DenialWrite(NamedTuple):
    """One denial, or several of the same request, with the same numbers, soon after each other."""

    customer_id: str | None  #: None: nobody knows whose
    decision_id: str  #: of the first
    others: tuple[tuple[str, int], ...]  #: (id, instant) of each of the others
    first_at_us: int
    last_at_us: int
    times: int
    verb: str
    reason: str
    resource_ids: str  #: JSON
    dimensions: str  #: JSON
    event_name: str | None
    decision: str  #: JSON, of each of them
    kind: int  #: a digest of what is the same of two of a kind


class DenialRow(NamedTuple):
    """The same, as it stands in the ledger."""

    id: int
    customer_id: str | None
    decision_id: str
    others: tuple[tuple[str, int], ...]  #: (id, instant)
    first_at_us: int
    last_at_us: int
    times: int
    verb: str
    reason: str
    resource_ids: tuple[str, ...]
    dimensions: str
    event_name: str | None
    decision: str
