"""Stepping: something happens between two given steps of our code, as a signal or the collector would do it.

Here: to count the steps that a call takes on its thread, and to come in at one of them. Not here:
what comes in (the tests).

A step is a line of this package, the first times that it is come to in a call. The lines of a `with` and
of a `try` are none: a debugger stops there once more after the block, before a lock is let go, and where
nothing has begun yet; neither a signal nor the collector ever comes in there. On other threads nothing is
counted.
"""

import linecache
import sys
from collections import Counter
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any

#: A line in a loop is a step so often: the first turn is not like the others.
TURNS_MAX = 2


class Stepping:
    """Comes in at the n-th step of what is called meanwhile on this thread."""

    def __init__(self, at: int, what: Callable[[], object]) -> None:
        self.where = ""  #: it came in
        self._steps = 0
        self._turns: Counter[tuple[CodeType, int]] = Counter()
        self._at, self._what = at, what

    def call(self, what: Callable[[], Any]) -> Any:
        """Call it, and come in."""
        before = sys.gettrace()
        sys.settrace(self._trace)
        try:
            return what()
        finally:
            sys.settrace(before)

    def _trace(self, frame: FrameType, event: str, _: object) -> Any:
        if not str(frame.f_globals.get("__name__", "")).startswith("stiggctl."):
            return None
        if event == "line" and self._is_step(frame.f_code, frame.f_lineno):
            self._steps += 1
            if self._steps == self._at:
                self.where = f"{frame.f_code.co_qualname}:{frame.f_lineno}"
                self._what()
        return self._trace

    def _is_step(self, code: CodeType, line: int) -> bool:
        self._turns[code, line] += 1
        said = linecache.getline(code.co_filename, line).lstrip()
        return self._turns[code, line] <= TURNS_MAX and not said.startswith(("with ", "try:"))
