"""Stepping: what a step raises is seen by the frame that it came in at, as it is outside of tests."""

import ctypes
import sys
import threading
from collections.abc import Callable, Iterable
from types import FrameType, FunctionType
from typing import Any

import pytest

from . import stepping
from .stepping import at_every_step

LOOPS_OF_ONE_LINE: list[Callable[[threading.Lock, Iterable[object]], object]] = []


def loop(function: Callable[..., object]) -> Callable[..., object]:
    """The same function, as if it stood in the package."""
    ours = FunctionType(function.__code__, {"__name__": "stiggctl.example"}, function.__name__)
    LOOPS_OF_ONE_LINE.append(ours)
    return ours


@loop
def a_list(lock: threading.Lock, ones: Iterable[object]) -> object:
    with lock:
        return [one for one in ones if one is not None]


@loop
def a_dict_after_a_list(lock: threading.Lock, ones: Iterable[object]) -> object:
    with lock:
        made = [one for one in ones]  # noqa: C416 - a loop is what this is about
        return {one: two for one in made for two in made}


@loop
def a_set_in_a_loop(lock: threading.Lock, ones: Iterable[object]) -> object:
    made = set()
    for one in ones:
        with lock:
            made |= {(one, two) for two in range(3)}
    return made


@loop
def an_empty_loop(lock: threading.Lock, ones: Iterable[object]) -> object:
    with lock:
        for _ in ones: pass  # noqa: E701 - in one line  # fmt: skip


class Interrupted(BaseException):
    """What comes in."""


@pytest.mark.parametrize("loop", LOOPS_OF_ONE_LINE)
def test_what_a_step_raises_is_seen_by_its_frame(loop: Callable[..., object]) -> None:
    """Where it would not be, there is no step: whoever has a lock could not let it go."""
    places = []

    def interrupt() -> None:
        raise Interrupted

    def interrupted() -> None:
        lock = threading.Lock()
        try:
            loop(lock, [1, 2, 3])
        except Interrupted:
            places.append(lock.locked())

    steps = list(at_every_step(interrupted, interrupt))
    assert len(places) == len(steps) > 0
    assert not any(places)


def test_where_a_loop_of_one_line_turns_a_debugger_raises_past_the_handlers_since_3_12() -> None:
    """Why that is no step there: where this fails, CPython has mended it, and it can be one."""
    lock, turns, line = threading.Lock(), 0, an_empty_loop.__code__.co_firstlineno + 3

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal turns
        if frame.f_code is an_empty_loop.__code__ and (event, frame.f_lineno) == ("line", line):
            turns += 1
            if turns == 2:
                raise Interrupted
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        with pytest.raises(Interrupted):
            an_empty_loop(lock, [1, 2, 3])
    finally:
        sys.settrace(before)
    assert lock.locked() == stepping.TURNS_PASS_HANDLERS


@pytest.mark.parametrize("turn", range(3))
@pytest.mark.parametrize("loop", LOOPS_OF_ONE_LINE)
def test_what_the_interpreter_delivers_where_a_loop_turns_is_seen_by_its_frame(
    loop: Callable[..., object], turn: int
) -> None:
    """An exception that a C function sends to its own thread has nowhere to be raised but at the turn."""
    lock, send = threading.Lock(), ctypes.pythonapi.PyThreadState_SetAsyncExc
    to = [ctypes.c_ulong(threading.get_ident() if at == turn else 0) for at in range(3)]
    with pytest.raises(Interrupted):
        loop(lock, map(send, to, [ctypes.py_object(Interrupted)] * 3))
    assert not lock.locked()
