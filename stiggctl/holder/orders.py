"""Orders and wishes: what many threads want of the ledger, to be served in one exchange.

Here: the two kinds of work and how each is made ready for an exchange and told its outcome.
Not here: who serves them, in what order (exchange.py); how rows are written (ledger/).

An order books one event; a wish asks for room and then looks, or takes. Both are made by the
thread that wants them and touched afterwards only by the leader that serves them.
"""

import json
from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from stiggctl.amounts import COUNTER_MAX, to_amount
from stiggctl.answers import Circumstances, RawLimit, Receipt
from stiggctl.decision.cells import CELL, HEADER, WIDTH, Strand, Stripe
from stiggctl.decision.decide import Taken, Wants, grow_locked, places_of, seen, set_apart, take_locked
from stiggctl.decision.reservations import release, resume_hold
from stiggctl.errors import IdempotencyConflict, InvalidAmount
from stiggctl.events import differences
from stiggctl.ledger.records import (
    ESTIMATED,
    EXPIRED,
    LATE,
    Ask,
    AskCell,
    Booked,
    Booking,
    CellBooked,
    EventRow,
    Known,
    Part,
    Refused,
    Spend,
)

if TYPE_CHECKING:
    from stiggctl.answers import Sight
    from stiggctl.decision.paths import Tail


class Charge(NamedTuple):
    """What an event costs in one currency, and the rate that said so."""

    strand: Strand
    units: int  #: negative in a reversal
    rate: int | None


class Leg(NamedTuple):
    """One currency of an order made ready: where its cells lie and what each pays."""

    charge: Charge
    sight: "Sight"
    places: tuple[int, ...]
    cells: tuple[int, ...]
    spends: tuple[int, ...]
    apart: tuple[int, ...]  #: what was set apart at each place, beside what is held there


class Way:
    """How to find the path of an order or a wish: by ids, or by its members where it is fixed."""

    __slots__ = ("fixed", "ids", "members", "stripe", "version")

    def __init__(
        self,
        stripe: Stripe,
        ids: tuple[str, ...],
        members: frozenset[str] | None = None,
        version: int | None = None,
    ) -> None:
        self.stripe = stripe
        self.ids = ids  #: resources that exist; the first leads
        #: of a path that was admitted: they and all above, as they were then
        self.members = members
        self.version = version  #: of the model under which `ids` lead to `members`
        #: (version, the path of `members` under it), one tail a currency
        self.fixed: tuple[int, list[Tail]] | None = None

    @property
    def by_ids(self) -> bool:
        """Whether the ids still lead there."""
        return self.members is None or self.version == self.stripe.version


