"""Cadence: how long each window of a limit is.

Here: text to a cadence and back. Not here: which window an instant is in (calendar.py,
anchored.py, rolling.py).

What always holds:
  CD1  A cadence is a whole number of one unit, an hour or longer, at most a hundred years.
  CD2  Its text reads back as the same cadence; all spellings of a cadence have one text.
  CD3  No unit is made into another: PT24H is no P1D, which has 23 or 25 hours twice a year.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

from stiggctl.errors import InvalidRequest, nearest, shown


class Unit(StrEnum):
    """What a cadence counts; its value is the word for one of them."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    YEAR = "year"


# A window of a hundred years is for ever, to a budget. Ten times as long, the present one could
# end past the year 9999, which no datetime can write.
_YEARS_MAX = 100
_COUNT_MAX = {
    Unit.HOUR: _YEARS_MAX * 8_766,  # of 365.25 days
    Unit.DAY: _YEARS_MAX * 36_525 // 100,
    Unit.WEEK: _YEARS_MAX * 36_525 // 700,
    Unit.MONTH: _YEARS_MAX * 12,
    Unit.YEAR: _YEARS_MAX,
}

_LETTERS = {Unit.HOUR: "H", Unit.DAY: "D", Unit.WEEK: "W", Unit.MONTH: "M", Unit.YEAR: "Y"}
_UNITS = {("T" if unit is Unit.HOUR else "", letter): unit for unit, letter in _LETTERS.items()}
_WORDS = {unit.value: unit for unit in Unit}
_NEAR_WORDS = {
    **{word: word for word in _WORDS},
    **{f"{word}s": word for word in _WORDS},
    **{f"{word}ly": word for word in _WORDS},
    "daily": "day",
    "annual": "year",
}

_DURATION = re.compile(r"P(?P<time>T?)(?P<count>[0-9]+)(?P<letter>[DHMSWY])")
# What looks like a duration, right or wrong: only to say what would be right.
_LIKE = re.compile(r"[+-]?P[-+0-9.,DHMSTWY]*")
# Hours of a hundred years have six digits; ISO 8601 has no such text longer than a line.
_LENGTH_MAX = 80

_EXPECTED = (
    "a duration of one unit, such as PT1H, P1D, P1W, P1M, P1Y or P30D, or hour, day, week, month or year"
)


@dataclass(frozen=True, slots=True)
class Cadence:
    """So many of one unit. Its str is the one text of it: P1D for "day" and "P1D" alike."""

    unit: Unit
    count: int

    def __str__(self) -> str:
        time = "T" if self.unit is Unit.HOUR else ""
        return f"P{time}{self.count}{_LETTERS[self.unit]}"


def read_cadence(text: object, where: str = "cadence") -> Cadence:
    """What a single-unit ISO 8601 duration, or hour, day, week, month or year, means.

    Upper and lower case count alike. `where` names the argument in the error.

    Raises InvalidRequest for what is no such text: several units, none, a fraction, a sign,
    minutes or seconds (a window has a row in the ledger: a limit a minute is no budget), more
    than a hundred years.

    >>> str(read_cadence("month")), str(read_cadence("PT6H")), str(read_cadence("P030D"))
    ('P1M', 'PT6H', 'P30D')
    >>> read_cadence("P1M2D")
    Traceback (most recent call last):
    stiggctl.errors.InvalidRequest: cadence: got 'P1M2D', expected one unit, such as P1M; ...
    """
    if not isinstance(text, str) or not text.isascii() or len(text) > _LENGTH_MAX:
        raise InvalidRequest(where=where, value=text, expected=_EXPECTED)
    word = _WORDS.get(text.lower())
    if word is not None:
        return Cadence(word, 1)
    found = _DURATION.fullmatch(text.upper())
    expected = _right_for(text) if found is None else _out_of_bounds(found)
    if found is None or expected is not None:
        raise InvalidRequest(where=where, value=text, expected=expected or _EXPECTED)
    return Cadence(_UNITS[found["time"], found["letter"]], int(found["count"]))


def _right_for(text: str) -> str:
    """What would be right in place of a text that is no duration of one unit."""
    duration = text.upper()
    if _LIKE.fullmatch(duration) is None:
        word = text.lower() if text.lower() in _NEAR_WORDS else nearest(text, _NEAR_WORDS)
        return _EXPECTED if word is None else f"{_EXPECTED}: did you mean {shown(_NEAR_WORDS[word])}?"
    if "+" in duration or "-" in duration:
        return "a duration without a sign: windows follow each other forward in time"
    if "." in duration or "," in duration:
        return "a whole number of units: PT36H where a day and a half is meant"
    if sum(letter in "DHMSWY" for letter in duration) > 1:
        return "one unit, such as P1M; a length of two, months and days, has no meaning of its own"
    return _EXPECTED


def _out_of_bounds(found: re.Match[str]) -> str | None:
    """What would be right in place of a duration of one unit; None: it is a cadence."""
    time, count, letter = found.group("time", "count", "letter")
    unit = _UNITS.get((time, letter))
    if unit is None and time and letter in "MS":
        return "PT1H or longer (P1M is a month): a limit for minutes is a rate limit, no budget"
    if unit is None and letter == "H":
        return f"PT{count}H: hours stand behind a T"
    if unit is None:
        return f"P{count}{letter}: only hours stand behind a T" if letter != "S" else _EXPECTED
    if int(count) == 0:
        return f"at least one {unit}: {Cadence(unit, 1)}"
    if int(count) > _COUNT_MAX[unit]:
        most = Cadence(unit, _COUNT_MAX[unit])
        return f"at most {most}, {_YEARS_MAX} years: without a cadence a limit is for ever"
    return None
