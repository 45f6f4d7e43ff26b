"""Proving: what the numbers of a look say by themselves: why it is refused, whether they deny, how much fits.

Here: reading sights. Not here: what is done about it (asking.py), the one comparison (decision/decide.py).
"""

from collections.abc import Sequence

from stiggctl.answers import Circumstances, RawLimit, Refusal, Sight
from stiggctl.decision.decide import Met, shrunk
from stiggctl.decision.portions import Portion
from stiggctl.holder.others import Beside


def refusal_of(sights: Sequence[Sight]) -> Refusal | None:
    """Why the path is refused whatever its numbers are; the first currency that says so."""
    for sight in sights:
        refusal: Refusal | None = getattr(sight[0], "refusal", None)
        if refusal is not None:
            return refusal
    return None


def proves_denial(met: Met, beside: Beside) -> bool:
    """Whether the numbers of some HARD limit show that the amount does not fit (Q1).

    Of what others have only what certainly is held counts: not what a page says beside a share that is not
    exact, for a settle may be between its commit and the fall of its page.
    """
    certain = {cell: (one.certain, ()) for cell, one in beside.cells.items()}
    circumstances = Circumstances(orphans=met.orphans, beside=certain)
    return any(raw.room < raw.amount for sight in met.sights for raw in _hard_limits(sight, circumstances))


def portioned(sights: tuple[Sight, ...], portion: Portion | None) -> tuple[Sight, ...]:
    """What was looked at, asking for as much of it as the numbers of its limits leave."""
    if portion is None:
        return sights
    rooms = [
        min([raw.room for raw in _hard_limits(sight, Circumstances())], default=None) for sight in sights
    ]
    return shrunk(sights, portion, rooms)


def _hard_limits(sight: Sight, circumstances: Circumstances) -> list[RawLimit]:
    limits: list[RawLimit] = sight[0].raw_limits(sight, circumstances)
    return [raw for raw in limits if raw.hard]
