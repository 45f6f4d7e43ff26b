"""Telling: how far a long verb is, on one line of a terminal that is written over.

Here: the line. Not here: what is counted (Progress).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from stiggctl import Progress
from stiggctl.cli.answering import Screen
from stiggctl.cli.letters import cut
from stiggctl.cli.tables import bar

_BAR = 16

Tell = Callable[[Progress], None] | None


@contextmanager
def told(screen: Screen, *, quiet: bool, on_stderr: bool = False) -> Iterator[Tell]:
    """Tells how far it is, where somebody sees it: a large model takes seconds, a long past a minute.

    On stderr, whose `screen` it is then, where the answer itself goes to stdout.
    """
    if quiet or not screen.live:
        yield None
        return

    def tell(progress: Progress) -> None:
        # What has no end yet, and the one transaction at the end, shows as begun.
        drawn = bar(progress.done, 0, progress.total or 1, _BAR, blocks=screen.blocks)
        line = cut(f"{drawn}  {progress}", (screen.columns or 80) - 1, ellipsis=screen.ellipsis)
        click.echo(f"\r{line}\x1b[K", nl=False, err=on_stderr)

    try:
        yield tell
    finally:
        click.echo("\r\x1b[K", nl=False, err=on_stderr)
