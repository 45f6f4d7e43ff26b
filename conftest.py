"""What every test stands on: hypothesis profiles, skips that fail in CI, README and docs as tests."""

import doctest
import os
import tempfile
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser

if TYPE_CHECKING:
    from stiggctl import UsageControl

IN_CI = bool(os.environ.get("CI"))

# No deadlines: on a busy machine they say how busy it is. A failure prints the blob that replays it.
settings.register_profile(
    "here", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
# In CI the same code gets the same examples: what fails there was brought by the change, and fails
# again when it is run again. The search for new examples is every run that is not CI's, and
# `nox -s search`, which looks at twenty times as many.
settings.register_profile("ci", settings.get_profile("here"), derandomize=True, database=None)
settings.register_profile("search", settings.get_profile("here"), max_examples=2_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if IN_CI else "here"))


def _as_failure(report: pytest.TestReport | pytest.CollectReport, reason: object) -> None:
    report.outcome = "failed"
    report.longrepr = f"skipped, and in CI nothing is skipped: {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test skipped in CI has failed, unless it is marked `platform`."""
    report = yield
    if (
        IN_CI
        and report.skipped
        and not hasattr(report, "wasxfail")
        and item.get_closest_marker("platform") is None
    ):
        _as_failure(report, report.longrepr)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """So has a module that skips itself while it is read, for want of a package."""
    report = yield
    if IN_CI and report.skipped:
        _as_failure(report, report.longrepr)
    return report


def _enter(namespace: dict[str, Any]) -> None:
    namespace["_before"] = Path.cwd()
    namespace["_directory"] = tempfile.TemporaryDirectory()
    os.chdir(namespace["_directory"].name)


def _leave(namespace: dict[str, Any]) -> None:
    # A page shows what matters there, and that is seldom how a control is closed.
    for value in list(namespace.values()):
        if type(value).__name__ == "UsageControl":
            value.close()
    os.chdir(namespace["_before"])
    namespace["_directory"].cleanup()


# The blocks of a page share their names and an empty directory, where their ledgers lie.
pytest_collect_file = Sybil(
    parsers=[PythonCodeBlockParser(doctest_optionflags=doctest.ELLIPSIS), SkipParser()],
    # Path.match knows no ** in Python 3.11.
    patterns=["README.md", "docs/*.md", "docs/*/*.md", "docs/*/*/*.md"],
    setup=_enter,
    teardown=_leave,
).pytest()


@pytest.fixture
def opened() -> Iterator[Callable[..., "UsageControl"]]:
    """Opens controls, as UsageControl does, and closes each of them when the test is over."""
    # Here, not above: a test of one room needs no other room to import.
    from stiggctl import UsageControl  # noqa: PLC0415 - as said

    with ExitStack() as closing:
        yield lambda location, **options: closing.enter_context(UsageControl(location, **options))


@pytest.fixture
def control(opened: Callable[..., "UsageControl"], tmp_path: Path) -> "UsageControl":
    """What the examples in docstrings talk to: a control on an empty ledger, at noon of a day."""
    from stiggctl.testing import ManualClock  # noqa: PLC0415 - as above

    return opened(tmp_path / "usage.db", clock=ManualClock(datetime(2026, 1, 15, 12, tzinfo=UTC)))


@pytest.fixture
def acme(control: "UsageControl") -> "UsageControl":
    """The control, with a model: user-01 of cust-acme-inc may spend 200 ai-tokens."""
    control.apply(
        {
            "resourceTypes": [{"id": "team"}, {"id": "user", "parentResourceTypeId": "team"}],
            "resources": [
                {"id": "growth", "resourceTypeId": "team", "customerId": "cust-acme-inc"},
                {"id": "user-01", "resourceTypeId": "user", "parentResourceId": "growth"},
            ],
            "allocations": [{"resourceId": "user-01", "creditCurrency": "ai-tokens", "limit": 200}],
            "rates": [{"eventName": "email_enrichment", "creditCurrency": "ai-tokens", "credits": 5}],
        }
    )
    return control
