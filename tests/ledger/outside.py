"""Other processes: real ones, each running a few lines of Python with this project to import."""

import subprocess
import sys
import textwrap
from contextlib import closing
from pathlib import Path

from stiggctl.ledger.opening import open_ledger

PROJECT = Path(__file__).parent.parent.parent
_HEAD = (
    "import os, sys\nsys.path.insert(0, sys.argv[1])\nfrom pathlib import Path\nPATH = Path(sys.argv[2])\n"
)


def start(path: Path, code: str) -> "subprocess.Popen[str]":
    """Run `code` elsewhere; `PATH` is the ledger's, what it prints comes back, what it reads is sent."""
    return subprocess.Popen(
        [sys.executable, "-c", _HEAD + textwrap.dedent(code), str(PROJECT), str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(path: Path, code: str) -> str:
    """Run it to its end; what it printed."""
    process = start(path, code)
    said, complained = process.communicate(timeout=60)
    assert process.returncode == 0, complained
    return said.strip()


def kill_after(process: "subprocess.Popen[str]", lines: int, path: Path) -> None:
    """Kill a process that books batches of n % 5 + 1 and prints each n that was answered, after so many.

    Then all that was answered is in the ledger, and of what was under way all or nothing.
    """
    for _ in range(lines):
        process.stdout.readline()
    process.kill()
    answered = int((process.stdout.read().splitlines() or [str(lines - 1)])[-1].split()[0])
    process.communicate()
    with closing(open_ledger(path)) as ledger, ledger.reader() as reader:
        sizes: dict[int, int] = {}
        for event in reader.events():
            number = int(event.key.split()[0])
            sizes[number] = sizes.get(number, 0) + 1
        assert sizes.keys() >= set(range(answered + 1))
        assert all(size == number % 5 + 1 for number, size in sizes.items())
        assert reader.differences() == []
