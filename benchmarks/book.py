"""How many durable bookings a second, how long one waits, and how long an event loop stands still.

Here: `control.report` from 1, 8 and 32 threads, at full speed and at an even pace, and `areport`
from 100 tasks, each beside one commit an event, as one would write it by hand. Not here: decisions
(decide.py).

By hand (`Hand`) is the same schema's work, in a file that our own schema made: BEGIN IMMEDIATE, one
INSERT under the same unique index, an UPDATE for each of four counters, COMMIT; one connection
under one lock, WAL, synchronous NORMAL, and SQLite's own automatic checkpoints. It is given the same
facts and keeps the dimensions as JSON, but it reads no arguments, knows no limits, keeps no
fingerprint of what was sent, and answers nothing.

Both files lie in one temporary directory on disk. Keys are random, as people's are.
"""

import asyncio
import json
import sqlite3
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Barrier, Lock, Thread

from benchmarks.measuring import Goal, Line, compared, interleaved
from benchmarks.model import CUSTOMER, TOKENS, model
from stiggctl import UsageControl

LIMITS = 4
AMOUNT = 5
THREADS = {1: Goal(at_least=1.0), 8: Goal(at_least=1.6), 32: Goal(at_least=2.5)}
TASKS = 100
TASKS_GOAL = Goal(at_least=4.0)
#: Bookings of one figure at full speed: some ten batches of 32 threads, and more than by hand are
#: booked between two automatic checkpoints (about 250), so that each figure has some of them.
BOOKINGS = 1_600
ROUNDS = 25
ROUNDS_QUICK = 5

#: Calls a second in all, on each side. By hand some 10,000 are possible on an idle machine: what
#: waits here waits for others, not because there is too much to do.
PACE = 800
PACED_THREADS = 8
#: Long enough that what happens once a second is a part of each figure, not the luck of some.
PACED_SECONDS = 4.0
PACED_ROUNDS = 7
PACED_ROUNDS_QUICK = 2
PACED_GOAL = Goal(at_most=0.1)
TICK_SECONDS = 0.001


class Facts:
    """What is booked: the same on both sides but for the key."""

    event_name = "chat"
    dimensions = {"model": "gpt-5", "user_id": "user"}  # noqa: RUF012 - never changed


class Hand:
    """One commit an event, as one would write it for the occasion."""

    def __init__(self, path: Path) -> None:
        self._lock = Lock()
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = NORMAL")
        self._cells = [row for (row,) in self._connection.execute("SELECT id FROM cells")]
        assert len(self._cells) == LIMITS

    def report(self, key: str) -> None:
        """Book one event in four counters."""
        now_us = time.time_ns() // 1_000
        dimensions = json.dumps(Facts.dimensions)
        execute = self._connection.execute
        with self._lock:
            execute("BEGIN IMMEDIATE")
            execute(
                "INSERT INTO events (customer, namespace, key, currency, amount_units, overage_units, path,"
                " event_name, dimensions, occurred_at_us, booked_at_us, fingerprint)"
                " VALUES (1, 0, ?, 1, ?, 0, 1, ?, ?, ?, ?, x'00')",
                (key, AMOUNT, Facts.event_name, dimensions, now_us, now_us),
            )
            for cell in self._cells:
                execute("UPDATE cells SET used = used + ? WHERE id = ?", (AMOUNT, cell))
            execute("COMMIT")

    def close(self) -> None:
        """Let the file go."""
        self._connection.close()


class Ours:
    """The public verbs, with everything that they promise."""

    def __init__(self, control: UsageControl, ids: Sequence[str]) -> None:
        self._control = control
        self._ids = list(ids)

    def report(self, key: str) -> None:
        """Book one event in four limits."""
        self._control.report(
            customer_id=CUSTOMER,
            event_name=Facts.event_name,
            idempotency_key=key,
            dimensions=Facts.dimensions,
            credit_currency=TOKENS,
            amount=AMOUNT,
            resource_ids=self._ids,
        )

    async def areport(self, key: str) -> None:
        """The same, without blocking the loop."""
        await self._control.areport(
            customer_id=CUSTOMER,
            event_name=Facts.event_name,
            idempotency_key=key,
            dimensions=Facts.dimensions,
            credit_currency=TOKENS,
            amount=AMOUNT,
            resource_ids=self._ids,
        )


def run(*, quick: bool) -> list[Line]:
    """All comparisons."""
    with _opened() as (ours, hand):
        return [
            *_at_full_speed(ours, hand, ROUNDS_QUICK if quick else ROUNDS),
            *_at_a_pace(ours, hand, PACED_ROUNDS_QUICK if quick else PACED_ROUNDS),
            *_in_a_loop(ours, hand, ROUNDS_QUICK if quick else ROUNDS),
        ]


@contextmanager
def _opened() -> Iterator[tuple[Ours, Hand]]:
    """Ours and by hand, each on a file of the same schema with the same model."""
    described, ids = model(LIMITS)
    with tempfile.TemporaryDirectory() as directory:
        for name in ("ours.db", "hand.db"):
            with UsageControl(Path(directory, name)) as control:
                control.apply(described)
                Ours(control, ids).report("the first opens the cells")
        hand = Hand(Path(directory, "hand.db"))
        with UsageControl(Path(directory, "ours.db")) as control:
            # A process that also reserves has drawn its share of each limit, and spends from it.
            control.reserve(resource_ids=ids, credit_currency=TOKENS, amount=AMOUNT).settle()
            yield Ours(control, ids), hand
        hand.close()


