"""Rerating: what other prices would have made of booked usage, as people read it.

Here: the records, their sums and how they are told. Not here: what an event would cost
(holder/rerating.py), who books the difference (holder/adjusting.py).
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from stiggctl.amounts import plain, to_amount
from stiggctl.errors import shown
from stiggctl.holder.adjusted import part_in
from stiggctl.holder.rerating import Rated, RatedPart, UnratedPart, version_before
from stiggctl.windows import to_datetime, to_text, to_us

#: Models, and reasons, that are told apart: whoever reports usage may name a million. What comes after
#: them is summed under one name.
NAMES_MAX = 1_000
OTHERS = "(others)"

#: Row of a currency -> its id and decimals.
Currencies = Mapping[int, tuple[str, int]]


class RerateRow(NamedTuple):
    """What one event is charged in a currency, and what it would be."""

    event_id: str
    customer_id: str
    event_name: str | None
    model: str | None
    credit_currency: str
    occurred_at: datetime
    charged: int | Decimal  #: by the event and its adjustments
    would_be: int | Decimal
    difference: int | Decimal  #: less than 0 where it costs less
    price_version: str | None  #: by which it is charged; None: nothing said a price
    new_price_version: str  #: by which it would be
    adjustment_id: str | None  #: the event that booked the difference; None: it is not booked

    def as_dict(self) -> dict[str, Any]:
        """The camelCase JSON of it."""
        return {
            "eventId": self.event_id,
            "customerId": self.customer_id,
            "eventName": self.event_name,
            "model": self.model,
            "creditCurrency": self.credit_currency,
            "timestamp": _text(self.occurred_at),
            "charged": _json(self.charged),
            "wouldBe": _json(self.would_be),
            "difference": _json(self.difference),
            "priceVersion": self.price_version,
            "newPriceVersion": self.new_price_version,
            "adjustmentId": self.adjustment_id,
        }


class UnpricedRow(NamedTuple):
    """What one event is charged in a currency, and why nothing says what it would be."""

    event_id: str
    customer_id: str
    event_name: str | None
    model: str | None
    credit_currency: str
    occurred_at: datetime
    charged: int | Decimal
    reason: str

    def as_dict(self) -> dict[str, Any]:
        """The camelCase JSON of it."""
        return {
            "eventId": self.event_id,
            "customerId": self.customer_id,
            "eventName": self.event_name,
            "model": self.model,
            "creditCurrency": self.credit_currency,
            "timestamp": _text(self.occurred_at),
            "charged": _json(self.charged),
            "reason": self.reason,
        }


class RerateTotal(NamedTuple):
    """The sum of rows in a currency: of all, or of a model."""

    credit_currency: str
    model: str | None  #: in `totals` None; in `models` None for events that name none
    events: int
    charged: int | Decimal
    would_be: int | Decimal
    difference: int | Decimal
    unpriced: int  #: events that are not in these sums, for nothing says what they would cost

    def as_dict(self) -> dict[str, Any]:
        """The camelCase JSON of it."""
        return {
            "creditCurrency": self.credit_currency,
            "model": self.model,
            "events": self.events,
            "charged": _json(self.charged),
            "wouldBe": _json(self.would_be),
            "difference": _json(self.difference),
            "unpriced": self.unpriced,
        }


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Rerating:
    """What usage between two instants is charged, and what it would be by other prices.

    The sums are there. `rows` and `unpriced` read the ledger again, each time that they are asked for,
    as it was at that moment: there may be millions. Each is in order of customers, then of instants.
    """

    since: datetime
    until: datetime
    totals: tuple[RerateTotal, ...]  #: by currency
    models: tuple[RerateTotal, ...]  #: by model and currency
    reasons: Mapping[str, int]  #: why something is unpriced, and how often
    adjustments: int  #: that this call booked
    is_booked: bool  #: whether it was told to
    _walk: Callable[[], Iterator[Rated]]
    _currencies: Currencies

    @property
    def rows(self) -> Iterator[RerateRow]:
        """What each event is charged and would be; read anew."""
        for rated in self._walk():
            for part in rated.parts:
                if isinstance(part, RatedPart):
                    yield _row(rated, part, self._currencies, is_booked=self.is_booked)

    @property
    def unpriced(self) -> Iterator[UnpricedRow]:
        """The events that cannot be priced now, and why; read anew."""
        for rated in self._walk():
            for part in rated.parts:
                if isinstance(part, UnratedPart):
                    yield _unpriced(rated, part, self._currencies)

    def as_dict(self) -> dict[str, Any]:
        """The camelCase JSON of its sums; rows have their own."""
        return {
            "since": _text(self.since),
            "until": _text(self.until),
            "totals": [one.as_dict() for one in self.totals],
            "models": [one.as_dict() for one in self.models],
            "unpriced": dict(self.reasons),
            "booked": self.is_booked,
            "adjustments": self.adjustments,
        }

    def __str__(self) -> str:
        span = f"from {_text(self.since)} until {_text(self.until)}"
        lines = [f"{span}: {'nothing that prices said' if not self.totals else 'rated anew'}"]
        for total in self.totals:
            lines.append(_line(total.credit_currency, total))
            lines += [
                _line(f"  {'no model' if one.model is None else shown(one.model)}", one)
                for one in self.models
                if one.credit_currency == total.credit_currency
            ]
        lines += [
            f"unpriced, {times:,} times: {_plain_line(reason)}" for reason, times in self.reasons.items()
        ]
        if self.is_booked:
            lines.append(f"booked {self.adjustments:,} adjustments")
        elif any(total.difference for total in self.totals):
            lines.append("nothing was booked")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<Rerating {str(self).splitlines()[0]}>"


# -------------------------------------------------------------------- sums


class _Sum:
    """Of one currency, or one model in it; grows while events are walked over."""

    __slots__ = ("charged", "events", "unpriced", "would_be")

    def __init__(self) -> None:
        self.events = self.charged = self.would_be = self.unpriced = 0


class Sums:
    """The sums of a rerating, while they grow."""

    def __init__(self) -> None:
        self.reasons: dict[str, int] = {}
        self._by_currency: dict[int, _Sum] = {}
        self._by_model: dict[tuple[int, str | None], _Sum] = {}

    def add(self, rated: Rated) -> None:
        """Count one event."""
        model = model_of(rated)
        for one in rated.parts:
            currency = one.part.currency
            key = (currency, model)
            if key not in self._by_model and len(self._by_model) >= NAMES_MAX:
                key = (currency, OTHERS)
            sums = (
                self._by_currency.setdefault(currency, _Sum()),
                self._by_model.setdefault(key, _Sum()),
            )
            charged = rated.found.charged(currency)
            for each in sums:
                if isinstance(one, UnratedPart):
                    each.unpriced += 1
                else:
                    each.events += 1
                    each.charged += charged
                    each.would_be += one.units
            if isinstance(one, UnratedPart):
                reason = str(one.reason)
                if reason not in self.reasons and len(self.reasons) >= NAMES_MAX:
                    reason = OTHERS
                self.reasons[reason] = self.reasons.get(reason, 0) + 1

    def totals(self, currencies: Currencies) -> tuple[RerateTotal, ...]:
        """By currency."""
        found = [_total(one, None, currencies[row]) for row, one in self._by_currency.items()]
        return tuple(sorted(found, key=lambda one: one.credit_currency))

    def models(self, currencies: Currencies) -> tuple[RerateTotal, ...]:
        """By model and currency."""
        found = [_total(one, model, currencies[row]) for (row, model), one in self._by_model.items()]
        return tuple(sorted(found, key=lambda one: (one.credit_currency, one.model is None, one.model or "")))


def _total(one: _Sum, model: str | None, currency: tuple[str, int]) -> RerateTotal:
    name, decimals = currency
    return RerateTotal(
        credit_currency=name,
        model=model,
        events=one.events,
        charged=to_amount(one.charged, decimals),
        would_be=to_amount(one.would_be, decimals),
        difference=to_amount(one.would_be - one.charged, decimals),
        unpriced=one.unpriced,
    )


# -------------------------------------------------------------------- rows


def model_of(rated: Rated) -> str | None:
    """The model that an event names."""
    model = rated.dimensions.get("model")
    return None if model is None else str(model)


def _row(rated: Rated, one: RatedPart, currencies: Currencies, *, is_booked: bool) -> RerateRow:
    event, currency = rated.found.event, one.part.currency
    name, decimals = currencies[currency]
    charged = rated.found.charged(currency)
    difference = one.units - charged
    by = _booked_by(rated, currency, difference) if is_booked and difference else None
    return RerateRow(
        event_id=str(event.id),
        customer_id=rated.customer.customer_id,
        event_name=event.event_name,
        model=model_of(rated),
        credit_currency=name,
        occurred_at=to_datetime(event.occurred_at_us),
        charged=to_amount(charged, decimals),
        would_be=to_amount(one.units, decimals),
        difference=to_amount(difference, decimals),
        price_version=version_before(rated.found, currency),
        new_price_version=one.version,
        adjustment_id=by,
    )


def _booked_by(rated: Rated, currency: int, difference: int) -> str | None:
    """Which of the adjustments since is that of the difference; several only where others adjusted too."""
    found = [
        (part.amount_units != difference, row.id)
        for row in rated.adjusted_since
        if (part := part_in(row, currency)) is not None
    ]
    return str(min(found)[1]) if found else None


def _unpriced(rated: Rated, one: UnratedPart, currencies: Currencies) -> UnpricedRow:
    event, currency = rated.found.event, one.part.currency
    name, decimals = currencies[currency]
    return UnpricedRow(
        event_id=str(event.id),
        customer_id=rated.customer.customer_id,
        event_name=event.event_name,
        model=model_of(rated),
        credit_currency=name,
        occurred_at=to_datetime(event.occurred_at_us),
        charged=to_amount(rated.found.charged(currency), decimals),
        reason=str(one.reason),
    )


# -------------------------------------------------------------------- how it is told


def _line(name: str, total: RerateTotal) -> str:
    difference = plain(total.difference)
    sign = "" if difference.startswith("-") or total.difference == 0 else "+"
    unpriced = f"; {total.unpriced:,} unpriced" if total.unpriced else ""
    events = f"{total.events:,} event{'' if total.events == 1 else 's'}"
    return (
        f"{name}: charged {plain(total.charged)}, would be {plain(total.would_be)} "
        f"({sign}{difference}; {events}{unpriced})"
    )


def _plain_line(reason: str) -> str:
    return "".join(char if char.isprintable() else " " for char in reason)


def _text(instant: datetime) -> str:
    return to_text(to_us(instant, "instant"))


def _json(amount: int | Decimal) -> int | str:
    return plain(amount) if isinstance(amount, Decimal) else amount
