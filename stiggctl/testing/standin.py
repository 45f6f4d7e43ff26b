"""The stand-in: a holder on a ledger in memory, in the place of a control's own.

Here: what a verdict's holder has in common: its ledger, and what is defined in it because it was
named. Not here: the verdicts (allowing.py, denying.py), what a test writes (verdicts.py), how a
holder works otherwise (holder/).

The seam is the holder, for every verb of both faces goes through it, as what is built on them does.
Its parts that decide (`asking`) and read reports (`bookings`) are others, and in its ledger nothing
denies. The half of a verb that never waits finds no strand, so every decision is asked of `asking`.

What always holds:
  SI1  What is named and not defined is defined before it is asked about; nothing else is changed.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from threading import Lock
from typing import Any

from stiggctl.amounts import Amount
from stiggctl.decision.cells import CUSTOMER, Strand, Stripe
from stiggctl.decision.nodes import Node
from stiggctl.definitions import Applied, UsageModel, draft_of
from stiggctl.events import Report
from stiggctl.holder import Holder, models
from stiggctl.holder.asked import Asked
from stiggctl.holder.booking import Bookings
from stiggctl.holder.costs import is_money
from stiggctl.holder.nodes import NOBODY
from stiggctl.holder.orders import Order
from stiggctl.holder.trees import Found, Trees
from stiggctl.ledger import Reader
from stiggctl.ledger.opening import MEMORY, open_ledger
from stiggctl.ledger.records import CustomerRow, ModelChange

#: Of whom, and of what type, a resource is that nobody defined: seen in a tree, it explains itself.
MADE_BY_A_TEST = "made-by-a-test"
#: Of a currency that nobody defined and whose first amount is no int: as money has in a model.
_DECIMALS = 9


class StandIn(Holder):
    """A holder of its own, with the model of another, to which everything may be asked."""

    def __init__(self, own: Holder) -> None:
        with own.ledger.reader() as reader:
            model = models.export(reader, at_us=own.clock.now_us())
        ledger = open_ledger(MEMORY)
        options = own.options._replace(default_access="allow")
        super().__init__(ledger, MEMORY, ledger.path.with_name(f"{ledger.path.name}-holders"), options)
        self._making = Lock()  # two that name the same new resource define it once
        self.trees = _Lenient(self)
        self.bookings = Reported(self)
        self._add(model)
        self.become_holder()

    @property
    def strands(self) -> dict[tuple[str | None, str | None], Strand]:
        """None, ever: the half that never waits knows no verdict."""
        return {}

    @strands.setter
    def strands(self, strands: dict[tuple[str | None, str | None], Strand]) -> None:
        del strands

    def change_model(self, plan: Callable[[Reader], tuple[ModelChange, Applied]]) -> Applied:
        """Change it as planned; but a limit is written as SOFT, so that none denies."""

        def softened(reader: Reader) -> tuple[ModelChange, Applied]:
            change, applied = plan(reader)
            change.allocations[:] = [replace(limit, enforcement="SOFT") for limit in change.allocations]
            return change, applied

        return super().change_model(softened)

    # ---------------------------------------------------------------- what is defined when it is named

    def defined(self, asked: Asked) -> Asked:
        """The request, its customer named; what it names is there (SI1)."""
        self.define_currencies(dict(asked.amounts))
        return asked._replace(customer_id=self.define_resources(asked.customer_id, asked.ids))

    def customer_of(self, asked: Asked) -> str:
        """Whose call it is; one without a currency costs dollars, where no event has another price."""
        known = self.known
        if not asked.amounts and not known.event_names() and not any(map(is_money, known.currencies)):
            asked = asked._replace(amounts=(("usd", Decimal(0)),))
        customer_id = self.defined(asked).customer_id
        assert customer_id is not None  # it is defined
        return customer_id

    def define_currencies(self, amounts: Mapping[str, Amount | None]) -> None:
        """Define those that there are not, with the decimals that their first amount may need."""
        with self._making:
            known = self.known.currencies
            lacking = [
                {"id": name, "decimals": 0 if type(amount) is int or amount is None else _DECIMALS}
                for name, amount in amounts.items()
                if name not in known
            ]
            if lacking:
                self._add({"creditCurrencies": lacking})

    def define_resources(self, customer_id: str | None, ids: Sequence[str]) -> str:
        """Define those that the customer has not, and the customer; which one is meant."""
        with self._making:
            with self.ledger.reader() as reader:
                having = reader.customers_with(ids)
                owner = customer_id or _owner(having.values(), reader.customers(most=2))
                is_there = bool(reader.customers([owner]))
            lacking = [one for one in dict.fromkeys(ids) if owner not in having.get(one, ())]
            model: dict[str, Any] = {
                "customers": [] if is_there else [{"id": owner}],
                "resourceTypes": [{"id": MADE_BY_A_TEST}] if lacking else [],
                "resources": [
                    {"id": one, "resourceTypeId": MADE_BY_A_TEST, "customerId": owner} for one in lacking
                ],
            }
            if any(model.values()):
                self._add(model)
        return owner

    def _add(self, model: Mapping[str, Any] | UsageModel) -> None:
        draft, at_us = draft_of(model), self.clock.now_us()
        self.change_model(
            lambda reader: models.plan(
                draft, reader, prune=False, at_us=at_us, actor="stiggctl.testing", reason="a test named it"
            )
        )


def _owner(having: Iterable[set[str]], customers: Sequence[CustomerRow]) -> str:
    """The customer that has most of the resources, else the model's only one, else a new one."""
    counted: dict[str, int] = {}
    for one in (customer_id for those in having for customer_id in those):
        counted[one] = counted.get(one, 0) + 1
    if counted:
        return min(counted, key=lambda one: (-counted[one], one))
    return customers[0].customer_id if len(customers) == 1 else MADE_BY_A_TEST


