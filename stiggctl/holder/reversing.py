"""Reversing: taking back what an event booked, and all that was booked on it since.

Here: the orders of reversals, and seeing that none is missing. Not here: what comes back of a part only
(returning.py), the commit (exchange.py).

What always holds:
  RV1  When a reversal has returned, the event and each of its adjustments is reversed once. Who adjusts
       it meanwhile looks for a reversal after its commit, as this looks for adjustments after its own:
       one of the two sees the other.
  RV2  A reversal counts where its event counted and is paid by whom that was paid by: by nobody else,
       also where it takes back that something came back.
"""

import re
from typing import TYPE_CHECKING

from stiggctl.errors import EventNotFound, InvalidRequest
from stiggctl.events import dimensions_json, dimensions_of
from stiggctl.holder.adjusted import adjusted
from stiggctl.holder.orders import Order
from stiggctl.ledger import Reader
from stiggctl.ledger.keys import adjusted_by, reversal_key
from stiggctl.ledger.records import KEYS_OF_OURS, CustomerRow, EventRow

if TYPE_CHECKING:
    from stiggctl.holder.holder import Holder

_EVENT_ID = re.compile(r"[0-9]{1,18}")
#: How often an event is looked at again because it was adjusted meanwhile. Each time somebody else
#: looked before the first commit of this, and booked after it: there are no more than threads.
LOOKS_MAX = 64


class Reversals:
    """Takes back events, for one holder."""

    def __init__(self, holder: "Holder") -> None:
        self._holder = holder

    def reverse(self, event_id: object, reason: str, actor: str | None) -> Order:
        """Book minus what an event booked, and minus its adjustments; the order of the first, served.

        Raises EventNotFound, InvalidRequest, or what became of a booking: then again is safe (RV1).
        """
        holder = self._holder
        holder.become_holder()
        event, customer = self._event(event_id)
        own: Order | None = None
        for _ in range(LOOKS_MAX):
            with holder.ledger.reader() as reader:
                [found] = adjusted(reader, [event])
                left = [one for one in found.standing if one.id != event.id]
                if own is not None and not left:
                    return own
                orders = [self._order(reader, customer, one, reason, actor) for one in left]
                if own is None:
                    own = self._order(reader, customer, event, reason, actor)
                    orders.append(own)
            # They are nearly always one commit. Where they are not, what is charged again comes first:
            # else more credits would be free in between than there are.
            orders.sort(key=lambda order: max(charge.units for charge in order.charges), reverse=True)
            for error in holder.exchange.run_all(orders):
                if error is not None:
                    raise error
        raise holder.restless(LOOKS_MAX, "an event was reversed that was adjusted again and again")

    def _event(self, event_id: object) -> tuple[EventRow, CustomerRow]:
        """The event that is meant, and whose it is."""
        row = int(event_id) if isinstance(event_id, str) and _EVENT_ID.fullmatch(event_id) else None
        with self._holder.ledger.reader() as reader:
            event = None if row is None else reader.event(row)
            if event is None:
                raise EventNotFound(event_id=str(event_id))
            if event.reverses is not None:
                expected = "an event that is not a reversal itself; report usage that took place again"
                raise InvalidRequest(where="event_id", value=event_id, expected=expected)
            return event, next(one for one in reader.customers() if one.id == event.customer)

    def _order(
        self, reader: Reader, customer: CustomerRow, event: EventRow, reason: str, actor: str | None
    ) -> Order:
        """The order that books minus what an event booked, where and when that counted."""
        order = self._holder.bookings.order_like(reader, customer, event, units=-1)
        order.pay_back(reader.payments(event.id), _unbacked(reader, event))
        order.namespace, order.key = KEYS_OF_OURS, reversal_key(event.id)
        order.fingerprint = b"reverse"  # whoever asks, and why: it is one reversal
        order.reverses = event.id
        order.event_name = event.event_name
        why = {"reversal_reason": reason} | ({} if actor is None else {"reversal_actor": actor})
        # What a limit's scope asks for is as its event has it: that limit counts both, or neither.
        scoped = reader.scoped_dimensions(customer.id)
        dimensions = dimensions_of(event.dimensions)
        dimensions |= {name: value for name, value in why.items() if name not in scoped}
        order.way.dimensions = dimensions
        order.dimensions = dimensions_json(dimensions)
        order.unattributed = event.unattributed
        return order


def _unbacked(reader: Reader, event: EventRow) -> list[int]:
    """Of which of its parts something was paid by nobody, or came back to nobody."""
    found = {at for at, part in enumerate(event.parts) if part.unbacked}
    adjusts = adjusted_by(event)
    first = None if adjusts is None else reader.event(adjusts)
    if first is not None:
        # The flag says what nobody paid, not that it came back; that it may have, the others say.
        nobodys = {
            part.currency
            for one in (first, *reader.adjustments_of([first.id]))
            for part in one.parts
            if part.unbacked
        }
        found |= {
            at for at, part in enumerate(event.parts) if part.amount_units < 0 and part.currency in nobodys
        }
    return sorted(found)
