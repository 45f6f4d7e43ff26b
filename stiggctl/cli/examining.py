"""Examining: the facts about a ledger that a doctor needs, gathered without changing it.

Here: facts, and what is wrong with them. Not here: how they are told (doctor.py).

The other verbs use public names only. This one looks below them, at the ledger and at the files of
its processes: what is wrong may be just what keeps a control from opening.
"""

import os
import platform
import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

from stiggctl import Difference, LedgerError, SystemClock
from stiggctl.cli.answering import in_bytes, verified, version_of
from stiggctl.holder.liveness import Presence
from stiggctl.ledger import Reader
from stiggctl.ledger.opening import file_system, open_ledger
from stiggctl.ledger.records import HolderRow
from stiggctl.windows import to_text

_PACKAGES = ("stiggctl", "pydantic", "sqlite-utils", "filelock", "click")
#: The keeper moves the log into the file from 16 MB on, and at 24 MB makes bookings wait for that: so
#: much more has not been moved for long.
_LOG_BYTES_MAX = 64 * 2**20
#: A busy day of events. With less a disk may be full before somebody has read this.
_FREE_BYTES_MIN = 100 * 2**20


class Advice(NamedTuple):
    """What is wrong, and what to do."""

    wrong: str
    remedy: str


class FileFacts(NamedTuple):
    """The file, whatever it is."""

    path: str
    bytes: int
    log_bytes: int  #: written, and not yet moved into the file
    file_system: str | None  #: None: this operating system does not tell
    free_bytes: int
    writable: bool  #: by who asks


class HolderFacts(NamedTuple):
    """A process that has reserved, consumed or reported, and has not been buried."""

    pid: int
    host: str
    state: Literal["alive", "dead", "unknown"]
    holds_until: str | None  #: when the last of what it holds ends
    why_unknown: str | None = None
    remedy: str | None = None


@dataclass(slots=True, kw_only=True)
class Examined:
    """What was found. Where `refused` is set the ledger could not be read to its end."""

    versions: dict[str, str | None]
    file: FileFacts | None = None  #: None: there is none
    ledger_id: str | None = None
    schema_version: int | None = None
    model_change: int | None = None
    holders: list[HolderFacts] = field(default_factory=list)
    differences: list[Difference] | None = None
    refused: LedgerError | None = None

    def advice(self) -> Iterator[Advice]:
        """Everything that is wrong, the worst first."""
        if self.refused is not None:
            yield Advice(self.refused.reason, self.refused.remedy)
        if self.differences:
            yield Advice(
                verified(self.differences),
                "stop the processes that use it, and keep a copy of the file with its -wal beside it; "
                "then restore a backup, or report this with the lines below verify",
            )
        for holder in self.holders:
            if holder.why_unknown is not None:
                yield Advice(f"process {holder.pid}: {holder.why_unknown}", holder.remedy or "")
        if self.file is not None:
            yield from _advice_on(self.file)


def _advice_on(file: FileFacts) -> Iterator[Advice]:
    if not file.writable:
        yield Advice(
            "this user may read it only", "let whoever writes to it write the file and its directory"
        )
    if file.log_bytes > _LOG_BYTES_MAX:
        yield Advice(
            f"its log has grown to {in_bytes(file.log_bytes)}",
            "end what has been reading it for long: it keeps the log from being moved into the file",
        )
    if file.free_bytes < _FREE_BYTES_MIN:
        yield Advice(
            f"its disk has {in_bytes(file.free_bytes)} left", "make room before bookings are refused"
        )


def examine(location: str) -> Examined:
    """Look at it. What keeps it from being read is in `refused`, beside what could be found out."""
    versions = {
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        **{package: version_of(package) for package in _PACKAGES},
    }
    examined = Examined(versions=versions, file=_file(location))
    try:
        ledger = open_ledger(location, create=False)
        try:
            with ledger.reader() as reader:
                _read(reader, examined, ledger.path.with_name(f"{ledger.path.name}-holders"))
        finally:
            ledger.close()
    except LedgerError as error:
        examined.refused = error
    return examined


def _file(location: str) -> FileFacts | None:
    path = Path(location)
    if not path.is_file():
        return None
    path = path.resolve()
    log = path.with_name(f"{path.name}-wal")
    return FileFacts(
        path=str(path),
        bytes=path.stat().st_size,
        log_bytes=log.stat().st_size if log.exists() else 0,
        file_system=file_system(path),
        free_bytes=shutil.disk_usage(path.parent).free,
        writable=os.access(path, os.W_OK) and os.access(path.parent, os.W_OK),
    )


def _read(reader: Reader, examined: Examined, directory: Path) -> None:
    state = reader.state()
    examined.ledger_id = state.id
    examined.schema_version = state.schema_version
    examined.model_change = state.change
    now_us = SystemClock().now_us()
    examined.holders = [_holder(row, directory, now_us) for row in reader.holders()]
    examined.differences = reader.differences()


def _holder(row: HolderRow, directory: Path, now_us: int) -> HolderFacts:
    try:
        state: Literal["alive", "dead"] = "dead" if Presence.is_dead(directory, row) else "alive"
        ends = [end.until_us for held in Presence.orphans_of(directory, row, now_us).values() for end in held]
    except LedgerError as error:
        return HolderFacts(row.pid, row.host, "unknown", None, error.reason, error.remedy)
    return HolderFacts(row.pid, row.host, state, to_text(max(ends)) if ends else None)
