"""Planted faults: a simulation that catches none of them shows nothing.

Each breaks one rule of the protocol. Those that chance meets must be found within a few seeds; those that it
seldom meets by a schedule of their own (schedules.py), which passes without the fault.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stiggctl import StiggctlError
from stiggctl.control import reservation
from stiggctl.decision import receding, reservations
from stiggctl.holder import (
    answering,
    asking,
    doubts,
    keeping,
    liveness,
    orders,
    others,
    recalling,
    rounds,
    wishes,
)
from stiggctl.ledger.records import AskCell, Orphan
from stiggctl.ledger.sqlite import holders, reckoning
from stiggctl.ledger.sqlite import numbers as numbers_module

from . import schedules
from .run import Run

SEEDS_MAX = 12
#: Where one is met in one seed of ten: from where on three of twelve do.
FIRST_SEED = {"a_no_whose_lack_has_shrunk": 35, "doubts_forgotten": 30, "sent_again_under_a_new_key": 35}

#: How one is found; not by a mistake of the fault's own.
FOUND = (AssertionError, StiggctlError, pytest.fail.Exception)

Fault = Callable[[pytest.MonkeyPatch], None]


def nothing(*_: Any, **__: Any) -> None:
    return None


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Lost answers are told in the log, thousands of them."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


# ------------------------------------------------------------------ what others may have


def no_recall(patch: pytest.MonkeyPatch) -> None:
    """Nobody gives back what others want."""
    patch.setattr(recalling, "recede", nothing)
    patch.setattr(rounds, "recall", nothing)


def no_give_back(patch: pytest.MonkeyPatch) -> None:
    """What has left spare is told by the next booking only, not by a beat."""
    patch.setattr(recalling.Recalls, "give_back", nothing)


def exact_and_spare(patch: pytest.MonkeyPatch) -> None:
    """What falls free of an exact share stays spare."""
    patch.setattr(reservations, "give_back", nothing)
    patch.setattr(receding, "give_back", nothing)


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


def nothing_hides(patch: pytest.MonkeyPatch) -> None:
    """What others may hide is taken for held, and nobody looks what they hold: an untrue no."""
    _numbers_are(patch, lambda numbers: setattr(numbers, "hidden", 0))
    patch.setattr(others.Others, "beside", lambda *_: others.ALONE)


def what_is_late_is_held(patch: pytest.MonkeyPatch) -> None:
    """What has ended counts until its process has given it back: an untrue no beside one that is stopped."""
    patch.setattr(others, "_over_on", lambda *_: {})


def others_are_free(patch: pytest.MonkeyPatch) -> None:
    """What others were granted is drawn again."""
    _numbers_are(patch, lambda numbers: setattr(numbers, "lim", numbers.lim + numbers.hidden))


def _numbers_are(patch: pytest.MonkeyPatch, wrong: Callable[[Any], None]) -> None:
    made = numbers_module.Numbers.__init__

    def without(self: Any, *given: Any) -> None:
        made(self, *given)
        wrong(self)

    patch.setattr(numbers_module.Numbers, "__init__", without)


def need_is_cut_at_0(patch: pytest.MonkeyPatch) -> None:
    """Own spare covers no deficit that the reports of others made."""
    draw = reckoning.Reckoning.draw

    def cut(self: Any, ask: Any) -> Any:
        cells = tuple(
            [
                (AskCell(one.cell, min(one.spare_units, units)), units, least)
                for one, units, least in ask.cells
            ]
        )
        return draw(self, replace(ask, cells=cells))

    patch.setattr(reckoning.Reckoning, "draw", cut)


def drawn_and_held_a_step_later(patch: pytest.MonkeyPatch) -> None:
    """What an ask was granted is spare for a moment, and goes back before it is held: nobody gets on."""
    fulfil = wishes.Wish.fulfil

    def later(self: Any, sights: Any) -> None:
        if self.number is None or self.grows:
            fulfil(self, sights)
        else:
            self.taken = wishes.seen(self.stripe, tuple(sights))

    patch.setattr(wishes.Wish, "fulfil", later)


def a_no_whose_lack_has_shrunk(patch: pytest.MonkeyPatch) -> None:
    """What would fit once a hold has ended meanwhile is denied."""
    for room in (asking, answering, recalling):
        patch.setattr(room, "proves_denial", lambda *_: True)


# ------------------------------------------------------------------ bookings


def no_hush_after_overage(patch: pytest.MonkeyPatch) -> None:
    """Usage that nobody admitted recalls nothing."""
    over = reckoning.Reckoning._over

    def silent(self: Any, numbers: Any, before: int, after: int) -> int:
        granted, numbers.granted = numbers.granted, 0
        try:
            return over(self, numbers, before, after)
        finally:
            numbers.granted = granted

    patch.setattr(reckoning.Reckoning, "_over", silent)


def spend_taken_twice(patch: pytest.MonkeyPatch) -> None:
    """What a booking spends of a share leaves it twice."""
    book = reckoning.Reckoning.book

    def twice(self: Any, part: Any, occurred_at_us: int) -> Any:
        booked = book(self, part, occurred_at_us)
        for cell, spend in zip(part.cells, part.spends, strict=True):
            numbers = self.cells.get(cell)
            if numbers is not None and spend and numbers.mine >= spend:
                numbers.mine -= spend
                numbers.granted -= spend
        return booked

    patch.setattr(reckoning.Reckoning, "book", twice)


def the_smallest_spare_of_all(patch: pytest.MonkeyPatch) -> None:
    """A report takes of each cell only what the scarcest of its path has to spare."""
    set_apart = orders.set_apart

    def smallest(stripe: Any, places: Any, hard: int, units: int, held: Any) -> list[int]:
        least = min((stripe.numbers[place] for place in places[:hard]), default=0)
        apart: list[int] = set_apart(stripe, places, hard, units if held else min(units, least), held)
        return apart

    patch.setattr(orders, "set_apart", smallest)


def the_hold_falls_before_the_commit(patch: pytest.MonkeyPatch) -> None:
    """What is being settled is spare while its event is on its way."""

    def fall(order: Any) -> None:
        hold = order.stripe.holds.pop(order.hold, None)
        if hold is not None:
            reservations.put_back(order.stripe, hold)

    _before_the_commit(patch, fall)


def the_page_is_cleared_before_the_commit(patch: pytest.MonkeyPatch) -> None:
    """Who dies in a settle has held nothing."""
    kept: list[Any] = []
    keep = keeping.Keeping.keep

    def noted(self: Any, *given: Any) -> None:
        kept.append(self)
        keep(self, *given)

    patch.setattr(keeping.Keeping, "keep", noted)
    _before_the_commit(patch, lambda order: [one.drop([order.hold]) for one in kept if order.hold])


def _before_the_commit(patch: pytest.MonkeyPatch, wrong: Callable[[Any], object]) -> None:
    make_ready = orders.Order.make_ready

    def made_ready(self: Any, *given: Any) -> Any:
        booking = make_ready(self, *given)
        wrong(self)
        return booking

    patch.setattr(orders.Order, "make_ready", made_ready)


def sent_again_under_a_new_key(patch: pytest.MonkeyPatch) -> None:
    """Each attempt of a settle names another event."""
    told_order = reservation.Reservation._told_order
    attempts = iter(range(10**9))

    def renamed(self: Any, order: Any) -> Any:
        order = told_order(self, order)
        order.key = f"{order.key}-{next(attempts)}"
        return order

    patch.setattr(reservation.Reservation, "_told_order", renamed)


def doubts_forgotten(patch: pytest.MonkeyPatch) -> None:
    """After a lost answer memory goes on as if nothing had been sent."""

    def forget(self: Any) -> None:
        for order in self._orders:
            order.let_go()
        self._orders, self._cells, self._are_there = [], set(), False

    patch.setattr(doubts.Doubts, "clear", forget)


def booked_and_still_held(patch: pytest.MonkeyPatch) -> None:
    """What was booked by an exchange whose answer was lost is held all the same."""
    patch.setattr(doubts, "close_hold", nothing)


# ------------------------------------------------------------------ deaths


def the_silent_are_dead(patch: pytest.MonkeyPatch) -> None:
    """Whoever is there is taken for dead."""
    patch.setattr(liveness.Presence, "is_dead", staticmethod(lambda *_: True))


def the_dead_hold_nothing(patch: pytest.MonkeyPatch) -> None:
    """A dead process's page is not read: what is in flight is free at once."""
    patch.setattr(liveness.Presence, "orphans_of", staticmethod(lambda *_: {}))


