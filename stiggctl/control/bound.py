"""Bound: a control, and what its requests have in common, named once.

Here: the handle that `control.bound()` returns. Not here: how a verb takes what it lacks
(named.py), the verbs (spending.py, reporting.py, guard.py, metered.py).
"""

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

from stiggctl.control.metered import Metering
from stiggctl.control.named import Face, Named, enter, leave
from stiggctl.control.reporting import Reporting
from stiggctl.control.spending import Spending
from stiggctl.events import DimensionValue
from stiggctl.holder import Holder


class Binding(Face):
    """The part of a control that names what requests have in common."""

    def bound(
        self,
        *,
        customer_id: str | None = None,
        resource_ids: Sequence[str] | None = None,
        credit_currency: str | None = None,
        dimensions: Mapping[str, DimensionValue] | None = None,
        event_name: str | None = None,
    ) -> "Bound":
        """Name what requests have in common: a handle with the asking verbs, and a `with`.

        What a call gives comes first, then what is named here, then what an outer `bound` of the
        same control names; each is taken whole (dimensions are not merged). What comes from here
        counts as given, also for an idempotency key.

        Other controls take nothing from it, nor do threads that are started by hand. Do not
        `yield` inside its `with`: whoever takes what is yielded would be inside it, too.

        Raises InvalidRequest.

        >>> control = getfixture("acme")  # user-01 may spend 200 ai-tokens
        >>> with control.bound(resource_ids=["user-01"], credit_currency="ai-tokens"):
        ...     control.consume(amount=5).charged
        5
        """
        own = Named.read(customer_id, resource_ids, credit_currency, dimensions, event_name)
        return Bound(self._owner(), own.within(self._own))


class Bound(Spending, Reporting, Metering, Binding):
    """A control with what its requests have in common: made by `control.bound`.

    It has the control's asking verbs; each takes what it is not given from here. In a `with`
    (or `async with`) the control's own verbs do so too, for as long as it is open: in this
    thread, and in tasks that are started meanwhile. It may be entered again, by many
    threads and tasks at once.

    >>> control = getfixture("acme")  # user-01 may spend 200 ai-tokens
    >>> user = control.bound(resource_ids=["user-01"], credit_currency="ai-tokens")
    >>> user.consume(amount=30).charged
    30
    >>> with user:
    ...     control.check(requested_usage=171).has_access
    False
    """

    def __init__(self, control: Face, own: Named) -> None:
        self._control = control
        self._own = own

    @property
    def _holder(self) -> Holder:  # type: ignore[override]  # the control's; it may be closed meanwhile
        return self._control._holder  # noqa: SLF001 - a handle is a face of the same holder

    def _owner(self) -> Face:
        return self._control

    def __enter__(self) -> Self:
        assert self._own is not None  # set when it was made
        enter(self._control, self, self._own)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        leave(self)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        leave(self)

    def __repr__(self) -> str:
        assert self._own is not None  # set when it was made
        named = [f"{name}={value!r}" for name, value in self._own._asdict().items() if value is not None]
        return f"<Bound {self._holder.location} {', '.join(named)}>"
