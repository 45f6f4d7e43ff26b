"""Checks of what is counted: currencies, allocations, rates.

Here: each once; decimals that stay once something counts in them; limits that their currency
can hold; rates in currencies that exist, with numbers that are prices.
Not here: on which resources limits stand in a tree (trees.py).

A currency that only an allocation names is made, with 0 decimals. A rate makes none: a name
misspelt there would charge where no limit looks.
"""

from collections.abc import Iterator

from stiggctl.amounts import AMOUNT_MAX, DECIMALS_MAX, LIMIT_MAX, Amount, to_units
from stiggctl.definitions import Found, Steps
from stiggctl.errors import InvalidAmount, shown
from stiggctl.validation.whole import Whole

# A price may be finer than its currency: an event is rounded once, after its parts are added. But
# one of which a single event would cost more than an event can is a mistake.
_PRICE_MAX = AMOUNT_MAX * 10**DECIMALS_MAX


def decimals_of(whole: Whole) -> dict[str, int | None]:
    """The decimals of each currency as it is to stand; None where they could not be read."""
    decimals: dict[str, int | None] = {
        currency_id: None if whole.draft.may_be_unreadable("credit_currencies", currency_id) else 0
        for currency_id in {entry.credit_currency for entry in whole.model.allocations}
    }
    decimals.update(whole.known.currencies)
    for place, currency in enumerate(whole.model.credit_currencies):
        wrong = whole.draft.is_wrong("credit_currencies", place, "decimals")
        decimals[currency.id] = None if wrong else currency.decimals
    return decimals


def currencies_are_once(whole: Whole) -> Iterator[Found]:
    """One entry for each currency."""
    seen: set[str] = set()
    for place, currency in enumerate(whole.model.credit_currencies):
        if currency.id in seen:
            expected = "one entry for each credit currency"
            yield Found("credit_currencies", place, ("id",), currency.id, expected)
        seen.add(currency.id)


def counted_decimals_stay(whole: Whole) -> Iterator[Found]:
    """Decimals stay once an event or a cell counts in them; before, the limits that stay must fit."""
    for place, currency in enumerate(whole.model.credit_currencies):
        former = whole.known.currencies.get(currency.id, currency.decimals)
        if former == currency.decimals:
            continue
        if currency.id in whole.known.counted:
            expected = f"{former}, as it was: usage counts in this currency"
            yield Found("credit_currencies", place, ("decimals",), currency.decimals, expected)
            continue
        for limit in whole.known.limits.get(currency.id, ()):
            try:
                to_units(limit, currency.decimals, "limit", maximum=LIMIT_MAX)
            except InvalidAmount as error:
                fits = f"decimals that fit the limits there are: {shown(limit)} would have to be"
                expected = f"{fits} {error.expected}"
                yield Found("credit_currencies", place, ("decimals",), currency.decimals, expected)
                break


def allocations_are_once(whole: Whole) -> Iterator[Found]:
    """One entry for each id of a customer; without an id, for each resource and currency."""
    seen: set[tuple[str, ...]] = set()
    for place, (entry, owner) in enumerate(
        zip(whole.model.allocations, whole.owners.allocations, strict=True)
    ):
        if owner is None:
            continue
        key: tuple[str, ...] = (owner, entry.resource_id, entry.credit_currency)
        found = Found(
            "allocations",
            place,
            ("resource_id",),
            entry.resource_id,
            "one entry for each resource and currency, or an id for each",
        )
        if entry.id is not None:
            key = (owner, entry.id)
            found = Found("allocations", place, ("id",), entry.id, "one entry for each id")
        if key in seen:
            yield found
        seen.add(key)


def allocations_have_an_owner(whole: Whole) -> Iterator[Found]:
    """Every allocation is of a customer: named, its resource's, or the only one that the model names."""
    if whole.draft.unreadable:
        return  # an entry that could not be read may be the one that says it
    orphans = {
        entry.id
        for entry, owner in zip(whole.model.resources, whole.owners.resources, strict=True)
        if owner is None
    }
    for place, entry in enumerate(whole.model.allocations):
        if whole.owners.allocations[place] is None and entry.resource_id not in orphans:
            yield Found("allocations", place, ("customer_id",), None, whole.whose())


def allocated_resources_are_known(whole: Whole) -> Iterator[Found]:
    """An allocation stands on a resource of its customer."""
    for place, (entry, owner) in enumerate(
        zip(whole.model.allocations, whole.owners.allocations, strict=True)
    ):
        if owner is None or owner not in whole.customers or (owner, entry.resource_id) in whole.nodes:
            continue
        if not whole.draft.may_be_unreadable("resources", entry.resource_id):
            expected = (
                f"a resource of customer {shown(owner)}{whole.hint_of_resource(owner, entry.resource_id)}"
            )
            yield Found("allocations", place, ("resource_id",), entry.resource_id, expected)


def limits_are_representable(whole: Whole) -> Iterator[Found]:
    """A limit is an amount that its currency can hold, up to LIMIT_MAX of its units."""
    decimals = decimals_of(whole)
    for place, entry in enumerate(whole.model.allocations):
        if (units := decimals[entry.credit_currency]) is None:
            continue
        try:
            to_units(entry.limit, units, "limit", maximum=LIMIT_MAX)
        except InvalidAmount as error:
            yield Found("allocations", place, ("limit",), entry.limit, error.expected)


def prices_are_numbers(whole: Whole) -> Iterator[Found]:
    """What a rate charges is a number of 0 or more, what it is charged for (`per`) one above 0."""
    for place, rate in enumerate(whole.model.rates):
        numbers: list[tuple[Steps, Amount]] = [(("credits",), rate.credits)]
        for number, term in enumerate(rate.terms):
            numbers.append((("terms", number, "credits"), term.credits))
            numbers.append((("terms", number, "per"), term.per))
        for steps, value in numbers:
            try:
                units = to_units(value, DECIMALS_MAX, "credits", maximum=_PRICE_MAX)
            except InvalidAmount as error:
                yield Found("rates", place, steps, value, error.expected)
                continue
            if units == 0 and steps[-1] == "per":
                yield Found("rates", place, steps, value, "a number above 0")


def rates_are_once(whole: Whole) -> Iterator[Found]:
    """One entry for each event and currency, of a customer or for all; one term a dimension."""
    seen: set[tuple[str | None, str, str]] = set()
    for place, rate in enumerate(whole.model.rates):
        key = (rate.customer_id, rate.event_name, rate.credit_currency)
        if key in seen:
            expected = "one entry for each event and currency"
            yield Found("rates", place, ("event_name",), rate.event_name, expected)
        seen.add(key)
        dimensions: set[str] = set()
        for number, term in enumerate(rate.terms):
            if term.dimension in dimensions:
                steps = ("terms", number, "dimension")
                yield Found("rates", place, steps, term.dimension, "one term for each dimension")
            dimensions.add(term.dimension)


def rate_currencies_are_known(whole: Whole) -> Iterator[Found]:
    """A rate charges in a currency that exists, or that the model defines or has a limit in."""
    known = decimals_of(whole)
    for place, rate in enumerate(whole.model.rates):
        currency = rate.credit_currency
        if currency in known or whole.draft.unreadable.keys() & {"credit_currencies", "allocations"}:
            continue
        expected = f"a credit currency that exists, or that the model defines{whole.hint(currency, known)}"
        yield Found("rates", place, ("credit_currency",), currency, expected)
