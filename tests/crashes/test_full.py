"""A disk that is full, beside others: nothing half-booked, nothing accepted and lost, and spare is spent."""

import signal
from pathlib import Path

import pytest

from stiggctl import UsageControl
from stiggctl.testing import ManualClock

from .company import LIMIT, describe, in_company
from .test_disk import small_disk
from .test_several import Worker, insisting, workers
from .troubled import NOON

#: Some 4 kB an event, so that it does not take long.
CHARS = 3_800


def spends_from_spare(*those: Worker) -> None:
    for one in those:
        assert one("reserve", 5, 600) == 5
        assert one("release") is None
        assert one("check", 100)


def keys(control: UsageControl) -> list[str | None]:
    return [event.idempotency_key for event in control.events("c") if event.idempotency_key is not None]


def settled(one: Worker) -> bool:
    """Of what was reserved first; a settle is small and may find room."""
    answer = one("settle", 7)
    assert answer == 7 or answer["trouble"] == "LedgerUnavailable"
    return answer == 7


def test_who_has_no_room_loses_nothing_and_others_go_on(tmp_path: Path) -> None:
    path = tmp_path / "usage.db"
    describe(path)
    with (
        workers(path, 2, "troubled") as [full, beside],
        UsageControl(path, clock=ManualClock(NOON)) as control,
    ):
        in_company(full, beside)
        full("room_for", 20)
        told, why = full("report_all", "full", 0, 500, CHARS)
        assert "the disk is full" in why
        assert 1 < told < 100
        assert beside("report_all", "beside", 0, 50, CHARS) == [50, None]
        spends_from_spare(full, beside)
        assert full("report_all", "full", told, told + 1, CHARS)[0] == 0
        assert sorted(map(str, keys(control))) == sorted(
            [f"full-{at}" for at in range(told)] + [f"beside-{at}" for at in range(50)]
        )
        assert control.verify() == []
        was = settled(full)
        assert settled(beside)
        assert control.tree("team", "ai-tokens").held == (0 if was else 7)

        full("room_for", -1)
        assert full("report_all", "full", 0, told + 20, CHARS) == [told + 20, None]
        assert was or settled(full)
        used = told + 20 + 50 + 2 * 7
        assert len(keys(control)) == told + 20 + 50
        assert control.tree("team", "ai-tokens").used == used
        assert insisting(control, LIMIT - used).amount == LIMIT - used
        assert control.verify() == []


@pytest.mark.platform
def test_where_all_have_no_room_nothing_is_lost_and_who_dies_then_hides_nothing_afterwards(
    tmp_path: Path,
) -> None:
    with small_disk(tmp_path / "disk", 6_000) as disk:
        path, ballast = disk / "usage.db", disk / "ballast"
        describe(path)
        with (
            workers(path, 3, "troubled") as three,
            UsageControl(path, clock=ManualClock(NOON)) as control,
        ):
            in_company(*three)
            ballast.write_bytes(bytes(4_000_000))
            for at, one in enumerate(three):
                one.begin("report_all", f"w{at}", 0, 3_000, CHARS)
            answers = [one.answer() for one in three]
            assert all("disk" in why or "room" in why for _, why in answers), answers
            told = {f"w{at}-{n}" for at, (many, _) in enumerate(answers) for n in range(many)}
            assert len(told) > 10
            found = keys(control)
            assert len(found) == len(set(found))
            # What was told is there. What was told an error may be there: then its key finds it.
            assert told <= set(found)
            assert len(set(found) - told) <= 3
            spends_from_spare(*three)
            assert control.verify() == []

            three[2].send(signal.SIGKILL)
            spends_from_spare(*three[:2])
            ballast.unlink()
            for at, one in enumerate(three[:2]):
                assert one("report_all", f"w{at}", 0, answers[at][0] + 10, CHARS)[1] is None
                assert settled(one)
            used = answers[2][0] + sum(answers[at][0] + 10 for at in range(2)) + 2 * 7
            used += len({key for key in keys(control) if str(key).startswith("w2-")} - told)
            # What the dead one held is withheld for its time, the rest is free.
            assert control.tree("team", "ai-tokens").used == used
            assert insisting(control, LIMIT - used - 7).amount == LIMIT - used - 7
            assert control.verify() == []
