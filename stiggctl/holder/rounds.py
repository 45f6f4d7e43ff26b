"""Rounds: one attempt to serve a batch: made ready, sent, and taken over into memory.

Here: which entry each part of a batch is of, and what a reply does to each stripe. Not here:
the queue and its leader, what follows where an exchange fails (exchange.py).
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from stiggctl.answers import Sight
from stiggctl.decision.cells import CELL, Stripe
from stiggctl.decision.holds import NUMBER, Hold
from stiggctl.decision.laying import all_cells
from stiggctl.decision.moving import install, put_apart_back
from stiggctl.decision.readings import has_told, tell
from stiggctl.decision.receding import recall, recede
from stiggctl.decision.reservations import expire
from stiggctl.decision.sights import cells_of
from stiggctl.errors import StiggctlError
from stiggctl.holder.nodes import in_company
from stiggctl.holder.orders import Order
from stiggctl.holder.waiting import Entry
from stiggctl.holder.wishes import Wish
from stiggctl.ledger.records import Ask, Batch, Booking, CellRow, Give, Part, Reply

if TYPE_CHECKING:
    from stiggctl.holder.holder import Holder


class Round:
    """One attempt to serve entries: the batch, and which entry each part of it is of."""

    def __init__(self, holder: "Holder", change: int) -> None:
        self.orders: list[tuple[Entry, Order]] = []
        self.wishes: list[tuple[Entry, Wish]] = []
        self._holder = holder
        self._bookings: list[Booking] = []
        self._asks: list[Ask] = []
        self._gives: dict[Stripe, dict[int, int]] = {}
        self._change = change
        self._now_us = 0  # the clock reading under which it was made ready
        self._settled: list[int] = []  # reservations whose holds fell, of the stripe that is taken over

    def make_ready(self, entries: list[Entry]) -> Batch:
        """What to send for them. One of which that cannot be said gets its error, and is left out."""
        promised: dict[Stripe, dict[int, int]] = {}
        now_us = self._now_us = self._holder.clock.now_us()
        for entry in entries:
            try:
                entry.error = None  # of a round that was withdrawn
                work = entry.work
                if isinstance(work, Order):
                    self._bookings.append(self._holder.trees.make_ready(work, now_us))
                    self.orders.append((entry, work))
                else:
                    self._asks.append(
                        self._holder.trees.wish_ready(work, promised.setdefault(work.stripe, {}), now_us)
                    )
                    self.wishes.append((entry, work))
            except StiggctlError as error:
                entry.error = error  # it alone: a resource that is gone, say
        self._drain_gives()
        return Batch(
            holder=self._holder.row,
            change=self._change,
            now_us=now_us,
            bookings=self._bookings,
            gives=[
                Give(cell, units, cell in stripe.exact)
                for stripe, gives in self._gives.items()
                for cell, units in gives.items()
            ],
            asks=self._asks,
        )

    def _drain_gives(self) -> None:
        """What has left spare since the last exchange."""
        for stripe in list(self._holder.giving):
            with stripe.lock:
                self._gives[stripe] = stripe.gives
                stripe.owe_nothing()
                tell(stripe)

    def told(self) -> None:
        """It was sent, whatever came of that."""
        for stripe in self._gives:
            with stripe.lock:
                has_told(stripe)

    def withdraw(self) -> None:
        """Nothing was sent: what was set apart is spare again, what was to be given still is."""
        for _, order in self.orders:
            order.legs = ()
            stripe = order.stripe
            with stripe.lock:
                put_apart_back(stripe)
        for stripe, gives in self._gives.items():
            with stripe.lock:
                for cell, units in gives.items():
                    stripe.owe(cell, units)

    def cells(self) -> set[int]:
        """Every cell that the batch names."""
        named = {cell for gives in self._gives.values() for cell in gives}
        for booking in self._bookings:
            for part in booking.parts:
                named.update(cells_of_part(part))
        for ask in self._asks:
            named.update(asked.cell for asked, _, _ in ask.cells)
            named.update(asked.cell for pool in ask.pools for asked in pool.grants)
        return named

    def apply(self, reply: Reply, currencies: dict[int, tuple[str, int]]) -> None:
        """Take over what was committed, a stripe at a time, and tell each entry its outcome."""
        self._holder.alive = reply.alive
        stripes: dict[Stripe, tuple[list[int], list[int]]] = {}
        for at, (_, order) in enumerate(self.orders):
            stripes.setdefault(order.stripe, ([], []))[0].append(at)
        for at, (_, wish) in enumerate(self.wishes):
            stripes.setdefault(wish.stripe, ([], []))[1].append(at)
            wish.drawn = reply.asks[at]
        for stripe, (orders, wishes) in stripes.items():
            with stripe.lock:
                told = self._install(stripe, orders, wishes, reply)
                now_us = self._holder.clock.now_us()
                expire(stripe, now_us)  # the ledger may still have what is over
                for at in orders:
                    entry, order = self.orders[at]
                    try:
                        order.answer(reply.bookings[at], currencies, reply.cells)
                    except StiggctlError as error:
                        entry.error = error
                for at in wishes:
                    wish = self.wishes[at][1]
                    sights = self._sights(wish)
                    # Without its path the model changed: it is asked again. And once is enough, also
                    # where an interrupt made this a second round.
                    if sights is not None and wish.taken is None:
                        wish.fulfil(sights)
                        if self._are_over(sights, now_us):
                            wish.drop_denial()
                # Not before: what was drawn for a wish is held by now, or it would go back unused.
                if reply.alive > 1:
                    for place, row in told.items():
                        if row.hushed and row.granted:
                            recall(stripe, place)
                if stripe.exact:
                    recede(stripe)
            # Not only by who settled it: on a busy event loop that is later, and others would count it twice.
            self._holder.keeping.drop(self._settled)

    def _sights(self, wish: Wish) -> Sequence[Sight] | None:
        """Its path, as it was asked for. The caller has the lock."""
        return self._holder.trees.sights(wish.way, wish.wants, wish.at_us, self._now_us)

    def _are_over(self, sights: Sequence[Sight], now_us: int) -> bool:
        """Whether what was the path when the batch was made ready is not any more.

        A window has turned since, or an override has begun or ended.
        """
        tails = [sight[0] for sight in sights]
        return any(tail.is_of(self._now_us) and not tail.is_of(now_us) for tail in tails)

    def _install(
        self, stripe: Stripe, orders: list[int], wishes: list[int], reply: Reply
    ) -> dict[int, CellRow]:
        """Take over the numbers of one stripe, and return them by place. The caller has its lock."""
        settled: dict[int, Hold] = {}  # by number: two may settle one
        places: dict[int, int] = {}  # cell -> place
        for at in orders:
            order = self.orders[at][1]
            for leg in order.legs:
                places.update(zip(leg.cells, leg.places, strict=True))
                places.update(leg.paying)
            hold = order.settled(reply.bookings[at])
            if hold is not None:
                settled[hold[NUMBER]] = hold
        for at in wishes:
            wish = self.wishes[at][1]
            for sight in self._sights(wish) or ():
                places.update(cells_of(stripe, sight))
        told = told_of(stripe, places, reply.cells)
        install(stripe, told, list(settled.values()))
        self._settled = list(settled)
        return told


def cells_of_part(part: Part) -> Iterator[int]:
    """Every cell that it counts in, grants' cells too."""
    yield from part.cells
    if part.draining is not None:
        yield from (one.cell for one in part.draining.payings)
        yield from (one.cell for one in part.draining.payers)


def told_of(stripe: Stripe, places: Mapping[int, int], rows: Mapping[int, CellRow]) -> dict[int, CellRow]:
    """Place -> what the ledger says of the cell there, as far as it has that still.

    A cell may lie elsewhere since its place was noted, for a window of its resource turned; or
    nowhere, for its own did. The caller has the lock.
    """
    told: dict[int, CellRow] = {}
    numbers = stripe.numbers
    lying: dict[int, int] | None = None  # of all cells; looked for once at most
    for cell, place in places.items():
        row = rows.get(cell)
        if row is not None:
            seen = in_company(row) if row.others else row
            if numbers[place + CELL] == cell:
                told[place] = seen
                continue
            lying = all_cells(stripe) if lying is None else lying
            if cell in lying:
                told[lying[cell]] = seen
    return told
