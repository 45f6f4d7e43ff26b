"""The clock that tests move, and the two that the machine has."""

import threading
from datetime import UTC, datetime, timedelta, timezone

import pytest

from stiggctl.clocks import Clock, SystemClock
from stiggctl.errors import InvalidRequest, InvalidTimestamp
from stiggctl.testing import ManualClock
from stiggctl.windows import to_us

NOON = datetime(2026, 1, 15, 12, tzinfo=UTC)
NOON_US = to_us(NOON, "noon")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOON)


def readings(clock: Clock) -> tuple[int, int]:
    return clock.now_us(), clock.monotonic_ns()


def test_it_stands_still_until_it_is_moved(clock: ManualClock) -> None:
    assert readings(clock) == readings(clock) == (NOON_US, 0)


def test_advancing_moves_both_readings(clock: ManualClock) -> None:
    clock.advance(seconds=90)
    assert readings(clock) == (NOON_US + 90_000_000, 90_000_000_000)
    clock.advance(seconds=0.5)
    assert readings(clock) == (NOON_US + 90_500_000, 90_500_000_000)
    clock.advance(seconds=0)
    assert readings(clock) == (NOON_US + 90_500_000, 90_500_000_000)


def test_a_tenth_of_a_second_ten_times_is_a_second(clock: ManualClock) -> None:
    for _ in range(10):
        clock.advance(seconds=0.1)
    assert readings(clock) == (NOON_US + 1_000_000, 1_000_000_000)


@pytest.mark.parametrize(
    "moved", [timedelta(days=-400), timedelta(seconds=-1), timedelta(), timedelta(days=400)]
)
def test_setting_moves_the_wall_clock_only(clock: ManualClock, moved: timedelta) -> None:
    clock.advance(seconds=5)
    clock.set(NOON + moved)
    assert readings(clock) == (NOON_US + moved // timedelta(microseconds=1), 5_000_000_000)


def test_an_offset_is_heeded(clock: ManualClock) -> None:
    clock.set(datetime(2026, 1, 15, 14, tzinfo=timezone(timedelta(hours=2))))
    assert clock.now_us() == NOON_US


def test_time_does_not_go_back(clock: ManualClock) -> None:
    with pytest.raises(InvalidRequest, match="set"):
        clock.advance(seconds=-1)
    assert readings(clock) == (NOON_US, 0)


def test_a_naive_time_is_refused_and_moves_nothing(clock: ManualClock) -> None:
    with pytest.raises(InvalidTimestamp):
        clock.set(NOON.replace(tzinfo=None))
    assert readings(clock) == (NOON_US, 0)
    clock.advance(seconds=1)  # the lock was let go
    with pytest.raises(InvalidTimestamp):
        ManualClock(NOON.replace(tzinfo=None))


def test_it_says_what_time_it_is(clock: ManualClock) -> None:
    assert "2026-01-15T12:00:00" in repr(clock)


def test_threads_that_move_it_lose_no_step(clock: ManualClock) -> None:
    threads, steps = 8, 200
    barrier = threading.Barrier(threads + 1)
    backward: list[tuple[int, int]] = []

    def move() -> None:
        barrier.wait(30)
        for _ in range(steps):
            before = readings(clock)
            clock.advance(seconds=0.001)
            after = readings(clock)
            if after[0] <= before[0] or after[1] <= before[1]:
                backward.append(after)

    workers = [threading.Thread(target=move) for _ in range(threads)]
    for worker in workers:
        worker.start()
    barrier.wait(30)
    for worker in workers:
        worker.join(30)
    passed = threads * steps
    assert readings(clock) == (NOON_US + passed * 1_000, passed * 1_000_000)
    assert backward == []


def test_one_thread_at_a_time_moves_it(clock: ManualClock) -> None:
    """Shown by the lock itself: chance lets unlocked additions pass for a long time."""
    done = threading.Event()

    def move() -> None:
        clock.advance(seconds=1)
        done.set()

    mover = threading.Thread(target=move)
    with clock._lock:
        mover.start()
        assert not done.wait(0.05)
        assert readings(clock) == (NOON_US, 0)  # and whoever reads does not wait
    mover.join(30)
    assert readings(clock) == (NOON_US + 1_000_000, 1_000_000_000)


def test_both_are_clocks(clock: ManualClock) -> None:
    assert isinstance(clock, Clock)
    assert isinstance(SystemClock(), Clock)


def test_the_systems_clock_tells_the_systems_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stiggctl.clocks.time_ns", lambda: 1_999)
    monkeypatch.setattr("stiggctl.clocks.monotonic_ns", lambda: 17)
    assert readings(SystemClock()) == (1, 17)