def the_dead_hold_all_they_had(patch: pytest.MonkeyPatch) -> None:
    """All that a dead process was granted is withheld, not what it held."""
    bury = holders.bury

    def kept(cursor: Any, holder: int, orphans: Any, now_us: int) -> None:
        until_us = now_us + 30_000_000
        shares = cursor.execute("SELECT cell, granted FROM shares WHERE holder = ?", [holder]).fetchall()
        bury(cursor, holder, {cell: [Orphan(units, until_us)] for cell, units in shares}, now_us)

    patch.setattr(holders, "bury", kept)


def the_dead_hold_for_ever(patch: pytest.MonkeyPatch) -> None:
    """What a dead process held counts as spent."""
    _ends_are(patch, lambda orphan, _: orphan._replace(until_us=2**62))
    patch.setattr(liveness.Presence, "forget", staticmethod(nothing))
    bury = holders.bury
    patch.setattr(holders, "bury", lambda cursor, holder, orphans, _: bury(cursor, holder, orphans, 2**61))


def orphans_whose_clock_starts_at_a_look(patch: pytest.MonkeyPatch) -> None:
    """What a dead process held ends a ttl after somebody has found it dead."""
    _ends_are(patch, lambda orphan, now_us: orphan._replace(until_us=now_us + 30_000_000))


