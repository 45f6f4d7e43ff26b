"""Schedules: a few steps in one order, for what chance seldom meets; each says what must come of them.

Here: what is done, and what must hold. Not here: seeds (run.py), the faults that each of these finds
(test_planted.py).

Nothing runs but what a schedule runs: no thread, no beat.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from stiggctl import AccessDenied, LedgerUnavailable, Reservation, UsageControl
from stiggctl.holder.page import read_page

from .baton import Baton
from .host import Process, VirtualClock
from .run import model
from .truth import held_in_memory

TTL_US = 30_000_000  #: of what a schedule asks for


class Stage:
    """Processes on one ledger, in which an org may spend 100."""

    def __init__(self, room: Path, **limits: int) -> None:
        self.baton = Baton(0)
        self.path = room / "usage.db"
        self.processes: list[Process] = []
        with UsageControl(self.path, clock=VirtualClock(self.baton)) as control:
            control.apply(model({"org": 100, **limits}, ()))

    def process(self) -> Process:
        """One more."""
        process = Process(self.baton, self.path, f"p{len(self.processes)}")
        self.processes.append(process)
        return process

    def ask(self, process: Process, who: str, units: int, seconds: int = 30) -> Reservation:
        """Room for so much."""
        return process.control.reserve(
            resource_ids=[who], credit_currency="t", amount=units, ttl_seconds=seconds
        )

    def report(self, process: Process, who: str, units: int) -> None:
        """Usage that nobody admitted."""
        process.control.report(customer_id="acme", resource_ids=[who], credit_currency="t", amount=units)

    def beat(self, process: Process) -> None:
        """Both of its beats, once."""
        process.holder.recalls.beat(self.baton.clock_us())
        process.holder.keeper.beat(self.baton.clock_us())

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """What the file says."""
        with self.processes[0].ledger._ledger.reader() as reader:
            return list(reader.rows(statement, {}))


@contextmanager
def stage(room: Path, **limits: int) -> Iterator[Stage]:
    """For one schedule."""
    made = Stage(room, **limits)
    try:
        yield made
    finally:
        for process in made.processes:
            process.ledger._ledger.close()


def a_death(room: Path) -> None:
    """What the dead held is withheld to its end, not longer; what it had to spare is free at once (5, 8)."""
    with stage(room) as on:
        first, second = on.process(), on.process()
        on.ask(first, "ann", 30)
        second.holder.become_holder()
        first.die()
        on.baton.now_us += TTL_US // 2  # it is found dead only then
        admitted = 0
        for units in (60, 30, 10, 1):
            with suppress(AccessDenied):
                on.ask(second, "ann", units, 60)
                admitted += units
        assert admitted == 70, f"{admitted} were admitted beside 30 of 100"
        on.baton.now_us += TTL_US // 2
        on.ask(second, "ann", 30)


def spare_that_covers_a_deficit(room: Path) -> None:
    """Own spare covers what a report of others has taken too much: what fits is admitted (6)."""
    with stage(room, bob=200) as on:
        first, second = on.process(), on.process()
        on.ask(first, "ann", 10)  # alone: all of the org is its
        second.holder.become_holder()
        on.ask(first, "bob", 1)  # in company: an eighth of bob
        on.report(second, "ann", 20)  # of the org less than nothing is free now
        exchange, asked = first.ledger.exchange, []

        def counted(batch: Any) -> Any:
            asked.append(batch)
            return exchange(batch)

        first.ledger.exchange = counted  # type: ignore[method-assign]  # the schedule's own
        on.ask(first, "bob", 60)
        assert len(asked) == 1  # at once: it was never in question


def usage_that_nobody_admitted(room: Path) -> None:
    """A beat after a report of others nobody admits more than what is left."""
    with stage(room) as on:
        first, second = on.process(), on.process()
        on.ask(first, "ann", 10)  # and has 90 to spare
        on.report(second, "ann", 50)
        on.beat(first)
        with pytest.raises(AccessDenied):
            on.ask(first, "ann", 60)
        on.ask(first, "ann", 40)


def a_report_of_one_that_has_spare(room: Path) -> None:
    """What a report finds of its process's own spare, limit by limit, it takes of nobody else."""
    with stage(room, ann=10) as on:
        first = on.process()
        on.ask(first, "ann", 10).settle()
        on.report(first, "ann", 20)
        ((used, granted, hush_until),) = on.rows(
            "SELECT used, granted, hush_until FROM cells WHERE lim = 100"
        )
        assert (used, granted, hush_until) == (30, 70, 0)


