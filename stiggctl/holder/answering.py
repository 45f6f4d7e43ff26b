"""Answering: the decision that a look or a take ends in.

Here: the yes, the no and its circumstances, and what is said where no limit decided. Not here: what
was met and how it was come by (asking.py), its sentence (answers.py).

  Q3  Where the ledger cannot be reached, `on_ledger_failure` decides, and the decision says so.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from stiggctl.answers import AccessDeniedReason, Circumstances, Decision, NoLimits, Refusal, Sight
from stiggctl.decision.decide import Met, Wants
from stiggctl.decision.holds import Hold
from stiggctl.errors import LedgerUnavailable
from stiggctl.holder.asked import Asked
from stiggctl.holder.known import Known
from stiggctl.holder.others import ALONE, Beside
from stiggctl.holder.proving import proves_denial, refusal_of
from stiggctl.holder.recalling import RECALL_SECONDS
from stiggctl.ledger.records import HolderRow

if TYPE_CHECKING:
    from stiggctl.holder.holder import Holder


class Answering:
    """Decisions, for one holder."""

    def __init__(self, holder: "Holder") -> None:
        self._holder = holder

    def decision(
        self,
        sights: tuple[Sight, ...],
        now_us: int,
        number: int | None = None,
        *,
        met: Hold | Met | None = None,
        beside: Beside = ALONE,
    ) -> Decision:
        """A no where something refuses it, or the numbers of what was met do not let it through.

        `beside`: what others have; a look from the ledger has counted it already.
        """
        ids = self._holder.ids
        refusal = refusal_of(sights)
        if refusal is not None:
            return Decision(refusal.reason, sights, now_us, ids, Circumstances(refusal=refusal), number)
        if not isinstance(met, Met) or not proves_denial(met._replace(sights=sights), beside):
            return Decision(None, sights, now_us, ids, number=number)
        circumstances = Circumstances(
            holds=met.holds,
            orphans=met.orphans,
            buckets=met.buckets,
            beside={cell: (one.held, one.ends) for cell, one in beside.cells.items()},
        )
        # A limit denies; where the pool does, the decision says so when it is asked.
        return Decision(AccessDeniedReason.BUDGET_EXCEEDED, sights, now_us, ids, circumstances, number)

    def refused(self, refusal: Refusal, units: Sequence[tuple[str, int]], now_us: int) -> Decision:
        """A no that looked at no limit."""
        return Decision(
            refusal.reason, self._blank(units), now_us, self._holder.ids, Circumstances(refusal=refusal)
        )

    def _known_still(self) -> Known:
        """The small part of the model: where only writing is out of reach, as it is now."""
        try:
            return self._holder.known
        except LedgerUnavailable:
            return self._holder.last_known

    def _blank(self, units: Sequence[tuple[str, int]]) -> tuple[Sight, ...]:
        known = self._known_still()
        return tuple(NoLimits(name, known.currency(name).decimals).sight(number) for name, number in units)

    def without_ledger(self, asked: Asked, trouble: LedgerUnavailable, now_us: int) -> Decision:
        """What the policy says where the ledger cannot be reached (Q3)."""
        holder = self._holder
        if not trouble.unreachable:
            holder.require_open()  # closed under this call: that is what there is to say
            raise trouble
        holder.report_trouble(trouble)
        units = asked.units(self._known_still())
        if holder.options.on_ledger_failure == "fail_open":
            circumstances = Circumstances(policy="fail_open")
            return Decision(None, self._blank(units), now_us, holder.ids, circumstances)
        refusal = Refusal(
            AccessDeniedReason.LEDGER_UNAVAILABLE, "the ledger", f"cannot be reached: {trouble.why}"
        )
        return self.refused(refusal, units, now_us)

    def hidden(self, wants: Wants, silent: Sequence[HolderRow], now_us: int) -> Decision:
        """Who may have what lacks did not answer; where nobody has it any more, it went to others."""
        units = [(strand.credit_currency, number) for strand, number in wants]
        return self.refused(_silence(silent) if silent else _RACE, units, now_us)

    def lost_races(self, wants: Wants, now_us: int) -> Decision:
        """What it needs was there each time, and gone when it came."""
        return self.hidden(wants, (), now_us)


def _silence(silent: Sequence[HolderRow]) -> Refusal:
    """Others may have what lacks, and did not answer within the time that they have."""
    pids = sorted({row.pid for row in silent})
    who = f"process{'es' if len(pids) > 1 else ''} {', '.join(map(str, pids))}"
    return Refusal(
        AccessDeniedReason.SHARE_UNAVAILABLE,
        "the room that it needs",
        f"may be with {who}, which did not answer within {RECALL_SECONDS} s; try again",
    )


_RACE = Refusal(
    AccessDeniedReason.SHARE_UNAVAILABLE,
    "the room that it needs",
    "was taken by others each time that it was asked for; try again",
)
