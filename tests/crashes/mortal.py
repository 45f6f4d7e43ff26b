"""A process that dies at a chosen step of what it writes, and one that goes on beside it.

Here: both, each run in a forked child; and what they say, as test_kill.py reads it. Not here: what must
hold afterwards (test_each_statement.py).

A step is a statement of SQLite on a connection that writes, or the moment after a COMMIT; or, finer, an
instruction of SQLite's inside a statement. Death is SIGKILL, by itself: no step is missed for want of luck.
"""

import contextlib
import json
import os
import signal
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from stiggctl import AccessDenied, UsageControl
from stiggctl.ledger.sqlite.connections import Connections
from stiggctl.testing import ManualClock

from .spender import ASK

NOON = datetime(2026, 1, 15, 12, tzinfo=UTC)
TTL_SECONDS = 60
#: For longer than this nothing counts as just recalled.
RECALLED_SECONDS = 2
#: So much at most is admitted to who goes on, so that there is something left for who dies.
ADMITTED_MAX = 40


class Death:
    """Counts steps, and kills this process at one of them."""

    def __init__(self, at: int, *, instructions: bool = False) -> None:
        self._left, self._instructions, self._armed = at, instructions, False

    def arm(self) -> None:
        self._armed = True

    def _step(self, *_: object) -> int:
        if self._armed:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return 0  # go on

    def watch(self) -> None:
        """From here on, in this process, which opened nothing yet."""
        connect, transact, step = Connections.connect, Connections.transact, self._step

        def connecting(self: Connections, mode: Any) -> sqlite3.Connection:
            connection = connect(self, mode)
            if mode != "ro" and not instructions:
                connection.set_trace_callback(step)
            elif mode != "ro":
                connection.set_progress_handler(step, 1)
            return connection

        def transacting(self: Connections, work: Any) -> Any:
            answer = transact(self, work)
            step()
            return answer

        instructions = self._instructions
        Connections.connect, Connections.transact = connecting, transacting


class Teller:
    """One that says what it does, before and after: what its caller knew at the moment of its death."""

    def __init__(self, path: Path, log: Path, name: str) -> None:
        self._log = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self._name, self._calls = name, 0
        self.clock = ManualClock(NOON)
        self.control = UsageControl(path, clock=self.clock, reservation_ttl_seconds=TTL_SECONDS)

    def say(self, what: str, verb: str, name: str, **facts: Any) -> None:
        os.write(self._log, (json.dumps({"what": what, "verb": verb, "name": name, **facts}) + "\n").encode())

    def name(self) -> str:
        self._calls += 1
        return f"{self._name}-{self._calls}"

    def reserve(self, amount: int) -> tuple[str, Any]:
        name = self.name()
        self.say("begin", "reserve", name, amount=amount)
        try:
            held = self.control.reserve(**ASK, amount=amount)
        except AccessDenied:
            self.say("done", "denied", name)
            raise
        self.say("done", "reserve", name, ends=held.expires_at.isoformat())
        return name, held

    def settle(self, of: str, held: Any, amount: int) -> None:
        self.say("begin", "settle", of, amount=amount)
        self.say("done", "settle", of, event=held.settle(amount).event_id)

    def release(self, of: str, held: Any) -> None:
        self.say("begin", "release", of)
        held.release()
        self.say("done", "release", of)

    def extend(self, of: str, held: Any, amount: int) -> None:
        name = self.name()
        self.say("begin", "extend", name, of=of, amount=amount)
        try:
            held.extend(amount)
        except AccessDenied:
            self.say("done", "denied", name)
            raise
        self.say("done", "extend", name)

    def consume(self, amount: int) -> None:
        name = self.name()
        self.say("begin", "consume", name, amount=amount)
        try:
            receipt = self.control.consume(**ASK, amount=amount, idempotency_key=name)
        except AccessDenied:
            self.say("done", "denied", name)
            raise
        self.say("done", "consume", name, event=receipt.event_id)


def leave(path: Path, log: Path) -> None:
    """Die while something is held, for the next that comes to bury."""
    teller = Teller(path, log, "leaves")
    for _ in range(20):
        with contextlib.suppress(AccessDenied):
            teller.reserve(7)
            os.kill(os.getpid(), signal.SIGKILL)


def die(path: Path, log: Path, death: Death) -> None:
    """One of each verb, several at once held; through all of them where death does not come before."""
    death.watch()
    teller = Teller(path, log, "dies")
    death.arm()
    # So that it has something to spare where there is: of what was just recalled no more is drawn.
    with contextlib.suppress(AccessDenied):
        teller.release(*teller.reserve(1))
    teller.clock.advance(seconds=RECALLED_SECONDS)
    # Where others do not answer in time it is denied, and left out: then the other half is told of.
    with contextlib.suppress(AccessDenied):
        first, other = teller.reserve(5), teller.reserve(3)
        teller.settle(*first, 4)
        teller.consume(2)
        teller.extend(*other, 2)
        teller.release(*teller.reserve(6))
        teller.settle(*other, 5)
    with contextlib.suppress(AccessDenied):
        teller.consume(1)
        teller.reserve(1)
    teller.control.close()


def go_on(path: Path, log: Path, stopped: Callable[[], bool]) -> None:
    """Spend a little at a time until told to stop, and then a little more."""
    teller, admitted, more = Teller(path, log, "goes on"), 0, 6
    while more:
        more -= stopped()
        with contextlib.suppress(AccessDenied):
            teller.release(*teller.reserve(2))
            if admitted < ADMITTED_MAX:
                teller.settle(*teller.reserve(2), 1)
                teller.consume(1)
                admitted += 2
    teller.control.close()
