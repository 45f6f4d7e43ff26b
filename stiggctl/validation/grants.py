"""Checks of grants: prepaid credits of customers.

Here: each once, of a customer, of more than nothing; what a grant that exists cannot become.
Not here: from when to when it is there (times.py), in which order grants pay (who decides).

A grant makes the customer and the currency that it is the first to name. Its row stays for ever, for
events say what it paid of them: so it keeps its currency, and once voided it is not given again.
"""

from collections.abc import Iterator

from stiggctl.amounts import DECIMALS_MAX, LIMIT_MAX, to_units
from stiggctl.definitions import Found, Grant, us_of, us_of_anchor
from stiggctl.errors import InvalidAmount, shown
from stiggctl.validation.limits import decimals_of
from stiggctl.validation.trees import once_of_a_customer
from stiggctl.validation.whole import Granted, Whole

_COMPARED_MAX = LIMIT_MAX * 10**DECIMALS_MAX


def grants_are_once(whole: Whole) -> Iterator[Found]:
    """One entry for each id of a customer."""
    yield from once_of_a_customer("grants", whole.model.grants, whole.owners.grants)


def grants_have_an_owner(whole: Whole) -> Iterator[Found]:
    """A grant is of a customer: named, the only one that the model names, or the only one there is."""
    if whole.draft.unreadable:
        return  # an entry that could not be read may be the one that says it
    for place, owner in enumerate(whole.owners.grants):
        if owner is None:
            yield Found("grants", place, ("customer_id",), None, whole.whose())


def amounts_can_be_granted(whole: Whole) -> Iterator[Found]:
    """An amount of more than 0 that its currency can hold, up to LIMIT_MAX of its units."""
    decimals = decimals_of(whole)
    for place, entry in enumerate(whole.model.grants):
        if (units := decimals[entry.credit_currency]) is None:
            continue
        try:
            nothing = to_units(entry.amount, units, "amount", maximum=LIMIT_MAX) == 0
        except InvalidAmount as error:
            yield Found("grants", place, ("amount",), entry.amount, error.expected)
        else:
            if nothing:
                yield Found("grants", place, ("amount",), entry.amount, "more than 0")


def grants_keep_their_currency(whole: Whole) -> Iterator[Found]:
    """What events took from a grant is in its currency, so it has that for ever."""
    for place, entry, granted in _granted_before(whole):
        former = granted.entry.credit_currency
        if former != entry.credit_currency and not granted.is_void:
            expected = f"{shown(former)}, as it was; grant another with its own id"
            yield Found("grants", place, ("credit_currency",), entry.credit_currency, expected)


def voided_grants_stay_so(whole: Whole) -> Iterator[Found]:
    """A grant that was voided may be named as it was: it stays void. It is not given anew."""
    for place, entry, granted in _granted_before(whole):
        if granted.is_void and _said(entry) != _said(granted.entry):
            expected = "another id: a grant that was voided stays so; grant another with its own id"
            yield Found("grants", place, ("id",), entry.id, expected)


def _granted_before(whole: Whole) -> Iterator[tuple[int, Grant, Granted]]:
    """The model's grants that the ledger has: place, entry, and what is there."""
    for place, (entry, owner) in enumerate(zip(whole.model.grants, whole.owners.grants, strict=True)):
        granted = None if owner is None else whole.known.grants.get((owner, entry.id))
        if granted is not None and not whole.draft.is_wrong("grants", place):
            yield place, entry, granted


def _said(entry: Grant) -> tuple[object, ...]:
    """What a grant says, in one form: equal ones are equal."""
    try:
        amount: object = to_units(entry.amount, DECIMALS_MAX, "amount", maximum=_COMPARED_MAX)
    except InvalidAmount:
        amount = None  # that is told at the amount
    return (
        entry.credit_currency,
        amount,
        entry.priority,
        entry.kind,
        us_of(entry.effective_at),
        us_of(entry.expires_at),
        entry.cadence,
        entry.timezone or "UTC",
        us_of_anchor(entry.anchor, entry.timezone),
        entry.thresholds,
    )
