"""Sights: what a decision keeps of the moment it was made in, before anybody asks for more.

Here: the raw numbers and what goes with them; who can tell the limits behind them.
Not here: what people read of them (decision.py).
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from stiggctl.answers.limits import AccessDeniedReason, RawLimit


class Refusal(NamedTuple):
    """A reason that is no limit, and what it is about."""

    reason: AccessDeniedReason
    subject: str  #: "resource user-01"
    detail: str  #: "is suspended until …: …"
    until_us: int | None = None


class Circumstances(NamedTuple):
    """What only a denial, or an unusual yes, has to keep beside its numbers."""

    refusal: Refusal | None = None
    holds: tuple[Any, ...] = ()  #: what was held in the stripe at that moment
    orphans: Mapping[int, tuple[tuple[int, int], ...]] = {}  #: place -> (units, until_us)
    buckets: Mapping[int, Sequence[tuple[int, int]]] = {}  #: cell -> (start_us, units)
    #: cell -> what other processes were seen to hold of it, which takes the place of what of theirs counts in
    #: the numbers; and until when, as far as that is known: (units, until_us)
    beside: Mapping[int, tuple[int, Sequence[tuple[int, int]]]] = {}
    policy: str | None = None  #: "fail_open" where the ledger could not be asked
    told_by: str | None = None  #: who decided in the place of the limits: a test


#: Who describes it (a Describes: a Tail of decision/paths.py, nearly always), the numbers
#: gathered, the first resource's own record, its id, the units asked for, and where it lies.
Sight = tuple[Any, tuple[int, ...], list[Any], str, int, int]


class Describes(Protocol):
    """What can tell the limits behind the numbers of a sight."""

    @property
    def credit_currency(self) -> str:
        """The currency of all the limits."""
        ...

    @property
    def decimals(self) -> int:
        """The decimals of that currency."""
        ...

    def raw_limits(self, sight: Sight, circumstances: Circumstances) -> list[RawLimit]:
        """Every limit that was looked at, in units."""
        ...


class Identities(Protocol):
    """Gives out ids that are never used twice."""

    def number_beside(self) -> int:
        """A number that was not given out before, for an answer that needed none until now."""
        ...

    def id_of(self, number: int) -> str:
        """The id of that number, as people see it."""
        ...


class NoLimits:
    """Describes a request whose limits were not looked at: what it asked for, and nothing else."""

    __slots__ = ("credit_currency", "decimals")

    def __init__(self, credit_currency: str, decimals: int) -> None:
        self.credit_currency = credit_currency
        self.decimals = decimals

    def raw_limits(self, sight: Sight, circumstances: Circumstances) -> list[RawLimit]:
        """None."""
        del sight, circumstances
        return []

    def sight(self, units: int) -> Sight:
        """A sight of nothing, for so much."""
        return (self, (), [], "", units, 0)
