"""Wishes: room that a request lacks, to be drawn in the next exchange.

Here: what to ask for, and looking or taking with what was drawn. Not here: bookings (orders.py),
who serves it (exchange.py). A wish is made by the thread that wants it and touched afterwards
only by the leader that serves it.
"""

from collections.abc import Sequence

from stiggctl.answers import Sight
from stiggctl.decision.cells import CELL, Stripe
from stiggctl.decision.decide import Met, Wants, seen, take
from stiggctl.decision.holds import HELD, Hold, has_pool, units_of
from stiggctl.decision.moving import PathNow, grow_locked
from stiggctl.decision.portions import Portion
from stiggctl.decision.sights import places_of
from stiggctl.holder.others import ALONE
from stiggctl.holder.ways import Way
from stiggctl.ledger.records import Ask, AskCell, AskPool, Drawn, HolderRow


class Wish:
    """Room that a request lacks: what it is for, and what came of it."""

    __slots__ = (
        "at_us",
        "beside",
        "drawn",
        "ends_us",
        "grown",
        "grows",
        "now_us",
        "number",
        "portion",
        "silent",
        "taken",
        "wants",
        "way",
    )

    def __init__(
        self,
        way: Way,
        wants: Wants,
        now_us: int,
        *,
        number: int | None,
        ends_us: int = 0,
        portion: Portion | None = None,
        grows: bool = False,
        at_us: int | None = None,
    ) -> None:
        self.way = way
        self.wants = wants
        self.now_us = now_us
        self.number = number  #: of the reservation to be, or to grow; None: it only wants to look
        self.ends_us = ends_us
        self.portion = portion  #: how it may be made smaller
        self.grows = grows
        #: of whose limits and windows: those of now, or, of what is extended, of its reserve
        self.at_us = now_us if at_us is None else at_us
        self.grown: dict[str, int] | None = None  #: what it holds once it has grown, by currency
        self.taken: Hold | Met | None = None
        self.drawn = Drawn.NO  #: what the ledger said
        self.beside = ALONE  #: what others had of its path when it was answered no
        #: who may hide what lacks, and did not answer in time; None: nobody was waited for in vain
        self.silent: tuple[HolderRow, ...] | None = None

    def again(self) -> None:
        """It is asked once more, as if it never had been."""
        self.taken, self.drawn, self.beside = None, Drawn.NO, ALONE

    def drop_denial(self) -> None:
        """Its path is over: numbers of now deny nothing by limits that were (Q1). It is asked again."""
        if isinstance(self.taken, Met):
            self.taken = None

    @property
    def stripe(self) -> Stripe:
        """Whose cells it is about."""
        return self.way.stripe

    def fulfil(self, sights: "Sequence[Sight]") -> None:
        """Look or take with what was drawn, before anybody else can. The caller has the lock.

        `sights` are the numbers of its path as they are now.
        """
        stripe, way = self.stripe, self.way
        if self.number is None:
            self.taken = seen(stripe, tuple(sights))
        elif self.grows:
            self.taken = self._grown(stripe, self.number, sights) or seen(stripe, tuple(sights))
        elif (hold := stripe.holds.get(self.number)) is not None:
            self.taken = hold  # an interrupt came after it was taken, and this is the second round
        else:
            self.taken = take(
                stripe,
                way.ids[0],
                way.rest,
                self.wants,
                self.now_us,
                self.number,
                self.ends_us,
                self.portion,
            )

    def _grown(self, stripe: Stripe, number: int, sights: "Sequence[Sight]") -> Hold | None:
        """The hold, once it is as large as is wanted; None where that does not fit, or it has ended."""
        hold = stripe.holds.get(number)
        more = {strand.credit_currency: units for strand, units in self.wants}
        if hold is None or any(sight[0].refusal is not None for sight in sights):
            return None
        grown = {name: units + more.get(name, 0) for name, units in units_of(hold).items()}
        if self.grown is None:
            self.grown = grown
        if units_of(hold) != self.grown:  # else an interrupt came after it grew: once is enough
            hard = {place for places, many in map(places_of, sights) for place in places[:many]}
            path = PathNow(hard, {sight[0].strand: sight[0].grant_places for sight in sights})
            if not grow_locked(stripe, number, more, self.now_us, path):
                return None
        return stripe.holds.get(number)

    def ask(self, sights: "Sequence[Sight]", promised: dict[int, int]) -> Ask:
        """What to ask of the ledger; `promised`: spare that earlier wishes of the batch count on.

        The caller has the stripe's lock.
        """
        numbers = self.stripe.numbers
        # What is extended counts in the cells that it holds, not in those that opened since.
        hold = self.stripe.holds.get(self.number) if self.grows and self.number is not None else None
        counted = None if hold is None else {place for places, *_ in hold[HELD] for place in places}
        cells, pools = [], []
        leasts = None if self.portion is None else self.portion.units(self.portion.least)
        for number, sight in enumerate(sights):
            amount = sight[4] if self.number is not None else 0
            least = amount if leasts is None else min(amount, leasts[number])
            places, hard = places_of(sight)
            for at in places[:hard]:
                if counted is not None and at not in counted:
                    continue
                spare = numbers[at] - promised.get(at, 0)
                promised[at] = promised.get(at, 0) + amount
                cells.append((AskCell(numbers[at + CELL], spare), amount, least))
            if sight[0].has_pool and (hold is None or has_pool(hold, sight[0].strand)):
                grants = self._grants(sight[0].grant_places, amount, promised)
                pools.append(AskPool(grants, amount, least))
        size = max((units for _, units in self.wants), default=0)
        return Ask(cells=tuple(cells), request_units=size, pools=tuple(pools))

    def _grants(self, places: Sequence[int], amount: int, promised: dict[int, int]) -> tuple[AskCell, ...]:
        """The grants that lie there, in drain order, each with what nobody before counts on."""
        numbers, left, asked = self.stripe.numbers, amount, []
        for at in places:
            spare = max(0, numbers[at] - promised.get(at, 0))
            asked.append(AskCell(numbers[at + CELL], spare))
            pays = min(left, spare)
            promised[at] = promised.get(at, 0) + pays
            left -= pays
        return tuple(asked)
