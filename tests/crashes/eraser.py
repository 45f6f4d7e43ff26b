"""A process that erases somebody, until it kills itself.

Run as a module: PATH RESOURCE POINT. It dies where that function of the library is called for the first
time, or, where POINT is a number, at so many calls, counted from where it begins.
"""

import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import stiggctl
from stiggctl import UsageControl

from .spender import die_at_call


def die_in(function: str) -> None:
    """Kill this process at the first call of a function of the library."""
    library = str(Path(stiggctl.__file__).parent)

    def look(frame: Any, event: str, _: object) -> None:
        code = frame.f_code
        if event == "call" and code.co_name == function and code.co_filename.startswith(library):
            os.kill(os.getpid(), signal.SIGKILL)

    threading.setprofile(look)
    sys.setprofile(look)


def main(path: str, resource_id: str, point: str) -> None:
    """Erase, and die."""
    control = UsageControl(path)
    if point.isdigit():
        die_at_call(int(point))
    else:
        die_in(point)
    control.erase(resource_id)


if __name__ == "__main__":
    main(*sys.argv[1:])
