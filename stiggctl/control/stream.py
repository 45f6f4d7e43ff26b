"""Streams: chunks that are metered while they flow, and cut where the limit is.

Here: how much is set aside before a chunk is yielded, and the generators that do it, in both
faces. Not here: how the call ends (tally.py), what `extend` does (reservation.py).

  ST1  What is yielded was set aside before; it counts from the moment that it is yielded. What
       does not fit is neither yielded nor counted.
  ST2  A chunk that fits is yielded: where a whole slice is refused, just what it lacks is asked for.
  ST3  A stream that ends early closes its source.
"""

from collections.abc import AsyncGenerator, AsyncIterable, Callable, Generator, Iterable, Sequence
from decimal import Decimal
from inspect import isawaitable
from typing import Any, TypeVar

from stiggctl.amounts import AMOUNT_MAX, COUNTER_MAX, to_units
from stiggctl.control.tally import Tally
from stiggctl.control.used import Used, read_used
from stiggctl.errors import AccessDenied, BudgetExhausted, InvalidAmount, LedgerUnavailable

T = TypeVar("T")

Units = dict[str, int]


class Meter:
    """What one stream is allowed so far, and how much more is set aside at a time."""

    __slots__ = ("_allowed", "_amount", "_beyond", "_slice", "_tally", "_unheld")

    def __init__(self, tally: Tally, amount: Callable[[Any], Used]) -> None:
        self._tally = tally
        self._amount = amount
        estimate = {sight[0].credit_currency: sight[4] for sight in tally.sights}
        #: what is set aside, as far as this stream knows; others may have extended it meanwhile
        self._allowed: Units = estimate
        #: allowed by policy while the ledger was out of reach (fail_open), not set aside
        self._beyond: Units = dict.fromkeys(estimate, 0)
        #: a slice: what the estimate was; halved whenever one is refused, so that near the limit
        #: what others could have is not taken long before it is needed
        self._slice: Units = estimate
        self._unheld = tally.reservation.decision.policy == "fail_open"  # admitted without the ledger

    # ---------------------------------------------------------------- one chunk

    def weigh(self, chunk: object) -> Units:
        """What it costs; raises InvalidAmount."""
        self._tally.require_open("chunk", chunk)
        units = read_used(self._tally.sights, self._amount(chunk))
        told = self._tally.units or {}
        for name, more in units.items():
            if told.get(name, 0) + more > AMOUNT_MAX:
                expected = f"at most {AMOUNT_MAX} units in all that one call uses"
                raise InvalidAmount(
                    where="amount", value=self._tally.amounts_of(units)[name], expected=expected
                )
        return units

    def count(self, units: Units) -> None:
        """It is yielded now."""
        self._tally.add(units)

    def end(self) -> None:
        """The source had no more: it told what was used, also where that was nothing."""
        self._tally.add(dict.fromkeys(self._slice, 0))

    def admit(self, units: Units) -> None:
        """Have it set aside, or raise BudgetExhausted."""
        whole = True
        while lacking := self._lacking(units):
            wanted = self._slice_of(lacking) if whole else lacking
            try:
                self._tally.reservation.extend(amounts=self._amounts(wanted))
            except AccessDenied as denied:
                if wanted == lacking:
                    raise self._exhausted(denied) from denied
                self._halve()
                whole = False  # just what this chunk lacks (ST2)
            except LedgerUnavailable as trouble:
                self._go_on(trouble, wanted)

    async def aadmit(self, units: Units) -> None:
        """`admit`, without blocking the event loop."""
        whole = True
        while lacking := self._lacking(units):
            wanted = self._slice_of(lacking) if whole else lacking
            try:
                await self._tally.reservation.aextend(amounts=self._amounts(wanted))
            except AccessDenied as denied:
                if wanted == lacking:
                    raise self._exhausted(denied) from denied
                self._halve()
                whole = False  # just what this chunk lacks (ST2)
            except LedgerUnavailable as trouble:
                self._go_on(trouble, wanted)

    # ---------------------------------------------------------------- slices

    def _lacking(self, units: Units) -> Units:
        """What is not set aside yet of all that would then be used; empty where it fits."""
        if self._unheld:
            return {}
        lacking = self._short(units)
        if lacking:  # look again: somebody else may have extended it
            held = self._tally.reservation.amounts
            self._allowed = {
                sight[0].credit_currency: self._beyond[sight[0].credit_currency]
                + to_units(
                    held[sight[0].credit_currency], sight[0].decimals, "amount", maximum=COUNTER_MAX
                )  # a slice may go beyond what one event may charge
                for sight in self._tally.sights
            }
            lacking = self._short(units)
        return lacking

    def _short(self, units: Units) -> Units:
        told, allowed = self._tally.units or {}, self._allowed
        short = {name: told.get(name, 0) + more - allowed[name] for name, more in units.items() if more}
        return {name: lack for name, lack in short.items() if lack > 0}

    def _slice_of(self, lacking: Units) -> Units:
        return {name: max(lack, self._slice[name]) for name, lack in lacking.items()}

    def _halve(self) -> None:
        self._slice = {name: units // 2 for name, units in self._slice.items()}

    def _amounts(self, units: Units) -> dict[str, int | Decimal]:
        amounts = self._tally.amounts_of(units)
        return {name: amounts[name] for name in units}

    def _exhausted(self, denied: AccessDenied) -> BudgetExhausted:
        self.end()  # what was yielded is told, also where that is nothing
        return BudgetExhausted(decision=denied.decision, used=self._tally.told())

    def _go_on(self, trouble: LedgerUnavailable, slice_: Units) -> None:
        """The ledger is out of reach: with fail_open a slice more is allowed, else it is raised."""
        options = self._tally.holder.options
        if not trouble.unreachable or options.on_ledger_failure != "fail_open":
            raise trouble
        self._beyond = {name: units + slice_.get(name, 0) for name, units in self._beyond.items()}


# -------------------------------------------------------------------- the streams


def metered_chunks(
    tally: Tally, chunks: Iterable[T], amount: Callable[[T], Used]
) -> Generator[T, None, None]:
    """Each chunk, once it is set aside."""
    meter = Meter(tally, amount)
    source = iter(chunks)
    try:
        for chunk in source:
            units = meter.weigh(chunk)
            meter.admit(units)
            meter.count(units)
            yield chunk
    except BaseException as error:
        close_source(error, source, chunks)
        raise
    meter.end()


async def ametered_chunks(
    tally: Tally, chunks: AsyncIterable[T], amount: Callable[[T], Used]
) -> AsyncGenerator[T, None]:
    """Each chunk, once it is set aside; without blocking the event loop."""
    meter = Meter(tally, amount)
    source = aiter(chunks)
    try:
        async for chunk in source:
            units = meter.weigh(chunk)
            await meter.aadmit(units)
            meter.count(units)
            yield chunk
    except BaseException as error:
        await aclose_source(error, source, chunks)
        raise
    meter.end()


def close_source(error: BaseException, *sources: object) -> None:
    """Close what a stream that ends early with this error was made from (ST3)."""
    for close in _closers(("close",), sources):
        try:
            close()
        except Exception as another:  # noqa: BLE001 - the source's own; it is told
            _note(error, another)


async def aclose_source(error: BaseException, *sources: object) -> None:
    """`close_source`, of an async source: by its aclose, else by its close."""
    for close in _closers(("aclose", "close"), sources):
        try:
            closing = close()
            if isawaitable(closing):
                await closing
        except Exception as another:  # noqa: BLE001 - as above
            _note(error, another)


def _closers(names: tuple[str, ...], sources: Sequence[object]) -> list[Callable[[], object]]:
    """How each is closed: the iterator, and what it was made from, if that is another."""
    found = []
    for one in {id(source): source for source in sources}.values():
        close = next((closing for name in names if callable(closing := getattr(one, name, None))), None)
        if close is not None:
            found.append(close)
    return found


def _note(error: BaseException, another: Exception) -> None:
    """The error that ended the stream stays the one that is raised; a mere close has none to stay."""
    if isinstance(error, GeneratorExit):
        raise another
    error.add_note(f"closing its source failed, too: {another!r}")
