"""Events: what was booked in a ledger, one after the other.

Here: the verb. Not here: how events are listed (listing.py), files of them (export.py).
"""

import sys
from collections import deque
from collections.abc import Iterator

import click

from stiggctl import BookedEvent
from stiggctl.cli.answering import Screen, as_json_option, say, say_fact, say_json_list
from stiggctl.cli.asking import span_options
from stiggctl.cli.listing import listed
from stiggctl.cli.locating import opened_to_read, read_from
from stiggctl.cli.when import instant_of


@click.command()
@click.argument("path")
@click.option("--customer", metavar="ID", help="Only this customer's.")
@click.option("--resource", metavar="ID", help="Only what was charged to it or below it.")
@click.option("--event", metavar="NAME", help="Only events of this name.")
@span_options("What took place")
@click.option("--last", type=click.IntRange(min=1), metavar="NUMBER", help="Only the last so many.")
@as_json_option
def events(
    *,
    path: str,
    customer: str | None,
    resource: str | None,
    event: str | None,
    since: str | None,
    until: str | None,
    timezone: str,
    last: int | None,
    as_json: bool,
) -> None:
    """Show what was booked in the ledger PATH, in the order in which it was booked.

    At each: when it took place, how much of what, and to which resources it was charged, with all above.
    """
    with opened_to_read(path) as control:
        found = control.events(
            customer,
            resource_id=resource,
            event_name=event,
            since=instant_of(since, timezone),
            until=instant_of(until, timezone),
        )
        with read_from(found) as every:
            chosen = every if last is None else iter(deque(every, maxlen=last))
            if as_json:
                say_json_list("events", (one.as_dict() for one in chosen))
            else:
                _say(Screen.of(sys.stdout), chosen)


def _say(screen: Screen, chosen: Iterator[BookedEvent]) -> None:
    nothing = True
    for line in listed(chosen, screen):
        nothing = False
        say(line)
    if nothing:
        say_fact(screen, "events", "there are none")
