"""Mending: an interrupt at any step of any change, and the numbers are right again before they count."""

from collections.abc import Callable, Iterator

import pytest

from stiggctl.decision.cells import NEVER, SPARE
from stiggctl.decision.decide import look
from stiggctl.decision.holds import Hold
from stiggctl.decision.mending import mend, retell
from stiggctl.decision.moving import grow, put_apart_back, set_apart
from stiggctl.decision.reservations import begin_settle, expire, release

from .land import Land

STEPS_MAX = 60


class Interrupting(list):  # type: ignore[type-arg]  # numbers, and the headers of records
    """Numbers that are interrupted when one of them is changed for the n-th time."""

    left = 0

    def __setitem__(self, at: object, value: object) -> None:
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt
        super().__setitem__(at, value)  # type: ignore[index,assignment]  # as list does


def world() -> tuple[Land, Interrupting]:
    """ann under team under org, with two limits of her own; some of it held, by her and by bob."""
    land = Land()
    for name, limit in (("org", 100), ("team", 90), ("ann", 80), ("ann", 70), ("bob", 60)):
        land.limit(name, limit)
    land.limit("team", 50, hard=False)
    land.compile(["bob"])
    land.hold(["ann"], 10, ends=500)
    land.hold(["bob"], 5, ends=900)
    numbers = land.stripe.numbers = Interrupting(land.stripe.numbers)
    return land, numbers


def a_take(land: Land) -> None:
    land.take(["ann", "bob"], 7)


def a_take_of_less(land: Land) -> None:
    land.take(["ann"], 7_000, minimum=5)


def an_extension(land: Land) -> None:
    grow(land.stripe, 1, {"t": 7}, 0)


def a_release(land: Land) -> None:
    release(land.stripe, 1)


def an_end(land: Land) -> None:
    look(land.stripe, "ann", (), [(land.strand(), 1)], 600)


def a_settle_that_begins_too_late(land: Land) -> None:
    begin_settle(land.stripe, 1, 600)


def a_limit_that_changes(land: Land) -> None:
    land.cells[101].limit = 40
    land.stripe.restamp()
    land.compile(["ann"])


def a_limit_more(land: Land) -> None:
    land.limit("ann", 60, granted=0)
    land.stripe.restamp()
    land.compile(["ann"])


def a_limit_less(land: Land) -> None:
    land.cells = {cell: one for cell, one in land.cells.items() if cell != 103}
    land.stripe.restamp()
    land.compile(["ann"])


CHANGES: list[Callable[[Land], None]] = [
    a_take, a_take_of_less, an_extension, a_release, an_end, a_settle_that_begins_too_late,
    a_limit_that_changes, a_limit_more, a_limit_less,
]  # fmt: skip


def interrupted(change: Callable[[Land], None]) -> Iterator[Land]:
    """A world each, in which the change was ended at its first step, its second …, until none is left."""
    for step in range(1, STEPS_MAX):
        land, numbers = world()
        numbers.left = step
        try:
            change(land)
        except KeyboardInterrupt:
            yield land
        else:
            assert step > 2, "it was never interrupted"
            return
    raise AssertionError("a change has more steps than it was thought to have")


@pytest.mark.parametrize("change", CHANGES)
def test_after_an_interrupt_at_any_step_spare_is_what_is_granted_less_what_is_held(
    change: Callable[[Land], None],
) -> None:
    """MD1, C1, LY2: before anything is decided; and what was held ends as if nothing had happened."""
    for land in interrupted(change):
        assert land.stripe.torn
        assert not land.stripe.lock.locked()
        land.look(["ann", "bob"], 1)
        assert not land.stripe.torn
        sound(land)
        for number in list(land.stripe.holds):
            release(land.stripe, number)
        land.tell_gives()
        for cell in land.cells.values():
            if cell.cell in land.places():
                assert land.seen(cell)[SPARE] == (cell.granted if cell.hard else 0)


def sound(land: Land) -> None:
    for cell in land.cells.values():
        if cell.cell not in land.places():
            continue
        spare, used, allotted, limit = land.seen(cell)
        held = land.held(cell)
        if cell.hard:
            assert spare == allotted - held >= 0
            assert allotted + land.stripe.gives.get(cell.cell, 0) <= cell.granted
            assert spare == 0 or used + allotted <= limit
        else:
            assert (spare, allotted) == (-held, 0)


