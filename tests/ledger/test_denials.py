"""Denials: kept as rows, so many at most, found by what they are of, and never looked through."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from stiggctl.ledger.opening import open_ledger
from stiggctl.ledger.records import DenialRow, DenialWrite
from stiggctl.ledger.sqlite.denials import IDS_MAX, SOON_US
from stiggctl.ledger.sqlite.statements import SQL

from .world import World

MOST = 1_000
SECOND_US = 1_000_000


def denial(number: int, *, kind: int = 1, at_us: int = 0, times: int = 1, **given: Any) -> DenialWrite:
    """One that is of a kind, or several that came together."""
    others = tuple((f"d-{number}.{at}", at_us + at) for at in range(1, times))
    facts: dict[str, Any] = {
        "customer_id": None,
        "decision_id": f"d-{number}",
        "others": others,
        "first_at_us": at_us,
        "last_at_us": at_us + times - 1,
        "times": times,
        "verb": "check",
        "reason": "BUDGET_EXCEEDED",
        "resource_ids": '["ann"]',
        "dimensions": "{}",
        "event_name": None,
        "decision": f'{{"of":{kind}}}',
        "kind": kind,
    }
    return DenialWrite(**facts | given)


def kept(ledger: Any, *denials: DenialWrite, dropped: int = 0, most: int = MOST) -> list[DenialRow]:
    """What is there after they were written, the newest first."""
    ledger.keep_denials(denials, dropped, most)
    with ledger.reader() as reader:
        return list(reader.denials())


def dropped(ledger: Any) -> int:
    with ledger.reader() as reader:
        return int(reader.denials_dropped())


def test_the_same_within_a_minute_is_one_row_from_whomever(ledger: Any) -> None:
    """DE1: counted from the first on, so that one that is tried again all day is a row a minute."""
    [row] = kept(ledger, denial(1), denial(2, at_us=SOON_US // 2, times=3), denial(3, at_us=SOON_US))
    assert (row.decision_id, row.times, row.first_at_us, row.last_at_us) == ("d-1", 5, 0, SOON_US)
    assert [one for one, _ in row.others] == ["d-2", "d-2.1", "d-2.2", "d-3"]
    assert len(kept(ledger, denial(4, at_us=SOON_US + 1))) == 2


@pytest.mark.parametrize(
    "other",
    [
        {"verb": "reserve"},
        {"reason": "SUSPENDED"},
        {"resource_ids": '["bob"]'},
        {"dimensions": '{"model":"large"}'},
        {"event_name": "chat"},
        {"decision": "{}"},
    ],
    ids=lambda other: next(iter(other)),
)
def test_what_differs_is_another_row_also_where_the_digest_is_the_same(
    ledger: Any, other: dict[str, str]
) -> None:
    assert len(kept(ledger, denial(1), denial(2, **other))) == 2


def test_what_is_sent_again_because_its_answer_was_lost_counts_once(ledger: Any) -> None:
    kept(ledger, denial(1, times=3))
    kept(ledger, denial(1, times=3))
    # The first of them was taken off before whoever sent them was interrupted.
    [row] = kept(ledger, denial(1, times=2, decision_id="d-1.1", first_at_us=1, others=(("d-1.2", 2),)))
    assert row.times == 3


def test_of_very_many_the_first_and_the_last_ids_are_kept(ledger: Any) -> None:
    half = IDS_MAX // 2
    [row] = kept(ledger, denial(1, times=IDS_MAX), denial(2, at_us=SECOND_US, times=IDS_MAX))
    assert row.times == 2 * IDS_MAX
    names = [one for one, _ in row.others]
    assert len(names) == IDS_MAX
    assert names[:half] == [f"d-1.{at}" for at in range(1, half + 1)]
    assert names[-1] == f"d-2.{IDS_MAX - 1}"
    with ledger.reader() as reader:
        assert reader.denial(names[-1]) == row
        assert reader.denial(f"d-1.{half + 1}") is None


def test_the_oldest_go_and_are_counted_with_all_that_they_stand_for(ledger: Any) -> None:
    """DE2."""
    rows = kept(
        ledger, denial(1, times=4), *(denial(at, kind=at, at_us=at) for at in (2, 3, 4)), dropped=5, most=3
    )
    assert [one.decision_id for one in rows] == ["d-4", "d-3", "d-2"]
    assert dropped(ledger) == 4 + 5
    kept(ledger, dropped=1, most=3)
    assert dropped(ledger) == 10


def test_whose_it_is_is_found_by_its_resources_where_nobody_says(ledger: Any) -> None:
    """As of one that was refused because another process did not answer: then no limit was looked at."""
    World(ledger)
    with ledger.reader() as reader:
        [customer] = [one.customer_id for one in reader.customers()]
        names = [one.resource_id for one in reader.resources()][:2]
    both = f'["{names[0]}","{names[1]}","{names[0]}"]'
    rows = kept(
        ledger,
        denial(1, kind=1, resource_ids=both),
        denial(2, kind=2, at_us=1, resource_ids=f'["{names[0]}","nobody"]'),
        denial(3, kind=3, at_us=2, resource_ids="[]"),
        denial(4, kind=4, at_us=3, customer_id=customer),
        denial(5, kind=5, at_us=4, customer_id="gone"),
    )
    assert [row.customer_id for row in reversed(rows)] == [customer, None, None, customer, None]


def test_neither_writing_nor_listing_looks_through_all_of_them(path: Path) -> None:
    """A write has the one lock of the ledger: it must not take longer, the more there are."""
    open_ledger(str(path)).close()
    with closing(sqlite3.connect(path)) as connection:

        def plan(name: str, **given: object) -> str:
            asked = denial(1)._asdict() | {"customer": 0, "since_us": 0, "until_us": 1, "resource": None}
            found = connection.execute(f"EXPLAIN QUERY PLAN {SQL[name]}", asked | given)
            return " / ".join(row[3] for row in found)

        assert "USING INDEX denials_kind (kind=? AND first_at_us>?)" in plan("denial_of_the_same")
        listing = plan("denials")
        assert "USING INDEX denials_time" in listing
        assert "B-TREE" not in listing
        assert "SCAN denials" not in plan("drop_denials", most=3)
