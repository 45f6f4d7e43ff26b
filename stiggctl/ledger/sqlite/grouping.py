"""Grouping: what a customer's events sum to in some spans of time, apart by name, path or dimension.

Here: the sums as SQLite makes them, to records; what a limit had counted by an instant. Not here: which
spans (reports/totals.py), what cells have used (sums.py).

What always holds:
  GP1  A sum is exact, however large, and a value of a dimension is told as a scope compares it: a
       number that SQLite would round is read from the event's own text.
  GP2  Sums come many in a step: SQLite gives up the GIL at each, and a thread that is busy has it for
       five milliseconds then.
"""

import json
from collections.abc import Iterator, Sequence

from stiggctl.events import canonical_text, dimensions_of
from stiggctl.ledger.records import Apart, Spending, Spent, SumsWanted, UsageSum
from stiggctl.ledger.sqlite.events import unpacked_members
from stiggctl.ledger.sqlite.statements import SQL
from stiggctl.ledger.sqlite.sums import Rows, Stream, whole


def sums(
    stream: Stream, customer: int, spans: Sequence[tuple[int, int]], wanted: SumsWanted
) -> Iterator[UsageSum]:
    """Each span's, apart as wanted."""
    asked = {"customer": customer, "spans": json.dumps(spans), **wanted._asdict()}
    for (page,) in stream(SQL["sums_apart"], asked):
        for span, said, members, currency, high, low, events in json.loads(page):
            yield UsageSum(
                span,
                _in_one_form(said, wanted.dimension) if wanted.apart is Apart.DIMENSION else said,
                unpacked_members(bytes.fromhex(members)),
                currency,
                whole(high, low),
                events,
            )


def spent(rows: Rows, spending: Spending) -> list[Spent]:
    """What a limit, or some grants, had counted by an instant: by what was named together."""
    name = "spent_by" if spending.grants is None else "paid_by"
    found = rows(SQL[name], {**spending._asdict(), "grants": json.dumps(spending.grants)})
    return [
        Spent(unpacked_members(members), whole(high, low), events) for members, high, low, events in found
    ]


def _in_one_form(said: str | None, dimension: str | None) -> str | None:
    """What `sums_apart` says of a dimension, as `canonical_text` has it.

    >>> _in_one_form("text:a:b", "d"), _in_one_form("integer:5", "d"), _in_one_form("true:1", "d")
    ('a:b', '5', 'true')
    >>> _in_one_form('{"d":0.5}', "d")
    '0.5'
    """
    if said is None or dimension is None:
        return None
    if said.startswith("{"):  # no kind does: these are all dimensions of the events
        return canonical_text(dimensions_of(said)[dimension], dimension)
    kind, _, text = said.partition(":")
    return kind if kind in {"true", "false"} else text
