"""Told: a part of a provider's response, read by names, whether it is an object or a mapping.

Here: parts, counts and texts by their names, with the path for the error. Not here: which names mean
what (shapes.py).

What always holds:
  TD1  No SDK is imported and none is needed: a mapping is read by its keys, all else by attributes.
  TD2  What is there but no count raises UsageUnclear with its path; what is not there is None.
  TD3  What a response raises when it is read becomes UsageUnclear: a stranger's error goes no further.
"""

from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from typing import Self

from stiggctl.prices.errors import UsageUnclear
from stiggctl.prices.usage import checked

#: No identifier is longer; what is, is no name of a model.
_TEXT_MAX = 255


def field_of(thing: object, name: str) -> object:
    """What has this name in it; None where nothing has.

    >>> field_of({"usage": 1}, "usage"), field_of(3 + 4j, "real"), field_of({}, "usage")
    (1, 3.0, None)
    """
    try:
        return thing.get(name) if isinstance(thing, Mapping) else getattr(thing, name, None)
    except Exception as error:
        raise unreadable(name, error) from error


def plain(value: object) -> object:
    """The value of an enum's member; any other as it is."""
    return value.value if isinstance(value, Enum) else value


def unreadable(where: str, error: Exception) -> UsageUnclear:
    """What is told of a response that raises when it is read."""
    return UsageUnclear(where=where, value=error, expected="what can be read: it raised this")


class Told:
    """A part of a response, and where it stands."""

    __slots__ = ("thing", "where")

    def __init__(self, thing: object, where: str = "") -> None:
        self.thing = thing
        self.where = where

    def at(self, name: str) -> str:
        """The path of what has this name.

        >>> Told({}, "usage").at("input_tokens"), Told({}).at("usage")
        ('usage.input_tokens', 'usage')
        """
        return f"{self.where}.{name}" if self.where else name

    def part(self, *names: str) -> Self:
        """The part of the first of these names that is there; an empty one where none is."""
        for name in names:
            if (thing := field_of(self.thing, name)) is not None:
                return type(self)(thing, self.at(name))
        return type(self)({}, self.at(names[0]))

    def parts(self, *names: str) -> Iterator[Self]:
        """The members of a list of the first of these names that is there."""
        part = self.part(*names)
        if not isinstance(part.thing, Sequence) or isinstance(part.thing, str | bytes):
            return
        try:
            members = list(part.thing)
        except Exception as error:
            raise unreadable(part.where, error) from error
        for at, member in enumerate(members):
            yield type(self)(member, f"{part.where}[{at}]")

    def has(self, *names: str) -> bool:
        """Whether one of these names is there, with anything but None."""
        return any(field_of(self.thing, name) is not None for name in names)

    def count_or_none(self, *names: str) -> int | None:
        """The count of the first of these names that is there."""
        for name in names:
            if (value := field_of(self.thing, name)) is not None:
                return checked(value, self.at(name))
        return None

    def count(self, *names: str) -> int:
        """The same, 0 where none is there."""
        return self.count_or_none(*names) or 0

    def needed(self, *names: str) -> int:
        """The same, which must be there: a usage without it is not told."""
        found = self.count_or_none(*names)
        if found is None:
            raise UsageUnclear(where=self.at(names[0]), value=None, expected="a count: it is not told")
        return found

    def text(self, *names: str) -> str | None:
        """The text of the first of these names that is one; an enum's member as its value.

        >>> Told({"model": "gpt-5"}).text("model"), Told({"model": 5}).text("model")
        ('gpt-5', None)
        """
        for name in names:
            value = plain(field_of(self.thing, name))
            if isinstance(value, str) and 0 < len(value) <= _TEXT_MAX:
                return str.__str__(value)
        return None


def agreed(where: str, *counts: int) -> int:
    """What several places tell of one number: those that tell of any at all must agree.

    >>> agreed("cached", 0, 20, 20), agreed("cached", 0)
    (20, 0)
    """
    told = {count for count in counts if count}
    if len(told) > 1:
        raise UsageUnclear(where=where, value=sorted(told), expected="one number, not several")
    return told.pop() if told else 0
