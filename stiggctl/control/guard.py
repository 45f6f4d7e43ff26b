"""Guard: a block of code around a call: credits are set aside before it, and settled after it.

Here: `guard`, and how its block begins. Not here: what the block has (call.py), how it ends
(tally.py), the halves that it begins with (requests.py).
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import Literal

from stiggctl.amounts import Amount
from stiggctl.control.arguments import read_asked, read_told, read_ttl
from stiggctl.control.call import Call
from stiggctl.control.fit import Candidate
from stiggctl.control.fitting import Choosing, Fitting, require_only_fit
from stiggctl.control.named import in_force
from stiggctl.control.requests import Request, Taken
from stiggctl.control.tally import Tally
from stiggctl.control.used import Used
from stiggctl.errors import InvalidAmount, InvalidRequest
from stiggctl.events import DimensionValue
from stiggctl.holder import Holder
from stiggctl.holder.asked import Asked

OnError = Literal["release", "charge_estimate"]


class Guard:
    """What `control.guard` returns: a `with`, or an `async with`, for one call."""

    __slots__ = ("_asked", "_asks", "_charges", "_holder", "_tally")

    def __init__(
        self, holder: Holder, asked: Asked, asks: Callable[[], Request | Choosing], *, charges: bool
    ) -> None:
        self._holder = holder
        self._asked = asked
        self._asks = asks
        self._charges = charges
        self._tally: Tally | None = None

    def begin(self) -> Tally:
        """Set it aside."""
        try:
            taken = self._request().take()
        except InvalidAmount as error:
            raise _of_estimate(error) from None
        return self._begin(taken)

    async def abegin(self) -> Tally:
        """`begin`, without blocking the event loop."""
        try:
            taken = await self._request().atake()
        except InvalidAmount as error:
            raise _of_estimate(error) from None
        return self._begin(taken)

    def _request(self) -> Request | Choosing:
        if self._tally is not None:
            raise InvalidRequest(where="guard", value=self, expected="a new guard for each call")
        return self._asks()

    def _begin(self, taken: Taken) -> Tally:
        request, answer, reservation = taken
        tally = Tally(self._holder, reservation, answer.sights, request.begun(answer), charges=self._charges)
        self._tally = tally
        return tally

    def __enter__(self) -> Call:
        return Call(self.begin())

    async def __aenter__(self) -> Call:
        return Call(await self.abegin())

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._tally is not None:
            self._tally.leave(error)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._tally is not None:
            await self._tally.aleave(error)

    def __repr__(self) -> str:
        amounts = " and ".join(f"{amount} {name}" for name, amount in self._asked.amounts)
        return f"<Guard of {amounts or 'a candidate'} for {', '.join(self._asked.ids)}>"


class Guarding(Fitting):
    """The part of a control that guards a block of code."""

    def guard(
        self,
        *,
        estimate: Used | None = None,
        fit: Sequence[Candidate] | None = None,
        resource_ids: Sequence[str] | None = None,
        credit_currency: str | None = None,
        minimum: Amount | None = None,
        ttl_seconds: int | None = None,
        event_name: str | None = None,
        dimensions: Mapping[str, DimensionValue] | None = None,
        customer_id: str | None = None,
        idempotency_key: str | None = None,
        on_error: OnError = "release",
    ) -> Guard:
        """Set an estimate aside for a call, in a `with` or an `async with`; settle it at the end.

        The block is entered only if the estimate fits. Whatever ends it (its end, an error, a
        cancelled task, a closed generator), what the call was told is booked once, and nothing
        stays held:

        - It ended: what was told; if nothing was, what is set aside, and `receipt.estimated`.
        - It raised: what was told; if nothing was, nothing (see `on_error`). The error goes on.

        A guard is for one call. One that was entered and is never left (a generator that nobody
        finishes) ends when it is collected, as if it had raised.

        Args:
            estimate: what the call may use; several currencies as a mapping: {"usd": "0.02"}.
            fit: instead of an estimate: candidates, of which the first that fits is set aside, as for
                `reserve`; `call.fit` says which model, and how much output it may have.
            resource_ids, credit_currency, customer_id, dimensions: as for `check`.
            minimum, ttl_seconds, event_name, idempotency_key: as for `reserve`. ttl_seconds is
                longer than the call may take.
            on_error: "charge_estimate" books what is set aside when the block raises and nothing
                was told: for calls that cost something also where they fail.

        Raises:
            AccessDenied, and what else `reserve` raises: it was not entered.
            LedgerUnavailable: it was left without an error, and what was used could not be booked;
                `.reservation` is open still: settle it again. With on_ledger_failure="fail_open"
                it is kept and sent later instead (at most 10,000 are), and LedgerTrouble says so.
            IdempotencyConflict: its key names another event; nothing was booked or stays held.

        With an error on its way out of the block nothing of ours is raised: a note on the error
        and LedgerTrouble tell it, and the settle is kept and sent later.

        >>> control = getfixture("acme")  # user-01 may spend 200 ai-tokens
        >>> with control.guard(
        ...     resource_ids=["user-01"], credit_currency="ai-tokens", estimate=75, event_name="chat"
        ... ) as call:
        ...     call.used(61)  # what the response says
        >>> call.receipt.charged, call.receipt.estimated
        (61, False)
        """
        if on_error not in ("release", "charge_estimate"):
            expected = "'release' or 'charge_estimate'"
            raise InvalidRequest(where="on_error", value=on_error, expected=expected)
        asked: Asked
        asks: Callable[[], Request | Choosing]
        if fit is None:
            asked, asks = self._estimating(
                estimate, resource_ids, credit_currency, minimum, ttl_seconds, event_name, dimensions,
                customer_id, idempotency_key,
            )  # fmt: skip
        else:
            require_only_fit(estimate=estimate, minimum=minimum)
            choosing = self._choosing(
                fit, resource_ids, credit_currency, event_name, dimensions, customer_id, idempotency_key,
                ttl_seconds,
            )  # fmt: skip
            asked, asks = choosing.asked._replace(amounts=()), choosing.anew
        return Guard(self._holder, asked, asks, charges=on_error == "charge_estimate")

    def _estimating(
        self,
        estimate: Used | None,
        resource_ids: Sequence[str] | None,
        credit_currency: str | None,
        minimum: Amount | None,
        ttl_seconds: int | None,
        event_name: str | None,
        dimensions: Mapping[str, DimensionValue] | None,
        customer_id: str | None,
        idempotency_key: str | None,
    ) -> tuple[Asked, Callable[[], Request]]:
        """What is asked with an estimate, and the request, made when the block begins."""
        if estimate is None:
            expected = "what the call may use; or candidates, as fit=[Candidate(…)]"
            raise InvalidRequest(where="estimate", value=None, expected=expected)
        amounts = estimate if isinstance(estimate, Mapping) else None
        if in_force() is not None or self._own is not None:
            customer_id, resource_ids, credit_currency, dimensions, event_name = self._filled(
                customer_id, resource_ids, credit_currency, dimensions, event_name, amounts
            )
        holder = self._holder
        ttl = holder.options.reservation_ttl_seconds if ttl_seconds is None else read_ttl(ttl_seconds)
        amount = None if isinstance(estimate, Mapping) else estimate
        asked = read_asked(resource_ids, credit_currency, amount, amounts, customer_id, where="estimate")
        told = read_told(asked, event_name, dimensions, idempotency_key)
        return asked, partial(Request, holder, asked, told, ttl_seconds=ttl, minimum=minimum)


def _of_estimate(error: InvalidAmount) -> InvalidAmount:
    """The same, by the name that the argument has here."""
    where = error.where
    for name in ("amounts", "amount"):
        if where.startswith(name):
            where = f"estimate{where[len(name) :]}"
            break
    return InvalidAmount(where=where, value=error.value, expected=error.expected)