def _ends_are(patch: pytest.MonkeyPatch, wrong: Callable[[Any, int], Any]) -> None:
    orphans_of = liveness.Presence.orphans_of

    def ends(directory: Any, row: Any, now_us: int) -> Any:
        found = orphans_of(directory, row, now_us)
        return {cell: [wrong(one, now_us) for one in held] for cell, held in found.items()}

    patch.setattr(liveness.Presence, "orphans_of", staticmethod(ends))


def no_page(patch: pytest.MonkeyPatch) -> None:
    """What is held is not on the page at all."""
    patch.setattr(keeping.Keeping, "_mirror", lambda *_: ())


def page_written_after_the_answer(patch: pytest.MonkeyPatch) -> None:
    """What is held is on the page once the next caller is told."""
    mirror = keeping.Keeping._mirror
    late: dict[Any, tuple[Any, ...]] = {}

    def mirrored(self: Any, *given: Any) -> tuple[int, ...]:
        before = late.pop(self, None)
        if before is not None:
            mirror(self, *before)
        late[self] = given
        return ()

    patch.setattr(keeping.Keeping, "_mirror", mirrored)


def who_closes_leaves_nothing_held(patch: pytest.MonkeyPatch) -> None:
    """What was reserved and not settled is free at a close."""
    patch.setattr(keeping.Keeping, "left_behind", lambda *_: {})


# ------------------------------------------------------------------ found

BY_CHANCE: tuple[Fault, ...] = (
    a_no_whose_lack_has_shrunk,
    drawn_and_held_a_step_later,
    exact_alone_in_the_ledger,
    exact_and_spare,
    no_give_back,
    no_page,
    nothing_hides,
    others_are_free,
    page_written_after_the_answer,
    sent_again_under_a_new_key,
    spend_taken_twice,
    surplus_while_recalled,
    the_silent_are_dead,
)
BY_SCHEDULE: tuple[tuple[Fault, Callable[[Path], None]], ...] = (
    (booked_and_still_held, schedules.a_lost_answer),
    (doubts_forgotten, schedules.a_lost_answer),
    (need_is_cut_at_0, schedules.spare_that_covers_a_deficit),
    (no_give_back, schedules.two_that_want_what_the_other_has),
    (no_hush_after_overage, schedules.usage_that_nobody_admitted),
    (no_recall, schedules.two_that_want_what_the_other_has),
    (orphans_whose_clock_starts_at_a_look, schedules.a_death),
    (the_dead_hold_all_they_had, schedules.a_death),
    (the_dead_hold_for_ever, schedules.a_death),
    (the_dead_hold_nothing, schedules.a_death),
    (the_hold_falls_before_the_commit, schedules.a_settle_under_way),
    (the_page_is_cleared_before_the_commit, schedules.a_settle_under_way),
    (the_smallest_spare_of_all, schedules.a_report_of_one_that_has_spare),
    (what_is_late_is_held, schedules.a_hold_that_ends_while_its_process_is_stopped),
    (who_closes_leaves_nothing_held, schedules.a_close),
)


@pytest.mark.parametrize("fault", BY_CHANCE, ids=lambda fault: fault.__name__)
def test_a_planted_fault_is_found_by_chance(
    tmp_path: Path, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    fault(monkeypatch)
    first = FIRST_SEED.get(fault.__name__, 0)
    for seed in range(first, first + SEEDS_MAX):
        try:
            Run(seed, tmp_path).run()
        except FOUND as found:
            print(f"seed {seed}: {found!r}")  # noqa: T201 - how it was found
            return
    pytest.fail(f"{SEEDS_MAX} seeds did not find it")


@pytest.mark.parametrize("schedule", schedules.SCHEDULES, ids=lambda schedule: schedule.__name__)
def test_a_schedule_passes(tmp_path: Path, schedule: Callable[[Path], None]) -> None:
    schedule(tmp_path)


@pytest.mark.parametrize(
    ("fault", "schedule"), BY_SCHEDULE, ids=[f"{fault.__name__}-{by.__name__}" for fault, by in BY_SCHEDULE]
)
def test_a_planted_fault_is_found_by_a_schedule(
    tmp_path: Path, fault: Fault, schedule: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    fault(monkeypatch)
    try:
        schedule(tmp_path)
    except FOUND as found:
        print(repr(found))  # noqa: T201 - how it was found
        return
    pytest.fail("it was not found")
