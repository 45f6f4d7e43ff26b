"""Denials: kept, so many at most, and found again.

Here: writing and reading their rows. Not here: what is a denial of the same kind in one process
(holder/denials.py).

  DE1  What came soon after the same denial, from whichever process, is a part of its row.
  DE2  No more than so many rows are kept; of what goes, and of what never came, the number is kept.
"""

import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from stiggctl.ledger.records import DenialRow, DenialWrite
from stiggctl.ledger.sqlite.statements import SQL

T = TypeVar("T")

#: What comes within so long after the first of its kind is one more of it. Of a client that tries again each
#: second a minute is one row, and has the ids of all; with an hour, who asks about the last of them would be
#: told that its id is not kept.
SOON_US = 60_000_000
#: Of each row so many ids of the others are kept, the first and the last ones: somebody asks about one of
#: these.
IDS_MAX = 100

Rows = Callable[[str, Mapping[str, object]], Sequence[tuple[Any, ...]]]
Stream = Callable[[str, Mapping[str, object]], Iterator[tuple[Any, ...]]]


def some_of(ids: Sequence[T]) -> Sequence[T]:
    """The first and the last of them, no more than are kept.

    >>> some_of(range(3)), len(some_of(range(1000))), some_of(range(1000))[-1]
    (range(0, 3), 100, 999)
    """
    half = IDS_MAX // 2
    return ids if len(ids) <= IDS_MAX else [*ids[:half], *ids[-half:]]


def keep(cursor: sqlite3.Cursor, denials: Sequence[DenialWrite], dropped: int, most: int) -> None:
    """Write them, and let go of the oldest where they are too many (DE2)."""
    for one in denials:
        _keep(cursor, one)
    gone = cursor.execute(SQL["drop_denials"], {"most": most}).fetchall()
    dropped += sum(times for (times,) in gone)
    if dropped:
        cursor.execute(SQL["count_dropped_denials"], {"dropped": dropped})


def _keep(cursor: sqlite3.Cursor, one: DenialWrite) -> None:
    row = {**one._asdict(), "customer": _customer(cursor, one), "since_us": one.first_at_us - SOON_US}
    before = cursor.execute(SQL["denial_of_the_same"], row).fetchone()
    if before is None:
        cursor.execute(SQL["append_denial"], {**row, "other_ids": json.dumps(some_of(one.others))})
        return
    denial, first_id, others = before
    known = [(id_, at_us) for id_, at_us in json.loads(others)]
    fresh = _unkept([(one.decision_id, one.first_at_us), *one.others], {first_id, *(id_ for id_, _ in known)})
    if fresh:
        added = {"times": len(fresh), "other_ids": json.dumps(some_of([*known, *fresh]))}
        cursor.execute(SQL["add_to_denial"], {**row, **added, "denial": denial})


def _unkept(sent: list[tuple[str, int]], known: set[str]) -> list[tuple[str, int]]:
    """Those that were not kept before: whoever was interrupted sends again what it had sent, and more.

    >>> _unkept([("a", 1), ("b", 2), ("c", 3)], {"b"})  # of very many the first may not be known any more
    [('c', 3)]
    """
    last = max((at for at, (id_, _) in enumerate(sent) if id_ in known), default=-1)
    return sent[last + 1 :]


def _customer(cursor: sqlite3.Cursor, one: DenialWrite) -> int:
    """Whose it is; 0 where that is not known."""
    if one.customer_id is not None:
        found = cursor.execute(SQL["row_of_customer"], {"customer_id": one.customer_id}).fetchall()
    else:
        found = cursor.execute(SQL["customer_of_all"], {"resource_ids": one.resource_ids}).fetchall()
    return int(found[0][0]) if len(found) == 1 else 0


def denials(stream: Stream, asked: Mapping[str, object]) -> Iterator[DenialRow]:
    """The newest first."""
    return map(_row, stream(SQL["denials"], asked))


def denial(rows: Rows, decision_id: str) -> DenialRow | None:
    """The one that a decision is of, or is among."""
    for name in ("denial_by_id", "denial_by_other_id"):
        found = rows(SQL[name], {"decision_id": decision_id, "said": json.dumps(decision_id)})
        if found:
            return _row(found[0])
    return None


def _row(row: tuple[Any, ...]) -> DenialRow:
    id_, customer, decision_id, said, *rest = row
    first, last, times, verb, reason, resources, dimensions, event_name, decision = rest
    others = tuple((one, at_us) for one, at_us in json.loads(said))
    return DenialRow(
        id_, customer, decision_id, others, first, last, times, verb, reason, tuple(json.loads(resources)),
        dimensions, event_name, decision,
    )  # fmt: skip
