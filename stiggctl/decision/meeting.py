"""Meeting: which limits a request meets, by what it says of the dimensions that scopes name.

Here: what a request says beside what scopes ask. Not here: the comparison (scopes.py), how a dimension
becomes text (events.py), which scopes there are (holder/trees.py), the path that follows (paths.py).
"""

from collections.abc import Sequence
from typing import NamedTuple

from stiggctl.scopes import filter_of

#: What a request says of the dimensions that scopes name (`Stripe.scoped`), as canonical text; None: nothing.
Texts = tuple[str | None, ...]


class Meeting(NamedTuple):
    """Which limits a request meets: the dimensions that scopes name, and what it says of each."""

    scoped: tuple[str, ...] = ()
    texts: Texts = ()

    def meets(self, scope: str) -> bool:
        """Whether a limit of that scope counts it."""
        return filter_of(scope).lets_through(dict(zip(self.scoped, self.texts, strict=True)))


def key_of(others: Sequence[str], meeting: Meeting) -> tuple[str | Texts, ...]:
    """What the tails of a branch are found by."""
    return (*others, meeting.texts) if meeting.scoped else tuple(others)
