"""The few commands people type: nox -s tests, lint, docs, search, simulate, bench."""

import nox

PYTHONS = ["3.11", "3.12", "3.13"]

nox.options.sessions = ["tests", "lint", "docs"]
nox.options.error_on_missing_interpreters = False


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """All tests; arguments go to pytest: nox -s tests-3.12 -- -k promises."""
    session.install("-e", ".[test]")
    session.run("pytest", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Style, types, and who may import whom."""
    session.install("-e", ".[test,lint]")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy", "--strict")
    session.run("lint-imports")


@nox.session
def docs(session: nox.Session) -> None:
    """The pages, into docs/_build; a warning is an error."""
    session.install("-e", ".[docs]")
    session.run("sphinx-build", "-W", "--keep-going", "docs", "docs/_build")


@nox.session
def search(session: nox.Session) -> None:
    """The properties on twenty times as many examples as usual, new ones at each run."""
    session.install("-e", ".[test]")
    session.run("pytest", *session.posargs, env={"HYPOTHESIS_PROFILE": "search"})


@nox.session
def simulate(session: nox.Session) -> None:
    """Several processes on one ledger, simulated: ten thousand seeds; a failing one names itself."""
    session.install("-e", ".[test]")
    session.run("pytest", "tests/simulation", *session.posargs, env={"STIGGCTL_SEEDS": "10000"})


@nox.session
def bench(session: nox.Session) -> None:
    """The claims of speed: ratios, interleaved, in one run."""
    session.install("-e", ".")
    session.run("python", "-m", "benchmarks", *session.posargs)
