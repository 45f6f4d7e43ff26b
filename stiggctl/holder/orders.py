"""Orders: events to be booked, those of many threads in one exchange.

Here: how one is made ready for an exchange and told its outcome. Not here: room that is asked
for (wishes.py); who serves them, in what order (exchange.py); how rows are written (ledger/).

An order is made by the thread that wants it, and touched afterwards only by the leader that
serves it.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from stiggctl.amounts import COUNTER_MAX, to_amount
from stiggctl.answers import RawLimit, Receipt
from stiggctl.decision.cells import CELL, Strand, Stripe
from stiggctl.decision.decide import Wants
from stiggctl.decision.holds import HELD, Hold, stakes_of
from stiggctl.decision.moving import set_apart
from stiggctl.decision.reservations import begin_settle, end_settle, release
from stiggctl.decision.sights import members_of, places_of
from stiggctl.decision.tails import Tail
from stiggctl.errors import IdempotencyConflict, InvalidAmount
from stiggctl.events import differences
from stiggctl.holder.enriching import Groups, enriched
from stiggctl.holder.paying import draining_of, is_unbacked, paid_by
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
    CellRow,
    Known,
    Part,
    Paying,
    Payment,
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
    """One currency of an order made ready: where its cells lie, its grants' too."""

    charge: Charge
    sight: "Sight"
    places: tuple[int, ...]
    cells: tuple[int, ...]
    paying: dict[int, int]  #: cell -> place of the grants that its hold is of


_NOBODY: dict[int, int] = {}


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
        "is_of_hook",
        "key",
        "legs",
        "namespace",
        "observed",
        "occurred_at_us",
        "receipt",
        "reservation",
        "returns",
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
        self.observed: Groups = ()  #: what the event says beside these
        self.unattributed = unattributed
        self.reservation = reservation
        self.hold = hold  #: the number of what is held for it
        self.settles = settles  #: that was reserved before, and stays held if this comes to nothing
        self.reverses = reverses
        self.flags = flags
        self.legs: tuple[Leg, ...] = ()
        #: of a reversal or an adjustment, by charge: grant's row -> what comes back to it, less than 0 (or
        #: is paid again); none for a charge for which no pool paid, because there was none yet
        self.returns: dict[int, dict[int, int]] | None = None
        self.given_up = False  #: whoever wanted it was told an error
        self.is_of_hook = False  #: a hook books it: of this no hook is told
        self.sent = False  #: it was in an exchange that failed: a known key may be its own
        self.receipt: Receipt | None = None

    @property
    def stripe(self) -> Stripe:
        """Whose cells it counts in."""
        return self.way.stripe

    @property
    def wants(self) -> Wants:
        """What it books, by currency."""
        return [(charge.strand, charge.units) for charge in self.charges]

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

    def pay_back(self, payments: Sequence[Payment], unbacked: Iterable[int]) -> None:
        """It reverses an event that grants paid so: what each paid comes back to it.

        `unbacked`: of which charges something was paid by nobody.
        """
        self.returns = {at: {} for at in unbacked}
        for one in payments:
            self.returns.setdefault(one.part, {})[one.grant] = -one.units
        self.way.grants = frozenset(one.grant for one in payments)

    # ---------------------------------------------------------------- making ready

    def make_ready(self, sights: "Sequence[Sight]", now_us: int) -> Booking:
        """Set apart what it spends, and write the booking. The caller has the stripe's lock."""
        stripe = self.stripe
        hold = self._open_hold()
        if any(sight[0].windows_end_us <= now_us for sight in sights):
            self.flags |= LATE
        legs, parts = [], []
        for number, (charge, sight) in enumerate(zip(self.charges, sights, strict=True)):
            strand, units, rate = charge
            tail: Tail = sight[0]
            places, hard = places_of(sight)
            held: dict[int, int] = {}
            if hold is not None:
                for held_places, held_units, _, held_strand, _ in hold[HELD]:
                    if held_strand is strand:
                        held.update(dict.fromkeys(held_places, held_units))
            spends = tuple(set_apart(stripe, places, hard, units, held))
            numbers = stripe.numbers
            cells = tuple([numbers[at + CELL] for at in places])
            draining, paying = None, _NOBODY
            if tail.has_pool and (self.returns is None or number in self.returns):
                stakes = [] if hold is None else stakes_of(hold, strand)
                back, mirrors = self._paid_back(number), self.reverses is not None
                draining, paying = draining_of(stripe, tail, stakes, units, back, mirrors=mirrors)
            all_places, all_cells = (*places, *tail.grant_places), (*cells, *tail.grant_cells)
            legs.append(Leg(charge, sight, all_places, all_cells, paying))
            parts.append(Part(strand.currency_row, units, rate, cells, spends, draining))
        self.legs = tuple(legs)
        return self._booking(members_of(sights[0]), parts)  # the members are those of every currency

    def _paid_back(self, number: int) -> list[Paying]:
        """What comes back to grants of a charge, in a reversal or an adjustment."""
        if self.returns is None:
            return []
        return [Paying(self.way.grant_cells[row], units, 0) for row, units in self.returns[number].items()]

    def _booking(self, members: tuple[int, ...], parts: list[Part]) -> Booking:
        # By position, in the record's order: by name it takes twice as long.
        return Booking(
            self.stripe.customer_row,
            self.namespace,
            self.key,
            members,
            tuple(parts),
            self.event_name,
            self.said(),
            self.occurred_at_us,
            self.reservation,
            self.reverses,
            self.flags,
            self.unattributed,
            self.fingerprint,
        )

    def said(self) -> str:
        """All that the event says; under the version of the model by which it is counted (EN2)."""
        if not self.observed:
            return self.dimensions
        return enriched(self.way.dimensions, self.observed, self.stripe.scoped)

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

    def answer(
        self,
        outcome: Booked | Known | Refused,
        currencies: dict[int, tuple[str, int]],
        rows: Mapping[int, CellRow],
    ) -> None:
        """Make the receipt; or raise what the outcome means. The caller has the stripe's lock.

        `rows`: the cells as the reply has them; of a grant's, `allocation` is the grant's row.
        """
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
            self.receipt = receipt_of(
                outcome.event, outcome.payments, self._limits_now(), currencies, duplicate=not self.sent
            )
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
            paid_by=paid_by([charge.strand for charge in self.charges], outcome.parts, rows),
            unbacked=is_unbacked(outcome.parts),
        )

    def _sights_now(self) -> "tuple[Sight, ...]":
        """The numbers as they stand after the booking. The caller has the lock."""
        return tuple([regathered(self.stripe, leg.sight, leg.charge.units, leg.cells) for leg in self.legs])

    def _limits_now(self) -> partial[list[RawLimit]]:
        return partial(limits_standing, self._sights_now())
