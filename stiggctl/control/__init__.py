"""The control: what application code opens and asks.

Here: opening and closing; its parts are describing.py, spending.py, reporting.py, rerating.py,
guard.py, metered.py, bound.py, reading.py, nearing.py, forecasting.py, simulating.py,
explaining.py, subscribing.py, erasing.py.
Not here: anything that decides or books (holder/).
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Literal, Self, TypeVar

from stiggctl.clocks import Clock, SystemClock
from stiggctl.control.arguments import read_ttl
from stiggctl.control.bound import Binding
from stiggctl.control.describing import Describing
from stiggctl.control.erasing import Erasing
from stiggctl.control.explaining import Explaining
from stiggctl.control.forecasting import Forecasting
from stiggctl.control.metered import Metering
from stiggctl.control.nearing import Nearing
from stiggctl.control.opening import Closed, open_holder, release_holder
from stiggctl.control.reading import Reading
from stiggctl.control.reporting import Reporting
from stiggctl.control.rerating import Rerates
from stiggctl.control.simulating import Simulating
from stiggctl.control.spending import Spending
from stiggctl.control.subscribing import Subscribing
from stiggctl.control.watching import Watching
from stiggctl.errors import InvalidRequest
from stiggctl.holder import Holder, Options


class UsageControl(
    Describing,
    Spending,
    Reporting,
    Rerates,
    Metering,
    Binding,
    Reading,
    Nearing,
    Forecasting,
    Simulating,
    Explaining,
    Subscribing,
    Erasing,
):
    """Usage control over one ledger: may this call spend so much, and what did it spend?

    Image: a cashier who knows every budget on the way up from a user to the whole company,
    sets money aside before the purchase, and books what it really cost. It is not a rate
    limiter (it counts credits, not calls a second) and no billing system (it decides before).

    Safe for many threads and tasks, and for any number of processes of one host on one ledger:
    what they admit together never passes a HARD limit. After a fork the child is a process of its own.

    Args:
        location: a path, made if it is not there; ":memory:", gone when it is closed.
        durability: what a report that returned survives: "process" (kill −9) or "power" (fsync).
        on_ledger_failure: where the ledger cannot be reached: "fail_closed" denies what spare
            does not cover; "fail_open" admits it, and each such decision says so.
        default_access: "deny" refuses what no allocation limits.
        unknown_resources: "error" raises, "deny" denies, "ignore" leaves them out.
        clock: what tells the time; tests move one by hand (stiggctl.testing.ManualClock).
        reservation_ttl_seconds: when a reservation ends that nobody settles; 1 to 86,400.
        create: False: only open what is there.

    Raises:
        LedgerError, LedgerCorrupt, LedgerVersionError, LedgerUnavailable: it cannot be opened.
        InvalidRequest: an option cannot be meant, or this process has it open with others.

    >>> with UsageControl(":memory:") as control:
    ...     control.check(resource_ids=["nobody"], credit_currency="ai-tokens")
    Traceback (most recent call last):
    stiggctl.errors.CurrencyNotFound: no credit currency 'ai-tokens'; none is defined yet
    """

    def __init__(
        self,
        location: str | os.PathLike[str],
        *,
        durability: Literal["process", "power"] = "process",
        on_ledger_failure: Literal["fail_closed", "fail_open"] = "fail_closed",
        default_access: Literal["allow", "deny"] = "allow",
        unknown_resources: Literal["error", "deny", "ignore"] = "error",
        clock: Clock | None = None,
        reservation_ttl_seconds: int = 600,
        create: bool = True,
    ) -> None:
        options = Options(
            clock=SystemClock() if clock is None else clock,
            durability=_choice("durability", durability, ("process", "power")),
            on_ledger_failure=_choice("on_ledger_failure", on_ledger_failure, ("fail_closed", "fail_open")),
            default_access=_choice("default_access", default_access, ("allow", "deny")),
            unknown_resources=_choice("unknown_resources", unknown_resources, ("error", "deny", "ignore")),
            reservation_ttl_seconds=read_ttl(reservation_ttl_seconds, "reservation_ttl_seconds"),
        )
        given: object = options.clock
        if not isinstance(given, Clock):
            expected = "an object with now_us() and monotonic_ns()"
            raise InvalidRequest(where="clock", value=clock, expected=expected)
        self._holder = open_holder(location, options, create=create)
        self._watching = Watching()
        self._watch(self._holder)

    def _watch(self, holder: Holder) -> None:
        holder.on_trouble.append(self._watching.tell_trouble)
        holder.news.watch(self._watching)

    @property
    def location(self) -> str:
        """The path or ":memory:" that was opened."""
        return self._holder.location

    def close(self) -> None:
        """Book what is queued and let the ledger go. Safe twice; also done at exit.

        Open reservations stay withheld until their ends; settling one afterwards raises
        ControlClosed: settle first. With other controls on the same ledger it stays open.
        """
        holder = self._holder
        if not isinstance(holder, Closed):
            holder.exchange.refuse_between()  # before anything is closed: it is to be closed later
            self._holder = Closed(holder)
            try:
                release_holder(holder)
            finally:  # what could not be done at the end is told, too
                holder.on_trouble.remove(self._watching.tell_trouble)
                holder.news.unwatch(self._watching)

    @contextmanager
    def _replaced(self, stand_in: Callable[[Holder], Holder]) -> Iterator[None]:
        """For a while another holder in the place of its own, which a test's verdict makes."""
        own = self._holder
        own.require_open()
        other = stand_in(own)
        self._watch(other)
        self._holder = other
        try:
            yield
        finally:
            was_closed = isinstance(self._holder, Closed)
            self._holder = own
            other.close()
            if was_closed:
                self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if isinstance(self._holder, Closed) else "open"
        return f"<UsageControl {self.location} {state}>"


_T = TypeVar("_T", bound=str)


def _choice(where: str, value: _T, choices: tuple[str, ...]) -> _T:
    if value not in choices:
        raise InvalidRequest(where=where, value=value, expected=" or ".join(map(repr, choices)))
    return value
