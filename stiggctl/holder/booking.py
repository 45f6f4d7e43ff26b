"""Booking: from a report to an order: whose it is, what it costs, what it counts in.

Here: the customer, the charges and the resources of a report, from memory where they are
there (`order_at_once`), else from the ledger (`order`).
Not here: what a caller gave (events.py), prices (rates.py), the commit (exchange.py).

  B1  Usage that took place is never refused: archived and suspended resources are booked,
      ids that no resource has stand on the event as unattributed.
  B2  What cannot be booked is refused here, before anything has changed.
"""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from stiggctl.amounts import to_units
from stiggctl.answers import Receipt
from stiggctl.decision.cells import CUSTOMER, Stripe
from stiggctl.decision.decide import types_of
from stiggctl.errors import (
    AmbiguousResource,
    CustomerNotFound,
    InvalidRequest,
    RateNotFound,
    StiggctlError,
)
from stiggctl.events import Report, attributed, dimensions_json, dimensions_of
from stiggctl.holder.asked import Asked
from stiggctl.holder.known import Known
from stiggctl.holder.meant import find_meant
from stiggctl.holder.orders import Charge, Order
from stiggctl.holder.ways import Way
from stiggctl.ledger import Reader
from stiggctl.ledger.records import KEYS_OF_OURS, KEYS_OF_USERS, CustomerRow, EventRow
from stiggctl.rates import price

if TYPE_CHECKING:
    from stiggctl.holder.holder import Holder


