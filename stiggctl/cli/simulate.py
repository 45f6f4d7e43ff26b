"""Simulate: what another model would have made of what a ledger has.

Here: the verb. Not here: the replay (control.simulate).
"""

import sys

import click

from stiggctl import Simulation, SimulationChange
from stiggctl.amounts import plain
from stiggctl.cli.answering import Screen, as_json_option, say_fact, say_json
from stiggctl.cli.letters import printable
from stiggctl.cli.locating import opened_to_read
from stiggctl.cli.models import read_model
from stiggctl.cli.telling import told
from stiggctl.cli.when import instant_of

#: What a screen shows of a list; --json has all.
_SHOWN = 20


@click.command()
@click.argument("path")
@click.argument("model")
@click.option("--beside", metavar="MODEL", help="Another model: who is denied more or less often than by it.")
@click.option("--since", metavar="WHEN", help="From when: 2026-01-31, or an instant; it is included.")
@click.option("--until", metavar="WHEN", help="Until when, likewise; it is not included.")
@click.option("--timezone", metavar="ZONE", default="UTC", help="Of dates; left out: UTC.")
@click.option("--customer", metavar="ID", help="Only this customer.")
@as_json_option
def simulate(
    *,
    path: str,
    model: str,
    beside: str | None,
    since: str | None,
    until: str | None,
    timezone: str,
    customer: str | None,
    as_json: bool,
) -> None:
    """Replay what the ledger PATH has under the model in the file MODEL ("-": from stdin): who is denied?

    The model is a whole one: begin with what export-model writes. Nothing is written.
    """
    screen = Screen.of(sys.stdout)
    given = [read_model(one) for one in (model, *([] if beside is None else [beside]))]
    with opened_to_read(path) as control, told(screen, quiet=as_json) as tell:
        found = [
            control.simulate(
                one,
                since=instant_of(since, timezone),
                until=instant_of(until, timezone),
                customer_id=customer,
                progress=tell,
            )
            for one in given
        ]
    changes = found[0].difference(found[1]) if len(found) > 1 else None
    if as_json:
        more = {} if changes is None else {"changes": [change.as_dict() for change in changes]}
        say_json({**found[0].as_dict(), **more})
        return
    _say(screen, found[0])
    if changes is not None:
        _say_changes(screen, changes)


def _say(screen: Screen, found: Simulation) -> None:
    first, *others = str(found).splitlines()
    say_fact(screen, "replayed", first)
    denials = set(map(str, found.denials))
    shown = 0
    for line in others:
        label = "denied" if line in denials else ""
        shown += line in denials
        if line not in denials or shown <= _SHOWN:
            say_fact(screen, label, line)
    if shown > _SHOWN:
        say_fact(screen, "not shown", f"{shown - _SHOWN:,} more, denied less often (--json has all)")


def _say_changes(screen: Screen, changes: list[SimulationChange]) -> None:
    for change in changes[:_SHOWN]:
        who = ", ".join(change.resource_ids) or change.customer_id
        amounts = ", ".join(f"{plain(amount)} {name}" for name, amount in change.amounts.items())
        say_fact(
            screen,
            "beside",
            printable(
                f"{who}: denied {change.times} times, by the other {change.times_with_other} ({amounts})"
            ),
        )
    if not changes:
        say_fact(screen, "beside", "the other denies the same")
    if len(changes) > _SHOWN:
        say_fact(screen, "not shown", f"{len(changes) - _SHOWN:,} more (--json has all)")
