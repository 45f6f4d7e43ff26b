"""Scopes: what a filter on names and values lets through.

Here: the scope of a limit against an event's dimensions, the `where` of a template against a
resource's properties. Not here: how people write them (definitions/), which events are asked about
(sums.py, sweeping.py).

What always holds:
  SC1  Values are compared as text in one form: 5, 5.0 and "5" are one value, and so are true and "true".
"""

import json
from collections.abc import Mapping

from stiggctl.events import canonical_text, dimensions_of

#: What lets everything through.
EVERYTHING = "{}"


class Filter:
    """A filter, read once."""

    __slots__ = ("_values",)

    def __init__(self, text: str) -> None:
        """`text` is JSON: {name: [values as text]}.

        >>> Filter('{"model": ["gpt-5", "gpt-6"]}').passes('{"model":"gpt-5","user":1.50}')
        True
        """
        self._values: Mapping[str, frozenset[str]] = {
            name: frozenset(values) for name, values in json.loads(text).items()
        }

    def passes(self, said: str) -> bool:
        """Whether what is said (JSON: {name: value}, numbers exact) has a wanted value for each name."""
        values = dimensions_of(said)
        return all(
            name in values and canonical_text(values[name], name) in wanted
            for name, wanted in self._values.items()
        )
