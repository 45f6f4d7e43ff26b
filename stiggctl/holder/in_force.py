"""In force: which limits a resource has at an instant, and for how long that stays so.

Here: its own allocations and the templates that match it, their windows, what overrides make of
them. Pure: rows in, limits out. Not here: reading the rows (trees.py), what is counted (ledger/),
which of the limits a request meets (decision/paths.py).

What always holds:
  IF1  What is found at an instant holds from `from_us` until `until_us`, and no longer: a window
       turns, a limit or an override begins or ends.
  IF2  A resource's own allocation stands in the place of templates of the same currency, cadence
       and scope, for as long as it is in force. What is not in force goes on counting, without a
       limit: its window has all that took place in it, whenever it is in force again.
  IF3  Of the overrides in force the one that began last replaces the limit, and all that add are added.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from stiggctl.amounts import LIMIT_MAX
from stiggctl.answers import Terms
from stiggctl.ledger.records import AllocationRow, CellKey, CellWanted, OverrideRow, ResourceRow
from stiggctl.scopes import filter_of
from stiggctl.windows import ALWAYS, Window, Windows, read_cadence, steady, validity, windows_of, zone_of


class Limit(NamedTuple):
    """A limit in force."""

    allocation: int
    allocation_id: str | None
    resource: int
    hard: bool
    limit_units: int
    terms: Terms

    @property
    def wanted(self) -> CellWanted:
        """The cell that counts it."""
        terms = self.terms
        key = CellKey(self.allocation, self.resource, terms.window_start_us)
        return CellWanted(key, terms.window_end_us, terms.scope, self.limit_units)


class InForce(NamedTuple):
    """The limits of a resource in a currency, HARD ones first, and how long they are these (IF1).

    Those that only count are among them (IF2).
    """

    limits: tuple[Limit, ...]
    from_us: int
    until_us: int


class Model(NamedTuple):
    """What limits some resources: their own allocations and overrides by row, the templates."""

    own: Mapping[int, Sequence[AllocationRow]]
    templates: Sequence[AllocationRow]
    overrides: Mapping[int, Sequence[OverrideRow]]


def model_of(
    allocations: Iterable[AllocationRow], templates: Sequence[AllocationRow], overrides: Iterable[OverrideRow]
) -> Model:
    """The rows, found by their resources."""
    own: dict[int, list[AllocationRow]] = {}
    for one in allocations:
        own.setdefault(one.resource, []).append(one)
    over: dict[int, list[OverrideRow]] = {}
    for override in overrides:
        over.setdefault(override.resource, []).append(override)
    return Model(own, templates, over)


def limits_of(row: ResourceRow, model: Model, currency: int, at_us: int, now_us: int) -> InForce:
    """The limits of a resource at an instant, each as high as it is now, or was when its window ended.

    What counts in a window that still lasts is held against its limit of today, whenever it took place.
    """
    turns: list[Window] = []
    own = [one for one in model.own.get(row.id, ()) if one.currency == currency]
    standing = [one for one in own if _stands(one, at_us, turns)]
    kinds = {(one.cadence, one.scope, one.rolling) for one in standing}
    counting = list(own)
    for one in model.templates:
        if one.currency == currency and _matches(one, row):
            counting.append(one)
            if _stands(one, at_us, turns) and (one.cadence, one.scope, one.rolling) not in kinds:
                standing.append(one)
    in_force = {one.id for one in standing}
    overrides = [one for one in model.overrides.get(row.id, ()) if one.currency == currency]
    limits = []
    for one in counting:
        start_us, end_us = 0, None
        limit_us = now_us
        windows = _windows_of(one.cadence, one.timezone, one.anchor_us)
        if windows is not None:
            window = windows.window_of(at_us)
            turns.append(window)
            start_us, end_us = window
            limit_us = min(max(now_us, start_us), end_us - 1)
        if one.id in in_force:
            units, overridden_by = _overridden(one, overrides, limit_us, turns)
            terms = Terms(one.cadence, one.scope, start_us, end_us, one.expires_at_us, overridden_by)
            limits.append(Limit(one.id, one.allocation_id, row.id, one.enforcement == "HARD", units, terms))
        else:
            terms = Terms(one.cadence, one.scope, start_us, end_us, only_counts=True)
            limits.append(Limit(one.id, one.allocation_id, row.id, False, LIMIT_MAX, terms))
    limits.sort(key=lambda limit: (not limit.hard, limit.allocation))
    lasts = steady(at_us, turns) if turns else ALWAYS
    return InForce(tuple(limits), lasts.start_us, lasts.end_us)


def limits_on(
    rows: Iterable[ResourceRow], model: Model, currency: int, at_us: int, now_us: int
) -> dict[int, InForce]:
    """The limits of each of some resources, by row."""
    return {row.id: limits_of(row, model, currency, at_us, now_us) for row in rows}


def cells_of(in_force: Mapping[int, InForce]) -> list[CellWanted]:
    """The cells that count them."""
    return [limit.wanted for of_row in in_force.values() for limit in of_row.limits]


@lru_cache(1_024)  # people write few kinds of windows
def _windows_of(cadence: str | None, timezone: str, anchor_us: int | None) -> Windows | None:
    read = None if cadence is None else read_cadence(cadence)
    return windows_of(read, zone_of(timezone), anchor_us)


def _stands(one: AllocationRow, at_us: int, turns: list[Window]) -> bool:
    """Whether it is in force; and note when that changes."""
    if one.effective_at_us is None and one.expires_at_us is None:
        return True
    valid = validity(one.effective_at_us, one.expires_at_us)
    turns.append(valid)
    return valid.has(at_us)


def _matches(template: AllocationRow, row: ResourceRow) -> bool:
    """Whether a template limits the resource."""
    if template.type_id != row.type_id or template.customer not in (0, row.customer):
        return False
    return filter_of(template.where).passes(row.properties)


def _overridden(
    one: AllocationRow, overrides: Iterable[OverrideRow], at_us: int, turns: list[Window]
) -> tuple[int, str | None]:
    """What a limit is while overrides are in force, and who says so (IF3)."""
    units, added, whose = one.limit_units, 0, []
    replacing: OverrideRow | None = None
    for override in overrides:
        if override.scope != one.scope or override.cadence not in (None, one.cadence):
            continue
        valid = validity(override.effective_at_us, override.expires_at_us)
        turns.append(valid)
        if not valid.has(at_us):
            continue
        if override.add_units is not None:
            added += override.add_units
            whose.append(override)
        elif replacing is None or _began(override) >= _began(replacing):
            replacing = override
    if replacing is not None and replacing.limit_units is not None:
        units = replacing.limit_units
        whose.insert(0, replacing)
    return min(units + added, LIMIT_MAX), "; ".join(map(_said, whose)) or None


def _began(override: OverrideRow) -> tuple[int, int]:
    return (ALWAYS.start_us if override.effective_at_us is None else override.effective_at_us, override.id)


def _said(override: OverrideRow) -> str:
    """Who says so and why, as people read it."""
    said = [text for text in (override.actor, override.reason) if text]
    return ": ".join(said) if said else f"override {override.id}"
