"""Scopes: what a filter on names and values lets through.

Here: the scope of a limit against what a request or an event says of its dimensions, the `where` of a
template against a resource's properties. Not here: how people write them (definitions/), who is asked
about: requests (decision/meeting.py), resources (holder/in_force.py), events (ledger/).

What always holds:
  SC1  Values are compared as text in one form: 5, 5.0 and "5" are one value, and so are true and "true".
"""

import json
from collections.abc import Mapping
from functools import lru_cache

from stiggctl.answers import FOR_EVER
from stiggctl.events import canonical_text, dimensions_of

#: What lets everything through.
EVERYTHING = FOR_EVER.scope


class Filter:
    """A filter, read once."""

    __slots__ = ("_values",)

    def __init__(self, text: str) -> None:
        """`text` is JSON: {name: [values as text]}."""
        self._values: Mapping[str, frozenset[str]] = {
            name: frozenset(values) for name, values in json.loads(text).items()
        }

    def passes(self, said: str) -> bool:
        """Whether what is said (JSON: {name: value}, numbers exact) has a wanted value for each name."""
        if not self._values:
            return True
        values = dimensions_of(said)
        return self.lets_through(
            {name: canonical_text(values[name], name) for name in self._values if name in values}
        )

    def lets_through(self, texts: Mapping[str, str | None]) -> bool:
        """The same, of values that are text in that form already; None: nothing is said of it."""
        return all(texts.get(name) in wanted for name, wanted in self._values.items())


@lru_cache(1_024)  # people write few; one that is forgotten is read again
def filter_of(text: str) -> Filter:
    """The filter that a scope or a `where` is.

    >>> filter_of('{"model": ["gpt-5", "gpt-6"]}').passes('{"model":"gpt-5","user":1.50}')
    True
    """
    return Filter(text)
