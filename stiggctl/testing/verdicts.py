"""Verdicts: for the length of a test, everything is allowed, or everything is denied.

Here: what a test writes: `allow_all`, `deny`. Not here: what decides in the control's place
(standin.py, allowing.py, denying.py), the fixtures for pytest (fixtures.py).

What always holds:
  VD1  Inside the block every verb of the control, and of what is bound to it or wraps a function,
       talks to a ledger in memory that is made for the block. The control's own is not written to.
  VD2  After the block the control is as it was before, whatever happened inside.
"""

import functools
import inspect
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from types import TracebackType
from typing import Any, ParamSpec, TypeVar, cast

from stiggctl.answers import AccessDeniedReason
from stiggctl.control import UsageControl
from stiggctl.errors import InvalidRequest, nearest
from stiggctl.holder import Holder
from stiggctl.testing.allowing import Allowing
from stiggctl.testing.denying import Denying

P = ParamSpec("P")
T = TypeVar("T")


class Verdict:
    """What `allow_all` and `deny` return: a `with` block, or a decorator of a test.

    Entering it gives the control that obeys it. Blocks of one control may lie in each other: the
    inner one is obeyed. Enter it before the code under test runs, not while it is in a verb.
    """

    def __init__(self, name: str, stand_in: Callable[[Holder], Holder], control: UsageControl | None) -> None:
        self._name = name
        self._stand_in = stand_in
        self._control = control
        self._entered: list[ExitStack] = []

    def __enter__(self) -> UsageControl:
        with ExitStack() as stack:
            control = self._control
            if control is None:
                control = stack.enter_context(UsageControl(":memory:"))
            stack.enter_context(control._replaced(self._stand_in))  # noqa: SLF001 - a seam for this room only
            self._entered.append(stack.pop_all())
        return control

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._entered.pop().close()

    def __call__(self, function: Callable[P, T]) -> Callable[P, T]:
        """The function, or coroutine function, run inside such a block each time it is called."""
        if self._control is None:
            expected = "the control that the test's code asks; a decorator has no way to hand over a new one"
            raise InvalidRequest(where="control", value=None, expected=expected)
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            expected = "a function or coroutine function; in a generator, as a fixture is, write `with`"
            raise InvalidRequest(where="function", value=function, expected=expected)
        if inspect.iscoroutinefunction(function):
            awaited = cast("Callable[P, Awaitable[Any]]", function)

            @functools.wraps(function)
            async def later(*args: P.args, **kwargs: P.kwargs) -> Any:
                with Verdict(self._name, self._stand_in, self._control):
                    return await awaited(*args, **kwargs)

            return cast("Callable[P, T]", later)

        @functools.wraps(function)
        def at_once(*args: P.args, **kwargs: P.kwargs) -> T:
            with Verdict(self._name, self._stand_in, self._control):
                return function(*args, **kwargs)

        return at_once

    def __repr__(self) -> str:
        return f"<Verdict {self._name} {self._control or 'of a control of its own'}>"


def allow_all(control: UsageControl | None = None) -> Verdict:
    """Let a control allow whatever is asked, whatever its ledger says.

    Limits count as SOFT, nothing is suspended or archived, and a customer, resource or currency that
    is not defined is defined when it is first named (a currency whose first amount is an int with
    0 decimals, else with 9). What cannot be meant is still an error: a float, an empty list of ids, a
    key with other contents.

    All the rest is the real thing, in memory: what is reserved is held, what is settled or reported
    is booked, priced by the model's own rates. So a test looks at what its code booked with
    `control.events()`, before the block ends.

    Args:
        control: whose verbs allow, one that the code under test has; left out: a new one, in memory,
            to be handed to that code.

    >>> with allow_all() as control:
    ...     held = control.reserve(resource_ids=["user-01"], credit_currency="usd", amount="0.02")
    ...     _ = held.settle("0.013")
    ...     [(event.resource_ids, event.amounts) for event in control.events()]
    [(('user-01',), {'usd': Decimal('0.013')})]
    """
    return Verdict("allow_all", Allowing, control)


def deny(
    reason: AccessDeniedReason | str = AccessDeniedReason.BUDGET_EXCEEDED,
    control: UsageControl | None = None,
) -> Verdict:
    """Let a control deny whatever is asked, for this reason, whatever its ledger says.

    check answers with the denial; reserve, consume and what is built on them raise AccessDenied. For
    BUDGET_EXCEEDED and INSUFFICIENT_CREDITS the decision has a limit of 0 on the first resource that
    was named, as `binding`; for any other reason it has none, as real ones. Its sentence ends by
    saying who denied. With LEDGER_UNAVAILABLE consume and report raise LedgerUnavailable, as they do
    where the ledger cannot be reached. For other reasons what is reported is booked, in memory.

    A limit that is reached in the middle of a stream, or a denial that is over at a certain moment, is
    better shown by a real limit in a ledger in memory, and a ManualClock.

    Args:
        reason: one of AccessDeniedReason.
        control: as for `allow_all`.

    >>> with deny("SUSPENDED") as control:
    ...     print(control.check(resource_ids=["user-01"], credit_currency="usd", requested_usage=5))
    resource user-01 is suspended; 5 usd were asked for; so says stiggctl.testing.deny
    """
    given: object = reason  # callers may pass anything
    known = [str(each) for each in AccessDeniedReason]
    if given not in known:
        meant = nearest(given, known) if isinstance(given, str) else None
        expected = f"one of {', '.join(known)}" if meant is None else f"{meant}, perhaps"
        raise InvalidRequest(where="reason", value=given, expected=expected)
    chosen = AccessDeniedReason(reason)
    return Verdict(f"deny({chosen})", lambda own: Denying(own, chosen), control)
