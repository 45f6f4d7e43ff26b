"""Reading: what the ledger has, in plain form.

Here: the verbs that look back. Not here: how a report is made of rows (reports/).
"""

import os
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from stiggctl.errors import (
    AmbiguousResource,
    CustomerNotFound,
    InvalidRequest,
    ResourceNotFound,
    nearest,
    shown,
)
from stiggctl.events import read_id
from stiggctl.holder import Holder
from stiggctl.holder.in_force import limits_on
from stiggctl.holder.keeping import held_by_cell
from stiggctl.holder.trees import read_model
from stiggctl.ledger import Reader
from stiggctl.ledger.records import CellKey, CellRow, CustomerRow
from stiggctl.reports.events import BookedEvent, booked_event
from stiggctl.reports.grants import GrantState, grant_state, grants_in_order
from stiggctl.reports.holders import HolderState, holder_state
from stiggctl.reports.totals import Asked, By, read_grouping, read_totals
from stiggctl.reports.tree import TreeNode, build_tree
from stiggctl.reports.usage import UsageRow
from stiggctl.windows import END_US, FIRST_US, read_cadence, read_zone, to_datetime, to_us, windows_of


class AuditEntry(NamedTuple):
    """One change of the model: who, what, when, why; `before` and `after` are JSON text."""

    at: datetime
    customer_id: str | None
    actor: str | None
    reason: str | None
    verb: str
    subject: str
    before: str | None
    after: str | None