class Bookings:
    """Makes orders of reports, for one holder."""

    def __init__(self, holder: "Holder") -> None:
        self._holder = holder

    def order_at_once(self, report: Report, now_us: int) -> Order | None:
        """The order, where all that it needs is in memory; never waits."""
        holder = self._holder
        if not holder.is_holder:
            return None
        known = holder.known
        customer_id = report.customer_id
        if customer_id is None:
            if known.only_customer is None:
                return None
            customer_id = known.only_customer.customer_id
        stripe = holder.stripes.get(customer_id)
        if stripe is None or None in report.amounts:
            return None
        named = self._named(report, known, customer_id)
        ids = tuple(dict.fromkeys([one for _, one in named]))
        charges: list[Charge] = []
        for name, units, rate in self._costs(report, known, customer_id, now_us):
            strand = stripe.strands.get(name)
            types = None if strand is None else types_of(strand, ids)
            if strand is None or types is None:
                return None
            if report.resource_ids is None and not _are_of_type(named, dict(zip(ids, types, strict=True))):
                return None
            charges.append(Charge(strand, units, rate))
        return self._order(report, stripe, charges, ids, (), now_us)

    def order(self, report: Report, now_us: int) -> Order:
        """The order, read from the ledger where it must be.

        Raises CustomerNotFound, CurrencyNotFound, RateNotFound, InvalidAmount, InvalidRequest
        or AmbiguousResource; then nothing was booked.
        """
        holder = self._holder
        holder.become_holder()
        known = holder.known
        with holder.ledger.reader() as reader:
            customer = self._customer(reader, report, known)
            if None in report.amounts:
                currency = self._only_currency(reader, customer, known)
                report.amounts = {currency: report.amounts[None]}
            named = self._named(report, known, customer.customer_id)
            wanted = tuple(dict.fromkeys(one for _, one in named))
            types = {
                row.resource_id: row.type_id
                for row in reader.lineage(customer.id, wanted)
                if row.resource_id in wanted
            }
        ids = tuple(dict.fromkeys(one for of, one in named if one in types and of in (None, types[one])))
        unattributed = tuple(one for one in wanted if one not in ids)
        stripe = holder.stripe_of(customer)
        charges = [
            Charge(holder.strand_of(stripe, name), units, rate)
            for name, units, rate in self._costs(report, known, customer.customer_id, now_us)
        ]
        return self._order(report, stripe, charges, ids, unattributed, now_us)

    # ---------------------------------------------------------------- events that are booked

    def receipt_of_report(self, report: Report) -> Receipt | None:
        """The first receipt of a report that cannot be made an order any more; else None."""
        if report.idempotency_key is None:
            return None
        with self._holder.ledger.reader() as reader:
            try:
                customer = self._customer(reader, report, self._holder.known)
            except StiggctlError:
                return None
        return self._first_receipt(customer, report.idempotency_key, report.fingerprint)

    def receipt_of_key(self, asked: Asked, key: str, fingerprint: bytes) -> Receipt | None:
        """The first receipt of a consume that would be denied now; None where the key is free.

        Raises IdempotencyConflict where the key names another event.
        """
        with self._holder.ledger.reader() as reader:
            try:
                meant = find_meant(reader, asked.customer_id, asked.ids, "ignore")
            except StiggctlError:
                return None
        return None if meant.customer is None else self._first_receipt(meant.customer, key, fingerprint)

    def _first_receipt(self, customer: CustomerRow, key: str, fingerprint: bytes) -> Receipt | None:
        with self._holder.ledger.reader() as reader:
            event = reader.event_by_key(customer.id, KEYS_OF_USERS, key)
            if event is None:
                return None
            order = self.order_like(reader, customer, event, units=1)
        order.namespace, order.key, order.fingerprint = KEYS_OF_USERS, key, fingerprint
        # Events are never taken away: this one is found again, and nothing is booked.
        self._holder.exchange.run(order)
        return order.receipt

    def order_like(self, reader: Reader, customer: CustomerRow, event: EventRow, *, units: int) -> Order:
        """An order that counts where an event counted, so many times its amounts."""
        holder = self._holder
        members = frozenset(row.resource_id for row in reader.resources_by_row(event.members))
        stripe = holder.stripe_of(customer)
        charges = [
            Charge(
                holder.strand_of(stripe, holder.known.currency_of_row[part.currency][0]),
                units * part.amount_units,
                part.rate,
            )
            for part in event.parts
        ]
        # Of no version: the path is that of the event's members, whatever was compiled since.
        way = Way(stripe, (), dimensions_of(event.dimensions), members, version=-1)
        way.admitted = event.members
        return Order(
            way,
            charges,
            namespace=KEYS_OF_OURS,
            key="",
            fingerprint=b"",
            occurred_at_us=event.occurred_at_us,
        )

    # ---------------------------------------------------------------- parts of an order

    def _order(
        self,
        report: Report,
        stripe: Stripe,
        charges: Sequence[Charge],
        ids: tuple[str, ...],
        unattributed: tuple[str, ...],
        now_us: int,
    ) -> Order:
        holder, key = self._holder, report.idempotency_key
        return Order(
            Way(stripe, ids or (CUSTOMER,), report.dimensions),
            charges,
            namespace=KEYS_OF_OURS if key is None else KEYS_OF_USERS,
            key=holder.ids.id_of(holder.ids.number_beside()) if key is None else key,
            fingerprint=report.fingerprint,
            occurred_at_us=now_us if report.occurred_at_us is None else report.occurred_at_us,
            event_name=report.event_name,
            dimensions=dimensions_json(report.dimensions),
            unattributed=json.dumps(unattributed, ensure_ascii=False) if unattributed else None,
        )

    def _named(self, report: Report, known: Known, customer_id: str) -> list[tuple[str | None, str]]:
        """(type that it must have, or None, id) of each resource that a report names."""
        if report.resource_ids is not None:
            return [(None, one) for one in report.resource_ids]
        return list(attributed(report.dimensions, known.types_of_key(customer_id)))

    def _customer(self, reader: Reader, report: Report, known: Known) -> CustomerRow:
        if report.customer_id is not None:
            customers = reader.customers([report.customer_id])
            if not customers:
                raise CustomerNotFound(customer_id=report.customer_id)
            return customers[0]
        if known.only_customer is not None:
            return known.only_customer
        ids = report.resource_ids
        if ids is None:
            ids = tuple(one for _, one in attributed(report.dimensions, known.types_of_key("")))
        having = reader.customers_with(ids)
        owners = set.intersection(*having.values()) if having else set()
        if len(owners) > 1:
            raise AmbiguousResource(resource_ids=tuple(having), customer_ids=tuple(sorted(owners)))
        if not owners:
            raise InvalidRequest(
                where="customer_id",
                value=None,
                expected="the customer whose usage it is: no single customer has what it names",
            )
        return reader.customers(sorted(owners))[0]

    def _only_currency(self, reader: Reader, customer: CustomerRow, known: Known) -> str:
        rows = reader.currencies_of(customer.id)
        if not rows and len(known.currencies) == 1:
            return next(iter(known.currencies))
        if len(rows) != 1:
            names = sorted(known.currency_of_row[row][0] for row in rows) or sorted(known.currencies)
            raise InvalidRequest(
                where="credit_currency",
                value=None,
                expected=f"the currency of the amount, one of {', '.join(names) or '(none is defined)'}",
            )
        return known.currency_of_row[rows[0]][0]

    def _costs(
        self, report: Report, known: Known, customer_id: str, now_us: int
    ) -> list[tuple[str, int, int | None]]:
        """(currency, units, rate) of each currency that is charged: given, or by the rates of its instant."""
        if report.amounts:
            several = len(report.amounts) > 1
            costs: list[tuple[str, int, int | None]] = []
            for name, amount in report.amounts.items():
                assert name is not None  # the only currency was found before
                where = f"amounts[{name!r}]" if several else "amount"
                costs.append((name, to_units(amount, known.currency(name).decimals, where), None))
            return costs
        if report.event_name is None:
            raise InvalidRequest(
                where="amount",
                value=None,
                expected="an amount with its credit_currency, or an event_name that a rate prices",
            )
        at_us = now_us if report.occurred_at_us is None else report.occurred_at_us
        rates = known.rates(report.event_name, customer_id, report.dimensions, at_us)
        if report.credit_currency is not None:
            known.currency(report.credit_currency)
            rates = [rate for rate in rates if rate.currency_id == report.credit_currency]
        if not rates:
            raise RateNotFound(
                event_name=report.event_name, customer_id=customer_id, known=known.event_names()
            )
        decimals = {name: row.decimals for name, row in known.currencies.items()}
        priced = price(rates, report.dimensions, decimals)
        return [(name, units, rate) for name, (units, rate) in sorted(priced.items())]


def _are_of_type(named: Sequence[tuple[str | None, str]], types: dict[str, str]) -> bool:
    """Whether each resource is of the type that its dimension names."""
    return all(types[one] == wanted for wanted, one in named)
