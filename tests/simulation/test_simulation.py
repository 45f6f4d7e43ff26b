"""Several processes on one ledger: whatever dies, stops or fails, nothing is exceeded, lost or stuck.

RK1, RK2: who waits for whom, and for how long. Each seed is about half a second.

    STIGGCTL_SEEDS=10000 pytest tests/simulation    so many seeds, on all processors
    STIGGCTL_SEED=4711 pytest tests/simulation      one seed, again: whatever it did, it does
"""

import logging
import os
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from traceback import format_exception

import pytest

from .run import Run

SEEDS = int(os.environ.get("STIGGCTL_SEEDS", "300" if os.environ.get("CI") else "40"))
#: So many are given to a processor at once: with fewer it is asked too often, with more some end late.
TOGETHER = 5
#: What takes place in nearly every tenth seed at the least: a run without it shows nothing of it.
KINDS = {
    "a call that was closed under",
    "a clock that is set",
    "a close",
    "a death before it is a holder",
    "a death in an exchange",
    "a death",
    "a grant that expires",
    "a newcomer",
    "a rolling limit",
    "a settle after its end",
    "a stop",
    "a window that turns",
    "change",
    "check",
    "consume",
    "extend",
    "override",
    "report",
    "reserve",
    "void",
}


@pytest.mark.skipif("STIGGCTL_SEED" in os.environ, reason="one seed is asked for")
def test_whoever_dies_or_stops_no_limit_is_exceeded_and_no_denial_is_untrue(tmp_path: Path) -> None:
    parts = [range(first, min(first + TOGETHER, SEEDS)) for first in range(0, SEEDS, TOGETHER)]
    seen: Counter[str] = Counter()
    failed: dict[int, str] = {}
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as processors:
        for part_seen, part_failed in processors.map(_run, parts, [tmp_path] * len(parts)):
            seen += part_seen
            failed |= part_failed
    told = "\n".join(f"STIGGCTL_SEED={seed}:\n{error}" for seed, error in sorted(failed.items())[:3])
    assert not failed, f"{len(failed)} of {SEEDS} seeds failed: {sorted(failed)}\n{told}"
    assert set(seen) >= KINDS, f"none of {SEEDS} seeds had {KINDS - set(seen)}"


@pytest.mark.skipif("STIGGCTL_SEED" not in os.environ, reason="all seeds are run")
@pytest.mark.platform
def test_one_seed(tmp_path: Path) -> None:
    """The one that is asked for, in this process."""
    Run(int(os.environ["STIGGCTL_SEED"]), tmp_path).run()


def _run(seeds: Iterable[int], room: Path) -> tuple[Counter[str], dict[int, str]]:
    """What took place in these, and how those ended that did not end well."""
    logging.disable(logging.CRITICAL)  # lost answers are told there, thousands of them
    seen: Counter[str] = Counter()
    failed = {}
    for seed in seeds:
        run = Run(seed, room)
        try:
            run.run()
        except (Exception, pytest.fail.Exception) as error:  # noqa: BLE001 - whatever it is, it is told
            failed[seed] = "".join(format_exception(error)[-4:])
        seen += run.truth.seen
    return seen, failed
