"""Tally: what a guarded call has told so far, and how it ends: settled, released, or left to be.

Here: everything between a reservation and the end of its block. Not here: the objects that
application code has (call.py, guard.py), the settle itself (reservation.py), what is done
later (holder/owed.py).

  TL1  A call ends once, whatever ends it: its block, an error, a cancelled await, or that nobody
       has it any more. What it told is booked; if it told nothing, the estimate, or nothing.
  TL2  An error that is on its way out of the block is never replaced by one of ours.
  TL3  What ends where nobody may wait (a finalizer, a coroutine that is closed) is left to the keeper.
  TL4  A call goes on in the process that began it: in a child that was forked meanwhile an error, its
       exit too, or the collector ends nothing. What is told there and ends well is booked there.
"""

import asyncio
import contextlib
import copy
import sys
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import partial
from inspect import CO_ASYNC_GENERATOR
from types import FrameType
from typing import NamedTuple

from stiggctl.amounts import to_amount
from stiggctl.answers import Receipt, Sight
from stiggctl.control.observing import Begun, Observing
from stiggctl.control.reservation import Reservation
from stiggctl.control.used import Used, read_used
from stiggctl.errors import ControlClosed, InvalidRequest, LedgerError, LedgerUnavailable, StiggctlError
from stiggctl.holder import Holder
from stiggctl.holder.costs import is_money
from stiggctl.holder.enriching import Groups
from stiggctl.holder.owed import in_a_section


class Ending(NamedTuple):
    """What a settle is to book; without amounts, what is set aside."""

    amounts: dict[str, int | Decimal] | None
    estimated: bool
    groups: Groups  #: what its event says of what was used
    rates: Mapping[str, tuple[int, int]]  #: which rates priced it, and at what
    unclear: Exception | None = None  #: why what was observed does not say it


