"""Sealing: records whose amount is a checksum of the rest, and processes that write them.

Here: what a process under test runs, too: nothing of pytest. Not here: what is shown with it.
"""

import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from zlib import crc32

ROOT = Path(__file__).parent.parent.parent


def seal(until_us: int, reservation: int, cells: tuple[int, ...]) -> int:
    """The amount that belongs to the rest of a record."""
    return 1 + crc32(repr((until_us, reservation, cells)).encode())


def sealed(reservation: int, rng: random.Random) -> tuple[int, int, tuple[int, ...], int]:
    """A record whose amount tells whether the rest is as it was written."""
    cells = tuple(rng.randrange(1, 2**40) for _ in range(rng.randrange(14)))
    until_us = rng.randrange(2**60, 2**61)
    return until_us, reservation, cells, seal(until_us, reservation, cells)


@contextmanager
def another_process(code: str, *arguments: object) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A process that runs `code`, and the first line it prints; it is killed at the end."""
    with subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    ) as process:
        try:
            assert process.stdout is not None
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()