def test_a_release_mends_first() -> None:
    """MD1: it is no decision, and yet it counts on the numbers."""
    land, _ = world()
    at = land.places()[101]
    with land.stripe.lock:
        land.stripe.numbers[at] -= 3
        land.stripe.tear()
    release(land.stripe, 1)
    assert not land.stripe.torn
    assert land.stripe.numbers[at] == 100 - 5


def test_an_id_that_is_no_text_tears_nothing() -> None:
    """MD1: each mending looks at all that a customer has."""
    land, _ = world()
    with pytest.raises(TypeError):
        land.look(["ann", ["no text"]])  # type: ignore[list-item]  # as said
    assert not land.stripe.torn


def test_what_bookings_under_way_have_set_apart_stays_so() -> None:
    """MD1: whoever mends does not know what they are."""
    land, _ = world()
    at = land.places()[101]
    with land.stripe.lock:
        set_apart(land.stripe, [at], 1, 30, {})
        land.stripe.tear()
    land.look(["ann"], 1)
    assert land.stripe.numbers[at + SPARE] == 100 - 15 - 30
    with land.stripe.lock:
        put_apart_back(land.stripe)
    sound(land)


def test_what_the_ledger_tells_after_a_failure_is_believed() -> None:
    """MD1, C2, C3: whatever memory has; but for what it has given back and not told."""
    land, _ = world()
    org = land.cells[101]
    org.used, org.granted, org.orphans = 20, 70, ((5, 400),)
    land.stripe.gives[101] = 8
    places = land.places()
    with land.stripe.lock:
        retell(land.stripe, {places[101]: org.told()})
    assert land.seen(org) == (70 - 8 - 15, 20, 62 + 5, 100)
    assert land.stripe.next_end_us == 400
    land.look(["ann"], 1, now=400)
    assert land.seen(org)[2] == 62


def test_what_is_not_torn_is_not_counted_anew() -> None:
    """MD1: it would take as long as a customer has cells."""
    land, _ = world()
    at = land.places()[101]
    land.stripe.numbers[at] += 1
    with land.stripe.lock:
        mend(land.stripe)
        expire(land.stripe, 0)
    assert land.stripe.numbers[at] == 100 - 15 + 1
    assert land.stripe.next_end_us in (500, NEVER)


# ------------------------------------------------------------------ a reply that is taken over


def settled_in_the_ledger(land: Land) -> None:
    """Of the first hold: all of it is booked, and has left this process's share."""
    for cell in land.path(["ann"]):
        cell.used += 10
        cell.granted -= 10 * cell.hard


def torn(land: Land) -> None:
    """As whoever leads does after an interrupt; nobody has been told yet what became of it."""
    land.stripe.tear()
    land.look(["ann", "bob"], 1)
    bobs = {cell.cell for cell in land.path(["bob"])}
    for cell in land.cells.values():
        spare, used, _, _ = land.seen(cell)
        gives = land.stripe.gives.get(cell.cell, 0)
        if cell.hard:
            assert spare <= max(0, cell.granted - gives - 5 * (cell.cell in bobs))
        assert used <= cell.used


def test_a_reply_torn_at_any_step_sets_nothing_free_that_is_spent() -> None:
    """C1, C2, MD1: what is granted falls before what is held."""
    for step in range(1, STEPS_MAX):
        land, numbers = world()
        settled_in_the_ledger(land)
        hold = begin_settle(land.stripe, 1, 0)
        assert hold is not None
        numbers.left = step
        try:
            land.tell(*land.path(["ann"]), settled=[hold])
        except KeyboardInterrupt:
            torn(land)
        else:
            assert step > 2, "it was never interrupted"
            return
    raise AssertionError("a reply has more steps than it was thought to have")


def test_a_reply_torn_before_its_hold_is_closed_sets_nothing_free_that_is_spent() -> None:
    land, _ = world()
    settled_in_the_ledger(land)
    hold = begin_settle(land.stripe, 1, 0)
    assert hold is not None

    class Interrupted(dict[int, Hold]):
        def pop(self, *_: object) -> Hold:
            raise KeyboardInterrupt

    holds, land.stripe.holds = land.stripe.holds, Interrupted(land.stripe.holds)
    with pytest.raises(KeyboardInterrupt):
        land.tell(*land.path(["ann"]), settled=[hold])
    land.stripe.holds = holds
    torn(land)
