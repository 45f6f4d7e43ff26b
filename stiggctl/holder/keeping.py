"""Keeping: the open reservations of this process, for whoever asks, and on its page.

Here: what is remembered of each, and when it is written to the page and cleared from it.
Not here: what they hold (decision/reservations.py), how a page is made (page.py).

  KP1  What is held stands on the page before its caller is told yes, and until its settle has
       committed: the process that buries this one withholds just that.
  KP2  Who leads an exchange drops what was settled, and waits for nobody there: a signal handler that came
       while its thread kept something may be waiting for just that exchange. So each step is one of a dict's
       or a list's own, and whoever takes a slot out of its list clears it: nobody else does.
"""

from collections.abc import Iterable, Mapping, Sequence
from threading import RLock
from typing import NamedTuple

from stiggctl.amounts import to_amount
from stiggctl.answers import OpenReservation, Sight
from stiggctl.decision.cells import CELL, Stripe, leaves_us
from stiggctl.decision.holds import BEGAN_US, ENDS_US, HELD
from stiggctl.decision.reservations import expire
from stiggctl.decision.sights import hard_cells
from stiggctl.errors import ControlClosed, LedgerUnavailable
from stiggctl.events import DimensionValue, canonical_text
from stiggctl.holder.counts import CountsTold, as_bytes
from stiggctl.holder.page import Page
from stiggctl.ledger.records import Orphan
from stiggctl.locks import await_turn
from stiggctl.windows import to_datetime

#: How often it is looked for reservations whose thread was interrupted before it forgot them. They
#: are few and end by themselves; each look is at all that are open.
LOOK_US = 60_000_000


class Kept(NamedTuple):
    """What is remembered of an open reservation: for whoever asks, and where it stands on the page."""

    reservation_id: str
    stripe: Stripe
    resource_ids: tuple[str, ...]
    ends_us: int
    event_name: str | None
    dimensions: dict[str, DimensionValue]
    idempotency_key: str | None
    began_us: int
    slots: list[int]  #: the one thing that changes (KP2)
    #: cell -> what of it stands on the page, of the grants that it is of; None: of no pool
    grants: dict[int, int] | None = None


