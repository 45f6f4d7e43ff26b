"""Suspend and resume: the kill switch, and its end. Here: the verbs. Not here: what they do (control)."""

import click

from stiggctl.cli.answering import as_json_option
from stiggctl.cli.asking import customer_option, stamp_options, timezone_option
from stiggctl.cli.changes import say_change
from stiggctl.cli.locating import opened_to_read
from stiggctl.cli.when import instant_of


@click.command()
@click.argument("path")
@click.argument("resource")
@click.option("--until", metavar="WHEN", help="When it ends by itself: 2026-01-31, or an instant.")
@timezone_option
@customer_option
@stamp_options
@as_json_option
def suspend(
    *,
    path: str,
    resource: str,
    until: str | None,
    timezone: str,
    customer: str | None,
    actor: str | None,
    reason: str | None,
    as_json: bool,
) -> None:
    """Deny whatever is asked for RESOURCE, or for one below it, from now on, in the ledger PATH.

    What is held may be settled, and what took place may be reported. It ends with `stiggctl resume`, or
    at --until.
    """
    with opened_to_read(path) as control:
        applied = control.suspend(
            resource, reason=reason, until=instant_of(until, timezone), customer_id=customer, actor=actor
        )
    say_change(path, applied, as_json=as_json)


@click.command()
@click.argument("path")
@click.argument("resource")
@customer_option
@stamp_options
@as_json_option
def resume(
    *,
    path: str,
    resource: str,
    customer: str | None,
    actor: str | None,
    reason: str | None,
    as_json: bool,
) -> None:
    """End what `stiggctl suspend` did to RESOURCE, in the ledger PATH."""
    with opened_to_read(path) as control:
        applied = control.resume(resource, customer_id=customer, actor=actor, reason=reason)
    say_change(path, applied, as_json=as_json)
