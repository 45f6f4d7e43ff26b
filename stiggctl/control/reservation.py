"""Reservation: credits set aside for one call, until they are settled, released, or their time is over.

Here: the object that application code has. Not here: what is held (decision/reservations.py),
how it is booked (holder/).
"""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from stiggctl.amounts import Amount, to_amount
from stiggctl.answers import Decision, Receipt, Sight
from stiggctl.control.used import read_by_currency, read_one
from stiggctl.decision.cells import Stripe
from stiggctl.decision.holds import units_of
from stiggctl.decision.moving import grow
from stiggctl.decision.reservations import release
from stiggctl.errors import (
    AccessDenied,
    ControlClosed,
    InvalidRequest,
    LedgerUnavailable,
    ReservationNotFound,
)
from stiggctl.events import DimensionValue, Report, dimensions_json, fingerprint
from stiggctl.holder.asked import Asked
from stiggctl.holder.enriching import Groups
from stiggctl.holder.orders import Charge, Order
from stiggctl.holder.ways import Way, way_of
from stiggctl.ledger.records import ESTIMATED, KEYS_OF_OURS, KEYS_OF_USERS
from stiggctl.windows import to_datetime

if TYPE_CHECKING:
    from stiggctl.control.fit import Fit
    from stiggctl.holder import Holder


class Told(NamedTuple):
    """What the caller of reserve told of the event that its settle will book."""

    customer_id: str | None
    ids: tuple[str, ...]
    event_name: str | None
    dimensions: dict[str, DimensionValue]
    idempotency_key: str | None
    chosen: tuple[str, ...] = ()  #: which of the dimensions are a candidate's: derived, not given
    credit_currency: str | None = None  #: of a candidate: that was given; without one they are derived, too

    @property
    def given(self) -> dict[str, DimensionValue]:
        """The dimensions that the caller gave, by which its key knows it again."""
        return {name: value for name, value in self.dimensions.items() if name not in self.chosen}


