"""Troubles: what SQLite says, in our words.

Here: an sqlite3 error -> a LedgerError, with what would help. Not here: what is raised
before SQLite is asked (opening.py, sqlite/schema.py).
"""

import sqlite3

from stiggctl.errors import LedgerCorrupt, LedgerError, LedgerUnavailable

_TRY_AGAIN = "nothing of this was booked or changed: send it again, with the same key"

#: primary result code -> (kind, reason, remedy); `{said}` is SQLite's own sentence
_KINDS: dict[int, tuple[type[LedgerError], str, str]] = {
    sqlite3.SQLITE_BUSY: (
        LedgerUnavailable,
        "another process did not finish its transaction in time: {said}",
        _TRY_AGAIN,
    ),
    sqlite3.SQLITE_LOCKED: (
        LedgerUnavailable,
        "another connection did not finish its transaction in time: {said}",
        _TRY_AGAIN,
    ),
    sqlite3.SQLITE_FULL: (
        LedgerUnavailable,
        "the disk is full ({said})",
        f"make room; {_TRY_AGAIN}",
    ),
    sqlite3.SQLITE_READONLY: (
        LedgerUnavailable,
        "the file or its directory may not be written ({said})",
        "let this user write both, or open it where only reads are asked",
    ),
    sqlite3.SQLITE_CANTOPEN: (
        LedgerUnavailable,
        "the file, its log or its index cannot be opened ({said})",
        "check that the directory is there, that this user may write in it, and that files may be opened",
    ),
    sqlite3.SQLITE_IOERR: (
        LedgerUnavailable,
        "reading or writing failed ({said})",
        f"check the disk and its free room; {_TRY_AGAIN}",
    ),
    sqlite3.SQLITE_NOMEM: (LedgerUnavailable, "memory is used up ({said})", _TRY_AGAIN),
    sqlite3.SQLITE_PERM: (
        LedgerUnavailable,
        "access was refused ({said})",
        "let this user read and write it",
    ),
    sqlite3.SQLITE_PROTOCOL: (LedgerUnavailable, "its locks did not answer ({said})", _TRY_AGAIN),
    sqlite3.SQLITE_CORRUPT: (
        LedgerCorrupt,
        "the file is damaged ({said})",
        "write nothing more to it; restore a backup, and keep the file for `stiggctl doctor`",
    ),
    sqlite3.SQLITE_NOTADB: (
        LedgerCorrupt,
        "the file is not an SQLite database ({said})",
        "if it was a ledger restore a backup, else choose another path",
    ),
}


def translated(error: sqlite3.Error, location: str) -> LedgerError:
    """The error of ours that says what SQLite said; to be raised `from` it."""
    # What is raised by Python's module itself (a closed connection) has no code.
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    kind, reason, remedy = _KINDS.get(
        code,
        (LedgerError, "the ledger refused a statement ({said})", "nothing was changed; please report this"),
    )
    return kind(location=location, reason=reason.format(said=error), remedy=remedy)


def unreadable(location: str) -> LedgerCorrupt:
    """What SQLite says of a damaged schema shows a piece of it, and that is no text."""
    _, reason, remedy = _KINDS[sqlite3.SQLITE_CORRUPT]
    return LedgerCorrupt(location=location, reason=reason.format(said="malformed schema"), remedy=remedy)


def is_locked(error: sqlite3.Error) -> bool:
    """Whether it was only that somebody else had the lock."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    return code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


def contradiction(location: str, reason: str) -> LedgerCorrupt:
    """A number that cannot be: an invariant of the ledger is broken. Nothing more is written."""
    return LedgerCorrupt(
        location=location,
        reason=reason,
        remedy="nothing more is written through this opening; run `stiggctl doctor` on it",
    )
