"""The keeper: what happens while nobody asks, a beat at a time."""

import os
import sqlite3
import threading
import time
from pathlib import Path

import pytest

from stiggctl import LedgerTrouble, LedgerUnavailable, UsageControl
from stiggctl.holder import keeper
from stiggctl.holder.page import read_page
from stiggctl.ledger.sqlite import checkpoints
from stiggctl.testing import ManualClock

from .faulty import ANN, MODEL, Faulty, charges, gone, make_faulty, memory, soon


@pytest.fixture
def control(control: UsageControl) -> UsageControl:
    """It is a holder: 1 is used."""
    control.consume(**ANN, amount=1)
    return control


@pytest.fixture
def faulty(control: UsageControl) -> Faulty:
    return make_faulty(control)


def beat(control: UsageControl) -> None:
    control._holder.keeper.beat(control._holder.clock.now_us())


def on_page(control: UsageControl) -> list[int]:
    """The amounts that stand on this process's page."""
    presence = control._holder._presence
    assert presence is not None
    contents = read_page(presence.page.path)
    assert contents is not None
    return sorted(record.amount_units for record in contents.records)


def test_a_beat_ends_what_is_over_and_takes_it_off_the_page(
    control: UsageControl, faulty: Faulty, clock: ManualClock
) -> None:
    """R3, KP1: without anybody asking; not a moment before."""
    control.reserve(**ANN, amount=10, ttl_seconds=5)
    control.reserve(**ANN, amount=20, ttl_seconds=9)
    assert on_page(control) == [10, 20]
    clock.advance(seconds=4.999999)
    beat(control)
    assert (memory(control, "ann")[0], on_page(control)) == (69, [10, 20])
    clock.advance(seconds=0.000001)
    beat(control)
    assert (memory(control, "ann")[0], on_page(control)) == (79, [20])
    clock.advance(seconds=4)
    beat(control)
    assert (memory(control, "ann")[0], on_page(control)) == (99, [])
    assert control._holder.keeping._kept == {}


def test_what_is_held_stands_on_the_page_until_its_settle_has_committed(
    control: UsageControl, faulty: Faulty
) -> None:
    """KP1: before its caller is told, while it is being booked, in doubt; and never longer."""
    held = control.reserve(**ANN, amount=30)
    held.extend(5)
    assert on_page(control) == [5, 30]
    seen: list[list[int]] = []
    faulty.before.append(lambda: seen.append(on_page(control)))
    faulty.after.append(gone())
    with pytest.raises(LedgerUnavailable):
        held.settle(30)
    assert [*seen, on_page(control)] == [[5, 30]] * 2
    beat(control)  # it learns that it is booked
    beat(control)
    assert on_page(control) == []
    for ends in (lambda one: one.release(), lambda one: one.settle(3), lambda one: one.settle(9)):
        other = control.reserve(**ANN, amount=7)
        assert on_page(control) == [7]
        ends(other)
        assert on_page(control) == []


def test_what_a_consume_holds_until_it_is_booked_stands_on_no_page(
    control: UsageControl, faulty: Faulty
) -> None:
    """KP1: if it dies before that, nobody was told anything: it is free at once."""
    seen: list[list[int]] = []
    faulty.before.append(lambda: seen.append(on_page(control)))
    control.consume(**ANN, amount=30)
    assert seen == [[]]


def test_an_extension_that_does_not_fit_on_the_page_extends_nothing(
    control: UsageControl, faulty: Faulty, monkeypatch: pytest.MonkeyPatch
) -> None:
    """KP1: nor a reservation that does not."""
    held = control.reserve(**ANN, amount=30)

    class Full:
        def write(self, *_: object) -> int:
            raise OSError(28, os.strerror(28))

    monkeypatch.setattr(control._holder.keeping, "_page", Full())
    for asks in (lambda: held.extend(5), lambda: control.reserve(**ANN, amount=5)):
        with pytest.raises(LedgerUnavailable, match="room"):
            asks()
        assert held.amount == 30
        assert memory(control, "ann")[0] == 69


def test_a_beat_learns_what_became_of_a_failed_exchange(control: UsageControl, faulty: Faulty) -> None:
    """X3: and asks nothing of the ledger where none failed."""
    faulty.after.append(gone())
    with pytest.raises(LedgerUnavailable):
        control.consume(**ANN, amount=10)
    faulty.calls.clear()
    beat(control)
    assert memory(control, "ann") == (89, 11, 89)
    assert faulty.calls == ["reader", "exchange"]
    beat(control)
    assert faulty.calls == ["reader", "exchange"]


def test_what_nobody_forgot_is_forgotten_once_it_is_over(
    control: UsageControl, faulty: Faulty, clock: ManualClock
) -> None:
    """KP1: its thread was interrupted between the commit and the page."""
    held = control.reserve(**ANN, amount=10, ttl_seconds=5)
    stripe = control._holder.stripes["acme"]
    with stripe.lock:
        stripe.holds.pop(held._number)
    beat(control)
    assert on_page(control) == [10]
    clock.advance(seconds=70)
    beat(control)
    assert on_page(control) == []


def test_a_file_that_was_replaced_is_noticed(control: UsageControl, faulty: Faulty, tmp_path: Path) -> None:
    """H5."""
    (tmp_path / "usage.db").rename(tmp_path / "elsewhere.db")
    with pytest.raises(LedgerUnavailable, match="replaced"):
        beat(control)
    (tmp_path / "elsewhere.db").rename(tmp_path / "usage.db")
    beat(control)


