"""When: an instant as people write it at a desk: a day, or an instant.

Here: reading it. Not here: what is no instant (the control says so).
"""

import re
from datetime import date, datetime
from zoneinfo import ZoneInfo

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def instant_of(text: str | None, timezone: str) -> str | datetime | None:
    """A date is the beginning of its day in the zone; the rest the control reads, and judges."""
    if text is None or not _DATE.fullmatch(text):
        return text
    try:
        day, zone = date.fromisoformat(text), ZoneInfo(timezone)
    except (KeyError, OSError, ValueError):
        return text
    return datetime(day.year, day.month, day.day, tzinfo=zone)
