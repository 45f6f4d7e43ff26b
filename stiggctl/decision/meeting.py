"""Meeting: which limits a request meets, by what it says of the dimensions that scopes name.

Here: scopes and texts compared. Not here: how a dimension becomes text (events.py), which scopes
there are (holder/trees.py reads them), the path that follows (paths.py).
"""

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from stiggctl.answers import FOR_EVER

#: The scope of a limit that every request meets.
EVERYTHING = FOR_EVER.scope
#: What a request says of the dimensions that scopes name (`Stripe.scoped`), as canonical text; None: nothing.
Texts = tuple[str | None, ...]


class Meeting(NamedTuple):
    """Which limits a request meets: the dimensions that scopes name, and what it says of each."""

    scoped: tuple[str, ...] = ()
    texts: Texts = ()

    def meets(self, scope: str) -> bool:
        """Whether a limit of that scope counts it."""
        if scope == EVERYTHING:
            return True
        said = dict(zip(self.scoped, self.texts, strict=True))
        return all(said.get(name) in values for name, values in values_of(scope).items())


@lru_cache(1_024)  # scopes are few: people write them
def values_of(scope: str) -> Mapping[str, frozenset[str]]:
    """What a scope asks of each dimension that it names.

    >>> values_of('{"model": ["gpt-5"]}')
    {'model': frozenset({'gpt-5'})}
    """
    return {name: frozenset(values) for name, values in json.loads(scope).items()}


def key_of(others: Sequence[str], meeting: Meeting) -> tuple[str | Texts, ...]:
    """What the tails of a branch are found by."""
    return (*others, meeting.texts) if meeting.scoped else tuple(others)
