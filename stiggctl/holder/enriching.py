"""Enriching: what an event says beside what its caller told of it: what was found out afterwards.

Here: which of it fits, and in one text with the rest. Not here: what was found out (control/observing.py),
what an event may say (events.py).

What always holds:
  EN1  What the caller told stands. A group of dimensions is said whole or not at all: half of a usage
       would be read as another usage.
  EN2  A dimension that a limit's scope asks for is only what the caller told: by that the event was
       admitted and is counted, and by that it is counted again.
"""

from collections.abc import Collection, Mapping, Sequence

from stiggctl.errors import InvalidRequest
from stiggctl.events import (
    DIMENSIONS_BYTES_MAX,
    DIMENSIONS_MAX,
    ID_LENGTH_MAX,
    DimensionValue,
    canonical_text,
    dimensions_json,
)

#: Dimensions that are said together, the most important group first.
Groups = Sequence[Mapping[str, DimensionValue]]


def enriched(told: Mapping[str, DimensionValue], groups: Groups, scoped: Collection[str]) -> str:
    """All that an event says, as the ledger keeps it.

    >>> enriched({"model": "mine"}, [{"model": "gpt-5", "input_tokens": 5}, {"region": "emea"}], ["region"])
    '{"input_tokens":5,"model":"mine"}'
    """
    said = dict(told)
    size = sum(_size(name, value) for name, value in said.items())
    for group in groups:
        more = {name: value for name, value in group.items() if name not in said}
        try:
            grown = size + sum(_size(name, value) for name, value in more.items())
        except InvalidRequest:
            continue  # a text that no dimension may be
        if (
            len(said) + len(more) <= DIMENSIONS_MAX
            and grown <= DIMENSIONS_BYTES_MAX
            and not any(name in scoped for name in more)
        ):
            said |= more
            size = grown
    return dimensions_json(said)


def _size(name: str, value: DimensionValue) -> int:
    if not 1 <= len(name) <= ID_LENGTH_MAX:
        raise InvalidRequest(where="dimensions", value=name, expected="a name of a dimension")
    return len(canonical_text(name, name).encode()) + len(canonical_text(value, name).encode())
