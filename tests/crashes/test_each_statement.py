"""kill −9 at each statement that a process writes, beside another that goes on: exact, whichever it was."""

import contextlib
import os
import random
import shutil
import signal
import sqlite3
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from stiggctl import AccessDenied, UsageControl
from stiggctl.testing import ManualClock

from .mortal import NOON, RECALLED_SECONDS, TTL_SECONDS, Death, die, go_on, leave
from .spender import ASK
from .test_kill import Told, each_is_there_once, everything_else_is_free, lines, model, team_of

pytestmark = [
    pytest.mark.platform,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork"),
]
#: Near its end each decision is a transaction, and what is set free is given back in the same; far from it
#: most are made in memory.
NEAR, FAR = 150, 10**6
#: More than there are steps.
STEPS_MAX = 400


def in_a_child(what: Callable[[], None]) -> int:
    """Begin it; the process that does it, which ends with 0 where it came to its end."""
    child = os.fork()
    if not child:
        said = 9
        try:
            what()
            said = 0
        except BaseException as error:  # noqa: BLE001 - it must not come back to pytest
            os.write(2, f"in the child: {error!r}\n".encode())
        finally:
            os._exit(said)
    return child


def how_it_ended(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def one_dies(place: Path, ledger: Path, death: Death) -> bool:
    """Whether it came to its death; on a copy of that ledger, beside one that goes on. What holds then.

    It finds another dead, to be buried by what that held.
    """
    place.mkdir()
    path, stop = place / "usage.db", place / "stop"
    logs = [place / f"{name}.log" for name in ("dies", "goes-on", "leaves")]
    shutil.copyfile(ledger, path)
    other = in_a_child(lambda: go_on(path, logs[1], stop.exists))
    wait_for(lambda: logs[1].exists() and logs[1].stat().st_size)
    assert how_it_ended(in_a_child(lambda: leave(path, logs[2]))) == -signal.SIGKILL
    ended = how_it_ended(in_a_child(lambda: die(path, logs[0], death)))
    assert ended in (0, -signal.SIGKILL)
    never_over(path)
    stop.touch()
    assert how_it_ended(other) == 0
    never_over(path)
    told = Told()
    for log in logs:
        told.hear(lines(log))
    judge(path, told)
    shutil.rmtree(place)
    return ended != 0


def wait_for(what: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not what():
        assert time.monotonic() < end, "it did nothing"
        time.sleep(0.001)


def never_over(path: Path) -> None:
    """As the file has it at any moment."""
    with contextlib.closing(sqlite3.connect(path)) as looking:
        for limit, used, granted in looking.execute("SELECT lim, used, granted FROM cells"):
            assert used + granted <= limit


def judge(path: Path, told: Told) -> None:
    """What was told is there, what was held is withheld to its end, and then the rest is admitted."""
    with UsageControl(path, clock=ManualClock(NOON)) as control:
        assert control.verify() == []
        each_is_there_once(control, told)
        team = team_of(control)
        certain, most = told.held(NOON)
        assert certain <= team.held <= most
        assert team.used == sum(event.amounts["ai-tokens"] for event in control.events("c"))
        assert sum(event.overage for event in control.events("c")) == 0  # it was all admitted
        everything_else_is_free(control)
    later = NOON + timedelta(seconds=TTL_SECONDS + RECALLED_SECONDS)
    with UsageControl(path, clock=ManualClock(later)) as control:
        sent_again(control, told)
        rest = int(team.limit - team_of(control).used)
        assert control.consume(**ASK, amount=rest).charged == rest
        with pytest.raises(AccessDenied):
            control.consume(**ASK, amount=1)
        assert control.verify() == []
    never_over(path)


def sent_again(control: UsageControl, told: Told) -> None:
    """What its caller was not told of: it is booked now, or it was and the key finds it."""
    keys = {event.idempotency_key for event in control.events("c")}
    for (verb, name), line in told.begun.items():
        if verb == "consume" and ("consume", name) not in told.done and ("denied", name) not in told.done:
            receipt = control.consume(**ASK, amount=line["amount"], idempotency_key=name)
            assert (receipt.charged, receipt.duplicate) == (line["amount"], name in keys)


def made(place: Path, limit: int) -> Path:
    path = place / "made.db"
    with UsageControl(path, clock=ManualClock(NOON)) as control:
        control.apply(model(limit))
    return path


@pytest.mark.parametrize("limit", [NEAR, FAR])
def test_who_is_killed_at_any_statement_breaks_nothing_for_who_goes_on(tmp_path: Path, limit: int) -> None:
    """HR1, KP1."""
    ledger, step = made(tmp_path, limit), 1
    while one_dies(tmp_path / str(step), ledger, Death(step)):
        step += 1
        assert step < STEPS_MAX, "it never came to its end"
    assert step > 40
    print(f"{step} steps")  # noqa: T201 - of how many it died


@pytest.mark.parametrize("limit", [NEAR, FAR])
def test_who_is_killed_inside_a_statement_breaks_nothing_for_who_goes_on(tmp_path: Path, limit: int) -> None:
    """At some instruction of SQLite's."""
    chance, ledger, deaths = random.Random(limit), made(tmp_path, limit), 0
    for at in range(20):
        death = Death(chance.randrange(1, 2_500), instructions=True)
        deaths += one_dies(tmp_path / str(at), ledger, death)
    assert deaths > 10
