"""Forks: the child has nothing and is told so; the parent goes on, also under load."""

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from stiggctl import LedgerUnavailable, UsageControl

from .spender import ASK
from .test_kill import model

pytestmark = [
    pytest.mark.platform,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork"),
]
#: A child that hangs is a failure, not a wait for ever.
CHILD_SECONDS_MAX = 30


def in_a_child(what: Callable[[], object]) -> int:
    """Do it in a forked child; 0 where it came to its end, 1 where it raised, and what."""
    child = os.fork()
    if not child:
        said = 9
        try:
            threading.Timer(CHILD_SECONDS_MAX, os._exit, [8]).start()
            what()
            said = 0
        except BaseException as error:  # noqa: BLE001 - it must not come back to pytest
            os.write(2, f"in the child: {error!r}\n".encode())
        finally:
            os._exit(said)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def refused(what: Callable[[], object], pid: int | None = None) -> None:
    with pytest.raises(LedgerUnavailable) as error:
        what()
    assert error.value.holder_pid == pid


def test_a_forked_child_is_told_and_the_parent_goes_on(tmp_path: Path) -> None:
    """H4: every verb that spends; what the parent holds stays the parent's."""
    with UsageControl(tmp_path / "usage.db") as control:
        control.apply(model(1_000))
        held = control.reserve(**ASK, amount=5)

        def child() -> None:
            for spends in (
                lambda: control.consume(**ASK, amount=1),
                lambda: control.reserve(**ASK, amount=1),
                lambda: control.report(customer_id="c", amount=1, **ASK),
                lambda: held.settle(1),
                lambda: held.extend(1),
                lambda: control.apply(model(5)),
            ):
                refused(spends)
            control.close()

        assert in_a_child(child) == 0
        assert held.settle(3).charged == 3
        assert control.consume(**ASK, amount=997).charged == 997
        assert control.verify() == []


def test_a_child_that_opens_the_ledger_is_told_the_pid_of_its_parent(tmp_path: Path) -> None:
    """H1, H4: it is another process, and once the parent is done the ledger is the child's."""
    path, parent = tmp_path / "usage.db", os.getpid()
    with UsageControl(path) as control:
        control.apply(model(1_000))
        control.consume(**ASK, amount=1)

        def child() -> None:
            with UsageControl(path) as own:
                assert own.check(**ASK, requested_usage=999)
                refused(lambda: own.consume(**ASK, amount=1), parent)

        assert in_a_child(child) == 0
        assert in_a_child(child) == 0  # the first one's end freed nothing
        assert control.consume(**ASK, amount=1).charged == 1

    def heir() -> None:
        with UsageControl(path) as own:
            assert own.consume(**ASK, amount=998).charged == 998

    assert in_a_child(heir) == 0
    with UsageControl(path) as control:
        assert control.check(**ASK).remaining == 0
        assert control.verify() == []


def test_forks_under_load_stop_nobody_and_lose_nothing(tmp_path: Path) -> None:
    """H4: whatever the other threads were at; no lock of theirs is inherited for ever."""
    stop, booked = threading.Event(), [0] * 3

    def spend(at: int) -> None:
        while not stop.is_set():
            booked[at] += int(control.reserve(**ASK, amount=2).settle(1).charged)

    with UsageControl(tmp_path / "usage.db") as control:
        control.apply(model(10**9))
        control.consume(**ASK, amount=1)
        threads = [threading.Thread(target=spend, args=(at,)) for at in range(3)]
        for thread in threads:
            thread.start()
        try:
            told = [in_a_child(lambda: refused(lambda: control.consume(**ASK, amount=1))) for _ in range(15)]
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        assert told == [0] * 15
        assert control.verify() == []
        (team,) = [one for one in control.check(**ASK, requested_usage=0).limits if one.resource_id == "team"]
        assert (team.used, team.held) == (1 + sum(booked), 0)
