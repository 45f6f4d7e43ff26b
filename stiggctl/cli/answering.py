"""Answering: how a verb answers: exit codes, one line, JSON, and what a terminal can show.

Here: what all verbs share. Not here: tables and bars (tables.py), the group of verbs (__init__.py).
"""

import io
import json
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Self, TextIO

import click

from stiggctl import Difference, Remedy, RemedyKind
from stiggctl.cli.letters import number, printable, wrapped


class Exit(IntEnum):
    """What a verb's exit code says; 2, wrong usage, is click's."""

    DONE = 0
    ERROR = 1
    DENIED = 3
    DIFFERENCES = 4


as_json_option = click.option("--json", "as_json", is_flag=True, help="Answer with one JSON object.")


#: Labels stand in a column of their own; the longest is "file system".
_LABEL = 13


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
    """A labelled sentence; on a terminal broken between words, and indented."""
    columns = None if screen.columns is None else screen.columns - _LABEL
    first, *others = wrapped(printable(fact), columns)
    say(screen.paint(label.ljust(_LABEL), dim=True) + first)
    for line in others:
        say(" " * _LABEL + line)


def say_json(answer: dict[str, Any]) -> None:
    """The answer, as JSON."""
    click.echo(json.dumps(answer, indent=2, ensure_ascii=False))


def one_line(text: str) -> str:
    """Text that may have several lines, as one."""
    return " ".join(text.splitlines())


def in_words(remedy: Remedy) -> str:
    """What would help, as advice."""
    at = "" if remedy.retry_at is None else f", at the latest at {remedy.retry_at:%Y-%m-%d %H:%M:%S %Z}"
    amount = "" if remedy.amount is None else number(remedy.amount)
    match remedy.kind:
        case RemedyKind.SHRINK:
            return f"ask for at most {amount}"
        case RemedyKind.RETRY:
            return f"ask again: it would fit once what is held is settled{at}"
        case RemedyKind.WAIT:
            return f"ask again later{at}"
        case RemedyKind.RAISE_LIMIT:
            return f"only a limit that is higher by {amount} would admit it"


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
