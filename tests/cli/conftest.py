"""What the tests of the command line run it with."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

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


def unpainted(text: str) -> str:
    """Without what colours it."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)
