"""Several processes on one ledger: whatever dies, stops or fails, nothing is exceeded, lost or stuck.

RK1, RK2: who waits for whom, and for how long.
"""

import os
from pathlib import Path

import pytest

from .run import Run

#: Each is about two seconds. STIGGCTL_SEEDS=300 runs more of them; a seed that failed fails again.
SEEDS = int(os.environ.get("STIGGCTL_SEEDS", "12"))


@pytest.mark.parametrize("seed", range(SEEDS))
def test_whoever_dies_or_stops_no_limit_is_exceeded_and_no_denial_is_untrue(
    tmp_path: Path, seed: int
) -> None:
    Run(seed, tmp_path).run()
