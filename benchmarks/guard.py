"""What a guard, a decorator and a stream add to the reserve and the settle that they stand for.

Here: calls of the public verbs, with their keyword arguments, on a ledger in a file. Not here: what
the reserve decides (decide.py), what the booking costs (book.py).

    guard          a `with`, and `call.used`; beside a reserve and its settle
    metered        a decorated function that does nothing; beside the same
    stream         one of ten chunks that its first slice covers; beside the same
    guard, bound, nothing booked
                   a block that raises before it told anything, with what it asks for given, or
                   from a `bound` around it; beside a reserve and its release. Nothing is written:
                   here one sees what a guard weighs by itself

Those with a goal end in a booking, as calls do in life, and its commit is most of their time.
"""

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from benchmarks.decide import opened
from benchmarks.measuring import Goal, Line, compared, interleaved
from benchmarks.model import TOKENS
from stiggctl import UsageControl

LIMITS = 4
CHUNKS = (1,) * 10
ESTIMATE = len(CHUNKS)
USED = 7
#: Calls of one figure: few where each of them commits, many where nothing is written.
CALLS = 20
CALLS_IN_MEMORY = 200
ROUNDS = 300
ROUNDS_QUICK = 40

GOALS = {"guard": Goal(at_most=1.5), "metered": Goal(at_most=1.5)}


class _NoAnswer(Exception):
    """What a block raises before it told anything."""


class Ways:
    """One call: by hand, and by what stands for that."""

    def __init__(self, control: UsageControl, ids: list[str]) -> None:
        self._control = control
        self._ask: dict[str, Any] = {"resource_ids": ids, "credit_currency": TOKENS}
        meter = control.metered(**self._ask, estimate=ESTIMATE, amount=lambda used: used)
        self.metered = meter(_ask_model)

    def by_hand(self) -> None:
        """Set aside, call, settle."""
        held = self._control.reserve(**self._ask, amount=ESTIMATE)
        held.settle(_ask_model())

    def guard(self) -> None:
        """The same in a block."""
        with self._control.guard(**self._ask, estimate=ESTIMATE) as call:
            call.used(_ask_model())

    def stream(self) -> None:
        """A stream in a block."""
        with self._control.guard(**self._ask, estimate=ESTIMATE) as call:
            for _ in call.stream(CHUNKS, amount=_of_chunk):
                pass

    def by_hand_for_nothing(self) -> None:
        """Set aside, and set free."""
        self._control.reserve(**self._ask, amount=ESTIMATE).release()

    def guard_for_nothing(self) -> None:
        """The same in a block."""
        try:
            with self._control.guard(**self._ask, estimate=ESTIMATE):
                _fail()
        except _NoAnswer:
            return

    def bound_for_nothing(self) -> None:
        """The same in a block in a block."""
        try:
            with self._control.bound(**self._ask), self._control.guard(estimate=ESTIMATE):
                _fail()
        except _NoAnswer:
            return


def _ask_model() -> int:
    return USED


def _fail() -> None:
    raise _NoAnswer


def _of_chunk(chunk: int) -> int:
    return chunk


def run(*, quick: bool) -> list[Line]:
    """What ends in a booking, then what does not."""
    rounds = ROUNDS_QUICK if quick else ROUNDS
    with opened(LIMITS) as (control, ids):
        ways = Ways(control, ids)
        return [
            *_beside(
                ways.by_hand,
                {"guard": ways.guard, "metered": ways.metered, "stream": ways.stream},
                CALLS,
                rounds,
            ),
            *_beside(
                ways.by_hand_for_nothing,
                {
                    "guard, nothing booked": ways.guard_for_nothing,
                    "bound, nothing booked": ways.bound_for_nothing,
                },
                CALLS_IN_MEMORY,
                rounds,
            ),
        ]


def _beside(
    by_hand: Callable[[], object], ours: dict[str, Callable[[], object]], calls: int, rounds: int
) -> Iterator[Line]:
    ways = {name: partial(_microseconds, call, calls) for name, call in {"by hand": by_hand, **ours}.items()}
    figures = interleaved(ways, rounds)
    for name in ours:
        yield compared(name, "µs", figures[name], figures["by hand"], GOALS.get(name))


def _microseconds(call: Callable[[], object], calls: int) -> float:
    """How long one call takes."""
    began = time.perf_counter_ns()
    for _ in range(calls):
        call()
    return (time.perf_counter_ns() - began) / calls / 1_000
