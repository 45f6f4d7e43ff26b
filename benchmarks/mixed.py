"""What windows, scopes and grants cost in a decision, beside as many limits for ever.

Here: check, consume, and reserve with its settle, with eight cells: a limit for ever, a daily, a monthly, a
rolling and a scoped one, and three grants; each beside the same call with eight limits for ever. Not here:
what a decision costs by itself (decide.py), what a turn costs (years.py).

The calls are those of decide.py, in which nothing is booked; `control.check` is the public verb. Both sides
get the same dimensions: only the mixed one has a scope that looks at them. The first of the grants pays, as
it nearly always does; where it cannot pay alone, the amount is split in Python, which has a line of its own.
"""

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.decide import AMOUNT, CALLS, ROUNDS, ROUNDS_QUICK, Ours
from benchmarks.measuring import Figures, Goal, Line, compared, interleaved
from benchmarks.model import CUSTOMER, TOKENS, model
from stiggctl import UsageControl
from stiggctl.decision.cells import Stripe
from stiggctl.decision.meeting import Texts

CELLS = 8
LIMIT = 10**15
DIMENSIONS = {"model": "gpt-5", "feature": "chat"}
GOAL = Goal(at_most=1.5)
GRANTS = ("plan", "top-up", "reserve")


def run(*, quick: bool) -> list[Line]:
    """The ratios of the verbs, and of a split over two grants."""
    rounds = ROUNDS_QUICK if quick else ROUNDS
    described, ids = model(CELLS)
    with _opened(described, ids) as lifetime, _opened(mixed(LIMIT), ids) as several:
        figures = interleaved(
            {
                f"{side} {name}": partial(_nanoseconds, call)
                for side, control in (("lifetime", lifetime), ("mixed", several))
                for name, call in _calls(control, ids).items()
            },
            rounds,
        )
        lines = list(_lines(figures))
    with _opened(described, ids) as lifetime, _opened(mixed(2), ids) as split:
        figures = interleaved(
            {
                "lifetime": partial(_nanoseconds, _calls(lifetime, ids)["check"]),
                "split": partial(_nanoseconds, _calls(split, ids)["check"]),
            },
            rounds,
        )
    return [*lines, compared("check, three grants pay", "ns", figures["split"], figures["lifetime"])]


def _lines(figures: Figures) -> Iterator[Line]:
    for name in ("control.check", "check", "consume", "reserve + settle"):
        yield compared(f"{name}, mixed", "ns", figures[f"mixed {name}"], figures[f"lifetime {name}"], GOAL)


def mixed(first_grant: int) -> dict[str, Any]:
    """The resources of `model(4)`, five limits on them, and three grants.

    >>> described = mixed(100)
    >>> len(described["allocations"]) + len(described["grants"]) == CELLS
    True
    """
    described, _ = model(4)
    terms: list[tuple[str, dict[str, Any]]] = [
        ("company", {"cadence": "P1M"}),
        ("user", {"cadence": "P1D"}),
        ("user", {}),
        ("emea", {"cadence": "P1D", "rolling": True}),
        ("chat", {"scope": {"model": ["gpt-5", "o4"]}}),
    ]
    amounts = (first_grant, 2 if first_grant < AMOUNT else LIMIT, LIMIT)
    return {
        **described,
        "allocations": [
            {"resourceId": name, "creditCurrency": TOKENS, "limit": LIMIT, **more} for name, more in terms
        ],
        "grants": [
            {"id": name, "customerId": CUSTOMER, "creditCurrency": TOKENS, "amount": amount}
            for name, amount in zip(GRANTS, amounts, strict=True)
        ],
    }


class _Saying(Ours):
    """What the face calls of decision/, for one request that says something of its dimensions."""

    def __init__(self, control: UsageControl, ids: list[str]) -> None:
        holder = control._holder  # noqa: SLF001 - it is what is measured
        super().__init__(holder, ids)
        stripe: Stripe = holder.strands[None, TOKENS].stripe
        texts: Texts = tuple(DIMENSIONS.get(name) for name in stripe.scoped)
        if texts:
            # What a tail is found by has them last (meeting.key_of).
            self._ids = (*ids, texts)  # type: ignore[arg-type]  # not an id


def _calls(control: UsageControl, ids: list[str]) -> dict[str, Callable[[], object]]:
    ours = _Saying(control, ids)
    asked: dict[str, Any] = {"credit_currency": TOKENS, "requested_usage": AMOUNT, "dimensions": DIMENSIONS}
    return {
        "control.check": partial(control.check, resource_ids=ids, **asked),
        "check": ours.check,
        "consume": ours.consume,
        "reserve + settle": ours.reserve_and_settle,
    }


@contextmanager
def _opened(described: dict[str, Any], ids: list[str]) -> Iterator[UsageControl]:
    """A control that has drawn its share of every cell that the request touches."""
    with (
        tempfile.TemporaryDirectory() as directory,
        UsageControl(Path(directory, "usage.db")) as control,
    ):
        control.apply(described)
        asked: dict[str, Any] = {"credit_currency": TOKENS, "dimensions": DIMENSIONS}
        control.reserve(resource_ids=ids, amount=AMOUNT, **asked).release()
        decision = control.check(resource_ids=ids, requested_usage=AMOUNT, **asked)
        grants = control.grants()
        assert len(decision.limits) + max(0, len(grants) - 1) == CELLS
        yield control


def _nanoseconds(call: Callable[[], object]) -> float:
    """How long one call takes."""
    began = time.perf_counter_ns()
    for _ in range(CALLS):
        call()
    return (time.perf_counter_ns() - began) / CALLS
