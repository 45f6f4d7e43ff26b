"""Whatever is done in whatever order: memory says what the sums over all holds and events say.

C1, C2, C3, C4 are looked at after each step; each answer (D1, D2) is compared with the reference,
which knows no places, no records and no compiled path: `Land.path` and sums.
"""

from typing import Any

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    precondition,
    rule,
)

from stiggctl.decision.cells import ALLOTTED, CELL, LIMIT, SPARE, USED
from stiggctl.decision.decide import grow_locked, look, places_of, set_apart
from stiggctl.decision.meeting import Meeting
from stiggctl.decision.paths import tail_of_members
from stiggctl.decision.reservations import Hold, begin_settle, end_settle, release

from .land import PARENTS, Cell, Land

NAMES = st.sampled_from(sorted(PARENTS))
REQUESTS = st.lists(NAMES, min_size=1, max_size=4)
AMOUNTS = st.integers(0, 12)


class Decisions(RuleBasedStateMachine):
    """One customer, one currency; a ledger that is told and tells at once."""

    holds = Bundle("holds")

    def __init__(self) -> None:
        super().__init__()
        self.land, self.now = Land(), 0
        #: number -> (units, the cells that it counts in, its members, when it ends)
        self.open: dict[int, tuple[int, set[int], set[str], int]] = {}

    # ---------------------------------------------------------------- the reference

    def spare(self, cell: Cell) -> int:
        """What this process may still hold of it."""
        held = sum(units for units, cells, _, _ in self.live() if cell.cell in cells)
        return cell.granted - self.land.stripe.gives.get(cell.cell, 0) - held

    def live(self) -> list[tuple[int, set[int], set[str], int]]:
        return [one for one in self.open.values() if one[3] > self.now]

    def room(self, cell: Cell) -> int:
        """What is left of the limit: with it an amount of 0 fits, or not."""
        orphans = sum(units for units, until in cell.orphans if until > self.now)
        held = sum(units for units, cells, _, _ in self.live() if cell.cell in cells)
        return cell.limit - cell.used - held - orphans

    def fits(self, ids: list[str], units: int) -> bool:
        hard = [one for one in self.land.path(ids) if one.hard]
        if units == 0:
            return all(self.room(one) >= 0 for one in hard)
        return all(self.spare(one) >= units for one in hard)

    # ---------------------------------------------------------------- decisions

    @rule(target=holds, ids=REQUESTS, units=AMOUNTS, ttl=st.integers(1, 30))
    def take(self, ids: list[str], units: int, ttl: int) -> Any:
        land = self.land
        land.look(ids, now=self.now)
        fits, before = self.fits(ids, units), list(land.stripe.numbers)
        taken = land.take(ids, units, now=self.now, ends=self.now + ttl)
        assert (taken.hold is not None) == fits
        if taken.hold is None:
            assert land.stripe.numbers == before
            return multiple()
        counted = {one.cell for one in land.path(ids)}
        self.open[land.number] = (units, counted, land.members(ids), self.now + ttl)
        return land.number

    @rule(target=holds, ids=REQUESTS, units=AMOUNTS, minimum=AMOUNTS, ttl=st.integers(1, 30))
    def take_what_fits(self, ids: list[str], units: int, minimum: int, ttl: int) -> Any:
        land, minimum = self.land, min(units, minimum)
        land.look(ids, now=self.now)
        spares = [self.spare(one) for one in land.path(ids) if one.hard]
        most = min([units, *spares])
        wanted = most if most >= minimum else units
        fits = self.fits(ids, wanted)
        taken = land.take(ids, units, now=self.now, ends=self.now + ttl, minimum=minimum)
        if not fits:
            assert taken.hold is None
            return multiple()
        assert taken.hold is not None
        assert taken.hold.units() == {"t": wanted}
        counted = {one.cell for one in land.path(ids)}
        self.open[land.number] = (wanted, counted, land.members(ids), self.now + ttl)
        return land.number

    @rule(ids=REQUESTS, units=AMOUNTS)
    def look(self, ids: list[str], units: int) -> None:
        land = self.land
        land.look(ids, now=self.now)
        before = list(land.stripe.numbers)
        wants = [(land.strand(), units)]
        assert look(land.stripe, ids[0], tuple(ids[1:]), wants, self.now) is not None
        assert land.stripe.numbers == before

    @rule(number=holds, more=AMOUNTS)
    def extend(self, number: int, more: int) -> None:
        known = self.open.get(number)
        places = self.land.places(cell for cell, one in self.land.cells.items() if one.hard)
        with self.land.stripe.lock:  # as a wish does: its limits may be others by now
            grown = grow_locked(self.land.stripe, number, {"t": more}, self.now, set(places.values()))
        if known is None or known[3] <= self.now:
            assert grown is None
            return
        units, counted, members, ends = known
        hard = [one for one in self.land.cells.values() if one.hard and one.cell in counted]
        enough = all(self.room(one) >= 0 if more == 0 else self.spare(one) >= more for one in hard)
        assert grown == enough
        if grown:
            self.open[number] = (units + more, counted, members, ends)

    @rule(number=consumes(holds))
    def release(self, number: int) -> None:
        ended = release(self.land.stripe, number)
        known = self.open.pop(number, None)
        assert (ended is not None) <= (known is not None)

    @rule(seconds=st.integers(1, 20))
    def wait(self, seconds: int) -> None:
        self.now += seconds
        for cell in self.land.cells.values():
            cell.orphans = tuple(one for one in cell.orphans if one[1] > self.now)
        self.open = {number: one for number, one in self.open.items() if one[3] > self.now}

    # ---------------------------------------------------------------- bookings

    @rule(ids=REQUESTS, units=st.integers(-6, 25))
    def report(self, ids: list[str], units: int) -> None:
        self.book(*places_of(self.land.look(ids, now=self.now)), units, None)

    @rule(number=consumes(holds), units=st.integers(0, 25))
    def settle(self, number: int, units: int) -> None:
        """A settle books on the path that admitted it, wherever its resources stand now."""
        land = self.land
        hold = begin_settle(land.stripe, number, self.now)
        known = self.open.get(number)
        assert (hold is None) == (known is None)
        if known is None:
            return
        nodes = [land.node(one) for one in sorted(known[2], key=lambda one: (one not in land.parents, one))]
        strand = land.strand()
        with land.stripe.lock:
            tail = tail_of_members(strand, nodes, meeting=Meeting(), customer_refusal=None)
        self.book(*places_of((tail, (), [], "", units, 0)), units, number)

    @rule(number=holds)
    def fail_to_settle(self, number: int) -> None:
        hold = begin_settle(self.land.stripe, number, self.now)
        if hold is not None:
            assert release(self.land.stripe, number) is None
            end_settle(self.land.stripe, number)

    def book(self, places: tuple[int, ...], hard: int, units: int, number: int | None) -> None:
        """What an exchange does: set apart, commit, take over."""
        land, stripe = self.land, self.land.stripe
        with stripe.lock:
            hold: Hold | None = None if number is None else stripe.holds.get(number)
            held: dict[int, int] = {}
            for of_hold, amount, _, _ in () if hold is None else hold.held:
                held.update(dict.fromkeys(of_hold, amount))
            spends = set_apart(stripe, places, hard, units, held)
            cells = [land.cells[stripe.numbers[at + CELL]] for at in places]
            if number is not None:
                self.open.pop(number, None)
        for cell, spend in zip(cells, spends, strict=True):
            assert 0 <= spend <= max(0, units)
            cell.used += units
            cell.granted -= spend
            assert cell.granted >= 0, "a booking paid with more than this process's share"
        land.tell(*cells, settled=() if hold is None else (hold,))

    # ---------------------------------------------------------------- the ledger

    @rule(data=st.data(), units=st.integers(1, 40))
    def draw(self, data: st.DataObject, units: int) -> None:
        laid = self.land.places()
        open_cells = [one for one in self.land.cells.values() if one.hard and one.cell in laid]
        if open_cells:
            cell = data.draw(st.sampled_from(sorted(open_cells, key=lambda one: one.cell)))
            cell.granted += max(0, min(units, cell.free))
            self.land.tell(cell)

    @rule()
    def tell_gives(self) -> None:
        self.land.tell_gives()

    @rule(data=st.data(), units=st.integers(1, 10), ttl=st.integers(1, 30))
    def bury_another(self, data: st.DataObject, units: int, ttl: int) -> None:
        """A process has died that held some; the ledger tells it of any cell that it is asked about."""
        roomy = [one for one in self.land.cells.values() if one.hard and one.free >= units]
        if roomy:
            cell = data.draw(st.sampled_from(sorted(roomy, key=lambda one: one.cell)))
            cell.orphans = tuple(sorted((*cell.orphans, (units, self.now + ttl)), key=lambda one: one[1]))
            self.land.tell(cell)

    # ---------------------------------------------------------------- the model

    @precondition(lambda self: len(self.land.cells) < 12)
    @rule(resource=NAMES, limit=st.integers(0, 40), hard=st.booleans())
    def add_limit(self, resource: str, limit: int, *, hard: bool) -> None:
        if len([one for one in self.land.cells.values() if one.resource == resource]) < 2:
            self.land.limit(resource, limit, granted=0, hard=hard)
            self.land.stripe.restamp()

    @rule(data=st.data(), limit=st.integers(0, 40))
    def change_limit(self, data: st.DataObject, limit: int) -> None:
        if self.land.cells:
            cell = self.land.cells[data.draw(st.sampled_from(sorted(self.land.cells)))]
            cell.limit = limit
            self.land.stripe.restamp()

    @rule(data=st.data())
    def remove_limit(self, data: st.DataObject) -> None:
        if self.land.cells:
            number = data.draw(st.sampled_from(sorted(self.land.cells)))
            cell = self.land.cells.pop(number)
            self.land.stripe.restamp()
            if cell.resource in self.land.strand().leaves:
                self.land.compile([cell.resource])  # until then memory counts in what is gone
            for units, counted, members, ends in list(self.open.values()):
                del units, members, ends
                counted.discard(number)

    @rule(resource=st.sampled_from(["ann", "bob", "paris"]), above=st.sampled_from(["team", "ops", "emea"]))
    def move(self, resource: str, above: str) -> None:
        self.land.parents[resource] = above
        self.land.stripe.restamp()

    # ---------------------------------------------------------------- what always holds

    @invariant()
    def numbers_are_the_sums(self) -> None:
        """C1, C2, C3 and C4, cell by cell."""
        land, stripe = self.land, self.land.stripe
        if self.now >= stripe.next_end_us:
            land.look(["free"], now=self.now)  # what is over ends with the next decision
        for number, at in land.places().items():
            cell, numbers = land.cells[number], stripe.numbers
            spare, used, allotted = numbers[at + SPARE], numbers[at + USED], numbers[at + ALLOTTED]
            held = sum(units for units, cells, _, _ in self.live() if number in cells)
            assert held == land.held(cell)
            assert used == cell.used, "C3"
            if not cell.hard:
                assert (spare, allotted) == (-held, 0)
                continue
            granted = allotted - sum(units for units, _ in stripe.orphans.get(at, ()))
            assert spare == granted - held >= 0, "C1"
            assert granted + stripe.gives.get(number, 0) == cell.granted, "C2"
            assert spare == 0 or used + allotted <= numbers[at + LIMIT], "C4"


TestDecisions = Decisions.TestCase
TestDecisions.settings = settings(stateful_step_count=40, max_examples=2 * settings().max_examples)
