"""Several processes on one ledger: whatever dies, stops or fails, nothing is exceeded, lost or stuck.

RK1, RK2: who waits for whom, and for how long. Each seed costs about a third of a second.

    pytest tests/simulation                         30 seeds; in CI 300
    STIGGCTL_SEEDS=10000 pytest tests/simulation    so many, on all processors
    STIGGCTL_SEED=4711 pytest tests/simulation      one seed, again: whatever it did, it does
"""

import hashlib
import logging
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from traceback import format_exception

import pytest

from .kinds import KINDS, RARE
from .run import Run

SEEDS_OF_CI = 300
SEEDS = int(os.environ.get("STIGGCTL_SEEDS", SEEDS_OF_CI if os.environ.get("CI") else 30))
SEED = os.environ.get("STIGGCTL_SEED")
#: So many are given to a processor at once: with fewer it is asked too often, with more some end late.
TOGETHER = 5
#: So many are one test, which ends in time also on a slow machine (`faulthandler_timeout`).
OF_ONE_TEST = 100

_seen: Counter[str] = Counter()  # what happened, in all that were run
_run_seeds: set[int] = set()


@pytest.fixture(scope="module")
def processors() -> Iterator[ProcessPoolExecutor]:
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as processors:
        yield processors


if SEED is not None:

    def test_whoever_dies_or_stops_no_limit_is_exceeded_and_no_denial_is_untrue(tmp_path: Path) -> None:
        """One seed, here, where a debugger sees it."""
        Run(int(SEED), tmp_path).run()

else:

    @pytest.mark.parametrize("first", range(0, SEEDS, OF_ONE_TEST))
    def test_whoever_dies_or_stops_no_limit_is_exceeded_and_no_denial_is_untrue(
        tmp_path: Path, processors: ProcessPoolExecutor, first: int
    ) -> None:
        """Invariants 1 to 9 of what processes owe each other."""
        seeds = range(first, min(first + OF_ONE_TEST, SEEDS))
        parts = [seeds[at : at + TOGETHER] for at in range(0, len(seeds), TOGETHER)]
        failed: dict[int, str] = {}
        for part_seen, part_failed in processors.map(_run, parts, [tmp_path] * len(parts)):
            _seen.update(part_seen)
            failed |= part_failed
        _run_seeds.update(seeds)
        told = "\n".join(f"STIGGCTL_SEED={seed}:\n{error}" for seed, error in sorted(failed.items())[:3])
        assert not failed, f"{len(failed)} of {len(seeds)} seeds failed: {sorted(failed)}\n{told}"

    def test_whatever_can_happen_did() -> None:
        """Of what never takes place a run shows nothing. After all seeds: they say what took place."""
        if len(_run_seeds) < SEEDS:
            pytest.skip(f"only {len(_run_seeds)} of {SEEDS} seeds were run")
        for kind, times in sorted(_seen.items()):
            print(f"{times:8} {kind}")  # noqa: T201 - shown where the test fails, or with -s
        wanted = KINDS if SEEDS < SEEDS_OF_CI else KINDS | RARE
        assert not [kind for kind in sorted(wanted) if not _seen[kind]]


def test_a_seed_does_again_what_it_did(tmp_path: Path) -> None:
    """What failed once can be looked at: the same steps of the same threads at the same instants."""
    for seed in (1, 4, 9):
        before, after = (_steps_of(seed, tmp_path / f"{seed}-{time}") for time in ("first", "second"))
        assert before == after


def _run(seeds: Iterable[int], room: Path) -> tuple[Counter[str], dict[int, str]]:
    """What took place in these, and how those ended that did not end well."""
    logging.disable(logging.CRITICAL)  # lost answers are told there, thousands of them
    seen: Counter[str] = Counter()
    failed = {}
    for seed in seeds:
        try:
            seen.update(Run(seed, room).run())
        except (Exception, pytest.fail.Exception) as error:  # noqa: BLE001 - whatever it is, it is told
            failed[seed] = "".join(format_exception(error)[-4:])
    return seen, failed


def _steps_of(seed: int, room: Path) -> str:
    room.mkdir()
    run, steps = Run(seed, room), hashlib.sha256()
    baton = run.host.baton
    turn = baton.turn

    def noted(*given: object) -> object:
        task = turn(*given)
        steps.update(f"{task and task.name} {baton.now_us};".encode())
        return task

    baton.turn = noted  # a test's own
    run.run()
    return steps.hexdigest()
