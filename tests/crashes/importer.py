"""A process that forks while another of its threads imports what both sides need."""

import contextlib
import importlib.abc
import os
import sys
import threading
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

from stiggctl import Candidate, RateNotFound, UsageControl

from .spender import ASK

#: A child that hangs is a failure, not a wait for ever.
CHILD_SECONDS_MAX = 20
#: How long the import takes: much longer than a fork that waits for nothing.
IMPORT_SECONDS = 0.5

importing = threading.Event()


class Slow(importlib.abc.MetaPathFinder):
    """Finds one module, which takes its time to be imported."""

    def __init__(self, name: str) -> None:
        self._name = name

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> Any:
        if name != self._name:
            return None
        spec = PathFinder.find_spec(name, path, target)
        assert spec is not None
        assert spec.loader is not None
        self._slow_down(spec)
        return spec

    def _slow_down(self, spec: ModuleSpec) -> None:
        loader: Any = spec.loader
        execute = loader.exec_module

        def slowly(module: ModuleType) -> None:
            importing.set()
            threading.Event().wait(IMPORT_SECONDS)
            execute(module)

        loader.exec_module = slowly


def look(control: UsageControl) -> None:
    """What imports it: nothing has a price for that."""
    with contextlib.suppress(RateNotFound):
        control.fit(**ASK, event_name="e", candidates=[Candidate("m", 1, 1, 1)])


def main(path: str) -> None:
    sys.meta_path.insert(0, Slow("stiggctl.prices"))
    control = UsageControl(path)
    looking = threading.Thread(target=look, args=(control,))
    looking.start()
    assert importing.wait(CHILD_SECONDS_MAX)
    child = os.fork()
    if not child:
        threading.Timer(CHILD_SECONDS_MAX, os._exit, [8]).start()
        look(control)
        os._exit(0)
    looking.join()
    said = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    control.close()
    sys.exit(said)


if __name__ == "__main__":
    main(*sys.argv[1:])
