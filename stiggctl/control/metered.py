"""Metered: a function whose every call is guarded, and told what it used by its result.

Here: the decorator, and what it makes of each of the four kinds of functions. Not here: the
guard that each call is in (guard.py), how items are metered (stream.py).

  MT1  The function stays of its kind (sync, coroutine, generator, async generator), keeps its
       name and signature, and returns and raises what it did.
  MT2  What the function returned is never lost: where it cannot be booked, it is in the error.
  MT3  A generator is metered item by item; it holds from its first step, and nothing before.
"""

import functools
import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Mapping, Sequence
from typing import Any, Protocol, TypeVar, cast

from stiggctl.control.guard import Guard, Guarding, OnError
from stiggctl.control.stream import Meter, aclose_source, close_source
from stiggctl.control.used import Used
from stiggctl.errors import InvalidRequest
from stiggctl.events import DimensionValue

F = TypeVar("F", bound=Callable[..., object])


class Metered(Protocol):
    """What `control.metered` returns: a decorator that keeps the type of what it decorates."""

    def __call__(self, function: F, /) -> F:
        """The function, metered."""
        ...


class Metering(Guarding):
    """The part of a control that meters functions."""

    def metered(
        self,
        *,
        estimate: Used | Callable[..., Used],
        amount: Callable[[Any], Used],
        resource_ids: Sequence[str] | Callable[..., Sequence[str]] | None = None,
        credit_currency: str | None = None,
        ttl_seconds: int | None = None,
        event_name: str | Callable[..., str] | None = None,
        dimensions: Mapping[str, DimensionValue] | Callable[..., Mapping[str, DimensionValue]] | None = None,
        customer_id: str | Callable[..., str] | None = None,
        idempotency_key: str | Callable[..., str] | None = None,
        on_error: OnError = "release",
    ) -> Metered:
        """Guard every call of a function: a decorator for functions and methods of four kinds.

        Each call sets the estimate aside first, and is not made if that does not fit
        (AccessDenied). What it used is found from its result:

        - of a function or a coroutine function, by `amount(result)`;
        - of a generator or an async generator, by `amount(item)` for each item, before it is
          yielded, as `call.stream` does: it is cut where the limit is (BudgetExhausted). It sets
          aside at its first step, not when it is made. `send`, `throw`, `close` and the value
          that it returns work as before.

        The decorated function keeps its kind, its name and its type.

        Args:
            amount: what a result or an item cost: an amount, or amounts by currency. Where it
                raises, or returns no amount, the call was made all the same: its estimate is
                booked (of a generator: what was yielded), and that error is raised.
            estimate, resource_ids, event_name, dimensions, customer_id, idempotency_key: as for
                `guard`; or a function of the call's arguments that returns it.
            credit_currency, ttl_seconds, on_error: as for `guard`.

        Raises, when it is called: what `guard` raises. In LedgerUnavailable, `.result` is what the
        function returned, and `.reservation` is open still.

        >>> control = getfixture("acme")  # user-01 may spend 200 ai-tokens
        >>> @control.metered(
        ...     resource_ids=lambda user, *_: [user], credit_currency="ai-tokens", estimate=50, amount=len
        ... )
        ... def answer(user, prompt):
        ...     return f"You said: {prompt}"
        >>> answer("user-01", "hello")
        'You said: hello'
        >>> control.check(resource_ids=["user-01"], credit_currency="ai-tokens").binding.used
        15
        """
        made: object = amount
        if not callable(made):
            expected = "a function of the result: lambda result: result.usage.total_tokens"
            raise InvalidRequest(where="amount", value=amount, expected=expected)
        asked: dict[str, Any] = {
            "estimate": estimate,
            "resource_ids": resource_ids,
            "event_name": event_name,
            "dimensions": dimensions,
            "customer_id": customer_id,
            "idempotency_key": idempotency_key,
        }
        given = {"credit_currency": credit_currency, "ttl_seconds": ttl_seconds, "on_error": on_error}
        return _Metering(self, asked, given, amount)


