"""Observing: what a guarded call cost, by the responses that its block observes.

Here: in which currency, by which prices, what the event will say of it. Not here: what a response means
(prices/), what the call has told and how it ends (tally.py).

  OG1  Prices are those of the call's beginning: contracts as the model was then, the list as of that instant.
  OG2  What cannot be told or priced never raises into the block and is never nothing: the call's end books
       its estimate at least, flags the receipt, and tells whoever watches.
  OG3  What an event says of its usage is no part of its fingerprint, nor of which limits count it.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from stiggctl.answers import Sight
from stiggctl.errors import InvalidRequest
from stiggctl.events import DimensionValue
from stiggctl.holder.known import Known
from stiggctl.windows import to_datetime

if TYPE_CHECKING:
    from stiggctl.prices import Usage

#: The currency of prices, where a call has several.
MONEY = "usd"

Group = Mapping[str, DimensionValue]


class Begun(NamedTuple):
    """What prices are found by: the model, the customer and the instant of the beginning."""

    known: Known
    customer_id: str | None
    at_us: int


class Priced(NamedTuple):
    """What is known after a word of the response."""

    units: int | None  #: of the call's currency; None: it cannot be told
    groups: tuple[Group, ...]  #: what the event is to say of it
    unclear: Exception | None  #: why that is not, or may not be, what it cost


class Observing:
    """What one call has observed, and what that costs."""

    __slots__ = (
        "_begun",
        "_decimals",
        "_observed",
        "_priced",
        "_said",
        "_usage",
        "currency",
    )

    def __init__(self, sights: Sequence[Sight], begun: Begun) -> None:
        """Raises InvalidRequest where no currency of the call is the one of prices."""
        from stiggctl.prices.observed import Observed  # noqa: PLC0415 - most calls observe nothing

        decimals = {sight[0].credit_currency: sight[0].decimals for sight in sights}
        if len(decimals) > 1 and MONEY not in decimals:
            expected = f"a call in one currency, or with {MONEY!r} among several; here tell it with call.used"
            raise InvalidRequest(where="observe", value=list(decimals), expected=expected)
        self.currency = MONEY if len(decimals) > 1 else next(iter(decimals))
        self._decimals = decimals[self.currency]
        self._begun = begun
        self._observed = Observed()
        self._usage: Usage | None = None
        self._priced: Priced | None = None
        self._said: tuple[int | None, str] | None = None  #: by the last word

    def hear(self, response: object, provider: str | None, model: str | None) -> Priced | None:
        """What it costs by now; None where a chunk tells nothing that was not told before (OG2)."""
        observed = self._observed
        try:
            observed.add(response, provider=provider, model=model)
            usage = observed.usage()
            if self._priced is None or usage != self._usage:
                self._usage, self._priced = usage, self._priced_at(usage)
            found = self._priced._replace(unclear=None if observed.is_final else _cut())
        except Exception as error:  # noqa: BLE001 - a response is a stranger's; it is told at the call's end
            self._priced = None
            found = Priced(None, (), error)
        said = found.units, str(found.unclear)
        if observed.is_stream and said == self._said:
            return None
        self._said = said
        return found

    def _priced_at(self, usage: "Usage") -> Priced:
        from stiggctl.prices import cost_of  # noqa: PLC0415 - as above
        from stiggctl.prices.contracts import contract_tariff  # noqa: PLC0415 - as above

        known, customer_id, at_us = self._begun
        contracts = known.contracts(None)
        if customer_id is not None:
            own = known.contracts(customer_id)
            if contract_tariff(own.prices, usage.model, usage.provider, at_us) is not None:
                contracts = own
        cost = cost_of(usage, at=to_datetime(at_us), contracts=contracts.prices)
        version = cost.version
        if cost.source == "contract":
            version += f" (price {contracts.rows[version]})"  # its row stays, also when it is changed
        return Priced(cost.units(self._decimals), _groups(usage, cost.source, version), None)


def _cut() -> Exception:
    from stiggctl.prices import UsageUnclear  # noqa: PLC0415 - as above

    expected = "its end, with the whole usage: what it told so far is a part"
    return UsageUnclear(where="stream", value="cut", expected=expected)


def _groups(usage: "Usage", source: str, version: str) -> tuple[Group, ...]:
    """What an event says of it, by what matters most; classes that were not used come last.

    A count that is left out is read as 0: those of 0 may be missing, and are never there without the others.
    """
    said = usage.as_dimensions()
    named: list[Group] = [{name: said.pop(name)} for name in ("model", "provider") if name in said]
    counts = {name: value for name, value in said.items() if value != 0}
    return (counts, *named, {"price_source": source, "price_version": version}, said)
