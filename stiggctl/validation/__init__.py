"""Validation: checks over a whole model, each a function from the model to what is wrong in it.

Here: the list of checks, and all problems of a model together with its own.
Not here: what one entry may say by itself (definitions/), what changes in the ledger
(holder/models).

What always holds:
  WM4  Every check looks at every model; each finding is told, but for what follows from a field
      that could not be read.
  WM5  No check changes anything or asks a ledger: what it must know is in the `Known`.
"""

from collections.abc import Callable, Iterator

from stiggctl.definitions import SILENT, Found, Telling
from stiggctl.errors import Problem
from stiggctl.validation import contracts, grants, limits, overrides, prices, schemas, templates, times, trees
from stiggctl.validation.contracts import PriceKey, key_of_price, price_key
from stiggctl.validation.owners import Owners, grants_lack_owner, owners_of, without_owner
from stiggctl.validation.whole import (
    AllocationKey,
    Granted,
    GrantKey,
    Known,
    Limit,
    Node,
    OverrideKey,
    ResourceKey,
    Standing,
    TypeKey,
    Whole,
    key_of_allocation,
    key_of_override,
)

Check = Callable[[Whole], Iterator[Found]]

CHECKS: tuple[Check, ...] = (
    trees.customers_are_once,
    trees.customers_are_known,
    schemas.types_are_once,
    schemas.type_parents_are_known,
    schemas.types_form_no_cycle,
    schemas.attribution_keys_are_once,
    schemas.enums_have_values,
    trees.resources_are_once,
    trees.resources_have_an_owner,
    trees.resource_types_are_known,
    trees.parents_are_known_and_fit,
    trees.resources_form_no_cycle,
    schemas.properties_fit,
    schemas.standing_resources_still_fit,
    limits.currencies_are_once,
    limits.counted_decimals_stay,
    limits.allocations_are_once,
    limits.allocations_are_on_something,
    limits.limits_have_an_owner,
    limits.limited_resources_are_known,
    limits.limits_are_representable,
    times.anchors_can_be_counted_from,
    times.rolling_windows_can_roll,
    times.ends_come_after_beginnings,
    templates.template_types_are_known,
    templates.templates_can_match,
    templates.standing_templates_can_still_match,
    overrides.overrides_are_once,
    overrides.overrides_change_something,
    overrides.override_currencies_are_known,
    overrides.overrides_say_which_of_several,
    prices.rates_are_once,
    prices.rate_currencies_are_known,
    prices.prices_are_numbers,
    contracts.contracts_are_once,
    contracts.contracts_price_what_there_is,
    grants.grants_are_once,
    grants.grants_have_an_owner,
    grants.amounts_can_be_granted,
    grants.grants_keep_their_currency,
    grants.voided_grants_stay_so,
)


def problems_of(whole: Whole, telling: Telling = SILENT) -> tuple[Problem, ...]:
    """All problems of a model: those of reading it, and those of every check, as they come in it.

    `telling` is at its phase of as many checks.
    """
    draft = whole.draft
    told = (draft.told(found) for check in telling.each(CHECKS) for found in check(whole))
    return draft.in_order([*draft.problems, *(problem for problem in told if problem is not None)])


__all__ = [
    "CHECKS",
    "AllocationKey",
    "Check",
    "GrantKey",
    "Granted",
    "Known",
    "Limit",
    "Node",
    "OverrideKey",
    "Owners",
    "PriceKey",
    "ResourceKey",
    "Standing",
    "TypeKey",
    "Whole",
    "grants_lack_owner",
    "key_of_allocation",
    "key_of_override",
    "key_of_price",
    "owners_of",
    "price_key",
    "problems_of",
    "without_owner",
]
