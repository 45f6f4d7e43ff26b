"""Denying: the verdict that everything is denied, for one reason.

Here: how it is given, and what such a denial has. Not here: the ledger that it is given on
(standin.py), what a test writes (verdicts.py).

What always holds:
  DY1  It is never mistaken for a decision of the limits: its sentence says who gave it.
  DY2  It has what a real denial of its reason has: a limit that denies, where a limit is the reason.
"""

from collections.abc import Mapping

from stiggctl.answers import AccessDeniedReason, Circumstances, Decision, NoLimits, RawLimit, Refusal, Sight
from stiggctl.decision.portions import Portion
from stiggctl.errors import LedgerUnavailable
from stiggctl.events import Report
from stiggctl.holder import Holder
from stiggctl.holder.asked import Asked, Hoped, read_minimum
from stiggctl.holder.asking import Answer, Asking
from stiggctl.holder.orders import Order
from stiggctl.testing.standin import Reported, StandIn

_LIMITS = (AccessDeniedReason.BUDGET_EXCEEDED, AccessDeniedReason.INSUFFICIENT_CREDITS)
#: What a denial is about, and what it says of it.
_REFUSALS: Mapping[AccessDeniedReason, tuple[str, str]] = {
    AccessDeniedReason.CUSTOMER_NOT_FOUND: ("customer {customer}", "does not exist"),
    AccessDeniedReason.CUSTOMER_ARCHIVED: ("customer {customer}", "is archived"),
    AccessDeniedReason.RESOURCE_NOT_FOUND: ("resource {resource}", "does not exist"),
    AccessDeniedReason.RESOURCE_ARCHIVED: ("resource {resource}", "is archived"),
    AccessDeniedReason.SUSPENDED: ("resource {resource}", "is suspended"),
    AccessDeniedReason.NO_ALLOCATION: ("customer {customer}", "has no allocation for what was asked for"),
    AccessDeniedReason.LEDGER_UNAVAILABLE: ("the ledger", "cannot be reached"),
    AccessDeniedReason.SHARE_UNAVAILABLE: ("the room that it needs", "is another process's"),
}


class Denying(StandIn):
    """Denies whatever is asked, for one reason."""

    def __init__(self, own: Holder, reason: AccessDeniedReason) -> None:
        super().__init__(own)
        self.asking = _AskingDenied(self, reason)
        if reason is AccessDeniedReason.LEDGER_UNAVAILABLE:
            self.bookings = _OutOfReach(self)


class _AskingDenied(Asking):
    def __init__(self, holder: StandIn, reason: AccessDeniedReason) -> None:
        super().__init__(holder)
        self._stand_in = holder
        self._reason = reason

    def customer_of(self, asked: Asked) -> str | None:
        return self._stand_in.customer_of(asked)

    def look(self, asked: Asked, now_us: int, portion: Portion | None = None) -> Decision:
        del portion  # no part of it is allowed either
        return self._denied(self._stand_in.defined(asked), now_us, None)

    def take(self, asked: Asked, hoped: Hoped, now_us: int) -> Answer:
        asked = self._stand_in.defined(asked)
        decision = self._denied(asked, now_us, hoped.number)
        if hoped.minimum is not None and not isinstance(hoped.minimum, Portion):
            ((described, _, _, _, units, _),) = decision.sights  # of one currency, with a minimum
            read_minimum(hoped.minimum, described.decimals, units)
        return Answer(decision, sights=decision.sights)

    def _denied(self, asked: Asked, now_us: int, number: int | None) -> Decision:
        holder, reason = self._stand_in, self._reason
        known = holder.known
        refusal: Refusal | None = None
        if reason in _LIMITS:
            of = self._named_first(asked)
            sights = [
                _Spent(name, known.currency(name).decimals, *of).sight(units)
                for name, units in asked.units(known)
            ]
        else:
            subject, detail = _REFUSALS[reason]
            subject = subject.format(customer=asked.customer_id, resource=asked.ids[0])
            refusal = Refusal(reason, subject, detail)
            sights = [
                NoLimits(name, known.currency(name).decimals).sight(units)
                for name, units in asked.units(known)
            ]
        told = Circumstances(refusal=refusal, told_by="stiggctl.testing.deny")
        return Decision(reason, tuple(sights), now_us, holder.ids, told, number)

    def _named_first(self, asked: Asked) -> tuple[str, str, int]:
        """Id, type and depth of the resource whose limit denies."""
        assert asked.customer_id is not None  # it is defined
        with self._stand_in.ledger.reader() as reader:
            customer = reader.customers([asked.customer_id])[0]
            lineage = reader.lineage(customer.id, asked.ids[:1])
        return asked.ids[0], lineage[-1].type_id, len(lineage) - 1


class _Spent(NoLimits):
    """A limit with nothing left, on the resource that was named first."""

    __slots__ = ("_depth", "_resource_id", "_type_id")

    def __init__(
        self, credit_currency: str, decimals: int, resource_id: str, type_id: str, depth: int
    ) -> None:
        super().__init__(credit_currency, decimals)
        self._resource_id = resource_id
        self._type_id = type_id
        self._depth = depth

    def raw_limits(self, sight: Sight, circumstances: Circumstances) -> list[RawLimit]:
        del circumstances
        units = sight[4]
        return [
            RawLimit(
                depth=self._depth,
                resource_type_id=self._type_id,
                resource_id=self._resource_id,
                credit_currency=self.credit_currency,
                allocation_id=f"{self._resource_id}/{self.credit_currency}",
                decimals=self.decimals,
                hard=True,
                limit=0,
                used=0 if units else 1,  # a request for nothing fits a limit until it is passed
                held=0,
                amount=units,
            )
        ]


class _OutOfReach(Reported):
    """Books nothing, as where the ledger cannot be reached."""

    def order(self, report: Report, now_us: int) -> Order:
        del report, now_us
        raise LedgerUnavailable(
            location=self._stand_in.location,
            reason="nothing was booked: the ledger cannot be reached, so says stiggctl.testing.deny",
            remedy="try again, with the same idempotency_key",
        )
