"""The examples and README's block run as people run them, and print what stands beside them."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


def run(script: str | Path, directory: Path, *how: str) -> str:
    """What a script prints, run from another directory; it must end well and say nothing on stderr."""
    ran = subprocess.run(
        [sys.executable, "-W", "default::ResourceWarning", *how, script],
        cwd=directory,
        env={"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    return ran.stdout


def test_there_are_examples() -> None:
    assert [path.stem for path in EXAMPLES] == ["article", "asyncio_burst", "settled_for_less_more_late"]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_prints_what_its_docstring_says(example: Path, tmp_path: Path) -> None:
    docstring = example.read_text(encoding="utf-8").split('"""')[1]
    _, promised = docstring.split("t prints:\n\n")
    printed = run(example, tmp_path)
    assert [f"    {line}" for line in printed.splitlines()] == promised.rstrip("\n").splitlines()
    assert list(tmp_path.iterdir()) == []  # it leaves nothing behind


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_a_page(example: Path) -> None:
    # What an example shows is read at one go.
    assert len(example.read_text(encoding="utf-8").splitlines()) <= 120


def test_readmes_block_prints_what_stands_below_it(tmp_path: Path) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"```python\n(.*?)```.*?```text\n(.*?)```", readme, re.DOTALL)
    block, promised = shown
    assert len(block.splitlines()) < 15
    assert run(block, tmp_path, "-c") == promised