class Reading:
    """The part of a control that looks back."""

    _holder: Holder

    def tree(
        self,
        root_resource_id: str,
        credit_currency: str,
        *,
        customer_id: str | None = None,
        depth: int | None = None,
    ) -> TreeNode:
        """A resource and everything below it, with limit, used, held and remaining at each node.

        The numbers are those that decisions see, at this moment. `depth`: how many levels below it
        are read; 0: it alone. Left out: all.

        Raises ResourceNotFound, AmbiguousResource, CustomerNotFound, CurrencyNotFound, InvalidRequest.

        >>> control = getfixture("acme")
        >>> node = control.tree("user-01", "ai-tokens")
        >>> node.limit, node.used, node.held, node.remaining
        (200, 0, 0, 200)
        """
        holder = self._holder
        if depth is not None and (type(depth) is not int or depth < 0):
            raise InvalidRequest(where="depth", value=depth, expected="a whole number, 0 or more")
        currency = holder.known.currency(credit_currency)
        now_us = holder.clock.now_us()
        held = held_by_cell(list(holder.stripes.values()), now_us)
        with holder.ledger.reader() as reader:
            customer = _owner(reader, root_resource_id, customer_id)
            lineage = reader.lineage(customer.id, [root_resource_id])
            rows = reader.subtree(customer.id, root_resource_id, depth)
            model = read_model(reader, customer.id, [row.id for row in rows])
            in_force = limits_on(rows, model, currency.id, now_us, now_us)
            limits = [
                limit
                for of_row in in_force.values()
                for limit in of_row.limits
                if not limit.terms.only_counts
            ]
            cells = reader.cells([limit.wanted for limit in limits], holder.row)
            limited = {limit.resource for limit in limits}
            unlimited = [row.id for row in rows if row.id not in limited]
            used = reader.used_under(customer.id, currency.id, unlimited)
            self._add_held_elsewhere(reader, cells, held, now_us)
        return build_tree(
            rows,
            limits,
            cells,
            currency,
            held=held,
            used_without_limit=used,
            depth=len(lineage) - 1,
            now_us=now_us,
        )

    def grants(self, customer_id: str | None = None, credit_currency: str | None = None) -> list[GrantState]:
        """Prepaid credits: what each grant was, what is left of it, and whose it is.

        Of each customer and currency those that are open come first, in the order in which they
        burn; then those that begin later, then those that have expired or were voided.

        Raises CustomerNotFound, CurrencyNotFound.

        >>> control = getfixture("acme")
        >>> _ = control.grant_credits(
        ...     customer_id="cust-acme-inc", credit_currency="ai-tokens", grant_id="welcome", amount=100
        ... )
        >>> receipt = control.consume(resource_ids=["user-01"], credit_currency="ai-tokens", amount=30)
        >>> [(one.grant_id, one.amount, one.used, one.remaining) for one in control.grants()]
        [('welcome', 100, 30, 70)]
        """
        holder = self._holder
        currency = None if credit_currency is None else holder.known.currency(credit_currency).id
        now_us = holder.clock.now_us()
        held = held_by_cell(list(holder.stripes.values()), now_us)
        with holder.ledger.reader() as reader:
            customer = None if customer_id is None else _customer(reader, customer_id)
            currencies = {row.id: row for row in reader.currencies()}
            customer_ids = {row.id: row.customer_id for row in reader.customers()}
            rows = reader.grants(None if customer is None else customer.id)
            found = grants_in_order((row for row in rows if currency in (None, row.currency)), now_us)
            cells = reader.cells([one.limit.wanted for one in found], holder.row)
            self._add_held_elsewhere(reader, cells, held, now_us)
        return [
            grant_state(
                one, cells, held, customer_ids[one.row.customer], currencies[one.row.currency], now_us
            )
            for one in found
        ]

    def _add_held_elsewhere(
        self, reader: Reader, cells: Mapping[CellKey, CellRow], held: dict[int, int], now_us: int
    ) -> None:
        """What the pages of other processes say that they hold, never more than their shares."""
        holder = self._holder
        ids = [cell.id for cell in cells.values()]
        for cell, ends in holder.others.held(reader, ids, holder.row, now_us).items():
            held[cell] = held.get(cell, 0) + sum(end.units for end in ends)

    def usage(
        self,
        customer_id: str | None = None,
        *,
        group_by: str | None = None,
        bucket: str | None = None,
        timezone: str = "UTC",
        since: str | datetime | None = None,
        until: str | datetime | None = None,
        credit_currency: str | None = None,
        resource_id: str | None = None,
        resource_type_id: str | None = None,
        event_name: str | None = None,
    ) -> list[UsageRow]:
        """Booked usage, summed: by resource, event, customer or any dimension, and by time.

        All of one moment, exact, and the numbers that decisions see; what is held is not used. An
        event counts at its instant, however late it was booked; a reversal counts at the instant of
        what it takes back, as less than 0. Rows are those that have events: by bucket, then the
        largest amount first (of the first currency by id, then the next), then by key.

        By resource a row has what was charged to a resource or below it, as the tree was then. So an
        event is in the rows of its user, its team and its region: do not add these rows up.

        Args:
            customer_id: left out: of all customers together, but by resource and by customer.
            group_by: "resource", "event", "customer", or the name of a dimension, "model"; one that is
                called like one of the three is "dimensions.resource". Left out: one total, also of
                nothing. Events that have no such dimension, name or resource are in a row of key None.
            bucket: hour, day, week, month, year, or a duration as a cadence is: PT6H, P1D, P3M. Buckets
                are the very windows that limits of that cadence have.
            timezone: of the buckets, an IANA zone.
            since, until: instants; since is included, until is not. They may cut a bucket.
            resource_id: only what was charged to it or below it, as the tree was then.
            resource_type_id: with group_by="resource": only rows of resources of this type.

        Raises CustomerNotFound, ResourceNotFound, AmbiguousResource, CurrencyNotFound,
        InvalidTimestamp, and InvalidRequest, which says what would be right.

        >>> control = getfixture("acme")
        >>> for model, tokens in [("large", 30), ("small", 5), ("large", 12)]:
        ...     _ = control.consume(
        ...         resource_ids=["user-01"], credit_currency="ai-tokens", amount=tokens,
        ...         dimensions={"model": model},
        ...     )
        >>> [(row.key, row.amount, row.events) for row in control.usage(group_by="model")]
        [('large', 42, 2), ('small', 5, 1)]
        """
        holder = self._holder
        holder.require_open()
        grouping = read_grouping(group_by)
        zone = read_zone(timezone)
        windows = None if bucket is None else windows_of(read_cadence(bucket, "bucket"), zone)
        since_us = FIRST_US if since is None else to_us(since, "since")
        until_us = END_US if until is None else to_us(until, "until")
        currency = None if credit_currency is None else holder.known.currency(credit_currency)
        named = None if event_name is None else read_id(event_name, "event_name")
        if resource_type_id is not None and grouping.by is not By.RESOURCE:
            expected = 'group_by="resource" beside it: it says which resources have rows'
            raise InvalidRequest(where="resource_type_id", value=resource_type_id, expected=expected)
        with holder.ledger.reader() as reader:
            customer, resource = _whose(reader, customer_id, resource_id)
            if resource_type_id is not None:
                _require_type(reader, resource_type_id)
            return read_totals(
                reader,
                Asked(
                    customers=reader.customers() if customer is None else [customer],
                    of_all=customer is None,
                    grouping=grouping,
                    windows=windows,
                    since_us=since_us,
                    until_us=until_us,
                    currency=currency,
                    resource=resource,
                    type_id=resource_type_id,
                    event_name=named,
                ),
            )

    def events(
        self,
        customer_id: str | None = None,
        *,
        resource_id: str | None = None,
        event_name: str | None = None,
        since: str | datetime | None = None,
        until: str | datetime | None = None,
    ) -> Iterator[BookedEvent]:
        """Booked usage in ledger order, as a stream; `since` included, `until` not.

        Args:
            resource_id: only what was charged to it or below it, as the tree was then.

        Raises CustomerNotFound, ResourceNotFound, AmbiguousResource, InvalidTimestamp.
        """
        holder = self._holder
        holder.require_open()
        since_us = None if since is None else to_us(since, "since")
        until_us = None if until is None else to_us(until, "until")
        with holder.ledger.reader() as reader:
            customer, resource = _whose(reader, customer_id, resource_id)
        return self._events(customer, resource, event_name, since_us, until_us)

    def _events(
        self,
        customer: CustomerRow | None,
        resource: int | None,
        event_name: str | None,
        since_us: int | None,
        until_us: int | None,
    ) -> Iterator[BookedEvent]:
        with self._holder.ledger.reader() as reader:
            currencies = {row.id: (row.currency_id, row.decimals) for row in reader.currencies()}
            customer_ids = {row.id: row.customer_id for row in reader.customers()}
            named: dict[int, str] = {}
            for row in reader.events(
                None if customer is None else customer.id,
                resource=resource,
                event_name=event_name,
                since_us=since_us,
                until_us=until_us,
            ):
                unnamed = [one for one in row.members if one not in named]
                if unnamed:
                    if len(named) > NAMES_MAX:
                        named = {}
                        unnamed = list(row.members)
                    named |= {one.id: one.resource_id for one in reader.resources_by_row(unnamed)}
                yield booked_event(row, customer_ids[row.customer], currencies, named)

    def audit(
        self,
        customer_id: str | None = None,
        *,
        since: str | datetime | None = None,
        until: str | datetime | None = None,
    ) -> Iterator[AuditEntry]:
        """Who changed what of the model, when and why; oldest first."""
        self._holder.require_open()
        since_us = None if since is None else to_us(since, "since")
        until_us = None if until is None else to_us(until, "until")
        return self._audit(customer_id, since_us, until_us)

    def _audit(
        self, customer_id: str | None, since_us: int | None, until_us: int | None
    ) -> Iterator[AuditEntry]:
        with self._holder.ledger.reader() as reader:
            for line in reader.audit(customer_id, since_us, until_us):
                yield AuditEntry(
                    at=to_datetime(line.at_us),
                    customer_id=line.customer_id,
                    actor=line.actor,
                    reason=line.reason,
                    verb=line.verb,
                    subject=line.subject,
                    before=line.before,
                    after=line.after,
                )

    def holders(self) -> list[HolderState]:
        """The processes that spend from this ledger: who is alive, what each holds and hides.

        One that only checks or reads is none of them. What a process hides it may spend without asking;
        others that need it ask for it, and have it a moment later.

        >>> control = getfixture("acme")  # user-01 may spend 200 ai-tokens
        >>> held = control.reserve(resource_ids=["user-01"], credit_currency="ai-tokens", amount=75)
        >>> [me] = control.holders()
        >>> [(share.resource_id, share.held, share.hidden) for share in me.shares][-1]
        ('user-01', 75, 125)
        """
        holder = self._holder
        holder.require_open()
        now_us = holder.clock.now_us()
        with holder.ledger.reader() as reader:
            change, rows, holdings = reader.state().change, reader.holders(), reader.holdings()
        return [holder_state(row, holdings, holder.others.look(row, now_us), change=change) for row in rows]

    def backup(self, to: str | os.PathLike[str]) -> None:
        """Copy the ledger to a file that is not there yet, while this and other processes go on.

        The copy is of one moment, with all that was booked by then. It is a ledger of its own: what
        processes held of this one is free in it, for their calls cannot reach it.

        Raises LedgerError where something is there already, or the file cannot be made.

        >>> control, room = getfixture("acme"), getfixture("tmp_path")
        >>> control.backup(room / "copy.db")
        >>> with type(control)(room / "copy.db", create=False) as copy:
        ...     copy.verify()
        []
        """
        self._holder.require_open()
        self._holder.ledger.copy(Path(to).absolute())


