"""Whatever is done in whatever order: memory says what the sums over all holds and events say.

C1, C2, C3, C4, C6 are looked at after each step; each answer (D1, D2) is compared with the reference,
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

from stiggctl.answers import Circumstances, RawLimit, Sight
from stiggctl.decision.cells import ALLOTTED, CELL, CUSTOMER, LIMIT, SPARE, USED, Strand
from stiggctl.decision.decide import Met, look
from stiggctl.decision.holds import HELD, Hold, stakes_of, units_of
from stiggctl.decision.meeting import Meeting
from stiggctl.decision.moving import PathNow, grow_locked, set_apart, set_apart_of_pool
from stiggctl.decision.paths import tail_of_members
from stiggctl.decision.pools import places_of_pool
from stiggctl.decision.reservations import begin_settle, end_settle, release
from stiggctl.decision.sights import places_of
from stiggctl.shares import drawable
from tests.decision.land import is_held

from .land import PARENTS, Cell, Land

NAMES = st.sampled_from(sorted(PARENTS))
REQUESTS = st.lists(NAMES, min_size=1, max_size=4)
AMOUNTS = st.integers(0, 12)


def raw_limits(sights: tuple[Sight, ...]) -> list[RawLimit]:
    """Of all currencies, as they were gathered."""
    return [raw for sight in sights for raw in sight[0].raw_limits(sight, Circumstances())]


class Decisions(RuleBasedStateMachine):
    """One customer, one currency; a ledger that is told and tells at once."""

    holds = Bundle("holds")

    def __init__(self) -> None:
        super().__init__()
        self.land, self.now = Land(), 0
        #: number -> (units, the cells that it counts in, its members, when it ends)
        self.open: dict[int, tuple[int, set[int], set[str], int]] = {}
        #: number -> what it holds of grants, by cell; and whether there was a pool when it was made
        self.paid: dict[int, dict[int, int]] = {}

    # ---------------------------------------------------------------- the reference

    def spare(self, cell: Cell) -> int:
        """What this process may still hold of it."""
        return cell.granted - self.land.stripe.gives.get(cell.cell, 0) - self.held(cell)

    def held(self, cell: Cell) -> int:
        """What reservations hold of a limit, or of a grant."""
        live = [number for number, one in self.open.items() if one[3] > self.now]
        if cell.resource == CUSTOMER:
            return sum(self.paid.get(number, {}).get(cell.cell, 0) for number in live)
        return sum(self.open[number][0] for number in live if cell.cell in self.open[number][1])

    def drains(self, units: int) -> dict[int, int] | None:
        """Unit by unit, the first grant that has one; None where it has one that must be drawn first.

        What the others overdrew, the first that could pay for it have paid.
        """
        grants = [self.land.cells[cell] for cell in (self.land.grants or ())]
        gives = self.land.stripe.gives
        free = [one.free + gives.get(one.cell, 0) for one in grants]
        debt = -sum(each for each in free if each < 0)
        for at, each in enumerate(free):
            free[at] = max(0, each) - min(debt, max(0, each))
            debt -= min(debt, max(0, each))
        spares, paid = [self.spare(one) for one in grants], {one.cell: 0 for one in grants}
        for _ in range(units):
            for at, one in enumerate(grants):
                if spares[at] > 0:
                    spares[at] -= 1
                    paid[one.cell] += 1
                    break
                if free[at] > 0:
                    return None
            else:
                return None
        return paid

    def pool_fits(self, units: int) -> bool:
        if self.land.grants is None:
            return True
        if units == 0:
            return sum(self.room(self.land.cells[one]) for one in self.land.grants) >= 0
        return self.drains(units) is not None

    def room(self, cell: Cell) -> int:
        """What is left of the limit: with it an amount of 0 fits, or not."""
        orphans = sum(units for units, until in cell.orphans if until > self.now)
        return cell.limit - cell.used - self.held(cell) - orphans

    def fits(self, ids: list[str], units: int) -> bool:
        hard = [one for one in self.land.path(ids) if one.hard]
        if units == 0:
            return self.pool_fits(0) and all(self.room(one) >= 0 for one in hard)
        return self.pool_fits(units) and all(self.spare(one) >= units for one in hard)

    def note(self, number: int, units: int, ids: list[str], ends: int, paid: dict[int, int] | None) -> int:
        """It is held now, of these grants."""
        land = self.land
        counted = {one.cell for one in land.path(ids)}
        self.open[number] = (units, counted, land.members(ids), ends)
        if paid is not None:
            self.paid[number] = paid
        return number

    # ---------------------------------------------------------------- decisions

    @rule(target=holds, ids=REQUESTS, units=AMOUNTS, ttl=st.integers(1, 30), told=st.booleans())
    def take(self, ids: list[str], units: int, ttl: int, told: bool) -> Any:
        land = self.land
        met = (land.look(ids, units, now=self.now),)
        fits, before = self.fits(ids, units), list(land.stripe.numbers)
        paid = None if land.grants is None else self.drains(units)
        taken = land.take(ids, units, now=self.now, ends=self.now + ttl, told=told)
        assert is_held(taken) == fits
        if isinstance(taken, Met):
            assert land.stripe.numbers == before
            # A denial is explained, whoever was to be told a yes.
            assert [raw.room for raw in raw_limits(taken.sights)] == [raw.room for raw in raw_limits(met)]
            return multiple()
        return self.note(land.number, units, ids, self.now + ttl, paid)

    @rule(target=holds, ids=REQUESTS, units=AMOUNTS, minimum=AMOUNTS, ttl=st.integers(1, 30))
    def take_what_fits(self, ids: list[str], units: int, minimum: int, ttl: int) -> Any:
        land, minimum = self.land, min(units, minimum)
        land.look(ids, now=self.now)
        spares = [self.spare(one) for one in land.path(ids) if one.hard]
        most = min([units, *spares])
        while land.grants is not None and most > 0 and self.drains(most) is None:
            most -= 1
        wanted = max(most, minimum)
        fits = self.fits(ids, wanted)
        paid = None if land.grants is None else self.drains(wanted)
        taken = land.take(ids, units, now=self.now, ends=self.now + ttl, minimum=minimum)
        if not fits:
            assert isinstance(taken, Met)
            return multiple()
        assert is_held(taken)
        assert units_of(taken) == {"t": wanted}
        return self.note(land.number, wanted, ids, self.now + ttl, paid)

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
        known, land = self.open.get(number), self.land
        strand = land.strand()
        if land.grants is not None:
            land.look(["free"], now=self.now)
        of = self.paid.get(number)
        paid = None if of is None else self.drains(more)
        if more == 0 and sum(self.room(land.cells[one]) for one in land.grants or ()) < 0:
            paid = None
        with land.stripe.lock:  # as a wish does: its limits may be others by now, and the open grants
            at = land.places_locked(land.cells)
            hard = {at[cell] for cell, one in land.cells.items() if one.hard and cell in at}
            path = PathNow(hard, {strand: [at[one] for one in land.grants or ()]})
            grown = grow_locked(land.stripe, number, {"t": more}, self.now, path)
        if known is None or known[3] <= self.now:
            assert grown is None
            return
        units, counted, members, ends = known
        hard = [one for one in self.land.cells.values() if one.hard and one.cell in counted]
        enough = all(self.room(one) >= 0 if more == 0 else self.spare(one) >= more for one in hard)
        assert grown == (enough and (of is None or paid is not None))
        if grown:
            for cell, part in (paid or {}).items():
                self.paid[number][cell] = self.paid[number].get(cell, 0) + part
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
            tail = tail_of_members(strand, nodes, pool=land.pool(), meeting=Meeting(), customer_refusal=None)
        self.book(*places_of((tail, (), [], CUSTOMER, units, 0)), units, number)

    @rule(number=holds)
    def fail_to_settle(self, number: int) -> None:
        hold = begin_settle(self.land.stripe, number, self.now)
        if hold is not None:
            assert release(self.land.stripe, number) is None
            end_settle(self.land.stripe, number)

    def book(self, places: tuple[int, ...], hard: int, units: int, number: int | None) -> None:
        """What an exchange does: set apart, commit, take over."""
        land, stripe, strand = self.land, self.land.stripe, self.land.strand()
        with stripe.lock:
            hold: Hold | None = None if number is None else stripe.holds.get(number)
            held: dict[int, int] = {}
            for of_hold, amount, *_ in () if hold is None else hold[HELD]:
                held.update(dict.fromkeys(of_hold, amount))
            spends = set_apart(stripe, places, hard, units, held)
            cells = [land.cells[stripe.numbers[at + CELL]] for at in places]
            paying = self.pay(strand, hold, units)
            if number is not None:
                self.open.pop(number, None)
        for cell, spend in zip(cells, spends, strict=True):
            assert 0 <= spend <= max(0, units)
            cell.used += units
            cell.granted -= spend
            assert cell.granted >= 0, "a booking paid with more than this process's share"
        land.tell(*cells, *paying, settled=() if hold is None else (hold,))

    def pay(self, strand: Strand, hold: Hold | None, units: int) -> list[Cell]:
        """What the ledger does with the pool, as `Draining` says; every grant that it may have changed."""
        land, stripe, left = self.land, self.land.stripe, units
        if land.grants is None:
            return []
        touched: list[Cell] = []
        for place, has in () if hold is None else stakes_of(hold, strand):
            cell = land.cells[stripe.numbers[place + CELL]]
            pays = max(0, min(left, has))
            cell.used, cell.granted, left = cell.used + pays, cell.granted - pays, left - pays
            touched.append(cell)
        grants = [land.cells[one] for one in land.grants]
        at = land.places_locked(land.grants)
        spares = set_apart_of_pool(stripe, [at[one.cell] for one in grants], left)
        for room in (lambda one, spare: one.free + spare, lambda one, _: one.limit - one.used):
            for place, one in enumerate(grants):
                pays = max(0, min(left, room(one, spares[place])))
                spend = min(pays, spares[place])
                one.used, one.granted, left = one.used + pays, one.granted - spend, left - pays
                spares[place] -= spend
        if grants and left > 0:
            spend = min(left, spares[-1])
            grants[-1].used, grants[-1].granted = grants[-1].used + left, grants[-1].granted - spend
        return [*touched, *grants]

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

    # ---------------------------------------------------------------- the pool

    @precondition(lambda self: len(self.land.grants or ()) < 5)
    @rule(amount=st.integers(0, 30), at=st.integers(0, 5), drawn=st.integers(0, 30))
    def add_grant(self, amount: int, at: int, drawn: int) -> None:
        self.land.grant(amount, at=at, granted=0)
        self.land.stripe.restamp()
        del drawn

    @rule(data=st.data())
    def end_grant(self, data: st.DataObject) -> None:
        """It expired, or was voided: what is held of it stays held."""
        if self.land.grants:
            self.land.grants.remove(data.draw(st.sampled_from(sorted(self.land.grants))))
            self.land.stripe.restamp()
            self.land.look(["free"], now=self.now)

    @rule(data=st.data(), units=st.integers(1, 60))
    def draw_pool(self, data: st.DataObject, units: int) -> None:
        """As an ask does: what may be drawn, in drain order."""
        land = self.land
        land.look(["free"], now=self.now)
        grants = [land.cells[one] for one in land.grants or ()]
        for one, part in zip(grants, drawable([one.free for one in grants]), strict=True):
            taken = min(units, part)
            one.granted += taken
            units -= taken
        land.tell(*grants)

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
            if cell.resource == CUSTOMER:
                self.land.look(["free"], now=self.now)

    @rule(data=st.data())
    def remove_limit(self, data: st.DataObject) -> None:
        limits = sorted(number for number, one in self.land.cells.items() if one.resource != CUSTOMER)
        if limits:
            number = data.draw(st.sampled_from(limits))
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
            held = self.held(cell)
            assert held == land.held(cell)
            assert used == cell.used, "C3"
            if not cell.hard:
                assert (spare, allotted) == (-held, 0)
                continue
            granted = allotted - sum(units for units, _ in stripe.orphans.get(at, ()))
            assert spare == granted - held >= 0, "C1"
            assert granted + stripe.gives.get(number, 0) == cell.granted, "C2"
            assert spare == 0 or used + allotted <= numbers[at + LIMIT], "C4"
        strand = land.strand()
        with stripe.lock:
            pool = places_of_pool(strand)
            over = sum(stripe.numbers[at + USED] + stripe.numbers[at + ALLOTTED] for at in pool)
            over -= sum(stripe.numbers[at + LIMIT] for at in pool)
            assert over <= 0 or not any(stripe.numbers[at + SPARE] for at in pool), "C6"


TestDecisions = Decisions.TestCase
TestDecisions.settings = settings(stateful_step_count=40, max_examples=2 * settings().max_examples)
