"""Examples, README's block and the commands on pages run as people run them, and print what stands there."""

import doctest
import re
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from stiggctl import UsageControl
from stiggctl.testing import ManualClock

ROOT = Path(__file__).parent.parent
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
#: What these print is of threads and of the time it took: the same but for the numbers, and where
#: their docstring has three dots, there may be more.
VARYING = {"replay_trace", "threads_into_a_limit"}


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
    assert [path.stem for path in EXAMPLES] == [
        "article",
        "asyncio_burst",
        "credits",
        "degrade_instead_of_refusing",
        "guarded_call",
        "margin",
        "metered_function",
        "observed_call",
        "override",
        "processes_into_a_limit",
        "replay_trace",
        "rerate_a_month",
        "seats",
        "settled_for_less_more_late",
        "stream_cut",
        "threads_into_a_limit",
        "warned",
        "what_if",
        "who_burned_the_budget",
        "why_blocked",
    ]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_prints_what_its_docstring_says(example: Path, tmp_path: Path) -> None:
    docstring = example.read_text(encoding="utf-8").split('"""')[1]
    _, promised = re.split(r"t prints[^:]*:\n\n", docstring)
    printed = "".join(f"    {line}\n" for line in run(example, tmp_path).splitlines())
    if example.stem in VARYING:
        assert re.fullmatch(shape(promised), without_numbers(printed)), printed
    else:
        assert printed == promised
    assert list(tmp_path.iterdir()) == []  # it leaves nothing behind


def shape(promised: str) -> str:
    """What must be printed, as a pattern, where every number is written 0."""
    escaped = re.escape(without_numbers(promised))
    return escaped.replace(re.escape("    ...\n"), r"(?:.*\n)+").replace(re.escape("..."), ".*")


def without_numbers(text: str) -> str:
    """Every number as 0, however wide it was."""
    return re.sub(r" *\d[\d,]*", " 0", text)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_a_page(example: Path) -> None:
    # What an example shows is read at one go; what it prints stands before it.
    _, docstring, code = example.read_text(encoding="utf-8").split('"""', 2)
    assert len(docstring.splitlines()) <= 30
    assert len(code.splitlines()) <= 115


def test_what_an_example_prints_stands_on_its_page_too(tmp_path: Path) -> None:
    for example, name in (
        ("who_burned_the_budget", "see-who-used-what"),
        ("why_blocked", "explain-a-denial"),
    ):
        page = (ROOT / "docs" / "how-to" / f"{name}.md").read_text(encoding="utf-8")
        assert f"```text\n{run(ROOT / 'examples' / f'{example}.py', tmp_path)}```" in page


def test_readmes_block_prints_what_stands_below_it(tmp_path: Path) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"```python\n(.*?)```.*?```text\n(.*?)```", readme, re.DOTALL)
    block, promised = shown
    assert len(block.splitlines()) < 15
    assert run(block, tmp_path, "-c") == promised


def test_the_tutorials_commands_print_what_stands_below_them(tmp_path: Path) -> None:
    tutorial = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", tutorial, re.DOTALL)
    typed = [example.source for block in blocks for example in doctest.DocTestParser().get_examples(block)]
    # As an interactive Python runs it, one statement after the other: they leave the ledger behind.
    prompt = "import code\nprompt = code.InteractiveInterpreter()\n"
    run(f"{prompt}for statement in {typed!r}:\n    prompt.runsource(statement)\n", tmp_path, "-c")
    commands = re.findall(r"```sh\nstiggctl (.*?)\n```\n\n```text\n(.*?)```", tutorial, re.DOTALL)
    assert [command.split()[0] for command, _ in commands] == ["tree", "check"]
    for (command, promised), ends in zip(commands, (0, 3), strict=True):
        assert command_prints(command, tmp_path, ends) == promised


def test_the_command_lines_page_can_be_followed(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "how-to" / "use-the-command-line.md").read_text(encoding="utf-8")
    (model,) = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    (tmp_path / "model.json").write_text(model, encoding="utf-8")
    commands = re.findall(r"^stiggctl (.*)$", page, re.MULTILINE)
    kept = commands.pop(2).removesuffix(" > model.json")
    dry, apply, check, several, tree, below, used, spent, granted, *desk = commands
    assert "nothing was written" in command_prints(dry, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["model.json"]
    command_prints(apply, tmp_path)
    clock = ManualClock(datetime(2026, 1, 15, 12, tzinfo=UTC))
    with UsageControl(tmp_path / "usage.db", clock=clock) as control:
        control.consume(
            resource_ids=["user-01", "emea"], credit_currency="ai-tokens", amount=10, event_name="chat"
        )
    (tmp_path / "model.json").write_text(command_prints(kept, tmp_path), encoding="utf-8")
    assert "nothing to write" in command_prints(apply.split(" --")[0], tmp_path)
    assert f"```text\n{command_prints(check, tmp_path, 3)}```" in page
    assert command_prints(several, tmp_path, 3).startswith("denied")
    assert "usd" in command_prints(tree, tmp_path)
    assert "usd" not in command_prints(below, tmp_path)
    assert "team" not in command_prints(used, tmp_path)
    assert f"```text\n{command_prints(used, tmp_path)}```" in page
    assert "margin" in command_prints(spent, tmp_path)
    assert "there are none" in command_prints(granted, tmp_path)
    below, last, denials, explain, override, suspend, resume, audit, verify, _ = desk
    for events in (below, last):
        assert f"```text\n{command_prints(events, tmp_path)}```" in page
    told = command_prints(denials, tmp_path)
    *_, denied = re.findall(r"[0-9a-f]+-[0-9]+$", told, re.MULTILINE)  # the first of the two
    assert told.splitlines()[-1] in page
    explained = command_prints(explain.replace("4f2a9c61d07be835-1", denied), tmp_path)
    (promised,) = re.findall(r"```text\n(denied [^`]*asked  [^`]*)```", page)
    assert re.sub(r"at \d.*Z", "at T", explained) == re.sub(r"at \d.*Z", "at T", promised)
    assert "created" in command_prints(override.replace("2026-02-01", "2999-02-01"), tmp_path)
    (line,) = re.findall(r"```text\n(2026-01-15 12:00:00Z  override_limit[^`]*)```", page)
    assert without_numbers(command_prints(audit, tmp_path)).endswith(without_numbers(line))
    for change in (suspend, resume):
        assert "user-01" in command_prints(change, tmp_path)
    assert "every counter" in command_prints(verify, tmp_path)


def command_prints(command: str, directory: Path, ends: int = 0) -> str:
    """What `stiggctl` prints, called from that directory; it says nothing on stderr."""
    ran = subprocess.run(
        [sys.executable, "-m", "stiggctl.cli", *shlex.split(command)],
        cwd=directory,
        env={"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (ends, "")
    return ran.stdout.rstrip("\n") + "\n"