def test_a_log_that_has_grown_is_moved_into_the_file(
    control: UsageControl, faulty: Faulty, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved: list[int] = []
    monkeypatch.setattr(faulty._ledger, "checkpoint", lambda: moved.append(1))
    beat(control)
    assert moved == []
    monkeypatch.setattr(keeper, "LOG_BYTES_MAX", control._holder.ledger.log_bytes() - 1)
    beat(control)
    assert moved == [1]


def test_a_log_that_was_moved_is_not_moved_again_until_it_has_grown(
    control: UsageControl, faulty: Faulty, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even where it was not begun anew: nobody booked, or somebody reads for long."""
    checkpoint, moved = faulty._ledger.checkpoint, []
    monkeypatch.setattr(faulty._ledger, "checkpoint", lambda: moved.append(checkpoint()))
    grown = control._holder.ledger.log_bytes()
    monkeypatch.setattr(keeper, "LOG_BYTES_MAX", grown - 1)
    with control._holder.ledger.reader():
        beat(control)
        beat(control)
        assert len(moved) == 1
        control.consume(**ANN, amount=1)
        beat(control)
        assert len(moved) == 1
        while control._holder.ledger.log_bytes() < grown:
            control.consume(**ANN, amount=1)
        beat(control)
        beat(control)
        assert len(moved) == 2


def test_where_the_log_cannot_be_moved_it_is_told_once_and_bookings_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper, "BEAT_SECONDS", 0.001)
    monkeypatch.setattr(keeper, "LOG_BYTES_MAX", 10_000)
    tries, told, full = [0], [], [True]
    move = checkpoints._move

    def moves_if_there_is_room(mover: sqlite3.Connection) -> int:
        tries[0] += 1
        if full[0]:
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise error
        return move(mover)

    monkeypatch.setattr(checkpoints, "_move", moves_if_there_is_room)
    with UsageControl(tmp_path / "usage.db") as control:
        control.apply(MODEL)
        control.subscribe(told.append)
        control.consume(**ANN, amount=1)
        soon(lambda: tries[0] > 5)
        for _ in range(20):
            control.consume(**ANN, amount=1)
        assert [str(record.error) for record in told] == [str(told[0].error)]
        assert "the disk is full" in str(told[0].error)
        full[0] = False
        soon(lambda: control._holder.ledger.log_bytes() < 10_000)
        assert len(told) == 1
        assert len(charges(control)) == 21


# ------------------------------------------------------------------ the thread


@pytest.mark.parametrize("trouble", [gone(), PermissionError(13, "nobody thought of that")])
def test_the_thread_goes_on_after_a_trouble_and_tells_it_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trouble: Exception
) -> None:
    """A trouble that lasts is one; after it is over, the next is another. Whatever it is."""
    monkeypatch.setattr(keeper, "BEAT_SECONDS", 0.001)
    beats, told = [0], []
    with UsageControl(tmp_path / "usage.db") as control:
        control.apply(MODEL)
        control.subscribe(told.append)
        holder, failing = control._holder, [False]

        def failing_beat(now_us: int) -> None:
            del now_us
            beats[0] += 1
            if failing[0]:
                raise trouble

        monkeypatch.setattr(holder.keeper, "beat", failing_beat)
        control.consume(**ANN, amount=1)
        soon(lambda: beats[0] > 5)
        assert told == []
        for times in (1, 2):
            failing[0] = True
            soon(lambda: len(told) == times)  # noqa: B023 - it is called at once
            start = beats[0]
            soon(lambda: beats[0] > start + 5)  # noqa: B023 - the same
            assert len(told) == times
            failing[0] = False
            start = beats[0]
            soon(lambda: beats[0] > start + 2)  # noqa: B023 - the same
    assert all(isinstance(record, LedgerTrouble) for record in told)
    said = str(trouble) if isinstance(trouble, LedgerUnavailable) else repr(trouble)
    assert all(said in str(record.error) for record in told)
    last = beats[0]
    time.sleep(0.02)
    assert beats[0] == last  # closed is closed


def test_what_others_want_does_not_wait_for_what_takes_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RK1: a log that is moved on a slow disk, a queue of owed settles: recalls are answered meanwhile."""
    monkeypatch.setattr(keeper, "BEAT_SECONDS", 0.001)
    inside, done = threading.Event(), threading.Event()
    recalls = [0]
    with UsageControl(tmp_path / "usage.db") as control:
        control.apply(MODEL)
        holder = control._holder

        def slow(now_us: int) -> None:
            del now_us
            inside.set()
            assert done.wait(60)

        def recall(now_us: int) -> None:
            del now_us
            recalls[0] += 1

        monkeypatch.setattr(holder.keeper, "beat", slow)
        monkeypatch.setattr(holder.recalls, "beat", recall)
        control.consume(**ANN, amount=1)
        assert inside.wait(60)
        before = recalls[0]
        soon(lambda: recalls[0] > before + 1)
        done.set()


def test_who_only_looks_has_no_keeper(tmp_path: Path) -> None:
    """H2: it is no holder; there is nothing to end."""
    with UsageControl(tmp_path / "usage.db") as control:
        control.apply(MODEL)
        control.check(**ANN)
        assert control._holder.keeper._threads == []
        assert charges(control) == []
        control.consume(**ANN, amount=1)
        assert len(control._holder.keeper._threads) == 2
