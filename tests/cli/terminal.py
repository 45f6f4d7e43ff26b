"""A terminal of a chosen width, and what can be seen on it in the end."""

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from typing import NamedTuple

from stiggctl.cli.letters import width_of

from .conftest import ROOT, unpainted


class Line(NamedTuple):
    """One line as it stood for a while."""

    text: str
    columns: int


def on_a_terminal(columns: int, *words: str, **environment: str) -> str:
    """What a verb writes to a terminal of that width; it must end well."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    kept = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "NO_COLOR")}
    running = subprocess.Popen(
        [sys.executable, "-m", "stiggctl.cli", *words],
        env={**kept, "PYTHONPATH": str(ROOT), "TERM": "xterm", "PYTHONUTF8": "1", **environment},
        stdout=theirs,
        stderr=theirs,
        stdin=theirs,
    )
    os.close(theirs)
    written = b""
    while True:
        try:
            part = os.read(ours, 65_536)
        except OSError:  # so a terminal says on Linux that nobody writes any more
            break
        if not part:
            break
        written += part
    os.close(ours)
    assert running.wait(timeout=60) == 0
    return written.decode()


def shown(written: str) -> list[list[Line]]:
    """The lines, each with all that was written over in it, the last at the end."""
    return [
        [_line(state) for state in line.split("\r")] for line in written.replace("\r\n", "\n").split("\n")
    ]


def _line(state: str) -> Line:
    text = unpainted(state.removeprefix("\x1b[K").removesuffix("\x1b[K"))
    assert "\x1b" not in text
    return Line(text, width_of(text))
