"""Clocks: where the time comes from.

Here: what a clock is, and the system's. Not here: one that tests move (testing/); instants
as text (windows/). Every function that needs the time takes it as an argument, or a Clock.
"""

from time import monotonic_ns, time_ns
from typing import Protocol, runtime_checkable


@runtime_checkable
class Clock(Protocol):
    """What tells the time.

    `now_us` is the wall clock, microseconds since 1970 in UTC: windows and ends of
    reservations go by it. `monotonic_ns` never goes back: waits go by it.
    """

    def now_us(self) -> int:
        """Microseconds since 1970, UTC."""
        ...

    def monotonic_ns(self) -> int:
        """Nanoseconds since some moment, never less than before."""
        ...


class SystemClock:
    """The clocks of the operating system. One is as good as another: they are equal."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SystemClock)

    def __hash__(self) -> int:
        return hash(SystemClock)

    def now_us(self) -> int:
        """Microseconds since 1970, UTC."""
        return time_ns() // 1_000

    def monotonic_ns(self) -> int:
        """Nanoseconds since some moment, never less than before."""
        return monotonic_ns()
