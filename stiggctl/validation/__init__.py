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
from stiggctl.validation import limits, schemas, trees
from stiggctl.validation.whole import (
    Known,
    Node,
    Owners,
    ResourceKey,
    Standing,
    TypeKey,
    Whole,
    owners_of,
    without_owner,
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
    limits.allocations_have_an_owner,
    limits.allocated_resources_are_known,
    limits.limits_are_representable,
    limits.rates_are_once,
    limits.rate_currencies_are_known,
    limits.prices_are_numbers,
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
    "Check",
    "Known",
    "Node",
    "Owners",
    "ResourceKey",
    "Standing",
    "TypeKey",
    "Whole",
    "owners_of",
    "problems_of",
    "without_owner",
]