class Reservation:
    """Credits that are set aside in every limit of a request, for one call.

    Settle it with what the call really used: less frees the rest, more is booked too. It
    ends by itself at `expires_at`; settling it afterwards still books (`receipt.expired`).
    A reservation lives in the process that made it, and cannot be pickled.

    >>> control = getfixture("acme")  # user-01 may spend 200 ai-tokens
    >>> held = control.reserve(resource_ids=["user-01"], credit_currency="ai-tokens", amount=75)
    >>> held.settle(61).charged
    61
    """

    __slots__ = (
        "_began_us",
        "_decision",
        "_ends_us",
        "_holder",
        "_ids",
        "_named_by",
        "_number",
        "_receipt",
        "_sights",
        "_stripe",
        "_told",
        "_units",
        "fit",
        "observed",
        "priced_by",
        "released",
    )

    fit: "Fit | None"  #: the candidate that it is for, where it was reserved by `fit=`
    released: bool  #: by `release`, before anything was settled
    observed: Groups  #: what its event will say beside its dimensions, by what a guard observed
    priced_by: Mapping[str, tuple[int, int]]  #: by currency: the row of the rate that priced it, and at what

    def __init__(
        self,
        holder: "Holder",
        decision: Decision | None,
        number: int,
        stripe: Stripe | None,
        sights: tuple[Sight, ...],
        began_us: int,
        ends_us: int,
        ids: tuple[str, ...],
        told: Told,
    ) -> None:
        self._decision = decision  #: None: a yes from memory, made when somebody asks for it
        self.fit, self.released = None, False
        self.observed, self.priced_by = (), {}
        self._holder = holder
        self._named_by = holder.ids  #: in a forked child the holder has others
        self._number = number
        self._stripe = stripe  #: None where the ledger could not be asked (fail_open)
        self._sights = sights
        self._began_us = began_us
        self._ends_us = ends_us
        self._ids = ids  #: those that were asked for and are known
        self._told = told
        self._receipt: Receipt | None = None
        self._units: dict[str, int] | None = None  #: after `extend`; changed under the stripe's lock

    # ---------------------------------------------------------------- what it is

    @property
    def decision(self) -> Decision:
        """The answer that admitted it."""
        if self._decision is None:
            self._decision = Decision(None, self._sights, self._began_us, self._named_by, number=self._number)
        return self._decision

    @property
    def reservation_id(self) -> str:
        """Its decision's id; it stands on the event that the settle books."""
        decision = self._decision
        return self._named_by.id_of(self._number) if decision is None else decision.decision_id

    @property
    def expires_at(self) -> datetime:
        """When it ends by itself; from this instant on nothing is held."""
        return to_datetime(self._ends_us)

    @property
    def amounts(self) -> dict[str, int | Decimal]:
        """What is set aside, by currency."""
        return {
            sight[0].credit_currency: to_amount(self._held(sight), sight[0].decimals)
            for sight in self._sights
        }

    @property
    def amount(self) -> int | Decimal | None:
        """What is set aside, where that is one currency; else None (see `amounts`)."""
        amounts = self.amounts
        return next(iter(amounts.values())) if len(amounts) == 1 else None

    def _held(self, sight: Sight) -> int:
        units = self._units
        return int(sight[4]) if units is None else units[sight[0].credit_currency]

    def __repr__(self) -> str:
        amounts = " and ".join(f"{amount} {name}" for name, amount in self.amounts.items())
        state = "settled" if self._receipt is not None else f"until {self.expires_at.isoformat()}"
        return f"<Reservation {self.reservation_id}: {amounts}, {state}>"

    def __reduce__(self) -> str:
        raise TypeError("a reservation lives in the process that made it; pass its id and settle it there")

    # ---------------------------------------------------------------- settle

    def settle(
        self,
        amount: Amount | None = None,
        *,
        amounts: Mapping[str, Amount] | None = None,
        estimated: bool = False,
    ) -> Receipt:
        """Book what was really used, and set the rest free.

        Atomic: after it returns, the usage is in the ledger once and nothing is held. A second
        settle returns the first receipt.

        Args:
            amount: what was used, of the reserved currency; more than reserved is booked too.
                Left out (and no `amounts`): all that was reserved.
            amounts: by currency, where several were reserved; one left out counts 0.
            estimated: nobody told what was used, this is a guess; the receipt says so.

        Raises:
            InvalidAmount, InvalidRequest: nothing was booked, it is still held.
            IdempotencyConflict: its idempotency_key names another event; nothing was booked.
            LedgerUnavailable: nothing is lost, it is still held: settle it again.
            ControlClosed: its control was closed before.
        """
        if self._receipt is not None:
            return self._receipt
        used = self._used(amount, amounts)
        order = self._settling(used) or self._settling_unheld(used)
        order.flags |= ESTIMATED * estimated
        try:
            self._holder.exchange.run(order)
        finally:
            if order.receipt is not None:
                self._settled(order)
        return self._settled(order)

    async def asettle(
        self,
        amount: Amount | None = None,
        *,
        amounts: Mapping[str, Amount] | None = None,
        estimated: bool = False,
    ) -> Receipt:
        """`settle`, without blocking the event loop. Cancelling it neither loses nor doubles it."""
        if self._receipt is not None:
            return self._receipt
        order = self._settling(self._used(amount, amounts))
        if order is None or not self._holder.trees.is_ready(order):
            settle = partial(self.settle, amount, amounts=amounts, estimated=estimated)
            return await self._holder.aside.do(settle)
        order.flags |= ESTIMATED * estimated
        booked = self._holder.exchange.submit(order)
        try:
            await asyncio.shield(booked)
        except asyncio.CancelledError:
            # It is booked all the same; then nothing stays on the page.
            booked.add_done_callback(lambda _: None if order.receipt is None else self._settled(order))
            raise
        return self._settled(order)

    def _settling(self, used: dict[str, int]) -> Order | None:
        """The order that books it; never waits. Once it is queued, this does not expire.

        None where the ledger could not be asked when it was admitted (fail_open), and in a child that was
        forked since: what is held is its parent's, so this is plain usage, under the same key.
        """
        holder, told, stripe = self._holder, self._told, self._stripe
        holder.require_open()
        if stripe is None or not holder.has(stripe):
            return None
        charges = [Charge(sight[0].strand, used[sight[0].credit_currency], None) for sight in self._sights]
        return self._told_order(
            Order(
                self._way(stripe),
                charges,
                namespace=KEYS_OF_OURS,
                key=self.reservation_id,
                fingerprint=b"",
                occurred_at_us=self._began_us,
                event_name=told.event_name,
                dimensions=dimensions_json(told.dimensions),
                hold=self._number,
                settles=True,
            )
        )

    def _settling_unheld(self, used: dict[str, int]) -> Order:
        """The order of what was admitted without the ledger: plain usage, at its instant."""
        report = Report()
        report.customer_id = self._told.customer_id
        report.event_name = self._told.event_name
        report.idempotency_key = None
        report.dimensions = self._told.dimensions
        report.occurred_at_us = self._began_us
        report.credit_currency = None
        report.amounts = {
            sight[0].credit_currency: to_amount(used[sight[0].credit_currency], sight[0].decimals)
            for sight in self._sights
        }
        report.resource_ids = self._told.ids
        report.fingerprint = b""  # set below
        return self._told_order(self._holder.bookings.order(report, self._began_us))

    def _told_order(self, order: Order) -> Order:
        """Under the key and with the fingerprint of what reserve was told."""
        told = self._told
        if told.idempotency_key is not None:
            order.namespace, order.key = KEYS_OF_USERS, told.idempotency_key
        else:
            order.namespace, order.key = KEYS_OF_OURS, self.reservation_id
        order.reservation = self.reservation_id
        order.observed = self.observed
        if self.priced_by:
            order.charges = tuple(map(self._by_rate, order.charges))
        reserved = ",".join(sorted(sight[0].credit_currency for sight in self._sights))
        order.fingerprint = fingerprint(
            event_name=told.event_name,
            dimensions=told.given if told.chosen else told.dimensions,
            timestamp=None,
            credit_currency=told.credit_currency if told.chosen else reserved,
            amounts={},
            resource_ids=told.ids,
        )
        return order

    def _by_rate(self, charge: Charge) -> Charge:
        """With the row of the rate whose price it is; another amount is by no rate."""
        row, units = self.priced_by.get(charge.strand.credit_currency, (None, 0))
        return charge._replace(rate=row if units == charge.units else None)

    def _way(self, stripe: Stripe) -> Way:
        """The path that admitted it, wherever its resources stand now."""
        return way_of(stripe, self._ids, self._told.dimensions, self._sights[0])

    def _settled(self, order: Order) -> Receipt:
        assert order.receipt is not None  # it was served without an error
        if self._receipt is None:
            self._receipt = order.receipt
            # In a forked child its number is that of another, of the child's own.
            if self._stripe is not None and self._holder.has(self._stripe):
                self._holder.keeping.drop([self._number])
        return self._receipt

    def _used(self, amount: Amount | None, amounts: Mapping[str, Amount] | None) -> dict[str, int]:
        """Units that were used, of each reserved currency."""
        if amounts is None:
            if amount is None:
                return {sight[0].credit_currency: self._held(sight) for sight in self._sights}
            return read_one(self._sights, amount)
        if amount is not None:
            raise InvalidRequest(where="amount", value=amount, expected="either amount or amounts")
        return read_by_currency(self._sights, amounts)

    # ---------------------------------------------------------------- release, extend

    def release(self) -> Receipt | None:
        """Set all of it free; nothing is booked. After a settle: its receipt, nothing changes."""
        if self._release():
            self._holder.recalls.soon()
        return self._receipt

    async def arelease(self) -> Receipt | None:
        """`release`; it never waits: near a limit other processes have it a moment later."""
        self._release()
        return self._receipt

    def _release(self) -> bool:
        """Whether that set something free."""
        self._holder.require_open()
        if self._receipt is not None:
            return False
        self.released, stripe = True, self._stripe
        if stripe is None or not self._holder.has(stripe) or release(stripe, self._number) is None:
            return False
        self._holder.keeping.drop([self._number])
        return True

    def extend(self, amount: Amount | None = None, *, amounts: Mapping[str, Amount] | None = None) -> None:
        """Set more aside, in the limits that it already counts in; or raise, and change nothing.

        Raises:
            AccessDenied: the rest does not fit; what was held still is.
            ReservationNotFound: it has ended.
            InvalidAmount, InvalidRequest, LedgerUnavailable: nothing changed.
        """
        more = self._more(amount, amounts)
        if not self._extend_at_once(more):
            self._extend_waiting(more)

    async def aextend(
        self, amount: Amount | None = None, *, amounts: Mapping[str, Amount] | None = None
    ) -> None:
        """`extend`, without blocking the event loop."""
        more = self._more(amount, amounts)
        if not self._extend_at_once(more):
            await self._holder.aside.do(lambda: self._extend_waiting(more))

    def _more(self, amount: Amount | None, amounts: Mapping[str, Amount] | None) -> dict[str, int]:
        if amount is None and amounts is None:
            raise InvalidRequest(where="amount", value=None, expected="how much more to set aside")
        more = self._used(amount, amounts)
        return more if amounts is None else {name: more[name] for name in amounts}

    def _extend_at_once(self, more: dict[str, int]) -> bool:
        holder = self._holder
        holder.require_open()
        if self._stripe is None or self._receipt is not None or not holder.has(self._stripe):
            raise ReservationNotFound(reservation_id=self.reservation_id)
        if self._stripe.version != self._sights[0][2][0].version:
            return False  # whether it is suspended by now, only the model can tell
        grown = grow(self._stripe, self._number, more, holder.clock.now_us())
        holder.keeping.sweep(self._stripe)
        if grown is None:
            raise ReservationNotFound(reservation_id=self.reservation_id)
        if grown:
            self._extended(more)
        return grown

    def _extend_waiting(self, more: dict[str, int]) -> None:
        """Draw what lacks, then grow; raises AccessDenied where the ledger says no."""
        holder, stripe = self._holder, self._stripe
        assert stripe is not None  # it was looked at before
        # Only what grows: a limit of another currency that is passed has no say in it.
        wants = tuple(
            [
                (sight[0].strand, more[sight[0].credit_currency])
                for sight in self._sights
                if sight[0].credit_currency in more
            ]
        )
        denial = holder.asking.grow(self._way(stripe), wants, self._number, self._began_us)
        if denial is not None and self._number not in stripe.holds:
            raise ReservationNotFound(reservation_id=self.reservation_id)
        if denial is not None:
            told = self._told
            asked = Asked(stripe.customer_id, told.ids, (), told.dimensions)
            holder.news.answered("extend", denial, asked, told.event_name)
            raise AccessDenied(decision=denial)
        self._extended(more)

    def _extended(self, more: dict[str, int]) -> None:
        stripe = self._stripe
        assert stripe is not None  # it was extended
        grown = [(*sight[:4], more.get(sight[0].credit_currency, 0), sight[5]) for sight in self._sights]
        try:
            self._holder.keeping.keep_more(self._number, grown)
        except (LedgerUnavailable, ControlClosed):
            less = {name: -amount for name, amount in more.items() if amount}
            grow(stripe, self._number, less, self._holder.clock.now_us())
            raise
        with stripe.lock:  # of two that extend at once, the later look is the later word
            hold = stripe.holds.get(self._number)
            if hold is not None:
                self._units = units_of(hold)
