"""Ways: how the path of an order or a wish is found, now or later.

Here: by ids, or by the members that admitted it; which limits its dimensions meet. Not here:
loading it (trees.py).
"""

from collections.abc import Mapping, Sequence

from stiggctl.answers import Sight
from stiggctl.decision.cells import CELL, Stripe
from stiggctl.decision.decide import Rest
from stiggctl.decision.meeting import Meeting, key_of
from stiggctl.decision.sights import members_of
from stiggctl.decision.tails import Tail
from stiggctl.events import DimensionValue, canonical_text
from stiggctl.ledger.forgetting import Forgotten

Dimensions = Mapping[str, DimensionValue]

_EVERY_LIMIT = Meeting()


def meeting_of(stripe: Stripe, dimensions: Dimensions) -> Meeting:
    """Which limits a request with these dimensions meets."""
    scoped = stripe.scoped
    if not scoped:
        return _EVERY_LIMIT
    return Meeting(
        scoped,
        tuple([canonical_text(dimensions[name], name) if name in dimensions else None for name in scoped]),
    )


def rest_of(stripe: Stripe, ids: Sequence[str], dimensions: Dimensions) -> Rest:
    """What a request's tail is found by, beside the first of its ids."""
    return tuple(ids[1:]) if not stripe.scoped else key_of(ids[1:], meeting_of(stripe, dimensions))


def way_of(stripe: Stripe, ids: tuple[str, ...], dimensions: Dimensions, sight: Sight) -> "Way":
    """The path that admitted something, wherever its resources stand later."""
    tail, _, own, first, _, _ = sight
    way = Way(stripe, ids, dimensions, frozenset(tail.ids | {first}), own[0].version)
    way.admitted = sight
    return way


class Way:
    """How to find the path of an order or a wish: by ids, or by its members where it is fixed."""

    __slots__ = (
        "_fixed",
        "admitted",
        "dimensions",
        "forgotten",
        "grant_cells",
        "grants",
        "ids",
        "members",
        "stripe",
        "version",
    )

    def __init__(
        self,
        stripe: Stripe,
        ids: tuple[str, ...],
        dimensions: Dimensions,
        members: frozenset[str] | None = None,
        version: int | None = None,
        grants: frozenset[int] = frozenset(),
    ) -> None:
        self.stripe = stripe
        self.grants = grants  #: rows of those that are paid back, open or not
        self.grant_cells: dict[int, int] = {}  #: row -> cell of these, in the window of the instant
        self.ids = ids  #: resources that exist; the first leads
        self.dimensions = dimensions  #: they say which limits with a scope it meets
        #: of a path that was admitted: they and all above, as they were then
        self.members = members
        self.version = version  #: of the model under which `ids` lead to `members`
        #: what says by which rows its members are the same, whatever they are called later
        self.admitted: Sight | tuple[int, ...] | None = None
        self.forgotten: tuple[Forgotten, ...] = ()  #: those of its members that were erased since
        #: (version, the path under it), one tail a currency: of members, or of another instant
        self._fixed: tuple[int, list[Tail]] | None = None

    @property
    def by_ids(self) -> bool:
        """Whether the ids still lead there."""
        return self.members is None or self.version == self.stripe.version

    def leads_to(self, resource_id: str) -> bool:
        """Whether its path has this resource, of those that were read for it."""
        return self.by_ids or resource_id in (self.members or ())

    @property
    def rows(self) -> tuple[int, ...] | None:
        """The rows of its members; None where it is found by ids alone."""
        admitted = self.admitted
        if admitted is None or not admitted or isinstance(admitted[0], int):
            return admitted  # type: ignore[return-value]  # rows, or nothing
        return members_of(admitted)  # type: ignore[arg-type]  # a sight begins with its tail

    @property
    def rest(self) -> Rest:
        """What its tail is found by, beside the first id."""
        return rest_of(self.stripe, self.ids, self.dimensions)

    def fix(self, version: int, tails: list[Tail], grant_cells: dict[int, int]) -> None:
        """Remember a path that is not found by ids."""
        self._fixed = (version, tails)
        self.grant_cells = grant_cells

    def tails_at(self, at_us: int) -> list[Tail] | None:
        """The path that was fixed, if it is that of the instant and all its cells lie where they did.

        The caller has the stripe's lock.
        """
        if self._fixed is None or self._fixed[0] != self.stripe.version:
            return None
        tails, numbers = self._fixed[1], self.stripe.numbers
        for tail in tails:
            if not tail.from_us <= at_us < tail.until_us:
                return None
            lying = (
                *zip(tail.places, tail.cells, strict=True),
                *zip(tail.grant_places, tail.grant_cells, strict=True),
            )
            if any(numbers[place + CELL] != cell for place, cell in lying):
                return None
        return tails