class Keeping:
    """What one process holds, remembered and mirrored."""

    def __init__(self, location: str) -> None:
        self._location = location
        # of two that extend or rename at once; a finalizer may come in between
        self._lock = RLock()
        self._kept: dict[int, Kept] = {}  # by reservation number (KP2)
        self._page: Page | None = None
        self._left = False  # set once, when this process lets go
        self._look_us = 0  # when it is next looked for what nobody forgot

    def use(self, page: Page | None) -> None:
        """Mirror to this page from now on; None: to none."""
        self._page = page

    def tell(self, counts: CountsTold) -> None:
        """Tell on the page what was decided. Raises LedgerUnavailable where it cannot be written."""
        page = self._page
        if page is None:
            return
        try:
            page.tell(as_bytes(counts))
        except OSError as error:
            raise LedgerUnavailable(
                location=self._location,
                reason=f"what was decided cannot be told beside it ({error.strerror})",
                remedy="make room on its disk",
            ) from error

    def keep(self, kept: Kept, number: int, sights: Sequence[Sight]) -> None:
        """Remember a reservation and write it to the page (KP1).

        Raises LedgerUnavailable where there is no room for it, and ControlClosed where this process
        has let go; then nothing is remembered.
        """
        grants = _of_grants(kept.stripe, number) if _have_pool(sights) else None
        kept.slots.extend(self._mirror(number, kept, sights, grants or {}))
        self._kept[number] = kept._replace(grants=grants)
        if self._left:
            self.drop([number])
            raise ControlClosed(location=self._location)
        if number not in kept.stripe.holds:  # it ended before it was kept, after a long pause
            self.drop([number])

    def keep_more(self, number: int, sights: Sequence[Sight]) -> None:
        """It was extended: what it holds more, to the page. Raises as `keep` does."""
        if self._left:
            raise ControlClosed(location=self._location)
        kept = self._kept.get(number)
        if kept is None:
            return
        more = self._more_of_grants(kept, number) if _have_pool(sights) else {}
        try:
            slots = self._mirror(number, kept, sights, more)
        except BaseException:
            for cell, units in more.items():
                kept.grants[cell] -= units  # type: ignore[index]  # there is a pool
            raise
        kept.slots.extend(slots)
        if number not in self._kept:
            self._clear(kept.slots)  # it ended meanwhile

    def _more_of_grants(self, kept: Kept, number: int) -> dict[int, int]:
        """cell -> what it holds of grants and what is not on the page; from now on this call sees to it."""
        held, written = _of_grants(kept.stripe, number), kept.grants
        assert written is not None  # there is a pool
        with self._lock:  # of two that extend at once each sees to a part
            more = {cell: units - written.get(cell, 0) for cell, units in held.items()}
            more = {cell: units for cell, units in more.items() if units > 0}
            for cell, units in more.items():
                written[cell] = written.get(cell, 0) + units
        return more

    def rename(self, customer_id: str, former: str, now: str, attribution_keys: Iterable[str]) -> None:
        """A resource has another id: it was erased. What is remembered says that one."""
        keys = frozenset(attribution_keys)
        with self._lock:
            for number, kept in list(self._kept.items()):
                if kept.stripe.customer_id == customer_id:
                    dimensions = {
                        name: now if name in keys and canonical_text(value, name) == former else value
                        for name, value in kept.dimensions.items()
                    }
                    ids = tuple([now if one == former else one for one in kept.resource_ids])
                    self._kept[number] = kept._replace(resource_ids=ids, dimensions=dimensions)

    def drop(self, numbers: Iterable[int]) -> None:
        """Clear what has ended from the page, and forget it."""
        for number in numbers:
            kept = self._kept.pop(number, None)
            if kept is not None:
                self._clear(kept.slots)

    def _clear(self, slots: list[int]) -> None:
        page = self._page
        while page is not None:
            try:
                slot = slots.pop()
            except IndexError:
                return  # that was all; another thread may have taken some
            page.clear(slot)

    def _mirror(
        self, number: int, kept: Kept, sights: Iterable[Sight], grants: Mapping[int, int]
    ) -> tuple[int, ...]:
        page, ends_us, rolled = self._page, kept.ends_us, kept.stripe.rolled
        if page is None:
            return ()
        slots = []
        try:
            for sight in sights:
                cells = hard_cells(sight)
                if rolled:  # of a rolling limit it is held no longer than its instant is in the window
                    for cell in [cell for cell in cells if sight[4] and cell in rolled]:
                        until_us = min(ends_us, leaves_us(kept.began_us, rolled[cell][1]))
                        slots.append(page.write(until_us, number, (cell,), sight[4]))
                    cells = tuple([cell for cell in cells if cell not in rolled])
                if cells and sight[4]:
                    slots.append(page.write(ends_us, number, cells, sight[4]))
            for cell, units in grants.items():
                slots.append(page.write(ends_us, number, (cell,), units))
        except (IndexError, ValueError):  # the page was closed meanwhile
            raise ControlClosed(location=self._location) from None
        except OSError as error:
            for slot in slots:
                page.clear(slot)
            raise LedgerUnavailable(
                location=self._location,
                reason=f"what is held cannot be written beside it ({error.strerror})",
                remedy="make room on its disk",
            ) from error
        return tuple(slots)

    def sweep_over(self, now_us: int) -> None:
        """Forget those that are over and that nobody forgot: an interrupt came first."""
        if now_us >= self._look_us:
            self._look_us = now_us + LOOK_US
            self.drop(
                [
                    number
                    for number, kept in list(self._kept.items())
                    # What is being settled is open still, and stays on the page until that is known.
                    if kept.ends_us <= now_us and number not in kept.stripe.holds
                ]
            )

    def sweep(self, stripe: Stripe) -> None:
        """Clear the holds that ended by themselves from the page, once the ledger has what they held.

        As long as it does not, others see there that it is nobody's (RK6).
        """
        if stripe.ended and not (stripe.gives or stripe.leaving):
            with stripe.lock:
                ended, stripe.ended = stripe.ended, []
            self.drop(ended)

    def open_reservations(self, now_us: int) -> list[OpenReservation]:
        """What is held, in the order in which it was reserved."""
        found = []
        for number, kept in sorted(self._kept.items()):
            hold = kept.stripe.holds.get(number)
            if hold is None or now_us >= kept.ends_us:
                continue
            amounts = {
                strand.credit_currency: to_amount(units, strand.decimals)
                for _, units, _, strand, pays in hold[HELD]
                if not pays
            }
            found.append(
                OpenReservation(
                    reservation_id=kept.reservation_id,
                    customer_id=kept.stripe.customer_id,
                    resource_ids=kept.resource_ids,
                    amounts=amounts,
                    began_at=to_datetime(hold[BEGAN_US]),
                    expires_at=to_datetime(kept.ends_us),
                    event_name=kept.event_name,
                    dimensions=kept.dimensions,
                    idempotency_key=kept.idempotency_key,
                )
            )
        return found

    def left_behind(self, stripes: Iterable[Stripe]) -> dict[int, list[Orphan]]:
        """cell -> what this process leaves held when it lets go, by end, the earliest first.

        One whose settle comes too late is left until its own end. What was only held until its
        booking is done is not left: that booking is refused. Nor is a hold whose caller was not
        told yet: he is told that this is closed.
        """
        self._left = True  # first: who keeps one now either is seen here, or sees it
        ends: dict[int, dict[int, int]] = {}
        for stripe in stripes:
            with stripe.lock:
                for number, hold in stripe.holds.items():
                    if number not in self._kept:
                        continue
                    for places, units, hard, *_ in hold[HELD]:
                        for place in places[:hard]:
                            cell, ends_us = stripe.numbers[place + CELL], hold[ENDS_US]
                            if cell in stripe.rolled:
                                ends_us = min(ends_us, leaves_us(hold[BEGAN_US], stripe.rolled[cell][1]))
                            of_cell = ends.setdefault(cell, {})
                            of_cell[ends_us] = of_cell.get(ends_us, 0) + units
        return {
            cell: [Orphan(units, until_us) for until_us, units in sorted(of_cell.items()) if units]
            for cell, of_cell in ends.items()
        }


def _have_pool(sights: Iterable[Sight]) -> bool:
    return any(sight[0].has_pool for sight in sights)


def _of_grants(stripe: Stripe, number: int) -> dict[int, int]:
    """cell -> units of each grant that a hold is of; where it has ended, nothing."""
    with stripe.lock:
        hold = stripe.holds.get(number)
        return {
            stripe.numbers[place + CELL]: units
            for places, units, _, _, pays in (() if hold is None else hold[HELD])
            if pays and units
            for place in places
        }


def held_by_cell(stripes: Iterable[Stripe], now_us: int) -> dict[int, int]:
    """cell -> what this process holds of it, HARD and SOFT."""
    held: dict[int, int] = {}
    for stripe in stripes:
        await_turn(stripe.lock, stripe)
        with stripe.lock:
            expire(stripe, now_us)
            for hold in stripe.holds.values():
                for places, units, *_ in hold[HELD]:
                    for place in places:
                        cell = stripe.numbers[place + CELL]
                        rolled = stripe.rolled.get(cell)
                        if rolled is None or now_us < leaves_us(hold[BEGAN_US], rolled[1]):
                            held[cell] = held.get(cell, 0) + units
    return held
