"""Ways: how the path of an order or a wish is found, now or later.

Here: by ids, or by the members that admitted it. Not here: loading it (trees.py).
"""

from stiggctl.answers import Sight
from stiggctl.decision.cells import Stripe
from stiggctl.decision.paths import Tail


def way_of(stripe: Stripe, ids: tuple[str, ...], sight: Sight) -> "Way":
    """The path that admitted something, wherever its resources stand later."""
    tail, _, own, first, _, _ = sight
    return Way(stripe, ids, frozenset(tail.ids | {first}), own[0].version)


class Way:
    """How to find the path of an order or a wish: by ids, or by its members where it is fixed."""

    __slots__ = ("fixed", "ids", "members", "stripe", "version")

    def __init__(
        self,
        stripe: Stripe,
        ids: tuple[str, ...],
        members: frozenset[str] | None = None,
        version: int | None = None,
    ) -> None:
        self.stripe = stripe
        self.ids = ids  #: resources that exist; the first leads
        #: of a path that was admitted: they and all above, as they were then
        self.members = members
        self.version = version  #: of the model under which `ids` lead to `members`
        #: (version, the path of `members` under it), one tail a currency
        self.fixed: tuple[int, list[Tail]] | None = None

    @property
    def by_ids(self) -> bool:
        """Whether the ids still lead there."""
        return self.members is None or self.version == self.stripe.version
