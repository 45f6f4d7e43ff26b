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
  IF4  A rolling window is that of now, whenever something took place: what took place before it counts
       in it no more.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple, Protocol

from stiggctl.amounts import LIMIT_MAX
from stiggctl.answers import Terms
from stiggctl.ledger.records import AllocationRow, CellKey, CellWanted, OverrideRow, ResourceRow, Rolls
from stiggctl.scopes import filter_of
from stiggctl.windows import (
    ALWAYS,
    Anchored,
    Calendar,
    Rolling,
    Window,
    Windows,
    read_cadence,
    steady,
    validity,
    windows_of,
    zone_of,
)


class Limit(NamedTuple):
    """A limit in force; or a grant that is open: `allocation` is its row, `resource` 0."""

    allocation: int
    allocation_id: str | None
    resource: int
    hard: bool
    limit_units: int
    terms: Terms
    counts_until_us: int | None  #: until when its cell counts; None: for ever, or it rolls

    @property
    def wanted(self) -> CellWanted:
        """The cell that counts it."""
        terms = self.terms
        rolls = None if terms.bucket_us is None else Rolls(terms.window_start_us, terms.bucket_us)
        key = CellKey(self.allocation, self.resource, terms.window_start_us if rolls is None else 0)
        return CellWanted(key, self.counts_until_us, terms.scope, self.limit_units, rolls)


class InForce(NamedTuple):
    """The limits of a resource in a currency, HARD ones first, and how long they are these (IF1).

    Those that only count are among them (IF2).
    """

    limits: tuple[Limit, ...]
    from_us: int
    until_us: int
    #: what took place from then on counts in the same cells: of a rolling limit that is long before
    counts_from_us: int
    #: rolling ones that have moved on since the instant: their cells must have, too, or what is booked of
    #: that instant would be missing in them
    moved_on: tuple[Limit, ...] = ()


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


class _Span(NamedTuple):
    """The window of an allocation at an instant, and as of when its limit is asked."""

    start_us: int
    end_us: int | None  #: None: for ever
    bucket_us: int | None  #: None: it does not roll
    limit_us: int


def limits_of(row: ResourceRow, model: Model, currency: int, at_us: int, now_us: int) -> InForce:
    """The limits of a resource at an instant, each as it is now, or was when its window ended.

    What counts in a window that still lasts is held against its limit of today, whenever it took
    place: a cell has one limit, whoever asks for it.
    """
    turns: list[Window] = []
    own = [one for one in model.own.get(row.id, ()) if one.currency == currency]
    templates = [one for one in model.templates if one.currency == currency and _matches(one, row)]
    rolls: list[Window] = []
    spans = {one.id: _span(one, at_us, now_us, turns, rolls) for one in (*own, *templates)}
    standing = [one for one in own if _stands(one, spans[one.id].limit_us, turns)]
    kinds = {(one.cadence, one.scope, one.rolling) for one in standing}
    standing += [
        one
        for one in templates
        if _stands(one, spans[one.id].limit_us, turns) and (one.cadence, one.scope, one.rolling) not in kinds
    ]
    in_force = {one.id for one in standing}
    overrides = [one for one in model.overrides.get(row.id, ()) if one.currency == currency]
    limits: list[Limit] = []
    moved_on: list[Limit] = []
    for one in (*own, *templates):
        span = spans[one.id]
        if one.id in in_force:
            limit = _in_force(one, row, span, overrides, turns)
        else:
            limit = _counting(one, row, span)
        (moved_on if span.bucket_us is not None and at_us < span.start_us else limits).append(limit)
    limits.sort(key=lambda limit: (not limit.hard, limit.allocation))
    turns += [Window(span.start_us, ALWAYS.end_us) for span in spans.values() if span.bucket_us]
    counts_from_us, lasts = steady(at_us, turns).start_us, steady(at_us, [*turns, *rolls])
    return InForce(tuple(limits), lasts.start_us, lasts.end_us, counts_from_us, tuple(moved_on))


