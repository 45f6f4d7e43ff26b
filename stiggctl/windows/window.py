"""Window: from when to when a limit counts, as two instants.

Here: the record; intervals of validity as windows; the stretch of time in which none of several
turns. Not here: which window an instant is in (calendar.py, anchored.py, rolling.py).

What always holds:
  WN1  A window has its start in it and its end not: start_us <= instant < end_us.
  WN2  None begins before FIRST_US or ends after END_US, so each instant that can be written is
       in one, and its start and its end can be written too.
"""

from collections.abc import Iterable
from typing import NamedTuple, Self

from stiggctl.windows.instants import END_US, FIRST_US


class Window(NamedTuple):
    """A stretch of time, in microseconds since 1970: its start is in it, its end is not."""

    start_us: int
    end_us: int

    @classmethod
    def within_time(cls, start_us: int, end_us: int) -> Self:
        """As much of it as datetimes can write.

        >>> Window.within_time(0, 10**30) == Window(0, END_US)
        True
        """
        if start_us < FIRST_US or end_us > END_US:
            return cls(max(start_us, FIRST_US), min(end_us, END_US))
        return cls(start_us, end_us)

    def has(self, at_us: int) -> bool:
        """Whether an instant is in it.

        >>> Window(10, 20).has(10), Window(10, 20).has(20)
        (True, False)
        """
        return self.start_us <= at_us < self.end_us


#: All of time: where no limit turns.
ALWAYS = Window(FIRST_US, END_US)


def validity(effective_at_us: int | None, expires_at_us: int | None) -> Window:
    """From when to when something is valid; None: for ever, that way.

    Not a window where it ends before it begins: then it has no instant.

    >>> validity(None, 20).has(19), validity(20, 20).has(20)
    (True, False)
    """
    return Window(
        FIRST_US if effective_at_us is None else effective_at_us,
        END_US if expires_at_us is None else expires_at_us,
    )


def steady(at_us: int, windows: Iterable[Window]) -> Window:
    """The time round an instant in which none of these begins or ends.

    What was found out at that instant holds from its start to its end: the end is `valid_until`,
    the start shows whether a clock that was set back has left it.

    >>> steady(15, [Window(10, 20), Window(18, 30), Window(0, 12)])
    Window(start_us=12, end_us=18)
    """
    start_us, end_us = ALWAYS
    for window in windows:
        for edge_us in window:
            if start_us < edge_us <= at_us:
                start_us = edge_us
            elif at_us < edge_us < end_us:
                end_us = edge_us
    return Window(start_us, end_us)
