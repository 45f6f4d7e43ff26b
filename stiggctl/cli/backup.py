"""Backup: a copy of a ledger, made while others are at work on it.

Here: the verb. Not here: how a copy is made (ledger/sqlite/copying.py).
"""

import sys
from pathlib import Path

import click

from stiggctl.cli.answering import Screen, as_json_option, in_bytes, say_fact, say_json
from stiggctl.cli.locating import named_file, opened_to_read


@click.command()
@click.argument("path")
@click.argument("to")
@as_json_option
def backup(*, path: str, to: str, as_json: bool) -> None:
    """Copy the ledger PATH to the file TO, which must not be there yet.

    It may be run while processes are at work on the ledger, and stops none of them. The copy is of one
    moment, and a ledger of its own from then on.
    """
    copy = Path(named_file(to))
    with opened_to_read(path) as control:
        control.backup(copy)
    size = copy.stat().st_size
    if as_json:
        say_json({"copy": str(copy), "bytes": size})
    else:
        say_fact(Screen.of(sys.stdout), "copy", f"{copy}, {in_bytes(size)}")