class Order:
    """One event to be booked."""

    __slots__ = (
        "charges",
        "dimensions",
        "event_name",
        "fingerprint",
        "flags",
        "given_up",
        "hold",
        "hold_ends_us",
        "key",
        "legs",
        "namespace",
        "occurred_at_us",
        "receipt",
        "reservation",
        "reverses",
        "sent",
        "unattributed",
        "way",
    )

    def __init__(
        self,
        way: Way,
        charges: Sequence[Charge],
        *,
        namespace: int,
        key: str,
        fingerprint: bytes,
        occurred_at_us: int,
        event_name: str | None = None,
        dimensions: str = "{}",
        unattributed: str | None = None,
        reservation: str | None = None,
        hold: int | None = None,
        hold_ends_us: int | None = None,
        reverses: int | None = None,
        flags: int = 0,
    ) -> None:
        self.way = way
        self.charges = tuple(charges)
        self.namespace = namespace
        self.key = key
        self.fingerprint = fingerprint
        self.occurred_at_us = occurred_at_us
        self.event_name = event_name
        self.dimensions = dimensions
        self.unattributed = unattributed
        self.reservation = reservation
        self.hold = hold  #: the number of the reservation that it settles
        #: when that ends if this comes to nothing; None: then, for it was made for this
        self.hold_ends_us = hold_ends_us
        self.reverses = reverses
        self.flags = flags
        self.legs: tuple[Leg, ...] = ()
        self.given_up = False  #: whoever wanted it was told an error
        self.sent = False  #: it was in an exchange that failed: a known key may be its own
        self.receipt: Receipt | None = None

    @property
    def stripe(self) -> Stripe:
        """Whose cells it counts in."""
        return self.way.stripe

    def let_go(self) -> None:
        """It came to nothing: its hold ends at its own time, or now, if it was made for this."""
        if self.hold is not None:
            if self.hold_ends_us is None:
                release(self.stripe, self.hold)
            else:
                resume_hold(self.stripe, self.hold, self.hold_ends_us)

    # ---------------------------------------------------------------- making ready

    def make_ready(self, sights: "Sequence[Sight]") -> Booking:
        """Set apart what it spends, and write the booking. The caller has the stripe's lock."""
        numbers = self.stripe.numbers
        hold = None if self.hold is None else self.stripe.holds.get(self.hold)
        legs = []
        members: set[int] = set()
        for charge, sight in zip(self.charges, sights, strict=True):
            tail: Tail
            tail, _, own, _, _, place = sight
            places, hard = places_of(tail, own, place)
            held: dict[int, int] = {}
            for held_places, units, _, strand in () if hold is None else hold.held:
                if strand is charge.strand:
                    held.update(dict.fromkeys(held_places, units))
            spends = set_apart(self.stripe, places, hard, charge.units, held)
            apart = tuple(max(0, spend - held.get(at, 0)) for at, spend in zip(places, spends, strict=True))
            cells = tuple([numbers[at + CELL] for at in places])
            legs.append(Leg(charge, sight, places, cells, tuple(spends), apart))
            members.update(tail.members)
            if own:
                members.add(own[1])
        self.legs = tuple(legs)
        return self._booking(members)

    def make_ready_without_cells(self) -> Booking:
        """An event that names no resource that exists: it is booked, and counts nowhere."""
        self.legs = ()
        return self._booking(set())

    def _booking(self, members: set[int]) -> Booking:
        legs: list[Leg | None] = list(self.legs) or [None] * len(self.charges)
        return Booking(
            customer=self.stripe.customer_row,
            namespace=self.namespace,
            key=self.key,
            members=tuple(sorted(members)),
            parts=tuple(
                Part(
                    currency=charge.strand.currency_row,
                    amount_units=charge.units,
                    rate=charge.rate,
                    spends=()
                    if leg is None
                    else tuple(
                        [
                            Spend(cell, charge.units, spend)
                            for cell, spend in zip(leg.cells, leg.spends, strict=True)
                        ]
                    ),
                )
                for charge, leg in zip(self.charges, legs, strict=True)
            ),
            event_name=self.event_name,
            dimensions=self.dimensions,
            occurred_at_us=self.occurred_at_us,
            reservation=self.reservation,
            reverses=self.reverses,
            flags=self.flags,
            unattributed=self.unattributed,
            fingerprint=self.fingerprint,
        )

    # ---------------------------------------------------------------- its outcome

    def falls(self, outcome: Booked | Known | Refused) -> dict[int, int]:
        """Place -> what is no longer held there. The caller has the stripe's lock.

        What was set apart falls in any case: it is spent, or it was not needed. The hold falls
        where the event is in the ledger, now or before; it stays where the event was refused,
        or is another one than its key names.
        """
        falls: dict[int, int] = {}
        for leg in self.legs:
            for place, units in zip(leg.places, leg.apart, strict=True):
                if units:
                    falls[place] = falls.get(place, 0) + units
        over = isinstance(outcome, Booked) or (
            isinstance(outcome, Known) and outcome.event.fingerprint == self.fingerprint
        )
        if over and self.hold is not None:
            hold = self.stripe.holds.pop(self.hold, None)
            for places, units, _, _ in () if hold is None else hold.held:
                for place in places:
                    falls[place] = falls.get(place, 0) + units
        return falls

    def answer(self, outcome: Booked | Known | Refused, currencies: dict[int, tuple[str, int]]) -> None:
        """Make the receipt; or raise what the outcome means. The caller has the stripe's lock."""
        if isinstance(outcome, Refused):
            raise InvalidAmount(
                where="amount",
                value=to_amount(abs(self.charges[0].units), self.charges[0].strand.decimals),
                expected=f"an amount that keeps every counter within {COUNTER_MAX} units "
                f"(one stands at {outcome.used})",
            )
        if isinstance(outcome, Known):
            differing = differences(outcome.event.fingerprint, self.fingerprint)
            if differing:
                raise IdempotencyConflict(
                    customer_id=self.stripe.customer_id,
                    idempotency_key=self.key,
                    first_event_id=str(outcome.event.id),
                    differs=differing,
                )
            self.receipt = receipt_of(outcome.event, self._limits_now(), currencies, duplicate=not self.sent)
            return
        largest = [max((cell.overage_units for cell in cells), default=0) for cells in outcome.cells]
        self.receipt = Receipt(
            event_id=str(outcome.event_id),
            amounts={
                charge.strand.credit_currency: to_amount(charge.units, charge.strand.decimals)
                for charge in self.charges
            },
            overage=_largest(
                [(units, charge.strand.decimals) for units, charge in zip(largest, self.charges, strict=True)]
            ),
            occurred_at_us=self.occurred_at_us,
            booked_at_us=outcome.booked_at_us,
            limits=partial(_limits_booked, self._sights_now(), outcome.cells),
            expired=bool(self.flags & EXPIRED),
            late=bool(self.flags & LATE),
            estimated=bool(self.flags & ESTIMATED),
            unattributed=_unattributed(self.unattributed),
        )

    def _sights_now(self) -> "tuple[Sight, ...]":
        """The numbers as they stand after the booking. The caller has the lock."""
        return tuple([regathered(self.stripe, leg.sight, leg.charge.units) for leg in self.legs])

    def _limits_now(self) -> partial[list[RawLimit]]:
        return partial(_limits_standing, self._sights_now())


