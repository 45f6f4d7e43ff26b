"""Instants: integers of microseconds since 1970 in UTC.

Here: text and datetimes to instants and back; where the time that can be written begins and
ends. Not here: reading a clock (clocks.py), which window an instant is in (calendar.py).

What always holds:
  I1  An instant names its offset: a naive time is refused, never guessed at.
  I2  What is finer than a microsecond is cut towards the past, so that an instant never falls
      into a window that had not begun.
"""

import re
from datetime import UTC, datetime, timedelta

from stiggctl.errors import InvalidTimestamp

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

#: The first instant that a datetime can write, and the one just after the last: the year 10000.
FIRST_US = (datetime.min.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND
END_US = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND + 1

#: RFC 3339's profile of ISO 8601, with seconds or without, "T" or one space between.
_TEXT = re.compile(
    r"(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ](?P<time>[0-9]{2}:[0-9]{2})"
    # A fraction is one of a second: after minutes ISO 8601 means a part of a minute by it.
    r"(?P<seconds>:[0-9]{2})?(?(seconds)(?P<fraction>[.,][0-9]{1,9})?)"
    r"(?P<offset>[Zz]|[+-][0-9]{2}:?[0-5][0-9])?"
)
_EXPECTED = 'ISO 8601 text with an offset, such as "2025-10-26T15:01:55.768Z", or an aware datetime'


def to_us(timestamp: str | datetime, where: str) -> int:
    """Microseconds since 1970 in UTC; `where` names the argument in the error.

    Raises InvalidTimestamp for text that is no instant, one without an offset, and one that
    is not in the years 1 to 9999 in UTC.

    >>> to_us("1970-01-01T00:00:01Z", "timestamp"), to_us("1970-01-01T02:00:00.5+02:00", "timestamp")
    (1000000, 500000)
    >>> to_us("2025-10-26T15:01:55", "timestamp")
    Traceback (most recent call last):
    stiggctl.errors.InvalidTimestamp: timestamp: got '2025-10-26T15:01:55', expected an offset ...
    """
    instant = _parse(timestamp, where) if isinstance(timestamp, str) else timestamp
    if not isinstance(instant, datetime):
        raise InvalidTimestamp(where=where, value=timestamp, expected=_EXPECTED)
    if instant.utcoffset() is None:
        expected = 'an offset: "Z" for UTC, or "+02:00"; an aware datetime'
        raise InvalidTimestamp(where=where, value=timestamp, expected=expected)
    us = (instant - _EPOCH) // _MICROSECOND
    if not FIRST_US <= us < END_US:
        # An offset can lead out of them; to_datetime and to_text could not write what is there.
        raise InvalidTimestamp(
            where=where, value=timestamp, expected="an instant in the years 1 to 9999, UTC"
        )
    return us


def _parse(text: str, where: str) -> datetime:
    found = _TEXT.fullmatch(text)
    if found is None:
        raise InvalidTimestamp(where=where, value=text, expected=_EXPECTED)
    offset = found["offset"] or ""
    fraction = (found["fraction"] or ".0")[1:].ljust(6, "0")[:6]
    time = f"{found['time']}{found['seconds'] or ':00'}"
    try:
        return datetime.fromisoformat(f"{found['date']}T{time}.{fraction}{offset.upper()}")
    except ValueError as error:
        raise InvalidTimestamp(
            where=where, value=text, expected=f"an instant that exists ({error})"
        ) from None


def to_datetime(us: int) -> datetime:
    """The instant as an aware datetime in UTC; END_US, which is none, as the one before it.

    >>> to_datetime(1_000_000).isoformat()
    '1970-01-01T00:00:01+00:00'
    """
    return _EPOCH + timedelta(microseconds=_writable(us))


def to_text(us: int) -> str:
    """The instant as ISO 8601 text in UTC, as precise as it has to be.

    >>> to_text(0), to_text(768_000), to_text(1)
    ('1970-01-01T00:00:00Z', '1970-01-01T00:00:00.768Z', '1970-01-01T00:00:00.000001Z')
    """
    us = _writable(us)
    precision = "seconds" if us % 1_000_000 == 0 else "milliseconds" if us % 1_000 == 0 else "microseconds"
    return to_datetime(us).replace(tzinfo=None).isoformat(timespec=precision) + "Z"


def _writable(us: int) -> int:
    # The end of a window that never ends: a microsecond early, and no error.
    return us if us != END_US else END_US - 1
