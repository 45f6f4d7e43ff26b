"""How long a decision takes, as a multiple of what one would write by hand.

Here: the hand-written floor, and what the face calls of decision/ for check, for consume, and for
reserve and its settle. Not here: booking (book.py).

The floor is one lock, a look at every number and an addition to every number, with the place of
each in hand. What is timed of ours, each time:

    check             the clock, the strand of customer and currency, `look` (which finds the path
                      by the resources' ids), `fits`, Decision
    consume           the clock, the strand, a number, `take`; and `install` of the hold that a
                      booking has settled
    reserve + settle  the same, with an end; and before `install` a second reading of the clock
                      and `begin_settle`
    control.check     the public verb, as people call it; beside the others, as information

A yes to consume or reserve keeps its numbers; the Decision around them is made when somebody asks
the reservation for it.

Nothing is booked: in life the booking stands in the queue, and is committed, before the hold falls,
and one `install` is that of a whole batch.
"""

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Lock

from benchmarks.measuring import Goal, Line, compared, interleaved
from benchmarks.model import TOKENS, model
from stiggctl import UsageControl
from stiggctl.answers import Decision
from stiggctl.decision.cells import NEVER
from stiggctl.decision.decide import Met, fits, look, take
from stiggctl.decision.holds import NUMBER
from stiggctl.decision.moving import install
from stiggctl.decision.reservations import begin_settle
from stiggctl.holder import Holder
from stiggctl.locks import await_turn

#: Limits that one request touches. Four: a user, its company, a region and a feature.
LIMITS = (4, 8, 16)
AMOUNT = 5
TTL_US = 600_000_000
#: Calls of one figure: so many that reading the clock around them does not count, so few that
#: most figures lie between two interruptions.
CALLS = 200
ROUNDS = 400
ROUNDS_QUICK = 60

CHECK, CONSUME, RESERVE = "check", "consume", "reserve + settle"
PUBLIC = "control.check"
#: With the fewest limits, where what does not depend on them weighs most.
GOALS = {CHECK: Goal(at_most=3.0), CONSUME: Goal(at_most=4.0), RESERVE: Goal(at_most=6.0)}


class Floor:
    """Limits as one would write them for the occasion."""

    def __init__(self, limits: int) -> None:
        self._lock = Lock()
        self._used = [AMOUNT] * limits
        self._held = [0] * limits
        self._limit = [10**15] * limits
        self._places = tuple(range(limits))

    def take(self, amount: int = AMOUNT) -> bool:
        """Add to all, if it fits all."""
        used, held, limit, places = self._used, self._held, self._limit, self._places
        with self._lock:
            for place in places:
                if used[place] + held[place] + amount > limit[place]:
                    return False
            for place in places:
                held[place] += amount
        return True


class Ours:
    """What the face calls of decision/, for one request."""

    def __init__(self, holder: Holder, ids: list[str]) -> None:
        self._holder = holder
        self._ids = tuple(ids)

    def check(self) -> Decision:
        """As in control/spending.py, `_check_at_once`."""
        holder, ids = self._holder, self._ids
        now_us = holder.clock.now_us()
        strand = holder.strands[None, TOKENS]
        sights = look(strand.stripe, ids[0], ids[1:], ((strand, AMOUNT),), now_us)
        assert sights is not None
        for sight in sights:
            assert sight[0].refusal is None
            assert fits(sight)
        return Decision(None, sights, now_us, holder.ids)

    def consume(self) -> None:
        """Take, as in control/requests.py, `Request.at_once`; booked, its hold falls.

        Nobody can ask for the numbers that admitted it.
        """
        holder, ids = self._holder, self._ids
        now_us = holder.clock.now_us()
        strand = holder.strands[None, TOKENS]
        stripe, number = strand.stripe, holder.ids.next_number()
        if stripe.lock.locked():
            await_turn(stripe.lock, stripe)
        with stripe.lock:
            hold = take(stripe, ids[0], ids[1:], ((strand, AMOUNT),), now_us, number, NEVER, told=False)
        assert hold is not None
        assert not isinstance(hold, Met)
        with stripe.lock:
            install(stripe, {}, [hold])

    def reserve_and_settle(self) -> None:
        """Take, as above; keep it from ending while it is booked; booked, its hold falls."""
        holder, ids = self._holder, self._ids
        now_us = holder.clock.now_us()
        strand = holder.strands[None, TOKENS]
        stripe, number, ends_us = strand.stripe, holder.ids.next_number(), now_us + TTL_US
        if stripe.lock.locked():
            await_turn(stripe.lock, stripe)
        with stripe.lock:
            hold = take(stripe, ids[0], ids[1:], ((strand, AMOUNT),), now_us, number, ends_us)
        assert hold is not None
        assert not isinstance(hold, Met)
        begin_settle(stripe, hold[NUMBER], holder.clock.now_us())
        with stripe.lock:
            install(stripe, {}, [hold])


def run(*, quick: bool) -> list[Line]:
    """The ratios, with few limits and with many."""
    return [line for limits in LIMITS for line in _with(limits, ROUNDS_QUICK if quick else ROUNDS)]


def _with(limits: int, rounds: int) -> Iterator[Line]:
    with opened(limits) as (control, ids):
        ours = Ours(control._holder, ids)  # noqa: SLF001 - it is what is measured
        ways: dict[str, Callable[[], object]] = {
            "floor": Floor(limits).take,
            CHECK: ours.check,
            CONSUME: ours.consume,
            RESERVE: ours.reserve_and_settle,
            PUBLIC: partial(control.check, resource_ids=ids, credit_currency=TOKENS, requested_usage=AMOUNT),
        }
        figures = interleaved({name: partial(_nanoseconds, call) for name, call in ways.items()}, rounds)
    for name in (CHECK, CONSUME, RESERVE, PUBLIC):
        goal = GOALS.get(name) if limits == LIMITS[0] else None
        yield compared(f"{name}, {limits} limits", "ns", figures[name], figures["floor"], goal)


@contextmanager
def opened(limits: int) -> Iterator[tuple[UsageControl, list[str]]]:
    """A control that has drawn its share of every limit, and what to ask of it."""
    described, ids = model(limits)
    with (
        tempfile.TemporaryDirectory() as directory,
        UsageControl(Path(directory, "usage.db")) as control,
    ):
        control.apply(described)
        control.reserve(resource_ids=ids, credit_currency=TOKENS, amount=AMOUNT).settle()
        yield control, ids


def _nanoseconds(call: Callable[[], object]) -> float:
    """How long one call takes."""
    began = time.perf_counter_ns()
    for _ in range(CALLS):
        call()
    return (time.perf_counter_ns() - began) / CALLS
