"""Call: what the block of a guard has: it is told what the call used, and meters its streams.

Here: the object that application code has inside of a guard. Not here: how it begins
(guard.py) and ends (tally.py), how a stream is metered (stream.py).
"""

from collections.abc import AsyncGenerator, AsyncIterable, Callable, Generator, Iterable
from typing import TypeVar, overload

from stiggctl.answers import Decision, Receipt
from stiggctl.control.fit import Fit
from stiggctl.control.reservation import Reservation
from stiggctl.control.stream import ametered_chunks, metered_chunks
from stiggctl.control.tally import Tally
from stiggctl.control.used import Used
from stiggctl.errors import InvalidRequest

T = TypeVar("T")


class Call:
    """One guarded call.

    Tell it what was really used; if nothing is told, the estimate is booked at the end, and
    the receipt says so.

    >>> control = getfixture("acme")  # user-01 may spend 200 ai-tokens
    >>> with control.guard(resource_ids=["user-01"], credit_currency="ai-tokens", estimate=75) as call:
    ...     call.used(61)
    >>> call.receipt.charged
    61
    """

    __slots__ = ("_tally",)

    def __init__(self, tally: Tally) -> None:
        self._tally = tally

    @property
    def reservation(self) -> Reservation:
        """What is set aside for it."""
        return self._tally.reservation

    @property
    def decision(self) -> Decision:
        """The answer that admitted it."""
        return self._tally.reservation.decision

    @property
    def fit(self) -> Fit | None:
        """The candidate that it is for: which model, with how much output; None without candidates."""
        return self._tally.reservation.fit

    @property
    def receipt(self) -> Receipt | None:
        """What was booked. None inside of the block, and where nothing was booked (yet)."""
        return self._tally.receipt

    def used(self, amount: Used) -> None:
        """So much was used in all: an amount, or amounts by currency (one left out counts 0).

        Called again it replaces what was told before, also by a stream; 0 is nothing, not the
        estimate. More than was set aside is booked, too.

        Raises InvalidAmount or InvalidRequest, here and now; what was told before stands.
        """
        self._tally.tell(amount)

    def observe(self, response: object, *, provider: str | None = None, model: str | None = None) -> None:
        """This is what the provider answered: what it used, and so what the call cost.

        A whole response, or each chunk of a stream as it comes; objects and mappings of OpenAI,
        Anthropic, Gemini, Bedrock, LiteLLM, OpenRouter. The last word counts, of this and of
        `used`.

        In the currency "usd" a call costs what prices say: `prices` of the model, the customer's
        own before those for all; else the list's (`stiggctl[prices]`). In any other it costs what
        the rate of its `event_name` says, which may count what was used (`output_tokens`). Both
        are those of the instant at which the call began. The event says what was used and by which
        price, as far as it has room beside its own dimensions, which stand.

        It never raises for what a response lacks. Where the usage is missing, cut off or
        contradicts itself, or nothing says what it costs in a currency, at least the estimate is
        booked in that at the end, however the block ends; the receipt is `estimated`, and
        LedgerTrouble says why.

        Args:
            response: the response, or a chunk.
            provider, model: stand before what the response tells of them; Bedrock tells no model.

        Raises InvalidRequest where the block is over.

        >>> control = getfixture("acme")
        >>> _ = control.apply({
        ...     "creditCurrencies": [{"id": "usd", "decimals": 9}],
        ...     "prices": [{"model": "gpt-5*", "perMillion": {"input": "1.25", "output": 10}}],
        ... })
        >>> with control.guard(resource_ids=["user-01"], credit_currency="usd", estimate="0.02") as call:
        ...     call.observe({"object": "chat.completion", "model": "gpt-5-2025-08-07",
        ...                   "usage": {"prompt_tokens": 1_000, "completion_tokens": 100}})
        >>> call.receipt.charged
        Decimal('0.00225')
        """
        self._tally.observe(response, provider, model)

    @overload
    def stream(self, chunks: AsyncIterable[T], *, amount: Callable[[T], Used]) -> AsyncGenerator[T, None]: ...
    @overload
    def stream(self, chunks: Iterable[T], *, amount: Callable[[T], Used]) -> Generator[T, None, None]: ...
    def stream(
        self, chunks: AsyncIterable[T] | Iterable[T], *, amount: Callable[[T], Used]
    ) -> AsyncGenerator[T, None] | Generator[T, None, None]:
        """The chunks, each metered before it is yielded; cut where the limit is.

        While what is set aside covers a chunk, it is yielded at once. Then as much again as the
        estimate was is set aside, or, near a limit, what the chunk needs. A chunk counts
        once it is yielded. When the stream ends early, its source is closed.

        Each chunk adds to what the call was told; `used` replaces that, so a total that
        comes with the last chunk may be told after the loop.

        Args:
            chunks: any iterable, for `for`, or async iterable, for `async for`; what is both is
                taken as async.
            amount: what a chunk costs: an amount, or amounts by currency.

        Raises:
            BudgetExhausted: a chunk does not fit; it is neither yielded nor counted, and what
                was yielded is booked when the block ends.
            InvalidAmount, InvalidRequest: what `amount` returned is none; the chunk is not yielded.
            ReservationNotFound: more than ttl_seconds have passed.
            LedgerUnavailable: more was needed, and the ledger could not be asked (fail_closed).

        >>> control = getfixture("acme")  # user-01 may spend 200 ai-tokens
        >>> with control.guard(resource_ids=["user-01"], credit_currency="ai-tokens", estimate=2) as call:
        ...     for chunk in call.stream(["Hel", "lo"], amount=len):
        ...         print(chunk)
        Hel
        lo
        >>> call.receipt.charged
        5
        """
        if isinstance(chunks, AsyncIterable):
            return ametered_chunks(self._tally, chunks, amount)
        if not isinstance(chunks, Iterable):
            raise InvalidRequest(where="chunks", value=chunks, expected="an iterable, or an async iterable")
        return metered_chunks(self._tally, chunks, amount)

    def __repr__(self) -> str:
        return f"<Call {self._tally.reservation!r}>"