class _Lenient(Trees):
    """Trees in which nobody is suspended or archived, or has a pool: what has none is paid by none."""

    def _read(
        self,
        stripe: Stripe,
        strands: Sequence[Strand],
        ids: Iterable[str],
        at_us: int,
        paid_back: Collection[int] = (),
    ) -> Found | None:
        found = super()._read(stripe, strands, ids, at_us, paid_back)
        if found is None:
            return None
        return found._replace(
            customer=replace(found.customer, archived_at_us=None),
            nodes=[
                (strand, _unrefused({**nodes, CUSTOMER: NOBODY}), None) for strand, nodes, _ in found.nodes
            ],
        )


def _unrefused(nodes: Mapping[str, Node]) -> dict[str, Node]:
    """The same nodes, ancestors first as they came, none refused."""
    unrefused: dict[str, Node] = {}
    for name, node in nodes.items():
        unrefused[name] = node._replace(
            parent=None if node.parent is None else unrefused[node.parent.resource_id],
            refusal=None,
        )
    return unrefused


class Reported(Bookings):
    """Books what is reported, of whomever it is."""

    def __init__(self, holder: StandIn) -> None:
        super().__init__(holder)
        self._stand_in = holder

    def order_at_once(self, report: Report, now_us: int) -> Order | None:
        """None: what it names may have to be defined first."""
        del report, now_us
        return None

    def order(self, report: Report, now_us: int) -> Order:
        """The order, once what it names is there."""
        holder, ids = self._stand_in, report.resource_ids or ()
        holder.define_currencies({name: one for name, one in report.amounts.items() if name is not None})
        with holder.ledger.reader() as reader:
            nobody = not reader.customers(most=1)
        # Else its dimensions name resources, and those their customer.
        if report.customer_id is not None or ids or nobody:
            report.customer_id = holder.define_resources(report.customer_id, ids)
        return super().order(report, now_us)
