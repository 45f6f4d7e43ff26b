"""Denials: who was denied what, and why, as a ledger has kept it.

Here: the verb, and how a denial is told in a few lines. Not here: which are kept (control.denials), why
one of them was (explain.py).
"""

import sys
from collections.abc import Iterator
from itertools import islice

import click

from stiggctl import AccessDeniedReason, Denial
from stiggctl.cli.answering import Screen, as_json_option, say, say_fact, say_json_list
from stiggctl.cli.asking import span_options
from stiggctl.cli.letters import printable, wrapped
from stiggctl.cli.locating import opened_to_read, read_from
from stiggctl.cli.when import instant_of

#: On a terminal the first screens tell who has trouble now; who wants more says how many.
SHOWN = 20
_INDENT = "  "


@click.command()
@click.argument("path")
@click.option("--customer", metavar="ID", help="Only this customer's.")
@click.option("--resource", metavar="ID", help="Only of requests that named it.")
@click.option(
    "--reason", type=click.Choice([*AccessDeniedReason], case_sensitive=False), help="Only of this reason."
)
@span_options("What was denied")
@click.option(
    "--last",
    type=click.IntRange(min=1),
    metavar="NUMBER",
    help=f"Only the last so many; left out: {SHOWN}, or all as JSON.",
)
@as_json_option
def denials(
    *,
    path: str,
    customer: str | None,
    resource: str | None,
    reason: str | None,
    since: str | None,
    until: str | None,
    timezone: str,
    last: int | None,
    as_json: bool,
) -> None:
    """Show what was denied by the ledger PATH, the newest first, each with its sentence.

    The id in front is what `stiggctl explain` takes. The same request, with the same numbers, again within a
    minute is told once, with how often. How many are not kept is told at the end.
    """
    with opened_to_read(path) as control:
        dropped = control.denials_dropped()
        found = control.denials(
            customer,
            resource_id=resource,
            reason=reason,
            since=instant_of(since, timezone),
            until=instant_of(until, timezone),
        )
        with read_from(found) as kept:
            if as_json:
                say_json_list("denials", (one.as_dict() for one in islice(kept, last)), dropped=dropped)
                return
            screen = Screen.of(sys.stdout)
            _say(screen, islice(kept, last or SHOWN))
            if last is None and next(kept, None) is not None:
                say_fact(screen, "not shown", "those before; --last NUMBER shows more")
    if dropped:
        say_fact(
            screen, "not kept", f"{dropped:,} of all: too many came, or they are older than what is kept"
        )


def _say(screen: Screen, chosen: Iterator[Denial]) -> None:
    nothing = True
    columns = None if screen.columns is None else max(1, screen.columns - len(_INDENT))
    for denial in chosen:
        nothing = False
        first, *more = wrapped(printable(_heading(denial)), screen.columns)
        say(screen.paint(first, bold=True))
        for line in more:
            say(line)
        for line in wrapped(printable(str(denial.decision)), columns):
            say(_INDENT + line)
    if nothing:
        say_fact(screen, "denials", "there are none")


def _heading(denial: Denial) -> str:
    """Its id, whom, when, and how often."""
    whom = ", ".join(denial.resource_ids) or "nobody"
    whose = "" if denial.customer_id is None else f" of {denial.customer_id}"
    often = "" if denial.times == 1 else f"  {denial.times:,} times, until {denial.last_at:%H:%M:%S}Z"
    at = f"{denial.first_at:%Y-%m-%d %H:%M:%S}Z"
    return f"{at}  {denial.reason}  {denial.verb} for {whom}{whose}{often}  {denial.decision_id}"
