"""Denials: what was denied in a ledger, and why; and one of them, or an event, explained.

Here: the two verbs. Not here: what is kept, and what an explanation says (control.denials, control.explain).
"""

import sys
from itertools import islice

import click

from stiggctl import AccessDeniedReason, Denial
from stiggctl.cli.answering import Screen, as_json_option, say_fact, say_json, say_json_list
from stiggctl.cli.asking import span_options
from stiggctl.cli.locating import opened_to_read, read_from
from stiggctl.cli.when import instant_of

#: On a terminal the first screens tell what is new; who wants more says how many.
SHOWN = 50


@click.command()
@click.argument("path")
@click.option("--customer", metavar="ID", help="Only this customer's.")
@click.option("--resource", metavar="ID", help="Only of requests that named it.")
@click.option("--reason", type=click.Choice(list(AccessDeniedReason)), help="Only for this reason.")
@span_options("What was denied")
@click.option(
    "--last", type=click.IntRange(min=1), default=SHOWN, show_default=True, help="So many, the newest."
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
    last: int,
    as_json: bool,
) -> None:
    """Show what was denied in the ledger PATH, the newest first: to whom, how often, and why.

    The same request with the same numbers, soon after each other, is one of them. `stiggctl explain PATH ID`
    says more of one.
    """
    screen = Screen.of(sys.stdout)
    with opened_to_read(path) as control:
        found = control.denials(
            customer,
            resource_id=resource,
            reason=reason,
            since=instant_of(since, timezone),
            until=instant_of(until, timezone),
        )
        dropped = control.denials_dropped()
        with read_from(found) as every:
            if as_json:
                say_json_list("denials", (one.as_dict() for one in islice(every, last)))
                return
            nothing = True
            for one in islice(every, last):
                nothing = False
                say_fact(screen, _when(one), f"{one} [{one.decision_id}]")
            if nothing:
                say_fact(screen, "denials", "none is kept")
    if dropped:
        say_fact(screen, "not kept", f"{dropped:,} more")


def _when(one: Denial) -> str:
    return f"{one.last_at:%m-%d %H:%M}"


@click.command()
@click.argument("path")
@click.argument("id_", metavar="ID")
@click.argument("other", required=False)
@as_json_option
def explain(*, path: str, id_: str, other: str | None, as_json: bool) -> None:
    """Say why the request with the decision ID was denied, or what the event ID cost.

    With OTHER, the id of another denial or of an event that went through: what differs between the two.
    """
    screen = Screen.of(sys.stdout)
    with opened_to_read(path) as control:
        found = control.explain(id_) if other is None else control.explain(id_, other)
    if as_json:
        say_json(found.as_dict())
        return
    for at, line in enumerate(str(found).splitlines()):
        label, _, fact = line.partition(": ")
        whole = at == 0 or label not in _LABELS
        say_fact(screen, "why" if at == 0 else "" if whole else label, line if whole else fact)


#: What begins a line of an explanation and stands in a column of its own.
_LABELS = ("limit", "override", "differs", "counts in")
