"""Export: booked events of a ledger, to a file or to stdout.

Here: the verb, a file that is there whole or not at all, and how far it is. Not here: what the bytes
are (formats.py).

What always holds:
  EX1  A file is replaced in one step, once it is whole and on the disk; whatever goes wrong before
       leaves what was there.
"""

import contextlib
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import click

from stiggctl import BookedEvent, LedgerError, Progress
from stiggctl.cli.answering import Screen, as_json_option, in_bytes, say_fact, say_json
from stiggctl.cli.asking import span_options
from stiggctl.cli.formats import FORMATS, writer_of
from stiggctl.cli.locating import named_file, opened_to_read, read_from
from stiggctl.cli.telling import Tell, told
from stiggctl.cli.when import instant_of
from stiggctl.ledger.opening import open_ledger

#: How often the progress is told, in events: some fifty times a second.
_TELL_EVERY = 1_000
_STDOUT = "-"
#: What a file of SQLite begins with.
_SQLITE = b"SQLite format 3\0"
#: A ledger's own file, and those beside it.
_OF_LEDGER = ("", "-wal", "-shm", "-journal")


class _Counted:
    """Events on their way, counted and told."""

    def __init__(self, events: Iterable[BookedEvent], tell: Tell, total: int) -> None:
        self._events = events
        self._tell = tell
        self._total = total
        self.count = 0

    def __iter__(self) -> Iterator[BookedEvent]:
        for event in self._events:
            self.count += 1
            if self._tell is not None and self.count % _TELL_EVERY == 1:
                self._tell(Progress(phase="exporting", done=self.count, total=max(self.count, self._total)))
            yield event


@click.command()
@click.argument("path")
@click.argument("to")
@click.option(
    "--format",
    "format_name",
    type=click.Choice(list(FORMATS)),
    help="Left out: what TO ends in (.csv, .jsonl, .parquet); to stdout, csv.",
)
@click.option("--customer", metavar="ID", help="Only this customer's.")
@span_options("What took place")
@as_json_option
def export(
    *,
    path: str,
    to: str,
    format_name: str | None,
    customer: str | None,
    since: str | None,
    until: str | None,
    timezone: str,
    as_json: bool,
) -> None:
    """Write what was booked in the ledger PATH to the file TO ("-": to stdout), in ledger order.

    CSV and Parquet have a row for each event and currency, JSON lines and CloudEvents an object for each
    event. A file TO that is there is replaced once the new one is whole.
    """
    if to == _STDOUT and as_json:
        raise click.BadOptionUsage("as_json", "--json tells of a file; to stdout goes the export itself.")
    format_name = format_name or _format_of(to)
    if to == _STDOUT and format_name == "parquet" and sys.stdout.isatty():
        raise click.BadParameter("Parquet is not for a terminal: name a file, or write into a pipe.")
    write = writer_of(format_name)
    begin, end = instant_of(since, timezone), instant_of(until, timezone)
    named_file(path)
    _refuse_ledgers(path, to)
    # Where the export itself is what is seen, a line that is written over would stand in it.
    screen = Screen.of(sys.stderr)
    quiet = as_json or (to == _STDOUT and sys.stdout.isatty())
    with opened_to_read(path) as control, told(screen, quiet=quiet, on_stderr=True) as tell:
        # The count is a walk over an index alone: a small part of what writing them takes.
        total = 0 if tell is None else control.usage(customer, since=begin, until=end)[0].events
        with read_from(control.events(customer, since=begin, until=end)) as found:
            events = _Counted(found, tell, total)
            if to == _STDOUT:
                write(events, sys.stdout.buffer, _source(path))
                sys.stdout.buffer.flush()
                return
            with _replacing(Path(to)) as file:
                write(events, file, _source(path))
    size = Path(to).stat().st_size
    if as_json:
        say_json({"file": to, "format": format_name, "events": events.count, "bytes": size})
    else:
        say_fact(Screen.of(sys.stdout), "exported", f"{events.count:,} events to {to}, {in_bytes(size)}")


def _format_of(to: str) -> str:
    """The format that a file's name ends in; CSV to stdout."""
    ending = "csv" if to == _STDOUT else Path(to).suffix.removeprefix(".").lower()
    if ending not in FORMATS:
        raise click.BadOptionUsage("format_name", f"{to!r} names no format: give --format.")
    return ending


def _source(path: str) -> str:
    """The ledger, by the name that it has wherever its file lies."""
    ledger = open_ledger(path, create=False)
    try:
        with ledger.reader() as reader:
            return f"urn:uuid:{reader.state().id}"
    finally:
        ledger.close()


def _refuse_ledgers(path: str, to: str) -> None:
    """An export in the place of a ledger would be the end of it."""
    if to == _STDOUT:
        return
    place = Path(to).resolve()
    own = {Path(f"{path}{ending}").resolve() for ending in _OF_LEDGER}
    if place in own or _is_database(place):
        raise LedgerError(
            location=to, reason="this is a ledger or another database", remedy="name another file"
        )


def _is_database(place: Path) -> bool:
    try:
        with place.open("rb") as file:
            return file.read(len(_SQLITE)) == _SQLITE
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def _replacing(place: Path) -> Iterator[BinaryIO]:
    """A file that takes its place once it is whole (EX1)."""
    # Beside it, or it could not be moved in one step; of this process, or two exports would mix.
    part = place.with_name(f".{place.name}.{os.getpid()}.part")
    try:
        with part.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(place)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
