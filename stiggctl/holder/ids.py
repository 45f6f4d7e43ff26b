"""Ids: of decisions and reservations. Here: how one is made. Not here: ids that people write."""

import itertools
from collections.abc import Callable


class Ids:
    """Ids of decisions and reservations: this process's token, and a number."""

    __slots__ = ("_numbers", "next_number", "token")

    def __init__(self, token: str) -> None:
        self.token = token
        self._numbers = itertools.count(1)
        self.next_number: Callable[[], int] = self._numbers.__next__

    def id_of(self, number: int) -> str:
        """The id as people see it."""
        return f"{self.token}-{number}"
