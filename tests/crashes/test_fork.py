"""Forks: the child is another process with nothing; the parent goes on, also under load."""

import gc
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from stiggctl import AccessDenied, ReservationNotFound, UsageControl

from .spender import ASK
from .test_kill import model

pytestmark = [
    pytest.mark.platform,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork"),
]
#: A child that hangs is a failure, not a wait for ever.
CHILD_SECONDS_MAX = 30
ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}


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


def test_a_forked_child_is_a_process_of_its_own_and_what_its_parent_holds_stays_held(tmp_path: Path) -> None:
    """H4: by the control that it inherited."""
    with UsageControl(tmp_path / "usage.db") as control:
        control.apply(model(1_000))
        held = control.reserve(**ASK, amount=5)
        ids: set[str] = {held.reservation_id}

        def child() -> None:
            assert not control._holder.is_holder
            assert control.reservations() == []
            assert control.check(**ASK, requested_usage=995)
            own = control.reserve(**ASK, amount=990)
            assert own.reservation_id not in ids
            with pytest.raises(AccessDenied):
                control.consume(**ASK, amount=6)
            assert own.settle(20).charged == 20
            assert control.consume(**ASK, amount=975).charged == 975
            control.close()

        assert in_a_child(child) == 0
        with pytest.raises(AccessDenied):
            control.consume(**ASK, amount=1)
        assert held.settle(5).charged == 5
        assert control.check(**ASK, requested_usage=0).remaining == 0
        assert control.verify() == []


def test_a_reservation_that_is_settled_on_both_sides_of_a_fork_is_booked_once(tmp_path: Path) -> None:
    """H4: the hold is the parent's, whatever the child does with it."""
    with UsageControl(tmp_path / "usage.db") as control:
        control.apply(model(1_000))
        settled, released, kept = (control.reserve(**ASK, amount=5) for _ in range(3))
        told = control.reserve(**ASK, amount=5, idempotency_key="k")

        def child() -> None:
            assert settled.settle(3).charged == 3
            assert told.settle(4).charged == 4
            assert released.release() is None
            with pytest.raises(ReservationNotFound):
                kept.extend(1)
            control.close()

        assert in_a_child(child) == 0
        again = settled.settle(3)
        assert (again.charged, again.duplicate) == (3, True)
        assert told.settle(4).duplicate
        assert released.settle(5).charged == 5
        assert kept.settle(5).charged == 5
        assert [event.amounts["ai-tokens"] for event in control.events()] == [3, 4, 5, 5]
        assert control.verify() == []


def test_what_a_child_holds_itself_stays_held_when_it_settles_what_its_parent_reserved(
    tmp_path: Path,
) -> None:
    """H4: both number their reservations from one."""
    with UsageControl(tmp_path / "usage.db") as control:
        control.apply(model(1_000))
        inherited = [control.reserve(**ASK, amount=5) for _ in range(4)]

        def child() -> None:
            own = [control.reserve(**ASK, amount=7) for _ in range(4)]
            for reservation in inherited:
                reservation.settle(5)
            assert len(control.reservations()) == len(own)
            os.kill(os.getpid(), signal.SIGKILL)

        assert in_a_child(child) == -signal.SIGKILL
        # By the child's page: what it held is withheld. The parent holds its own still: that is safe.
        node = control.tree("team", "ai-tokens")
        assert (node.used, node.held) == (4 * 5, 4 * 5 + 4 * 7)
        assert [reservation.settle(5).duplicate for reservation in inherited] == [True] * 4
        node = control.tree("team", "ai-tokens")
        assert (node.used, node.held) == (4 * 5, 4 * 7)
        assert control.verify() == []


@pytest.mark.parametrize("ended_by", ["collector", "exit"])
def test_a_call_that_a_child_inherits_goes_on_in_its_parent(tmp_path: Path, ended_by: str) -> None:
    """TL4: else what its parent tells later would be a second telling, and lost."""
    with UsageControl(tmp_path / "usage.db") as control:
        control.apply(model(1_000))
        guards = [control.guard(**ASK, estimate=50)]
        calls = [guards[0].__enter__()]
        calls[0].used(10)

        def child() -> None:
            control.consume(**ASK, amount=1)
            if ended_by == "exit":
                guards[0].__exit__(SystemExit, SystemExit(0), None)
            calls.clear()
            guards.clear()
            gc.collect()
            control.close()  # what is owed is done by then

        assert in_a_child(child) == 0
        calls[0].used(40)
        guards[0].__exit__(None, None, None)
        receipt = calls[0].receipt
        assert receipt is not None
        assert (receipt.charged, receipt.duplicate) == (40, False)
        assert control.tree("team", "ai-tokens").used == 41


