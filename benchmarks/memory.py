"""What resources weigh that were touched, and what they cost the collector of garbage.

Here: bytes a resource with one limit, and a full collection with all of them in memory. Not here:
how quick decisions are among them (flat.py).

A resource that was never named costs nothing: it is in the ledger only. What is counted is what the
process grows by (resident memory, after a collection) while each user is touched, its id included.
"""

import gc
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.company import ledger_of, opened, touch
from benchmarks.measuring import Goal, Line, compared

USERS = 1_000_000
USERS_QUICK = 50_000
COLLECTIONS = 9
BYTES = 400.0
BYTES_GOAL = Goal(at_most=1.0)


def run(*, quick: bool) -> list[Line]:
    """Both figures, measured in a process of its own: what others left behind would be used again."""
    users = USERS_QUICK if quick else USERS
    asked = [sys.executable, "-m", "benchmarks.memory", str(ledger_of(users)), str(users)]
    grown, small, large = json.loads(subprocess.run(asked, stdout=subprocess.PIPE, check=True).stdout)
    what = f"a resource with one limit, {users:,} touched"
    return [
        compared(what, "bytes", [grown] * 2, [BYTES] * 2, BYTES_GOAL),
        compared(f"a full collection with {users:,}, beside one before", "ms", large, small),
    ]


def measure(path: Path, users: int) -> tuple[float, list[float], list[float]]:
    """Bytes a user; milliseconds of collections before they are touched, and after."""
    with opened(path) as control:
        before, small = _resident(), _collections()
        touch(control, users)
        return (_resident() - before) / users, small, _collections()


def _resident() -> int:
    """Bytes of this process that are in memory."""
    gc.collect()
    pages = Path("/proc/self/statm")
    if pages.exists():
        return int(pages.read_text().split()[1]) * resource.getpagesize()
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # elsewhere: the most it ever had
    return most if sys.platform == "darwin" else most * 1024


def _collections() -> list[float]:
    """Milliseconds of some full ones."""
    took = []
    for _ in range(COLLECTIONS):
        began = time.perf_counter_ns()
        gc.collect()
        took.append((time.perf_counter_ns() - began) / 1_000_000)
    return took


if __name__ == "__main__":
    print(json.dumps(measure(Path(sys.argv[1]), int(sys.argv[2]))))
