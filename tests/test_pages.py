"""README and the pages: what they name exists, and every page is in the table of contents.

Their blocks run as tests of their own (conftest.py); what README's prints is in test_examples.py.
"""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
PAGES = sorted(path for path in (ROOT / "docs").rglob("*.md") if "_build" not in path.parts)
PROMISES = ROOT / "docs" / "explanation" / "promises.md"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def known_tests() -> set[str]:
    return {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"def (test_\w+)", text_of(path))
    }


def promises() -> Iterator[tuple[str, str]]:
    """Each promise as it stands in README's table or on its page, with what names its tests."""
    for row in re.findall(r"^\| (.+?) \| (.+) \|$", text_of(README), re.MULTILINE)[1:]:
        if not row[0].startswith("---"):
            yield row
    promised, _ = text_of(PROMISES).split("## Not in this version")
    for part in re.split(r"\n\n(?=\*\*)", promised)[1:]:
        yield part.split("**")[1], part


def test_every_promise_names_a_test_that_there_is() -> None:
    there, looked_at = known_tests(), 0
    for promise, where in promises():
        named = re.findall(r"`(test_\w+)`", where)
        # Nobody can pull the plug in a test: what is said of power failure is SQLite's own promise.
        assert named or "power" in where, promise
        assert set(named) <= there, promise
        looked_at += 1
    assert looked_at > 25


@pytest.mark.parametrize("page", [README, *PAGES], ids=lambda page: page.name)
def test_every_test_that_a_page_names_is_there(page: Path) -> None:
    assert set(re.findall(r"`(test_\w+)`", text_of(page))) <= known_tests()


@pytest.mark.parametrize("page", [README, *PAGES], ids=lambda page: page.name)
def test_every_file_that_a_page_names_is_there(page: Path) -> None:
    text = text_of(page)
    links = [page.parent / link for link in re.findall(r"\]\((?!https?:)([^)#]+)[^)]*\)", text)]
    files = [ROOT / name for name in re.findall(r"`((?:docs|stiggctl|tests|examples)/[\w./-]*)`", text)]
    missing = [str(file) for file in [*links, *files] if not file.exists()]
    assert missing == []


def test_every_page_is_in_a_table_of_contents() -> None:
    listed = set()
    for page in PAGES:
        for block in re.findall(r"```\{toctree\}\n(.*?)```", text_of(page), re.DOTALL):
            for line in block.splitlines():
                if line and not line.startswith(":"):
                    listed |= set(page.parent.glob(f"{line}.md"))
    assert {page.name for page in set(PAGES) - listed} == {"index.md"}


def test_decisions_are_numbered_once_each() -> None:
    numbers = [page.name[:4] for page in PAGES if page.parent.name == "decisions" and page.name[0] == "0"]
    assert sorted(set(numbers)) == sorted(numbers)


def test_readmes_two_commands_are_the_projects() -> None:
    first, second = re.findall(r"```sh\n(.*?)\n```", text_of(README), re.DOTALL)
    assert (first, second) == ("pip install -e . && stiggctl demo", 'pip install -e ".[test]" && pytest')
    assert PROJECT["scripts"] == {"stiggctl": "stiggctl.cli:main"}
    assert {"test", "lint", "docs"} <= set(PROJECT["optional-dependencies"])


def test_the_library_needs_four_packages() -> None:
    """The command line's click comes with sqlite-utils."""
    needed = sorted(re.split(r"[<>=~! ]", dependency)[0] for dependency in PROJECT["dependencies"])
    assert needed == ["filelock", "pydantic", "sqlite-utils", "typing-extensions"]


def test_the_version_is_in_the_changelog() -> None:
    assert f"## {PROJECT['version']}" in text_of(ROOT / "docs" / "changelog.md")
