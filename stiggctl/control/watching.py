"""Watching: hooks, and what they are told.

Here: hooks, what each watches for, how they are called; trouble and differences, as hooks are told of
them. Not here: the other happenings (answers/happenings.py), when one is told (holder/news.py).

  WT1  A hook runs after locks and commits. One that raises is logged, and changes nothing.
  WT2  A hook is told what it watches for, by `kinds` or its annotation, and nothing else.
"""

import inspect
import logging
import types
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar, Union, get_args, get_origin

from stiggctl.answers import DecisionMade, GrantExpiring, Happening, ThresholdCrossed, UsageBooked
from stiggctl.errors import InvalidRequest, LedgerError
from stiggctl.holder.news import CallingHook, News
from stiggctl.ledger.records import Difference

_log = logging.getLogger("stiggctl")
# Who configures no logging hears nothing of it, as a library should have it: not on stderr either.
_log.addHandler(logging.NullHandler())


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerTrouble(Happening):
    """The ledger failed, or is not what it should be: `error` says how, and what would help.

    Also where a call's cost could not be found from its response: its estimate is in the ledger.
    """

    error: LedgerError


@dataclass(frozen=True, slots=True, kw_only=True)
class DifferencesFound(Happening):
    """`verify` found counters that are not what their events add up to."""

    differences: tuple[Difference, ...]


#: All that there is to be told.
KINDS: tuple[type[Happening], ...] = (
    DecisionMade,
    UsageBooked,
    ThresholdCrossed,
    GrantExpiring,
    DifferencesFound,
    LedgerTrouble,
)
#: What a hook is told that does not say what it watches for: what comes with every call costs every call.
RARE = tuple(kind for kind in KINDS if kind not in (DecisionMade, UsageBooked))

H = TypeVar("H", bound=Happening)
_Hook = Callable[[Any], object]


class Watching:
    """The hooks of one control."""

    def __init__(self) -> None:
        self._hooks: list[tuple[_Hook, tuple[type[Happening], ...]]] = []  # replaced whole, never changed

    @property
    def kinds(self) -> frozenset[type[Happening]]:
        """What any of them watches for."""
        return frozenset(kind for _, kinds in self._hooks for kind in kinds)

    def subscribe(
        self, hook: Callable[[H], object], kinds: type[H] | tuple[type[H], ...] | None, news: News
    ) -> Callable[[], None]:
        """Add a hook; what is returned takes it away again, and is safe twice."""
        added = (hook, _kinds_of(hook) if kinds is None else _read_kinds(kinds))
        self._hooks = [*self._hooks, added]
        news.rewatch()
        news.begin()

        def unsubscribe() -> None:
            self._hooks = [one for one in self._hooks if one is not added]
            news.rewatch()

        return unsubscribe

    def tell(self, happening: Happening) -> None:
        """Call every hook that watches for it."""
        for hook, kinds in self._hooks:
            if not isinstance(happening, kinds):
                continue
            try:
                with CallingHook():
                    hook(happening)
            except Exception:  # noqa: BLE001 - a hook may raise whatever it likes (WT1)
                _log.exception("a hook raised; nothing else is changed by that")

    def tell_trouble(self, error: LedgerError) -> None:
        """Log it, and tell every hook."""
        _log.warning("%s", error)
        self.tell(LedgerTrouble(at=datetime.now(UTC), error=error))


def _read_kinds(kinds: object) -> tuple[type[Happening], ...]:
    listed = kinds if isinstance(kinds, tuple) else (kinds,)
    if not listed or not all(isinstance(one, type) and issubclass(one, Happening) for one in listed):
        names = ", ".join(kind.__name__ for kind in KINDS)
        raise InvalidRequest(where="kinds", value=kinds, expected=f"one or a tuple of {names}")
    return tuple(kind for kind in KINDS if issubclass(kind, listed))


def _kinds_of(hook: _Hook) -> tuple[type[Happening], ...]:
    """What its first parameter is annotated with; else all that is rare (WT2)."""
    if not callable(hook):
        raise InvalidRequest(where="hook", value=hook, expected="a function of what is told")
    try:
        parameters = list(inspect.signature(hook, eval_str=True).parameters.values())
    except (ValueError, TypeError, NameError):  # written in C, or in names that are not there at run time
        return RARE
    annotation = parameters[0].annotation if parameters else None
    union = get_origin(annotation) in (Union, types.UnionType)
    named = [one for one in (get_args(annotation) if union else (annotation,)) if one in KINDS]
    return tuple(kind for kind in KINDS if kind in named) or RARE
