"""Observing: what a guarded call cost, by the responses that its block observes.

Here: which currency is priced by what, and what the event will say of it. Not here: what a response means
(prices/), what the call has told and how it ends (tally.py).

  OG1  Prices and rates are those of the call's beginning: of the model as it was then, and of the list
       as of that instant.
  OG2  What cannot be told or priced never raises into the block and is never nothing: the call's end books
       its estimate at least, flags the receipt, and tells whoever watches.
  OG3  What an event says of its usage is no part of its fingerprint, nor of which limits count it.
  OG4  An event says counts of tokens only where they are all that was used.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from stiggctl.answers import Sight
from stiggctl.errors import InvalidAmount, InvalidRequest
from stiggctl.events import DimensionValue
from stiggctl.holder.costs import cost_by_model, is_money
from stiggctl.holder.known import Known
from stiggctl.importing import importing
from stiggctl.rates import price

if TYPE_CHECKING:
    from stiggctl.prices import Usage

Group = Mapping[str, DimensionValue]


class Begun(NamedTuple):
    """What a call costs by: the model, the customer, the instant, and what was told of its event."""

    known: Known
    customer_id: str | None
    at_us: int
    event_name: str | None
    dimensions: Mapping[str, DimensionValue]
    provider: str | None = None  #: the candidate's that was chosen: whose prices the estimate was by


class Priced(NamedTuple):
    """What is known after a word of the response."""

    units: Mapping[str, int]  #: by currency, of those that it tells
    errors: Mapping[str, Exception]  #: why that is not, or may not be, what it cost
    rates: Mapping[str, int]  #: by currency: the rate that priced it
    groups: tuple[Group, ...]  #: what the event is to say of it


class Observing:
    """What one call has observed, and what that costs."""

    __slots__ = ("_begun", "_decimals", "_observed", "_priced", "_said", "_usage")

    def __init__(self, sights: Sequence[Sight], begun: Begun) -> None:
        with importing():
            from stiggctl.prices.observed import Observed  # noqa: PLC0415 - most calls observe nothing

        self._decimals = {sight[0].credit_currency: sight[0].decimals for sight in sights}
        self._begun = begun
        self._observed = Observed()
        self._usage: Usage | None = None
        self._priced: Priced | None = None
        self._said: object = None  #: by the last word

    @property
    def is_stream(self) -> bool:
        """Whether the last word was a chunk."""
        return self._observed.is_stream

    def hear(self, response: object, provider: str | None, model: str | None) -> Priced | None:
        """What it costs by now; None where a chunk tells nothing that was not told before (OG2)."""
        observed = self._observed
        try:
            observed.add(response, provider=provider, model=model)
            usage = observed.usage()
            if self._priced is None or usage != self._usage:
                self._usage, self._priced = usage, self._priced_of(usage)
            found = self._priced if observed.is_final else self._cut(self._priced, usage)
        except Exception as error:  # noqa: BLE001 - a response is a stranger's; it is told at the call's end
            self._priced = None
            found = Priced({}, dict.fromkeys(self._decimals, error), {}, ())
        said = found.units, str(found.errors)
        if observed.is_stream and said == self._said:
            return None
        self._said = said
        return found

    def _priced_of(self, usage: "Usage") -> Priced:
        """Dollars by prices, every other currency by the rate that the call's event has in it."""
        with importing():
            from stiggctl.prices import PriceNotFound  # noqa: PLC0415 - as above

        begun, units, errors = self._begun, {}, {}
        if begun.customer_id is None and begun.known.has_own_terms:
            reason = "whose call it is was not known when it began, and customers have terms of their own"
            raise PriceNotFound(model=usage.model, provider=usage.provider, reason=reason)
        sold: list[Group] = []
        rates: dict[str, int] = {}
        # What the caller told stands before what the response tells, for rates as on the event.
        dimensions = {**usage.as_dimensions(), **begun.dimensions}
        for currency, decimals in self._decimals.items():
            try:
                if is_money(currency):
                    units[currency], source = self._dollars(usage, decimals)
                    sold = [source]
                else:
                    units[currency], rates[currency] = self._rated(currency, decimals, dimensions)
            except (PriceNotFound, InvalidRequest, InvalidAmount) as error:
                errors[currency] = error
        said = usage.as_dimensions()
        named: list[Group] = [{name: said.pop(name)} for name in ("model", "provider") if name in said]
        counts = {name: value for name, value in said.items() if value != 0}
        # By what matters most. A count that is left out is read as 0: those of 0 come last, and are
        # never there without the others.
        return Priced(units, errors, rates, (counts, *named, *sold, said))

    def _dollars(self, usage: "Usage", decimals: int) -> tuple[int, Group]:
        """What it cost, and what that was priced by."""
        known, customer_id, at_us, _, _, provider = self._begun
        if usage.provider is None and provider is not None:
            usage = replace(usage, provider=provider)  # else it would fit the prices of any
        cost, version = cost_by_model(known, customer_id, usage, at_us)
        return cost.units(decimals), {"price_source": cost.source, "price_version": version}

    def _rated(
        self, currency: str, decimals: int, dimensions: Mapping[str, DimensionValue]
    ) -> tuple[int, int]:
        """What it costs by the rate of its event, and the row of that."""
        known, customer_id, at_us, event_name, _, _ = self._begun
        rates = [] if event_name is None else known.rates(event_name, customer_id or "", dimensions, at_us)
        for rate in rates:
            if rate.currency_id == currency:
                return price([rate], dimensions, {currency: decimals})[currency]
        expected = (
            f"a rate for event_name {event_name!r} in it, or its amount by call.used; "
            f"prices of a response are in 'usd'"
        )
        raise InvalidRequest(where="observe", value=currency, expected=expected)

    @staticmethod
    def _cut(priced: Priced, usage: "Usage") -> Priced:
        """The same, of a stream that has not told its end: so much at least."""
        with importing():
            from stiggctl.prices import UsageUnclear  # noqa: PLC0415 - as above

        expected = "its end, with the whole usage: what it told so far is a part"
        cut = UsageUnclear(where="stream", value="cut", expected=expected)
        names: dict[str, str | None] = {"model": usage.model, "provider": usage.provider}
        groups = tuple([{name: value} for name, value in names.items() if value is not None])
        errors: dict[str, Exception] = {**dict.fromkeys(priced.units, cut), **priced.errors}
        return Priced(priced.units, errors, {}, groups)
