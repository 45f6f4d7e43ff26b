"""Pages that are written word by word, so that a process may die, and others may look, in between.

Here: the product's page, of which a record is not one store but several. Not here: what stands on it.
"""

from collections.abc import Callable
from typing import Any

from stiggctl.holder.page import Page

from .host import Host


def stepping(host: Host) -> type[Page]:
    """The page of that host's processes."""

    class SteppingPage(Page):
        """What a caller holds is a record; between two words of it is a step."""

        __slots__ = ()

        def _grow(self, cells: int) -> int:
            slot = super()._grow(cells)
            known = list(self._of_cells)
            known[cells] = (known[cells][0], _by_words(host, known[cells][1]))
            self._of_cells = known
            return slot

        def clear(self, slot: int) -> None:
            super().clear(slot)
            if host.baton.at_work() and host.baton.chance.random() < host.torn:
                _step(host, "after a record was cleared")

    return SteppingPage


def _by_words(host: Host, put: Callable[..., None]) -> Callable[..., None]:
    """The same record, each word a store, in the order in which the product's one call makes them."""
    return put if isinstance(put, _Words) else _Words(host, put)


class _Words:
    def __init__(self, host: Host, put: Callable[..., None]) -> None:
        self._host = host
        self._put = put

    def __call__(self, words: memoryview, offset: int, *record: int) -> None:
        task = self._host.baton.at_work()
        trapped = task is not None and task.process.trap is not None
        if task is None or not (trapped or self._host.baton.chance.random() < self._host.torn):
            self._put(words, offset, *record)
            return
        self._host.seen["page records written word by word"] += 1
        whole = bytearray(_size_of(self._put))
        self._put(whole, 0, *record)
        first, values = offset // 8, memoryview(whole).cast("q")
        for at in range(len(values)):  # pack_into begins by clearing the record
            words[first + at] = 0
        for at, value in enumerate(values):
            _step(self._host, "in the middle of a page record")
            words[first + at] = value


def _size_of(put: Any) -> int:
    """Bytes of a record: `put` is a bound method of its struct."""
    return int(put.__self__.size)


def _step(host: Host, place: str) -> None:
    task = host.baton.at_work()
    if task is not None:
        task.process.at(place)
        host.baton.step()
