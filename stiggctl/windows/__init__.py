"""Windows: from when to when a limit counts. Pure: the time is an argument.

An instant is an int, microseconds since 1970 in UTC (instants.py). A limit has a cadence
(cadence.py) and is for ever, calendar (in an IANA zone), anchored or rolling (kinds.py); its
window at an instant is a function of these alone. There is no reset job: a window turns because
the next instant is in another one, on every machine, whether or not anybody was awake.

Which window a late event is in is asked with its instant, as any other.
"""

from stiggctl.windows.anchored import Anchored
from stiggctl.windows.cadence import Cadence, Unit, read_cadence
from stiggctl.windows.calendar import Calendar
from stiggctl.windows.instants import END_US, FIRST_US, to_datetime, to_text, to_us
from stiggctl.windows.kinds import Windows, windows_of
from stiggctl.windows.rolling import BUCKETS, Rolling
from stiggctl.windows.window import ALWAYS, Window, steady, validity
from stiggctl.windows.zones import UTC_ZONE, Zone, read_zone, zone_of

__all__ = [
    "ALWAYS",
    "BUCKETS",
    "END_US",
    "FIRST_US",
    "UTC_ZONE",
    "Anchored",
    "Cadence",
    "Calendar",
    "Rolling",
    "Unit",
    "Window",
    "Windows",
    "Zone",
    "read_cadence",
    "read_zone",
    "steady",
    "to_datetime",
    "to_text",
    "to_us",
    "validity",
    "windows_of",
    "zone_of",
]
