"""Other processes: real ones, each running a few lines of Python with this project to import."""

import subprocess
import sys
import textwrap
from pathlib import Path

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
