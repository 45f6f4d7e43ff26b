"""Verify: every counter of a ledger, computed anew. Here: the verb. Not here: how (control.verify)."""

import sys

import click

from stiggctl.cli.answering import Exit, Screen, as_json_option, say_differences, say_json
from stiggctl.cli.locating import opened_to_read


@click.command()
@click.argument("path")
@as_json_option
@click.pass_context
def verify(ctx: click.Context, *, path: str, as_json: bool) -> None:
    """Compute every counter of the ledger PATH anew from its events, and show those that differ.

    Exit code 0: none does; 4: some do. Every event is read: some seconds for each million. Other
    processes may be at work meanwhile.
    """
    with opened_to_read(path) as control:
        differences = control.verify()
    if as_json:
        say_json({"location": path, "differences": [one._asdict() for one in differences]})
    else:
        say_differences(Screen.of(sys.stdout), differences)
    ctx.exit(Exit.DIFFERENCES if differences else Exit.DONE)
