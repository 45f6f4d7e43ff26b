"""The fixtures: a suite that asks for them gets a control in memory; one that does not, gets nothing."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent

CONFTEST = """
import pytest

pytest_plugins = ["stiggctl.testing.fixtures"]


@pytest.fixture
def usage_model():
    return {
        "resourceTypes": [{"id": "user"}],
        "resources": [{"id": "ana", "resourceTypeId": "user", "customerId": "acme"}],
        "allocations": [{"resourceId": "ana", "creditCurrency": "ai-tokens", "limit": 100}],
    }
"""

SUITE = """
from datetime import UTC, datetime

import pytest

from stiggctl import AccessDenied
from stiggctl.testing import allow_all, deny

ANA = {"resource_ids": ["ana"], "credit_currency": "ai-tokens"}


@pytest.mark.parametrize("time", [1, 2])
def test_each_test_has_a_ledger_of_its_own(usage_control, time):
    assert usage_control.location == ":memory:"
    assert usage_control.consume(**ANA, amount=100).charged == 100
    with pytest.raises(AccessDenied):
        usage_control.consume(**ANA, amount=1)


def test_time_stands_still_until_it_is_moved(usage_control, usage_clock):
    assert abs(usage_clock.now() - datetime.now(UTC)).total_seconds() < 300
    held = usage_control.reserve(**ANA, amount=100, ttl_seconds=60)
    assert not usage_control.check(**ANA)
    usage_clock.advance(seconds=60)
    assert usage_control.check(**ANA)
    now = datetime.now(UTC)  # the system's, as the code under test may read it
    usage_control.report(customer_id="acme", credit_currency="ai-tokens", amount=1, timestamp=now)


def test_a_verdict_may_be_given_on_it(usage_control):
    with deny("SUSPENDED", usage_control):
        assert not usage_control.check(**ANA)
    with allow_all(usage_control):
        assert usage_control.check(**ANA, requested_usage=101)


class TestWithoutAModel:
    @pytest.fixture
    def usage_model(self):
        return None

    def test_nothing_is_defined(self, usage_control):
        assert usage_control.export_model().as_dict() == {}
"""

STRANGER = """
import sys


def test_nothing_is_there():
    assert "stiggctl" not in sys.modules


def test_it_has_no_such_fixture(usage_control):
    raise AssertionError
"""


def pytest_in(directory: Path) -> "subprocess.CompletedProcess[str]":
    """A run of pytest by itself."""
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(directory)],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        encoding="utf-8",
        timeout=100,
        check=False,
    )


def test_a_suite_that_names_them_has_a_control_in_memory(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_host.py").write_text(SUITE)
    done = pytest_in(tmp_path)
    assert re.search(r"^5 passed", done.stdout, re.MULTILINE), done.stdout + done.stderr


def test_a_suite_that_does_not_imports_nothing(tmp_path: Path) -> None:
    (tmp_path / "test_stranger.py").write_text(STRANGER)
    done = pytest_in(tmp_path)
    assert re.search(r"^1 passed, 1 error", done.stdout, re.MULTILINE), done.stdout + done.stderr
    assert "fixture 'usage_control' not found" in done.stdout
