"""Costs: what a usage costs by the prices of the model, and which price said so.

Here: whose contract prices a usage, at an instant. Not here: which of several contracts of one owner
(prices/contracts.py), what a usage costs by one (prices/cost.py), what is charged for it.

What always holds:
  CM1  A customer's own contract prices a usage before one for all, and either before the list; what a
       question gives for itself stands before the same of the model.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from stiggctl.holder.known import Contracts, Known
from stiggctl.importing import importing
from stiggctl.windows import to_datetime

if TYPE_CHECKING:
    from stiggctl.prices import ContractPrice, Cost, Usage

#: Contract prices by whose they are (None: for all), that a question gives beside those of the model.
Given = Mapping[str | None, "Sequence[ContractPrice]"]

_NONE_GIVEN: Given = {}


def is_money(credit_currency: str) -> bool:
    """Whether prices, which are in dollars, are in that currency.

    >>> is_money("usd"), is_money("USD"), is_money("ai-tokens")
    (True, True, False)
    """
    return credit_currency.casefold() == "usd"


def contracts_for(
    known: Known,
    customer_id: str | None,
    model: str | None,
    provider: str | None,
    at_us: int,
    given: Given = _NONE_GIVEN,
) -> Contracts:
    """Those that may price a model at an instant (CM1); none where the list does."""
    with importing():
        from stiggctl.prices.contracts import contract_tariff  # noqa: PLC0415 - few processes price responses

    owners = [None] if customer_id is None else [customer_id, None]
    offers = [Contracts(tuple(given[owner]), {}) for owner in owners if owner in given]
    offers += [known.contracts(owner) for owner in owners]
    for offer in offers:
        if offer.prices and contract_tariff(offer.prices, model, provider, at_us) is not None:
            return offer
    return Contracts((), {})


class CostByModel(NamedTuple):
    """What a usage costs, and which price that was, as an event keeps it."""

    cost: "Cost"
    version: str


def cost_by_model(
    known: Known, customer_id: str | None, usage: "Usage", at_us: int, given: Given = _NONE_GIVEN
) -> CostByModel:
    """What a usage costs a customer, by the prices of an instant (CM1).

    Raises PriceNotFound where nothing has a price for it.
    """
    with importing():
        from stiggctl.prices import cost_of  # noqa: PLC0415 - as above

    agreed = contracts_for(known, customer_id, usage.model, usage.provider, at_us, given)
    cost = cost_of(usage, at=to_datetime(at_us), contracts=agreed.prices)
    version = cost.version
    if cost.source == "contract":
        row = agreed.rows.get(version)
        version += " (given)" if row is None else f" (price {row})"  # a row stays, also when it is changed
    return CostByModel(cost, version)
