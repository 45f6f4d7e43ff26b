"""Locating: the ledger that a verb names: whether it is there, and opening it to read.

Here: what verbs that read share, so that none of them makes a file. Not here: what a place must be
like (the ledger says so itself), what a verb does with it.
"""

import click

from stiggctl import LedgerError, UsageControl

_MEMORY = ":memory:"
#: The reason of an error that says no more than that: an empty file, or none.
_NOTHING = "there is no ledger"


def named_file(path: str) -> str:
    """The path, which must name a file; wrong usage where it is a ledger in memory."""
    if path == _MEMORY:
        raise click.BadParameter("a ledger in memory is another process's own; give the path of a file")
    return path


def opened_to_read(path: str) -> UsageControl:
    """A control on the ledger that is there; makes none, whatever it is then asked to do.

    Raises LedgerError where there is no ledger.
    """
    return UsageControl(named_file(path), create=False)


def is_there(path: str) -> bool:
    """Whether there is a ledger, where one may lie at all.

    Raises LedgerError for whatever else is there, and for a place where none can be made.
    """
    try:
        opened_to_read(path).close()
    except LedgerError as error:
        if error.reason == _NOTHING:
            return False
        raise
    return True