def regathered(stripe: Stripe, sight: "Sight", units: int) -> "Sight":
    """The same path, with the numbers of now. The caller has the lock."""
    tail: Tail
    tail, _, own, first, _, place = sight
    numbers = stripe.numbers
    return tail, tail.gather(numbers), numbers[place : place + len(own)], first, units, place


class Wish:
    """Room that a request lacks: what it is for, and what came of it."""

    __slots__ = ("ends_us", "grows", "minimum", "now_us", "number", "taken", "wants", "way")

    def __init__(
        self,
        way: Way,
        wants: Wants,
        now_us: int,
        *,
        number: int | None,
        ends_us: int = 0,
        minimum: int | None = None,
        grows: bool = False,
    ) -> None:
        self.way = way
        self.wants = wants
        self.now_us = now_us
        self.number = number  #: of the reservation to be, or to grow; None: it only wants to look
        self.ends_us = ends_us
        self.minimum = minimum
        self.grows = grows
        self.taken: Taken | None = None

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
            more = {strand.credit_currency: units for strand, units in self.wants}
            refused = any(sight[0].refusal is not None for sight in sights)
            grown = not refused and grow_locked(stripe, self.number, more, self.now_us)
            hold = stripe.holds.get(self.number) if grown else None
            self.taken = seen(stripe, tuple(sights))._replace(hold=hold)
        else:
            self.taken = take_locked(
                stripe,
                way.ids[0],
                way.ids[1:],
                self.wants,
                self.now_us,
                self.number,
                self.ends_us,
                self.minimum,
            )

    def ask(self, sights: "Sequence[Sight]", promised: dict[int, int]) -> Ask:
        """What to ask of the ledger; `promised`: spare that earlier wishes of the batch count on.

        The caller has the stripe's lock.
        """
        numbers = self.stripe.numbers
        cells = []
        for sight in sights:
            tail: Tail
            tail, _, own, _, units, place = sight
            amount = units if self.number is not None else 0
            least = amount if self.minimum is None else min(amount, self.minimum)
            places, hard = places_of(tail, own, place)
            for at in places[:hard]:
                spare = numbers[at] - promised.get(at, 0)
                promised[at] = promised.get(at, 0) + amount
                cells.append((AskCell(numbers[at + CELL], spare), amount, least))
        size = max((units for _, units in self.wants), default=0)
        return Ask(cells=tuple(cells), request_units=size)


def receipt_of(
    event: EventRow,
    limits: Callable[[], list[RawLimit]],
    currencies: dict[int, tuple[str, int]],
    *,
    duplicate: bool = True,
) -> Receipt:
    """The first receipt of an event that was booked before."""
    amounts, overages = {}, []
    for part in event.parts:
        name, decimals = currencies[part.currency]
        amounts[name] = to_amount(part.amount_units, decimals)
        overages.append((part.overage_units, decimals))
    return Receipt(
        event_id=str(event.id),
        amounts=amounts,
        overage=_largest(overages),
        occurred_at_us=event.occurred_at_us,
        booked_at_us=event.booked_at_us,
        limits=limits,
        duplicate=duplicate,
        expired=bool(event.flags & EXPIRED),
        late=bool(event.flags & LATE),
        estimated=bool(event.flags & ESTIMATED),
        unattributed=_unattributed(event.unattributed),
    )


def _largest(overages: Sequence[tuple[int, int]]) -> int | Decimal:
    """The largest of several amounts, each given as (units, decimals)."""
    return max((to_amount(units, decimals) for units, decimals in overages), default=0)


def _unattributed(text: str | None) -> tuple[str, ...]:
    return () if text is None else tuple(json.loads(text))


def _limits_standing(sights: "tuple[Sight, ...]") -> list[RawLimit]:
    return [raw for sight in sights for raw in sight[0].raw_limits(sight, Circumstances())]


def _limits_booked(sights: "tuple[Sight, ...]", booked: tuple[tuple[CellBooked, ...], ...]) -> list[RawLimit]:
    """The limits of a booking, each with what was used right after it and its own overage."""
    limits = []
    # No sight where no resource was known: the parts of such an event have no cells.
    for sight, cells in zip(sights, booked, strict=False):
        told = {cell.cell: cell for cell in cells}
        tail: Tail
        tail, _, own, _, _, _ = sight
        own_cells = [own[at + CELL] for at in range(HEADER, len(own), WIDTH)]
        for raw, cell in zip(tail.raw_limits(sight, Circumstances()), [*tail.cells, *own_cells], strict=True):
            done = told.get(cell)
            limits.append(
                raw if done is None else raw._replace(used=done.used_after, overage=done.overage_units)
            )
    return limits