# -------------------------------------------------------------------- at full speed


def _at_full_speed(ours: Ours, hand: Hand, rounds: int) -> Iterator[Line]:
    for threads, goal in THREADS.items():
        figures = interleaved(
            {
                "ours": partial(_a_second, ours.report, threads),
                "hand": partial(_a_second, hand.report, threads),
            },
            rounds,
        )
        what = f"report, {threads} thread{'s' if threads > 1 else ''}"
        yield compared(what, "a second", figures["ours"], figures["hand"], goal)


def _a_second(report: Callable[[str], None], threads: int) -> float:
    """How many a second, from so many threads that start together."""
    start = Barrier(threads + 1)
    keys = [[uuid.uuid4().hex for _ in range(BOOKINGS // threads)] for _ in range(threads)]

    def body(mine: list[str]) -> None:
        start.wait()
        for key in mine:
            report(key)

    workers = [Thread(target=body, args=(mine,)) for mine in keys]
    for worker in workers:
        worker.start()
    start.wait()
    began = time.perf_counter()
    for worker in workers:
        worker.join()
    return sum(map(len, keys)) / (time.perf_counter() - began)


# -------------------------------------------------------------------- at a pace


def _at_a_pace(ours: Ours, hand: Hand, rounds: int) -> Iterator[Line]:
    """How long a call takes where there is time for all of them."""
    figures = interleaved(
        {"ours": partial(_p99_ms, ours.report), "hand": partial(_p99_ms, hand.report)}, rounds
    )
    what = f"p99 of a report, {PACED_THREADS} threads, {PACE} a second"
    yield compared(what, "ms", figures["ours"], figures["hand"], PACED_GOAL)


def _p99_ms(report: Callable[[str], None]) -> float:
    """The time in which 99 of 100 calls are answered."""
    between = PACED_THREADS / PACE
    calls = round(PACED_SECONDS / between)
    took: list[float] = []
    start = Barrier(PACED_THREADS)

    def body(thread: int) -> None:
        keys = [uuid.uuid4().hex for _ in range(calls)]
        start.wait()
        began = time.perf_counter() + between * thread / PACED_THREADS
        mine: list[tuple[float, float]] = []
        for at, key in enumerate(keys):
            due = began + at * between
            time.sleep(max(0.0, due - time.perf_counter()))
            # A call that was due while the one before was on its way has waited since then. That a
            # sleep ends late is the machine's doing, not the call's.
            if not mine or mine[-1][1] <= due:
                due = time.perf_counter()
            report(key)
            mine.append((due, time.perf_counter()))
        took.extend(end - due for due, end in mine)

    workers = [Thread(target=body, args=(thread,)) for thread in range(PACED_THREADS)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    took.sort()
    return took[len(took) * 99 // 100] * 1_000


# -------------------------------------------------------------------- in an event loop


def _in_a_loop(ours: Ours, hand: Hand, rounds: int) -> Iterator[Line]:
    """How many a second from many tasks of one loop, and how late the loop is with everything else."""

    async def commit_inline(key: str) -> None:
        hand.report(key)
        await asyncio.sleep(0)  # or the loop would do nothing else until all is booked

    loops = {"ours": _Loop(ours.areport), "hand": _Loop(commit_inline)}
    figures = interleaved(loops, rounds)
    yield compared(f"areport, {TASKS} tasks", "a second", figures["ours"], figures["hand"], TASKS_GOAL)
    late = {name: loop.late_ms[-rounds:] for name, loop in loops.items()}
    yield compared("p99 of how late a 1 ms tick is meanwhile", "ms", late["ours"], late["hand"])


class _Loop:
    """An event loop in which many tasks book, and one ticks."""

    def __init__(self, report: Callable[[str], Awaitable[None]]) -> None:
        self._report = report
        self.late_ms: list[float] = []  #: the p99 of each run

    def __call__(self) -> float:
        return asyncio.run(self._run())

    async def _run(self) -> float:
        keys = [[uuid.uuid4().hex for _ in range(BOOKINGS // TASKS)] for _ in range(TASKS)]
        late: list[float] = []
        ticking = asyncio.create_task(_tick(late))
        await asyncio.sleep(0)
        began = time.perf_counter()
        await asyncio.gather(*(self._book(mine) for mine in keys))
        seconds = time.perf_counter() - began
        ticking.cancel()
        late.sort()
        self.late_ms.append(late[len(late) * 99 // 100] * 1_000)
        return sum(map(len, keys)) / seconds

    async def _book(self, keys: list[str]) -> None:
        for key in keys:
            await self._report(key)


async def _tick(late: list[float]) -> None:
    """Wake every millisecond, and note how late that was."""
    while True:
        due = time.perf_counter() + TICK_SECONDS
        await asyncio.sleep(TICK_SECONDS)
        late.append(time.perf_counter() - due)
