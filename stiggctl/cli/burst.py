"""The burst: threads that call at once, into the limits.

Here: the calls, and what is counted of them. Not here: who calls (acme.py), how it is told
(demo.py).

What always holds:
  DM1  A seed fixes what each thread asks for, one call after the other. Which thread comes first
       is up to the machine, so how many are admitted differs by a few.
"""

import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from threading import Event
from typing import NamedTuple

from stiggctl import AccessDenied, Decision, Receipt, UsageControl
from stiggctl.cli.acme import CALLERS, FEATURES, TOKENS

#: More than there are cores, so that commits are shared; with many more the threads wait for each
#: other, and no more is decided.
THREADS = 8
#: One model call in credits: large enough to reach the limits in a second.
_AMOUNT_MAX = 24
#: How many of the calls set aside first: half, for both ways are worth seeing.
_RESERVED_PART = 0.5
#: How often the progress is told: often enough to look alive, too seldom to slow the calls.
_TELL_SECONDS = 0.05


class Call(NamedTuple):
    """One call: what it names, and what it costs."""

    resource_ids: tuple[str, ...]
    amount: int
    used: int | None  #: of what is set aside; None: the amount is known before, and consumed


class Tally:
    """What came of one thread's calls. Only that thread writes to it."""

    __slots__ = ("admitted", "booked", "denial", "denied")

    def __init__(self) -> None:
        self.admitted = 0
        self.denied = 0
        self.booked = 0
        self.denial: Decision | None = None  #: one of them

    def add(self, other: "Tally") -> None:
        """Count the other's calls too."""
        self.admitted += other.admitted
        self.denied += other.denied
        self.booked += other.booked
        if other.denial is not None:
            self.keep(other.denial)

    def keep(self, denial: Decision) -> None:
        """Keep the first; but one that was denied though something was left says more."""
        # Never `if denial`: a decision is true where it has access.
        if self.denial is None or (self.denial.remaining == 0 and denial.remaining):
            self.denial = denial

    @property
    def decisions(self) -> int:
        """How many calls were decided, either way."""
        return self.admitted + self.denied


def burst(
    control: UsageControl,
    customer_id: str,
    *,
    seed: int,
    seconds: float,
    tell: Callable[[float, Tally], None],
) -> tuple[float, Tally]:
    """Let all threads call for so long; how long it took, and what came of it.

    `tell` hears, in this thread, of the seconds that passed and of the sum so far. What a call
    raises but AccessDenied ends the burst, and is raised.
    """
    stop = Event()
    tallies = [Tally() for _ in range(THREADS)]
    began = time.monotonic()
    with ThreadPoolExecutor(THREADS, thread_name_prefix="demo") as threads:
        try:
            calling = [
                threads.submit(_call_until, stop, control, customer_id, calls(seed, thread), tally)
                for thread, tally in enumerate(tallies)
            ]
            while (passed := time.monotonic() - began) < seconds:
                if wait(
                    calling, timeout=min(_TELL_SECONDS, seconds - passed), return_when="FIRST_EXCEPTION"
                ).done:
                    break  # only an error ends one before its time
                tell(time.monotonic() - began, _sum(tallies))
        finally:
            stop.set()
    took = time.monotonic() - began
    for each in calling:
        each.result()
    return took, _sum(tallies)


def _sum(tallies: list[Tally]) -> Tally:
    total = Tally()
    for tally in tallies:
        total.add(tally)
    return total


def calls(seed: int, thread: int) -> Iterator[Call]:
    """What a thread asks for, one call after the other, without end (DM1)."""
    chance = random.Random(f"{seed}/{thread}")  # noqa: S311 - a game, and no secret
    weights = [weight for _, weight, _ in CALLERS]
    while True:
        ((caller, _, region),) = chance.choices(CALLERS, weights)
        amount = chance.randint(1, _AMOUNT_MAX)
        used = chance.randint(0, amount) if chance.random() < _RESERVED_PART else None
        yield Call((caller, region, chance.choice(FEATURES)), amount, used)


def _call_until(
    stop: Event, control: UsageControl, customer_id: str, asked: Iterator[Call], tally: Tally
) -> None:
    """Make the calls until told to stop."""
    while not stop.is_set():
        try:
            receipt = _make(next(asked), control, customer_id)
        except AccessDenied as denied:
            tally.denied += 1
            if tally.denial is None:  # to look at more of them would slow the others
                tally.keep(denied.decision)
        else:
            tally.admitted += 1
            tally.booked += int(receipt.amounts[TOKENS])


def _make(call: Call, control: UsageControl, customer_id: str) -> Receipt:
    """Consume, or reserve and settle; raises AccessDenied."""
    if call.used is None:
        return control.consume(
            resource_ids=call.resource_ids,
            credit_currency=TOKENS,
            amount=call.amount,
            customer_id=customer_id,
            event_name="answer",
        )
    reservation = control.reserve(
        resource_ids=call.resource_ids,
        credit_currency=TOKENS,
        amount=call.amount,
        customer_id=customer_id,
        event_name="draft",
    )
    return reservation.settle(call.used)
