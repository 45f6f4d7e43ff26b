"""Forecast: when a limit or a pool runs out, if spending goes on at its present pace.

Here: what becomes of a limit meanwhile, and a record that people read. Not here: the pace (pace.py), how
limits and events are read (control/).

What always holds:
  FC1  A limit that is passed has run out now; one that ends before what it has is spent does not run out.
  FC2  What is held counts as spent: most of it will be booked.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from stiggctl.amounts import plain, to_amount
from stiggctl.answers import LimitState, RawLimit
from stiggctl.answers.json_form import camel, json_value
from stiggctl.reports.pace import Pace
from stiggctl.windows import BUCKETS, END_US, to_datetime, to_text

_DAY_US = 86_400_000_000
#: How far back the pace of a limit is looked for that has no shorter window: four weeks have as many of each
#: day of the week, and what was longer ago is no present pace.
LOOK_US_MAX = 28 * _DAY_US
#: It runs out before the first in one case of ten, and after the last in one.
EARLY, LATE = 0.1, 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """A limit, or a pool, and when it runs out at its present pace.

    The instants are None where that is not before the limit ends: its window turns, or it is a limit
    no longer. They are estimates: in eight cases of ten it runs out between `earliest_at` and
    `latest_at`, where spending goes on as it did.
    """

    limit: LimitState
    at: datetime  #: as of when
    #: from when on spending was looked at; None: there was too little
    looked_since: datetime | None
    per_day: int | Decimal | None  #: the pace, in the limit's currency; None: there is none
    earliest_at: datetime | None  #: one case of ten runs out before
    runs_out_at: datetime | None  #: half of them do
    latest_at: datetime | None  #: nine of ten do
    ends_at: datetime | None  #: when its window ends, or the limit; None: never
    chance: float | None  #: the odds that it runs out before it ends; None: there is no pace, or no end

    def as_dict(self) -> dict[str, Any]:
        """The camelCase JSON of it."""
        values = {name: getattr(self, name) for name in self.__slots__ if name != "limit"}
        shown = {
            camel(name): value if name == "chance" else json_value(value) for name, value in values.items()
        }
        return {"limit": self.limit.as_dict(), **shown}

    def __str__(self) -> str:
        if self.per_day is None:
            return f"{self.limit}; too little was spent lately to say when it runs out"
        at_pace = f"{self.limit}; at {plain(self.per_day)} a day it"
        if self.runs_out_at == self.at:
            return f"{self.limit}; it has run out"
        if self.runs_out_at is not None:
            first = _second(self.earliest_at or self.at)
            when = (
                f"after {first}" if self.latest_at is None else f"from {first} to {_second(self.latest_at)}"
            )
            odds = "nine" if self.latest_at is None else "eight"
            return f"{at_pace} runs out about {_second(self.runs_out_at)} ({odds} cases of ten: {when})"
        odds = "" if self.chance is None else f" ({self.chance:.0%} runs out before)"
        ends = "does not run out" if self.ends_at is None else f"lasts until {_second(self.ends_at)}"
        return f"{at_pace} {ends}{odds}"


def look_us(raw: RawLimit) -> int:
    """How far back the pace of a limit is looked for: as long as its window, or four weeks."""
    terms = raw.terms
    if terms.bucket_us is not None:
        return min((BUCKETS - 1) * terms.bucket_us, LOOK_US_MAX)
    if terms.window_end_us is None:
        return LOOK_US_MAX
    return min(terms.window_end_us - terms.window_start_us, LOOK_US_MAX)


def forecast_of(raw: RawLimit, pace: Pace | None, now_us: int) -> Forecast:
    """What a pace makes of a limit."""
    ends_us = _ends_us(raw, now_us)
    found: dict[float, int | None] = dict.fromkeys((EARLY, 0.5, LATE))
    chance: float | None = None
    if raw.room <= 0:
        found, chance = dict.fromkeys(found, now_us), 1.0  # FC1
    elif pace is not None and pace.units > 0:
        stretches = list(_stretches(raw, pace, now_us, END_US if ends_us is None else ends_us))
        found = {odds: _passes_us(stretches, pace, now_us, odds) for odds in found}
        if ends_us is not None:
            chance = max(pace.chance(room, until_us - now_us) for _, until_us, room in stretches)
    elif pace is not None and ends_us is not None:
        chance = 0.0
    earliest, median, latest = (None if us is None else to_datetime(us) for us in found.values())
    return Forecast(
        limit=LimitState(raw),
        at=to_datetime(now_us),
        looked_since=None if pace is None else to_datetime(now_us - pace.look_us),
        per_day=None if pace is None else to_amount(round(pace.units * _DAY_US), raw.decimals),
        earliest_at=earliest,
        runs_out_at=median,
        latest_at=latest,
        # A rolling window ends with each bucket: that is no end.
        ends_at=None if ends_us is None or raw.terms.bucket_us is not None else to_datetime(ends_us),
        chance=chance,
    )


def _ends_us(raw: RawLimit, now_us: int) -> int | None:
    """Until when the room is that of this window, of this limit; of a rolling one, as far as it is known."""
    terms = raw.terms
    ends = [terms.expires_at_us]
    if terms.bucket_us is not None:
        ends.append(now_us + (BUCKETS - 1) * terms.bucket_us)
    elif not raw.is_pool:
        ends.append(terms.window_end_us)
    return min((end_us for end_us in ends if end_us is not None), default=None)


def _stretches(raw: RawLimit, pace: Pace, now_us: int, ends_us: int) -> Iterator[tuple[int, int, int]]:
    """(from, until, room) of each stretch of time, as overrides, buckets and grants come and go.

    Of what a grant leaves when it ends, what was spent until then had been its own: those that end
    first burn first.
    """
    changes = [(at_us, units) for at_us, units in _changes(raw) if now_us < at_us < ends_us]
    from_us, room, taken = now_us, raw.room, 0
    for at_us, units in sorted(changes):
        yield from_us, at_us, room
        if raw.is_pool and units < 0:
            spent = min(-units, max(0, int(pace.units * (at_us - now_us)) - taken))
            taken += spent
            room += units + spent
        else:
            room += units
        from_us = at_us
    yield from_us, ends_us, room


def _changes(raw: RawLimit) -> Iterator[tuple[int, int]]:
    limit = raw.limit
    for at_us, becomes in raw.terms.changes:
        yield at_us, becomes - limit
        limit = becomes
    if raw.is_pool or raw.terms.bucket_us is not None:  # FC2: of others only holds would come back
        yield from raw.frees


def _passes_us(stretches: list[tuple[int, int, int]], pace: Pace, now_us: int, odds: float) -> int | None:
    """When the odds of having spent more than the room are so high; None: at no time that is known."""
    for from_us, until_us, room in stretches:
        if pace.chance(room, from_us - now_us) >= odds:
            return from_us
        if pace.chance(room, until_us - now_us) >= odds:
            at_us = now_us + round(pace.after_us(room, odds))
            return at_us if at_us < until_us else None
    return None


def _second(at: datetime) -> str:
    return to_text(round(at.timestamp()) * 1_000_000)
