"""Checks of time: which windows a limit or a grant has, from when to when something is.

Here: anchors that can be counted from, windows that can roll, ends after beginnings.
Not here: what a cadence, a zone or an instant may be (definitions/values.py), how windows are cut
(windows/).
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache

from stiggctl.definitions import Allocation, Found, Grant, Override, Price, us_of, us_of_anchor
from stiggctl.errors import InvalidRequest
from stiggctl.validation.whole import Whole
from stiggctl.windows import END_US, FIRST_US, UTC_ZONE, read_cadence, windows_of

# A model has a few cadences; what is forgotten is asked again.
_TEXTS_KEPT = 1_024


def anchors_can_be_counted_from(whole: Whole) -> Iterator[Found]:
    """An anchor stands beside a cadence, not beside rolling, and in the years that can be written."""
    lists: tuple[tuple[str, str, Sequence[Allocation | Grant]], ...] = (
        ("allocations", "limit", whole.model.allocations),
        ("grants", "grant", whole.model.grants),
    )
    for entries, what, listed in lists:
        for place, entry in enumerate(listed):
            if entry.anchor is None:
                continue
            anchor_us = us_of_anchor(entry.anchor, entry.timezone)
            assert anchor_us is not None
            if isinstance(entry, Allocation) and entry.rolling:
                expected: str | None = _contradiction("P1D", anchored=True)[1]
            elif entry.cadence is None and not whole.draft.is_wrong(entries, place, "cadence"):
                expected = f"a cadence beside it; a {what} that only begins there has effectiveAt"
            else:
                expected = None
            if expected is None and not FIRST_US <= anchor_us < END_US:
                expected = "an instant in the years 1 to 9999, UTC"
            if expected is not None:
                yield Found(entries, place, ("anchor",), entry.anchor, expected)


def rolling_windows_can_roll(whole: Whole) -> Iterator[Found]:
    """What rolls has a cadence, of hours, days or weeks."""
    for place, entry in enumerate(whole.model.allocations):
        if not entry.rolling or whole.draft.is_wrong("allocations", place, "cadence"):
            continue
        at, expected = _contradiction(entry.cadence, anchored=False)
        if at is not None:
            yield Found("allocations", place, (at,), getattr(entry, at), expected)


@lru_cache(maxsize=_TEXTS_KEPT)
def _contradiction(cadence: str | None, *, anchored: bool) -> tuple[str | None, str]:
    """The field at fault in a rolling limit, and what would be right; None: there is none."""
    read = None if cadence is None else read_cadence(cadence)
    try:
        windows_of(read, UTC_ZONE, 0 if anchored else None, rolling=True)
    except InvalidRequest as error:
        return error.where, error.expected
    return None, ""


def ends_come_after_beginnings(whole: Whole) -> Iterator[Found]:
    """What has a beginning and an end ends after it began."""
    lists: tuple[tuple[str, Sequence[Allocation | Override | Grant | Price]], ...] = (
        ("allocations", whole.model.allocations),
        ("overrides", whole.model.overrides),
        ("grants", whole.model.grants),
        ("prices", whole.model.prices),
    )
    for entries, listed in lists:
        for place, entry in enumerate(listed):
            begins, ends = entry.effective_at, entry.expires_at
            if begins is None or ends is None or (us_of(ends) or 0) > (us_of(begins) or 0):
                continue
            if not whole.draft.is_wrong(entries, place, "effective_at"):
                expected = f"an instant after effectiveAt, {begins}"
                yield Found(entries, place, ("expires_at",), ends, expected)
