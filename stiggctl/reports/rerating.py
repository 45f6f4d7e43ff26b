"""Rerating: what other prices would have made of booked usage, as people read it.

Here: sums, and how they are told. Not here: the records of each event (rerated.py), what one would cost
(holder/rerating.py), who books the difference (holder/adjusting.py).
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from stiggctl.amounts import plain, to_amount
from stiggctl.errors import shown
from stiggctl.holder.rerating import Rated, RatedPart, UnratedPart
from stiggctl.reports.rerated import (
    Currencies,
    RerateRow,
    UnpricedRow,
    json_of,
    model_of,
    row_of,
    text_of,
    unpriced_of,
)

#: Models, and reasons, that are told apart: whoever reports usage may name a million. What comes after
#: them is summed under one name.
NAMES_MAX = 1_000
OTHERS = "(others)"
#: Of models, and of reasons, in a text for a terminal; all of them are in the record.
LINES_MAX = 12


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
            "charged": json_of(self.charged),
            "wouldBe": json_of(self.would_be),
            "difference": json_of(self.difference),
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
                    yield row_of(rated, part, self._currencies, is_booked=self.is_booked)

    @property
    def unpriced(self) -> Iterator[UnpricedRow]:
        """The events that cannot be priced now, and why; read anew."""
        for rated in self._walk():
            for part in rated.parts:
                if isinstance(part, UnratedPart):
                    yield unpriced_of(rated, part, self._currencies)

    def as_dict(self) -> dict[str, Any]:
        """The camelCase JSON of its sums; rows have their own."""
        return {
            "since": text_of(self.since),
            "until": text_of(self.until),
            "totals": [one.as_dict() for one in self.totals],
            "models": [one.as_dict() for one in self.models],
            "unpriced": dict(self.reasons),
            "booked": self.is_booked,
            "adjustments": self.adjustments,
        }

    def __str__(self) -> str:
        span = f"from {text_of(self.since)} until {text_of(self.until)}"
        lines = [f"{span}: {'rated anew' if self.totals else 'nothing that prices said'}"]
        for total in self.totals:
            models = [one for one in self.models if one.credit_currency == total.credit_currency]
            models.sort(key=lambda one: Decimal(one.difference).copy_abs(), reverse=True)
            lines.append(_line(total.credit_currency, total))
            lines += _some([_line(f"  {_name(one.model)}", one) for one in models])
        reasons = sorted(self.reasons.items(), key=lambda one: -one[1])
        lines += _some([f"unpriced, {times:,} times: {_plain_line(reason)}" for reason, times in reasons])
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


def _name(model: str | None) -> str:
    return "no model" if model is None else shown(model)


def _some(lines: list[str]) -> list[str]:
    """As many as are read at a glance."""
    more = len(lines) - LINES_MAX
    return lines if more <= 0 else [*lines[:LINES_MAX], f"  and {more:,} more"]


def _plain_line(reason: str) -> str:
    return "".join(char if char.isprintable() else " " for char in reason)
