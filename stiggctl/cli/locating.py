"""Locating: the ledger that a verb names: whether it is there, and opening it to read.

Here: what verbs that read share, so that none of them makes a file. Not here: what a place must be
like (the ledger says so itself), what a verb does with it.
"""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import TypeVar

import click

from stiggctl import LedgerError, UsageControl

T = TypeVar("T")

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


@contextmanager
def read_from(stream: Iterator[T]) -> Iterator[Iterator[T]]:
    """A stream of a control that ends before the control is closed, also where who reads the output has gone.

    One that is still open then keeps its log and index beside the ledger: files that were not there.
    """
    try:
        yield stream
    finally:
        if isinstance(stream, Generator):
            stream.close()


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