def a_settle_under_way(room: Path) -> None:
    """Until it is committed, what it settles is held in memory (5) and on its page (4)."""
    with stage(room) as on:
        first = on.process()
        held = on.ask(first, "ann", 60)
        exchange = first.ledger.exchange
        seen: list[tuple[int, int]] = []

        def looked(batch: Any) -> Any:
            presence = first.holder._presence
            assert presence is not None
            contents = read_page(presence.page.path)
            assert contents is not None
            on_page = sum(one.amount_units for one in contents.records)
            seen.append((sum(held_in_memory(first).values()), on_page))
            return exchange(batch)

        first.ledger.exchange = looked  # type: ignore[method-assign]  # the schedule's own
        assert held.settle(60).charged == 60
        assert seen == [(60, 60)]
        assert not held_in_memory(first)


def a_lost_answer(room: Path) -> None:
    """What was booked is no longer held, though its caller was told an error and never came again (6)."""
    with stage(room) as on:
        first = on.process()
        held = on.ask(first, "ann", 60)
        exchange = first.ledger.exchange

        def lost(batch: Any) -> Any:
            exchange(batch)
            raise LedgerUnavailable(location="simulated", reason="it was lost", remedy="try again")

        first.ledger.exchange = lost  # type: ignore[method-assign]  # the schedule's own
        with pytest.raises(LedgerUnavailable):
            held.settle(60)
        first.ledger.exchange = exchange  # type: ignore[method-assign]  # as before
        on.beat(first)
        assert not held_in_memory(first)
        on.ask(first, "ann", 40)


def a_close(room: Path) -> None:
    """What was reserved and not settled is withheld to its end (5)."""
    with stage(room) as on:
        first, second = on.process(), on.process()
        on.ask(first, "ann", 30)
        first.holder.close()
        with pytest.raises(AccessDenied):
            on.ask(second, "ann", 71)
        on.ask(second, "ann", 70)


def two_that_want_what_the_other_has(room: Path) -> None:
    """Each waits for the other, and gives meanwhile: both get on (RK2)."""
    with stage(room, org=10_000, ann=1_000, bob=1_000) as on:
        first, second = on.process(), on.process()
        on.ask(first, "ann", 1)  # alone: all of ann is its, and all of org
        _waits(on, second, lambda: on.beat(first))
        on.ask(second, "bob", 1)  # in company: an eighth of bob
        got: list[object] = []

        def as_the_first_waits() -> None:
            if not got:
                got.append("asked")
                got.append(on.ask(second, "ann", 900).amount)
            on.beat(second)

        _waits(on, first, as_the_first_waits)
        assert on.ask(first, "bob", 990).amount == 990
        assert got == ["asked", 900]


def a_hold_that_ends_while_its_process_is_stopped(room: Path) -> None:
    """It is room that this process hides, and no reason to say that a limit denies (RK6)."""
    with stage(room) as on:
        first, second = on.process(), on.process()
        on.ask(first, "ann", 60, 1)  # alone: all of the org is its
        _waits(on, second, lambda: on.beat(first))
        on.ask(second, "ann", 30)  # from here on first has what it holds
        _waits(on, second, lambda: None)
        on.baton.sleep(1.0)
        with pytest.raises(AccessDenied) as denied:
            on.ask(second, "ann", 20)
        assert denied.value.decision.access_denied_reason == "SHARE_UNAVAILABLE"


def _waits(on: Stage, process: Process, meanwhile: Callable[[], None]) -> None:
    """What others do while it waits for them."""

    def pause(seconds: float) -> None:
        on.baton.sleep(seconds)
        meanwhile()

    process.holder.waiting.pause = pause  # type: ignore[method-assign]  # the schedule's own


SCHEDULES = (
    a_death,
    spare_that_covers_a_deficit,
    usage_that_nobody_admitted,
    a_report_of_one_that_has_spare,
    a_settle_under_way,
    a_lost_answer,
    a_close,
    two_that_want_what_the_other_has,
    a_hold_that_ends_while_its_process_is_stopped,
)
