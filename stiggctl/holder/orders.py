"""Orders: events to be booked, those of many threads in one exchange.

Here: how one is made ready for an exchange and told its outcome. Not here: room that is asked
for (wishes.py); who serves them, in what order (exchange.py); how rows are written (ledger/).

An order is made by the thread that wants it, and touched afterwards only by the leader that
serves it.
"""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from stiggctl.amounts import COUNTER_MAX, to_amount
from stiggctl.answers import RawLimit, Receipt
from stiggctl.decision.cells import CELL, Strand, Stripe
from stiggctl.decision.decide import members_of, places_of, set_apart
from stiggctl.decision.reservations import Hold, begin_settle, end_settle, release
from stiggctl.errors import IdempotencyConflict, InvalidAmount
from stiggctl.events import differences
from stiggctl.holder.receipts import (
    largest,
    limits_booked,
    limits_standing,
    receipt_of,
    regathered,
    unattributed_of,
)
from stiggctl.holder.ways import Way
from stiggctl.ledger.records import (
    ESTIMATED,
    EXPIRED,
    LATE,
    Booked,
    Booking,
    Known,
    Part,
    Refused,
)

if TYPE_CHECKING:
    from stiggctl.answers import Sight


class Charge(NamedTuple):
    """What an event costs in one currency, and the rate that said so."""

    strand: Strand
    units: int  #: negative in a reversal
    rate: int | None


class Leg(NamedTuple):
    """One currency of an order made ready: where its cells lie."""

    charge: Charge
    sight: "Sight"
    places: tuple[int, ...]
    cells: tuple[int, ...]


class HoldEnded(Exception):
    """What was taken for a consume ended before it was queued: nothing is admitted any more."""


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
        "key",
        "legs",
        "namespace",
        "occurred_at_us",
        "receipt",
        "reservation",
        "reverses",
        "sent",
        "settles",
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
        settles: bool = False,
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
        self.hold = hold  #: the number of what is held for it
        self.settles = settles  #: that was reserved before, and stays held if this comes to nothing
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

    def begin(self, now_us: int) -> None:
        """It is about to be queued: what it holds does not end by itself from here on.

        Where that has ended already, a settle books plain usage; a consume raises HoldEnded.
        """
        if self.hold is None or begin_settle(self.stripe, self.hold, now_us) is not None:
            return
        self.hold = None
        if not self.settles:
            raise HoldEnded
        self.flags |= EXPIRED

    def let_go(self) -> None:
        """It came to nothing: its hold ends at its own time, or now, if it was made for this."""
        if self.hold is not None:
            end_settle(self.stripe, self.hold)
            if not self.settles:
                release(self.stripe, self.hold)

    def forget_hold(self) -> None:
        """Nobody is told that it is booked: what stands on the page for it is to be cleared."""
        if self.hold is not None and self.receipt is not None:
            stripe = self.stripe
            with stripe.lock:
                stripe.ended.append(self.hold)

    # ---------------------------------------------------------------- making ready

    def make_ready(self, sights: "Sequence[Sight]", now_us: int) -> Booking:
        """Set apart what it spends, and write the booking. The caller has the stripe's lock."""
        stripe = self.stripe
        hold = self._open_hold()
        if any(sight[0].windows_end_us <= now_us for sight in sights):
            self.flags |= LATE
        legs, parts = [], []
        for charge, sight in zip(self.charges, sights, strict=True):
            strand, units, rate = charge
            places, hard = places_of(sight)
            held: dict[int, int] = {}
            if hold is not None:
                for held_places, held_units, _, held_strand in hold.held:
                    if held_strand is strand:
                        held.update(dict.fromkeys(held_places, held_units))
            spends = tuple(set_apart(stripe, places, hard, units, held))
            numbers = stripe.numbers
            cells = tuple([numbers[at + CELL] for at in places])
            legs.append(Leg(charge, sight, places, cells))
            parts.append(Part(strand.currency_row, units, rate, cells, spends))
        self.legs = tuple(legs)
        return self._booking(members_of(sights[0]), parts)  # the members are those of every currency

    def make_ready_without_cells(self) -> Booking:
        """An event that names no resource that exists: it is booked, and counts nowhere."""
        self.legs = ()
        parts = [Part(strand.currency_row, units, rate, (), ()) for strand, units, rate in self.charges]
        return self._booking((), parts)

    def _booking(self, members: tuple[int, ...], parts: list[Part]) -> Booking:
        # By position, in the record's order: by name it takes twice as long.
        return Booking(
            self.stripe.customer_row,
            self.namespace,
            self.key,
            members,
            tuple(parts),
            self.event_name,
            self.dimensions,
            self.occurred_at_us,
            self.reservation,
            self.reverses,
            self.flags,
            self.unattributed,
            self.fingerprint,
        )

    # ---------------------------------------------------------------- its outcome

    def _open_hold(self) -> Hold | None:
        return None if self.hold is None else self.stripe.holds.get(self.hold)

    def settled(self, outcome: Booked | Known | Refused) -> Hold | None:
        """What is no longer held, now that this is known. The caller has the stripe's lock.

        Its hold falls where the event is in the ledger, now or before; it stays where the event
        was refused, or is another one than its key names.
        """
        over = isinstance(outcome, Booked) or (
            isinstance(outcome, Known) and outcome.event.fingerprint == self.fingerprint
        )
        return self._open_hold() if over else None

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
        self.receipt = Receipt(
            event_id=str(outcome.event_id),
            amounts={
                strand.credit_currency: to_amount(units, strand.decimals) for strand, units, _ in self.charges
            },
            overage=largest(
                [
                    (part.overage_units, strand.decimals)
                    for (strand, _, _), part in zip(self.charges, outcome.parts, strict=True)
                ]
            ),
            occurred_at_us=self.occurred_at_us,
            booked_at_us=outcome.booked_at_us,
            limits=partial(limits_booked, self._sights_now(), outcome.parts),
            expired=bool(self.flags & EXPIRED),
            late=bool(self.flags & LATE),
            estimated=bool(self.flags & ESTIMATED),
            unattributed=unattributed_of(self.unattributed),
        )

    def _sights_now(self) -> "tuple[Sight, ...]":
        """The numbers as they stand after the booking. The caller has the lock."""
        return tuple([regathered(self.stripe, leg.sight, leg.charge.units, leg.cells) for leg in self.legs])

    def _limits_now(self) -> partial[list[RawLimit]]:
        return partial(limits_standing, self._sights_now())
