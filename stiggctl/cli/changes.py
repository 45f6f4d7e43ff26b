"""Changes: how what a change of the model did is told.

Here: the lists of an Applied, and one change of its own. Not here: how a whole model is applied (apply.py).
"""

import sys
from collections.abc import Sequence

from stiggctl import Applied
from stiggctl.cli.answering import Screen, say_fact, say_json

#: What a screen shows of a list; --json has all. A model of ten thousand users is not read by name.
_NAMES_SHOWN = 10
_TOLD = {
    "created": "created",
    "changed": "changed",
    "archived": "archived",
    "not_named": "not named",
    "waiting_for": "waiting for",
}


def say_lists(screen: Screen, applied: Applied) -> None:
    """What is not as it was, by name, and who has not seen it yet."""
    for field, label in _TOLD.items():
        names = getattr(applied, field)
        if names:
            say_fact(screen, label, _names(names))


def say_change(path: str, applied: Applied, *, as_json: bool) -> None:
    """What came of one change of the ledger at that path."""
    if as_json:
        say_json({"location": path, **applied.as_dict()})
        return
    screen = Screen.of(sys.stdout)
    if not applied:
        say_fact(screen, "unchanged", _names(applied.unchanged) or "there was nothing to write")
    say_lists(screen, applied)


def _names(names: Sequence[str]) -> str:
    more = len(names) - _NAMES_SHOWN
    shown = ", ".join(names[:_NAMES_SHOWN])
    return f"{shown} and {more:,} more (--json lists all)" if more > 0 else shown
