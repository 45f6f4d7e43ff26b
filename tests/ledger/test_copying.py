"""Copies: whole, of one moment, and never in the place of anything (CY1, CY2)."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from threading import Event, Thread

import pytest

from stiggctl.errors import LedgerError
from stiggctl.ledger.opening import open_ledger

from .world import World


@pytest.fixture
def kept(path: Path) -> World:
    ledger = open_ledger(path)
    yield World(ledger)
    ledger.close()


def of(path: Path) -> list[str]:
    with closing(open_ledger(path, create=False)) as ledger, ledger.reader() as reader:
        assert reader.differences() == []
        return [event.key for event in reader.events()]


def test_a_copy_has_what_was_committed_also_what_only_the_log_has(kept: World, path: Path) -> None:
    """CY1: and what comes after is not in it; nothing but the copy is left beside it."""
    kept.exchange(kept.booking("before", 3))
    before = set(path.parent.iterdir())
    copy = path.with_name("copy.db")
    kept.ledger.copy(copy)
    assert set(path.parent.iterdir()) == before | {copy}
    kept.exchange(kept.booking("after", 4))
    assert of(copy) == ["before"]
    assert of(path) == ["before", "after"]


def test_copies_beside_bookings_are_each_of_one_moment(kept: World, path: Path) -> None:
    """CY1: every counter is the sum of its events, and each copy has what the one before it had."""
    stop = Event()

    def book() -> None:
        n = 0
        while not stop.is_set():
            kept.exchange(kept.booking(f"k{n}", 0))
            n += 1

    booking = Thread(target=book)
    booking.start()
    try:
        keys: list[str] = []
        for n in range(5):
            copy = path.with_name(f"copy-{n}.db")
            kept.ledger.copy(copy)
            found = of(copy)
            assert found[: len(keys)] == keys
            keys = found
    finally:
        stop.set()
        booking.join()


def test_nothing_is_written_over_and_a_failed_copy_leaves_nothing(
    kept: World, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CY2."""
    there = path.with_name("there")
    there.write_text("mine")
    with pytest.raises(LedgerError, match="there already"):
        kept.ledger.copy(there)
    assert there.read_text() == "mine"
    with pytest.raises(LedgerError, match="there already"):
        kept.ledger.copy(path)
    with pytest.raises(LedgerError):
        kept.ledger.copy(path.parent / "nowhere" / "copy.db")

    def full(*_: object) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "link", full)
    before = set(path.parent.iterdir())
    with pytest.raises(LedgerError, match="No space"):
        kept.ledger.copy(path.with_name("copy.db"))
    assert set(path.parent.iterdir()) == before


def test_who_held_something_is_dead_in_the_copy_and_what_it_held_is_free(kept: World, path: Path) -> None:
    """CY3: wherever the copy is put; the original is as it was."""
    kept.exchange(kept.booking("k", 3), asks=[kept.ask(5)])
    copy = path.with_name("copy.db")
    kept.ledger.copy(copy)
    for one, living in ((copy, 0), (path, 1)):
        with closing(sqlite3.connect(one)) as looking:
            assert looking.execute("SELECT count(*) FROM holders WHERE state = 0").fetchone() == (living,)
            assert looking.execute("SELECT count(*) > 0 FROM shares").fetchone() == (living,)
            assert looking.execute("SELECT sum(granted) >= 5, sum(used) > 0 FROM cells").fetchone() == (
                living,
                1,
            )
    assert of(copy) == ["k"]
