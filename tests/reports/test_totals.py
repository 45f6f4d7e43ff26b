"""Totals: the parts in which events are summed change no number, and what few have costs little."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from stiggctl import UsageControl
from stiggctl.reports import totals
from stiggctl.testing import ManualClock

NOON = datetime(2026, 1, 15, 12, tzinfo=UTC)
ASKED: list[dict[str, Any]] = [
    {},
    {"bucket": "hour"},
    {"bucket": "day", "group_by": "model", "timezone": "America/New_York"},
    {"bucket": "month", "group_by": "resource"},
    {"group_by": "resource", "resource_type_id": "team"},
    {"group_by": "event", "since": NOON - timedelta(hours=90), "until": NOON - timedelta(hours=10)},
    {"bucket": "PT7H", "resource_id": "team-1", "since": NOON - timedelta(hours=91)},
]


@pytest.fixture
def control() -> Iterator[UsageControl]:
    """Two hundred events of ten users in two teams; many at one instant, a few long ago."""
    with UsageControl(":memory:", clock=ManualClock(NOON)) as control:
        control.apply(
            {
                "creditCurrencies": [{"id": "ai-tokens"}, {"id": "usd", "decimals": 2}],
                "resourceTypes": [{"id": "team"}, {"id": "user"}],
                "resources": [
                    *({"id": f"team-{n}", "resourceTypeId": "team", "customerId": "c"} for n in range(2)),
                    *(
                        {"id": f"user-{n}", "resourceTypeId": "user", "parentResourceId": f"team-{n % 2}"}
                        for n in range(10)
                    ),
                ],
            }
        )
        answers = control.report_many(
            [
                {
                    "customerId": "c",
                    "eventName": f"e{n % 3}",
                    "resourceIds": [f"user-{n % 10}"],
                    "amounts": {"ai-tokens": n, "usd": n % 7},
                    "dimensions": {"model": n % 4},
                    "timestamp": NOON - timedelta(hours=n if n > 60 else 50, days=9_999 * (n % 50 == 0)),
                }
                for n in range(200)
            ]
        )
        assert not any(isinstance(one, Exception) for one in answers)
        yield control


@pytest.mark.parametrize("events", [1, 2, 7, 61])
@pytest.mark.parametrize("windows", [1, 3, 1_000])
def test_in_whatever_parts_events_are_summed_the_rows_are_the_same(
    control: UsageControl, monkeypatch: pytest.MonkeyPatch, events: int, windows: int
) -> None:
    """TT2, TT3."""
    whole = [control.usage(**asked) for asked in ASKED]
    monkeypatch.setattr(totals, "EVENTS_AT_A_TIME", events)
    monkeypatch.setattr(totals, "_WINDOWS_MAX", windows)
    monkeypatch.setattr(totals, "_OTHERS_MAX", 2)
    monkeypatch.setattr(totals, "_SORTED_AT_A_TIME", windows)
    assert [control.usage(**asked) for asked in ASKED] == whole
    assert [len(rows) for rows in whole] == [1, *map(len, whole[1:])]
    assert all(len(rows) > 1 for rows in whole[1:])


def test_no_more_windows_are_asked_for_than_twice_those_with_events(
    control: UsageControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TT3: between the few of long ago and the others lie a quarter of a million hours."""
    asked: list[int] = []
    with counted(monkeypatch, asked):
        rows = control.usage(bucket="hour")
    assert sum(asked) < 4 * len(rows)
    assert len(asked) < 12
    del asked[:]
    with counted(monkeypatch, asked):
        control.usage(since=NOON, bucket="hour")
    assert asked == []


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch, asked: list[int]) -> Iterator[None]:
    """How many spans each statement is asked for."""
    with monkeypatch.context() as patch:
        spans = totals._spans

        def counting(*given: Any) -> Iterator[Any]:
            for windows, each in spans(*given):
                asked.append(len(each))
                yield windows, each

        patch.setattr(totals, "_spans", counting)
        yield


def test_buckets_are_windows_of_a_limit_and_hold_their_instants(control: UsageControl) -> None:
    """TT1."""
    for row in control.usage(bucket="P1W", timezone="Asia/Kathmandu"):
        assert row.bucket_start is not None
        assert row.bucket_end is not None
        assert row.bucket_end - row.bucket_start == timedelta(days=7)
        inside = control.usage(since=row.bucket_start, until=row.bucket_end)
        assert inside[0].amounts == row.amounts
