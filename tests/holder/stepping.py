"""Stepping: something happens between two given steps of our code, as a signal or the collector would do it.

Here: to note the steps that a call takes on its thread, and to come in at one of them. Not here:
what comes in (the tests).

A step is a line of this package, the first times that it is come to in a call. The lines of a `with` and
of a `try` are none: a debugger stops there once more after the block, before a lock is let go, and where
nothing has begun yet; neither a signal nor the collector ever comes in there. On other threads nothing is
counted.

Since Python 3.12 the turns of a loop that stands in one line are none either: what a debugger raises
there passes by every handler of its frame (CPython's INSTRUMENTED_JUMP takes the place to look for one
from where it had just written NULL), so a lock stays taken. What the interpreter itself delivers at that
place, a signal or an exception of another thread, is seen by them: test_stepping.py shows both.
"""

import linecache
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from types import CodeType, FrameType
from typing import Any, NamedTuple

#: A line in a loop is a step so often: the first turn is not like the others.
TURNS_MAX = 2
#: How often the steps are noted again, for those that are new since others came in. They are few each time.
ROUNDS_MAX = 8
#: Whether what is raised where a loop of one line turns is lost, as said above.
TURNS_PASS_HANDLERS = sys.version_info >= (3, 12)


class Step(NamedTuple):
    """A line of our code, come to for the n-th time."""

    code: CodeType
    line: int
    turn: int

    def __str__(self) -> str:
        return f"{self.code.co_qualname}:{self.line}"


class Lines:
    """Tells the lines that are steps from all that a trace function is called for."""

    def __init__(self) -> None:
        self._lines: dict[int, int] = {}  # a frame's id -> where it stood; no frame is kept alive

    def is_step(self, frame: FrameType, event: str) -> bool:
        """Whether something may come in there; to be asked at every event of the frame."""
        if event == "call":
            self._lines.pop(id(frame), None)
        if event != "line":
            return False
        line, before = frame.f_lineno, self._lines.get(id(frame))
        self._lines[id(frame)] = line
        if line == before and TURNS_PASS_HANDLERS:
            return False
        return not _source(frame.f_code.co_filename, line).startswith(("with ", "try:"))


class Noting:
    """Notes the steps of what is called meanwhile on this thread, in order."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self._lines = Lines()
        self._turns: Counter[tuple[CodeType, int]] = Counter()

    def trace(self, frame: FrameType, event: str, _: object) -> Any:
        """For `sys.settrace`."""
        if not str(frame.f_globals.get("__name__", "")).startswith("stiggctl."):
            return None
        is_step = self._lines.is_step(frame, event)
        code, line = frame.f_code, frame.f_lineno
        if is_step and self._turns[code, line] < TURNS_MAX:
            self._turns[code, line] += 1
            self.steps.append(Step(code, line, self._turns[code, line]))
        return self.trace


class Stepping:
    """Comes in at one step of what is called meanwhile on this thread.

    Only the lines of one function are looked at: to look at all of them, at each of some thousand
    calls, takes ten times as long as all else.
    """

    def __init__(self, at: Step, what: Callable[[], object]) -> None:
        self.came_in = False
        self._code, self._line, self._turns = at
        self._lines = Lines()
        self._what = what

    def trace(self, frame: FrameType, event: str, _: object) -> Any:
        """For `sys.settrace`."""
        return self._trace_lines(frame, event, None) if frame.f_code is self._code else None

    def _trace_lines(self, frame: FrameType, event: str, _: object) -> Any:
        if self._lines.is_step(frame, event) and frame.f_lineno == self._line:
            self._turns -= 1
            if self._turns == 0:
                self.came_in = True
                self._what()
        return self._trace_lines


@cache
def _source(file: str, line: int) -> str:
    return linecache.getline(file, line).lstrip()


def _call(what: Callable[[], object], trace: Callable[[FrameType, str, object], Any]) -> None:
    before = sys.gettrace()
    sys.settrace(trace)
    try:
        what()
    finally:
        sys.settrace(before)


def at_every_step(call: Callable[[], object], guest: Callable[[], object]) -> Iterator[str]:
    """Call it once for each of its steps, and come in there; where that was.

    A guest may change what the next call has to do. So its steps are noted again, until none is new;
    one that a call does not come to is no place where anybody came in.
    """
    seen: set[Step] = set()
    for _ in range(ROUNDS_MAX):
        noting = Noting()
        _call(call, noting.trace)
        new = [step for step in noting.steps if step not in seen]
        for step in new:
            stepping = Stepping(step, guest)
            _call(call, stepping.trace)
            if stepping.came_in:
                yield str(step)
        if not new:
            return
        seen.update(new)
    raise AssertionError("a call has new steps each time that it is made")
