"""Rounds: one attempt to serve a batch: made ready, sent, and taken over into memory.

Here: which entry each part of a batch is of, and what a reply does to each stripe. Not here:
the queue and its leader, what follows where an exchange fails (exchange.py).
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from stiggctl.decision.cells import Stripe, find_cells
from stiggctl.decision.decide import NumbersOfCell, cells_of, install
from stiggctl.errors import StiggctlError
from stiggctl.holder.orders import Order
from stiggctl.holder.waiting import Entry
from stiggctl.holder.wishes import Wish
from stiggctl.ledger.records import Ask, Batch, Booking, Give, Refused, Reply

if TYPE_CHECKING:
    from stiggctl.holder.holder import Holder


class Round:
    """One attempt to serve entries: the batch, and which entry each part of it is of."""

    def __init__(self, entries: list[Entry], holder: "Holder", recheck: dict[Stripe, set[int]]) -> None:
        self.orders: list[tuple[Entry, Order]] = []
        self.wishes: list[tuple[Entry, Wish]] = []
        self._trees = holder.trees
        self._recheck = recheck
        bookings: list[Booking] = []
        asks: list[Ask] = []
        promised: dict[Stripe, dict[int, int]] = {}
        change = holder.known.change
        for entry in entries:
            try:
                work = entry.work
                if isinstance(work, Order):
                    bookings.append(holder.trees.make_ready(work))
                    self.orders.append((entry, work))
                else:
                    asks.append(holder.trees.wish_ready(work, promised.setdefault(work.stripe, {})))
                    self.wishes.append((entry, work))
            except StiggctlError as error:
                entry.error = error  # it alone: a resource that is gone, say
        self._gives = _drain_gives(holder.stripes.values())
        gives = [Give(cell, units) for of in self._gives.values() for cell, units in of.items()]
        gives += [Give(cell, 0) for cells in recheck.values() for cell in cells]
        self.batch = Batch(
            holder=holder.row,
            change=change,
            now_us=holder.clock.now_us(),
            bookings=bookings,
            gives=gives,
            asks=asks,
        )

    def withdraw(self) -> None:
        """Nothing was sent: what was set apart is spare again, what was to be given still is."""
        for _, order in self.orders:
            with order.stripe.lock:
                install(order.stripe, {}, order.falls(Refused(cell=0, used=0)))
            order.legs = ()
        for stripe, gives in self._gives.items():
            with stripe.lock:
                for cell, units in gives.items():
                    stripe.gives[cell] = stripe.gives.get(cell, 0) + units

    def cells_by_stripe(self) -> dict[Stripe, set[int]]:
        """Every cell that the batch names."""
        named: dict[Stripe, set[int]] = {stripe: set(gives) for stripe, gives in self._gives.items()}
        for stripe, cells in self._recheck.items():
            named.setdefault(stripe, set()).update(cells)
        for _, order in self.orders:
            for leg in order.legs:
                named.setdefault(order.stripe, set()).update(leg.cells)
        for at, (_, wish) in enumerate(self.wishes):
            asked = [cell.cell for cell, _, _ in self.batch.asks[at].cells]
            named.setdefault(wish.stripe, set()).update(asked)
        return named

    def apply(self, reply: Reply, currencies: dict[int, tuple[str, int]]) -> None:
        """Take over what was committed, a stripe at a time, and tell each entry its outcome."""
        stripes: dict[Stripe, tuple[list[int], list[int]]] = {}
        for at, (_, order) in enumerate(self.orders):
            stripes.setdefault(order.stripe, ([], []))[0].append(at)
        for at, (_, wish) in enumerate(self.wishes):
            stripes.setdefault(wish.stripe, ([], []))[1].append(at)
        for stripe in self._recheck:
            stripes.setdefault(stripe, ([], []))
        for stripe, (orders, wishes) in stripes.items():
            with stripe.lock:
                self._install(stripe, orders, wishes, reply)
                for at in orders:
                    entry, order = self.orders[at]
                    try:
                        order.answer(reply.bookings[at], currencies)
                    except StiggctlError as error:
                        entry.error = error
                for at in wishes:
                    wish = self.wishes[at][1]
                    sights = self._trees.sights(wish.way, wish.wants, wish.now_us)
                    if sights is not None:  # else the model changed: it is asked again
                        wish.fulfil(sights)

    def _install(self, stripe: Stripe, orders: list[int], wishes: list[int], reply: Reply) -> None:
        """The numbers of one stripe. The caller has its lock."""
        falls: dict[int, int] = {}
        places: dict[int, int] = {}  # cell -> place
        for at in orders:
            order = self.orders[at][1]
            for leg in order.legs:
                places.update(zip(leg.cells, leg.places, strict=True))
            for place, units in order.falls(reply.bookings[at]).items():
                falls[place] = falls.get(place, 0) + units
        for at in wishes:
            wish = self.wishes[at][1]
            for sight in self._trees.sights(wish.way, wish.wants, wish.now_us) or ():
                places.update(cells_of(stripe, sight))
        if stripe in self._recheck:
            places.update(find_cells(stripe, self._recheck[stripe]))
        told = {
            place: NumbersOfCell(
                row.used, row.granted, row.limit_units, tuple((o.units, o.until_us) for o in row.orphans)
            )
            for cell, place in places.items()
            if (row := reply.cells.get(cell)) is not None
        }
        install(stripe, told, falls)


def _drain_gives(stripes: Iterable[Stripe]) -> dict[Stripe, dict[int, int]]:
    """What has left spare since the last exchange."""
    drained = {}
    for stripe in list(stripes):
        if stripe.gives:
            with stripe.lock:
                drained[stripe], stripe.gives = stripe.gives, {}
    return drained