def _span(one: AllocationRow, at_us: int, now_us: int, turns: list[Window], rolls: list[Window]) -> _Span:
    """Its window; and note when that turns, or the bucket of now."""
    windows = _windows_of(one.cadence, one.timezone, one.anchor_us, rolling=one.rolling)
    if windows is None:
        return _Span(0, None, None, now_us)
    if isinstance(windows, Rolling):
        start_us, end_us = windows.window_of(now_us)
        rolls.append(Window(windows.bucket_of(now_us), end_us))
        return _Span(start_us, end_us, windows.width_us, now_us)
    window = windows.window_of(at_us)
    turns.append(window)
    return _Span(*window, None, min(max(now_us, window.start_us), window.end_us - 1))


def _in_force(
    one: AllocationRow, row: ResourceRow, span: _Span, overrides: Sequence[OverrideRow], turns: list[Window]
) -> Limit:
    over = [each for each in overrides if each.scope == one.scope and each.cadence in (None, one.cadence)]
    turns.extend(map(_lasts, over))
    units, whose = _overridden(one, over, span.limit_us)
    changes = tuple((edge_us, _overridden(one, over, edge_us)[0]) for edge_us in _edges(over, span.limit_us))
    start_us, end_us, bucket_us, _ = span
    terms = Terms(
        one.cadence, one.scope, start_us, end_us, one.expires_at_us, whose, bucket_us, changes=changes
    )
    hard = one.enforcement == "HARD"
    return Limit(one.id, one.allocation_id, row.id, hard, units, terms, _counts_until(span))


def _counting(one: AllocationRow, row: ResourceRow, span: _Span) -> Limit:
    """It limits nothing now, but goes on counting (IF2)."""
    start_us, end_us, bucket_us, _ = span
    terms = Terms(one.cadence, one.scope, start_us, end_us, bucket_us=bucket_us, only_counts=True)
    return Limit(one.id, one.allocation_id, row.id, False, LIMIT_MAX, terms, _counts_until(span))


def _counts_until(span: _Span) -> int | None:
    return span.end_us if span.bucket_us is None else None


def limits_on(
    rows: Iterable[ResourceRow], model: Model, currency: int, at_us: int, now_us: int
) -> dict[int, InForce]:
    """The limits of each of some resources, by row."""
    return {row.id: limits_of(row, model, currency, at_us, now_us) for row in rows}


class HasLimits(Protocol):
    """What has limits: those of a resource, or the open grants of a pool."""

    @property
    def limits(self) -> tuple[Limit, ...]:
        """Each with its cell."""
        ...


def cells_of(in_force: Mapping[int, InForce], pool: HasLimits | None = None) -> list[CellWanted]:
    """The cells that count them."""
    limits = [limit for of_row in in_force.values() for limit in (*of_row.limits, *of_row.moved_on)]
    return [limit.wanted for limit in (*limits, *(() if pool is None else pool.limits))]


def recurring(cadence: str | None, timezone: str, anchor_us: int | None) -> Calendar | Anchored | None:
    """The windows of a grant that recurs; None: it does not."""
    windows = _windows_of(cadence, timezone, anchor_us)
    assert not isinstance(windows, Rolling)  # none was asked for
    return windows


@lru_cache(1_024)  # people write few kinds of windows
def _windows_of(
    cadence: str | None, timezone: str, anchor_us: int | None, *, rolling: bool = False
) -> Windows | None:
    read = None if cadence is None else read_cadence(cadence)
    return windows_of(read, zone_of(timezone), anchor_us, rolling=rolling)


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


def _overridden(one: AllocationRow, overrides: Iterable[OverrideRow], at_us: int) -> tuple[int, str | None]:
    """What a limit is while overrides are in force, and who says so (IF3)."""
    units, added, whose = one.limit_units, 0, []
    replacing: OverrideRow | None = None
    for override in overrides:
        if not _lasts(override).has(at_us):
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


def _lasts(override: OverrideRow) -> Window:
    """From when to when it is in force: without a beginning, from when it was put."""
    begins_us = override.put_at_us if override.effective_at_us is None else override.effective_at_us
    return validity(begins_us, override.expires_at_us)


def _edges(overrides: Iterable[OverrideRow], after_us: int) -> list[int]:
    """When one begins or ends, after an instant."""
    return sorted({edge_us for one in overrides for edge_us in _lasts(one) if edge_us > after_us})


def _began(override: OverrideRow) -> tuple[int, int]:
    return _lasts(override).start_us, override.id


def _said(override: OverrideRow) -> str:
    """Who says so and why, as people read it."""
    said = [text for text in (override.actor, override.reason) if text]
    return ": ".join(said) if said else f"override {override.id}"
