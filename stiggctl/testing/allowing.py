"""Allowing: the verdict that everything is allowed.

Here: how it is given. Not here: the ledger that it is given on (standin.py), what a test writes
(verdicts.py).

What always holds:
  AW1  It is never mistaken for a decision of the limits: its sentence says who gave it.
"""

from stiggctl.answers import Circumstances, Decision, Sight
from stiggctl.decision.portions import Portion
from stiggctl.holder import Holder
from stiggctl.holder.asked import Asked, Hoped
from stiggctl.holder.asking import Answer, Asking
from stiggctl.testing.standin import StandIn


class Allowing(StandIn):
    """Allows whatever is asked."""

    def __init__(self, own: Holder) -> None:
        super().__init__(own)
        self.asking = _AskingAllowed(self)


class _AskingAllowed(Asking):
    def __init__(self, holder: StandIn) -> None:
        super().__init__(holder)
        self._stand_in = holder

    def customer_of(self, asked: Asked) -> str | None:
        return self._stand_in.customer_of(asked)

    def look(self, asked: Asked, now_us: int, portion: Portion | None = None) -> Decision:
        del portion  # all of it is allowed
        decision = super().look(self._stand_in.defined(asked), now_us)
        return self._yes(decision.sights, now_us) if decision.has_access else decision

    def take(self, asked: Asked, hoped: Hoped, now_us: int) -> Answer:
        answer = super().take(self._stand_in.defined(asked), hoped, now_us)
        if answer.decision is not None and not answer.decision.has_access:
            return answer  # what no verdict changes: a ledger in memory that is full, say
        return answer._replace(decision=self._yes(answer.sights, now_us, hoped.number))

    def _yes(self, sights: tuple[Sight, ...], now_us: int, number: int | None = None) -> Decision:
        told = Circumstances(told_by="stiggctl.testing.allow_all")
        return Decision(None, sights, now_us, self._stand_in.ids, told, number)
