"""Progress: how far a large model has come on its way into the ledger.

Here: the record that `apply(model, progress=…)`, `rerate` and `simulate` hand out, and who hands it out
for a model.
Not here: what is done meanwhile (reading.py, validation/, holder/models/).
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, TypeVar

from stiggctl.definitions.parts import UsageModel

T = TypeVar("T")

Phase = Literal["reading", "checking", "planning", "writing", "rating", "replaying", "exporting"]

# Of each phase. An entry takes some microseconds: told each, who shows it would take longer than the
# work; told ten times, a bar would stand still for seconds.
_TIMES = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a verb has come: `apply` in one of its phases, or one that counts events: `rerate`, `simulate`.

    Those of `apply` come in this order, each told at its beginning (`done` is 0) and, but for the last,
    at its end:

    - `reading`: the document becomes a model; counts entries, of which nobody knows how many
      there are (`total` is None) until they are read.
    - `checking`: what the ledger has is read, and the whole model is checked; counts checks.
    - `planning`: each entry is compared with what the ledger has; counts entries.
    - `writing`: one transaction; counts the rows to write. Told once, right before: what follows
      is all or nothing. Not told where there is nothing to write.

    Where somebody else changes the model meanwhile, checking begins anew.

    >>> print(Progress(phase="planning", done=12_000, total=201_000))
    planning: 12,000 of 201,000
    """

    phase: Phase
    done: int
    total: int | None

    def __str__(self) -> str:
        return f"{self.phase}: {self.done:,} of {'?' if self.total is None else format(self.total, ',')}"


class Telling:
    """Tells how far it is to whoever wants to know; to nobody where `hook` is None.

    What the hook raises goes through to the caller of `apply`; nothing is written then.
    """

    def __init__(self, hook: Callable[[Progress], object] | None) -> None:
        self._hook = hook
        self._phase: Phase = "reading"
        self._done = 0
        self._total: int | None = None

    def begin(self, phase: Phase, total: int | None) -> None:
        """From here on it is that phase."""
        if self._hook is not None:
            self._phase, self._done, self._total = phase, 0, total
            self._tell(self._hook)

    def each(self, things: Iterable[T]) -> Iterator[T]:
        """The same things; each counts when the next is asked for."""
        return iter(things) if self._hook is None else self._counted(things, self._hook)

    def _counted(self, things: Iterable[T], hook: Callable[[Progress], object]) -> Iterator[T]:
        assert self._total is not None  # what is counted has begun
        step = max(1, self._total // _TIMES)
        for thing in things:
            yield thing
            self._done += 1
            if self._done % step == 0 and self._done < self._total:
                self._tell(hook)

    @property
    def total(self) -> int | None:
        """How much the phase is, where anybody is told and knows."""
        return self._total

    def end(self, total: int) -> None:
        """The phase is done, and it was so much."""
        if self._hook is not None:
            self._done = self._total = total
            self._tell(self._hook)

    def _tell(self, hook: Callable[[Progress], object]) -> None:
        hook(Progress(phase=self._phase, done=self._done, total=self._total))


#: Of a change that takes no time.
SILENT = Telling(None)


def entries_of(model: UsageModel) -> int:
    """How many entries all lists of a model have together."""
    return sum(len(getattr(model, name)) for name in type(model).model_fields)