def test_a_child_that_opens_the_ledger_shares_it_and_its_end_frees_nothing_of_its_parents(
    tmp_path: Path,
) -> None:
    """H1, H4, V3."""
    path = tmp_path / "usage.db"
    with UsageControl(path) as control:
        control.apply(model(1_000))
        held = control.reserve(**ASK, amount=10)

        def child() -> None:
            with UsageControl(path) as own:
                assert own._holder is control._holder
                assert own.consume(**ASK, amount=1).charged == 1
            assert control.consume(**ASK, amount=1).charged == 1  # it is open in this one still
            os._exit(0)  # without a word to anybody

        assert in_a_child(child) == 0
        assert in_a_child(child) == 0
        assert control.consume(**ASK, amount=986).charged == 986
        with pytest.raises(AccessDenied):
            control.consume(**ASK, amount=1)
        assert held.settle(10).charged == 10
        assert control.verify() == []


def spend(path: str, amount: int) -> None:
    """What a process of multiprocessing does."""
    with UsageControl(path) as control:
        for _ in range(amount):
            control.consume(**ASK, amount=1)


@pytest.mark.parametrize("kind", ["fork", "forkserver", "spawn"])
def test_processes_of_multiprocessing_spend_from_one_limit(tmp_path: Path, kind: str) -> None:
    """H4."""
    path = str(tmp_path / "usage.db")
    with UsageControl(path) as control:
        control.apply(model(100))
        control.consume(**ASK, amount=40)
        starting = multiprocessing.get_context(kind)
        those = [starting.Process(target=spend, args=(path, 20)) for _ in range(3)]
        for one in those:
            one.start()
        for one in those:
            one.join(60)
        assert [one.exitcode for one in those] == [0, 0, 0]
        with pytest.raises(AccessDenied):
            control.consume(**ASK, amount=1)
        assert control.verify() == []


def test_forks_under_load_stop_nobody_and_lose_nothing(tmp_path: Path) -> None:
    """H4: whatever the other threads were at; no lock of theirs is inherited for ever."""
    stop, booked = threading.Event(), [0] * 3

    def spends(at: int) -> None:
        while not stop.is_set():
            booked[at] += int(control.reserve(**ASK, amount=2).settle(1).charged)

    with UsageControl(tmp_path / "usage.db") as control:
        control.apply(model(10**9))
        control.consume(**ASK, amount=1)
        threads = [threading.Thread(target=spends, args=(at,)) for at in range(3)]
        for thread in threads:
            thread.start()

        def child() -> None:
            control.reserve(**ASK, amount=2).settle(1)
            control.close()

        try:
            told = [in_a_child(child) for _ in range(12)]
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        assert told == [0] * 12
        assert control.verify() == []
        node = control.tree("team", "ai-tokens")
        assert (node.used, node.held) == (1 + 12 + sum(booked), 0)


def test_a_fork_waits_for_an_import_that_the_child_would_need(tmp_path: Path) -> None:
    """A child of a process that is in the middle of it has that module's lock for ever."""
    path = tmp_path / "usage.db"
    with UsageControl(path) as control:
        control.apply(model(1_000))
    done = subprocess.run(
        [sys.executable, "-m", "tests.crashes.importer", str(path)],
        cwd=Path(__file__).parents[2],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=2 * CHILD_SECONDS_MAX,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_what_makes_a_process_a_holder_is_imported_when_it_opens_the_ledger(tmp_path: Path) -> None:
    """Else a child that is forked while another thread spends first could never spend."""
    opens = "import sys, stiggctl; stiggctl.UsageControl(sys.argv[1]); sys.modules['filelock']"
    subprocess.run([sys.executable, "-c", opens, tmp_path / "usage.db"], check=True, env=ENVIRONMENT)
