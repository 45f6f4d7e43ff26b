"""Forks: both sides go on, each with connections of its own, and nothing is lost (CN4)."""

import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from threading import Event, Thread

import pytest

from stiggctl.errors import LedgerUnavailable
from stiggctl.ledger.opening import open_ledger

from .world import World


@pytest.fixture
def kept(path: Path) -> Iterator[World]:
    with closing(open_ledger(path)) as ledger:
        yield World(ledger)


def keys(path: Path) -> set[str]:
    with closing(open_ledger(path, create=False)) as ledger, ledger.reader() as reader:
        assert reader.differences() == []
        return {event.key for event in reader.events()}


def _in_child(work: Callable[[], object]) -> int:
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException:  # noqa: BLE001 - it must not leave the child
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(1)
        os._exit(0)
    return child


def _ended_well(child: int) -> bool:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_parent_and_child_both_book(kept: World, path: Path) -> None:
    kept.exchange(kept.booking("before", 1))
    child = _in_child(lambda: kept.exchange(kept.booking("child", 1)))
    kept.exchange(kept.booking("parent", 1))
    assert _ended_well(child)
    kept.exchange(kept.booking("after", 1))
    assert keys(path) == {"before", "child", "parent", "after"}
    assert kept.numbers()["a"][0] == 4


def test_what_a_child_books_after_its_parent_closed_is_not_lost(kept: World, path: Path) -> None:
    """A child that kept an inherited connection open loses exactly this."""
    with kept.ledger.reader() as reading:  # one that the parent is using
        next(reading.resources())
        go, told = os.pipe()

        def work() -> None:
            kept.exchange(kept.booking("child first", 1))
            os.read(go, 1)
            kept.exchange(kept.booking("child later", 1))
            kept.ledger.close()

        child = _in_child(work)
        for _ in range(500):
            with kept.ledger.reader() as reader:
                if reader.event_by_key(kept.customer, 0, "child first"):
                    break
            time.sleep(0.01)
    kept.exchange(kept.booking("parent", 1))
    kept.ledger.close()
    os.write(told, b".")
    assert _ended_well(child)
    assert keys(path) == {"child first", "child later", "parent"}


def test_a_reader_in_use_stays_the_parents(kept: World) -> None:
    kept.exchange(*(kept.booking(str(n), 1) for n in range(1_200)))
    with kept.ledger.reader() as reader:
        stream = reader.events()
        next(stream)

        def work() -> None:
            with pytest.raises(LedgerUnavailable, match="fork"):
                reader.state()
            with pytest.raises(LedgerUnavailable, match="fork"):
                list(stream)
            reader.__exit__(None, None, None)
            with kept.ledger.reader() as own:
                assert sum(1 for _ in own.events()) in (1_200, 1_201)

        child = _in_child(work)
        kept.exchange(kept.booking("meanwhile", 1))
        assert _ended_well(child)
        assert sum(1 for _ in stream) == 1_199


def test_forks_under_load_lose_and_double_nothing(kept: World, path: Path) -> None:
    stop = Event()
    booked: list[str] = []

    def book(name: str) -> None:
        n = 0
        while not stop.is_set():
            kept.exchange(kept.booking(f"{name} {n}", 1))
            booked.append(f"{name} {n}")
            with kept.ledger.reader() as reader:
                reader.state()
            n += 1

    threads = [Thread(target=book, args=(f"thread {n}",)) for n in range(3)]
    for thread in threads:
        thread.start()
    children = [_in_child(lambda n=n: kept.exchange(kept.booking(f"child {n}", 1))) for n in range(15)]
    ended = [_ended_well(child) for child in children]
    assert all(ended)
    stop.set()
    for thread in threads:
        thread.join()
    assert keys(path) == {*booked, *(f"child {n}" for n in range(15))}
    assert kept.numbers()["a"][0] == len(booked) + 15


def test_a_child_whose_parent_could_not_be_quieted_says_so_and_the_parent_goes_on(
    kept: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stiggctl.ledger.sqlite.connections._FORK_SECONDS", 0.05)
    inside, go_on = Event(), Event()

    def long_work(_: object) -> None:
        inside.set()
        go_on.wait()

    thread = Thread(target=kept.ledger._connections.transact, args=(long_work,))
    thread.start()
    inside.wait()

    def work() -> None:
        for use in (
            lambda: kept.exchange(kept.booking("child", 1)),
            lambda: kept.ledger.reader().__enter__(),
        ):
            with pytest.raises(LedgerUnavailable, match="was forked"):
                use()

    child = _in_child(work)
    go_on.set()
    thread.join()
    assert _ended_well(child)
    kept.exchange(kept.booking("parent", 1))
    kept.assert_sound()
