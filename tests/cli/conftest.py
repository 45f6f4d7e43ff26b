"""What the tests of the command line run it with."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from stiggctl import UsageControl
from stiggctl.cli import main

ROOT = Path(__file__).parent.parent.parent
Run = Callable[..., Result]
RunReally = Callable[..., "subprocess.CompletedProcess[str]"]

#: A model that is not the demo's.
OURS = {
    "resourceTypes": [{"id": "user"}],
    "resources": [{"id": "ana", "resourceTypeId": "user", "customerId": "ours"}],
    "allocations": [{"resourceId": "ana", "creditCurrency": "ai-tokens", "limit": 100}],
}

#: What another process does in `somebody_holding`.
HOLDING = """
import sys, time
from stiggctl import UsageControl
control = UsageControl(sys.argv[1])
reservation = control.reserve(resource_ids=["ana"], credit_currency="ai-tokens", amount=40)
print("holds", flush=True)
time.sleep(60)
"""


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Says a verb in this process, in an empty directory; whatever click does not expect is raised."""
    monkeypatch.chdir(tmp_path)

    def run(*words: object) -> Result:
        return CliRunner(catch_exceptions=False).invoke(main, [str(word) for word in words])

    return run


@pytest.fixture
def run_really(tmp_path: Path) -> RunReally:
    """Says a verb in a process of its own, its output in a pipe."""

    def run(*words: object, **environment: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "stiggctl.cli", *map(str, words)],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
            capture_output=True,
            encoding="utf-8",
            timeout=60,
            check=False,
        )

    return run


@pytest.fixture
def ours(tmp_path: Path) -> Path:
    """A ledger with a model and an event, that nobody has open."""
    path = tmp_path / "ours.db"
    with UsageControl(path) as control:
        control.apply(OURS)
        control.consume(resource_ids=["ana"], credit_currency="ai-tokens", amount=5)
    return path


@contextmanager
def somebody_holding(path: Path) -> Iterator["subprocess.Popen[str]"]:
    """Another process that holds 40 of ana's credits."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDING, str(path)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        encoding="utf-8",
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "holds\n"
        try:
            yield process
        finally:
            process.kill()


def files(directory: Path) -> dict[str, bytes]:
    """Every file below it, with what is in it."""
    return {
        str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()
    }


def unpainted(text: str) -> str:
    """Without what colours it."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)
