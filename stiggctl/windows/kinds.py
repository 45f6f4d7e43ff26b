"""Kinds: which windows a limit has: calendar, anchored or rolling ones, or none.

Here: what a limit says of its cadence, zone, anchor and rolling, made into its windows.
Not here: the kinds themselves (calendar.py, anchored.py, rolling.py), reading text (cadence.py,
zones.py, instants.py).
"""

from stiggctl.errors import InvalidRequest
from stiggctl.windows.anchored import Anchored
from stiggctl.windows.cadence import Cadence
from stiggctl.windows.calendar import Calendar
from stiggctl.windows.instants import to_text
from stiggctl.windows.rolling import Rolling
from stiggctl.windows.zones import Zone

#: Each has `window_of(at_us)`; a rolling one has buckets besides.
Windows = Calendar | Anchored | Rolling


def windows_of(
    cadence: Cadence | None,
    zone: Zone,
    anchor_us: int | None = None,
    *,
    rolling: bool = False,
    where: str = "",
) -> Windows | None:
    """The windows of a limit; None: it has no cadence, and is for ever.

    Raises InvalidRequest for what contradicts itself: an anchor or rolling without a cadence,
    rolling by months or years, rolling from an anchor. `where` is put before the key at fault:
    "allocations[3]." for "allocations[3].anchor". The zone of rolling windows and of hours
    changes nothing, and UTC stands where none was written: it is never at fault.

    >>> from stiggctl.windows import read_cadence, read_zone
    >>> windows_of(read_cadence("month"), read_zone("Europe/Amsterdam"))
    <Calendar P1M Europe/Amsterdam>
    >>> windows_of(None, read_zone("UTC"), rolling=True, where="allocations[3].")
    Traceback (most recent call last):
    stiggctl.errors.InvalidRequest: allocations[3].rolling: got True, expected a cadence beside it ...
    """
    anchor = None if anchor_us is None else to_text(anchor_us)
    if cadence is None:
        if rolling:
            expected = "a cadence beside it that says how far back it counts, such as P7D"
            raise InvalidRequest(where=f"{where}rolling", value=rolling, expected=expected)
        if anchor_us is not None:
            expected = "a cadence beside it; a limit that only begins there has effectiveAt"
            raise InvalidRequest(where=f"{where}anchor", value=anchor, expected=expected)
        return None
    if rolling:
        if anchor_us is not None:
            expected = "no anchor beside rolling: a rolling window ends now, whenever that is"
            raise InvalidRequest(where=f"{where}anchor", value=anchor, expected=expected)
        return Rolling(cadence, f"{where}cadence")
    return Calendar(cadence, zone) if anchor_us is None else Anchored(cadence, zone, anchor_us)
