"""What watching costs: hooks and thresholds, beside a control that has none.

Here: `control.check` and `control.report`, on ledgers of the same limits in files. Not here: what a
decision and a booking cost (decide.py, book.py).

    check, another hook       somebody subscribed, but not for decisions
    check, a hook             one that does nothing, for every decision
    report, thresholds        of all four limits, none of which is crossed
    report, a hook            one that does nothing, for every booking
"""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

from benchmarks.decide import opened
from benchmarks.measuring import Goal, Line, compared, interleaved
from benchmarks.model import CUSTOMER, TOKENS
from stiggctl import DecisionMade, ThresholdCrossed, UsageBooked, UsageControl

LIMITS = 4
CHECKS = 200
REPORTS = 50
ROUNDS = 150
ROUNDS_QUICK = 30

NONE = "nobody watches"
#: What is not used costs nothing: half a percent of these is less than this machine can tell apart.
GOALS = {"check, another hook": Goal(at_most=1.02), "report, thresholds": Goal(at_most=1.03)}


def run(*, quick: bool) -> list[Line]:
    """Decisions, then bookings."""
    rounds = ROUNDS_QUICK if quick else ROUNDS
    with ExitStack() as stack:
        watched: dict[str, tuple[UsageControl, list[str]]] = {
            name: stack.enter_context(opened(LIMITS))
            for name in (NONE, "another hook", "a decision's hook", "a booking's hook")
        }
        watched["thresholds"] = stack.enter_context(_with_thresholds())
        watched["another hook"][0].subscribe(_nothing, kinds=ThresholdCrossed)
        watched["a decision's hook"][0].subscribe(_nothing, kinds=DecisionMade)
        watched["a booking's hook"][0].subscribe(_nothing, kinds=UsageBooked)
        checks = {
            NONE: _checks(*watched[NONE]),
            "check, another hook": _checks(*watched["another hook"]),
            "check, a hook": _checks(*watched["a decision's hook"]),
        }
        reports = {
            NONE: _reports(*watched[NONE]),
            "report, thresholds": _reports(*watched["thresholds"]),
            "report, a hook": _reports(*watched["a booking's hook"]),
        }
        return [*_beside(checks, CHECKS, rounds), *_beside(reports, REPORTS, rounds)]


@contextmanager
def _with_thresholds() -> Iterator[tuple[UsageControl, list[str]]]:
    with opened(LIMITS) as (control, ids):
        for allocation in control.export_model().allocations:
            control.set_allocation(
                resource_id=allocation.resource_id,
                credit_currency=TOKENS,
                limit=allocation.limit,
                thresholds=[50, 80, 100],
            )
        yield control, ids


def _nothing(_: object) -> None:
    pass


def _checks(control: UsageControl, ids: list[str]) -> Callable[[], object]:
    return partial(control.check, resource_ids=ids, credit_currency=TOKENS, requested_usage=1)


def _reports(control: UsageControl, ids: list[str]) -> Callable[[], object]:
    return partial(control.report, customer_id=CUSTOMER, resource_ids=ids, credit_currency=TOKENS, amount=1)


def _beside(ways: dict[str, Callable[[], object]], calls: int, rounds: int) -> Iterator[Line]:
    figures = interleaved({name: partial(_microseconds, call, calls) for name, call in ways.items()}, rounds)
    for name in ways:
        if name != NONE:
            yield compared(name, "µs", figures[name], figures[NONE], GOALS.get(name))


def _microseconds(call: Callable[[], object], calls: int) -> float:
    """How long one call takes."""
    began = time.perf_counter_ns()
    for _ in range(calls):
        call()
    return (time.perf_counter_ns() - began) / calls / 1_000
