"""Ids: of decisions and reservations. Here: how one is made. Not here: ids that people write."""

import itertools
from collections.abc import Callable


class Ids:
    """Ids of decisions and reservations: this process's token, and a number.

    `next_number` is what each request to hold something takes first, and nothing else takes: so how many
    there were is known without counting on their way (counts.py).
    """

    __slots__ = ("_beside", "_numbers", "next_number", "token")

    def __init__(self, token: str) -> None:
        self.token = token
        self._numbers = itertools.count(1)
        self._beside = itertools.count(1)
        self.next_number: Callable[[], int] = self._numbers.__next__

    def number_beside(self) -> int:
        """A number for what is no request of its own: an event, a check, the second half of a request."""
        next(self._beside)
        return self.next_number()

    def number_again(self, number: int) -> int:
        """Another number for a request that took that one, when memory was asked first; 0: it took none."""
        return self.number_beside() if number else self.next_number()

    def id_of(self, number: int) -> str:
        """The id as people see it."""
        return f"{self.token}-{number}"

    def requests(self) -> int:
        """How many requests to hold something there were.

        While another thread takes a number beside, one less or more.
        """
        return _taken(self._numbers) - _taken(self._beside)


def _taken(numbers: "itertools.count[int]") -> int:
    """How many numbers were taken of a count from 1.

    Its text says so, in one step and for ever. Copying it, which said so too, goes in Python 3.14; to take
    one to see would leave gaps among the ids of a process that does nothing.

    >>> _taken(itertools.count(5))
    4
    """
    return int(repr(numbers).removeprefix("count(").removesuffix(")")) - 1
