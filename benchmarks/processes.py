"""What several processes on one ledger cost each other: decisions a second, waiting, contacts with it.

Here: reserve in 1, 2 and 4 processes, far from a limit and down to its last unit, beside one transaction a
decision by hand; and in two processes in each of which a thread computes. Not here: a decision by itself
(decide.py), one process beside another commit's (against.py).

By hand (`Hand`) is what one would write for several processes: in each of them BEGIN IMMEDIATE, the four
numbers read and compared, UPDATE, COMMIT; a file in WAL, synchronous NORMAL, SQLite's own busy handler. It
holds nothing, so nothing is released.

    far      each process reserves and releases under limits that nobody reaches
    near     each process reserves one unit after the other until it is denied; all of them together are
             admitted exactly the limit, or this fails; until the last admission
    denial   how long each thread's last call takes, while all that was admitted is held: it explains itself
    contacts exchanges with the ledger until the limit is used up, of all processes together
"""

import json
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from threading import Barrier, Event, Thread
from typing import Any

from benchmarks.measuring import Goal, Line, Spread, compared, spread
from benchmarks.model import CUSTOMER, TOKENS, model
from stiggctl import AccessDenied, UsageControl

ROOT = Path(__file__).parent.parent
PROCESSES = (1, 2, 4)
THREADS = 4
#: Decisions of one figure; by hand a process makes some thousand a second when others want the lock.
FAR, FAR_QUICK = 100_000, 10_000
FAR_BY_HAND, FAR_BY_HAND_QUICK = 4_000, 1_000
#: The limit that is used up: enough that most of it is far from its end.
NEAR, NEAR_QUICK = 100_000, 10_000
ROUNDS, ROUNDS_QUICK = 5, 1
#: Of a prototype: 2 alone, 312 to 345 for four processes of four threads, of a limit of 100,000.
CONTACTS_GOAL = Goal(at_most=1.0)
CONTACTS = {1: 10.0, 2: 500.0, 4: 500.0}
#: Decisions beside threads that compute: by hand a call may take a tenth of a second.
BUSY, BUSY_QUICK = 2_000, 400

_SCHEMA = "CREATE TABLE cells (id INTEGER PRIMARY KEY, lim INTEGER, used INTEGER, held INTEGER) STRICT"


def run(*, quick: bool) -> list[Line]:
    """All comparisons."""
    lines: list[Line] = []
    rounds = ROUNDS_QUICK if quick else ROUNDS
    for processes in PROCESSES:
        far: list[dict[str, Any]] = []
        by_hand: list[dict[str, Any]] = []
        near: list[dict[str, Any]] = []
        for _ in range(rounds):
            far.append(_together("far", processes, FAR_QUICK if quick else FAR))
            by_hand.append(_together("hand", processes, FAR_BY_HAND_QUICK if quick else FAR_BY_HAND))
            near.append(_together("near", processes, NEAR_QUICK if quick else NEAR))
        lines += _lines(processes, far, by_hand, near)
    many = BUSY_QUICK if quick else BUSY
    busy = [_together("far", 2, many, busy=True) for _ in range(rounds)]
    by_hand = [_together("hand", 2, many, busy=True) for _ in range(rounds)]
    for figure in ("p50", "p99", "p999"):
        ours, other = [[one[figure] for one in each] for each in (busy, by_hand)]
        lines.append(_compared(f"2 processes beside busy threads: reserve {figure}", "µs", ours, other))
    return lines


def _lines(
    processes: int, far: Sequence[dict[str, Any]], by_hand: Sequence[dict[str, Any]], near: Sequence[Any]
) -> list[Line]:
    name = "1 process" if processes == 1 else f"{processes} processes"

    def of(figure: str, rounds: Sequence[dict[str, Any]]) -> list[float]:
        return [one[figure] for one in rounds]

    scale = CONTACTS[processes]
    contacts = [one["contacts"] / scale for one in near]
    return [
        _compared(f"{name}, far: decisions", "/s", of("rate", far), of("rate", by_hand)),
        _compared(f"{name}, far: reserve p50", "µs", of("p50", far), of("p50", by_hand)),
        _compared(f"{name}, far: reserve p99", "µs", of("p99", far), of("p99", by_hand)),
        _compared(f"{name}, near: decisions", "/s", of("rate", near), of("rate", by_hand)),
        _compared(f"{name}, near: reserve p50", "µs", of("p50", near), of("p50", by_hand)),
        _compared(f"{name}, near: reserve p99", "µs", of("p99", near), of("p99", by_hand)),
        _compared(f"{name}, near: denial", "ms", of("denial", near), of("ms", by_hand)),
        Line(
            f"{name}, near: contacts",
            "",
            statistics.median(of("contacts", near)),
            scale,
            _spread(contacts),
            CONTACTS_GOAL,
        ),
    ]


def _compared(what: str, unit: str, ours: Sequence[float], other: Sequence[float]) -> Line:
    if len(ours) > 1:
        return compared(what, unit, ours, other)
    ratio = ours[0] / other[0]
    return Line(what, unit, ours[0], other[0], Spread(ratio, ratio, ratio))


def _spread(figures: Sequence[float]) -> Spread:
    return spread(figures) if len(figures) > 1 else Spread(figures[0], figures[0], figures[0])


# -------------------------------------------------------------------- several processes


