"""Doubts: what failed exchanges left open: nobody knows what became of them, until the ledger is read.

Here: which orders may be in the ledger, in which cells memory may be behind it, and how both are
learnt. Not here: when (exchange.py), how spare is counted anew (decision/mending.py).

An exchange that raised may have been committed all the same: the error came after it. So memory
keeps what it set apart and held for it, and gives nothing of it to anybody, until the keys have
told which events are in, and the cells what this process's share is.
"""

from typing import TYPE_CHECKING

from stiggctl.decision.cells import Stripe
from stiggctl.decision.laying import all_cells
from stiggctl.decision.mending import mend, recount, retell
from stiggctl.decision.reservations import close_hold
from stiggctl.holder.orders import Order
from stiggctl.holder.rounds import Round, told_of
from stiggctl.ledger import Stale
from stiggctl.ledger.records import Batch, CellRow, EventRow, Give

if TYPE_CHECKING:
    from stiggctl.holder.holder import Holder

#: How often the cells are asked for again because the model changed meanwhile.
STALE_MAX = 8


class Doubts:
    """What the failed exchanges of one holder left open. Touched by who leads only."""

    def __init__(self, holder: "Holder") -> None:
        self._holder = holder
        self._orders: list[Order] = []
        self._cells: set[int] = set()
        self._are_there = False

    def __bool__(self) -> bool:
        return self._are_there

    def note(self, round_: Round) -> None:
        """It failed: what it carried may have been committed."""
        cells = round_.cells()
        self._are_there = True
        self._cells |= cells
        self._orders += [order for _, order in round_.orders]

    def concern(self, order: Order) -> bool:
        """Whether nobody knows if it is in the ledger."""
        return any(one is order for one in self._orders)

    def clear(self) -> None:
        """Learn what is in the ledger, and believe that; what is not comes to nothing.

        Raises what the ledger says; then all is in doubt still.
        """
        if not self._are_there:
            return
        with self._holder.ledger.reader() as reader:
            found = [
                (order, reader.event_by_key(order.stripe.customer_row, order.namespace, order.key))
                for order in self._orders
            ]
        rows = self._read_cells()
        for stripe in list(self._holder.stripes.values()):
            self._believe(stripe, found, rows)
        for order, _ in found:
            order.sent = True
            order.legs = ()
        while self._orders:
            if self._orders[-1].given_up:
                self._orders[-1].let_go()
            self._orders.pop()
        self._cells = set()
        self._are_there = False

    def _read_cells(self) -> dict[int, CellRow]:
        """The cells as the ledger has them: an exchange that carries nothing."""
        holder = self._holder
        if not self._cells:
            return {}
        gives = [Give(cell, 0) for cell in sorted(self._cells)]
        for _ in range(STALE_MAX):
            change, now_us = holder.known.change, holder.clock.now_us()
            batch = Batch(holder=holder.row, change=change, now_us=now_us, bookings=[], gives=gives, asks=[])
            try:
                return holder.send(batch).cells
            except Stale:
                holder.model_changed(None)
        raise holder.restless(STALE_MAX, "it was read")

    def _believe(
        self, stripe: Stripe, found: list[tuple[Order, EventRow | None]], rows: dict[int, CellRow]
    ) -> None:
        with stripe.lock:
            for order, event in found:
                if order.stripe is not stripe or order.hold is None or event is None:
                    continue
                if event.fingerprint == order.fingerprint:
                    close_hold(stripe, order.hold)
                    stripe.ended.append(order.hold)  # whoever settled it was told an error
            apart = list(stripe.apart)
            stripe.apart.clear()  # no booking is under way
            mend(stripe)
            recount(stripe, apart)  # also where it was mended while they were under way
            places = {cell: at for cell, at in all_cells(stripe).items() if cell in rows} if rows else {}
            retell(stripe, told_of(stripe, places, rows))
