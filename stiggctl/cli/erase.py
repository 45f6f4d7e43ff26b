"""Erase: a person is forgotten. Here: the verb. Not here: what it does (control.erase)."""

import sys

import click

from stiggctl.cli.answering import Screen, as_json_option, say_fact, say_json
from stiggctl.cli.asking import customer_option, stamp_options
from stiggctl.cli.locating import opened_to_read


@click.command()
@click.argument("path")
@click.argument("resource")
@customer_option
@stamp_options
@click.option("--later", is_flag=True, help="Leave writing the file anew to the next erasure.")
@as_json_option
def erase(
    *,
    path: str,
    resource: str,
    customer: str | None,
    actor: str | None,
    reason: str | None,
    later: bool,
    as_json: bool,
) -> None:
    """Forget who RESOURCE was, wherever the ledger PATH says it; every sum stays what it is.

    A random id stands in its place from then on. It cannot be undone. Backups and exports keep what they
    have, and a report that is sent again under a key of its events is new usage. Killed before its end,
    say it again.
    """
    with opened_to_read(path) as control:
        erased = control.erase(resource, customer_id=customer, actor=actor, reason=reason, compact=not later)
    if as_json:
        say_json({"location": path, **erased.as_dict()})
        return
    screen = Screen.of(sys.stdout)
    say_fact(screen, "now called", f"{erased.resource_id} of {erased.customer_id}")
    say_fact(screen, "events", f"{erased.events:,} rewritten, {erased.idempotency_keys:,} keys replaced")
    if erased.remains:
        say_fact(screen, "remains", "in unused bytes of the file or its log, until the next erasure")
    if erased.waiting_for:
        say_fact(screen, "waiting for", ", ".join(erased.waiting_for))
