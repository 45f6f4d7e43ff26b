"""Subscribing: hooks that hear what happens; what was crossed, and what is not as it should be.

Here: the verbs. Not here: what hooks are told and how they are called (watching.py), when it is
(holder/news.py).
"""

from collections.abc import Callable
from datetime import datetime

from stiggctl.answers import ThresholdCrossed
from stiggctl.control.watching import DifferencesFound, H, Watching
from stiggctl.holder import Holder
from stiggctl.holder.happenings import happening_of
from stiggctl.holder.models.meant import customer_meant
from stiggctl.ledger.records import Difference
from stiggctl.windows import to_datetime, to_us


class Subscribing:
    """The part of a control that tells what happens, and what is not as it should be."""

    _holder: Holder
    _watching: Watching

    def subscribe(
        self, hook: Callable[[H], object], *, kinds: type[H] | tuple[type[H], ...] | None = None
    ) -> Callable[[], None]:
        """Call `hook` with a record of what happens from now on. Returns what ends it.

        Hooks run after locks and commits, on the thread that asked or booked; of async verbs a
        decision's on the event loop, all else on another thread. One that raises is logged and changes
        nothing. It may use the control; what it asks and books itself is told to no hook.

        Args:
            kinds: what to be told: DecisionMade, UsageBooked, ThresholdCrossed, GrantExpiring,
                DifferencesFound, LedgerTrouble, or a tuple of these. Left out: what the hook's first
                parameter is annotated with; without that all but the first two, which every call brings.

        ThresholdCrossed is told once a limit, window and threshold, by one of all processes that
        subscribed: the one that booked it, or, where that has no hook for it or died, another, or the
        next to subscribe within a day. A process that dies while its hook runs may have it told twice.
        GrantExpiring is told once a grant, in its last 7 days (or the last quarter of what is less than
        28), while credits are left.

        >>> from stiggctl import ThresholdCrossed
        >>> control = getfixture("acme")  # user-01 may spend 200 ai-tokens
        >>> _ = control.set_allocation(
        ...     resource_id="user-01", credit_currency="ai-tokens", limit=200, thresholds=[50, 80, 100])
        >>> end = control.subscribe(lambda crossed: print(crossed), kinds=ThresholdCrossed)
        >>> _ = control.consume(resource_ids=["user-01"], credit_currency="ai-tokens", amount=130)
        user-01 has used 130 of 200 ai-tokens: 50 % is crossed
        """
        self._holder.require_open()
        return self._watching.subscribe(hook, kinds, self._holder.news)

    def crossings(
        self,
        customer_id: str | None = None,
        *,
        since: str | datetime | None = None,
        until: str | datetime | None = None,
    ) -> list[ThresholdCrossed]:
        """The thresholds that were crossed, whether anybody was told or not; oldest first.

        Each was recorded once, with the event that crossed it. `since` is included, `until` is not.

        Raises CustomerNotFound, InvalidTimestamp.

        >>> control = getfixture("acme")  # user-01 may spend 200 ai-tokens
        >>> _ = control.set_allocation(
        ...     resource_id="user-01", credit_currency="ai-tokens", limit=200, thresholds=[50, 100])
        >>> _ = control.consume(resource_ids=["user-01"], credit_currency="ai-tokens", amount=200)
        >>> [(one.resource_id, one.threshold, one.used) for one in control.crossings()]
        [('user-01', 50, 200), ('user-01', 100, 200)]
        """
        holder = self._holder
        holder.require_open()
        since_us, until_us = (
            None if at is None else to_us(at, where) for at, where in ((since, "since"), (until, "until"))
        )
        with holder.ledger.reader() as reader:
            customer = None
            if customer_id is not None:
                customer = customer_meant(reader, customer_id).id
            rows = reader.crossings(customer, since_us, until_us)
        found = [happening_of(row) for row in rows]
        return [one for one in found if isinstance(one, ThresholdCrossed)]

    def verify(self) -> list[Difference]:
        """Recompute every counter from the events and return what differs: in a healthy ledger, nothing."""
        holder = self._holder
        holder.require_open()
        with holder.ledger.reader() as reader:
            differences = reader.differences()
        if differences:
            at = to_datetime(holder.clock.now_us())
            holder.news.happened(DifferencesFound(at=at, differences=tuple(differences)))
        return differences