def _together(kind: str, processes: int, many: int, *, busy: bool = False) -> dict[str, Any]:
    """What processes that begin together told: a rate, the percentiles of all their calls, contacts."""
    with tempfile.TemporaryDirectory() as room:
        path = Path(room, "usage.db")
        _prepare(kind, path, many)
        words = [kind, str(path), str(many // processes), "busy" if busy else "alone"]
        running = [
            subprocess.Popen(
                [sys.executable, "-m", "benchmarks.processes", *words],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                cwd=ROOT,
            )
            for _ in range(processes)
        ]
        for one in running:
            assert one.stdout is not None
            assert one.stdout.readline() == "ready\n"
        for one in running:
            assert one.stdin is not None
            one.stdin.write("go\n")
            one.stdin.flush()
        told = [json.loads(one.communicate()[0]) for one in running]
    if kind == "near":
        admitted = sum(one["admitted"] for one in told)
        if admitted != many:
            raise AssertionError(f"{admitted} were admitted of {many}")
    micros = sorted(micro for one in told for micro in one["micros"])
    decisions = sum(one["decisions"] for one in told)
    return {
        "rate": decisions / max(one["seconds"] for one in told),
        "p50": micros[len(micros) // 2],
        "p99": micros[len(micros) * 99 // 100],
        "p999": micros[len(micros) * 999 // 1000],
        "ms": micros[len(micros) // 2] / 1_000,
        "denial": statistics.median([micro for one in told for micro in one["denials"]] or [0.0]) / 1_000,
        "contacts": sum(one["contacts"] for one in told),
    }


def _prepare(kind: str, path: Path, many: int) -> None:
    if kind == "hand":
        with closing(sqlite3.connect(path)) as file:
            file.execute("PRAGMA journal_mode = WAL")
            file.execute(_SCHEMA)
            file.executemany("INSERT INTO cells VALUES (?, ?, 0, 0)", [(n, 10**15) for n in range(4)])
            file.commit()
        return
    described, _ = model(4)
    if kind == "near":
        described["allocations"][0]["limit"] = many  # of the company: everybody's
    with UsageControl(path) as control:
        control.apply(described)


# -------------------------------------------------------------------- one of them


def _work(kind: str, path: Path, many: int, *, busy: bool) -> dict[str, Any]:
    """What one process did: THREADS threads, each with its part."""
    if kind == "hand":
        return _timed(lambda: _by_hand(path), many // THREADS, until_denied=False, busy=busy)
    with UsageControl(path) as control:
        ledger = control._holder.ledger  # noqa: SLF001 - its contacts are counted
        exchange, contacts = ledger.exchange, []

        def counted(batch: Any) -> Any:
            contacts.append(1)
            return exchange(batch)

        ledger.exchange = counted  # type: ignore[method-assign]  # counted, and passed on
        _, ids = model(4)
        # They are there before anybody draws: what one process has drawn for itself alone is recalled when
        # the second comes, and for a second after that each decision on it is a transaction.
        control._holder.become_holder()  # noqa: SLF001 - as its first reserve of anything would
        asks: dict[str, Any] = {"resource_ids": ids, "credit_currency": TOKENS, "customer_id": CUSTOMER}

        def reserve() -> Callable[[], bool]:
            def call() -> bool:
                try:
                    held = control.reserve(**asks, amount=1)
                except AccessDenied:
                    return False
                if kind == "far":
                    held.release()
                return True

            return call

        told = _timed(reserve, many // THREADS, until_denied=kind == "near", busy=busy)
        told["contacts"] = len(contacts)
        if kind == "near":
            sys.stdout.write(json.dumps(told))
            sys.stdout.flush()
            os._exit(0)  # what it holds stays held, for the others to count
        return told


def _by_hand(path: Path) -> Callable[[], bool]:
    connection = sqlite3.connect(path, isolation_level=None, timeout=30)
    connection.execute("PRAGMA synchronous = NORMAL")

    def call() -> bool:
        connection.execute("BEGIN IMMEDIATE")
        rows = connection.execute("SELECT id, lim, used, held FROM cells").fetchall()
        fits = all(used + held + 1 <= lim for _, lim, used, held in rows)
        if fits:
            connection.execute("UPDATE cells SET held = held + 1")
        connection.execute("COMMIT")
        return fits

    return call


def _timed(
    make: Callable[[], Callable[[], bool]], each: int, *, until_denied: bool, busy: bool
) -> dict[str, Any]:
    """Threads that begin together: how long each call took, and how many were admitted."""
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    begin, admitted = Barrier(THREADS + 1), list[int]()
    micros, denials, ends, done = list[float](), list[float](), list[float](), Event()

    def body() -> None:
        call, took, yes = make(), list[float](), 0
        begin.wait()
        end = time.perf_counter()
        while until_denied or len(took) < each:
            began = time.perf_counter_ns()
            fits = call()
            took.append((time.perf_counter_ns() - began) / 1_000)
            yes += fits
            if not fits:
                denials.append(took.pop())
                break
            if until_denied:
                end = time.perf_counter()
        ends.append(end if until_denied else time.perf_counter())
        micros.extend(took)
        admitted.append(yes)

    threads = [Thread(target=body) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    if busy:
        Thread(target=_computing, args=(done,)).start()
    begin.wait()
    began = time.perf_counter()
    for thread in threads:
        thread.join()
    done.set()
    return {
        "seconds": max(ends) - began,
        "decisions": len(micros),
        "admitted": sum(admitted),
        "micros": micros,
        "denials": denials,
        "contacts": 0,
    }


def _computing(done: Event) -> None:
    number = 1
    while not done.is_set():
        for _ in range(10_000):
            number = (number * 48_271) % 2_147_483_647


if __name__ == "__main__":
    kind_, path_, many_, busy_ = sys.argv[1:]
    print(json.dumps(_work(kind_, Path(path_), int(many_), busy=busy_ == "busy")))