class Tally:
    """What one call has told so far."""

    __slots__ = (
        "_begun",
        "_doubtful",
        "_groups",
        "_heard",
        "_holder",
        "_observing",
        "_owed",
        "_rates",
        "_whole",
        "charges",
        "over",
        "receipt",
        "reservation",
        "result",
        "sights",
        "units",
    )

    def __init__(
        self,
        holder: Holder,
        reservation: Reservation,
        sights: tuple[Sight, ...],
        begun: Begun,
        *,
        charges: bool,
    ) -> None:
        self.over = True  # until it is whole: an interrupt may end this half way
        self._holder = holder
        self._owed = holder.owed  #: in a forked child the holder has another
        self._begun = begun
        self._observing: Observing | None = None
        self._heard: set[str] = set()  #: currencies of which the last word was a response's
        self._doubtful: dict[str, Exception] = {}  #: currencies that a response did not tell, and why
        self._groups: Groups = ()  #: what its event is to say of what was used
        #: by currency: the row of the rate that priced it, and at what
        self._rates: Mapping[str, tuple[int, int]] = {}
        self._whole: set[str] = set()  #: currencies that a stream told, with its end
        self.charges = charges  #: an error books the estimate, where nothing was told
        self.reservation = reservation
        self.sights = sights
        self.units: dict[str, int] | None = None  #: what was told, of the currencies that were; None: nothing
        self.receipt: Receipt | None = None
        self.result: object = None  #: the value of a metered function, not to be lost
        self.over = False

    @property
    def holder(self) -> Holder:
        """Whose call it is."""
        return self._holder

    # ---------------------------------------------------------------- what is told

    def tell(self, used: Used) -> None:
        """This is what was used; it replaces what was told before. Raises InvalidAmount."""
        self.require_open("used", used)
        self.units = read_used(self.sights, used)
        self._heard.clear()
        self._doubtful.clear()
        # What it used is what was observed; what it cost is what was told.
        self._groups, self._rates, self._whole = _unpriced(self._groups), {}, set()

    def observe(self, response: object, provider: str | None, model: str | None) -> None:
        """This is what it answered, or the next chunk of that. Raises InvalidRequest."""
        self.require_open("observe", response)
        if self._observing is None:
            self._observing = Observing(self.sights, self._begun)
        priced = self._observing.hear(response, provider, model)
        if priced is None:
            return
        told = self.units or {}
        by_response = self._heard | priced.units.keys()
        self._doubtful = {
            currency: error
            for currency, error in priced.errors.items()
            # What the caller told stands, but of money: prices tell that, and now they do not.
            if currency in by_response or currency not in told or is_money(currency)
        }
        if priced.units:
            self.units = {**told, **priced.units}
            self._heard = by_response
        self._groups = priced.groups
        self._rates = {name: (row, priced.units[name]) for name, row in priced.rates.items()}
        self._whole = priced.units.keys() - priced.errors.keys() if self._observing.is_stream else set()
        # Whoever settles it by hand says what it cost.
        self.reservation.observed = _unpriced(priced.groups)

    def add(self, units: Mapping[str, int]) -> None:
        """So much more was used; but of a stream that told its whole usage, that was all."""
        told = self.units or {}
        more = {name: number for name, number in units.items() if number and name not in self._whole}
        self.units = {**dict.fromkeys(units, 0), **told}
        for name, number in more.items():
            self.units[name] += number
        if any(map(is_money, more)):
            self._groups = _unpriced(self._groups)

    def told(self) -> dict[str, int | Decimal]:
        """What was told, as amounts."""
        return self.amounts_of(self.units or {})

    def amounts_of(self, units: Mapping[str, int]) -> dict[str, int | Decimal]:
        """Units of each reserved currency as amounts; left out: 0."""
        return {
            sight[0].credit_currency: to_amount(units.get(sight[0].credit_currency, 0), sight[0].decimals)
            for sight in self.sights
        }

    def require_open(self, where: str, value: object) -> None:
        """Raise InvalidRequest where the block is over."""
        if self.over:
            expected = "to be called inside the guarded block: it is over, and settled"
            raise InvalidRequest(where=where, value=value, expected=expected)

    # ---------------------------------------------------------------- how it ends

    def leave(self, error: BaseException | None) -> None:
        """The block is over, with that error or without: book what was used, or set it free."""
        if error is not None and self._goes_on_elsewhere():
            self.over = True
            return
        ending = self._ending(failed=error is not None)
        if isinstance(error, GeneratorExit) and in_a_section():
            self._owe(ending)
            return
        try:
            if ending is None:
                self.receipt = self.reservation.release()
            else:
                _say(self.reservation, ending)
                self.receipt = self.reservation.settle(amounts=ending.amounts, estimated=ending.estimated)
                _tell_unclear(self._holder, self.reservation, self.receipt, ending)
        except StiggctlError as trouble:
            self._not_ended(trouble, ending, error)
        except BaseException:  # interrupted: it is booked all the same
            self._owe(ending)
            raise
        self.over = True

    async def aleave(self, error: BaseException | None) -> None:
        """`leave`, without blocking the event loop. Cancelled, it is booked all the same, once."""
        if error is not None and self._goes_on_elsewhere():
            self.over = True
            return
        ending = self._ending(failed=error is not None)
        if isinstance(error, GeneratorExit) and not _may_wait(sys._getframe(1)):  # noqa: SLF001 - as there
            self._owe(ending)
            return
        try:
            if ending is None:
                self.receipt = self.reservation.release()
            else:
                _say(self.reservation, ending)
                self.receipt = await self.reservation.asettle(
                    amounts=ending.amounts, estimated=ending.estimated
                )
                _tell_unclear(self._holder, self.reservation, self.receipt, ending)
        except StiggctlError as trouble:
            self._not_ended(trouble, ending, error)
        except BaseException:
            self._owe(ending)
            raise
        self.over = True

    def _ending(self, *, failed: bool) -> Ending | None:
        """What is to be booked; None: nothing, set it free."""
        if self._doubtful and not self.reservation.released:
            unclear = next(iter(self._doubtful.values()))
            return self._booking(self._estimate_at_least(), unclear)
        if self.units is not None:
            return self._booking(self.told())._replace(estimated=False)
        if (failed and not self.charges) or self.reservation.released:
            return None
        return self._booking(None)

    def _booking(self, amounts: dict[str, int | Decimal] | None, unclear: Exception | None = None) -> Ending:
        return Ending(amounts, True, self._groups, self._rates, unclear)

    def _estimate_at_least(self) -> dict[str, int | Decimal]:
        """What is booked where it is unclear what it cost: never less than what is set aside for it."""
        told, held = self.told(), self.reservation.amounts
        return told | {currency: max(told[currency], held[currency]) for currency in self._doubtful}

    def _not_ended(self, trouble: StiggctlError, ending: Ending | None, error: BaseException | None) -> None:
        """It could not be booked now: keep it for later, or say so."""
        if isinstance(trouble, InvalidRequest) and in_a_section():
            self._owe(ending)  # a finalizer's block that ended as if by itself (TL3)
            return
        self.over = True
        holder, cause, kept = self._holder, trouble, False
        if isinstance(trouble, LedgerUnavailable):
            trouble = copy.copy(trouble)  # others whose settles were in the same exchange have it too
            trouble.reservation, trouble.result = self.reservation, self.result
            # With an error on its way nobody can be asked to settle again, whatever the policy.
            may_wait = error is not None or holder.options.on_ledger_failure == "fail_open"
            kept = trouble.unreachable and may_wait and holder.owed.put_off(self._work(ending))
            if kept:
                trouble.reason += f"; the settle of {self.reservation.reservation_id} is kept"
                trouble.remedy = "it is sent again until it is booked"
        elif not isinstance(trouble, LedgerError | ControlClosed):
            # Under its key it can never be booked: hold nothing for it. If it was closed meanwhile,
            # nothing is held here, and the first trouble is the one to tell.
            with contextlib.suppress(ControlClosed, LedgerError):
                self.reservation.release()
        if error is not None:
            error.add_note(f"stiggctl: what was used is not booked: {trouble}")
        elif not kept:
            raise trouble from (None if trouble is cause else cause)
        if isinstance(trouble, LedgerError):
            holder.report_trouble(trouble)

    def _goes_on_elsewhere(self) -> bool:
        """Whether this is a forked child, and its parent has the call (TL4)."""
        return self._holder.owed is not self._owed

    def _owe(self, ending: Ending | None) -> None:
        """Have it done where somebody may wait (TL3); takes no lock."""
        self._holder.owed.leave(self._work(ending))
        self.over = True

    def _work(self, ending: Ending | None) -> Callable[[], object]:
        return partial(_end, self._holder, self.reservation, ending)

    def __del__(self) -> None:
        # Nobody has the call any more, and nothing has ended it (TL1). This may run anywhere (TL3).
        if not self.over and not self._goes_on_elsewhere():
            self._owe(self._ending(failed=True))


