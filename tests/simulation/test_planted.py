"""Planted faults: a simulation that catches none of them shows nothing.

Each breaks one rule of the protocol, and must be found within a few seeds.
"""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from stiggctl import AccessDenied, UsageControl
from stiggctl.decision import receding, reservations
from stiggctl.holder import doubts, keeping, liveness, recalling, rounds
from stiggctl.ledger.sqlite import numbers as numbers_module
from stiggctl.ledger.sqlite import reckoning

from .baton import Baton
from .host import Process, VirtualClock
from .run import Run, model

SEEDS_MAX = 12


def nothing(*_: Any, **__: Any) -> None:
    return None


def no_recall(patch: pytest.MonkeyPatch) -> None:
    """Nobody gives back what others want."""
    patch.setattr(recalling, "recede", nothing)
    patch.setattr(rounds, "recall", nothing)


def exact_and_spare(patch: pytest.MonkeyPatch) -> None:
    """What falls free of an exact share stays spare."""
    patch.setattr(reservations, "give_back", nothing)
    patch.setattr(receding, "give_back", nothing)


def nothing_hides(patch: pytest.MonkeyPatch) -> None:
    """What others may hide is taken for held: an untrue no."""
    made = numbers_module.Numbers.__init__

    def without(self: Any, *given: Any) -> None:
        made(self, *given)
        self.hidden = 0

    patch.setattr(numbers_module.Numbers, "__init__", without)


def others_are_free(patch: pytest.MonkeyPatch) -> None:
    """What others were granted is drawn again."""
    made = numbers_module.Numbers.__init__

    def without(self: Any, *given: Any) -> None:
        made(self, *given)
        self.lim += self.hidden

    patch.setattr(numbers_module.Numbers, "__init__", without)


def the_dead_hold_nothing(patch: pytest.MonkeyPatch) -> None:
    """A dead process's page is not read: what is in flight is free at once."""
    patch.setattr(liveness.Presence, "orphans_of", staticmethod(lambda *_: {}))


def the_silent_are_dead(patch: pytest.MonkeyPatch) -> None:
    """Whoever is there is taken for dead."""
    patch.setattr(liveness.Presence, "is_dead", staticmethod(lambda *_: True))


def no_page(patch: pytest.MonkeyPatch) -> None:
    """What is held is not on the page when its caller is told."""
    patch.setattr(keeping.Keeping, "_mirror", lambda *_: ())


def doubts_forgotten(patch: pytest.MonkeyPatch) -> None:
    """After a lost answer memory goes on as if nothing had been sent."""

    def forget(self: Any) -> None:
        for order in self._orders:
            order.let_go()
        self._orders, self._cells, self._are_there = [], set(), False

    patch.setattr(doubts.Doubts, "clear", forget)


def exact_alone_in_the_ledger(patch: pytest.MonkeyPatch) -> None:
    """Memory does not hear that its share is exact."""
    patch.setattr("stiggctl.decision.moving.note_company", nothing)


def surplus_while_recalled(patch: pytest.MonkeyPatch) -> None:
    """A cell that is recalled is drawn with a surplus all the same, and called exact."""
    take = reckoning.Reckoning._take

    def called_exact(self: Any, numbers: Any, lacking: int, taken: int) -> None:
        take(self, numbers, lacking, taken)
        numbers.exact = int(self.alive > 1)

    patch.setattr(reckoning.Reckoning, "_take", called_exact)
    patch.setattr(rounds, "recede", nothing)


FAULTS: list[Callable[[pytest.MonkeyPatch], None]] = [
    no_recall,
    exact_and_spare,
    nothing_hides,
    others_are_free,
    the_silent_are_dead,
    no_page,
    doubts_forgotten,
    exact_alone_in_the_ledger,
    surplus_while_recalled,
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_planted_fault_is_found(
    tmp_path: Path, fault: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    fault(monkeypatch)
    for seed in range(SEEDS_MAX):
        try:
            Run(seed, tmp_path).run()
        except (Exception, pytest.fail.Exception) as found:  # noqa: BLE001 - whatever it is, it was found
            print(f"seed {seed}: {found}")  # noqa: T201 - how it was found
            return
    pytest.fail(f"{SEEDS_MAX} seeds did not find it")


def test_what_a_dead_process_held_is_not_admitted_again(tmp_path: Path) -> None:
    """5, by a schedule of its own: chance seldom dies with much in flight, where the rest is wanted."""
    assert _after_a_death(tmp_path) == 70


def test_that_a_page_is_not_read_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A planted fault."""
    the_dead_hold_nothing(monkeypatch)
    assert _after_a_death(tmp_path) == 100


def _after_a_death(room: Path) -> int:
    """What others are admitted of 100 when one has died that held 30."""
    baton = Baton(0)
    with UsageControl(room / "usage.db", clock=VirtualClock(baton)) as control:
        control.apply(model({"org": 100}, ()))
    first, second = (Process(baton, room / "usage.db", name) for name in ("first", "second"))
    ask = {"resource_ids": ["ann"], "credit_currency": "t"}
    first.control.reserve(**ask, amount=30, ttl_seconds=30)
    second.holder.become_holder()
    first.die()
    admitted = 0
    for units in (60, 30, 10, 1):
        with suppress(AccessDenied):
            second.control.reserve(**ask, amount=units)
            admitted += units
    baton.now_us += 30_000_000
    assert second.control.reserve(**ask, amount=100 - admitted).amount == 100 - admitted
    for process in (first, second):
        process.holder.ledger._ledger.close()
    return admitted
