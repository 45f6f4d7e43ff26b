"""Known: what a process keeps of the model beside the trees, as of one change of the ledger.

Here: currencies, which dimensions name resources, rates, contract prices, whether there is one customer only.
Not here: resources and limits (trees.py), which are read when first needed.

  K1  A Known is of one `change` and is replaced whole, never mended.
"""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from stiggctl.errors import CurrencyNotFound, InvalidRequest
from stiggctl.events import DimensionValue
from stiggctl.importing import importing
from stiggctl.ledger import Reader
from stiggctl.ledger.records import CurrencyRow, CustomerRow, PriceRow, RateRow
from stiggctl.rates import Rate, Term, applying
from stiggctl.windows import to_datetime

if TYPE_CHECKING:
    from stiggctl.prices import ContractPrice


class Contracts(NamedTuple):
    """Contract prices of one customer, or for all."""

    prices: "tuple[ContractPrice, ...]"
    rows: Mapping[str, int]  #: the ledger's row of each, by its version


class Known:
    """The small part of the model that every request may need."""

    def __init__(self, reader: Reader) -> None:
        self.change = reader.state().change
        rows = reader.currencies()
        self.currencies: dict[str, CurrencyRow] = {row.currency_id: row for row in rows}
        self.currency_of_row = {row.id: (row.currency_id, row.decimals) for row in rows}
        customers = reader.customers(most=2)
        self.only_customer: CustomerRow | None = customers[0] if len(customers) == 1 else None
        self._keys: dict[str | None, dict[str, list[str]]] = defaultdict(dict)
        for row in reader.types():
            for key in row.attribution_keys:
                self._keys[row.customer_id].setdefault(key, []).append(row.type_id)
        rates: dict[str, list[Rate]] = defaultdict(list)
        for rate in reader.rates():
            rates[rate.event_name].append(_rate(rate, self.currency_of_row))
        self._rates = dict(rates)
        self._prices: dict[str | None, list[PriceRow]] = defaultdict(list)
        for price in reader.prices():
            self._prices[price.customer_id].append(price)
        #: made when first asked for; two threads that make one make the same
        self._contracts: dict[str | None, Contracts] = {}

    def currency(self, credit_currency: str) -> CurrencyRow:
        """The currency of that id; raises CurrencyNotFound."""
        if not isinstance(credit_currency, str):
            raise InvalidRequest(
                where="credit_currency", value=credit_currency, expected="the id of a credit currency"
            )
        found = self.currencies.get(credit_currency)
        if found is None:
            raise CurrencyNotFound(credit_currency=credit_currency, known=tuple(sorted(self.currencies)))
        return found

    def types_of_key(self, customer_id: str) -> Mapping[str, Sequence[str]]:
        """Which types a dimension's key names resources of; a customer's own types come first."""
        own = self._keys.get(customer_id)
        shared = self._keys.get(None, {})
        if not own:
            return shared
        return {key: [*own.get(key, ()), *shared.get(key, ())] for key in {*own, *shared}}

    def rates(
        self, event_name: str, customer_id: str, dimensions: Mapping[str, DimensionValue], at_us: int
    ) -> list[Rate]:
        """What prices such an event at that instant: one rate a currency."""
        return applying(self._rates.get(event_name, ()), customer_id, dimensions, at_us)

    def contracts(self, customer_id: str | None) -> Contracts:
        """Contract prices of a customer; None: those for all."""
        found = self._contracts.get(customer_id)
        if found is None:
            found = self._contracts[customer_id] = _contracts(self._prices.get(customer_id, ()))
        return found

    @property
    def has_own_terms(self) -> bool:
        """Whether some customer has prices or rates of its own."""
        return any(customer_id is not None for customer_id in self._prices) or any(
            rate.customer_id is not None for rates in self._rates.values() for rate in rates
        )

    def event_names(self) -> tuple[str, ...]:
        """The events that have a rate, for a hint."""
        return tuple(sorted(self._rates))


def _rate(row: RateRow, currency_of_row: Mapping[int, tuple[str, int]]) -> Rate:
    terms = [
        Term(dimension=term["dimension"], credits=Decimal(term["credits"]), per=Decimal(term["per"]))
        for term in json.loads(row.terms, parse_float=str, parse_int=str)
    ]
    return Rate(
        row=row.id,
        event_name=row.event_name,
        currency_id=currency_of_row[row.currency][0],
        credits=Decimal(row.credits),
        terms=tuple(terms),
        customer_id=row.customer_id,
        where=tuple((name, frozenset(texts)) for name, texts in json.loads(row.where).items()),
        effective_at_us=row.effective_at_us,
    )


def _contracts(rows: Sequence[PriceRow]) -> Contracts:
    if not rows:
        return Contracts((), {})
    with importing():
        from stiggctl.prices import ContractPrice  # noqa: PLC0415 - few processes price responses

    prices = [
        ContractPrice(
            model=row.model,
            provider=row.provider,
            per_million=json.loads(row.per_million),
            each=json.loads(row.each),
            effective_at=None if row.effective_at_us is None else to_datetime(row.effective_at_us),
            expires_at=None if row.expires_at_us is None else to_datetime(row.expires_at_us),
        )
        for row in rows
    ]
    return Contracts(tuple(prices), {price.version: row.id for price, row in zip(prices, rows, strict=True)})