class _Metering:
    """The decorator: how each call of a function is guarded."""

    def __init__(
        self,
        face: Guarding,
        asked: dict[str, Any],
        given: dict[str, Any],
        amount: Callable[[Any], Used],
    ) -> None:
        self._guard: Callable[..., Guard] = face.guard
        self._asked = {name: value for name, value in asked.items() if callable(value)}
        self._given = given | {name: value for name, value in asked.items() if not callable(value)}
        self._amount = amount

    def __call__(self, function: F, /) -> F:
        given: object = function
        if not callable(given):
            expected = "a function; put @classmethod and @staticmethod above this decorator"
            raise InvalidRequest(where="metered", value=function, expected=expected)
        called = cast("Callable[..., Any]", function)
        if inspect.isasyncgenfunction(function):
            made = self._async_generator(called)
        elif inspect.iscoroutinefunction(function):
            made = self._coroutine(called)
        elif inspect.isgeneratorfunction(function):
            made = self._generator(called)
        else:
            made = self._function(called)
        return cast("F", made)

    def _guarding(self, args: tuple[object, ...], kwargs: dict[str, object]) -> Guard:
        """The guard of a call with these arguments."""
        if not self._asked:
            return self._guard(**self._given)
        found = {name: find(*args, **kwargs) for name, find in self._asked.items()}
        return self._guard(**self._given, **found)

    # ---------------------------------------------------------------- of each kind

    def _function(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def metered(*args: Any, **kwargs: Any) -> Any:
            tally = self._guarding(args, kwargs).begin()
            try:
                tally.result = function(*args, **kwargs)
                tally.charges = True  # the call was made: what is not told is its estimate
                tally.tell(self._amount(tally.result))
            except BaseException as error:
                tally.leave(error)
                raise
            tally.leave(None)
            return tally.result

        return metered

    def _coroutine(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        async def metered(*args: Any, **kwargs: Any) -> Any:
            tally = await self._guarding(args, kwargs).abegin()
            try:
                tally.result = await function(*args, **kwargs)
                tally.charges = True
                tally.tell(self._amount(tally.result))
            except BaseException as error:
                await tally.aleave(error)
                raise
            await tally.aleave(None)
            return tally.result

        return metered

    def _generator(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def metered(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
            tally = self._guarding(args, kwargs).begin()
            try:
                items = function(*args, **kwargs)
                tally.result = yield from _metered_items(Meter(tally, self._amount), items)
            except BaseException as error:
                tally.leave(error)
                raise
            tally.leave(None)
            return tally.result

        return metered

    def _async_generator(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        async def metered(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
            tally = await self._guarding(args, kwargs).abegin()
            items: AsyncGenerator[Any, Any] | None = None
            try:
                items = function(*args, **kwargs)
                meter, step = Meter(tally, self._amount), items.asend(None)
                while True:
                    try:
                        item = await step
                    except StopAsyncIteration:
                        meter.end()
                        break
                    units = meter.weigh(item)
                    await meter.aadmit(units)
                    meter.count(units)
                    try:
                        sent = yield item
                    except GeneratorExit:
                        raise
                    except BaseException as error:  # noqa: BLE001 - it is the generator's to answer
                        step = items.athrow(error)
                    else:
                        step = items.asend(sent)
            except BaseException as error:
                try:
                    await aclose_source(error, items)
                finally:
                    await tally.aleave(error)
                raise
            await tally.aleave(None)

        return metered


def _metered_items(meter: Meter, items: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
    """`yield from items`, each metered before it is yielded; the value that it returns."""
    step: Callable[[], Any] = functools.partial(next, items)
    try:
        while True:
            try:
                item = step()
            except StopIteration as ended:
                meter.end()
                return ended.value
            units = meter.weigh(item)
            meter.admit(units)
            meter.count(units)
            try:
                sent = yield item
            except GeneratorExit:
                raise
            except BaseException as error:  # noqa: BLE001 - it is the generator's to answer
                step = functools.partial(items.throw, error)
            else:
                step = functools.partial(items.send, sent)
    except BaseException as error:
        close_source(error, items)
        raise