#: Resource ids that a stream of events remembers; a million users would else all stay in memory.
NAMES_MAX = 50_000


def _customer(reader: Reader, customer_id: str) -> CustomerRow:
    customers = reader.customers([customer_id])
    if not customers:
        raise CustomerNotFound(customer_id=customer_id)
    return customers[0]


def _whose(
    reader: Reader, customer_id: str | None, resource_id: str | None
) -> tuple[CustomerRow | None, int | None]:
    """The customer and the resource (its row) that are meant; None: all."""
    if resource_id is not None:
        customer = _owner(reader, resource_id, customer_id)
        return customer, reader.lineage(customer.id, [resource_id])[-1].id
    return (None if customer_id is None else _customer(reader, customer_id)), None


def _require_type(reader: Reader, resource_type_id: object) -> None:
    known = {one.type_id for one in reader.types()}
    if resource_type_id in known:
        return
    meant = nearest(resource_type_id, known) if isinstance(resource_type_id, str) else None
    hint = "" if meant is None else f": did you mean {shown(meant)}?"
    raise InvalidRequest(
        where="resource_type_id", value=resource_type_id, expected=f"a resource type that exists{hint}"
    )


def _owner(reader: Reader, resource_id: str, customer_id: str | None) -> CustomerRow:
    """The customer whose resource is meant."""
    having = reader.customers_with([resource_id]).get(resource_id, set())
    if customer_id is not None:
        customer = _customer(reader, customer_id)
        if customer_id not in having:
            raise ResourceNotFound(resource_ids=(resource_id,), customer_id=customer_id)
        return customer
    if not having:
        raise ResourceNotFound(resource_ids=(resource_id,), customer_id=None)
    if len(having) > 1:
        raise AmbiguousResource(resource_ids=(resource_id,), customer_ids=tuple(sorted(having)))
    return _customer(reader, next(iter(having)))