def _unpriced(groups: Groups) -> Groups:
    """What an event says of what was used, without what that was priced by."""
    return tuple([group for group in groups if "price_source" not in group])


def _say(reservation: Reservation, ending: Ending) -> None:
    reservation.observed, reservation.priced_by = ending.groups, ending.rates


def _tell_unclear(holder: Holder, reservation: Reservation, receipt: Receipt, ending: Ending) -> None:
    """The estimate is booked in place of a cost: nobody may take that for a cost (OG2).

    Where its key named an event, or it was settled by hand, it is not.
    """
    if ending.unclear is None or not receipt.estimated:
        return
    trouble = LedgerError(
        location=holder.location,
        reason=f"what {reservation.reservation_id} cost cannot be told: {ending.unclear}",
        remedy="its estimate is booked, and its receipt is `estimated`; "
        "call.used, or a price in the model, tells it next time",
    )
    trouble.__cause__ = ending.unclear
    holder.report_trouble(trouble)


def _end(holder: Holder, reservation: Reservation, ending: Ending | None) -> None:
    """What was left to be done; where it can never be booked, nothing stays held for it."""
    if ending is None:
        reservation.release()
        return
    _say(reservation, ending)
    try:
        receipt = reservation.settle(amounts=ending.amounts, estimated=ending.estimated)
    except (LedgerError, ControlClosed):
        raise
    except StiggctlError:
        reservation.release()
        raise
    _tell_unclear(holder, reservation, receipt, ending)


def _may_wait(block: FrameType | None) -> bool:
    """Whether a block that is being closed may wait for its settle; `block` is who awaits that.

    An async generator may, while its loop runs: it is being `aclose`d. A coroutine may not: it is
    closed, or collected, and nobody drives it any more.
    """
    if asyncio._get_running_loop() is None or in_a_section():  # noqa: SLF001 - the one that does not raise
        return False
    while block is not None and block.f_code.co_name == "__aexit__":
        block = block.f_back  # a guard's, or a stack's that has one: the block is who awaits it
    return block is not None and bool(block.f_code.co_flags & CO_ASYNC_GENERATOR)
