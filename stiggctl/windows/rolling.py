"""Rolling windows: the time before each instant, counted in buckets of a sixtieth.

Here: which bucket an instant is in; which buckets count at an instant, and until when; when
enough of what they count has left. Not here: what stands in a bucket (ledger/).

A limit of 200 in any 24 hours counts, at each instant, the bucket of that instant and the sixty
before it: 61 buckets of 24 minutes. So usage counts for 24 hours at least, and for 24 minutes
more at most. A true window would need an event each; with fewer buckets usage would count for
longer, with more a request would look at more cells.

Buckets are real time from 1970-01-01T00:00Z in every zone, a day 24 hours: how long ago
something was knows no clock changes. Months have no sixtieth, so they do not roll.

What always holds:
  RL1  Usage counts at least the cadence long, and less than a sixtieth longer.
  RL2  Each instant is in exactly one bucket; of the buckets that count it is the last.
  RL3  What counts changes only where a bucket ends.
"""

from collections import defaultdict
from collections.abc import Iterable

from stiggctl.errors import InvalidRequest
from stiggctl.windows.cadence import Cadence, Unit
from stiggctl.windows.window import Window
from stiggctl.windows.zones import HOUR_US

_PARTS = 60
#: So many buckets count at an instant: a bucket counts so many times its own width.
BUCKETS = _PARTS + 1
_HOURS = {Unit.HOUR: 1, Unit.DAY: 24, Unit.WEEK: 7 * 24}


class Rolling:
    """The rolling windows of a cadence: a bucket is named by its start, as a cell is."""

    __slots__ = ("cadence", "width_us")

    cadence: Cadence
    width_us: int  #: of a bucket

    def __init__(self, cadence: Cadence, where: str = "cadence") -> None:
        """Raises InvalidRequest for months and years; `where` names the argument in the error."""
        hours = _HOURS.get(cadence.unit)
        if hours is None:
            expected = "hours, days or weeks (P30D, P365D), or no rolling: months have no one length"
            raise InvalidRequest(where=where, value=str(cadence), expected=expected)
        self.cadence = cadence
        self.width_us = hours * cadence.count * HOUR_US // _PARTS

    def bucket_of(self, at_us: int) -> int:
        """The start of the bucket that an instant is in: where its usage is booked.

        >>> hour = Rolling(Cadence(Unit.HOUR, 1))
        >>> hour.bucket_of(119_999_999), hour.bucket_of(120_000_000)
        (60000000, 120000000)
        """
        return at_us - at_us % self.width_us

    def buckets_of(self, at_us: int) -> range:
        """The starts of the 61 buckets that count at an instant, the oldest first."""
        newest_us = self.bucket_of(at_us)
        return range(newest_us - _PARTS * self.width_us, newest_us + 1, self.width_us)

    def window_of(self, at_us: int) -> Window:
        """From the first instant whose usage counts now, to when other buckets count."""
        newest_us = self.bucket_of(at_us)
        return Window.within_time(newest_us - _PARTS * self.width_us, newest_us + self.width_us)

    def leaves_us(self, bucket_us: int) -> int:
        """From when on a bucket no longer counts."""
        return bucket_us + BUCKETS * self.width_us

    def fits_at_us(
        self,
        at_us: int,
        used: Iterable[tuple[int, int]],
        *,
        amount_units: int,
        limit_units: int,
    ) -> int | None:
        """The first instant, not before `at_us`, at which an amount fits if nothing more is spent.

        `used` is what stands in the buckets, as (start, units); those that lie ahead may be named
        too (a report may be some minutes early), they count from their start. None: the amount is
        more than the limit.

        >>> hour = Rolling(Cadence(Unit.HOUR, 1))
        >>> used = [(0, 30), (60_000_000, 50)]
        >>> [hour.fits_at_us(70_000_000, used, amount_units=n, limit_units=100) for n in (20, 50, 51, 101)]
        [70000000, 3660000000, 3720000000, None]
        """
        changes: defaultdict[int, int] = defaultdict(int)
        for bucket_us, units in used:
            changes[max(bucket_us, at_us)] += units
            changes[max(self.leaves_us(bucket_us), at_us)] -= units
        room = limit_units - amount_units - changes.pop(at_us, 0)
        if room >= 0:
            return at_us
        for change_us in sorted(changes):
            room -= changes[change_us]
            if room >= 0:
                return change_us
        return None

    def __repr__(self) -> str:
        return f"<Rolling {self.cadence}>"
