"""Answering: how a verb answers: exit codes, one line, JSON, and what a terminal can show.

Here: what all verbs share. Not here: tables and bars (tables.py), the group of verbs (__init__.py).
"""

import io
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Self, TextIO

import click

from stiggctl import Difference
from stiggctl.cli.letters import cut, printable, wrapped


class Exit(IntEnum):
    """What a verb's exit code says; 2, wrong usage, is click's."""

    DONE = 0
    ERROR = 1
    DENIED = 3
    DIFFERENCES = 4


as_json_option = click.option("--json", "as_json", is_flag=True, help="Answer with one JSON object.")


#: Labels stand in a column of their own; the longest is "file system".
_LABEL = 13
#: Beside a label a sentence needs so many columns, or it stands there a word a line.
_FACT_MIN = 12


@dataclass(frozen=True, slots=True)
class Screen:
    """What the place that an answer goes to can show."""

    columns: int | None = None  #: None: no terminal, as wide as need be
    coloured: bool = False
    live: bool = False  #: a line can be written over
    blocks: bool = True  #: blocks and lines can be drawn; else ASCII has to do

    @classmethod
    def of(cls, stream: TextIO) -> Self:
        """That of a stream. NO_COLOR and TERM=dumb are heeded."""
        terminal = stream.isatty()
        plain = os.environ.get("TERM") == "dumb"
        return cls(
            columns=shutil.get_terminal_size().columns if terminal else None,
            coloured=terminal and not plain and not os.environ.get("NO_COLOR"),
            live=terminal and not plain,
            blocks=_can_write("█├…", stream),
        )

    @property
    def ellipsis(self) -> str:
        """What stands at the end of a text that was cut."""
        return "…" if self.blocks else "~"

    def paint(self, text: str, colour: str | None = None, *, dim: bool = False, bold: bool = False) -> str:
        """The text in a colour, where there are colours."""
        if not self.coloured or not text:
            return text
        return click.style(text, fg=colour, dim=dim or None, bold=bold or None)


def _can_write(text: str, stream: TextIO) -> bool:
    try:
        text.encode(stream.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True


def write_any_script() -> None:
    """From here on a name that the output's encoding lacks is escaped, and is no error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def say(line: str = "") -> None:
    """A line of an answer."""
    click.echo(line)


def say_fact(screen: Screen, label: str, fact: str) -> None:
    """A labelled sentence."""
    for line in fact_lines(screen, label, fact):
        say(line)


def fact_lines(screen: Screen, label: str, fact: str) -> list[str]:
    """A labelled sentence; on a terminal broken between words, and indented.

    On a narrow one the sentence stands below its label.
    """
    columns = screen.columns
    beside = columns is None or columns >= _LABEL + _FACT_MIN
    indent = _LABEL if beside else 0
    lines = wrapped(printable(fact), None if columns is None else max(1, columns - indent))
    said: list[str] = []
    if beside:
        said.append(screen.paint(label.ljust(_LABEL), dim=True) + lines.pop(0))
    elif label:
        said.append(screen.paint(cut(label, max(1, columns or 1), ellipsis=screen.ellipsis), dim=True))
    return [*said, *(" " * indent + line for line in lines)]


def say_json(answer: dict[str, Any]) -> None:
    """The answer, as JSON."""
    click.echo(json.dumps(answer, indent=2, ensure_ascii=False))


def say_json_list(key: str, answers: Iterable[dict[str, Any]], **beside: int) -> None:
    """A list of any length under a key, as one JSON object: each as it comes, none kept; numbers first."""
    click.echo("{\n" + "".join(f'  "{name}": {value},\n' for name, value in beside.items()), nl=False)
    click.echo(f'  "{key}": [', nl=False)
    separator = "\n"
    for answer in answers:
        click.echo(f"{separator}    {json.dumps(answer, ensure_ascii=False)}", nl=False)
        separator = ",\n"
    click.echo("]\n}" if separator == "\n" else "\n  ]\n}")


def say_differences(screen: Screen, differences: Sequence[Difference]) -> None:
    """What verify found, each counter with what stands there and what should."""
    say_fact(screen, "verify", verified(differences))
    for one in differences:
        say_fact(screen, "", f"{one.what}: {one.stored:,} stands there, not {one.computed:,}")


def one_line(text: str) -> str:
    """Text that may have several lines, as one."""
    return " ".join(text.splitlines())


def verified(differences: Sequence[Difference]) -> str:
    """What verify found."""
    if not differences:
        return "every counter is the sum of its events"
    count = len(differences)
    return f"{count} {'counter is not what it' if count == 1 else 'counters are not what they'} should be"


def in_bytes(count: int) -> str:
    """So many bytes, for people.

    >>> in_bytes(512), in_bytes(1_077_248), in_bytes(3 * 2**30)
    ('512 bytes', '1.0 MB', '3.0 GB')
    """
    if count < 1024:
        return f"{count} bytes"
    amount = float(count)
    for unit in ("kB", "MB", "GB"):
        amount /= 1024
        if amount < 1024:
            return f"{amount:.1f} {unit}"
    return f"{amount / 1024:.1f} TB"


def version_of(package: str) -> str | None:
    """The version that is installed; None where it is not."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def version_option() -> Callable[[click.decorators.FC], click.decorators.FC]:
    """--version; also from a checkout that is not installed."""

    def tell(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:  # noqa: FBT001 - click's way
        if wanted and not ctx.resilient_parsing:
            say(f"stiggctl {version_of('stiggctl') or 'of a checkout that is not installed'}")
            ctx.exit()

    return click.option(
        "--version",
        is_flag=True,
        expose_value=False,
        is_eager=True,
        callback=tell,
        help="Say which version it is.",
    )
