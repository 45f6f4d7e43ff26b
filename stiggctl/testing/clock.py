"""The manual clock: time that passes when a test says so.

Here: that clock. Not here: what a clock is, and the system's (clocks.py).
"""

from datetime import datetime
from threading import Lock

from stiggctl.errors import InvalidRequest
from stiggctl.windows import to_datetime, to_us

_SECOND_US = 1_000_000
_US_NS = 1_000


class ManualClock:
    """A clock that stands still until it is moved. Any thread may move or read it.

    >>> from datetime import UTC
    >>> clock = ManualClock(datetime(2026, 1, 15, 12, tzinfo=UTC))
    >>> clock.advance(seconds=90)
    >>> clock.now().isoformat()
    '2026-01-15T12:01:30+00:00'
    """

    def __init__(self, start: datetime) -> None:
        self._lock = Lock()  # guards both readings
        self._now_us = to_us(start, "start")
        self._monotonic_ns = 0

    def now_us(self) -> int:
        """The wall clock: microseconds since 1970, UTC."""
        return self._now_us

    def monotonic_ns(self) -> int:
        """Nanoseconds that it was advanced by; `set` does not change it."""
        return self._monotonic_ns

    def now(self) -> datetime:
        """The wall clock as an aware datetime in UTC."""
        return to_datetime(self._now_us)

    def advance(self, *, seconds: float) -> None:
        """Let time pass, on both clocks; raises InvalidRequest where it would go back."""
        microseconds = round(seconds * _SECOND_US)
        if microseconds < 0:
            expected = "zero or more; `set` moves the wall clock back"
            raise InvalidRequest(where="seconds", value=seconds, expected=expected)
        with self._lock:
            self._now_us += microseconds
            self._monotonic_ns += microseconds * _US_NS

    def set(self, now: datetime) -> None:
        """Move the wall clock, back or forth, as an administrator would; no time passes."""
        with self._lock:
            self._now_us = to_us(now, "now")

    def __repr__(self) -> str:
        return f"<ManualClock {self.now().isoformat()}>"
